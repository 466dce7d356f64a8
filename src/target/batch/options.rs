//! The section `batch` of a target's file.

use crate::target::ssh::{Secret, secret};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How an account of Azure Batch is reached, which pool takes the trials, and through which container they get what they need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchOptions {
    /// Address of the account: `https://ACCOUNT.REGION.batch.azure.com`.
    pub account_url: String,
    /// Name of the account; the first label of the address by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What the secret is.
    #[serde(default, skip_serializing_if = "Login::is_key")]
    pub login: Login,
    /// Where the account's key, or the token, is found.
    pub secret: Option<Secret>,
    /// Address of a blob container: `https://STORAGE.blob.core.windows.net/CONTAINER`.
    pub container: String,
    /// Where the container's shared access signature is found (`sv=...&sig=...`; read, add, create, write, delete).
    pub container_secret: Option<Secret>,
    /// Id of the pool.
    pub pool: String,
    /// What the pool is made of, if overdrive makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<PoolPlan>,
    /// Trials at once; by default as many as the sweep allows, since the pool has a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u64>,
    /// Task slots that one trial takes (1 by default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_slots: Option<u32>,
    /// Build of overdrive for the pool's nodes, where this one's does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<PathBuf>,
}

/// What a secret is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// The account's shared key; requests are signed with it.
    #[default]
    SharedKey,
    /// A token of Microsoft Entra ID, read anew whenever it was refused.
    Token,
}

impl Login {
    fn is_key(&self) -> bool {
        *self == Self::SharedKey
    }
}

/// A pool that overdrive makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolPlan {
    /// Size of a node.
    pub vm_size: String,
    /// Image of the nodes: `PUBLISHER:OFFER:SKU[:VERSION]`, or the resource id of an own one.
    #[serde(default = "default_image")]
    pub image: String,
    /// Node agent that fits the image.
    #[serde(default = "default_node_agent")]
    pub node_agent: String,
    /// Nodes that are always there.
    #[serde(default)]
    pub min_nodes: u32,
    /// Most nodes.
    pub max_nodes: u32,
    /// Nodes that may be taken away at any time, at a lower price.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub low_priority: bool,
    /// Trials that a node runs side by side.
    #[serde(default = "one")]
    pub task_slots: u32,
}

fn default_image() -> String {
    "microsoft-dsvm:ubuntu-hpc:2204".into()
}

fn default_node_agent() -> String {
    "batch.node.ubuntu 22.04".into()
}

fn one() -> u32 {
    1
}

/// What cannot be in the section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchProblem {
    /// Something is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// Something cannot be used as it stands.
    #[error("`{key}` cannot be `{value}`: {expected}")]
    Value {
        /// Key of the section.
        key: &'static str,
        /// As written.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// Fewer nodes at most than at least.
    #[error("`max_nodes` must be at least `min_nodes`, and 1 or more")]
    Nodes,
    /// No trials at all.
    #[error("`{0}` must be 1 or more")]
    Zero(&'static str),
}

impl BatchOptions {
    /// Whether it can be worked with.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), BatchProblem> {
        for (key, value) in [
            ("account_url", &self.account_url),
            ("container", &self.container),
            ("pool", &self.pool),
        ] {
            if value.is_empty() {
                return Err(BatchProblem::Missing(key));
            }
        }
        if self.secret.is_none() {
            return Err(BatchProblem::Missing("secret"));
        }
        for (key, value) in [("account_url", &self.account_url), ("container", &self.container)] {
            if !acceptable(value) {
                return Err(BatchProblem::Value {
                    key,
                    value: value.split('?').next().unwrap_or_default().to_owned(),
                    expected: "an `https://` address without `?` (`http://` for this computer alone)",
                });
            }
        }
        if self.container.splitn(4, '/').nth(3).is_none_or(str::is_empty) {
            return Err(BatchProblem::Value {
                key: "container",
                value: self.container.clone(),
                expected: "the address of a container ends in its name",
            });
        }
        if !is_id(&self.pool) {
            return Err(BatchProblem::Value {
                key: "pool",
                value: self.pool.clone(),
                expected: "letters, digits, `-` and `_`, at most 64",
            });
        }
        if self.slots == Some(0) {
            return Err(BatchProblem::Zero("slots"));
        }
        if self.required_slots == Some(0) {
            return Err(BatchProblem::Zero("required_slots"));
        }
        if let Some(plan) = &self.create {
            if plan.vm_size.is_empty() {
                return Err(BatchProblem::Missing("vm_size"));
            }
            if plan.max_nodes == 0 || plan.max_nodes < plan.min_nodes {
                return Err(BatchProblem::Nodes);
            }
            if plan.task_slots == 0 {
                return Err(BatchProblem::Zero("task_slots"));
            }
        }
        Ok(())
    }

    /// Name of the account.
    pub fn account(&self) -> &str {
        let host = self.account_url.split("//").nth(1).unwrap_or_default();
        let label = host.split(['.', ':', '/']).next().unwrap_or_default();
        self.account.as_deref().unwrap_or(label)
    }

    /// The account's key or token.
    ///
    /// # Errors
    /// One sentence.
    pub fn secret(&self) -> Result<String, String> {
        let reference = self.secret.as_ref().ok_or("`secret` is missing")?;
        secret::read(reference).map_err(|error| format!("its secret: {error}"))
    }

    /// The container's shared access signature, without a leading `?`; empty if none is needed.
    ///
    /// # Errors
    /// One sentence.
    pub fn signature(&self) -> Result<String, String> {
        match &self.container_secret {
            None => Ok(String::new()),
            Some(reference) => secret::read(reference)
                .map(|text| text.trim_start_matches('?').to_owned())
                .map_err(|error| format!("the secret of its container: {error}")),
        }
    }
}

