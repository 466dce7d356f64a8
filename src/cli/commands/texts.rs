//! `completions`, `man`, `config`: texts that the program knows by itself.

use crate::cli::args::{Completions, Config, ConfigCommand, Man};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::settings::{Origin, Settings};
use crate::cli::{complete, exit, help, reference};
use crate::diagnostic::nearest;
use crate::report::document;
use crate::report::table::{self, Column};
use serde_json::json;
use std::collections::HashMap;

/// Prints the completion script of a shell.
pub(super) fn completions(arguments: &Completions, output: &Output) -> Result<u8, CliError> {
    output.bytes(complete::script(arguments.shell).as_bytes())?;
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

/// Prints the settings in force.
pub(super) fn config(
    arguments: &Config,
    settings: &Settings,
    flags: &HashMap<String, String>,
    output: &Output,
) -> Result<u8, CliError> {
    let ConfigCommand::Show { keys, origin } = &arguments.command;
    let mut all = settings.in_force(&help::command(), |known| flags.get(known.option).cloned());
    for key in keys {
        if all.iter().all(|entry| entry.key != key) {
            let error = CliError::not_found("unknown-setting", format!("`{key}` is not a setting"));
            return Err(match nearest(key, all.iter().map(|entry| entry.key)) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help("`overdrive config show` prints all"),
            });
        }
    }
    all.retain(|entry| keys.is_empty() || keys.iter().any(|key| key == entry.key));
    if output.json {
        let items: Vec<_> = all
            .iter()
            .map(|entry| {
                let (kind, line) = match &entry.origin {
                    Origin::Flag(_) => ("flag", None),
                    Origin::Variable(_) => ("variable", None),
                    Origin::File(_, line) => ("file", Some(line)),
                    Origin::Default => ("default", None),
                };
                let from = match &entry.origin {
                    Origin::File(path, _) => Some(path.display().to_string()),
                    Origin::Default => None,
                    named => Some(named.to_string()),
                };
                json!({"key": entry.key, "value": entry.value, "origin": {"kind": kind, "from": from, "line": line}})
            })
            .collect();
        output.document(&document::list(&items, None))?;
        return Ok(exit::OK);
    }
    let mut columns = vec![Column::text("setting", 0), Column::text("value", 0)];
    if *origin {
        columns.push(Column::text("from", 0));
    }
    for entry in &all {
        let value = entry.value.clone().unwrap_or_else(|| "-".into());
        for (column, cell) in columns
            .iter_mut()
            .zip([entry.key.to_owned(), value, entry.origin.to_string()])
        {
            column.push(cell);
        }
    }
    output.lines(&table::lines(columns, 0, output.table_width(), output.glyphs))?;
    Ok(exit::OK)
}
