//! Reading: sweeps, trials, curves, targets.

use crate::config::Experiment;
use crate::history::TrialState;
use crate::metric::Goal;
use crate::report::search::Search;
use crate::store::{
    ArtifactRow, AttemptRow, FactRow, MetricPoint, MetricSummary, Store, SweepFilter, SweepRow, TrialOrder,
    TrialQuery, TrialRow,
};
use crate::studio::error::ApiError;
use crate::studio::state::Studio;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Version of the shapes; also in the CLI's `--json`.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// Rows of a page unless asked otherwise, and at most.
const PAGE: u64 = 500;
const PAGE_MAX: u64 = 10_000;

/// Points of the best-so-far line.
const BEST_POINTS_MAX: usize = 1000;

type Answer = Result<Json<Value>, ApiError>;

#[derive(Deserialize)]
pub(super) struct SweepsQuery {
    experiment: Option<String>,
    state: Option<String>,
    archived: Option<bool>,
    limit: Option<u64>,
}

pub(super) async fn sweeps(State(studio): State<Studio>, Query(query): Query<SweepsQuery>) -> Answer {
    let rows = studio
        .with_store(move |store| {
            let filter = SweepFilter {
                experiment: query.experiment,
                archived: query.archived.unwrap_or(false),
                limit: Some(query.limit.unwrap_or(PAGE).min(PAGE_MAX)),
                ..SweepFilter::default()
            };
            let mut rows = store.sweeps(&filter)?;
            if let Some(word) = query.state {
                rows.retain(|row| row.state.word().eq_ignore_ascii_case(&word));
            }
            Ok(rows)
        })
        .await?;
    Ok(Json(
        json!({"schema_version": SCHEMA_VERSION, "items": rows, "next": null}),
    ))
}

/// A sweep and what it was made of.
#[derive(Serialize)]
struct SweepDetail {
    #[serde(flatten)]
    row: SweepRow,
    space: Value,
    sampler: Value,
    policy: Value,
    seed: u64,
}

fn detail(store: &Store, reference: &str) -> Result<(SweepDetail, Experiment), ApiError> {
    let row = store.sweep(reference)?;
    let experiment = store.experiment(&row.sweep)?;
    let part = |value: Result<Value, serde_json::Error>| value.map_err(|e| ApiError::internal(e.to_string()));
    let detail = SweepDetail {
        space: part(serde_json::to_value(&experiment.space))?,
        sampler: part(serde_json::to_value(&experiment.sampler))?,
        policy: part(serde_json::to_value(&experiment.policy))?,
        seed: experiment.sampler.seed,
        row,
    };
    Ok((detail, experiment))
}

pub(super) async fn sweep(State(studio): State<Studio>, Path(reference): Path<String>) -> Answer {
    let value = studio
        .with_store(move |store| {
            let (detail, experiment) = detail(store, &reference)?;
            let mut value = serde_json::to_value(detail).map_err(|e| ApiError::internal(e.to_string()))?;
            if let Some(map) = value.as_object_mut() {
                map.insert("schema_version".into(), SCHEMA_VERSION.into());
                map.insert("run_definition".into(), experiment.launch.run_definition.clone());
                map.insert("extensions".into(), Value::Object(experiment.extensions.clone()));
                map.insert("position".into(), store.last_event()?.into());
            }
            Ok(value)
        })
        .await?;
    Ok(Json(value))
}

pub(super) async fn summary(State(studio): State<Studio>, Path(reference): Path<String>) -> Answer {
    let value = studio
        .with_store(move |store| {
            let position = store.last_event()?;
            let row = store.sweep(&reference)?;
            let first = TrialQuery {
                limit: Some(100),
                ..TrialQuery::default()
            };
            let trials = store.trials(&row.sweep, &first)?;
            let best = best_so_far(store, &row)?;
            Ok(json!({
                "schema_version": SCHEMA_VERSION,
                "sweep": row,
                "trials": trials,
                "best_so_far": best,
                "position": position,
            }))
        })
        .await?;
    Ok(Json(value))
}

/// `[trials ended, milliseconds since creation, value]` at each new best, thinned to [`BEST_POINTS_MAX`].
fn best_so_far(store: &Store, sweep: &SweepRow) -> Result<Vec<(u64, u64, f64)>, ApiError> {
    let goal = sweep.goal.unwrap_or(Goal::Minimize);
    let mut line: Vec<(u64, u64, f64)> = Vec::new();
    let mut ended = 0;
    for trial in store.scores(&sweep.sweep)? {
        ended += 1;
        if let Some(value) = trial.best
            && line.last().is_none_or(|(_, _, best)| goal.better(value, *best))
        {
            line.push((ended, trial.ended_ms, value));
        }
    }
    let keep_every = line.len().div_ceil(BEST_POINTS_MAX).max(1);
    let last = line.len().saturating_sub(1);
    let mut index = 0;
    line.retain(|_| {
        index += 1;
        (index - 1) % keep_every == 0 || index - 1 == last
    });
    Ok(line)
}

#[derive(Deserialize)]
pub(super) struct TrialsQuery {
    order: Option<String>,
    reverse: Option<bool>,
    state: Option<String>,
    #[serde(rename = "where")]
    search: Option<String>,
    limit: Option<u64>,
    cursor: Option<u64>,
}

