//! Reading: sweeps, trials, curves, targets.

use crate::config::Experiment;
use crate::history::TrialState;
use crate::metric::Goal;
use crate::policy::PolicySpec;
use crate::report::search::Search;
use crate::space::SearchSpace;
use crate::store::{
    ArtifactRow, AttemptRow, EventQuery, EventRow, FactRow, MetricPoint, MetricSummary, Store, SweepRow,
    TrialCursor, TrialOrder, TrialQuery, TrialRow,
};
use crate::studio::error::ApiError;
use crate::studio::state::Studio;
use crate::studio::table::{Table, Wanted};
use axum::Json;
use axum::extract::{Path, Query, State};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// Version of the shapes; also in the CLI's `--json`.
pub(super) const SCHEMA_VERSION: u32 = crate::report::SCHEMA_VERSION;

/// Rows of a page unless asked otherwise, and at most.
pub(super) const PAGE: u64 = 500;
pub(super) const PAGE_MAX: u64 = 10_000;
/// Trials in a sweep's own document, as in `overdrive show`.
const SHOWN: u64 = 20;
/// Rows that SQLite may step over to begin a page; further on, the table knows the place.
const STEPS_MAX: u64 = 2_000;

pub(super) type Answer<T> = Result<Json<T>, ApiError>;

/// A page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub(super) struct List<T> {
    schema_version: u32,
    /// The page.
    items: Vec<T>,
    /// `cursor` of the page after this one; null at the end.
    next: Option<String>,
}

impl<T> List<T> {
    pub(super) fn page(items: Vec<T>, next: Option<String>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            items,
            next,
        }
    }
}

/// A sweep, its best trials and what it was made of.
#[derive(Serialize, JsonSchema)]
pub(super) struct SweepDetail {
    schema_version: u32,
    #[serde(flatten)]
    row: SweepRow,
    /// Its trials, best first: a page.
    items: Vec<TrialRow>,
    /// `cursor` of the page after this one, for the list of trials with `order=best`.
    next: Option<String>,
    /// What scripts logged on the sweep itself, by name.
    sweep_metrics: IndexMap<String, Vec<SweepMetric>>,
    space: SearchSpace,
    /// The sampler as it was set up.
    sampler: Value,
    policy: PolicySpec,
    /// What all randomness of the sweep comes from.
    seed: u64,
    /// The run configuration's document.
    run_definition: Value,
    /// What the file says beyond the old format.
    extensions: serde_json::Map<String, Value>,
    /// The file that it was made from, if it is still there.
    source: Option<Source>,
    /// Position in the event log that this holds for.
    position: u64,
}

/// What one trial logged on its sweep under a name.
#[derive(Serialize, JsonSchema)]
struct SweepMetric {
    trial: u64,
    values: Vec<Value>,
}

/// Name and text of a file.
#[derive(Serialize, JsonSchema)]
struct Source {
    name: String,
    path: String,
    text: String,
}

#[derive(Deserialize)]
pub(super) struct SweepQuery {
    limit: Option<u64>,
}

pub(super) async fn sweep(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<SweepQuery>,
) -> Answer<SweepDetail> {
    let limit = query.limit.unwrap_or(SHOWN).min(PAGE_MAX);
    let work = move |store: &Store| {
        let position = store.last_event()?;
        let row = store.sweep(&reference)?;
        let experiment = store.experiment(&row.sweep)?;
        let page = TrialQuery {
            order: TrialOrder::Best,
            limit: Some(limit + 1),
            ..TrialQuery::default()
        };
        let mut items = store.trials(&row.sweep, &page)?;
        let next = cut(store, &row.sweep, &mut items, limit, TrialOrder::Best)?;
        let logged = store.sweep_metrics(&row.sweep)?.into_iter();
        let logged = logged.map(|(name, trials)| {
            let trials = trials
                .into_iter()
                .map(|(trial, values)| SweepMetric { trial, values });
            (name, trials.collect())
        });
        Ok(SweepDetail {
            schema_version: SCHEMA_VERSION,
            items,
            next,
            sweep_metrics: logged.collect(),
            source: source(&experiment),
            sampler: serde_json::to_value(&experiment.sampler)
                .map_err(|error| ApiError::internal(error.to_string()))?,
            seed: experiment.sampler.seed,
            space: experiment.space,
            policy: experiment.policy,
            run_definition: experiment.launch.run_definition,
            extensions: experiment.extensions,
            position,
            row,
        })
    };
    studio.with_store(work).await.map(Json)
}

