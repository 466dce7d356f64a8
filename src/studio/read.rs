//! Reading: sweeps, trials, curves, targets.

use crate::config::Experiment;
use crate::history::TrialState;
use crate::report::search::Search;
use crate::store::{
    ArtifactRow, AttemptRow, EventQuery, FactRow, MetricPoint, MetricSummary, Store, SweepRow, TrialOrder,
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

pub(super) type Answer = Result<Json<Value>, ApiError>;

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
                map.insert("source".into(), source(&experiment));
                map.insert("position".into(), store.last_event()?.into());
            }
            Ok(value)
        })
        .await?;
    Ok(Json(value))
}

/// Name and text of the file that a sweep was made from, if it is still there.
fn source(experiment: &Experiment) -> Value {
    const LARGEST: u64 = 1 << 20;
    let read = || {
        let path = experiment.file.as_ref()?;
        let metadata = std::fs::metadata(path).ok()?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return None;
        }
        let text = std::fs::read_to_string(path).ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some(json!({"name": name, "path": path, "text": text}))
    };
    read().unwrap_or(Value::Null)
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
    // Searching looks at many rows; pages are looked up.
    let large = search.is_some();
    let work = move |store: &Store| {
        let sweep = store.resolve(&reference)?;
        let trials = TrialQuery {
            states,
            order,
            reverse: query.reverse.unwrap_or(false),
            ..TrialQuery::default()
        };
        let (items, next, total): (Vec<TrialRow>, Option<u64>, u64) = match search {
            None => {
                let page = TrialQuery {
                    offset,
                    limit: Some(limit + 1),
                    ..trials.clone()
                };
                let mut rows = store.trials(&sweep, &page)?;
                let more = rows.len() as u64 > limit;
                rows.truncate(limit as usize);
                let counts = store.sweep(&sweep)?.trials;
                let wanted =
                    |word: &str| trials.states.is_empty() || trials.states.iter().any(|s| s.word() == word);
                let total = counts
                    .iter()
                    .filter(|(word, _)| wanted(word))
                    .map(|(_, count)| count)
                    .sum();
                (rows, more.then_some(offset + limit), total)
            }
            Some(search) => {
                let narrowed = TrialQuery {
                    states: narrowed(trials.states.clone(), &search),
                    scored: search.needs_value().then_some(true),
                    ..trials
                };
                let mut rows = store.trials(&sweep, &narrowed)?;
                rows.retain(|row| search.matches(row));
                let total = rows.len() as u64;
                let more = total > offset.saturating_add(limit);
                let rows = rows
                    .into_iter()
                    .skip(offset as usize)
                    .take(limit as usize)
                    .collect();
                (rows, more.then_some(offset.saturating_add(limit)), total)
            }
        };
        Ok(json!({"schema_version": SCHEMA_VERSION, "items": items, "next": next, "total": total}))
    };
    let value = if large {
        studio.with_large(work).await?
    } else {
        studio.with_store(work).await?
    };
    Ok(Json(value))
}

/// States that an expression leaves of those asked for; every trial outside them cannot fit.
fn narrowed(mut states: Vec<TrialState>, search: &Search) -> Vec<TrialState> {
    let all = [
        TrialState::Queued,
        TrialState::Preparing,
        TrialState::Running,
        TrialState::Paused,
        TrialState::NotResponding,
        TrialState::CancelRequested,
        TrialState::Completed,
        TrialState::Failed,
        TrialState::Canceled,
    ];
    for word in search.states() {
        // A word that is no state may mean something else to the expression: it narrows nothing.
        if let Some(state) = all.iter().find(|state| state.word().eq_ignore_ascii_case(word)) {
            if states.is_empty() || states.contains(state) {
                states = vec![*state];
            }
        } else if word.eq_ignore_ascii_case("stopped") && states.is_empty() {
            states = vec![TrialState::CancelRequested, TrialState::Canceled];
        }
    }
    states
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
    /// Place among the trials with a value, best = 1.
    rank: Option<u64>,
    /// Trials with a value.
    scored: u64,
    /// Interpreter, folder of the code and git facts, as far as they were recorded.
    environment: Value,
}

pub(super) async fn trial(
    State(studio): State<Studio>,
    Path((reference, trial)): Path<(String, u64)>,
) -> Answer {
    let detail = studio
        .with_store(move |store| {
            let sweep = store.resolve(&reference)?;
            let row = store.trial(&sweep, trial)?;
            let (rank, scored) = store.rank(&sweep, trial)?;
            Ok(TrialDetail {
                rank,
                scored,
                environment: environment(store, &sweep)?,
                row,
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

fn environment(store: &Store, sweep: &str) -> Result<Value, ApiError> {
    let launch = store.experiment(sweep)?.launch;
    let preparation = store.preparation(sweep)?.unwrap_or(Value::Null);
    let mut facts = serde_json::Map::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.insert(name.into(), value.into());
        }
    };
    put(
        "source",
        launch
            .source_directory
            .map(|path| path.to_string_lossy().into_owned()),
    );
    put("framework", Some(launch.framework));
    let words = |value: &Value| -> Option<String> {
        let words: Vec<&str> = value.as_array()?.iter().filter_map(Value::as_str).collect();
        (!words.is_empty()).then(|| words.join(" "))
    };
    put("interpreter", preparation.get("interpreter").and_then(words));
    put(
        "snapshot",
        preparation
            .get("snapshot_id")
            .and_then(Value::as_str)
            .map(str::to_owned),
    );
    if let Some(recorded) = preparation.get("facts").and_then(Value::as_object) {
        for (name, value) in recorded {
            put(
                name,
                Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
            );
        }
    }
    Ok(Value::Object(facts))
}

#[derive(Deserialize)]
pub(super) struct HistoryQuery {
    before: Option<u64>,
    trial: Option<u64>,
    kinds: Option<String>,
    limit: Option<u64>,
}

pub(super) async fn history(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Answer {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let rows = studio
        .with_large(move |store| {
            let sweep = store.resolve(&reference)?;
            let query = EventQuery {
                before: query.before,
                after: 0,
                trial: query.trial,
                kinds: query
                    .kinds
                    .map(|kinds| kinds.split(',').map(str::to_owned).collect())
                    .unwrap_or_default(),
                reports: false,
                limit,
            };
            Ok(store.events_back(&sweep, &query)?)
        })
        .await?;
    let next = if rows.len() as u64 == limit {
        rows.last().map(|row| row.seq)
    } else {
        None
    };
    Ok(Json(
        json!({"schema_version": SCHEMA_VERSION, "items": rows, "next": next}),
    ))
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

pub(super) async fn about(State(studio): State<Studio>) -> Answer {
    Ok(Json(json!({
        "schema_version": SCHEMA_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "state_folder": studio.settings.state_folder,
        "project_folder": studio.settings.project_folder,
        "read_only": studio.settings.read_only,
    })))
}
