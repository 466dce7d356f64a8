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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Address of a blob container: `https://STORAGE.blob.core.windows.net/CONTAINER`.
    pub container: String,
    /// Where the container's shared access signature is found (`sv=...&sig=...`; read, add, create, write, delete).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_secret: Option<Secret>,
    /// Id of the pool.
    pub pool: String,
    /// Size of a node, if overdrive is to make the pool when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_size: Option<String>,
    /// Nodes of that pool that are always there (0 by default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_nodes: Option<u32>,
    /// Most nodes of that pool (1 by default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_nodes: Option<u32>,
    /// Its nodes may be taken away at any time, at a lower price.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub low_priority: bool,
    /// Tasks that a node of that pool runs side by side (1 by default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_slots: Option<u32>,
    /// Image of its nodes: `PUBLISHER:OFFER:SKU[:VERSION]`, or the resource id of an own one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Node agent that fits the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_agent: Option<String>,
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

/// Image and node agent of a pool of which the files say nothing.
const IMAGE: &str = "microsoft-dsvm:ubuntu-hpc:2204";
const NODE_AGENT: &str = "batch.node.ubuntu 22.04";

/// A pool that overdrive makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PoolPlan<'a> {
    pub(super) vm_size: &'a str,
    pub(super) image: &'a str,
    pub(super) node_agent: &'a str,
    pub(super) min_nodes: u32,
    pub(super) max_nodes: u32,
    pub(super) low_priority: bool,
    pub(super) task_slots: u32,
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
    /// Part of a pool that overdrive does not make.
    #[error("`{0}` describes a pool to be made, and `vm_size` is not given")]
    NoPlan(&'static str),
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
        match self.plan() {
            Some(plan) if plan.vm_size.is_empty() => return Err(BatchProblem::Missing("vm_size")),
            Some(plan) if plan.max_nodes == 0 || plan.max_nodes < plan.min_nodes => {
                return Err(BatchProblem::Nodes);
            }
            Some(plan) if plan.task_slots == 0 => return Err(BatchProblem::Zero("task_slots")),
            Some(_) => {}
            None => {
                let of_a_plan = [
                    ("min_nodes", self.min_nodes.is_some()),
                    ("max_nodes", self.max_nodes.is_some()),
                    ("low_priority", self.low_priority),
                    ("task_slots", self.task_slots.is_some()),
                    ("image", self.image.is_some()),
                    ("node_agent", self.node_agent.is_some()),
                ];
                if let Some((key, _)) = of_a_plan.into_iter().find(|(_, given)| *given) {
                    return Err(BatchProblem::NoPlan(key));
                }
            }
        }
        Ok(())
    }

    /// The pool that overdrive makes when there is none.
    pub(super) fn plan(&self) -> Option<PoolPlan<'_>> {
        Some(PoolPlan {
            vm_size: self.vm_size.as_deref()?,
            image: self.image.as_deref().unwrap_or(IMAGE),
            node_agent: self.node_agent.as_deref().unwrap_or(NODE_AGENT),
            min_nodes: self.min_nodes.unwrap_or(0),
            max_nodes: self.max_nodes.unwrap_or(1),
            low_priority: self.low_priority,
            task_slots: self.task_slots.unwrap_or(1),
        })
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
        !rest.is_empty()
            && rest.bytes().all(|byte| byte.is_ascii_graphic())
            && !rest.contains(['?', '#', '@'])
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
            assert!(
                told.contains("account_url") && !told.contains("sig=secret"),
                "{told}"
            );
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
        assert!(told(|it| it.max_nodes = Some(4)).contains("`vm_size` is not given"));
        let mut changed = options();
        (changed.vm_size, changed.min_nodes) = (Some("s".into()), Some(3));
        assert_eq!(changed.check(), Err(BatchProblem::Nodes));
        changed.max_nodes = Some(3);
        assert_eq!(changed.check(), Ok(()));
    }
}
