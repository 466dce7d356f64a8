//! The part that sweep and command jobs share: command, code, environment, variables, distribution, resources.

use super::data::Outputs;
use super::scalars::{integer_from, place_of, word, wrong};
use super::{JobContext, Known};
use crate::config::data_map::DataMap;
use crate::config::files::join;
use crate::config::launch::template::{Room, Template};
use crate::config::runconfig::read_conda;
use crate::config::{Command, DataBinding, EnvironmentSpec, Launch};
use crate::diagnostic::{Diagnostics, Entry, Fields, Kind, Node, Source, Unknown, list, nearest};
use indexmap::IndexMap;
use std::path::{Path, PathBuf};

/// What a trial is, before its place in an experiment is known.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub command: Option<(String, crate::diagnostic::Span)>,
    pub code: Option<(Option<PathBuf>, Vec<String>)>,
    pub environment: EnvironmentSpec,
    pub variables: IndexMap<String, String>,
    pub distribution: Distribution,
    pub nodes: u32,
}

/// How one trial is spread over processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Distribution {
    pub framework: &'static str,
    pub communicator: &'static str,
    pub processes: u32,
}

const ALONE: Distribution = Distribution {
    framework: "python",
    communicator: "none",
    processes: 1,
};

/// Reads the keys of a trial; they lie in `trial` of a sweep, at the top of a command job.
pub(crate) fn read(fields: &mut Fields<'_>, context: &JobContext<'_>, found: &mut Diagnostics) -> Trial {
    let command = fields
        .required("command", found)
        .and_then(|entry| Some((found.text(entry)?, entry.value.span)));
    let code = match fields.given("code") {
        Some(entry) => code(entry, context, found),
        None => Some((None, Vec::new())),
    };
    let environment = fields
        .required("environment", found)
        .map_or_else(current, |entry| environment(entry, context, found));
    let mut variables = IndexMap::new();
    if let Some(entry) = fields.given("environment_variables") {
        match entry.value.as_map() {
            Some(entries) => {
                for variable in entries {
                    match variable.value.as_text() {
                        Some(text) => {
                            variables.insert(variable.key.clone(), text.to_owned());
                        }
                        None if variable.value.is_null() => {
                            variables.insert(variable.key.clone(), String::new());
                        }
                        None => wrong(variable, "a text", found),
                    }
                }
            }
            None => wrong(entry, "a map from names to texts", found),
        }
    }
    let distribution = fields
        .given("distribution")
        .and_then(|entry| distribution(entry, found))
        .unwrap_or(ALONE);
    let nodes = fields
        .given("resources")
        .and_then(|entry| resources(entry, found));
    if let Some(entry) = fields.given("queue_settings") {
        queue_settings(entry, found);
    }
    Trial {
        command,
        code,
        environment,
        variables,
        distribution,
        nodes: nodes.unwrap_or(1),
    }
}

impl Trial {
    /// The launch of this trial. `known` names what the command may refer to; what else it refers to is reported.
    pub(crate) fn into_launch(
        self,
        data: Vec<DataBinding>,
        outputs: Outputs,
        known: &Known<'_>,
        definition: serde_json::Value,
        found: &mut Diagnostics,
    ) -> Option<Launch> {
        let (text, span) = self.command?;
        check_command(&text, span, &data, &outputs, known, found);
        let (source_directory, source_files) = self.code?;
        Some(Launch {
            source_directory,
            source_files,
            command: Command::Template {
                text,
                append_parameters: false,
            },
            parameters: Vec::new(),
            environment_variables: self.variables,
            environment: with_resources(self.environment, &definition),
            data,
            outputs: outputs.names,
            file_outputs: outputs.files,
            trial_timeout_ms: None,
            framework: self.distribution.framework.to_owned(),
            communicator: self.distribution.communicator.to_owned(),
            node_count: self.nodes,
            process_count_per_node: self.distribution.processes,
            run_definition: definition,
        })
    }
}

