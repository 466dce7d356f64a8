//! Draws of the ten expressions: one uniform number in, one value out, with the same bits on every machine.
//!
//! Every distribution is sampled by its quantile function, so that independent draws, scrambled Sobol points and the unit-cube
//! coordinates of the model-based samplers share one definition.

use super::{Distribution, Value, normal};

/// How many values a distribution can yield.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    /// A continuum.
    Continuous,
    /// A grid without bounds (quantized normal kinds).
    Countable,
    /// Exactly so many; for a `choice` the number of options, duplicates included.
    Finite(u64),
}

/// Largest magnitude below which every integer is a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// `round(x / q) * q`, half to even, never negative zero.
pub fn quantize(x: f64, q: f64) -> f64 {
    (x / q).round_ties_even() * q + 0.0
}

/// `base ^ x`.
pub(crate) fn power(base: f64, x: f64) -> f64 {
    if base == std::f64::consts::E {
        libm::exp(x)
    } else {
        libm::pow(base, x)
    }
}

/// `log_base(x)`.
pub(crate) fn logarithm(base: f64, x: f64) -> f64 {
    if base == std::f64::consts::E {
        libm::log(x)
    } else {
        libm::log(x) / libm::log(base)
    }
}

/// The value as a script should see it: an integer if the quantum is one (`16`, not `16.0`).
pub(crate) fn quantized_value(value: f64, q: f64) -> Value {
    if q.fract() == 0.0 && value.abs() < EXACT {
        Value::Int(value as i64)
    } else {
        Value::Float(value)
    }
}

impl Distribution {
    /// The value at probability `u` in (0, 1): increasing in `u` for numeric kinds, the option at `u * k` for a choice.
    pub fn quantile(&self, u: f64) -> Value {
        match self {
            Self::Choice { options, .. } => {
                let index = ((u * options.len() as f64) as usize).min(options.len().saturating_sub(1));
                options.get(index).cloned().unwrap_or(Value::Null)
            }
            Self::Randint { upper } => Value::Int(integer(0, upper.saturating_sub(1), u)),
            Self::Int {
                low,
                high,
                log: false,
            } => Value::Int(integer(*low, *high, u)),
            Self::Int { low, high, log: true } => {
                let (from, to) = (libm::log(*low as f64 - 0.5), libm::log(*high as f64 + 0.5));
                let value = libm::exp(from + u * (to - from)).round_ties_even();
                Value::Int((value as i64).clamp(*low, *high))
            }
            Self::Quniform { q, .. }
            | Self::Qloguniform { q, .. }
            | Self::Qnormal { q, .. }
            | Self::Qlognormal { q, .. } => quantized_value(quantize(self.real(u), *q), *q),
            Self::Uniform { .. } | Self::Loguniform { .. } | Self::Normal { .. } | Self::Lognormal { .. } => {
                Value::Float(self.real(u) + 0.0)
            }
        }
    }

    /// The real number behind a draw, before quantization; NaN for kinds that have none (choice, integers).
    pub(crate) fn real(&self, u: f64) -> f64 {
        match self {
            Self::Uniform { low, high } | Self::Quniform { low, high, .. } => {
                (low + u * (high - low)).clamp(*low, *high)
            }
            Self::Loguniform { low, high, base } | Self::Qloguniform { low, high, base, .. } => {
                power(*base, (low + u * (high - low)).clamp(*low, *high))
            }
            Self::Normal { mu, sigma } | Self::Qnormal { mu, sigma, .. } => gaussian(*mu, *sigma, u),
            Self::Lognormal { mu, sigma, base } | Self::Qlognormal { mu, sigma, base, .. } => {
                power(*base, gaussian(*mu, *sigma, u)).clamp(f64::MIN_POSITIVE, f64::MAX)
            }
            Self::Choice { .. } | Self::Randint { .. } | Self::Int { .. } => f64::NAN,
        }
    }

