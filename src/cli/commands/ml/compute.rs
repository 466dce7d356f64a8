//! `computetarget ...`: the registry in the words of the old command line.

use super::print::Printer;
use crate::cli::args::{ComputeCommand, CreateCommand, Globals, RemoveTarget, TargetName, UpdateCommand};
use crate::cli::commands::{pools, target};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::place;
use crate::target::kind::Settings;
use crate::target::pool::Pool;
use crate::target::registry::{Found, RegistryError};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Runs one of the verbs.
pub(super) fn compute(
    command: ComputeCommand,
    globals: &Globals,
    output: &Output,
    printer: &Printer<'_>,
) -> Result<u8, CliError> {
    match command {
        ComputeCommand::Create(CreateCommand::Amlcompute(arguments)) => {
            let home = place::state_folder_from(globals, &arguments.folder.path)?;
            let found = target::create(&arguments, globals, output)?;
            printer.print(&record(&found, &home)?)
        }
        ComputeCommand::Update(UpdateCommand::Amlcompute(arguments)) => {
            let home = place::state_folder_from(globals, &arguments.target.folder.path)?;
            let found = target::update(&arguments, globals)?;
            printer.print(&record(&found, &home)?)
        }
        ComputeCommand::Create(CreateCommand::Declared(arguments)) => {
            let (found, home) = target::declared(&arguments, globals, output)?;
            printer.print(&record(&found, &home)?)
        }
        ComputeCommand::Update(UpdateCommand::Declared(arguments)) => {
            let home = place::state_folder_from(globals, &arguments.filing.folder.path)?;
            let found = target::change(&arguments, globals)?;
            printer.print(&record(&found, &home)?)
        }
        ComputeCommand::Create(CreateCommand::Other(words))
        | ComputeCommand::Update(UpdateCommand::Other(words)) => Err(target::no_such_kind(words.first())),
        ComputeCommand::Attach(arguments) => {
            let (found, home) = target::attach(&arguments, globals, output)?;
            printer.print(&record(&found, &home)?)
        }
        ComputeCommand::List(folder) => {
            let home = place::state_folder_from(globals, &folder.path)?;
            let mut items = vec![flat(local())];
            for (name, found) in target::all(&pools::registry(&home))? {
                items.push(flat(match found {
                    Ok(found) => record(&found, &home)?,
                    Err(error) => broken(&name, &error),
                }));
            }
            printer.print(&Value::Array(items))
        }
        ComputeCommand::Show(TargetName { name, folder }) => {
            let home = place::state_folder_from(globals, &folder.path)?;
            printer.print(&shown(&name, &home)?)
        }
        ComputeCommand::Delete(arguments) => remove(&arguments, false, globals, output),
        ComputeCommand::Detach(arguments) => remove(&arguments, true, globals, output),
    }
}

/// The record of one target.
pub(super) fn shown(name: &str, home: &Path) -> Result<Value, CliError> {
    let name = pools::bare(name);
    if name.eq_ignore_ascii_case("local") {
        return Ok(local());
    }
    match pools::registry(home).get(name) {
        Ok(found) => record(&found, home),
        Err(error @ RegistryError::Malformed { .. }) => Ok(broken(name, &error)),
        Err(error) => Err(error.into()),
    }
}

fn remove(
    arguments: &RemoveTarget,
    detach: bool,
    globals: &Globals,
    output: &Output,
) -> Result<u8, CliError> {
    target::remove(arguments, detach, globals, output)
}

/// The keys that the old command line printed for each entry of a list.
fn flat(record: Value) -> Value {
    const KEYS: [&str; 6] = [
        "id",
        "name",
        "provisioningState",
        "location",
        "provisioningErrors",
        "tags",
    ];
    let Value::Object(mut entries) = record else {
        return record;
    };
    let kept: Map<String, Value> = KEYS
        .iter()
        .filter_map(|key| entries.shift_remove(*key).map(|value| ((*key).to_owned(), value)))
        .collect();
    Value::Object(kept)
}

/// The record of this computer.
fn local() -> Value {
    json!({"id": "local", "name": "local", "provisioningState": "Succeeded", "location": "local", "provisioningErrors": null,
        "tags": {}, "computeType": "Local"})
}

/// The record of a target whose file cannot be understood.
fn broken(name: &str, error: &RegistryError) -> Value {
    json!({"id": name, "name": name, "provisioningState": "Failed", "location": "local",
        "provisioningErrors": [{"error": {"code": "InvalidTargetFile", "message": error.to_string()}}], "tags": {}})
}

/// The record of a target: the flat keys first, then the properties of the service.
fn record(found: &Found, home: &Path) -> Result<Value, CliError> {
    if let Some(pool) = found.definition.of::<Pool>() {
        return pool_record(found, pool, home);
    }
    let settings = &found.definition.settings;
    Ok(attached(found, &settings.location(), &settings.properties()))
}

/// The record of what was there before.
fn attached(found: &Found, location: &str, properties: &Value) -> Value {
    let definition = &found.definition;
    let compute_type = definition.kind.compute_type;
    json!({
        "id": definition.name, "name": definition.name, "provisioningState": "Succeeded", "location": location,
        "provisioningErrors": null, "tags": definition.tags, "computeType": compute_type,
        "properties": {
            "description": definition.description, "computeType": compute_type, "computeLocation": location, "resourceId": null,
            "provisioningState": "Succeeded", "provisioningErrors": null, "isAttachedCompute": definition.kind.attached,
            "createdOn": definition.created_on, "modifiedOn": definition.modified_on, "properties": properties, "status": null,
        },
    })
}

/// The record of a pool.
fn pool_record(found: &Found, pool: &Pool, home: &Path) -> Result<Value, CliError> {
    let definition = &found.definition;
    let properties = pool.properties();
    let scale = properties.get("scaleSettings").cloned();
    let running: u64 = target::busy(home, &definition.name)?
        .iter()
        .filter_map(|sweep| sweep.trials.get("Running"))
        .sum();
    let (running, idle) = (running, pool.min_nodes.saturating_sub(running));
    Ok(json!({
        "id": definition.name, "name": definition.name, "provisioningState": "Succeeded", "location": "local",
        "provisioningErrors": null, "tags": definition.tags, "computeType": "AmlCompute",
        "properties": {
            "description": definition.description, "computeType": "AmlCompute", "computeLocation": "local", "resourceId": null,
            "provisioningState": "Succeeded", "provisioningErrors": null, "isAttachedCompute": false,
            "createdOn": definition.created_on, "modifiedOn": definition.modified_on,
            "properties": properties,
            "status": {
                "currentNodeCount": running + idle, "targetNodeCount": running + idle,
                "nodeStateCounts": {"preparingNodeCount": 0, "runningNodeCount": running, "idleNodeCount": idle,
                    "unusableNodeCount": 0, "leavingNodeCount": 0, "preemptedNodeCount": 0},
                "allocationState": "steady", "errors": null, "creationTime": definition.created_on,
                "modifiedTime": definition.modified_on, "provisioningState": "Succeeded", "scaleSettings": scale,
                "vmPriority": properties.get("vmPriority"), "vmSize": pool.vm_size,
            },
        },
    }))
}
