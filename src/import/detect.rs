//! Which tool left an artefact, by its content.

use super::{ImportError, Tool, entries, sqlite};
use std::io::Read;
use std::path::Path;

/// A reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    OptunaSqlite,
    OptunaJournal,
    Ray,
    WandbJson,
    WandbCsv,
    WandbFolder,
    MlflowFolder,
    MlflowSqlite,
    Table,
}

/// Whether the bytes begin as a pickle of protocol 2 or later does (or a zip with one in it, as PyTorch writes).
pub(super) fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

const SQLITE: &[u8] = b"SQLite format 3\0";

/// The reader for `path`; with `tool`, one of that tool.
pub(super) fn kind(path: &Path, tool: Option<Tool>) -> Result<Kind, ImportError> {
    let found = if path.is_dir() {
        folder(path, tool)?
    } else {
        file(path, tool)?
    };
    let fits = |tool: Tool| match found {
        Kind::OptunaSqlite | Kind::OptunaJournal => tool == Tool::Optuna,
        Kind::Ray => tool == Tool::Ray,
        Kind::WandbJson | Kind::WandbCsv | Kind::WandbFolder => tool == Tool::Wandb,
        Kind::MlflowFolder | Kind::MlflowSqlite => tool == Tool::Mlflow,
        Kind::Table => tool == Tool::Csv,
    };
    match tool {
        Some(tool) if !fits(tool) => Err(ImportError::content(
            path,
            None,
            format!("nothing of {} is here", tool.name()),
        )),
        _ => Ok(found),
    }
}

fn folder(path: &Path, tool: Option<Tool>) -> Result<Kind, ImportError> {
    let inside = entries(path)?;
    let any = |name: &str| {
        path.join(name).is_file()
            || inside
                .iter()
                .any(|entry| entry.is_dir() && entry.join(name).is_file())
    };
    let own_store = inside
        .iter()
        .find(|entry| entry.extension().is_some_and(|end| end == "db"));
    if any("result.json") || any("params.json") || any("progress.csv") {
        Ok(Kind::Ray)
    } else if any("files/wandb-summary.json") || any("files/config.yaml") {
        Ok(Kind::WandbFolder)
    } else if any("meta.yaml") {
        Ok(Kind::MlflowFolder)
    } else if let (Some(database), None | Some(Tool::Optuna | Tool::Mlflow)) = (own_store, tool) {
        Err(ImportError::Choice {
            message: format!("`{}` is a folder", path.display()),
            help: format!("name the file: `overdrive import {}`", database.display()),
        })
    } else {
        Err(ImportError::content(
            path,
            None,
            "this folder holds no results of Ray Tune (`*/result.json`), MLflow (`*/meta.yaml`) or Weights & Biases (`*/files/config.yaml`)",
        ))
    }
}

fn file(path: &Path, tool: Option<Tool>) -> Result<Kind, ImportError> {
    let mut head = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(64 * 1024).read_to_end(&mut head))
        .map_err(|source| ImportError::File {
            file: path.to_owned(),
            source,
        })?;
    if is_pickle(&head) {
        return Err(ImportError::Pickle {
            file: path.to_owned(),
        });
    }
    if head.starts_with(SQLITE) {
        let tables = sqlite::tables(path)?;
        let has = |name: &str| tables.iter().any(|table| table == name);
        return if has("studies") && has("trials") {
            Ok(Kind::OptunaSqlite)
        } else if has("experiments") && has("runs") {
            Ok(Kind::MlflowSqlite)
        } else {
            Err(ImportError::content(
                path,
                None,
                "this SQLite file holds neither studies of Optuna nor experiments of MLflow",
            ))
        };
    }
    if head.starts_with(b":W&B") {
        return Err(ImportError::Choice {
            message: format!(
                "`{}` is a binary log of Weights & Biases, which is not read",
                path.display()
            ),
            help: "name the folder of the run, or export the runs as CSV or JSON".into(),
        });
    }
    let text = String::from_utf8_lossy(&head);
    let first = text.lines().next().unwrap_or_default();
    let begins = text.trim_start();
    if first.contains("\"op_code\"") {
        return Ok(Kind::OptunaJournal);
    }
    if begins.starts_with('[') || begins.starts_with('{') {
        return Ok(Kind::WandbJson);
    }
    let columns: Vec<&str> = first
        .split(',')
        .map(|name| name.trim().trim_matches('"'))
        .collect();
    let has = |name: &str| columns.contains(&name);
    let exported = has("summary") && has("config");
    let from_page = has("Name") && has("State") && (has("Runtime") || has("Created"));
    match tool {
        None if exported || from_page => Ok(Kind::WandbCsv),
        Some(Tool::Wandb) if columns.len() > 1 => Ok(Kind::WandbCsv),
        _ if columns.len() > 1 => Ok(Kind::Table),
        _ => Err(ImportError::content(
            path,
            Some(1),
            "this is no SQLite file, no JSON and no table with a header of at least two columns",
        )),
    }
}
