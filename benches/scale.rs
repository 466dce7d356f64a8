//! A sweep with 100,000 finished trials and 1,000,000 points: time and peak memory of `list`, `show` and `resume`, each a fresh
//! process. `cargo bench --bench scale`; `OVERDRIVE_BENCH_TRIALS` sets the number of trials.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use overdrive::config::Experiment;
use overdrive::controller::{Outcome, Record, SweepState};
use overdrive::engine::Preparation;
use overdrive::history::TrialState;
use overdrive::metric::Observation;
use overdrive::sampler::Origin;
use overdrive::space::{Assignment, Value};
use overdrive::store::{Change, Durability, Store};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SWEEP: &str = "HD_big";

fn experiment(trials: u64) -> Experiment {
    let uniform = json!({ "type": "uniform", "low": 0.0, "high": 1.0 });
    serde_json::from_value(json!({
        "name": "big",
        "dialect": "hyperdrive",
        "space": { "parameters": [
            { "name": "lr", "distribution": uniform },
            { "name": "momentum", "distribution": uniform },
        ] },
        "sampler": { "kind": "random", "seed": 7 },
        "policy": { "type": "no_termination" },
        "metric": { "name": "score", "goal": "maximize" },
        "limits": { "max_total": trials, "max_concurrent": 4, "max_duration_ms": null },
        "abort_after_initial_failures": 3,
        "max_retries": 3,
        "launch": {
            "source_directory": null,
            "command": { "kind": "script", "script": "train.py", "arguments": [] },
            "parameters": [],
            "environment_variables": {},
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

/// What a sweep of that size leaves in the store, without running it: ten reports per trial.
fn fill(folder: &Path, trials: u64) {
    let store = Arc::new(Store::open(folder).unwrap());
    let preparation = serde_json::to_value(Preparation::default()).unwrap();
    let place = folder.join("sweeps").join(SWEEP);
    store
        .create_sweep(SWEEP, &experiment(trials), &place, Some(&preparation))
        .unwrap();
    let mut writer = store.writer(SWEEP, None, false).unwrap();
    let running = Record::SweepState {
        state: SweepState::Running,
        reason: String::new(),
    };
    writer
        .apply(&[(0, Change::Record(running))], Durability::Process)
        .unwrap();
    let mut best = f64::NEG_INFINITY;
    for block in (0..trials).step_by(100) {
        let mut changes = Vec::new();
        for trial in block..(block + 100).min(trials) {
            let mut add = |record| changes.push((trial, Change::Record(record)));
            let state = |state| Record::TrialState {
                trial,
                state,
                cause: None,
                reason: None,
            };
            let share = trial as f64 / trials as f64;
            add(Record::TrialCreated {
                trial,
                assignment: Assignment {
                    values: vec![Some(Value::Float(share)), Some(Value::Float(0.5))],
                },
                origin: Origin {
                    sampler: "random".into(),
                    method: "independent draw".into(),
                    predicted: None,
                    notes: Vec::new(),
                },
            });
            add(Record::AttemptCreated { trial, attempt: 0 });
            add(state(TrialState::Preparing));
            add(state(TrialState::Running));
            for interval in 1..=10 {
                let value = (trial * interval % 977) as f64;
                add(Record::Observed {
                    trial,
                    attempt: 0,
                    interval,
                    observation: Observation {
                        value,
                        step: None,
                        elapsed_ms: interval,
                    },
                    accepted: true,
                });
                if value > best {
                    best = value;
                    add(Record::Incumbent {
                        trial,
                        value,
                        interval,
                    });
                }
            }
            add(Record::AttemptEnded {
                trial,
                attempt: 0,
                outcome: Outcome::Completed,
                superseded: false,
            });
            add(state(TrialState::Completed));
        }
        writer.apply(&changes, Durability::Process).unwrap();
    }
    writer.release().unwrap();
}

/// Largest resident set so far, in KiB.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn command(folder: &Path, arguments: &[&str]) {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_overdrive"))
        .arg("--home")
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut kib = 0;
    let status = loop {
        kib = kib.max(peak(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    println!(
        "overdrive {}: {:.0} ms, peak {:.0} MB, {status}",
        arguments.join(" "),
        begun.elapsed().as_secs_f64() * 1e3,
        kib as f64 * 1024.0 / 1e6
    );
}

fn main() {
    let trials = std::env::var("OVERDRIVE_BENCH_TRIALS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000);
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    fill(folder.path(), trials);
    println!(
        "{trials} trials, {} points: stored in {:.1} s",
        trials * 10,
        begun.elapsed().as_secs_f64()
    );
    for _ in 0..3 {
        command(folder.path(), &["list"]);
        command(folder.path(), &["show", SWEEP]);
    }
    // It restores everything, finds that nothing is left to do, and ends the sweep; that works once.
    command(folder.path(), &["resume", SWEEP]);
    // The same bytes read at the speed of memory: the floor of any resume.
    let begun = Instant::now();
    let bytes = std::fs::read(folder.path().join("overdrive.db")).unwrap().len();
    println!(
        "floor: reading the store's {} MB takes {:.0} ms",
        bytes / 1_000_000,
        begun.elapsed().as_secs_f64() * 1e3
    );
}
