//! What readers get: plain rows, serialised the same way by the CLI's `--json` and the studio's API.

use crate::controller::{Outcome, SweepState};
use crate::history::{CancelCause, TrialState};
use crate::metric::{Goal, number};
use crate::policy::Stop;
use crate::sampler::Origin;
use crate::space::Value;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// One sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct SweepRow {
    /// `HD_<guid>` (or the run id of a single run).
    pub sweep: String,
    /// Experiment name.
    pub experiment: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// State.
    pub state: SweepState,
    /// Why it is in that state, in words.
    pub reason: Option<String>,
    /// Primary metric name.
    pub metric: Option<String>,
    /// Direction.
    pub goal: Option<Goal>,
    /// File it was run from.
    pub file: Option<String>,
    /// Folder that holds its trials.
    pub folder: String,
    /// Names of its targets.
    pub targets: Vec<String>,
    /// Limits now in force.
    pub max_total_runs: u64,
    /// Limits now in force.
    pub max_concurrent_runs: u64,
    /// Limits now in force, minutes.
    pub max_duration_minutes: Option<f64>,
    /// Wall clock, ISO 8601 UTC.
    pub created: String,
    /// Wall clock, ISO 8601 UTC.
    pub ended: Option<String>,
    /// Milliseconds from creation to end, or to now.
    pub duration_ms: u64,
    /// Trials by state word.
    pub trials: IndexMap<String, u64>,
    /// How many of the canceled were stopped by the policy.
    pub stopped_by_policy: u64,
    /// Best trial.
    pub best: Option<Best>,
    /// User's tags.
    pub tags: IndexMap<String, String>,
    /// User's notes.
    pub notes: Option<String>,
    /// Hidden from lists.
    pub archived: bool,
}

/// The best trial of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Best {
    /// Trial number.
    pub trial: u64,
    /// Its best value.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub value: f64,
    /// Step (as the script gave it, else the interval - 1) at which it came.
    pub step: Option<i64>,
    /// Parameters by their names as declared.
    pub parameters: IndexMap<String, Value>,
}

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct TrialRow {
    /// Number.
    pub trial: u64,
    /// `<sweep>_<trial>`.
    pub run_id: String,
    /// State.
    pub state: TrialState,
    /// Who cancelled it.
    pub cause: Option<CancelCause>,
    /// One line for people.
    pub reason: Option<String>,
    /// Parameters by their names as declared.
    pub parameters: IndexMap<String, Value>,
    /// Best value of the primary metric.
    #[serde(default)]
    pub best: Option<f64>,
    /// Interval of the best value (1-based).
    pub best_interval: Option<u64>,
    /// Last value of the primary metric (finite or not).
    pub last: Option<MetricPoint>,
    /// Number of accepted reports of the primary metric.
    pub reports: u64,
    /// Attempts so far.
    pub attempts: u32,
    /// Wall clock, ISO 8601 UTC.
    pub created: String,
    /// Wall clock, ISO 8601 UTC.
    pub started: Option<String>,
    /// Wall clock, ISO 8601 UTC.
    pub ended: Option<String>,
    /// Milliseconds from start to end, or to now.
    pub duration_ms: Option<u64>,
    /// The policy's decision, if it stopped the trial.
    pub stop: Option<Stop>,
    /// Where the configuration came from.
    pub origin: Origin,
    /// Folder of the latest attempt.
    pub folder: Option<String>,
    /// Target of the latest attempt.
    pub target: Option<String>,
}

/// One attempt of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct AttemptRow {
    /// Trial number.
    pub trial: u64,
    /// Attempt number.
    pub attempt: u32,
    /// Folder.
    pub folder: String,
    /// Target.
    pub target: String,
    /// Random text of the folder's name.
    pub nonce: String,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whether a later attempt replaced it.
    pub superseded: bool,
    /// Argument list, once started.
    pub argv: Option<Vec<String>>,
}

/// One point of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct MetricPoint {
    /// 0-based count of points of that metric by the trial.
    pub seq: u64,
    /// Step: as given, else `seq`.
    pub step: i64,
    /// Milliseconds since the start of the attempt.
    pub elapsed_ms: u64,
    /// Value.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub value: f64,
}

/// One line of a sweep's event log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct EventRow {
    /// Position, growing by one over the store.
    pub seq: u64,
    /// Sweep id.
    pub sweep: String,
    /// Wall clock, ISO 8601 UTC.
    pub time: String,
    /// Record kind (`trial_created`, `trial_state`, `stopped`, ...).
    #[serde(rename = "type")]
    pub kind: String,
    /// Trial, if it is about one.
    pub trial: Option<u64>,
    /// The record.
    pub data: serde_json::Value,
}

/// One metric name of a sweep or a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct MetricSummary {
    /// Name as the script gave it.
    pub name: String,
    /// Trials that reported it.
    pub trials: u64,
    /// Points in all, those of superseded attempts included.
    pub points: u64,
}

/// A parameter, tag or property that a script set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct FactRow {
    /// `param`, `tag`, `property`, `status`.
    pub kind: String,
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}

/// A file that a script handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ArtifactRow {
    /// Attempt.
    pub attempt: u32,
    /// `file`, `image`, `table`, `text`, `model`.
    pub kind: String,
    /// Name by the script.
    pub name: String,
    /// Path relative to the attempt's folder.
    pub path: String,
}
