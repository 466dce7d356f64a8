//! MLflow: what its folder and its SQLite store share.

pub(super) mod folder;
pub(super) mod sqlite;

use super::{End, Foreign, ForeignTrial, ImportError, Request, Tool, chosen};
use indexmap::IndexMap;
use std::path::Path;

/// Tag with the id of the run that a run belongs to.
const PARENT: &str = "mlflow.parentRunId";

/// Tag with the name of a run.
const NAME: &str = "mlflow.runName";

/// The study that remains once runs that only hold others together are left out.
fn study(name: String, runs: Vec<(String, ForeignTrial)>) -> Foreign {
    let parents: Vec<String> = runs
        .iter()
        .filter_map(|(_, run)| run.tags.get(PARENT).cloned())
        .collect();
    let before = runs.len();
    let mut trials: Vec<ForeignTrial> = Vec::new();
    for (id, mut run) in runs {
        if parents.contains(&id) {
            continue;
        }
        run.label = run.tags.get(NAME).cloned().unwrap_or(id);
        run.tags.retain(|key, _| !key.starts_with("mlflow."));
        trials.push(run);
    }
    trials.sort_by_key(|trial| trial.started_ms);
    let mut parameters = IndexMap::new();
    for trial in &trials {
        for name in trial.parameters.keys() {
            parameters.entry(name.clone()).or_insert(None);
        }
    }
    let mut notes = Vec::new();
    if trials.len() < before {
        notes.push(format!(
            "{} parent runs were left out, their children are the trials",
            before - trials.len()
        ));
    }
    Foreign {
        tool: Tool::Mlflow,
        name,
        goal: None,
        metric: None,
        parameters,
        trials,
        notes,
    }
}

/// The experiment to read: the one asked for, else the only one that has runs.
fn choose<'a>(names: &'a [(String, bool)], request: &Request) -> Result<&'a str, ImportError> {
    let with_runs: Vec<String> = names
        .iter()
        .filter(|(_, runs)| *runs)
        .map(|(name, _)| name.clone())
        .collect();
    let all: Vec<String> = names.iter().map(|(name, _)| name.clone()).collect();
    let known = if request.study.is_some() { &all } else { &with_runs };
    let name = chosen(request.study.as_deref(), known, "experiment with runs")?;
    Ok(names
        .iter()
        .find(|(other, _)| other == name)
        .map_or("", |(name, _)| name.as_str()))
}

fn end(state: &str, path: &Path) -> Result<End, ImportError> {
    Ok(match state {
        "1" | "2" | "RUNNING" | "SCHEDULED" => End::Unfinished,
        "3" | "FINISHED" => End::Completed,
        "4" | "FAILED" => End::Failed("failed in MLflow".into()),
        "5" | "KILLED" => End::Canceled,
        _ => {
            return Err(ImportError::content(
                path,
                None,
                format!("`{state}` is no state of a run"),
            ));
        }
    })
}
