//! What the kind `ray` says of itself.

use super::{RayOptions, RayProblem, probe, target};
use crate::target::agent::protocol::Starter;
use crate::target::kind::{
    Connection, Field, Kind, Settings, SettingsError, Summary, Surroundings, Value, Wanted, options,
};
use crate::target::pool::Machine;
use crate::target::probe::Step;
use crate::target::queue;

/// A Ray cluster.
pub static KIND: Kind = Kind {
    word: "ray",
    aliases: &[],
    about: "A Ray cluster, by its Jobs API: from here or from a machine that is reached by SSH.",
    compute_type: "Ray",
    attached: true,
    fields: &[
        Field::new(
            "dashboard",
            Value::Text("URL"),
            "Address of the dashboard, such as http://head:8265, as seen from where jobs are submitted",
        )
        .required(),
        Field::new("token", Value::Secret, "Token of the cluster, if it asks for one"),
        Field::new("cpus", Value::Number("N"), "Cores of a trial; 1 by default"),
        Field::new("gpus", Value::Number("N"), "GPUs of a trial, such as 1 or 0.5"),
        Field::new(
            "memory_gib",
            Value::Number("GIB"),
            "Memory of a trial, by which Ray places it",
        )
        .flag("memory"),
        Field::new(
            "resources",
            Value::Pairs,
            "Custom resource of a trial, such as fast_disk=1; repeat for several",
        )
        .flag("resource"),
        Field::new(
            "workers",
            Value::Switch,
            "Let one job run all trials as tasks: for trials of seconds",
        ),
        Field::new(
            "poll_seconds",
            Value::Count("SECONDS"),
            "Seconds between two looks at the jobs; 2 by default",
        ),
        Field::new(
            "slots",
            Value::Count("N"),
            "Trials at once; by default as many as the sweep allows",
        ),
        Field::new(
            "login",
            Value::Ssh,
            "The machine of the cluster from which jobs are submitted, if not this one",
        ),
    ],
    read: options::<RayOptions>,
};

impl From<RayProblem> for SettingsError {
    fn from(problem: RayProblem) -> Self {
        Self::new("ray-options", problem.to_string())
    }
}

impl Settings for RayOptions {
    fn check(&self) -> Result<(), SettingsError> {
        Ok(Self::check(self)?)
    }

    fn connect(&self, wanted: Wanted<'_>, surroundings: &Surroundings) -> Result<Connection, SettingsError> {
        let mut options = self.clone();
        let login = options.login.take();
        let starter = Starter::Ray {
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
            || probe::here(self, &surroundings.home),
            |ask| probe::there(self, ask),
        )
    }

    fn summary(&self, _: &Machine) -> Summary {
        let any = || "as many trials as the sweep says".to_owned();
        let count = self.slots.map_or_else(any, |slots| slots.to_string());
        Summary {
            size: self.dashboard.clone(),
            nodes: String::new(),
            slots: self.slots,
            at_a_time: "as the sweep says".into(),
            what: format!("{}, {count} at a time", self.dashboard),
        }
    }

    fn location(&self) -> String {
        self.dashboard.clone()
    }
}
