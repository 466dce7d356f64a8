//! What is believed of good values before anything is tried, as a weight on the acquisition that fades as trials come in.
//!
//! `ln a(x) + (10 / n) ln p(x)` after `n` trials (piBO, Hvarfner et al. 2022, eq. 6), with `p` scaled to 1 at its best place. Beliefs come from
//! `priors` and from parameters that are drawn from a normal distribution to begin with.

use crate::space::{Distribution, Domain, SearchSpace, Value, normal};
use serde_json::{Map, Value as Json};

/// Trials after which a belief counts as much as the model does.
const STRENGTH: f64 = 10.0;

/// Standard deviations between the middle and the ends of a central 80 % interval.
const TENTH: f64 = 1.281_551_565_544_6;

/// Weight of an option that the belief does not name, relative to the likeliest.
const UNNAMED: f64 = 0.01;

/// Logarithms below this are cut off, so that no belief forbids anything.
const FLOOR: f64 = -8.0;

/// The beliefs about one space.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Preferences {
    /// One entry per parameter of the space; empty if there are no beliefs at all.
    each: Vec<Option<Preference>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Preference {
    /// The parameter's own distribution is the belief: coordinates are probabilities of a normal distribution.
    Own,
    /// Around this coordinate, with this standard deviation.
    Near { centre: f64, deviation: f64 },
    /// Logarithm of the weight of every option relative to the likeliest.
    Options(Vec<f64>),
}

impl Preferences {
    /// The beliefs that `priors` (parameter name -> belief) and the distributions of `domain` say.
    ///
    /// # Errors
    /// What is wrong with `priors`, in words.
    pub(super) fn new(domain: &Domain, priors: Option<&Json>) -> Result<Self, String> {
        let space = domain.space();
        let nothing = Map::new();
        let priors = match priors {
            None => &nothing,
            Some(Json::Object(priors)) => priors,
            Some(_) => return Err("expected a map from parameter names to what is believed of them".into()),
        };
        let bare = |name: &str| name.trim_start_matches('-').to_owned();
        let known = |name: &String| space.parameters.iter().any(|p| bare(&p.name) == bare(name));
        if let Some(stranger) = priors.keys().find(|name| !known(name)) {
            return Err(format!("`{stranger}` is not a parameter of the search space"));
        }
        let mut each = Vec::with_capacity(space.parameters.len());
        for parameter in &space.parameters {
            let belief = priors
                .iter()
                .find(|(name, _)| bare(name) == bare(&parameter.name));
            each.push(match belief {
                Some((name, belief)) => Some(
                    read(&parameter.distribution, belief).map_err(|reason| format!("`{name}`: {reason}"))?,
                ),
                None => matches!(
                    parameter.distribution,
                    Distribution::Normal { .. }
                        | Distribution::Lognormal { .. }
                        | Distribution::Qnormal { .. }
                        | Distribution::Qlognormal { .. }
                )
                .then_some(Preference::Own),
            });
        }
        if each.iter().all(Option::is_none) {
            each.clear();
        }
        Ok(Self { each })
    }

    /// Whether nothing is believed.
    pub(super) fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Whether something is believed that the space itself does not say.
    pub(super) fn stated(&self) -> bool {
        self.each
            .iter()
            .flatten()
            .any(|belief| *belief != Preference::Own)
    }

    /// What the acquisition of a point is to be raised by (never above 0) after `trials` trials.
    pub(super) fn weight(&self, coordinates: &[f64], trials: usize) -> f64 {
        let beliefs = self.each.iter().zip(coordinates);
        let sum: f64 = beliefs
            .filter(|(_, x)| !x.is_nan())
            .map(|(belief, x)| match belief {
                None => 0.0,
                Some(Preference::Own) => {
                    let z = normal::quantile(x.clamp(1e-6, 1.0 - 1e-6));
                    (-0.5 * z * z).max(FLOOR)
                }
                Some(Preference::Near { centre, deviation }) => {
                    let z = (x - centre) / deviation;
                    (-0.5 * z * z).max(FLOOR)
                }
                Some(Preference::Options(weights)) => weights.get(*x as usize).copied().unwrap_or(FLOOR),
            })
            .sum();
        sum * STRENGTH / trials.max(1) as f64
    }

