//! One value of a parameter, keeping the type that the user's file gave it (`1` is not `1.0`).

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A literal: what a `choice` option is, what a draw yields, what a script receives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Value {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A finite real; integral reals stay reals.
    Float(f64),
    /// Text.
    Str(String),
    /// A list option.
    List(Vec<Value>),
    /// A map option, order kept.
    Map(Box<IndexMap<String, Value>>),
}

impl Value {
    /// The number that this value is, if it is one (booleans are not).
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

/// The text that a script gets in its argument list: Python's `str` for scalars (`True`, `None`, `1e-05`, `1.0`), JSON with
/// `", "` and `": "` separators for lists and maps.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => f.write_str(&python_repr(*value)),
            Self::Str(value) => f.write_str(value),
            Self::List(_) | Self::Map(_) => write_json(self, f),
        }
    }
}

fn write_json(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::Null => f.write_str("null"),
        Value::Bool(value) => write!(f, "{value}"),
        Value::Int(value) => write!(f, "{value}"),
        Value::Float(value) => f.write_str(&python_repr(*value)),
        Value::Str(value) => f.write_str(&serde_json::Value::from(value.as_str()).to_string()),
        Value::List(items) => {
            f.write_str("[")?;
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    f.write_str(", ")?;
                }
                write_json(item, f)?;
            }
            f.write_str("]")
        }
        Value::Map(entries) => {
            f.write_str("{")?;
            for (index, (key, item)) in entries.iter().enumerate() {
                if index > 0 {
                    f.write_str(", ")?;
                }
                write!(f, "{}: ", serde_json::Value::from(key.as_str()))?;
                write_json(item, f)?;
            }
            f.write_str("}")
        }
    }
}

/// Shortest decimal text that reads back to the same double, by the rules of Python's `repr`: an exponent (at least two
/// digits) below 1e-4 and from 1e16 on, otherwise positional with at least one decimal. Negative zero is written `0.0`.
pub fn python_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if value == 0.0 {
        return "0.0".into();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let text = format!("{value}");
        if text.contains('.') {
            text
        } else {
            format!("{text}.0")
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_like_python() {
        for (value, text) in [
            (0.1 + 0.2, "0.30000000000000004"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (0.0001, "0.0001"),
            (1e-5, "1e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1e22, "1e+22"),
            (123456789.123, "123456789.123"),
            (5e-324, "5e-324"),
            (-0.0, "0.0"),
            (-2.5e-7, "-2.5e-07"),
        ] {
            assert_eq!(python_repr(value), text);
        }
    }

    #[test]
    fn json_round_trip_keeps_types() {
        let value: Value = serde_json::from_str(r#"[1, 1.0, "a", null, true, {"k": [2]}]"#).unwrap();
        assert_eq!(value.to_string(), r#"[1, 1.0, "a", null, true, {"k": [2]}]"#);
    }
}
