//! Lines of the report file: JSON objects that anyone appends to the file named by `OVERDRIVE_REPORT`.
//!
//! Metric: `{"name": N, "value": V, "step"?: n, "epoch"?: n}`, or several at once: `{"acc": 0.9, "loss": 0.1, "step": 3}`.
//! With `"kind"` (the azureml shim writes these): `param`, `tag`, `property`, `status` with `key` and `value`; `file`, `image`,
//! `table`, `text`, `model` with `name` and `path`; `warning` with `code` and `message`; `metric` as without a kind.
//! `"via": "azureml"` marks the shim's own lines. NaN and infinities may be bare (as Python writes them) or text.

use super::Report;
use crate::journal::Channel;
use serde_json::{Map, Value};

/// Keys of the short form that are no metrics.
const RESERVED: [&str; 9] = [
    "step",
    "epoch",
    "iter",
    "iteration",
    "t",
    "time",
    "timestamp",
    "via",
    "kind",
];

/// Reads one line. Lines that cannot be read give a warning with the code `report-line`, blank ones nothing.
pub fn line(line: &str, out: &mut Vec<Report>) {
    if line.trim().is_empty() {
        return;
    }
    match lenient_object(line) {
        Some(object) => read(&object, out),
        None => out.push(unreadable(line)),
    }
}

fn unreadable(line: &str) -> Report {
    let excerpt: String = line.trim().chars().take(120).collect();
    Report::Warning {
        code: "report-line".into(),
        message: format!("a line of the report file is no JSON object that can be read: {excerpt}"),
    }
}

fn read(object: &Map<String, Value>, out: &mut Vec<Report>) {
    let channel = match object.get("via").and_then(Value::as_str) {
        Some("azureml") => Channel::Azureml,
        _ => Channel::Report,
    };
    let text = |key: &str| object.get(key).map(text_of);
    let before = out.len();
    match object.get("kind").and_then(Value::as_str) {
        Some(kind @ ("param" | "tag" | "property" | "status")) => {
            if let (Some(key), Some(value)) = (text("key").or_else(|| text("name")), text("value")) {
                out.push(Report::Fact {
                    kind: kind.into(),
                    key,
                    value,
                });
            }
        }
        Some(kind @ ("file" | "image" | "table" | "text" | "model")) => {
            if let (Some(name), Some(path)) = (text("name"), text("path")) {
                out.push(Report::Artifact {
                    kind: kind.into(),
                    name,
                    path,
                });
            }
        }
        Some("warning") => {
            if let (Some(code), Some(message)) = (text("code"), text("message")) {
                out.push(Report::Warning { code, message });
            }
        }
        _ => metrics(object, channel, out),
    }
    if out.len() == before {
        out.push(unreadable(&Value::Object(object.clone()).to_string()));
    }
}

fn metrics(object: &Map<String, Value>, channel: Channel, out: &mut Vec<Report>) {
    let step = step_of(object);
    if let (Some(Value::String(name)), Some(value)) = (object.get("name"), object.get("value")) {
        out.push(match number_of(value) {
            Some(value) => Report::Metric {
                name: name.clone(),
                value,
                step,
                channel,
            },
            None => Report::Fact {
                kind: "property".into(),
                key: name.clone(),
                value: text_of(value),
            },
        });
        return;
    }
    for (name, value) in object {
        if !RESERVED.contains(&name.as_str())
            && let Some(value) = number_of(value)
        {
            out.push(Report::Metric {
                name: name.clone(),
                value,
                step,
                channel,
            });
        }
    }
}

/// The text of a JSON value, without quotes if it is text.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The number that a JSON value is or spells (`"0.5"`, `"NaN"`); booleans count as 0 and 1, as they did for `run.log`.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The step among the keys of an object: `step`, else `iteration`, `iter`, `epoch`.
pub(super) fn step_of(object: &Map<String, Value>) -> Option<i64> {
    ["step", "iteration", "iter", "epoch"]
        .iter()
        .find_map(|key| match object.get(*key)? {
            Value::Number(number) => number.as_i64().or_else(|| {
                let real = number.as_f64()?;
                (real.fract() == 0.0 && real.abs() < 9e15).then_some(real as i64)
            }),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        })
}

