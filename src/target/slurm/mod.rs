//! A Slurm cluster as a compute target: a job per trial, or jobs that take one trial after the other.
//!
//! Attempts lie in their folders as on this computer, which every node must see; their journals are read as files. A job is found by
//! its name, which carries the attempt's random text, so that a submission of which nobody knows whether it was taken is looked
//! for before it is repeated. The runner's claim decides who executes, whatever the scheduler does twice. One thread talks to
//! Slurm: one look at the queue for all jobs. See `docs/design/remote.md`.

mod bench;
mod job;
mod options;
mod probe;
mod scheduler;
mod settings;
pub mod worker;

pub use options::{SlurmOptions, SlurmProblem};
pub use probe::{here, probe};
pub use settings::KIND;

use super::local::bell;
use super::local::hold;
use super::local::reader::Readers;
use super::{AttemptRef, Bell, Chunk, ComputeTarget, Fate, Liveness, Luggage, Notice, TargetError};
use crate::process::{Identity, Presence};
use crate::runner::{AttemptSpec, Claim, Group};
use bench::Bench;
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

/// How long Slurm may take to say how a job ended whose runner is seen to be gone.
const WORD: Duration = Duration::from_secs(6);

/// How long the end of a sweep waits for the last words to Slurm.
const FAREWELL: Duration = Duration::from_secs(10);

struct State {
    entries: HashMap<PathBuf, Entry>,
    readers: Readers,
    notices: Vec<Notice>,
    bell: Option<Arc<Bell>>,
    sweep: String,
    /// The processes of the sweep's trials.
    group: Option<Group>,
    bench: Bench,
    /// When the queue was last read whole, and what stood in the way since.
    looked: Option<Instant>,
    trouble: Option<String>,
    waker: Option<Sender<()>>,
    leaving: bool,
}

struct Shared {
    name: String,
    options: SlurmOptions,
    /// Folder of the target's own files, which every node sees.
    scratch: PathBuf,
    /// This program.
    program: PathBuf,
    state: Mutex<State>,
}

/// A Slurm cluster.
pub struct SlurmTarget {
    shared: Arc<Shared>,
    done: Mutex<Option<Receiver<()>>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            let _ = waker.send(());
        }
    }
}

