//! Samplers: who proposes the next assignment.
//!
//! Pure. A sampler is a function of (seed, trial number, history): all randomness comes from the counter-based streams of [`rng`], so
//! that suggestion *n* never depends on how many draws came before it. A sampler may cache what it can rebuild.
//!
//! A new sampler is one file here and one row in [`REGISTRY`]; the contract suite in `tests/it/contract` then runs on it.

pub mod auto;
pub mod bayesian;
pub mod cma_es;
mod forecast;
pub mod grid;
mod ledger;
pub mod random;
pub mod random_forest;
mod rows;
mod seen;
pub mod sobol;
pub mod tpe;

pub use crate::space::rng;

use crate::history::History;
use crate::metric::Goal;
use crate::space::{Assignment, Domain, SearchSpace, SpaceError, normal};
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

impl SamplerSpec {
    /// Tells a sampler that plans with it what the sweep may spend and run at once; what was said before stays. `u64::MAX` says nothing.
    pub fn plan_for(&mut self, max_trials: u64, max_concurrent: u64) {
        if find(&self.kind).is_none_or(|row| row.kind != "auto") {
            return;
        }
        for (name, limit) in [("max_trials", max_trials), ("max_concurrent", max_concurrent)] {
            if limit != u64::MAX && !self.options.contains_key(name) {
                self.options.insert(name.into(), limit.into());
            }
        }
    }
}

/// What a model expected of a proposal, in units of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Prediction {
    /// Predictive mean (or median, where the sampler models a transformed metric).
    pub mean: f64,
    /// Lower end of the central 90 % interval.
    pub low: f64,
    /// Upper end of the central 90 % interval.
    pub high: f64,
}

impl Prediction {
    /// Expected improvement over `best`, `E[max(0, Y - best)]` to maximize, in units of the metric. Y is taken as the split normal
    /// distribution with this median and these 5 % and 95 % quantiles, which is exact where the sampler's own is normal; the part of
    /// the integral beyond the median on the side of the goal has the deviation of that side.
    pub fn gain(&self, best: f64, goal: Goal) -> f64 {
        let sign = goal.sign();
        let (up, down) = match goal {
            Goal::Maximize => (self.high - self.mean, self.mean - self.low),
            Goal::Minimize => (self.mean - self.low, self.high - self.mean),
        };
        let deviation = |width: f64| width.max(0.0) / NORMAL_95;
        // How much better the median is than the best.
        let lead = sign * (self.mean - best);
        // E[max(0, lead + s Z)] over Z > from, for the standard normal Z.
        let beyond = |s: f64, from: f64| lead * (1.0 - normal::cdf(from)) + s * normal::density(from);
        let (up, down) = (deviation(up), deviation(down));
        if lead <= 0.0 {
            return match up > 0.0 {
                true => beyond(up, -lead / up).max(0.0),
                false => 0.0,
            };
        }
        let better_half = beyond(up, 0.0);
        let worse_half = match down > 0.0 {
            true => beyond(down, -lead / down) - beyond(down, 0.0),
            false => lead * 0.5,
        };
        (better_half + worse_half).max(0.0)
    }
}

/// Standard normal quantile of 95 %.
const NORMAL_95: f64 = 1.644_853_626_951_472_2;

/// Where a proposal came from; shown by `overdrive why`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
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
    /// Must not depend on anything but the spec, the space, `number` and `history`. The histories that one sampler is asked with must be
    /// successive states of one sweep (trials are added, and never change once terminal), or begin anew with fewer trials.
    fn suggest(&mut self, number: u64, history: &History) -> Suggestion;
}

/// Why a sampler cannot be built.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum SamplerError {
    /// No sampler of that name.
    #[error("no sampler is called `{0}`")]
    Unknown(String),
    /// The space makes no sense.
    #[error(transparent)]
    Domain(#[from] SpaceError),
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

type Builder = fn(&SamplerSpec, Arc<Domain>, Goal) -> Result<Box<dyn Sampler>, SamplerError>;

/// A row of the registry: one kind of sampler.
pub struct Registration {
    /// What users write.
    pub kind: &'static str,
    /// Other spellings of it, lower case.
    pub aliases: &'static [&'static str],
    /// One line for people.
    pub summary: &'static str,
    build: Builder,
}

