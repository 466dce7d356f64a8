//! `folder attach`, `experiment list|create`.

use crate::cli::args::{Globals, MlGlobals, Scope};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::place;
use crate::config::resolve::{NAME_RULE, is_experiment_name, sanitized};
use crate::config::runconfig::RunConfig;
use crate::store::{FILE, Store, SweepFilter};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const IGNORED: &str = ".ipynb_checkpoints\nazureml-logs\n.azureml\n.git\noutputs\nazureml-setup\ndocs\n";
const CONDA: &str = "name: project_environment\ndependencies:\n  - python=3.8.13\n  - pip:\n      - azureml-defaults\nchannels:\n  - conda-forge\n";
const NAMES: &str = "experiments.json";

/// Attaches a folder: writes what is missing, and which experiment it belongs to.
pub(super) fn attach(scope: &Scope, options: &MlGlobals, output: &Output) -> Result<Value, CliError> {
    let path = &scope.path;
    if path.is_file() {
        return Err(CliError::usage(
            "not-a-folder",
            format!("`{}` is a file", path.display()),
        ));
    }
    let failed = |error: std::io::Error| CliError::failed("write", format!("`{}`: {error}", path.display()));
    let whole = std::path::absolute(path)?;
    let experiment = match &scope.experiment {
        Some(name) => checked(name)?,
        None => sanitized(&whole.file_name().unwrap_or_default().to_string_lossy()),
    };
    let old = path.join("aml_config");
    let folder = if old.is_dir() { old } else { path.join(".azureml") };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let keep = |name: &Path, text: &str| -> Result<(), CliError> {
        if !name.exists() {
            std::fs::write(name, text)
                .map_err(|error| CliError::failed("write", format!("`{}`: {error}", name.display())))?;
            output.note(&format!("written: {}", name.display()));
        }
        Ok(())
    };
    keep(&path.join(".amlignore"), IGNORED)?;
    keep(&folder.join("conda_dependencies.yml"), CONDA)?;
    let local = template()?;
    keep(&folder.join("local"), &local)?;
    keep(&folder.join("local.runconfig"), &local)?;
    let (subscription, group, workspace) = (
        options.subscription.clone().unwrap_or_default(),
        options.resource_group.clone().unwrap_or_default(),
        options.workspace.clone().unwrap_or_else(|| "default".into()),
    );
    let scope_text = format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices/workspaces/{workspace}/projects/{experiment}"
    );
    let config = if folder.join("project.json").is_file() {
        "project.json"
    } else {
        "config.json"
    };
    let text =
        serde_json::to_string_pretty(&json!({"Id": experiment, "Scope": scope_text})).unwrap_or_default();
    std::fs::write(folder.join(config), text + "\n").map_err(failed)?;
    Ok(json!({
        "Experiment name": experiment, "Subscription id": subscription, "Resource group": group, "Workspace name": workspace,
        "Project path": whole,
    }))
}

/// The run configuration with everything by default.
fn template() -> Result<String, CliError> {
    let mut config = RunConfig::built_in();
    config.set("target", json!("local"));
    let mut definition = Value::Object(config.definition);
    if let Some(python) = definition
        .pointer_mut("/environment/python")
        .and_then(Value::as_object_mut)
    {
        python.insert(
            "condaDependenciesFile".into(),
            json!(".azureml/conda_dependencies.yml"),
        );
        python.remove("condaDependencies");
    }
    if let Some(entries) = definition.as_object_mut() {
        entries.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
    }
    serde_yaml::to_string(&definition).map_err(|error| CliError::failed("yaml", error.to_string()))
}

fn checked(name: &str) -> Result<String, CliError> {
    if is_experiment_name(name) {
        Ok(name.to_owned())
    } else {
        Err(CliError::usage(
            "experiment-name",
            format!("`{name}` cannot name an experiment: {NAME_RULE}"),
        )
        .help(format!("for instance `{}`", sanitized(name))))
    }
}

fn names(home: &Path) -> Result<BTreeSet<String>, CliError> {
    let mut names: BTreeSet<String> = match std::fs::read_to_string(home.join(NAMES)) {
        Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
        Err(_) => BTreeSet::new(),
    };
    if home.join(FILE).is_file() {
        let filter = SweepFilter {
            archived: true,
            ..SweepFilter::default()
        };
        names.extend(
            Store::open_read_only(home)?
                .sweeps(&filter)?
                .into_iter()
                .map(|sweep| sweep.experiment),
        );
    }
    Ok(names)
}

fn record(name: &str) -> Value {
    json!({"id": name, "name": name, "tags": {}})
}

/// All experiments: those that were created, and those that something ran under.
pub(super) fn experiments(scope: &Scope, globals: &Globals) -> Result<Value, CliError> {
    let home = place::state_folder_from(globals, &scope.path)?;
    Ok(names(&home)?.iter().map(|name| record(name)).collect())
}

/// Creates an experiment; one that exists is returned.
pub(super) fn create_experiment(name: &str, path: &Path, globals: &Globals) -> Result<Value, CliError> {
    let name = checked(name)?;
    let home = place::state_folder_from(globals, path)?;
    // The store makes the folder with the right permissions.
    drop(Store::open(&home)?);
    let mut names = names(&home)?;
    if names.insert(name.clone()) {
        let text = serde_json::to_string(&names).unwrap_or_default();
        let fresh = home.join(format!("{NAMES}.new"));
        std::fs::write(&fresh, text)?;
        std::fs::rename(&fresh, home.join(NAMES))?;
    }
    Ok(record(&name))
}
