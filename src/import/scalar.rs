//! Values that were written as plain text: numbers, truth values, times.

use crate::space::Value;

/// The value that a text stands for; `None` for an empty one.
pub(super) fn value(text: &str) -> Option<Value> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if let Ok(value) = text.parse::<i64>() {
        return Some(Value::Int(value));
    }
    if let Some(value) = number(text)
        && value.is_finite()
    {
        return Some(Value::Float(value));
    }
    Some(match text {
        "True" | "true" => Value::Bool(true),
        "False" | "false" => Value::Bool(false),
        "None" | "null" => Value::Null,
        _ => Value::Str(text.to_owned()),
    })
}

/// The number that a text stands for, `nan` and `inf` included.
pub(super) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let word = text.trim_start_matches(['+', '-']);
    let begins = word.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let named = ["nan", "inf", "infinity"]
        .iter()
        .any(|name| word.eq_ignore_ascii_case(name));
    if begins || named { text.parse().ok() } else { None }
}

/// Milliseconds since the epoch of a date and time: ISO 8601 with or without zone (then UTC), `T` or a space between.
pub(super) fn time(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    let at = text.parse::<jiff::civil::DateTime>().ok()?;
    Some(jiff::tz::TimeZone::UTC.to_timestamp(at).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_what_they_stand_for() {
        assert_eq!(value("16"), Some(Value::Int(16)));
        assert_eq!(value("1e-3"), Some(Value::Float(1e-3)));
        assert_eq!(value("True"), Some(Value::Bool(true)));
        assert_eq!(value("infinite"), Some(Value::Str("infinite".into())));
        assert_eq!(value("nan"), Some(Value::Str("nan".into())));
        assert_eq!(value(" "), None);
        assert!(number("NaN").unwrap().is_nan() && number("adam").is_none());
        assert_eq!(time("1970-01-01 00:00:01.5"), Some(1500));
        assert_eq!(time("1970-01-01T00:00:02Z"), Some(2000));
    }
}
