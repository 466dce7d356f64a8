//! Conda files: which interpreter and packages an environment holds.

use crate::config::files::{Files, join};
use crate::diagnostic::{Diagnostic, Diagnostics, Dialect, Fields, Kind, Node, Source, Unknown, parse};
use serde_json::{Map, Value as Json};
use std::path::Path;
use std::sync::Arc;

/// A conda file that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct CondaFile {
    /// `name`, `channels`, `dependencies` as a map, requirement files put in place of their `-r` lines.
    pub mapping: Json,
}

/// Reads a conda file. `-r FILE` lines of its pip part are replaced by the lines of that file, read with `files` relative to
/// `folder`, so that the result stands for itself.
pub fn read_conda(
    source: &Arc<Source>,
    folder: &Path,
    files: &dyn Files,
) -> (Option<CondaFile>, Vec<Diagnostic>) {
    let document = parse(source, Dialect::Yaml11);
    let mut found = Diagnostics::new(source);
    found.extend(document.diagnostics);
    let mapping = document
        .root
        .filter(|root| !root.is_null())
        .and_then(|root| mapping(&root, folder, files, &mut found));
    if mapping.is_none() && !found.has_errors() {
        found
            .error("empty-file", source.head(), "the conda file is empty")
            .expected("name, channels, dependencies");
    }
    (mapping.map(|mapping| CondaFile { mapping }), found.sorted())
}

/// The mapping of a conda file, or of `condaDependencies`.
pub(super) fn mapping(
    node: &Node,
    folder: &Path,
    files: &dyn Files,
    found: &mut Diagnostics,
) -> Option<Json> {
    let mut fields = Fields::open(node, "the conda file", found)?;
    let mut mapping = Map::new();
    if let Some(entry) = fields.given("name")
        && let Some(name) = found.text(entry)
    {
        mapping.insert("name".into(), Json::from(name));
    }
    if let Some(entry) = fields.given("channels")
        && let Some(channels) = found.texts(entry)
    {
        mapping.insert("channels".into(), Json::from(channels));
    }
    fields.know(&["prefix"]);
    let mut dependencies = Vec::new();
    if let Some(entry) = fields.given("dependencies") {
        match entry.value.as_seq() {
            Some(items) => {
                let mut pip_seen = None;
                for item in items {
                    dependency(item, folder, files, &mut dependencies, &mut pip_seen, found);
                }
            }
            None => {
                found
                    .error("argument-type", entry.value.span, "`dependencies` must be a list")
                    .label(entry.value.describe());
            }
        }
    }
    mapping.insert("dependencies".into(), Json::Array(dependencies));
    fields.finish(Unknown::Refuse, found);
    Some(Json::Object(mapping))
}

fn dependency(
    item: &Node,
    folder: &Path,
    files: &dyn Files,
    into: &mut Vec<Json>,
    pip_seen: &mut Option<crate::diagnostic::Span>,
    found: &mut Diagnostics,
) {
    let Kind::Map(entries) = &item.kind else {
        match item.as_text() {
            Some(text) => into.push(Json::from(text)),
            None => {
                found
                    .error(
                        "argument-type",
                        item.span,
                        "a dependency must be a text such as `numpy=1.26`",
                    )
                    .label(item.describe());
            }
        }
        return;
    };
    for entry in entries {
        if entry.key != "pip" {
            found
                .error(
                    "unknown-key",
                    entry.key_span,
                    format!("`{}` is not a kind of dependency", entry.key),
                )
                .suggest(entry.key_span, "pip");
            continue;
        }
        if let Some(first) = pip_seen.replace(entry.key_span) {
            found
                .error("duplicate-key", entry.key_span, "`pip` is given twice")
                .also(first, "first here");
            continue;
        }
        if entry.value.is_null() {
            continue;
        }
        let Some(lines) = found.texts(entry) else { continue };
        let mut requirements = Vec::new();
        for line in lines {
            match requirement_file(&line) {
                Some(path) => include(entry, &path, folder, files, &mut requirements, found),
                None => requirements.push(line),
            }
        }
        let mut pip = Map::new();
        pip.insert("pip".into(), Json::from(requirements));
        into.push(Json::Object(pip));
    }
}

fn requirement_file(line: &str) -> Option<String> {
    let line = line.trim();
    let rest = line
        .strip_prefix("--requirement")
        .map(|rest| rest.trim_start_matches('='))
        .or_else(|| line.strip_prefix("-r"))?;
    Some(rest.trim().to_owned()).filter(|path| !path.is_empty())
}

fn include(
    entry: &crate::diagnostic::Entry,
    path: &str,
    folder: &Path,
    files: &dyn Files,
    into: &mut Vec<String>,
    found: &mut Diagnostics,
) {
    match files.read(&join(folder, path)) {
        Ok(Some(text)) => into.extend(
            text.trim_start_matches('\u{feff}')
                .lines()
                .map(|line| line.split(" #").next().unwrap_or_default().trim())
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned),
        ),
        Ok(None) => {
            found
                .error(
                    "missing-file",
                    entry.value.span,
                    format!("there is no requirements file `{path}`"),
                )
                .label(format!("looked for {}", join(folder, path).display()));
        }
        Err(reason) => {
            found.error("unreadable-file", entry.value.span, format!("`{path}`: {reason}"));
        }
    }
}
