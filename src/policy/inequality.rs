//! Stop decisions in words: the inequality with its numbers, and what it would have taken to survive.

use super::Stop;
use crate::metric::Goal;

/// Builds the sentence of a decision: `0.6120 < 0.8474 (best 0.9321 / 1.1)`.
pub(super) fn inequality(goal: Goal, value: Option<f64>, threshold: Option<f64>, because: &str) -> String {
    let sign = match goal {
        Goal::Maximize => '<',
        Goal::Minimize => '>',
    };
    match (value, threshold) {
        (Some(value), Some(threshold)) => {
            let (left, right) = apart(value, threshold);
            format!("{left} {sign} {right} ({because})")
        }
        (None, Some(threshold)) => format!("no value against {} ({because})", significant(threshold, 4)),
        (Some(value), None) => format!("{} ({because})", significant(value, 4)),
        (None, None) => format!("no value ({because})"),
    }
}

/// What the trial of `stop` would have needed to be kept, in words: `0.8474 or more by interval 6 (it had 0.6120), or a
/// slack_factor of 0.5231`. Without the metric's name.
pub fn survival(stop: &Stop) -> String {
    let goal = match stop.operands.get("sign") {
        Some(sign) if *sign < 0.0 => Goal::Minimize,
        _ => Goal::Maximize,
    };
    let direction = match goal {
        Goal::Maximize => "more",
        Goal::Minimize => "less",
    };
    let Some(threshold) = stop.threshold else {
        return format!("any finite value by interval {}", stop.interval);
    };
    let Some(value) = stop.value else {
        return format!(
            "a value of {} or {direction} by interval {} (it had none)",
            significant(threshold, 4),
            stop.interval
        );
    };
    let (had, needed) = apart(value, threshold);
    let mut text = format!(
        "{needed} or {direction} by interval {} (it had {had})",
        stop.interval
    );
    let best = stop.operands.get("best").copied();
    if let Some((name, slack)) = best.and_then(|best| slack_needed(stop, goal, best, value)) {
        text.push_str(&format!(", or a {name} of {}", significant(slack, 4)));
    }
    text
}

/// The smallest slack under which `value` would have been kept.
fn slack_needed(stop: &Stop, goal: Goal, best: f64, value: f64) -> Option<(&'static str, f64)> {
    let distance = (best - value).abs();
    if stop.operands.contains_key("slack_amount") {
        return Some(("slack_amount", distance));
    }
    stop.operands.get("slack_factor")?;
    let slack = match goal {
        Goal::Maximize if best > 0.0 && value > 0.0 => best / value - 1.0,
        Goal::Maximize if best < 0.0 && distance < -best => distance / (-best - distance),
        Goal::Minimize if best != 0.0 => distance / best.abs(),
        _ => return None,
    };
    (slack.is_finite() && slack > 0.0).then_some(("slack_factor", slack))
}

/// Two numbers with as many digits as it takes to tell them apart, four at least.
fn apart(left: f64, right: f64) -> (String, String) {
    let mut digits = 4;
    loop {
        let pair = (significant(left, digits), significant(right, digits));
        if pair.0 != pair.1 || digits >= 17 {
            return pair;
        }
        digits += 1;
    }
}

/// A number with this many significant digits; whole digits before the point are never cut.
pub(super) fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let magnitude = value.abs().log10().floor();
    if !(-5.0..15.0).contains(&magnitude) {
        return format!("{value:.*e}", digits.saturating_sub(1));
    }
    let decimals = (digits as f64 - 1.0 - magnitude).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        text
    }
}

/// A setting as its author wrote it, without the noise of binary fractions: 1 + 0.1 is `1.1`.
pub(super) fn setting(value: f64) -> String {
    let text = format!("{value:.10}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits_and_settings_their_spelling() {
        for (value, text) in [
            (0.612, "0.6120"),
            (0.8473636, "0.8474"),
            (1.11, "1.110"),
            (123456.7, "123457"),
            (3.0, "3"),
            (-0.0001234567, "-0.0001235"),
            (1e-9, "1.000e-9"),
            (0.0, "0"),
        ] {
            assert_eq!(significant(value, 4), text);
        }
        assert_eq!(setting(1.0 + 0.1), "1.1");
        assert_eq!(setting(2.0), "2");
        assert_eq!(apart(0.84740001, 0.84740002).1, "0.84740002");
    }
}
