//! The MLflow tracking endpoint, read only: the real `mlflow` client finds experiments, runs, parameters, metric histories and artifacts of all sweeps.
//!
//! `MLFLOW_TRACKING_URI` is the studio's address, `MLFLOW_TRACKING_TOKEN` its token. An experiment is an experiment name; its id is a number made from
//! the name. Each sweep is a run, and each trial one that names it in `mlflow.parentRunId`. Requests that write are refused.

mod filter;
mod search;

pub(super) use search::search_runs;

use crate::store::{Store, SweepFilter, SweepRow, TrialRow};
use crate::studio::state::Studio;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

/// A refusal in MLflow's shape.
pub(super) struct Refused(StatusCode, &'static str, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error_code": self.1, "message": self.2}))).into_response()
    }
}

impl From<crate::studio::error::ApiError> for Refused {
    fn from(error: crate::studio::error::ApiError) -> Self {
        let status = error.status();
        let code = match status {
            StatusCode::NOT_FOUND => "RESOURCE_DOES_NOT_EXIST",
            StatusCode::BAD_REQUEST => "INVALID_PARAMETER_VALUE",
            _ => "INTERNAL_ERROR",
        };
        Self(status, code, error.to_string())
    }
}

type Answer = Result<Json<Value>, Refused>;

fn missing(what: impl Into<String>) -> crate::studio::error::ApiError {
    crate::studio::error::ApiError::not_found(what)
}

/// A number of 18 digits at most from a name, since clients read ids as numbers in places.
fn experiment_id(name: &str) -> String {
    let hash = blake3::hash(name.as_bytes());
    let bytes: [u8; 8] = hash.as_bytes().first_chunk().copied().unwrap_or_default();
    (u64::from_le_bytes(bytes) % 1_000_000_000_000_000_000).to_string()
}

fn milliseconds(iso: &str) -> i64 {
    iso.parse::<jiff::Timestamp>()
        .map_or(0, |time| time.as_millisecond())
}

fn all_sweeps(store: &Store) -> Result<Vec<SweepRow>, crate::studio::error::ApiError> {
    Ok(store.sweeps(&SweepFilter {
        archived: true,
        ..SweepFilter::default()
    })?)
}

fn experiment(name: &str, sweeps: &[SweepRow]) -> Value {
    let own = || sweeps.iter().filter(|row| row.experiment == name);
    let created = own().map(|row| milliseconds(&row.created)).min().unwrap_or(0);
    let updated = own()
        .map(|row| row.ended.as_deref().map_or(0, milliseconds))
        .max()
        .unwrap_or(0);
    json!({
        "experiment_id": experiment_id(name),
        "name": name,
        "artifact_location": format!("mlflow-artifacts:/{}", experiment_id(name)),
        "lifecycle_stage": "active",
        "creation_time": created,
        "last_update_time": updated.max(created),
        "tags": [],
    })
}

fn names(sweeps: &[SweepRow]) -> indexmap::IndexSet<String> {
    sweeps.iter().map(|row| row.experiment.clone()).collect()
}

pub(super) async fn search_experiments(State(studio): State<Studio>) -> Answer {
    let found = studio
        .with_store(|store| {
            let sweeps = all_sweeps(store)?;
            Ok(names(&sweeps)
                .iter()
                .map(|name| experiment(name, &sweeps))
                .collect::<Vec<_>>())
        })
        .await?;
    Ok(Json(json!({"experiments": found})))
}

#[derive(Deserialize)]
pub(super) struct ExperimentQuery {
    experiment_id: Option<String>,
    experiment_name: Option<String>,
}

pub(super) async fn get_experiment(
    State(studio): State<Studio>,
    Query(query): Query<ExperimentQuery>,
) -> Answer {
    let found = studio
        .with_store(move |store| {
            let sweeps = all_sweeps(store)?;
            let fits = |name: &String| {
                query.experiment_name.as_ref() == Some(name)
                    || query.experiment_id == Some(experiment_id(name))
            };
            let all = names(&sweeps);
            let name = all
                .iter()
                .find(|name| fits(name))
                .ok_or_else(|| missing("no such experiment"))?;
            Ok(experiment(name, &sweeps))
        })
        .await?;
    Ok(Json(json!({"experiment": found})))
}

fn status(state: &str) -> &'static str {
    match state {
        "Completed" => "FINISHED",
        "Failed" => "FAILED",
        "Canceled" => "KILLED",
        "Queued" | "Preparing" => "SCHEDULED",
        _ => "RUNNING",
    }
}

