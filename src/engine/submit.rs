//! Bringing decided attempts and cancels to their targets, as often as it takes.

use super::drive::{AGAIN_MS, Driver, Key};
use super::follow::Told;
use super::launch::write_spec;
use super::{EngineError, Progress, outcome};
use crate::controller::{Event, Outcome};
use crate::space::Assignment;
use crate::target::TargetError;
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
}

impl Submission {
    pub(super) fn new(assignment: Assignment) -> Self {
        Self {
            assignment,
            due: 0,
            delay: FIRST_DELAY_MS,
        }
    }

    fn later(self, now: u64) -> Self {
        Self {
            due: now + self.delay,
            delay: (self.delay * 2).min(LAST_DELAY_MS),
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
        let spec = match self
            .launcher
            .spec(&attempt, &follower.nonce, &submission.assignment)
        {
            Ok(spec) => spec,
            Err(error) => return self.give_up(key, outcome::not_started("setup", &error.to_string())),
        };
        let submitted = match write_spec(&attempt.folder, &spec) {
            Ok(()) => target.submit(&attempt, &spec),
            Err(error)
                if error.kind() == ErrorKind::StorageFull || error.kind() == ErrorKind::QuotaExceeded =>
            {
                Err(TargetError::Exhausted {
                    target: target.name().to_owned(),
                    resource: "disk space".into(),
                })
            }
            Err(error) => Err(TargetError::Refused {
                target: target.name().to_owned(),
                reason: format!("{}: {error}", attempt.folder.display()),
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
            Err(TargetError::Refused { reason, .. }) => {
                self.give_up(key, outcome::not_started("infrastructure", &reason))
            }
            Err(error) => {
                let now = self.now();
                if matches!(error, TargetError::Exhausted { .. }) {
                    let running = self.followers.len().saturating_sub(self.waiting.len() + 1).max(1);
                    self.squeezed = Some((now + SQUEEZE_MS, running as u64));
                    let message = format!("{error}; {running} at a time for now");
                    self.show(Progress::Warning {
                        trial: Some(key.0),
                        code: "exhausted".into(),
                        message,
                    });
                }
                self.waiting.insert(key, submission.later(now));
                Ok(())
            }
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

    /// Tells the controller how many trials fit, when that has changed.
    pub(super) fn slots_now(&mut self) -> Result<(), EngineError> {
        let now = self.now();
        let all = self
            .targets
            .iter()
            .map(|target| target.slots())
            .try_fold(0_u64, |sum, slots| slots.map(|slots| sum.saturating_add(slots)))
            .unwrap_or(u64::MAX);
        if self.squeezed.is_some_and(|(until, _)| now >= until) {
            self.squeezed = None;
        }
        let slots = self.squeezed.map_or(all, |(_, most)| all.min(most));
        if slots != self.slots {
            self.slots = slots;
            self.event(Event::SlotsChanged { slots })?;
        }
        Ok(())
    }

    /// The target with the most room for one more attempt.
    pub(super) fn least_used(&self) -> usize {
        let used = |index: usize| {
            u64::try_from(
                self.followers
                    .values()
                    .filter(|follower| follower.target == index)
                    .count(),
            )
            .unwrap_or(0)
        };
        (0..self.targets.len())
            .max_by_key(|index| {
                let slots = self
                    .targets
                    .get(*index)
                    .and_then(|target| target.slots())
                    .unwrap_or(u64::MAX);
                (slots.saturating_sub(used(*index)), std::cmp::Reverse(*index))
            })
            .unwrap_or(0)
    }
}
