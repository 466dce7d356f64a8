//! The target on another machine without another machine: the agent as a process at the other end of a pipe that tests can cut.

use overdrive::config::Experiment;
use overdrive::engine::{Ending, Engine, Preparation, Setup};
use overdrive::snapshot;
use overdrive::store::{Store, TrialQuery};
use overdrive::target::ComputeTarget as _;
use overdrive::target::agent::protocol::Starter;
use overdrive::target::remote::{Errors, Line, LineError, RemoteOptions, RemoteTarget, Slots, Transport};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Starts agents here; their lines can be cut and kept cut.
#[derive(Clone, Default)]
struct Pipe {
    root: PathBuf,
    agent: Arc<Mutex<Option<u32>>>,
    cut: Arc<AtomicBool>,
    opened: Arc<AtomicU32>,
}

impl Transport for Pipe {
    fn machine(&self) -> String {
        "a pipe".into()
    }

    fn starter(&self) -> Starter {
        Starter::Process
    }

    fn open(&self) -> Result<Line, LineError> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(LineError::Unreachable("the line is cut".into()));
        }
        let mut child = Command::new("/bin/sh")
            // What login shells print must not matter.
            .args([
                "-c",
                "echo Welcome; exec \"$0\" agent \"$1\"",
                env!("CARGO_BIN_EXE_overdrive"),
            ])
            .arg(&self.root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        *self.agent.lock().unwrap() = Some(child.id());
        self.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Line {
            input: child.stdin.take().unwrap(),
            output: child.stdout.take().unwrap(),
            errors: Errors::of(child.stderr.take().unwrap()),
            child,
        })
    }
}

impl Pipe {
    fn kill(&self) {
        let pid = self.agent.lock().unwrap().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        // Gone already is as good.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["code", "seen"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("code/train.sh"), script).unwrap();
        Self { folder }
    }

    fn seen(&self) -> PathBuf {
        self.folder.path().join("seen")
    }

    fn store(&self) -> Arc<Store> {
        Arc::new(Store::open(&self.folder.path().join("state")).unwrap())
    }

    fn pipe(&self) -> Pipe {
        Pipe {
            root: self.folder.path().join("elsewhere"),
            ..Pipe::default()
        }
    }

    fn experiment(&self, trials: u64) -> Experiment {
        let uniform = json!({ "type": "uniform", "low": 0.0, "high": 1.0 });
        serde_json::from_value(json!({
            "name": "shell", "dialect": "hyperdrive",
            "space": { "parameters": [{ "name": "x", "distribution": uniform }] },
            "sampler": { "kind": "random", "seed": 1 }, "policy": { "type": "no_termination" },
            "metric": { "name": "score", "goal": "maximize" }, "metrics": [],
            "limits": { "max_total": trials, "max_concurrent": 2, "max_duration_ms": null },
            "abort_after_initial_failures": 3, "max_retries": 2,
            "launch": {
                "source_directory": self.folder.path().join("code"),
                "command": { "kind": "script", "script": "train.sh", "arguments": [] },
                "parameters": [{ "name": "x", "shape": { "kind": "parameter", "index": 0 }, "argument": "--x" }],
                "environment_variables": { "SEEN": self.seen() },
                "environment": { "kind": "user_managed", "interpreter": "python3" },
                "framework": "python", "communicator": "none", "node_count": 1, "process_count_per_node": 1, "run_definition": {},
            },
            "targets": ["there"],
        }))
        .unwrap()
    }

    fn setup(&self, pipe: &Pipe) -> Setup {
        let taken = snapshot::take(
            &self.folder.path().join("code"),
            &self.folder.path().join("state"),
        )
        .unwrap();
        let options = RemoteOptions {
            name: "there".into(),
            kind: "remote",
            slots: Slots::Of(2),
        };
        Setup {
            targets: vec![Arc::new(RemoteTarget::new(options, Box::new(pipe.clone())))],
            preparation: Some(Preparation {
                snapshot: Some(taken.folder),
                snapshot_id: Some(taken.id),
                mlflow: false,
                shim: false,
                grace_ms: 2_000,
                ..Preparation::default()
            }),
            ..Setup::default()
        }
    }

    fn numbers_seen(&self) -> usize {
        let lines = |path: PathBuf| std::fs::read_to_string(path).unwrap().lines().count();
        std::fs::read_dir(self.seen())
            .unwrap()
            .map(|entry| lines(entry.unwrap().path()))
            .sum()
    }
}

const LOGGING: &str = r#"for i in 1 2 3 4 5 6 7 8; do echo "$i" >> "$SEEN/$OVERDRIVE_TRIAL-$$"; echo "score=$i"; sleep 0.1; done"#;

