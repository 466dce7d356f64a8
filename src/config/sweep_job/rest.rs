//! The REST body of a sweep job: camelCase keys and a few other names, brought to the form of the YAML files.

use super::preview::{take, value_mut};
use crate::diagnostic::{Kind, Node};

/// Rewrites a REST body (`properties` with `jobType: Sweep`, or those properties alone); anything else stays as it is.
pub(super) fn to_yaml_form(root: &mut Node) {
    if root
        .get("properties")
        .and_then(|inner| inner.get("jobType"))
        .is_some()
        && let Some(inner) = take(root, "properties")
    {
        *root = inner.value;
    }
    if !root
        .get("jobType")
        .and_then(Node::as_str)
        .is_some_and(|kind| kind.eq_ignore_ascii_case("sweep"))
    {
        return;
    }
    snake_keys(root, 0);
    for (old, new) in [("job_type", "type"), ("compute_id", "compute")] {
        rename(root, old, new);
    }
    if let Some(kind) = value_mut(root, "type") {
        kind.kind = Kind::Str("sweep".to_owned());
    }
    for (section, old) in [
        ("sampling_algorithm", "sampling_algorithm_type"),
        ("early_termination", "policy_type"),
        ("identity", "identity_type"),
    ] {
        if let Some(section) = value_mut(root, section) {
            rename(section, old, "type");
        }
    }
    if let Some(limits) = value_mut(root, "limits") {
        take(limits, "job_limits_type");
        for key in ["timeout", "trial_timeout"] {
            if let Some(value) = value_mut(limits, key)
                && let Some(seconds) = value.as_str().and_then(iso_seconds)
            {
                value.kind = Kind::Int(seconds);
            }
        }
    }
    if let Some(trial) = value_mut(root, "trial") {
        rename(trial, "code_id", "code");
        rename(trial, "environment_id", "environment");
        if let Some(distribution) = value_mut(trial, "distribution") {
            rename(distribution, "distribution_type", "type");
        }
    }
    for key in ["inputs", "outputs"] {
        let Some(Node {
            kind: Kind::Map(entries),
            ..
        }) = value_mut(root, key)
        else {
            continue;
        };
        for entry in entries {
            data(&mut entry.value);
        }
    }
    // Parts of a body that say nothing about the sweep.
    for key in [
        "services",
        "is_archived",
        "component_id",
        "notification_setting",
        "parent_job_name",
    ] {
        take(root, key);
    }
}

fn data(value: &mut Node) {
    let kind = take(value, "job_input_type").or_else(|| take(value, "job_output_type"));
    rename(value, "uri", "path");
    let literal = kind
        .as_ref()
        .and_then(|kind| kind.value.as_str())
        .is_some_and(|kind| kind.eq_ignore_ascii_case("literal"));
    if let Some(kind) = kind
        && !literal
    {
        value.set(&["type"], kind.value);
    }
    if let Some(mode) = value_mut(value, "mode") {
        let today = match mode.as_str() {
            Some("ReadOnlyMount") => "ro_mount",
            Some("ReadWriteMount") => "rw_mount",
            Some("EvalMount") => "eval_mount",
            Some("EvalDownload") => "eval_download",
            _ => return,
        };
        mode.kind = Kind::Str(today.to_owned());
    }
}

fn rename(map: &mut Node, old: &str, new: &str) {
    if let Kind::Map(entries) = &mut map.kind
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key == old)
    {
        entry.key = new.to_owned();
    }
}

/// Keys of the format become `snake_case`; keys that users chose (below these maps) stay.
fn snake_keys(node: &mut Node, depth: usize) {
    let Kind::Map(entries) = &mut node.kind else {
        return;
    };
    for entry in entries {
        entry.key = snake(&entry.key);
        match entry.key.as_str() {
            "search_space" | "tags" | "properties" | "environment_variables" => {}
            "inputs" | "outputs" if depth == 0 => {
                if let Kind::Map(entries) = &mut entry.value.kind {
                    for entry in entries {
                        snake_keys(&mut entry.value, depth + 2);
                    }
                }
            }
            _ => snake_keys(&mut entry.value, depth + 1),
        }
    }
}

fn snake(key: &str) -> String {
    let mut text = String::with_capacity(key.len() + 4);
    for letter in key.chars() {
        if letter.is_ascii_uppercase() {
            if !text.is_empty() {
                text.push('_');
            }
            text.push(letter.to_ascii_lowercase());
        } else {
            text.push(letter);
        }
    }
    text
}

/// Whole seconds of an ISO 8601 duration of days, hours, minutes and seconds.
fn iso_seconds(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('P')?;
    let mut seconds = 0.0;
    let mut time = false;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            time = true;
            rest = after;
            continue;
        }
        let end = rest.find(|letter: char| letter.is_ascii_alphabetic())?;
        let amount: f64 = rest.get(..end)?.parse().ok()?;
        let factor = match (rest.get(end..end + 1)?, time) {
            ("D", false) => 86_400.0,
            ("H", true) => 3_600.0,
            ("M", true) => 60.0,
            ("S", true) => 1.0,
            _ => return None,
        };
        seconds += amount * factor;
        rest = rest.get(end + 1..)?;
    }
    (seconds < 9e15).then_some(seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_keys() {
        for (text, seconds) in [
            ("PT2H", Some(7200)),
            ("P1DT1M5S", Some(86_465)),
            ("PT1.5S", Some(1)),
            ("P1M", None),
            ("7200", None),
            ("PT", Some(0)),
            ("PTé", None),
        ] {
            assert_eq!(iso_seconds(text), seconds, "{text}");
        }
        assert_eq!(snake("maxTotalTrials"), "max_total_trials");
        assert_eq!(snake("shmSize"), "shm_size");
    }
}
