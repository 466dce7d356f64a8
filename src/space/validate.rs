//! What makes a search space unusable, all mistakes at once.

use super::constraint::{Constraint, ConstraintError};
use super::{Distribution, Parameter, SearchSpace};
use std::collections::HashSet;

/// Why a space cannot be sampled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// A parameter's definition makes no sense.
    #[error("parameter `{parameter}`: {reason}")]
    Parameter {
        /// Index in the space.
        index: usize,
        /// Name.
        parameter: String,
        /// What is wrong.
        reason: String,
    },
    /// Two parameters have one name.
    #[error("parameter `{0}` is declared twice")]
    Duplicate(String),
    /// A constraint cannot be understood.
    #[error(transparent)]
    Constraint(ConstraintError),
}

impl SearchSpace {
    /// Every mistake, in order of declaration; empty if the space can be used.
    pub fn validate(&self) -> Vec<SpaceError> {
        let mut errors = Vec::new();
        let mut names = HashSet::new();
        for (index, parameter) in self.parameters.iter().enumerate() {
            if !names.insert(parameter.name.as_str()) {
                errors.push(SpaceError::Duplicate(parameter.name.clone()));
            }
            let reasons = parameter
                .distribution
                .mistake()
                .into_iter()
                .chain(self.condition_mistake(index, parameter));
            errors.extend(reasons.map(|reason| SpaceError::Parameter {
                index,
                parameter: parameter.name.clone(),
                reason,
            }));
        }
        if errors.is_empty() {
            errors.extend(
                self.constraints
                    .iter()
                    .filter_map(|text| Constraint::compile(text, self).err())
                    .map(SpaceError::Constraint),
            );
        }
        errors
    }

    fn condition_mistake(&self, index: usize, parameter: &Parameter) -> Option<String> {
        let condition = parameter.condition.as_ref()?;
        let parent = match self.parameters.get(condition.parent) {
            Some(parent) if condition.parent < index => parent,
            _ => return Some("its condition names a parameter that does not come before it".into()),
        };
        let Distribution::Choice { options, .. } = &parent.distribution else {
            return Some(format!(
                "its condition names `{}`, which is no choice",
                parent.name
            ));
        };
        if condition.options.is_empty() {
            return Some("its condition holds under no option".into());
        }
        condition
            .options
            .iter()
            .find(|option| **option >= options.len())
            .map(|option| {
                format!(
                    "its condition names option {option} of `{}`, which has {}",
                    parent.name,
                    options.len()
                )
            })
    }
}

impl Distribution {
    /// What is wrong with the arguments, if anything.
    pub fn mistake(&self) -> Option<String> {
        let bounds = |low: f64, high: f64| match (low.is_finite() && high.is_finite(), low <= high) {
            (false, _) => Some("bounds must be finite".to_string()),
            (_, false) => Some(format!("lower bound {low} is above the upper bound {high}")),
            _ if !(high - low).is_finite() => Some("bounds are too far apart".to_string()),
            _ => None,
        };
        let spread = |mu: f64, sigma: f64| match (mu.is_finite() && sigma.is_finite(), sigma >= 0.0) {
            (false, _) => Some("mean and standard deviation must be finite".to_string()),
            (_, false) => Some(format!("standard deviation {sigma} is negative")),
            _ => None,
        };
        let quantum = |q: f64| (!(q.is_finite() && q > 0.0)).then(|| format!("quantum {q} must be above 0"));
        let base = |b: f64| (!(b.is_finite() && b > 1.0)).then(|| format!("base {b} must be above 1"));
        let power = |low: f64, high: f64, b: f64| {
            let range = [low, high].map(|x| super::distribution::power(b, x));
            let fits = range.iter().all(|v| v.is_finite() && *v > 0.0);
            (!fits).then(|| format!("bounds are logarithms: {b}^{low} to {b}^{high} is outside the numbers"))
        };
        match self {
            Self::Choice { options, .. } => options
                .is_empty()
                .then(|| "a choice needs at least one option".to_string()),
            Self::Randint { upper } => (*upper < 1).then(|| format!("upper bound {upper} must be above 0")),
            Self::Int { low, high, log } if low > high => {
                let _ = log;
                Some(format!("lower bound {low} is above the upper bound {high}"))
            }
            Self::Int { low, log: true, .. } if *low < 1 => {
                Some(format!("a logarithmic range cannot start at {low}"))
            }
            Self::Int { .. } => None,
            Self::Uniform { low, high } => bounds(*low, *high),
            Self::Quniform { low, high, q } => bounds(*low, *high).or_else(|| quantum(*q)),
            Self::Loguniform { low, high, base: b } => bounds(*low, *high)
                .or_else(|| base(*b))
                .or_else(|| power(*low, *high, *b)),
            Self::Qloguniform {
                low,
                high,
                q,
                base: b,
            } => bounds(*low, *high)
                .or_else(|| quantum(*q))
                .or_else(|| base(*b))
                .or_else(|| power(*low, *high, *b)),
            Self::Normal { mu, sigma } => spread(*mu, *sigma),
            Self::Qnormal { mu, sigma, q } => spread(*mu, *sigma).or_else(|| quantum(*q)),
            Self::Lognormal { mu, sigma, base: b } => spread(*mu, *sigma).or_else(|| base(*b)),
            Self::Qlognormal {
                mu,
                sigma,
                q,
                base: b,
            } => spread(*mu, *sigma).or_else(|| quantum(*q)).or_else(|| base(*b)),
        }
    }
}
