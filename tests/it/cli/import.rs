//! `import`: what other tuners wrote, as sweeps that have ended. The artefacts are those of `tests/fixtures/import/make.py`.

use super::binary::overdrive;
use super::project::{json, text};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/import")
        .join(name)
}

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn run(&self, words: &[&str]) -> Output {
        overdrive()
            .args(words)
            .current_dir(self.0.path())
            .timeout(Duration::from_secs(120))
            .output()
            .unwrap()
    }

    fn import(&self, path: &Path, words: &[&str]) -> (Value, String) {
        let path = path.to_str().unwrap();
        let output = self.run(&[&["import", path, "--json"], words].concat());
        assert_eq!(output.status.code(), Some(0), "{path}: {}", text(&output.stderr));
        (json(&output), text(&output.stderr).to_string())
    }

    fn refused(&self, path: &Path, words: &[&str]) -> String {
        let path = path.to_str().unwrap();
        let output = self.run(&[&["import", path], words].concat());
        assert!(matches!(output.status.code(), Some(2 | 3)), "{path}: {output:?}");
        text(&output.stderr).to_string()
    }

    fn trials(&self, sweep: &Value) -> Vec<Value> {
        let words = [
            "show",
            sweep["sweep"].as_str().unwrap(),
            "--json",
            "--limit",
            "0",
            "--sort",
            "trial",
        ];
        json(&self.run(&words))["items"].as_array().unwrap().clone()
    }

    /// Values of the metrics by trial, from the export.
    fn points(&self, sweep: &Value) -> Vec<Vec<String>> {
        let output = self.run(&["export", sweep["sweep"].as_str().unwrap(), "--what", "metrics"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let table = text(&output.stdout).to_string();
        table
            .lines()
            .skip(1)
            .map(|line| line.split(',').map(str::to_owned).collect())
            .collect()
    }
}

#[test]
fn both_storages_of_optuna_hold_the_same_study() {
    let home = Home::new();
    let mut seen = Vec::new();
    for file in ["optuna/study.db", "optuna/journal.log"] {
        let (sweep, notes) = home.import(&fixture(file), &[]);
        assert_eq!(sweep["experiment"], "digits");
        assert_eq!(
            sweep["metric"]["name"].as_str().or(sweep["metric"].as_str()),
            Some("value"),
            "{sweep}"
        );
        assert_eq!(sweep["state"], "Completed");
        assert!(notes.is_empty() || notes.contains("note:"), "{notes}");
        let trials = home.trials(&sweep);
        // 12 tried, one asked for and left open, one added whole; the one that still waits is none.
        assert_eq!(trials.len(), 14, "{file}");
        let states: Vec<&str> = trials
            .iter()
            .map(|trial| trial["state"].as_str().unwrap())
            .collect();
        assert_eq!(states[5], "Failed");
        assert_eq!(states[12..], ["Canceled", "Completed"]);
        assert!(
            states.iter().filter(|state| **state == "Canceled").count() > 1,
            "{states:?}"
        );
        assert_eq!(trials[0]["parameters"]["width"], 32);
        assert_eq!(trials[0]["parameters"]["optimizer"], "adam");
        assert!(trials[0]["parameters"].get("momentum").is_none());
        assert_eq!(
            trials[0]["best"]["value"].as_f64().or(trials[0]["best"].as_f64()),
            Some(0.5),
            "{}",
            trials[0]
        );
        assert!(
            trials
                .iter()
                .any(|trial| trial["parameters"].get("momentum").is_some())
        );
        let parameters: Vec<Value> = trials.iter().map(|trial| trial["parameters"].clone()).collect();
        let curves: Vec<(String, String)> = home
            .points(&sweep)
            .into_iter()
            .map(|row| (row[0].clone(), row[5].clone()))
            .collect();
        seen.push((
            parameters,
            states.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(),
            curves.len(),
        ));
        // The created time is the study's own.
        assert!(
            sweep["created"].as_str().unwrap().starts_with("2026-11-24T14:44"),
            "{sweep}"
        );
    }
    assert_eq!(seen[0].1, seen[1].1);
    assert_eq!(seen[0].2, seen[1].2);
    // The same studies, tried by the same seed, but for what was drawn after the first prunings.
    assert_eq!(seen[0].0[..3], seen[1].0[..3]);
    let (old, _) = home.import(&fixture("optuna/version-2.db"), &["--study", "old"]);
    assert_eq!(home.trials(&old)[0]["parameters"]["x"], 0.5);
    let error = home.refused(&fixture("optuna/version-2.db"), &[]);
    assert!(error.contains("`--study`: `old`, `older`"), "{error}");
    let error = home.refused(&fixture("optuna/version-2.db"), &["--study", "odl"]);
    assert!(error.contains("did you mean `old`?"), "{error}");
}

#[test]
fn an_imported_sweep_can_be_shown_drawn_exported_and_learned_from() {
    let home = Home::new();
    let (sweep, _) = home.import(&fixture("optuna/study.db"), &[]);
    let id = sweep["sweep"].as_str().unwrap();
    for words in [
        vec!["list"],
        vec!["show", id],
        vec!["best", id],
        vec!["show", &format!("{id}.0")],
        vec!["why", &format!("{id}.5")],
        vec!["export", id],
        vec!["plot", id, "--out", "pictures"],
    ] {
        let output = home.run(&words);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{words:?}: {}",
            text(&output.stderr)
        );
    }
    let listed = home.run(&["list"]);
    assert!(
        text(&listed.stdout).contains("digits"),
        "{}",
        text(&listed.stdout)
    );
    fs::write(home.0.path().join("train.sh"), "#!/bin/sh\necho value=0.3\n").unwrap();
    fs::write(
        home.0.path().join("train.runconfig"),
        "script: train.sh\ntarget: local\nenvironment:\n  python:\n    userManagedDependencies: true\n",
    )
    .unwrap();
    fs::write(
        home.0.path().join("hdconfig.yml"),
        "sampling:\n  type: bayesian\n  parameter_space:\n    - {name: --lr, expression: loguniform, values: [-9.3, -2.2]}\n    - {name: --width, expression: quniform, values: [8, 64, 8]}\n    \
         - {name: --optimizer, expression: choice, values: [sgd, adam]}\npolicy: {}\nprimary_metric_name: value\nprimary_metric_goal: minimize\nmax_total_runs: 2\nmax_concurrent_runs: 1\nmax_duration_minutes: 5\n",
    )
    .unwrap();
    let output = home.run(&["run", "hdconfig.yml", "--resume-from", id, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("learning from"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn ray_folders() {
    let home = Home::new();
    let error = home.refused(&fixture("ray"), &[]);
    assert!(error.contains("`--metric`: `loss`, `extra/step`"), "{error}");
    let error = home.refused(&fixture("ray"), &["--metric", "loss"]);
    assert!(error.contains("`--goal minimize`"), "{error}");
    let error = home.refused(&fixture("ray"), &["--metric", "los", "--goal", "minimize"]);
    assert!(error.contains("did you mean `loss`?"), "{error}");
    let (sweep, notes) = home.import(&fixture("ray"), &["--metric", "loss", "--goal", "minimize"]);
    assert!(notes.contains("3 trials that reported less often"), "{notes}");
    let trials = home.trials(&sweep);
    assert_eq!(trials.len(), 8);
    let count = |state: &str| trials.iter().filter(|trial| trial["state"] == state).count();
    assert_eq!(
        (count("Completed"), count("Canceled"), count("Failed")),
        (3, 3, 2)
    );
    let failed = trials.iter().find(|trial| trial["state"] == "Failed").unwrap();
    assert!(
        failed["reason"].as_str().unwrap().contains("too narrow"),
        "{failed}"
    );
    assert!(
        trials
            .iter()
            .all(|trial| trial["parameters"]["opt/lr"].as_f64().unwrap() > 0.0)
    );
    let points = home.points(&sweep);
    assert_eq!(points.iter().filter(|row| row[1] == "loss").count(), 26);
    assert_eq!(points.iter().filter(|row| row[1] == "extra/step").count(), 26);
}

#[test]
fn mlflow_stores() {
    let home = Home::new();
    for path in ["mlflow/mlruns", "mlflow/mlflow.db"] {
        let (sweep, notes) = home.import(&fixture(path), &["--goal", "minimize"]);
        assert!(notes.contains("1 parent runs were left out"), "{notes}");
        let trials = home.trials(&sweep);
        assert_eq!(trials.len(), 3, "{path}");
        assert_eq!(trials[0]["parameters"]["lr"], 0.001);
        assert_eq!(trials[2]["parameters"]["amp"], true);
        assert_eq!(trials[2]["state"], "Failed");
        let points = home.points(&sweep);
        assert_eq!(points.len(), 12, "{path}");
        assert!(points.iter().all(|row| row[1] == "val/loss"));
        assert_eq!(
            points
                .iter()
                .filter(|row| row[5].eq_ignore_ascii_case("nan"))
                .count(),
            1,
            "{points:?}"
        );
    }
}

#[test]
fn weights_and_biases_exports() {
    let home = Home::new();
    let (sweep, _) = home.import(
        &fixture("wandb/runs.json"),
        &["--metric", "loss", "--goal", "minimize"],
    );
    let trials = home.trials(&sweep);
    assert_eq!(
        [&trials[0]["state"], &trials[1]["state"]],
        ["Completed", "Canceled"]
    );
    assert_eq!(
        home.points(&sweep).iter().filter(|row| row[1] == "loss").count(),
        4
    );
    let (sweep, _) = home.import(
        &fixture("wandb/api.csv"),
        &["--metric", "loss", "--goal", "minimize"],
    );
    let trials = home.trials(&sweep);
    assert_eq!(trials[1]["parameters"]["opt.name"], "adam");
    let (sweep, _) = home.import(
        &fixture("wandb/page.csv"),
        &[
            "--metric",
            "loss",
            "--goal",
            "minimize",
            "--parameters",
            "lr,width",
        ],
    );
    let trials = home.trials(&sweep);
    assert_eq!(trials[1]["state"], "Failed");
    assert_eq!(trials[2]["parameters"]["width"], 64);
    assert!(trials[2]["parameters"].get("acc").is_none());
    let (sweep, notes) = home.import(
        &fixture("wandb/runs"),
        &["--metric", "loss", "--goal", "minimize"],
    );
    assert!(notes.contains("last values only"), "{notes}");
    assert_eq!(home.trials(&sweep)[0]["parameters"]["opt.name"], "sgd");
}

#[test]
fn tables_and_mistakes_in_them() {
    let home = Home::new();
    let (sweep, _) = home.import(
        &fixture("optuna/trials.csv"),
        &["--metric", "value", "--goal", "minimize"],
    );
    let trials = home.trials(&sweep);
    assert_eq!(trials[0]["parameters"]["optimizer"], "adam");
    assert_eq!(trials[5]["state"], "Failed");
    let file = home.0.path().join("t.csv");
    let write = |content: &str| fs::write(&file, content).unwrap();
    write("lr,loss\n0.1,1\n0.2,much\n");
    let error = home.refused(&file, &["--metric", "loss", "--goal", "minimize"]);
    assert!(
        error.contains("t.csv:3: column `loss`: `much` is no number"),
        "{error}"
    );
    write("lr,loss,state\n0.1,1,done\n0.2,2,asleep\n");
    let error = home.refused(&file, &["--metric", "loss", "--goal", "minimize"]);
    assert!(error.contains("t.csv:3: column `state`"), "{error}");
    write("lr,loss\n0.1,1,5\n");
    let error = home.refused(&file, &["--metric", "loss", "--goal", "minimize"]);
    assert!(error.contains("t.csv:2"), "{error}");
    write("lr,loss\n0.1,1\n");
    let error = home.refused(
        &file,
        &["--metric", "loss", "--goal", "minimize", "--parameters", "lrr"],
    );
    assert!(error.contains("did you mean `lr`?"), "{error}");
}

#[test]
fn broken_and_dangerous_files_are_refused_by_place() {
    let home = Home::new();
    let journal = fs::read_to_string(fixture("optuna/journal.log")).unwrap();
    let mut lines: Vec<&str> = journal.lines().collect();
    lines[3] = "{\"op_code\": 5, ";
    let file = home.0.path().join("journal.log");
    fs::write(&file, lines.join("\n")).unwrap();
    let error = home.refused(&file, &[]);
    assert!(
        error.contains("journal.log:4: expected one JSON object"),
        "{error}"
    );
    // A last line that was cut off is what a crash leaves.
    fs::write(&file, format!("{journal}{{\"op_code\": 5, ")).unwrap();
    home.import(&file, &[]);
    let pickle = home.0.path().join("study.pkl");
    fs::write(&pickle, b"\x80\x04\x95.").unwrap();
    assert!(home.refused(&pickle, &[]).contains("is a pickle"));
    let ray = home.0.path().join("ray/trial_0");
    fs::create_dir_all(&ray).unwrap();
    fs::write(ray.join("params.json"), "{\"lr\": 0.1}").unwrap();
    fs::write(ray.join("result.json"), "{\"loss\": 1}\nloss 2\n{\"loss\": 3}\n").unwrap();
    let error = home.refused(
        &home.0.path().join("ray"),
        &["--metric", "loss", "--goal", "minimize"],
    );
    assert!(
        error.contains("result.json:2: expected one JSON object"),
        "{error}"
    );
    assert!(home.refused(Path::new("nowhere.db"), &[]).contains("nowhere.db"));
    let empty = home.0.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(home.refused(&empty, &[]).contains("this folder holds no results"));
}
