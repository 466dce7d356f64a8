//! What a runner tells: the payloads of the journal's frames.

use serde::{Deserialize, Serialize};

/// Through which door a number came. The order is the precedence: a name that has a point from one class ignores lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The azureml shim.
    Azureml,
    /// The MLflow tracking endpoint.
    Mlflow,
    /// The report file, written by anyone.
    Report,
    /// Strict markers on standard output.
    Marker,
    /// NNI and hypertune files.
    Foreign,
    /// Text of a real `azureml-core` offline run.
    Offline,
    /// `name=value` and JSON lines on standard output.
    Text,
    /// TensorBoard event files, `metrics.csv`, W&B files; read at the end.
    Scan,
}

/// How the script ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Signal, if one ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// `cancel` if a cancel request ended it, `terminated` if TERM or INT to the runner did, `timeout` if its time limit did, `abandoned` if it was frozen and nobody asked for it any more, `oom` if the kernel's memory killer did, `runner_lost` never (that is proof by others).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// Milliseconds from `Started` to the end, without those that it was frozen.
    pub duration_ms: u64,
    /// Peak resident memory of the tree in bytes, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rss: Option<u64>,
    /// CPU seconds of the tree, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_s: Option<f64>,
    /// Last lines of the captured output (at most 20, each at most 500 characters).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<String>,
    /// Processes of the tree that could not be ended (in uninterruptible sleep).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub survivors: Vec<i32>,
}

/// One entry of the journal. `at_ms` is milliseconds since the claim on the runner's boot clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// This runner owns the attempt. Always the first entry.
    Claimed {
        /// Host name.
        host: String,
        /// Boot id of the host.
        boot_id: String,
        /// Runner's process id.
        pid: i32,
        /// Its start time in clock ticks since boot.
        start_ticks: u64,
        /// Wall clock in milliseconds since the epoch.
        wall_ms: i64,
        /// Version of the runner.
        version: String,
    },
    /// The script was started.
    Started {
        /// Script's process id.
        pid: i32,
        /// Its start time in clock ticks since boot.
        start_ticks: u64,
        /// The whole argument list.
        argv: Vec<String>,
        /// Milliseconds since the claim.
        at_ms: u64,
    },
    /// A number was reported.
    Metric {
        /// Name.
        name: String,
        /// Value.
        #[serde(with = "crate::metric::number")]
        value: f64,
        /// Step as given by the script.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<i64>,
        /// Door it came through.
        channel: Channel,
        /// Milliseconds since `Started`.
        at_ms: u64,
    },
    /// A parameter, tag or property that the script set.
    Fact {
        /// `param`, `tag`, `property`, `status`.
        kind: String,
        /// Key.
        key: String,
        /// Value.
        value: String,
    },
    /// A file, image or table that the script handed over; kept under the attempt's folder.
    Artifact {
        /// `file`, `image`, `table`, `text`, `model`.
        kind: String,
        /// Name by the script.
        name: String,
        /// Path relative to the attempt's folder.
        path: String,
    },
    /// Something worth telling people.
    Warning {
        /// Stable slug: `log-capped`, `shadowed-metric`, `metric-near-miss`, ...
        code: String,
        /// One sentence.
        message: String,
    },
    /// The script could not be started.
    NotStarted {
        /// `setup` (the user's files) or `infrastructure`.
        class: String,
        /// One sentence.
        reason: String,
    },
    /// The script's whole tree is stopped (SIGSTOP), as was asked for. What it reported before may still follow.
    Frozen {
        /// Milliseconds since `Started`, without those that it was frozen.
        at_ms: u64,
        /// Memory that the tree holds, in bytes.
        resident: u64,
        /// Memory of the machine, in bytes; 0 if that is not known.
        machine: u64,
        /// Host name.
        host: String,
    },
    /// The tree goes on.
    Thawed {
        /// Milliseconds since `Started`, without those that it was frozen.
        at_ms: u64,
        /// How long it was frozen, milliseconds.
        frozen_ms: u64,
    },
    /// It was asked for and cannot be.
    NotFrozen {
        /// One sentence.
        reason: String,
    },
    /// The script and its tree have ended; the slot is free.
    Exited(Exit),
    /// Nothing follows.
    Sealed,
}
