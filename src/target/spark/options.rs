//! The section `spark` of a target's file.

use super::app::Way;
use crate::config::launch::SparkSubmit;
use crate::target::ssh::{SshOptions, SshProblem};
use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};

/// Where a script's driver runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeployMode {
    /// Where `spark-submit` runs.
    Client,
    /// On the cluster.
    Cluster,
}

impl DeployMode {
    /// The word of `spark-submit`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Cluster => "cluster",
        }
    }
}

/// How PySpark scripts are submitted to a Spark cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SparkOptions {
    /// Address of the cluster: `spark://HOST:PORT`, `yarn`, `k8s://...`, `local[N]`; by default what Spark is configured for where scripts
    /// are submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// Where drivers run. On YARN by default what the run configuration says, else `client`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_mode: Option<DeployMode>,
    /// The program `spark-submit`, where it is not on the search path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spark_submit: Option<String>,
    /// Settings of all trials; those of the run configuration win.
    #[serde(
        default,
        skip_serializing_if = "IndexMap::is_empty",
        deserialize_with = "texts"
    )]
    pub conf: IndexMap<String, String>,
    /// Address of the standalone master's REST server, for drivers on the cluster; `http://MASTER:6066` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<String>,
    /// Address of the standalone master's web page, by which the output of drivers on the cluster is found; `http://MASTER:8080` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_ui: Option<String>,
    /// Address of a Livy server, which submits in the place of `spark-submit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub livy: Option<String>,
    /// Trials at once; by default as many as there are cores where scripts are submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u64>,
    /// Machine on which scripts are submitted, if not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<SshOptions>,
}

/// Texts, or what people write without quotes.
fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<IndexMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Text(String),
        Flag(bool),
        Whole(i64),
        Number(f64),
    }
    let given = IndexMap::<String, Scalar>::deserialize(from)?;
    let text = |scalar| match scalar {
        Scalar::Text(text) => text,
        Scalar::Flag(flag) => flag.to_string(),
        Scalar::Whole(number) => number.to_string(),
        Scalar::Number(number) => number.to_string(),
    };
    Ok(given
        .into_iter()
        .map(|(key, scalar)| (key, text(scalar)))
        .collect())
}

