//! What the engine tells while it works. For display: a slow reader loses some of it; the store has everything.

use crate::controller::{Record, SweepState};

/// One thing to show.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// A record was made durable.
    Record {
        /// Milliseconds since the sweep's creation.
        now_ms: u64,
        /// The record.
        record: Record,
    },
    /// A runner was started for an attempt.
    Launched {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// Name of the compute target.
        target: String,
        /// The attempt's folder.
        folder: String,
    },
    /// A running attempt of an earlier controller was found again.
    Adopted {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
    },
    /// A runner, or the engine, has something to tell people.
    Warning {
        /// Trial, if it is about one.
        trial: Option<u64>,
        /// Stable slug.
        code: String,
        /// One sentence.
        message: String,
    },
}

/// How the leading of a sweep ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The sweep is over.
    Ended {
        /// Final state.
        state: SweepState,
        /// Why, in words.
        reason: String,
    },
    /// This process was told to let go; trials run on and the sweep can be resumed.
    Detached {
        /// Trials that have not ended.
        live: u64,
    },
}
