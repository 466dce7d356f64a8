//! One file per command (or per family of small ones); each takes its arguments and the output, and returns the exit code.

mod texts;

use crate::cli::args::{Cli, Command};
use crate::cli::error::CliError;
use crate::cli::output::Output;

/// Runs the command.
///
/// # Errors
/// [`CliError`] with the exit code and what to type next.
pub(super) fn dispatch(cli: Cli, output: &Output) -> Result<u8, CliError> {
    match cli.command {
        Command::Completions(arguments) => texts::completions(&arguments, output),
        Command::Man(arguments) => texts::man(&arguments, output),
        other => Err(CliError::failed(
            "not-built",
            format!("{other:?} is not part of this build"),
        )),
    }
}
