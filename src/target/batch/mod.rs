//! Azure Batch as a compute target: a job per sweep, a task per attempt. Experimental until it has met the real service.
//!
//! Nodes cannot be reached, so everything travels through two services: the program, snapshots and orders through a blob container, the
//! journal and the log of a running attempt through Batch's own access to the files of a task, and what an attempt left through
//! the container again, since a node that ends takes its files along. One thread per target talks to both services. See
//! `docs/design/batch.md`.

mod client;
mod equip;
mod home;
mod http;
mod model;
pub mod node;
mod options;
mod order;
mod probe;
mod service;
mod settings;
mod sign;
mod storage;

pub use options::{BatchOptions, BatchProblem, Login};
pub use probe::probe;
pub use settings::KIND;

use super::errand::Errand;
use super::remote::mirror::{Home, Tracked};
use super::{AttemptRef, Bell, Chunk, ComputeTarget, Liveness, Luggage, Notice, Site, TargetError};
use crate::runner::AttemptSpec;
use order::Places;
use service::Service;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the end of a sweep waits for the last words to the services.
const FAREWELL: Duration = Duration::from_secs(10);

/// How far an attempt's task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// On record; an earlier controller may have added its task.
    Found,
    /// To be added.
    Queued,
    /// Added, at that time.
    Added(Instant),
}

/// One attempt that was not forgotten.
struct Entry {
    tracked: Tracked,
    /// Id of its task.
    task: String,
    stage: Stage,
    /// When its cancel was asked for, and whether the services know.
    canceled: Option<Instant>,
    cancel_sent: bool,
    /// A cancel that the services know was taken back.
    withdrawn: bool,
    /// Its task was ended.
    terminated: bool,
    grace: Duration,
}

/// How the services are.
#[derive(Clone, Debug)]
enum Phase {
    Opening,
    Up,
    Down {
        since: Instant,
        refused: bool,
        reason: String,
    },
}

struct State {
    phase: Phase,
    luggage: Option<Luggage>,
    /// Everything is in the container, or why it cannot be.
    equipped: Option<Result<(), String>>,
    entries: HashMap<PathBuf, Entry>,
    /// Tasks of attempts that are over for the controller, and whether they may still run.
    forgotten: Vec<(String, bool)>,
    notices: Vec<Notice>,
    lines: Vec<String>,
    bell: Option<Arc<Bell>>,
    errand: Option<Errand<()>>,
    leaving: bool,
}

struct Shared {
    name: String,
    options: BatchOptions,
    /// This program.
    program: PathBuf,
    places: Places,
    state: Mutex<State>,
    changed: Condvar,
}

/// A pool of Azure Batch.
pub struct BatchTarget {
    shared: Arc<Shared>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, state: &State) {
        self.changed.notify_all();
        if let Some(bell) = &state.bell {
            bell.ring();
        }
    }
}

impl State {
    fn wake(&self) {
        if let Some(errand) = &self.errand {
            errand.tell(());
        }
    }
}

impl Entry {
    fn new(attempt: &AttemptRef) -> Self {
        Self {
            task: task_of(&attempt.folder),
            tracked: Tracked::new(attempt),
            stage: Stage::Found,
            canceled: None,
            cancel_sent: false,
            withdrawn: false,
            terminated: false,
            grace: Duration::from_secs(30),
        }
    }
}

/// Id of an attempt's task: `t-TRIAL-ATTEMPT-NONCE`. The nonce is random, so nobody else's task has it.
fn task_of(folder: &Path) -> String {
    let part = |path: Option<&Path>| {
        let name = path.and_then(Path::file_name).unwrap_or_default();
        clean(&name.to_string_lossy())
    };
    let name = format!("t-{}-{}", part(folder.parent()), part(Some(folder)));
    name.chars().take(64).collect()
}

/// Id of a sweep's job.
fn job_of(sweep: &str) -> String {
    let name = format!("overdrive-{}", clean(sweep));
    if name.len() <= 64 && clean(sweep) == sweep {
        return name;
    }
    // Two names that differ must stay different.
    let hash = blake3::hash(sweep.as_bytes()).to_hex();
    let short: String = name.chars().take(47).collect();
    format!("{short}-{}", hash.chars().take(16).collect::<String>())
}

