//! Defaults of options from the environment and from files: flag > `OVERDRIVE_*` > `overdrive.toml` found upward from the working
//! directory > the user's `$XDG_CONFIG_HOME/overdrive/config.toml` > what the program says.
//!
//! A value of a file becomes the default of its option before the command line is parsed, so that nothing else has to know of files.

use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::{exit, findings};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, list, nearest};
use clap::Command;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml_edit::{Document, Item, Table};

/// Name of the file in a project.
pub const FILE: &str = "overdrive.toml";

/// One setting: its key in a file, the command and the option it is the default of, and its variable.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Key; a dot separates the table.
    pub key: &'static str,
    /// Command whose option it is; empty = every command.
    pub command: &'static str,
    /// Id of the option in the grammar.
    pub option: &'static str,
    /// Environment variable.
    pub variable: &'static str,
    /// Whether it is a path, to be taken relative to the file that says it.
    path: bool,
}

const fn setting(
    key: &'static str,
    command: &'static str,
    option: &'static str,
    variable: &'static str,
) -> Setting {
    Setting {
        key,
        command,
        option,
        variable,
        path: false,
    }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    Setting {
        path: true,
        ..setting("home", "", "home", "OVERDRIVE_HOME")
    },
    setting("color", "", "color", "OVERDRIVE_COLOR"),
    setting("progress", "", "progress", "OVERDRIVE_PROGRESS"),
    setting("hyperlinks", "", "hyperlinks", "OVERDRIVE_HYPERLINKS"),
    setting(
        "run.environment",
        "run",
        "environment",
        "OVERDRIVE_RUN_ENVIRONMENT",
    ),
    setting("list.last", "list", "last", "OVERDRIVE_LIST_LAST"),
    setting("plot.format", "plot", "format", "OVERDRIVE_PLOT_FORMAT"),
    setting("plot.theme", "plot", "theme", "OVERDRIVE_PLOT_THEME"),
    setting("studio.host", "studio", "host", "OVERDRIVE_STUDIO_HOST"),
    setting("studio.port", "studio", "port", "OVERDRIVE_STUDIO_PORT"),
];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An option of this command line.
    Flag(String),
    /// An environment variable.
    Variable(&'static str),
    /// A file, with the line.
    File(PathBuf, usize),
    /// The program.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Variable(name) => f.write_str(name),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Key.
    pub key: &'static str,
    /// Value in words; `None` = none, the program decides.
    pub value: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}

#[derive(Clone, Debug)]
struct Given {
    key: &'static str,
    value: String,
    origin: Origin,
}

/// What the files say.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    given: Vec<Given>,
    /// What is wrong with them.
    pub findings: Vec<Diagnostic>,
    /// Files that were read, the stronger first.
    pub files: Vec<PathBuf>,
}

impl Settings {
    /// Reads the project's and the user's file. What is wrong with them is kept, not returned: help must work all the same.
    pub fn load(here: &Path, user: Option<&Path>, grammar: &Command) -> Self {
        let mut settings = Self::default();
        let project = here
            .ancestors()
            .map(|folder| folder.join(FILE))
            .find(|path| path.is_file());
        let user = user
            .map(|folder| folder.join("overdrive/config.toml"))
            .filter(|path| path.is_file());
        for path in [project, user].into_iter().flatten() {
            match std::fs::read_to_string(&path) {
                Ok(text) => settings.read(&path, &text, grammar),
                Err(error) => settings.findings.push(Diagnostic::new(
                    crate::diagnostic::Severity::Error,
                    "settings-file",
                    None,
                    Span::new(0, 0),
                    format!("`{}`: {error}", path.display()),
                )),
            }
            settings.files.push(path);
        }
        settings
    }

