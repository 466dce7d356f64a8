//! What the events of one trial mean: progress, reports, contact, the end of an attempt.
//!
//! Events may come late, twice or out of order (journals are followed over unreliable file systems). An attempt that is not the
//! trial's latest, or has ended, changes nothing any more; its reports are kept for display.

use crate::controller::machine::Controller;
use crate::controller::{Batch, FailureClass, Losses, Outcome, Record, SweepState};
use crate::history::{CancelCause, TrialState};
use crate::metric::Observation;

/// New attempts of a trial after each of: it never began because resources ran short, its place was taken away. That says nothing
/// about the trial. With `max_retries: 0` a trial that had begun is not tried again all the same.
const PATIENT_RETRIES: u32 = 100;

impl Controller {
    /// `Claimed` and `Started`. Either is also a sign of life of a trial that was out of contact.
    pub(super) fn advance(&mut self, number: u64, attempt: u32, reached: TrialState, batch: &mut Batch) {
        if !self.is_current(number, attempt, reached.word(), batch) {
            return;
        }
        let Some((trial, attempts)) = self.entry(number) else {
            return;
        };
        let (state, phase) = (trial.state, attempts.phase);
        let next = if phase == TrialState::Running {
            phase
        } else {
            reached
        };
        let open = matches!(
            state,
            TrialState::Queued | TrialState::Preparing | TrialState::NotResponding | TrialState::Paused
        );
        if open && state != next {
            self.move_to(number, next, None, batch);
        }
    }

    pub(super) fn reported(
        &mut self,
        number: u64,
        attempt: u32,
        observation: Observation,
        batch: &mut Batch,
    ) {
        let Some((trial, attempts)) = self.entry(number) else {
            self.anomaly(
                batch,
                format!("report of trial {number}, which was never created"),
            );
            return;
        };
        let (state, phase) = (trial.state, attempts.phase);
        let accepted = attempts.current() == Some(attempt)
            && !state.is_terminal()
            && state != TrialState::CancelRequested;
        if accepted && (state != TrialState::Running || phase != TrialState::Running) {
            self.move_to(number, TrialState::Running, None, batch);
        }
        let intervals = self
            .entry(number)
            .map_or(0, |(trial, _)| trial.series.intervals());
        let interval = if accepted { intervals as u64 + 1 } else { 0 };
        self.record(
            batch,
            Record::Observed {
                trial: number,
                attempt,
                interval,
                observation,
                accepted,
            },
        );
        if !accepted {
            return;
        }
        let value = observation.value;
        let best = self.incumbent().map_or(f64::NAN, |incumbent| incumbent.value);
        if self.settings.goal.better(value, best) {
            self.record(
                batch,
                Record::Incumbent {
                    trial: number,
                    value,
                    interval,
                },
            );
        }
        self.policy.report(number, value);
        self.judge(batch);
    }

    /// Contact lost or found again. The slot stays taken; a trial that is being cancelled stays so.
    pub(super) fn contact(&mut self, number: u64, attempt: u32, lost: bool, batch: &mut Batch) {
        if !self.is_current(number, attempt, "contact", batch) {
            return;
        }
        let Some((trial, attempts)) = self.entry(number) else {
            return;
        };
        match (trial.state, lost) {
            (TrialState::Queued | TrialState::Preparing | TrialState::Running, true) => {
                self.move_to(number, TrialState::NotResponding, None, batch);
            }
            (TrialState::NotResponding, false) => self.move_to(number, attempts.phase, None, batch),
            _ => {}
        }
    }

    pub(super) fn exited(&mut self, number: u64, attempt: u32, outcome: Outcome, batch: &mut Batch) {
        if !self.is_current(number, attempt, "exit", batch) {
            return;
        }
        let Some((trial, attempts)) = self.entry(number) else {
            return;
        };
        let cancelling = trial.state == TrialState::CancelRequested;
        let cause = trial.cause.clone();
        let retry = !cancelling
            && self.has_patience(&outcome, attempts.losses)
            && matches!(self.state(), SweepState::Running | SweepState::Paused);
        let message = match &outcome {
            Outcome::Failed { message, .. } => Some(message.clone()),
            _ => None,
        };
        let verdict = match &outcome {
            Outcome::Completed => (TrialState::Completed, None, None),
            _ if cancelling => (TrialState::Canceled, cause, None),
            Outcome::Failed {
                class: FailureClass::TimeLimit,
                ..
            } => (
                TrialState::Canceled,
                Some(CancelCause::TrialTimeout),
                message.clone(),
            ),
            Outcome::Failed {
                class: FailureClass::OutOfMemory,
                ..
            } => (
                TrialState::Failed,
                Some(CancelCause::OutOfMemory),
                message.clone(),
            ),
            Outcome::Failed { .. } => (TrialState::Failed, None, message.clone()),
            Outcome::Canceled => (
                TrialState::Canceled,
                Some(CancelCause::User),
                Some("cancelled from outside".into()),
            ),
        };
        self.record(
            batch,
            Record::AttemptEnded {
                trial: number,
                attempt,
                outcome,
                superseded: retry,
            },
        );
        if retry {
            self.move_to(number, TrialState::Queued, message, batch);
            self.waiting.insert(number);
            self.policy.restart(number);
            self.replace_incumbent(batch);
        } else {
            let (state, cause, reason) = verdict;
            self.record(
                batch,
                Record::TrialState {
                    trial: number,
                    state,
                    cause,
                    reason,
                },
            );
            self.live.remove(&number);
            self.policy.end(number, state);
        }
        self.judge(batch);
    }

    /// Whether one more attempt may follow `outcome`. Each class counts for itself: a trial that was preempted often has not used up
    /// what it is granted after a node failure.
    fn has_patience(&self, outcome: &Outcome, mut losses: Losses) -> bool {
        let Outcome::Failed { class, .. } = outcome else {
            return false;
        };
        let granted = match class {
            FailureClass::Exhausted => PATIENT_RETRIES,
            FailureClass::Preempted if self.settings.max_retries > 0 => PATIENT_RETRIES,
            _ => self.settings.max_retries,
        };
        losses.of(*class).is_some_and(|lost| *lost < granted)
    }

    /// After a superseded attempt took the best value with it: the best of what remains.
    fn replace_incumbent(&mut self, batch: &mut Batch) {
        if self.incumbent().is_some() {
            return;
        }
        let Some(best) = self.history().incumbent() else {
            return;
        };
        let number = best.number;
        if let Some((interval, value)) = best.series.best() {
            self.record(
                batch,
                Record::Incumbent {
                    trial: number,
                    value,
                    interval: interval as u64,
                },
            );
        }
    }

    fn move_to(&mut self, number: u64, state: TrialState, reason: Option<String>, batch: &mut Batch) {
        self.record(
            batch,
            Record::TrialState {
                trial: number,
                state,
                cause: None,
                reason,
            },
        );
    }

    /// Whether the attempt is the one that lives. One that has ended or was superseded is silently none; one that was never
    /// created is an anomaly.
    fn is_current(&mut self, number: u64, attempt: u32, what: &str, batch: &mut Batch) -> bool {
        match self.entry(number) {
            None => {
                self.anomaly(
                    batch,
                    format!("{what} of trial {number}, which was never created"),
                );
                false
            }
            Some((_, attempts)) if attempt >= attempts.created => {
                self.anomaly(
                    batch,
                    format!("{what} of trial {number} attempt {attempt}, which was never created"),
                );
                false
            }
            Some((_, attempts)) => attempts.current() == Some(attempt),
        }
    }
}
