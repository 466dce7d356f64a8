//! Elastic pools: `max_nodes` machines of one size. The back-end here is this computer, whose cores stand for the nodes.
//!
//! A pool file of the cloud (`amlcompute`) keeps its meaning as far as one computer can give it: never more trials at once than
//! nodes, never more than the cores hold, as many GPUs per trial as a node has.

mod settings;
mod vm_size;

pub use settings::KIND;
pub use vm_size::{Node, all as sizes, near as nearest_size, node as size};

use crate::target::LocalOptions;
use crate::target::kind::Settings;
use crate::target::kubernetes::{KubernetesOptions, KubernetesProblem};
use crate::target::slurm::{SlurmOptions, SlurmProblem};
use serde::{Deserialize, Serialize};

/// Which nodes are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Kept until they are given back.
    #[default]
    Dedicated,
    /// May be taken away. On this computer nobody takes them.
    LowPriority,
}

/// The section `amlcompute` of a target's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Size of a node, see [`size`].
    pub vm_size: String,
    /// Nodes that are kept when nothing runs; at most `max_nodes`.
    #[serde(default)]
    pub min_nodes: u64,
    /// Nodes at most, 1 or more.
    pub max_nodes: u64,
    /// Seconds after which an idle node above `min_nodes` is let go.
    #[serde(default = "idle_seconds")]
    pub idle_seconds_before_scaledown: u64,
    /// Priority.
    #[serde(default)]
    pub vm_priority: Priority,
    /// Cores of a node instead of the size's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// GiB of a node instead of the size's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_gib: Option<f64>,
    /// GPUs of a node instead of the size's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// The cluster whose nodes it is made of; this computer otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slurm: Option<SlurmOptions>,
    /// The same on Kubernetes: its nodes are pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesOptions>,
    /// Administrator's name of the old file; kept, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_username: Option<String>,
}

/// Seconds an idle node is kept where nothing is said: what the old command line did.
pub const IDLE_SECONDS: u64 = 120;

fn idle_seconds() -> u64 {
    IDLE_SECONDS
}

/// What is wrong with a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The size is not in the table, and cores are not given either.
    #[error("no machine size is called `{name}`")]
    UnknownSize {
        /// As written.
        name: String,
        /// What was probably meant.
        near: Option<String>,
    },
    /// A pool without nodes.
    #[error("`max_nodes` must be 1 or more")]
    NoNodes,
    /// More nodes kept than there may be.
    #[error("`min_nodes` is {min}, more than `max_nodes`, which is {max}")]
    MinAboveMax {
        /// Nodes kept.
        min: u64,
        /// Nodes at most.
        max: u64,
    },
    /// The cluster cannot be worked with.
    #[error(transparent)]
    Slurm(#[from] SlurmProblem),
    /// The same on Kubernetes.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesProblem),
    /// Nodes of two clusters at once.
    #[error("a pool is on `slurm` or on `kubernetes`, not on both")]
    TwoClusters,
    /// A node that nothing fits on.
    #[error("a node needs one core or more, and more than 0 GiB")]
    EmptyNode,
}

/// What this computer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: u64,
    /// GPUs that this process may use.
    pub devices: Vec<String>,
}

impl Machine {
    /// This one: CPU affinity and cgroup quota are respected, and `CUDA_VISIBLE_DEVICES`.
    pub fn here() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            devices: super::local::visible_devices(),
        }
    }
}

impl Pool {
    /// What one node offers: the size's figures, each replaced by what is given beside it.
    ///
    /// # Errors
    /// [`PoolError::UnknownSize`], unless cores are given.
    pub fn node(&self) -> Result<Node, PoolError> {
        let known = size(&self.vm_size);
        match (known, self.cpus) {
            (None, None) => Err(PoolError::UnknownSize {
                name: self.vm_size.clone(),
                near: nearest_size(&self.vm_size),
            }),
            (known, cpus) => Ok(Node {
                cpus: cpus.or(known.map(|node| node.cpus)).unwrap_or(1),
                memory_gib: self
                    .memory_gib
                    .or(known.map(|node| node.memory_gib))
                    .unwrap_or(1.0),
                gpus: self.gpus.or(known.map(|node| node.gpus)).unwrap_or(0),
            }),
        }
    }

