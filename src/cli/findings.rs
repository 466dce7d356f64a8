//! Shows what the readers found in the user's files.

use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::{self, Output};
use crate::config::Experiment;
use crate::config::resolve::Resolved;
use crate::container::Engine;
use crate::diagnostic::{Diagnostic, Severity};
use crate::report::diagnostic::{self, Style};
use serde_json::json;

/// Shows errors and warnings on standard error (notes with `-v`).
pub(super) fn show(found: &[Diagnostic], output: &Output) {
    let shown: Vec<Diagnostic> = found
        .iter()
        .filter(|finding| match finding.severity {
            Severity::Error => true,
            Severity::Warning => !output.quiet,
            Severity::Note => output.verbose > 0,
        })
        .cloned()
        .collect();
    if !shown.is_empty() {
        let style = Style {
            colour: output.colour_err,
            width: output::size().0.clamp(60, 120),
        };
        output.complain(diagnostic::render(&shown, style).trim_end());
    }
}

/// The findings without the warning that trials here run without their container, where an engine answers that they can run in.
pub(super) fn with_engine(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let left_out = |finding: &Diagnostic| finding.code == "container";
    if found.iter().any(left_out) && Engine::here().is_ok() {
        found.retain(|finding| !left_out(finding));
    }
    found
}

/// The experiment, or exit 2 after everything that is wrong was shown.
///
/// # Errors
/// [`CliError`] without a message of its own if findings are errors.
pub(super) fn experiment(mut resolved: Resolved, output: &Output) -> Result<Experiment, CliError> {
    resolved.diagnostics = with_engine(resolved.diagnostics);
    show(&resolved.diagnostics, output);
    match resolved.experiment {
        Some(experiment) => Ok(experiment),
        None => {
            let missing = resolved
                .diagnostics
                .iter()
                .any(|finding| finding.code == "missing-file");
            let code = if missing { exit::NOT_FOUND } else { exit::USAGE };
            let summary = diagnostic::summary(&resolved.diagnostics);
            let summary = summary.trim_end();
            output.complain(&if summary.is_empty() {
                "no trial was started".to_owned()
            } else {
                format!("{summary}, no trial was started")
            });
            if output.json {
                output.document(&crate::report::document::document(json!({
                    "error": {"slug": "configuration", "message": "the files have errors", "exit_code": code},
                    "diagnostics": diagnostic::to_json(&resolved.diagnostics),
                })))?;
            }
            Err(CliError::silent(code))
        }
    }
}
