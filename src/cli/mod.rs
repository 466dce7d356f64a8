//! The command line: arguments, commands, terminal, exit codes.
//!
//! [`main`] is all that the binary does. Results go to standard output, everything else to standard error (`output`); every
//! failure is one [`CliError`] with an exit code of [`exit`].

pub mod args;
mod commands;
pub mod complete;
mod disk;
pub mod error;
pub mod exit;
mod findings;
mod follow;
pub mod help;
mod inherit;
mod lead;
pub mod output;
mod place;
mod prepare;
pub mod reference;
pub mod settings;
pub mod terminal;

pub use error::CliError;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use output::{Output, Surroundings};
use settings::Settings;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    // Called through a link named `az`, the program takes the lines of the Azure command line as they are.
    let called = arguments
        .first()
        .map(Path::new)
        .and_then(Path::file_name)
        .is_some_and(|name| name == "az");
    if called {
        if let Some(code) = passed_on(&arguments) {
            return ExitCode::from(code);
        }
        arguments.insert(1, "az".into());
    }
    ExitCode::from(run(&arguments))
}

/// Lines of `az` that are not about machine learning belong to the real one, where there is one; returns only if there is none.
fn passed_on(arguments: &[OsString]) -> Option<u8> {
    // Options of `az` itself may come first.
    let words = arguments.get(1..).unwrap_or_default();
    let first = words.iter().find(|word| !word.to_string_lossy().starts_with('-'));
    if first.is_some_and(|word| word == "ml") {
        return None;
    }
    let program = std::env::current_exe().ok()?;
    commands::real_az(&program)?;
    let error = pass_on(words);
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{error}");
    Some(error.exit)
}

/// Becomes the real `az`; returns why it could not.
fn pass_on(words: &[OsString]) -> CliError {
    use std::os::unix::process::CommandExt;
    let real = std::env::current_exe()
        .ok()
        .and_then(|program| commands::real_az(&program));
    match real {
        Some(real) => {
            let error = std::process::Command::new(&real).args(words).exec();
            CliError::failed("az", format!("`{}`: {error}", real.display()))
        }
        None => {
            let word = words
                .first()
                .map(|word| word.to_string_lossy())
                .unwrap_or_default();
            CliError::usage(
                "not-here",
                format!("`az {word}` is not offered, and no other `az` is on PATH"),
            )
            .help("`overdrive az ml -h` lists what is")
        }
    }
}

/// Parses `arguments` (the program's name first), runs the command, shows its error; returns the exit code.
pub fn run(arguments: &[OsString]) -> u8 {
    let surroundings = Surroundings::of_process();
    if matches!(arguments, [_, only] if only == "--help" || only == "help") {
        let text = help::screen(&args::Cli::command(), true);
        return write_out(&text);
    }
    let grammar = help::command();
    let here = std::env::current_dir().unwrap_or_default();
    let settings = Settings::load(&here, settings::configuration_folder().as_deref(), &grammar);
    let matches = match settings.apply(grammar).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    let flags = flags(&matches);
    let cli = match args::Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let output = Output::new(&cli.globals, &surroundings);
    let done = settings
        .check(&output)
        .and_then(|()| commands::dispatch(cli, &output, &settings, &flags));
    match done {
        Ok(code) => code,
        Err(error) => {
            output.error(&error);
            error.exit
        }
    }
}

/// Options of every command that this command line gives, with their values.
fn flags(matches: &ArgMatches) -> HashMap<String, String> {
    // A global option typed behind the command is known there only.
    let mut deepest = matches;
    while let Some((_, inner)) = deepest.subcommand() {
        deepest = inner;
    }
    settings::SETTINGS
        .iter()
        .filter(|known| known.command.is_empty())
        .filter(|known| deepest.value_source(known.option) == Some(ValueSource::CommandLine))
        .filter_map(|known| {
            let value = deepest.get_raw(known.option)?.next()?;
            Some((known.option.to_owned(), value.to_string_lossy().into_owned()))
        })
        .collect()
}

fn usage(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => write_out(&error.render().to_string()),
        _ => {
            use std::io::Write as _;
            let _ = write!(std::io::stderr().lock(), "{}", error.render());
            exit::USAGE
        }
    }
}

fn write_out(text: &str) -> u8 {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => exit::OK,
        Err(error) => CliError::from(error).exit,
    }
}
