//! Optuna: what its two storages share, distributions and trial states.

pub(super) mod journal;
pub(super) mod sqlite;

use super::{End, json};
use crate::space::{Distribution, Value};
use serde_json::Value as Json;

/// A distribution of Optuna with the values that its categories stand for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Declared {
    pub(super) distribution: Distribution,
    integer: bool,
}

/// Grids of at most so many points that do not begin at a multiple of their step become choices; longer ones lose their grid.
const GRID: f64 = 256.0;

impl Declared {
    /// Reads `{"name": "FloatDistribution", "attributes": {...}}`, names of versions before 3 included.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let json =
            json::parse(text).map_err(|(_, reason)| format!("the distribution is no JSON: {reason}"))?;
        let name = json.get("name").and_then(Json::as_str).unwrap_or_default();
        let attribute = |key: &str| json.get("attributes").and_then(|attributes| attributes.get(key));
        let real = |key: &str| {
            attribute(key)
                .and_then(json::number)
                .filter(|value| value.is_finite())
                .ok_or_else(|| format!("`{name}` lacks the number `{key}`"))
        };
        let step = |key: &str| attribute(key).and_then(json::number).filter(|step| *step > 0.0);
        let flag = attribute("log").and_then(Json::as_bool).unwrap_or(false);
        let integer = name.starts_with("Int");
        let distribution = match name {
            "CategoricalDistribution" => Distribution::Choice {
                options: attribute("choices")
                    .and_then(Json::as_array)
                    .filter(|choices| !choices.is_empty())
                    .ok_or("a categorical distribution lacks its `choices`")?
                    .iter()
                    .map(json::value)
                    .collect(),
                ordered: None,
            },
            "FloatDistribution" => float(real("low")?, real("high")?, flag, step("step")),
            "UniformDistribution" => float(real("low")?, real("high")?, false, None),
            "LogUniformDistribution" => float(real("low")?, real("high")?, true, None),
            "DiscreteUniformDistribution" => float(real("low")?, real("high")?, false, step("q")),
            "IntDistribution" | "IntUniformDistribution" => {
                int(real("low")?, real("high")?, flag, step("step"))
            }
            "IntLogUniformDistribution" => int(real("low")?, real("high")?, true, None),
            _ => {
                return Err(format!(
                    "`{name}` is no distribution of Optuna that is known here"
                ));
            }
        };
        Ok(Self {
            distribution,
            integer,
        })
    }

    /// The value that Optuna's internal number stands for: the index of a category, else the number itself.
    pub(super) fn value(&self, internal: f64) -> Option<Value> {
        match &self.distribution {
            Distribution::Choice { options, .. } if !self.is_grid() => {
                options.get(internal as usize).cloned()
            }
            _ if self.integer => Some(Value::Int(internal as i64)),
            _ => Some(Value::Float(internal)),
        }
    }

    /// Whether it is a choice only because its grid begins off the multiples of its step.
    fn is_grid(&self) -> bool {
        matches!(
            &self.distribution,
            Distribution::Choice {
                ordered: Some(true),
                ..
            }
        )
    }

    /// The distribution that holds the values of both; Optuna lets ranges differ from trial to trial.
    pub(super) fn joined(self, other: &Self) -> Self {
        use Distribution::{Int, Loguniform, Uniform};
        let distribution = match (self.distribution, &other.distribution) {
            (Uniform { low, high }, Uniform { low: l, high: h }) => Uniform {
                low: low.min(*l),
                high: high.max(*h),
            },
            (Loguniform { low, high, base }, Loguniform { low: l, high: h, .. }) => Loguniform {
                low: low.min(*l),
                high: high.max(*h),
                base,
            },
            (Int { low, high, log }, Int { low: l, high: h, .. }) => Int {
                low: low.min(*l),
                high: high.max(*h),
                log,
            },
            (first, _) => first,
        };
        Self { distribution, ..self }
    }
}

