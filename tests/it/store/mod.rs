//! Tests of `store`.

mod agreement;
mod leadership;
mod reading;
mod scale;

use overdrive::config::Experiment;
use overdrive::controller::Record;
use overdrive::metric::Observation;
use overdrive::sampler::Origin;
use overdrive::space::{Assignment, Value};
use overdrive::store::{Change, Durability, Store, SweepWriter};
use std::path::Path;
use std::sync::Arc;

pub fn experiment() -> Experiment {
    let uniform = serde_json::json!({ "type": "uniform", "low": 0.0, "high": 1.0 });
    serde_json::from_value(serde_json::json!({
        "name": "digits",
        "tags": { "team": "blue" },
        "dialect": "hyperdrive",
        "file": "/somewhere/hdconfig.yml",
        "space": { "parameters": [
            { "name": "lr", "distribution": uniform },
            { "name": "momentum", "distribution": uniform },
        ] },
        "sampler": { "kind": "random", "seed": 7 },
        "policy": { "type": "no_termination" },
        "metric": { "name": "Accuracy", "goal": "maximize" },
        "limits": { "max_total": 100, "max_concurrent": 4, "max_duration_ms": null },
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
            "run_definition": null,
        },
        "targets": ["local"],
    }))
    .unwrap()
}

pub fn origin() -> Origin {
    Origin {
        sampler: "random".into(),
        method: "independent draw".into(),
        predicted: None,
        notes: Vec::new(),
    }
}

pub fn assignment(lr: f64, momentum: f64) -> Assignment {
    Assignment {
        values: vec![Some(Value::Float(lr)), Some(Value::Float(momentum))],
    }
}

pub fn observation(value: f64, step: Option<i64>) -> Observation {
    Observation {
        value,
        step,
        elapsed_ms: 5,
    }
}

/// A store with one sweep, led by this process.
pub fn led(folder: &Path, id: &str) -> SweepWriter {
    let store = Arc::new(Store::open(folder).unwrap());
    store
        .create_sweep(id, &experiment(), &folder.join("sweeps").join(id), None)
        .unwrap();
    store.writer(id, None, false).unwrap()
}

pub fn records(writer: &mut SweepWriter, now: u64, records: impl IntoIterator<Item = Record>) {
    let changes: Vec<_> = records
        .into_iter()
        .map(|record| (now, Change::Record(record)))
        .collect();
    writer.apply(&changes, Durability::Process).unwrap();
}