/// Cuts a page that was read with one row more than asked for; the cursor of what follows.
fn cut(
    store: &Store,
    sweep: &str,
    rows: &mut Vec<TrialRow>,
    limit: u64,
    order: TrialOrder,
) -> Result<Option<String>, ApiError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return Ok(None);
    }
    rows.truncate(limit);
    match rows.last() {
        Some(last) => Ok(Some(store.trial_cursor(sweep, last.trial, order)?.to_string())),
        None => Ok(None),
    }
}

/// Name and text of the file that a sweep was made from, if it is still there.
fn source(experiment: &Experiment) -> Option<Source> {
    const LARGEST: u64 = 1 << 20;
    let path = experiment.file.as_ref()?;
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return None;
    }
    Some(Source {
        text: std::fs::read_to_string(path).ok()?,
        name: path.file_name()?.to_string_lossy().into_owned(),
        path: path.to_string_lossy().into_owned(),
    })
}

#[derive(Deserialize)]
pub(super) struct TrialsQuery {
    order: Option<String>,
    reverse: Option<bool>,
    state: Option<String>,
    #[serde(rename = "where")]
    search: Option<String>,
    limit: Option<u64>,
    cursor: Option<String>,
    offset: Option<u64>,
}

/// A page of trials.
#[derive(Serialize, JsonSchema)]
pub(super) struct TrialPage {
    schema_version: u32,
    /// The page.
    items: Vec<TrialRow>,
    /// `cursor` of the page after this one; null at the end.
    next: Option<String>,
    /// Trials that fit, on all pages.
    total: u64,
}

/// Where a page begins.
enum Begin {
    At(u64),
    After(TrialCursor),
}

pub(super) async fn trials(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<TrialsQuery>,
) -> Answer<TrialPage> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let order = match query.order.as_deref() {
        None => TrialOrder::Number,
        Some(word) => TrialOrder::named(word).ok_or_else(|| {
            ApiError::bad(format!("`order` is number, best, started or ended, not `{word}`"))
        })?,
    };
    let begin = match (&query.cursor, query.offset) {
        (Some(text), _) => {
            let cursor: Option<TrialCursor> = text.parse().ok();
            let cursor = cursor.filter(|cursor| cursor.order == order);
            Begin::After(
                cursor
                    .ok_or_else(|| ApiError::bad(format!("`{text}` is no `next` of a list in this order")))?,
            )
        }
        (None, offset) => Begin::At(offset.unwrap_or(0)),
    };
    let states = match &query.state {
        None => Vec::new(),
        Some(words) => words.split(',').map(state_of).collect::<Result<_, _>>()?,
    };
    let text = query.search.filter(|text| !text.trim().is_empty());
    let search = text
        .map(|text| Search::parse(&text).map(|search| (text, search)))
        .transpose()
        .map_err(|error| ApiError::bad(error.to_string()))?;
    let wanted = Wanted {
        states,
        search,
        order,
        reverse: query.reverse.unwrap_or(false),
    };
    let near = matches!(begin, Begin::After(_)) || matches!(begin, Begin::At(offset) if offset <= STEPS_MAX);
    let page = if wanted.search.is_none() && near {
        studio
            .with_store(move |store| looked_up(store, &reference, wanted, &begin, limit))
            .await?
    } else {
        let tables = studio.tables.clone();
        studio
            .with_large(move |store| {
                let sweep = store.resolve(&reference)?;
                tables.with(store, &sweep, |table| {
                    searched(table, store, &sweep, &wanted, &begin, limit)
                })
            })
            .await?
    };
    Ok(Json(page))
}

