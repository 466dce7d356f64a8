//! From the names of an experiment's targets to what the engine starts trials with.

use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::cli::settings;
use crate::config::Experiment;
use crate::report::text;
use crate::target::kind::{Connection, Settings, SettingsError, Surroundings, Wanted};
use crate::target::kubernetes::KubernetesOptions;
use crate::target::pool::{Machine, Pool, PoolError, Priority};
use crate::target::registry::{Registry, RegistryError};
use crate::target::slurm::SlurmOptions;
use crate::target::{ComputeTarget, LocalOptions, Luggage, TargetError};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Targets of one sweep.
#[derive(Default)]
pub(super) struct Targets {
    /// The target `local`, if it is named.
    pub(super) local: Option<LocalOptions>,
    /// Pools of this computer.
    pub(super) pools: Vec<LocalOptions>,
    /// Those that the engine takes as they are.
    pub(super) others: Vec<Arc<dyn ComputeTarget>>,
    /// Price of a slot for an hour, of those whose file says so.
    pub(super) costs: HashMap<String, f64>,
}

impl Targets {
    /// Whether trials see the files of this computer, so that their environment is needed here.
    pub(super) fn any_here(&self) -> bool {
        self.local.is_some()
            || !self.pools.is_empty()
            || self.others.iter().any(|target| target.shares_files())
    }

    /// Whether what trials need must be brought somewhere.
    pub(super) fn any_elsewhere(&self) -> bool {
        self.others.iter().any(|target| !target.shares_files())
    }

    /// Waits until those elsewhere can start trials. Of several, one that cannot be reached or made ready is only told of: it is tried
    /// again while the sweep goes on with the others.
    ///
    /// # Errors
    /// The first that cannot be reached or made ready, if no other target is left.
    pub(super) fn make_ready(&self, luggage: &Luggage, output: &Output) -> Result<(), CliError> {
        let elsewhere = || self.others.iter().filter(|target| !target.shares_files());
        // All begin before one is waited for.
        for target in elsewhere() {
            target.equip(luggage);
        }
        let mut left = self.pools.len() + self.others.len() + usize::from(self.local.is_some());
        for target in elsewhere() {
            let name = text::printable(target.name());
            let ready = target.ready(&mut |line| output.note(&format!("{name}: {}", text::printable(line))));
            if let Err(error) = ready {
                left -= 1;
                if left == 0 {
                    return Err(error.into());
                }
                output.note(&format!(
                    "warning: {}; the sweep begins without it",
                    text::printable(&error.to_string())
                ));
            }
        }
        Ok(())
    }

    /// Adds a target that was connected to.
    fn add(&mut self, connection: Connection, output: Option<&Output>) {
        match connection {
            Connection::Here { options, note } => {
                if let (Some(output), Some(note)) = (output, note) {
                    output.note(&format!("note: {}", text::printable(&note)));
                }
                self.pools.push(*options);
            }
            Connection::Target(target) => self.others.push(target),
        }
    }
}

impl From<TargetError> for CliError {
    fn from(error: TargetError) -> Self {
        let message = text::printable(&error.to_string());
        match error {
            TargetError::Refused { target, .. } => Self::new(exit::UNREACHABLE, "target-refused", message)
                .help(format!(
                    "`overdrive target test {}` looks at each step",
                    text::printable(&target)
                )),
            TargetError::Unreachable { target, .. } => {
                Self::new(exit::UNREACHABLE, "target-unreachable", message).help(format!(
                    "`overdrive target test {}` looks at each step",
                    text::printable(&target)
                ))
            }
            TargetError::Exhausted { .. } => Self::failed("target-exhausted", message),
        }
    }
}

impl From<SettingsError> for CliError {
    fn from(error: SettingsError) -> Self {
        let told = Self::usage(error.code, text::printable(&error.message));
        error
            .help
            .iter()
            .fold(told, |told, help| told.help(text::printable(help)))
    }
}

impl From<PoolError> for CliError {
    fn from(error: PoolError) -> Self {
        SettingsError::from(error).into()
    }
}

impl From<RegistryError> for CliError {
    fn from(error: RegistryError) -> Self {
        let message = text::printable(&error.to_string());
        match error {
            RegistryError::NotFound { near, .. } => Self::not_found("unknown-target", message)
                .help(near.map_or_else(
                || {
                    "`overdrive target list` shows those there are; `local` is this computer:  --target local"
                        .to_owned()
                },
                |near| format!("did you mean `{near}`?"),
            )),
            RegistryError::Settings(error) => error.into(),
            RegistryError::Section(_) | RegistryError::Cost(_) => Self::usage("target-file", message),
            RegistryError::Reserved(_) => {
                Self::usage("reserved-name", message).help("`local` is this computer and always there")
            }
            RegistryError::Name(_) => Self::usage("target-name", message),
            RegistryError::Exists { .. } => Self::failed("target-exists", message),
            RegistryError::Malformed { .. } => Self::usage("target-file", message),
            RegistryError::File { .. } => Self::failed("target-file", message),
        }
    }
}

/// The registry of a state folder.
pub(super) fn registry(home: &Path) -> Registry {
    Registry::new(home, settings::configuration_folder().as_deref())
}

/// Where secrets and accepted host keys are kept: the user's configuration, else the state folder.
pub(super) fn private_folder(home: &Path) -> PathBuf {
    settings::configuration_folder().map_or_else(|| home.to_owned(), |folder| folder.join("overdrive"))
}

/// What surrounds the targets of a state folder.
pub(super) fn surroundings(home: &Path) -> Surroundings {
    Surroundings {
        home: home.to_owned(),
        private: private_folder(home),
        program: std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into()),
        machine: Machine::here(),
    }
}

