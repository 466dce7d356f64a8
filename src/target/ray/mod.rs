//! A Ray cluster as a compute target: a job per trial, or one job that runs all trials as tasks.
//!
//! Attempts lie in their folders as on this computer, which every node must see; their journals are read as files. A job's submission
//! id carries the attempt's random text, so a submission of which nobody knows whether it was taken is simply repeated. The runner's
//! claim decides who executes. One thread talks to the cluster. See `docs/design/ray.md`.

mod api;
mod driver;
mod options;
mod probe;
mod scheduler;
mod settings;

pub use options::{RayOptions, RayProblem};
pub use settings::KIND;

use super::local::bell;
use super::local::reader::Readers;
use super::{AttemptRef, Bell, Chunk, ComputeTarget, Fate, Liveness, Luggage, Notice, TargetError};
use crate::process::{Identity, Presence};
use crate::runner::{AttemptSpec, Claim};
use scheduler::{Entry, Scheduler, Stage};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a node's last words may take to be seen on this machine (shared file systems cache).
const LAG: Duration = Duration::from_secs(3);

/// How long the cluster may take to say how a job ended whose runner is seen to be gone.
const WORD: Duration = Duration::from_secs(6);

/// How long the end of a sweep waits for the last words to the cluster.
const FAREWELL: Duration = Duration::from_secs(10);

struct State {
    entries: HashMap<PathBuf, Entry>,
    readers: Readers,
    notices: Vec<Notice>,
    bell: Option<Arc<Bell>>,
    sweep: String,
    /// Tasks that are over, by what the drivers say.
    ends: driver::Ends,
    /// What stands in the way of asking the cluster.
    trouble: Option<String>,
    waker: Option<Sender<()>>,
    leaving: bool,
}

struct Shared {
    name: String,
    options: RayOptions,
    /// Folder of the target's own files, which every node sees.
    scratch: PathBuf,
    /// This program.
    program: PathBuf,
    state: Mutex<State>,
}

/// A Ray cluster.
pub struct RayTarget {
    shared: Arc<Shared>,
    done: Mutex<Option<Receiver<()>>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folder of the sweep's drivers.
    fn queue(&self, sweep: &str) -> PathBuf {
        let sweep = super::agent::escaped(sweep.as_bytes());
        self.scratch.join("ray").join(sweep)
    }
}

impl State {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            // A scheduler that has ended needs no waking.
            let _ = waker.send(());
        }
    }
}

impl RayTarget {
    /// The cluster of `options` under `name`. `scratch` is a folder that every node sees, `program` this program's file.
    pub fn new(name: String, options: RayOptions, scratch: PathBuf, program: PathBuf) -> Self {
        let state = State {
            entries: HashMap::new(),
            readers: Readers::default(),
            notices: Vec::new(),
            bell: None,
            sweep: String::new(),
            ends: driver::Ends::default(),
            trouble: None,
            waker: None,
            leaving: false,
        };
        Self {
            shared: Arc::new(Shared {
                name,
                options,
                scratch,
                program,
                state: Mutex::new(state),
            }),
            done: Mutex::new(None),
        }
    }

    fn begin(&self, state: &mut State) {
        if state.waker.is_some() {
            return;
        }
        let (waker, woken) = channel();
        let (gone, done) = channel();
        let scheduler = Scheduler::new(Arc::clone(&self.shared), woken);
        let started = std::thread::Builder::new().name("ray".into()).spawn(move || {
            scheduler.run();
            let _ = gone.send(());
        });
        match started {
            Ok(_) => {
                state.waker = Some(waker);
                *self.done.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            }
            Err(error) => state.trouble = Some(error.to_string()),
        }
    }

    fn unreachable(&self, path: &Path, error: &std::io::Error) -> TargetError {
        TargetError::Unreachable {
            target: self.shared.name.clone(),
            reason: format!("{}: {error}", path.display()),
        }
    }
}

