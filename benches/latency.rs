//! From a script's flush to the policy's decision and to the script's TERM. `cargo bench --bench latency`.
//!
//! The first trial sets the best value; every other one prints a worse one, which the Bandit policy stops at once. The script notes
//! the boot clock just before it prints and when TERM arrives; the decision counts when it is committed. `OVERDRIVE_BENCH_TRIALS`
//! sets how many trials are stopped (50 by default).
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use overdrive::config::Experiment;
use overdrive::controller::Record;
use overdrive::engine::{Engine, Preparation, Progress, Setup};
use overdrive::store::Store;
use overdrive::target::LocalOptions;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const SCRIPT: &str = r#"
import os, signal, sys, time
def now(): return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
trial = int(os.environ["OVERDRIVE_TRIAL"])
if trial == 0:
    print("score=1", flush=True)
    sys.exit()
def stopped(*_):
    term = now()
    with open(os.path.join(os.environ["SEEN"], str(trial)), "w") as file:
        file.write(f"{flushed} {term}")
    sys.exit(1)
signal.signal(signal.SIGTERM, stopped)
time.sleep(float(os.environ["BEFORE"]))
flushed = now()
print("score=0", flush=True)
time.sleep(60)
"#;

fn boot_ns() -> i128 {
    let time = clock_gettime(ClockId::Boottime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

fn median(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[values.len() * 9 / 10])
}

fn experiment(folder: &Path, trials: u64, before: &str) -> Experiment {
    serde_json::from_value(json!({
        "name": "latency",
        "dialect": "hyperdrive",
        "space": { "parameters": [
            { "name": "x", "distribution": { "type": "uniform", "low": 0.0, "high": 1.0 } },
        ] },
        "sampler": { "kind": "random", "seed": 1 },
        "policy": { "type": "bandit", "evaluation_interval": 1, "delay_evaluation": 0, "slack": { "amount": 0.1 } },
        "metric": { "name": "score", "goal": "maximize" },
        "limits": { "max_total": trials, "max_concurrent": 1, "max_duration_ms": null },
        "abort_after_initial_failures": 3,
        "max_retries": 0,
        "launch": {
            "source_directory": folder,
            "command": { "kind": "script", "script": "train.py", "arguments": [] },
            "parameters": [],
            "environment_variables": { "SEEN": folder.join("seen"), "BEFORE": before },
            "environment": { "kind": "user_managed", "interpreter": "python3" },
            "framework": "python",
            "communicator": "none",
            "node_count": 1,
            "process_count_per_node": 1,
            "run_definition": {},
        },
        "targets": ["local"],
    }))
    .unwrap()
}

fn measure(trials: u64, before: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("seen")).unwrap();
    std::fs::write(folder.path().join("train.py"), SCRIPT).unwrap();
    let store = Arc::new(Store::open(&folder.path().join("state")).unwrap());
    let setup = Setup {
        local: Some(LocalOptions {
            executable: env!("CARGO_BIN_EXE_overdrive").into(),
            ..LocalOptions::default()
        }),
        preparation: Some(Preparation {
            in_place: Some(folder.path().to_owned()),
            interpreter: vec!["python3".into()],
            ..Preparation::default()
        }),
        ..Setup::default()
    };
    let experiment = experiment(folder.path(), trials + 1, before);
    let mut engine = Engine::start(&store, "HD_latency", &experiment, setup).unwrap();
    let mut decided = BTreeMap::new();
    for progress in engine.progress().unwrap() {
        if let Progress::Record {
            record: Record::Stopped(stop),
            ..
        } = progress
        {
            decided.insert(stop.trial, boot_ns());
        }
    }
    engine.wait().unwrap();
    let (mut decisions, mut terms) = (Vec::new(), Vec::new());
    for (trial, decided) in decided {
        let text = std::fs::read_to_string(folder.path().join("seen").join(trial.to_string())).unwrap();
        let (flushed, term) = text.split_once(' ').unwrap();
        let flushed: i128 = flushed.parse().unwrap();
        decisions.push((decided - flushed) as f64 / 1e6);
        terms.push((term.parse::<i128>().unwrap() - flushed) as f64 / 1e6);
    }
    let count = decisions.len();
    let (decision, decision_90) = median(decisions);
    let (term, term_90) = median(terms);
    println!(
        "{count} stops, {before} s after the script's start: flush to committed decision {decision:.2} ms (p90 {decision_90:.2}), \
         flush to TERM in the script {term:.2} ms (p90 {term_90:.2})"
    );
}

fn main() {
    let trials = std::env::var("OVERDRIVE_BENCH_TRIALS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(50);
    // Before and after the runner watches the folder instead of looking every 4 ms.
    measure(trials, "0.02");
    measure(trials, "0.3");
}
