//! Arguments of `replay`.

use clap::{Args, ValueEnum};

/// Direction of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// Larger is better.
    Maximize,
    /// Smaller is better.
    Minimize,
}

/// Arguments of `replay`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  overdrive replay latest\n  overdrive replay latest --policy predictive:false_stops=0.02 --policy asha --slots 8\n  overdrive replay curves.csv --metric val_loss --goal minimize\n\nA CSV file has a column `trial`, its rows in the order of the reports, and either a column called as the metric, or `name` and `value` as\n`overdrive export --what metrics` writes them."
)]
pub struct Replay {
    /// Sweep (id, unique beginning of it, or `latest`), or a CSV file of curves.
    #[arg(value_name = "SWEEP|FILE.csv", default_value = "latest")]
    pub curves: String,
    /// Policy as for `ask-tell`: `median`, `asha:reduction_factor=3`, ...; repeat for several. Default: the sweep's own and one of each.
    #[arg(long, value_name = "NAME[:KEY=VALUE,...]")]
    pub policy: Vec<String>,
    /// Metric in a CSV file; default: the only one.
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
    /// Direction of the metric of a CSV file.
    #[arg(long, value_enum, value_name = "GOAL")]
    pub goal: Option<Direction>,
    /// Trials that run at a time; default: as many as the sweep allowed, 4 for a file.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub slots: Option<u64>,
    /// How many trials count as the best, for what is called a false stop.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub top_k: u64,
    /// Orders of arrival to replay; the first is the recorded one.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub orders: u64,
    /// Seed of the orders.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}
