//! JSON as Python writes it: with bare `NaN` and `Infinity`.

use crate::space::Value;
use indexmap::IndexMap;
use serde_json::Value as Json;

/// Parses a text in which `NaN`, `Infinity` and `-Infinity` may stand for numbers; they become texts of that name.
///
/// # Errors
/// Line (from 1) and what is wrong there.
pub(super) fn parse(text: &str) -> Result<Json, (u64, String)> {
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&quoted(text)))
        .map_err(|error| (error.line() as u64, error.to_string()))
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !in_string
            && let Some(word) = ["NaN", "-Infinity", "Infinity"]
                .into_iter()
                .find(|word| rest.starts_with(word))
        {
            out.push('"');
            out.push_str(word);
            out.push('"');
            rest = rest.get(word.len()..).unwrap_or_default();
            continue;
        }
        if in_string {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
        } else if c == '"' {
            in_string = true;
        }
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

/// The number that a field holds, infinities and NaN included; booleans are none.
pub(super) fn number(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(word) => match word.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// The field as a value of a parameter. Whole numbers beyond 64 bits become reals.
pub(super) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Float(number.as_f64().unwrap_or(f64::MAX)),
        },
        Json::String(text) => Value::Str(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(value).collect()),
        Json::Object(fields) => Value::Map(Box::new(
            fields
                .iter()
                .map(|(key, field)| (key.clone(), value(field)))
                .collect(),
        )),
    }
}

/// The leaves of nested maps by their path (`outer/inner`); lists are leaves.
pub(super) fn flat(fields: &serde_json::Map<String, Json>, separator: char) -> IndexMap<String, Json> {
    let mut out = IndexMap::new();
    flatten(fields, "", separator, &mut out);
    out
}

fn flatten(
    fields: &serde_json::Map<String, Json>,
    before: &str,
    separator: char,
    out: &mut IndexMap<String, Json>,
) {
    for (key, field) in fields {
        let path = if before.is_empty() {
            key.clone()
        } else {
            format!("{before}{separator}{key}")
        };
        match field {
            Json::Object(inner) if !inner.is_empty() => flatten(inner, &path, separator, out),
            _ => {
                out.insert(path, field.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_numbers_are_read_and_texts_left_alone() {
        let json =
            parse(r#"{"a": NaN, "b": [-Infinity, Infinity, 1.5], "c": "NaN in \" NaN", "d": 3}"#).unwrap();
        assert!(number(&json["a"]).unwrap().is_nan());
        assert_eq!(number(&json["b"][0]), Some(f64::NEG_INFINITY));
        assert_eq!(number(&json["b"][1]), Some(f64::INFINITY));
        assert_eq!(json["c"], "NaN in \" NaN");
        assert_eq!(value(&json["d"]), Value::Int(3));
        assert_eq!(parse("{\"a\": 1,\n\"b\": }").unwrap_err().0, 2);
    }

    #[test]
    fn nested_maps_have_paths() {
        let json = parse(r#"{"a": {"b": 1, "c": {"d": [1]}}, "e": {}}"#).unwrap();
        let flat = flat(json.as_object().unwrap(), '/');
        assert_eq!(flat.keys().collect::<Vec<_>>(), ["a/b", "a/c/d", "e"]);
    }
}
