//! What stands in the place of `spark-submit` where drivers run elsewhere: `overdrive spark-app WAY OPTIONS SCRIPT ARGUMENTS` (hidden).
//!
//! It submits, passes on what the driver prints as far as that can be had, waits for its end and ends as it did. Told to end, or when
//! its runner is gone, it kills what it submitted. Its options are those of `spark-submit` that overdrive writes.

mod livy;
mod standalone;
mod yarn;

use crate::config::launch::SPARK_VARIABLES;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The verb.
pub const VERB: &str = "spark-app";

/// Exit code when nothing could be submitted, or nobody knows what became of it.
const TROUBLE: i32 = 75;

/// Exit code of a driver that was killed.
const KILLED: i32 = 143;

/// Between two looks at a driver.
const LOOK: Duration = Duration::from_millis(500);

/// Looks in a row that may go wrong before a driver is given up.
const TRIES: u32 = 120;

/// Where is submitted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "snake_case")]
pub enum Way {
    /// A standalone master, by its REST server.
    Standalone {
        /// Address of the REST server.
        rest: String,
        /// Address of the master's web page.
        web_ui: String,
    },
    /// YARN, by `spark-submit` and `yarn`.
    Yarn {
        /// The program `spark-submit`.
        spark_submit: String,
    },
    /// A Livy server.
    Livy {
        /// Its address.
        url: String,
    },
}

/// The first words of the command line that submits to `way`. The program is that of whoever starts it: the runner.
pub fn words(way: &Way) -> Vec<String> {
    let way = serde_json::to_string(way).unwrap_or_default();
    vec!["/proc/self/exe".into(), VERB.into(), way]
}

/// What is submitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Application {
    master: String,
    deploy_mode: String,
    /// Settings in order; later ones win.
    conf: Vec<(String, String)>,
    /// All options as they were given.
    options: Vec<String>,
    script: String,
    arguments: Vec<String>,
}

/// Why an application did not come to an end of its own.
#[derive(Debug, thiserror::Error)]
enum AppError {
    /// The command line.
    #[error("{0}")]
    Words(String),
    /// The server did not take it, or not answer for too long.
    #[error("{0}")]
    Server(String),
    /// This machine.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

impl Application {
    /// Reads options as `spark-submit` takes them.
    fn parse(words: &[String]) -> Result<Self, AppError> {
        let mut application = Self::default();
        let mut rest = words;
        while let Some((option, behind)) = rest.split_first().filter(|(word, _)| word.starts_with("--")) {
            let (value, behind) = behind
                .split_first()
                .ok_or_else(|| AppError::Words(format!("`{option}` has no value")))?;
            match option.as_str() {
                "--master" => application.master.clone_from(value),
                "--deploy-mode" => application.deploy_mode.clone_from(value),
                "--conf" => {
                    let (key, value) = value
                        .split_once('=')
                        .ok_or_else(|| AppError::Words(format!("`{value}` is no setting")))?;
                    application.conf.push((key.to_owned(), value.to_owned()));
                }
                "--packages" => application
                    .conf
                    .push(("spark.jars.packages".into(), value.clone())),
                "--repositories" => application
                    .conf
                    .push(("spark.jars.repositories".into(), value.clone())),
                other => return Err(AppError::Words(format!("`{other}` is not known here"))),
            }
            application.options.extend([option.clone(), value.clone()]);
            rest = behind;
        }
        let (script, arguments) = rest
            .split_first()
            .ok_or_else(|| AppError::Words("no script is given".into()))?;
        application.script.clone_from(script);
        application.arguments = arguments.to_vec();
        Ok(application)
    }

