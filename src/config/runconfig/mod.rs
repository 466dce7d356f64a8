//! Run configurations: all spellings, all three generations, read into one canonical definition.
//!
//! A runconfig says how one trial is started: script, fixed arguments, framework, environment, data, target. [`read`] gives a
//! [`RunConfig`]: the whole definition in canonical camelCase with all defaults filled in, and the places in the file, so that
//! later complaints can point at them. See `docs/reference/runconfig.md`.

mod conda;
mod environment;
mod legacy;
mod locate;
mod schema;
mod section;

pub use conda::{CondaFile, read_conda};
pub use environment::{Environment, data_bindings, environment};
pub use locate::{Located, NotFound, beside, configuration_folder, locate};

use crate::config::files::{Files, join};
use crate::config::launch::template;
use crate::diagnostic::{Diagnostic, Diagnostics, Dialect, Kind, Node, Source, Span, parse};
pub(crate) use legacy::SCRIPT_PLACEHOLDER;
use section::{Places, Sections, fold};
use serde_json::{Map, Value as Json};
use std::path::Path;
use std::sync::Arc;

/// Which tool's files these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Workbench, 2017: Title-case keys, a `.compute` file beside it.
    Workbench,
    /// SDK 1.0: the `environment` section.
    Sdk,
    /// SDK 1.10 and later: `command`, `docker`, `outputData`, ...
    LaterSdk,
}

/// An argument as written in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedArgument {
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A run configuration.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The text it came from; empty for [`RunConfig::default_in`].
    pub source: Arc<Source>,
    /// Its generation.
    pub generation: Generation,
    /// The whole of it in canonical camelCase, defaults filled in.
    pub definition: Map<String, Json>,
    /// `arguments` with their places.
    pub arguments: Vec<FixedArgument>,
    places: Places,
}

impl RunConfig {
    /// The configuration when there is no file: everything by default.
    pub fn built_in() -> Self {
        let mut definition = schema::defaults(schema::TOP);
        definition.insert("arguments".into(), Json::Array(Vec::new()));
        definition.insert(
            "environment".into(),
            Json::Object(schema::defaults(schema::ENVIRONMENT)),
        );
        definition.insert("command".into(), Json::from(""));
        Self {
            source: Source::new("built-in run configuration", ""),
            generation: Generation::Sdk,
            definition,
            arguments: Vec::new(),
            places: Places::default(),
        }
    }

    /// The value at a canonical path such as `environment/python/interpreterPath`; null if absent.
    pub fn at(&self, path: &str) -> &Json {
        static NULL: Json = Json::Null;
        let mut parts = path.split('/');
        let mut value = parts
            .next()
            .and_then(|key| self.definition.get(key))
            .unwrap_or(&NULL);
        for key in parts {
            value = value.get(key).unwrap_or(&NULL);
        }
        value
    }

    /// The text at a canonical path, unless it is absent, null or empty.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path).as_str().filter(|text| !text.is_empty())
    }

    /// Where the value at a canonical path was given, if it was.
    pub fn place(&self, path: &str) -> Option<Span> {
        self.places.get(path).copied()
    }

    /// The place of a value, else that of the first line.
    pub fn place_or_head(&self, path: &str) -> Span {
        self.place(path).unwrap_or_else(|| self.source.head())
    }

    /// Replaces a value of the top level, for instance by what the command line says.
    pub fn set(&mut self, key: &str, value: Json) {
        self.definition.insert(key.to_owned(), value);
        self.places.shift_remove(key);
    }
}

/// Keys by which generation 0 is known.
const WORKBENCH_KEYS: [&str; 9] = [
    "ArgumentVector",
    "Target",
    "Framework",
    "CondaDependenciesFile",
    "SparkDependenciesFile",
    "EnvironmentVariables",
    "TrackedRun",
    "PrepareEnvironment",
    "UseSampling",
];

/// Keys (folded) that only later SDKs wrote.
const LATER_KEYS: [&str; 9] = [
    "command",
    "docker",
    "pytorch",
    "paralleltask",
    "outputdata",
    "environmentvariables",
    "priority",
    "kubernetescompute",
    "datacaches",
];

