//! What each record means: the one function that moves a sweep's state on.
//!
//! The live controller changes its own state only through here, the in-memory store of the simulator is nothing else, and the
//! durable store is tested against it; a record therefore cannot mean two things.

use crate::controller::state::{AttemptState, Incumbent, Progress, Snapshot};
use crate::controller::{Record, Settings, SweepState};
use crate::history::{Trial, TrialState};
use crate::metric::Series;

/// Name of the sampler in the origin of a trial that used an enqueued configuration.
pub const ENQUEUE: &str = "enqueue";

/// Why a record does not fit the records before it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoldError {
    /// It is about a trial that was never created.
    #[error("record about trial {trial}, but only {created} trials were created")]
    UnknownTrial {
        /// The trial.
        trial: u64,
        /// Trials created before it.
        created: u64,
    },
    /// Trial numbers must count up from 0.
    #[error("trial {trial} created out of order: {expected} is next")]
    OutOfOrder {
        /// The trial.
        trial: u64,
        /// What would have been right.
        expected: u64,
    },
    /// It is about an attempt that was never created, or creates one that is not the next.
    #[error("record about attempt {attempt} of trial {trial}, which has {created} attempts")]
    UnknownAttempt {
        /// The trial.
        trial: u64,
        /// The attempt.
        attempt: u32,
        /// Attempts created before it.
        created: u32,
    },
}

/// The state after `records`, in order.
///
/// # Errors
/// [`FoldError`] at the first record that does not fit those before it.
pub fn fold<'a>(
    settings: &Settings,
    records: impl IntoIterator<Item = &'a Record>,
) -> Result<Snapshot, FoldError> {
    let mut snapshot = Snapshot::new(settings);
    for record in records {
        apply(&mut snapshot, record)?;
    }
    Ok(snapshot)
}

/// Moves `snapshot` on by one record. Amortised constant time, but for a superseded attempt (length of its series).
///
/// # Errors
/// [`FoldError`] if the record does not fit; the snapshot is unchanged then.
pub fn apply(snapshot: &mut Snapshot, record: &Record) -> Result<(), FoldError> {
    match record {
        Record::TrialCreated {
            trial,
            assignment,
            origin,
        } => {
            let expected = snapshot.history.trials.len() as u64;
            if *trial != expected {
                return Err(FoldError::OutOfOrder {
                    trial: *trial,
                    expected,
                });
            }
            snapshot.history.trials.push(Trial {
                number: *trial,
                assignment: assignment.clone(),
                state: TrialState::Queued,
                series: Series::default(),
                cause: None,
            });
            snapshot.attempts.push(AttemptState::NONE);
            if origin.sampler == ENQUEUE {
                snapshot.enqueued.pop_front();
            }
        }
        Record::AttemptCreated { trial, attempt } => {
            let (_, attempts) = find(snapshot, *trial)?;
            if *attempt != attempts.created {
                return Err(unknown_attempt(*trial, *attempt, *attempts));
            }
            *attempts = AttemptState {
                created: attempts.created.saturating_add(1),
                alive: true,
                phase: TrialState::Queued,
                losses: attempts.losses,
            };
        }
        Record::AttemptEnded {
            trial,
            attempt,
            outcome,
            superseded,
        } => {
            let (entry, attempts) = find(snapshot, *trial)?;
            if attempts.created != attempt.saturating_add(1) {
                return Err(unknown_attempt(*trial, *attempt, *attempts));
            }
            attempts.alive = false;
            if *superseded {
                entry.series = Series::default();
                attempts.phase = TrialState::Queued;
                attempts.losses.count(outcome);
            }
        }
        Record::TrialState {
            trial, state, cause, ..
        } => {
            let (entry, attempts) = find(snapshot, *trial)?;
            entry.state = *state;
            entry.cause.clone_from(cause);
            if matches!(state, TrialState::Preparing | TrialState::Running) {
                attempts.phase = *state;
            }
        }
        Record::Observed {
            trial,
            attempt,
            observation,
            accepted,
            ..
        } => {
            let goal = snapshot.history.goal;
            let (entry, attempts) = find(snapshot, *trial)?;
            if *attempt >= attempts.created {
                return Err(unknown_attempt(*trial, *attempt, *attempts));
            }
            if *accepted {
                entry.series.push(goal, observation.value);
            }
        }
        Record::Enqueued { assignment } => snapshot.enqueued.push_back(assignment.clone()),
        Record::Stopped(stop) => {
            find(snapshot, stop.trial)?;
        }
        Record::Incumbent { trial, .. } => {
            find(snapshot, *trial)?;
        }
        Record::LimitsChanged(_)
        | Record::Exhausted { .. }
        | Record::SweepState { .. }
        | Record::Anomaly { .. } => {}
    }
    snapshot.progress.apply(record);
    Ok(())
}

impl Progress {
    /// Moves the facts about the sweep as a whole on by one record; needs nothing but the record.
    pub fn apply(&mut self, record: &Record) {
        self.begun = true;
        match record {
            Record::TrialState { trial, state, .. } if state.is_terminal() => {
                let best = self.incumbent.is_some_and(|incumbent| incumbent.trial == *trial);
                if *state != TrialState::Failed && !best {
                    self.since_best += 1;
                }
                if *state != TrialState::Failed || self.reported.contains(trial) {
                    self.sign_of_life = true;
                    self.reported.clear();
                } else if !self.sign_of_life && matches!(self.state, SweepState::Running | SweepState::Paused)
                {
                    self.initial_failures += 1;
                }
            }
            Record::AttemptEnded {
                trial,
                superseded: true,
                ..
            } => {
                self.reported.remove(trial);
                if self.incumbent.is_some_and(|incumbent| incumbent.trial == *trial) {
                    self.incumbent = None;
                }
            }
            Record::Observed {
                trial,
                accepted: true,
                ..
            } if !self.sign_of_life => {
                self.reported.insert(*trial);
            }
            Record::Incumbent {
                trial,
                value,
                interval,
            } => {
                self.incumbent = Some(Incumbent {
                    trial: *trial,
                    value: *value,
                    interval: *interval,
                });
                self.since_best = 0;
            }
            Record::LimitsChanged(limits) => self.limits = *limits,
            Record::Exhausted { reason, stopped } => {
                self.exhausted = Some(reason.clone());
                self.stopped |= stopped;
            }
            Record::SweepState { state, reason } => {
                self.state = *state;
                self.reason.clone_from(reason);
            }
            _ => {}
        }
    }
}

fn find(snapshot: &mut Snapshot, trial: u64) -> Result<(&mut Trial, &mut AttemptState), FoldError> {
    let created = snapshot.history.trials.len() as u64;
    let index = usize::try_from(trial).unwrap_or(usize::MAX);
    match (
        snapshot.history.trials.get_mut(index),
        snapshot.attempts.get_mut(index),
    ) {
        (Some(entry), Some(attempts)) => Ok((entry, attempts)),
        _ => Err(FoldError::UnknownTrial { trial, created }),
    }
}

fn unknown_attempt(trial: u64, attempt: u32, attempts: AttemptState) -> FoldError {
    FoldError::UnknownAttempt {
        trial,
        attempt,
        created: attempts.created,
    }
}
