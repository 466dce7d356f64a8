//! Which process goes where, and by which addresses they find each other.

use super::variables::Place;
use crate::runner::spec::{Group, GroupKind};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, TcpListener, ToSocketAddrs};
use std::process::{Command, Stdio};

/// Port of the service for PyTorch, where the system gives none.
const TORCH_PORT: u16 = 6105;

/// Where ports of a trial on several nodes begin: they cannot be looked for there.
const FIRST_PORT: u32 = 20_000;

/// Ports among which trials on several nodes are spread by their job's number.
const PORTS: u32 = 10_000;

/// Where ports of processes on this computer are looked for: below those that systems give to outgoing connections, one of which may
/// take a port between the look and its use.
const OWN_PORTS: std::ops::Range<u16> = 10_000..20_000;

/// What the first process of the trial decided for all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Address of each node.
    pub(super) hosts: Vec<String>,
    /// Port of rank 0.
    pub(super) port: u16,
    /// Port of each process that listens (TensorFlow).
    pub(super) ports: Vec<u16>,
    /// Whether the nodes are more than one machine.
    pub(super) spread: bool,
}

impl Plan {
    /// Everything on this computer.
    pub(super) fn here(group: &Group) -> Self {
        let count = match group.kind {
            GroupKind::Tensorflow => group.processes(),
            _ => 0,
        };
        let mut ports = free_ports(count + 1).into_iter();
        Self {
            hosts: vec!["127.0.0.1".into()],
            port: ports.next().unwrap_or(TORCH_PORT),
            ports: ports.collect(),
            spread: false,
        }
    }

    /// In the allocation of this process, if it is of several nodes.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn make(group: &Group) -> Result<Self, String> {
        let nodes = super::number("SLURM_JOB_NUM_NODES").or_else(|| super::number("SLURM_NNODES"));
        if group.nodes <= 1 || nodes.is_none_or(|nodes| nodes < group.nodes) {
            return Ok(Self::here(group));
        }
        let list = std::env::var("SLURM_JOB_NODELIST").unwrap_or_default();
        let hosts = addresses(&list)?;
        if (hosts.len() as u64) < u64::from(group.nodes) {
            return Err(format!(
                "the job has {} nodes, {} are asked for",
                hosts.len(),
                group.nodes
            ));
        }
        let job = super::number("SLURM_JOB_ID").unwrap_or(0);
        let base = FIRST_PORT + job.wrapping_mul(64) % PORTS;
        Ok(Self {
            hosts,
            port: free_ports(1).first().copied().unwrap_or(TORCH_PORT),
            ports: (0..group.processes())
                .map(|index| u16::try_from(base + index).unwrap_or(u16::MAX))
                .collect(),
            spread: true,
        })
    }

    /// All processes: MPI's and PyTorch's node by node, TensorFlow's workers and then its servers round the nodes.
    pub(super) fn places(&self, group: &Group) -> Vec<Place> {
        let nodes = group.nodes.max(1);
        let per_node = group.processes_per_node.max(1);
        (0..group.processes())
            .map(|rank| {
                let (node, local) = match group.kind {
                    GroupKind::Tensorflow => (rank % nodes, rank / nodes),
                    _ => (rank / per_node, rank % per_node),
                };
                Place { rank, local, node }
            })
            .collect()
    }

    /// Address of a node.
    pub(super) fn host(&self, node: u32) -> &str {
        let index = usize::try_from(node).unwrap_or(0);
        let first = || self.hosts.first().map_or("127.0.0.1", String::as_str);
        self.hosts.get(index).map_or_else(first, String::as_str)
    }
}

/// Ports that are free, all different; a fixed one would be taken by the next trial on the same machine. Fewer if there are no more.
fn free_ports(count: u32) -> Vec<u16> {
    let span = OWN_PORTS.end - OWN_PORTS.start;
    let mut random = [0; 2];
    // Without chance neighbours look at the same ports first, and each takes what is free.
    let _ = getrandom::fill(&mut random);
    let first = u16::from_le_bytes(random) % span;
    // Held until all are known.
    let held: Vec<(u16, TcpListener)> = (0..span)
        .map(|step| OWN_PORTS.start + (first + step) % span)
        .filter_map(|port| Some((port, TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok()?)))
        .take(count as usize)
        .collect();
    held.into_iter().map(|(port, _)| port).collect()
}

/// Addresses of the nodes of a list such as `n[1-2],m7`: their names, or what Slurm knows of them where a name means nothing here.
fn addresses(list: &str) -> Result<Vec<String>, String> {
    let names = ask(&["show", "hostnames", list])?;
    let names: Vec<&str> = names.split_whitespace().collect();
    let known = ask(&["--oneliner", "show", "nodes", list]).unwrap_or_default();
    let of = |name: &str| {
        let line = known.lines().find(|line| {
            line.split_whitespace()
                .any(|word| word.strip_prefix("NodeName=") == Some(name))
        })?;
        let address = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("NodeAddr="))?;
        Some(address.to_owned())
    };
    let resolves = |name: &str| {
        (name, 0_u16)
            .to_socket_addrs()
            .is_ok_and(|mut found| found.next().is_some())
    };
    Ok(names
        .into_iter()
        .map(|name| match of(name) {
            Some(address) if !resolves(name) => address,
            _ => name.to_owned(),
        })
        .collect())
}

fn ask(words: &[&str]) -> Result<String, String> {
    let output = Command::new("scontrol")
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("scontrol: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "scontrol: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}
