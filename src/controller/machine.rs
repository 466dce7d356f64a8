//! The state machine: one event in, records and actions out.
//!
//! Each event is first taken in as a fact; then come, in this order, the sweep's duration, the abort after initial failures, the
//! refill of free slots and the end. The state changes only through [`fold::apply`], so that what was recorded and what is
//! decided upon cannot differ.

use crate::controller::fold::{self, ENQUEUE};
use crate::controller::state::{AttemptState, Incumbent, Snapshot};
use crate::controller::stop_when::{Standing, StopWhen};
use crate::controller::{Action, Batch, Event, Limits, Record, Settings, SweepState};
use crate::history::{CancelCause, History, Trial, TrialState};
use crate::policy::Policy;
use crate::sampler::{Origin, Proposal, Sampler, Suggestion};
use crate::space::Assignment;
use std::collections::BTreeSet;

/// Decides what a sweep does next; see the module documentation.
pub struct Controller {
    pub(super) settings: Settings,
    pub(super) sampler: Box<dyn Sampler>,
    pub(super) policy: Box<dyn Policy>,
    pub(super) state: Snapshot,
    /// Configurations given at construction, recorded with the first event.
    pub(super) first: Vec<Assignment>,
    /// Trials that are not terminal.
    pub(super) live: BTreeSet<u64>,
    /// Live trials that need a new attempt.
    pub(super) waiting: BTreeSet<u64>,
    /// Trials that the compute targets can hold at once; 0 until they say so.
    pub(super) slots: u64,
    /// How many inherited trials the policy has been fed.
    pub(super) inherited_fed: u64,
    /// Condition that ends the sweep early.
    pub(super) stop_when: Option<StopWhen>,
    /// What the attempts that have ended cost.
    pub(super) spent: Option<f64>,
    pub(super) now: u64,
}

impl Controller {
    /// A sweep that has not begun. `enqueue` is tried first, in order. Nothing starts before [`Event::SlotsChanged`].
    pub fn new(
        settings: Settings,
        sampler: Box<dyn Sampler>,
        policy: Box<dyn Policy>,
        enqueue: Vec<Assignment>,
    ) -> Self {
        let state = Snapshot::new(&settings);
        Self {
            settings,
            sampler,
            policy,
            state,
            first: enqueue,
            live: BTreeSet::new(),
            waiting: BTreeSet::new(),
            slots: 0,
            inherited_fed: 0,
            stop_when: None,
            spent: None,
            now: 0,
        }
    }

    /// Adds ended trials of earlier sweeps (`resume_from`): data for the sampler and reference for the policy, never counted.
    /// To be called before the first event.
    pub fn inherit(&mut self, trials: Vec<Trial>) {
        for trial in trials {
            self.feed_inherited(&trial);
            self.state.history.inherited.push(trial);
        }
        self.policy.restored();
    }

    /// Ends the sweep early once `condition` holds: nothing is started any more, what runs goes on to its end. To be called before
    /// the first event, after a restore too; whether it has held is part of the records.
    pub fn stop_when(&mut self, condition: Option<StopWhen>) {
        self.stop_when = condition;
    }

    /// What the attempts that have ended cost, counted by the driver, which knows where they ran (`None`: nowhere is there a price). To be
    /// called before the event of their end, and after a restore.
    pub fn spent(&mut self, cost: Option<f64>) {
        self.spent = cost;
    }

    /// Takes one event in. `now_ms` is milliseconds since the sweep was created; a smaller one than before counts as the same.
    ///
    /// The driver makes the records durable, all or none, and then performs the actions. Takes O(log n) and what sampler and
    /// policy take, but for a superseded incumbent (O(n)).
    pub fn handle(&mut self, now_ms: u64, event: Event) -> Batch {
        self.now = self.now.max(now_ms);
        let mut batch = Batch::default();
        self.begin(&mut batch);
        self.take_in(event, &mut batch);
        self.enforce_duration(&mut batch);
        self.abort_if_nothing_works(&mut batch);
        self.stop_if_met(&mut batch);
        self.refill(&mut batch);
        self.finish(&mut batch);
        batch
    }

