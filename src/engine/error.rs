//! Why a sweep could not be led, or not any further.

use crate::controller::RestoreError;
use crate::sampler::SamplerError;
use crate::store::StoreError;

/// Errors of the engine. Trials that run go on under their runners; `overdrive resume` takes up where this left off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sampler cannot be built.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// The condition that ends the sweep early is not understood.
    #[error("`stop_when`: {0}")]
    StopWhen(crate::controller::stop_when::StopWhenError),
    /// What is stored contradicts itself.
    #[error("sweep `{sweep}` cannot be resumed: {source}")]
    Restore {
        /// The sweep.
        sweep: String,
        /// Why.
        source: RestoreError,
    },
    /// Nobody said how its trials are started.
    #[error("sweep `{0}` was never prepared: snapshot and environment are missing")]
    Unprepared(String),
    /// No compute target was given, or one that the sweep used is missing.
    #[error("compute target `{0}` is not there")]
    NoTarget(String),
    /// The sweep ended before.
    #[error("sweep `{sweep}` has ended: {state}")]
    Ended {
        /// The sweep.
        sweep: String,
        /// How.
        state: &'static str,
    },
    /// The thread that leads the sweep could not be started, or panicked.
    #[error("the controller's thread ended: {0}")]
    Thread(String),
}
