//! Where text goes: results to standard output, everything else to standard error, colour decided for each by itself.

use crate::cli::args::{ColorChoice, Globals, LinkChoice, ProgressChoice};
use crate::cli::error::CliError;
use crate::report::ci::Ci;
use crate::report::style::{Glyphs, Line};
use serde_json::Value;
use std::env;
use std::io::{IsTerminal, Write};

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How progress is shown, after all variables were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The live block.
    Live,
    /// One line per event.
    Lines,
    /// Nothing.
    None,
}

/// What is known of the terminal and what the user wants of it.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether standard output is coloured.
    pub colour_out: bool,
    /// Whether standard error is coloured.
    pub colour_err: bool,
    /// Whether paths and ids on standard output are hyperlinks.
    pub links_out: bool,
    /// Characters to draw with.
    pub glyphs: Glyphs,
    /// How progress is shown.
    pub progress: Progress,
    /// Whose log this is.
    pub ci: Ci,
    /// Print JSON.
    pub json: bool,
    /// Print the result only.
    pub quiet: bool,
    /// How much more to say.
    pub verbose: u8,
}

/// The environment as far as it decides about output; a struct, so that the decisions can be tested.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `NO_COLOR`.
    pub no_color: Option<String>,
    /// `FORCE_COLOR`.
    pub force_color: Option<String>,
    /// `CLICOLOR_FORCE`.
    pub clicolor_force: Option<String>,
    /// `CLICOLOR`.
    pub clicolor: Option<String>,
    /// `TERM`.
    pub term: Option<String>,
    /// `CI`.
    pub ci: Option<String>,
    /// Which CI system, by its own variable.
    pub ci_system: Ci,
    /// First of `LC_ALL`, `LC_CTYPE`, `LANG` that is not empty.
    pub locale: Option<String>,
    /// Whether standard output is a terminal.
    pub terminal_out: bool,
    /// Whether standard error is a terminal.
    pub terminal_err: bool,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let variable = |name: &str| env::var(name).ok();
        Self {
            no_color: variable("NO_COLOR"),
            force_color: variable("FORCE_COLOR"),
            clicolor_force: variable("CLICOLOR_FORCE"),
            clicolor: variable("CLICOLOR"),
            term: variable("TERM"),
            ci: variable("CI"),
            ci_system: Ci::of(variable),
            locale: ["LC_ALL", "LC_CTYPE", "LANG"]
                .into_iter()
                .filter_map(variable)
                .find(|value| !value.is_empty()),
            terminal_out: std::io::stdout().is_terminal(),
            terminal_err: std::io::stderr().is_terminal(),
        }
    }

    /// Whether a stream is coloured: flag, `NO_COLOR`, `FORCE_COLOR`/`CLICOLOR_FORCE`, `CLICOLOR=0`, `TERM=dumb`, terminal.
    pub fn colour(&self, choice: ColorChoice, terminal: bool) -> bool {
        let set = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
        let forced = |value: &Option<String>| {
            value
                .as_deref()
                .is_some_and(|value| !value.is_empty() && value != "0")
        };
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if set(&self.no_color) => false,
            ColorChoice::Auto if forced(&self.force_color) || forced(&self.clicolor_force) => true,
            ColorChoice::Auto if self.clicolor.as_deref() == Some("0") => false,
            ColorChoice::Auto if self.term.as_deref() == Some("dumb") => false,
            ColorChoice::Auto => terminal,
        }
    }

    /// Whether a stream gets hyperlinks: a terminal that can be expected to know them, or to ignore them.
    pub fn links(&self, choice: LinkChoice, terminal: bool) -> bool {
        let set = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
        match choice {
            LinkChoice::Always => true,
            LinkChoice::Never => false,
            LinkChoice::Auto => {
                let knows = !matches!(self.term.as_deref(), None | Some("" | "dumb" | "linux"));
                terminal && knows && !set(&self.ci)
            }
        }
    }

    /// UTF-8 locales get Unicode; an unset locale is taken as UTF-8 on a terminal emulator of today only if `TERM` is not `linux`
    /// or `dumb`.
    pub fn glyphs(&self) -> Glyphs {
        match &self.locale {
            Some(locale) => {
                let locale = locale.to_ascii_lowercase();
                if locale.contains("utf-8") || locale.contains("utf8") {
                    Glyphs::Unicode
                } else {
                    Glyphs::Ascii
                }
            }
            None if self.terminal_err && matches!(self.term.as_deref(), Some("linux" | "dumb") | None) => {
                Glyphs::Ascii
            }
            None => Glyphs::Unicode,
        }
    }

    /// How progress is shown.
    pub fn progress(&self, choice: ProgressChoice, quiet: bool) -> Progress {
        let ci = self
            .ci
            .as_deref()
            .is_some_and(|value| !value.is_empty() && value != "false" && value != "0");
        match choice {
            ProgressChoice::Live => Progress::Live,
            ProgressChoice::Lines => Progress::Lines,
            ProgressChoice::None => Progress::None,
            ProgressChoice::Auto if quiet => Progress::None,
            ProgressChoice::Auto if self.terminal_err && self.term.as_deref() != Some("dumb") && !ci => {
                Progress::Live
            }
            ProgressChoice::Auto => Progress::Lines,
        }
    }
}

