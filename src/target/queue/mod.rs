//! The queue of a cluster as a compute target: what Slurm, Ray and their like have in common.
//!
//! Attempts lie in their folders as on this computer, which every node must see; their journals are read as files. One thread talks
//! to the cluster (`clerk`): it submits, ends jobs, and looks how they are. What it learned stands in one `Entry` per attempt, and
//! from that and the claim follows whether a runner lives. The runner's claim decides who executes, whatever a cluster does twice.
//! A kind of cluster gives a [`Cluster`]: its words for jobs and what they mean.

mod clerk;
mod desk;
mod entry;
mod login;
mod program;
mod tray;

pub(in crate::target) use desk::{Desk, News};
pub(in crate::target) use entry::{Entry, Stage};
pub(in crate::target) use login::{connect, probe};
pub(in crate::target) use tray::{ENDED, Tray, unsortable};

use super::errand::Errand;
use super::local::bell;
use super::{AttemptRef, Bell, Chunk, ComputeTarget, Fate, Luggage, Notice, TargetError};
use crate::runner::{AttemptSpec, Claim};
use clerk::Clerk;
use desk::State;
use entry::Silence;
use std::fmt::Debug;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long the end of a sweep waits for the last words to the cluster.
const FAREWELL: Duration = Duration::from_secs(10);

/// A kind of cluster, as the thread that talks to it calls it.
pub(in crate::target) trait Cluster: Send + Sized + 'static {
    /// How a job ended, in the cluster's own terms.
    type End: Clone + Debug + PartialEq + Send;

    /// Kind of the target, as scripts see it.
    const KIND: &'static str;

    /// What people call the one that knows of jobs.
    const CALLED: &'static str;

    /// Number of the job of the attempt in `folder` that an earlier controller submitted, or what serves as one; `None` = it is
    /// found by its name alone.
    fn known(name: &str, folder: &Path) -> Option<String>;

    /// What `end` means for an attempt whose journal does not tell its own (`None` = lost), and in words.
    fn verdict(job: &Entry<Self>, end: &Self::End, claimed: bool) -> (Option<Fate>, String);

    /// The end of an attempt whose worker is done with it; `word` is what the worker left.
    fn of_worker(word: &str) -> Self::End;

    /// Submits a job for the attempt, or puts it where a worker takes it. Idempotent by the attempt's name, as far as the cluster is.
    /// Gives the job's number.
    ///
    /// # Errors
    /// Why it was not done, and what is to be done about that.
    fn submit(&mut self, job: &Entry<Self>, desk: &Desk<Self>) -> Result<Option<String>, Unsubmitted>;

    /// Ends a job; `false` if that must be asked for again.
    fn cancel(&mut self, id: &str) -> bool;

    /// Looks how the jobs of `asked` are and leaves the news at the desk; those of which nothing is said stay as they are.
    ///
    /// # Errors
    /// Why the cluster could not be asked.
    fn look(&mut self, asked: &[Entry<Self>], desk: &Desk<Self>) -> Result<(), String>;

    /// Nothing more will come.
    fn leave(&mut self);
}

/// Why a job was not submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::target) enum Unsubmitted {
    /// Never as it stands.
    Refused(String),
    /// Not now: a limit on jobs.
    Later(String),
    /// It may have been taken all the same, and is looked for before it is repeated.
    Uncertain(String),
    /// The cluster cannot be talked to; a second try does no harm.
    Unreachable(String),
}

impl Unsubmitted {
    /// In words.
    pub(in crate::target) fn into_words(self) -> String {
        match self {
            Self::Refused(why) | Self::Later(why) | Self::Uncertain(why) | Self::Unreachable(why) => why,
        }
    }
}

/// What the room must know of a target.
#[derive(Clone, Debug)]
pub(in crate::target) struct Terms {
    /// Name of the target.
    pub(in crate::target) name: String,
    /// Trials at once; `None` = as many as the sweep allows.
    pub(in crate::target) slots: Option<u64>,
    /// A job takes one trial after the other.
    pub(in crate::target) workers: bool,
    /// Seconds between two looks at the jobs.
    pub(in crate::target) poll_seconds: Option<u64>,
    /// Folder of the target's own files, which every node sees.
    pub(in crate::target) scratch: PathBuf,
    /// This program.
    pub(in crate::target) program: PathBuf,
}

/// A cluster with a queue.
pub(in crate::target) struct QueueTarget<C: Cluster> {
    desk: Arc<Desk<C>>,
    /// Until its thread begins.
    idle: Mutex<Option<C>>,
}

impl<C: Cluster> QueueTarget<C> {
    /// The cluster under `terms`. Nothing is asked before [`ComputeTarget::equip`].
    pub(in crate::target) fn new(terms: Terms, cluster: C) -> Self {
        Self {
            desk: Arc::new(Desk::new(terms)),
            idle: Mutex::new(Some(cluster)),
        }
    }

