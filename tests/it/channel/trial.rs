//! A trial's surroundings for a script: folder, endpoint, shim, and what was reported.

use indexmap::IndexMap;
use overdrive::channel::mlflow::{Config, Endpoint};
use overdrive::channel::{Report, Sink, shim};
use overdrive::journal::Channel;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Keeps what it is told.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Vec<Report>>);

impl Sink for Memory {
    fn report(&self, report: Report) {
        self.0.lock().unwrap().push(report);
    }
}

pub(crate) struct Trial {
    pub(crate) folder: TempDir,
    pub(crate) endpoint: Endpoint,
    sink: Arc<Memory>,
}

impl Trial {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for inner in ["wd", "artifacts", "data", "shim"] {
            std::fs::create_dir(folder.path().join(inner)).unwrap();
        }
        std::fs::write(folder.path().join("data/rows.csv"), "a\n1\n").unwrap();
        let mut config = Config::new("HD_7_3", "shim experiment", folder.path());
        config.sweep = Some("HD_7".to_owned());
        change(&mut config);
        let sink = Arc::new(Memory::default());
        let mut endpoint = Endpoint::bind(config, sink.clone()).unwrap();
        endpoint.serve().unwrap();
        Self {
            folder,
            endpoint,
            sink,
        }
    }

    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// Runs `tests/python/<script>` in the trial's working folder; fails the test if the script fails.
    pub(crate) fn script(&self, python: &Path, script: &str, arguments: &[&str]) -> String {
        let output = self.command(python, script, arguments);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success(),
            "{script} {arguments:?} under {python:?} failed\n{out}\n{err}"
        );
        out.into_owned()
    }

    fn command(&self, python: &Path, script: &str, arguments: &[&str]) -> Output {
        let data = self.path("data");
        let inputs = IndexMap::from([("training".to_owned(), data.to_string_lossy().into_owned())]);
        let env = shim::environment(&shim::Context {
            report: &self.path("report.jsonl"),
            artifacts: &self.path("artifacts"),
            sweep: Some("HD_7"),
            run_id: "HD_7_3",
            experiment: "shim experiment",
            primary_metric: Some("table.score"),
            registry: None,
            inputs: &inputs,
        });
        Command::new(python)
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("tests/python")
                    .join(script),
            )
            .args(arguments)
            .current_dir(self.path("wd"))
            .env("PYTHONPATH", shim::install(&self.path("shim")).unwrap())
            .env("OVERDRIVE_TEST_DATA", &data)
            // As the launch plan of a run configuration has them.
            .env("training", &data)
            .env("asked", &data)
            .env("AZUREML_DATASET_ENVIRONMENT_VARS", "training:mount,asked:direct")
            .env("GIT_PYTHON_REFRESH", "quiet")
            .envs(env)
            .envs(self.endpoint.env(&|name| std::env::var(name).ok()))
            .output()
            .unwrap()
    }

    /// All that was reported through the endpoint.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.sink.0.lock().unwrap().clone()
    }

    /// Points of a metric that came through the endpoint: value and step.
    pub(crate) fn points(&self, wanted: &str) -> Vec<(f64, Option<i64>)> {
        let point = |report| match report {
            Report::Metric {
                name,
                value,
                step,
                channel: Channel::Mlflow,
            } if name == wanted => Some((value, step)),
            _ => None,
        };
        self.reports().into_iter().filter_map(point).collect()
    }

    /// Value of a fact.
    pub(crate) fn fact(&self, wanted: &str, by: &str) -> Option<String> {
        self.reports().into_iter().rev().find_map(|report| match report {
            Report::Fact { kind, key, value } if kind == wanted && key == by => Some(value),
            _ => None,
        })
    }

    /// Kind and path of each artifact.
    pub(crate) fn artifacts(&self) -> Vec<(String, String)> {
        let artifact = |report| match report {
            Report::Artifact { kind, path, .. } => Some((kind, path)),
            _ => None,
        };
        self.reports().into_iter().filter_map(artifact).collect()
    }

    /// Codes of the warnings.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warning = |report| match report {
            Report::Warning { code, .. } => Some(code),
            _ => None,
        };
        self.reports().into_iter().filter_map(warning).collect()
    }
}