fn float(low: f64, high: f64, log: bool, step: Option<f64>) -> Distribution {
    match step {
        None if log => Distribution::Loguniform {
            low: libm::log(low),
            high: libm::log(high),
            base: std::f64::consts::E,
        },
        None => Distribution::Uniform { low, high },
        Some(q) if on_grid(low, q) => Distribution::Quniform {
            low,
            high: low + ((high - low) / q + 1e-9).floor() * q,
            q,
        },
        Some(q) => grid(low, high, q, Value::Float).unwrap_or(Distribution::Uniform { low, high }),
    }
}

fn int(low: f64, high: f64, log: bool, step: Option<f64>) -> Distribution {
    let plain = Distribution::Int {
        low: low as i64,
        high: high as i64,
        log,
    };
    match step {
        Some(q) if q > 1.0 && !log => grid(low, high, q, |value| Value::Int(value as i64)).unwrap_or(plain),
        _ => plain,
    }
}

fn on_grid(low: f64, q: f64) -> bool {
    ((low / q).round() - low / q).abs() < 1e-9
}

fn grid(low: f64, high: f64, q: f64, value: impl Fn(f64) -> Value) -> Option<Distribution> {
    let steps = ((high - low) / q + 1e-9).floor();
    (steps <= GRID).then(|| Distribution::Choice {
        options: (0..=steps as u64).map(|i| value(low + i as f64 * q)).collect(),
        ordered: Some(true),
    })
}

/// The end that a state says.
pub(super) fn end(state: &str) -> End {
    match state {
        "COMPLETE" => End::Completed,
        "PRUNED" => End::Stopped,
        "FAIL" => End::Failed("failed in Optuna".into()),
        _ => End::Unfinished,
    }
}

/// Key of the study attribute that holds the names of the objectives.
const METRIC_NAMES: &str = "study:metric_names";

/// The name of the first objective, if the study has named it.
fn metric_name(attribute: &Json) -> Option<String> {
    attribute.as_array()?.first()?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Declared {
        Declared::read(text).unwrap()
    }

    #[test]
    fn distributions_of_all_versions() {
        let log = read(
            r#"{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}"#,
        );
        assert!(matches!(log.distribution, Distribution::Loguniform { high, .. } if high == 0.0));
        assert_eq!(log.value(0.5), Some(Value::Float(0.5)));
        let old = read(
            r#"{"name": "DiscreteUniformDistribution", "attributes": {"low": 0.0, "high": 1.04, "q": 0.1}}"#,
        );
        assert!(
            matches!(old.distribution, Distribution::Quniform { high, q, .. } if q == 0.1 && (high - 1.0).abs() < 1e-9)
        );
        let odd = read(
            r#"{"name": "IntDistribution", "attributes": {"low": 1, "high": 7, "log": false, "step": 2}}"#,
        );
        assert!(
            matches!(&odd.distribution, Distribution::Choice { options, .. } if *options == [1, 3, 5, 7].map(Value::Int))
        );
        assert_eq!(odd.value(5.0), Some(Value::Int(5)));
        let kinds = read(r#"{"name": "CategoricalDistribution", "attributes": {"choices": ["a", null, 3]}}"#);
        assert_eq!(kinds.value(1.0), Some(Value::Null));
        assert_eq!(kinds.value(9.0), None);
        assert!(
            Declared::read(r#"{"name": "CauchyDistribution", "attributes": {}}"#)
                .unwrap_err()
                .contains("Cauchy")
        );
        assert!(
            Declared::read(r#"{"name": "IntDistribution", "attributes": {"low": 1}}"#)
                .unwrap_err()
                .contains("`high`")
        );
    }

    #[test]
    fn ranges_that_differ_are_joined() {
        let a = read(
            r#"{"name": "IntDistribution", "attributes": {"low": 4, "high": 7, "log": false, "step": 1}}"#,
        );
        let b = read(
            r#"{"name": "IntDistribution", "attributes": {"low": 1, "high": 5, "log": false, "step": 1}}"#,
        );
        assert_eq!(
            a.joined(&b).distribution,
            Distribution::Int {
                low: 1,
                high: 7,
                log: false
            }
        );
    }
}
