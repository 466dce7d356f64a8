//! The local target: runners as detached processes of this machine, journals as files beside them.
//!
//! A runner is a child that nobody depends on: it makes a session of its own, outlives the controller, and its end is told by its
//! journal or proved by its identity (boot id, process id, start time), never by an exit status.

pub(super) mod bell;
mod forks;
pub(in crate::target) mod gpu;
pub(super) mod hold;
mod liveness;
pub(super) mod reader;

pub use bell::Bell;
pub use gpu::visible_devices;

use super::{AttemptRef, Chunk, ComputeTarget, TargetError};
use crate::config::launch::SparkSubmit;
use crate::process::Identity;
use crate::runner::AttemptSpec;
use crate::runner::fork_server::{Answer, RUNNER_LOG};
use forks::Forks;
use liveness::Started;
use reader::Readers;
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long processes that a lost runner left behind may take to end once killed.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(5);

/// How the local target is set up.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Name of the target.
    pub name: String,
    /// Kind of the target, as scripts see it.
    pub kind: &'static str,
    /// Trials at once; `None` = as many as the sweep allows.
    pub slots: Option<u64>,
    /// Program that runs an attempt; the running one by default.
    pub executable: PathBuf,
    /// Its arguments before the attempt's folder.
    pub arguments: Vec<OsString>,
    /// Whether the program with these arguments and `--serve` is a fork server ([`crate::runner::fork_server`]).
    pub fork_server: bool,
    /// Devices to hand out by `CUDA_VISIBLE_DEVICES`, one per trial, the least used first; empty = leave the variable alone.
    pub devices: Vec<String>,
    /// How PySpark scripts are submitted, if not as the search path has it.
    pub spark: Option<SparkSubmit>,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            name: "local".into(),
            kind: "local",
            slots: None,
            executable: "/proc/self/exe".into(),
            arguments: vec!["runner".into()],
            fork_server: true,
            devices: Vec::new(),
            spark: None,
        }
    }
}

/// This machine as a compute target.
pub struct LocalTarget {
    options: LocalOptions,
    bell: Arc<Bell>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Runners that this process started and that may still run.
    started: HashMap<PathBuf, Started>,
    /// Runners that ended and whose entry in the process table was not yet cleared.
    ended: Vec<Child>,
    forks: Forks,
    readers: Readers,
    claims: HashMap<PathBuf, Option<Identity>>,
    devices: HashMap<PathBuf, usize>,
    /// Attempts that do not use their device now.
    frozen: HashSet<PathBuf>,
}

impl LocalTarget {
    /// A target that is woken by `bell`.
    pub fn new(options: LocalOptions, bell: Arc<Bell>) -> Self {
        Self {
            options,
            bell,
            state: Mutex::new(State::default()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, reason: String) -> TargetError {
        TargetError::Refused {
            target: self.options.name.clone(),
            reason,
        }
    }

    /// Sorts a failure to start: what is short for now, and what is wrong for good.
    fn failed(&self, what: &str, error: &std::io::Error) -> TargetError {
        let resource = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::AGAIN) => "processes",
            Some(Errno::MFILE | Errno::NFILE) => "file descriptors",
            Some(Errno::NOMEM) => "memory",
            Some(Errno::NOSPC | Errno::DQUOT) => "disk space",
            _ => return self.refused(format!("{what}: {error}")),
        };
        TargetError::Exhausted {
            target: self.options.name.clone(),
            resource: resource.into(),
        }
    }

    /// Starts the program for one attempt.
    fn spawn(&self, folder: &std::path::Path, device: Option<String>) -> Result<Child, TargetError> {
        let log = folder.join(RUNNER_LOG);
        let errors = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&log)
            .map_err(|error| self.failed(&log.display().to_string(), &error))?;
        let mut command = Command::new(&self.options.executable);
        command
            .args(&self.options.arguments)
            .arg(folder)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors);
        if let Some(device) = device {
            command.env("CUDA_VISIBLE_DEVICES", device);
        }
        command
            .spawn()
            .map_err(|error| self.failed(&self.options.executable.display().to_string(), &error))
    }

    /// The least used device, taken for the attempt.
    fn device(&self, state: &mut State, folder: &std::path::Path) -> Option<String> {
        let devices = &self.options.devices;
        let used = |index: usize| {
            let on_it = state.devices.iter().filter(|(_, taken)| **taken == index);
            let (mut busy, mut holding) = (0, 0);
            for (folder, _) in on_it {
                holding += 1;
                busy += usize::from(!state.frozen.contains(folder));
            }
            (busy, holding)
        };
        let index = (0..devices.len()).min_by_key(|index| (used(*index), *index))?;
        state.devices.insert(folder.to_owned(), index);
        devices.get(index).cloned()
    }
}

