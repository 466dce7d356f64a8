//! Numbers, durations and times as people read them: four significant digits, `3:07`, local time.

use crate::space::Value;

/// A metric or parameter value with four significant digits; integers of the type stay integers, see [`value`].
///
/// Positional from 0.0001 up to 10 million, scientific beyond; `NaN`, `inf`, `-inf` by name.
pub fn real(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if number == 0.0 {
        return "0".into();
    }
    // The exponent after rounding to four digits decides, so that 9.99996 becomes 10.00.
    let scientific = format!("{number:.3e}");
    let exponent: i32 = scientific
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0);
    if (-4..7).contains(&exponent) {
        let decimals = usize::try_from((3 - exponent).max(0)).unwrap_or(0);
        format!("{number:.decimals$}")
    } else {
        scientific
    }
}

/// A signed difference: `+0.0572`, four decimals at most and at least the digits that tell it from zero.
pub fn signed(number: f64) -> String {
    if number.is_finite() && number >= 0.0 {
        format!("+{}", real(number))
    } else {
        real(number)
    }
}

/// A parameter's value, short: reals with four digits, the rest as the script gets it.
pub fn value(value: &Value) -> String {
    match value {
        Value::Float(number) => real(*number),
        other => crate::report::text::printable(&other.to_string()),
    }
}

/// A whole number with commas: `1,080`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A duration: `0.4 s`, `42 s`, `3:07`, `1:04:12`, `2 d 3 h`.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..10 if !milliseconds.is_multiple_of(1000) => {
            format!("{:.1} s", (milliseconds as f64 / 1000.0).min(9.9))
        }
        0..60 => format!("{seconds} s"),
        60..86_400 => clock(milliseconds),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A duration as a clock of at least minutes: `0:21`, `3:07`, `1:04:12`.
pub fn clock(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    if seconds < 3600 {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    } else {
        long_clock(milliseconds)
    }
}

/// A duration as a clock with hours: `0:04:12`.
pub fn long_clock(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    format!(
        "{}:{:02}:{:02}",
        seconds / 3600,
        seconds % 3600 / 60,
        seconds % 60
    )
}

/// A rough duration for forecasts: `40 s`, `6 min`, `2.5 h`, `3 d`.
pub fn rough(milliseconds: u64) -> String {
    let seconds = milliseconds as f64 / 1000.0;
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else if seconds < 5400.0 {
        format!("{:.0} min", seconds / 60.0)
    } else if seconds < 172_800.0 {
        format!("{:.1} h", seconds / 3600.0)
    } else {
        format!("{:.0} d", seconds / 86_400.0)
    }
}

/// A stored time (ISO 8601 UTC) in the local zone: `2026-11-24 06:12:01`; the text itself if it is no time.
pub fn local_time(stored: &str) -> String {
    match stored.parse::<jiff::Timestamp>() {
        Ok(time) => time
            .to_zoned_datetime(jiff::tz::TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => crate::report::text::printable(stored),
    }
}

/// The clock part of [`local_time`]: `06:12:01`.
pub fn local_clock(stored: &str) -> String {
    match stored.parse::<jiff::Timestamp>() {
        Ok(time) => time
            .to_zoned_datetime(jiff::tz::TimeZone::system())
            .strftime("%H:%M:%S")
            .to_string(),
        Err(_) => crate::report::text::printable(stored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_significant_digits() {
        for (number, text) in [
            (0.97314, "0.9731"),
            (0.0031239, "0.003124"),
            (0.0123, "0.01230"),
            (9.99996, "10.00"),
            (128.0, "128.0"),
            (12345.678, "12346"),
            (0.0, "0"),
            (-0.5, "-0.5000"),
            (1.5e-7, "1.500e-7"),
            (3.2e9, "3.200e9"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(real(number), text);
        }
        assert_eq!(signed(0.0572), "+0.05720");
        assert_eq!(signed(-0.1), "-0.1000");
        assert_eq!(value(&Value::Int(128)), "128");
        assert_eq!(value(&Value::Bool(true)), "True");
    }

    #[test]
    fn durations_have_units() {
        for (milliseconds, text) in [
            (400, "0.4 s"),
            (9_990, "9.9 s"),
            (42_000, "42 s"),
            (187_000, "3:07"),
            (3_852_000, "1:04:12"),
            (183_600_000, "2 d 3 h"),
        ] {
            assert_eq!(duration(milliseconds), text);
        }
        assert_eq!(long_clock(252_000), "0:04:12");
        assert_eq!(rough(330_000), "6 min");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
    }
}