/// What is known of an attempt's runner.
fn liveness(entry: &mut Entry, folder: &Path, workers: bool, trouble: Option<&str>) -> Liveness {
    if entry.claim.is_none() {
        entry.claim = Claim::read(&folder.join("claim"));
    }
    if let Some(claim) = &entry.claim {
        if claim.pid == 0 {
            return Liveness::Over(
                Fate::Canceled,
                "the attempt was given up before a runner claimed it".into(),
            );
        }
        let runner = Identity {
            host: claim.host.clone(),
            boot_id: claim.boot_id.clone(),
            pid: claim.pid,
            start_ticks: claim.start_ticks,
        };
        // On the machine of the runner itself the cluster need not be asked.
        match runner.presence() {
            Presence::Here => return Liveness::Alive,
            Presence::Gone => {
                let gone = *entry.gone.get_or_insert_with(Instant::now);
                return match ended(entry, true, Duration::ZERO) {
                    Some(life) => life,
                    // The cluster may know better why.
                    None if !workers && gone.elapsed() < WORD => Liveness::Alive,
                    None => Liveness::Dead("its runner is gone".into()),
                };
            }
            Presence::Elsewhere | Presence::Unknown => {}
        }
    }
    if let Some(life) = ended(entry, entry.claim.is_some(), LAG) {
        return life;
    }
    if let Some((fate, why)) = scheduler::refused(&entry.stage) {
        return Liveness::Over(fate, why);
    }
    match (&entry.stage, trouble) {
        // The cluster was asked after it was taken up, and knows of no job.
        (Stage::Found, _) if entry.looked.is_some() && entry.claim.is_none() => Liveness::Unclaimed,
        (Stage::Found, _) if entry.looked.is_some() => {
            Liveness::Dead("the cluster does not know its job any more".into())
        }
        (Stage::Found, None) => Liveness::Unknown("the cluster was not asked yet".into()),
        (Stage::Submitted | Stage::Found, Some(trouble)) => Liveness::Unknown(trouble.to_owned()),
        _ => Liveness::Alive,
    }
}

/// How it ended by the cluster's word, once its last words had `lag` to arrive.
fn ended(entry: &Entry, claimed: bool, lag: Duration) -> Option<Liveness> {
    let Stage::Over { ending, at } = &entry.stage else {
        return None;
    };
    if at.elapsed() < lag {
        return None;
    }
    let why = format!("Ray job {} is {}: {}", entry.name, ending.word, ending.why);
    Some(match api::fate(ending, claimed) {
        Some(fate) => Liveness::Over(fate, why),
        None => Liveness::Dead(why),
    })
}

