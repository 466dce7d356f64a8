//! Samplers: who proposes the next assignment.
//!
//! Pure. A sampler is a function of (seed, trial number, history): all randomness comes from [`crate::sampler::rng`]-style counter-based
//! streams, so that suggestion *n* never depends on how many draws came before it. A sampler may cache what it can rebuild.
//!
//! A new sampler is one file here and one row in [`crate::registry`]; the contract suite in `tests/it/contract` then runs on it.

use crate::history::History;
use crate::metric::Goal;
use crate::space::{Assignment, SearchSpace};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Serialisable settings of a sampler; stored with the sweep, so that a resume needs no original file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplerSpec {
    /// Registered name: `random`, `sobol`, `grid`, `bayesian`, ...
    pub kind: String,
    /// Seed of every draw of the sweep.
    pub seed: u64,
    /// Whether one configuration may be tried twice (random only; off by default).
    #[serde(default)]
    pub allow_duplicates: bool,
    /// Further settings by name; each sampler documents and validates its own.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub options: serde_json::Map<String, serde_json::Value>,
}

/// What a model expected of a proposal, in units of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Predictive mean (or median, where the sampler models a transformed metric).
    pub mean: f64,
    /// Lower end of the central 90 % interval.
    pub low: f64,
    /// Upper end of the central 90 % interval.
    pub high: f64,
}

/// Where a proposal came from; shown by `overdrive why`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Registered name of the sampler, or `enqueue`.
    pub sampler: String,
    /// How it was found, in words: `independent draw`, `scrambled Sobol point 3`, `grid point 17`, `largest log-EI of 1,412 candidates`.
    pub method: String,
    /// What was expected of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Prediction>,
    /// Further facts, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// An assignment to try, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The values.
    pub assignment: Assignment,
    /// Their origin.
    pub origin: Origin,
}

/// Answer of a sampler.
#[derive(Clone, Debug, PartialEq)]
pub enum Suggestion {
    /// Try this.
    Next(Box<Proposal>),
    /// Nothing left to try; the text says why (for instance `all 9 configurations of the space have been tried`).
    Exhausted(String),
}

/// Proposes assignments.
pub trait Sampler: Send {
    /// The assignment of trial `number`. Pending trials are those of `history` that are not terminal.
    /// Must not depend on anything but the spec, the space, `number` and `history`.
    fn suggest(&mut self, number: u64, history: &History) -> Suggestion;
}

/// Why a sampler cannot be built.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum SamplerError {
    /// No sampler of that name.
    #[error("no sampler is called `{0}`")]
    Unknown(String),
    /// The sampler cannot serve this space.
    #[error("`{sampler}` cannot sample `{parameter}`: {reason}")]
    Space {
        /// Sampler.
        sampler: &'static str,
        /// Parameter at fault.
        parameter: String,
        /// Why.
        reason: String,
    },
    /// An option has a wrong name or value.
    #[error("`{sampler}` option `{option}`: {reason}")]
    Option {
        /// Sampler.
        sampler: &'static str,
        /// Option at fault.
        option: String,
        /// Why.
        reason: String,
    },
}

/// Builds the sampler that `spec` names.
///
/// # Errors
/// [`SamplerError`] if the name is unknown, an option is wrong or the space does not suit the sampler.
pub fn build(
    spec: &SamplerSpec,
    space: Arc<SearchSpace>,
    goal: Goal,
) -> Result<Box<dyn Sampler>, SamplerError> {
    let _ = (space, goal);
    Err(SamplerError::Unknown(spec.kind.clone()))
}
