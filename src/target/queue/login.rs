//! Clusters whose jobs are submitted on another machine: the same target, run there by the agent.

use super::{Cluster, QueueTarget};
use crate::target::agent::protocol::Starter;
use crate::target::kind::{Connection, Surroundings};
use crate::target::probe::Step;
use crate::target::remote::{RemoteOptions, RemoteTarget, Slots};
use crate::target::ssh::{self, SshOptions, SshTransport};
use std::sync::Arc;

/// The target as `here` makes it, or the one behind `login` that `starter` makes there.
pub(in crate::target) fn connect<C: Cluster>(
    (name, slots): (&str, Option<u64>),
    login: Option<&SshOptions>,
    surroundings: &Surroundings,
    starter: Starter,
    here: impl FnOnce() -> QueueTarget<C>,
) -> Connection {
    let Some(login) = login else {
        return Connection::Target(Arc::new(here()));
    };
    let remote = RemoteOptions {
        name: name.to_owned(),
        kind: C::KIND,
        slots: slots.map_or(Slots::Any, Slots::Of),
    };
    let transport = SshTransport::new(ssh::machine(login, surroundings), starter);
    Connection::Target(Arc::new(RemoteTarget::new(remote, Box::new(transport))))
}

/// The steps of `steps`, on this machine or, once `login` is reached, on that one: there by scripts.
pub(in crate::target) fn probe(
    login: Option<&SshOptions>,
    surroundings: &Surroundings,
    here: impl FnOnce() -> Vec<Step>,
    there: impl FnOnce(&mut dyn FnMut(&str) -> Result<String, String>) -> Vec<Step>,
) -> Vec<Step> {
    let Some(login) = login else {
        return here();
    };
    let machine = ssh::machine(login, surroundings);
    let mut steps = ssh::probe(&machine);
    if steps.iter().all(|step| step.optional || step.found.is_ok()) {
        steps.extend(there(&mut |script| machine.ask(script)));
    }
    steps
}
