//! What is settled once per sweep about how its trials are started; stored with the sweep, so that a resumed one starts them the
//! same way.

use super::launch::group;
use crate::config::{EnvironmentSpec, Experiment, Launch};
use crate::container::Container;
use crate::target::{Data, Luggage};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// From TERM to KILL, milliseconds.
pub const GRACE_MS: u64 = 30_000;

/// Largest captured log of an attempt, bytes.
pub const LOG_CAP_BYTES: u64 = 1 << 30;

/// Snapshot, environment and options of all trials of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// Folder of the snapshot; `None` = trials start in an empty folder.
    #[serde(default)]
    pub snapshot: Option<PathBuf>,
    /// Content address of the snapshot.
    #[serde(default)]
    pub snapshot_id: Option<String>,
    /// Run trials in this folder instead of copies of a snapshot.
    #[serde(default)]
    pub in_place: Option<PathBuf>,
    /// Arguments that start the environment's Python; empty = what the files name.
    #[serde(default)]
    pub interpreter: Vec<String>,
    /// The container in which scripts run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Folders to put first on `PATH`.
    #[serde(default)]
    pub path_prepend: Vec<PathBuf>,
    /// Variables of the environment (`VIRTUAL_ENV`), below the user's.
    #[serde(default)]
    pub variables: IndexMap<String, String>,
    /// Offer overdrive's own `azureml` module.
    pub shim: bool,
    /// Offer the MLflow endpoint.
    pub mlflow: bool,
    /// MLflow runs without a parent are children of the trial.
    #[serde(default)]
    pub mlflow_children: bool,
    /// From TERM to KILL, milliseconds.
    pub grace_ms: u64,
    /// Largest captured log in bytes.
    pub log_cap_bytes: u64,
    /// Data bindings that are paths of this machine, where targets elsewhere need them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<Data>,
    /// Facts about the source for records: git commit, branch, whether it was dirty.
    #[serde(default)]
    pub facts: IndexMap<String, String>,
}

impl Preparation {
    /// What trials of the sweep need wherever they run.
    pub fn luggage(&self, sweep: &str, experiment: &Experiment) -> Luggage {
        let launch = &experiment.launch;
        Luggage {
            sweep: sweep.to_owned(),
            snapshot: self.snapshot_id.clone().zip(self.snapshot.clone()),
            data: self.data.clone(),
            environment: (launch.starts_python()
                || matches!(launch.environment, EnvironmentSpec::Docker { .. }))
            .then(|| environment_of(launch).0.clone()),
        }
    }
}

/// The environment that trials run in, and whether a container was left out of it: the processes of a trial of several are started
/// side by side, and a container holds one.
pub fn environment_of(launch: &Launch) -> (&EnvironmentSpec, bool) {
    match &launch.environment {
        EnvironmentSpec::Docker { inner, .. } if group(launch).is_some() => (inner, true),
        environment => (environment, false),
    }
}

impl Default for Preparation {
    fn default() -> Self {
        Self {
            snapshot: None,
            snapshot_id: None,
            in_place: None,
            interpreter: Vec::new(),
            container: None,
            path_prepend: Vec::new(),
            variables: IndexMap::new(),
            shim: true,
            mlflow: true,
            mlflow_children: false,
            grace_ms: GRACE_MS,
            log_cap_bytes: LOG_CAP_BYTES,
            data: Vec::new(),
            facts: IndexMap::new(),
        }
    }
}