    /// When the driver must send [`Event::Tick`] at the latest, in milliseconds since the sweep was created.
    pub fn next_deadline(&self) -> Option<u64> {
        let progress = &self.state.progress;
        if !matches!(progress.state, SweepState::Running | SweepState::Paused) {
            return None;
        }
        let stop = self.stop_when.as_ref().filter(|_| !progress.stopped);
        let times = [
            progress.limits.max_duration_ms,
            stop.and_then(|condition| condition.next_time(self.now)),
        ];
        times.into_iter().flatten().min()
    }

    /// All trials so far.
    pub fn history(&self) -> &History {
        &self.state.history
    }

    /// State of the sweep.
    pub fn state(&self) -> SweepState {
        self.state.progress.state
    }

    /// Limits in force.
    pub fn limits(&self) -> Limits {
        self.state.progress.limits
    }

    /// Best trial so far, first of equals.
    pub fn incumbent(&self) -> Option<Incumbent> {
        self.state.progress.incumbent
    }

    /// Settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All that decisions depend on; equals the fold of all records given out so far.
    pub fn snapshot(&self) -> &Snapshot {
        &self.state
    }

    /// Number of trials that are not terminal.
    pub fn live(&self) -> u64 {
        self.live.len() as u64
    }

    /// What a driver that has just restored the controller must make sure of: each live attempt runs (it may have been launched
    /// before or not), each asked-for cancel is on its way, a terminal sweep is ended.
    pub fn outstanding(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for &number in &self.live {
            let Some((trial, attempt)) = self.current(number) else {
                continue;
            };
            actions.push(Action::Launch {
                trial: number,
                attempt,
                assignment: trial.assignment.clone(),
            });
            if trial.state == TrialState::CancelRequested {
                actions.push(Action::Cancel {
                    trial: number,
                    attempt,
                    cause: trial.cause.clone().unwrap_or(CancelCause::User),
                });
            }
        }
        if self.state().is_terminal() {
            actions.push(Action::End {
                state: self.state(),
                reason: self.state.progress.reason.clone(),
            });
        }
        actions
    }

    fn begin(&mut self, batch: &mut Batch) {
        if self.state.progress.begun {
            return;
        }
        self.record(
            batch,
            Record::SweepState {
                state: SweepState::Running,
                reason: "started".into(),
            },
        );
        for assignment in std::mem::take(&mut self.first) {
            self.record(batch, Record::Enqueued { assignment });
        }
    }

    fn take_in(&mut self, event: Event, batch: &mut Batch) {
        match event {
            Event::Tick => {}
            Event::SlotsChanged { slots } => self.slots = slots,
            Event::Claimed { trial, attempt } => self.advance(trial, attempt, TrialState::Preparing, batch),
            Event::Started { trial, attempt } => self.advance(trial, attempt, TrialState::Running, batch),
            Event::Reported {
                trial,
                attempt,
                observation,
            } => self.reported(trial, attempt, observation, batch),
            Event::Exited {
                trial,
                attempt,
                outcome,
            } => self.exited(trial, attempt, outcome, batch),
            Event::Unresponsive {
                trial,
                attempt,
                lost_contact,
            } => self.contact(trial, attempt, lost_contact, batch),
            other => self.command(other, batch),
        }
    }

