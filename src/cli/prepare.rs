//! What happens once before the first trial: snapshot of the source, environment, facts about the work tree.

use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::config::{DataBinding, EnvironmentSpec, Experiment};
use crate::download::{DownloadError, Downloads};
use crate::engine::{Preparation, environment_of};
use crate::environment::{Builder, EnvironmentError, WithoutEngine};
use crate::snapshot;
use crate::target::Data;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Data bindings that are paths of this computer, for targets elsewhere. `home` is the state folder.
///
/// # Errors
/// [`CliError`] if one cannot be read.
pub(super) fn data(
    experiment: &Experiment,
    home: &Path,
    preparation: &mut Preparation,
) -> Result<(), CliError> {
    for binding in experiment.launch.data.iter().filter(|binding| binding.is_path) {
        let path = Path::new(&binding.value);
        if !path.exists() {
            // It may exist there.
            continue;
        }
        let (taken, file) = snapshot::stock::take_data(path, home)
            .map_err(|error| CliError::usage("data", format!("data `{}`: {error}", binding.name)))?;
        preparation.data.push(Data {
            name: binding.name.clone(),
            snapshot: taken.id,
            tree: taken.folder,
            file,
        });
    }
    Ok(())
}

/// Prepares `experiment`: source folder and, if trials run `here`, environment. `home` is the state folder.
///
/// # Errors
/// [`CliError`] if the source cannot be read or the environment cannot be built.
pub(super) fn prepare(
    experiment: &Experiment,
    home: &Path,
    in_place: bool,
    here: bool,
    output: &Output,
) -> Result<Preparation, CliError> {
    let launch = &experiment.launch;
    let mut preparation = Preparation::default();
    if let Some(source) = &launch.source_directory {
        preparation.facts = snapshot::git_facts(source, &|name| std::env::var(name).ok());
        if in_place {
            preparation.in_place = Some(source.clone());
        } else {
            let taken = snapshot::take_only(source, &launch.source_files, home).map_err(|error| {
                CliError::usage("source-directory", error.to_string())
                    .help("`--source-directory DIR` names the folder of the training code")
            })?;
            for note in &taken.notes {
                output.note(&format!("note: {note}"));
            }
            preparation.snapshot = Some(taken.folder);
            preparation.snapshot_id = Some(taken.id);
        }
    }
    if here {
        environment(experiment, &mut preparation, output)?;
    }
    let extension = |key: &str| experiment.extensions.get(key);
    preparation.shim = extension("azureml_shim").and_then(serde_json::Value::as_bool) != Some(false);
    preparation.mlflow = extension("mlflow_endpoint").and_then(serde_json::Value::as_bool) != Some(false);
    preparation.mlflow_children =
        extension("mlflow_create").and_then(serde_json::Value::as_str) == Some("child");
    if preparation.mlflow {
        other_tracking_server(experiment, output);
    }
    if let Some(seconds) = experiment
        .extensions
        .get("grace_seconds")
        .and_then(serde_json::Value::as_f64)
    {
        preparation.grace_ms = (seconds.max(0.0) * 1000.0) as u64;
    }
    if let Some(mebibytes) = experiment
        .extensions
        .get("log_cap_mib")
        .and_then(serde_json::Value::as_u64)
    {
        preparation.log_cap_bytes = mebibytes.saturating_mul(1 << 20);
    }
    Ok(preparation)
}

/// The experiment with what its trials read from the web fetched: they get paths in the cache instead of addresses. Addresses
/// that the script is to open itself (`direct`) and literals stay.
///
/// # Errors
/// [`CliError`] if a file cannot be had.
pub(super) fn with_inputs<'a>(
    experiment: &'a Experiment,
    output: &Output,
) -> Result<Cow<'a, Experiment>, CliError> {
    let mut experiment = Cow::Borrowed(experiment);
    let cache = cache_folder().join("data");
    for index in 0..experiment.launch.data.len() {
        let Some(binding) = experiment.launch.data.get(index).filter(|data| is_fetched(data)) else {
            continue;
        };
        let name = binding.name.clone();
        let fetched = Downloads {
            cache: &cache,
            progress: &mut |line| output.note(&format!("input `{name}`: {line}")),
        }
        .fetch(&binding.value)
        .map_err(|error| no_input(&name, &error))?;
        if let Some(note) = &fetched.note {
            output.complain(&format!("warning: input `{name}`: {note}"));
        }
        if let Some(binding) = experiment.to_mut().launch.data.get_mut(index) {
            binding.value = fetched.path.to_string_lossy().into_owned();
            binding.is_path = true;
        }
    }
    Ok(experiment)
}

