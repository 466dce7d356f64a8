//! The job of one pod, as the API takes it (`batch/v1`).

use super::options::{KubernetesOptions, Volume};
use serde_json::{Map, Value, json};

/// Label with the sweep.
pub(super) const SWEEP: &str = "overdrive/sweep";

/// Where everything lies in a pod.
pub(super) const ROOT: &str = "/overdrive";

/// Where what pods share is seen.
const CACHE: &str = "/overdrive-cache";

/// How long a pod stays that nobody talks to and in which nothing runs, in rounds of two seconds: results wait there to be fetched.
const ROUNDS: u64 = 12 * 3600 / 2;

/// What the pod's first process does: nothing, until it is told to end or was left alone for long. It takes in orphans.
fn waits() -> String {
    format!(
        r#"trap 'exit 0' TERM INT
for name in bin blobs snapshots environments; do
    [ ! -d {CACHE} ] || {{ mkdir -p {CACHE}/$name && ln -sfn {CACHE}/$name {ROOT}/$name; }}
done
touch {ROOT}/ready
alone=0
while [ ! -e {ROOT}/stop ] && [ $alone -lt {ROUNDS} ]; do
    sleep 2 &
    wait $!
    set -- /proc/[0-9]*
    if [ $# -le 3 ]; then alone=$((alone + 1)); else alone=0; fi
done"#
    )
}

/// What a job is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The sweep's id.
    pub(super) sweep: &'a str,
    /// The image.
    pub(super) image: &'a str,
}

/// The sweep's id as the value of a label.
pub(super) fn label(sweep: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let text: String = sweep.chars().filter(|c| legal(*c)).take(63).collect();
    text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// The job.
pub(super) fn job(options: &KubernetesOptions, wanted: Wanted<'_>) -> Value {
    let mut labels: Map<String, Value> = Map::new();
    for (name, value) in &options.labels {
        labels.insert(name.clone(), value.as_str().into());
    }
    labels.insert("app.kubernetes.io/managed-by".into(), "overdrive".into());
    labels.insert(SWEEP.into(), label(wanted.sweep).into());
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": wanted.name, "labels": labels},
        "spec": {
            // What is tried again, and how often, is the sweep's matter.
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "ttlSecondsAfterFinished": 24 * 3600,
            "template": {
                "metadata": {"labels": labels},
                "spec": pod(options, wanted.image),
            },
        },
    })
}

