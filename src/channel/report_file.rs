//! Lines of the report file: JSON objects that anyone appends to the file named by `OVERDRIVE_REPORT`.
//!
//! The forms are those of `docs/reference/metrics.md`. NaN and infinities may be bare (as Python writes them) or text.

use super::Report;
use crate::journal::Channel;
use serde_json::{Map, Value};

/// Keys of the short form that are no metrics.
const RESERVED: [&str; 12] = [
    "step",
    "epoch",
    "iter",
    "iteration",
    "t",
    "time",
    "timestamp",
    "channel",
    "table",
    "text",
    "kind",
    "name",
];

/// Reads one line. A line that cannot be read gives a warning with the code `report-line`, a blank one nothing. A line that
/// stands in a file of its own (`{"side": NAME}`) gives that file's name, proved to be a bare one.
pub fn line(line: &str, out: &mut Vec<Report>) -> Option<String> {
    if line.trim().is_empty() {
        return None;
    }
    let Some(object) = lenient_object(line) else {
        out.push(unreadable(line));
        return None;
    };
    if let Some(side) = object.get("side").and_then(Value::as_str) {
        if !side.is_empty() && !side.starts_with('.') && !side.contains(['/', '\0']) {
            return Some(side.to_owned());
        }
        out.push(unreadable(line));
        return None;
    }
    if !read(&object, out) {
        out.push(unreadable(line));
    }
    None
}

fn unreadable(line: &str) -> Report {
    let excerpt: String = line.trim().chars().take(120).collect();
    Report::Warning {
        code: "report-line".into(),
        message: format!("a line of the report file says nothing that can be read: {excerpt}"),
    }
}

/// Reads one object; `false` if it says nothing.
fn read(object: &Map<String, Value>, out: &mut Vec<Report>) -> bool {
    let text = |key: &str| object.get(key).map(text_of);
    let before = out.len();
    if let Some(kind) = text("fact") {
        if let (Some(key), Some(value)) = (text("key"), text("value")) {
            out.push(Report::Fact { kind, key, value });
        }
    } else if let Some(kind) = text("artifact") {
        if let (Some(name), Some(path)) = (text("name"), text("path")) {
            out.push(Report::Artifact { kind, name, path });
        }
    } else {
        metrics(object, out);
    }
    out.len() > before
}

fn metrics(object: &Map<String, Value>, out: &mut Vec<Report>) {
    let channel = match object.get("channel").and_then(Value::as_str) {
        Some("azureml") => Channel::Azureml,
        _ => Channel::Report,
    };
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
                kind: "value".into(),
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
            parse(r#"{"channel":"azureml","name":"a","value":-Infinity,"kind":"x"}"#),
            [metric("a", f64::NEG_INFINITY, None, Channel::Azureml)]
        );
        assert!(matches!(parse(r#"{"name":"x \" NaN","value":NaN}"#).as_slice(),
            [Report::Metric { value, name, .. }] if value.is_nan() && name == "x \" NaN"));
    }

    #[test]
    fn facts_artifacts_and_trouble() {
        assert_eq!(
            parse(r#"{"fact":"tag","key":"k","value":7}"#),
            [Report::Fact {
                kind: "tag".into(),
                key: "k".into(),
                value: "7".into()
            }]
        );
        assert_eq!(
            parse(r#"{"artifact":"image","name":"n","path":"artifacts/n.png"}"#),
            [Report::Artifact {
                kind: "image".into(),
                name: "n".into(),
                path: "artifacts/n.png".into()
            }]
        );
        assert_eq!(
            parse(r#"{"name":"Kernel type","value":"rbf"}"#),
            [Report::Fact {
                kind: "value".into(),
                key: "Kernel type".into(),
                value: "rbf".into()
            }]
        );
        for bad in [
            "no json",
            "{",
            "[1]",
            "{}",
            r#"{"fact":"tag"}"#,
            r#"{"side":"../x"}"#,
        ] {
            assert!(
                matches!(parse(bad).as_slice(), [Report::Warning { code, .. }] if code == "report-line"),
                "{bad}"
            );
        }
        assert!(parse("  \n").is_empty());
        let mut out = Vec::new();
        assert_eq!(
            line(r#"{"side": "12-3.json"}"#, &mut out).as_deref(),
            Some("12-3.json")
        );
        assert!(out.is_empty());
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
