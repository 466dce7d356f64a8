//! The section `ray` of a target's file.

use crate::target::ssh::{Secret, SshOptions, SshProblem};
use indexmap::IndexMap;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// How trials are started on a Ray cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RayOptions {
    /// Address of the dashboard, such as `http://head:8265`, as seen from where jobs are submitted.
    pub dashboard: String,
    /// Where the cluster's token is found, if it asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Cores of a trial, above 0; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// GPUs of a trial; parts of one may be given. None by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<f64>,
    /// Memory of a trial in GiB, by which Ray places it; not a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_gib: Option<f64>,
    /// Custom resources of a trial.
    #[serde(
        default,
        skip_serializing_if = "IndexMap::is_empty",
        deserialize_with = "amounts"
    )]
    pub resources: IndexMap<String, f64>,
    /// One job takes all trials of a sweep and runs them as tasks, instead of a job for each.
    #[serde(default, skip_serializing_if = "is_false")]
    pub workers: bool,
    /// Trials at once; by default as many as the sweep allows, of which those wait that do not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u64>,
    /// Seconds between two looks at the jobs; 2 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_seconds: Option<u64>,
    /// Machine of the cluster from which jobs are submitted, if not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<SshOptions>,
}

/// Numbers, or texts of numbers as a command line gives them.
fn amounts<'de, D: Deserializer<'de>>(from: D) -> Result<IndexMap<String, f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Amount {
        Number(f64),
        Text(String),
    }
    let given = IndexMap::<String, Amount>::deserialize(from)?;
    given
        .into_iter()
        .map(|(name, amount)| match amount {
            Amount::Number(number) => Ok((name, number)),
            Amount::Text(text) => match text.trim().parse() {
                Ok(number) => Ok((name, number)),
                Err(_) => Err(D::Error::custom(format!("`{name}` is a number, not `{text}`"))),
            },
        })
        .collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What cannot be in the section.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RayProblem {
    /// Not the address of a dashboard.
    #[error("`dashboard` is an address such as `http://head:8265`, not `{0}`")]
    Address(String),
    /// Not an amount.
    #[error("`{key}` cannot be {value}")]
    Amount {
        /// Key of the section.
        key: String,
        /// As written.
        value: f64,
    },
    /// A resource that has an option of its own.
    #[error("`{resource}` is given by `{option}`, not among the resources")]
    Resource {
        /// As written.
        resource: String,
        /// What to use.
        option: &'static str,
    },
    /// No trials at all.
    #[error("`slots` must be 1 or more")]
    NoSlots,
    /// The machine from which jobs are submitted.
    #[error(transparent)]
    Login(#[from] SshProblem),
}

impl RayOptions {
    /// Whether it can be worked with.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), RayProblem> {
        let host = ["http://", "https://"]
            .iter()
            .find_map(|scheme| self.dashboard.strip_prefix(scheme));
        let legal = |host: &str| {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_graphic())
                && !host.contains(['?', '#', '@'])
        };
        if !host.is_some_and(legal) {
            return Err(RayProblem::Address(self.dashboard.clone()));
        }
        let amounts = [
            ("cpus", self.cpus),
            ("gpus", self.gpus),
            ("memory_gib", self.memory_gib),
        ];
        let given = amounts.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let custom = self.resources.iter().map(|(key, value)| (key.as_str(), *value));
        for (key, value) in given.chain(custom) {
            // Ray counts in ten-thousandths, and in whole ones above 1.
            let whole = key == "memory_gib" || value <= 1.0 || value.fract() == 0.0;
            if !(value.is_finite() && value >= 0.0001 && whole) {
                let key = key.to_owned();
                return Err(RayProblem::Amount { key, value });
            }
        }
        for resource in self.resources.keys() {
            let option = match resource.as_str() {
                "CPU" => "cpus",
                "GPU" => "gpus",
                "memory" => "memory_gib",
                _ => continue,
            };
            let resource = resource.clone();
            return Err(RayProblem::Resource { resource, option });
        }
        if self.slots == Some(0) {
            return Err(RayProblem::NoSlots);
        }
        if let Some(login) = &self.login {
            login.check()?;
        }
        Ok(())
    }

    /// Cores of a trial.
    pub(super) fn cores(&self) -> f64 {
        self.cpus.unwrap_or(1.0)
    }

    /// Memory of a trial in bytes.
    pub(super) fn memory(&self) -> Option<u64> {
        // Within the range of what `check` lets through, rounding is harmless.
        self.memory_gib.map(|gib| (gib * f64::from(1 << 30)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> RayOptions {
        RayOptions {
            dashboard: address.into(),
            ..RayOptions::default()
        }
    }

    #[test]
    fn resources_of_a_command_line_are_numbers() {
        let read = |text: &str| serde_json::from_str::<RayOptions>(text);
        let options =
            read(r#"{"dashboard": "http://h:1", "resources": {"fast": "2", "slow": 0.5}}"#).unwrap();
        assert_eq!(options.resources["fast"], 2.0);
        assert_eq!(options.resources["slow"], 0.5);
        assert!(read(r#"{"dashboard": "http://h:1", "resources": {"fast": "two"}}"#).is_err());
    }

    #[test]
    fn what_is_no_dashboard_or_amount_is_refused() {
        for good in [
            "http://head:8265",
            "https://ray.example.org/cluster",
            "http://[::1]:8265/",
        ] {
            assert_eq!(at(good).check(), Ok(()), "{good}");
        }
        for bad in [
            "",
            "head:8265",
            "ray://head:10001",
            "http://",
            "http://a b",
            "http://me:pw@head",
        ] {
            assert!(matches!(at(bad).check(), Err(RayProblem::Address(_))), "{bad}");
        }
        let cpus = |cpus| RayOptions {
            cpus: Some(cpus),
            ..at("http://head:8265")
        };
        for good in [0.5, 1.0, 8.0] {
            assert_eq!(cpus(good).check(), Ok(()), "{good}");
        }
        for bad in [0.0, -1.0, 1.5, f64::NAN, f64::INFINITY] {
            assert!(
                matches!(cpus(bad).check(), Err(RayProblem::Amount { .. })),
                "{bad}"
            );
        }
        let mut options = at("http://head:8265");
        options.resources.insert("GPU".into(), 1.0);
        let told = options.check().unwrap_err().to_string();
        assert!(told.contains("`gpus`"), "{told}");
    }
}
