//! `completions`, `man`: texts that the program knows by itself.

use crate::cli::args::{Completions, Man};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::{exit, help, reference};

/// Prints the completion script of a shell.
pub(super) fn completions(arguments: &Completions, output: &Output) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut help::command(), "overdrive", &mut script);
    output.bytes(&script)?;
    Ok(exit::OK)
}

/// Prints one manual page, or writes all.
pub(super) fn man(arguments: &Man, output: &Output) -> Result<u8, CliError> {
    let pages = reference::manual()?;
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder)?;
        for (name, page) in &pages {
            std::fs::write(folder.join(name), page)?;
        }
        output.note(&format!(
            "{} manual pages written to {}",
            pages.len(),
            folder.display()
        ));
        return Ok(exit::OK);
    }
    let mut wanted = String::from("overdrive");
    for word in &arguments.command {
        wanted.push('-');
        wanted.push_str(word);
    }
    let file = format!("{wanted}.1");
    match pages.iter().find(|(name, _)| *name == file) {
        Some((_, page)) => {
            output.bytes(page)?;
            Ok(exit::OK)
        }
        None => Err(CliError::not_found(
            "unknown-command",
            format!("no command is called `{}`", arguments.command.join(" ")),
        )
        .help("`overdrive -h` lists the commands")),
    }
}
