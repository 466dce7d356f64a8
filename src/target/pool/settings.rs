//! What the kind `amlcompute` says of itself.

use super::{Machine, Pool, PoolError, Priority};
use crate::target::kind::{
    Connection, Kind, Settings, SettingsError, Summary, Surroundings, Wanted, options,
};
use crate::target::probe::{self, Step};
use serde_json::{Map, Value, json};
use std::path::Path;

/// An elastic pool.
pub static KIND: Kind = Kind {
    word: "amlcompute",
    aliases: &[],
    about: "An elastic pool; on this computer its nodes are slots.",
    compute_type: "AmlCompute",
    attached: false,
    fields: &[],
    read: options::<Pool>,
};

impl From<PoolError> for SettingsError {
    fn from(error: PoolError) -> Self {
        let message = error.to_string();
        match error {
            PoolError::UnknownSize { near, .. } => {
                let near = near.map(|near| format!("did you mean `{near}`?"));
                let own = "`--cpus N --memory GIB --gpus N` describe a size that is not known";
                Self {
                    help: near.into_iter().chain([own.to_owned()]).collect(),
                    ..Self::new("unknown-vm-size", message)
                }
            }
            PoolError::Slurm(problem) => problem.into(),
            PoolError::Kubernetes(problem) => problem.into(),
            _ => Self::new("pool", message),
        }
    }
}

impl Pool {
    /// One sentence, if this computer holds fewer trials at a time than the sweep and the pool allow.
    fn shortage(
        &self,
        wanted: Wanted<'_>,
        slots: u64,
        machine: &Machine,
    ) -> Result<Option<String>, PoolError> {
        let nodes = u64::from(wanted.node_count.max(1));
        let asked = self.max_nodes.min(wanted.max_concurrent.saturating_mul(nodes));
        if slots.saturating_mul(nodes) >= asked {
            return Ok(None);
        }
        let node = self.node()?;
        let trials = match slots {
            1 => "1 trial".to_owned(),
            many => format!("{many} trials"),
        };
        let gpus = match node.gpus {
            0 => String::new(),
            gpus => format!(" and {gpus} GPUs"),
        };
        let here = match machine.devices.len() {
            0 => machine.cores.to_string(),
            gpus => format!("{} and {gpus}", machine.cores),
        };
        Ok(Some(format!(
            "`{}` holds {trials} at a time here: a node of {} has {} cores{gpus}, this computer {here}",
            wanted.name, self.vm_size, node.cpus,
        )))
    }

    /// Whether its nodes are a cluster's.
    pub fn is_on_cluster(&self) -> bool {
        self.slurm.is_some() || self.kubernetes.is_some()
    }

    /// Nodes that can be had.
    fn available(&self, machine: &Machine) -> Result<u64, PoolError> {
        if self.is_on_cluster() {
            Ok(self.max_nodes)
        } else {
            self.nodes(machine)
        }
    }
}

impl Settings for Pool {
    fn check(&self) -> Result<(), SettingsError> {
        Ok(Self::check(self)?)
    }

    fn connect(&self, wanted: Wanted<'_>, surroundings: &Surroundings) -> Result<Connection, SettingsError> {
        if let Some(cluster) = self.on_cluster(wanted.node_count)? {
            return cluster.connect(wanted, surroundings);
        }
        let machine = &surroundings.machine;
        let options = self.local(wanted.name, machine, wanted.node_count.max(1))?;
        let note = self.shortage(wanted, options.slots.unwrap_or(u64::MAX), machine)?;
        Ok(Connection::Here {
            options: Box::new(options),
            note,
        })
    }

    fn probe(&self, surroundings: &Surroundings) -> Vec<Step> {
        if let Ok(Some(cluster)) = self.on_cluster(1) {
            return cluster.probe(surroundings);
        }
        // Without a store nothing is left behind: the folder that the state folder would be made in is probed.
        let mut above = surroundings.home.ancestors();
        let folder = above.find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        probe::local(folder, Some(Path::new("python3")))
    }

    fn summary(&self, machine: &Machine) -> Summary {
        let available = self.available(machine).unwrap_or(self.max_nodes);
        let place = if self.is_on_cluster() {
            "the cluster"
        } else {
            "this computer"
        };
        Summary {
            size: self.vm_size.clone(),
            nodes: format!("{}..{}", self.min_nodes, self.max_nodes),
            slots: Some(available),
            at_a_time: String::new(),
            what: format!(
                "{} to {} nodes of {}, {available} at a time on {place}",
                self.min_nodes, self.max_nodes, self.vm_size,
            ),
        }
    }

    fn facts(&self, machine: &Machine) -> Map<String, Value> {
        let mut facts = Map::new();
        facts.insert("slots".into(), json!(self.available(machine).ok()));
        if let Ok(node) = self.node() {
            let node = json!({"cpus": node.cpus, "memory_gib": node.memory_gib, "gpus": node.gpus});
            facts.insert("node".into(), node);
        }
        facts
    }

    fn properties(&self) -> Value {
        let priority = match self.vm_priority {
            Priority::Dedicated => "Dedicated",
            Priority::LowPriority => "LowPriority",
        };
        json!({
            "vmSize": self.vm_size, "vmPriority": priority,
            "scaleSettings": {
                "minNodeCount": self.min_nodes, "maxNodeCount": self.max_nodes,
                "nodeIdleTimeBeforeScaleDown": format!("PT{}S", self.idle_seconds_before_scaledown),
            },
            "userAccountCredentials": {"adminUserName": self.admin_username}, "subnet": null,
            "remoteLoginPortPublicAccess": "NotSpecified",
        })
    }
}
