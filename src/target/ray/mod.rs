//! A Ray cluster as a compute target: a job per trial, or one job that runs all trials as tasks.
//!
//! A job's submission id carries the attempt's random text, so a submission of which nobody knows whether it was taken is simply
//! repeated. What a cluster's queue has in common with others is in [`queue`](super::queue). See `docs/design/ray.md`.

mod api;
mod cluster;
mod driver;
mod options;
mod probe;
mod settings;

pub use options::{RayOptions, RayProblem};
pub use settings::KIND;

use super::queue::{QueueTarget, Terms};
use cluster::Ray;
use std::path::PathBuf;

/// The cluster of `options` under `name`. `scratch` is a folder that every node sees, `program` this program's file.
pub(in crate::target) fn target(
    name: String,
    options: RayOptions,
    scratch: PathBuf,
    program: PathBuf,
) -> QueueTarget<Ray> {
    let terms = Terms {
        name,
        slots: options.slots,
        workers: options.workers,
        poll_seconds: options.poll_seconds,
        scratch,
        program,
    };
    QueueTarget::new(terms, Ray::new(options))
}
