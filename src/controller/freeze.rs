//! Freezing and thawing: whose place goes to another trial for a while, and who goes on in a place that is free.
//!
//! The policy says whom to freeze and whom to thaw; here is what holds whatever it says. A trial that is to be frozen keeps its place
//! until its runner says that it stands still; one that is thawed takes its place with the decision. There is a limit of how many may be
//! frozen, and of the memory that they hold on one machine: beyond it the least promising is stopped for good. Where a trial cannot be
//! frozen it is stopped as if the policy knew of nothing else. When nothing new will begin and nothing runs, the policy says who goes on
//! all the same, and the others are stopped.

use crate::controller::machine::Controller;
use crate::controller::state::{Hold, HoldPhase};
use crate::controller::{Action, Batch, Record, SweepState};
use crate::history::{CancelCause, TrialState};
use crate::policy::{Stop, Thaw};
use serde::{Deserialize, Serialize};

/// How much may be frozen at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct FreezeLimits {
    /// Trials; 0 = none.
    pub max_frozen: u64,
    /// Memory of them on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<FrozenMemory>,
}

/// Memory that frozen trials may hold on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FrozenMemory {
    /// In bytes.
    Bytes(u64),
    /// As a share of the machine's, above 0 and at most 1.
    Share(f64),
}

impl FreezeLimits {
    /// As many as the policy wants.
    pub const NONE: Self = Self {
        max_frozen: u64::MAX,
        memory: None,
    };
    /// What holds unless the files say otherwise: 32 trials, half of the memory.
    pub const USUAL: Self = Self {
        max_frozen: 32,
        memory: Some(FrozenMemory::Share(0.5)),
    };

    /// Bytes that frozen trials may hold on a machine with so many; `None` = no limit, or unknown.
    fn bytes(&self, machine: u64) -> Option<u64> {
        match self.memory? {
            FrozenMemory::Bytes(bytes) => Some(bytes),
            FrozenMemory::Share(_) if machine == 0 => None,
            FrozenMemory::Share(share) => Some((share * machine as f64) as u64),
        }
    }
}

/// What a runner says of a tree that stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resident {
    /// Memory that the tree holds, in bytes.
    pub resident: u64,
    /// Memory of its machine, in bytes; 0 = unknown.
    pub machine: u64,
    /// Name of its machine.
    pub host: String,
}

impl Controller {
    /// How much may be frozen; without a limit unless said otherwise. To be called before the first event, after a restore too.
    pub fn freeze_within(&mut self, limits: FreezeLimits) {
        self.freeze_limits = limits;
    }

    /// Frozen trials that cannot go on now because their place is taken, whatever else is free. Holds until the next call.
    pub fn cannot_thaw(&mut self, trials: impl IntoIterator<Item = u64>) {
        self.bound = trials.into_iter().collect();
    }

    /// Trials that take a place: all that have an attempt under way, but for those that stand still.
    pub fn occupied(&self) -> u64 {
        (self.live.len() - self.waiting.len()) as u64 - self.still().count() as u64
    }

