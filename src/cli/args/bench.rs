//! Arguments of `bench`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  overdrive bench run --optimizer bayesian,tpe --suite configs/bench/core.yml --seeds 0-9 --out results.csv\n  overdrive bench report results.csv --plot results.svg\n  overdrive bench compare before.csv after.csv --margin 0.01"
)]
pub struct Bench {
    /// What to do.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// What `bench` does.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Run optimizers on problems; goes on where a results file ends.
    Run(BenchRun),
    /// Print mean ranks and regrets of results files.
    Report(BenchReport),
    /// Compare two results pair by pair; exit code 1 if the second is worse beyond chance.
    Compare(BenchCompare),
    /// List the problems of a folder.
    Problems(BenchProblems),
    /// Write the learning curves of random configurations of a problem, for `replay`.
    Curves(BenchCurves),
}

/// Arguments of `bench run`.
#[derive(Debug, Args)]
pub struct BenchRun {
    /// Samplers of ours (`bayesian`, `tpe+median`), or `exec:NAME:COMMAND` for any program that speaks the JSON lines of `ask-tell`.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', required = true)]
    pub optimizer: Vec<String>,
    /// Names of problems; replaces those of the suite.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub problems: Vec<String>,
    /// Suite: a YAML file with `problems` and `protocol`.
    #[arg(long, value_name = "FILE", default_value = "configs/bench/core.yml")]
    pub suite: PathBuf,
    /// Protocol: seq, async4, mf; replaces that of the suite.
    #[arg(long, value_name = "NAME")]
    pub protocol: Option<String>,
    /// Seeds: `3`, `0-9`, `0,5,7`.
    #[arg(long, value_name = "SEEDS", default_value = "0-2")]
    pub seeds: String,
    /// Stop at this checkpoint.
    #[arg(long, value_name = "N")]
    pub last: Option<u64>,
    /// Problems on which an earlier sweep is known to the optimizer; those of the problem itself are left out, but for `same`, which is the
    /// problem itself with another seed, and `inverted`, where what is good there is bad here.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub earlier: Vec<String>,
    /// Trials of each earlier sweep (by `tpe`).
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub earlier_trials: u64,
    /// Results file (CSV); runs that are in it are not repeated.
    #[arg(long, short, value_name = "FILE", default_value = "bench.csv")]
    pub out: PathBuf,
    /// Folder of the problems.
    #[arg(long, value_name = "DIR", default_value = "benches/problems")]
    pub data: PathBuf,
}

/// Arguments of `bench report`.
#[derive(Debug, Args)]
pub struct BenchReport {
    /// Results files (CSV).
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Protocol to report.
    #[arg(long, value_name = "NAME", default_value = "seq")]
    pub protocol: String,
    /// Only these optimizers.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub optimizer: Vec<String>,
    /// Only these problems.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub problems: Vec<String>,
    /// Draw the regret over the trials as SVG into this file.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Folder of the problems, for their reference values.
    #[arg(long, value_name = "DIR", default_value = "benches/problems")]
    pub data: PathBuf,
}

/// Arguments of `bench compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  overdrive bench compare before.csv after.csv                       # one optimizer, before and after a change
  overdrive bench compare results.csv --optimizer tpe,bayesian       # two optimizers of one file

Exit codes: 0 the second is not worse, 1 it is worse at a checkpoint by more than the margin, with the whole 95 % interval.")]
pub struct BenchCompare {
    /// Results files (CSV): first, second; or one with both.
    #[arg(value_name = "FILE", required = true, num_args = 1..=2)]
    pub files: Vec<PathBuf>,
    /// The optimizer; or the first and the second.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub optimizer: Vec<String>,
    /// Protocol to compare.
    #[arg(long, value_name = "NAME", default_value = "seq")]
    pub protocol: String,
    /// Only these problems.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub problems: Vec<String>,
    /// Normalized regret by which the second may be worse.
    #[arg(long, value_name = "REGRET", default_value_t = 0.0)]
    pub margin: f64,
    /// Folder of the problems, for their reference values.
    #[arg(long, value_name = "DIR", default_value = "benches/problems")]
    pub data: PathBuf,
}

/// Arguments of `bench problems`.
#[derive(Debug, Args)]
pub struct BenchProblems {
    /// Folder of the problems.
    #[arg(long, value_name = "DIR", default_value = "benches/problems")]
    pub data: PathBuf,
}

/// Arguments of `bench curves`.
#[derive(Debug, Args)]
pub struct BenchCurves {
    /// Problem with curves, as in `bench problems`.
    #[arg(value_name = "PROBLEM")]
    pub problem: String,
    /// Configurations.
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub count: u64,
    /// Seed of the draws.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// CSV file with the columns `trial`, `step`, `value`; default: standard output.
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Folder of the problems.
    #[arg(long, value_name = "DIR", default_value = "benches/problems")]
    pub data: PathBuf,
}