/// A page without a search expression: the store's indexes lead to it.
fn looked_up(
    store: &Store,
    reference: &str,
    wanted: Wanted,
    begin: &Begin,
    limit: u64,
) -> Result<TrialPage, ApiError> {
    let row = store.sweep(reference)?;
    let is_wanted =
        |word: &str| wanted.states.is_empty() || wanted.states.iter().any(|state| state.word() == word);
    let counts = row.trials.iter().filter(|(word, _)| is_wanted(word));
    let total = counts.map(|(_, count)| count).sum();
    let (offset, after) = match begin {
        Begin::At(offset) => (*offset, None),
        Begin::After(cursor) => (0, Some(*cursor)),
    };
    let page = TrialQuery {
        states: wanted.states,
        order: wanted.order,
        reverse: wanted.reverse,
        after,
        offset,
        limit: Some(limit + 1),
        ..TrialQuery::default()
    };
    let mut items = store.trials(&row.sweep, &page)?;
    let next = cut(store, &row.sweep, &mut items, limit, wanted.order)?;
    Ok(TrialPage {
        schema_version: SCHEMA_VERSION,
        items,
        next,
        total,
    })
}

/// A page of what fits an expression, or of what lies far down a list.
fn searched(
    table: &mut Table,
    store: &Store,
    sweep: &str,
    wanted: &Wanted,
    begin: &Begin,
    limit: u64,
) -> Result<TrialPage, ApiError> {
    let list = table.list(wanted);
    let start = match begin {
        Begin::At(offset) => usize::try_from(*offset).unwrap_or(usize::MAX),
        Begin::After(cursor) => table.skipped(&list, wanted, cursor),
    };
    let end = start
        .saturating_add(usize::try_from(limit).unwrap_or(usize::MAX))
        .min(list.len());
    let numbers = list.get(start..end).unwrap_or_default().to_vec();
    let mut rows: HashMap<u64, TrialRow> = HashMap::new();
    if !numbers.is_empty() {
        let these = TrialQuery {
            numbers: numbers.clone(),
            ..TrialQuery::default()
        };
        let found = store.trials(sweep, &these)?.into_iter();
        rows.extend(found.map(|row| (row.trial, row)));
    }
    let last = numbers.last().filter(|_| end < list.len());
    Ok(TrialPage {
        schema_version: SCHEMA_VERSION,
        next: last.map(|trial| table.cursor(wanted.order, *trial).to_string()),
        items: numbers.iter().filter_map(|number| rows.remove(number)).collect(),
        total: list.len() as u64,
    })
}

fn state_of(word: &str) -> Result<TrialState, ApiError> {
    serde_json::from_value(Value::from(word))
        .map_err(|_| ApiError::bad(format!("no trial state is called `{word}`")))
}

/// A trial with everything about it.
#[derive(Serialize, JsonSchema)]
pub(super) struct TrialDetail {
    schema_version: u32,
    #[serde(flatten)]
    row: TrialRow,
    /// Its sweep.
    sweep: String,
    /// Primary metric of the sweep.
    metric: Option<String>,
    /// Its direction.
    goal: Option<Goal>,
    /// Its attempts.
    items: Vec<AttemptRow>,
    /// Always null: all attempts are here.
    next: Option<String>,
    /// What it reported.
    metrics: Vec<MetricSummary>,
    /// What its script set.
    facts: Vec<FactRow>,
    /// Files that its script handed over.
    artifacts: Vec<ArtifactRow>,
    /// Place among the trials with a value, best = 1.
    rank: Option<u64>,
    /// Trials with a value.
    scored: u64,
    /// Interpreter, folder of the code and git facts, as far as they were recorded.
    environment: IndexMap<String, String>,
}

