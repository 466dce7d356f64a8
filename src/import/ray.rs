//! Ray Tune: a folder per trial with `params.json`, `result.json` (one JSON object per report) or `progress.csv`, and `error.txt` if it failed.
//!
//! The state of the experiment (`experiment_state-*.json`) is read for the trials' states only; the pickles beside and inside it are not
//! touched. The folder does not say what was optimized in which direction.

use super::{End, Foreign, ForeignTrial, ImportError, Report, Tool, entries, json, scalar, text};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::path::Path;

/// What Ray adds to every report by itself.
const ITS_OWN: [&str; 24] = [
    "training_iteration",
    "time_this_iter_s",
    "time_total_s",
    "timestamp",
    "date",
    "trial_id",
    "pid",
    "hostname",
    "node_ip",
    "config",
    "time_since_restore",
    "iterations_since_restore",
    "timesteps_since_restore",
    "timesteps_total",
    "episodes_total",
    "done",
    "checkpoint_dir_name",
    "experiment_id",
    "experiment_tag",
    "should_checkpoint",
    "warmup_time",
    "training_step",
    "trial_num",
    "node_id",
];

/// Reads the folder of an experiment, or of one trial.
pub(super) fn read(path: &Path) -> Result<Foreign, ImportError> {
    let is_trial = |folder: &Path| {
        ["params.json", "result.json", "progress.csv"]
            .iter()
            .any(|name| folder.join(name).is_file())
    };
    let inside = entries(path)?;
    let folders: Vec<&Path> = if is_trial(path) {
        vec![path]
    } else {
        let folders = inside.iter().map(std::path::PathBuf::as_path);
        folders
            .filter(|folder| folder.is_dir() && is_trial(folder))
            .collect()
    };
    let states = states(&inside)?;
    let mut trials = Vec::new();
    for folder in folders {
        let mut trial = trial(folder)?;
        if let Some(end) = trial.tags.get("trial_id").and_then(|id| states.get(id)) {
            trial.end = end.clone();
        }
        let error = folder.join("error.txt");
        if error.is_file() {
            let text = text(&error)?;
            let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
            trial.end = End::Failed(last.unwrap_or("failed in Ray Tune").to_owned());
        }
        trials.push(trial);
    }
    let notes = stopped_early(&mut trials);
    let mut parameters = IndexMap::new();
    for trial in &trials {
        for name in trial.parameters.keys() {
            parameters.entry(name.clone()).or_insert(None);
        }
    }
    Ok(Foreign {
        tool: Tool::Ray,
        name: super::file_name(path),
        goal: None,
        metric: None,
        parameters,
        trials,
        notes,
    })
}

/// A scheduler leaves no mark on a trial that it stopped: trials that ended by themselves before the longest ones did are taken for stopped.
fn stopped_early(trials: &mut [ForeignTrial]) -> Vec<String> {
    let length = |trial: &ForeignTrial| trial.metrics.values().map(Vec::len).max().unwrap_or(0);
    let longest = trials.iter().map(length).max().unwrap_or(0);
    let mut count = 0;
    for trial in trials.iter_mut() {
        if trial.end == End::Completed && length(trial) < longest {
            trial.end = End::Stopped;
            count += 1;
        }
    }
    match count {
        0 => Vec::new(),
        _ => vec![format!(
            "{count} trials that reported less often than the longest ({longest} times) are taken for stopped by a scheduler"
        )],
    }
}

/// Trial id to state, from the newest state file that can be read.
fn states(inside: &[std::path::PathBuf]) -> Result<HashMap<String, End>, ImportError> {
    let mut found = HashMap::new();
    let file = inside.iter().rfind(|path| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        name.starts_with("experiment_state") && name.ends_with(".json")
    });
    let Some(file) = file else { return Ok(found) };
    let json =
        json::parse(&text(file)?).map_err(|(line, reason)| ImportError::content(file, Some(line), reason))?;
    let lists = ["trial_data", "checkpoints"]
        .iter()
        .filter_map(|key| json.get(key)?.as_array());
    for entry in lists.flatten() {
        // Newer versions keep a pair (state, runtime data) of texts, older ones one text or object.
        let first = entry.as_array().and_then(|pair| pair.first()).unwrap_or(entry);
        let state = match first.as_str() {
            Some(text) => json::parse(text).unwrap_or(Json::Null),
            None => first.clone(),
        };
        let field = |key: &str| state.get(key).and_then(Json::as_str);
        if let (Some(id), Some(end)) = (field("trial_id"), field("status").and_then(End::of_word)) {
            found.insert(id.to_owned(), end);
        }
    }
    Ok(found)
}

