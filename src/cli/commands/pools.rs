//! From the names of an experiment's targets to what the engine starts trials with.

use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::cli::settings;
use crate::config::Experiment;
use crate::report::text;
use crate::target::agent::protocol::Starter;
use crate::target::pool::{Machine, Pool, PoolError, Priority};
use crate::target::probe::Step;
use crate::target::registry::{Registry, RegistryError, Section};
use crate::target::remote::{RemoteOptions, RemoteTarget, Slots};
use crate::target::slurm::{self, SlurmOptions, SlurmTarget};
use crate::target::ssh::{Ssh, SshOptions, SshTransport};
use crate::target::{ComputeTarget, LocalOptions, Luggage, TargetError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Targets of one sweep.
#[derive(Default)]
pub(super) struct Targets {
    /// The target `local`, if it is named.
    pub(super) local: Option<LocalOptions>,
    /// Pools.
    pub(super) pools: Vec<LocalOptions>,
    /// Machines elsewhere.
    pub(super) remote: Vec<Arc<RemoteTarget>>,
    /// Clusters whose jobs this computer submits.
    pub(super) clusters: Vec<Arc<dyn ComputeTarget>>,
    /// Price of a slot for an hour, of those whose file says so.
    pub(super) costs: std::collections::HashMap<String, f64>,
}

impl Targets {
    /// Whether trials run on this computer, so that their environment is needed here.
    pub(super) fn any_here(&self) -> bool {
        self.local.is_some() || !self.pools.is_empty() || !self.clusters.is_empty()
    }

    /// Those that the engine takes as they are.
    pub(super) fn elsewhere(&self) -> Vec<Arc<dyn ComputeTarget>> {
        let remote = self
            .remote
            .iter()
            .map(|target| Arc::clone(target) as Arc<dyn ComputeTarget>);
        remote.chain(self.clusters.iter().map(Arc::clone)).collect()
    }

    /// Waits until those elsewhere can start trials.
    ///
    /// # Errors
    /// The first that cannot be reached or made ready.
    pub(super) fn make_ready(&self, luggage: &Luggage, output: &Output) -> Result<(), CliError> {
        // All begin before one is waited for.
        for target in &self.remote {
            target.equip(luggage);
        }
        for target in &self.remote {
            let name = text::printable(target.name());
            target.ready(&mut |line| output.note(&format!("{name}: {}", text::printable(line))))?;
        }
        Ok(())
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

impl From<PoolError> for CliError {
    fn from(error: PoolError) -> Self {
        let message = error.to_string();
        match error {
            PoolError::UnknownSize { near, .. } => {
                let own = "`--cpus N --memory GIB --gpus N` describe a size that is not known";
                match near {
                    Some(near) => Self::usage("unknown-vm-size", message)
                        .help(format!("did you mean `{near}`?"))
                        .help(own),
                    None => Self::usage("unknown-vm-size", message).help(own),
                }
            }
            _ => Self::usage("pool", message),
        }
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
            RegistryError::Pool(error) => error.into(),
            RegistryError::Section(_) => Self::usage("target-file", message),
            RegistryError::Ssh(_) => Self::usage("ssh-options", message),
            RegistryError::Slurm(_) => Self::usage("slurm-options", message),
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

/// A machine by SSH, with this program to bring there.
pub(super) fn ssh(options: &SshOptions, home: &Path) -> Ssh {
    Ssh::new(
        options.clone(),
        private_folder(home).join("known_hosts"),
        program(),
    )
}

/// This program's file.
fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into())
}

/// A machine by SSH as a target called `name`, on which `starter` starts runners.
fn by_ssh(options: RemoteOptions, machine: &SshOptions, starter: Starter, home: &Path) -> Arc<RemoteTarget> {
    let transport = SshTransport::new(ssh(machine, home), starter);
    Arc::new(RemoteTarget::new(options, Box::new(transport)))
}

/// Looks whether a cluster takes jobs, from where they are submitted.
pub(super) fn probe_slurm(options: &SlurmOptions, home: &Path) -> Vec<Step> {
    match &options.login {
        None => slurm::probe(options, &mut slurm::here),
        Some(login) => {
            let machine = ssh(login, home);
            let mut steps = crate::target::ssh::probe(&machine);
            if steps.iter().all(|step| step.optional || step.found.is_ok()) {
                steps.extend(slurm::probe(options, &mut |script| machine.ask(script)));
            }
            steps
        }
    }
}

impl Targets {
    /// Adds a machine by SSH.
    fn add_remote(&mut self, name: &str, options: &SshOptions, home: &Path) {
        let remote = RemoteOptions {
            name: name.to_owned(),
            kind: "remote",
            slots: options.slots.map_or(Slots::Cores, Slots::Of),
        };
        self.remote.push(by_ssh(remote, options, Starter::Process, home));
    }

    /// Adds a Slurm cluster, reached from here or from another machine.
    fn add_slurm(&mut self, name: &str, options: &SlurmOptions, home: &Path) {
        let mut options = options.clone();
        let Some(login) = options.login.take() else {
            let cluster = SlurmTarget::new(name.to_owned(), options, home.to_owned(), program());
            self.clusters.push(Arc::new(cluster));
            return;
        };
        let remote = RemoteOptions {
            name: name.to_owned(),
            kind: "slurm",
            slots: options.slots.map_or(Slots::Any, Slots::Of),
        };
        self.remote.push(by_ssh(
            remote,
            &login,
            Starter::Slurm {
                options: Box::new(options),
            },
            home,
        ));
    }
}

/// The name as the registry knows it.
pub(super) fn bare(name: &str) -> &str {
    name.strip_prefix("azureml:").unwrap_or(name)
}

/// Every target that the experiment names; a note for each pool that this computer cannot hold whole.
///
/// # Errors
/// A name that is not known, a pool that cannot be.
pub(super) fn of(experiment: &Experiment, home: &Path, output: &Output) -> Result<Targets, CliError> {
    let registry = registry(home);
    let machine = Machine::here();
    let nodes = experiment.launch.node_count.max(1);
    let mut targets = Targets::default();
    for name in &experiment.targets {
        let pool = match bare(name) {
            this if this.eq_ignore_ascii_case("local") => {
                targets.local = Some(LocalOptions {
                    name: name.clone(),
                    devices: machine.devices.clone(),
                    ..LocalOptions::default()
                });
                continue;
            }
            made if made.eq_ignore_ascii_case("amlcompute") => throw_away(experiment)?,
            known => match registry.get(known)?.definition.section()? {
                Section::Pool(pool) => match pool.on_cluster()? {
                    Some(options) => {
                        targets.add_slurm(name, &options, home);
                        continue;
                    }
                    None => pool.clone(),
                },
                Section::Remote(options) => {
                    targets.add_remote(name, options, home);
                    continue;
                }
                Section::Slurm(options) => {
                    targets.add_slurm(name, options, home);
                    continue;
                }
            },
        };
        let options = pool.local(name, &machine, nodes)?;
        let asked = pool
            .max_nodes
            .min(experiment.limits.max_concurrent.saturating_mul(u64::from(nodes)));
        if options
            .slots
            .is_some_and(|slots| slots.saturating_mul(u64::from(nodes)) < asked)
        {
            let node = pool.node()?;
            output.note(&format!(
                "note: `{}` holds {} at a time here: a node of {} has {} cores{}, this computer {}",
                text::printable(name),
                trials(options.slots.unwrap_or(1)),
                text::printable(&pool.vm_size),
                node.cpus,
                match node.gpus {
                    0 => String::new(),
                    gpus => format!(" and {gpus} GPUs"),
                },
                match machine.devices.len() {
                    0 => machine.cores.to_string(),
                    gpus => format!("{} and {gpus}", machine.cores),
                },
            ));
        }
        targets.pools.push(options);
    }
    Ok(targets)
}

fn trials(count: u64) -> String {
    match count {
        1 => "1 trial".into(),
        many => format!("{many} trials"),
    }
}

/// The same targets for a sweep whose trials are only to be ended: what is here needs no more than its name.
pub(super) fn to_end(experiment: &Experiment, home: &Path) -> Targets {
    let registry = registry(home);
    let mut targets = Targets::default();
    for name in &experiment.targets {
        let known = registry.get(bare(name)).map(|found| found.definition);
        match known.as_ref().map(|definition| definition.section()) {
            Ok(Ok(Section::Remote(options))) => targets.add_remote(name, options, home),
            Ok(Ok(Section::Slurm(options))) => targets.add_slurm(name, options, home),
            Ok(Ok(Section::Pool(Pool {
                slurm: Some(options), ..
            }))) => targets.add_slurm(name, options, home),
            // A pool, or one whose file is gone.
            _ => targets.pools.push(LocalOptions {
                name: name.clone(),
                ..LocalOptions::default()
            }),
        }
    }
    targets
}

/// `target: amlcompute`: a pool for this sweep alone, as large as the sweep can use. Here there is nothing to give back.
fn throw_away(experiment: &Experiment) -> Result<Pool, CliError> {
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
        slurm: None,
        admin_username: None,
    };
    pool.check()?;
    Ok(pool)
}
