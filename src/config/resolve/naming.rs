//! The experiment's name: typed, or the file's, or the attached folder's, or the folder's own.

use super::Resolver;
use crate::config::Experiment;
use crate::config::files::join;
use crate::diagnostic::{Diagnostic, Severity, Span};
use serde_json::Value as Json;
use std::path::Path;

/// The rule in words.
pub const NAME_RULE: &str = "letters, digits, `-` and `_`, beginning with a letter or digit, at most 255";

/// Whether `name` can name an experiment: `^[a-zA-Z0-9][a-zA-Z0-9_-]*$`, 1..=255.
pub fn is_experiment_name(name: &str) -> bool {
    name.len() <= 255
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// The nearest name that can name an experiment.
pub fn sanitized(name: &str) -> String {
    let mut text: String = name
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-') {
                letter
            } else {
                '-'
            }
        })
        .collect();
    while text.starts_with(['-', '_']) {
        text.remove(0);
    }
    text.truncate(255);
    let text = text.trim_end_matches('-').to_owned();
    if text.is_empty() {
        "experiment".to_owned()
    } else {
        text
    }
}

impl Resolver<'_> {
    /// Gives the experiment its name; names that people chose are checked, folders' names are adapted.
    pub(super) fn name(&mut self, experiment: &mut Experiment) -> Option<()> {
        let chosen = match &self.request.experiment_name {
            Some(name) => Some(name.clone()),
            None => Some(experiment.name.clone()).filter(|name| !name.is_empty()),
        };
        if let Some(name) = chosen {
            if !is_experiment_name(&name) {
                let from_file = self.request.experiment_name.is_none();
                let source = self.sources.first().filter(|_| from_file).cloned();
                let span = source
                    .as_ref()
                    .and_then(|source| {
                        let at = source.text().find(&name)?;
                        Some(Span::new(at, at + name.len()))
                    })
                    .unwrap_or_default();
                let mut diagnostic = Diagnostic::new(
                    Severity::Error,
                    "experiment-name",
                    source.as_ref(),
                    span,
                    format!("`{name}` cannot be the name of an experiment"),
                );
                diagnostic.expected(NAME_RULE);
                diagnostic.help(format!("`{}` can", sanitized(&name)));
                self.diagnostics.push(diagnostic);
                return None;
            }
            experiment.name = name;
            return Some(());
        }
        let folder = self.files.absolute(&self.project);
        let attached = self.attached(&folder);
        experiment.name =
            attached.unwrap_or_else(|| sanitized(&folder.file_name().unwrap_or_default().to_string_lossy()));
        Some(())
    }

    /// The experiment to which a folder (or one above it) is attached.
    fn attached(&self, folder: &Path) -> Option<String> {
        for folder in folder.ancestors() {
            for place in [".azureml", "aml_config", ""] {
                for file in ["config.json", "project.json"] {
                    let path = join(&folder.join(place), file);
                    let Ok(Some(text)) = self.files.read(&path) else {
                        continue;
                    };
                    let Ok(Json::Object(config)) = serde_json::from_str(text.trim_start_matches('\u{feff}'))
                    else {
                        continue;
                    };
                    // The first attachment on the way up counts, also one that names a workspace only.
                    let text = |key: &str| config.get(key).and_then(Json::as_str);
                    if text("Scope").is_some() || text("subscription_id").is_some() {
                        let scope = text("Scope").and_then(|scope| scope.rsplit_once("/projects/"));
                        let name = scope.map(|(_, name)| name).or(text("Id"));
                        return name.filter(|name| is_experiment_name(name)).map(str::to_owned);
                    }
                }
            }
        }
        None
    }
}
