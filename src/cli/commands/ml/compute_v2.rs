//! `compute create|list|show|list-nodes|update|delete|attach|detach`: the targets in the words of the second command line.
//!
//! Each verb is translated into its predecessor of `computetarget`, so that there is one meaning.

use super::compute;
use super::print::Printer;
use crate::cli::args::{Cli, Command, ComputeCommand, CreateV2, Globals, MlCommand, RemoveV2, V2Command};
use crate::cli::commands::{pools, target};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::place;
use clap::Parser;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Runs one of the verbs.
pub(super) fn compute(
    command: V2Command,
    globals: &Globals,
    output: &Output,
    printer: &Printer<'_>,
) -> Result<u8, CliError> {
    let old = |words: Vec<String>| -> Result<u8, CliError> {
        compute::compute(translated(words)?, globals, output, &printer.mapped(record))
    };
    let home = place::state_folder(globals)?;
    match command {
        V2Command::Create(arguments) => old(create(&arguments)?),
        V2Command::Update {
            target,
            max_instances,
            min_instances,
            idle_time_before_scale_down,
            ..
        } => {
            let mut words = vec!["update".into(), "amlcompute".into(), "--name".into(), target.name];
            for (flag, value) in [
                ("--max-nodes", max_instances),
                ("--min-nodes", min_instances),
                ("--idle-seconds-before-scaledown", idle_time_before_scale_down),
            ] {
                words.extend(
                    value
                        .into_iter()
                        .flat_map(|value| [flag.to_owned(), value.to_string()]),
                );
            }
            old(words)
        }
        V2Command::List { kind, max_results } => {
            let mut items = vec![record(compute::shown("local", &home)?)];
            for (name, _) in target::all(&pools::registry(&home))? {
                items.push(record(compute::shown(&name, &home)?));
            }
            if let Some(kind) = kind {
                let of = |item: &Value| item.get("type").and_then(Value::as_str).map(str::to_owned);
                items.retain(|item| of(item).is_some_and(|known| known.eq_ignore_ascii_case(&kind)));
            }
            items.truncate(max_results.unwrap_or(usize::MAX));
            printer.print(&Value::Array(items))
        }
        V2Command::Show(name) => printer.print(&record(compute::shown(&name.name, &home)?)),
        V2Command::ListNodes(name) => {
            // A name that is not known is an error, as everywhere.
            compute::shown(&name.name, &home)?;
            printer.print(&nodes(&home, &name.name)?)
        }
        V2Command::Delete(arguments) => old(remove("delete", arguments)),
        V2Command::Detach(arguments) => old(remove("detach", arguments)),
        V2Command::Attach { rest } => old([vec!["attach".to_owned()], rest].concat()),
    }
}

fn remove(verb: &str, arguments: RemoveV2) -> Vec<String> {
    vec![verb.to_owned(), "--name".into(), arguments.target.name]
}

/// The words of `computetarget` as its grammar understands them.
fn translated(words: Vec<String>) -> Result<ComputeCommand, CliError> {
    let line = ["overdrive", "ml", "computetarget"].map(str::to_owned);
    let parsed = Cli::try_parse_from(line.into_iter().chain(words))
        .map_err(|error| CliError::usage("usage", error.to_string().trim().to_owned()))?;
    match parsed.command {
        Command::Ml(arguments) => match arguments.command {
            MlCommand::Computetarget(command) => Ok(*command),
            _ => Err(CliError::failed("usage", "not a verb of `computetarget`")),
        },
        _ => Err(CliError::failed("usage", "not a verb of `computetarget`")),
    }
}

