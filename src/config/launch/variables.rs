//! The variables that a script finds in its environment, in rising priority: the files' own, data, parameters, ours.

use crate::config::launch::LaunchContext;
use crate::config::launch::values::Rendering;
use crate::config::{Dialect, Experiment};
use crate::space::Value;
use indexmap::IndexMap;

/// All variables of a trial, in order.
pub(super) fn of(
    experiment: &Experiment,
    context: &LaunchContext,
    rendering: Rendering,
    parameters: &IndexMap<String, Value>,
    inputs: &IndexMap<String, String>,
    outputs: &IndexMap<String, String>,
) -> IndexMap<String, String> {
    let launch = &experiment.launch;
    let mut env = IndexMap::new();
    // Lowest of all: a block-buffered script tells its metrics too late, but whoever sets it himself is right.
    env.insert("PYTHONUNBUFFERED".to_owned(), "1".to_owned());
    env.extend(launch.environment_variables.clone());

    let v1 = matches!(experiment.dialect, Dialect::Hyperdrive | Dialect::ScriptRun);
    let mut datasets = Vec::new();
    for binding in &launch.data {
        let Some(value) = inputs.get(&binding.name) else {
            continue;
        };
        for variable in &binding.variables {
            env.insert(variable.clone(), value.clone());
        }
        if let (Some(mechanism), Some(variable)) = (&binding.mechanism, binding.variables.first()) {
            datasets.push(format!("{variable}:{mechanism}"));
        }
    }
    if v1 && !datasets.is_empty() {
        env.insert("AZUREML_DATASET_ENVIRONMENT_VARS".into(), datasets.join(","));
    }
    for (name, path) in outputs {
        if v1 {
            env.insert(name.clone(), path.clone());
        } else {
            let identifier = identifier(name);
            env.insert(format!("AZUREML_SWEEP_{identifier}"), path.clone());
            env.insert(format!("AZURE_ML_OUTPUT_{identifier}"), path.clone());
        }
    }
    if v1 && !outputs.is_empty() {
        let names: Vec<&str> = outputs.keys().map(String::as_str).collect();
        env.insert("AZUREML_DATASET_FILE_OUTPUTS".into(), names.join(";"));
    }
    for (name, value) in parameters {
        let (identifier, text) = (identifier(name), rendering.text(value));
        env.insert(format!("AZUREML_SWEEP_{identifier}"), text.clone());
        env.insert(format!("OVERDRIVE_PARAM_{}", identifier.to_uppercase()), text);
    }
    if let Ok(document) = serde_json::to_string(parameters) {
        env.insert("OVERDRIVE_PARAMS".into(), document);
    }
    own(experiment, context, &mut env);
    env
}

/// Variables that tell a script where it is. The whole group by which the real SDK believes itself online (scope, token,
/// endpoint) is never set: it would try the network. The scope alone is told only where our own package answers for it.
fn own(experiment: &Experiment, context: &LaunchContext, env: &mut IndexMap<String, String>) {
    let launch = &experiment.launch;
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    set("AZUREML_RUN_ID", context.run_id.clone());
    set("AZUREML_ARM_PROJECT_NAME", experiment.name.clone());
    set("AZUREML_EXPERIMENT_ID", stable_guid(&experiment.name));
    set("AZUREML_OUTPUT_DIRECTORY", "./outputs".into());
    set("AZUREML_LOGDIRECTORY_PATH", "azureml-logs".into());
    set(
        "AZUREML_FRAMEWORK",
        spelled(&launch.run_definition, "framework", &launch.framework),
    );
    set(
        "AZUREML_COMMUNICATOR",
        spelled(&launch.run_definition, "communicator", &launch.communicator),
    );
    set("AZUREML_TARGET_TYPE", context.target_type.clone());
    set("AZUREML_NODE_COUNT", launch.node_count.to_string());
    if context.shim {
        set("AZUREML_ARM_SUBSCRIPTION", ZERO_GUID.into());
        set("AZUREML_ARM_RESOURCEGROUP", "local".into());
        set("AZUREML_ARM_WORKSPACE_NAME", context.workspace.clone());
        set("AZUREML_WORKSPACE_ID", stable_guid(&context.workspace));
    }
    set("OVERDRIVE_SWEEP", context.sweep.clone());
    set("OVERDRIVE_TRIAL", context.trial.to_string());
    set("OVERDRIVE_ATTEMPT", context.attempt.to_string());
    set(
        "OVERDRIVE_RUN_DIR",
        context.attempt_folder.to_string_lossy().into_owned(),
    );
}

const ZERO_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// The file's own spelling of an enum-like word (`Python`, not `python`).
fn spelled(definition: &serde_json::Value, key: &str, otherwise: &str) -> String {
    match definition.get(key).and_then(serde_json::Value::as_str) {
        Some(text) => text.to_owned(),
        None => otherwise.to_owned(),
    }
}

/// A parameter's or output's name as part of a variable's name: no leading dashes, `_` for what no shell allows.
fn identifier(name: &str) -> String {
    name.trim_start_matches('-')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

/// The same GUID for the same name on every machine; scripts only test that there is one. FNV-1a with two offsets.
fn stable_guid(name: &str) -> String {
    let hash = |offset: u64| {
        name.bytes().fold(offset, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    let digits = format!(
        "{:016x}{:016x}",
        hash(0xcbf2_9ce4_8422_2325),
        hash(0x6c62_272e_07bb_0142)
    );
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}
