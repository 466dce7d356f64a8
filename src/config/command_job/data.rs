//! `inputs` and `outputs` of v2 jobs.

use super::scalars::{word, wrong};
use super::{JobContext, is_name};
use crate::config::files::join;
use crate::config::{DataBinding, DataMap};
use crate::diagnostic::{Diagnostics, Entry, Fields, Kind, Node, Unknown};
use crate::space::Value;
use std::path::Path;

const INPUT_TYPES: &[&str] = &[
    "uri_file",
    "uri_folder",
    "mltable",
    "mlflow_model",
    "custom_model",
    "triton_model",
];
const INPUT_MODES: &[&str] = &["ro_mount", "download", "direct", "eval_mount", "eval_download"];
const OUTPUT_MODES: &[&str] = &["rw_mount", "mount", "upload", "direct"];

/// Named outputs of a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outputs {
    pub names: Vec<String>,
    pub files: Vec<String>,
}

/// Reads `inputs`.
pub(crate) fn inputs(entry: &Entry, context: &JobContext<'_>, found: &mut Diagnostics) -> Vec<DataBinding> {
    let Some(entries) = entry.value.as_map() else {
        if !entry.value.is_null() {
            wrong(entry, "a map from names to values", found);
        }
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|input| {
            check_name(input, found);
            binding(input, context, found)
        })
        .collect()
}

fn check_name(entry: &Entry, found: &mut Diagnostics) {
    if !is_name(&entry.key) {
        found
            .error(
                "bad-name",
                entry.key_span,
                format!("`{}` cannot be a name here", entry.key),
            )
            .expected("letters, digits and `_`, not beginning with a digit");
    }
}

fn binding(input: &Entry, context: &JobContext<'_>, found: &mut Diagnostics) -> Option<DataBinding> {
    let name = &input.key;
    if let Some(text) = literal(&input.value) {
        return Some(literal_binding(name, text));
    }
    match &input.value.kind {
        Kind::Map(_) => {}
        _ => {
            wrong(input, "a literal or a map with `path`", found);
            return None;
        }
    }
    let mut fields = Fields::open(&input.value, &format!("input `{name}`"), found)?;
    if let Some(value) = fields.given("value") {
        fields.know(&["type", "description"]);
        fields.finish(Unknown::Refuse, found);
        return match literal(&value.value) {
            Some(text) => Some(literal_binding(name, text)),
            None => {
                wrong(value, "a number, a boolean or a text", found);
                None
            }
        };
    }
    if let Some(entry) = fields.given("type") {
        word(entry, "unknown-type", INPUT_TYPES, found);
    }
    let mode = match fields.given("mode") {
        Some(entry) => word(entry, "unknown-mode", INPUT_MODES, found)?,
        None => "ro_mount",
    };
    let path = fields.required("path", found);
    fields.know(&["datastore", "path_on_compute", "description", "name", "version"]);
    fields.finish(Unknown::Refuse, found);
    let entry = path?;
    let path = found.text(entry)?;
    let value = locate(&path, mode, entry, context, found)?;
    Some(DataBinding {
        name: name.clone(),
        is_path: !value.contains("://"),
        value,
        variables: vec![format!("AZUREML_SWEEP_{name}"), format!("AZURE_ML_INPUT_{name}")],
        mechanism: Some(mode.to_owned()),
    })
}

/// The text of a literal, as Python's `str` has it.
pub(crate) fn literal(node: &Node) -> Option<String> {
    Some(match &node.kind {
        Kind::Bool(value) => Value::Bool(*value).to_string(),
        Kind::Int(value) => value.to_string(),
        Kind::Float(value) => Value::Float(*value).to_string(),
        Kind::Str(text) | Kind::Date(text) => text.clone(),
        Kind::Null | Kind::Seq(_) | Kind::Map(_) => return None,
    })
}

pub(crate) fn literal_binding(name: &str, value: String) -> DataBinding {
    DataBinding {
        name: name.to_owned(),
        value,
        variables: vec![
            format!("AZUREML_SWEEP_{name}"),
            format!("AZUREML_PARAMETER_{name}"),
        ],
        mechanism: None,
        is_path: false,
    }
}

/// The path or address that a script gets for `path`.
pub(crate) fn locate(
    path: &str,
    mode: &str,
    entry: &Entry,
    context: &JobContext<'_>,
    found: &mut Diagnostics,
) -> Option<String> {
    if mode == "direct" && path.contains(':') {
        return Some(path.to_owned());
    }
    if let Some(mapped) = context.map.address(path) {
        return Some(absolute(&mapped, context));
    }
    if path.starts_with("http://") || path.starts_with("https://") {
        return Some(path.to_owned());
    }
    if let Some(address) = public_blob(path) {
        return Some(address);
    }
    if path.starts_with("azureml:") || path.contains("://") || path.starts_with("/subscriptions/") {
        let diagnostic = found.error(
            "unmapped-data",
            entry.value.span,
            format!("`{path}` is not mapped to a path"),
        );
        for line in DataMap::advice("data_map", path, &context.map.locations) {
            diagnostic.help(line);
        }
        return None;
    }
    let local = join(context.folder, path.strip_prefix("file:").unwrap_or(path));
    if !context.files.exists(&local) {
        found
            .error(
                "missing-file",
                entry.value.span,
                format!("there is no file or folder `{path}`"),
            )
            .label(format!("looked for {}", local.display()));
        return None;
    }
    Some(absolute(&local.to_string_lossy(), context))
}

fn absolute(path: &str, context: &JobContext<'_>) -> String {
    if path.contains("://") {
        return path.to_owned();
    }
    let path = join(context.folder, path);
    context
        .files
        .absolute(Path::new(&path))
        .to_string_lossy()
        .into_owned()
}

/// `wasbs://CONTAINER@HOST/PATH` as the address under which a public container can be read.
fn public_blob(address: &str) -> Option<String> {
    let rest = address
        .strip_prefix("wasbs://")
        .or_else(|| address.strip_prefix("wasb://"))?;
    let (container, rest) = rest.split_once('@')?;
    let (host, path) = rest.split_once('/')?;
    host.contains(".blob.core.")
        .then(|| format!("https://{host}/{container}/{path}"))
}

/// Reads `outputs`.
pub(crate) fn outputs(entry: &Entry, found: &mut Diagnostics) -> Outputs {
    let mut outputs = Outputs::default();
    let Some(entries) = entry.value.as_map() else {
        if !entry.value.is_null() {
            wrong(entry, "a map of outputs", found);
        }
        return outputs;
    };
    for output in entries {
        check_name(output, found);
        outputs.names.push(output.key.clone());
        if output.value.is_null() {
            continue;
        }
        // A bare text is a binding of a pipeline; where it leads is the pipeline's business.
        if output.value.as_str().is_some_and(|text| text.contains("${{")) {
            continue;
        }
        let Some(mut fields) = Fields::open(&output.value, &format!("output `{}`", output.key), found) else {
            continue;
        };
        if let Some(entry) = fields.given("type")
            && word(entry, "unknown-type", INPUT_TYPES, found) == Some("uri_file")
        {
            outputs.files.push(output.key.clone());
        }
        if let Some(entry) = fields.given("mode") {
            word(entry, "unknown-mode", OUTPUT_MODES, found);
        }
        fields.know(&["path", "name", "version", "description"]);
        fields.finish(Unknown::Refuse, found);
    }
    outputs
}