/// The name as the registry knows it.
pub(super) fn bare(name: &str) -> &str {
    name.strip_prefix("azureml:").unwrap_or(name)
}

/// For which sweep a target of this name is wanted.
fn wanted<'a>(name: &'a str, experiment: &Experiment) -> Wanted<'a> {
    Wanted {
        name,
        node_count: experiment.launch.node_count.max(1),
        max_concurrent: experiment.limits.max_concurrent,
    }
}

/// Every target that the experiment names; a note for each pool that this computer cannot hold whole.
///
/// # Errors
/// A name that is not known, a target that cannot be.
pub(super) fn of(experiment: &Experiment, home: &Path, output: &Output) -> Result<Targets, CliError> {
    let registry = registry(home);
    let surroundings = surroundings(home);
    let mut targets = Targets::default();
    for name in &experiment.targets {
        let settings: Box<dyn Settings> = match bare(name) {
            this if this.eq_ignore_ascii_case("local") => {
                targets.local = Some(LocalOptions {
                    name: name.clone(),
                    devices: surroundings.machine.devices.clone(),
                    ..LocalOptions::default()
                });
                continue;
            }
            made if made.eq_ignore_ascii_case("amlcompute") => Box::new(throw_away(experiment, &registry)?),
            known => {
                let definition = registry.get(known)?.definition;
                if let Some(cost) = definition.cost_per_hour {
                    targets.costs.insert(name.clone(), cost);
                }
                definition.settings
            }
        };
        let connection = settings.connect(wanted(name, experiment), &surroundings)?;
        targets.add(connection, Some(output));
    }
    Ok(targets)
}

/// The same targets for a sweep whose trials are only to be ended: what is here needs no more than its name.
pub(super) fn to_end(experiment: &Experiment, home: &Path) -> Targets {
    let registry = registry(home);
    let surroundings = surroundings(home);
    let mut targets = Targets::default();
    for name in &experiment.targets {
        let settings: Option<Box<dyn Settings>> = if bare(name).eq_ignore_ascii_case("amlcompute") {
            let pool = throw_away(experiment, &registry).ok();
            pool.map(|pool| Box::new(pool) as Box<dyn Settings>)
        } else {
            registry
                .get(bare(name))
                .ok()
                .map(|found| found.definition.settings)
        };
        let connection = settings
            .and_then(|settings| settings.connect(wanted(name, experiment), &surroundings).ok())
            // One whose file is gone.
            .unwrap_or_else(|| Connection::Here {
                options: Box::new(LocalOptions {
                    name: name.clone(),
                    ..LocalOptions::default()
                }),
                note: None,
            });
        targets.add(connection, None);
    }
    targets
}

/// Options of an attached cluster of which a pool may be made; `key` is where it was named.
///
/// # Errors
/// It is not known, or no such cluster.
pub(super) fn cluster(name: &str, registry: &Registry, key: &str) -> Result<Cluster, CliError> {
    let definition = registry.get(bare(name))?.definition;
    let (slurm, kubernetes) = (
        definition.of::<SlurmOptions>().cloned(),
        definition.of::<KubernetesOptions>().cloned(),
    );
    if slurm.is_none() && kubernetes.is_none() {
        let kind = definition.kind.word;
        return Err(CliError::usage(
            "pool-cluster",
            format!("`{key}` names `{name}`, which is of type `{kind}`: a pool is made of a cluster's nodes"),
        )
        .help("`overdrive target attach slurm -n NAME` or `attach kubernetes` makes one known"));
    }
    Ok((slurm, kubernetes))
}

/// One of both.
type Cluster = (Option<SlurmOptions>, Option<KubernetesOptions>);

/// `target: amlcompute`: a pool for this sweep alone, as large as the sweep can use. On this computer there is nothing to give back; on
/// the cluster that `amlcompute_on` names its nodes are jobs that take one trial after the other and end when there are none.
fn throw_away(experiment: &Experiment, registry: &Registry) -> Result<Pool, CliError> {
    let section = experiment.launch.run_definition.get("amlcompute");
    let given = |key: &str| section.and_then(|section| section.get(key));
    let size = given("vmSize")
        .and_then(serde_json::Value::as_str)
        .filter(|size| !size.is_empty());
    let Some(size) = size else {
        return Err(CliError::usage(
            "missing-vm-size",
            "`target: amlcompute` makes machines for this run, and their size is not given",
        )
        .help("write  amlcompute: {vmSize: STANDARD_D2_V2}  in the run configuration")
        .help("or name a pool that `overdrive target create amlcompute` made, or `local`"));
    };
    let nodes = u64::from(experiment.launch.node_count.max(1));
    let on = experiment
        .extensions
        .get("amlcompute_on")
        .and_then(serde_json::Value::as_str);
    let (slurm, kubernetes) = match on {
        None => (None, None),
        Some(name) => cluster(name, registry, "amlcompute_on")?,
    };
    let slurm = slurm.map(|cluster| SlurmOptions {
        workers: true,
        ..cluster
    });
    let pool = Pool {
        vm_size: size.to_owned(),
        min_nodes: 0,
        max_nodes: given("clusterMaxNodeCount")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_else(|| nodes.saturating_mul(experiment.limits.max_concurrent)),
        idle_seconds_before_scaledown: 0,
        vm_priority: Priority::Dedicated,
        cpus: None,
        memory_gib: None,
        gpus: None,
        slurm,
        kubernetes,
        admin_username: None,
    };
    pool.check()?;
    Ok(pool)
}