fn pairs(entries: impl IntoIterator<Item = (String, String)>) -> Vec<Value> {
    entries
        .into_iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

fn info(id: &str, name: &str, sweep: &SweepRow, state: &str, times: (Option<&str>, Option<&str>)) -> Value {
    let experiment = experiment_id(&sweep.experiment);
    let mut info = json!({
        "run_id": id,
        "run_uuid": id,
        "run_name": name,
        "experiment_id": experiment,
        "user_id": "",
        "status": status(state),
        "start_time": times.0.map_or(0, milliseconds),
        "artifact_uri": format!("mlflow-artifacts:/{id}"),
        "lifecycle_stage": if sweep.archived { "deleted" } else { "active" },
    });
    if let (Some(map), Some(ended)) = (info.as_object_mut(), times.1) {
        map.insert("end_time".into(), milliseconds(ended).into());
    }
    info
}

fn sweep_run(sweep: &SweepRow) -> Value {
    let name = sweep.display_name.as_deref().unwrap_or(&sweep.experiment);
    let mut tags: Vec<(String, String)> = sweep
        .tags
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    tags.push(("mlflow.runName".into(), name.to_owned()));
    if let Some(notes) = &sweep.notes {
        tags.push(("mlflow.note.content".into(), notes.clone()));
    }
    let metrics: Vec<Value> = match (&sweep.metric, &sweep.best) {
        (Some(metric), Some(best)) => vec![
            json!({"key": metric, "value": best.value, "timestamp": milliseconds(&sweep.created), "step": 0}),
        ],
        _ => Vec::new(),
    };
    let best = sweep.best.iter().flat_map(|best| &best.parameters);
    json!({
        "info": info(&sweep.sweep, name, sweep, sweep.state.word(), (Some(&sweep.created), sweep.ended.as_deref())),
        "data": {"params": pairs(best.map(|(name, value)| (name.clone(), value.to_string()))), "metrics": metrics, "tags": pairs(tags)},
    })
}

/// A trial as a run, with the last value of every metric and what the script set.
fn trial_run(
    store: &Store,
    sweep: &SweepRow,
    trial: &TrialRow,
) -> Result<Value, crate::studio::error::ApiError> {
    let name = format!("trial {}", trial.trial);
    let mut parameters: Vec<(String, String)> = trial
        .parameters
        .iter()
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect();
    let mut tags = vec![
        ("mlflow.parentRunId".to_owned(), sweep.sweep.clone()),
        ("mlflow.runName".to_owned(), name.clone()),
        ("overdrive.state".to_owned(), trial.state.word().to_owned()),
    ];
    if let Some(reason) = &trial.reason {
        tags.push(("overdrive.reason".to_owned(), reason.clone()));
    }
    let started = milliseconds(trial.started.as_deref().unwrap_or(&trial.created));
    let metrics = store.last_points(&sweep.sweep, trial.trial)?.into_iter();
    let metrics: Vec<Value> = metrics
        .map(|(key, point)| json!({"key": key, "value": number(point.value), "step": point.step, "timestamp": started.saturating_add_unsigned(point.elapsed_ms)}))
        .collect();
    for fact in store.facts(&sweep.sweep, trial.trial)? {
        match fact.kind.as_str() {
            "param" if !parameters.iter().any(|(name, _)| *name == fact.key) => {
                parameters.push((fact.key, fact.value));
            }
            "tag" if !tags.iter().any(|(name, _)| *name == fact.key) => tags.push((fact.key, fact.value)),
            _ => {}
        }
    }
    Ok(json!({
        "info": info(&trial.run_id, &name, sweep, trial.state.word(), (Some(trial.started.as_deref().unwrap_or(&trial.created)), trial.ended.as_deref())),
        "data": {"params": pairs(parameters), "metrics": metrics, "tags": pairs(tags)},
    }))
}

/// MLflow writes such numbers as words.
fn number(value: f64) -> Value {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        (if value > 0.0 { "Infinity" } else { "-Infinity" }).into()
    } else {
        value.into()
    }
}

/// Sweep and, if it is one, trial behind a run id (`SWEEP` or `SWEEP_N`).
fn located(store: &Store, id: &str) -> Result<(SweepRow, Option<u64>), crate::studio::error::ApiError> {
    let exact = |name: &str| store.sweep(name).ok().filter(|row| row.sweep == name);
    if let Some(row) = exact(id) {
        return Ok((row, None));
    }
    let parts = id
        .rsplit_once('_')
        .and_then(|(sweep, trial)| Some((exact(sweep)?, trial.parse().ok()?)));
    parts
        .map(|(row, trial)| (row, Some(trial)))
        .ok_or_else(|| missing(format!("no run `{id}`")))
}

#[derive(Deserialize)]
pub(super) struct RunQuery {
    run_id: Option<String>,
    run_uuid: Option<String>,
    metric_key: Option<String>,
    path: Option<String>,
}

impl RunQuery {
    fn id(&self) -> Result<String, Refused> {
        let id = self.run_id.clone().or_else(|| self.run_uuid.clone());
        id.ok_or_else(|| {
            Refused(
                StatusCode::BAD_REQUEST,
                "INVALID_PARAMETER_VALUE",
                "`run_id` is missing".into(),
            )
        })
    }
}

