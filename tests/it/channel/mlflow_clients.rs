//! Real `mlflow` clients from PyPI against the endpoint.

use super::trial::Trial;
use super::venv;
use overdrive::channel::mlflow::Create;
use std::path::{Path, PathBuf};

const LATEST: &[&str] = &["mlflow==3.17.2", "lightgbm"];

fn latest() -> PathBuf {
    venv::with("mlflow-3", LATEST)
}

fn basic(python: &Path) {
    let trial = Trial::new();
    assert!(trial.script(python, "mlflow_basic.py", &[]).contains("basic ok"));
    assert_eq!(trial.points("acc"), [(0.5, Some(0)), (0.6, Some(3))]);
    assert_eq!(trial.points("loss"), [(0.25, Some(4))]);
    assert_eq!(trial.points("val/loss of all"), [(0.75, Some(4))]);
    assert!(trial.points("nan")[0].0.is_nan());
    assert_eq!(trial.points("inf"), [(f64::INFINITY, Some(0))]);
    assert_eq!(trial.points("minus inf"), [(f64::NEG_INFINITY, Some(0))]);
    for (kind, key, value) in [
        ("param", "lr", "0.1"),
        ("param", "kernel", "rbf"),
        ("tag", "b", "two"),
        ("status", "mlflow", "FINISHED"),
    ] {
        assert_eq!(trial.fact(kind, key).as_deref(), Some(value), "{kind} {key}");
    }
    assert_eq!(
        std::fs::read_to_string(trial.path("artifacts/sub/folder/with space.txt")).unwrap(),
        "hello"
    );
    assert_eq!(
        std::fs::read_to_string(trial.path("artifacts/notes/a.txt")).unwrap(),
        "some text"
    );
    assert!(
        trial
            .artifacts()
            .contains(&("text".to_owned(), "artifacts/notes/a.txt".to_owned()))
    );
    assert_eq!(trial.warnings(), [""; 0]);
}

fn runs(python: &Path) {
    let mut trial = Trial::new();
    assert!(trial.script(python, "mlflow_runs.py", &[]).contains("runs ok"));
    let values: Vec<f64> = trial.points("acc").into_iter().map(|(value, _)| value).collect();
    assert_eq!(values, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
    // What only a child has counts at the end, and only when it is asked for.
    assert!(trial.points("only here").is_empty());
    assert_eq!(trial.endpoint.report_children("only here"), 1);
    assert_eq!(trial.points("only here"), [(0.7, Some(0))]);
    assert_eq!(trial.warnings(), ["metric-of-children"]);
    assert_eq!(trial.endpoint.report_children("never"), 0);
    assert!(
        std::fs::read_dir(trial.path("artifacts/children"))
            .unwrap()
            .count()
            == 1
    );
    assert!(
        std::fs::read_dir(trial.path("report.jsonl.d/children"))
            .unwrap()
            .count()
            == 1
    );
    trial.endpoint.stop();
}

#[test]
fn mlflow_3() {
    if !venv::full("mlflow 3.17.2") {
        return;
    }
    basic(&latest());
    runs(&latest());
}

#[test]
fn mlflow_skinny_3() {
    if !venv::full("mlflow-skinny, newest") {
        return;
    }
    let python = venv::with("mlflow-skinny", &["mlflow-skinny"]);
    basic(&python);
    runs(&python);
}

#[test]
fn mlflow_2() {
    if !venv::full("mlflow-skinny 2.22.1") {
        return;
    }
    let python = venv::with("mlflow-2", &["mlflow-skinny==2.22.1"]);
    basic(&python);
    runs(&python);
}

#[test]
fn mlflow_1() {
    if !venv::full("mlflow-skinny 1.30.1") {
        return;
    }
    // The client of 2022 imports pkg_resources, which newer setuptools no longer have.
    let python = venv::with("mlflow-1", &["mlflow-skinny==1.30.1", "setuptools<81"]);
    basic(&python);
    runs(&python);
}

#[test]
fn runs_of_their_own_can_be_children() {
    if !venv::full("runs/create as child") {
        return;
    }
    let trial = Trial::with(|config| config.create = Create::Child);
    let python = latest();
    trial.script(&python, "mlflow_autolog.py", &[]);
    // The run that autologging closed was the trial; the one that the score opened is a child.
    assert_eq!(trial.points("training_score").len(), 1);
    assert!(trial.points("test accuracy").is_empty());
    assert_eq!(trial.endpoint.report_children("test accuracy"), 1);
}

#[test]
fn scikit_learn_autologging_and_a_metric_after_it_closed_the_run() {
    if !venv::full("scikit-learn autologging") {
        return;
    }
    let trial = Trial::new();
    assert!(
        trial
            .script(&latest(), "mlflow_autolog.py", &["--register"])
            .contains("autolog ok")
    );
    // `log_model` says all metrics of the run again, to link them with the model: those are no new points.
    assert_eq!(trial.points("test accuracy").len(), 1);
    assert_eq!(trial.points("training_f1_score").len(), 1);
    assert_eq!(trial.warnings(), [""; 0]);
    assert_eq!(trial.fact("param", "max_iter").as_deref(), Some("200"));
    let artifacts = trial.artifacts();
    assert!(
        artifacts
            .iter()
            .any(|(kind, path)| kind == "image" && path.ends_with(".png")),
        "{artifacts:?}"
    );
    let models: Vec<_> = artifacts.iter().filter(|(kind, _)| kind == "model").collect();
    assert_eq!(models.len(), 3, "{artifacts:?}");
    for (_, path) in models {
        assert!(trial.path(path).join("MLmodel").exists(), "{path}");
    }
    assert_eq!(
        std::fs::read_dir(trial.path("registry/models/iris"))
            .unwrap()
            .count(),
        2
    );
}

#[test]
fn lightgbm_autologging_gives_a_point_for_each_round() {
    if !venv::full("lightgbm autologging") {
        return;
    }
    let trial = Trial::new();
    trial.script(&latest(), "mlflow_lightgbm.py", &[]);
    let steps: Vec<_> = trial
        .points("test-multi_logloss")
        .into_iter()
        .filter_map(|(_, step)| step)
        .collect();
    assert_eq!(steps, (0..16).collect::<Vec<_>>());
}

#[test]
fn a_dead_endpoint_delays_the_script_by_less_than_thirty_seconds() {
    if !venv::full("mlflow against a dead endpoint") {
        return;
    }
    let mut trial = Trial::new();
    trial.endpoint.stop();
    assert!(
        trial
            .script(
                &venv::with("mlflow-skinny", &["mlflow-skinny"]),
                "mlflow_down.py",
                &[]
            )
            .contains("failed after")
    );
}
