//! Starting the engines of `tests/services/`, and ending them whatever happens.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether tests that need an engine are to run; says so if not.
pub(super) fn full(test: &str) -> bool {
    let full = std::env::var("OVERDRIVE_TEST_TIER").is_ok_and(|tier| tier == "full");
    if !full {
        eprintln!("left out (needs a real engine, set OVERDRIVE_TEST_TIER=full): {test}");
    }
    full
}

/// An engine that runs until this is dropped.
pub(super) struct Service {
    script: PathBuf,
    folder: tempfile::TempDir,
    last: &'static str,
}

impl Service {
    /// Starts `tests/services/NAME.sh`; `last` is the verb that ends it.
    pub(super) fn start(name: &str, last: &'static str) -> Self {
        Self::start_with(name, last, &[])
    }

    /// As [`Self::start`], with variables for the script.
    pub(super) fn start_with(name: &str, last: &'static str, variables: &[(&str, &str)]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/services")
            .join(format!("{name}.sh"));
        let service = Self {
            script,
            folder: tempfile::tempdir().unwrap(),
            last,
        };
        service.ask_with(&["start"], variables);
        service
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the script with a verb and what follows the folder; fails the test with its output if it fails.
    pub(super) fn ask(&self, words: &[&str]) {
        self.ask_with(words, &[]);
    }

    fn ask_with(&self, words: &[&str], variables: &[(&str, &str)]) {
        let output = Command::new("bash")
            .arg(&self.script)
            .arg(words[0])
            .arg(self.folder())
            .args(&words[1..])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{} {words:?} failed: {}\n{}{}",
            self.script.display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// What the script tells of the engine: `NAME=VALUE` lines.
    pub(super) fn facts(&self) -> HashMap<String, String> {
        let text = std::fs::read_to_string(self.folder().join("env")).unwrap();
        text.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("bash")
            .arg(&self.script)
            .arg(self.last)
            .arg(self.folder())
            .output();
    }
}
