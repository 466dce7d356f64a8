//! What the store must keep: every change of the sweep's state, in order.

use crate::controller::{Action, Limits, Outcome, Resident, SweepState};
use crate::history::{CancelCause, TrialState};
use crate::metric::Observation;
use crate::policy::{Stop, Thaw};
use crate::sampler::Origin;
use crate::space::Assignment;
use serde::{Deserialize, Serialize};

/// One change, to be made durable before the actions of its batch are performed. Times are the `now` of the event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// A trial exists from now on (state `Queued`).
    TrialCreated {
        /// Trial.
        trial: u64,
        /// Its values.
        assignment: Assignment,
        /// Where they come from.
        origin: Origin,
    },
    /// An attempt of a trial is about to be launched.
    AttemptCreated {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
    },
    /// An attempt ended.
    AttemptEnded {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// How.
        outcome: Outcome,
        /// Whether another attempt follows (this one is superseded).
        superseded: bool,
    },
    /// A trial changed its state.
    TrialState {
        /// Trial.
        trial: u64,
        /// New state.
        state: TrialState,
        /// Who cancelled it, for `CancelRequested` and `Canceled`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<CancelCause>,
        /// One line for people, if there is more to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A report of the primary metric was taken in. `accepted` is false for reports that came after a stop decision.
    Observed {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// Interval (1-based) if accepted.
        interval: u64,
        /// The report.
        observation: Observation,
        /// Whether policies and samplers see it.
        accepted: bool,
    },
    /// The policy decided to stop a trial.
    Stopped(Stop),
    /// The policy decided to freeze a trial.
    Freeze(Stop),
    /// The trial stands still; its place is free.
    Frozen {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// What it holds.
        #[serde(flatten)]
        resident: Resident,
    },
    /// The policy decided that a frozen trial goes on; its place is taken from here on.
    Thaw(Thaw),
    /// It goes on.
    Thawed {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
    },
    /// A trial became the best.
    Incumbent {
        /// Trial.
        trial: u64,
        /// Its value.
        value: f64,
        /// The interval at which it came.
        interval: u64,
    },
    /// A configuration waits to be tried before the sampler's.
    Enqueued {
        /// The values.
        assignment: Assignment,
    },
    /// The limits changed.
    LimitsChanged(Limits),
    /// The sampler has nothing left, or nothing more is wanted of it.
    Exhausted {
        /// Why, in words.
        reason: String,
        /// The condition of `stop_when` holds: enqueued configurations are not started either.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stopped: bool,
    },
    /// The sweep changed its state.
    SweepState {
        /// New state.
        state: SweepState,
        /// Why, in words.
        reason: String,
    },
    /// Something that cannot happen by the rules, kept for diagnosis.
    Anomaly {
        /// What.
        message: String,
    },
}

/// What one event led to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// First make these durable ...
    pub records: Vec<Record>,
    /// ... then do these.
    pub actions: Vec<Action>,
}
