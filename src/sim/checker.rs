//! The promises, checked after every batch by a model of its own that shares no code with the controller.

use crate::controller::{
    Action, Batch, FailureClass, FreezeLimits, FrozenMemory, Limits, Outcome, Record, Settings, SweepState,
};
use crate::history::{CancelCause, TrialState};
use crate::metric::Observation;
use crate::policy::{Schedule, Stop};
use std::collections::{BTreeMap, BTreeSet};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err(Violation(format!($($text)*)));
        }
    };
}

#[derive(Debug)]
struct Attempt {
    alive: bool,
    superseded: bool,
    /// Why it failed, if it did.
    class: Option<FailureClass>,
    observed: Vec<Observation>,
}

#[derive(Debug)]
struct Trial {
    state: TrialState,
    attempts: Vec<Attempt>,
    series: Vec<f64>,
    stopped: bool,
}

/// See the module documentation.
#[derive(Debug)]
pub struct Checker {
    settings: Settings,
    schedule: Schedule,
    limits: Limits,
    sweep: SweepState,
    trials: Vec<Trial>,
    live: u64,
    /// Attempts that were launched and have not ended.
    occupied: u64,
    best: Option<(u64, f64)>,
    freeze: FreezeLimits,
    /// Trials that are to be frozen, that stand still, and that are to go on.
    asked: BTreeSet<u64>,
    still: BTreeMap<u64, u64>,
    leaving: BTreeSet<u64>,
}

impl Checker {
    /// A checker of a new sweep whose policy follows `schedule`.
    pub fn new(settings: Settings, schedule: Schedule) -> Self {
        Self {
            settings,
            schedule,
            limits: settings.limits,
            sweep: SweepState::Running,
            trials: Vec::new(),
            live: 0,
            occupied: 0,
            best: None,
            freeze: FreezeLimits::NONE,
            asked: BTreeSet::new(),
            still: BTreeMap::new(),
            leaving: BTreeSet::new(),
        }
    }

    /// The same of a sweep in which so much may be frozen.
    #[must_use]
    pub fn freezing(self, freeze: FreezeLimits) -> Self {
        Self { freeze, ..self }
    }

