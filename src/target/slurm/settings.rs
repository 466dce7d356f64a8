//! What the kind `slurm` says of itself.

use super::{SlurmOptions, SlurmProblem, here, probe, target};
use crate::target::agent::protocol::Starter;
use crate::target::kind::{
    Connection, Field, Kind, Settings, SettingsError, Summary, Surroundings, Value, Wanted, options,
};
use crate::target::pool::Machine;
use crate::target::probe::Step;
use crate::target::queue;

/// A Slurm cluster.
pub static KIND: Kind = Kind {
    word: "slurm",
    aliases: &[],
    about: "A Slurm cluster, submitted to from here or from a machine that is reached by SSH.",
    compute_type: "Slurm",
    attached: true,
    fields: &[
        text("partition", "NAME", "Partition; the site's default otherwise"),
        text("account", "NAME", "Account that pays"),
        text("qos", "NAME", "Quality of service"),
        text("gres", "LIST", "Generic resources of a trial, such as gpu:1"),
        text("constraint", "LIST", "Features that a node must have"),
        Field::new("cpus_per_task", Value::Count("N"), "Cores of a trial").flag("cpus"),
        text("memory", "SIZE", "Memory of a trial, such as 8G"),
        text("time", "TIME", "Time limit of a job, such as 2:00:00"),
        Field::new(
            "directives",
            Value::Texts("OPTION"),
            "Another option of sbatch, such as --exclusive; repeat for several",
        )
        .flag("directive"),
        Field::new(
            "workers",
            Value::Switch,
            "Let each job take one trial after the other",
        ),
        Field::new(
            "idle_seconds",
            Value::Count("SECONDS"),
            "Seconds that such a job waits for another trial; 30 by default",
        ),
        Field::new(
            "poll_seconds",
            Value::Count("SECONDS"),
            "Seconds between two looks at the queue; 2 by default",
        ),
        Field::new(
            "slots",
            Value::Count("N"),
            "Jobs at once; by default as many as the sweep allows",
        ),
        Field::new(
            "login",
            Value::Ssh,
            "The machine on which jobs are submitted, if not this one",
        ),
    ],
    read: options::<SlurmOptions>,
};

const fn text(key: &'static str, word: &'static str, help: &'static str) -> Field {
    Field::new(key, Value::Text(word), help)
}

impl From<SlurmProblem> for SettingsError {
    fn from(problem: SlurmProblem) -> Self {
        Self::new("slurm-options", problem.to_string())
    }
}

impl Settings for SlurmOptions {
    fn check(&self) -> Result<(), SettingsError> {
        Ok(Self::check(self)?)
    }

    fn connect(&self, wanted: Wanted<'_>, surroundings: &Surroundings) -> Result<Connection, SettingsError> {
        let mut options = self.clone();
        let login = options.login.take();
        let starter = Starter::Slurm {
            options: Box::new(options.clone()),
        };
        let slots = (wanted.name, self.slots);
        let here = || {
            let (home, program) = (surroundings.home.clone(), surroundings.program.clone());
            target(wanted.name.to_owned(), options, home, program)
        };
        Ok(queue::connect(slots, login.as_ref(), surroundings, starter, here))
    }

    fn probe(&self, surroundings: &Surroundings) -> Vec<Step> {
        queue::probe(
            self.login.as_ref(),
            surroundings,
            || probe(self, &mut here),
            |ask| probe(self, ask),
        )
    }

    fn summary(&self, _: &Machine) -> Summary {
        let partition = self.partition.as_deref();
        let jobs = || "as many jobs as the sweep says".to_owned();
        let count = self.slots.map_or_else(jobs, |slots| slots.to_string());
        Summary {
            size: partition.unwrap_or_default().to_owned(),
            nodes: String::new(),
            slots: self.slots,
            at_a_time: "as the sweep says".into(),
            what: format!(
                "{}, {count} at a time",
                partition.unwrap_or("the default partition")
            ),
        }
    }

    fn location(&self) -> String {
        let login = self.login.as_ref();
        login.map_or_else(|| "local".into(), |login| login.address.clone())
    }
}