impl SlurmTarget {
    /// The cluster of `options` under `name`. `scratch` is a folder that every node sees, `program` this program's file.
    pub fn new(name: String, options: SlurmOptions, scratch: PathBuf, program: PathBuf) -> Self {
        let state = State {
            entries: HashMap::new(),
            readers: Readers::default(),
            notices: Vec::new(),
            bell: None,
            sweep: String::new(),
            group: None,
            bench: Bench::default(),
            looked: None,
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
        let started = std::thread::Builder::new().name("slurm".into()).spawn(move || {
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
fn liveness(
    entry: &mut Entry,
    folder: &Path,
    workers: bool,
    (looked, trouble): (Option<Instant>, Option<&str>),
) -> Liveness {
    if entry.claim.is_none() {
        entry.look_for_claim(folder);
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
        // On the machine of the runner itself Slurm need not be asked.
        match runner.presence() {
            Presence::Here => return Liveness::Alive,
            Presence::Gone => {
                let gone = *entry.gone.get_or_insert_with(Instant::now);
                return match ended(entry, true, Duration::ZERO) {
                    Some(life) => life,
                    // Slurm may know better why.
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
    match &entry.stage {
        Stage::Over { .. } => Liveness::Alive,
        Stage::Refused(fate, why) => Liveness::Over(*fate, why.clone()),
        Stage::Queued | Stage::Uncertain { .. } => Liveness::Alive,
        Stage::Submitted if entry.claim.is_some() || entry.seen => match trouble {
            Some(trouble) => Liveness::Unknown(trouble.to_owned()),
            None => Liveness::Alive,
        },
        Stage::Submitted => Liveness::Alive,
        Stage::Found => match (looked, trouble) {
            // The queue was read after it was taken up, and it does not stand there.
            (Some(at), _) if at > entry.since && entry.claim.is_none() => Liveness::Unclaimed,
            (Some(at), _) if at > entry.since => {
                Liveness::Dead("Slurm does not know its job any more".into())
            }
            (_, Some(trouble)) => Liveness::Unknown(trouble.to_owned()),
            (_, None) => Liveness::Unknown("Slurm was not asked yet".into()),
        },
    }
}

/// How it ended by Slurm's word, once its last words had `lag` to arrive.
fn ended(entry: &Entry, claimed: bool, lag: Duration) -> Option<Liveness> {
    let Stage::Over { word, at } = &entry.stage else {
        return None;
    };
    if at.elapsed() < lag {
        return None;
    }
    let job = entry.id.as_deref().unwrap_or("?");
    let why = match &entry.log {
        Some(line) if !claimed => format!("Slurm job {job} is {word}: {line}"),
        _ => format!("Slurm job {job} is {word}"),
    };
    Some(match job::fate(word, claimed) {
        Some(fate) => Liveness::Over(fate, why),
        None => Liveness::Dead(why),
    })
}

impl ComputeTarget for SlurmTarget {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn kind(&self) -> &'static str {
        "slurm"
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
        state.group.clone_from(&spec.group);
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
        let mut new = false;
        let mut chunks = Vec::with_capacity(cursors.len());
        for (attempt, offset) in cursors {
            let folder = &attempt.folder;
            let entry = state.entries.entry(folder.clone()).or_insert_with(|| {
                new = true;
                Entry::new(folder)
            });
            // Life first, bytes second: when it is dead, the bytes read after that are all there will ever be.
            let life = liveness(
                entry,
                folder,
                self.shared.options.workers,
                (state.looked, state.trouble.as_deref()),
            );
            if self.shared.options.workers
                && matches!(life, Liveness::Alive)
                && !matches!(entry.stage, Stage::Over { .. })
                && folder.join("ended").exists()
            {
                // Its worker has seen the end of the runner; the job goes on with other trials.
                entry.stage = Stage::Over {
                    word: "COMPLETED".into(),
                    at: Instant::now(),
                };
            }
            if matches!(entry.stage, Stage::Over { .. }) {
                // Through a new descriptor: only that is sure to show what another machine wrote.
                state.readers.forget(folder);
            }
            chunks.push(Chunk::of(attempt, state.readers.read(folder, *offset), life));
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

    fn withdraw(&self, attempt: &AttemptRef) {
        // Not there: nothing was asked for. A job that was already told to end stays so.
        let _ = std::fs::remove_file(attempt.folder.join("cancel"));
        if let Some(entry) = self.shared.state().entries.get_mut(&attempt.folder) {
            entry.canceled = None;
        }
    }

    fn can_freeze(&self) -> bool {
        // A job of ours that holds many trials in turn starts the next one only when this one has ended.
        !self.shared.options.workers
    }

    fn freeze(&self, attempt: &AttemptRef, request: &str) -> Result<(), TargetError> {
        hold::ask(&attempt.folder, request).map_err(|error| self.unreachable(&attempt.folder, &error))
    }

    fn thaw(&self, attempt: &AttemptRef) -> Result<(), TargetError> {
        hold::take_back(&attempt.folder).map_err(|error| self.unreachable(&attempt.folder, &error))
    }

    fn wait(&self, timeout: Duration) {
        std::thread::sleep(timeout);
    }

    fn forget(&self, attempt: &AttemptRef) {
        let mut state = self.shared.state();
        state.readers.forget(&attempt.folder);
        if let Some(entry) = state.entries.get_mut(&attempt.folder) {
            entry.forgotten = true;
            if entry.claim.is_none() {
                entry.look_for_claim(&attempt.folder);
            }
            if entry.claim.as_ref().is_some_and(|claim| claim.pid == 0) {
                // Given up before it began: its job is of no use.
                entry.canceled.get_or_insert_with(Instant::now);
            }
        }
        state.wake();
    }

    fn reopen(&self, attempt: &AttemptRef) {
        self.shared.state().readers.forget(&attempt.folder);
    }

    fn end_orphans(&self, attempt: &AttemptRef, nonce: &str) {
        // Slurm ends what its job left on other machines; of a worker's job that is only sure here.
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

impl Drop for SlurmTarget {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.leaving = true;
            state.wake();
        }
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            // A controller of Slurm that hangs must not keep the command from ending.
            let _ = done.recv_timeout(FAREWELL);
        }
    }
}
