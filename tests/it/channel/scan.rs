//! Files of other tools, written by the real packages.

use super::trial::Trial;
use super::venv;
use indexmap::IndexMap;
use overdrive::channel::foreign::{Files, Hypertune, Nni, Wanted};
use overdrive::channel::{Report, scan};
use overdrive::space::Value;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

const WRITERS: &[&str] = &["tensorboardX", "wandb", "cloudml-hypertune"];

fn write(python: &Path, which: &str, trial: &Trial, env: &IndexMap<String, String>) {
    let output = Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/python/foreign_writers.py"
        ))
        .arg(which)
        .current_dir(trial.path("wd"))
        .envs(env)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{which}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn scanned(which: &str, python: &Path) {
    let trial = Trial::new();
    let since = SystemTime::now();
    write(python, which, &trial, &IndexMap::new());
    let findings = scan::scan(&[trial.path("wd")], since, scan::Limits::default());
    let acc: Vec<_> = findings
        .series
        .iter()
        .filter(|series| series.name == "acc")
        .collect();
    assert_eq!(acc.len(), 1, "{which}: {findings:?}");
    let points: Vec<_> = acc[0]
        .points
        .iter()
        .map(|point| (point.value, point.step))
        .collect();
    assert_eq!(
        points,
        [
            (0.0, Some(0)),
            (0.1, Some(1)),
            (0.2, Some(2)),
            (0.3, Some(3)),
            (0.4, Some(4))
        ],
        "{which}"
    );
}

#[test]
fn tensorboardx_and_wandb() {
    if !venv::full("files of tensorboardX and wandb") {
        return;
    }
    let python = venv::with("writers", WRITERS);
    scanned("tensorboardx", &python);
    scanned("wandb", &python);
}

#[test]
fn mlflow_file_store() {
    if !venv::full("MLflow's file store") {
        return;
    }
    scanned("file_store", &venv::with("mlflow-skinny", &["mlflow-skinny"]));
}

fn values(reports: &[Report]) -> Vec<(&str, f64, Option<i64>)> {
    let point = |report| match report {
        &Report::Metric {
            ref name,
            value,
            step,
            ..
        } => Some((name.as_str(), value, step)),
        _ => None,
    };
    reports.iter().filter_map(point).collect()
}

#[test]
fn hypertune() {
    if !venv::full("cloudml-hypertune") {
        return;
    }
    let trial = Trial::new();
    let files = Files::new(trial.folder.path());
    let env = files.environment(
        Wanted {
            nni: false,
            hypertune: true,
        },
        "HD_7",
        "HD_7_3",
        3,
    );
    write(&venv::with("writers", WRITERS), "hypertune", &trial, &env);
    let reports = Hypertune::default().feed(&std::fs::read_to_string(&files.hypertune).unwrap());
    assert_eq!(
        values(&reports)[..2],
        [("acc", 0.0, Some(0)), ("acc", 0.1, Some(1))]
    );
    assert_eq!(reports.len(), 5);
}

#[test]
fn nni() {
    if !venv::full("nni 3.0") {
        return;
    }
    let trial = Trial::new();
    let files = Files::new(trial.folder.path());
    let parameters = IndexMap::from([
        ("lr".to_owned(), Value::Float(0.5)),
        ("units".to_owned(), Value::Int(3)),
    ]);
    files.prepare(3, &parameters).unwrap();
    let env = files.environment(
        Wanted {
            nni: true,
            hypertune: false,
        },
        "HD_7",
        "HD_7_3",
        3,
    );
    // The package of 2023 imports pkg_resources, which newer setuptools no longer have.
    write(
        &venv::with("nni", &["nni==3.0", "setuptools<81"]),
        "nni",
        &trial,
        &env,
    );
    let reports = Nni::new("acc").feed(&std::fs::read(&files.nni_metrics).unwrap());
    let expected = [
        ("acc", 0.0, Some(0)),
        ("acc", 0.1, Some(1)),
        ("acc", 0.2, Some(2)),
        ("acc", 0.3, Some(3)),
        ("acc", 0.4, None),
        ("loss", 2.0, None),
    ];
    assert_eq!(values(&reports), expected);
}