    /// Takes in the next durable batch; `slots` is what the targets hold at most.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn batch(&mut self, slots: u64, batch: &Batch) -> Result<(), Violation> {
        let mut created = BTreeSet::new();
        let mut cancels = BTreeSet::new();
        let (mut freezes, mut thaws) = (BTreeSet::new(), BTreeSet::new());
        let mut ended = false;
        for record in &batch.records {
            match record {
                Record::TrialCreated { trial, .. } => self.create(*trial)?,
                Record::AttemptCreated { trial, attempt } => {
                    self.attempt(*trial, *attempt, slots)?;
                    created.insert((*trial, *attempt));
                }
                Record::AttemptEnded {
                    trial,
                    attempt,
                    outcome,
                    superseded,
                } => self.attempt_ended(*trial, *attempt, outcome, *superseded)?,
                Record::TrialState {
                    trial, state, cause, ..
                } => {
                    let cancel = matches!(state, TrialState::CancelRequested | TrialState::Canceled);
                    let memory = *state == TrialState::Failed && *cause == Some(CancelCause::OutOfMemory);
                    ensure!(
                        cause.is_some() == cancel || memory,
                        "trial {trial} is {} with cause {cause:?}",
                        state.word()
                    );
                    self.trial_state(*trial, *state)?;
                    if *state == TrialState::CancelRequested {
                        cancels.insert(*trial);
                    }
                }
                Record::Observed {
                    trial,
                    attempt,
                    interval,
                    observation,
                    accepted,
                } => self.observed(*trial, *attempt, *interval, *observation, *accepted)?,
                Record::Stopped(stop) => self.stopped(stop)?,
                Record::Freeze(stop) => {
                    self.decided(stop)?;
                    ensure!(
                        self.asked.insert(stop.trial),
                        "trial {} is to be frozen twice",
                        stop.trial
                    );
                    self.leaving.remove(&stop.trial);
                    freezes.insert(stop.trial);
                }
                Record::Frozen { trial, resident, .. } => {
                    ensure!(
                        self.asked.remove(trial) || self.still.contains_key(trial),
                        "trial {trial} stands still, which nobody asked for"
                    );
                    self.still.insert(*trial, resident.resident);
                }
                Record::Thaw(thaw) => {
                    ensure!(
                        self.still.remove(&thaw.trial).is_some(),
                        "trial {} is thawed and does not stand still",
                        thaw.trial
                    );
                    let room = slots.min(self.limits.max_concurrent);
                    ensure!(
                        self.running() <= room,
                        "trial {} goes on as one of {} with {room} slots",
                        thaw.trial,
                        self.running()
                    );
                    ensure!(
                        self.sweep == SweepState::Running,
                        "trial {} goes on while the sweep is {}",
                        thaw.trial,
                        self.sweep.word()
                    );
                    self.leaving.insert(thaw.trial);
                    thaws.insert(thaw.trial);
                }
                Record::Thawed { trial, .. } => {
                    ensure!(
                        self.leaving.remove(trial),
                        "trial {trial} goes on, which nobody asked for"
                    );
                }
                Record::Incumbent { trial, value, .. } => self.incumbent(*trial, *value)?,
                Record::LimitsChanged(limits) => self.limits = *limits,
                Record::SweepState { state, .. } => {
                    self.sweep_state(*state)?;
                    ended |= state.is_terminal();
                }
                _ => {}
            }
        }
        for action in &batch.actions {
            match action {
                Action::Launch { trial, attempt, .. } => {
                    ensure!(
                        created.remove(&(*trial, *attempt)),
                        "launch of {trial}.{attempt} without record"
                    );
                }
                Action::Cancel { trial, .. } => {
                    ensure!(cancels.remove(trial), "cancel of trial {trial} without record");
                }
                Action::Freeze { trial, .. } => {
                    ensure!(freezes.remove(trial), "freeze of trial {trial} without record");
                }
                Action::Thaw { trial, .. } => {
                    // Once more to one that was frozen by what was asked before it was thawed.
                    thaws.remove(trial);
                    ensure!(
                        !self.still.contains_key(trial) && !self.asked.contains(trial),
                        "thaw of trial {trial} without record"
                    );
                }
                Action::End { .. } => ensure!(ended, "end without record"),
            }
        }
        ensure!(
            created.is_empty() && cancels.is_empty() && freezes.is_empty() && thaws.is_empty(),
            "records without actions: {created:?} {cancels:?} {freezes:?} {thaws:?}"
        );
        let held = (self.asked.len() + self.still.len()) as u64;
        let max = self.freeze.max_frozen;
        ensure!(held <= max, "{held} trials are frozen or about to be, {max} may");
        if let Some(FrozenMemory::Share(share)) = self.freeze.memory {
            // Each holds a sixteenth of the machine.
            let used = self.still.len() as f64 / 16.0;
            let fits = used <= share;
            ensure!(fits, "frozen trials hold {used} of the memory, {share} may be");
        }
        Ok(())
    }

    /// After the last event: everything is over, and each attempt's reports were recorded once and in order.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn finish(
        &self,
        reported: impl Iterator<Item = ((u64, u32), Vec<Observation>)>,
    ) -> Result<(), Violation> {
        ensure!(
            self.sweep.is_terminal(),
            "the sweep is {} when nothing is left to happen",
            self.sweep.word()
        );
        ensure!(self.live == 0, "{} live trials at the end", self.live);
        for ((trial, attempt), reports) in reported {
            let observed = usize::try_from(trial)
                .ok()
                .and_then(|index| self.trials.get(index))
                .and_then(|trial| trial.attempts.get(attempt as usize))
                .map(|attempt| attempt.observed.as_slice());
            ensure!(
                observed == Some(reports.as_slice()),
                "attempt {trial}.{attempt} reported {reports:?}, recorded is {observed:?}"
            );
        }
        let goal = self.settings.goal;
        let values = self.trials.iter().flat_map(|trial| &trial.series).copied();
        let best = values
            .filter(|value| value.is_finite())
            .reduce(|a, b| if goal.better(b, a) { b } else { a });
        ensure!(
            best == self.best.map(|(_, value)| value),
            "best is {best:?}, recorded is {:?}",
            self.best
        );
        Ok(())
    }

    /// Attempts that take a place.
    fn running(&self) -> u64 {
        self.occupied.saturating_sub(self.still.len() as u64)
    }

    /// Nobody wants anything of its freezing any more.
    fn let_go(&mut self, trial: u64) {
        self.asked.remove(&trial);
        self.still.remove(&trial);
        self.leaving.remove(&trial);
    }

    /// Trials created so far.
    pub fn created(&self) -> u64 {
        self.trials.len() as u64
    }

    fn find(&mut self, trial: u64) -> Result<&mut Trial, Violation> {
        usize::try_from(trial)
            .ok()
            .and_then(|index| self.trials.get_mut(index))
            .ok_or_else(|| Violation(format!("record about unknown trial {trial}")))
    }

    fn create(&mut self, trial: u64) -> Result<(), Violation> {
        ensure!(
            trial == self.created(),
            "trial {trial} created after {}",
            self.created()
        );
        ensure!(trial < self.limits.max_total, "trial {trial} is beyond max_total");
        ensure!(
            self.live - (self.still.len() as u64) < self.limits.max_concurrent,
            "more than max_concurrent trials live"
        );
        ensure!(
            self.sweep == SweepState::Running,
            "trial created while {}",
            self.sweep.word()
        );
        self.live += 1;
        self.trials.push(Trial {
            state: TrialState::Queued,
            attempts: Vec::new(),
            series: Vec::new(),
            stopped: false,
        });
        Ok(())
    }

    fn attempt(&mut self, trial: u64, attempt: u32, slots: u64) -> Result<(), Violation> {
        let (sweep, retries) = (self.sweep, self.settings.max_retries);
        let room = slots.min(self.limits.max_concurrent);
        ensure!(
            self.running() < room,
            "{} attempts and {room} slots",
            self.running() + 1
        );
        ensure!(
            sweep == SweepState::Running,
            "attempt created while {}",
            sweep.word()
        );
        self.occupied += 1;
        let entry = self.find(trial)?;
        ensure!(
            attempt as usize == entry.attempts.len(),
            "attempt {trial}.{attempt} out of order"
        );
        let lost = |class| {
            let earlier = entry.attempts.iter();
            earlier.filter(|attempt| attempt.class == Some(class)).count() as u64
        };
        let preemptions = if retries > 0 { 100 } else { 0 };
        ensure!(
            lost(FailureClass::Infrastructure) <= u64::from(retries)
                && lost(FailureClass::Preempted) <= preemptions
                && lost(FailureClass::Exhausted) <= 100,
            "attempt {trial}.{attempt} is beyond what its losses grant"
        );
        ensure!(
            entry.state == TrialState::Queued,
            "attempt of a trial that is {}",
            entry.state.word()
        );
        ensure!(
            entry
                .attempts
                .iter()
                .all(|earlier| !earlier.alive && earlier.superseded),
            "attempt {trial}.{attempt} beside an earlier one"
        );
        entry.attempts.push(Attempt {
            alive: true,
            superseded: false,
            class: None,
            observed: Vec::new(),
        });
        Ok(())
    }

    fn attempt_ended(
        &mut self,
        trial: u64,
        attempt: u32,
        outcome: &Outcome,
        superseded: bool,
    ) -> Result<(), Violation> {
        self.occupied = self.occupied.saturating_sub(1);
        self.let_go(trial);
        let entry = self.find(trial)?;
        ensure!(
            attempt as usize + 1 == entry.attempts.len(),
            "end of {trial}.{attempt}, not the latest"
        );
        let Some(last) = entry.attempts.last_mut() else {
            return Err(Violation(format!("end of unknown attempt {trial}.{attempt}")));
        };
        ensure!(last.alive, "attempt {trial}.{attempt} ended twice");
        last.alive = false;
        last.superseded = superseded;
        if let Outcome::Failed { class, .. } = outcome {
            last.class = Some(*class);
        }
        if superseded {
            let proven = matches!(
                outcome,
                Outcome::Failed {
                    class: FailureClass::Infrastructure | FailureClass::Preempted | FailureClass::Exhausted,
                    ..
                }
            );
            ensure!(proven, "attempt {trial}.{attempt} superseded after {outcome:?}");
            entry.series.clear();
            if self.best.is_some_and(|(best, _)| best == trial) {
                self.best = None;
            }
        }
        Ok(())
    }

    fn trial_state(&mut self, trial: u64, state: TrialState) -> Result<(), Violation> {
        use TrialState::{CancelRequested, Canceled, NotResponding, Preparing, Queued, Running};
        let (leaving, asked) = (self.leaving.contains(&trial), self.asked.contains(&trial));
        if state == CancelRequested {
            self.let_go(trial);
        }
        let entry = self.find(trial)?;
        let from = entry.state;
        let legal = match state {
            Queued => !from.is_terminal() && from != CancelRequested,
            Preparing => matches!(from, Queued | NotResponding),
            Running => {
                matches!(from, Queued | Preparing | NotResponding) || (from == TrialState::Paused && leaving)
            }
            NotResponding => matches!(from, Queued | Preparing | Running),
            CancelRequested => !from.is_terminal() && from != CancelRequested,
            TrialState::Paused => matches!(from, Queued | Preparing | Running) && asked,
            TrialState::Completed | TrialState::Failed | Canceled => !from.is_terminal(),
        };
        ensure!(
            legal,
            "trial {trial} goes from {} to {}",
            from.word(),
            state.word()
        );
        ensure!(
            !state.is_terminal() || entry.attempts.iter().all(|attempt| !attempt.alive),
            "trial {trial} is {} with a living attempt",
            state.word()
        );
        entry.state = state;
        if state.is_terminal() {
            self.live -= 1;
        }
        Ok(())
    }

    fn observed(
        &mut self,
        trial: u64,
        attempt: u32,
        interval: u64,
        observation: Observation,
        accepted: bool,
    ) -> Result<(), Violation> {
        let entry = self.find(trial)?;
        let latest = entry.attempts.len();
        let state = entry.state;
        let Some(place) = entry.attempts.get_mut(attempt as usize) else {
            return Err(Violation(format!("report of unknown attempt {trial}.{attempt}")));
        };
        place.observed.push(observation);
        let going = matches!(state, TrialState::Running | TrialState::Paused);
        let open = attempt as usize + 1 == latest && place.alive && going;
        ensure!(
            accepted == open,
            "report of {trial}.{attempt} accepted: {accepted}, while {}",
            state.word()
        );
        if accepted {
            entry.series.push(observation.value);
        }
        let expected = if accepted { entry.series.len() as u64 } else { 0 };
        ensure!(
            interval == expected,
            "interval {interval} instead of {expected} in trial {trial}"
        );
        Ok(())
    }

    fn stopped(&mut self, stop: &Stop) -> Result<(), Violation> {
        let entry = self.find(stop.trial)?;
        ensure!(!entry.stopped, "trial {} stopped twice", stop.trial);
        entry.stopped = true;
        self.decided(stop)
    }

    /// A decision to stop or to freeze.
    fn decided(&mut self, stop: &Stop) -> Result<(), Violation> {
        let (goal, schedule) = (self.settings.goal, self.schedule);
        let entry = self.find(stop.trial)?;
        let trial = stop.trial;
        let asked = entry.state == TrialState::CancelRequested || entry.state.is_terminal();
        ensure!(!asked, "trial {trial} stopped while {}", entry.state.word());
        let due = schedule.latest_due(entry.series.len() as u64);
        ensure!(
            due > 0 && stop.interval == due,
            "trial {trial} stopped at {}, due is {due}",
            stop.interval
        );
        let values = entry
            .series
            .iter()
            .take(due as usize)
            .copied()
            .filter(|value| value.is_finite());
        let best = values.reduce(|a, b| if goal.better(b, a) { b } else { a });
        ensure!(
            best == stop.value,
            "trial {trial} has {best:?}, stopped with {:?}",
            stop.value
        );
        if let (Some(value), Some(threshold)) = (stop.value, stop.threshold) {
            ensure!(
                goal.worse(value, threshold),
                "trial {trial} stopped though {value} is as good as {threshold}"
            );
        }
        Ok(())
    }

    fn incumbent(&mut self, trial: u64, value: f64) -> Result<(), Violation> {
        let goal = self.settings.goal;
        let better = self.best.is_none_or(|(_, best)| goal.better(value, best));
        ensure!(
            better && value.is_finite(),
            "incumbent {value} after {:?}",
            self.best
        );
        let entry = self.find(trial)?;
        ensure!(
            entry.series.contains(&value),
            "incumbent {value} was not reported by trial {trial}"
        );
        self.best = Some((trial, value));
        Ok(())
    }

    fn sweep_state(&mut self, state: SweepState) -> Result<(), Violation> {
        use SweepState::{CancelRequested, Canceled, Completed, Failed, Paused, Running};
        let legal = matches!(
            (self.sweep, state),
            (Running | Paused, Running | Paused | CancelRequested | Completed)
                | (CancelRequested, Canceled | Failed)
        );
        ensure!(legal, "sweep goes from {} to {}", self.sweep.word(), state.word());
        ensure!(
            !state.is_terminal() || self.live == 0,
            "sweep ends with {} live trials",
            self.live
        );
        self.sweep = state;
        Ok(())
    }
}
