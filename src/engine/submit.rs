//! Bringing decided attempts and cancels to their targets, as often as it takes.

use super::drive::{AGAIN_MS, Driver, Key, MOVE_MS};
use super::follow::Told;
use super::launch::write_spec;
use super::{EngineError, Progress, outcome};
use crate::controller::{Event, FailureClass, Outcome, SweepState};
use crate::history::TrialState;
use crate::space::Assignment;
use crate::store::Change;
use crate::target::TargetError;
use rustix::io::Errno;
use std::io::ErrorKind;
use std::sync::Arc;

/// First delay after a target could not take an attempt, milliseconds; doubled each time.
const FIRST_DELAY_MS: u64 = 100;

/// Longest such delay, milliseconds.
const LAST_DELAY_MS: u64 = 5_000;

/// How long fewer trials run at a time after resources ran short, milliseconds.
const SQUEEZE_MS: u64 = 30_000;

/// An attempt on its way to its target.
#[derive(Clone, Debug)]
pub(super) struct Submission {
    pub(super) assignment: Assignment,
    /// Not before this time.
    pub(super) due: u64,
    delay: u64,
    /// When its target first could not take it.
    since: Option<u64>,
}

impl Submission {
    pub(super) fn new(assignment: Assignment) -> Self {
        Self {
            assignment,
            due: 0,
            delay: FIRST_DELAY_MS,
            since: None,
        }
    }

    fn refused_for(&self, now: u64) -> u64 {
        self.since.map_or(0, |since| now.saturating_sub(since))
    }

    /// An attempt that follows others for which resources were short: not at once.
    pub(super) fn patient(assignment: Assignment, attempt: u32, now: u64) -> Self {
        let delay = FIRST_DELAY_MS
            .saturating_mul(1 << attempt.min(16))
            .min(LAST_DELAY_MS);
        Self {
            due: now + delay,
            ..Self::new(assignment)
        }
    }

    fn later(self, now: u64) -> Self {
        Self {
            due: now + self.delay,
            delay: (self.delay * 2).min(LAST_DELAY_MS),
            since: self.since.or(Some(now)),
            ..self
        }
    }
}

impl Driver {
    /// Tries again what could not be submitted.
    pub(super) fn submissions(&mut self) -> Result<(), EngineError> {
        let now = self.now();
        let due: Vec<Key> = self
            .waiting
            .iter()
            .filter(|(_, submission)| submission.due <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            if let Some(submission) = self.waiting.remove(&key) {
                self.submit(key, submission)?;
            }
        }
        Ok(())
    }

    /// Starts a runner for an attempt that is on record.
    pub(super) fn submit(&mut self, key: Key, submission: Submission) -> Result<(), EngineError> {
        let Some(follower) = self.followers.get(&key) else {
            return Ok(());
        };
        let Some(target) = self.targets.get(follower.target).map(Arc::clone) else {
            return Ok(());
        };
        let attempt = follower.attempt.clone();
        let site = match target.site(&attempt) {
            Ok(site) => site,
            Err(error) => return self.not_submitted(key, submission, error),
        };
        let spec = match self.launcher.spec(
            &attempt,
            &follower.nonce,
            &submission.assignment,
            (site, &*target),
        ) {
            Ok(spec) => spec,
            Err(error) => return self.give_up(key, outcome::not_started("setup", &error.to_string())),
        };
        let submitted = match write_spec(&attempt.folder, &spec) {
            Ok(()) => target.submit(&attempt, &spec),
            Err(error) => Err(match short_of(&error) {
                Some(resource) => TargetError::Exhausted {
                    target: target.name().to_owned(),
                    resource: resource.into(),
                },
                None => TargetError::Refused {
                    target: target.name().to_owned(),
                    reason: format!("{}: {error}", attempt.folder.display()),
                },
            }),
        };
        match submitted {
            Ok(()) => {
                self.show(Progress::Launched {
                    trial: key.0,
                    attempt: key.1,
                    target: target.name().to_owned(),
                    folder: attempt.folder.to_string_lossy().into_owned(),
                });
                Ok(())
            }
            Err(error) => self.not_submitted(key, submission, error),
        }
    }

    fn not_submitted(
        &mut self,
        key: Key,
        submission: Submission,
        error: TargetError,
    ) -> Result<(), EngineError> {
        if let TargetError::Refused { reason, .. } = error {
            return self.give_up(key, outcome::not_started("infrastructure", &reason));
        }
        let now = self.now();
        let index = self.followers.get(&key).map(|follower| follower.target);
        match error {
            TargetError::Exhausted { .. } => self.squeeze(key, &error.to_string()),
            // Nobody was told to begin it: it need not wait for this target.
            TargetError::Unreachable { target, .. }
                if submission.refused_for(now) >= MOVE_MS
                    && index.is_some_and(|index| self.placement.room_beside(now, index)) =>
            {
                let keep = index
                    .and_then(|index| self.targets.get(index))
                    .zip(self.followers.get(&key))
                    .is_some_and(|(target, follower)| {
                        target.keep_others_out(&follower.attempt).unwrap_or(false)
                    });
                if keep {
                    return self.give_up(key, outcome::moved(&target));
                }
            }
            _ => {}
        }
        self.waiting.insert(key, submission.later(now));
        Ok(())
    }