/// Every placeholder refers to something that is there.
fn check_command(
    text: &str,
    span: crate::diagnostic::Span,
    data: &[DataBinding],
    outputs: &Outputs,
    known: &Known<'_>,
    found: &mut Diagnostics,
) {
    let template = Template::parse(text);
    let mut legacy = None;
    for reference in template.references() {
        let written = text.get(reference.range.clone()).unwrap_or_default();
        let place = place_of(written, span, found);
        if reference.legacy {
            legacy = legacy.or(Some((place, written.to_owned())));
        }
        let names: Vec<&str> = match reference.room {
            Room::Inputs => data.iter().map(|binding| binding.name.as_str()).collect(),
            Room::Outputs => outputs.names.iter().map(String::as_str).collect(),
            Room::SearchSpace => known.parameters.to_vec(),
        };
        let path = reference.path.as_str();
        let is_known = names.contains(&path)
            || reference.room == Room::SearchSpace
                && names
                    .iter()
                    .any(|name| path.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
        if is_known || reference.optional {
            continue;
        }
        let room = reference.room.word();
        if reference.room == Room::SearchSpace && known.single {
            found.error(
                "undefined-reference",
                place,
                "a command job has no search space to take a value from",
            );
            continue;
        }
        let near = nearest(path, names.iter().copied()).map(str::to_owned);
        let diagnostic = found.error(
            "undefined-reference",
            place,
            format!("`{path}` is not defined in `{room}`"),
        );
        if !names.is_empty() {
            diagnostic.expected(list(names.iter().copied()));
        }
        if let Some(near) = near {
            diagnostic.suggest(place, format!("${{{{{room}.{near}}}}}"));
            diagnostic.label(format!("did you mean `{near}`?"));
        }
    }
    for (content, range) in template.unknown() {
        let written = text.get(range.clone()).unwrap_or_default();
        found
            .error(
                "undefined-reference",
                place_of(written, span, found),
                format!("`{content}` refers to nothing that a trial knows"),
            )
            .expected("inputs.NAME, outputs.NAME, search_space.NAME");
    }
    if let Some(defect) = template.defect() {
        found.error("bad-command", span, defect);
    }
    if let Some((place, written)) = legacy {
        found
            .warning(
                "legacy-braces",
                place,
                "single braces are an old spelling of placeholders",
            )
            .suggest(place, format!("${{{written}}}"))
            .label(format!("write `${{{written}}}`"));
    }
}

/// `code`: folder with all files, or folder with the only file. The outer `None` follows an error.
fn code(
    entry: &Entry,
    context: &JobContext<'_>,
    found: &mut Diagnostics,
) -> Option<(Option<PathBuf>, Vec<String>)> {
    let Some(path) = entry.value.as_str() else {
        wrong(entry, "a path", found);
        return None;
    };
    let mapped = context.map.address(path);
    let path = match &mapped {
        Some(mapped) => mapped.as_str(),
        None => path,
    };
    if mapped.is_none() && (path.starts_with("azureml:") || path.starts_with("git+") || path.contains("://"))
    {
        let diagnostic = found.error(
            "unmapped-code",
            entry.value.span,
            format!("the code `{path}` is not on this machine"),
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
                format!("there is no code folder `{path}`"),
            )
            .label(format!("looked for {}", local.display()))
            .help("the path is relative to the folder of this file");
        return None;
    }
    let absolute = context.files.absolute(&local);
    if context.files.is_folder(&local) {
        return Some((Some(absolute), Vec::new()));
    }
    let file = absolute.file_name()?.to_string_lossy().into_owned();
    Some((absolute.parent().map(Path::to_path_buf), vec![file]))
}

fn current() -> EnvironmentSpec {
    EnvironmentSpec::UserManaged {
        interpreter: "python".to_owned(),
    }
}

/// `environment`: a registered name runs in the interpreter that is there; an inline one with a conda file is built from it.
fn environment(entry: &Entry, context: &JobContext<'_>, found: &mut Diagnostics) -> EnvironmentSpec {
    if entry.value.as_str().is_some() {
        return current();
    }
    let Some(mut fields) = Fields::open(&entry.value, "`environment`", found) else {
        return current();
    };
    let image = fields
        .given("image")
        .and_then(|entry| entry.value.as_text())
        .map(str::to_owned);
    let build = fields.given("build");
    let dockerfile = build.map(|entry| dockerfile(entry, context));
    let context_folder = build
        .and_then(|entry| entry.value.get("path").and_then(Node::as_text))
        .map(|path| context.files.absolute(&join(context.folder, path)));
    fields.know(&[
        "os_type",
        "name",
        "version",
        "description",
        "tags",
        "inference_config",
    ]);
    let conda = fields.given("conda_file");
    fields.finish(Unknown::Refuse, found);
    let mapping = conda.and_then(|conda| match &conda.value.kind {
        Kind::Map(_) => {
            let text = conda.value.to_json().to_string();
            let source = Source::new(format!("{} (conda_file)", found.source().name()), text);
            let (file, diagnostics) = read_conda(&source, context.folder, context.files);
            found.extend(diagnostics);
            file
        }
        _ => conda_path(conda, context, found),
    });
    let inner = mapping.map_or_else(current, |file| EnvironmentSpec::Conda {
        dependencies: file.mapping,
    });
    if image.is_none() && dockerfile.is_none() {
        return inner;
    }
    EnvironmentSpec::Docker {
        image,
        context: context_folder,
        dockerfile: dockerfile.flatten(),
        arguments: Vec::new(),
        shm_size: None,
        inner: Box::new(inner),
    }
}

/// The environment with `shm_size` and `docker_args` of the job's `resources`, or of its trial's.
fn with_resources(environment: EnvironmentSpec, definition: &serde_json::Value) -> EnvironmentSpec {
    let EnvironmentSpec::Docker {
        image,
        dockerfile,
        context,
        arguments,
        shm_size,
        inner,
    } = environment
    else {
        return environment;
    };
    let given = |key: &str| {
        ["/resources/", "/trial/resources/"]
            .iter()
            .find_map(|place| definition.pointer(&format!("{place}{key}")))
    };
    let mut arguments = arguments;
    match given("docker_args") {
        Some(serde_json::Value::String(line)) => {
            arguments.extend(shlex::split(line).unwrap_or_else(|| vec![line.clone()]));
        }
        Some(serde_json::Value::Array(list)) => {
            arguments.extend(list.iter().filter_map(|word| word.as_str().map(str::to_owned)));
        }
        _ => {}
    }
    EnvironmentSpec::Docker {
        image,
        dockerfile,
        context,
        arguments,
        shm_size: given("shm_size")
            .and_then(|size| size.as_str().map(str::to_owned))
            .or(shm_size),
        inner,
    }
}

/// The text of the Dockerfile of `build: {path, dockerfile_path}`, if it is there.
fn dockerfile(build: &Entry, context: &JobContext<'_>) -> Option<String> {
    let text = |key: &str| build.value.get(key).and_then(Node::as_text);
    let folder = join(context.folder, text("path")?);
    let file = join(&folder, text("dockerfile_path").unwrap_or("Dockerfile"));
    context.files.read(&file).ok().flatten()
}

fn conda_path(
    entry: &Entry,
    context: &JobContext<'_>,
    found: &mut Diagnostics,
) -> Option<crate::config::runconfig::CondaFile> {
    let path = found.text(entry)?;
    let full = join(context.folder, path.strip_prefix("file:").unwrap_or(&path));
    match context.files.read(&full) {
        Ok(Some(text)) => {
            let source = Source::new(full.to_string_lossy(), text);
            let folder = full.parent().unwrap_or(Path::new(""));
            let (file, diagnostics) = read_conda(&source, folder, context.files);
            found.extend(diagnostics);
            file
        }
        Ok(None) => {
            found
                .error(
                    "missing-file",
                    entry.value.span,
                    format!("there is no conda file `{path}`"),
                )
                .label(format!("looked for {}", full.display()));
            None
        }
        Err(reason) => {
            found.error("unreadable-file", entry.value.span, format!("`{path}`: {reason}"));
            None
        }
    }
}

fn distribution(entry: &Entry, found: &mut Diagnostics) -> Option<Distribution> {
    let mut fields = Fields::open(&entry.value, "`distribution`", found)?;
    let kind = fields.required("type", found).and_then(|entry| {
        word(
            entry,
            "unknown-distribution",
            &["pytorch", "mpi", "tensorflow", "ray"],
            found,
        )
    });
    let mut processes = 1;
    let count = |fields: &mut Fields<'_>, key: &'static str, low: i64, found: &mut Diagnostics| {
        fields
            .given(key)
            .and_then(|entry| integer_from(entry, low, found))
            .and_then(|value| u32::try_from(value).ok())
    };
    let (framework, communicator) = match kind {
        Some("pytorch") => ("pytorch", "nccl"),
        Some("mpi") => ("python", "openmpi"),
        Some("tensorflow") => ("tensorflow", "parameterserver"),
        Some("ray") => ("python", "ray"),
        _ => ("python", "none"),
    };
    match kind {
        Some("pytorch" | "mpi") => {
            processes = count(&mut fields, "process_count_per_instance", 1, found).unwrap_or(1);
        }
        Some("tensorflow") => {
            count(&mut fields, "worker_count", 0, found);
            count(&mut fields, "parameter_server_count", 0, found);
        }
        Some("ray") => fields.know(&[
            "port",
            "address",
            "include_dashboard",
            "dashboard_port",
            "head_node_additional_args",
            "worker_node_additional_args",
        ]),
        _ => return None,
    }
    fields.finish(Unknown::Refuse, found);
    Some(Distribution {
        framework,
        communicator,
        processes,
    })
}

/// `resources`; returns the number of nodes.
pub(crate) fn resources(entry: &Entry, found: &mut Diagnostics) -> Option<u32> {
    let mut fields = Fields::open(&entry.value, "`resources`", found)?;
    let nodes = fields
        .given("instance_count")
        .and_then(|entry| integer_from(entry, 1, found))
        .and_then(|value| u32::try_from(value).ok());
    if let Some(entry) = fields.given("max_instance_count") {
        integer_from(entry, 1, found);
    }
    if let Some(entry) = fields.given("shm_size")
        && !entry.value.as_text().is_some_and(is_size)
    {
        found
            .error("argument-type", entry.value.span, "`shm_size` must be a size")
            .label(entry.value.describe())
            .expected("a number with b, k, m or g: 2g");
    }
    fields.know(&["instance_type", "locations", "docker_args", "properties"]);
    fields.finish(Unknown::Refuse, found);
    nodes
}

fn is_size(text: &str) -> bool {
    let digits = text.trim_end_matches(['b', 'k', 'm', 'g', 'B', 'K', 'M', 'G']);
    !digits.is_empty() && text.len() - digits.len() <= 1 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

pub(crate) fn queue_settings(entry: &Entry, found: &mut Diagnostics) {
    let Some(mut fields) = Fields::open(&entry.value, "`queue_settings`", found) else {
        return;
    };
    if let Some(entry) = fields.given("job_tier") {
        word(
            entry,
            "unknown-value",
            &["spot", "basic", "standard", "premium", "null"],
            found,
        );
    }
    if let Some(entry) = fields.given("priority") {
        word(entry, "unknown-value", &["low", "medium", "high"], found);
    }
    fields.finish(Unknown::Refuse, found);
}

/// The name of the compute target behind `compute`: a bare name, `azureml:NAME`, or the end of a resource id.
pub(crate) fn compute_name(node: &Node) -> Option<String> {
    let text = node.as_text()?.trim();
    let name = text.strip_prefix("azureml:").unwrap_or(text);
    let name = name.rsplit('/').next().unwrap_or(name);
    (!name.is_empty()).then(|| name.to_owned())
}