fn trial(folder: &Path) -> Result<ForeignTrial, ImportError> {
    let mut trial = ForeignTrial {
        label: folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        ..ForeignTrial::default()
    };
    let file = folder.join("params.json");
    if file.is_file() {
        let text = text(&file)?;
        let wrong = |line, reason: String| ImportError::content(&file, Some(line), reason);
        let json = json::parse(&text).map_err(|(line, reason)| wrong(line, reason))?;
        let fields = json
            .as_object()
            .ok_or_else(|| wrong(1, "expected an object of parameters".into()))?;
        settings(fields, &mut trial);
    }
    let (results, table) = (folder.join("result.json"), folder.join("progress.csv"));
    if results.is_file() && std::fs::metadata(&results).is_ok_and(|data| data.len() > 0) {
        let text = text(&results)?;
        let count = text.lines().count();
        for (index, line) in text.lines().enumerate() {
            let wrong = |reason: String| ImportError::content(&results, Some(index as u64 + 1), reason);
            if line.trim().is_empty() {
                continue;
            }
            match json::parse(line) {
                Ok(Json::Object(fields)) => report(&fields, &mut trial),
                Ok(_) => return Err(wrong("expected an object".into())),
                // The last line of a trial that died while it was written.
                Err(_) if index + 1 == count => {}
                Err((_, reason)) => return Err(wrong(format!("expected one JSON object: {reason}"))),
            }
        }
    } else if table.is_file() {
        progress(&table, &mut trial)?;
    }
    Ok(trial)
}

fn settings(fields: &Map<String, Json>, trial: &mut ForeignTrial) {
    for (name, value) in json::flat(fields, '/') {
        trial.parameters.insert(name, json::value(&value));
    }
}

fn report(fields: &Map<String, Json>, trial: &mut ForeignTrial) {
    if trial.parameters.is_empty()
        && let Some(Json::Object(config)) = fields.get("config")
    {
        settings(config, trial);
    }
    let number = |key: &str| {
        fields
            .get(key)
            .and_then(json::number)
            .filter(|value| value.is_finite())
    };
    let at_ms = number("timestamp").map(|seconds| (seconds * 1000.0) as i64);
    let step = number("training_iteration").map(|step| step as i64);
    if let Some(id) = fields.get("trial_id").and_then(Json::as_str) {
        trial.tags.insert("trial_id".into(), id.to_owned());
    }
    clock(trial, at_ms, number("time_total_s"));
    for (name, value) in json::flat(fields, '/') {
        let own = ITS_OWN.contains(&name.as_str()) || name.starts_with("config/");
        if let (false, Some(value)) = (own, json::number(&value)) {
            trial
                .metrics
                .entry(name)
                .or_default()
                .push(Report { value, step, at_ms });
        }
    }
}

/// Start and end from the stamps of the reports.
fn clock(trial: &mut ForeignTrial, at_ms: Option<i64>, seconds: Option<f64>) {
    if let Some(at) = at_ms {
        let begun = at - (seconds.unwrap_or(0.0) * 1000.0) as i64;
        trial.started_ms = Some(trial.started_ms.map_or(begun, |start| start.min(begun)));
        trial.ended_ms = Some(trial.ended_ms.map_or(at, |end| end.max(at)));
    }
}

fn progress(file: &Path, trial: &mut ForeignTrial) -> Result<(), ImportError> {
    let text = text(file)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let wrong = |error: csv::Error| {
        let line = error.position().map(csv::Position::line);
        ImportError::content(file, line, error.to_string())
    };
    let header = reader.headers().map_err(wrong)?.clone();
    for row in reader.records() {
        let row = row.map_err(wrong)?;
        let cell = |name: &str| {
            header
                .iter()
                .position(|column| column == name)
                .and_then(|at| row.get(at))
        };
        let number = |name: &str| cell(name).and_then(scalar::number);
        let at_ms = number("timestamp").map(|seconds| (seconds * 1000.0) as i64);
        let step = number("training_iteration").map(|step| step as i64);
        if let Some(id) = cell("trial_id") {
            trial.tags.insert("trial_id".into(), id.to_owned());
        }
        clock(trial, at_ms, number("time_total_s"));
        for (name, cell) in header.iter().zip(&row) {
            if let Some(parameter) = name.strip_prefix("config/") {
                if let Some(value) = scalar::value(cell) {
                    trial.parameters.entry(parameter.to_owned()).or_insert(value);
                }
            } else if let (false, Some(value)) = (ITS_OWN.contains(&name), scalar::number(cell)) {
                trial
                    .metrics
                    .entry(name.to_owned())
                    .or_default()
                    .push(Report { value, step, at_ms });
            }
        }
    }
    Ok(())
}
