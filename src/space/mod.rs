//! Search spaces: parameters, their distributions, conditions and constraints, and the assignments drawn from them.
//!
//! Pure: no clock, file, process or global randomness. `config` builds a [`SearchSpace`] from a user's file, samplers draw
//! [`Assignment`]s from it, `encode` maps assignments to the unit cube and back for the model-based samplers.
//!
//! A conditional space is flat here: parents come before their children, and a child names the options of its parent under
//! which it is active ([`Condition`]). A *branch selector* (a `choice` whose options are maps) is a parameter whose values are
//! the branch indices; how a branch is shown to the script is the business of `config`.

pub mod constraint;
mod distribution;
mod domain;
pub mod encode;
pub mod features;
mod fingerprint;
mod named;
pub mod normal;
pub mod rng;
mod validate;
mod value;

pub use constraint::{Constraint, ConstraintError};
pub use distribution::{Levels, quantize};
pub use domain::Domain;
pub use fingerprint::Fingerprint;
pub use named::NamedError;
pub use validate::SpaceError;
pub use value::{Value, python_repr};

use serde::{Deserialize, Serialize};

/// One of the ten HyperDrive expressions, or a native integer range (used by ask/tell and the benchmark problems).
///
/// Bounds are natural units except where said. Rounding of the quantized forms is half-to-even on `u / q` and the result is
/// not clipped to the bounds (the documented formula).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Distribution {
    /// One of `options`, each with equal probability (duplicates count twice).
    Choice {
        /// The literal options in file order; at least one.
        options: Vec<Value>,
        /// Whether the options are ordered numbers on one axis; `None` lets the sampler decide from the values.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ordered: Option<bool>,
    },
    /// Integer uniform on `0..upper`.
    Randint {
        /// Exclusive upper bound, > 0.
        upper: i64,
    },
    /// Integer uniform on `low..=high`, uniform in the logarithm if `log`.
    Int {
        /// Inclusive lower bound (> 0 if `log`).
        low: i64,
        /// Inclusive upper bound.
        high: i64,
        /// Uniform in ln v.
        log: bool,
    },
    /// Uniform real on `[low, high]`.
    Uniform {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// `round(U(low, high) / q) * q`.
    Quniform {
        /// Lower bound of the draw.
        low: f64,
        /// Upper bound of the draw.
        high: f64,
        /// Quantum, > 0.
        q: f64,
    },
    /// `base ^ U(low, high)`; `low` and `high` are logarithms to `base`.
    Loguniform {
        /// Logarithm of the lower bound.
        low: f64,
        /// Logarithm of the upper bound.
        high: f64,
        /// Base of the logarithm (e unless a v2 `logbase` says otherwise).
        #[serde(default = "e")]
        base: f64,
    },
    /// `round(base ^ U(low, high) / q) * q`.
    Qloguniform {
        /// Logarithm of the lower bound.
        low: f64,
        /// Logarithm of the upper bound.
        high: f64,
        /// Quantum, > 0.
        q: f64,
        /// Base of the logarithm.
        #[serde(default = "e")]
        base: f64,
    },
    /// Normal with mean `mu`, standard deviation `sigma` (0 = constant).
    Normal {
        /// Mean.
        mu: f64,
        /// Standard deviation, >= 0.
        sigma: f64,
    },
    /// `round(N(mu, sigma) / q) * q`.
    Qnormal {
        /// Mean.
        mu: f64,
        /// Standard deviation, >= 0.
        sigma: f64,
        /// Quantum, > 0.
        q: f64,
    },
    /// `base ^ N(mu, sigma)`.
    Lognormal {
        /// Mean of the logarithm.
        mu: f64,
        /// Standard deviation of the logarithm, >= 0.
        sigma: f64,
        /// Base of the logarithm.
        #[serde(default = "e")]
        base: f64,
    },
    /// `round(base ^ N(mu, sigma) / q) * q`.
    Qlognormal {
        /// Mean of the logarithm.
        mu: f64,
        /// Standard deviation of the logarithm, >= 0.
        sigma: f64,
        /// Quantum, > 0.
        q: f64,
        /// Base of the logarithm.
        #[serde(default = "e")]
        base: f64,
    },
}

fn e() -> f64 {
    std::f64::consts::E
}

/// When a parameter exists: only if its parent is active and took one of the named options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Condition {
    /// Index of the parent in [`SearchSpace::parameters`]; smaller than the child's own index; a [`Distribution::Choice`].
    pub parent: usize,
    /// Option indices of the parent under which the child is active; never empty.
    pub options: Vec<usize>,
}

/// One dimension of the space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Parameter {
    /// Unique name as declared by the user, dashes included. Inner parameters of nested v2 spaces use `outer/0/inner` paths.
    pub name: String,
    /// How values are drawn.
    pub distribution: Distribution,
    /// Under which choice of another parameter it exists; `None` = always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// An ordered list of parameters, parents before children, and the constraints between them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct SearchSpace {
    /// The parameters in file order.
    pub parameters: Vec<Parameter>,
    /// Conditions between parameters as written by the user, for instance `layers * width <= 4096`; an assignment that breaks one is never suggested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
}

/// The values of one trial, aligned with [`SearchSpace::parameters`]; `None` = inactive under its condition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Assignment {
    /// One entry per parameter.
    pub values: Vec<Option<Value>>,
}

impl SearchSpace {
    /// Number of parameters, active or not.
    pub fn len(&self) -> usize {
        self.parameters.len()
    }

    /// Whether the space has no parameter.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// Index of the parameter called `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.parameters
            .iter()
            .position(|parameter| parameter.name == name)
    }
}