pub(super) async fn trial(
    State(studio): State<Studio>,
    Path((reference, trial)): Path<(String, u64)>,
) -> Answer<TrialDetail> {
    let work = move |store: &Store| {
        let sweep = store.sweep(&reference)?;
        let id = &sweep.sweep;
        let row = store.trial(id, trial)?;
        let (rank, scored) = store.rank(id, trial)?;
        Ok(TrialDetail {
            schema_version: SCHEMA_VERSION,
            rank,
            scored,
            environment: environment(store, id)?,
            row,
            items: store.attempts(id, Some(trial))?,
            next: None,
            metrics: store.metric_names(id, Some(trial))?,
            facts: store.facts(id, trial)?,
            artifacts: store.artifacts(id, trial)?,
            metric: sweep.metric,
            goal: sweep.goal,
            sweep: sweep.sweep,
        })
    };
    studio.with_store(work).await.map(Json)
}

fn environment(store: &Store, sweep: &str) -> Result<IndexMap<String, String>, ApiError> {
    let launch = store.experiment(sweep)?.launch;
    let preparation = store.preparation(sweep)?.unwrap_or(Value::Null);
    let mut facts = IndexMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value);
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
    Ok(facts)
}

#[derive(Deserialize)]
pub(super) struct HistoryQuery {
    cursor: Option<u64>,
    trial: Option<u64>,
    kinds: Option<String>,
    limit: Option<u64>,
}

pub(super) async fn history(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Answer<List<EventRow>> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let rows = studio
        .with_large(move |store| {
            let sweep = store.resolve(&reference)?;
            let query = EventQuery {
                before: query.cursor,
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
    let full = rows.len() as u64 == limit;
    let next = rows.last().filter(|_| full).map(|row| row.seq.to_string());
    Ok(Json(List::page(rows, next)))
}

#[derive(Deserialize)]
pub(super) struct MetricQuery {
    pub(super) metric: Option<String>,
}

/// All points of one metric of one trial.
#[derive(Serialize, JsonSchema)]
pub(super) struct MetricPoints {
    schema_version: u32,
    metric: String,
    items: Vec<MetricPoint>,
    /// Always null: all points are here.
    next: Option<String>,
}

pub(super) async fn curve(
    State(studio): State<Studio>,
    Path((reference, trial)): Path<(String, u64)>,
    Query(query): Query<MetricQuery>,
) -> Answer<MetricPoints> {
    let work = move |store: &Store| {
        let row = store.sweep(&reference)?;
        let metric = query
            .metric
            .or(row.metric)
            .ok_or_else(|| ApiError::bad("the sweep has no primary metric: name one with `metric`"))?;
        Ok(MetricPoints {
            schema_version: SCHEMA_VERSION,
            items: store.curve(&row.sweep, trial, &metric, None)?,
            metric,
            next: None,
        })
    };
    studio.with_store(work).await.map(Json)
}

pub(super) async fn metrics(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
) -> Answer<List<MetricSummary>> {
    let work = move |store: &Store| {
        let sweep = store.resolve(&reference)?;
        Ok(List::page(store.metric_names(&sweep, None)?, None))
    };
    studio.with_store(work).await.map(Json)
}

/// What is served here.
#[derive(Serialize, JsonSchema)]
pub(super) struct About {
    schema_version: u32,
    /// Version of the program.
    version: &'static str,
    state_folder: String,
    project_folder: String,
    /// Whether nothing may be changed.
    read_only: bool,
}

pub(super) async fn about(State(studio): State<Studio>) -> Json<About> {
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    Json(About {
        schema_version: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        state_folder: text(&studio.settings.state_folder),
        project_folder: text(&studio.settings.project_folder),
        read_only: studio.settings.read_only,
    })
}