pub(super) async fn get_run(State(studio): State<Studio>, Query(query): Query<RunQuery>) -> Answer {
    let id = query.id()?;
    let run = studio
        .with_store(move |store| match located(store, &id)? {
            (sweep, None) => Ok(sweep_run(&sweep)),
            (sweep, Some(trial)) => {
                let trial = store.trial(&sweep.sweep, trial)?;
                trial_run(store, &sweep, &trial)
            }
        })
        .await?;
    Ok(Json(json!({"run": run})))
}

pub(super) async fn metric_history(State(studio): State<Studio>, Query(query): Query<RunQuery>) -> Answer {
    let id = query.id()?;
    let key = query.metric_key.clone().unwrap_or_default();
    let metrics = studio
        .with_store(move |store| {
            let (sweep, trial) = located(store, &id)?;
            let Some(trial) = trial else { return Ok(Vec::new()) };
            let row = store.trial(&sweep.sweep, trial)?;
            let started = milliseconds(row.started.as_deref().unwrap_or(&row.created));
            let points = store.curve(&sweep.sweep, trial, &key, None)?;
            let shown = points.iter().map(|point| {
                json!({"key": key, "value": number(point.value), "step": point.step, "timestamp": started.saturating_add_unsigned(point.elapsed_ms)})
            });
            Ok(shown.collect::<Vec<Value>>())
        })
        .await?;
    Ok(Json(json!({"metrics": metrics})))
}

/// Models are registered by scripts while they run; sweeps have none of their own.
pub(super) async fn logged_models() -> Json<Value> {
    Json(json!({"models": []}))
}

/// Folder whose entries are a trial's artifacts.
const ARTIFACTS: [(&str, &str); 2] = [("outputs", "wd/outputs"), ("artifacts", "artifacts")];

pub(super) async fn artifacts(State(studio): State<Studio>, Query(query): Query<RunQuery>) -> Answer {
    let id = query.id()?;
    let path = query.path.clone().unwrap_or_default();
    let root = format!("mlflow-artifacts:/{id}");
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{path}/")
    };
    let mut files = entries(&studio, id, &path).await?;
    for file in &mut files {
        if let Some(name) = file.get("path").and_then(Value::as_str) {
            let whole = format!("{prefix}{name}");
            if let Some(map) = file.as_object_mut() {
                map.insert("path".into(), whole.into());
            }
        }
    }
    Ok(Json(json!({"root_uri": root, "files": files})))
}

/// What the client's artifact repository asks: `path` is the run id and a folder below it.
pub(super) async fn artifact_folder(State(studio): State<Studio>, Query(query): Query<RunQuery>) -> Answer {
    let path = query.path.unwrap_or_default();
    let (id, below) = path.split_once('/').unwrap_or((&path, ""));
    let files = entries(&studio, id.to_owned(), below).await?;
    Ok(Json(json!({"files": files})))
}

/// Files and folders directly in an artifact folder, by their last names.
async fn entries(studio: &Studio, id: String, folder: &str) -> Result<Vec<Value>, Refused> {
    let (reference, trial) = trial_of(studio, id).await?;
    let found = crate::studio::files::all(studio, reference, trial).await?;
    let prefix = if folder.is_empty() {
        String::new()
    } else {
        format!("{}/", folder.trim_matches('/'))
    };
    let mut seen = indexmap::IndexMap::new();
    for (file, bytes) in found {
        let shown = ARTIFACTS
            .iter()
            .find_map(|(name, below)| Some(format!("{name}{}", file.strip_prefix(below)?)));
        let Some(rest) = shown.as_deref().and_then(|shown| shown.strip_prefix(&prefix)) else {
            continue;
        };
        let (name, value) = match rest.split_once('/') {
            Some((name, _)) => (name, json!({"path": name, "is_dir": true})),
            None => (rest, json!({"path": rest, "is_dir": false, "file_size": bytes})),
        };
        seen.insert(name.to_owned(), value);
    }
    Ok(seen.into_values().collect())
}

async fn trial_of(studio: &Studio, id: String) -> Result<(String, u64), Refused> {
    let (sweep, trial) = studio.with_store(move |store| located(store, &id)).await?;
    let trial = trial.ok_or_else(|| missing("a sweep has no artifacts; its trials have"))?;
    Ok((sweep.sweep, trial))
}

/// `mlflow-artifacts:/RUN/PATH`: one file.
pub(super) async fn artifact(
    State(studio): State<Studio>,
    Path(path): Path<String>,
) -> Result<Response, Refused> {
    let (id, file) = path.split_once('/').ok_or_else(|| missing("no such artifact"))?;
    let (reference, trial) = trial_of(&studio, id.to_owned()).await?;
    let below = ARTIFACTS
        .iter()
        .find_map(|(name, below)| Some(format!("{below}{}", file.strip_prefix(name)?)));
    let below = below.ok_or_else(|| missing(format!("no artifact `{file}`")))?;
    Ok(crate::studio::files::one(&studio, reference, trial, below).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers() {
        assert!(experiment_id("digits").parse::<u64>().unwrap() < 1_000_000_000_000_000_000);
        assert_ne!(experiment_id("a"), experiment_id("b"));
    }
}