/// Reads a JSON object that fills the line; bare `NaN`, `Infinity` and `-Infinity` become text.
pub(super) fn lenient_object(line: &str) -> Option<Map<String, Value>> {
    let line = line.trim();
    if !line.starts_with('{') || !line.ends_with('}') {
        return None;
    }
    serde_json::from_str(line)
        .ok()
        .or_else(|| serde_json::from_str(&quote_bare_numbers(line)?).ok())
}

fn quote_bare_numbers(line: &str) -> Option<String> {
    if !line.contains("NaN") && !line.contains("Infinity") {
        return None;
    }
    let mut quoted = String::with_capacity(line.len() + 16);
    let mut rest = line;
    let mut in_text = false;
    while let Some(first) = rest.chars().next() {
        if !in_text
            && let Some(word) = ["NaN", "-Infinity", "Infinity"]
                .into_iter()
                .find(|word| rest.starts_with(word))
        {
            quoted.push('"');
            quoted.push_str(word);
            quoted.push('"');
            rest = rest.get(word.len()..)?;
            continue;
        }
        let mut length = first.len_utf8();
        match first {
            '"' => in_text = !in_text,
            '\\' if in_text => length += rest.get(length..)?.chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        quoted.push_str(rest.get(..length)?);
        rest = rest.get(length..)?;
    }
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Vec<Report> {
        let mut out = Vec::new();
        line(text, &mut out);
        out
    }

    fn metric(name: &str, value: f64, step: Option<i64>, channel: Channel) -> Report {
        Report::Metric {
            name: name.into(),
            value,
            step,
            channel,
        }
    }

    #[test]
    fn both_forms_of_metrics() {
        assert_eq!(
            parse(r#"{"name": "val loss", "value": 0.5, "step": 3}"#),
            [metric("val loss", 0.5, Some(3), Channel::Report)]
        );
        assert_eq!(
            parse(r#"{"acc": 0.9, "loss": "0.1", "epoch": 2, "t": 17.5, "note": "x"}"#),
            [
                metric("acc", 0.9, Some(2), Channel::Report),
                metric("loss", 0.1, Some(2), Channel::Report)
            ]
        );
        assert_eq!(
            parse(r#"{"via":"azureml","name":"a","value":-Infinity}"#),
            [metric("a", f64::NEG_INFINITY, None, Channel::Azureml)]
        );
        assert!(matches!(parse(r#"{"name":"x \" NaN","value":NaN}"#).as_slice(),
            [Report::Metric { value, name, .. }] if value.is_nan() && name == "x \" NaN"));
    }

    #[test]
    fn facts_artifacts_and_trouble() {
        assert_eq!(
            parse(r#"{"kind":"tag","key":"k","value":7}"#),
            [Report::Fact {
                kind: "tag".into(),
                key: "k".into(),
                value: "7".into()
            }]
        );
        assert_eq!(
            parse(r#"{"kind":"image","name":"n","path":"artifacts/n.png"}"#),
            [Report::Artifact {
                kind: "image".into(),
                name: "n".into(),
                path: "artifacts/n.png".into()
            }]
        );
        assert_eq!(
            parse(r#"{"name":"Kernel type","value":"rbf"}"#),
            [Report::Fact {
                kind: "property".into(),
                key: "Kernel type".into(),
                value: "rbf".into()
            }]
        );
        for bad in ["no json", "{", "[1]", "{}", r#"{"kind":"tag"}"#] {
            assert!(
                matches!(parse(bad).as_slice(), [Report::Warning { code, .. }] if code == "report-line"),
                "{bad}"
            );
        }
        assert!(parse("  \n").is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_line_panics(text in r#"[{}\[\]":,\\NaInfty0-9e. é-]{0,60}"#) {
            parse(&text);
            parse(&format!("{{\"name\":\"a\",\"value\":{text}}}"));
        }
    }
}