/// What the driver says about the end of a task.
fn of_driver(word: &str) -> api::Ending {
    api::Ending {
        word: "FAILED".into(),
        why: word.to_owned(),
        // A task that ended without a claim: its runner could not be started.
        class: if word.starts_with("lost") {
            String::new()
        } else {
            "JOB_ENTRYPOINT_COMMAND_ERROR".into()
        },
    }
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

impl ComputeTarget for RayTarget {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn kind(&self) -> &'static str {
        KIND.word
    }

    fn is_local(&self) -> bool {
        false
    }

    fn slots(&self) -> Option<u64> {
        self.shared.options.slots
    }

    fn shares_files(&self) -> bool {
        true
    }

    fn equip(&self, luggage: &Luggage) {
        let mut state = self.shared.state();
        state.sweep.clone_from(&luggage.sweep);
        self.begin(&mut state);
    }

    fn listen(&self, bell: Arc<Bell>) {
        self.shared.state().bell = Some(bell);
    }

    fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.shared.state().notices)
    }

    fn submit(&self, attempt: &AttemptRef, spec: &AttemptSpec) -> Result<(), TargetError> {
        let mut state = self.shared.state();
        self.begin(&mut state);
        let entry = state
            .entries
            .entry(attempt.folder.clone())
            .or_insert_with(|| Entry::new(&attempt.folder));
        entry.grace = Duration::from_millis(spec.grace_ms);
        if matches!(entry.stage, Stage::Found) {
            entry.stage = Stage::Queued;
        }
        state.wake();
        Ok(())
    }

    fn follow(&self, cursors: &[(AttemptRef, u64)]) -> Result<Vec<Chunk>, TargetError> {
        let mut guard = self.shared.state();
        self.begin(&mut guard);
        let state = &mut *guard;
        let workers = self.shared.options.workers;
        if workers {
            state.ends.read(&self.shared.queue(&state.sweep));
        }
        let mut new = false;
        let mut chunks = Vec::with_capacity(cursors.len());
        for (attempt, offset) in cursors {
            let folder = &attempt.folder;
            let entry = state.entries.entry(folder.clone()).or_insert_with(|| {
                new = true;
                Entry::new(folder)
            });
            // Life first, bytes second: when it is dead, the bytes read after that are all there will ever be.
            let life = liveness(entry, folder, workers, state.trouble.as_deref());
            if !matches!(entry.stage, Stage::Over { .. })
                && let Some(word) = state.ends.of(&entry.name)
            {
                // The driver has seen the end of the task; its job goes on with other trials.
                let (ending, at) = (of_driver(word), Instant::now());
                entry.stage = Stage::Over { ending, at };
            }
            if matches!(entry.stage, Stage::Over { .. }) {
                // Through a new descriptor: only that is sure to show what another machine wrote.
                state.readers.forget(folder);
            }
            let (bytes, liveness) = match state.readers.read(folder, *offset) {
                Ok(bytes) => (bytes, life),
                Err(error) if error.kind() == ErrorKind::NotFound => (Vec::new(), life),
                Err(error) => (
                    Vec::new(),
                    Liveness::Unknown(format!("journal of trial {}: {error}", attempt.trial)),
                ),
            };
            chunks.push(Chunk {
                attempt: attempt.clone(),
                bytes,
                liveness,
            });
        }
        if new {
            state.wake();
        }
        Ok(chunks)
    }

    fn cancel(&self, attempt: &AttemptRef) -> Result<(), TargetError> {
        let path = attempt.folder.join("cancel");
        if !self.keep_others_out(attempt)? {
            OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&path)
                .map_err(|error| self.unreachable(&path, &error))?;
            bell::ring(&attempt.folder.join("bell"));
        }
        let mut state = self.shared.state();
        let entry = state
            .entries
            .entry(attempt.folder.clone())
            .or_insert_with(|| Entry::new(&attempt.folder));
        entry.canceled.get_or_insert_with(Instant::now);
        state.wake();
        Ok(())
    }

    fn wait(&self, timeout: Duration) {
        std::thread::sleep(timeout);
    }

    fn forget(&self, attempt: &AttemptRef) {
        let mut state = self.shared.state();
        state.readers.forget(&attempt.folder);
        if let Some(entry) = state.entries.get_mut(&attempt.folder) {
            entry.forgotten = true;
        }
        state.wake();
    }

    fn reopen(&self, attempt: &AttemptRef) {
        self.shared.state().readers.forget(&attempt.folder);
    }

    fn end_orphans(&self, attempt: &AttemptRef, nonce: &str) {
        // Ray ends what its job left on other machines.
        let here = Claim::read(&attempt.folder.join("claim"))
            .is_some_and(|claim| claim.host == crate::process::host());
        if here {
            crate::runner::end_orphans(nonce, Duration::from_secs(5));
        }
    }

    fn keep_others_out(&self, attempt: &AttemptRef) -> Result<bool, TargetError> {
        let path = attempt.folder.join("claim");
        let nobody = Claim {
            pid: 0,
            start_ticks: 0,
            ..Claim::of_this_process("")
        };
        match nobody.take(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            taken => taken.map_err(|error| self.unreachable(&path, &error)),
        }
    }
}

impl Drop for RayTarget {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.leaving = true;
            state.wake();
        }
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            // A dashboard that hangs must not keep the command from ending.
            let _ = done.recv_timeout(FAREWELL);
        }
    }
}
