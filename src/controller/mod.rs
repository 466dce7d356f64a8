//! The controller: a pure state machine that decides what a sweep does next.
//!
//! `handle(now, event) -> Batch { records, actions }`. The driver makes the records durable, then performs the actions. The
//! controller knows no clock, process, file, network or thread; `now` is milliseconds since the sweep was created, counted by the
//! driver, across restarts. Three drivers exist: `engine` (real time), `sim` (virtual time), and a caller's own loop (ask/tell).
//!
//! An action is idempotent by (trial, attempt). Impossible events are recorded as anomalies, never panics.

pub mod action;
pub mod event;
pub mod fold;
mod machine;
pub mod placement;
pub mod record;
mod restore;
mod state;
pub mod stop_when;
mod trial;

pub use action::{Action, SweepState};
pub use event::{Event, FailureClass, Outcome};
pub use machine::Controller;
pub use record::{Batch, Record};
pub use restore::RestoreError;
pub use state::{AttemptState, Incumbent, Losses, Progress, Snapshot};
pub use stop_when::StopWhen;

use crate::metric::Goal;
use serde::{Deserialize, Serialize};

/// Limits of a sweep; may be changed while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Trials ever created (`max_total_runs`), >= 1.
    pub max_total: u64,
    /// Trials alive at a time (`max_concurrent_runs`), >= 1.
    pub max_concurrent: u64,
    /// Duration of the sweep in milliseconds since its creation; running trials are cancelled then.
    pub max_duration_ms: Option<u64>,
}

/// What the controller must know of an experiment besides sampler and policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Direction of the primary metric.
    pub goal: Goal,
    /// Limits at the start.
    pub limits: Limits,
    /// End the sweep as `Failed` when the first n trials that ended all failed without a report of theirs, whatever others that still
    /// run have reported; 0 = never.
    pub abort_after_initial_failures: u64,
    /// New attempts of one trial after infrastructure faults (lost runner, node failure). Preemption and short resources do not
    /// count: they have a patience of their own, but with 0 a trial that had begun is never tried again.
    pub max_retries: u32,
}

#[cfg(test)]
mod tests;
