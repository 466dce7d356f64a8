//! Weights & Biases: runs exported from the page (CSV), by its API (CSV or JSON), or the folders that runs leave on disk.
//!
//! JSON: a list (or lines) of objects with `config`, `summary` and, for curves, `history` (a list of objects with `_step`, `_timestamp` and the
//! metrics); `name`, `id`, `state`, `created_at` where they are there. The binary log of a run is not read.

use super::{
    End, Foreign, ForeignTrial, ImportError, Report, Request, Tool, entries, json, python, scalar, table,
    text,
};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};
use std::path::Path;

fn study(path: &Path, trials: Vec<ForeignTrial>) -> Foreign {
    let mut parameters = IndexMap::new();
    for trial in &trials {
        for name in trial.parameters.keys() {
            parameters.entry(name.clone()).or_insert(None);
        }
    }
    Foreign {
        tool: Tool::Wandb,
        name: super::file_name(path),
        goal: None,
        metric: None,
        parameters,
        trials,
        notes: Vec::new(),
    }
}

/// Runs as JSON or JSON lines.
pub(super) fn json(path: &Path) -> Result<Foreign, ImportError> {
    let text = text(path)?;
    let wrong = |line: u64, reason: String| ImportError::content(path, Some(line), reason);
    let mut runs: Vec<(u64, Json)> = Vec::new();
    match json::parse(&text) {
        Ok(Json::Array(items)) => runs.extend(items.into_iter().map(|item| (1, item))),
        Ok(Json::Object(mut fields)) => match fields.remove("runs") {
            Some(Json::Array(items)) => runs.extend(items.into_iter().map(|item| (1, item))),
            _ => runs.push((1, Json::Object(fields))),
        },
        Ok(_) => return Err(wrong(1, "expected a list of runs".into())),
        Err(whole) => {
            for (index, line) in text
                .lines()
                .enumerate()
                .filter(|(_, line)| !line.trim().is_empty())
            {
                match json::parse(line) {
                    Ok(run) => runs.push((index as u64 + 1, run)),
                    // A document over several lines is wrong where its own parser says.
                    Err(_) if index == 0 => return Err(wrong(whole.0, whole.1)),
                    Err((_, reason)) => return Err(wrong(index as u64 + 1, reason)),
                }
            }
        }
    }
    let mut trials = Vec::new();
    for (number, (line, run)) in runs.iter().enumerate() {
        let place = format!("run {number}");
        let Json::Object(fields) = run else {
            return Err(wrong(*line, format!("{place}: expected an object")));
        };
        if !fields.contains_key("config") {
            return Err(wrong(*line, format!("{place}: there is no `config`")));
        }
        trials.push(run_of(fields, number));
    }
    Ok(study(path, trials))
}

