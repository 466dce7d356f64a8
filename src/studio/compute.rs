//! Compute targets: what this machine offers and what runs on it.

use crate::store::SweepFilter;
use crate::studio::read::{Answer, SCHEMA_VERSION};
use crate::studio::state::Studio;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// Unfinished sweeps are looked for among so many of the newest.
const SWEEPS: u64 = 500;

pub(super) async fn targets(State(studio): State<Studio>) -> Answer {
    let rows = studio
        .with_store(|store| {
            let filter = SweepFilter {
                limit: Some(SWEEPS),
                ..SweepFilter::default()
            };
            Ok(store.sweeps(&filter)?)
        })
        .await?;
    let live: Vec<_> = rows.iter().filter(|row| !row.state.is_terminal()).collect();
    let sum = |words: &[&str]| -> u64 {
        live.iter()
            .flat_map(|row| words.iter().filter_map(|word| row.trials.get(*word)))
            .sum()
    };
    let slots: u64 = live.iter().map(|row| row.max_concurrent_runs).sum();
    let sweeps: Vec<Value> = live
        .iter()
        .map(|row| {
            json!({
                "sweep": row.sweep,
                "experiment": row.experiment,
                "state": row.state.word(),
                "running": row.trials.get("Running"),
                "max_concurrent_runs": row.max_concurrent_runs,
            })
        })
        .collect();
    let local = json!({
        "name": "local",
        "type": "local",
        "provisioning_state": "Succeeded",
        "state": "ready",
        "location": "this computer",
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "memory_bytes": memory("MemTotal"),
        "memory_free_bytes": memory("MemAvailable"),
        "devices": devices(),
        "slots": slots,
        "running_trials": sum(&["Running", "Preparing", "CancelRequested"]),
        "queued_trials": sum(&["Queued"]),
        "sweeps": sweeps,
        "provisioning_errors": null,
    });
    Ok(Json(
        json!({"schema_version": SCHEMA_VERSION, "items": [local], "next": null}),
    ))
}

/// A line of `/proc/meminfo`, in bytes.
fn memory(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// Names of the graphics processors that the driver shows.
fn devices() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc/driver/nvidia/gpus") else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("information")).ok())
        .filter_map(|text| {
            let line = text.lines().find(|line| line.starts_with("Model:"))?;
            line.split_once(':').map(|(_, name)| name.trim().to_owned())
        })
        .collect();
    names.sort();
    names
}
