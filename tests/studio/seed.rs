//! Fills a state folder with an ended sweep of any size, for the measurements of the studio:
//! `cargo run --release --example studio_seed -- STATE_FOLDER TRIALS POINTS`.

use overdrive::controller::{Outcome, Record, SweepState};
use overdrive::history::{CancelCause, TrialState};
use overdrive::metric::Observation;
use overdrive::policy::Stop;
use overdrive::sampler::Origin;
use overdrive::space::{Assignment, Value};
use overdrive::store::{Change, Durability, Store};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// A number in 0..1 that looks random and is the same each time.
fn noise(a: u64, b: u64) -> f64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 29)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, trials, points] = arguments.as_slice() else {
        return Err("usage: studio_seed STATE_FOLDER TRIALS POINTS".into());
    };
    let (folder, trials, points) = (Path::new(folder), trials.parse::<u64>()?, points.parse::<u64>()?);
    let experiment = serde_json::from_value(serde_json::json!({
        "name": "large",
        "dialect": "hyperdrive",
        "space": { "parameters": [
            { "name": "lr", "distribution": { "type": "loguniform", "low": -9.2, "high": -0.7 } },
            { "name": "momentum", "distribution": { "type": "uniform", "low": 0.0, "high": 0.99 } },
            { "name": "width", "distribution": { "type": "choice", "options": [16, 32, 64, 128] } },
        ] },
        "sampler": { "kind": "random", "seed": 7 },
        "policy": { "type": "bandit", "evaluation_interval": 1, "delay_evaluation": 4, "slack": { "factor": 0.2 } },
        "metric": { "name": "Accuracy", "goal": "maximize" },
        "limits": { "max_total": trials, "max_concurrent": 100, "max_duration_ms": null },
        "abort_after_initial_failures": 3,
        "max_retries": 3,
        "launch": {
            "source_directory": null,
            "command": { "kind": "script", "script": "train.py", "arguments": [] },
            "parameters": [], "environment_variables": {},
            "environment": { "kind": "user_managed", "interpreter": "python3" },
            "framework": "python", "communicator": "none", "node_count": 1, "process_count_per_node": 1, "run_definition": null,
        },
        "targets": ["local"],
    }))?;
    let store = Arc::new(Store::open(folder)?);
    store.create_sweep("HD_large", &experiment, &folder.join("sweeps/HD_large"), None)?;
    let mut writer = store.writer("HD_large", None, false)?;
    let mut best = f64::NEG_INFINITY;
    for block in 0..trials.div_ceil(200) {
        let mut changes = Vec::new();
        for trial in block * 200..((block + 1) * 200).min(trials) {
            let now = trial * 20;
            let (lr, momentum) = ((-9.2 + 8.5 * noise(trial, 1)).exp(), 0.99 * noise(trial, 2));
            let width = [16, 32, 64, 128][(noise(trial, 3) * 4.0) as usize % 4];
            let top = 0.97 - 0.05 * (lr.log10() + 2.0).abs() - 0.05 * (momentum - 0.9).abs()
                + 0.005 * f64::from(width).log2();
            let ending = noise(trial, 4);
            let length = if ending < 0.3 { points / 3 } else { points };
            let mut add = |after: u64, record| changes.push((now + after, Change::Record(record)));
            let state = |state, cause, reason: Option<&str>| Record::TrialState {
                trial,
                state,
                cause,
                reason: reason.map(str::to_owned),
            };
            add(
                0,
                Record::TrialCreated {
                    trial,
                    assignment: Assignment {
                        values: vec![
                            Some(Value::Float(lr)),
                            Some(Value::Float(momentum)),
                            Some(Value::Int(width.into())),
                        ],
                    },
                    origin: Origin {
                        sampler: "random".into(),
                        method: "independent draw".into(),
                        predicted: None,
                        notes: Vec::new(),
                    },
                },
            );
            add(0, Record::AttemptCreated { trial, attempt: 0 });
            add(0, state(TrialState::Running, None, None));
            let mut last = 0.0;
            for interval in 1..=length {
                last = top * (1.0 - (-(interval as f64) / (points as f64 / 4.0)).exp())
                    + 0.01 * (noise(trial, 100 + interval) - 0.5);
                let observation = Observation {
                    value: last,
                    step: None,
                    elapsed_ms: interval,
                };
                add(
                    interval,
                    Record::Observed {
                        trial,
                        attempt: 0,
                        interval,
                        observation,
                        accepted: true,
                    },
                );
                if last > best {
                    best = last;
                    add(
                        interval,
                        Record::Incumbent {
                            trial,
                            value: last,
                            interval,
                        },
                    );
                }
            }
            let stopped = ending < 0.3;
            if stopped {
                let threshold = best / 1.2;
                add(
                    length,
                    Record::Stopped(Stop {
                        trial,
                        interval: length,
                        policy: "Bandit".into(),
                        value: Some(last),
                        threshold: Some(threshold),
                        operands: [("best".to_owned(), best), ("slack_factor".to_owned(), 0.2)]
                            .into_iter()
                            .collect(),
                        inequality: format!("{last:.4} < {threshold:.4} (best {best:.4} / 1.2)"),
                    }),
                );
                add(
                    length,
                    state(TrialState::CancelRequested, Some(CancelCause::Policy), None),
                );
            }
            let failed = ending > 0.98;
            let outcome = if stopped {
                Outcome::Canceled
            } else {
                Outcome::Completed
            };
            add(
                length + 10,
                Record::AttemptEnded {
                    trial,
                    attempt: 0,
                    outcome,
                    superseded: false,
                },
            );
            add(
                length + 10,
                match (stopped, failed) {
                    (true, _) => state(TrialState::Canceled, Some(CancelCause::Policy), None),
                    (_, true) => state(
                        TrialState::Failed,
                        None,
                        Some("exit 1: RuntimeError: out of memory"),
                    ),
                    _ => state(TrialState::Completed, None, None),
                },
            );
        }
        writer.apply(&changes, Durability::Process)?;
    }
    let ended = Record::SweepState {
        state: SweepState::Completed,
        reason: format!("all {trials} trials have ended"),
    };
    writer.apply(
        &[(trials * 20 + 1000, Change::Record(ended))],
        Durability::Machine,
    )?;
    writer.release()?;
    Ok(())
}
