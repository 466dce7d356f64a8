//! What can be said about a Kubernetes cluster as a compute target.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Longest wait for a pod to start, in minutes, where nothing else is said.
pub(super) const START_MINUTES: u64 = 15;

/// How long a pod that may take another trial waits for one, in seconds.
pub(super) const IDLE_SECONDS: u64 = 60;

/// A cluster, and what the pods of trials look like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KubernetesOptions {
    /// Context of the kubeconfig; its current one otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Kubeconfig; what kubectl takes by itself otherwise (`KUBECONFIG`, `~/.kube/config`, the service account in a pod).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespace; that of the context otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Image of the pods where the files name none. It needs a shell and a C library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When the image is fetched: `Always`, `IfNotPresent`, `Never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,
    /// Names of secrets with logins of registries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<String>,
    /// Service account of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Cores of a trial as the cluster writes them, such as `2` or `500m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<String>,
    /// Memory of a trial, such as `8Gi`: asked for and not to be passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// GPUs of a trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u64>,
    /// The resource that GPUs are called; `nvidia.com/gpu` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_resource: Option<String>,
    /// Size of `/dev/shm`, such as `2Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<String>,
    /// Labels that a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that do not matter: `KEY`, `KEY=VALUE`, with `:EFFECT` or without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<String>,
    /// Class of the pods' priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class: Option<String>,
    /// Further labels of jobs and pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Volumes that scripts see: `claim:NAME:/PATH` or `host:/DIR:/PATH`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Where the program, snapshots and environments are kept between pods: `claim:NAME` or `host:/DIR`; each pod gets its own otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// Minutes until a pod that does not start is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_minutes: Option<u64>,
    /// Whether a pod takes one trial after the other.
    #[serde(skip_serializing_if = "is_false")]
    pub workers: bool,
    /// Seconds that such a pod waits for another trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u64>,
    /// Trials at once; as many as the sweep allows otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u64>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What is wrong with them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KubernetesProblem {
    /// A value that the cluster would not take.
    #[error("`{key}` is `{value}`: {expected} is expected")]
    Value {
        /// Which option.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// A volume as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Volume<'a> {
    /// A claim.
    Claim(&'a str),
    /// A folder of the node.
    Host(&'a str),
}

impl<'a> Volume<'a> {
    /// `claim:NAME` or `host:/DIR`.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        match text.split_once(':')? {
            ("claim", name) if is_name(name) => Some(Self::Claim(name)),
            ("host", folder) if folder.starts_with('/') => Some(Self::Host(folder)),
            _ => None,
        }
    }

    /// `claim:NAME:/PATH` or `host:/DIR:/PATH`: the volume and where it is seen.
    pub(super) fn mounted(text: &'a str) -> Option<(Self, &'a str)> {
        let (volume, at) = text.rsplit_once(':')?;
        Some((Self::read(volume)?, at)).filter(|(_, at)| at.starts_with('/') && at.len() > 1)
    }
}

/// A name that Kubernetes takes: letters in lower case, digits, hyphens and dots.
fn is_name(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || c == '-' || c == '.')
}

/// A number with a suffix of the cluster's.
fn is_quantity(text: &str) -> bool {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = text.get(number.len()..).unwrap_or_default();
    number.parse::<f64>().is_ok_and(|number| number > 0.0)
        && ["", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi"].contains(&suffix)
}

impl KubernetesOptions {
    /// Whether they can be worked with.
    ///
    /// # Errors
    /// The first that cannot be.
    pub fn check(&self) -> Result<(), KubernetesProblem> {
        let wrong = |key, value: &str, expected| {
            Err(KubernetesProblem::Value {
                key,
                value: value.to_owned(),
                expected,
            })
        };
        let quantities = [
            ("cpus", &self.cpus, "a number of cores, such as 2 or 500m"),
            ("memory", &self.memory, "a size, such as 8Gi"),
            ("shm_size", &self.shm_size, "a size, such as 2Gi"),
        ];
        for (key, value, expected) in quantities {
            if let Some(value) = value.as_deref().filter(|value| !is_quantity(value)) {
                return wrong(key, value, expected);
            }
        }
        let names = [
            ("namespace", &self.namespace),
            ("service_account", &self.service_account),
            ("priority_class", &self.priority_class),
        ];
        for (key, value) in names {
            if let Some(value) = value.as_deref().filter(|value| !is_name(value)) {
                return wrong(key, value, "a name of small letters, digits and hyphens");
            }
        }
        if let Some(policy) = self.image_pull_policy.as_deref()
            && !["Always", "IfNotPresent", "Never"].contains(&policy)
        {
            return wrong("image_pull_policy", policy, "`Always`, `IfNotPresent` or `Never`");
        }
        for volume in &self.volumes {
            if Volume::mounted(volume).is_none() {
                return wrong("volumes", volume, "`claim:NAME:/PATH` or `host:/DIR:/PATH`");
            }
        }
        if let Some(cache) = self
            .cache
            .as_deref()
            .filter(|cache| Volume::read(cache).is_none())
        {
            return wrong("cache", cache, "`claim:NAME` or `host:/DIR`");
        }
        for toleration in &self.tolerations {
            let effect = toleration.split_once(':').map(|(_, effect)| effect);
            let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            if effect.is_some_and(|effect| !known.contains(&effect)) || toleration.starts_with([':', '=']) {
                return wrong(
                    "tolerations",
                    toleration,
                    "`KEY=VALUE:NoSchedule`, or part of it,",
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_would_refuse_is_refused_here() {
        let check = |text: &str| {
            let options: KubernetesOptions = serde_json::from_str(text).unwrap();
            options.check().map_err(|problem| problem.to_string())
        };
        assert_eq!(
            check(
                r#"{"cpus": "500m", "memory": "1.5Gi", "namespace": "team-a", "cache": "host:/var/od", "volumes": ["claim:data:/data"],
                    "tolerations": ["gpu", "a=b:NoSchedule"]}"#
            ),
            Ok(())
        );
        for (text, word) in [
            (r#"{"cpus": "two"}"#, "`cpus`"),
            (r#"{"memory": "8GB"}"#, "8Gi"),
            (r#"{"namespace": "Team A"}"#, "`namespace`"),
            (r#"{"volumes": ["data:/x"]}"#, "claim:NAME:/PATH"),
            (r#"{"volumes": ["claim:data:relative"]}"#, "claim:NAME:/PATH"),
            (r#"{"cache": "nfs:/x"}"#, "`cache`"),
            (r#"{"tolerations": ["a=b:Sometimes"]}"#, "NoSchedule"),
            (r#"{"image_pull_policy": "never"}"#, "`Never`"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