    /// Whether it can be worked with.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), PoolError> {
        let node = self.node()?;
        if self.max_nodes == 0 {
            return Err(PoolError::NoNodes);
        }
        if self.min_nodes > self.max_nodes {
            return Err(PoolError::MinAboveMax {
                min: self.min_nodes,
                max: self.max_nodes,
            });
        }
        if let Some(options) = &self.slurm {
            options.check()?;
        }
        if let Some(options) = &self.kubernetes {
            options.check()?;
            if self.slurm.is_some() {
                return Err(PoolError::TwoClusters);
            }
        }
        if node.cpus == 0 || !node.memory_gib.is_finite() || node.memory_gib <= 0.0 {
            return Err(PoolError::EmptyNode);
        }
        Ok(())
    }

    /// Nodes that `machine` stands for: no more than `max_nodes`, than its cores hold and, for a size with GPUs on a machine with
    /// GPUs, than its GPUs hold; at least 1.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn nodes(&self, machine: &Machine) -> Result<u64, PoolError> {
        let node = self.node()?;
        let by_cores = machine.cores / u64::from(node.cpus.max(1));
        let by_devices = match node.gpus {
            0 => u64::MAX,
            _ if machine.devices.is_empty() => u64::MAX,
            gpus => machine.devices.len() as u64 / u64::from(gpus),
        };
        Ok(self.max_nodes.min(by_cores).min(by_devices).max(1))
    }

    /// The pool on a cluster, if it is on one, for trials of `node_count` nodes: never more nodes than it may have.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn on_cluster(&self, node_count: u32) -> Result<Option<Box<dyn Settings>>, PoolError> {
        let trials = |options: Option<u64>| {
            let nodes = self.max_nodes.min(options.unwrap_or(u64::MAX));
            Some((nodes / u64::from(node_count.max(1))).max(1))
        };
        Ok(match (&self.slurm, &self.kubernetes) {
            (Some(options), _) => {
                let mut options = self.as_jobs(options)?;
                options.slots = trials(options.slots);
                Some(Box::new(options))
            }
            (None, Some(options)) => {
                let mut options = self.as_pods(options)?;
                options.slots = trials(options.slots);
                Some(Box::new(options))
            }
            (None, None) => None,
        })
    }

    /// Pods with what a node of the size has, which take one trial after the other and wait for the next as long as a node does.
    fn as_pods(&self, options: &KubernetesOptions) -> Result<KubernetesOptions, PoolError> {
        let node = self.node()?;
        let mut options = options.clone();
        options.cpus.get_or_insert_with(|| node.cpus.to_string());
        let mebibytes = (node.memory_gib * 1024.0).round();
        options.memory.get_or_insert_with(|| format!("{mebibytes:.0}Mi"));
        if node.gpus > 0 {
            options.gpus.get_or_insert(u64::from(node.gpus));
        }
        options.workers = true;
        options
            .idle_seconds
            .get_or_insert(self.idle_seconds_before_scaledown);
        Ok(options)
    }

    /// A job per trial, with what a node of the size has.
    fn as_jobs(&self, options: &SlurmOptions) -> Result<SlurmOptions, PoolError> {
        let node = self.node()?;
        let mut options = options.clone();
        options.cpus_per_task.get_or_insert(node.cpus);
        let mebibytes = (node.memory_gib * 1024.0).round();
        options.memory.get_or_insert_with(|| format!("{mebibytes:.0}M"));
        if node.gpus > 0 {
            options.gres.get_or_insert_with(|| format!("gpu:{}", node.gpus));
        }
        if options.workers && self.idle_seconds_before_scaledown > 0 {
            options
                .idle_seconds
                .get_or_insert(self.idle_seconds_before_scaledown);
        }
        Ok(options)
    }

    /// The local back-end: a slot per trial of `node_count` nodes. Each trial sees the GPUs of its nodes; a size without GPUs gives
    /// one each like the target `local`.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn local(&self, name: &str, machine: &Machine, node_count: u32) -> Result<LocalOptions, PoolError> {
        let slots = (self.nodes(machine)? / u64::from(node_count.max(1))).max(1);
        let share = usize::try_from(self.node()?.gpus.max(1)).unwrap_or(1);
        let shares = machine.devices.chunks_exact(share);
        let devices = if machine.devices.len() < share {
            // Fewer than a node should have: all there are.
            vec![machine.devices.join(",")]
                .into_iter()
                .filter(|all| !all.is_empty())
                .collect()
        } else {
            shares.map(|devices| devices.join(",")).collect()
        };
        Ok(LocalOptions {
            name: name.to_owned(),
            slots: Some(slots),
            devices,
            ..LocalOptions::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(vm_size: &str, max_nodes: u64) -> Pool {
        Pool {
            vm_size: vm_size.into(),
            min_nodes: 0,
            max_nodes,
            idle_seconds_before_scaledown: 120,
            vm_priority: Priority::Dedicated,
            cpus: None,
            memory_gib: None,
            gpus: None,
            slurm: None,
            kubernetes: None,
            admin_username: None,
        }
    }

    fn machine(cores: u64, devices: usize) -> Machine {
        Machine {
            cores,
            devices: (0..devices).map(|index| index.to_string()).collect(),
        }
    }

    #[test]
    fn slots_are_nodes_that_fit() {
        let slots = |pool: &Pool, machine: &Machine| pool.local("p", machine, 1).unwrap().slots;
        assert_eq!(slots(&pool("D3_V2", 4), &machine(64, 0)), Some(4));
        assert_eq!(slots(&pool("D3_V2", 4), &machine(10, 0)), Some(2));
        assert_eq!(slots(&pool("D3_V2", 4), &machine(2, 0)), Some(1));
        assert_eq!(slots(&pool("NC6", 4), &machine(64, 2)), Some(2));
        assert_eq!(slots(&pool("NC6", 4), &machine(64, 0)), Some(4));
        assert_eq!(
            pool("D1_V2", 8).local("p", &machine(8, 0), 4).unwrap().slots,
            Some(2)
        );
    }

    #[test]
    fn a_trial_sees_the_gpus_of_its_node() {
        let devices =
            |size: &str, count: usize| pool(size, 8).local("p", &machine(64, count), 1).unwrap().devices;
        assert_eq!(devices("NC12", 4), ["0,1", "2,3"]);
        assert_eq!(devices("NC12", 1), ["0"]);
        assert_eq!(devices("NC6", 2), ["0", "1"]);
        assert_eq!(devices("D3_V2", 2), ["0", "1"]);
        assert!(devices("NC6", 0).is_empty());
    }

    #[test]
    fn a_node_on_a_cluster_asks_for_what_its_size_has() {
        let on = Pool {
            slurm: Some(SlurmOptions {
                partition: Some("main".into()),
                ..SlurmOptions::default()
            }),
            ..pool("NC6", 4)
        };
        let of = |pool: &Pool, node_count| pool.on_cluster(node_count).unwrap();
        let settings = of(&on, 1).unwrap();
        let options = settings.of::<SlurmOptions>().unwrap();
        assert_eq!(
            (options.cpus_per_task, options.memory.as_deref()),
            (Some(6), Some("57344M"))
        );
        assert_eq!((options.gres.as_deref(), options.slots), (Some("gpu:1"), Some(4)));
        assert_eq!(of(&on, 2).unwrap().summary(&machine(1, 0)).slots, Some(2));
        assert!(of(&pool("NC6", 4), 1).is_none());
        let pods = Pool {
            kubernetes: Some(KubernetesOptions::default()),
            slurm: None,
            ..on
        };
        let settings = of(&pods, 1).unwrap();
        let options = settings.of::<KubernetesOptions>().unwrap();
        assert_eq!(
            (options.cpus.as_deref(), options.memory.as_deref(), options.gpus),
            (Some("6"), Some("57344Mi"), Some(1))
        );
        assert_eq!(
            (options.workers, options.idle_seconds, options.slots),
            (true, Some(120), Some(4))
        );
        let both = Pool {
            slurm: Some(SlurmOptions::default()),
            ..pods
        };
        assert_eq!(both.check(), Err(PoolError::TwoClusters));
    }

    #[test]
    fn what_cannot_be_a_pool_is_told() {
        assert_eq!(pool("D3_V2", 0).check(), Err(PoolError::NoNodes));
        let upside_down = Pool {
            min_nodes: 3,
            ..pool("D3_V2", 2)
        };
        assert_eq!(
            upside_down.check(),
            Err(PoolError::MinAboveMax { min: 3, max: 2 })
        );
        let unknown = pool("D3V2X", 2);
        assert!(
            matches!(unknown.check(), Err(PoolError::UnknownSize { near: Some(near), .. }) if near == "Standard_D3_v2")
        );
        let given = Pool {
            cpus: Some(3),
            memory_gib: Some(5.0),
            ..pool("ours", 2)
        };
        assert_eq!(given.check(), Ok(()));
        assert_eq!(given.nodes(&machine(7, 0)), Ok(2));
        let nothing = Pool {
            cpus: Some(0),
            ..pool("D3_V2", 2)
        };
        assert_eq!(nothing.check(), Err(PoolError::EmptyNode));
    }
}
