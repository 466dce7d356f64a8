//! `stop_when` from the file to the reason of the end.

use super::project::{Project, Sweep, json, text};

#[test]
fn the_sweep_ends_when_the_condition_holds() {
    let sweep = Sweep {
        total: 8,
        concurrent: 1,
        ..Sweep::default()
    };
    for (condition, trials, reason) in [
        ("best >= 30", 3, "stop_when: best 30 >= 30"),
        (
            "best < 0 or trials >= 2 and minutes < 9",
            2,
            "stop_when: trials 2 >= 2, minutes",
        ),
        ("minutes > 9", 8, "all 8 trials have ended"),
    ] {
        let project = Project::new("echo \"score=$(($2 * 10))\"", &sweep);
        let setting = format!("stop_when={condition}");
        let output = project.run(&["run", "hdconfig.yml", "--json", "--set", &setting]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let result = json(&output);
        assert_eq!(result["state"], "Completed");
        assert_eq!(result["trials"]["Completed"], trials, "{condition}");
        assert!(result["reason"].as_str().unwrap().starts_with(reason), "{result}");
    }
}

#[test]
fn trials_that_bring_nothing_better_are_counted_and_running_ones_end_by_themselves() {
    let body = "case \"$2\" in 1) echo score=5;; 8) echo score=9;; *) echo score=1;; esac";
    let sweep = Sweep {
        total: 8,
        concurrent: 1,
        ..Sweep::default()
    };
    let project = Project::new(body, &sweep);
    let output = project.run(&["run", "--json", "--set", "stop_when=no_improvement >= 3"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let result = json(&output);
    // The grid's first is the best; the second to fourth bring nothing.
    assert_eq!(result["trials"]["Completed"], 4, "{result}");
    assert_eq!(result["reason"], "stop_when: no_improvement 3 >= 3");
    assert_eq!(result["best"]["value"], 5.0);
}

#[test]
fn an_unknown_term_is_an_error_with_the_known_ones() {
    let project = Project::new("echo score=1", &Sweep::default());
    let file = project.path().join("hdconfig.yml");
    let text_of_file = std::fs::read_to_string(&file).unwrap() + "overdrive:\n  stop_when: bst > 0.9\n";
    std::fs::write(&file, text_of_file).unwrap();
    let output = project.run(&["run", "hdconfig.yml"]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    for part in [
        "error[stop-when]",
        "`bst` is not known",
        "= expected: best, no_improvement, trials, minutes",
        "did you mean `best`?",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(!project.path().join(".overdrive").exists());
    let explained = project.run(&["check", "--explain", "stop-when"]);
    assert!(
        text(&explained.stdout).contains("no_improvement"),
        "{}",
        text(&explained.stdout)
    );
}
