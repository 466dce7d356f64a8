//! What the kind `batch` says of itself.

use super::{BatchOptions, BatchProblem, BatchTarget};
use crate::target::kind::{
    Connection, Field, Kind, Settings, SettingsError, Summary, Surroundings, Value, Wanted, options,
};
use crate::target::pool::Machine;
use crate::target::probe::Step;
use serde_json::json;
use std::sync::Arc;

/// A pool of Azure Batch.
pub static KIND: Kind = Kind {
    word: "batch",
    aliases: &["azurebatch"],
    about: "A pool of Azure Batch (experimental: tried against a protocol double only).",
    compute_type: "Batch",
    attached: true,
    fields: &[
        text(
            "account_url",
            "URL",
            "Address of the account, https://ACCOUNT.REGION.batch.azure.com",
        )
        .required(),
        text(
            "account",
            "NAME",
            "Name of the account; by default the first part of the address",
        ),
        Field::new(
            "login",
            Value::Word(&["shared_key", "token"]),
            "What the secret is: the account's key (default), or a token of Microsoft Entra ID",
        ),
        Field::new("secret", Value::Secret, "The account's key, or the token"),
        text(
            "container",
            "URL",
            "Address of a blob container by which trials get their files and send home what they leave",
        )
        .required(),
        Field::new(
            "container_secret",
            Value::Secret,
            "The container's shared access signature (read, add, create, write, delete)",
        ),
        text("pool", "ID", "The pool").required(),
        text(
            "vm_size",
            "SIZE",
            "Size of a node: makes the pool when there is none",
        ),
        count(
            "min_nodes",
            "Nodes of that pool that are always there; 0 by default",
        ),
        count("max_nodes", "Most nodes of that pool; 1 by default"),
        Field::new(
            "low_priority",
            Value::Switch,
            "Nodes of that pool may be taken away at any time, at a lower price",
        ),
        count(
            "task_slots",
            "Trials that a node of that pool runs side by side; 1 by default",
        ),
        text(
            "image",
            "IMAGE",
            "Image of its nodes: PUBLISHER:OFFER:SKU[:VERSION] or a resource id",
        ),
        text("node_agent", "SKU", "Node agent that fits the image"),
        count("slots", "Trials at once; by default as many as the sweep allows"),
        count("required_slots", "Task slots that a trial takes; 1 by default"),
        Field::new(
            "binary",
            Value::File,
            "Build of overdrive for the nodes, if this one does not run there",
        ),
    ],
    read: options::<BatchOptions>,
};

const fn text(key: &'static str, word: &'static str, help: &'static str) -> Field {
    Field::new(key, Value::Text(word), help)
}

const fn count(key: &'static str, help: &'static str) -> Field {
    Field::new(key, Value::Count("N"), help)
}

impl From<BatchProblem> for SettingsError {
    fn from(problem: BatchProblem) -> Self {
        let error = Self::new("batch-options", problem.to_string());
        match problem {
            BatchProblem::Missing("secret") => Self {
                help: vec![
                    "`--secret-file`, `--secret-env` or `--ask-secret` gives the account's key or a token"
                        .into(),
                ],
                ..error
            },
            _ => error,
        }
    }
}

impl Settings for BatchOptions {
    fn check(&self) -> Result<(), SettingsError> {
        Ok(Self::check(self)?)
    }

    fn connect(&self, wanted: Wanted<'_>, surroundings: &Surroundings) -> Result<Connection, SettingsError> {
        if wanted.node_count > 1 {
            return Err(SettingsError::new(
                "node-count",
                format!(
                    "the trials take {} nodes each; on a target of type `batch` a trial has one",
                    wanted.node_count
                ),
            ));
        }
        Ok(Connection::Target(Arc::new(BatchTarget::new(
            wanted.name.to_owned(),
            self.clone(),
            surroundings.program.clone(),
        ))))
    }

    fn probe(&self, _: &Surroundings) -> Vec<Step> {
        super::probe(self)
    }

    fn summary(&self, _: &Machine) -> Summary {
        let sweep = || "as many trials as the sweep says".to_owned();
        let count = self.slots.map_or_else(sweep, |slots| slots.to_string());
        Summary {
            size: self.vm_size.clone().unwrap_or_else(|| self.pool.clone()),
            nodes: self
                .plan()
                .map(|plan| format!("{}..{}", plan.min_nodes, plan.max_nodes))
                .unwrap_or_default(),
            slots: self.slots,
            at_a_time: "as the sweep says".into(),
            what: format!("pool {} of {}, {count} at a time", self.pool, self.account()),
        }
    }

    fn location(&self) -> String {
        let host = self.account_url.split("//").nth(1).unwrap_or_default();
        // ACCOUNT.REGION.batch.azure.com
        host.split('.')
            .nth(1)
            .filter(|_| host.ends_with(".azure.com"))
            .unwrap_or(host)
            .to_owned()
    }

    fn properties(&self) -> serde_json::Value {
        json!({"accountName": self.account(), "accountUrl": self.account_url, "poolId": self.pool})
    }
}
