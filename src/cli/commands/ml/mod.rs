//! The verbs of Azure ML's first command line over the same store and engine.

mod compute;
mod folder;
mod models;
mod print;
mod runs;
mod submit;

use crate::cli::args::{AzCommand, ExperimentCommand, FolderCommand, Globals, MlArgs, MlCommand, RunCommand};
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use print::Printer;

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
        MlCommand::Computetarget(command) => compute::compute(*command, globals, &quiet, &printer),
        MlCommand::Model(command) => models::models(*command, globals, &printer),
    }
}
