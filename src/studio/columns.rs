//! Many numbers at once: learning curves as binary columns, parameters and values as JSON columns.
//!
//! Layout of `curves` (little endian): magic `ODCV`, u32 version (1), u32 number of trials n, u32 number of points m, then n times
//! u32 trial number, n times u8 state (0 running, 1 completed, 2 canceled, 3 failed), padding to 4 bytes, n+1 times u32 offset of the
//! trial's first point, m times f32 value (NaN kept). Points are in order of arrival; the x of a point is its place in the trial.

use crate::history::TrialState;
use crate::metric::Goal;
use crate::store::{Curve, Store, TrialRow};
use crate::studio::error::ApiError;
use crate::studio::read::SCHEMA_VERSION;
use crate::studio::state::Studio;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

const TRIALS_MAX: u64 = 20_000;
/// Curves that can be asked for by number.
const CHOSEN_MAX: usize = 200;
/// Trials in one answer of columns: above, the best ones and an even sample of the others.
const POINTS_MAX: usize = 20_000;

#[derive(Deserialize)]
pub(super) struct CurvesQuery {
    metric: Option<String>,
    limit: Option<u64>,
    after: Option<u64>,
    trials: Option<String>,
}

pub(super) async fn curves(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<CurvesQuery>,
) -> Result<Response, ApiError> {
    let bytes = studio
        .with_large(move |store| {
            let row = store.sweep(&reference)?;
            let metric = query
                .metric
                .or(row.metric)
                .ok_or_else(|| ApiError::bad("the sweep has no primary metric: name one with `metric`"))?;
            if let Some(list) = query.trials {
                return Ok(encode(&chosen(store, &row.sweep, &metric, &list)?));
            }
            let limit = query.limit.unwrap_or(TRIALS_MAX).min(TRIALS_MAX);
            Ok(encode(&store.curves(&row.sweep, &metric, query.after, limit)?))
        })
        .await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// Curves of trials that are named one by one.
fn chosen(store: &Store, sweep: &str, metric: &str, list: &str) -> Result<Vec<Curve>, ApiError> {
    let mut curves = Vec::new();
    for word in list.split(',').filter(|word| !word.is_empty()).take(CHOSEN_MAX) {
        let trial: u64 = word
            .parse()
            .map_err(|_| ApiError::bad(format!("`{word}` is no trial number")))?;
        let state = store.trial(sweep, trial)?.state;
        let points = store.curve(sweep, trial, metric, None)?;
        curves.push((trial, state, points.iter().map(|point| point.value).collect()));
    }
    Ok(curves)
}

fn state_code(state: TrialState) -> u8 {
    match state {
        TrialState::Completed => 1,
        TrialState::Canceled => 2,
        TrialState::Failed => 3,
        _ => 0,
    }
}

/// Packs (trial, state, values).
fn encode(curves: &[(u64, TrialState, Vec<f64>)]) -> Vec<u8> {
    let points: usize = curves.iter().map(|(_, _, values)| values.len()).sum();
    let mut bytes = Vec::with_capacity(16 + curves.len() * 9 + points * 4 + 8);
    bytes.extend_from_slice(b"ODCV");
    for number in [1, curves.len() as u32, points as u32] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for (trial, _, _) in curves {
        bytes.extend_from_slice(&(*trial as u32).to_le_bytes());
    }
    bytes.extend(curves.iter().map(|(_, state, _)| state_code(*state)));
    while bytes.len() % 4 != 0 {
        bytes.push(0);
    }
    let mut offset = 0u32;
    bytes.extend_from_slice(&offset.to_le_bytes());
    for (_, _, values) in curves {
        offset += values.len() as u32;
        bytes.extend_from_slice(&offset.to_le_bytes());
    }
    for (_, _, values) in curves {
        for value in values {
            bytes.extend_from_slice(&(*value as f32).to_le_bytes());
        }
    }
    bytes
}

/// The best quarter of what is shown, and an even sample of the rest, by number.
fn sampled(mut trials: Vec<TrialRow>, goal: Option<Goal>) -> Vec<TrialRow> {
    if trials.len() <= POINTS_MAX {
        return trials;
    }
    let sign = goal.unwrap_or(Goal::Minimize).sign();
    let key = |trial: &TrialRow| trial.best.map_or(f64::INFINITY, |best| -sign * best);
    trials.sort_by(|a, b| key(a).total_cmp(&key(b)));
    let rest = trials.split_off(POINTS_MAX / 4);
    let every = rest.len().div_ceil(POINTS_MAX * 3 / 4).max(1);
    trials.extend(rest.into_iter().step_by(every));
    trials.sort_by_key(|trial| trial.trial);
    trials
}

fn columns_of(trials: &[TrialRow]) -> serde_json::Map<String, Value> {
    let mut names: indexmap::IndexSet<&String> = indexmap::IndexSet::new();
    for trial in trials {
        names.extend(trial.parameters.keys());
    }
    names
        .into_iter()
        .map(|name| {
            let column: Vec<Option<&crate::space::Value>> =
                trials.iter().map(|trial| trial.parameters.get(name)).collect();
            (name.clone(), json!(column))
        })
        .collect()
}

pub(super) async fn points(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
) -> Result<Response, ApiError> {
    let kept = studio.kept.clone();
    let name = format!("points {reference}");
    let bytes = studio
        .with_large(move |store| kept.get(store, &name, || columns(store, &reference)))
        .await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

fn columns(store: &Store, reference: &str) -> Result<Vec<u8>, ApiError> {
    let row = store.sweep(reference)?;
    let all = store.trials(&row.sweep, &crate::store::TrialQuery::default())?;
    let total = all.len();
    let trials = sampled(all, row.goal);
    let stopped: Vec<_> = trials.iter().filter_map(|trial| trial.stop.as_ref()).collect();
    let value = json!({
        "schema_version": SCHEMA_VERSION,
        "metric": row.metric,
        "goal": row.goal,
        "total": total,
        "trial": trials.iter().map(|trial| trial.trial).collect::<Vec<_>>(),
        "state": trials.iter().map(|trial| state_code(trial.state)).collect::<Vec<_>>(),
        "best": trials.iter().map(|trial| trial.best).collect::<Vec<_>>(),
        "reports": trials.iter().map(|trial| trial.reports).collect::<Vec<_>>(),
        "duration_ms": trials.iter().map(|trial| trial.duration_ms).collect::<Vec<_>>(),
        "ended": trials.iter().map(|trial| trial.ended.as_deref()).collect::<Vec<_>>(),
        "predicted": trials.iter().map(|trial| trial.origin.predicted.as_ref().map(|p| p.mean)).collect::<Vec<_>>(),
        "stops": {
            "trial": stopped.iter().map(|stop| stop.trial).collect::<Vec<_>>(),
            "interval": stopped.iter().map(|stop| stop.interval).collect::<Vec<_>>(),
            "value": stopped.iter().map(|stop| stop.value).collect::<Vec<_>>(),
            "threshold": stopped.iter().map(|stop| stop.threshold).collect::<Vec<_>>(),
        },
        "parameters": columns_of(&trials),
    });
    serde_json::to_vec(&value).map_err(|error| ApiError::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let bytes = encode(&[
            (3, TrialState::Completed, vec![1.0, f64::NAN]),
            (9, TrialState::Failed, vec![]),
        ]);
        assert_eq!(&bytes[..4], b"ODCV");
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((word(4), word(8), word(12), word(16), word(20)), (1, 2, 2, 3, 9));
        assert_eq!(&bytes[24..28], &[1, 3, 0, 0]);
        assert_eq!((word(28), word(32), word(36)), (0, 2, 2));
        assert_eq!(f32::from_le_bytes(bytes[40..44].try_into().unwrap()), 1.0);
        assert_eq!(bytes.len(), 48);
    }
}
