//! The grammar of the command line as clap types: what was typed, no meaning yet.
//!
//! The texts here are the only source of the help, the man pages, the completions and `docs/reference/cli.md`.

pub mod bench;
pub mod import;
mod job;
mod kinds;
mod look;
mod ml;
pub mod replay;
mod target;
mod tune;

pub use job::{CreateJob, CreateV2, JobCommand, JobName, RemoveV2, V2Command, V2Name};
pub use kinds::{Attaching, Creating, Declared, GivenSecret, Updating, Verb};
pub use look::{Best, Export, Format, Kind, List, Logs, Plot, Show, Studio, Theme, What, Why};
pub use ml::{
    AzCommand, ComputeCommand, ExperimentCommand, FolderCommand, MlArgs, MlCommand, MlGlobals, ModelCommand,
    ModelName, OutputFormat, RegisterModel, RunCommand, RunReference, Scope, SubmitHyperdrive, SubmitScript,
};
pub use target::{
    AttachCommand, AttachTarget, CreateCommand, CreatePool, Filing, IgnoredPool, Jobs, ProjectFolder,
    PruneTarget, Reach, RemoveTarget, Target, TargetCommand, TargetName, TestTarget, UpdateCommand,
    UpdatePool, VmPriority,
};
pub use tune::{
    Cancel, Check, CheckFormat, Environment, Init, InitKind, Pause, Resume, Run, Simulate, Watch,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Tunes the hyperparameters of a training script: runs hdconfig.yml and sweep-job files unchanged, with unchanged scripts.
#[derive(Debug, Parser)]
#[command(
    name = "overdrive",
    version,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR, CLICOLOR=0 or TERM=dumb say otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// When to print hyperlinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LinkChoice {
    /// On a terminal, unless TERM is dumb or linux, or CI is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How progress is shown on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressChoice {
    /// A live block on a terminal, plain lines otherwise.
    #[default]
    Auto,
    /// The live block.
    Live,
    /// One line per event.
    Lines,
    /// Nothing.
    None,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Globals {
    /// State folder; default: `.overdrive` found upward from here, else made here.
    #[arg(long, global = true, value_name = "DIR", env = "OVERDRIVE_HOME")]
    pub home: Option<PathBuf>,
    /// Print one JSON document on standard output instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        env = "OVERDRIVE_COLOR",
        default_value_t
    )]
    pub color: ColorChoice,
    /// Whether paths and ids are links that a terminal can open.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        env = "OVERDRIVE_HYPERLINKS",
        default_value_t
    )]
    pub hyperlinks: LinkChoice,
    /// How progress is shown on standard error.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "HOW",
        env = "OVERDRIVE_PROGRESS",
        default_value_t
    )]
    pub progress: ProgressChoice,
    /// Print the result only.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more; repeat for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a sweep and print its best trial.
    Run(Box<Run>),
    /// Start nothing new; running trials go on.
    Pause(Pause),
    /// Go on with a paused or interrupted sweep.
    Resume(Resume),
    /// Cancel a sweep, or single trials of it.
    Cancel(Cancel),
    /// Follow a running sweep.
    Watch(Watch),
    /// List the sweeps of this folder.
    List(List),
    /// Show one sweep and its trials, or one trial.
    Show(Show),
    /// Print the best trial.
    Best(Best),
    /// Say why a trial was stopped, failed, or tried at all.
    Why(Why),
    /// Print the output of a trial.
    Logs(Logs),
    /// Draw a sweep as SVG or PNG.
    Plot(Plot),
    /// Write trials or metrics as CSV, JSON or Parquet.
    Export(Export),
    /// Serve a page to watch and steer sweeps in a browser.
    Studio(Studio),
    /// Check files and say all that is wrong with them.
    Check(Check),
    /// Write a sample sweep to start from.
    Init(Init),
    /// Print the JSON Schema of a file format.
    Schema(Schema),
    /// Show the settings and where each comes from.
    Config(Config),
    /// Run a sweep in virtual time, without any script.
    Simulate(Simulate),
    /// Create, show, test and remove compute targets.
    Target(Box<Target>),
    /// The verbs of the Azure ML command line (v1).
    Ml(Box<MlArgs>),
    /// Lines that begin with `az`, word for word.
    Az(Az),
    /// Suggest and learn over JSON lines, for other programs.
    AskTell(AskTell),
    /// Compare optimizers on benchmark problems.
    Bench(Box<bench::Bench>),
    /// Take over the trials of another tuner as an ended sweep.
    #[command(hide = true)]
    Import(import::Import),
    /// Say what policies would have saved and killed on recorded curves.
    #[command(hide = true)]
    Replay(replay::Replay),
    /// Print the completion script of a shell.
    Completions(Completions),
    /// Print or write the manual pages.
    Man(Man),
    /// Print words for a shell that completes.
    #[command(hide = true)]
    Complete {
        /// Which words.
        #[arg(value_enum)]
        kind: crate::cli::complete::Words,
    },
    /// Make this program callable as `az`.
    #[command(hide = true)]
    InstallAlias(InstallAlias),
}

/// Arguments of `install-alias`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  overdrive install-alias && az ml run list

Lines that are not `az ml` go to the real `az` where there is one.")]
pub struct InstallAlias {
    /// Folder on PATH; default: ~/.local/bin.
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Also where a real `az` is on PATH.
    #[arg(long)]
    pub force: bool,
    /// Print a shell function instead, which does the same where OVERDRIVE_AZ=1 is set.
    #[arg(long)]
    pub function: bool,
}

/// Lines that begin with `az`.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = false,
    after_help = "Example:\n  overdrive az ml run list -e digits --last 1 --query '[].status' -o tsv"
)]
pub struct Az {
    /// What follows `az`.
    #[command(subcommand)]
    pub command: AzCommand,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  overdrive schema hdconfig > hdconfig.schema.json")]
pub struct Schema {
    /// File format: hdconfig, runconfig, sweep, overdrive.
    #[arg(value_name = "FORMAT", default_value = "hdconfig")]
    pub format: String,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  overdrive config show --origin

A flag wins over an `OVERDRIVE_*` variable, that over `overdrive.toml` (found upward from the working
directory), that over `$XDG_CONFIG_HOME/overdrive/config.toml`, that over the default.")]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// Verbs of `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting with its value.
    Show {
        /// Only these; default: all.
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
        /// Also print where each value comes from.
        #[arg(long)]
        origin: bool,
    },
}

/// Arguments of `ask-tell`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  overdrive ask-tell --sampler bayesian --seed 1")]
pub struct AskTell {
    /// Sampler: random, sobol, grid, bayesian (the default).
    #[arg(long, value_name = "NAME")]
    pub sampler: Option<String>,
    /// Early-termination policy: none, bandit:slack_factor=0.1, median, truncation:truncation_percentage=20, asha:reduction_factor=3, hyperband, predictive:false_stops=0.05.
    #[arg(long, value_name = "NAME[:KEY=VALUE,...]")]
    pub policy: Option<String>,
    /// Seed; replaces the one of the `init` line.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  overdrive completions bash > ~/.local/share/bash-completion/completions/overdrive"
)]
pub struct Completions {
    /// Shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  overdrive man run | man -l -")]
pub struct Man {
    /// Command, for instance `run` or `ml run list`; none = the page of the program.
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write all pages into this folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