/// Reads a run configuration. `file` is its path; `project` the folder to which the paths inside it are relative. Files that it
/// names (an environment of its own, the `.compute` file of generation 0) are read with `files`.
pub fn read(
    source: &Arc<Source>,
    file: &Path,
    project: &Path,
    files: &dyn Files,
) -> (Option<RunConfig>, Vec<Diagnostic>) {
    let document = parse(source, Dialect::Yaml12);
    let mut found = Diagnostics::new(source);
    found.extend(document.diagnostics);
    let Some(root) = document.root else {
        return (None, found.sorted());
    };
    if root.is_null() {
        found.warning(
            "empty-file",
            source.head(),
            "the run configuration is empty; everything is by default",
        );
        let config = RunConfig {
            source: Arc::clone(source),
            ..RunConfig::built_in()
        };
        return (Some(config), found.sorted());
    }
    let Some(entries) = root.as_map() else {
        found
            .error("argument-type", root.span, "a run configuration must be a map")
            .label(root.describe());
        return (None, found.sorted());
    };
    let has = |key: &str| entries.iter().any(|entry| fold(&entry.key) == key);
    let workbench = entries
        .iter()
        .any(|entry| WORKBENCH_KEYS.contains(&entry.key.as_str()));
    let config = if workbench && !has("environment") && !has("script") {
        legacy::read(source, &root, file, project, files, &mut found)
    } else {
        let generation = if LATER_KEYS.iter().any(|key| has(key)) {
            Generation::LaterSdk
        } else {
            Generation::Sdk
        };
        read_sdk(source, &root, generation, project, files, &mut found)
    };
    (Some(config), found.sorted())
}

fn read_sdk(
    source: &Arc<Source>,
    root: &Node,
    generation: Generation,
    project: &Path,
    files: &dyn Files,
    found: &mut Diagnostics,
) -> RunConfig {
    let mut sections = Sections {
        found,
        places: Places::default(),
    };
    let mut definition = sections.section(root, schema::TOP, "");
    let entry = |key: &str| {
        root.as_map()
            .and_then(|entries| entries.iter().find(|entry| fold(&entry.key) == key))
            .filter(|entry| !entry.value.is_null())
    };

    let arguments = entry("arguments")
        .map(|entry| fixed_arguments(&entry.value, sections.found))
        .unwrap_or_default();
    definition.insert(
        "arguments".into(),
        arguments
            .iter()
            .map(|argument| Json::from(argument.text.as_str()))
            .collect(),
    );
    let command = entry("command")
        .map(|entry| command_text(&entry.value, sections.found))
        .unwrap_or_default();
    if !command.is_empty()
        && let (Some(script), Some(at)) = (
            definition.get("script").and_then(Json::as_str).map(str::to_owned),
            sections.places.get("command").copied(),
        )
        && !script.is_empty()
    {
        let also = sections.places.get("script").copied().unwrap_or(at);
        sections
            .found
            .error(
                "command-and-script",
                at,
                "`command` and `script` exclude each other",
            )
            .also(also, "and the script here");
    }
    definition.insert("command".into(), Json::from(command));
    if let (Some(count), false) = (
        definition
            .get("batchAi")
            .and_then(|batch| batch.get("nodeCount"))
            .cloned(),
        sections.places.contains_key("nodeCount"),
    ) && count.is_u64()
    {
        definition.insert("nodeCount".into(), count);
    }

    let environment = environment_section(root, project, files, &mut sections);
    definition.insert("environment".into(), Json::Object(environment));
    no_effect(&definition, &mut sections);
    check_data(&definition, &mut sections);
    let places = sections.places;
    RunConfig {
        source: Arc::clone(source),
        generation,
        definition,
        arguments,
        places,
    }
}

/// `environment`: inline, or the path of a file with the same mapping.
fn environment_section(
    root: &Node,
    project: &Path,
    files: &dyn Files,
    sections: &mut Sections<'_>,
) -> Map<String, Json> {
    let entry = root
        .as_map()
        .and_then(|entries| entries.iter().find(|entry| fold(&entry.key) == "environment"));
    let Some(entry) = entry else {
        return schema::defaults(schema::ENVIRONMENT);
    };
    match &entry.value.kind {
        Kind::Null => {
            sections
                .found
                .note("empty-environment", entry.key_span, "`environment` has no value")
                .label("the default environment is used; Azure ML's own tools fail on this");
            schema::defaults(schema::ENVIRONMENT)
        }
        Kind::Str(path) => {
            let full = join(project, path);
            match files.read(&full) {
                Ok(Some(text)) => {
                    let source = Source::new(full.to_string_lossy(), text);
                    let document = parse(&source, Dialect::Yaml12);
                    let mut found = Diagnostics::new(&source);
                    found.extend(document.diagnostics);
                    let mut inner = Sections {
                        found: &mut found,
                        places: Places::default(),
                    };
                    let section = document.root.map_or_else(
                        || schema::defaults(schema::ENVIRONMENT),
                        |root| inner.section(&root, schema::ENVIRONMENT, "environment"),
                    );
                    sections.found.extend(found.sorted());
                    section
                }
                Ok(None) => {
                    sections
                        .found
                        .error(
                            "missing-file",
                            entry.value.span,
                            format!("there is no environment file `{path}`"),
                        )
                        .label(format!("looked for {}", full.display()))
                        .help("a text here is the path of a YAML file, relative to the project folder");
                    schema::defaults(schema::ENVIRONMENT)
                }
                Err(reason) => {
                    sections
                        .found
                        .error("unreadable-file", entry.value.span, format!("`{path}`: {reason}"));
                    schema::defaults(schema::ENVIRONMENT)
                }
            }
        }
        _ => {
            let section = sections.section(&entry.value, schema::ENVIRONMENT, "environment");
            let docker = section.get("docker");
            let given = |key: &str| {
                docker
                    .and_then(|docker| docker.get(key))
                    .is_some_and(|value| !value.is_null())
            };
            if given("baseImage") && given("baseDockerfile") {
                let span = sections
                    .places
                    .get("environment/docker/baseDockerfile")
                    .copied()
                    .unwrap_or(entry.key_span);
                sections.found.error(
                    "image-and-dockerfile",
                    span,
                    "`baseImage` and `baseDockerfile` exclude each other",
                );
            }
            section
        }
    }
}

