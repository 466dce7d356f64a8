//! The command-line reference and the manual pages, generated from the same texts as the help.

use crate::cli::{exit, help};
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write as _;

/// The text of `docs/reference/cli.md`.
pub fn markdown() -> String {
    let command = complete();
    let mut text = String::from(
        "# Command line\n\nGenerated from the program (`overdrive man` prints the same as manual pages); do not edit.\n\n",
    );
    let _ = writeln!(
        text,
        "{}\n",
        command.get_about().map(ToString::to_string).unwrap_or_default()
    );
    text.push_str("| command | what it does |\n|---|---|\n");
    for (group, names) in help::GROUPS {
        let _ = writeln!(text, "| **{group}** | |");
        for name in *names {
            if let Some(sub) = command.find_subcommand(name) {
                let _ = writeln!(text, "| [`{name}`](#overdrive-{name}) | {} |", about(sub));
            }
        }
    }
    text.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (code, meaning) in exit::TABLE {
        let _ = writeln!(text, "| {code} | {meaning} |");
    }
    text.push_str("\n## Environment variables\n\n| variable | effect |\n|---|---|\n");
    for (name, meaning) in help::VARIABLES {
        let _ = writeln!(text, "| `{name}` | {meaning} |");
    }
    text.push_str("\n## Options of every command\n\n| option | meaning |\n|---|---|\n");
    for arg in command.get_arguments().filter(|arg| arg.is_global_set()) {
        row(&mut text, arg);
    }
    for (_, names) in help::GROUPS {
        for name in *names {
            if let Some(sub) = command.find_subcommand(name) {
                section(&mut text, sub, &format!("overdrive {name}"), 2);
            }
        }
    }
    text
}

fn section(text: &mut String, command: &Command, path: &str, level: usize) {
    let _ = writeln!(
        text,
        "\n{} {path}\n\n{}.\n",
        "#".repeat(level.min(4)),
        about(command)
    );
    let mut usage = command.clone();
    let usage = usage.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let tail = usage
        .split_once(command.get_name())
        .map_or("", |(_, tail)| tail.trim());
    let _ = writeln!(
        text,
        "```\n{path} {tail}\n```",
        tail = tail.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help")
        .collect();
    let shared: Vec<&Arg> = if path == "overdrive ml" {
        command
            .get_arguments()
            .filter(|arg| arg.is_global_set() && !is_top_level(arg))
            .collect()
    } else {
        Vec::new()
    };
    if !own.is_empty() || !shared.is_empty() {
        text.push_str("\n| argument | meaning |\n|---|---|\n");
        for arg in own.into_iter().chain(shared) {
            row(text, arg);
        }
    }
    if let Some(after) = command.get_after_help() {
        let _ = writeln!(text, "\n```\n{after}\n```");
    }
    for sub in command.get_subcommands() {
        if path == "overdrive az" && sub.get_name() == "ml" {
            continue;
        }
        section(text, sub, &format!("{path} {}", sub.get_name()), level + 1);
    }
}

fn is_top_level(arg: &Arg) -> bool {
    complete().get_arguments().any(|top| top.get_id() == arg.get_id())
}

fn row(text: &mut String, arg: &Arg) {
    let value = arg
        .get_value_names()
        .and_then(<[_]>::first)
        .map(ToString::to_string);
    let name = if arg.is_positional() {
        value.unwrap_or_default()
    } else {
        let short = arg
            .get_short()
            .map(|short| format!("-{short}, "))
            .unwrap_or_default();
        let long = arg.get_long().map(|long| format!("--{long}")).unwrap_or_default();
        let value = if arg.get_action().takes_values() {
            value.map(|value| format!(" {value}")).unwrap_or_default()
        } else {
            String::new()
        };
        format!("{short}{long}{value}")
    };
    let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() && arg.get_action().takes_values() {
        let _ = write!(meaning, " ({})", values.join(", "));
    }
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        let _ = write!(meaning, "; default `{}`", defaults.join(" "));
    }
    let _ = writeln!(
        text,
        "| `{}` | {} |",
        name.replace('|', "\\|"),
        meaning.replace('|', "\\|")
    );
}

fn about(command: &Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
        .replace('|', "\\|")
}

/// The command with the details that clap computes on first use (global options, usage).
fn complete() -> Command {
    let mut command = crate::cli::args::Cli::command();
    command.build();
    command
}

/// Manual pages: file name (`overdrive-run.1`) and roff text, one per command, the program's own first.
///
/// # Errors
/// Only if writing into memory fails.
pub fn manual() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = Vec::new();
    page(&complete(), "overdrive", &mut pages)?;
    Ok(pages)
}

fn page(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let titled = command
        .clone()
        .name(name.to_owned())
        .bin_name(name.replace('-', " "));
    clap_mangen::Man::new(titled).render(&mut bytes)?;
    pages.push((format!("{name}.1"), bytes));
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        if name == "overdrive-az" && sub.get_name() == "ml" {
            continue;
        }
        page(sub, &format!("{name}-{}", sub.get_name()), pages)?;
    }
    Ok(())
}