fn all_is_there(project: &Project, trials: u64, points: u64) {
    let store = project.store();
    let rows = store.trials("HD_agent", &TrialQuery::default()).unwrap();
    assert_eq!(rows.len() as u64, trials);
    for row in &rows {
        assert_eq!((row.attempts, row.reports), (1, points), "{row:?}");
        let log = Path::new(row.folder.as_ref().unwrap()).join("azureml-logs/70_driver_log.txt");
        assert_eq!(
            std::fs::read_to_string(log).unwrap().lines().count() as u64,
            points
        );
    }
    assert_eq!(
        std::fs::read_dir(project.seen()).unwrap().count() as u64,
        trials,
        "each script ran once"
    );
}

#[test]
fn a_line_that_is_cut_again_and_again_costs_nothing() {
    let project = Project::new(LOGGING);
    let pipe = project.pipe();
    let engine = Engine::start(
        &project.store(),
        "HD_agent",
        &project.experiment(6),
        project.setup(&pipe),
    )
    .unwrap();
    let cutter = {
        let pipe = pipe.clone();
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        (
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(700));
                    pipe.kill();
                }
            }),
            over,
        )
    };
    assert!(matches!(engine.wait().unwrap(), Ending::Ended { .. }));
    cutter.1.store(true, Ordering::SeqCst);
    cutter.0.join().unwrap();
    assert!(
        pipe.opened.load(Ordering::SeqCst) > 1,
        "the line was cut at least once"
    );
    all_is_there(&project, 6, 8);
}

#[test]
fn a_controller_that_comes_back_to_a_dead_line_waits_and_catches_up() {
    let project = Project::new(LOGGING);
    let pipe = project.pipe();
    let engine = Engine::start(
        &project.store(),
        "HD_agent",
        &project.experiment(2),
        project.setup(&pipe),
    )
    .unwrap();
    let control = engine.control();
    super::super::engine::until("two scripts", || project.numbers_seen() >= 4);
    control.detach();
    assert!(matches!(engine.wait().unwrap(), Ending::Detached { live: 2 }));
    pipe.cut.store(true, Ordering::SeqCst);
    let engine = Engine::resume(&project.store(), "HD_agent", project.setup(&pipe)).unwrap();
    super::super::engine::until("the end of both scripts", || project.numbers_seen() == 16);
    let rows = project
        .store()
        .trials("HD_agent", &TrialQuery::default())
        .unwrap();
    assert!(
        rows.iter().all(|row| !row.state.is_terminal()),
        "nobody can tell, so nothing is told"
    );
    pipe.cut.store(false, Ordering::SeqCst);
    assert!(matches!(engine.wait().unwrap(), Ending::Ended { .. }));
    all_is_there(&project, 2, 8);
}

#[test]
fn canceled_while_the_line_is_down_it_ends_when_the_line_is_back() {
    let project = Project::new("echo $$ > \"$SEEN/$OVERDRIVE_TRIAL\"; echo score=1; exec sleep 300");
    let pipe = project.pipe();
    let engine = Engine::start(
        &project.store(),
        "HD_agent",
        &project.experiment(2),
        project.setup(&pipe),
    )
    .unwrap();
    super::super::engine::until("two scripts", || project.numbers_seen() == 2);
    pipe.cut.store(true, Ordering::SeqCst);
    pipe.kill();
    engine.control().stop_starting_and_cancel("test");
    std::thread::sleep(Duration::from_millis(500));
    pipe.cut.store(false, Ordering::SeqCst);
    assert!(matches!(engine.wait().unwrap(), Ending::Ended { .. }));
    for trial in 0..2 {
        let pid = std::fs::read_to_string(project.seen().join(trial.to_string())).unwrap();
        assert_eq!(overdrive::process::start_ticks(pid.trim().parse().unwrap()), None);
    }
}

#[test]
fn a_second_sweep_after_a_small_change_sends_next_to_nothing() {
    let project = Project::new("echo score=1");
    std::fs::write(project.folder.path().join("code/data.bin"), vec![7; 4 << 20]).unwrap();
    let mut told = Vec::new();
    for change in ["", "# one line more"] {
        std::fs::write(
            project.folder.path().join("code/train.sh"),
            format!("echo score=1\n{change}"),
        )
        .unwrap();
        let pipe = project.pipe();
        let taken = snapshot::take(
            &project.folder.path().join("code"),
            &project.folder.path().join("state"),
        )
        .unwrap();
        let options = RemoteOptions {
            name: "there".into(),
            kind: "remote",
            slots: Slots::Cores,
        };
        let target = RemoteTarget::new(options, Box::new(pipe));
        let luggage = overdrive::target::Luggage {
            sweep: "HD_agent".into(),
            snapshot: Some((taken.id, taken.folder)),
            environment: None,
            data: Vec::new(),
        };
        overdrive::target::ComputeTarget::equip(&target, &luggage);
        target.ready(&mut |line| told.push(line.to_owned())).unwrap();
    }
    let sent = |line: &String| line.split(' ').nth(5).unwrap().parse::<u64>().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(sent(&told[0]) > 4 << 20, "{told:?}");
    assert!(sent(&told[1]) < sent(&told[0]) / 20, "{told:?}");
}