    /// Commands of the user; all of them are void once the sweep has ended.
    fn command(&mut self, event: Event, batch: &mut Batch) {
        if self.state().is_terminal() {
            let state = self.state().word();
            self.anomaly(batch, format!("`{}` for a sweep that is {state}", event.word()));
            return;
        }
        match event {
            Event::CancelTrial { trial } => match self.entry(trial).map(|(entry, _)| entry.state) {
                None => self.anomaly(batch, format!("cancel of trial {trial}, which was never created")),
                Some(state) if state.is_terminal() => {}
                Some(_) => self.cancel(trial, CancelCause::User, None, batch),
            },
            Event::CancelSweep { reason } => self.cancel_all(CancelCause::Sweep, reason, batch),
            Event::Pause { reason } if self.state() == SweepState::Running => self.record(
                batch,
                Record::SweepState {
                    state: SweepState::Paused,
                    reason,
                },
            ),
            Event::Withdraw if self.state() == SweepState::CancelRequested && !self.nothing_works() => {
                self.withdraw(batch);
            }
            Event::Resume if self.state() == SweepState::Paused => self.record(
                batch,
                Record::SweepState {
                    state: SweepState::Running,
                    reason: "resumed".into(),
                },
            ),
            Event::SetLimits(limits) => {
                let limits = Limits {
                    max_total: limits.max_total.max(1),
                    max_concurrent: limits.max_concurrent.max(1),
                    ..limits
                };
                if limits != self.limits() {
                    self.record(batch, Record::LimitsChanged(limits));
                }
            }
            Event::Enqueue { assignment } => self.record(batch, Record::Enqueued { assignment }),
            Event::Rerun { trial } => match self.entry(trial) {
                Some((entry, _)) if entry.state.is_terminal() => {
                    let assignment = entry.assignment.clone();
                    self.record(batch, Record::Enqueued { assignment });
                }
                Some(_) => self.anomaly(batch, format!("rerun of trial {trial}, which has not ended")),
                None => self.anomaly(batch, format!("rerun of trial {trial}, which was never created")),
            },
            _ => {}
        }
    }

    /// Everything that must be true after the facts of an event: who is told to stop.
    pub(super) fn judge(&mut self, batch: &mut Batch) {
        for stop in self.policy.stops() {
            let number = stop.trial;
            let judged = self.current(number).map(|(trial, _)| trial.state);
            if !judged.is_some_and(|state| state != TrialState::CancelRequested) {
                self.anomaly(
                    batch,
                    format!("{} would stop trial {number}, which does not run", stop.policy),
                );
                continue;
            }
            let reason = format!(
                "by {} at interval {}: {}",
                stop.policy, stop.interval, stop.inequality
            );
            self.record(batch, Record::Stopped(stop));
            self.cancel(number, CancelCause::Policy, Some(reason), batch);
        }
    }

    /// Asks for the end of one live trial. Does nothing if that has been asked for.
    pub(super) fn cancel(
        &mut self,
        number: u64,
        cause: CancelCause,
        reason: Option<String>,
        batch: &mut Batch,
    ) {
        let Some((entry, attempts)) = self.entry(number) else {
            return;
        };
        if entry.state.is_terminal() || entry.state == TrialState::CancelRequested {
            return;
        }
        let current = attempts.current();
        let state = match current {
            Some(_) => TrialState::CancelRequested,
            None => TrialState::Canceled,
        };
        self.record(
            batch,
            Record::TrialState {
                trial: number,
                state,
                cause: Some(cause.clone()),
                reason,
            },
        );
        match current {
            Some(attempt) => batch.actions.push(Action::Cancel {
                trial: number,
                attempt,
                cause,
            }),
            None => {
                self.waiting.remove(&number);
                self.live.remove(&number);
            }
        }
        self.policy.end(number, TrialState::Canceled);
    }

    fn cancel_all(&mut self, cause: CancelCause, reason: String, batch: &mut Batch) {
        if !matches!(self.state(), SweepState::Running | SweepState::Paused) {
            return;
        }
        self.record(
            batch,
            Record::SweepState {
                state: SweepState::CancelRequested,
                reason,
            },
        );
        for number in self.live.iter().copied().collect::<Vec<_>>() {
            self.cancel(number, cause.clone(), None, batch);
        }
    }

    fn withdraw(&mut self, batch: &mut Batch) {
        self.record(
            batch,
            Record::SweepState {
                state: SweepState::Paused,
                reason: "left by you".into(),
            },
        );
        for number in self.live.iter().copied().collect::<Vec<_>>() {
            let Some((trial, attempts)) = self.entry(number) else {
                continue;
            };
            if trial.state == TrialState::CancelRequested && trial.cause == Some(CancelCause::Sweep) {
                let state = attempts.phase;
                self.record(
                    batch,
                    Record::TrialState {
                        trial: number,
                        state,
                        cause: None,
                        reason: None,
                    },
                );
            }
        }
    }

