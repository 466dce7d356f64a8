//! What goes wrong on the command line: one error with a slug, an exit code and the next command to type.

use crate::cli::exit;
use std::fmt;

/// An error as people see it: `error[slug]: what`, then `= help:` lines.
#[derive(Debug, Clone, PartialEq)]
pub struct CliError {
    /// Exit code, one of [`crate::cli::exit`].
    pub exit: u8,
    /// Stable slug; empty for an error that was already shown.
    pub slug: &'static str,
    /// One line, lower case, no full stop.
    pub message: String,
    /// What to type or to look at next.
    pub help: Vec<String>,
}

impl CliError {
    /// An error with the given exit code.
    pub fn new(exit: u8, slug: &'static str, message: impl Into<String>) -> Self {
        Self {
            exit,
            slug,
            message: message.into(),
            help: Vec::new(),
        }
    }

    /// Wrong usage or configuration.
    pub fn usage(slug: &'static str, message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, slug, message)
    }

    /// Something that was named does not exist.
    pub fn not_found(slug: &'static str, message: impl Into<String>) -> Self {
        Self::new(exit::NOT_FOUND, slug, message)
    }

    /// Something could not be done.
    pub fn failed(slug: &'static str, message: impl Into<String>) -> Self {
        Self::new(exit::FAILED, slug, message)
    }

    /// An exit code whose message was already shown.
    pub fn silent(exit: u8) -> Self {
        Self {
            exit,
            slug: "",
            message: String::new(),
            help: Vec::new(),
        }
    }

    /// Adds a line of help.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    /// The JSON twin, for `--json`.
    pub fn document(&self) -> serde_json::Value {
        serde_json::json!({
            "schema_version": crate::report::SCHEMA_VERSION,
            "error": {"slug": self.slug, "message": self.message, "help": self.help, "exit_code": self.exit},
        })
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.slug, self.message)?;
        for line in &self.help {
            write!(f, "\n  = help: {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CliError {}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::silent(exit::CLOSED_PIPE);
        }
        Self::failed("io", error.to_string())
    }
}
