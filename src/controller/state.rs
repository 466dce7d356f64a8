//! What a sweep is at one instant, as plain data: the fold of its records, and all that a controller needs to go on exactly.

use crate::controller::{FailureClass, Limits, Outcome, Settings, SweepState};
use crate::history::{History, TrialState};
use crate::space::Assignment;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// The best trial so far, in the order of arrival: a later equal value does not replace it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incumbent {
    /// Trial.
    pub trial: u64,
    /// Its best value.
    #[serde(with = "crate::metric::number")]
    pub value: f64,
    /// The interval (1-based) at which it came.
    pub interval: u64,
}

/// The facts about a sweep as a whole. Small; a store may keep it as one JSON column and move it on with
/// [`Progress::apply`](crate::controller::fold).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Whether the sweep has any record; if not, it is started with `Controller::new` instead of `Controller::restore`.
    pub begun: bool,
    /// State of the sweep.
    pub state: SweepState,
    /// Why it is in that state, in words.
    pub reason: String,
    /// Limits in force.
    pub limits: Limits,
    /// Why the sampler has nothing left, once it said so.
    pub exhausted: Option<String>,
    /// Best trial so far.
    pub incumbent: Option<Incumbent>,
    /// Trials that failed without a report before any ended otherwise; see [`Settings::abort_after_initial_failures`].
    pub initial_failures: u64,
    /// Whether any trial ever ended otherwise than failed without a report.
    pub sign_of_life: bool,
    /// Trials with an accepted report, as long as nothing is known of the scripts (no `sign_of_life`); empty from then on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reported: BTreeSet<u64>,
    /// Trials that completed or were stopped since the best value came.
    #[serde(default)]
    pub since_best: u64,
    /// Whether the condition of `stop_when` has held: nothing is started any more.
    #[serde(default)]
    pub stopped: bool,
}

impl Progress {
    /// A sweep that has not begun.
    pub fn new(limits: Limits) -> Self {
        Self {
            begun: false,
            state: SweepState::Running,
            reason: String::new(),
            limits,
            exhausted: None,
            incumbent: None,
            initial_failures: 0,
            sign_of_life: false,
            reported: BTreeSet::new(),
            since_best: 0,
            stopped: false,
        }
    }
}

/// Attempts of one trial that were superseded, by what took them: each has a patience of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Lost to the machinery: a dead runner, machine or target.
    pub faults: u32,
    /// Lost to a scheduler that took their place.
    pub preempted: u32,
    /// Never begun, for lack of resources.
    pub exhausted: u32,
}

impl Losses {
    /// The count of failures of `class`; none of those that are never retried.
    pub fn of(&mut self, class: FailureClass) -> Option<&mut u32> {
        match class {
            FailureClass::Infrastructure => Some(&mut self.faults),
            FailureClass::Preempted => Some(&mut self.preempted),
            FailureClass::Exhausted => Some(&mut self.exhausted),
            FailureClass::Script
            | FailureClass::OutOfMemory
            | FailureClass::TimeLimit
            | FailureClass::Setup => None,
        }
    }

    /// One more superseded attempt that ended with `outcome`.
    pub fn count(&mut self, outcome: &Outcome) {
        if let Outcome::Failed { class, .. } = outcome
            && let Some(count) = self.of(*class)
        {
            *count = count.saturating_add(1);
        }
    }
}

/// Where the attempts of one trial stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptState {
    /// Attempts created so far; the latest has the number `created - 1`.
    pub created: u32,
    /// Whether the latest attempt has not ended.
    pub alive: bool,
    /// How far the latest attempt got: `Queued`, `Preparing` or `Running`.
    pub phase: TrialState,
    /// What earlier attempts were lost to.
    #[serde(default)]
    pub losses: Losses,
}

impl AttemptState {
    /// No attempt yet.
    pub const NONE: Self = Self {
        created: 0,
        alive: false,
        phase: TrialState::Queued,
        losses: Losses {
            faults: 0,
            preempted: 0,
            exhausted: 0,
        },
    };

    /// Number of the attempt that is alive.
    pub fn current(self) -> Option<u32> {
        if self.alive {
            self.created.checked_sub(1)
        } else {
            None
        }
    }
}

/// All of a sweep that decisions depend on.
///
/// A store builds it from its tables for [`Controller::restore`](crate::controller::Controller::restore); it must equal
/// [`fold::fold`](crate::controller::fold::fold) of the sweep's records.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The sweep as a whole.
    pub progress: Progress,
    /// Trials with their accepted reports (those of superseded attempts left out), and the inherited ones.
    ///
    /// `inherited` is no part of the records: the driver fills it in from the earlier sweeps before a restore.
    pub history: History,
    /// Attempts, by trial number.
    pub attempts: Vec<AttemptState>,
    /// Enqueued configurations that no trial has used yet, in order.
    pub enqueued: VecDeque<Assignment>,
}

impl Snapshot {
    /// The state before the first record.
    pub fn new(settings: &Settings) -> Self {
        Self {
            progress: Progress::new(settings.limits),
            history: History::new(settings.goal),
            attempts: Vec::new(),
            enqueued: VecDeque::new(),
        }
    }
}
