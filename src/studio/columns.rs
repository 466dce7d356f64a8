//! Many numbers at once: learning curves as binary columns, parameters and values as JSON columns.
//!
//! Layout of `curves` (little endian): magic `ODCV`, u32 version (1), u32 number of trials n, u32 number of points m, then n times
//! u32 trial number, n times u8 state (0 running, 1 completed, 2 canceled, 3 failed), padding to 4 bytes, n+1 times u32 offset of the
//! trial's first point, m times f32 value (NaN kept). Points are in order of arrival; the x of a point is its place in the trial.

use crate::clock::iso;
use crate::history::TrialState;
use crate::metric::Goal;
use crate::space::Value;
use crate::store::{Curve, Store, TrialQuery};
use crate::studio::error::ApiError;
use crate::studio::read::SCHEMA_VERSION;
use crate::studio::state::Studio;
use crate::studio::table::{Line, Table};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const TRIALS_MAX: u64 = 20_000;
/// Curves that can be asked for by number.
const CHOSEN_MAX: usize = 200;
/// Running ones that are asked for by that word.
const RUNNING_MAX: u64 = 60;
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
    let mut numbers: Vec<u64> = Vec::new();
    for word in list.split(',').filter(|word| !word.is_empty()).take(CHOSEN_MAX) {
        if word == "running" {
            let running = TrialQuery {
                states: vec![TrialState::Running],
                reverse: true,
                limit: Some(RUNNING_MAX),
                ..TrialQuery::default()
            };
            numbers.extend(store.trials(sweep, &running)?.iter().map(|row| row.trial));
            continue;
        }
        let trial = word
            .parse()
            .map_err(|_| ApiError::bad(format!("`{word}` is no trial number")))?;
        numbers.push(trial);
    }
    numbers.sort_unstable();
    numbers.dedup();
    for trial in numbers {
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

/// Parameters, state and values of many trials as columns of equal length.
#[derive(Serialize, JsonSchema)]
pub(super) struct Points<'t> {
    schema_version: u32,
    /// Primary metric.
    metric: Option<String>,
    /// Its direction.
    goal: Option<Goal>,
    /// Trials of the sweep; above 20,000 the columns hold the best ones and an even sample of the others.
    total: usize,
    /// Trial numbers.
    trial: Vec<u64>,
    /// 0 running, 1 completed, 2 canceled, 3 failed.
    state: Vec<u8>,
    /// Best value of the primary metric.
    best: Vec<Option<f64>>,
    /// Accepted reports of the primary metric.
    reports: Vec<u64>,
    /// Milliseconds from start to end, or to now.
    duration_ms: Vec<Option<u64>>,
    /// When each ended, ISO 8601 UTC.
    ended: Vec<Option<String>>,
    /// What the sampler expected.
    predicted: Vec<Option<f64>>,
    /// Where the policy stopped trials.
    stops: Stops,
    /// Values by parameter; null where a trial has none.
    parameters: IndexMap<&'t str, Vec<Option<&'t Value>>>,
}

/// Where the policy stopped trials, as columns.
#[derive(Default, Serialize, JsonSchema)]
pub(super) struct Stops {
    /// Trial numbers.
    trial: Vec<u64>,
    /// Reports until then.
    interval: Vec<u64>,
    /// Its value.
    value: Vec<Option<f64>>,
    /// What it was compared with.
    threshold: Vec<Option<f64>>,
}

/// The best quarter of what is shown, and an even sample of the rest, by number.
fn sampled(table: &Table) -> Vec<(u64, &Line)> {
    let mut lines: Vec<(u64, &Line)> = (0..).zip(&table.lines).collect();
    if lines.len() <= POINTS_MAX {
        return lines;
    }
    let sign = table.goal.unwrap_or(Goal::Minimize).sign();
    let key = |line: &Line| line.best.map_or(f64::INFINITY, |best| -sign * best);
    lines.sort_by(|a, b| key(a.1).total_cmp(&key(b.1)));
    let rest = lines.split_off(POINTS_MAX / 4);
    let every = rest.len().div_ceil(POINTS_MAX * 3 / 4).max(1);
    lines.extend(rest.into_iter().step_by(every));
    lines.sort_by_key(|(trial, _)| *trial);
    lines
}

pub(super) async fn points(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
) -> Result<Response, ApiError> {
    let (tables, kept) = (studio.tables.clone(), studio.kept.clone());
    let bytes = studio
        .with_large(move |store| {
            let row = store.sweep(&reference)?;
            let created = store.sweep_clock(&row.sweep)?.created.wall_ms;
            tables.with(store, &row.sweep, |table| {
                let name = format!("points {} {}", row.sweep, table.version);
                kept.get(&name, || columns(table, row.metric.clone(), created))
            })
        })
        .await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

fn columns(table: &Table, metric: Option<String>, created_ms: i64) -> Result<Vec<u8>, ApiError> {
    let lines = sampled(table);
    let mut stops = Stops::default();
    for (trial, line) in &lines {
        if let Some((interval, value, threshold)) = line.stop {
            stops.trial.push(*trial);
            stops.interval.push(interval);
            stops.value.push(value);
            stops.threshold.push(threshold);
        }
    }
    let parameters = table.names.iter().enumerate().map(|(place, name)| {
        let column = lines.iter().map(|(_, line)| line.parameter(place)).collect();
        (name.as_str(), column)
    });
    let ended = |line: &Line| {
        let at = i64::try_from(line.ended_ms?).ok()?;
        Some(iso(created_ms.saturating_add(at)))
    };
    let points = Points {
        schema_version: SCHEMA_VERSION,
        metric,
        goal: table.goal,
        total: table.lines.len(),
        trial: lines.iter().map(|(trial, _)| *trial).collect(),
        state: lines.iter().map(|(_, line)| state_code(line.state)).collect(),
        best: lines.iter().map(|(_, line)| line.best).collect(),
        reports: lines.iter().map(|(_, line)| line.reports).collect(),
        duration_ms: lines
            .iter()
            .map(|(_, line)| line.duration_ms(table.now))
            .collect(),
        ended: lines.iter().map(|(_, line)| ended(line)).collect(),
        predicted: lines.iter().map(|(_, line)| line.predicted).collect(),
        stops,
        parameters: parameters.collect(),
    };
    serde_json::to_vec(&points).map_err(|error| ApiError::internal(error.to_string()))
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
