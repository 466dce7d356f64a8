//! `spec.json`: everything a runner needs, written (tmp + rename) before it is started.
//!
//! Layout of an attempt's folder: `spec.json`, `claim`, `journal`, `cancel` (exists = cancel was asked),
//! `freeze` (exists = it is to be frozen; written anew now and then as long as somebody wants it), `wd/` (working folder
//! with `outputs/` and `logs/`), `azureml-logs/70_driver_log.txt` (captured output), `user_logs/std_log.txt` (link to it),
//! `artifacts/`, `report.jsonl`, `named_outputs/`.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a runner rings the doorbell with: its journal has grown. Whoever wants something else rings with another byte.
pub const TOLD: u8 = 1;

/// Name of the file in an attempt's folder by which a freeze is asked for.
pub const FREEZE: &str = "freeze";

/// How long a frozen script waits for a word of whoever froze it, in milliseconds: a day.
pub fn frozen_patience_ms() -> u64 {
    24 * 3_600_000
}

/// How the processes of one trial find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// They need not.
    Plain,
    /// `mpirun` starts them.
    Mpi,
    /// By `MASTER_ADDR`, `MASTER_PORT`, `RANK`, `WORLD_SIZE` (PyTorch and what follows it).
    Torch,
    /// By `TF_CONFIG`: workers, then parameter servers.
    Tensorflow,
}

/// A trial of several processes, perhaps on several nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How they find each other.
    pub kind: GroupKind,
    /// Nodes, 1 or more.
    pub nodes: u32,
    /// Processes on each node, 1 or more; of `Tensorflow` see the next two.
    pub processes_per_node: u32,
    /// Workers in all, only of `Tensorflow`.
    #[serde(default)]
    pub workers: u32,
    /// Parameter servers in all, only of `Tensorflow`.
    #[serde(default)]
    pub parameter_servers: u32,
}

impl Group {
    /// Processes in all, 1 or more.
    pub fn processes(&self) -> u32 {
        match self.kind {
            GroupKind::Tensorflow => self.workers.saturating_add(self.parameter_servers),
            _ => self.nodes.saturating_mul(self.processes_per_node),
        }
        .max(1)
    }
}

/// Input of the runner. Paths are absolute on the machine of the runner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptSpec {
    /// Sweep id (`HD_...`) or run id of a single run.
    pub sweep: String,
    /// Experiment name.
    pub experiment: String,
    /// Trial number.
    pub trial: u64,
    /// Run id shown to the script: `<sweep>_<trial>`.
    pub run_id: String,
    /// Attempt, from 0.
    pub attempt: u32,
    /// Random text; part of the folder's name and of the cookie in the process environment.
    pub nonce: String,
    /// Command and arguments; never through a shell unless the user's template needs one (then `["/bin/sh", "-c", ...]`).
    pub argv: Vec<String>,
    /// Start `argv` as this many processes.
    #[serde(default)]
    pub group: Option<Group>,
    /// Variables to set on top of the runner's own environment, in order.
    pub env: IndexMap<String, String>,
    /// The container in which the command runs; `None` = on the machine itself.
    #[serde(default)]
    pub container: Option<crate::container::Container>,
    /// Folders to put first on `PATH` (the environment's `bin`).
    #[serde(default)]
    pub path_prepend: Vec<PathBuf>,
    /// Snapshot folder whose content becomes the working folder (reflink, hard link of read-only files or copy); `None` = empty.
    #[serde(default)]
    pub snapshot: Option<PathBuf>,
    /// Run in this folder instead of `wd/` (`--in-place`).
    #[serde(default)]
    pub in_place: Option<PathBuf>,
    /// v2 named outputs to create under `named_outputs/`.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// Hard limit of the script in milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// From TERM to KILL.
    pub grace_ms: u64,
    /// How long the script stays frozen while nobody renews that, in milliseconds; then it is ended.
    #[serde(default = "frozen_patience_ms")]
    pub frozen_patience_ms: u64,
    /// Primary metric, if any.
    #[serde(default)]
    pub primary_metric: Option<String>,
    /// All names to look for in plain output (the primary included).
    #[serde(default)]
    pub metric_names: Vec<String>,
    /// The trial's parameters, for `OVERDRIVE_PARAMS`.
    pub parameters: IndexMap<String, crate::space::Value>,
    /// Data bindings for the shim's `input_datasets`: name -> path.
    #[serde(default)]
    pub inputs: IndexMap<String, String>,
    /// Unix datagram socket to ring after each append to the journal; best effort.
    #[serde(default)]
    pub doorbell: Option<PathBuf>,
    /// Largest captured log in bytes (first and last half are kept beyond it).
    pub log_cap_bytes: u64,
    /// Set `PYTHONPATH` so that `azureml` is ours.
    pub shim: bool,
    /// Offer the MLflow endpoint.
    pub mlflow: bool,
    /// A run that an MLflow client starts without a parent is a child of the trial, not the trial itself.
    #[serde(default)]
    pub mlflow_children: bool,
    /// Key under which the sweep keeps registered models and datasets (a folder).
    #[serde(default)]
    pub registry: Option<PathBuf>,
}
