//! Reported numbers: names, goals, observations and per-trial series. The rules for NaN and infinities live here.
//!
//! Pure. A *report* is one logging of a metric by a script; the n-th report of the primary metric is *interval* n (1-based).
//! Steps are kept for display and multi-fidelity, they never move the interval count.

use serde::{Deserialize, Serialize};

/// Direction of the primary metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

impl Goal {
    /// `+1` to maximize, `-1` to minimize.
    pub fn sign(self) -> f64 {
        match self {
            Self::Minimize => -1.0,
            Self::Maximize => 1.0,
        }
    }

    /// Whether `a` is strictly better than `b`. A finite number beats a non-finite one; two non-finite ones tie.
    pub fn better(self, a: f64, b: f64) -> bool {
        match (a.is_finite(), b.is_finite()) {
            (true, true) => self.sign() * a > self.sign() * b,
            (true, false) => true,
            _ => false,
        }
    }

    /// Whether `a` is worse than `b` beyond rounding: `s·a < s·b − 1e−12·max(|a|, |b|)`. Ties are never worse.
    pub fn worse(self, a: f64, b: f64) -> bool {
        self.sign() * a < self.sign() * b - 1e-12 * a.abs().max(b.abs())
    }
}

/// One reported number. Equality is that of the record: NaN equals NaN.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Observation {
    /// The value; NaN and infinities are kept (they count as an interval without a value).
    #[serde(with = "number")]
    pub value: f64,
    /// The step that the script gave, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i64>,
    /// Milliseconds from the start of the attempt to the report.
    pub elapsed_ms: u64,
}

impl PartialEq for Observation {
    fn eq(&self, other: &Self) -> bool {
        self.value.total_cmp(&other.value).is_eq()
            && self.step == other.step
            && self.elapsed_ms == other.elapsed_ms
    }
}

/// All reports of one metric by one trial, in arrival order. Equality is that of the record: NaN equals NaN.
#[derive(Clone, Debug, Default)]
pub struct Series {
    values: Vec<f64>,
    best: Option<(usize, f64)>,
}

impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.values.iter().zip(&other.values);
        self.values.len() == other.values.len() && pairs.into_iter().all(|(a, b)| a.total_cmp(b).is_eq())
    }
}

impl Series {
    /// Appends a report; returns its interval (1-based).
    pub fn push(&mut self, goal: Goal, value: f64) -> usize {
        if value.is_finite() && self.best.is_none_or(|(_, best)| goal.better(value, best)) {
            self.best = Some((self.values.len() + 1, value));
        }
        self.values.push(value);
        self.values.len()
    }

    /// The values in arrival order, non-finite ones included.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Number of reports so far.
    pub fn intervals(&self) -> usize {
        self.values.len()
    }

    /// Best finite value with the interval at which it first came.
    pub fn best(&self) -> Option<(usize, f64)> {
        self.best
    }

    /// Best finite value among the first `interval` reports.
    pub fn best_until(&self, goal: Goal, interval: usize) -> Option<f64> {
        if let Some((at, value)) = self.best
            && at <= interval
        {
            return Some(value);
        }
        self.values
            .iter()
            .take(interval)
            .copied()
            .filter(|value| value.is_finite())
            .reduce(|a, b| if goal.better(b, a) { b } else { a })
    }
}

/// Serde form of a number that may be NaN or infinite: JSON numbers, or the strings `"NaN"`, `"Infinity"`, `"-Infinity"`.
pub mod number {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the number, or its name if it is not finite.
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            serializer.serialize_f64(*value)
        } else if value.is_nan() {
            serializer.serialize_str("NaN")
        } else if *value > 0.0 {
            serializer.serialize_str("Infinity")
        } else {
            serializer.serialize_str("-Infinity")
        }
    }

    /// Reads either form.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(f64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(value) => Ok(value),
            Form::Text(text) => match text.as_str() {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                other => other.parse().map_err(D::Error::custom),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_ignores_non_finite_and_keeps_the_first_of_ties() {
        let mut series = Series::default();
        for value in [f64::NAN, 0.5, f64::INFINITY, 0.7, 0.7, 0.1] {
            series.push(Goal::Maximize, value);
        }
        assert_eq!(series.best(), Some((4, 0.7)));
        assert_eq!(series.best_until(Goal::Maximize, 3), Some(0.5));
        assert_eq!(series.best_until(Goal::Maximize, 1), None);
        assert_eq!(series.intervals(), 6);
    }
}