fn pod(options: &KubernetesOptions, image: &str) -> Value {
    let mut resources = Map::new();
    for (name, value) in [("cpu", &options.cpus), ("memory", &options.memory)] {
        if let Some(value) = value {
            resources.insert(name.into(), value.as_str().into());
        }
    }
    let mut limits = resources.clone();
    // Cores are shared fairly and need no limit; GPUs are no request of their own.
    limits.remove("cpu");
    if let Some(gpus) = options.gpus.filter(|gpus| *gpus > 0) {
        let name = options.gpu_resource.as_deref().unwrap_or("nvidia.com/gpu");
        limits.insert(name.into(), gpus.to_string().into());
    }
    let mut volumes = vec![json!({"name": "root", "emptyDir": {}})];
    let mut mounts = vec![json!({"name": "root", "mountPath": ROOT})];
    let mut add = |name: String, volume: &Volume<'_>, at: &str| {
        volumes.push(match volume {
            Volume::Claim(claim) => json!({"name": name, "persistentVolumeClaim": {"claimName": claim}}),
            Volume::Host(folder) => {
                json!({"name": name, "hostPath": {"path": folder, "type": "DirectoryOrCreate"}})
            }
        });
        mounts.push(json!({"name": name, "mountPath": at}));
    };
    if let Some(cache) = options.cache.as_deref().and_then(Volume::read) {
        add("cache".into(), &cache, CACHE);
    }
    for (index, volume) in options.volumes.iter().enumerate() {
        if let Some((volume, at)) = Volume::mounted(volume) {
            add(format!("volume-{index}"), &volume, at);
        }
    }
    if let Some(size) = &options.shm_size {
        volumes.push(json!({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}));
        mounts.push(json!({"name": "shm", "mountPath": "/dev/shm"}));
    }
    let mut container = json!({
        "name": "trial",
        "image": image,
        "command": ["/bin/sh", "-c", waits()],
        "resources": {"requests": resources, "limits": limits},
        "volumeMounts": mounts,
    });
    let mut spec = json!({
        "restartPolicy": "Never",
        // The runner has a grace of its own; what is left in the pod when it is taken away has nothing to say.
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": false,
        "volumes": volumes,
    });
    let set = |to: &mut Value, key: &str, value: Value| {
        if let Some(map) = to.as_object_mut() {
            map.insert(key.into(), value);
        }
    };
    if let Some(policy) = &options.image_pull_policy {
        set(&mut container, "imagePullPolicy", policy.as_str().into());
    }
    set(&mut spec, "containers", json!([container]));
    if let Some(account) = &options.service_account {
        set(&mut spec, "serviceAccountName", account.as_str().into());
        // Whoever names one wants its rights.
        set(&mut spec, "automountServiceAccountToken", true.into());
    }
    if let Some(class) = &options.priority_class {
        set(&mut spec, "priorityClassName", class.as_str().into());
    }
    if !options.node_selector.is_empty() {
        set(&mut spec, "nodeSelector", json!(options.node_selector));
    }
    if !options.image_pull_secrets.is_empty() {
        let names = options
            .image_pull_secrets
            .iter()
            .map(|name| json!({"name": name}));
        set(&mut spec, "imagePullSecrets", names.collect());
    }
    if !options.tolerations.is_empty() {
        let list = options.tolerations.iter().map(|text| toleration(text));
        set(&mut spec, "tolerations", list.collect());
    }
    spec
}

/// `KEY`, `KEY=VALUE`, with `:EFFECT` or without.
fn toleration(text: &str) -> Value {
    let (taint, effect) = match text.split_once(':') {
        Some((taint, effect)) => (taint, Some(effect)),
        None => (text, None),
    };
    let mut toleration = match taint.split_once('=') {
        Some((key, value)) => json!({"key": key, "operator": "Equal", "value": value}),
        None => json!({"key": taint, "operator": "Exists"}),
    };
    if let (Some(effect), Some(map)) = (effect, toleration.as_object_mut()) {
        map.insert("effect".into(), effect.into());
    }
    toleration
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_says_what_was_asked_for_and_retries_nothing() {
        let options: KubernetesOptions = serde_json::from_value(json!({
            "cpus": "2", "memory": "8Gi", "gpus": 1, "node_selector": {"pool": "gpu"}, "tolerations": ["gpu=yes:NoSchedule", "spot"],
            "cache": "host:/var/od", "volumes": ["claim:data:/data"], "image_pull_secrets": ["reg"], "shm_size": "1Gi",
        }))
        .unwrap();
        let job = job(
            &options,
            Wanted {
                name: "od-1",
                sweep: "HD_1",
                image: "img",
            },
        );
        assert_eq!(job["spec"]["backoffLimit"], 0);
        assert_eq!(job["metadata"]["labels"][SWEEP], "HD_1");
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["restartPolicy"], "Never");
        assert_eq!(pod["automountServiceAccountToken"], false);
        let container = &pod["containers"][0];
        assert_eq!(
            container["resources"]["requests"],
            json!({"cpu": "2", "memory": "8Gi"})
        );
        assert_eq!(
            container["resources"]["limits"],
            json!({"memory": "8Gi", "nvidia.com/gpu": "1"})
        );
        assert_eq!(
            pod["tolerations"],
            json!([
                {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
                {"key": "spot", "operator": "Exists"},
            ])
        );
        let names: Vec<&str> = pod["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|volume| volume["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["root", "cache", "volume-0", "shm"]);
    }

    #[test]
    fn ids_become_labels() {
        assert_eq!(label("HD_ab-1"), "HD_ab-1");
        assert_eq!(label("_caf\u{e9} x_"), "cafx");
        assert_eq!(label(&"a".repeat(90)).len(), 63);
    }
}
