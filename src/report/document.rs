//! The JSON documents of `--json`: one object, `schema_version` first, lists as `{items, next}`.

use crate::report::SCHEMA_VERSION;
use crate::store::row::{AttemptRow, SweepRow, TrialRow};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Wraps an object (or any value, under `value`) into a document.
pub fn document(body: Value) -> Value {
    let mut out = Map::new();
    out.insert("schema_version".into(), json!(SCHEMA_VERSION));
    match body {
        Value::Object(entries) => out.extend(entries),
        other => {
            out.insert("value".into(), other);
        }
    }
    Value::Object(out)
}

/// A list: `{items, next}`; `next` is what the next page begins behind (`--cursor`), or null.
pub fn list<T: Serialize>(items: &[T], next: Option<String>) -> Value {
    document(json!({"items": items, "next": next}))
}

/// How `run --json` ends: sweep, state, counts by state, best.
pub fn result(sweep: &SweepRow) -> Value {
    document(json!({
        "sweep": sweep.sweep,
        "state": sweep.state.word(),
        "reason": sweep.reason,
        "experiment": sweep.experiment,
        "metric": sweep.metric,
        "goal": sweep.goal,
        "trials": sweep.trials,
        "stopped_by_policy": sweep.stopped_by_policy,
        "best": sweep.best,
        "duration_ms": sweep.duration_ms,
        "folder": sweep.folder,
    }))
}

/// `show SWEEP`: the sweep's row with its trials.
pub fn sweep(sweep: &SweepRow, trials: &[TrialRow], next: Option<String>) -> Value {
    let mut body = serde_json::to_value(sweep).unwrap_or(Value::Null);
    if let Value::Object(entries) = &mut body {
        entries.insert("items".into(), json!(trials));
        entries.insert("next".into(), json!(next));
    }
    document(body)
}

/// Adds to a sweep's document what scripts logged on the sweep itself: `sweep_metrics: {name: [{trial, values}]}`.
pub fn with_sweep_metrics(mut document: Value, metrics: &BTreeMap<String, Vec<(u64, Vec<Value>)>>) -> Value {
    if let Value::Object(entries) = &mut document {
        let metrics: Map<String, Value> = metrics
            .iter()
            .map(|(name, trials)| {
                let trials = trials
                    .iter()
                    .map(|(trial, values)| json!({"trial": trial, "values": values}));
                (name.clone(), trials.collect())
            })
            .collect();
        entries.insert("sweep_metrics".into(), Value::Object(metrics));
    }
    document
}

/// `show TRIAL` and `why`: the trial's row with its attempts.
pub fn trial(sweep: &SweepRow, trial: &TrialRow, attempts: &[AttemptRow]) -> Value {
    let mut body = serde_json::to_value(trial).unwrap_or(Value::Null);
    if let Value::Object(entries) = &mut body {
        entries.insert("sweep".into(), json!(sweep.sweep));
        entries.insert("metric".into(), json!(sweep.metric));
        entries.insert("goal".into(), json!(sweep.goal));
        entries.insert("items".into(), json!(attempts));
        entries.insert("next".into(), Value::Null);
    }
    document(body)
}