    /// An attempt ends: what that says of its target.
    pub(super) fn ended(&mut self, key: Key, outcome: &Outcome) -> Result<(), EngineError> {
        let now = self.now();
        let Some(follower) = self.followers.get(&key) else {
            return Ok(());
        };
        let (index, took) = (follower.target, now.saturating_sub(follower.placed_at));
        if outcome.is_infrastructure() {
            self.lost_on.insert(key.0, index);
        } else {
            self.lost_on.remove(&key.0);
        }
        if let Outcome::Failed {
            class: FailureClass::Exhausted,
            message,
            ..
        } = outcome
        {
            self.squeeze(key, message);
        }
        let benched = self.placement.ended(now, index, took, outcome);
        self.controller.spent(self.placement.spent());
        if let Some(benched) = benched {
            self.change(Change::Warning {
                trial: None,
                attempt: None,
                code: "target-benched".into(),
                message: format!(
                    "target `{}` lost {} attempts in a row: it gets no new ones for {} min",
                    benched.name,
                    benched.faults,
                    benched.for_ms / 60_000
                ),
            });
        }
        self.slots_now()
    }

    /// Fewer trials at a time on its target for a while: as many as run there without this one.
    pub(super) fn squeeze(&mut self, (trial, attempt): Key, why: &str) {
        let now = self.now();
        let Some(index) = self
            .followers
            .get(&(trial, attempt))
            .map(|follower| follower.target)
        else {
            return;
        };
        let running = self
            .followers
            .iter()
            .filter(|(key, follower)| follower.target == index && !self.waiting.contains_key(*key))
            .count()
            .saturating_sub(1)
            .max(1);
        let known = self.squeezed.get(&index).map(|(_, most)| *most);
        let most = known.map_or(running as u64, |known| known.min(running as u64));
        self.squeezed.insert(index, (now + SQUEEZE_MS, most));
        if known != Some(most) {
            self.change(Change::Warning {
                trial: Some(trial),
                attempt: Some(attempt),
                code: "exhausted".into(),
                message: format!("{why}; {most} at a time for now"),
            });
        }
    }

    /// Ends an attempt of which no runner will tell.
    pub(super) fn give_up(&mut self, key: Key, outcome: Outcome) -> Result<(), EngineError> {
        let mut told: Vec<Told> = Vec::new();
        if let Some(follower) = self.followers.get_mut(&key) {
            follower.end(outcome, &mut told);
        }
        self.told(key, told)
    }

    /// Asks runners to end what was cancelled; repeated until it is done.
    pub(super) fn deliver_cancels(&mut self) {
        let now = self.now();
        let due: Vec<Key> = self
            .cancels
            .iter()
            .filter(|(_, due)| **due <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            let Some(follower) = self.followers.get(&key) else {
                self.cancels.remove(&key);
                continue;
            };
            let Some(target) = self.targets.get(follower.target).map(Arc::clone) else {
                continue;
            };
            let attempt = follower.attempt.clone();
            if self.waiting.contains_key(&key) {
                // No runner of ours exists; one of an earlier controller may be about to claim.
                if target.keep_others_out(&attempt).unwrap_or(false) {
                    self.waiting.remove(&key);
                    self.given_up.push((key, Outcome::Canceled));
                    continue;
                }
                self.waiting.remove(&key);
            }
            match target.cancel(&attempt) {
                Ok(()) => self.cancels.remove(&key),
                Err(_) => self.cancels.insert(key, now + AGAIN_MS),
            };
        }
    }

    /// Takes back what was asked of runners whose trials are not to end any more.
    pub(super) fn withdraw_cancels(&mut self) {
        if !self.interrupted || self.controller.state() != SweepState::Paused {
            return;
        }
        let trials = &self.controller.history().trials;
        for (key, follower) in &self.followers {
            let trial = usize::try_from(key.0).ok().and_then(|index| trials.get(index));
            if trial.is_none_or(|trial| trial.state == TrialState::CancelRequested) {
                // Its end was asked for by the policy or by name.
                continue;
            }
            self.cancels.remove(key);
            if let Some(target) = self.targets.get(follower.target) {
                target.withdraw(&follower.attempt);
            }
        }
    }

    /// Tells the controller how many trials fit, when that has changed.
    pub(super) fn slots_now(&mut self) -> Result<(), EngineError> {
        let now = self.now();
        self.squeezed.retain(|_, (until, _)| now < *until);
        for (index, target) in self.targets.iter().enumerate() {
            let all = target.slots();
            let slots = match self.squeezed.get(&index) {
                Some((_, most)) => Some(all.unwrap_or(u64::MAX).min(*most)),
                None => all,
            };
            self.placement.holds(index, slots);
        }
        let slots = self.placement.slots(now);
        if slots != self.slots {
            self.slots = slots;
            self.event(Event::SlotsChanged { slots })?;
        }
        Ok(())
    }
}

/// What there is not enough of, if that is why the system refused.
fn short_of(error: &std::io::Error) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => return Some("disk space"),
        ErrorKind::OutOfMemory => return Some("memory"),
        _ => {}
    }
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE) => Some("file descriptors"),
        Some(Errno::AGAIN) => Some("processes"),
        _ => None,
    }
}
