//! From a decision to start an attempt to its `spec.json`.

use super::preparation::Preparation;
use crate::config::launch::{LaunchContext, LaunchError, plan};
use crate::config::{Dialect, Experiment, Launch};
use crate::runner::spec::frozen_patience_ms;
use crate::runner::{AttemptSpec, Group, GroupKind};
use crate::space::Assignment;
use crate::target::{AttemptRef, ComputeTarget, Site};
use indexmap::IndexMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Label of the workspace; the shim's stand-in has the same.
const WORKSPACE: &str = "overdrive-local";

/// What all attempts of a sweep have in common.
pub(super) struct Launcher {
    pub(super) sweep: String,
    pub(super) experiment: Experiment,
    pub(super) preparation: Preparation,
    /// The sweep's folder.
    pub(super) folder: PathBuf,
    /// Where runners ring.
    pub(super) doorbell: PathBuf,
}

impl Launcher {
    /// The folder of an attempt that is about to be created.
    pub(super) fn folder_of(&self, trial: u64, attempt: u32, nonce: &str) -> PathBuf {
        self.folder
            .join("trials")
            .join(trial.to_string())
            .join(format!("{attempt}-{nonce}"))
    }

    /// After how many minutes without contact a trial is given up, if ever.
    pub(super) fn lost_contact_minutes(&self) -> Option<u64> {
        self.experiment.extensions.get("lost_contact_minutes")?.as_u64()
    }

    /// Whether a trial can be frozen, wherever it runs: not where it is more than the processes below its runner, or where several
    /// wait for each other.
    pub(super) fn can_freeze(&self) -> bool {
        can_freeze(&self.experiment) && self.preparation.container.is_none()
    }

    /// Run id that scripts see: the sweep's own for single runs.
    fn run_id(&self, trial: u64) -> String {
        match self.experiment.dialect {
            Dialect::CommandJob | Dialect::ScriptRun => self.sweep.clone(),
            Dialect::Hyperdrive | Dialect::SweepJob => format!("{}_{trial}", self.sweep),
        }
    }

    /// Everything that the runner of an attempt needs.
    ///
    /// # Errors
    /// [`LaunchError`] if the experiment gives no command for these values.
    pub(super) fn spec(
        &self,
        attempt: &AttemptRef,
        nonce: &str,
        assignment: &Assignment,
        (site, target): (Option<Site>, &dyn ComputeTarget),
    ) -> Result<AttemptSpec, LaunchError> {
        let site = site.unwrap_or_else(|| self.here(attempt, target.kind()));
        let run_id = self.run_id(attempt.trial);
        let launch = &self.experiment.launch;
        let context = LaunchContext {
            sweep: self.sweep.clone(),
            run_id: run_id.clone(),
            trial: attempt.trial,
            attempt: attempt.attempt,
            interpreter: site.interpreter,
            attempt_folder: site.folder,
            data: site.data,
            workspace: WORKSPACE.into(),
            target_type: site.kind.into(),
            shim: self.preparation.shim,
            spark: target.spark().unwrap_or_default(),
        };
        let plan = plan(&self.experiment, assignment, &context)?;
        let mut env = site.variables;
        env.extend(plan.env);
        let primary = self.experiment.metric.as_ref().map(|metric| metric.name.clone());
        let mut metric_names: Vec<String> = primary.iter().cloned().collect();
        metric_names.extend(
            self.experiment
                .metrics
                .iter()
                .filter(|name| Some(*name) != primary.as_ref())
                .cloned(),
        );
        Ok(AttemptSpec {
            sweep: self.sweep.clone(),
            experiment: self.experiment.name.clone(),
            trial: attempt.trial,
            run_id,
            attempt: attempt.attempt,
            nonce: nonce.to_owned(),
            argv: plan.argv,
            group: group(launch),
            env,
            container: site.container,
            path_prepend: site.path_prepend,
            snapshot: site.snapshot,
            in_place: self.preparation.in_place.clone(),
            outputs: launch.outputs.clone(),
            timeout_ms: launch.trial_timeout_ms,
            grace_ms: self.preparation.grace_ms,
            frozen_patience_ms: frozen_patience_ms(),
            primary_metric: primary,
            metric_names,
            parameters: plan.parameters,
            inputs: plan.inputs,
            doorbell: site.doorbell,
            log_cap_bytes: self.preparation.log_cap_bytes,
            shim: self.preparation.shim,
            mlflow: self.preparation.mlflow,
            mlflow_children: self.preparation.mlflow_children,
            registry: site.registry,
        })
    }

    /// An attempt on this machine.
    fn here(&self, attempt: &AttemptRef, kind: &'static str) -> Site {
        let preparation = &self.preparation;
        Site {
            kind,
            folder: attempt.folder.clone(),
            snapshot: preparation.snapshot.clone(),
            interpreter: preparation.interpreter.clone(),
            container: preparation.container.clone(),
            path_prepend: preparation.path_prepend.clone(),
            variables: preparation.variables.clone(),
            doorbell: Some(self.doorbell.clone()),
            registry: Some(self.folder.join("registry")),
            data: IndexMap::new(),
        }
    }
}

/// Whether trials are no more than the processes below their runners, none of which waits for others.
pub(super) fn can_freeze(experiment: &Experiment) -> bool {
    let launch = &experiment.launch;
    let several = group(launch).is_some_and(|group| group.processes() > 1);
    !several && launch.framework != "pyspark" && launch.communicator != "ray"
}

/// The processes of a trial, if the files ask for more than one script that knows of no other.
pub(super) fn group(launch: &Launch) -> Option<Group> {
    let communicator = launch.communicator.as_str();
    let kind = match (launch.framework.as_str(), communicator) {
        ("pyspark", _) | (_, "ray") => return None,
        (_, "nccl" | "gloo") => GroupKind::Torch,
        (_, "parameterserver") => GroupKind::Tensorflow,
        (_, mpi) if mpi.contains("mpi") => GroupKind::Mpi,
        ("pytorch", _) => GroupKind::Torch,
        _ => GroupKind::Plain,
    };
    let count = |keys: [&str; 2]| {
        let section = ["/tensorflow", "/trial/distribution", "/distribution"];
        section.into_iter().find_map(|section| {
            let section = launch.run_definition.pointer(section)?;
            let value = keys.into_iter().find_map(|key| section.get(key)?.as_u64())?;
            u32::try_from(value).ok()
        })
    };
    let nodes = launch.node_count.max(1);
    let (workers, parameter_servers) = match kind {
        GroupKind::Tensorflow => (
            count(["workerCount", "worker_count"]).unwrap_or(nodes).max(1),
            count(["parameterServerCount", "parameter_server_count"]).unwrap_or(0),
        ),
        _ => (0, 0),
    };
    let group = Group {
        kind,
        nodes,
        processes_per_node: launch.process_count_per_node.max(1),
        workers,
        parameter_servers,
    };
    // One process of PyTorch or TensorFlow may still ask for its place.
    let alone = group.processes() == 1;
    let asks = matches!(communicator, "nccl" | "gloo" | "parameterserver");
    (!alone || asks).then_some(group)
}

/// Makes the attempt's folder and puts its `spec.json` there whole. No sync: a kill loses nothing, and after a power cut an
/// attempt is not gone on with.
///
/// # Errors
/// The system's.
pub(super) fn write_spec(folder: &Path, spec: &AttemptSpec) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let text = serde_json::to_vec(spec)?;
    let draft = folder.join("spec.json.tmp");
    fs::write(&draft, text)?;
    fs::rename(&draft, folder.join("spec.json"))
}
