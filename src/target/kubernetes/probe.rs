//! Looks whether a cluster can run trials: reach, rights, room, without starting anything.

use super::kubectl::Kubectl;
use super::options::KubernetesOptions;
use crate::target::probe::{Step, timed};
use crate::target::remote::LineError;
use serde_json::{Value, json};

/// What must be permitted: verb, group, resource, subresource.
const RIGHTS: [(&str, &str, &str, &str); 5] = [
    ("create", "batch", "jobs", ""),
    ("list", "batch", "jobs", ""),
    ("delete", "batch", "jobs", ""),
    ("list", "", "pods", ""),
    ("create", "", "pods", "exec"),
];

/// Each step, until one that is needed fails.
pub(super) fn probe(options: &KubernetesOptions) -> Vec<Step> {
    let kubectl = Kubectl::new(options);
    let looks: [(&'static str, bool, &dyn Fn() -> Result<String, String>); 4] = [
        ("kubectl", false, &|| client(&kubectl)),
        ("reach", false, &|| server(&kubectl)),
        ("rights", false, &|| rights(&kubectl, options)),
        ("nodes", true, &|| nodes(&kubectl, options)),
    ];
    let mut steps = Vec::new();
    for (name, optional, look) in looks {
        let step = timed(name, optional, look);
        let failed = step.found.is_err() && !optional;
        steps.push(step);
        if failed {
            break;
        }
    }
    steps
}

fn words(error: LineError) -> String {
    match error {
        LineError::Unreachable(reason) | LineError::Refused(reason) => reason,
    }
}

fn client(kubectl: &Kubectl) -> Result<String, String> {
    let found = kubectl
        .json(&["version", "--client", "-o", "json"])
        .map_err(words)?;
    Ok(found["clientVersion"]["gitVersion"]
        .as_str()
        .unwrap_or("unknown")
        .to_owned())
}

fn server(kubectl: &Kubectl) -> Result<String, String> {
    let found = kubectl.json(&["get", "--raw", "/version"]).map_err(words)?;
    let version = found["gitVersion"].as_str().unwrap_or("unknown").to_owned();
    Ok(format!("the API server answers, {version}"))
}

/// Asks the server itself, as reviews of this user's rights.
fn rights(kubectl: &Kubectl, options: &KubernetesOptions) -> Result<String, String> {
    let namespace = match &options.namespace {
        Some(namespace) => namespace.clone(),
        None => {
            let told = kubectl.ask(&["config", "view", "--minify", "-o", "jsonpath={..namespace}"]);
            Some(told.unwrap_or_default().trim().to_owned())
                .filter(|namespace| !namespace.is_empty())
                .unwrap_or_else(|| "default".into())
        }
    };
    let reviews: Vec<Value> = RIGHTS
        .iter()
        .map(|(verb, group, resource, subresource)| {
            json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {
                    "namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource,
                }},
            })
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": reviews}).to_string();
    let input = crate::target::command::Input::Text(&list);
    let text = kubectl
        .run(
            &["create", "-f", "-", "-o", "json"],
            input,
            super::kubectl::PATIENCE,
        )
        .map_err(words)?;
    // One document after the other.
    let answers: Vec<Value> = serde_json::Deserializer::from_str(&text)
        .into_iter::<Value>()
        .filter_map(Result::ok)
        .flat_map(|answer| match answer["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![answer],
        })
        .collect();
    let missing: Vec<String> = RIGHTS
        .iter()
        .zip(answers.iter().map(Some).chain(std::iter::repeat(None)))
        .filter(|(_, answer)| !answer.is_some_and(|answer| answer["status"]["allowed"] == true))
        .map(|((verb, _, resource, subresource), _)| match *subresource {
            "" => format!("{verb} {resource}"),
            subresource => format!("{verb} {resource}/{subresource}"),
        })
        .collect();
    if missing.is_empty() {
        return Ok(format!("jobs, pods and exec in namespace {namespace}"));
    }
    Err(format!(
        "not permitted in namespace {namespace}: {}",
        missing.join(", ")
    ))
}

/// Nodes that could take a pod, and what they have. Listing nodes is a right that many users lack.
fn nodes(kubectl: &Kubectl, options: &KubernetesOptions) -> Result<String, String> {
    let mut words_of = vec!["get", "nodes", "-o", "json"];
    let selector: Vec<String> = options
        .node_selector
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let selector = selector.join(",");
    if !selector.is_empty() {
        words_of.extend(["-l", &selector]);
    }
    let found = kubectl.json(&words_of).map_err(words)?;
    let ready = |node: &&Value| {
        let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            && node.pointer("/spec/unschedulable") != Some(&Value::Bool(true))
    };
    let nodes: Vec<&Value> = found["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(ready)
        .collect();
    let has = |name: &str| {
        let amounts = nodes.iter().filter_map(|node| {
            let text = node["status"]["allocatable"][name].as_str()?;
            text.strip_suffix('m').map_or_else(
                || text.parse::<f64>().ok(),
                |milli| Some(milli.parse::<f64>().ok()? / 1000.0),
            )
        });
        amounts.sum::<f64>()
    };
    if nodes.is_empty() {
        return Err("no node is ready for these pods".into());
    }
    let gpus = has(options.gpu_resource.as_deref().unwrap_or("nvidia.com/gpu"));
    Ok(format!(
        "{} ready, {} cores{}",
        nodes.len(),
        has("cpu"),
        if gpus > 0.0 {
            format!(", {gpus} GPUs")
        } else {
            String::new()
        }
    ))
}