impl ComputeTarget for LocalTarget {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn kind(&self) -> &'static str {
        self.options.kind
    }

    fn spark(&self) -> Option<SparkSubmit> {
        self.options.spark.clone()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn slots(&self) -> Option<u64> {
        self.options.slots
    }

    fn submit(&self, attempt: &AttemptRef, spec: &AttemptSpec) -> Result<(), TargetError> {
        let mut guard = self.state();
        let state = &mut *guard;
        let device = if spec.env.contains_key("CUDA_VISIBLE_DEVICES") {
            None
        } else {
            self.device(state, &attempt.folder)
        };
        // A fork has the environment of its server.
        let forked = match device {
            None => state.forks.fork(&self.options, &attempt.folder),
            Some(_) => None,
        };
        let started = match forked {
            Some(Answer::Forked { pid, start_ticks }) => Ok(Started::Fork { pid, start_ticks }),
            Some(Answer::Refused { errno }) => Err(self.failed(
                &self.options.executable.display().to_string(),
                &std::io::Error::from_raw_os_error(errno),
            )),
            None => self.spawn(&attempt.folder, device).map(Started::Child),
        };
        match started {
            Ok(started) => {
                let before = state.started.insert(attempt.folder.clone(), started);
                if let Some(Started::Child(before)) = before {
                    state.ended.push(before);
                }
                Ok(())
            }
            Err(error) => {
                state.devices.remove(&attempt.folder);
                Err(error)
            }
        }
    }

    fn follow(&self, cursors: &[(AttemptRef, u64)]) -> Result<Vec<Chunk>, TargetError> {
        let mut guard = self.state();
        let state = &mut *guard;
        state
            .ended
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let mut chunks = Vec::with_capacity(cursors.len());
        for (attempt, offset) in cursors {
            // Life first, bytes second: when it is dead, the bytes read after that are all there will ever be.
            let known = state.claims.entry(attempt.folder.clone()).or_default();
            let liveness = liveness::of(&attempt.folder, state.started.get_mut(&attempt.folder), known);
            let read = state.readers.read(&attempt.folder, *offset);
            chunks.push(Chunk::of(attempt, read, liveness));
        }
        Ok(chunks)
    }

    fn cancel(&self, attempt: &AttemptRef) -> Result<(), TargetError> {
        let path = attempt.folder.join("cancel");
        match OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(_) => {
                bell::ring(&attempt.folder.join("bell"));
                Ok(())
            }
            Err(error) => Err(self.failed(&path.display().to_string(), &error)),
        }
    }

    fn withdraw(&self, attempt: &AttemptRef) {
        // Not there: nothing was asked for.
        let _ = std::fs::remove_file(attempt.folder.join("cancel"));
    }

    fn can_freeze(&self) -> bool {
        self.options.spark.is_none()
    }

    fn freeze(&self, attempt: &AttemptRef, request: &str) -> Result<(), TargetError> {
        hold::ask(&attempt.folder, request)
            .map_err(|error| self.failed(&attempt.folder.display().to_string(), &error))?;
        self.state().frozen.insert(attempt.folder.clone());
        Ok(())
    }

    fn thaw(&self, attempt: &AttemptRef) -> Result<(), TargetError> {
        self.state().frozen.remove(&attempt.folder);
        hold::take_back(&attempt.folder)
            .map_err(|error| self.failed(&attempt.folder.display().to_string(), &error))
    }

    fn wait(&self, timeout: Duration) {
        self.bell.wait(timeout);
    }

    fn forget(&self, attempt: &AttemptRef) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.readers.forget(&attempt.folder);
        state.claims.remove(&attempt.folder);
        state.devices.remove(&attempt.folder);
        state.frozen.remove(&attempt.folder);
        if let Some(Started::Child(child)) = state.started.remove(&attempt.folder) {
            state.ended.push(child);
        }
        state
            .ended
            .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn reopen(&self, attempt: &AttemptRef) {
        self.state().readers.forget(&attempt.folder);
    }

    fn end_orphans(&self, attempt: &AttemptRef, nonce: &str) {
        crate::runner::end_orphans(nonce, ORPHAN_PATIENCE);
        crate::runner::end_container(&attempt.folder, nonce);
    }

    fn keep_others_out(&self, attempt: &AttemptRef) -> Result<bool, TargetError> {
        let path = attempt.folder.join("claim");
        let own = Identity {
            pid: 0,
            start_ticks: 0,
            ..Identity::own()
        };
        let create = || -> std::io::Result<()> {
            let mut file: File = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            std::io::Write::write_all(&mut file, &serde_json::to_vec(&own)?)
        };
        match create() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            // A folder that a power cut ate cannot hold a runner either.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(self.failed(&path.display().to_string(), &error)),
        }
    }
}

#[cfg(test)]
mod tests;
