//! Literals of users' files: from nodes of a document to [`Value`]s of the space.

use crate::diagnostic::{Diagnostics, Kind, Node};
use crate::space::Value;
use indexmap::IndexMap;

/// The value that a script is to get for a literal. Dates are refused (the service never took them; as text they need quotes);
/// NaN and infinities become the text that a script would see.
pub(crate) fn value_of(node: &Node, found: &mut Diagnostics) -> Option<Value> {
    Some(match &node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => Value::Bool(*value),
        Kind::Int(value) => Value::Int(*value),
        Kind::Float(value) if value.is_finite() => Value::Float(*value),
        Kind::Float(value) => {
            let text = crate::space::python_repr(*value);
            found
                .warning("not-finite", node.span, format!("`{}` is an option", node.raw))
                .label(format!("the script gets the text `{text}`"));
            Value::Str(text)
        }
        Kind::Str(text) => Value::Str(text.clone()),
        Kind::Date(text) => {
            found
                .error(
                    "argument-type",
                    node.span,
                    format!("`{text}` is read as a date, which no script can be given"),
                )
                .label("a date")
                .help(format!("for the text write  '{text}'"))
                .suggest(node.span, format!("'{text}'"));
            return None;
        }
        Kind::Seq(items) => Value::List(
            items
                .iter()
                .map(|item| value_of(item, found))
                .collect::<Option<_>>()?,
        ),
        Kind::Map(entries) => {
            let mut map = IndexMap::new();
            for entry in entries {
                map.insert(entry.key.clone(), value_of(&entry.value, found)?);
            }
            Value::Map(Box::new(map))
        }
    })
}

/// A number for people: `digits` significant digits, no trailing zeros.
pub(crate) fn short(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return crate::space::python_repr(value).trim_end_matches(".0").to_owned();
    }
    let exponent = value.abs().log10().floor() as i32;
    if !(-5..=9).contains(&exponent) {
        let text = format!("{value:.*e}", digits.saturating_sub(1));
        return match text.split_once('e') {
            Some((mantissa, exponent)) if mantissa.contains('.') => {
                format!(
                    "{}e{exponent}",
                    mantissa.trim_end_matches('0').trim_end_matches('.')
                )
            }
            _ => text,
        };
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers() {
        for (value, text) in [
            (1.0001, "1.0001"),
            (1.10517, "1.1052"),
            (-9.210340371976182, "-9.2103"),
            (0.0, "0"),
            (22026.465, "22026"),
            (1e22, "1e22"),
            (1.23456e-7, "1.2346e-7"),
            (250.0, "250"),
        ] {
            assert_eq!(short(value, 5), text);
        }
    }
}
