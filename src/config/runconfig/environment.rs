//! What a run configuration says about interpreter, packages, variables and data, as the rest of the house needs it.

use super::{RunConfig, conda};
use crate::config::data_map::DataMap;
use crate::config::files::{Files, join};
use crate::config::{DataBinding, EnvironmentSpec};
use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use indexmap::IndexMap;
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

/// The environment of a trial, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    /// Interpreter and packages.
    pub spec: EnvironmentSpec,
    /// The files' own variables, `environment.environmentVariables` under the top-level ones.
    pub variables: IndexMap<String, String>,
}

/// Where the paths of a run configuration begin.
#[derive(Clone, Copy)]
struct Base<'a> {
    files: &'a dyn Files,
    folders: [&'a Path; 2],
}

impl Base<'_> {
    fn find(&self, path: &str) -> Option<PathBuf> {
        self.folders
            .iter()
            .map(|folder| join(folder, path))
            .find(|path| self.files.exists(path) && !self.files.is_folder(path))
    }
}

/// Resolves the environment. Paths are relative to `folders`, first hit wins (the project folder and that of the run
/// configuration, in the order that fits how it was named). `conda` replaces the dependencies.
pub fn environment(
    config: &RunConfig,
    folders: [&Path; 2],
    conda: Option<&Path>,
    files: &dyn Files,
    found: &mut Diagnostics,
) -> Environment {
    let base = Base { files, folders };
    let inner = inner(config, base, conda, found);
    let docker = config.at("environment/docker/enabled").as_bool() == Some(true);
    let later = config.at("docker/useDocker").as_bool() == Some(true);
    let spec = if docker || later {
        let arguments = if later {
            "docker/arguments"
        } else {
            "environment/docker/arguments"
        };
        let shm_size = if later {
            "docker/shmSize"
        } else {
            "environment/docker/shmSize"
        };
        let dockerfile = dockerfile(config, base, found);
        EnvironmentSpec::Docker {
            image: config
                .text("environment/docker/baseImage")
                .filter(|_| dockerfile.is_none())
                .map(|image| in_registry(config, image)),
            context: context(config, base),
            dockerfile,
            arguments: config
                .at(arguments)
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|argument| argument.as_str().map(str::to_owned))
                .collect(),
            shm_size: config.text(shm_size).map(str::to_owned),
            inner: Box::new(inner),
        }
    } else {
        inner
    };
    let mut variables = IndexMap::new();
    for path in ["environment/environmentVariables", "environmentVariables"] {
        for (name, value) in config.at(path).as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            variables.insert(name.clone(), text);
        }
    }
    Environment { spec, variables }
}

fn inner(
    config: &RunConfig,
    base: Base<'_>,
    conda: Option<&Path>,
    found: &mut Diagnostics,
) -> EnvironmentSpec {
    let managed = config.at("environment/python/userManagedDependencies").as_bool() == Some(true);
    if managed && conda.is_none() {
        return EnvironmentSpec::UserManaged {
            interpreter: config
                .text("environment/python/interpreterPath")
                .unwrap_or("python")
                .to_owned(),
        };
    }
    let dependencies = match conda {
        Some(path) => conda_file(path, base.files, found),
        None => declared(config, base, found),
    };
    EnvironmentSpec::Conda {
        dependencies: dependencies.unwrap_or_else(default_dependencies),
    }
}

/// The SDK's default without its pin of an interpreter that nobody can install any more.
fn default_dependencies() -> Json {
    json!({
        "name": "project_environment",
        "channels": ["conda-forge"],
        "dependencies": ["python", {"pip": ["azureml-defaults"]}],
    })
}

fn declared(config: &RunConfig, base: Base<'_>, found: &mut Diagnostics) -> Option<Json> {
    if let Some(inline) = config
        .definition
        .get("environment")
        .and_then(|environment| environment.pointer("/python/condaDependencies"))
        .filter(|inline| !inline.is_null())
    {
        // The inline form is part of a text that was parsed by other rules; its own places are known only as a whole.
        let text = serde_json::to_string(inline).ok()?;
        let source = Source::new(format!("{} (condaDependencies)", config.source.name()), text);
        let (file, diagnostics) = conda::read_conda(&source, base.folders[0], base.files);
        found.extend(diagnostics);
        return file.map(|file| file.mapping);
    }
    let path = config
        .text("environment/python/condaDependenciesFile")?
        .to_owned();
    let Some(full) = base.find(&path) else {
        let diagnostic = Diagnostic::new(
            crate::diagnostic::Severity::Error,
            "missing-file",
            Some(&config.source),
            config.place_or_head("environment/python/condaDependenciesFile"),
            format!("there is no conda file `{path}`"),
        );
        let mut diagnostic = diagnostic;
        diagnostic
            .label(format!("looked for {}", join(base.folders[0], &path).display()))
            .help("its path is relative to the project folder; `--environment current` uses the Python that is there");
        found.extend([diagnostic]);
        return None;
    };
    conda_file(&full, base.files, found)
}