    /// Variables that the script is to have: those of the files, and what the runner tells scripts.
    fn variables() -> Vec<(String, String)> {
        let of_files = std::env::var(SPARK_VARIABLES).unwrap_or_default();
        let of_files: Vec<&str> = of_files.split(',').collect();
        std::env::vars()
            .filter(|(name, _)| {
                of_files.contains(&name.as_str())
                    || name == "PYTHONPATH"
                    || ["OVERDRIVE_", "AZUREML_", "MLFLOW_", "PYSPARK_"]
                        .iter()
                        .any(|own| name.starts_with(own))
            })
            .collect()
    }

    /// A program that goes to the working folder before it runs the script, and the arguments of both: drivers on a cluster start elsewhere.
    fn wrapped(&self) -> Result<(PathBuf, Vec<String>), AppError> {
        let here = std::env::current_dir()?;
        // Beside the working folder, which is the script's own.
        let place = match here.parent() {
            Some(attempt) if here.ends_with("wd") => attempt,
            _ => &here,
        };
        let path = place.join("overdrive-driver.py");
        std::fs::write(&path, include_str!("driver.py"))?;
        let mut arguments = vec![here.to_string_lossy().into_owned(), self.script.clone()];
        arguments.extend(self.arguments.iter().cloned());
        Ok((path, arguments))
    }
}

/// Whether somebody wants the end.
struct Wish(Arc<AtomicBool>);

impl Wish {
    fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The whole life of such a process. Returns its exit code.
pub fn main(words: &[OsString]) -> i32 {
    match run(words) {
        Ok(code) => code,
        Err(error) => {
            // The script's log, which is where people look.
            let _ = writeln!(std::io::stderr(), "overdrive: {error}");
            TROUBLE
        }
    }
}

fn run(words: &[OsString]) -> Result<i32, AppError> {
    let end = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&end))?;
    }
    // A runner that is killed asks for nothing any more; what was submitted must not run on.
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(std::io::Error::from)?;
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_str().map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| AppError::Words("an argument is not UTF-8, which Spark cannot pass on".into()))?;
    let (way, rest) = words
        .split_first()
        .ok_or_else(|| AppError::Words("nothing is given".into()))?;
    let way: Way = serde_json::from_str(way).map_err(|error| AppError::Words(error.to_string()))?;
    let application = Application::parse(rest)?;
    let wish = Wish(end);
    match way {
        Way::Standalone { rest, web_ui } => standalone::run(&application, &rest, &web_ui, &wish),
        Way::Yarn { spark_submit } => yarn::run(&application, &spark_submit, &wish),
        Way::Livy { url } => livy::run(&application, &url, &wish),
    }
}

/// An answer of a server as JSON.
fn answer(
    answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<(u16, serde_json::Value), AppError> {
    let mut answer = answered.map_err(|error| AppError::Server(error.to_string()))?;
    let code = answer.status().as_u16();
    let text = answer
        .body_mut()
        .read_to_string()
        .map_err(|error| AppError::Server(error.to_string()))?;
    Ok((code, serde_json::from_str(&text).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_of_spark_submit_is_understood() {
        let words = [
            "--master",
            "spark://h:7077",
            "--deploy-mode",
            "cluster",
            "--packages",
            "a:b:1",
            "--conf",
            "spark.app.name=A = B",
            "train.py",
            "--conf",
            "x",
        ]
        .map(str::to_owned);
        let read = Application::parse(&words).unwrap();
        assert_eq!(read.script, "train.py");
        assert_eq!(read.arguments, ["--conf", "x"]);
        assert_eq!(
            read.conf,
            [
                ("spark.jars.packages".to_owned(), "a:b:1".to_owned()),
                ("spark.app.name".to_owned(), "A = B".to_owned())
            ]
        );
        assert_eq!(read.options.len(), 8);
        for bad in [
            vec![],
            vec!["--master"],
            vec!["--unknown", "x", "y.py"],
            vec!["--conf", "x", "y.py"],
        ] {
            let bad: Vec<String> = bad.into_iter().map(str::to_owned).collect();
            assert!(Application::parse(&bad).is_err(), "{bad:?}");
        }
    }
}
