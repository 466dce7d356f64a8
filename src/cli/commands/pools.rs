//! From the names of an experiment's targets to what the engine starts trials with.

use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::settings;
use crate::config::Experiment;
use crate::report::text;
use crate::target::LocalOptions;
use crate::target::pool::{Machine, Pool, PoolError, Priority};
use crate::target::registry::{Registry, RegistryError};
use std::path::Path;

/// Targets of one sweep.
#[derive(Default)]
pub(super) struct Targets {
    /// The target `local`, if it is named.
    pub(super) local: Option<LocalOptions>,
    /// Pools.
    pub(super) pools: Vec<LocalOptions>,
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
            known => registry.get(known)?.definition.amlcompute,
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

/// The same targets by name only, for a sweep whose trials are only to be ended.
pub(super) fn by_name(experiment: &Experiment) -> Targets {
    let pools = experiment.targets.iter().map(|name| LocalOptions {
        name: name.clone(),
        ..LocalOptions::default()
    });
    Targets {
        local: None,
        pools: pools.collect(),
    }
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
        admin_username: None,
    };
    pool.check()?;
    Ok(pool)
}
