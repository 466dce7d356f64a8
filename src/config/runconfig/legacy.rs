//! Generation 0: Workbench files of 2017 with Title-case keys, and the `.compute` file of their target.

use super::section::{Places, Sections, fold};
use super::{Generation, RunConfig, fixed_arguments};
use crate::config::files::{Files, join};
use crate::diagnostic::{Diagnostics, Dialect, Fields, Node, Source, Unknown, parse};
use serde_json::{Map, Value as Json, json};
use std::path::Path;
use std::sync::Arc;

/// The text that stands for the script named on the command line.
pub(crate) const SCRIPT_PLACEHOLDER: &str = "$file";

pub(super) fn read(
    source: &Arc<Source>,
    root: &Node,
    file: &Path,
    project: &Path,
    files: &dyn Files,
    found: &mut Diagnostics,
) -> RunConfig {
    found
        .note(
            "old-generation",
            source.head(),
            "a Workbench run configuration of 2017",
        )
        .label("read by the rules of that time");
    let mut config = RunConfig {
        source: Arc::clone(source),
        generation: Generation::Workbench,
        ..RunConfig::built_in()
    };
    let mut sections = Sections {
        found,
        places: Places::default(),
    };
    let Some(mut fields) = Fields::open_folded(root, "the file", fold, sections.found) else {
        return config;
    };
    if let Some(entry) = fields.given("ArgumentVector") {
        let mut arguments = fixed_arguments(&entry.value, sections.found);
        if !arguments.is_empty() {
            let script = arguments.remove(0);
            sections.places.insert("script".into(), script.span);
            if script.text != SCRIPT_PLACEHOLDER {
                config.definition.insert("script".into(), Json::from(script.text));
            }
        }
        config.definition.insert(
            "arguments".into(),
            arguments
                .iter()
                .map(|argument| Json::from(argument.text.as_str()))
                .collect(),
        );
        config.arguments = arguments;
    }
    for (old, new) in [("Target", "target"), ("Framework", "framework")] {
        if let Some(entry) = fields.given(old)
            && let Some(text) = sections.found.text(entry)
        {
            sections.places.insert(new.into(), entry.value.span);
            config.definition.insert(new.into(), Json::from(text));
        }
    }
    let mut environment = Map::new();
    if let Some(entry) = fields.given("EnvironmentVariables")
        && let Some(variables) = sections.variables(entry)
    {
        environment.insert("environmentVariables".into(), Json::Object(variables));
    }
    let mut python = Map::new();
    if let Some(entry) = fields.given("CondaDependenciesFile")
        && let Some(path) = sections.found.text(entry)
    {
        sections.places.insert(
            "environment/python/condaDependenciesFile".into(),
            entry.value.span,
        );
        python.insert("condaDependenciesFile".into(), Json::from(path));
    }
    if let Some(entry) = fields.given("SparkDependenciesFile")
        && let Some(path) = sections.found.text(entry)
    {
        match files.read(&join(project, &path)) {
            Ok(Some(text)) => spark(&path, text, &mut config, &mut environment, sections.found),
            // Its templates name a Spark file for every target; only Spark misses it.
            _ if !config
                .text("framework")
                .is_some_and(|name| name.to_ascii_lowercase().starts_with("pyspark")) => {}
            _ => {
                sections
                    .found
                    .warning(
                        "missing-file",
                        entry.value.span,
                        format!("there is no Spark file `{path}`; Spark runs without its settings"),
                    )
                    .label("not found");
            }
        }
    }
    if let Some(entry) = fields.given("TrackedRun")
        && let Some(tracked) = sections.boolean(entry)
        && let Some(history) = config.definition.get_mut("history").and_then(Json::as_object_mut)
    {
        history.insert("outputCollection".into(), Json::from(tracked));
    }
    fields.know(&["PrepareEnvironment", "UseSampling"]);
    fields.finish(Unknown::Warn, sections.found);

    let target = config.text("target").unwrap_or("local").to_owned();
    let compute = file.with_file_name(format!("{target}.compute"));
    if let Ok(Some(text)) = files.read(&compute) {
        let source = Source::new(compute.to_string_lossy(), text);
        let (compute, diagnostics) = read_compute(&source);
        sections.found.extend(diagnostics);
        apply(&compute, &mut config, &mut environment, &mut python);
    }
    if let Some(Json::Object(defaults)) = config.definition.get_mut("environment") {
        for (key, value) in environment {
            merge(defaults, key, value);
        }
        for (key, value) in python {
            merge(defaults, "python".into(), json!({ key: value }));
        }
    }
    config.places = sections.places;
    config
}

