//! Tests of `engine`: whole sweeps of real scripts, run by the real binary's runners.

mod child;
mod clocks;
mod faults;
mod freeze;
mod kill;
mod requests;
mod sweep;

use overdrive::config::Experiment;
use overdrive::engine::{Ending, Engine, EngineError, Preparation, Setup};
use overdrive::store::Store;
use overdrive::target::LocalOptions;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A project folder with a script in it.
pub struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    pub fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("code")).unwrap();
        std::fs::create_dir(folder.path().join("seen")).unwrap();
        std::fs::write(folder.path().join("code/train.sh"), script).unwrap();
        Self { folder }
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join(".overdrive")
    }

    pub fn seen(&self) -> PathBuf {
        self.folder.path().join("seen")
    }

    pub fn store(&self) -> Arc<Store> {
        Arc::new(Store::open(&self.state()).unwrap())
    }

    /// A random sweep of `trials` trials of the script with `--x` and `--y`.
    pub fn experiment(&self, trials: u64, concurrent: u64) -> Experiment {
        let uniform = json!({ "type": "uniform", "low": 0.0, "high": 1.0 });
        let bound = |name: &str, index: usize| json!({ "name": name, "shape": { "kind": "parameter", "index": index }, "argument": format!("--{name}") });
        serde_json::from_value(json!({
            "name": "shell",
            "dialect": "hyperdrive",
            "space": { "parameters": [
                { "name": "x", "distribution": uniform },
                { "name": "y", "distribution": { "type": "choice", "options": ["a", "b", "c d"] } },
            ] },
            "sampler": { "kind": "random", "seed": 1234 },
            "policy": { "type": "no_termination" },
            "metric": { "name": "score", "goal": "maximize" },
            "metrics": ["loss"],
            "limits": { "max_total": trials, "max_concurrent": concurrent, "max_duration_ms": null },
            "abort_after_initial_failures": 3,
            "max_retries": 2,
            "launch": {
                "source_directory": self.folder.path().join("code"),
                "command": { "kind": "script", "script": "train.sh", "arguments": [] },
                "parameters": [bound("x", 0), bound("y", 1)],
                "environment_variables": { "SEEN": self.seen() },
                "environment": { "kind": "user_managed", "interpreter": "python3" },
                "framework": "python",
                "communicator": "none",
                "node_count": 1,
                "process_count_per_node": 1,
                "run_definition": {},
            },
            "targets": ["local"],
        }))
        .unwrap()
    }

    pub fn setup(&self) -> Setup {
        Setup {
            local: Some(LocalOptions {
                executable: env!("CARGO_BIN_EXE_overdrive").into(),
                ..LocalOptions::default()
            }),
            preparation: Some(Preparation {
                snapshot: Some(self.folder.path().join("code")),
                mlflow: false,
                shim: false,
                grace_ms: 2_000,
                ..Preparation::default()
            }),
            ..Setup::default()
        }
    }

    /// Runs a whole sweep in this process.
    pub fn run(&self, id: &str, experiment: &Experiment) -> Result<Ending, EngineError> {
        Engine::start(&self.store(), id, experiment, self.setup())?.wait()
    }

    /// Lines that scripts wrote to a file of their own, by file name.
    pub fn seen_lines(&self) -> Vec<(String, Vec<String>)> {
        let mut files: Vec<(String, Vec<String>)> = std::fs::read_dir(self.seen())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let text = std::fs::read_to_string(entry.path()).unwrap();
                (
                    entry.file_name().into_string().unwrap(),
                    text.lines().map(str::to_owned).collect(),
                )
            })
            .collect();
        files.sort();
        files
    }
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "waited in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Processes whose command line holds `text`.
pub fn processes_with(text: &Path) -> Vec<i32> {
    let text = text.to_string_lossy().into_owned();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&text)
                && *pid != i32::try_from(std::process::id()).unwrap()
        })
        .collect()
}