    /// How many values there are.
    pub fn levels(&self) -> Levels {
        match self {
            Self::Choice { options, .. } => Levels::Finite(options.len() as u64),
            Self::Randint { upper } => Levels::Finite(u64::try_from(*upper).unwrap_or(0)),
            Self::Int { low, high, .. } => Levels::Finite(high.abs_diff(*low).saturating_add(1)),
            Self::Uniform { low, high } | Self::Loguniform { low, high, .. } if low == high => {
                Levels::Finite(1)
            }
            Self::Normal { sigma, .. } | Self::Lognormal { sigma, .. } if *sigma == 0.0 => Levels::Finite(1),
            Self::Qnormal { sigma, .. } | Self::Qlognormal { sigma, .. } if *sigma == 0.0 => {
                Levels::Finite(1)
            }
            Self::Quniform { .. } | Self::Qloguniform { .. } => {
                let (first, last) = self.multiples();
                let count = last - first + 1.0;
                if count.is_finite() && count < EXACT {
                    Levels::Finite(count as u64)
                } else {
                    Levels::Countable
                }
            }
            Self::Qnormal { .. } | Self::Qlognormal { .. } => Levels::Countable,
            Self::Uniform { .. } | Self::Loguniform { .. } | Self::Normal { .. } | Self::Lognormal { .. } => {
                Levels::Continuous
            }
        }
    }

    /// The `index`-th value of a finite distribution, ascending for numbers and in file order for a choice; `None` past the end
    /// or if there are not finitely many.
    pub fn level(&self, index: u64) -> Option<Value> {
        let Levels::Finite(count) = self.levels() else {
            return None;
        };
        if index >= count {
            return None;
        }
        match self {
            Self::Choice { options, .. } => options.get(usize::try_from(index).ok()?).cloned(),
            Self::Randint { .. } => Some(Value::Int(i64::try_from(index).ok()?)),
            Self::Int { low, .. } => Some(Value::Int(low.checked_add_unsigned(index)?)),
            Self::Quniform { q, .. } | Self::Qloguniform { q, .. } => {
                Some(quantized_value((self.multiples().0 + index as f64) * q + 0.0, *q))
            }
            _ => Some(self.quantile(0.5)),
        }
    }

    /// First and last multiple of the quantum that a bounded quantized draw can yield; NaN for other kinds.
    pub(crate) fn multiples(&self) -> (f64, f64) {
        match self {
            Self::Quniform { low, high, q } => ((low / q).round_ties_even(), (high / q).round_ties_even()),
            Self::Qloguniform { low, high, q, base } => (
                (power(*base, *low) / q).round_ties_even(),
                (power(*base, *high) / q).round_ties_even(),
            ),
            _ => (f64::NAN, f64::NAN),
        }
    }

    /// Name of the expression as users write it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Choice { .. } => "choice",
            Self::Randint { .. } => "randint",
            Self::Int { .. } => "int",
            Self::Uniform { .. } => "uniform",
            Self::Quniform { .. } => "quniform",
            Self::Loguniform { .. } => "loguniform",
            Self::Qloguniform { .. } => "qloguniform",
            Self::Normal { .. } => "normal",
            Self::Qnormal { .. } => "qnormal",
            Self::Lognormal { .. } => "lognormal",
            Self::Qlognormal { .. } => "qlognormal",
        }
    }
}

fn gaussian(mu: f64, sigma: f64, u: f64) -> f64 {
    if sigma == 0.0 {
        mu
    } else {
        mu + sigma * normal::quantile(u)
    }
}

