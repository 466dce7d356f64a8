//! What the kind `remote` says of itself.

use super::{Ssh, SshOptions, SshProblem, SshTransport};
use crate::target::agent::protocol::Starter;
use crate::target::kind::{
    Connection, Field, Kind, Settings, SettingsError, Summary, Surroundings, Value, Wanted, options,
};
use crate::target::pool::Machine;
use crate::target::probe::Step;
use crate::target::remote::{RemoteOptions, RemoteTarget, Slots};
use serde_json::json;
use std::sync::Arc;

/// A machine by SSH.
pub static KIND: Kind = Kind {
    word: "remote",
    aliases: &["ssh", "remotedocker"],
    about: "A machine that is reached by SSH.",
    compute_type: "VirtualMachine",
    attached: true,
    fields: &[
        Field::new("", Value::Ssh, "how it is reached").required(),
        Field::new(
            "slots",
            Value::Count("N"),
            "Trials at once; by default as many as it has cores",
        ),
        Field::new(
            "runner",
            Value::Word(&["auto", "binary", "shell"]),
            "What executes trials there: overdrive itself, its shell runner, or what can; the last by default",
        ),
    ],
    read: options::<SshOptions>,
};

/// The machine that the options name, with this program to bring there.
pub fn machine(options: &SshOptions, surroundings: &Surroundings) -> Ssh {
    let known_hosts = surroundings.private.join("known_hosts");
    Ssh::new(options.clone(), known_hosts, surroundings.program.clone())
}

impl From<SshProblem> for SettingsError {
    fn from(problem: SshProblem) -> Self {
        Self::new("ssh-options", problem.to_string())
    }
}

impl Settings for SshOptions {
    fn check(&self) -> Result<(), SettingsError> {
        Ok(Self::check(self)?)
    }

    fn connect(&self, wanted: Wanted<'_>, surroundings: &Surroundings) -> Result<Connection, SettingsError> {
        let options = RemoteOptions {
            name: wanted.name.to_owned(),
            kind: KIND.word,
            slots: self.slots.map_or(Slots::Cores, Slots::Of),
        };
        let transport = SshTransport::new(machine(self, surroundings), Starter::Process);
        Ok(Connection::Target(Arc::new(RemoteTarget::new(
            options,
            Box::new(transport),
        ))))
    }

    fn probe(&self, surroundings: &Surroundings) -> Vec<Step> {
        super::probe(&machine(self, surroundings))
    }

    fn summary(&self, _: &Machine) -> Summary {
        let cores = || "as many trials as it has cores".to_owned();
        let count = self.slots.map_or_else(cores, |slots| slots.to_string());
        Summary {
            size: self.address.clone(),
            nodes: "1".into(),
            slots: self.slots,
            at_a_time: "its cores".into(),
            what: format!("{}, {count} at a time", self.address),
        }
    }

    fn location(&self) -> String {
        self.address.clone()
    }

    fn properties(&self) -> serde_json::Value {
        json!({"address": self.address, "sshPort": self.port.unwrap_or(22), "virtualMachineSize": null})
    }
}