pub(super) async fn trials(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<TrialsQuery>,
) -> Answer {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let offset = query.cursor.unwrap_or(0);
    let order = match query.order.as_deref() {
        None | Some("number") => TrialOrder::Number,
        Some("best") => TrialOrder::Best,
        Some("started") => TrialOrder::Started,
        Some("ended") => TrialOrder::Ended,
        Some(other) => {
            return Err(ApiError::bad(format!(
                "`order` is number, best, started or ended, not `{other}`"
            )));
        }
    };
    let states = match &query.state {
        None => Vec::new(),
        Some(words) => words.split(',').map(state_of).collect::<Result<_, _>>()?,
    };
    let search = query
        .search
        .as_deref()
        .filter(|text| !text.trim().is_empty())
        .map(Search::parse)
        .transpose();
    let search = search.map_err(|error| ApiError::bad(error.to_string()))?;
    let value = studio
        .with_store(move |store| {
            let sweep = store.resolve(&reference)?;
            let trials = TrialQuery {
                states,
                order,
                reverse: query.reverse.unwrap_or(false),
                ..TrialQuery::default()
            };
            let (items, next): (Vec<TrialRow>, Option<u64>) = match search {
                None => {
                    let page = TrialQuery {
                        offset,
                        limit: Some(limit + 1),
                        ..trials
                    };
                    let mut rows = store.trials(&sweep, &page)?;
                    let more = rows.len() as u64 > limit;
                    rows.truncate(limit as usize);
                    (rows, more.then_some(offset + limit))
                }
                Some(search) => {
                    let mut rows = store.trials(&sweep, &trials)?;
                    rows.retain(|row| search.matches(row));
                    let more = rows.len() as u64 > offset + limit;
                    let rows = rows
                        .into_iter()
                        .skip(offset as usize)
                        .take(limit as usize)
                        .collect();
                    (rows, more.then_some(offset + limit))
                }
            };
            Ok(json!({"schema_version": SCHEMA_VERSION, "items": items, "next": next}))
        })
        .await?;
    Ok(Json(value))
}

fn state_of(word: &str) -> Result<TrialState, ApiError> {
    serde_json::from_value(Value::from(word))
        .map_err(|_| ApiError::bad(format!("no trial state is called `{word}`")))
}

/// A trial with everything about it.
#[derive(Serialize)]
struct TrialDetail {
    #[serde(flatten)]
    row: TrialRow,
    attempts_list: Vec<AttemptRow>,
    metrics: Vec<MetricSummary>,
    facts: Vec<FactRow>,
    artifacts: Vec<ArtifactRow>,
}

pub(super) async fn trial(
    State(studio): State<Studio>,
    Path((reference, trial)): Path<(String, u64)>,
) -> Answer {
    let detail = studio
        .with_store(move |store| {
            let sweep = store.resolve(&reference)?;
            Ok(TrialDetail {
                row: store.trial(&sweep, trial)?,
                attempts_list: store.attempts(&sweep, Some(trial))?,
                metrics: store.metric_names(&sweep, Some(trial))?,
                facts: store.facts(&sweep, trial)?,
                artifacts: store.artifacts(&sweep, trial)?,
            })
        })
        .await?;
    serde_json::to_value(detail)
        .map(Json)
        .map_err(|error| ApiError::internal(error.to_string()))
}

#[derive(Deserialize)]
pub(super) struct MetricQuery {
    pub(super) metric: Option<String>,
}

pub(super) async fn curve(
    State(studio): State<Studio>,
    Path((reference, trial)): Path<(String, u64)>,
    Query(query): Query<MetricQuery>,
) -> Answer {
    let (metric, points): (String, Vec<MetricPoint>) = studio
        .with_store(move |store| {
            let row = store.sweep(&reference)?;
            let metric = query
                .metric
                .or(row.metric)
                .ok_or_else(|| ApiError::bad("the sweep has no primary metric: name one with `metric`"))?;
            let points = store.curve(&row.sweep, trial, &metric, None)?;
            Ok((metric, points))
        })
        .await?;
    Ok(Json(
        json!({"schema_version": SCHEMA_VERSION, "metric": metric, "items": points, "next": null}),
    ))
}

pub(super) async fn metrics(State(studio): State<Studio>, Path(reference): Path<String>) -> Answer {
    let rows = studio
        .with_store(move |store| {
            let sweep = store.resolve(&reference)?;
            Ok(store.metric_names(&sweep, None)?)
        })
        .await?;
    Ok(Json(
        json!({"schema_version": SCHEMA_VERSION, "items": rows, "next": null}),
    ))
}

pub(super) async fn targets(State(studio): State<Studio>) -> Answer {
    let running = studio
        .with_store(|store| {
            let rows = store.sweeps(&SweepFilter {
                limit: Some(200),
                ..SweepFilter::default()
            })?;
            let live: u64 = rows
                .iter()
                .filter(|row| !row.state.is_terminal())
                .flat_map(|row| {
                    ["Running", "Preparing"]
                        .iter()
                        .filter_map(|word| row.trials.get(*word))
                })
                .sum();
            Ok(live)
        })
        .await?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let local = json!({
        "name": "local", "type": "local", "provisioning_state": "Succeeded", "state": "ready", "location": "this computer",
        "cores": cores, "running_trials": running, "provisioning_errors": null,
    });
    Ok(Json(
        json!({"schema_version": SCHEMA_VERSION, "items": [local], "next": null}),
    ))
}

pub(super) async fn about(State(studio): State<Studio>) -> Answer {
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "state_folder": studio.settings.state_folder,
        "project_folder": studio.settings.project_folder,
        "read_only": studio.settings.read_only,
    })))
}
