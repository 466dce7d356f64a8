//! The azureml shim under real interpreters: its own form, and beside a really installed azureml-core.

use super::trial::Trial;
use super::venv;
use serde_json::Value;
use std::process::Command;

/// Lines of the report file; every one must be short and whole.
fn lines(trial: &Trial) -> Vec<Value> {
    let text = std::fs::read_to_string(trial.path("report.jsonl")).unwrap();
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| {
            assert!(line.len() < 4096, "{} bytes", line.len());
            serde_json::from_str(line).unwrap()
        })
        .collect()
}

fn values<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines
        .iter()
        .filter(|line| line["name"] == name && line.get("artifact").is_none())
        .map(|line| &line["value"])
        .collect()
}

fn check(trial: &Trial) {
    let lines = lines(trial);
    assert!(
        lines
            .iter()
            .all(|line| line["channel"] == "azureml" || line.get("side").is_some())
    );
    assert_eq!(values(&lines, "Final test accuracy"), [0.5, 0.75]);
    let steps: Vec<_> = lines
        .iter()
        .filter(|line| line["name"] == "Final test accuracy")
        .map(|line| &line["step"])
        .collect();
    assert_eq!(steps, [1, 2]);
    assert_eq!(values(&lines, "not a number"), ["NaN"]);
    assert_eq!(values(&lines, "up"), ["Infinity"]);
    assert_eq!(values(&lines, "down"), ["-Infinity"]);
    assert_eq!(values(&lines, "flag"), [1]);
    assert_eq!(values(&lines, "text number"), [0.25]);
    assert_eq!(values(&lines, "tensor"), [2.5]);
    assert_eq!(lines.iter().filter(|line| line["name"] == "curve").count(), 3);
    // A column called like the primary metric gives points, other columns none; text and children neither.
    assert_eq!(values(&lines, "table.score"), [0.1, 0.2]);
    for name in [
        "x",
        "a",
        "score",
        "Kernel type",
        "accuracy",
        "empty",
        "from below",
    ] {
        assert!(values(&lines, name).is_empty(), "{name}");
    }
    let fact = |kind: &str, key: &str| {
        lines
            .iter()
            .filter(|line| line["fact"] == kind && line["key"] == key)
            .map(|line| line["value"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(fact("value", "Kernel type"), ["rbf"]);
    assert_eq!(fact("tag", "stage"), ["one"]);
    assert_eq!(fact("tag_removed", "kind"), [""]);
    assert_eq!(fact("property", "p"), ["q"]);
    assert_eq!(fact("sweep_metric", "from below"), ["1.5"]);
    assert_eq!(fact("status", "error"), ["7: boom"]);
    for line in lines.iter().filter(|line| line.get("artifact").is_some()) {
        assert!(trial.path(line["path"].as_str().unwrap()).exists(), "{line}");
    }
    let side: Vec<_> = lines.iter().filter_map(|line| line.get("side")).collect();
    assert_eq!(side.len(), 1);
    let long = std::fs::read_to_string(trial.path("report.jsonl.d").join(side[0].as_str().unwrap())).unwrap();
    let long: Value = serde_json::from_str(&long).unwrap();
    assert_eq!(
        (long["fact"].as_str(), long["value"].as_str().map(str::len)),
        (Some("value"), Some(10_000))
    );
    assert!(trial.path("registry/models/svm/2/dot.txt").exists());
    assert!(!trial.path("evil.txt").exists());
}

#[test]
fn whole_surface_without_azureml_core() {
    let trial = Trial::new();
    assert!(
        trial
            .script(&venv::plain(), "azureml_surface.py", &["fallback"])
            .contains("surface ok")
    );
    check(&trial);
}

#[test]
fn whole_surface_beside_a_real_azureml_core() {
    if !venv::full("the shim beside azureml-core 1.61.0") {
        return;
    }
    let trial = Trial::new();
    let python = venv::with("azureml-core", &["azureml-core==1.61.0"]);
    assert!(
        trial
            .script(&python, "azureml_surface.py", &["real"])
            .contains("surface ok")
    );
    check(&trial);
}

#[test]
fn numpy_numbers_are_numbers() {
    if !venv::full("values of numpy through the shim") {
        return;
    }
    let trial = Trial::new();
    let python = venv::with("numpy", &["numpy"]);
    trial.script(&python, "azureml_surface.py", &["fallback"]);
    let lines = lines(&trial);
    assert_eq!(values(&lines, "np32"), [0.5]);
    assert_eq!(values(&lines, "np64i"), [7]);
    assert_eq!(values(&lines, "zero d"), [1.5]);
}

#[test]
fn processes_that_log_at_once_lose_and_mix_nothing() {
    let trial = Trial::new();
    trial.script(&venv::plain(), "azureml_parallel.py", &["4", "250"]);
    let lines = lines(&trial);
    for rank in 0..4 {
        let seen: Vec<_> = values(&lines, &format!("rank {rank}"))
            .into_iter()
            .map(|value| value.as_i64().unwrap())
            .collect();
        assert_eq!(seen, (0..250).collect::<Vec<_>>());
    }
}

#[test]
fn outside_of_a_trial_it_prints_as_azureml_core_does() {
    let trial = Trial::new();
    let folder = overdrive::channel::shim::install(&trial.path("shim")).unwrap();
    let output = Command::new(venv::plain())
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/python/azureml_offline.py"
        ))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("PYTHONPATH", folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "Attempted to log scalar metric acc:\n0.5\nAttempted to log row metric row:\n{'x': 1}\nAttempted to add tag a with value b\n"
    );
}
