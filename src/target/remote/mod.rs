//! A compute target on another machine: runners are started and followed by an agent there, at the other end of a line.
//!
//! One thread per target owns the line and opens it again when it breaks. Calls of the engine never wait for it: they leave what they
//! want in the shared state and take what is known from it. What an attempt says is copied into its folder here; the entry that
//! tells its end is shown to the engine only when all that it left is here too, so that an ended trial is whole. See
//! `docs/design/remote.md`.

mod equip;
mod link;
pub(in crate::target) mod mirror;
pub mod transport;

pub use transport::{Errors, Line, LineError, Transport};

use super::agent::place_of;
use super::agent::protocol::{Environment, Machine, Pruned, Request};
use super::errand::Errand;
use super::{AttemptRef, Bell, Chunk, ComputeTarget, Luggage, Notice, Site, TargetError};
use crate::config::launch::SparkSubmit;
use crate::runner::AttemptSpec;
use indexmap::IndexMap;
use link::Link;
use mirror::{Home, Tracked};
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the end of a sweep waits for the last words to be sent.
const FAREWELL: Duration = Duration::from_secs(3);

/// How a target on another machine is set up.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// Name of the target.
    pub name: String,
    /// Kind of the target, as scripts see it.
    pub kind: &'static str,
    /// Trials at once.
    pub slots: Slots,
}

/// How many trials a machine takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// So many.
    Of(u64),
    /// As many as it has cores.
    Cores,
    /// As many as the sweep allows.
    Any,
}

/// What trials find there.
#[derive(Clone, Debug, Default)]
struct Equipment {
    snapshot: Option<PathBuf>,
    environment: Option<Environment>,
    data: IndexMap<String, String>,
}

/// How the line is.
#[derive(Clone, Debug)]
enum Phase {
    /// Nobody asked for one yet, or the first is being opened.
    Opening,
    /// There is one.
    Up,
    /// There is none; since when, and why.
    Down { since: Instant, error: LineError },
}

struct State {
    phase: Phase,
    machine: Option<Machine>,
    luggage: Option<Luggage>,
    equipment: Option<Result<Equipment, String>>,
    attempts: HashMap<PathBuf, Tracked>,
    /// What is to be said and needs no answer.
    outbox: VecDeque<Request>,
    /// What is to be removed there: seconds, and whether only to say so; and what was.
    pruning: Option<(u64, bool)>,
    pruned: Option<Result<Pruned, String>>,
    notices: Vec<Notice>,
    /// What goes on while things are made ready.
    lines: Vec<String>,
    bell: Option<Arc<Bell>>,
    /// The thread that owns the line.
    errand: Option<Errand<link::Event>>,
    /// Nothing is wanted any more.
    leaving: bool,
}

struct Shared {
    options: RemoteOptions,
    transport: Box<dyn Transport>,
    state: Mutex<State>,
    changed: Condvar,
}

/// A machine at the other end of a line as a compute target.
pub struct RemoteTarget {
    shared: Arc<Shared>,
    spark: Option<SparkSubmit>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever waits that something is new.
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
            errand.tell(link::Event::Wake);
        }
    }
}