    /// Trials that stand still, ascending.
    pub fn still(&self) -> impl Iterator<Item = u64> + '_ {
        let holds = self.state.progress.frozen.iter();
        holds
            .filter(|(_, hold)| hold.phase == HoldPhase::Frozen)
            .map(|(trial, _)| *trial)
    }

    /// The policy would rather not have a trial go on now.
    pub(super) fn freeze(&mut self, stop: Stop, batch: &mut Batch) {
        let number = stop.trial;
        let Some((trial, attempt)) = self.current(number) else {
            return;
        };
        // One that is frozen already, or is going, or out of contact, is left as it is.
        if !matches!(
            trial.state,
            TrialState::Queued | TrialState::Preparing | TrialState::Running
        ) || !matches!(self.state(), SweepState::Running | SweepState::Paused)
        {
            return;
        }
        let words = format!(
            "by {} at interval {}: {}",
            stop.policy, stop.interval, stop.inequality
        );
        if !self.room_for(number, batch) || self.state.progress.stopped {
            self.record(batch, Record::Stopped(stop));
            self.cancel(number, CancelCause::Policy, Some(words), batch);
            return;
        }
        self.record(batch, Record::Freeze(stop));
        self.record(
            batch,
            Record::TrialState {
                trial: number,
                state: TrialState::Paused,
                cause: None,
                reason: Some(words),
            },
        );
        batch.actions.push(Action::Freeze {
            trial: number,
            attempt,
        });
    }

    /// Whether one more may be frozen; the least promising of those that are has made room then, unless it is this one.
    fn room_for(&mut self, number: u64, batch: &mut Batch) -> bool {
        let max = self.freeze_limits.max_frozen;
        let holds = self.state.progress.frozen.values();
        let held = holds.filter(|hold| hold.phase != HoldPhase::Leaving).count() as u64;
        if held < max {
            return true;
        }
        if max == 0 {
            return false;
        }
        let still: Vec<u64> = self.still().collect();
        match self.least_promising(&still) {
            Some((least, promise)) if promise < self.policy.promise(number) => {
                let reason = format!("at most {max} may be frozen, and trial {number} promises more");
                self.dismiss(least, reason, batch);
                true
            }
            _ => false,
        }
    }

    /// Of equals the younger one.
    fn least_promising(&mut self, trials: &[u64]) -> Option<(u64, f64)> {
        let promises = trials.iter().map(|trial| (*trial, self.policy.promise(*trial)));
        promises.reduce(|least, other| if other.1 <= least.1 { other } else { least })
    }

    /// Its runner says that a trial stands still.
    pub(super) fn frozen(&mut self, number: u64, attempt: u32, resident: Resident, batch: &mut Batch) {
        if !self.is_current(number, attempt, "freeze", batch) {
            return;
        }
        let phase = self.state.progress.frozen.get(&number).map(|hold| hold.phase);
        if !matches!(phase, Some(HoldPhase::Asked | HoldPhase::Frozen)) {
            // Nobody wants that any more: it may be an answer to what was asked before.
            if self
                .entry(number)
                .is_some_and(|(trial, _)| trial.state == TrialState::Running)
            {
                batch.actions.push(Action::Thaw {
                    trial: number,
                    attempt,
                });
            }
            return;
        }
        let (host, machine) = (resident.host.clone(), resident.machine);
        self.record(
            batch,
            Record::Frozen {
                trial: number,
                attempt,
                resident,
            },
        );
        let Some(limit) = self.freeze_limits.bytes(machine) else {
            return;
        };
        loop {
            let there = |hold: &Hold| hold.phase == HoldPhase::Frozen && hold.resident.host == host;
            let holds = self.state.progress.frozen.iter().filter(|(_, hold)| there(hold));
            let (mut trials, mut bytes) = (Vec::new(), 0_u64);
            for (trial, hold) in holds {
                trials.push(*trial);
                bytes = bytes.saturating_add(hold.resident.resident);
            }
            if bytes <= limit {
                return;
            }
            let Some((least, _)) = self.least_promising(&trials) else {
                return;
            };
            let reason = format!(
                "frozen trials hold {} of memory on `{host}`, {} are allowed",
                mebibytes(bytes),
                mebibytes(limit)
            );
            self.dismiss(least, reason, batch);
        }
    }

    /// Its runner says that a trial goes on.
    pub(super) fn thawed(&mut self, number: u64, attempt: u32, batch: &mut Batch) {
        if !self.is_current(number, attempt, "thaw", batch) {
            return;
        }
        let hold = self.state.progress.frozen.get(&number);
        if hold.is_some_and(|hold| hold.phase == HoldPhase::Leaving) {
            self.record(
                batch,
                Record::Thawed {
                    trial: number,
                    attempt,
                },
            );
        }
    }

    /// A trial that was to be frozen cannot be: it is stopped, as without freezing.
    pub(super) fn not_frozen(&mut self, number: u64, attempt: u32, reason: &str, batch: &mut Batch) {
        if !self.is_current(number, attempt, "freeze", batch) {
            return;
        }
        let hold = self.state.progress.frozen.get(&number);
        if hold.is_some_and(|hold| hold.phase == HoldPhase::Asked) {
            self.dismiss(number, format!("it cannot be frozen: {reason}"), batch);
        }
    }

    /// A free place goes to a frozen trial, if the policy wants that; `last` = nothing new will begin.
    pub(super) fn thaw_one(&mut self, last: bool, batch: &mut Batch) -> bool {
        match self.thawable(last) {
            Some(thaw) => {
                self.thaw(thaw, batch);
                true
            }
            None => false,
        }
    }

    fn thawable(&mut self, last: bool) -> Option<Thaw> {
        let frozen: Vec<u64> = self.still().filter(|trial| !self.bound.contains(trial)).collect();
        if frozen.is_empty() {
            return None;
        }
        let thaw = self.policy.thaw(&frozen, last)?;
        frozen.contains(&thaw.trial).then_some(thaw)
    }

    fn thaw(&mut self, thaw: Thaw, batch: &mut Batch) {
        let number = thaw.trial;
        let Some((_, attempt)) = self.current(number) else {
            return;
        };
        let words = format!("thawed by {}: {}", thaw.policy, thaw.reason);
        self.record(batch, Record::Thaw(thaw));
        self.record(
            batch,
            Record::TrialState {
                trial: number,
                state: TrialState::Running,
                cause: None,
                reason: Some(words),
            },
        );
        batch.actions.push(Action::Thaw {
            trial: number,
            attempt,
        });
    }

    /// Stops those for good that will never go on.
    pub(super) fn settle_frozen(&mut self, batch: &mut Batch) {
        let open = matches!(self.state(), SweepState::Running | SweepState::Paused);
        let still: Vec<u64> = self.still().collect();
        if !open || still.is_empty() {
            return;
        }
        let reason = if self.state.progress.stopped {
            "nothing more is wanted of the sweep"
        } else if self.state() == SweepState::Running
            && !self.more_to_start()
            && self.waiting.is_empty()
            && self.occupied() == 0
            && self.bound.is_empty()
            && self.thawable(true).is_none()
        {
            "all others have ended, and none of them made it one of the best"
        } else {
            return;
        };
        for number in still {
            self.dismiss(number, reason.to_owned(), batch);
        }
    }

    fn dismiss(&mut self, number: u64, reason: String, batch: &mut Batch) {
        self.cancel(number, CancelCause::Policy, Some(reason), batch);
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
