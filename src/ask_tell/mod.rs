//! Tuning from inside a program: ask for parameters, tell the result.
//!
//! A [`Study`] is a sweep without compute targets: the caller runs the trials. It drives the same controller, samplers and
//! policies as a sweep from a file. [`Protocol`] speaks the same thing in JSON lines with a program in any language.
//!
//! ```
//! use overdrive::ask_tell::{Study, float, log_float};
//!
//! # fn main() -> Result<(), overdrive::ask_tell::StudyError> {
//! let mut study = Study::minimize([float("x", -5.0, 5.0), log_float("rate", 1e-5, 1.0)])
//!     .sampler("random")
//!     .max_trials(20)
//!     .build()?;
//! while let Some(trial) = study.ask() {
//!     let loss = trial.f64("x").powi(2) + trial.f64("rate").log10().abs();
//!     study.tell(trial.number, loss)?;
//! }
//! assert_eq!(study.best().map(|best| best.value < 10.0), Some(true));
//! # Ok(()) }
//! ```
//!
//! With learning curves, [`Study::report`] each step and end the trial when the policy says [`Decision::Stop`].

mod options;
mod problem;
mod protocol;
mod study;

pub use options::{OptionError, parse_policy};
pub use problem::{Fidelity, ProblemError, ProblemParameter, ProblemType, When, search_space};
pub use protocol::{Protocol, ProtocolOptions};
pub use study::{Asked, Best, Builder, Decision, EarlierTrials, Study, StudyError};

use crate::space::{Distribution, Parameter, Value};

/// A real between `low` and `high`.
pub fn float(name: &str, low: f64, high: f64) -> Parameter {
    parameter(name, Distribution::Uniform { low, high })
}

/// A real between `low` and `high`, both > 0, uniform in its logarithm.
pub fn log_float(name: &str, low: f64, high: f64) -> Parameter {
    parameter(
        name,
        Distribution::Loguniform {
            low: low.ln(),
            high: high.ln(),
            base: std::f64::consts::E,
        },
    )
}

/// An integer between `low` and `high`, both included.
pub fn int(name: &str, low: i64, high: i64) -> Parameter {
    parameter(
        name,
        Distribution::Int {
            low,
            high,
            log: false,
        },
    )
}

/// An integer between `low` and `high`, both included and > 0, uniform in its logarithm.
pub fn log_int(name: &str, low: i64, high: i64) -> Parameter {
    parameter(name, Distribution::Int { low, high, log: true })
}

/// One of `options`, without an order.
pub fn choice(name: &str, options: impl IntoIterator<Item = Value>) -> Parameter {
    parameter(
        name,
        Distribution::Choice {
            options: options.into_iter().collect(),
            ordered: Some(false),
        },
    )
}

fn parameter(name: &str, distribution: Distribution) -> Parameter {
    Parameter {
        name: name.to_owned(),
        distribution,
        condition: None,
    }
}
