//! One attempt in a temporary folder, run by the real binary.

use indexmap::IndexMap;
use overdrive::journal::{Damage, Entry, Exit, read};
use overdrive::runner::AttemptSpec;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Attempt {
    pub spec: AttemptSpec,
    folder: tempfile::TempDir,
}

impl Attempt {
    pub fn new(argv: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = AttemptSpec {
            sweep: "HD_test".into(),
            experiment: "e".into(),
            trial: 3,
            run_id: "HD_test_3".into(),
            attempt: 0,
            nonce: folder.path().file_name().unwrap().to_string_lossy().into_owned(),
            container: None,
            argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
            group: None,
            env: IndexMap::new(),
            path_prepend: vec![],
            snapshot: None,
            in_place: None,
            outputs: vec![],
            timeout_ms: None,
            grace_ms: 2_000,
            frozen_patience_ms: 3_600_000,
            primary_metric: None,
            metric_names: vec![],
            parameters: IndexMap::new(),
            inputs: IndexMap::new(),
            doorbell: None,
            log_cap_bytes: 1 << 30,
            shim: false,
            mlflow: false,
            mlflow_children: false,
            registry: None,
        };
        Self { spec, folder }
    }

    /// A shell script, with `$0` unset.
    pub fn shell(script: &str) -> Self {
        Self::new(&["/bin/sh", "-c", script])
    }

    pub fn metric(mut self, name: &str) -> Self {
        self.spec.primary_metric = Some(name.into());
        self.spec.metric_names.push(name.into());
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write_spec(&self) {
        std::fs::write(self.file("spec.json"), serde_json::to_vec(&self.spec).unwrap()).unwrap();
    }

    pub fn start(&self) -> Child {
        self.write_spec();
        self.start_again()
    }

    pub fn start_again(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_overdrive"))
            .arg("runner")
            .arg(self.path())
            .env("XDG_CACHE_HOME", self.file("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Runs to the end.
    pub fn run(self) -> Finished {
        let child = self.start();
        self.wait(child)
    }

    pub fn wait(self, mut child: Child) -> Finished {
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "the runner does not end"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        let code = child.wait().unwrap().code();
        assert_eq!(
            code,
            Some(0),
            "{:?}",
            std::fs::read_to_string(self.file("runner_error.txt"))
        );
        let (entries, damages) = read(&self.file("journal")).unwrap();
        Finished {
            attempt: self,
            entries,
            damages,
        }
    }

    /// Waits until the script has said something in a file of its own.
    pub fn await_file(&self, name: &str) -> String {
        let began = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(self.file(name))
                && text.ends_with('\n')
            {
                return text.trim().to_owned();
            }
            assert!(began.elapsed() < Duration::from_secs(20), "no {name}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

pub struct Finished {
    pub attempt: Attempt,
    pub entries: Vec<Entry>,
    pub damages: Vec<Damage>,
}

impl Finished {
    pub fn exit(&self) -> &Exit {
        assert!(self.damages.is_empty());
        assert!(matches!(self.entries.first(), Some(Entry::Claimed { .. })));
        assert_eq!(self.entries.last(), Some(&Entry::Sealed));
        match &self.entries[self.entries.len() - 2] {
            Entry::Exited(exit) => exit,
            other => panic!("{other:?}"),
        }
    }

    pub fn not_started(&self) -> (&str, &str) {
        assert_eq!(self.entries.last(), Some(&Entry::Sealed));
        match &self.entries[self.entries.len() - 2] {
            Entry::NotStarted { class, reason } => (class, reason),
            other => panic!("{other:?}"),
        }
    }

    pub fn metrics(&self) -> Vec<(String, f64, Option<i64>)> {
        self.entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Metric {
                    name, value, step, ..
                } => Some((name.clone(), *value, *step)),
                _ => None,
            })
            .collect()
    }

    pub fn codes(&self) -> Vec<&str> {
        self.entries
            .iter()
            .filter_map(|entry| {
                if let Entry::Warning { code, .. } = entry {
                    Some(code.as_str())
                } else {
                    None
                }
            })
            .collect()
    }

    pub fn log(&self) -> Vec<u8> {
        std::fs::read(self.attempt.file("user_logs/std_log.txt")).unwrap()
    }
}

/// Whether a process exists and is no zombie.
pub fn lives(pid: &str) -> bool {
    overdrive::runner::process::stat(pid.trim().parse().unwrap()).is_some_and(|stat| stat.state != b'Z')
}

pub fn gone_within(pid: &str, patience: Duration) -> bool {
    let began = Instant::now();
    while lives(pid) {
        if began.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
