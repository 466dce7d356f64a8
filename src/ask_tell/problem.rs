//! The space format of the JSON-lines protocol, and what it means as a search space.

use crate::space::{Condition, Distribution, Parameter, SearchSpace, Value};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Kinds of parameters of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProblemType {
    /// A real between `low` and `high`.
    Float,
    /// An integer between `low` and `high`, both included.
    Int,
    /// One of the ordered `values`.
    Ordinal,
    /// One of the `values`.
    Categorical,
}

/// Under which values of another parameter a parameter is active.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct When {
    /// Name of the parent, which comes earlier.
    pub param: String,
    /// Values of the parent.
    #[serde(rename = "in")]
    pub values: Vec<Value>,
}

/// One parameter of the protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProblemParameter {
    /// Name.
    pub name: String,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// Lower bound of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper bound of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Uniform in the logarithm.
    #[serde(default)]
    pub log: bool,
    /// The values of an ordinal or categorical parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Value>>,
    /// When it is active; always if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

/// Resources of a trial: steps from `min` to `max`, one report each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fidelity {
    /// Smallest resource, >= 1.
    pub min: u64,
    /// Resource of a whole trial.
    pub max: u64,
}

/// Why a problem's space cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemError {
    /// A number has no bounds.
    #[error("parameter `{0}` needs `low` and `high`")]
    Bounds(String),
    /// An integer's bounds are no integers.
    #[error("parameter `{0}` needs whole numbers as bounds")]
    Whole(String),
    /// A logarithm needs positive bounds.
    #[error("parameter `{0}` needs bounds above 0 for its logarithm")]
    Logarithm(String),
    /// A choice has no values.
    #[error("parameter `{0}` needs `values`")]
    Values(String),
    /// The parent is unknown or comes later.
    #[error("parameter `{parameter}` depends on `{parent}`, which does not come before it")]
    Parent {
        /// The child.
        parameter: String,
        /// The parent.
        parent: String,
    },
    /// The parent has no such value, or is a real number.
    #[error("parameter `{parameter}` depends on values that `{parent}` does not have")]
    ParentValue {
        /// The child.
        parameter: String,
        /// The parent.
        parent: String,
    },
}

/// Widest integer parameter that may be a parent; it becomes a list of its values.
const PARENT_VALUES_MAX: f64 = 10_000.0;

/// The search space of a problem.
///
/// # Errors
/// [`ProblemError`] at the first parameter that makes no sense.
pub fn search_space(problem: &[ProblemParameter]) -> Result<SearchSpace, ProblemError> {
    let parents: HashSet<&str> = problem
        .iter()
        .filter_map(|entry| entry.when.as_ref())
        .map(|when| when.param.as_str())
        .collect();
    let mut parameters: Vec<Parameter> = Vec::with_capacity(problem.len());
    for entry in problem {
        let distribution = distribution(entry, parents.contains(entry.name.as_str()))?;
        let condition = entry
            .when
            .as_ref()
            .map(|when| condition(entry, when, &parameters))
            .transpose()?;
        parameters.push(Parameter {
            name: entry.name.clone(),
            distribution,
            condition,
        });
    }
    Ok(SearchSpace {
        parameters,
        constraints: Vec::new(),
    })
}

fn distribution(entry: &ProblemParameter, is_parent: bool) -> Result<Distribution, ProblemError> {
    let name = || entry.name.clone();
    match entry.kind {
        ProblemType::Ordinal | ProblemType::Categorical => match &entry.values {
            Some(options) if !options.is_empty() => Ok(Distribution::Choice {
                options: options.clone(),
                ordered: Some(entry.kind == ProblemType::Ordinal),
            }),
            _ => Err(ProblemError::Values(name())),
        },
        ProblemType::Float | ProblemType::Int => {
            let (Some(low), Some(high)) = (entry.low, entry.high) else {
                return Err(ProblemError::Bounds(name()));
            };
            if entry.log && low.min(high) <= 0.0 {
                return Err(ProblemError::Logarithm(name()));
            }
            if entry.kind == ProblemType::Float {
                return Ok(if entry.log {
                    Distribution::Loguniform {
                        low: low.ln(),
                        high: high.ln(),
                        base: std::f64::consts::E,
                    }
                } else {
                    Distribution::Uniform { low, high }
                });
            }
            let whole = |bound: f64| bound.fract() == 0.0 && bound.abs() < 9e15;
            if !whole(low) || !whole(high) {
                return Err(ProblemError::Whole(name()));
            }
            let (low, high) = (low as i64, high as i64);
            if is_parent && (high as f64 - low as f64) < PARENT_VALUES_MAX {
                return Ok(Distribution::Choice {
                    options: (low..=high).map(Value::Int).collect(),
                    ordered: Some(true),
                });
            }
            Ok(Distribution::Int {
                low,
                high,
                log: entry.log,
            })
        }
    }
}

fn condition(
    entry: &ProblemParameter,
    when: &When,
    earlier: &[Parameter],
) -> Result<Condition, ProblemError> {
    let unknown = || ProblemError::ParentValue {
        parameter: entry.name.clone(),
        parent: when.param.clone(),
    };
    let Some(parent) = earlier.iter().position(|parameter| parameter.name == when.param) else {
        return Err(ProblemError::Parent {
            parameter: entry.name.clone(),
            parent: when.param.clone(),
        });
    };
    let Some(Distribution::Choice { options, .. }) = earlier.get(parent).map(|parent| &parent.distribution)
    else {
        return Err(unknown());
    };
    let same = |option: &Value, value: &Value| match (option.as_f64(), value.as_f64()) {
        (Some(option), Some(value)) => option == value,
        _ => option == value,
    };
    let named = |option: &Value| when.values.iter().any(|value| same(option, value));
    let indices: Vec<usize> = options
        .iter()
        .enumerate()
        .filter(|(_, option)| named(option))
        .map(|(index, _)| index)
        .collect();
    if indices.is_empty() {
        return Err(unknown());
    }
    Ok(Condition {
        parent,
        options: indices,
    })
}
