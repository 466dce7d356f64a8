//! Freezing and thawing: wishes are delivered until they are, and renewed as long as somebody is to stay frozen.

use super::EngineError;
use super::drive::{AGAIN_MS, Driver, Key};
use crate::controller::{Event, HoldPhase};
use crate::target::TargetError;

/// How often a runner is told that its script is still to be frozen; it gives up after a day without a word.
const RENEW_MS: u64 = 600_000;

/// What is to be delivered.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// The request by which it is frozen; `None` = it is to go on.
    pub(super) request: Option<String>,
    /// When to say it (again).
    pub(super) due: u64,
}

impl Driver {
    /// Wants an attempt frozen, or to go on.
    pub(super) fn hold(&mut self, key: Key, freeze: bool) -> Result<(), EngineError> {
        let now = self.now();
        let request = freeze.then(|| now.to_string());
        self.wishes.insert(key, Wish { request, due: 0 });
        self.deliver_wishes()
    }

    /// Takes up what an earlier controller wanted.
    pub(super) fn adopt_wishes(&mut self) {
        let holds: Vec<(u64, HoldPhase)> = self
            .controller
            .snapshot()
            .progress
            .frozen
            .iter()
            .map(|(trial, hold)| (*trial, hold.phase))
            .collect();
        let now = self.now();
        for (trial, phase) in holds {
            let Some((key, _)) = self.followers.range((trial, 0)..=(trial, u32::MAX)).next_back() else {
                continue;
            };
            let key = *key;
            // Said again with the same text it only renews what was said.
            let request = (phase != HoldPhase::Leaving).then(|| now.to_string());
            self.wishes.insert(key, Wish { request, due: 0 });
        }
        self.count_still();
    }

    /// Says what is due.
    pub(super) fn deliver_wishes(&mut self) -> Result<(), EngineError> {
        let now = self.now();
        let due: Vec<(Key, Option<String>)> = self
            .wishes
            .iter()
            .filter(|(_, wish)| wish.due <= now)
            .map(|(key, wish)| (*key, wish.request.clone()))
            .collect();
        for (key, request) in due {
            let Some(follower) = self.followers.get(&key) else {
                self.wishes.remove(&key);
                continue;
            };
            let Some(target) = self.targets.get(follower.target) else {
                continue;
            };
            if request.is_some() && (!target.can_freeze() || !self.launcher.can_freeze()) {
                let reason = format!("trials on `{}` cannot be", target.name());
                self.wishes.remove(&key);
                self.event(Event::NotFrozen {
                    trial: key.0,
                    attempt: key.1,
                    reason,
                })?;
                continue;
            }
            let done = match &request {
                Some(request) => target.freeze(&follower.attempt, request),
                None => target.thaw(&follower.attempt),
            };
            match (done, self.wishes.get_mut(&key)) {
                (Ok(()), Some(wish)) if wish.request.is_some() => wish.due = now + RENEW_MS,
                (Ok(()), _) => {
                    self.wishes.remove(&key);
                }
                // The folder is gone with whatever ran in it: its end will be told.
                (Err(TargetError::Refused { .. }), Some(wish)) => wish.due = now + 10 * AGAIN_MS,
                (Err(_), Some(wish)) => wish.due = now + AGAIN_MS,
                (Err(_), None) => {}
            }
        }
        Ok(())
    }

    /// Which frozen trials cannot go on now: those on targets that are full.
    pub(super) fn bind(&mut self) {
        if self.targets.len() < 2 {
            return;
        }
        let full = |trial: &u64| {
            self.target_of(*trial)
                .is_some_and(|target| !self.placement.room_on(target))
        };
        let bound: Vec<u64> = self.controller.still().filter(full).collect();
        self.controller.cannot_thaw(bound);
    }

    /// Tells the placement whose slots are free though their attempts have not ended.
    pub(super) fn count_still(&mut self) {
        let still = self.controller.still().filter_map(|trial| self.target_of(trial));
        let still: Vec<usize> = still.collect();
        self.placement.stand_still(still);
    }

    /// Where the latest attempt of a trial is.
    fn target_of(&self, trial: u64) -> Option<usize> {
        let mut followers = self.followers.range((trial, 0)..=(trial, u32::MAX));
        followers.next_back().map(|(_, follower)| follower.target)
    }
}
