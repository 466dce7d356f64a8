//! The verbs of Azure ML's first command line over the same store and engine.

mod folder;
mod print;
mod runs;
mod submit;

use crate::cli::args::{
    AzCommand, ComputeCommand, ExperimentCommand, FolderCommand, Globals, MlArgs, MlCommand, RunCommand,
};
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use print::Printer;
use serde_json::json;

/// Runs a line that begins with `az`.
pub(super) fn az(command: AzCommand, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let word = match command {
        AzCommand::Ml(arguments) => return ml(*arguments, globals, output),
        AzCommand::Login(_) => "login",
        AzCommand::Account(_) => "account",
        AzCommand::Extension(_) => "extension",
        AzCommand::Configure(_) => "configure",
    };
    output.note(&format!(
        "note: `az {word}` has no effect here: there is no account"
    ));
    Ok(exit::OK)
}

/// Runs a line that begins with `ml`.
pub(super) fn ml(arguments: MlArgs, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let options = arguments.globals;
    let quiet = Output {
        quiet: output.quiet || options.only_show_errors,
        ..output.clone()
    };
    if options.resource_group.is_some() || options.subscription.is_some() {
        quiet.note("note: resource group and subscription have no effect here");
    }
    let printer = Printer::new(&options, &quiet)?;
    match arguments.command {
        MlCommand::Folder(FolderCommand::Attach(scope)) => {
            printer.print(&folder::attach(&scope, &options, &quiet)?)
        }
        MlCommand::Experiment(ExperimentCommand::List(scope)) => {
            printer.print(&folder::experiments(&scope, globals)?)
        }
        MlCommand::Experiment(ExperimentCommand::Create { name, path }) => {
            printer.print(&folder::create_experiment(&name, &path, globals)?)
        }
        MlCommand::Run(command) => match *command {
            RunCommand::SubmitScript(arguments) => submit::script(&arguments, globals, &quiet, &printer),
            RunCommand::SubmitHyperdrive(arguments) => {
                submit::hyperdrive(&arguments, globals, &quiet, &printer)
            }
            other => runs::run(other, globals, &quiet, &printer),
        },
        MlCommand::Computetarget(ComputeCommand::List(_)) => printer.print(&json!([local()])),
        MlCommand::Computetarget(ComputeCommand::Show(name)) => {
            if name.name != "local" {
                return Err(CliError::not_found(
                    "unknown-target",
                    format!("no compute target is called `{}`", name.name),
                )
                .help("`local` is this computer"));
            }
            printer.print(&local())
        }
    }
}

/// The record of this computer.
fn local() -> serde_json::Value {
    json!({"name": "local", "id": "local", "provisioningState": "Succeeded", "location": "local", "provisioningErrors": null,
        "computeType": "Local", "tags": {}})
}