fn integer(low: i64, high: i64, u: f64) -> i64 {
    let count = high.abs_diff(low) as f64 + 1.0;
    let step = (u * count) as u64;
    low.saturating_add_unsigned(step)
        .clamp(low.min(high), high.max(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantization_is_half_to_even() {
        for (x, q, value) in [
            (1.0, 2.0, 0.0),
            (3.0, 2.0, 4.0),
            (5.0, 2.0, 4.0),
            (2.9, 2.0, 2.0),
            (3.1, 2.0, 4.0),
            (-1.0, 2.0, 0.0),
            (-3.0, 2.0, -4.0),
            (7.49, 5.0, 5.0),
            (7.5, 5.0, 10.0),
            (12.5, 5.0, 10.0),
        ] {
            assert_eq!(quantize(x, q).to_bits(), f64::to_bits(value), "({x}, {q})");
        }
    }

    #[test]
    fn bounded_quantized_kinds_enumerate_what_they_can_draw() {
        let values = |low: f64, high: f64, q: f64| {
            let distribution = Distribution::Quniform { low, high, q };
            (0..).map_while(|i| distribution.level(i)).collect::<Vec<_>>()
        };
        let ints = |list: &[i64]| list.iter().map(|v| Value::Int(*v)).collect::<Vec<_>>();
        assert_eq!(values(1.0, 10.0, 2.0), ints(&[0, 2, 4, 6, 8, 10]));
        assert_eq!(values(0.0, 10.0, 3.0), ints(&[0, 3, 6, 9]));
        assert_eq!(values(1.0, 9.0, 4.0), ints(&[0, 4, 8]));
        assert_eq!(values(0.5, 10.0, 2.0), ints(&[0, 2, 4, 6, 8, 10]));
        assert_eq!(values(0.0, 1.0, 0.25).len(), 5);
        assert_eq!(values(0.0, 1.0, 0.25)[1], Value::Float(0.25));
        let narrow = Distribution::Qloguniform {
            low: -6.0,
            high: -1.0,
            q: 1.0,
            base: std::f64::consts::E,
        };
        assert_eq!(
            (narrow.levels(), narrow.level(0)),
            (Levels::Finite(1), Some(Value::Int(0)))
        );
    }

    /// Golden values of every expression at three probabilities: they must never change, or old sweeps would not replay.
    #[test]
    fn quantiles_are_pinned() {
        let e = std::f64::consts::E;
        let cases: Vec<(Distribution, [&str; 3])> = vec![
            (
                Distribution::Choice {
                    options: vec![Value::Int(1), Value::Str("b".into())],
                    ordered: None,
                },
                ["1", "1", "b"],
            ),
            (Distribution::Randint { upper: 10 }, ["1", "4", "9"]),
            (
                Distribution::Int {
                    low: 1,
                    high: 1000,
                    log: true,
                },
                ["1", "19", "684"],
            ),
            (
                Distribution::Int {
                    low: -3,
                    high: 3,
                    log: false,
                },
                ["-3", "0", "3"],
            ),
            (
                Distribution::Uniform { low: -1.0, high: 1.0 },
                ["-0.8", "-0.040000000000000036", "0.8999999999999999"],
            ),
            (
                Distribution::Quniform {
                    low: 0.0,
                    high: 100.0,
                    q: 8.0,
                },
                ["8", "48", "96"],
            ),
            (
                Distribution::Loguniform {
                    low: -2.0,
                    high: 0.0,
                    base: 10.0,
                },
                [
                    "0.015848931924611134",
                    "0.09120108393559097",
                    "0.7943282347242814",
                ],
            ),
            (
                Distribution::Qloguniform {
                    low: 0.0,
                    high: 4.0,
                    q: 1.0,
                    base: e,
                },
                ["1", "7", "45"],
            ),
            (
                Distribution::Normal { mu: 5.0, sigma: 2.0 },
                ["2.4368968689107984", "4.8996928330705325", "8.289707253902943"],
            ),
            (
                Distribution::Qnormal {
                    mu: 5.0,
                    sigma: 2.0,
                    q: 0.5,
                },
                ["2.5", "5.0", "8.5"],
            ),
            (
                Distribution::Lognormal {
                    mu: 0.0,
                    sigma: 1.0,
                    base: e,
                },
                ["0.2776062418520097", "0.9510833426081113", "5.18025160223301"],
            ),
            (
                Distribution::Qlognormal {
                    mu: 2.0,
                    sigma: 1.0,
                    q: 2.0,
                    base: e,
                },
                ["2", "8", "38"],
            ),
        ];
        for (distribution, expected) in cases {
            let got = [0.1, 0.48, 0.95].map(|u| distribution.quantile(u).to_string());
            assert_eq!(got, expected.map(String::from), "{}", distribution.word());
        }
    }
}
