//! The verbs of Azure ML's first command line over the same store and engine.

mod compute;
mod compute_v2;
mod defaults;
mod folder;
mod job;
mod models;
mod print;
mod runs;
mod submit;

use crate::cli::args::{
    AzCommand, CreateV2, ExperimentCommand, FolderCommand, Globals, MlArgs, MlCommand, RunCommand, V2Command,
};
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::diagnostic::nearest;
use print::Printer;

/// Runs a line that begins with `az`.
pub(super) fn az(command: AzCommand, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let word = match command {
        AzCommand::Ml(arguments) => return ml(*arguments, globals, output),
        AzCommand::Login(_) => "login",
        AzCommand::Account(_) => "account",
        AzCommand::Extension(_) => "extension",
        AzCommand::Other(words) => return Err(crate::cli::pass_on(&words)),
        AzCommand::Configure { defaults } => return defaults::set(&defaults, output),
    };
    output.note(&format!(
        "note: `az {word}` has no effect here: there is no account"
    ));
    Ok(exit::OK)
}

/// Runs a line that begins with `ml`.
pub(super) fn ml(arguments: MlArgs, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let (mut options, mut command) = (arguments.globals, arguments.command);
    // `-t` is a file in the first command line and a type in the second.
    if let MlCommand::Compute(compute) = &mut command
        && let V2Command::Create(CreateV2 { kind, .. }) | V2Command::List { kind, .. } = &mut **compute
        && kind.is_none()
    {
        let word = options.output_metadata_file.take();
        *kind = word.map(|word| word.to_string_lossy().into_owned());
    }
    let quiet = Output {
        quiet: output.quiet || options.only_show_errors,
        ..output.clone()
    };
    if options.workspace.is_none() {
        options.workspace = defaults::get("workspace");
    }
    if options.resource_group.is_some() || options.subscription.is_some() {
        quiet.note("note: resource group and subscription have no effect here");
    }
    let printer = Printer::new(&options, &quiet)?;
    match command {
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
        MlCommand::Job(command) => job::job(*command, globals, &quiet, &printer),
        MlCommand::Compute(command) => compute_v2::compute(*command, globals, &quiet, &printer),
        MlCommand::Other(words) => Err(refused(&words)),
    }
}

/// Groups that this program knows by name and does not have.
const ELSEWHERE: [&str; 9] = [
    "service",
    "endpoint",
    "online-endpoint",
    "online-deployment",
    "batch-endpoint",
    "batch-deployment",
    "pipeline",
    "component",
    "registry",
];

fn refused(words: &[String]) -> CliError {
    const GROUPS: [&str; 7] = [
        "folder",
        "experiment",
        "run",
        "computetarget",
        "model",
        "job",
        "compute",
    ];
    let word = words.first().map(String::as_str).unwrap_or_default();
    if ELSEWHERE.contains(&word) {
        return CliError::usage(
            "not-here",
            format!(
                "`ml {word}` is not offered: overdrive tunes and trains; it deploys nothing and has no pipelines"
            ),
        );
    }
    let error = CliError::usage("unknown-group", format!("`ml` has no group `{word}`"));
    match nearest(word, GROUPS) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help("`overdrive ml -h` lists the groups"),
    }
}
