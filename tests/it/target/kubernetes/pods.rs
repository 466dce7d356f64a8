//! What pods may ask a cluster for, and how a cluster takes them away.

use super::super::project::{Place, Project, Sweep, text};
use super::super::services::Service;
use super::{kubectl, one, place};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// Sends JSON to the API by `kubectl`, as a person would: `words` name the verb, `-f -` is added.
fn send(facts: &HashMap<String, String>, words: &[&str], body: &Value) {
    let mut child = Command::new("kubectl")
        .args(words)
        .args(["-f", "-"])
        .env("KUBECONFIG", &facts["KUBECONFIG"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(body.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
}

fn node(facts: &HashMap<String, String>) -> String {
    kubectl(
        facts,
        &["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"],
    )
}

/// Says of the node that it has as many of a resource: what a device plugin would do.
fn equip_node(facts: &HashMap<String, String>, resource: &str, count: u64) {
    let name = node(facts);
    let shown = kubectl(facts, &["get", "node", &name, "-o", "json"]);
    let mut shown: Value = serde_json::from_str(&shown).unwrap();
    // Without it the API compares no versions: the kubelet writes here as well.
    shown["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    for key in ["capacity", "allocatable"] {
        shown["status"][key][resource] = json!(count.to_string());
    }
    send(
        facts,
        &["replace", "--raw", &format!("/api/v1/nodes/{name}/status")],
        &shown,
    );
}

/// The pod in which the script of the project's first trial runs.
fn pod(facts: &HashMap<String, String>, project: &Project<'_>) -> String {
    let job = fs::read_to_string(project.folder_of(0).join("machine")).unwrap();
    let selector = format!("job-name={job}");
    let pod = kubectl(
        facts,
        &[
            "get",
            "pods",
            "-l",
            &selector,
            "-o",
            "jsonpath={.items[0].metadata.name}",
        ],
    );
    assert!(!pod.is_empty(), "{job}");
    pod
}

/// GPUs that no node has are told in the scheduler's words; on a node that has them, with a taint, a label, a priority, a claim and an
/// account, the trial runs.
pub(super) fn what_pods_ask_for(cluster: &Service, facts: &HashMap<String, String>) {
    let missing = place(cluster, facts, &["--gpus", "1", "--start-minutes", "0"]);
    let project = Project::new(&missing, "echo score=1", &one());
    let output = project.run(&["run", "hdconfig.yml"]);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{words}");
    assert!(words.contains("Insufficient nvidia.com/gpu"), "{words}");

    let name = node(facts);
    equip_node(facts, "nvidia.com/gpu", 2);
    kubectl(facts, &["label", "node", &name, "overdrive-test=gpu"]);
    kubectl(facts, &["taint", "nodes", &name, "overdrive-test=gpu:NoSchedule"]);
    let data = cluster.folder().join("claimed");
    let object = |kind: &str, version: &str, name: &str, more: Value| {
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
        object
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        object
    };
    let size = json!({"storage": "1Mi"});
    let modes = json!(["ReadWriteMany"]);
    let objects = [
        object(
            "PriorityClass",
            "scheduling.k8s.io/v1",
            "overdrive-test",
            json!({"value": 1000}),
        ),
        object("ServiceAccount", "v1", "overdrive-test", json!({})),
        object(
            "PersistentVolume",
            "v1",
            "overdrive-test",
            json!({"spec": {"capacity": size, "accessModes": modes, "storageClassName": "",
                "hostPath": {"path": data, "type": "DirectoryOrCreate"}}}),
        ),
        object(
            "PersistentVolumeClaim",
            "v1",
            "overdrive-test",
            json!({"spec": {"accessModes": modes, "storageClassName": "", "volumeName": "overdrive-test",
                "resources": {"requests": size}}}),
        ),
    ];
    for object in &objects {
        send(facts, &["create"], object);
    }
    let place = place(
        cluster,
        facts,
        &[
            "--gpus",
            "2",
            "--node-selector",
            "overdrive-test=gpu",
            "--toleration",
            "overdrive-test=gpu:NoSchedule",
            "--priority-class",
            "overdrive-test",
            "--service-account",
            "overdrive-test",
            "--volume",
            "claim:overdrive-test:/claimed",
        ],
    );
    let body = r#"echo "score=1"
echo "from the pod" > /claimed/written
touch "$SEEN/ready"
while [ ! -e "$SEEN/go" ]; do sleep 0.1; done"#;
    let project = Project::new(&place, body, &one());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("the script", || project.seen().join("ready").exists());
    let shown = kubectl(facts, &["get", "pod", &pod(facts, &project), "-o", "json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["spec"]["priority"], 1000);
    assert_eq!(shown["spec"]["serviceAccountName"], "overdrive-test");
    assert_eq!(
        shown["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"],
        "2"
    );
    fs::write(project.seen().join("go"), "").unwrap();
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 1, "{result}");
    assert_eq!(
        fs::read_to_string(data.join("written")).unwrap(),
        "from the pod\n"
    );
    kubectl(facts, &["taint", "nodes", &name, "overdrive-test-"]);
}

/// A pool of the cloud is one of pods: never more than its nodes, each for one trial after the other.
pub(super) fn a_pool_of_pods(cluster: &Service, facts: &HashMap<String, String>) {
    let place = place(cluster, facts, &[]);
    let sweep = Sweep {
        values: (0..6).map(|x| json!(x)).collect(),
        concurrent: 6,
        ..Sweep::default()
    };
    let project = Project::new(&place, "hostname > \"$SEEN/$2\"; echo score=$2", &sweep);
    let create = |on: &str| {
        let mut words = vec!["target", "create", "amlcompute", "-n", "pool", "-s", "ours"];
        words.extend([
            "--cpus",
            "1",
            "--memory",
            "0.1",
            "--max-nodes",
            "2",
            "--min-nodes",
            "1",
        ]);
        words.extend(["--idle-seconds-before-scaledown", "3", "--on", on]);
        let output = project.run(&words);
        (output.status.code(), text(&output.stderr))
    };
    let (code, told) = create("nowhere");
    assert_eq!(code, Some(3), "{told}");
    let (code, told) = create("place");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("`--min-nodes` has no effect"), "{told}");
    let shown = project.json(&["target", "show", "-n", "pool", "--json"]);
    assert_eq!(shown["amlcompute"]["max_nodes"], 2, "{shown}");
    let words = ["run", "hdconfig.yml", "--json", "--target", "pool"];
    let result = project.ends(project.start(&words));
    assert_eq!(result["trials"]["Completed"], 6, "{result}");
    let pods: std::collections::BTreeSet<String> = project
        .names_seen()
        .iter()
        .map(|name| fs::read_to_string(project.seen().join(name)).unwrap())
        .collect();
    assert!((1..=3).contains(&pods.len()), "{pods:?}");
    project.until("the end of the pool's pods", || {
        kubectl(facts, &["get", "jobs", "-o", "name"]).is_empty()
    });
}

/// A pod that is evicted by the API, and one whose node is drained by a taint, are preempted: tried again, and neither takes anything
/// from the one retry that a node failure would need.
pub(super) fn taken_away(cluster: &Service, facts: &HashMap<String, String>) {
    let place: Place = place(cluster, facts, &["--cpus", "50m"]);
    let body = r#"echo "score=$OVERDRIVE_ATTEMPT"
[ "$OVERDRIVE_ATTEMPT" != 2 ] || exit 0
touch "$SEEN/$OVERDRIVE_ATTEMPT"
sleep 600"#;
    let project = Project::new(&place, body, &one());
    let child = project.start(&["run", "hdconfig.yml", "--json", "--set", "max_retries=1"]);
    project.until("the first attempt", || project.seen().join("0").exists());
    let evicted = pod(facts, &project);
    let path = format!("/api/v1/namespaces/default/pods/{evicted}/eviction");
    let eviction = json!({"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": evicted, "namespace": "default"}});
    send(facts, &["create", "--raw", &path], &eviction);
    project.until("the second attempt", || project.seen().join("1").exists());
    let name = node(facts);
    kubectl(
        facts,
        &["taint", "nodes", &name, "overdrive-test=drained:NoExecute"],
    );
    project.until("the end of the second attempt", || {
        let shown = project.json(&["show", "0", "--json"]);
        shown["items"]
            .as_array()
            .is_some_and(|attempts| attempts.len() > 1 && attempts[1]["outcome"].is_object())
    });
    kubectl(facts, &["taint", "nodes", &name, "overdrive-test-"]);
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 1, "{result}");
    assert_eq!(result["best"]["value"], 2.0, "{result}");
    let shown = project.json(&["show", "0", "--json"]);
    let attempts = shown["items"].as_array().unwrap();
    assert_eq!(attempts.len(), 3, "{shown}");
    for attempt in &attempts[..2] {
        assert_eq!(attempt["outcome"]["class"], "preempted", "{shown}");
    }
}
