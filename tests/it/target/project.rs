//! A project folder whose trials run on a given target, and the real binary let loose on it.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Where the trials of a project run, and how the binary is told so.
pub(super) struct Place {
    /// Words of `overdrive target ...` that make it known; empty for `local`.
    pub(super) attach: Vec<String>,
    /// A folder in which scripts there and tests here both write.
    pub(super) shared: PathBuf,
    /// The user who writes there.
    pub(super) user: Option<String>,
    /// Variables of the controller.
    pub(super) variables: Vec<(String, String)>,
    /// How long it may take until a trial that could start has started.
    pub(super) patience: Duration,
}

pub(super) struct Project<'a> {
    place: &'a Place,
    folder: tempfile::TempDir,
    seen: tempfile::TempDir,
    /// The user's configuration, which is not of the project.
    config: tempfile::TempDir,
}

/// What differs between the sweeps of these tests.
pub(super) struct Sweep {
    pub(super) values: Vec<Value>,
    pub(super) concurrent: u64,
    /// Lines for the run configuration.
    pub(super) extra: &'static str,
    /// Time from TERM to KILL.
    pub(super) grace_seconds: u64,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            values: vec![json!(1), json!(2), json!(3)],
            concurrent: 2,
            extra: "",
            grace_seconds: 3,
        }
    }
}

impl<'a> Project<'a> {
    /// A project whose script is `body`, with the value of `--x` in `$2` and a folder of the test's own in `$SEEN`.
    pub(super) fn new(place: &'a Place, body: &str, sweep: &Sweep) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seen = tempfile::tempdir_in(&place.shared).unwrap();
        if let Some(user) = &place.user {
            let owned = Command::new("chown").arg(user).arg(seen.path()).status().unwrap();
            assert!(owned.success());
        }
        let target = if place.attach.is_empty() { "local" } else { "place" };
        let path = folder.path();
        fs::write(
            path.join("train.runconfig"),
            format!(
                "script: train.sh\ntarget: {target}\n{}environment:\n  environmentVariables:\n    SEEN: {}\n  python:\n    userManagedDependencies: true\n",
                sweep.extra,
                seen.path().display()
            ),
        )
        .unwrap();
        let config = tempfile::tempdir().unwrap();
        let project = Self {
            place,
            folder,
            seen,
            config,
        };
        project.again(sweep);
        project.script(body);
        if !place.attach.is_empty() {
            let mut words: Vec<&str> = vec!["target"];
            words.extend(place.attach.iter().map(String::as_str));
            words.extend(["-n", "place"]);
            let output = project.run(&words);
            assert_eq!(
                output.status.code(),
                Some(0),
                "{words:?}: {}{}",
                text(&output.stdout),
                text(&output.stderr)
            );
        }
        project
    }

    /// Asks for another sweep with the same script.
    pub(super) fn again(&self, sweep: &Sweep) {
        fs::write(
            self.path().join("hdconfig.yml"),
            format!(
                "sampling:\n  type: grid\n  parameter_space:\n    - name: --x\n      expression: choice\n      values: {}\n\
                 policy:\n  type: NoTerminationPolicy\nprimary_metric_name: score\nprimary_metric_goal: maximize\n\
                 max_total_runs: {}\nmax_concurrent_runs: {}\nmax_duration_minutes: 10\n\
                 overdrive:\n  grace_seconds: {}\n",
                json!(sweep.values),
                sweep.values.len(),
                sweep.concurrent,
                sweep.grace_seconds,
            ),
        )
        .unwrap();
    }

