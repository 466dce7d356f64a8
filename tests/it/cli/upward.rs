//! What scripts tell the sweep itself through `run.parent`: tags, metrics, a request to end it all.

use super::project::{Project, Sweep, json, text};

/// Python without any package: the stand-in for azureml-core comes with every trial.
fn python(lines: &str) -> Project {
    let body = format!(
        "exec python3 - \"$2\" <<'END'\nimport sys\nfrom azureml.core import Run\nrun = Run.get_context()\n{lines}\nEND"
    );
    Project::new(
        &body,
        &Sweep {
            concurrent: 1,
            ..Sweep::default()
        },
    )
}

#[test]
fn tags_and_metrics_of_scripts_reach_the_sweep() {
    let project = python(
        "x = int(sys.argv[1])\nrun.log('score', x)\nrun.parent.tag('trial-%d' % x, 'seen')\n\
         run.parent.log('from below', x)\nrun.parent.log('from below', float('nan'))",
    );
    let output = project.run(&["run", "hdconfig.yml", "--json", "--tag", "mine=1"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = project.json(&["show", "--json"]);
    assert_eq!(shown["tags"]["mine"], "1", "{}", shown["tags"]);
    for trial in 1..=4 {
        assert_eq!(
            shown["tags"][format!("trial-{trial}")],
            "seen",
            "{}",
            shown["tags"]
        );
    }
    let metrics = shown["sweep_metrics"]["from below"].as_array().unwrap();
    assert_eq!(metrics.len(), 4, "{}", shown["sweep_metrics"]);
    for (trial, entry) in metrics.iter().enumerate() {
        assert_eq!(entry["trial"], trial);
        assert_eq!(entry["values"][0].as_f64(), Some(trial as f64 + 1.0), "{entry}");
        assert_eq!(entry["values"][1], "NaN", "{entry}");
    }
}

#[test]
fn a_script_can_ask_to_end_the_sweep() {
    let project = python("run.log('score', 1)\nif sys.argv[1] == '2': run.parent.cancel()");
    let output = project.run(&["run", "hdconfig.yml", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let result = json(&output);
    assert_eq!(result["state"], "Canceled");
    assert_eq!(result["reason"], "asked for by the script of trial 1");
    let counted: u64 = result["trials"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert!(counted <= 3, "{result}");
}