/// What cannot be in the section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SparkProblem {
    /// Neither a cluster nor a machine that knows one.
    #[error("neither a master nor a machine on which scripts are submitted is given")]
    Nothing,
    /// No address of a cluster.
    #[error("`{0}` is no master: `spark://HOST:PORT`, `yarn`, `k8s://ADDRESS` or `local[N]`")]
    Master(String),
    /// No address of a server.
    #[error("`{key}` is an address such as `http://head:{port}`, not `{value}`")]
    Address {
        /// Key of the section.
        key: &'static str,
        /// Usual port.
        port: u16,
        /// As written.
        value: String,
    },
    /// A setting that is no name of one.
    #[error("`{0}` is no setting of Spark: their names begin with `spark.`")]
    Setting(String),
    /// An option for drivers on the cluster without them.
    #[error(
        "`{0}` is for drivers on a standalone cluster: `deploy_mode: cluster`, `master: spark://HOST:PORT`"
    )]
    Idle(&'static str),
    /// Drivers on the cluster where Spark has none.
    #[error("Spark has no cluster mode on `{0}`")]
    NoClusterMode(String),
    /// Not one word.
    #[error("`spark_submit` cannot be `{0}`")]
    Program(String),
    /// No trials at all.
    #[error("`slots` must be 1 or more")]
    NoSlots,
    /// The machine on which scripts are submitted.
    #[error(transparent)]
    Login(#[from] SshProblem),
}

impl SparkOptions {
    /// Whether it can be worked with.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), SparkProblem> {
        if self.master.is_none() && self.login.is_none() && self.livy.is_none() {
            return Err(SparkProblem::Nothing);
        }
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if let Some(master) = &self.master {
            let known = master == "yarn"
                || master == "local"
                || (master.starts_with("local[") && master.ends_with(']'))
                || ["spark://", "k8s://"]
                    .iter()
                    .any(|scheme| master.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
            if !known || !plain(master) {
                return Err(SparkProblem::Master(master.clone()));
            }
            if self.deploy_mode == Some(DeployMode::Cluster) && master.starts_with("local") {
                return Err(SparkProblem::NoClusterMode(master.clone()));
            }
        }
        for (key, port, value) in [
            ("rest", 6066, &self.rest),
            ("web_ui", 8080, &self.web_ui),
            ("livy", 8998, &self.livy),
        ] {
            let Some(value) = value else { continue };
            let host = value
                .strip_prefix("http://")
                .or_else(|| value.strip_prefix("https://"));
            if !host.is_some_and(plain) {
                let value = value.clone();
                return Err(SparkProblem::Address { key, port, value });
            }
            if key != "livy" && self.standalone().is_none() {
                return Err(SparkProblem::Idle(key));
            }
        }
        for key in self.conf.keys() {
            if !key.starts_with("spark.") || !plain(key) || key.contains('=') {
                return Err(SparkProblem::Setting(key.clone()));
            }
        }
        if let Some(program) = &self.spark_submit
            && (program.is_empty() || program.chars().any(char::is_control))
        {
            return Err(SparkProblem::Program(program.clone()));
        }
        if self.slots == Some(0) {
            return Err(SparkProblem::NoSlots);
        }
        if let Some(login) = &self.login {
            login.check()?;
        }
        Ok(())
    }

    /// The host of the standalone master, if drivers run on its cluster.
    fn standalone(&self) -> Option<&str> {
        if self.deploy_mode != Some(DeployMode::Cluster) {
            return None;
        }
        let hosts = self.master.as_deref()?.strip_prefix("spark://")?;
        // `HOST:PORT,HOST:PORT` where there is a second master.
        let first = hosts.split(',').next()?;
        Some(first.rsplit_once(':').map_or(first, |(host, _)| host))
    }

    /// Where what stands in the place of `spark-submit` submits to; `None` = `spark-submit` itself does it.
    pub(super) fn way(&self) -> Option<Way> {
        if let Some(url) = &self.livy {
            return Some(Way::Livy { url: url.clone() });
        }
        if let Some(host) = self.standalone() {
            let or = |given: &Option<String>, port: u16| {
                given.clone().unwrap_or_else(|| format!("http://{host}:{port}"))
            };
            return Some(Way::Standalone {
                rest: or(&self.rest, 6066),
                web_ui: or(&self.web_ui, 8080),
            });
        }
        (self.master.as_deref() == Some("yarn")).then(|| Way::Yarn {
            spark_submit: self.program(),
        })
    }

    /// The program `spark-submit`.
    pub(super) fn program(&self) -> String {
        self.spark_submit.clone().unwrap_or_else(|| "spark-submit".into())
    }

    /// How scripts are submitted.
    pub(super) fn submit(&self) -> SparkSubmit {
        SparkSubmit {
            program: match self.way() {
                Some(way) => super::app::words(&way),
                None => vec![self.program()],
            },
            master: self.master.clone(),
            deploy_mode: self.deploy_mode.map(|mode| mode.word().to_owned()),
            conf: self.conf.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(master: &str) -> SparkOptions {
        SparkOptions {
            master: Some(master.into()),
            ..SparkOptions::default()
        }
    }

    #[test]
    fn masters_and_settings_are_checked() {
        for good in [
            "spark://a:7077,b:7077",
            "yarn",
            "local",
            "local[*]",
            "k8s://https://h:6443",
        ] {
            assert_eq!(at(good).check(), Ok(()), "{good}");
        }
        for bad in [
            "",
            "spark://",
            "head:7077",
            "local[",
            "mesos://h:5050",
            "yarn cluster",
        ] {
            assert!(matches!(at(bad).check(), Err(SparkProblem::Master(_))), "{bad}");
        }
        assert_eq!(SparkOptions::default().check(), Err(SparkProblem::Nothing));
        let mut options = at("yarn");
        options.conf.insert("executor.memory".into(), "1g".into());
        assert!(matches!(options.check(), Err(SparkProblem::Setting(_))));
        let options = SparkOptions {
            rest: Some("http://h:6066".into()),
            ..at("spark://h:7077")
        };
        assert_eq!(options.check(), Err(SparkProblem::Idle("rest")));
    }

    #[test]
    fn drivers_on_the_cluster_need_a_program_that_waits_for_them() {
        assert_eq!(at("spark://h:7077").submit().program, ["spark-submit"]);
        let options = SparkOptions {
            deploy_mode: Some(DeployMode::Cluster),
            ..at("spark://[fe80::1]:7077")
        };
        assert_eq!(
            options.way(),
            Some(Way::Standalone {
                rest: "http://[fe80::1]:6066".into(),
                web_ui: "http://[fe80::1]:8080".into()
            })
        );
        assert_eq!(options.submit().deploy_mode.as_deref(), Some("cluster"));
    }
}
