//! `model register|list|show|download`.

use super::print::Printer;
use super::runs;
use crate::cli::args::{Globals, ModelCommand, ModelName, RegisterModel};
use crate::cli::error::CliError;
use crate::cli::place;
use crate::clock::{Clock, SystemClock, iso};
use crate::models::{Model, ModelError, Models, asset};
use crate::report::text;
use crate::store::Store;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Runs one of the verbs.
pub(super) fn models(
    command: ModelCommand,
    globals: &Globals,
    printer: &Printer<'_>,
) -> Result<u8, CliError> {
    let registry = |path: &Path| -> Result<Models, CliError> {
        Ok(Models::new(&place::state_folder_from(globals, path)?))
    };
    match command {
        ModelCommand::Register(arguments) => printer.print(&register(&arguments, globals)?),
        ModelCommand::List {
            name,
            run_id,
            latest,
            folder,
        } => {
            let mut all = registry(&folder.path)?.list()?;
            all.retain(|model| {
                name.as_ref().is_none_or(|name| model.name == *name)
                    && run_id
                        .as_ref()
                        .is_none_or(|run| model.run_id.as_ref() == Some(run))
            });
            if latest {
                // The newest version of each comes first.
                all.dedup_by(|later, first| later.name == first.name);
            }
            printer.print(&all.iter().map(record).collect())
        }
        ModelCommand::Show(name) => {
            let registry = registry(&name.folder.path)?;
            printer.print(&record(&named(&registry, &name)?))
        }
        ModelCommand::Download {
            model,
            output_dir,
            overwrite,
        } => {
            let registry = registry(&model.folder.path)?;
            let found = named(&registry, &model)?;
            let path = registry.download(&found, &output_dir, overwrite)?;
            printer.print(&json!({"downloadPath": path}))
        }
    }
}

fn named(registry: &Models, name: &ModelName) -> Result<Model, CliError> {
    let id = name.id.as_deref().or(name.name.as_deref()).unwrap_or_default();
    let (name, version) = match id.split_once(':') {
        None => (id, None),
        Some((name, version)) => {
            let version = version.parse().map_err(|_| {
                CliError::usage(
                    "model-version",
                    format!("`{}` is not the version of a model", text::printable(version)),
                )
            })?;
            (name, Some(version))
        }
    };
    Ok(registry.get(name, version)?)
}

impl From<ModelError> for CliError {
    fn from(error: ModelError) -> Self {
        let message = text::printable(&error.to_string());
        match error {
            ModelError::NotFound(_) => Self::not_found("unknown-model", message)
                .help("`overdrive ml model list` shows those there are"),
            ModelError::NoAsset(_) => Self::not_found("no-asset", message)
                .help("paths are those of the script, for instance outputs/model.pkl"),
            ModelError::Name(_) | ModelError::Outside(_) => Self::usage("model", message),
            _ => Self::failed("model", message),
        }
    }
}

fn register(arguments: &RegisterModel, globals: &Globals) -> Result<Value, CliError> {
    let home = place::state_folder_from(globals, &arguments.scope.path)?;
    let run = match (&arguments.run_id, &arguments.run_metadata_file) {
        (Some(run), _) => Some(run.clone()),
        (None, Some(file)) => Some(recorded(file)?),
        (None, None) => None,
    };
    let (source, run_id, experiment) = match (&arguments.model_path, &arguments.asset_path, run) {
        (Some(path), _, run) => {
            if !path.exists() {
                return Err(CliError::not_found(
                    "missing-file",
                    format!("`{}` does not exist", path.display()),
                ));
            }
            (path.clone(), run, arguments.scope.experiment.clone())
        }
        (None, Some(path), Some(run)) => {
            let store = Store::open_read_only(&home)?;
            let (run, experiment, folder) = runs::folder(&store, &run)?;
            let roots: [PathBuf; 3] = [folder.join("wd"), folder.join("artifacts"), folder];
            (asset(&roots, path)?, Some(run), Some(experiment))
        }
        (None, Some(_), None) => {
            return Err(CliError::usage(
                "missing-run",
                "`--asset-path` is a path among the outputs of a run, and no run is named",
            )
            .help("add `--run-id ID`, or `--run-metadata-file FILE` with what `-t FILE` wrote"));
        }
        (None, None, _) => {
            return Err(CliError::usage("missing-asset", "nothing to register is named")
                .help("`--asset-path PATH --run-id ID` for a file of a run, `--model-path PATH` for a local one"));
        }
    };
    let model = Model {
        name: arguments.name.clone(),
        version: 0,
        path: String::new(),
        description: arguments.description.clone(),
        run_id,
        experiment,
        created: SystemClock.stamp().wall_ms as f64 / 1000.0,
        tags: super::super::run::tags(&arguments.tag)?,
        properties: super::super::run::tags(&arguments.property)?,
        framework: arguments.model_framework.clone(),
        framework_version: arguments.model_framework_version.clone(),
    };
    Ok(record(&Models::new(&home).register(&source, model)?))
}

/// The run of a record that `-t FILE` wrote.
fn recorded(file: &Path) -> Result<String, CliError> {
    let wrong = |reason: String| CliError::usage("run-metadata", format!("`{}`: {reason}", file.display()));
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CliError::not_found(
                "missing-file",
                format!("`{}` does not exist", file.display()),
            ));
        }
        Err(error) => return Err(wrong(error.to_string())),
    };
    let record: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    // The SDK's own dictionary is written with underscores.
    ["runId", "run_id"]
        .iter()
        .find_map(|key| record.get(key).and_then(Value::as_str))
        .map(str::to_owned)
        .ok_or_else(|| wrong("there is no `runId` in it".into()))
}

/// A model in the old words.
fn record(model: &Model) -> Value {
    json!({
        "id": format!("{}:{}", model.name, model.version), "name": model.name, "version": model.version,
        "createdTime": iso((model.created * 1000.0) as i64), "description": model.description.clone().unwrap_or_default(),
        "experimentName": model.experiment, "runId": model.run_id, "framework": model.framework,
        "frameworkVersion": model.framework_version, "tags": model.tags, "properties": model.properties,
    })
}
