//! Scripts written for NNI or for Vertex' hypertune: the variables and files that their packages expect, and what they write.
//!
//! Both are pure here but for [`prepare`]; the runner feeds the files' contents.

use crate::channel::Report;
use crate::journal::Channel;
use crate::space::Value;
use indexmap::IndexMap;
use serde_json::Value as Json;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Which packages a script names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `import nni`.
    pub nni: bool,
    /// `import hypertune`.
    pub hypertune: bool,
}

/// Looks for imports at the beginning of lines. Cheap, and a miss only means that the channel stays off.
pub fn wanted(source: &str) -> Wanted {
    let mut wanted = Wanted::default();
    for line in source.lines() {
        let mut words = line
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| !word.is_empty());
        if !matches!(words.next(), Some("import" | "from")) {
            continue;
        }
        for word in words.take_while(|word| *word != "import") {
            match word.split('.').next() {
                Some("nni") => wanted.nni = true,
                Some("hypertune") => wanted.hypertune = true,
                _ => {}
            }
        }
    }
    wanted
}

/// Where the packages write, below the attempt's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// NNI's system folder.
    pub nni: PathBuf,
    /// NNI's metrics: appended.
    pub nni_metrics: PathBuf,
    /// Hypertune's metrics: rewritten whole.
    pub hypertune: PathBuf,
}

impl Files {
    /// The files of an attempt.
    pub fn new(folder: &Path) -> Self {
        let nni = folder.join("nni");
        Self {
            nni_metrics: nni.join(".nni/metrics"),
            hypertune: folder.join("hypertune.metrics"),
            nni,
        }
    }

    /// Variables for the script.
    pub fn environment(
        &self,
        wanted: Wanted,
        sweep: &str,
        run_id: &str,
        trial: u64,
    ) -> IndexMap<String, String> {
        let mut env = IndexMap::new();
        if wanted.nni {
            let folder = self.nni.to_string_lossy();
            let number = trial.to_string();
            for (name, value) in [
                ("NNI_PLATFORM", "local"),
                ("NNI_SYS_DIR", &folder),
                ("NNI_OUTPUT_DIR", &folder),
                ("NNI_TRIAL_JOB_ID", run_id),
                ("NNI_EXP_ID", sweep),
                ("NNI_TRIAL_SEQ_ID", &number),
                ("MULTI_PHASE", "false"),
                ("REUSE_MODE", "false"),
            ] {
                env.insert(name.to_owned(), value.to_owned());
            }
        }
        if wanted.hypertune {
            env.insert(
                "CLOUD_ML_HP_METRIC_FILE".to_owned(),
                self.hypertune.to_string_lossy().into_owned(),
            );
            env.insert(
                "CLOUD_ML_TRIAL_ID".to_owned(),
                trial.saturating_add(1).to_string(),
            );
        }
        env
    }

    /// Makes NNI's folder and the file that `nni.get_next_parameter()` reads.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn prepare(&self, trial: u64, parameters: &IndexMap<String, Value>) -> std::io::Result<()> {
        std::fs::create_dir_all(self.nni.join(".nni"))?;
        let text = serde_json::json!({"parameter_id": trial, "parameter_source": "algorithm", "parameters": parameters});
        std::fs::write(self.nni.join("parameter.cfg"), text.to_string())
    }
}

fn metric(name: &str, value: f64, step: Option<i64>) -> Report {
    Report::Metric {
        name: name.to_owned(),
        value,
        step,
        channel: Channel::Foreign,
    }
}

/// A number; the three words that JSON lacks, bare or quoted, are read too.
fn number(value: &Json) -> Option<f64> {
    match value {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Follows NNI's metrics file, in pieces of any size.
#[derive(Clone, Debug)]
pub struct Nni {
    primary: String,
    pending: Vec<u8>,
    last: Option<f64>,
}

impl Nni {
    /// NNI's metrics have no name: a bare number, and the entry `default` of a dict, are points of `primary`.
    pub fn new(primary: impl Into<String>) -> Self {
        Self {
            primary: primary.into(),
            pending: Vec::new(),
            last: None,
        }
    }

    /// Takes what was appended and gives the reports in it.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Report> {
        // `ME`, six digits that are the length, JSON and a line feed of that length.
        self.pending.extend_from_slice(bytes);
        let mut reports = Vec::new();
        let mut at = 0;
        while let Some(head) = self.pending.get(at..at + 8) {
            let length = head
                .strip_prefix(b"ME")
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| digits.parse::<usize>().ok());
            let Some(length) = length else {
                // Not where a record begins: go on at the next mark.
                let next = self
                    .pending
                    .get(at + 1..)
                    .and_then(|rest| rest.windows(2).position(|pair| pair == b"ME"));
                at = next.map_or(self.pending.len().saturating_sub(1).max(at + 1), |next| {
                    at + 1 + next
                });
                continue;
            };
            let Some(body) = self.pending.get(at + 8..at + 8 + length) else {
                break;
            };
            if let Ok(record) = serde_json::from_slice::<Json>(body) {
                Self::record(&self.primary, &mut self.last, &record, &mut reports);
            }
            at += 8 + length;
        }
        self.pending.drain(..at.min(self.pending.len()));
        reports
    }

    /// One record, also in the form of the standard output mark `NNISDK_MEb'...'` (the JSON between the quotes).
    pub fn line(&mut self, json: &str) -> Vec<Report> {
        let mut reports = Vec::new();
        if let Ok(record) = serde_json::from_str::<Json>(json) {
            Self::record(&self.primary, &mut self.last, &record, &mut reports);
        }
        reports
    }

    fn record(primary: &str, last: &mut Option<f64>, record: &Json, reports: &mut Vec<Report>) {
        let kind = record.get("type").and_then(Json::as_str).unwrap_or_default();
        if kind != "PERIODICAL" && kind != "FINAL" {
            return;
        }
        let step = (kind == "PERIODICAL")
            .then(|| record.get("sequence").and_then(Json::as_i64))
            .flatten();
        // The value is JSON in a text; NaN and infinities are bare words in it.
        let value = match record.get("value") {
            Some(Json::String(text)) => {
                serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()))
            }
            Some(other) => other.clone(),
            None => return,
        };
        let entries: Vec<(&str, f64)> = match &value {
            Json::Object(entries) => entries
                .iter()
                .filter_map(|(key, value)| {
                    Some((if key == "default" { primary } else { key }, number(value)?))
                })
                .collect(),
            single => number(single).map(|value| (primary, value)).into_iter().collect(),
        };
        for (name, value) in entries {
            // The final result usually says the last intermediate one again; that is no further interval.
            let again = kind == "FINAL"
                && name == primary
                && last.is_some_and(|last| last.to_bits() == value.to_bits());
            if !again {
                reports.push(metric(name, value, step));
            }
            if name == primary {
                *last = Some(value);
            }
        }
    }
}

