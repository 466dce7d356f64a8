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
        "= expected: best, no_improvement, trials, minutes, cost",
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

#[test]
fn a_sampler_that_expects_no_gain_ends_the_sweep() {
    let sweep = Sweep {
        sampler: "bayesian",
        total: 60,
        concurrent: 2,
        ..Sweep::default()
    };
    let body = "awk -v x=$2 'BEGIN { print \"score=\" 1 - (x - 0.3) * (x - 0.3) }'";
    let project = Project::new(body, &sweep);
    let arguments = [
        "run",
        "--json",
        "--seed",
        "3",
        "--set",
        "stop_when=expected_gain < 0.001",
    ];
    let output = project.run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let result = json(&output);
    let reason = result["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("stop_when: expected_gain ") && reason.ends_with(" < 0.001"),
        "{reason}"
    );
    let trials = result["trials"]["Completed"].as_u64().unwrap();
    assert!(
        (5..60).contains(&trials),
        "after the initial design, before the limit: {trials}"
    );
    assert!(result["best"]["value"].as_f64().unwrap() > 0.99, "{result}");
}

#[test]
fn a_condition_that_can_never_hold_is_warned_of() {
    let project = Project::new("echo score=$2", &Sweep::default());
    let output = project.run(&["run", "--set", "stop_when=expected_gain < 0.1", "-v"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let err = text(&output.stderr);
    assert!(
        err.contains("warning[expects-nothing]") && err.contains("bayesian"),
        "{err}"
    );
}

#[test]
fn a_simulation_ends_by_the_condition_too() {
    let sweep = Sweep {
        total: 8,
        concurrent: 1,
        ..Sweep::default()
    };
    let project = Project::new("true", &sweep);
    let trials = |condition: &str| {
        let setting = format!("stop_when={condition}");
        let lines = project.json(&["simulate", "hdconfig.yml", "--json", "--set", &setting]);
        lines["items"][0]["trials"].as_u64().unwrap()
    };
    assert_eq!(trials("trials >= 2"), 2);
    // The ten minutes of the file end it.
    assert_eq!(trials("minutes > 1000"), 3);
    // 20 steps of 10 virtual seconds each: the first trial ends after more than three minutes.
    assert_eq!(trials("minutes > 1"), 1);
}

#[test]
fn what_was_paid_ends_the_sweep_and_only_where_there_is_a_price() {
    let sweep = Sweep {
        total: 6,
        concurrent: 1,
        ..Sweep::default()
    };
    let project = Project::new("echo \"score=$2\"", &sweep);
    for (name, price) in [("paid", Some("3600000")), ("free", None)] {
        let mut words = vec![
            "target",
            "create",
            "amlcompute",
            "-n",
            name,
            "-s",
            "STANDARD_D1_V2",
        ];
        words.extend(["--max-nodes", "1"]);
        words.extend(
            price
                .map(|price| ["--cost-per-hour", price])
                .into_iter()
                .flatten(),
        );
        let made = project.run(&words);
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    let run = |target: &str, condition: &str| {
        let setting = format!("stop_when={condition}");
        let output = project.run(&[
            "run",
            "hdconfig.yml",
            "--json",
            "--target",
            target,
            "--set",
            &setting,
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        json(&output)
    };
    // A thousand a second: no trial is as short as a millisecond.
    let paid = run("paid", "cost > 1");
    assert_eq!(paid["trials"]["Completed"], 1, "{paid}");
    let reason = paid["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("stop_when: cost ") && reason.ends_with(" > 1"),
        "{reason}"
    );
    assert_eq!(run("free", "cost >= 0")["trials"]["Completed"], 6);
}

#[test]
fn a_gain_that_is_not_worth_its_price_is_not_bought() {
    let sweep = Sweep {
        sampler: "bayesian",
        total: 12,
        concurrent: 1,
        ..Sweep::default()
    };
    let project = Project::new("echo \"score=$2\"", &sweep);
    let made = project.run(&[
        "target",
        "create",
        "amlcompute",
        "-n",
        "paid",
        "-s",
        "STANDARD_D1_V2",
        "--max-nodes",
        "1",
        "--cost-per-hour",
        "3600000",
    ]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let output = project.run(&[
        "run",
        "hdconfig.yml",
        "--json",
        "--seed",
        "3",
        "--target",
        "paid",
        "--set",
        "stop_when=expected_gain_per_cost < 1000",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let result = json(&output);
    let reason = result["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("stop_when: expected_gain_per_cost "),
        "{result}"
    );
    // The first trial whose value was foreseen was weighed: the design of five is made without a price.
    assert_eq!(result["trials"]["Completed"], 5, "{result}");
}
