//! Looks whether an account, its pool and its container can take trials; how a pool is made.

use super::client::Client;
use super::http::{Body, Failure, Http};
use super::options::{BatchOptions, PoolPlan};
use super::storage::Container;
use crate::target::probe::{Step, timed};
use serde_json::{Value, json};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Shortest time between two looks of the service at its formula.
const EVALUATION: &str = "PT5M";

/// What a pool holds now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Usage {
    /// Size of its nodes.
    vm_size: String,
    /// Steady, resizing or stopping.
    allocation: String,
    /// Nodes there are.
    nodes: u32,
    /// Nodes that run tasks.
    running: u32,
    /// Nodes that wait for tasks.
    idle: u32,
    /// Nodes that cannot run any.
    broken: u32,
    /// Why it could not be resized.
    errors: Vec<String>,
}

/// Probes the services for real; a blob is written, read and removed.
pub fn probe(options: &BatchOptions) -> Vec<Step> {
    let http = Http::new();
    let client = Client::new(options.clone(), http.clone());
    let mut steps = vec![timed("reach", false, || reach(&options.account_url))];
    let going = |steps: &[Step]| steps.iter().all(|step| step.found.is_ok());
    if going(&steps) {
        steps.push(timed("login", false, || login(&client, options)));
    }
    if going(&steps) {
        steps.push(timed("pool", false, || pool(&client, options)));
        steps.push(timed("container", false, || container(options, http)));
    }
    steps
}

fn reach(address: &str) -> Result<String, String> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    let host = rest.split('/').next().unwrap_or_default();
    let with_port = if host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        host.to_owned()
    } else {
        format!("{host}:{}", if scheme == "http" { 80 } else { 443 })
    };
    let mut last = format!("`{host}` has no address");
    for address in with_port
        .to_socket_addrs()
        .map_err(|error| format!("`{host}`: {error}"))?
    {
        match TcpStream::connect_timeout(&address, Duration::from_secs(10)) {
            Ok(_) => return Ok(address.to_string()),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}

/// Any request tells whether the key or token is taken.
fn login(client: &Client, options: &BatchOptions) -> Result<String, String> {
    match client.pool() {
        Err(failure) if failure.is(401) || failure.is(403) => Err(failure.text()),
        Err(Failure::Later(reason)) => Err(reason),
        _ => Ok(format!("as account {}", options.account())),
    }
}

fn pool(client: &Client, options: &BatchOptions) -> Result<String, String> {
    let usage = match (usage_of(client), options.plan()) {
        (Err(failure), Some(plan)) if failure.is(404) => {
            return Ok(format!(
                "`{}` is made when a sweep needs it: up to {} nodes of {}",
                options.pool, plan.max_nodes, plan.vm_size
            ));
        }
        (usage, _) => usage.map_err(|failure| failure.text())?,
    };
    let mut told = format!(
        "`{}`: {} nodes of {}, {} idle, {} busy, {}",
        options.pool, usage.nodes, usage.vm_size, usage.idle, usage.running, usage.allocation
    );
    if usage.broken > 0 {
        told.push_str(&format!(", {} that cannot work", usage.broken));
    }
    match usage.errors.first() {
        Some(error) if usage.nodes == 0 => Err(format!("{told}: {error}")),
        _ => Ok(told),
    }
}

fn container(options: &BatchOptions, http: Http) -> Result<String, String> {
    let container = Container::new(&options.container, &options.signature()?, http);
    let name = format!("overdrive/probe/{}", uuid::Uuid::new_v4().simple());
    let text = |failure: Failure| failure.text();
    container.put(&name, Body::Bytes(b"probe")).map_err(text)?;
    let back = container.get(&name).map_err(text)?;
    container.delete(&name).map_err(text)?;
    match back.as_deref() {
        Some(b"probe") => Ok("written, read and removed".into()),
        _ => Err("it gives other bytes than were written".into()),
    }
}

fn usage_of(client: &Client) -> Result<Usage, Failure> {
    let pool = client.pool()?;
    let counts = client.node_counts()?;
    let nodes = pool.current_dedicated_nodes + pool.current_low_priority_nodes;
    let sum = |count: fn(&super::model::States) -> u32| {
        counts
            .as_ref()
            .map_or(0, |counts| count(&counts.dedicated) + count(&counts.low_priority))
    };
    Ok(Usage {
        nodes: nodes.max(sum(|states| states.total)),
        running: sum(|states| states.running),
        idle: sum(|states| states.idle),
        broken: sum(|states| states.unusable + states.start_task_failed),
        vm_size: pool.vm_size,
        allocation: pool.allocation_state,
        errors: pool
            .resize_errors
            .unwrap_or_default()
            .into_iter()
            .map(|error| match error.message {
                Some(message) => format!("{}: {message}", error.code),
                None => error.code,
            })
            .collect(),
    })
}

/// The body that makes a pool which grows with the tasks that wait and shrinks when a task has ended.
pub(super) fn pool_body(id: &str, plan: &PoolPlan<'_>) -> Value {
    let image = if plan.image.starts_with('/') {
        json!({"virtualMachineImageId": plan.image})
    } else {
        let mut parts = plan.image.splitn(4, ':');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (publisher, offer, sku, version) = (part(), part(), part(), part());
        let version = if version.is_empty() {
            "latest".to_owned()
        } else {
            version
        };
        json!({"publisher": publisher, "offer": offer, "sku": sku, "version": version})
    };
    let nodes = if plan.low_priority {
        "$TargetLowPriorityNodes"
    } else {
        "$TargetDedicatedNodes"
    };
    let formula = format!(
        "$samples = $PendingTasks.GetSamplePercent(TimeInterval_Minute * 5);\n\
         $tasks = $samples < 70 ? max(0, $PendingTasks.GetSample(1)) : max($PendingTasks.GetSample(1), avg($PendingTasks.GetSample(TimeInterval_Minute * 5)));\n\
         {nodes} = max({}, min({}, $tasks / {}));\n\
         $NodeDeallocationOption = taskcompletion;",
        plan.min_nodes,
        plan.max_nodes,
        plan.task_slots.max(1),
    );
    json!({
        "id": id,
        "vmSize": plan.vm_size,
        "virtualMachineConfiguration": {"imageReference": image, "nodeAgentSKUId": plan.node_agent},
        "enableAutoScale": true,
        "autoScaleFormula": formula,
        "autoScaleEvaluationInterval": EVALUATION,
        "taskSlotsPerNode": plan.task_slots,
        "taskSchedulingPolicy": {"nodeFillType": "pack"},
        "metadata": [{"name": "made-by", "value": "overdrive"}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_grows_within_its_bounds() {
        let options = BatchOptions {
            vm_size: Some("standard_d2_v2".into()),
            max_nodes: Some(4),
            task_slots: Some(2),
            low_priority: true,
            image: Some("p:o:s".into()),
            ..BatchOptions::default()
        };
        let plan = options.plan().unwrap();
        let body = pool_body("gpus", &plan);
        assert_eq!(
            body["virtualMachineConfiguration"]["imageReference"]["version"],
            "latest"
        );
        let formula = body["autoScaleFormula"].as_str().unwrap();
        assert!(
            formula.contains("$TargetLowPriorityNodes = max(0, min(4, $tasks / 2));"),
            "{formula}"
        );
    }
}
