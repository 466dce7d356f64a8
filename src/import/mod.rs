//! What other tuners left behind, read as data: Optuna storages and journals, Ray Tune result folders, Weights & Biases exports, MLflow
//! stores, tables.
//!
//! Nothing that is read here is ever executed: no pickle is opened, no SQL of the file runs beyond reading its tables. Every reader returns a
//! [`Foreign`] study; [`sweep::of`] turns it into an experiment and the records of a finished sweep, [`infer`] finds a search space
//! where the artefact declares none.

mod detect;
mod infer;
mod json;
mod mlflow;
mod optuna;
mod python;
mod ray;
mod scalar;
mod sqlite;
pub mod sweep;
mod table;
mod wandb;

use crate::metric::Goal;
use crate::space::{Distribution, Value};
use indexmap::IndexMap;
use std::path::{Path, PathBuf};

/// Where an artefact comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tool {
    /// Optuna: an SQLite storage or a journal file.
    Optuna,
    /// Ray Tune: the folder of an experiment.
    Ray,
    /// Weights & Biases: exported runs (CSV, JSON, JSON lines) or run folders.
    Wandb,
    /// MLflow: a `mlruns` folder or an SQLite store.
    Mlflow,
    /// A table with one row per trial.
    Csv,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Optuna, Self::Ray, Self::Wandb, Self::Mlflow, Self::Csv];

    /// The word that users write.
    pub fn word(self) -> &'static str {
        match self {
            Self::Optuna => "optuna",
            Self::Ray => "ray",
            Self::Wandb => "wandb",
            Self::Mlflow => "mlflow",
            Self::Csv => "csv",
        }
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Optuna => "Optuna",
            Self::Ray => "Ray Tune",
            Self::Wandb => "Weights & Biases",
            Self::Mlflow => "MLflow",
            Self::Csv => "a table",
        }
    }
}

/// What the user says about an artefact.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Which tool it comes from; found out by default.
    pub tool: Option<Tool>,
    /// Which study or experiment of a storage that holds several.
    pub study: Option<String>,
    /// What was optimized.
    pub metric: Option<String>,
    /// In which direction.
    pub goal: Option<Goal>,
    /// Which of the recorded settings are parameters; empty = all.
    pub parameters: Vec<String>,
}

/// A study of another tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign {
    /// Where it comes from.
    pub tool: Tool,
    /// Its name there.
    pub name: String,
    /// Direction, if the artefact tells.
    pub goal: Option<Goal>,
    /// Name of what was optimized, if the artefact tells.
    pub metric: Option<String>,
    /// Parameters in order of appearance, with their distribution where it is declared.
    pub parameters: IndexMap<String, Option<Distribution>>,
    /// The trials in order.
    pub trials: Vec<ForeignTrial>,
    /// What could not be taken over, one sentence each.
    pub notes: Vec<String>,
}

/// One trial of another tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForeignTrial {
    /// What it is called there.
    pub label: String,
    /// Values of the active parameters.
    pub parameters: IndexMap<String, Value>,
    /// How it ended.
    pub end: End,
    /// Everything it reported, by name, in order.
    pub metrics: IndexMap<String, Vec<Report>>,
    /// Start, milliseconds since the epoch.
    pub started_ms: Option<i64>,
    /// End, milliseconds since the epoch.
    pub ended_ms: Option<i64>,
    /// Tags and attributes.
    pub tags: IndexMap<String, String>,
}

/// How a trial of another tool ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// By itself.
    #[default]
    Completed,
    /// Stopped by a pruner or scheduler.
    Stopped,
    /// Failed, with what is known about it.
    Failed(String),
    /// Cancelled by a person.
    Canceled,
    /// It had not ended when the artefact was written.
    Unfinished,
}

impl End {
    /// What a word of any of the tools says; `None` if it is none of them.
    fn of_word(word: &str) -> Option<Self> {
        let word = word
            .rsplit('.')
            .next()
            .unwrap_or(word)
            .trim()
            .to_ascii_lowercase();
        Some(match word.as_str() {
            "complete" | "completed" | "finished" | "terminated" | "success" | "succeeded" | "done" => {
                Self::Completed
            }
            "pruned" | "stopped" | "early_stopped" => Self::Stopped,
            "fail" | "failed" | "error" | "errored" | "crashed" => Self::Failed(word),
            "killed" | "canceled" | "cancelled" | "preempted" => Self::Canceled,
            "running" | "waiting" | "pending" | "queued" | "scheduled" | "paused" | "preempting" => {
                Self::Unfinished
            }
            _ => return None,
        })
    }
}