    pub(super) fn script(&self, body: &str) {
        fs::write(self.path().join("train.sh"), format!("#!/bin/sh\n{body}\n")).unwrap();
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn config(&self) -> &Path {
        self.config.path()
    }

    pub(super) fn seen(&self) -> &Path {
        self.seen.path()
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overdrive"));
        command
            .current_dir(self.path())
            .env_remove("OVERDRIVE_HOME")
            .env("XDG_CONFIG_HOME", self.config())
            .env("LC_ALL", "C.UTF-8")
            .envs(self.place.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    pub(super) fn start(&self, arguments: &[&str]) -> Child {
        self.command().args(arguments).spawn().unwrap()
    }

    /// Runs the sweep to its end, which must be good.
    pub(super) fn sweep(&self) -> Value {
        self.ends(self.start(&["run", "hdconfig.yml", "--json"]))
    }

    /// Waits for a command that ends well with a document.
    pub(super) fn ends(&self, child: Child) -> Value {
        let output = wait(child);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        json(&output)
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        json(&self.run(arguments))
    }

    /// All trials of the latest sweep by number; none before there is one.
    pub(super) fn trials(&self) -> Vec<Value> {
        let output = self.run(&["show", "--json", "--limit", "0", "--sort", "trial"]);
        if output.status.code() != Some(0) {
            return Vec::new();
        }
        json(&output)["items"].as_array().unwrap().clone()
    }

    /// Folder of the latest attempt of a trial.
    pub(super) fn folder_of(&self, trial: u64) -> PathBuf {
        let trials = self.trials();
        let trial = trials.iter().find(|row| row["trial"] == trial).unwrap();
        trial["folder"].as_str().unwrap().into()
    }

    /// Whether `count` trials of the latest sweep are in `state` now.
    pub(super) fn are(&self, state: &str, count: usize) -> bool {
        let output = self.run(&["show", "--json", "--limit", "0", "--state", state]);
        output.status.code() == Some(0) && json(&output)["items"].as_array().unwrap().len() == count
    }

    /// Names of the files that scripts made in the folder they share with the test.
    pub(super) fn names_seen(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.seen())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The process that a script of this project knows as `pid`, by the name that it has on this machine.
    pub(super) fn process(&self, pid: i32) -> i32 {
        let mark = format!("SEEN={}", self.seen().display());
        let is = |candidate: i32| {
            let environment = fs::read(format!("/proc/{candidate}/environ")).unwrap_or_default();
            let status = fs::read_to_string(format!("/proc/{candidate}/status")).unwrap_or_default();
            let within = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            let inner = within.and_then(|line| line.split_whitespace().last()?.parse().ok());
            inner == Some(pid) && text(&environment).contains(&mark)
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        let mut candidates = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        candidates.find(|candidate| is(*candidate)).unwrap_or(pid)
    }

    /// Waits for the condition as long as this place may take.
    pub(super) fn until(&self, what: &str, mut ready: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !ready() {
            assert!(begun.elapsed() < self.place.patience, "{what} did not come");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What scripts wrote to files of their own named `<trial>-<pid>`: all of it must be in the results, in order, once.
    pub(super) fn nothing_was_lost(&self, trials: u64) {
        let mut written: Vec<(u64, Vec<f64>)> = self
            .names_seen()
            .iter()
            .map(|name| {
                let text = fs::read_to_string(self.seen().join(name)).unwrap();
                let trial = name.split('-').next().unwrap().parse().unwrap();
                (trial, text.lines().map(|line| line.parse().unwrap()).collect())
            })
            .collect();
        written.sort_by_key(|(trial, _)| *trial);
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
        let kept: Vec<(u64, Vec<f64>)> = (0..trials)
            .map(|number| {
                let of_trial = kept.iter().filter(|(trial, ..)| *trial == number);
                (number, of_trial.map(|(.., value)| *value).collect())
            })
            .collect();
        assert_eq!(
            written, kept,
            "each script ran once, and each of its numbers is there once, in order"
        );
    }
}

/// Reports numbers that only this process can have said, and writes the same ones to a file of its own.
pub(super) const LOGGING: &str = r#"log="$SEEN/$OVERDRIVE_TRIAL-$$"
: > "$log"
for i in 1 2 3 4 5 6 7 8 9 10; do
  echo "$i.$$" >> "$log"
  echo "score=$i.$$"
  sleep 0.2
done"#;

/// What a command came to; one that does not end within two minutes fails the test.
pub(super) fn wait(child: Child) -> Output {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let (out, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || out.send(child.wait_with_output().unwrap()));
    if let Ok(output) = ended.recv_timeout(Duration::from_secs(120)) {
        return output;
    }
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let output = ended.recv().unwrap();
    panic!("does not end\n{}{}", text(&output.stdout), text(&output.stderr));
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", text(&output.stdout), text(&output.stderr)))
}
