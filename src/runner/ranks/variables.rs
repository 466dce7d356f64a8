//! What each process of a trial finds in its environment: the names that the cloud service set, and those that PyTorch and TensorFlow read.

use super::plan::Plan;
use crate::runner::spec::{Group, GroupKind};
use serde_json::json;

/// Which of a trial's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Among all, from 0.
    pub rank: u32,
    /// Among those of its node, from 0.
    pub local: u32,
    /// Its node, from 0.
    pub node: u32,
}

/// Variables of the process at `place`.
pub(super) fn of(group: &Group, plan: &Plan, place: Place) -> Vec<(String, String)> {
    let nodes = group.nodes.max(1);
    let master = plan.host(0).to_owned();
    let hosts: Vec<&str> = (0..nodes).map(|node| plan.host(node)).collect();
    let per_node = match group.kind {
        GroupKind::Tensorflow => group.processes().div_ceil(nodes),
        _ => group.processes_per_node.max(1),
    };
    let mut all = Vec::new();
    let mut set = |name: &str, value: String| all.push((name.to_owned(), value));
    set("RANK", place.rank.to_string());
    set("WORLD_SIZE", group.processes().to_string());
    set("LOCAL_RANK", place.local.to_string());
    set("LOCAL_WORLD_SIZE", per_node.to_string());
    set("NODE_RANK", place.node.to_string());
    set("GROUP_RANK", place.node.to_string());
    set("MASTER_ADDR", master.clone());
    set("MASTER_PORT", plan.port.to_string());
    set("AZUREML_NODE_COUNT", nodes.to_string());
    set("AZUREML_CR_NODE_RANK", place.node.to_string());
    set("AZ_BATCH_MASTER_NODE", format!("{master}:{}", plan.port));
    set("AZ_BATCHAI_MPI_MASTER_NODE", master);
    set("AZ_BATCH_HOST_LIST", hosts.join(","));
    set("AZ_BATCH_NODE_LIST", hosts.join(";"));
    set("AZ_BATCH_IS_CURRENT_NODE_MASTER", (place.node == 0).to_string());
    if group.kind != GroupKind::Tensorflow {
        set("AZ_BATCHAI_TASK_INDEX", place.rank.to_string());
        return all;
    }
    let address = |rank: u32| {
        let port = usize::try_from(rank).ok().and_then(|rank| plan.ports.get(rank));
        format!(
            "{}:{}",
            plan.host(rank % nodes),
            port.copied().unwrap_or(plan.port)
        )
    };
    let workers: Vec<String> = (0..group.workers).map(address).collect();
    let servers: Vec<String> = (group.workers..group.processes()).map(address).collect();
    let (role, index) = if place.rank < group.workers {
        ("worker", place.rank)
    } else {
        ("ps", place.rank - group.workers)
    };
    set("AZ_BATCHAI_TASK_INDEX", index.to_string());
    set("AZ_BATCHAI_TASK_TYPE", role.into());
    set("AZ_BATCHAI_WORKER_HOSTS", workers.join(","));
    set("AZ_BATCHAI_PS_HOSTS", servers.join(","));
    let mut cluster = serde_json::Map::new();
    cluster.insert("worker".into(), json!(workers));
    if !servers.is_empty() {
        cluster.insert("ps".into(), json!(servers));
    }
    let config = json!({"cluster": cluster, "task": {"type": role, "index": index}});
    set("TF_CONFIG", config.to_string());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn group(kind: GroupKind, nodes: u32, per_node: u32) -> Group {
        Group {
            kind,
            nodes,
            processes_per_node: per_node,
            workers: 2,
            parameter_servers: 1,
        }
    }

    fn plan(spread: bool) -> Plan {
        Plan {
            hosts: vec!["n1".into(), "n2".into()],
            port: 6105,
            ports: vec![2000, 2001, 2002],
            spread,
        }
    }

    #[test]
    fn ranks_are_counted_node_by_node() {
        let group = group(GroupKind::Torch, 2, 2);
        let plan = plan(true);
        let places = plan.places(&group);
        let all: Vec<(u32, u32, u32)> = places
            .iter()
            .map(|place| (place.rank, place.node, place.local))
            .collect();
        assert_eq!(all, [(0, 0, 0), (1, 0, 1), (2, 1, 0), (3, 1, 1)]);
        let last: HashMap<String, String> = of(&group, &plan, places[3]).into_iter().collect();
        for (name, value) in [
            ("RANK", "3"),
            ("WORLD_SIZE", "4"),
            ("LOCAL_RANK", "1"),
            ("NODE_RANK", "1"),
            ("MASTER_ADDR", "n1"),
            ("MASTER_PORT", "6105"),
            ("AZ_BATCH_HOST_LIST", "n1,n2"),
            ("AZ_BATCH_IS_CURRENT_NODE_MASTER", "false"),
        ] {
            assert_eq!(last[name], value, "{name}");
        }
        assert!(!last.contains_key("TF_CONFIG"));
    }

    #[test]
    fn workers_and_parameter_servers_know_each_other() {
        let group = group(GroupKind::Tensorflow, 2, 1);
        let plan = plan(true);
        let places = plan.places(&group);
        assert_eq!(places.len(), 3);
        let server: HashMap<String, String> = of(&group, &plan, places[2]).into_iter().collect();
        let config: serde_json::Value = serde_json::from_str(&server["TF_CONFIG"]).unwrap();
        assert_eq!(
            config,
            json!({"cluster": {"worker": ["n1:2000", "n2:2001"], "ps": ["n1:2002"]}, "task": {"type": "ps", "index": 0}})
        );
        assert_eq!(server["AZ_BATCHAI_TASK_TYPE"], "ps");
        assert_eq!(server["AZ_BATCHAI_PS_HOSTS"], "n1:2002");
    }
}