/// One reported number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Value; NaN and infinities are kept.
    pub value: f64,
    /// Step.
    pub step: Option<i64>,
    /// When, milliseconds since the epoch.
    pub at_ms: Option<i64>,
}

/// Why an artefact cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A place in a file is not what it should be.
    #[error("{}: {message}", place(file, *line))]
    Content {
        /// File or folder.
        file: PathBuf,
        /// Line, from 1.
        line: Option<u64>,
        /// What was found and what was expected.
        message: String,
    },
    /// The operating system refuses.
    #[error("`{}`: {source}", file.display())]
    File {
        /// File or folder.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite refuses.
    #[error("`{}`: {source}", file.display())]
    Database {
        /// File.
        file: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The user must choose.
    #[error("{message}")]
    Choice {
        /// What is open, in words.
        message: String,
        /// What to type.
        help: String,
    },
    /// Reading it would run code.
    #[error("`{}` is a pickle: reading it would run code that it contains", file.display())]
    Pickle {
        /// File.
        file: PathBuf,
    },
}

fn place(file: &Path, line: Option<u64>) -> String {
    match line {
        Some(line) => format!("{}:{line}", file.display()),
        None => format!("`{}`", file.display()),
    }
}

impl ImportError {
    fn content(file: &Path, line: Option<u64>, message: impl Into<String>) -> Self {
        Self::Content {
            file: file.to_owned(),
            line,
            message: message.into(),
        }
    }

    fn database(file: &Path) -> impl Fn(rusqlite::Error) -> Self + Copy + '_ {
        |source| Self::Database {
            file: file.to_owned(),
            source,
        }
    }
}

fn text(file: &Path) -> Result<String, ImportError> {
    let bytes = std::fs::read(file).map_err(|source| ImportError::File {
        file: file.to_owned(),
        source,
    })?;
    if detect::is_pickle(&bytes) {
        return Err(ImportError::Pickle {
            file: file.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|error| {
        let until = error
            .as_bytes()
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or_default();
        let line = 1 + until.iter().filter(|byte| **byte == b'\n').count() as u64;
        ImportError::content(file, Some(line), "this is no UTF-8 text")
    })
}

/// Entries of a folder, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let failed = |source| ImportError::File {
        file: folder.to_owned(),
        source,
    };
    let mut paths = std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    let name = path.file_stem().or_else(|| path.file_name());
    name.map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The one of `known` that was asked for, or the only one.
fn chosen<'a>(wanted: Option<&str>, known: &'a [String], what: &str) -> Result<&'a String, ImportError> {
    let list = || {
        known
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (wanted, known) {
        (Some(wanted), _) => known.iter().find(|name| *name == wanted).ok_or_else(|| {
            let nearest = crate::diagnostic::nearest(wanted, known.iter().map(String::as_str));
            ImportError::Choice {
                message: format!("there is no {what} `{wanted}`"),
                help: match nearest {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", list()),
                },
            }
        }),
        (None, [only]) => Ok(only),
        (None, []) => Err(ImportError::Choice {
            message: format!("there is no {what} in it"),
            help: "is this the right file?".into(),
        }),
        (None, _) => Err(ImportError::Choice {
            message: format!("there are {} of kind {what}, and one is needed", known.len()),
            help: format!("name one with `--study`: {}", list()),
        }),
    }
}

/// Reads the study that lies at `path`.
///
/// # Errors
/// [`ImportError`], with file and line where there is one.
pub fn read(path: &Path, request: &Request) -> Result<Foreign, ImportError> {
    match detect::kind(path, request.tool)? {
        detect::Kind::OptunaSqlite => optuna::sqlite::read(path, request),
        detect::Kind::OptunaJournal => optuna::journal::read(path, request),
        detect::Kind::Ray => ray::read(path),
        detect::Kind::WandbJson => wandb::json(path),
        detect::Kind::WandbCsv => wandb::csv(path, request),
        detect::Kind::WandbFolder => wandb::folder(path),
        detect::Kind::MlflowFolder => mlflow::folder::read(path, request),
        detect::Kind::MlflowSqlite => mlflow::sqlite::read(path, request),
        detect::Kind::Table => table::read(path, request),
    }
}