/// Whether a secret may be sent to this address.
fn acceptable(address: &str) -> bool {
    let plain = |rest: &str| {
        let host = rest.split('/').next().unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        ["127.0.0.1", "localhost", "[::1]"].contains(&host)
    };
    let legal = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()) && !rest.contains(['?', '#', '@'])
    };
    match address.split_once("://") {
        Some(("https", rest)) => legal(rest),
        Some(("http", rest)) => legal(rest) && plain(rest),
        _ => false,
    }
}

/// Whether it can be the id of a pool, job or task.
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> BatchOptions {
        BatchOptions {
            account_url: "https://acct.westeurope.batch.azure.com".into(),
            secret: Some(Secret::Variable("KEY".into())),
            container: "https://store.blob.core.windows.net/trials".into(),
            pool: "gpus".into(),
            ..BatchOptions::default()
        }
    }

    #[test]
    fn secrets_go_to_no_address_in_the_clear() {
        assert_eq!(options().check(), Ok(()));
        assert_eq!(options().account(), "acct");
        for bad in [
            "http://acct.westeurope.batch.azure.com",
            "acct.westeurope.batch.azure.com",
            "https://acct?sig=secret",
            "https://me@acct",
            "http://127.0.0.1.evil.example/",
        ] {
            let with = BatchOptions {
                account_url: bad.into(),
                ..options()
            };
            let told = with.check().unwrap_err().to_string();
            assert!(told.contains("account_url") && !told.contains("sig=secret"), "{told}");
        }
        let here = BatchOptions {
            account_url: "http://127.0.0.1:8080".into(),
            ..options()
        };
        assert_eq!(here.check(), Ok(()));
    }

    #[test]
    fn what_is_missing_or_empty_is_named() {
        let told = |change: fn(&mut BatchOptions)| {
            let mut changed = options();
            change(&mut changed);
            changed.check().unwrap_err().to_string()
        };
        assert_eq!(told(|it| it.pool.clear()), "`pool` is missing");
        assert_eq!(told(|it| it.secret = None), "`secret` is missing");
        assert_eq!(told(|it| it.slots = Some(0)), "`slots` must be 1 or more");
        assert!(told(|it| it.pool = "a b".into()).contains("at most 64"));
        assert!(told(|it| it.container = "https://s.blob.core.windows.net/".into()).contains("container"));
        let plan: PoolPlan = serde_json::from_str(r#"{"vm_size":"s","min_nodes":3,"max_nodes":2}"#).unwrap();
        let mut changed = options();
        changed.create = Some(plan);
        assert_eq!(changed.check(), Err(BatchProblem::Nodes));
    }
}
