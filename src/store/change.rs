//! What a leader writes: the controller's records, and what it learnt besides.

use crate::controller::Record;
use crate::process::Identity;

/// One thing to make durable. All changes of one [`super::SweepWriter::apply`] become durable together or not at all.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// A record of the controller.
    Record(Record),
    /// Where an attempt will run; follows its `AttemptCreated` in the same batch.
    Placed {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// Random text of its folder's name.
        nonce: String,
        /// Its folder.
        folder: String,
        /// Name of its target.
        target: String,
        /// Boot id of this machine now.
        boot_id: String,
    },
    /// A runner claimed the attempt.
    Claimed {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// The runner's process.
        runner: Identity,
    },
    /// The script was started.
    Started {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// The whole argument list.
        argv: Vec<String>,
    },
    /// A number other than the primary metric (that one comes as [`Record::Observed`]).
    Point {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// Metric name.
        name: String,
        /// Value; NaN and infinities are kept.
        value: f64,
        /// Step as given.
        step: Option<i64>,
        /// Milliseconds since the start of the attempt.
        elapsed_ms: u64,
    },
    /// A parameter, tag or property that the script set.
    Fact {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// `param`, `tag`, `property`, `status`.
        kind: String,
        /// Key.
        key: String,
        /// Value.
        value: String,
    },
    /// A file that the script handed over.
    Artifact {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// `file`, `image`, `table`, `text`, `model`.
        kind: String,
        /// Name by the script.
        name: String,
        /// Path relative to the attempt's folder.
        path: String,
    },
    /// Something worth telling people; becomes an event of kind `warning`.
    Warning {
        /// Trial, if it is about one.
        trial: Option<u64>,
        /// Attempt, if it is about one.
        attempt: Option<u32>,
        /// Stable slug.
        code: String,
        /// One sentence.
        message: String,
    },
    /// All journal frames below `next` are in the store.
    Followed {
        /// Trial.
        trial: u64,
        /// Attempt.
        attempt: u32,
        /// Sequence number of the next frame to take in.
        next: u64,
    },
    /// A request was carried out, or refused for the reason given.
    Handled {
        /// Its id.
        request: i64,
        /// Why it was refused.
        error: Option<String>,
    },
    /// What was prepared once for the whole sweep (snapshot, environment), as the engine's document.
    Prepared(serde_json::Value),
}

/// How hard a commit must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives the death of the process; of the machine, if older than a second.
    Process,
    /// Survives the death of the machine from the return of the call on.
    Machine,
}
