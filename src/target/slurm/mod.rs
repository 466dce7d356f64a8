//! A Slurm cluster as a compute target: a job per trial, or jobs that take one trial after the other.
//!
//! A job is found by its name, which carries the attempt's random text, so that a submission of which nobody knows whether it was
//! taken is looked for before it is repeated. One look at the queue serves all jobs. What a cluster's queue has in common with
//! others is in [`queue`](super::queue). See `docs/design/remote.md`.

mod bench;
mod cluster;
mod job;
mod options;
mod probe;
mod settings;
pub mod worker;

pub use options::{SlurmOptions, SlurmProblem};
pub use probe::{here, probe};
pub use settings::KIND;

use super::queue::{QueueTarget, Terms};
use cluster::Slurm;
use std::path::PathBuf;

/// The cluster of `options` under `name`. `scratch` is a folder that every node sees, `program` this program's file.
pub(in crate::target) fn target(
    name: String,
    options: SlurmOptions,
    scratch: PathBuf,
    program: PathBuf,
) -> QueueTarget<Slurm> {
    let terms = Terms {
        name,
        slots: options.slots,
        workers: options.workers,
        poll_seconds: options.poll_seconds,
        scratch,
        program,
    };
    QueueTarget::new(terms, Slurm::new(options))
}