    fn enforce_duration(&mut self, batch: &mut Batch) {
        let open = matches!(self.state(), SweepState::Running | SweepState::Paused);
        let limit = self
            .limits()
            .max_duration_ms
            .filter(|limit| open && self.now >= *limit);
        let Some(limit) = limit else {
            return;
        };
        let reason = format!("the duration limit of {} is over", duration(limit));
        if self.live.is_empty() {
            self.end(SweepState::Completed, reason, batch);
        } else {
            self.cancel_all(CancelCause::MaxDuration, reason, batch);
        }
    }

    fn abort_if_nothing_works(&mut self, batch: &mut Batch) {
        if self.nothing_works() && matches!(self.state(), SweepState::Running | SweepState::Paused) {
            let count = self.state.progress.initial_failures;
            let reason = match count {
                1 => "the first trial failed without a report".into(),
                _ => format!("the first {count} trials all failed without a report"),
            };
            self.cancel_all(CancelCause::Sweep, reason, batch);
        }
    }

    /// Starts nothing any more once the condition of `stop_when` holds.
    fn stop_if_met(&mut self, batch: &mut Batch) {
        self.stop_if_met_with(None, batch);
    }

    /// The same at the moment when the sampler has told what it expects of the next trial.
    fn stop_if_met_with(&mut self, expected_gain: Option<f64>, batch: &mut Batch) {
        let progress = &self.state.progress;
        if progress.stopped || !matches!(progress.state, SweepState::Running | SweepState::Paused) {
            return;
        }
        let Some(condition) = &self.stop_when else {
            return;
        };
        let standing = Standing {
            expected_gain,
            best: progress.incumbent.map(|incumbent| incumbent.value),
            no_improvement: progress.since_best,
            trials: (self.state.history.trials.len() - self.live.len()) as u64,
            elapsed_ms: self.now,
            cost: self.spent,
        };
        if let Some(held) = condition.met(&standing) {
            self.record(
                batch,
                Record::Exhausted {
                    reason: format!("stop_when: {held}"),
                    stopped: true,
                },
            );
        }
    }

    /// What the sampler expects of a proposal beyond the best value so far, if a condition asks for it.
    fn expected_gain(&self, proposal: &Proposal) -> Option<f64> {
        let asked = self.stop_when.as_ref().is_some_and(StopWhen::asks_for_gain);
        let best = self.state.progress.incumbent.filter(|_| asked)?.value;
        let gain = proposal.origin.predicted?.gain(best, self.settings.goal);
        gain.is_finite().then_some(gain)
    }

    fn nothing_works(&self) -> bool {
        let limit = self.settings.abort_after_initial_failures;
        limit > 0 && self.state.progress.initial_failures >= limit
    }

    fn refill(&mut self, batch: &mut Batch) {
        while self.state() == SweepState::Running {
            let occupied = (self.live.len() - self.waiting.len()) as u64;
            if occupied >= self.slots.min(self.limits().max_concurrent) {
                return;
            }
            if let Some(number) = self.waiting.pop_first() {
                self.launch(number, batch);
                continue;
            }
            let number = self.history().trials.len() as u64;
            if self.state.progress.stopped || number >= self.limits().max_total {
                return;
            }
            let Some(proposal) = self.propose(number, batch) else {
                return;
            };
            if let Some(gain) = self.expected_gain(&proposal) {
                self.stop_if_met_with(Some(gain), batch);
                if self.state.progress.stopped {
                    return;
                }
            }
            self.live.insert(number);
            self.record(
                batch,
                Record::TrialCreated {
                    trial: number,
                    assignment: proposal.assignment,
                    origin: proposal.origin,
                },
            );
            self.launch(number, batch);
        }
    }

