//! Axes: ranges, ticks by the 1-2-5 rule (decades on logarithmic axes), labels.

use crate::report::number;

/// A mapping from values to `0..=1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    /// Whether places go by the logarithm.
    pub log: bool,
    /// Places of ticks with their labels.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis over `values` with about `count` ticks; logarithmic only if asked for and every value is positive. The range is
    /// widened by 4 % so that no mark lies on the frame.
    pub fn over(values: impl Iterator<Item = f64>, log: bool, count: usize) -> Self {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let (mut low, mut high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(*value), high.max(*value))
            });
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let log = log && low > 0.0;
        if log {
            (low, high) = (low.log10(), high.log10());
        }
        let pad = if high > low {
            0.04 * (high - low)
        } else {
            (low.abs() * 0.05).max(0.5)
        };
        Self::exactly(low - pad, high + pad, log, count)
    }

    /// An axis whose ends are `low` and `high` (logarithms to base 10 if `log`).
    pub fn exactly(low: f64, high: f64, log: bool, count: usize) -> Self {
        let ticks = if log {
            log_ticks(low, high, count)
        } else {
            ticks(low, high, count)
                .into_iter()
                .map(|tick| (tick, label(tick)))
                .collect()
        };
        Self {
            low,
            high,
            log,
            ticks,
        }
    }

    /// Place of a value, 0 at the low end, 1 at the high end; `None` if it has none (not finite, not positive on a logarithmic axis).
    pub fn place(&self, value: f64) -> Option<f64> {
        let value = if self.log { value.log10() } else { value };
        let place = (value - self.low) / (self.high - self.low);
        place.is_finite().then_some(place)
    }
}

/// Multiples of 1, 2 or 5 times a power of ten within `low..=high`, about `count` of them.
pub fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 || count == 0 {
        return Vec::new();
    }
    let raw = span / count as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(power);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last.min(first.saturating_add(100)))
        .map(|index| index as f64 * step)
        .collect()
}

fn log_ticks(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let decades = high - low;
    if decades < 1.0 {
        return ticks(10f64.powf(low), 10f64.powf(high), count)
            .into_iter()
            .map(|tick| (tick, label(tick)))
            .collect();
    }
    let every = (decades / count.max(1) as f64).ceil().max(1.0);
    let mut out = Vec::new();
    let mut exponent = low.ceil();
    while exponent <= high {
        let value = 10f64.powf(exponent);
        out.push((value, label(value)));
        exponent += every;
    }
    out
}

/// A tick's label: no digits that say nothing.
fn label(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-4..1e6).contains(&value.abs()) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.len() > 9 {
        number::real(value)
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_two_five() {
        assert_eq!(ticks(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(3.0, 47.0, 5), [10.0, 20.0, 30.0, 40.0]);
        assert!(ticks(1.0, 1.0, 5).is_empty());
        assert!(ticks(f64::NAN, 1.0, 5).is_empty());
        assert!(ticks(1e300, 1.1e300, 5).len() < 102);
    }

    #[test]
    fn logarithmic_axes_need_positive_values() {
        let axis = Axis::over([1e-4, 1e-1].into_iter(), true, 5);
        assert!(axis.log);
        assert_eq!(
            axis.ticks
                .iter()
                .map(|(_, label)| label.as_str())
                .collect::<Vec<_>>(),
            ["0.0001", "0.001", "0.01", "0.1"]
        );
        assert!(!Axis::over([0.0, 1.0].into_iter(), true, 5).log);
        assert_eq!(axis.place(-1.0), None);
    }

    #[test]
    fn empty_and_constant_ranges_have_an_axis() {
        assert_eq!(Axis::over(std::iter::empty(), false, 4).place(0.5), Some(0.5));
        assert_eq!(Axis::over([7.0].into_iter(), false, 4).place(7.0), Some(0.5));
    }
}
