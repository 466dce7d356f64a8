//! Arguments of the commands that only read.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Arguments of `list`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  overdrive list --last 5 --json
  overdrive list --where 'state:completed best>0.9 lr<0.01 tag:nightly'

In an expression all terms must hold: state:WORD, tag:KEY or tag:KEY=VALUE, comparisons (< <= > >= = !=) of
best, trials, failed, duration in seconds or a parameter of the best trial, and words or \"quoted texts\".")]
pub struct List {
    /// At most this many, newest first; 0 = all.
    #[arg(long, value_name = "N", env = "OVERDRIVE_LIST_LAST", default_value_t = 20)]
    pub last: u64,
    /// Only sweeps that fit, for instance `state:failed best>0.9 tag:nightly "text"`.
    #[arg(long = "where", value_name = "EXPR")]
    pub search: Option<String>,
    /// Only this experiment.
    #[arg(short = 'e', long = "experiment-name", value_name = "NAME")]
    pub experiment: Option<String>,
    /// Only sweeps in this state: Running, Paused, Completed, Failed, Canceled.
    #[arg(long, value_name = "STATE", ignore_case = true,
          value_parser = clap::builder::PossibleValuesParser::new(["Running", "Paused", "CancelRequested", "Completed", "Failed", "Canceled"]))]
    pub state: Option<String>,
    /// Also archived ones.
    #[arg(long)]
    pub all: bool,
    /// Go on where a page ended: its `next` in the JSON.
    #[arg(long, value_name = "NEXT")]
    pub cursor: Option<String>,
}

/// Arguments of `show`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  overdrive show
  overdrive show latest.19
  overdrive show HD_1f --limit 0 --json
  overdrive show --where 'lr<0.01 best>0.9'

Exit codes: 0, 3 unknown sweep or trial.")]
pub struct Show {
    /// Sweep (id, unique beginning of it, `latest`), or trial (`SWEEP.N`, run id, N of the latest sweep).
    #[arg(value_name = "SWEEP|TRIAL", default_value = "latest")]
    pub reference: String,
    /// At most this many trials; 0 = all.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// Order of the trials: best, trial, duration.
    #[arg(long, value_name = "KEY", default_value = "best", value_parser = ["best", "trial", "duration"])]
    pub sort: String,
    /// Only trials in this state.
    #[arg(long, value_name = "STATE", ignore_case = true)]
    pub state: Option<String>,
    /// Only trials that fit, for instance `state:failed lr<0.01 best>0.9 "out of memory"`.
    #[arg(long = "where", value_name = "EXPR")]
    pub search: Option<String>,
    /// Go on where a page ended: its `next` in the JSON.
    #[arg(long, value_name = "NEXT")]
    pub cursor: Option<String>,
}

/// Arguments of `best`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  overdrive best
  python train.py $(overdrive best -q)

`best -q` prints the parameters as one line of arguments.
Exit codes: 0, 3 unknown sweep, 5 no trial reported the metric.")]
pub struct Best {
    /// Sweep: id, unique beginning of it, or `latest`.
    #[arg(value_name = "SWEEP", default_value = "latest")]
    pub sweep: String,
    /// The N best instead of one.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub top: usize,
}

/// Arguments of `why`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  overdrive why 3")]
pub struct Why {
    /// Trial: N of the latest sweep, `SWEEP.N`, a run id, or `best`.
    #[arg(value_name = "TRIAL")]
    pub trial: String,
}

/// Arguments of `logs`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  overdrive logs 3
  overdrive logs 3 --follow")]
pub struct Logs {
    /// Trial: N of the latest sweep, `SWEEP.N`, a run id, or `best`.
    #[arg(value_name = "TRIAL")]
    pub trial: String,
    /// Go on until the trial ends.
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last N lines.
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    /// Attempt; default: the last one.
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
}

/// What to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Value of each trial and best so far.
    Progress,
    /// The metric over the steps of each trial.
    Curves,
    /// Parallel coordinates.
    Parallel,
    /// The value over each parameter.
    Slices,
    /// Which parameters matter (PED-ANOVA).
    Importance,
}

