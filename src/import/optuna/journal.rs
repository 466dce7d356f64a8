//! Optuna's journal file: one JSON object per line, each an operation on the storage.

use super::{Declared, METRIC_NAMES, end, metric_name};
use crate::import::{Foreign, ForeignTrial, ImportError, Report, Request, Tool, chosen, json, scalar, text};
use crate::metric::Goal;
use indexmap::IndexMap;
use serde_json::Value as Json;
use std::path::Path;

// The operation codes that matter here.
const CREATE_STUDY: u64 = 0;
const DELETE_STUDY: u64 = 1;
const SET_STUDY_SYSTEM_ATTRIBUTE: u64 = 3;
const CREATE_TRIAL: u64 = 4;
const SET_TRIAL_PARAMETER: u64 = 5;
const SET_TRIAL_STATE_VALUES: u64 = 6;
const SET_TRIAL_INTERMEDIATE_VALUE: u64 = 7;
const SET_TRIAL_USER_ATTRIBUTE: u64 = 8;

const STATES: [&str; 5] = ["RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"];

#[derive(Default)]
struct Study {
    name: String,
    goals: Vec<Goal>,
    metric: Option<String>,
    deleted: bool,
}

#[derive(Default)]
struct Trial {
    study: u64,
    waiting: bool,
    row: ForeignTrial,
    curve: Vec<(i64, f64)>,
    values: Vec<f64>,
    declared: IndexMap<String, Declared>,
}

/// Reads one study.
pub(in crate::import) fn read(path: &Path, request: &Request) -> Result<Foreign, ImportError> {
    let text = text(path)?;
    let mut studies: Vec<Study> = Vec::new();
    let mut trials: Vec<Trial> = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |message: String| ImportError::content(path, Some(index as u64 + 1), message);
        let operation = match json::parse(line) {
            Ok(operation) => operation,
            // A line that a dying process left unfinished; Optuna ignores it as well.
            Err(_) if index + 1 == lines.len() => break,
            Err((_, reason)) => return Err(wrong(format!("expected one JSON object: {reason}"))),
        };
        take(&operation, &mut studies, &mut trials).map_err(wrong)?;
    }
    let names: Vec<String> = studies
        .iter()
        .filter(|study| !study.deleted)
        .map(|study| study.name.clone())
        .collect();
    let name = chosen(request.study.as_deref(), &names, "study")?.clone();
    let (number, study) = studies
        .iter()
        .enumerate()
        .find(|(_, study)| !study.deleted && study.name == name)
        .ok_or_else(|| ImportError::content(path, None, "the study is gone"))?;
    let metric = study.metric.clone().unwrap_or_else(|| "value".into());
    let mut foreign = Foreign {
        tool: Tool::Optuna,
        name,
        goal: study.goals.first().copied(),
        metric: Some(metric.clone()),
        parameters: IndexMap::new(),
        trials: Vec::new(),
        notes: Vec::new(),
    };
    if study.goals.len() > 1 {
        foreign.notes.push(format!(
            "the study has {} objectives; the first one is the metric",
            study.goals.len()
        ));
    }
    let mut declared: IndexMap<String, Declared> = IndexMap::new();
    for trial in trials
        .into_iter()
        .filter(|trial| trial.study == number as u64 && !trial.waiting)
    {
        for (name, distribution) in &trial.declared {
            match declared.get_mut(name) {
                Some(known) => *known = known.clone().joined(distribution),
                None => {
                    declared.insert(name.clone(), distribution.clone());
                }
            }
        }
        let number = foreign.trials.len();
        foreign.trials.push(finished(trial, number, &metric));
    }
    foreign.parameters = declared
        .into_iter()
        .map(|(name, declared)| (name, Some(declared.distribution)))
        .collect();
    Ok(foreign)
}

fn finished(trial: Trial, number: usize, metric: &str) -> ForeignTrial {
    let mut row = trial.row;
    row.label = number.to_string();
    let mut curve = trial.curve;
    curve.sort_by_key(|(step, _)| *step);
    let last = curve.last().copied();
    let report = |value: f64, step: Option<i64>| Report {
        value,
        step,
        at_ms: None,
    };
    let mut reports: Vec<Report> = curve
        .into_iter()
        .map(|(step, value)| report(value, Some(step)))
        .collect();
    for (objective, value) in trial.values.into_iter().enumerate() {
        if objective > 0 {
            row.metrics
                .insert(format!("objective_{objective}"), vec![report(value, None)]);
        } else if last.is_none_or(|(_, last)| last != value) && row.end == crate::import::End::Completed {
            reports.push(report(value, last.map(|(step, _)| step + 1)));
        }
    }
    if !reports.is_empty() {
        row.metrics.insert(metric.to_owned(), reports);
    }
    row
}

fn time(operation: &Json, key: &str) -> Option<i64> {
    operation.get(key).and_then(Json::as_str).and_then(scalar::time)
}

