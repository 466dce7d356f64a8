//! Strict markers on standard output: Syne Tune's, NNI's, and one of our own. They name a metric beyond doubt, so any name counts.

use super::Report;
use super::report_file::{lenient_object, number_of};
use crate::journal::Channel;
use serde_json::{Map, Value};

/// Reads marker lines.
///
/// - `[tune-metric]: {"acc": 0.9, "st_worker_iter": 3}`: every number whose key does not begin with `st_`; `st_worker_iter` is the step.
/// - `NNISDK_MEb'{...}'`: value or its `default`, under the primary metric's name (else `default`). A final result that repeats
///   the last intermediate one is the same report.
/// - `::metric name=value step=n`: the name may hold blanks and `=`; the step may be left out.
#[derive(Clone, Debug, Default)]
pub struct MarkerParser {
    primary: Option<String>,
    last_periodical: Option<f64>,
}

impl MarkerParser {
    /// `primary` is the name under which NNI's nameless values are kept.
    pub fn new(primary: Option<&str>) -> Self {
        Self {
            primary: primary.map(str::to_owned),
            last_periodical: None,
        }
    }

    /// Reads one line; `true` if it was a marker (then nothing else should read it).
    pub fn line(&mut self, line: &str, out: &mut Vec<Report>) -> bool {
        // One cheap look decides for nearly all lines.
        if !line.contains("[tune-metric]: ") && !line.contains("NNISDK_ME") && !line.contains("::metric ") {
            return false;
        }
        let before = out.len();
        if let Some((_, object)) = line.split_once("[tune-metric]: ") {
            if let Some(object) = lenient_object(object) {
                syne_tune(&object, out);
            }
        } else if let Some((_, literal)) = line.split_once("NNISDK_MEb") {
            self.nni(literal, out);
        } else if let Some(text) = line.trim_start().strip_prefix("::metric ") {
            own(text, out);
        }
        out.len() > before
    }

    fn nni(&mut self, literal: &str, out: &mut Vec<Report>) {
        let Some(text) = bytes_literal(literal) else {
            return;
        };
        let Some(message) = lenient_object(&text) else {
            return;
        };
        let kind = message.get("type").and_then(Value::as_str);
        let value = match message.get("value") {
            // The value is JSON inside JSON.
            Some(Value::String(text)) => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
            }
            Some(value) => value.clone(),
            None => return,
        };
        let primary = self.primary.as_deref().unwrap_or("default");
        let (main, others) = match &value {
            Value::Object(values) => (values.get("default").and_then(number_of), Some(values)),
            plain => (number_of(plain), None),
        };
        let step = match kind {
            Some("PERIODICAL") => message.get("sequence").and_then(Value::as_i64),
            Some("FINAL") => None,
            _ => return,
        };
        if let Some(value) = main {
            let repeats = kind == Some("FINAL") && self.last_periodical == Some(value);
            self.last_periodical = if kind == Some("PERIODICAL") {
                Some(value)
            } else {
                None
            };
            if !repeats {
                out.push(marker(primary, value, step));
            }
        }
        for (name, value) in others
            .into_iter()
            .flatten()
            .filter(|(name, _)| *name != "default")
        {
            if let Some(value) = number_of(value) {
                out.push(marker(name, value, step));
            }
        }
    }
}

fn marker(name: &str, value: f64, step: Option<i64>) -> Report {
    Report::Metric {
        name: name.to_owned(),
        value,
        step,
        channel: Channel::Marker,
    }
}

fn syne_tune(object: &Map<String, Value>, out: &mut Vec<Report>) {
    let step = object.get("st_worker_iter").and_then(Value::as_i64);
    for (name, value) in object.iter().filter(|(name, _)| !name.starts_with("st_")) {
        if let Some(value) = number_of(value) {
            out.push(marker(name, value, step));
        }
    }
}