impl Kind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Progress,
        Self::Curves,
        Self::Parallel,
        Self::Slices,
        Self::Importance,
    ];

    /// The word, as typed and as the stem of the default file name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Progress => "progress",
            Self::Curves => "curves",
            Self::Parallel => "parallel",
            Self::Slices => "slices",
            Self::Importance => "importance",
        }
    }
}

/// Colours of a plot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Theme {
    /// Dark on white.
    #[default]
    Light,
    /// Light on black.
    Dark,
}

/// Arguments of `plot`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  overdrive plot                               # every kind as SVG into this folder
  overdrive plot latest -k progress -o best.png")]
pub struct Plot {
    /// Sweep: id, unique beginning of it, or `latest`.
    #[arg(value_name = "SWEEP", default_value = "latest")]
    pub sweep: String,
    /// What to draw; repeat for several; default: everything.
    #[arg(short, long, value_enum, value_name = "KIND")]
    pub kind: Vec<Kind>,
    /// File (.svg or .png) for one kind, folder for several; `-` = standard output (SVG).
    #[arg(short, long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// File type where the name does not say it: svg or png.
    #[arg(long, value_name = "TYPE", env = "OVERDRIVE_PLOT_FORMAT", default_value = "svg", value_parser = ["svg", "png"])]
    pub format: String,
    /// Width in pixels.
    #[arg(long, value_name = "PX", default_value_t = 900, value_parser = clap::value_parser!(u32).range(200..=8000))]
    pub width: u32,
    /// Height in pixels.
    #[arg(long, value_name = "PX", default_value_t = 540, value_parser = clap::value_parser!(u32).range(150..=8000))]
    pub height: u32,
    /// Colours.
    #[arg(
        long,
        value_enum,
        value_name = "THEME",
        env = "OVERDRIVE_PLOT_THEME",
        default_value_t
    )]
    pub theme: Theme,
    /// Logarithmic axis of the metric.
    #[arg(long)]
    pub log: bool,
}

/// What to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// One row per trial.
    #[default]
    Trials,
    /// One row per reported point of every metric.
    Metrics,
}

/// File format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// One JSON document.
    Json,
    /// Apache Parquet.
    Parquet,
}

/// Arguments of `export`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  overdrive export > trials.csv
  overdrive export latest --what metrics -o metrics.parquet")]
pub struct Export {
    /// Sweep: id, unique beginning of it, or `latest`.
    #[arg(value_name = "SWEEP", default_value = "latest")]
    pub sweep: String,
    /// What to write.
    #[arg(long, value_enum, value_name = "ROWS", default_value_t)]
    pub what: What,
    /// File format; default: by the name of the file, else CSV.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// File; default: standard output.
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `studio`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  overdrive studio
  overdrive studio --link            # another link to the studio that is running
  overdrive studio --host 10.0.0.5   # for other computers, encrypted
  overdrive studio --socket s.sock   # for `ssh -L 8712:$PWD/s.sock HOST`

The address that is printed signs one browser in. Ctrl-C ends the studio; sweeps go on.")]
pub struct Studio {
    /// Port; default: 8712 or the next free one. 0 = any.
    #[arg(long, value_name = "N", env = "OVERDRIVE_STUDIO_PORT")]
    pub port: Option<u16>,
    /// Address to listen on; default: this computer only. One that the network reaches is encrypted.
    #[arg(long, value_name = "IP", env = "OVERDRIVE_STUDIO_HOST")]
    pub host: Option<std::net::IpAddr>,
    /// Listen on a socket in the file system (mode 0600) instead, for ssh to forward.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["tls", "tls_cert", "insecure", "name"])]
    pub socket: Option<PathBuf>,
    /// Certificate chain (PEM) for TLS; default: one made at first use, whose fingerprint is printed.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Encrypt on this computer, too.
    #[arg(long)]
    pub tls: bool,
    /// Another name, as its certificate says, under which browsers come: NAME or NAME:PORT; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub name: Vec<String>,
    /// Encrypt nothing, not even at an address that the network reaches.
    #[arg(long, conflicts_with_all = ["tls", "tls_cert"])]
    pub insecure: bool,
    /// Print a new link to the studio that is running, and end.
    #[arg(long)]
    pub link: bool,
    /// Nothing can be changed from the page.
    #[arg(long)]
    pub read_only: bool,
}
