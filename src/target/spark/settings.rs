//! What the kind `spark` says of itself.

use super::{SparkOptions, SparkProblem, probe};
use crate::target::agent::protocol::Starter;
use crate::target::kind::{
    Connection, Field, Kind, Settings, SettingsError, Summary, Surroundings, Value, Wanted, options,
};
use crate::target::local::LocalOptions;
use crate::target::pool::Machine;
use crate::target::probe::Step;
use crate::target::remote::{RemoteOptions, RemoteTarget, Slots};
use crate::target::ssh::{self, SshTransport};
use serde_json::json;
use std::sync::Arc;

/// A Spark cluster.
pub static KIND: Kind = Kind {
    word: "spark",
    aliases: &["hdinsight", "hdi"],
    about: "A Spark cluster for PySpark scripts, submitted from here or from a machine that is reached by SSH.",
    compute_type: "HDInsight",
    attached: true,
    fields: &[
        Field::new(
            "master",
            Value::Text("MASTER"),
            "spark://HOST:PORT, yarn, k8s://ADDRESS or local[N]; what Spark is configured for otherwise",
        ),
        Field::new(
            "deploy_mode",
            Value::Word(&["client", "cluster"]),
            "Where drivers run; on YARN what the run configuration says, else client",
        ),
        Field::new(
            "conf",
            Value::Pairs,
            "Setting of all trials, such as spark.cores.max=2; repeat for several",
        ),
        Field::new(
            "spark_submit",
            Value::Text("PATH"),
            "The program spark-submit, where it is not on the search path",
        ),
        Field::new(
            "rest",
            Value::Text("URL"),
            "REST server of a standalone master, for drivers on the cluster; http://MASTER:6066 by default",
        ),
        Field::new(
            "web_ui",
            Value::Text("URL"),
            "Web page of a standalone master, for drivers on the cluster; http://MASTER:8080 by default",
        ),
        Field::new(
            "livy",
            Value::Text("URL"),
            "A Livy server that submits instead of spark-submit (experimental)",
        ),
        Field::new(
            "slots",
            Value::Count("N"),
            "Trials at once; by default as many as there are cores where scripts are submitted",
        ),
        Field::new(
            "login",
            Value::Ssh,
            "The machine on which scripts are submitted, if not this one",
        ),
    ],
    read: options::<SparkOptions>,
};

impl From<SparkProblem> for SettingsError {
    fn from(problem: SparkProblem) -> Self {
        Self::new("spark-options", problem.to_string())
    }
}

impl Settings for SparkOptions {
    fn check(&self) -> Result<(), SettingsError> {
        Ok(Self::check(self)?)
    }

    fn connect(&self, wanted: Wanted<'_>, surroundings: &Surroundings) -> Result<Connection, SettingsError> {
        let name = wanted.name.to_owned();
        let Some(login) = &self.login else {
            let options = LocalOptions {
                name,
                kind: KIND.word,
                slots: Some(self.slots.unwrap_or(surroundings.machine.cores)),
                spark: Some(self.submit()),
                ..LocalOptions::default()
            };
            return Ok(Connection::Here {
                options: Box::new(options),
                note: None,
            });
        };
        let remote = RemoteOptions {
            name,
            kind: KIND.word,
            slots: self.slots.map_or(Slots::Cores, Slots::Of),
        };
        let transport = SshTransport::new(ssh::machine(login, surroundings), Starter::Process);
        let target = RemoteTarget::new(remote, Box::new(transport)).with_spark(self.submit());
        Ok(Connection::Target(Arc::new(target)))
    }

    fn probe(&self, surroundings: &Surroundings) -> Vec<Step> {
        let Some(login) = &self.login else {
            return probe::probe(self, &mut probe::here);
        };
        let machine = ssh::machine(login, surroundings);
        let mut steps = ssh::probe(&machine);
        if steps.iter().all(|step| step.optional || step.found.is_ok()) {
            steps.extend(probe::probe(self, &mut |script| machine.ask(script)));
        }
        steps
    }

    fn summary(&self, machine: &Machine) -> Summary {
        let here = self.login.is_none().then_some(machine.cores);
        let slots = self.slots.or(here);
        let place = self
            .master
            .clone()
            .or_else(|| self.livy.clone())
            .unwrap_or_else(|| self.location());
        let count = slots.map_or_else(
            || "as many trials as the machine has cores".to_owned(),
            |slots| slots.to_string(),
        );
        Summary {
            nodes: String::new(),
            slots,
            at_a_time: "its cores".into(),
            what: format!("{place}, {count} at a time"),
            size: place,
        }
    }

    fn location(&self) -> String {
        let login = self.login.as_ref();
        login.map_or_else(|| "local".into(), |login| login.address.clone())
    }

    fn properties(&self) -> serde_json::Value {
        let login = self.login.as_ref();
        json!({
            "address": login.map(|login| &login.address),
            "sshPort": login.map(|login| login.port.unwrap_or(22)),
            "master": self.master,
        })
    }
}