/// Follows hypertune's file, which holds the last hundred reports and is rewritten at each.
#[derive(Clone, Debug, Default)]
pub struct Hypertune {
    seen: HashSet<String>,
}

impl Hypertune {
    /// Takes the whole content and gives the reports that were not in it before. A line that is not whole is left for the next time.
    pub fn feed(&mut self, content: &str) -> Vec<Report> {
        let mut reports = Vec::new();
        let mut seen = HashSet::new();
        for line in content.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let Ok(Json::Object(record)) = serde_json::from_str(line) else {
                continue;
            };
            if !self.seen.contains(line) && !seen.contains(line) {
                let step = record.get("global_step").and_then(number);
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "saturates, which is what a step beyond i64 deserves"
                )]
                let step = step.map(|step| step as i64);
                let named = record.iter().filter(|(key, _)| {
                    !["timestamp", "trial", "global_step", "checkpoint_path"].contains(&key.as_str())
                });
                reports.extend(named.filter_map(|(name, value)| Some(metric(name, number(value)?, step))));
            }
            seen.insert(line.to_owned());
        }
        if !seen.is_empty() {
            self.seen = seen;
        }
        reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(reports: Vec<Report>) -> Vec<(String, f64, Option<i64>)> {
        reports
            .into_iter()
            .map(|report| match report {
                Report::Metric {
                    name,
                    value,
                    step,
                    channel: Channel::Foreign,
                } => (name, value, step),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn imports_are_seen() {
        let wanted = |text| {
            let found = super::wanted(text);
            (found.nni, found.hypertune)
        };
        assert_eq!(wanted("import os, nni\n"), (true, false));
        assert_eq!(wanted("    from nni.trial import x\n"), (true, false));
        assert_eq!(
            wanted("from hypertune import HyperTune\nimport nni as n"),
            (true, true)
        );
        assert_eq!(
            wanted("import mynni\n# import nni\nfrom x import nni\nprint('import nni')"),
            (false, false)
        );
    }

    /// `nni/runtime/platform/local.py`: `ME%06d%b` of length and JSON with a line feed.
    fn framed(json: &str) -> Vec<u8> {
        format!("ME{:06}{json}\n", json.len() + 1).into_bytes()
    }

    #[test]
    fn nni_in_pieces() {
        let mut file = Vec::new();
        for (sequence, value) in ["0.5", "{\\\"default\\\": 0.6, \\\"loss\\\": 2}", "NaN"]
            .iter()
            .enumerate()
        {
            file.extend(framed(&format!(
                r#"{{"parameter_id": 3, "trial_job_id": "x", "type": "PERIODICAL", "sequence": {sequence}, "value": "{value}"}}"#
            )));
        }
        file.extend(b"garbage ");
        file.extend(framed(
            r#"{"type": "REQUEST_PARAMETER", "sequence": 0, "value": null}"#,
        ));
        file.extend(framed(r#"{"type": "FINAL", "sequence": 0, "value": "0.75"}"#));
        for size in [1, 7, 64, file.len()] {
            let mut nni = Nni::new("acc");
            let found: Vec<_> = file
                .chunks(size)
                .flat_map(|piece| numbers(nni.feed(piece)))
                .collect();
            let text = format!("{found:?}");
            assert_eq!(
                text,
                r#"[("acc", 0.5, Some(0)), ("acc", 0.6, Some(1)), ("loss", 2.0, Some(1)), ("acc", NaN, Some(2)), ("acc", 0.75, None)]"#,
                "pieces of {size}"
            );
        }
        let mut nni = Nni::new("acc");
        nni.line(r#"{"type": "PERIODICAL", "sequence": 0, "value": "0.5"}"#);
        assert!(
            nni.line(r#"{"type": "FINAL", "sequence": 0, "value": "0.5"}"#)
                .is_empty(),
            "the same again"
        );
    }

    #[test]
    fn hypertune_rewrites() {
        let mut hypertune = Hypertune::default();
        let line = |step: u32| {
            format!(
                r#"{{"acc": "0.{step}", "checkpoint_path": "", "global_step": "{step}", "timestamp": 1.{step}, "trial": "3"}}"#
            )
        };
        assert_eq!(
            numbers(hypertune.feed(&format!("{}\n{}", line(1), line(2)))),
            [("acc".into(), 0.1, Some(1)), ("acc".into(), 0.2, Some(2))]
        );
        assert_eq!(hypertune.feed(""), []);
        assert_eq!(
            numbers(hypertune.feed(&format!("{}\n{}\n{{\"acc", line(2), line(3)))),
            [("acc".into(), 0.3, Some(3))]
        );
    }
}