/// `create amlcompute` with what file and options say; options win.
fn create(arguments: &CreateV2) -> Result<Vec<String>, CliError> {
    let file: Map<String, Value> = match &arguments.file {
        None => Map::new(),
        Some(path) => {
            let wrong =
                |reason: String| CliError::usage("compute-file", format!("`{}`: {reason}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    CliError::not_found("missing-file", format!("`{}` does not exist", path.display()))
                }
                _ => wrong(error.to_string()),
            })?;
            serde_yaml::from_str(&text).map_err(|error| wrong(error.to_string()))?
        }
    };
    let text = |key: &str| match file.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let kind = arguments.kind.clone().or_else(|| text("type"));
    let kind = kind.unwrap_or_else(|| "amlcompute".into()).to_lowercase();
    let name = arguments.name.clone().or_else(|| text("name"));
    let name = name.ok_or_else(|| {
        CliError::usage("compute-name", "the target has no name").help("`-n NAME`, or `name:` in the file")
    })?;
    let mut words = vec!["create".to_owned(), kind, "--name".into(), name];
    let number = |given: Option<u64>, key: &str| given.map(|number| number.to_string()).or_else(|| text(key));
    let tier = arguments.tier.clone().or_else(|| text("tier"));
    for (flag, value) in [
        ("--vm-size", arguments.size.clone().or_else(|| text("size"))),
        // The second command line takes these for granted.
        (
            "--max-nodes",
            number(arguments.max_instances, "max_instances").or_else(|| Some("4".into())),
        ),
        ("--min-nodes", number(arguments.min_instances, "min_instances")),
        (
            "--idle-seconds-before-scaledown",
            number(
                arguments.idle_time_before_scale_down,
                "idle_time_before_scale_down",
            ),
        ),
        ("--vm-priority", tier.map(|tier| tier.replace(['_', '-'], ""))),
        (
            "--description",
            arguments.description.clone().or_else(|| text("description")),
        ),
    ] {
        words.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
    }
    let tags = file.get("tags").and_then(Value::as_object);
    let of_file = tags.into_iter().flatten().map(|(key, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{key}={text}")
    });
    for tag in of_file.chain(arguments.tag.iter().cloned()) {
        words.extend(["--tag".to_owned(), tag]);
    }
    Ok(words)
}

/// A record of `computetarget` in the words of the second command line.
fn record(old: Value) -> Value {
    let of = |pointer: &str| old.pointer(pointer).cloned().unwrap_or(Value::Null);
    let kind = of("/computeType").as_str().unwrap_or("AmlCompute").to_lowercase();
    let mut new = json!({
        "name": of("/name"), "id": of("/id"), "type": kind, "location": of("/location"),
        "provisioning_state": of("/provisioningState"), "provisioning_errors": of("/provisioningErrors"),
        "tags": of("/tags"),
    });
    let inner = "/properties/properties";
    if old.pointer(inner).is_some()
        && let Value::Object(entries) = &mut new
    {
        let scale = |key: &str| of(&format!("{inner}/scaleSettings/{key}"));
        let idle = scale("nodeIdleTimeBeforeScaleDown");
        let seconds = idle.as_str().and_then(|text| {
            text.trim_start_matches("PT")
                .trim_end_matches('S')
                .parse::<u64>()
                .ok()
        });
        let tier = match of(&format!("{inner}/vmPriority")).as_str() {
            Some("LowPriority") => "low_priority",
            _ => "dedicated",
        };
        for (key, value) in [
            ("description", of("/properties/description")),
            ("size", of(&format!("{inner}/vmSize"))),
            ("tier", json!(tier)),
            ("min_instances", scale("minNodeCount")),
            ("max_instances", scale("maxNodeCount")),
            ("idle_time_before_scale_down", json!(seconds)),
            ("created_on", of("/properties/createdOn")),
        ] {
            entries.insert(key.to_owned(), value);
        }
    }
    new
}

/// The nodes that run something: one per running trial on the target.
fn nodes(home: &Path, name: &str) -> Result<Value, CliError> {
    use crate::history::TrialState;
    use crate::store::{Store, TrialQuery};
    let mut nodes = Vec::new();
    for sweep in target::busy(home, name)? {
        let store = Store::open_read_only(home)?;
        let query = TrialQuery {
            states: vec![TrialState::Preparing, TrialState::Running],
            ..TrialQuery::default()
        };
        for trial in store.trials(&sweep.sweep, &query)? {
            if trial
                .target
                .as_deref()
                .is_some_and(|known| known.eq_ignore_ascii_case(pools::bare(name)))
            {
                nodes.push(json!({
                    "node_id": format!("{name}_{}", nodes.len()), "node_state": "running", "current_job_name": trial.run_id,
                }));
            }
        }
    }
    Ok(Value::Array(nodes))
}
