//! The section `slurm` of a target's file.

use crate::target::ssh::{SshOptions, SshProblem};
use serde::{Deserialize, Serialize};

/// How jobs are submitted to a Slurm cluster. What is not given is left to the site's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlurmOptions {
    /// Partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Account that pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Quality of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// Generic resources of a trial, such as `gpu:1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gres: Option<String>,
    /// Features that a node must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Cores of a trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus_per_task: Option<u32>,
    /// Memory of a trial, such as `8G`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Time limit of a job in Slurm's words, such as `2:00:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Further options of `sbatch`, each a word such as `--exclusive`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directives: Vec<String>,
    /// Jobs at once; by default as many as the sweep allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u64>,
    /// Each job takes one trial after the other instead of one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub workers: bool,
    /// Seconds that such a job waits for another trial before it ends; 30 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u64>,
    /// Seconds between two looks at the queue; 2 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_seconds: Option<u64>,
    /// Machine on which jobs are submitted, if not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<SshOptions>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What cannot be in the section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlurmProblem {
    /// Not one word of an option.
    #[error("`{key}` cannot be `{value}`")]
    Value {
        /// Key of the section.
        key: &'static str,
        /// As written.
        value: String,
    },
    /// An option that overdrive must set itself.
    #[error("`{0}` is set by overdrive itself")]
    Reserved(String),
    /// No trials at all.
    #[error("`slots` must be 1 or more")]
    NoSlots,
    /// The machine on which jobs are submitted.
    #[error(transparent)]
    Login(#[from] SshProblem),
}

/// Options of `sbatch` that would break the following of jobs.
const OURS: [&str; 12] = [
    "--job-name",
    "-J",
    "--output",
    "-o",
    "--error",
    "-e",
    "--requeue",
    "--array",
    "-a",
    "--parsable",
    "--wrap",
    "--chdir",
];

impl SlurmOptions {
    /// Whether it can be worked with.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), SlurmProblem> {
        let words = [
            ("partition", &self.partition),
            ("account", &self.account),
            ("qos", &self.qos),
            ("gres", &self.gres),
            ("constraint", &self.constraint),
            ("memory", &self.memory),
            ("time", &self.time),
        ];
        for (key, value) in words {
            if let Some(value) = value
                .as_ref()
                .filter(|value| value.is_empty() || value.chars().any(char::is_control))
            {
                let value = value.clone();
                return Err(SlurmProblem::Value { key, value });
            }
        }
        for word in &self.directives {
            let name = word.split('=').next().unwrap_or_default();
            if OURS.contains(&name) {
                return Err(SlurmProblem::Reserved(name.to_owned()));
            }
            if !word.starts_with('-') || word.chars().any(char::is_control) {
                let (key, value) = ("directives", word.clone());
                return Err(SlurmProblem::Value { key, value });
            }
        }
        if self.slots == Some(0) {
            return Err(SlurmProblem::NoSlots);
        }
        if let Some(login) = &self.login {
            login.check()?;
        }
        Ok(())
    }

    /// The options of `sbatch` that these are.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut set = |name: &str, value: &Option<String>| {
            if let Some(value) = value {
                arguments.push(format!("--{name}={value}"));
            }
        };
        set("partition", &self.partition);
        set("account", &self.account);
        set("qos", &self.qos);
        set("gres", &self.gres);
        set("constraint", &self.constraint);
        set("mem", &self.memory);
        set("time", &self.time);
        set("cpus-per-task", &self.cpus_per_task.map(|cpus| cpus.to_string()));
        arguments.extend(self.directives.iter().cloned());
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_words_and_ours_stay_ours() {
        let options = SlurmOptions {
            partition: Some("gpu".into()),
            gres: Some("gpu:1".into()),
            cpus_per_task: Some(4),
            directives: vec!["--exclusive".into()],
            ..SlurmOptions::default()
        };
        assert_eq!(options.check(), Ok(()));
        assert_eq!(
            options.arguments(),
            [
                "--partition=gpu",
                "--gres=gpu:1",
                "--cpus-per-task=4",
                "--exclusive"
            ]
        );
        let with = |word: &str| SlurmOptions {
            directives: vec![word.into()],
            ..SlurmOptions::default()
        };
        assert!(matches!(
            with("--job-name=x").check(),
            Err(SlurmProblem::Reserved(_))
        ));
        assert!(matches!(with("x.sh").check(), Err(SlurmProblem::Value { .. })));
        assert!(matches!(
            with("--requeue").check(),
            Err(SlurmProblem::Reserved(_))
        ));
    }
}