fn object(field: Option<&Json>) -> Map<String, Json> {
    match field {
        Some(Json::Object(fields)) => fields.clone(),
        // Exports of the API write their maps as texts.
        Some(Json::String(text)) => match json::parse(text).or_else(|_| python::parse(text)) {
            Ok(Json::Object(fields)) => fields,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}

fn run_of(fields: &Map<String, Json>, number: usize) -> ForeignTrial {
    let word = |keys: &[&str]| {
        keys.iter()
            .find_map(|key| fields.get(*key)?.as_str().map(str::to_owned))
    };
    let mut trial = ForeignTrial {
        label: word(&["name", "display_name", "displayName", "id"]).unwrap_or_else(|| number.to_string()),
        end: word(&["state"])
            .and_then(|state| End::of_word(&state))
            .unwrap_or_default(),
        started_ms: word(&["created_at", "createdAt"]).and_then(|at| scalar::time(&at)),
        ..ForeignTrial::default()
    };
    settings(&object(fields.get("config")), &mut trial);
    for point in fields
        .get("history")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        if let Json::Object(point) = point {
            let step = point.get("_step").and_then(json::number).map(|step| step as i64);
            let at_ms = point
                .get("_timestamp")
                .and_then(json::number)
                .map(|at| (at * 1000.0) as i64);
            metrics(point, step, at_ms, &mut trial);
            trial.ended_ms = trial.ended_ms.max(at_ms);
        }
    }
    let summary = object(fields.get("summary").or_else(|| fields.get("summary_metrics")));
    summary_of(&summary, &mut trial);
    trial
}

/// What the curves do not tell.
fn summary_of(summary: &Map<String, Json>, trial: &mut ForeignTrial) {
    let number = |key: &str| summary.get(key).and_then(json::number);
    let at_ms = number("_timestamp").map(|at| (at * 1000.0) as i64);
    let step = number("_step").map(|step| step as i64);
    let mut rest = ForeignTrial::default();
    metrics(summary, step, at_ms, &mut rest);
    for (name, reports) in rest.metrics {
        trial.metrics.entry(name).or_insert(reports);
    }
    trial.ended_ms = trial.ended_ms.max(at_ms);
    if let (None, Some(end), Some(seconds)) = (trial.started_ms, trial.ended_ms, number("_runtime")) {
        trial.started_ms = Some(end - (seconds * 1000.0) as i64);
    }
}

fn settings(config: &Map<String, Json>, trial: &mut ForeignTrial) {
    let unwrapped: Map<String, Json> = config
        .iter()
        .filter(|(name, _)| !name.starts_with('_') && *name != "wandb_version")
        .map(|(name, field)| match field {
            // The files of a run keep a description beside every value.
            Json::Object(inner)
                if inner.contains_key("value") && inner.keys().all(|key| key == "value" || key == "desc") =>
            {
                (name.clone(), inner.get("value").cloned().unwrap_or(Json::Null))
            }
            _ => (name.clone(), field.clone()),
        })
        .collect();
    for (name, value) in json::flat(&unwrapped, '.') {
        trial.parameters.insert(name, json::value(&value));
    }
}

fn metrics(fields: &Map<String, Json>, step: Option<i64>, at_ms: Option<i64>, trial: &mut ForeignTrial) {
    let own: Map<String, Json> = fields
        .iter()
        .filter(|(name, _)| !name.starts_with('_'))
        .map(|(name, field)| (name.clone(), field.clone()))
        .collect();
    for (name, field) in json::flat(&own, '.') {
        if let Some(value) = json::number(&field) {
            trial
                .metrics
                .entry(name)
                .or_default()
                .push(Report { value, step, at_ms });
        }
    }
}

/// Runs as CSV: from the page (one column per setting and metric), or with the columns `config` and `summary` as the API's users write them.
pub(super) fn csv(path: &Path, request: &Request) -> Result<Foreign, ImportError> {
    let text = text(path)?;
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let failed = |error: csv::Error| {
        let line = error.position().map(csv::Position::line);
        ImportError::content(path, line, error.to_string())
    };
    let header = reader.headers().map_err(failed)?.clone();
    if !header.iter().any(|name| name == "config") {
        return Ok(Foreign {
            tool: Tool::Wandb,
            ..table::read(path, request)?
        });
    }
    let mut trials = Vec::new();
    for row in reader.records() {
        let row = row.map_err(failed)?;
        let line = row.position().map(csv::Position::line);
        let mut fields = Map::new();
        for (name, cell) in header.iter().zip(&row) {
            let value = match name {
                "config" | "summary" | "history" => json::parse(cell)
                    .or_else(|_| python::parse(cell))
                    .map_err(|reason| {
                        ImportError::content(path, line, format!("column `{name}`: {reason}"))
                    })?,
                _ => Json::from(cell),
            };
            fields.insert(name.to_owned(), value);
        }
        trials.push(run_of(&fields, trials.len()));
    }
    Ok(study(path, trials))
}

/// The folders that runs leave on disk (`wandb/run-*`, `wandb/offline-run-*`): settings and last values, no curves.
pub(super) fn folder(path: &Path) -> Result<Foreign, ImportError> {
    let is_run = |folder: &Path| folder.join("files").is_dir();
    let inside = entries(path)?;
    let mut folders: Vec<&Path> = Vec::new();
    if is_run(path) {
        folders.push(path);
    }
    // A link to the newest run stands beside the runs.
    folders.extend(
        inside
            .iter()
            .map(std::path::PathBuf::as_path)
            .filter(|folder| is_run(folder) && !folder.is_symlink()),
    );
    let mut trials = Vec::new();
    for folder in folders {
        let mut trial = ForeignTrial {
            label: folder
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            ..ForeignTrial::default()
        };
        let file = folder.join("files/config.yaml");
        if file.is_file() {
            let config: Json = serde_yaml::from_str(&text(&file)?).map_err(|error| {
                let line = error.location().map(|place| place.line() as u64);
                ImportError::content(&file, line, error.to_string())
            })?;
            settings(&object(Some(&config)), &mut trial);
        }
        let file = folder.join("files/wandb-summary.json");
        if file.is_file() {
            let json = json::parse(&text(&file)?)
                .map_err(|(line, reason)| ImportError::content(&file, Some(line), reason))?;
            summary_of(&object(Some(&json)), &mut trial);
        }
        trials.push(trial);
    }
    let mut study = study(path, trials);
    study
        .notes
        .push("run folders hold last values only; the curves are in a binary log that is not read".into());
    Ok(study)
}
