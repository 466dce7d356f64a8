//! The 2021 previews: their keys are moved to where today's form has them, each with a warning.

use crate::diagnostic::{Diagnostics, Entry, Kind, Node, Span};

/// Rewrites `root`; whether it was a preview's.
pub(super) fn modernise(root: &mut Node, found: &mut Diagnostics) -> bool {
    let mut editor = Editor {
        found,
        changed: false,
    };
    editor.types(root);
    editor.rename(root, "algorithm", "sampling_algorithm");
    for (old, new) in [
        ("max_total_trials", "max_total_trials"),
        ("max_total_runs", "max_total_trials"),
        ("max_concurrent_trials", "max_concurrent_trials"),
        ("max_concurrent_runs", "max_concurrent_trials"),
    ] {
        editor.move_to_limits(root, old, new, 1);
    }
    for old in ["timeout_minutes", "max_duration_minutes"] {
        editor.move_to_limits(root, old, "timeout", 60);
    }
    if let Some(policy) = value_mut(root, "early_termination") {
        editor.rename(policy, "policy_type", "type");
        editor.rename(policy, "spec", "type");
        if let Some(kind) = value_mut(policy, "type")
            && matches!(kind.as_str(), Some("truncation" | "truncationSelection"))
        {
            kind.kind = Kind::Str("truncation_selection".to_owned());
        }
    }
    if let Some(space) = value_mut(root, "search_space") {
        editor.expressions(space);
    }
    editor.trial(root);
    if let Some(Node {
        kind: Kind::Map(inputs),
        ..
    }) = value_mut(root, "inputs")
    {
        for input in inputs {
            editor.input(&mut input.value);
        }
    }
    editor.changed
}

struct Editor<'f> {
    found: &'f mut Diagnostics,
    changed: bool,
}

impl Editor<'_> {
    fn warn(&mut self, span: Span, old: &str, new: &str) {
        self.changed = true;
        self.found
            .warning("preview-key", span, format!("`{old}` is a preview's spelling"))
            .label(format!("now `{new}`"));
    }

    fn types(&mut self, root: &mut Node) {
        if let Some(job_type) = take(root, "job_type") {
            self.warn(job_type.key_span, "job_type", "type");
            let text = job_type.value.as_str().unwrap_or_default().to_ascii_lowercase();
            let value = Node {
                kind: Kind::Str(text),
                ..job_type.value
            };
            root.set(&["type"], value);
        }
        if let Some(kind) = value_mut(root, "type")
            && kind.as_str() == Some("sweep_job")
        {
            let span = kind.span;
            kind.kind = Kind::Str("sweep".to_owned());
            self.warn(span, "sweep_job", "sweep");
        }
    }

    fn rename(&mut self, map: &mut Node, old: &str, new: &str) {
        if map.entry(new).is_some() {
            return;
        }
        let Kind::Map(entries) = &mut map.kind else { return };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.key == old) {
            entry.key = new.to_owned();
            let span = entry.key_span;
            self.warn(span, old, new);
        }
    }

    fn move_to_limits(&mut self, root: &mut Node, old: &str, new: &str, factor: i64) {
        let Some(mut entry) = take(root, old) else { return };
        self.warn(entry.key_span, old, &format!("limits.{new}"));
        match &mut entry.value.kind {
            Kind::Int(value) => *value = value.saturating_mul(factor),
            Kind::Float(value) => *value *= factor as f64,
            _ => {}
        }
        root.set(&["limits", new], entry.value);
    }

    /// `spec` for `type`, at any depth.
    fn expressions(&mut self, node: &mut Node) {
        match &mut node.kind {
            Kind::Map(entries) => {
                for entry in entries {
                    if entry.value.entry("spec").is_some() {
                        self.rename(&mut entry.value, "spec", "type");
                    }
                    self.expressions(&mut entry.value);
                }
            }
            Kind::Seq(items) => items.iter_mut().for_each(|item| self.expressions(item)),
            _ => {}
        }
    }

    fn trial(&mut self, root: &mut Node) {
        let Some(trial) = value_mut(root, "trial") else {
            return;
        };
        if let Some(code) = value_mut(trial, "code")
            && let Kind::Map(entries) = &mut code.kind
            && let Some(at) = entries
                .iter()
                .position(|entry| matches!(entry.key.as_str(), "local_path" | "directory" | "file"))
        {
            let entry = entries.swap_remove(at);
            *code = entry.value;
            self.warn(entry.key_span, &format!("code.{}", entry.key), "code");
        }
        let compute = trial
            .get("compute")
            .is_some_and(|compute| compute.get("target").is_some())
            .then(|| take(trial, "compute"))
            .flatten();
        // Only the previews' own form; anything else is as unknown there as it is to Azure ML.
        let inputs = trial
            .get("inputs")
            .and_then(Node::as_map)
            .is_some_and(|inputs| inputs.iter().all(|input| input.value.get("data").is_some()))
            .then(|| take(trial, "inputs"))
            .flatten();
        if let Some(compute) = compute {
            self.warn(compute.key_span, "trial.compute", "compute");
            let value = match compute.value.get("target") {
                Some(target) => target.clone(),
                None => compute.value,
            };
            root.set(&["compute"], value);
        }
        if let Some(inputs) = inputs {
            self.warn(inputs.key_span, "trial.inputs", "inputs");
            if let Kind::Map(entries) = inputs.value.kind {
                for mut entry in entries {
                    self.rename(&mut entry.value, "data", "path");
                    root.set(&["inputs", &entry.key], entry.value);
                }
            }
        }
    }

    fn input(&mut self, input: &mut Node) {
        for (old, kind) in [("file", "uri_file"), ("folder", "uri_folder")] {
            if let Some(path) = take(input, old) {
                self.warn(path.key_span, old, "path");
                let kind = Node {
                    kind: Kind::Str(kind.to_owned()),
                    span: path.key_span,
                    raw: kind.to_owned(),
                    quoted: false,
                };
                input.set(&["path"], path.value);
                input.set(&["type"], kind);
            }
        }
        if let Some(mode) = value_mut(input, "mode")
            && mode
                .as_str()
                .is_some_and(|mode| mode.eq_ignore_ascii_case("mount"))
        {
            let span = mode.span;
            mode.kind = Kind::Str("ro_mount".to_owned());
            self.warn(span, "mount", "ro_mount");
        }
    }
}

pub(super) fn value_mut<'a>(map: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    match &mut map.kind {
        Kind::Map(entries) => entries
            .iter_mut()
            .find(|entry| entry.key == key)
            .map(|entry| &mut entry.value),
        _ => None,
    }
}

pub(super) fn take(map: &mut Node, key: &str) -> Option<Entry> {
    match &mut map.kind {
        Kind::Map(entries) => {
            let at = entries.iter().position(|entry| entry.key == key)?;
            Some(entries.remove(at))
        }
        _ => None,
    }
}
