//! MLflow's file store: `mlruns/EXPERIMENT/RUN/{meta.yaml, params/*, metrics/*, tags/*}`.

use super::{choose, end, study};
use crate::import::{Foreign, ForeignTrial, ImportError, Report, Request, entries, scalar, text};
use std::path::{Path, PathBuf};

/// Reads one experiment of `mlruns`, or the experiment whose folder this is.
pub(in crate::import) fn read(path: &Path, request: &Request) -> Result<Foreign, ImportError> {
    let is_experiment = |folder: &Path| -> Result<bool, ImportError> {
        let meta = folder.join("meta.yaml");
        Ok(meta.is_file() && field(&meta, "experiment_id")?.is_some() && field(&meta, "run_id")?.is_none())
    };
    let folders: Vec<PathBuf> = if is_experiment(path)? {
        vec![path.to_owned()]
    } else {
        let mut folders = Vec::new();
        for entry in entries(path)?.into_iter().filter(|entry| entry.is_dir()) {
            if is_experiment(&entry)? {
                folders.push(entry);
            }
        }
        folders
    };
    let mut names = Vec::new();
    for folder in &folders {
        let meta = folder.join("meta.yaml");
        let name = field(&meta, "name")?.unwrap_or_default();
        names.push((name, !runs(folder)?.is_empty()));
    }
    let name = choose(&names, request)?.to_owned();
    let folder = folders.iter().zip(&names).find(|(_, (other, _))| *other == name);
    let folder = folder.map_or(path, |(folder, _)| folder.as_path());
    let mut found = Vec::new();
    for run in runs(folder)? {
        if let Some(run) = read_run(&run)? {
            found.push(run);
        }
    }
    Ok(study(name, found))
}

fn runs(experiment: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let mut folders = entries(experiment)?;
    folders.retain(|folder| folder.join("meta.yaml").is_file() && folder.join("metrics").is_dir());
    Ok(folders)
}

/// One field of a `meta.yaml` as text.
fn field(meta: &Path, key: &str) -> Result<Option<String>, ImportError> {
    let document: serde_json::Value = serde_yaml::from_str(&text(meta)?).map_err(|error| {
        let line = error.location().map(|place| place.line() as u64);
        ImportError::content(meta, line, error.to_string())
    })?;
    Ok(match document.get(key) {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    })
}

fn read_run(folder: &Path) -> Result<Option<(String, ForeignTrial)>, ImportError> {
    let meta = folder.join("meta.yaml");
    if field(&meta, "lifecycle_stage")?.is_some_and(|stage| stage != "active") {
        return Ok(None);
    }
    let id = field(&meta, "run_id")?
        .or(field(&meta, "run_uuid")?)
        .unwrap_or_default();
    let time = |key: &str| Ok::<_, ImportError>(field(&meta, key)?.and_then(|text| text.parse().ok()));
    let mut run = ForeignTrial {
        end: end(&field(&meta, "status")?.unwrap_or_default(), &meta)?,
        started_ms: time("start_time")?,
        ended_ms: time("end_time")?,
        ..ForeignTrial::default()
    };
    for (key, file) in leaves(&folder.join("params"))? {
        if let Some(value) = scalar::value(&text(&file)?) {
            run.parameters.insert(key, value);
        }
    }
    for (key, file) in leaves(&folder.join("tags"))? {
        run.tags.insert(key, text(&file)?);
    }
    if let Some(name) = field(&meta, "run_name")? {
        run.tags.entry(super::NAME.into()).or_insert(name);
    }
    for (key, file) in leaves(&folder.join("metrics"))? {
        let mut reports = Vec::new();
        for (index, line) in text(&file)?
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [at, value, rest @ ..] = words.as_slice() else {
                return Err(ImportError::content(
                    &file,
                    Some(index as u64 + 1),
                    "expected `TIME VALUE STEP`",
                ));
            };
            let value = scalar::number(value).ok_or_else(|| {
                ImportError::content(&file, Some(index as u64 + 1), format!("`{value}` is no number"))
            })?;
            reports.push(Report {
                value,
                step: rest.first().and_then(|step| step.parse().ok()),
                at_ms: at.parse().ok(),
            });
        }
        run.metrics.insert(key, reports);
    }
    Ok(Some((id, run)))
}

/// Files below a folder by their path in it; names may have slashes.
fn leaves(folder: &Path) -> Result<Vec<(String, PathBuf)>, ImportError> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), folder.to_owned())];
    while let Some((before, folder)) = open.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in entries(&folder)? {
            let name = entry
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let path = if before.is_empty() {
                name
            } else {
                format!("{before}/{name}")
            };
            if entry.is_dir() {
                open.push((path, entry));
            } else {
                found.push((path, entry));
            }
        }
    }
    found.sort();
    Ok(found)
}