impl RemoteTarget {
    /// A target whose lines `transport` opens. Nothing is opened before [`ComputeTarget::equip`].
    pub fn new(options: RemoteOptions, transport: Box<dyn Transport>) -> Self {
        let state = State {
            phase: Phase::Opening,
            machine: None,
            luggage: None,
            equipment: None,
            attempts: HashMap::new(),
            outbox: VecDeque::new(),
            pruning: None,
            pruned: None,
            notices: Vec::new(),
            lines: Vec::new(),
            bell: None,
            errand: None,
            leaving: false,
        };
        Self {
            shared: Arc::new(Shared {
                options,
                transport,
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
            spark: None,
        }
    }

    /// The same, on which PySpark scripts are submitted in this way.
    #[must_use]
    pub fn with_spark(mut self, spark: SparkSubmit) -> Self {
        self.spark = Some(spark);
        self
    }

    fn error(&self, error: &LineError) -> TargetError {
        match error {
            LineError::Refused(reason) => self.refused(reason.clone()),
            LineError::Unreachable(reason) => TargetError::Unreachable {
                target: self.shared.options.name.clone(),
                reason: reason.clone(),
            },
        }
    }

    fn refused(&self, reason: String) -> TargetError {
        TargetError::Refused {
            target: self.shared.options.name.clone(),
            reason,
        }
    }

    /// Starts the thread that owns the line, once.
    fn begin(&self, state: &mut State) {
        if state.errand.is_some() {
            return;
        }
        let begun = Errand::begin("line", |waker, events| {
            let link = Link::new(Arc::clone(&self.shared), waker.clone(), events);
            move || link.run()
        });
        match begun {
            Ok(errand) => state.errand = Some(errand),
            Err(error) => {
                state.phase = Phase::Down {
                    since: Instant::now(),
                    error: LineError::Unreachable(error.to_string()),
                };
            }
        }
    }
}

impl ComputeTarget for RemoteTarget {
    fn name(&self) -> &str {
        &self.shared.options.name
    }

    fn kind(&self) -> &'static str {
        self.shared.options.kind
    }

    fn spark(&self) -> Option<SparkSubmit> {
        self.spark.clone()
    }

    fn is_local(&self) -> bool {
        false
    }

    fn slots(&self) -> Option<u64> {
        let state = self.shared.state();
        // What ended keeps the engine's slot until it is home, but not the machine's.
        let coming = state
            .attempts
            .values()
            .filter(|tracked| matches!(tracked.home, Home::Wanted | Home::Coming))
            .count() as u64;
        match (&state.phase, &state.equipment, &state.machine) {
            // A machine that can never be made ready takes trials, so that they fail and say why.
            (Phase::Up, Some(_), Some(machine)) => {
                let slots = match self.shared.options.slots {
                    Slots::Of(slots) => slots,
                    Slots::Cores => machine.cores,
                    Slots::Any => return None,
                };
                Some(slots.max(1).saturating_add(coming))
            }
            _ => Some(0),
        }
    }

    fn ready(&self, told: &mut dyn FnMut(&str)) -> Result<(), TargetError> {
        let mut state = self.shared.state();
        loop {
            for line in std::mem::take(&mut state.lines) {
                told(&line);
            }
            match (&state.phase, &state.equipment, &state.machine) {
                (Phase::Down { error, .. }, _, _) => return Err(self.error(error)),
                (_, Some(Err(reason)), _) => return Err(self.refused(reason.clone())),
                (Phase::Up, Some(Ok(_)), Some(_)) => return Ok(()),
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

    fn equip(&self, luggage: &Luggage) {
        let mut state = self.shared.state();
        if state.luggage.as_ref() != Some(luggage) {
            state.luggage = Some(luggage.clone());
            state.equipment = None;
        }
        self.begin(&mut state);
        state.wake();
    }

    fn listen(&self, bell: Arc<Bell>) {
        self.shared.state().bell = Some(bell);
    }

    fn site(&self, attempt: &AttemptRef) -> Result<Option<Site>, TargetError> {
        let state = self.shared.state();
        match (&state.equipment, &state.machine) {
            (Some(Err(reason)), _) => Err(self.refused(reason.clone())),
            (Some(Ok(equipment)), Some(machine)) => {
                let folder = place_of(&machine.root, &attempt.folder);
                let environment = equipment.environment.clone();
                let sweep = folder.ancestors().nth(2).map(|sweep| sweep.join("registry"));
                Ok(Some(Site {
                    kind: self.shared.options.kind,
                    folder,
                    snapshot: equipment.snapshot.clone(),
                    interpreter: environment
                        .iter()
                        .map(|environment| environment.interpreter.to_string_lossy().into_owned())
                        .collect(),
                    container: environment
                        .as_ref()
                        .and_then(|environment| environment.container.as_deref().cloned()),
                    path_prepend: environment
                        .iter()
                        .flat_map(|it| it.path_prepend.clone())
                        .collect(),
                    variables: environment.map(|it| it.variables).unwrap_or_default(),
                    doorbell: Some(machine.doorbell.clone()),
                    registry: sweep,
                    data: equipment.data.clone(),
                }))
            }
            _ => Err(TargetError::Unreachable {
                target: self.shared.options.name.clone(),
                reason: "it is being made ready".into(),
            }),
        }
    }

    fn notices(&self) -> Vec<Notice> {
        let mut state = self.shared.state();
        state.lines.clear();
        std::mem::take(&mut state.notices)
    }

    fn submit(&self, attempt: &AttemptRef, spec: &AttemptSpec) -> Result<(), TargetError> {
        let mut state = self.shared.state();
        let tracked = state.attempts.entry(attempt.folder.clone()).or_insert_with(|| {
            let mut tracked = Tracked::new(attempt);
            tracked.untold = true;
            tracked
        });
        tracked.spec = Some(Box::new(spec.clone()));
        tracked.submitted = false;
        tracked.life = None;
        state.wake();
        Ok(())
    }

    fn follow(&self, cursors: &[(AttemptRef, u64)]) -> Result<Vec<Chunk>, TargetError> {
        let mut guard = self.shared.state();
        let state = &mut *guard;
        let mut new = false;
        let up = match &state.phase {
            Phase::Up => Ok(()),
            Phase::Opening => Err("it is being reached".to_owned()),
            Phase::Down { error, .. } => Err(match error {
                LineError::Unreachable(reason) | LineError::Refused(reason) => reason.clone(),
            }),
        };
        let mut chunks = Vec::with_capacity(cursors.len());
        for (attempt, offset) in cursors {
            let tracked = state.attempts.entry(attempt.folder.clone()).or_insert_with(|| {
                new = true;
                Tracked::new(attempt)
            });
            let liveness = tracked.liveness(match &up {
                Ok(()) => Ok(()),
                Err(reason) => Err(reason.as_str()),
            });
            chunks.push(Chunk::of(attempt, tracked.read(*offset), liveness));
        }
        if new {
            state.wake();
        }
        Ok(chunks)
    }

    fn cancel(&self, attempt: &AttemptRef) -> Result<(), TargetError> {
        let mut state = self.shared.state();
        let tracked = state
            .attempts
            .entry(attempt.folder.clone())
            .or_insert_with(|| Tracked::new(attempt));
        tracked.cancel = true;
        tracked.cancel_sent = false;
        state.wake();
        Ok(())
    }

    fn withdraw(&self, attempt: &AttemptRef) {
        let mut state = self.shared.state();
        if let Some(tracked) = state.attempts.get_mut(&attempt.folder)
            && std::mem::take(&mut tracked.cancel)
            && tracked.home == Home::Not
        {
            // One that no line was told of is not sent any more; else it is taken back behind it.
            let told = std::mem::take(&mut tracked.cancel_sent);
            let run = tracked.run.clone();
            if told {
                state.outbox.push_back(Request::Withdraw { run });
            }
            state.wake();
        }
    }

    fn prune(&self, age: Duration, dry: bool) -> Result<Option<Pruned>, TargetError> {
        let mut state = self.shared.state();
        state.pruning = Some((age.as_secs(), dry));
        state.pruned = None;
        state.wake();
        loop {
            if let Some(pruned) = state.pruned.take() {
                return pruned.map(Some).map_err(|reason| self.refused(reason));
            }
            if let Phase::Down { error, .. } = &state.phase {
                return Err(self.error(error));
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, Duration::from_millis(500))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn wait(&self, timeout: Duration) {
        let state = self.shared.state();
        // Woken early or not: whoever waits looks again.
        let _ = self.shared.changed.wait_timeout(state, timeout);
    }

    fn forget(&self, attempt: &AttemptRef) {
        let mut state = self.shared.state();
        if let Some(tracked) = state.attempts.remove(&attempt.folder) {
            if let Some(trouble) = tracked.trouble {
                state.notices.push(Notice {
                    code: "not-collected",
                    message: format!("trial {}: {trouble}", attempt.trial),
                });
            }
            if tracked.home == Home::Not {
                // Given up while nobody could tell: should it run, it is of no use any more.
                state.outbox.push_back(Request::Cancel {
                    run: tracked.run.clone(),
                });
            }
            state.outbox.push_back(Request::Forget {
                run: tracked.run,
                delete: tracked.home == Home::Done,
            });
            state.wake();
        }
    }

    /// Bytes that make no sense are asked for again by the one who takes them in.
    fn reopen(&self, _: &AttemptRef) {}

    fn end_orphans(&self, attempt: &AttemptRef, nonce: &str) {
        let mut state = self.shared.state();
        state.outbox.push_back(Request::Orphans {
            run: super::agent::run_of(&attempt.folder),
            nonce: nonce.to_owned(),
        });
        state.wake();
    }

    /// Never waits, so it wins only what no line was told of yet: a cancel that reaches the agent first keeps the attempt from starting,
    /// and its fate tells so.
    fn keep_others_out(&self, attempt: &AttemptRef) -> Result<bool, TargetError> {
        let mut state = self.shared.state();
        match state.attempts.get(&attempt.folder) {
            None => Ok(true),
            Some(tracked) if tracked.untold => {
                state.attempts.remove(&attempt.folder);
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }
}

impl Drop for RemoteTarget {
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
