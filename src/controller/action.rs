//! What the driver must do: the outputs of the controller.

use crate::history::CancelCause;
use crate::space::Assignment;
use serde::{Deserialize, Serialize};

/// State of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum SweepState {
    /// Goes on.
    Running,
    /// Starts nothing new until resumed.
    Paused,
    /// Cancelling what runs.
    CancelRequested,
    /// Ended by itself, whatever the states of its trials.
    Completed,
    /// Nothing could run (first trials all failed), or the service failed.
    Failed,
    /// Cancelled by the user or by its duration.
    Canceled,
}

impl SweepState {
    /// Whether the state is final.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }

    /// The word, as in JSON and in the terminal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::CancelRequested => "CancelRequested",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
        }
    }
}

/// An output of the controller; to be performed after the records of the same batch are durable.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Start an attempt.
    Launch {
        /// Trial.
        trial: u64,
        /// Attempt, from 0.
        attempt: u32,
        /// Its values.
        assignment: Assignment,
    },
    /// End an attempt: TERM, grace, KILL of the whole tree. The answer is an `Exited` event.
    Cancel {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// Why.
        cause: CancelCause,
    },
    /// Stop the processes of an attempt for now. The answer is a `Frozen` or a `NotFrozen` event.
    Freeze {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
    },
    /// Let them go on. The answer is a `Thawed` event.
    Thaw {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
    },
    /// The sweep is over; nothing runs any more.
    End {
        /// Final state.
        state: SweepState,
        /// Why, in words.
        reason: String,
    },
}