    fn propose(&mut self, number: u64, batch: &mut Batch) -> Option<Proposal> {
        if let Some(assignment) = self.state.enqueued.front() {
            let notes = self
                .history()
                .trials
                .iter()
                .find(|trial| trial.assignment == *assignment)
                .map(|trial| format!("trial {} had the same configuration", trial.number));
            return Some(Proposal {
                assignment: assignment.clone(),
                origin: Origin {
                    sampler: ENQUEUE.into(),
                    method: "enqueued configuration".into(),
                    predicted: None,
                    notes: notes.into_iter().collect(),
                },
            });
        }
        if self.state.progress.exhausted.is_some() {
            return None;
        }
        match self.sampler.suggest(number, &self.state.history) {
            Suggestion::Next(proposal) => Some(*proposal),
            Suggestion::Exhausted(reason) => {
                self.record(
                    batch,
                    Record::Exhausted {
                        reason,
                        stopped: false,
                    },
                );
                None
            }
        }
    }

    fn launch(&mut self, number: u64, batch: &mut Batch) {
        let Some((trial, attempts)) = self.entry(number) else {
            return;
        };
        let assignment = trial.assignment.clone();
        let attempt = attempts.created;
        self.record(
            batch,
            Record::AttemptCreated {
                trial: number,
                attempt,
            },
        );
        batch.actions.push(Action::Launch {
            trial: number,
            attempt,
            assignment,
        });
    }

    fn finish(&mut self, batch: &mut Batch) {
        if !self.live.is_empty() {
            return;
        }
        let progress = &self.state.progress;
        let created = self.state.history.trials.len() as u64;
        match progress.state {
            SweepState::CancelRequested => {
                let state = if self.nothing_works() {
                    SweepState::Failed
                } else {
                    SweepState::Canceled
                };
                let reason = progress.reason.clone();
                self.end(state, reason, batch);
            }
            SweepState::Running | SweepState::Paused => {
                let reason = if created >= progress.limits.max_total {
                    match created {
                        1 => "the trial has ended".into(),
                        _ => format!("all {created} trials have ended"),
                    }
                } else if let Some(reason) = progress
                    .exhausted
                    .as_ref()
                    .filter(|_| progress.stopped || self.state.enqueued.is_empty())
                {
                    reason.clone()
                } else {
                    return;
                };
                self.end(SweepState::Completed, reason, batch);
            }
            _ => {}
        }
    }

    fn end(&mut self, state: SweepState, reason: String, batch: &mut Batch) {
        self.record(
            batch,
            Record::SweepState {
                state,
                reason: reason.clone(),
            },
        );
        batch.actions.push(Action::End { state, reason });
    }

    pub(super) fn record(&mut self, batch: &mut Batch, record: Record) {
        match fold::apply(&mut self.state, &record) {
            Ok(()) => batch.records.push(record),
            Err(error) => self.anomaly(batch, error.to_string()),
        }
    }

    pub(super) fn anomaly(&mut self, batch: &mut Batch, message: String) {
        let record = Record::Anomaly { message };
        self.state.progress.apply(&record);
        batch.records.push(record);
    }

    /// A trial and its attempts, if it was created.
    pub(super) fn entry(&self, number: u64) -> Option<(&Trial, AttemptState)> {
        let index = usize::try_from(number).ok()?;
        Some((
            self.state.history.trials.get(index)?,
            *self.state.attempts.get(index)?,
        ))
    }

    /// A live trial and its attempt that has not ended.
    pub(super) fn current(&self, number: u64) -> Option<(&Trial, u32)> {
        let (trial, attempts) = self.entry(number)?;
        if trial.state.is_terminal() {
            return None;
        }
        Some((trial, attempts.current()?))
    }

    /// Reports of inherited trials reach the policy under numbers that no trial of this sweep has.
    pub(super) fn feed_inherited(&mut self, trial: &Trial) {
        let alias = u64::MAX - self.inherited_fed;
        self.inherited_fed += 1;
        for value in trial.series.values() {
            self.policy.report(alias, *value);
        }
        self.policy.end(alias, trial.state);
    }
}

fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("{milliseconds} ms"),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}
