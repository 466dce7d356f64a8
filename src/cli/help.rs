//! The help screen, and the command as everything else (parser, man pages, completions, reference) uses it.

use crate::cli::args::Cli;
use crate::cli::exit;
use clap::{Command, CommandFactory};
use std::fmt::Write as _;

/// Commands by what people want to do, in the order of the help.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("Tune", &["run", "pause", "resume", "cancel", "watch", "target"]),
    (
        "Look",
        &["list", "show", "best", "why", "logs", "plot", "export", "studio"],
    ),
    ("Check", &["check", "init", "schema", "simulate", "config"]),
    (
        "Azure ML verbs, programs, shells",
        &["ml", "az", "ask-tell", "bench", "completions", "man"],
    ),
];

/// Commands that share a line of the screen with the one before them, which says so.
const SHARED: &[(&str, &str, &str)] = &[(
    "ml",
    "az",
    "The verbs of Azure ML's command line; lines that begin with `az`",
)];

const START: &str = "  overdrive init demo                 write a sample sweep
  overdrive run demo/hdconfig.yml     tune, with live progress
  overdrive best                      print the best trial";

/// Environment variables, with what they do; for the help and the reference.
pub const VARIABLES: &[(&str, &str)] = &[
    ("OVERDRIVE_HOME", "state folder, as --home"),
    ("OVERDRIVE_COLOR", "as --color"),
    ("OVERDRIVE_HYPERLINKS", "as --hyperlinks"),
    ("OVERDRIVE_PROGRESS", "as --progress"),
    (
        "XDG_CONFIG_HOME",
        "folder of overdrive/config.toml and overdrive/compute",
    ),
    ("XDG_CACHE_HOME", "folder of overdrive's environments"),
    (
        "OVERDRIVE_CONTAINER_ENGINE",
        "docker, podman, the path of one, or none",
    ),
    ("NO_COLOR", "not empty: no colour (--color wins)"),
    (
        "FORCE_COLOR, CLICOLOR_FORCE",
        "not empty and not 0: colour even into a pipe",
    ),
    ("CLICOLOR", "0: no colour"),
    ("COLUMNS", "width of the output in characters"),
    ("CI", "not empty: plain lines instead of the live block"),
];

/// The whole command. Its `-h` is [`screen`]; clap serves one overriding text to both flags, so [`crate::cli::main`] answers a
/// top-level `--help` itself.
pub fn command() -> Command {
    let command = Cli::command();
    let brief = screen(&command, false);
    command.override_help(brief)
}

/// The top-level help: `-h` (at most 40 lines of 80 columns) or `--help` (with variables and exit codes).
pub fn screen(command: &Command, long: bool) -> String {
    let mut text = String::new();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let (first, second) = wrap_once(&about, 78);
    let _ = writeln!(text, "{first}");
    if let Some(second) = second {
        let _ = writeln!(text, "{second}");
    }
    let _ = writeln!(
        text,
        "\nUsage: overdrive <COMMAND> [OPTIONS]\n\nStart here\n{START}\n"
    );
    for (group, names) in GROUPS {
        let _ = writeln!(text, "{group}");
        for name in *names {
            let shared = SHARED
                .iter()
                .find(|(first, second, _)| name == first || name == second);
            if let Some((first, second, about)) = shared {
                if name == first {
                    let _ = writeln!(text, "  {:<12} {about}", format!("{first}, {second}"));
                }
                continue;
            }
            let about = command
                .find_subcommand(name)
                .and_then(Command::get_about)
                .map(ToString::to_string)
                .unwrap_or_default();
            let _ = writeln!(text, "  {name:<12} {about}");
        }
    }
    let _ = writeln!(
        text,
        "\nOptions: -h, --help (more), -V, --json, --home, --color, --progress, -q, -v"
    );
    if long {
        let _ = writeln!(text, "\nOptions of every command");
        for arg in command.get_arguments().filter(|arg| arg.is_global_set()) {
            let short = arg
                .get_short()
                .map_or("    ".to_owned(), |short| format!("-{short}, "));
            let flag = arg.get_long().map(|long| format!("--{long}")).unwrap_or_default();
            let value = if arg.get_action().takes_values() {
                arg.get_value_names()
                    .and_then(<[_]>::first)
                    .map(|name| format!(" <{name}>"))
                    .unwrap_or_default()
            } else {
                String::new()
            };
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {short}{:<17} {help}", format!("{flag}{value}"));
        }
        let _ = writeln!(text, "\nEnvironment variables");
        for (name, meaning) in VARIABLES {
            let _ = writeln!(text, "  {name:<28} {meaning}");
        }
        let _ = writeln!(text, "\nExit codes");
        for (code, meaning) in exit::TABLE {
            let _ = writeln!(text, "  {code:<4} {meaning}");
        }
        let _ = writeln!(
            text,
            "\n`overdrive COMMAND --help` tells more; `overdrive man COMMAND` is its manual page."
        );
    }
    text
}

fn wrap_once(text: &str, width: usize) -> (&str, Option<&str>) {
    if text.len() <= width {
        return (text, None);
    }
    let cut = text
        .char_indices()
        .take_while(|(index, _)| *index <= width)
        .filter(|(_, c)| *c == ' ')
        .last()
        .map(|(index, _)| index);
    match cut {
        Some(cut) => (text.get(..cut).unwrap_or(text), text.get(cut + 1..)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let command = Cli::command();
        let mut grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().copied())
            .collect();
        let mut all: Vec<&str> = command
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(Command::get_name)
            .collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn brief_help_is_one_screen() {
        let text = screen(&Cli::command(), false);
        assert!(text.lines().count() <= 40, "{} lines", text.lines().count());
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn grammar_is_consistent() {
        command().debug_assert();
    }
}