    /// The coordinate (for a choice: the probability) of parameter `index` that a uniform draw `u` becomes under the belief.
    pub(super) fn draw(&self, space: &SearchSpace, index: usize, u: f64) -> f64 {
        match self.each.get(index) {
            Some(Some(Preference::Near { centre, deviation })) => {
                // The quantile of the normal distribution that is cut off at the ends of the axis.
                let at = |x: f64| normal::cdf((x - centre) / deviation);
                let (low, high) = (at(0.0), at(1.0));
                let p = (low + u * (high - low)).clamp(1e-12, 1.0 - 1e-12);
                (centre + deviation * normal::quantile(p)).clamp(0.0, 1.0)
            }
            Some(Some(Preference::Options(weights))) => {
                let total: f64 = weights.iter().map(|ln| libm::exp(*ln)).sum();
                let mut left = u * total;
                let chosen = weights.iter().position(|ln| {
                    left -= libm::exp(*ln);
                    left < 0.0
                });
                let count = match space.parameters.get(index).map(|p| &p.distribution) {
                    Some(Distribution::Choice { options, .. }) => options.len(),
                    _ => weights.len(),
                };
                (chosen.unwrap_or(count.saturating_sub(1)) as f64 + 0.5) / count.max(1) as f64
            }
            _ => u,
        }
    }
}

/// `{low, high, best}` for a number, `{OPTION: WEIGHT, ...}` for a choice.
fn read(distribution: &Distribution, belief: &Json) -> Result<Preference, String> {
    let Json::Object(fields) = belief else {
        return Err("expected a map".into());
    };
    if let Distribution::Choice { options, .. } = distribution {
        return read_options(options, fields);
    }
    let number = |name: &str| match fields.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) => Ok(Some(number)),
            None => Err(format!("`{name}` must be a number")),
        },
    };
    if let Some(stranger) = fields
        .keys()
        .find(|key| !matches!(key.as_str(), "low" | "high" | "best"))
    {
        return Err(format!("`{stranger}` is none of `low`, `high`, `best`"));
    }
    let (Some(low), Some(high)) = (number("low")?, number("high")?) else {
        return Err(
            "`low` and `high` are needed: four times out of five the best value lies between them".into(),
        );
    };
    let (from, to) = (distribution.unit_of(low), distribution.unit_of(high));
    if low >= high || from >= to {
        return Err(format!("{low} is not below {high} within the bounds"));
    }
    let centre = match number("best")? {
        None => 0.5 * (from + to),
        Some(best) if best < low || best > high => {
            return Err(format!("{best} is not between {low} and {high}"));
        }
        Some(best) => distribution.unit_of(best),
    };
    Ok(Preference::Near {
        centre,
        deviation: ((to - from) / (2.0 * TENTH)).max(1e-3),
    })
}