    fn begin(&self, state: &mut State<C>) {
        let idle = &mut *self
            .idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(cluster) = idle.take() else { return };
        let begun = Errand::begin(C::KIND, |_, woken| {
            let clerk = Clerk::new(Arc::clone(&self.desk), cluster, woken);
            move || clerk.run()
        });
        match begun {
            Ok(errand) => state.errand = Some(errand),
            Err(error) => state.trouble = Some(error.to_string()),
        }
    }

    fn unreachable(&self, path: &Path, error: &std::io::Error) -> TargetError {
        TargetError::Unreachable {
            target: self.desk.terms.name.clone(),
            reason: format!("{}: {error}", path.display()),
        }
    }
}

impl<C: Cluster> ComputeTarget for QueueTarget<C> {
    fn name(&self) -> &str {
        &self.desk.terms.name
    }

    fn kind(&self) -> &'static str {
        C::KIND
    }

    fn is_local(&self) -> bool {
        false
    }

    fn slots(&self) -> Option<u64> {
        self.desk.terms.slots
    }

    fn shares_files(&self) -> bool {
        true
    }

    fn equip(&self, luggage: &Luggage) {
        let mut state = self.desk.state();
        state.sweep.clone_from(&luggage.sweep);
        self.begin(&mut state);
    }

    fn listen(&self, bell: Arc<Bell>) {
        self.desk.state().bell = Some(bell);
    }

    fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.desk.state().notices)
    }

    fn submit(&self, attempt: &AttemptRef, spec: &AttemptSpec) -> Result<(), TargetError> {
        let mut state = self.desk.state();
        self.begin(&mut state);
        state.group.clone_from(&spec.group);
        let entry = state.entry(&attempt.folder);
        entry.grace = Duration::from_millis(spec.grace_ms);
        if entry.stage == Stage::Found {
            entry.stage = Stage::Queued;
        }
        state.wake();
        Ok(())
    }

    fn follow(&self, cursors: &[(AttemptRef, u64)]) -> Result<Vec<Chunk>, TargetError> {
        let mut guard = self.desk.state();
        self.begin(&mut guard);
        let state = &mut *guard;
        let workers = self.desk.terms.workers;
        let before = state.entries.len();
        let mut chunks = Vec::with_capacity(cursors.len());
        for (attempt, offset) in cursors {
            let folder = &attempt.folder;
            let entry = state
                .entries
                .entry(folder.clone())
                .or_insert_with(|| Entry::new(folder));
            let silence = Silence {
                workers,
                trouble: state.trouble.as_deref(),
            };
            // Life first, bytes second: when it is dead, the bytes read after that are all there will ever be.
            let life = entry.liveness(&silence);
            if workers
                && !entry.is_over()
                && let Ok(word) = std::fs::read_to_string(folder.join(ENDED))
            {
                // Its worker has seen the end of the runner; the job goes on with other trials.
                let (end, at) = (C::of_worker(&word), Instant::now());
                entry.stage = Stage::Over { end, at };
            }
            if entry.is_over() {
                // Through a new descriptor: only that is sure to show what another machine wrote.
                state.readers.forget(folder);
            }
            chunks.push(Chunk::of(attempt, state.readers.read(folder, *offset), life));
        }
        if state.entries.len() > before {
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
        let mut state = self.desk.state();
        let entry = state.entry(&attempt.folder);
        entry.canceled.get_or_insert_with(Instant::now);
        state.wake();
        Ok(())
    }

    fn withdraw(&self, attempt: &AttemptRef) {
        // Not there: nothing was asked for. A job that was already told to end stays so.
        let _ = std::fs::remove_file(attempt.folder.join("cancel"));
        if let Some(entry) = self.desk.state().entries.get_mut(&attempt.folder) {
            entry.canceled = None;
        }
    }

    fn wait(&self, timeout: Duration) {
        std::thread::sleep(timeout);
    }

    fn forget(&self, attempt: &AttemptRef) {
        let mut state = self.desk.state();
        state.readers.forget(&attempt.folder);
        if let Some(entry) = state.entries.get_mut(&attempt.folder) {
            entry.forgotten = true;
            entry.look_for_claim();
            if entry.claim.as_ref().is_some_and(|claim| claim.pid == 0) {
                // Given up before it began: its job is of no use.
                entry.canceled.get_or_insert_with(Instant::now);
            }
        }
        state.wake();
    }

    fn reopen(&self, attempt: &AttemptRef) {
        self.desk.state().readers.forget(&attempt.folder);
    }

    fn end_orphans(&self, attempt: &AttemptRef, nonce: &str) {
        // The cluster ends what its job left on other machines; of a worker's job that is only sure here.
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

impl<C: Cluster> Drop for QueueTarget<C> {
    fn drop(&mut self) {
        let errand = {
            let mut state = self.desk.state();
            state.leaving = true;
            state.wake();
            state.errand.take()
        };
        if let Some(errand) = errand {
            errand.farewell(FAREWELL);
        }
    }
}

/// A text as one word of a shell.
pub(in crate::target) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