    fn read(&mut self, path: &Path, text: &str, grammar: &Command) {
        let source = Source::new(path.display().to_string(), text);
        let mut found = Diagnostics::new(&source);
        match Document::parse(text) {
            Ok(document) => self.table(document.as_table(), "", path, &source, &mut found, grammar),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let message = error.message().lines().next().unwrap_or_default().to_owned();
                found.error("settings-file", Span::new(span.start, span.end), message);
            }
        }
        self.findings.extend(found.sorted());
    }

    fn table(
        &mut self,
        table: &Table,
        prefix: &str,
        path: &Path,
        source: &Arc<Source>,
        found: &mut Diagnostics,
        grammar: &Command,
    ) {
        for (name, item) in table {
            let key = format!("{prefix}{name}");
            let place = |range: Option<std::ops::Range<usize>>| {
                range.map_or(Span::new(0, 0), |range| Span::new(range.start, range.end))
            };
            let at = place(table.key(name).and_then(toml_edit::Key::span));
            if let Item::Table(inner) = item
                && prefix.is_empty()
                && SETTINGS
                    .iter()
                    .any(|known| known.key.starts_with(&format!("{key}.")))
            {
                self.table(inner, &format!("{key}."), path, source, found, grammar);
                continue;
            }
            let Some(known) = SETTINGS.iter().find(|known| known.key == key) else {
                let keys = SETTINGS.iter().map(|known| known.key);
                let finding = found.error("unknown-setting", at, format!("`{key}` is not a setting"));
                match nearest(&key, keys.clone()) {
                    Some(near) => {
                        finding.label(format!("did you mean `{near}`?"));
                    }
                    None => {
                        finding.expected(list(keys));
                    }
                }
                continue;
            };
            let value = item.as_value();
            let text = value.and_then(|value| {
                let text = value.as_str().map(str::to_owned);
                text.or_else(|| value.as_integer().map(|number| number.to_string()))
            });
            let span = place(value.and_then(toml_edit::Value::span));
            match text.filter(|text| accepted(grammar, known, text)) {
                Some(text) => {
                    let value = match (known.path, path.parent()) {
                        (true, Some(folder)) => folder.join(&text).display().to_string(),
                        _ => text,
                    };
                    // The stronger file was read first.
                    if self.given.iter().all(|given| given.key != known.key) {
                        self.given.push(Given {
                            key: known.key,
                            value,
                            origin: Origin::File(path.to_owned(), source.position(span.start).line),
                        });
                    }
                }
                None => {
                    let finding = found.error("setting-value", span, format!("`{key}` cannot be that"));
                    let words = words(grammar, known);
                    if !words.is_empty() {
                        finding.expected(words.join(", "));
                    }
                }
            }
        }
    }

    /// The grammar with the files' values as defaults.
    #[must_use]
    pub fn apply(&self, grammar: Command) -> Command {
        let mut grammar = grammar;
        for given in &self.given {
            let Some(known) = SETTINGS.iter().find(|known| known.key == given.key) else {
                continue;
            };
            let value = given.value.clone();
            let set = move |argument: clap::Arg| argument.default_value(value);
            grammar = if known.command.is_empty() {
                grammar.mut_arg(known.option, set)
            } else {
                grammar.mut_subcommand(known.command, move |command| command.mut_arg(known.option, set))
            };
        }
        grammar
    }

    /// Shows what is wrong with the files.
    ///
    /// # Errors
    /// Exit 2 if anything is.
    pub fn check(&self, output: &Output) -> Result<(), CliError> {
        findings::show(&self.findings, output);
        if self.findings.is_empty() {
            Ok(())
        } else {
            Err(CliError::silent(exit::USAGE))
        }
    }

    /// Every setting with the value in force. `flag` tells the value of an option that this command line gives.
    pub fn in_force(&self, grammar: &Command, flag: impl Fn(&Setting) -> Option<String>) -> Vec<InForce> {
        SETTINGS
            .iter()
            .map(|known| {
                let variable = std::env::var(known.variable).ok();
                let file = self.given.iter().find(|given| given.key == known.key);
                let (value, origin) = match (flag(known), variable, file) {
                    (Some(value), ..) => {
                        let flag = known.option.replace('_', "-");
                        (Some(value), Origin::Flag(format!("--{flag}")))
                    }
                    (None, Some(value), _) => (Some(value), Origin::Variable(known.variable)),
                    (None, None, Some(given)) => (Some(given.value.clone()), given.origin.clone()),
                    (None, None, None) => (default(grammar, known), Origin::Default),
                };
                InForce {
                    key: known.key,
                    value,
                    origin,
                }
            })
            .collect()
    }
}

fn argument<'a>(grammar: &'a Command, known: &Setting) -> Option<&'a clap::Arg> {
    let command = match known.command {
        "" => grammar,
        name => grammar.find_subcommand(name)?,
    };
    command.get_arguments().find(|arg| arg.get_id() == known.option)
}

