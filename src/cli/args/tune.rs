//! Arguments of the commands that start, steer and check sweeps.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Which Python runs the trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Environment {
    /// What the files ask for.
    #[default]
    Auto,
    /// The Python found here, as it is.
    Current,
    /// What the files ask for, but for a container: its Python packages only.
    NoContainer,
}

/// Arguments of `run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  overdrive run hdconfig.yml
  overdrive run hdconfig.yml train.py -c local -- --epochs 10
  overdrive run sweep.yml --seed 7 --set limits.max_total_trials=20
  overdrive run hdconfig.yml --resume          # for cron and requeued jobs
  overdrive run sweep.yml --map azureml:iris:1=data/iris.csv

Exit codes: 0 best trial found, 1 failed or canceled, 2 usage or configuration, 4 target unreachable,
5 no trial reported the metric, 130 Ctrl-C, 143 SIGTERM.

Ctrl-C once cancels cleanly; twice leaves the running trials to themselves and goes.")]
pub struct Run {
    /// hdconfig.yml, sweep-job or command-job file; default: the only one in this folder.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Training script, instead of the one that the run configuration names.
    #[arg(value_name = "SCRIPT")]
    pub script: Option<String>,
    /// Run configuration: a name or a file.
    #[arg(
        short = 'c',
        long = "run-configuration",
        alias = "run-configuration-name",
        value_name = "RUNCONFIG"
    )]
    pub run_configuration: Option<String>,
    /// Folder of the training code; default: the folder of FILE or what FILE says.
    #[arg(long, value_name = "DIR")]
    pub source_directory: Option<PathBuf>,
    /// Compute target; repeat or separate by commas for several.
    #[arg(long, alias = "ct", value_name = "NAME", value_delimiter = ',')]
    pub target: Vec<String>,
    /// Seed of every draw; default: what FILE says, else a new one (it is shown and stored).
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Go on with the newest unfinished sweep of the same file, or else start one.
    #[arg(long)]
    pub resume: bool,
    /// Learn from an earlier sweep; repeat for several.
    #[arg(long, value_name = "SWEEP")]
    pub resume_from: Vec<String>,
    /// Change a setting of FILE for this sweep, for instance `max_total_runs=20`; repeat for several.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Experiment name.
    #[arg(short = 'e', long = "experiment-name", value_name = "NAME")]
    pub experiment: Option<String>,
    /// Name of the sweep for people.
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Tag of the sweep; repeat for several.
    #[arg(long, value_name = "KEY=VALUE")]
    pub tag: Vec<String>,
    /// Environment of the trials.
    #[arg(
        long,
        value_enum,
        value_name = "NAME",
        env = "OVERDRIVE_RUN_ENVIRONMENT",
        default_value_t
    )]
    pub environment: Environment,
    /// Take timeouts of job files below a minute as they stand; Azure ML makes a minute of them.
    #[arg(long)]
    pub short_timeouts: bool,
    /// Let a parameter replace the fixed argument of the same name, instead of an error.
    #[arg(long)]
    pub allow_duplicate_arguments: bool,
    /// Sweep step of a pipeline file with several.
    #[arg(long, value_name = "NAME")]
    pub step: Option<String>,
    /// Where data lies: a dataset, `datastore:NAME` or the beginning of an address; repeat for several.
    #[arg(long, value_name = "DATA=PATH")]
    pub map: Vec<String>,
    /// Run the trials in the source folder itself, without a snapshot.
    #[arg(long)]
    pub in_place: bool,
    /// Also write every event as a JSON line to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Take the sweep over from another controller that is known to be dead.
    #[arg(long)]
    pub take_over: bool,
    /// Serve the studio for as long as the sweep goes on, and print its address.
    #[arg(long)]
    pub studio: bool,
    /// Arguments of the training script, before the parameters.
    #[arg(last = true, value_name = "SCRIPT ARGS")]
    pub arguments: Vec<String>,
}

/// Arguments of `pause`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  overdrive pause latest")]
pub struct Pause {
    /// Sweep: id, unique beginning of it, or `latest`.
    #[arg(value_name = "SWEEP", default_value = "latest")]
    pub sweep: String,
}

/// Arguments of `resume`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:
  overdrive resume
  overdrive resume HD_1f --set max_total_runs=100

Exit codes: those of `run`, and 3 for an unknown sweep.")]
pub struct Resume {
    /// Sweep: id, unique beginning of it, or `latest`.
    #[arg(value_name = "SWEEP", default_value = "latest")]
    pub sweep: String,
    /// Change a limit: max_total_runs, max_concurrent_runs, max_duration_minutes.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Also write every event as a JSON line to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Take the sweep over from another controller that is known to be dead.
    #[arg(long)]
    pub take_over: bool,
}

/// Arguments of `cancel`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  overdrive cancel
  overdrive cancel latest --trial 3 --trial 4")]
pub struct Cancel {
    /// Sweep: id, unique beginning of it, or `latest`.
    #[arg(value_name = "SWEEP", default_value = "latest")]
    pub sweep: String,
    /// Cancel this trial only; repeat for several.
    #[arg(long, value_name = "N")]
    pub trial: Vec<u64>,
    /// Return at once instead of waiting for the end.
    #[arg(long)]
    pub no_wait: bool,
}

/// Arguments of `watch`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  overdrive watch\n\nCtrl-C ends the watching only; the sweep goes on.")]
pub struct Watch {
    /// Sweep: id, unique beginning of it, or `latest`.
    #[arg(value_name = "SWEEP", default_value = "latest")]
    pub sweep: String,
    /// Also write every event as a JSON line to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON document.
    Json,
    /// Annotations of GitHub workflows.
    Github,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// Arguments of `check`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  overdrive check hdconfig.yml -c local
  overdrive check --explain log-bounds

Exit codes: 0 nothing wrong (warnings allowed), 2 errors found, 3 no such file.")]
pub struct Check {
    /// Files; default: the only sweep file in this folder.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Run configuration that goes with an hdconfig.yml: a name or a file.
    #[arg(short = 'c', long = "run-configuration", value_name = "RUNCONFIG")]
    pub run_configuration: Option<String>,
    /// Sweep step of a pipeline file that has several.
    #[arg(long, value_name = "NAME")]
    pub step: Option<String>,
    /// Treat warnings, and whatever Azure ML would refuse, as errors.
    #[arg(long)]
    pub strict: bool,
    /// How findings are printed.
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub format: CheckFormat,
    /// Explain a finding by the slug in its brackets.
    #[arg(long, value_name = "SLUG")]
    pub explain: Option<String>,
}

/// What `init` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum InitKind {
    /// hdconfig.yml, a run configuration and a Python script of the standard library.
    #[default]
    Hyperdrive,
    /// A v2 sweep-job file and the script.
    Sweep,
    /// hdconfig.yml and a shell script.
    Shell,
}

/// Arguments of `init`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  overdrive init demo && overdrive run demo/hdconfig.yml")]
pub struct Init {
    /// Folder; made if it is missing.
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// What to write.
    #[arg(long, value_enum, value_name = "KIND", default_value_t)]
    pub kind: InitKind,
    /// Replace files that exist.
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `simulate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  overdrive simulate hdconfig.yml --seed 3")]
pub struct Simulate {
    /// hdconfig.yml or sweep-job file; default: the only one in this folder.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Seed of the sweep and of the simulated trials.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Change a setting of FILE; repeat for several.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Steps of a simulated trial.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub steps: u64,
    /// Seconds of virtual time between two reports.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    pub step_seconds: f64,
}