/// `arguments`: every scalar with the text as written (`0.10` stays `0.10`).
pub(crate) fn fixed_arguments(node: &Node, found: &mut Diagnostics) -> Vec<FixedArgument> {
    let mut arguments = Vec::new();
    match &node.kind {
        Kind::Seq(items) => {
            for item in items {
                match item.as_text() {
                    Some(text) => arguments.push(FixedArgument {
                        text: text.to_owned(),
                        span: item.span,
                    }),
                    None => {
                        found
                            .error(
                                "argument-type",
                                item.span,
                                "an argument must be a text or a number",
                            )
                            .label(item.describe());
                    }
                }
            }
        }
        _ => match node.as_text().and_then(shlex::split) {
            Some(parts) => {
                found
                    .warning("arguments-text", node.span, "`arguments` should be a list")
                    .label(format!("split into {} arguments", parts.len()));
                arguments.extend(parts.into_iter().map(|text| FixedArgument {
                    text,
                    span: node.span,
                }));
            }
            None => {
                found
                    .error("argument-type", node.span, "`arguments` must be a list")
                    .label(node.describe());
            }
        },
    }
    arguments
}

/// `command`: a text, or a list of words that no shell splits again.
fn command_text(node: &Node, found: &mut Diagnostics) -> String {
    match &node.kind {
        Kind::Seq(_) => fixed_arguments(node, found)
            .iter()
            .map(|argument| {
                // Placeholders and variables must stay what they are.
                if argument.text.contains("${{") || argument.text.starts_with('$') {
                    argument.text.clone()
                } else {
                    template::quote(&argument.text)
                }
            })
            .collect::<Vec<_>>()
            .join(" "),
        _ => match node.as_text() {
            Some(text) => text.trim().to_owned(),
            None => {
                found
                    .error("argument-type", node.span, "`command` must be a text")
                    .label(node.describe());
                String::new()
            }
        },
    }
}

/// Notes on keys that are read and do nothing.
fn no_effect(definition: &Map<String, Json>, sections: &mut Sections<'_>) {
    let at = |path: &str| {
        let mut parts = path.split('/');
        let mut value = parts.next().and_then(|key| definition.get(key));
        for key in parts {
            value = value.and_then(|value| value.get(key));
        }
        value.cloned().unwrap_or(Json::Null)
    };
    for (path, harmless, why) in [
        (
            "autoPrepareEnvironment",
            Json::from(true),
            "environments are built when they are needed",
        ),
        (
            "datacaches",
            Json::Array(Vec::new()),
            "data caches are not supported",
        ),
        (
            "environment/python/baseCondaEnvironment",
            Json::Null,
            "environments are built from scratch",
        ),
        (
            "credentialPassthrough",
            Json::from(false),
            "no credentials are passed on",
        ),
        (
            "applicationEndpoints",
            Json::Object(Map::new()),
            "no endpoints are opened",
        ),
        (
            "autoClusterComputeSpecification",
            Json::Null,
            "clusters are not created from it",
        ),
    ] {
        let value = at(path);
        if value != harmless && !value.is_null() {
            sections.unused(path, why);
        }
    }
}

/// Every data reference names a store, every dataset a place.
fn check_data(definition: &Map<String, Json>, sections: &mut Sections<'_>) {
    let maps = |key: &str| {
        definition
            .get(key)
            .and_then(Json::as_object)
            .cloned()
            .unwrap_or_default()
    };
    for (name, reference) in maps("dataReferences") {
        if reference.get("dataStoreName").is_none_or(Json::is_null) {
            let span = sections.places.get(&format!("dataReferences/{name}")).copied();
            let span = span.unwrap_or_else(|| sections.found.source().head());
            sections.found.error(
                "missing-key",
                span,
                format!("`dataStoreName` of data reference `{name}` is missing"),
            );
        }
    }
    for (name, data) in maps("data") {
        let location = data.get("dataLocation").and_then(Json::as_object);
        let located = location.is_some_and(|location| location.values().any(|value| !value.is_null()));
        if !located {
            let span = sections.places.get(&format!("data/{name}")).copied();
            let span = span.unwrap_or_else(|| sections.found.source().head());
            sections
                .found
                .error(
                    "missing-key",
                    span,
                    format!("`dataLocation` of `{name}` names neither a dataset nor a path"),
                )
                .expected("dataset, dataPath or uri");
        }
    }
}