/// Carries one operation out; what does not change what is imported is passed over.
fn take(operation: &Json, studies: &mut Vec<Study>, trials: &mut Vec<Trial>) -> Result<(), String> {
    let code = operation
        .get("op_code")
        .and_then(Json::as_u64)
        .ok_or("the operation has no `op_code`")?;
    let id = |key: &str| {
        operation
            .get(key)
            .and_then(Json::as_u64)
            .ok_or_else(|| format!("operation {code} has no `{key}`"))
    };
    let word = |key: &str| {
        operation
            .get(key)
            .and_then(Json::as_str)
            .ok_or_else(|| format!("operation {code} has no `{key}`"))
    };
    match code {
        CREATE_STUDY => studies.push(Study {
            name: word("study_name")?.to_owned(),
            goals: directions(operation),
            ..Study::default()
        }),
        DELETE_STUDY | SET_STUDY_SYSTEM_ATTRIBUTE => {
            let number = id("study_id")?;
            let study = usize::try_from(number)
                .ok()
                .and_then(|number| studies.get_mut(number))
                .ok_or_else(|| format!("there is no study {number} above"))?;
            study.deleted |= code == DELETE_STUDY;
            if let Some(names) = operation
                .get("system_attr")
                .and_then(|fields| fields.get(METRIC_NAMES))
            {
                study.metric = metric_name(names);
            }
        }
        CREATE_TRIAL => {
            let mut trial = Trial {
                study: id("study_id")?,
                ..Trial::default()
            };
            trial.row.end = crate::import::End::Unfinished;
            template(operation, &mut trial)?;
            trials.push(trial);
        }
        SET_TRIAL_PARAMETER..=SET_TRIAL_USER_ATTRIBUTE => {
            let number = id("trial_id")?;
            let trial = usize::try_from(number)
                .ok()
                .and_then(|number| trials.get_mut(number))
                .ok_or_else(|| format!("there is no trial {number} above"))?;
            change(code, operation, trial)?;
        }
        _ => {}
    }
    Ok(())
}

fn directions(operation: &Json) -> Vec<Goal> {
    let list = operation.get("directions").and_then(Json::as_array);
    list.into_iter()
        .flatten()
        .map(|direction| match direction.as_u64() {
            Some(2) => Goal::Maximize,
            _ => Goal::Minimize,
        })
        .collect()
}

fn change(code: u64, operation: &Json, trial: &mut Trial) -> Result<(), String> {
    match code {
        SET_TRIAL_PARAMETER => {
            let name = operation
                .get("param_name")
                .and_then(Json::as_str)
                .unwrap_or_default();
            let internal = operation.get("param_value_internal").and_then(json::number);
            let distribution = operation
                .get("distribution")
                .and_then(Json::as_str)
                .unwrap_or_default();
            let internal = internal.ok_or_else(|| format!("parameter `{name}` has no value"))?;
            parameter(trial, name, internal, distribution)?;
        }
        SET_TRIAL_STATE_VALUES => state(operation, trial),
        SET_TRIAL_INTERMEDIATE_VALUE => {
            let step = operation.get("step").and_then(Json::as_i64);
            let value = operation.get("intermediate_value").and_then(json::number);
            if let Some(step) = step {
                // A step that is reported again replaces what was there.
                trial.curve.retain(|(known, _)| *known != step);
                trial.curve.push((step, value.unwrap_or(f64::NAN)));
            }
        }
        _ => {
            let fields = operation.get("user_attr").and_then(Json::as_object);
            for (key, value) in fields.into_iter().flatten() {
                trial.row.tags.insert(key.clone(), value.to_string());
            }
        }
    }
    Ok(())
}

fn parameter(trial: &mut Trial, name: &str, internal: f64, distribution: &str) -> Result<(), String> {
    let declared = Declared::read(distribution).map_err(|reason| format!("parameter `{name}`: {reason}"))?;
    let value = declared
        .value(internal)
        .ok_or_else(|| format!("parameter `{name}`: there is no category {internal}"))?;
    trial.row.parameters.insert(name.to_owned(), value);
    trial.declared.insert(name.to_owned(), declared);
    Ok(())
}

fn state(operation: &Json, trial: &mut Trial) {
    if let Some(word) = operation
        .get("state")
        .and_then(Json::as_u64)
        .and_then(|state| STATES.get(state as usize))
    {
        trial.waiting = *word == "WAITING";
        trial.row.end = end(word);
    }
    if let Some(values) = operation.get("values").and_then(Json::as_array) {
        trial.values = values
            .iter()
            .map(|value| json::number(value).unwrap_or(f64::NAN))
            .collect();
    }
    trial.row.started_ms = time(operation, "datetime_start").or(trial.row.started_ms);
    trial.row.ended_ms = time(operation, "datetime_complete").or(trial.row.ended_ms);
}

/// A trial that was added as a whole: everything stands in the operation that creates it.
fn template(operation: &Json, trial: &mut Trial) -> Result<(), String> {
    state(operation, trial);
    if let Some(value) = operation.get("value").and_then(json::number) {
        trial.values = vec![value];
    }
    let fields = |key: &str| operation.get(key).and_then(Json::as_object);
    let distributions = fields("distributions");
    for (name, internal) in fields("params").into_iter().flatten() {
        let distribution = distributions
            .and_then(|all| all.get(name))
            .and_then(Json::as_str)
            .ok_or_else(|| format!("parameter `{name}` has no distribution"))?;
        let internal = json::number(internal).ok_or_else(|| format!("parameter `{name}` has no value"))?;
        parameter(trial, name, internal, distribution)?;
    }
    for (step, value) in fields("intermediate_values").into_iter().flatten() {
        if let Ok(step) = step.parse() {
            trial.curve.push((step, json::number(value).unwrap_or(f64::NAN)));
        }
    }
    for (key, value) in fields("user_attrs").into_iter().flatten() {
        trial.row.tags.insert(key.clone(), value.to_string());
    }
    Ok(())
}
