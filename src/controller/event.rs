//! What happens to a sweep: the inputs of the controller.

use crate::controller::{Limits, Resident};
use crate::metric::Observation;
use crate::space::Assignment;
use serde::{Deserialize, Serialize};

/// Why an attempt did not end well; decides what is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The script itself: non-zero exit or a signal of its own. Never retried.
    Script,
    /// Killed for memory. Never retried; the sampler learns to avoid it.
    OutOfMemory,
    /// The trial's time limit.
    TimeLimit,
    /// The scheduler took the resources away. Retried.
    Preempted,
    /// The machine, the runner or the target failed. Retried.
    Infrastructure,
    /// Resources of the machine ran short before the script began (processes, descriptors, memory). Retried, with patience.
    Exhausted,
    /// The attempt could not be started because of the user's files (missing script, environment that cannot be built). Never retried.
    Setup,
}

/// How an attempt ended, told by its journal or by proof of death.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Exit code 0.
    Completed,
    /// Anything else that was not asked for.
    Failed {
        /// Class.
        class: FailureClass,
        /// Exit code, if it exited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// Signal number, if one ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// One line for people: `exit 1: ModuleNotFoundError: No module named 'torch'`.
        message: String,
    },
    /// The cancel that was asked for is done; the whole process tree is gone.
    Canceled,
}

impl Outcome {
    /// Whether nothing but the machinery is to blame, so that another attempt is due.
    pub fn is_infrastructure(&self) -> bool {
        matches!(
            self,
            Self::Failed {
                class: FailureClass::Preempted | FailureClass::Infrastructure | FailureClass::Exhausted,
                ..
            }
        )
    }
}

/// An input of the controller.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Nothing but time.
    Tick,
    /// The compute targets can hold this many trials at once.
    SlotsChanged {
        /// Total slots, taken ones included.
        slots: u64,
    },
    /// A runner claimed the attempt and prepares it.
    Claimed {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
    },
    /// The script was started.
    Started {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
    },
    /// The script reported the primary metric.
    Reported {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// What it reported.
        observation: Observation,
    },
    /// The attempt ended.
    Exited {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// How.
        outcome: Outcome,
    },
    /// The processes of the attempt stand still, as was asked for.
    Frozen {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// What they hold.
        resident: Resident,
    },
    /// They go on.
    Thawed {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
    },
    /// They cannot be stopped for a while.
    NotFrozen {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// Why, in words.
        reason: String,
    },
    /// The attempt's fate is unknown (`true`) or known again (`false`).
    Unresponsive {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// Whether it is out of contact now.
        lost_contact: bool,
    },
    /// Cancel one trial, by the user.
    CancelTrial {
        /// Trial.
        trial: u64,
    },
    /// Cancel the sweep: start nothing, cancel everything.
    CancelSweep {
        /// Why, in words.
        reason: String,
    },
    /// Start nothing until resumed; running trials go on.
    Pause {
        /// Why, in words.
        reason: String,
    },
    /// Take a [`Event::CancelSweep`] back: the sweep is paused, and trials that did not end yet count as running again. For a driver
    /// that lets go right after (the policy has dropped those trials, and takes them up again at the restore).
    Withdraw,
    /// Go on after [`Event::Pause`].
    Resume,
    /// Change the limits.
    SetLimits(Limits),
    /// Try this configuration before asking the sampler again.
    Enqueue {
        /// The values.
        assignment: Assignment,
    },
    /// Try the configuration of an ended trial once more, as a new trial.
    Rerun {
        /// The ended trial.
        trial: u64,
    },
}

impl Event {
    /// The event's name in snake case, for messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::SlotsChanged { .. } => "slots_changed",
            Self::Claimed { .. } => "claimed",
            Self::Started { .. } => "started",
            Self::Reported { .. } => "reported",
            Self::Exited { .. } => "exited",
            Self::Frozen { .. } => "frozen",
            Self::Thawed { .. } => "thawed",
            Self::NotFrozen { .. } => "not_frozen",
            Self::Unresponsive { .. } => "unresponsive",
            Self::CancelTrial { .. } => "cancel_trial",
            Self::CancelSweep { .. } => "cancel_sweep",
            Self::Pause { .. } => "pause",
            Self::Withdraw => "withdraw",
            Self::Resume => "resume",
            Self::SetLimits(_) => "set_limits",
            Self::Enqueue { .. } => "enqueue",
            Self::Rerun { .. } => "rerun",
        }
    }
}