fn own(text: &str, out: &mut Vec<Report>) {
    let text = text.trim();
    let (text, step) = match text.rsplit_once(" step=") {
        Some((front, step)) => match step.parse() {
            Ok(step) => (front, Some(step)),
            Err(_) => (text, None),
        },
        None => (text, None),
    };
    if let Some((name, value)) = text.rsplit_once('=')
        && let Ok(value) = value.trim().parse()
        && !name.trim().is_empty()
    {
        out.push(marker(name.trim().trim_matches('"'), value, step));
    }
}

/// The text of a Python bytes literal after its `b`; escapes other than those of `repr` are kept as they are.
fn bytes_literal(text: &str) -> Option<String> {
    let mut chars = text.chars();
    let quote = chars.next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let mut bytes = Vec::new();
    loop {
        match chars.next()? {
            end if end == quote => return String::from_utf8(bytes).ok(),
            '\\' => match chars.next()? {
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                'r' => bytes.push(b'\r'),
                'x' => {
                    let (high, low) = (chars.next()?.to_digit(16)?, chars.next()?.to_digit(16)?);
                    bytes.push((high * 16 + low) as u8);
                }
                other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            },
            other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(lines: &[&str]) -> Vec<(String, f64, Option<i64>)> {
        let mut parser = MarkerParser::new(Some("acc"));
        let mut out = Vec::new();
        for line in lines {
            parser.line(line, &mut out);
        }
        out.into_iter()
            .map(|report| match report {
                Report::Metric {
                    name,
                    value,
                    step,
                    channel: Channel::Marker,
                } => (name, value, step),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn syne_tune_lines() {
        assert_eq!(
            parse(&[
                r#"[tune-metric]: {"loss": 0.5, "st_worker_iter": 2, "st_worker_time": 1.5, "note": "x"}"#
            ]),
            [("loss".to_owned(), 0.5, Some(2))]
        );
        assert!(parse(&["[tune-metric]: no"]).is_empty());
    }

    #[test]
    fn nni_lines() {
        let periodical = |value: &str, sequence: u8| {
            format!(
                r#"NNISDK_MEb'{{"parameter_id": 0, "trial_job_id": "x", "type": "PERIODICAL", "sequence": {sequence}, "value": "{value}"}}'"#
            )
        };
        let last = r#"NNISDK_MEb'{"parameter_id": 0, "type": "FINAL", "sequence": 0, "value": "0.7"}'"#;
        assert_eq!(
            parse(&[&periodical("0.5", 0), &periodical("0.7", 1), last]),
            [("acc".to_owned(), 0.5, Some(0)), ("acc".to_owned(), 0.7, Some(1))]
        );
        assert_eq!(parse(&[last]), [("acc".to_owned(), 0.7, None)]);
        assert_eq!(
            parse(&[
                r#"NNISDK_MEb'{"type": "FINAL", "sequence": 0, "value": "{\\"default\\": 0.6, \\"f1\\": 0.2}"}'"#
            ]),
            [("acc".to_owned(), 0.6, None), ("f1".to_owned(), 0.2, None)]
        );
    }

    #[test]
    fn own_lines() {
        assert_eq!(
            parse(&[
                "::metric val loss=0.5 step=3",
                "::metric a=nan",
                "::metric =1",
                "::metric a=b",
                "  ::metric a=-inf step=x"
            ])
            .iter()
            .map(|(name, value, step)| (name.as_str(), value.to_bits(), *step))
            .collect::<Vec<_>>(),
            [
                ("val loss", 0.5f64.to_bits(), Some(3)),
                ("a", f64::NAN.to_bits(), None)
            ]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_line_panics(text in r#"[{}":,\\xbn'0-9e. =a-zé-]{0,60}"#) {
            let mut out = Vec::new();
            let mut parser = MarkerParser::default();
            for line in [format!("NNISDK_MEb'{text}'"), format!("[tune-metric]: {{{text}}}"), format!("::metric {text}")] {
                parser.line(&line, &mut out);
            }
        }
    }
}