fn read_options(options: &[Value], fields: &Map<String, Json>) -> Result<Preference, String> {
    let text = |option: &Value| option.to_string();
    if let Some(stranger) = fields
        .keys()
        .find(|key| !options.iter().any(|option| text(option) == **key))
    {
        return Err(format!("`{stranger}` is not one of the options"));
    }
    let mut weights = Vec::with_capacity(options.len());
    for option in options {
        weights.push(match fields.get(&text(option)) {
            None => f64::NAN,
            Some(weight) => match weight.as_f64() {
                Some(weight) if weight > 0.0 && weight.is_finite() => weight,
                _ => return Err(format!("the weight of `{}` must be above 0", text(option))),
            },
        });
    }
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest <= 0.0 {
        return Err("give at least one option a weight".into());
    }
    Ok(Preference::Options(
        weights
            .into_iter()
            .map(|weight| {
                let relative = if weight.is_nan() {
                    UNNAMED
                } else {
                    weight / largest
                };
                libm::log(relative).max(FLOOR)
            })
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Parameter;
    use serde_json::json;
    use std::sync::Arc;

    fn domain() -> Domain {
        let parameter = |name: &str, distribution| Parameter {
            name: name.into(),
            distribution,
            condition: None,
        };
        Domain::new(Arc::new(SearchSpace {
            parameters: vec![
                parameter("--x", Distribution::Uniform { low: 0.0, high: 10.0 }),
                parameter(
                    "kind",
                    Distribution::Choice {
                        options: vec![
                            Value::Str("a".into()),
                            Value::Str("b".into()),
                            Value::Str("c".into()),
                        ],
                        ordered: None,
                    },
                ),
                parameter("width", Distribution::Normal { mu: 0.0, sigma: 1.0 }),
            ],
            constraints: Vec::new(),
        }))
        .unwrap()
    }

    #[test]
    fn weights_fall_with_distance_and_fade() {
        let priors = json!({"x": {"low": 2.0, "high": 4.0}, "kind": {"b": 3, "a": 1}});
        let beliefs = Preferences::new(&domain(), Some(&priors)).unwrap();
        assert!(beliefs.stated() && !beliefs.is_empty());
        assert!(beliefs.weight(&[0.3, 1.0, 0.5], 10).abs() < 1e-12);
        let off = beliefs.weight(&[0.6, 0.0, 0.5], 10);
        let expected = -0.5 * (0.3 / (0.2 / (2.0 * TENTH))).powi(2) + (1.0_f64 / 3.0).ln();
        assert!(
            (off - expected.max(FLOOR + (1.0_f64 / 3.0).ln())).abs() < 1e-9,
            "{off}"
        );
        assert!((beliefs.weight(&[0.6, 0.0, 0.5], 100) - off / 10.0).abs() < 1e-12);
        assert!(beliefs.weight(&[0.3, 2.0, 0.5], 10) < -4.0 && beliefs.weight(&[0.3, 1.0, 0.99], 10) < -2.0);
    }

    #[test]
    fn draws_follow_the_belief() {
        let priors = json!({"x": {"low": 2.0, "high": 4.0, "best": 3.5}, "kind": {"b": 3, "a": 1}});
        let domain = domain();
        let beliefs = Preferences::new(&domain, Some(&priors)).unwrap();
        let n = 1000;
        let units: Vec<f64> = (0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n)).collect();
        let xs: Vec<f64> = units
            .iter()
            .map(|u| beliefs.draw(domain.space(), 0, *u))
            .collect();
        assert!(xs.windows(2).all(|w| w[0] <= w[1]) && xs.iter().all(|x| (0.0..=1.0).contains(x)));
        let inside = xs.iter().filter(|x| (0.25..=0.45).contains(*x)).count();
        assert!((780..820).contains(&inside), "{inside}");
        let second = units
            .iter()
            .filter(|u| (beliefs.draw(domain.space(), 1, **u) * 3.0) as usize == 1)
            .count();
        assert!((735..755).contains(&second), "{second}");
        assert_eq!(beliefs.draw(domain.space(), 2, 0.123), 0.123);
    }

    #[test]
    fn says_what_is_wrong() {
        let refused = |priors: Json| Preferences::new(&domain(), Some(&priors)).unwrap_err();
        assert!(refused(json!({"y": {}})).contains("`y` is not a parameter"));
        assert!(refused(json!([1])).contains("expected a map"));
        assert!(refused(json!({"x": {"low": 1}})).contains("`low` and `high`"));
        assert!(refused(json!({"x": {"low": 4, "high": 1}})).contains("not below"));
        assert!(refused(json!({"x": {"low": 1, "high": 2, "best": 3}})).contains("not between"));
        assert!(refused(json!({"x": {"low": "a", "high": 2}})).contains("must be a number"));
        assert!(refused(json!({"x": {"mean": 1}})).contains("`mean` is none of"));
        assert!(refused(json!({"kind": {"z": 1}})).contains("not one of the options"));
        assert!(refused(json!({"kind": {"a": 0}})).contains("above 0"));
        assert!(Preferences::new(&domain(), None).is_ok_and(|p| !p.stated() && !p.is_empty()));
    }
}
