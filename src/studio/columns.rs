//! Many numbers at once: learning curves as binary columns, parameters and values as JSON columns.
//!
//! Layout of `curves` (little endian): magic `ODCV`, u32 version (1), u32 number of trials n, u32 number of points m, then n times
//! u32 trial number, n times u8 state (0 running, 1 completed, 2 canceled, 3 failed), padding to 4 bytes, n+1 times u32 offset of the
//! trial's first point, m times f32 value (NaN kept). Points are in order of arrival; the x of a point is its place in the trial.

use crate::history::TrialState;
use crate::studio::error::ApiError;
use crate::studio::read::SCHEMA_VERSION;
use crate::studio::state::Studio;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

const TRIALS_MAX: u64 = 20_000;

#[derive(Deserialize)]
pub(super) struct CurvesQuery {
    metric: Option<String>,
    limit: Option<u64>,
    after: Option<u64>,
}

pub(super) async fn curves(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<CurvesQuery>,
) -> Result<Response, ApiError> {
    let bytes = studio
        .with_store(move |store| {
            let row = store.sweep(&reference)?;
            let metric = query
                .metric
                .or(row.metric)
                .ok_or_else(|| ApiError::bad("the sweep has no primary metric: name one with `metric`"))?;
            let limit = query.limit.unwrap_or(TRIALS_MAX).min(TRIALS_MAX);
            Ok(encode(&store.curves(&row.sweep, &metric, query.after, limit)?))
        })
        .await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
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

pub(super) async fn points(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let value = studio
        .with_store(move |store| {
            let row = store.sweep(&reference)?;
            let trials = store.trials(&row.sweep, &crate::store::TrialQuery::default())?;
            let mut names: indexmap::IndexSet<String> = indexmap::IndexSet::new();
            for trial in &trials {
                names.extend(trial.parameters.keys().cloned());
            }
            let columns: serde_json::Map<String, Value> = names
                .iter()
                .map(|name| {
                    let column: Vec<Option<&crate::space::Value>> =
                        trials.iter().map(|trial| trial.parameters.get(name)).collect();
                    (name.clone(), json!(column))
                })
                .collect();
            Ok(json!({
                "schema_version": SCHEMA_VERSION,
                "metric": row.metric,
                "goal": row.goal,
                "trial": trials.iter().map(|trial| trial.trial).collect::<Vec<_>>(),
                "state": trials.iter().map(|trial| state_code(trial.state)).collect::<Vec<_>>(),
                "best": trials.iter().map(|trial| trial.best).collect::<Vec<_>>(),
                "reports": trials.iter().map(|trial| trial.reports).collect::<Vec<_>>(),
                "duration_ms": trials.iter().map(|trial| trial.duration_ms).collect::<Vec<_>>(),
                "parameters": columns,
            }))
        })
        .await?;
    Ok(Json(value))
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