impl Output {
    /// What `globals` and the surroundings say.
    pub fn new(globals: &Globals, surroundings: &Surroundings) -> Self {
        Self {
            colour_out: surroundings.colour(globals.color, surroundings.terminal_out),
            colour_err: surroundings.colour(globals.color, surroundings.terminal_err),
            links_out: surroundings.links(globals.hyperlinks, surroundings.terminal_out),
            glyphs: surroundings.glyphs(),
            progress: surroundings.progress(globals.progress, globals.quiet),
            ci: surroundings.ci_system,
            json: globals.json,
            quiet: globals.quiet,
            verbose: globals.verbose,
        }
    }

    /// Width for tables on standard output: `COLUMNS`, the terminal's, or none for a pipe (nothing is cut there).
    pub fn table_width(&self) -> Option<usize> {
        columns().or_else(|| std::io::stdout().is_terminal().then(|| size().0))
    }

    /// Writes text to standard output.
    ///
    /// # Errors
    /// A closed pipe, as [`CliError`] with its exit code.
    pub fn text(&self, text: &str) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }

    /// Writes bytes to standard output.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// Writes lines to standard output.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn lines(&self, lines: &[Line]) -> Result<(), CliError> {
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.render_with(self.colour_out, self.links_out));
            text.push('\n');
        }
        if text.is_empty() { Ok(()) } else { self.text(&text) }
    }

    /// Writes one JSON document to standard output.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn document(&self, document: &Value) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| CliError::failed("json", error.to_string()))?;
        self.text(&text)
    }

    /// A note on standard error; not with `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// A line on standard error, always.
    pub fn complain(&self, text: &str) {
        // Nobody can be told that standard error is closed.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Shows an error on standard error, and as a document on standard output with `--json`.
    pub fn error(&self, error: &CliError) {
        if error.slug.is_empty() {
            return;
        }
        let text = error.to_string();
        let text = if self.colour_err {
            paint_error(&text, error.slug)
        } else {
            text
        };
        self.complain(&text);
        if self.json {
            let _ = self.document(&error.document());
        }
    }
}

fn paint_error(text: &str, slug: &str) -> String {
    let head = format!("error[{slug}]");
    match text.strip_prefix(&head) {
        Some(rest) => format!("\x1b[1;31m{head}\x1b[0m{rest}"),
        None => text.to_owned(),
    }
}

fn columns() -> Option<usize> {
    env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|width| (20..=10_000).contains(width))
}

/// Width and height of the terminal in cells: `COLUMNS`, else what the terminal says, else 80 x 24.
pub fn size() -> (usize, usize) {
    let told = rustix::termios::tcgetwinsize(std::io::stderr())
        .or_else(|_| rustix::termios::tcgetwinsize(std::io::stdout()))
        .ok();
    let width = columns()
        .or(told
            .map(|size| usize::from(size.ws_col))
            .filter(|width| *width > 0))
        .unwrap_or(80);
    let height = told
        .map(|size| usize::from(size.ws_row))
        .filter(|height| *height > 0)
        .unwrap_or(24);
    (width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn colour_order() {
        let base = Surroundings {
            terminal_out: true,
            ..Surroundings::default()
        };
        assert!(base.colour(ColorChoice::Auto, true));
        assert!(!base.colour(ColorChoice::Auto, false));
        let no = Surroundings {
            no_color: some("1"),
            force_color: some("1"),
            ..base.clone()
        };
        assert!(!no.colour(ColorChoice::Auto, true));
        assert!(no.colour(ColorChoice::Always, false));
        let empty = Surroundings {
            no_color: some(""),
            force_color: some("1"),
            ..base.clone()
        };
        assert!(empty.colour(ColorChoice::Auto, false));
        let zero = Surroundings {
            clicolor_force: some("0"),
            clicolor: some("0"),
            ..base.clone()
        };
        assert!(!zero.colour(ColorChoice::Auto, true));
        let dumb = Surroundings {
            term: some("dumb"),
            ..base
        };
        assert!(!dumb.colour(ColorChoice::Auto, true));
    }

    #[test]
    fn progress_is_live_only_on_a_real_terminal() {
        let terminal = Surroundings {
            terminal_err: true,
            term: some("xterm"),
            ..Surroundings::default()
        };
        assert_eq!(terminal.progress(ProgressChoice::Auto, false), Progress::Live);
        assert_eq!(terminal.progress(ProgressChoice::Auto, true), Progress::None);
        assert_eq!(
            Surroundings {
                ci: some("true"),
                ..terminal.clone()
            }
            .progress(ProgressChoice::Auto, false),
            Progress::Lines
        );
        assert_eq!(
            Surroundings {
                term: some("dumb"),
                ..terminal
            }
            .progress(ProgressChoice::Auto, false),
            Progress::Lines
        );
        assert_eq!(
            Surroundings::default().progress(ProgressChoice::Auto, false),
            Progress::Lines
        );
    }

    #[test]
    fn glyphs_by_locale() {
        let with = |locale: &str| {
            Surroundings {
                locale: some(locale),
                ..Surroundings::default()
            }
            .glyphs()
        };
        assert_eq!(with("en_US.UTF-8"), Glyphs::Unicode);
        assert_eq!(with("C.utf8"), Glyphs::Unicode);
        assert_eq!(with("C"), Glyphs::Ascii);
    }
}
