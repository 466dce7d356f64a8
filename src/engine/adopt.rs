//! Taking up a sweep: what runs is found again, what was decided and not started is started, what is lost is told so.

use super::drive::{Driver, Key};
use super::follow::{Adopting, Follower};
use super::submit::Submission;
use super::{EngineError, Progress, outcome};
use crate::controller::Outcome;
use crate::history::TrialState;
use crate::store::OpenAttempt;
use crate::target::{AttemptRef, Liveness};
use std::path::PathBuf;
use std::sync::Arc;

impl Driver {
    /// Takes every attempt that has no outcome up again, before anything new is decided.
    pub(super) fn adopt(&mut self) -> Result<(), EngineError> {
        self.learn()?;
        let open = self.writer.store().open_attempts(self.writer.sweep())?;
        for attempt in open {
            self.adopt_one(attempt)?;
        }
        Ok(())
    }

    /// What earlier controllers learned about the targets, from the same facts.
    fn learn(&mut self) -> Result<(), EngineError> {
        if self.targets.len() < 2 && self.placement.spent().is_none() {
            return Ok(());
        }
        for ended in self.writer.store().ended_attempts(self.writer.sweep())? {
            let Some(index) = self.names.get(&ended.target).copied() else {
                continue;
            };
            self.placement.placed(index);
            let took = ended.ended_ms.saturating_sub(ended.created_ms);
            // It was told when it happened.
            let _ = self.placement.ended(ended.ended_ms, index, took, &ended.outcome);
            if ended.superseded {
                self.lost_on.insert(ended.trial, index);
            }
        }
        self.controller.spent(self.placement.spent());
        Ok(())
    }

    fn adopt_one(&mut self, open: OpenAttempt) -> Result<(), EngineError> {
        let key = (open.trial, open.attempt);
        let Some(index) = self.names.get(&open.target).copied() else {
            return Err(EngineError::NoTarget(open.target));
        };
        let Some(target) = self.targets.get(index).map(Arc::clone) else {
            return Ok(());
        };
        let reference = AttemptRef {
            trial: open.trial,
            attempt: open.attempt,
            folder: PathBuf::from(open.folder),
        };
        let primary = self
            .launcher
            .experiment
            .metric
            .as_ref()
            .map(|metric| metric.name.clone());
        let mut follower = Follower::new(
            reference.clone(),
            open.nonce,
            (index, open.created_ms),
            primary,
            open.journal_seq,
        );
        if !target.is_local() && open.journal_seq == 0 {
            follower.adopting = Some(Adopting {
                assignment: open.assignment.clone(),
                canceled: open.state == TrialState::CancelRequested,
            });
        }
        self.placement.placed(index);
        self.followers.insert(key, follower);
        if open.state == TrialState::CancelRequested {
            self.cancels.insert(key, 0);
        }
        let unclaimed = match target.follow(&[(reference.clone(), 0)]) {
            Ok(chunks) => chunks
                .iter()
                .any(|chunk| chunk.liveness == Liveness::Unclaimed && chunk.bytes.is_empty()),
            // Out of reach: nothing is known, so nothing is done.
            Err(_) => false,
        };
        if !unclaimed {
            self.show(Progress::Adopted {
                trial: open.trial,
                attempt: open.attempt,
            });
            return Ok(());
        }
        if target.is_local() && open.boot_id != crate::clock::boot_id() {
            // A power cut may have eaten the claim of a runner that did execute the script: never the same attempt again.
            let proof = "the machine was restarted before its runner's claim was on disk";
            return self.give_up(key, outcome::lost(proof));
        }
        if open.state == TrialState::CancelRequested && target.keep_others_out(&reference).unwrap_or(false) {
            return self.give_up(key, Outcome::Canceled);
        }
        // The decision is on record and perhaps a runner is on its way: whoever creates the claim executes, the other leaves.
        self.waiting.insert(key, Submission::new(open.assignment));
        Ok(())
    }

    /// A target that could not tell when the sweep was taken up says that nobody has claimed the attempt: it is submitted now.
    pub(super) fn unclaimed_after_all(&mut self, key: Key) {
        let Some(follower) = self.followers.get_mut(&key) else {
            return;
        };
        let Some(adopting) = follower.adopting.take() else {
            return;
        };
        if adopting.canceled {
            // Delivered to a target that has not started it, a cancel keeps it from ever starting.
            self.cancels.insert(key, 0);
        } else {
            self.waiting.insert(key, Submission::new(adopting.assignment));
        }
    }
}