/// Whether the script is to get a file that lies in the web. Data references say nothing of how they are consumed: never directly.
fn is_fetched(binding: &DataBinding) -> bool {
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| binding.value.starts_with(scheme));
    let is_reference = || {
        binding
            .variables
            .first()
            .is_some_and(|name| name.starts_with("AZUREML_DATAREFERENCE_"))
    };
    is_web
        && match binding.mechanism.as_deref() {
            Some(mechanism) => mechanism != "direct",
            None => is_reference(),
        }
}

fn no_input(name: &str, error: &DownloadError) -> CliError {
    let message = format!("input `{name}`: {error}");
    match error {
        DownloadError::Refused { status, .. } if status.starts_with("404") || status.starts_with("410") => {
            CliError::not_found("input", message)
        }
        _ => CliError::failed("input", message),
    }
    .help("`data_map` in `overdrive.yml` puts a local path in its place; `mode: direct` leaves the address to the script")
}

/// Scripts that were set up to log to a tracking server of the user's talk to the endpoint of their trial instead.
fn other_tracking_server(experiment: &Experiment, output: &Output) {
    const NAME: &str = "MLFLOW_TRACKING_URI";
    let of_files = experiment.launch.environment_variables.get(NAME).cloned();
    let Some(server) = of_files
        .or_else(|| std::env::var(NAME).ok())
        .filter(|server| !server.is_empty())
    else {
        return;
    };
    output.note(&format!(
        "warning: {NAME} is {}: trials log to overdrive instead (`--set mlflow_endpoint=false` leaves it to them)",
        crate::download::shown(&server)
    ));
}

fn environment(
    experiment: &Experiment,
    preparation: &mut Preparation,
    output: &Output,
) -> Result<(), CliError> {
    let launch = &experiment.launch;
    let (spec, without_container) = environment_of(launch);
    if without_container {
        output.note(
            "warning: a trial of several processes runs outside of the container that its files ask for",
        );
    }
    if !launch.starts_python() && !matches!(spec, EnvironmentSpec::Docker { .. }) {
        return Ok(());
    }
    let cache = cache_folder().join("environments");
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let mut told = |line: &str| output.note(&format!("environment: {line}"));
    let prepared = Builder {
        cache: &cache,
        base: experiment.launch.source_directory.as_deref(),
        search_path: &search_path,
        keep_azureml: false,
        without_engine: WithoutEngine::Ignore,
        progress: &mut told,
    }
    .prepare(spec)
    .map_err(|error| {
        let message = error.to_string();
        match error {
            EnvironmentError::NoInterpreter { .. } => CliError::usage("no-interpreter", message),
            EnvironmentError::Mapping { .. } => CliError::usage("conda-file", message),
            EnvironmentError::Container(_) => CliError::failed("container", message)
                .help("`--environment no-container` runs the trials without it, in the Python environment of the files"),
            _ => CliError::failed("environment", message)
                .help("`--environment current` runs the trials with the Python found here as it is"),
        }
    })?;
    for note in &prepared.notes {
        output.note(&format!("note: {note}"));
    }
    if launch.starts_python() {
        preparation.interpreter = vec![prepared.interpreter.to_string_lossy().into_owned()];
    }
    preparation.container = prepared.container;
    preparation.path_prepend = prepared.path_prepend;
    preparation.variables = prepared.variables;
    Ok(())
}

/// Cache shared by all projects: `$XDG_CACHE_HOME/overdrive`, else `~/.cache/overdrive`, else a folder of the temporary one.
pub(super) fn cache_folder() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("overdrive")
}