fn conda_file(path: &Path, files: &dyn Files, found: &mut Diagnostics) -> Option<Json> {
    let name = path.to_string_lossy();
    match files.read(path) {
        Ok(Some(text)) => {
            let source = Source::new(name, text);
            let folder = path.parent().unwrap_or(Path::new(""));
            let (file, diagnostics) = conda::read_conda(&source, folder, files);
            found.extend(diagnostics);
            file.map(|file| file.mapping)
        }
        Ok(None) => {
            let head = found.source().head();
            found.error("missing-file", head, format!("there is no conda file `{name}`"));
            None
        }
        Err(reason) => {
            let head = found.source().head();
            found.error("unreadable-file", head, format!("`{name}`: {reason}"));
            None
        }
    }
}

/// The image's name with the address of its registry in front, unless it stands there. Logins are the engine's matter.
fn in_registry(config: &RunConfig, image: &str) -> String {
    let address = config
        .text("environment/docker/baseImageRegistry/address")
        .unwrap_or_default()
        .trim_end_matches('/');
    if address.is_empty() || image.starts_with(&format!("{address}/")) {
        image.to_owned()
    } else {
        format!("{address}/{image}")
    }
}

/// The folder of `buildContext`, if it is one of this machine.
fn context(config: &RunConfig, base: Base<'_>) -> Option<PathBuf> {
    let location = config
        .at("environment/docker/buildContext")
        .get("location")
        .and_then(Json::as_str)?;
    base.folders
        .iter()
        .map(|folder| join(folder, location))
        .find(|folder| base.files.is_folder(folder))
        .map(|folder| base.files.absolute(&folder))
}

/// `baseDockerfile` as text (it may be a path), or the Dockerfile of `buildContext`.
fn dockerfile(config: &RunConfig, base: Base<'_>, found: &mut Diagnostics) -> Option<String> {
    if let Some(text) = config.text("environment/docker/baseDockerfile") {
        if text.contains('\n') {
            return Some(text.to_owned());
        }
        let content = base
            .find(text)
            .and_then(|path| base.files.read(&path).ok().flatten());
        return Some(content.unwrap_or_else(|| text.to_owned()));
    }
    let context = config.at("environment/docker/buildContext");
    let location = context.get("location").and_then(Json::as_str)?;
    let file = context
        .get("dockerfilePath")
        .and_then(Json::as_str)
        .unwrap_or("Dockerfile");
    let path = format!("{location}/{file}");
    let content = base
        .find(&path)
        .and_then(|path| base.files.read(&path).ok().flatten());
    if content.is_none() {
        let mut diagnostic = Diagnostic::new(
            crate::diagnostic::Severity::Error,
            "missing-file",
            Some(&config.source),
            config.place_or_head("environment/docker/buildContext"),
            format!("there is no Dockerfile `{path}`"),
        );
        diagnostic.label(format!("looked for {}", join(base.folders[0], &path).display()));
        found.extend([diagnostic]);
    }
    content
}

