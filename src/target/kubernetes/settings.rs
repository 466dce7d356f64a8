//! What the kind `kubernetes` says of itself.

use super::{KubernetesOptions, KubernetesProblem, KubernetesTarget, probe};
use crate::target::kind::{
    Connection, Field, Kind, Settings, SettingsError, Summary, Surroundings, Value, Wanted, options,
};
use crate::target::pool::Machine;
use crate::target::probe::Step;
use std::sync::Arc;

/// A Kubernetes cluster.
pub static KIND: Kind = Kind {
    word: "kubernetes",
    aliases: &["k8s"],
    about: "A Kubernetes cluster, by this user's kubectl: a job and a pod per trial.",
    compute_type: "Kubernetes",
    attached: true,
    fields: &[
        text("image", "IMAGE", "Image of the pods where the files name none"),
        text(
            "context",
            "NAME",
            "Context of the kubeconfig; its current one otherwise",
        ),
        Field::new(
            "kubeconfig",
            Value::File,
            "Kubeconfig; what kubectl takes by itself otherwise",
        ),
        text("namespace", "NAME", "Namespace; that of the context otherwise"),
        text("cpus", "CORES", "Cores of a trial, such as 2 or 500m"),
        text("memory", "SIZE", "Memory of a trial, such as 8Gi"),
        Field::new("gpus", Value::Count("N"), "GPUs of a trial"),
        text(
            "gpu_resource",
            "NAME",
            "The resource that GPUs are called; nvidia.com/gpu otherwise",
        ),
        text("shm_size", "SIZE", "Size of /dev/shm, such as 2Gi"),
        Field::new(
            "node_selector",
            Value::Pairs,
            "A label that a node must have; repeat for several",
        ),
        Field::new(
            "tolerations",
            Value::Texts("TAINT"),
            "A taint that does not matter, such as gpu=yes:NoSchedule; repeat for several",
        )
        .flag("toleration"),
        text("service_account", "NAME", "Service account of the pods"),
        Field::new(
            "image_pull_secrets",
            Value::Texts("NAME"),
            "A secret with the login of a registry; repeat for several",
        )
        .flag("image-pull-secret"),
        Field::new(
            "image_pull_policy",
            Value::Word(&["Always", "IfNotPresent", "Never"]),
            "When the image is fetched",
        ),
        text("priority_class", "NAME", "Class of the pods' priority"),
        Field::new(
            "labels",
            Value::Pairs,
            "A label of jobs and pods; repeat for several",
        )
        .flag("label"),
        Field::new(
            "volumes",
            Value::Texts("VOLUME"),
            "What scripts see: claim:NAME:/PATH or host:/DIR:/PATH; repeat for several",
        )
        .flag("volume"),
        text(
            "cache",
            "VOLUME",
            "Where program, snapshots and environments are kept between pods: claim:NAME or host:/DIR",
        ),
        Field::new(
            "start_minutes",
            Value::Count("MINUTES"),
            "Minutes until a pod that does not start is given up; 15 by default",
        ),
        Field::new(
            "workers",
            Value::Switch,
            "Let each pod take one trial after the other",
        ),
        Field::new(
            "idle_seconds",
            Value::Count("SECONDS"),
            "Seconds that such a pod waits for another trial; 60 by default",
        ),
        Field::new(
            "slots",
            Value::Count("N"),
            "Pods at once; by default as many as the sweep allows",
        ),
    ],
    read: options::<KubernetesOptions>,
};

const fn text(key: &'static str, word: &'static str, help: &'static str) -> Field {
    Field::new(key, Value::Text(word), help)
}

impl From<KubernetesProblem> for SettingsError {
    fn from(problem: KubernetesProblem) -> Self {
        Self::new("kubernetes-options", problem.to_string())
    }
}

impl Settings for KubernetesOptions {
    fn check(&self) -> Result<(), SettingsError> {
        Ok(Self::check(self)?)
    }

    fn connect(&self, wanted: Wanted<'_>, surroundings: &Surroundings) -> Result<Connection, SettingsError> {
        Ok(Connection::Target(Arc::new(KubernetesTarget::new(
            wanted.name.to_owned(),
            self.clone(),
            surroundings.program.clone(),
        ))))
    }

    fn probe(&self, _: &Surroundings) -> Vec<Step> {
        probe::probe(self)
    }

    fn summary(&self, _: &Machine) -> Summary {
        let pods = || "as many pods as the sweep says".to_owned();
        let count = self.slots.map_or_else(pods, |slots| slots.to_string());
        let place = self.context.as_deref().unwrap_or("the current context");
        let namespace = self.namespace.as_deref();
        let namespace = namespace.map_or_else(String::new, |namespace| format!(", namespace {namespace}"));
        Summary {
            size: self.cpus.clone().unwrap_or_default(),
            nodes: String::new(),
            slots: self.slots,
            at_a_time: "as the sweep says".into(),
            what: format!("{place}{namespace}, {count} at a time"),
        }
    }

    fn location(&self) -> String {
        self.context.clone().unwrap_or_else(|| "current-context".into())
    }
}