/// The words that an option takes, if it takes words.
fn words(grammar: &Command, known: &Setting) -> Vec<String> {
    argument(grammar, known)
        .map(clap::Arg::get_possible_values)
        .unwrap_or_default()
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect()
}

fn default(grammar: &Command, known: &Setting) -> Option<String> {
    let first = argument(grammar, known)?.get_default_values().first()?;
    Some(first.to_string_lossy().into_owned())
}

/// Whether the option takes the text: asked of the grammar itself.
fn accepted(grammar: &Command, known: &Setting, text: &str) -> bool {
    let Some(argument) = argument(grammar, known) else {
        return false;
    };
    let alone = Command::new("setting").no_binary_name(true).arg(
        clap::Arg::new("value")
            .long("value")
            .value_parser(argument.get_value_parser().clone()),
    );
    alone.try_get_matches_from([format!("--value={text}")]).is_ok()
}

/// `$XDG_CONFIG_HOME`, else `~/.config`.
pub fn configuration_folder() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn grammar() -> Command {
        crate::cli::args::Cli::command()
    }

    fn loaded(project: &str, user: &str) -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().unwrap();
        let (deep, config) = (folder.path().join("a/b"), folder.path().join("config/overdrive"));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir_all(&config).unwrap();
        std::fs::write(folder.path().join("a/overdrive.toml"), project).unwrap();
        std::fs::write(config.join("config.toml"), user).unwrap();
        let settings = Settings::load(&deep, Some(&folder.path().join("config")), &grammar());
        (folder, settings)
    }

    #[test]
    fn every_setting_is_an_option_with_its_variable() {
        let grammar = grammar();
        for known in SETTINGS {
            let argument = argument(&grammar, known).unwrap_or_else(|| panic!("{known:?}"));
            assert_eq!(
                argument.get_env().and_then(|name| name.to_str()),
                Some(known.variable)
            );
        }
    }

    #[test]
    fn the_project_wins_over_the_user() {
        let (folder, settings) = loaded(
            "home = \"state\"\nprogress = \"lines\"\n\n[plot]\ntheme = \"dark\"\n",
            "progress = \"none\"\n[list]\nlast = 3\n",
        );
        assert_eq!(settings.findings, []);
        let all = settings.in_force(&grammar(), |known| {
            (known.key == "color").then(|| "never".to_owned())
        });
        let of = |key: &str| all.iter().find(|entry| entry.key == key).unwrap();
        let file = folder.path().join("a/overdrive.toml");
        assert_eq!(of("progress").value.as_deref(), Some("lines"));
        assert_eq!(of("progress").origin, Origin::File(file, 2));
        assert_eq!(
            of("home").value,
            Some(folder.path().join("a/state").display().to_string())
        );
        assert_eq!(of("plot.theme").value.as_deref(), Some("dark"));
        assert_eq!(of("list.last").value.as_deref(), Some("3"));
        assert_eq!(of("color").origin, Origin::Flag("--color".into()));
        assert_eq!(of("plot.format").origin, Origin::Default);
        assert_eq!(of("plot.format").value.as_deref(), Some("svg"));
        let matches = settings
            .apply(grammar())
            .try_get_matches_from(["overdrive", "list"])
            .unwrap();
        let (_, list) = matches.subcommand().unwrap();
        assert_eq!(list.get_one::<u64>("last"), Some(&3));
    }

    #[test]
    fn mistakes_have_their_place() {
        let (_folder, settings) = loaded(
            "colour = \"never\"\nprogress = \"fast\"\n[studio]\nport = -1\n",
            "= 3\n",
        );
        let codes: Vec<&str> = settings
            .findings
            .iter()
            .map(|finding| finding.code.as_str())
            .collect();
        assert_eq!(
            codes,
            [
                "unknown-setting",
                "setting-value",
                "setting-value",
                "settings-file"
            ]
        );
        assert_eq!(settings.findings[0].primary.text, "did you mean `color`?");
        assert_eq!(
            settings.findings[1].expected.as_deref(),
            Some("auto, live, lines, none")
        );
        assert!(
            settings.findings[2]
                .place()
                .unwrap()
                .ends_with("overdrive.toml:4:8")
        );
    }
}