/// The data of a run configuration: what the script gets for each name, by the user's mapping. Unmapped names are errors
/// (`unmapped-data`), unless the path at which the data was to appear on the compute is there.
pub fn data_bindings(
    config: &RunConfig,
    map: &DataMap,
    project: &Path,
    files: &dyn Files,
    found: &mut Vec<Diagnostic>,
) -> Vec<DataBinding> {
    let mut bindings = Vec::new();
    let absolute = |path: String| {
        if path.contains("://") {
            path
        } else {
            files
                .absolute(&join(project, &path))
                .to_string_lossy()
                .into_owned()
        }
    };
    let mounted = |value: &Json| {
        value
            .get("pathOnCompute")
            .and_then(Json::as_str)
            .filter(|path| path.starts_with('/') && files.exists(Path::new(path)))
            .map(str::to_owned)
    };
    let mut unmapped = |path: &str, table: &str, what: &str, name: &str, known: &IndexMap<String, String>| {
        let mut diagnostic = Diagnostic::new(
            crate::diagnostic::Severity::Error,
            "unmapped-data",
            Some(&config.source),
            config.place_or_head(path),
            format!("{what} `{name}` is not mapped to a path"),
        );
        for line in DataMap::advice(table, name, known) {
            diagnostic.help(line);
        }
        found.push(diagnostic);
    };
    for (name, reference) in config.at("dataReferences").as_object().into_iter().flatten() {
        let text = |key: &str| reference.get(key).and_then(Json::as_str).unwrap_or_default();
        let store = text("dataStoreName");
        let value = map
            .datastore(store, text("pathOnDataStore"))
            .map(absolute)
            .or_else(|| mounted(reference));
        if value.is_none() && !store.is_empty() {
            unmapped(
                &format!("dataReferences/{name}"),
                "datastores",
                "datastore",
                store,
                &map.datastores,
            );
        }
        let mut variables = vec![format!("AZUREML_DATAREFERENCE_{name}")];
        variables.extend(camel(name).map(|name| format!("AZUREML_DATAREFERENCE_{name}")));
        bindings.extend(value.map(|value| DataBinding {
            name: name.clone(),
            is_path: !value.contains("://"),
            value,
            variables,
            mechanism: None,
        }));
    }
    for (name, data) in config.at("data").as_object().into_iter().flatten() {
        let text = |pointer: &str| data.pointer(pointer).and_then(Json::as_str);
        let mechanism = text("/mechanism").unwrap_or("direct").to_ascii_lowercase();
        let at = format!("data/{name}");
        let value = if let Some(dataset) = data.pointer("/dataLocation/dataset").filter(|set| !set.is_null())
        {
            let (id, set) = (
                text("/dataLocation/dataset/id"),
                text("/dataLocation/dataset/name"),
            );
            let version = dataset.get("version").filter(|version| !version.is_null());
            let version = version.map(|version| {
                version
                    .as_str()
                    .map_or_else(|| version.to_string(), str::to_owned)
            });
            let label = set.or(id).unwrap_or_default();
            let path = map
                .dataset(set, version.as_deref(), id)
                .map(|path| absolute(path.to_owned()))
                .or_else(|| mounted(data));
            match path {
                Some(path) => Some((path, true)),
                // A directly consumed dataset is only a name to the script.
                None if mechanism == "direct" => Some((label.to_owned(), false)),
                None => {
                    unmapped(&at, "datasets", "dataset", label, &map.datasets);
                    None
                }
            }
        } else if let Some(store) = text("/dataLocation/dataPath/datastoreName") {
            let relative = text("/dataLocation/dataPath/relativePath").unwrap_or_default();
            let path = map
                .datastore(store, relative)
                .map(absolute)
                .or_else(|| mounted(data));
            if path.is_none() {
                unmapped(&at, "datastores", "datastore", store, &map.datastores);
            }
            path.map(|path| (path, true))
        } else {
            text("/dataLocation/uri/path").map(|uri| {
                let path = map.address(uri).unwrap_or_else(|| uri.to_owned());
                let is_path = !path.contains("://");
                (absolute(path), is_path)
            })
        };
        let Some((value, is_path)) = value else { continue };
        let variable = text("/environmentVariableName").unwrap_or(name).to_owned();
        let mut variables = vec![
            variable.clone(),
            variable.to_uppercase(),
            format!("AZUREML_DATAREFERENCE_{variable}"),
        ];
        variables.extend(camel(name));
        variables.dedup();
        bindings.push(DataBinding {
            name: name.clone(),
            value,
            variables,
            mechanism: Some(mechanism),
            is_path,
        });
    }
    bindings
}

/// The spelling to which the old loader changed a name with `_`, for scripts that were written to it.
fn camel(name: &str) -> Option<String> {
    if !name.contains('_') {
        return None;
    }
    let mut camel = String::new();
    for (index, part) in name.split('_').enumerate() {
        let mut letters = part.chars();
        let Some(first) = letters.next() else { continue };
        if index == 0 {
            camel.extend(first.to_lowercase());
            camel.push_str(letters.as_str());
        } else {
            camel.extend(first.to_uppercase());
            camel.push_str(&letters.as_str().to_lowercase());
        }
    }
    Some(camel)
}
