//! `check`, `schema`, `init`: help with writing the files.

use crate::cli::args::{Check, CheckFormat, Init, InitKind, Schema};
use crate::cli::disk::Disk;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::{self, Output};
use crate::config::resolve::{Request, resolve};
use crate::config::schema::SchemaKind;
use crate::diagnostic::{Diagnostic, Severity, list, nearest};
use crate::report::diagnostic::{self, Style};
use crate::report::document;
use serde_json::json;

/// Checks files.
pub(super) fn check(arguments: &Check, output: &Output) -> Result<u8, CliError> {
    if let Some(slug) = &arguments.explain {
        return match diagnostic::explain(slug) {
            Some(text) => {
                output.text(text)?;
                Ok(exit::OK)
            }
            None => Err(CliError::not_found(
                "unknown-slug",
                format!("no finding is called `{slug}`"),
            )),
        };
    }
    let files = if arguments.files.is_empty() {
        vec![super::run::only_file(output)?]
    } else {
        arguments.files.clone()
    };
    let mut found: Vec<Diagnostic> = Vec::new();
    for file in files {
        let request = Request {
            file: Some(file),
            run_configuration: arguments.run_configuration.clone(),
            fallback_seed: 1,
            step: arguments.step.clone(),
            ..Request::default()
        };
        found.extend(crate::cli::findings::with_engine(
            resolve(&request, &Disk).diagnostics,
        ));
    }
    let count = |severity: Severity| {
        found
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let refused_by_azure = found.iter().any(|finding| finding.code == "portability");
    let failed = errors > 0 || (arguments.strict && (warnings > 0 || refused_by_azure));
    let missing = found
        .iter()
        .any(|finding| finding.code == "missing-file" && finding.source.is_none());
    match arguments.format {
        CheckFormat::Json => output.document(&report(&found, failed))?,
        CheckFormat::Human if output.json => output.document(&report(&found, failed))?,
        CheckFormat::Github => output.text(&diagnostic::github(&found))?,
        CheckFormat::Sarif => output.document(&diagnostic::sarif(&found))?,
        CheckFormat::Human => {
            let style = Style {
                colour: output.colour_err,
                width: output::size().0.clamp(60, 120),
            };
            let text = diagnostic::render(&found, style);
            if !text.is_empty() {
                output.complain(text.trim_end());
            }
            let summary = diagnostic::summary(&found);
            let summary = summary.trim_end();
            if errors + warnings == 0 {
                output.note("nothing to complain about");
            } else if !summary.is_empty() {
                output.note(summary);
            }
        }
    }
    Ok(match (failed, missing) {
        (false, _) => exit::OK,
        (true, true) => exit::NOT_FOUND,
        (true, false) => exit::USAGE,
    })
}

fn report(found: &[Diagnostic], failed: bool) -> serde_json::Value {
    document::document(json!({"ok": !failed, "items": diagnostic::to_json(found), "next": null}))
}

/// Prints a JSON Schema.
pub(super) fn schema(arguments: &Schema, output: &Output) -> Result<u8, CliError> {
    let wanted = if arguments.format == "hyperdrive" {
        "hdconfig"
    } else {
        arguments.format.as_str()
    };
    let names = SchemaKind::ALL.map(SchemaKind::name);
    match SchemaKind::ALL.into_iter().find(|kind| kind.name() == wanted) {
        Some(kind) => {
            output.document(&kind.schema())?;
            Ok(exit::OK)
        }
        None => {
            let help = nearest(wanted, names).map_or_else(
                || format!("one of {}", list(names)),
                |near| format!("did you mean `{near}`?"),
            );
            Err(CliError::usage(
                "unknown-format",
                format!("no file format is called `{}`", arguments.format),
            )
            .help(help))
        }
    }
}

/// Files of a sample, by kind: name and text.
fn sample(kind: InitKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        InitKind::Hyperdrive => &[
            ("hdconfig.yml", include_str!("../samples/hdconfig.yml")),
            ("train.runconfig", include_str!("../samples/train.runconfig")),
            ("train.py", include_str!("../samples/train.py")),
        ],
        InitKind::Sweep => &[
            ("sweep.yml", include_str!("../samples/sweep.yml")),
            ("src/train.py", include_str!("../samples/train.py")),
        ],
        InitKind::Shell => &[
            ("hdconfig.yml", include_str!("../samples/shell/hdconfig.yml")),
            (
                "train.runconfig",
                include_str!("../samples/shell/train.runconfig"),
            ),
            ("train.sh", include_str!("../samples/shell/train.sh")),
        ],
    }
}

/// Writes a sample.
pub(super) fn init(arguments: &Init, output: &Output) -> Result<u8, CliError> {
    let files = sample(arguments.kind);
    let there: Vec<&str> = files
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| arguments.directory.join(name).exists())
        .collect();
    if !there.is_empty() && !arguments.force {
        return Err(CliError::usage(
            "file-exists",
            format!(
                "{} is in {} already",
                there.join(", "),
                arguments.directory.display()
            ),
        )
        .help("`--force` replaces it; `overdrive init DIR` writes elsewhere"));
    }
    let mut written = Vec::new();
    for (name, text) in files {
        let path = match arguments.directory.to_str() {
            Some(".") => std::path::PathBuf::from(name),
            _ => arguments.directory.join(name),
        };
        let failed =
            |error: std::io::Error| CliError::failed("write", format!("`{}`: {error}", path.display()));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&path, text).map_err(failed)?;
        written.push(path);
    }
    if output.json {
        output.document(&document::list(&written, None))?;
        return Ok(exit::OK);
    }
    for path in &written {
        output.note(&format!("written: {}", path.display()));
    }
    let main = written
        .first()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    output.note(&format!("next: overdrive run {main}"));
    Ok(exit::OK)
}