fn clean(text: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
            c
        } else {
            '-'
        }
    };
    text.chars().map(legal).collect()
}

impl BatchTarget {
    /// The pool of `options` under `name`; `program` is this program's file. Nothing is asked before [`ComputeTarget::equip`].
    pub fn new(name: String, options: BatchOptions, program: PathBuf) -> Self {
        let state = State {
            phase: Phase::Opening,
            luggage: None,
            equipped: None,
            entries: HashMap::new(),
            forgotten: Vec::new(),
            notices: Vec::new(),
            lines: Vec::new(),
            bell: None,
            errand: None,
            leaving: false,
        };
        Self {
            shared: Arc::new(Shared {
                name,
                options,
                program,
                places: Places::new(),
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
        }
    }

    fn refused(&self, reason: String) -> TargetError {
        TargetError::Refused {
            target: self.shared.name.clone(),
            reason,
        }
    }

    fn begin(&self, state: &mut State) {
        if state.errand.is_some() {
            return;
        }
        let begun = Errand::begin("batch", |_, woken| {
            let service = Service::new(Arc::clone(&self.shared), woken);
            move || service.run()
        });
        match begun {
            Ok(errand) => state.errand = Some(errand),
            Err(error) => {
                state.phase = Phase::Down {
                    since: Instant::now(),
                    refused: false,
                    reason: error.to_string(),
                };
            }
        }
    }
}

impl ComputeTarget for BatchTarget {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn kind(&self) -> &'static str {
        "batch"
    }

    fn is_local(&self) -> bool {
        false
    }

    fn slots(&self) -> Option<u64> {
        let state = self.shared.state();
        match (&state.phase, &state.equipped) {
            // What can never be made ready takes trials, so that they fail and say why.
            (Phase::Up, Some(_)) => self.shared.options.slots,
            _ => Some(0),
        }
    }

    fn equip(&self, luggage: &Luggage) {
        let mut state = self.shared.state();
        if state.luggage.as_ref() != Some(luggage) {
            state.luggage = Some(luggage.clone());
            state.equipped = None;
        }
        self.begin(&mut state);
        state.wake();
    }

    fn ready(&self, told: &mut dyn FnMut(&str)) -> Result<(), TargetError> {
        let mut state = self.shared.state();
        loop {
            for line in std::mem::take(&mut state.lines) {
                told(&line);
            }
            match (&state.phase, &state.equipped) {
                (Phase::Down { refused, reason, .. }, _) => {
                    let (target, reason) = (self.shared.name.clone(), reason.clone());
                    return Err(if *refused {
                        TargetError::Refused { target, reason }
                    } else {
                        TargetError::Unreachable { target, reason }
                    });
                }
                (_, Some(Err(reason))) => return Err(self.refused(reason.clone())),
                (Phase::Up, Some(Ok(()))) => return Ok(()),
                _ => {}
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, Duration::from_millis(500))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn listen(&self, bell: Arc<Bell>) {
        self.shared.state().bell = Some(bell);
    }

    fn site(&self, _: &AttemptRef) -> Result<Option<Site>, TargetError> {
        let state = self.shared.state();
        let luggage = match (&state.equipped, &state.luggage) {
            (Some(Err(reason)), _) => return Err(self.refused(reason.clone())),
            (Some(Ok(())), Some(luggage)) => luggage,
            _ => {
                return Err(TargetError::Unreachable {
                    target: self.shared.name.clone(),
                    reason: "it is being made ready".into(),
                });
            }
        };
        let places = &self.shared.places;
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        Ok(Some(Site {
            kind: "batch",
            folder: places.attempt(),
            snapshot: luggage.snapshot.as_ref().map(|(id, _)| places.snapshot(id)),
            interpreter: luggage
                .environment
                .iter()
                .map(|_| text(places.python()))
                .collect(),
            registry: Some(places.attempt().join("registry")),
            data: luggage
                .data
                .iter()
                .map(|data| {
                    let tree = places.snapshot(&data.snapshot);
                    let path = data.file.as_ref().map_or(tree.clone(), |file| tree.join(file));
                    (data.name.clone(), text(path))
                })
                .collect(),
            ..Site::default()
        }))
    }

    fn notices(&self) -> Vec<Notice> {
        let mut state = self.shared.state();
        state.lines.clear();
        std::mem::take(&mut state.notices)
    }

    fn submit(&self, attempt: &AttemptRef, spec: &AttemptSpec) -> Result<(), TargetError> {
        let mut state = self.shared.state();
        let entry = state
            .entries
            .entry(attempt.folder.clone())
            .or_insert_with(|| Entry::new(attempt));
        entry.grace = Duration::from_millis(spec.grace_ms);
        entry.tracked.spec = Some(Box::new(spec.clone()));
        entry.tracked.life = None;
        entry.stage = Stage::Queued;
        state.wake();
        Ok(())
    }

    fn follow(&self, cursors: &[(AttemptRef, u64)]) -> Result<Vec<Chunk>, TargetError> {
        let mut guard = self.shared.state();
        self.begin(&mut guard);
        let state = &mut *guard;
        let up = match &state.phase {
            Phase::Up => Ok(()),
            Phase::Opening => Err("the service is being reached".to_owned()),
            Phase::Down { reason, .. } => Err(reason.clone()),
        };
        let mut new = false;
        let mut chunks = Vec::with_capacity(cursors.len());
        for (attempt, offset) in cursors {
            let entry = state.entries.entry(attempt.folder.clone()).or_insert_with(|| {
                new = true;
                Entry::new(attempt)
            });
            let life = entry
                .tracked
                .liveness(up.as_ref().copied().map_err(String::as_str));
            let (bytes, liveness) = match entry.tracked.read(*offset) {
                Ok(bytes) => (bytes, life),
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
        let mut state = self.shared.state();
        let entry = state
            .entries
            .entry(attempt.folder.clone())
            .or_insert_with(|| Entry::new(attempt));
        if entry.canceled.is_none() {
            entry.canceled = Some(Instant::now());
            entry.cancel_sent = false;
            entry.withdrawn = false;
        }
        state.wake();
        Ok(())
    }

    fn withdraw(&self, attempt: &AttemptRef) {
        let mut state = self.shared.state();
        if let Some(entry) = state.entries.get_mut(&attempt.folder)
            && entry.canceled.take().is_some()
        {
            entry.withdrawn = entry.cancel_sent;
        }
        state.wake();
    }

    fn wait(&self, timeout: Duration) {
        let state = self.shared.state();
        // Woken early or not: whoever waits looks again.
        let _ = self.shared.changed.wait_timeout(state, timeout);
    }

    fn forget(&self, attempt: &AttemptRef) {
        let mut state = self.shared.state();
        if let Some(entry) = state.entries.remove(&attempt.folder) {
            if let Some(trouble) = entry.tracked.trouble {
                state.notices.push(Notice {
                    code: "not-collected",
                    message: format!("trial {}: {trouble}", attempt.trial),
                });
            }
            let may_run = entry.tracked.home != Home::Done;
            state.forgotten.push((entry.task, may_run));
        }
        state.wake();
    }

    /// Bytes that make no sense are asked for again by the one who takes them in.
    fn reopen(&self, _: &AttemptRef) {}

    /// Batch ends what a task left on its node.
    fn end_orphans(&self, _: &AttemptRef, _: &str) {}

    /// Never waits, so it never wins: a cancel whose claim comes first keeps the attempt from starting, and its fate tells so.
    fn keep_others_out(&self, _: &AttemptRef) -> Result<bool, TargetError> {
        Ok(false)
    }
}

impl Drop for BatchTarget {
    fn drop(&mut self) {
        let errand = {
            let mut state = self.shared.state();
            state.leaving = true;
            state.wake();
            state.errand.take()
        };
        if let Some(errand) = errand {
            errand.farewell(FAREWELL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_legal_and_stay_different() {
        assert_eq!(task_of(Path::new("/p/trials/12/0-ab12")), "t-12-0-ab12");
        assert_eq!(job_of("HD_1"), "overdrive-HD_1");
        for sweep in ["a b", "a.b", "caf\u{e9}", &"x".repeat(80), &"x".repeat(81)] {
            assert!(options::is_id(&job_of(sweep)), "{sweep}");
        }
        assert_ne!(job_of("a b"), job_of("a.b"));
        assert_ne!(job_of(&"x".repeat(80)), job_of(&"x".repeat(81)));
    }
}
