//! A project folder whose trials are shell scripts, and the real binary let loose on it.

use super::binary::overdrive;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What differs between the sweeps of these tests.
pub(super) struct Sweep {
    /// `random` over `uniform(0, 1)` or `grid` over eight values.
    pub(super) sampler: &'static str,
    pub(super) metric: &'static str,
    pub(super) total: u64,
    pub(super) concurrent: u64,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            sampler: "grid",
            metric: "score",
            total: 4,
            concurrent: 2,
        }
    }
}

pub(super) struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// A project whose script is `body`, with the value of `--x` in `$2` and a folder of the test's own in `$SEEN`.
    pub(super) fn new(body: &str, sweep: &Sweep) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let grid: Vec<String> = (1..=sweep.total.max(8)).map(|x| x.to_string()).collect();
        let (expression, values) = match sweep.sampler {
            "grid" => ("choice", grid.join(", ")),
            _ => ("uniform", "0, 1".to_owned()),
        };
        fs::create_dir(path.join("seen")).unwrap();
        fs::write(
            path.join("hdconfig.yml"),
            format!(
                "sampling:\n  type: {}\n  parameter_space:\n    - name: --x\n      expression: {expression}\n      values: [{values}]\n\
                 policy:\n  type: NoTerminationPolicy\nprimary_metric_name: {}\nprimary_metric_goal: maximize\n\
                 max_total_runs: {}\nmax_concurrent_runs: {}\nmax_duration_minutes: 10\n",
                sweep.sampler, sweep.metric, sweep.total, sweep.concurrent
            ),
        )
        .unwrap();
        fs::write(
            path.join("train.runconfig"),
            "script: train.sh\ntarget: local\nenvironment:\n  python:\n    userManagedDependencies: true\n",
        )
        .unwrap();
        fs::write(path.join("train.sh"), format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::write(path.join(".amlignore"), "seen\n").unwrap();
        Self { folder }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn seen(&self) -> PathBuf {
        self.path().join("seen")
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        overdrive()
            .args(arguments)
            .current_dir(self.path())
            .env("SEEN", self.seen())
            .timeout(Duration::from_secs(120))
            .output()
            .unwrap()
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        json(&self.run(arguments))
    }

    /// A command with the environment of [`Project::run`], for what is to be signalled.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .env_remove("OVERDRIVE_HOME")
            .env("SEEN", self.seen())
            .env("LC_ALL", "C.UTF-8")
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(super) fn start(&self, arguments: &[&str]) -> Child {
        self.command(&assert_cmd::cargo::cargo_bin("overdrive"))
            .args(arguments)
            .spawn()
            .unwrap()
    }

    /// Whether `count` trials of the latest sweep are in `state` now.
    pub(super) fn are(&self, state: &str, count: usize) -> bool {
        let output = self.run(&["show", "--json", "--limit", "0", "--state", state]);
        output.status.code() == Some(0) && json(&output)["items"].as_array().unwrap().len() == count
    }

    /// All trials of the latest sweep by number.
    pub(super) fn trials(&self) -> Vec<Value> {
        let shown = self.json(&["show", "--json", "--limit", "0", "--sort", "trial"]);
        shown["items"].as_array().unwrap().clone()
    }

    /// How many scripts have made a file of their own.
    pub(super) fn scripts_started(&self) -> u64 {
        fs::read_dir(self.seen()).map_or(0, |entries| entries.count() as u64)
    }

    /// What the scripts wrote to files of their own named `<trial>-<pid>`.
    pub(super) fn lines_seen(&self) -> Vec<(u64, Vec<f64>)> {
        let mut seen: Vec<(u64, Vec<f64>)> = fs::read_dir(self.seen())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                let text = fs::read_to_string(entry.path()).unwrap();
                (
                    name.split('-').next().unwrap().parse().unwrap(),
                    text.lines().map(|line| line.parse().unwrap()).collect(),
                )
            })
            .collect();
        seen.sort_by_key(|(trial, _)| *trial);
        seen
    }

    /// The values of the primary metric in the results, by trial, in order.
    pub(super) fn lines_kept(&self, trials: u64) -> Vec<(u64, Vec<f64>)> {
        let output = self.run(&["export", "--what", "metrics"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let table = text(&output.stdout);
        let mut rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let heads = rows.next().unwrap();
        let column = |name: &str| heads.iter().position(|head| *head == name).unwrap();
        let (trial, value, seq) = (column("trial"), column("value"), column("seq"));
        let mut kept: Vec<(u64, i64, f64)> = rows
            .map(|row| {
                (
                    row[trial].parse().unwrap(),
                    row[seq].parse().unwrap(),
                    row[value].parse().unwrap(),
                )
            })
            .collect();
        kept.sort_by_key(|(trial, seq, _)| (*trial, *seq));
        (0..trials)
            .map(|number| {
                let of_trial = kept.iter().filter(|(trial, ..)| *trial == number);
                (number, of_trial.map(|(.., value)| *value).collect())
            })
            .collect()
    }
}

/// Reports numbers that only this process can have said, and writes the same ones to a file of its own.
pub(super) const LOGGING: &str = r#"log="$SEEN/${AZUREML_RUN_ID##*_}-$$"
: > "$log"
for i in 1 2 3 4 5; do
  echo "score=$i.$$"
  echo "$i.$$" >> "$log"
  sleep 0.03
done"#;

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", text(&output.stdout), text(&output.stderr)))
}

pub(super) fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(30));
    }
}

pub(super) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}