/// Every sampler there is.
pub const REGISTRY: &[Registration] = &[
    Registration {
        kind: "random",
        aliases: &[],
        summary: "independent draws without repetition",
        build: |spec, domain, _| {
            let sobol = match spec
                .options
                .get("rule")
                .map(|rule| rule.as_str().unwrap_or_default())
            {
                None | Some("random") => false,
                Some("sobol") => true,
                Some(_) => return Err(option_error("random", "rule", "expected `random` or `sobol`")),
            };
            known_options("random", spec, &["rule"])?;
            Ok(match sobol {
                true => Box::new(sobol::Sobol::new(domain, spec.seed, spec.allow_duplicates)),
                false => Box::new(random::Random::new(domain, spec.seed, spec.allow_duplicates)),
            })
        },
    },
    Registration {
        kind: "sobol",
        aliases: &[],
        summary: "scrambled Sobol points: even coverage",
        build: |spec, domain, _| {
            known_options("sobol", spec, &[])?;
            Ok(Box::new(sobol::Sobol::new(
                domain,
                spec.seed,
                spec.allow_duplicates,
            )))
        },
    },
    Registration {
        kind: "grid",
        aliases: &[],
        summary: "every configuration once, the first parameter slowest",
        build: |spec, domain, _| {
            known_options("grid", spec, &[])?;
            Ok(Box::new(grid::Grid::new(domain)?))
        },
    },
    Registration {
        kind: "bayesian",
        aliases: &["bayesianoptimization", "bayesian_optimization", "gp"],
        summary: "Gaussian process over mixed and conditional spaces, expected improvement",
        build: |spec, domain, goal| {
            known_options("bayesian", spec, &["initial_trials", "priors", "warp"])?;
            match bayesian::Bayesian::new(domain, spec.seed, goal, &spec.options) {
                Ok(sampler) => Ok(Box::new(sampler)),
                Err((option, reason)) => Err(option_error("bayesian", option, &reason)),
            }
        },
    },
    Registration {
        kind: "tpe",
        aliases: &[],
        summary: "tree-structured Parzen estimator, multivariate, aware of pending trials",
        build: |spec, domain, _| {
            known_options("tpe", spec, &[])?;
            Ok(Box::new(tpe::Tpe::new(domain, spec.seed)))
        },
    },
    Registration {
        kind: "random_forest",
        aliases: &["smac", "forest"],
        summary: "regression forest with expected improvement, for spaces of many categories and conditions",
        build: |spec, domain, goal| {
            known_options("random_forest", spec, &[])?;
            Ok(Box::new(random_forest::RandomForest::new(
                domain, spec.seed, goal,
            )))
        },
    },
    Registration {
        kind: "cma_es",
        aliases: &["cmaes", "cma"],
        summary: "evolution strategy with covariance adaptation, for many trials of numeric parameters",
        build: |spec, domain, _| {
            known_options("cma_es", spec, &[])?;
            Ok(Box::new(cma_es::CmaEs::new(domain, spec.seed)))
        },
    },
    Registration {
        kind: "auto",
        aliases: &[],
        summary: "chooses for every trial from the space and the history, and says why",
        build: |spec, domain, goal| {
            known_options(
                "auto",
                spec,
                &["initial_trials", "max_concurrent", "max_trials", "priors", "warp"],
            )?;
            match auto::Auto::new(domain, spec.seed, goal, &spec.options) {
                Ok(sampler) => Ok(Box::new(sampler)),
                Err((option, reason)) => Err(option_error("auto", option, &reason)),
            }
        },
    },
];

/// The registered sampler that `kind` names, by its name or an alias, in any case.
pub fn find(kind: &str) -> Option<&'static Registration> {
    let kind = kind.to_ascii_lowercase();
    REGISTRY
        .iter()
        .find(|row| row.kind == kind || row.aliases.contains(&kind.as_str()))
}

/// What is wrong with `priors` for a sampler of this kind on this space, in words; `None` if nothing is.
pub fn refused_priors(kind: &str, space: &Arc<SearchSpace>, priors: &serde_json::Value) -> Option<String> {
    match find(kind) {
        Some(row) if matches!(row.kind, "bayesian" | "auto") => {
            // A space that makes no sense is reported where it is built.
            let domain = Domain::new(space.clone()).ok()?;
            bayesian::refused_priors(&domain, priors)
        }
        _ => Some(format!(
            "`{kind}` sampling uses no priors, `bayesian` and `auto` do"
        )),
    }
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
    let row = find(&spec.kind).ok_or_else(|| SamplerError::Unknown(spec.kind.clone()))?;
    (row.build)(spec, Arc::new(Domain::new(space)?), goal)
}

/// Refuses options that `sampler` does not have.
fn known_options(sampler: &'static str, spec: &SamplerSpec, known: &[&str]) -> Result<(), SamplerError> {
    match spec.options.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(option) if known.is_empty() => Err(option_error(sampler, option, "this sampler has no options")),
        Some(option) => Err(option_error(
            sampler,
            option,
            &format!("there are `{}`", known.join("`, `")),
        )),
    }
}

fn option_error(sampler: &'static str, option: &str, reason: &str) -> SamplerError {
    SamplerError::Option {
        sampler,
        option: option.into(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by a fine sum over the quantiles of the split normal distribution.
    fn by_hand(prediction: &Prediction, best: f64, goal: Goal) -> f64 {
        let steps = 200_000;
        let sum: f64 = (0..steps)
            .map(|step| {
                let z = normal::quantile((f64::from(step) + 0.5) / f64::from(steps));
                let width = if z > 0.0 {
                    prediction.high - prediction.mean
                } else {
                    prediction.mean - prediction.low
                };
                let value = prediction.mean + z * width / NORMAL_95;
                (goal.sign() * (value - best)).max(0.0)
            })
            .sum();
        sum / f64::from(steps)
    }

    #[test]
    fn expected_gain_is_the_integral() {
        let prediction = Prediction {
            mean: 0.8,
            low: 0.7,
            high: 0.85,
        };
        for goal in [Goal::Maximize, Goal::Minimize] {
            for best in [0.6, 0.75, 0.8, 0.84, 0.95] {
                let (closed, sum) = (prediction.gain(best, goal), by_hand(&prediction, best, goal));
                assert!((closed - sum).abs() < 1e-5, "{goal:?} {best}: {closed} {sum}");
            }
        }
        let certain = Prediction {
            mean: 1.0,
            low: 1.0,
            high: 1.0,
        };
        assert_eq!(certain.gain(0.5, Goal::Maximize), 0.5);
        assert_eq!(certain.gain(1.5, Goal::Maximize), 0.0);
    }
}
