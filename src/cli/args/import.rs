//! Arguments of `import`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Where an artefact comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// Optuna: SQLite storage or journal file.
    Optuna,
    /// Ray Tune: folder of an experiment.
    Ray,
    /// Weights & Biases: exported runs (CSV, JSON) or run folders.
    Wandb,
    /// MLflow: `mlruns` folder or SQLite store.
    Mlflow,
    /// A table with one row per trial.
    Csv,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  overdrive import study.db                      # Optuna storage with one study
  overdrive import ~/ray_results/digits --metric loss --goal minimize
  overdrive import mlruns --study digits --metric val_loss --goal minimize
  overdrive import runs.csv --metric accuracy --goal maximize --parameters lr,batch_size
  overdrive run hdconfig.yml --resume-from latest

The result is a sweep that has ended: `show`, `plot`, `export`, `studio` and `--resume-from` work on it. Nothing that
is read is executed; pickles are refused.")]
pub struct Import {
    /// File or folder that the other tuner wrote.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Tool that wrote it; found out by default.
    #[arg(long, value_enum, value_name = "TOOL")]
    pub from: Option<From>,
    /// Study or experiment, if there are several in it.
    #[arg(long, value_name = "NAME")]
    pub study: Option<String>,
    /// Metric that was optimized, if the artefact does not say.
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
    /// Its direction, if the artefact does not say.
    #[arg(long, value_enum, value_name = "GOAL")]
    pub goal: Option<Direction>,
    /// Only these settings are parameters; default: all that were recorded.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub parameters: Vec<String>,
    /// Experiment to file it under; default: the name of the study.
    #[arg(short, long, value_name = "NAME")]
    pub experiment: Option<String>,
}