fn merge(into: &mut Map<String, Json>, key: String, value: Json) {
    match (into.get_mut(&key), value) {
        // Variables are the user's alone: the example of the defaults goes.
        (Some(Json::Object(old)), Json::Object(new)) if key != "environmentVariables" => {
            for (key, value) in new {
                merge(old, key, value);
            }
        }
        (_, value) => {
            into.insert(key, value);
        }
    }
}

/// The Spark file: `configuration`, `repositories`, `packages`.
fn spark(
    path: &str,
    text: String,
    config: &mut RunConfig,
    environment: &mut Map<String, Json>,
    found: &mut Diagnostics,
) {
    let source = Source::new(path, text);
    let document = parse(&source, Dialect::Yaml12);
    found.extend(document.diagnostics);
    let Some(root) = document.root else { return };
    if let Some(configuration) = root.get("configuration").filter(|node| node.as_map().is_some()) {
        config.definition.insert(
            "spark".into(),
            json!({ "configuration": configuration.to_json() }),
        );
    }
    let mut spark = Map::new();
    for key in ["repositories", "packages"] {
        if let Some(list) = root.get(key).filter(|node| node.as_seq().is_some()) {
            spark.insert(key.into(), list.to_json());
        }
    }
    environment.insert("spark".into(), Json::Object(spark));
}

/// A `.compute` file: keys in canonical spelling.
pub(super) fn read_compute(source: &Arc<Source>) -> (Map<String, Json>, Vec<crate::diagnostic::Diagnostic>) {
    let document = parse(source, Dialect::Yaml12);
    let mut found = Diagnostics::new(source);
    found.extend(document.diagnostics);
    let mut compute = Map::new();
    if let Some(root) = &document.root
        && let Some(mut fields) = Fields::open_folded(root, "the file", fold, &mut found)
    {
        for key in [
            "type",
            "address",
            "username",
            "password",
            "privateKey",
            "baseDockerImage",
            "pythonLocation",
            "sparkSubmitLocation",
            "userManagedEnvironment",
            "sharedVolumes",
            "nvidiaDocker",
            "yarnDeployMode",
            "nodeCount",
            "nativeSharedDirectory",
        ] {
            if let Some(entry) = fields.given(key) {
                compute.insert(key.into(), entry.value.to_json());
            }
        }
        fields.finish(Unknown::Warn, &mut found);
    }
    (compute, found.sorted())
}

/// What the target's file says about the run.
fn apply(
    compute: &Map<String, Json>,
    config: &mut RunConfig,
    environment: &mut Map<String, Json>,
    python: &mut Map<String, Json>,
) {
    let text = |key: &str| compute.get(key).and_then(Json::as_str);
    let kind = text("type").unwrap_or_default().to_ascii_lowercase();
    let mut docker = Map::new();
    if kind.ends_with("docker") || kind == "amlcompute" || kind == "containerinstance" {
        docker.insert("enabled".into(), Json::from(true));
    }
    if let Some(image) = text("baseDockerImage") {
        docker.insert("baseImage".into(), Json::from(image));
    }
    if let Some(shared) = compute.get("sharedVolumes").and_then(Json::as_bool) {
        docker.insert("sharedVolumes".into(), Json::from(shared));
    }
    if !docker.is_empty() {
        environment.insert("docker".into(), Json::Object(docker));
    }
    if let Some(managed) = compute.get("userManagedEnvironment").and_then(Json::as_bool) {
        python.insert("userManagedDependencies".into(), Json::from(managed));
    }
    if let Some(location) = text("pythonLocation") {
        python.insert("interpreterPath".into(), Json::from(location));
    }
    if let Some(mode) = text("yarnDeployMode") {
        config
            .definition
            .insert("hdi".into(), json!({ "yarnDeployMode": mode }));
    }
    if let Some(count) = compute.get("nodeCount").filter(|count| count.is_u64()) {
        config.definition.insert("nodeCount".into(), count.clone());
    }
    if matches!(kind.as_str(), "local" | "localdocker") {
        config.definition.insert("target".into(), Json::from("local"));
    }
    // Secrets stay out of what is stored with a sweep.
    let mut kept = compute.clone();
    kept.remove("password");
    config.definition.insert("compute".into(), Json::Object(kept));
}
