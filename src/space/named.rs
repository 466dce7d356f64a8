//! From names and values, as people write them, to an assignment of a space.

use super::{Assignment, Domain, SearchSpace, Value};
use indexmap::IndexMap;
use std::sync::Arc;

/// Why names and values are no assignment of a space.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum NamedError {
    /// The space has no such parameter.
    #[error("the space has no parameter `{name}`; it has {known}")]
    Unknown {
        /// As given.
        name: String,
        /// Names of the space.
        known: String,
    },
    /// A value is missing, or stands for a parameter that is inactive, or is none of the options.
    #[error("the values do not make a configuration of the space: {reason}")]
    Unfit {
        /// What is wrong, in words.
        reason: String,
    },
}

impl SearchSpace {
    /// The assignment with these values. Names are as declared, with or without leading dashes; numbers are accepted for each
    /// other (`1` for `1.0`) where an option or a distribution asks for the other kind.
    ///
    /// # Errors
    /// [`NamedError`].
    pub fn assignment_from(&self, values: &IndexMap<String, Value>) -> Result<Assignment, NamedError> {
        let bare = |name: &str| name.trim_start_matches('-').to_owned();
        let mut assignment = Assignment {
            values: vec![None; self.len()],
        };
        for (name, value) in values {
            let index = self
                .index_of(name)
                .or_else(|| {
                    self.parameters
                        .iter()
                        .position(|parameter| bare(&parameter.name) == bare(name))
                })
                .ok_or_else(|| NamedError::Unknown {
                    name: name.clone(),
                    known: self
                        .parameters
                        .iter()
                        .map(|parameter| format!("`{}`", parameter.name))
                        .collect::<Vec<_>>()
                        .join(", "),
                })?;
            if let (Some(place), Some(parameter)) =
                (assignment.values.get_mut(index), self.parameters.get(index))
            {
                *place = Some(fitting(&parameter.distribution, value));
            }
        }
        let domain = Domain::new(Arc::new(self.clone())).map_err(|error| NamedError::Unfit {
            reason: error.to_string(),
        })?;
        if !domain.fits(&assignment) {
            let missing: Vec<String> = self
                .parameters
                .iter()
                .zip(&assignment.values)
                .filter(|(parameter, value)| value.is_none() && parameter.condition.is_none())
                .map(|(parameter, _)| format!("`{}`", parameter.name))
                .collect();
            let reason = if missing.is_empty() {
                "a value is none of its options, or stands for a parameter that its branch does not have"
                    .into()
            } else {
                format!("{} missing", missing.join(", "))
            };
            return Err(NamedError::Unfit { reason });
        }
        if !domain.satisfies(&assignment) {
            return Err(NamedError::Unfit {
                reason: "a constraint is broken".into(),
            });
        }
        Ok(assignment)
    }
}

fn fitting(distribution: &super::Distribution, value: &Value) -> Value {
    use super::Distribution;
    match (distribution, value) {
        (Distribution::Choice { options, .. }, value) => options
            .iter()
            .find(|option| *option == value)
            .or_else(|| {
                options
                    .iter()
                    .find(|option| matches!((option.as_f64(), value.as_f64()), (Some(a), Some(b)) if a == b))
            })
            .cloned()
            .unwrap_or_else(|| value.clone()),
        (Distribution::Randint { .. } | Distribution::Int { .. }, Value::Float(x)) if x.fract() == 0.0 => {
            Value::Int(*x as i64)
        }
        (Distribution::Randint { .. } | Distribution::Int { .. }, value) => value.clone(),
        (_, Value::Int(x)) => Value::Float(*x as f64),
        (_, value) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Distribution, Parameter};

    fn space() -> SearchSpace {
        let parameter = |name: &str, distribution| Parameter {
            name: name.into(),
            distribution,
            condition: None,
        };
        SearchSpace {
            parameters: vec![
                parameter("--lr", Distribution::Uniform { low: 0.0, high: 1.0 }),
                parameter(
                    "units",
                    Distribution::Choice {
                        options: vec![Value::Int(16), Value::Int(32)],
                        ordered: None,
                    },
                ),
            ],
            constraints: Vec::new(),
        }
    }

    fn named(pairs: &[(&str, Value)]) -> IndexMap<String, Value> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }

    #[test]
    fn names_may_lose_their_dashes_and_numbers_their_kind() {
        let assignment = space()
            .assignment_from(&named(&[("lr", Value::Int(1)), ("units", Value::Float(32.0))]))
            .unwrap();
        assert_eq!(assignment.values, [Some(Value::Float(1.0)), Some(Value::Int(32))]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let unknown = space()
            .assignment_from(&named(&[("momentum", Value::Int(1))]))
            .unwrap_err();
        assert!(unknown.to_string().contains("`--lr`, `units`"), "{unknown}");
        let missing = space()
            .assignment_from(&named(&[("lr", Value::Float(0.1))]))
            .unwrap_err();
        assert!(missing.to_string().contains("`units` missing"), "{missing}");
        let option = space().assignment_from(&named(&[("lr", Value::Float(0.1)), ("units", Value::Int(7))]));
        assert!(option.is_err());
    }
}
