//! Checking a text as it is typed: the readers, findings and words of `overdrive check`, on a text that is not on the disk yet.

use crate::config::resolve::{Request, resolve};
use crate::config::{Dialect, Experiment, Files};
use crate::metric::Goal;
use crate::policy::PolicySpec;
use crate::report::diagnostic;
use crate::space::{Distribution, Domain};
use crate::studio::error::ApiError;
use crate::studio::read::{Answer, SCHEMA_VERSION};
use crate::studio::state::Studio;
use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the form of a new sweep says; also the body of a submission.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    /// The file's text.
    pub(super) text: String,
    /// Its name; `hdconfig.yml` unless said otherwise.
    #[serde(default)]
    pub(super) name: Option<String>,
    /// Folder of the code, relative to the project folder.
    #[serde(default)]
    pub(super) source_directory: Option<String>,
    /// Training script, instead of the one that the run configuration names.
    #[serde(default)]
    pub(super) script: Option<String>,
    /// Run configuration: a name or a file.
    #[serde(default)]
    pub(super) run_configuration: Option<String>,
    /// Experiment name.
    #[serde(default)]
    pub(super) experiment: Option<String>,
    /// Name for people.
    #[serde(default)]
    pub(super) display_name: Option<String>,
    /// Further arguments of the script.
    #[serde(default)]
    pub(super) arguments: Vec<String>,
}

/// The disk with one text put over it.
struct Overlay {
    below: Arc<dyn Files + Send + Sync>,
    path: PathBuf,
    text: String,
}

impl Files for Overlay {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        if path == self.path {
            return Ok(Some(self.text.clone()));
        }
        self.below.read(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path == self.path || self.below.exists(path)
    }

    fn is_folder(&self, path: &Path) -> bool {
        path != self.path && self.below.is_folder(path)
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        self.below.names(folder)
    }

    fn walk(&self, folder: &Path) -> Vec<PathBuf> {
        self.below.walk(folder)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        self.below.absolute(path)
    }
}

/// The folder of a draft's code, which must lie in the project folder.
pub(super) fn folder_of(studio: &Studio, draft: &Draft) -> Result<PathBuf, ApiError> {
    let project = std::fs::canonicalize(&studio.settings.project_folder)
        .map_err(|error| ApiError::internal(format!("the project folder cannot be opened: {error}")))?;
    let given = draft.source_directory.as_deref().unwrap_or(".").trim();
    let given = if given.is_empty() { "." } else { given };
    let folder = std::fs::canonicalize(project.join(given))
        .map_err(|_| ApiError::bad(format!("there is no folder `{given}` in `{}`", project.display())))?;
    if !folder.starts_with(&project) || !folder.is_dir() {
        return Err(ApiError::bad(format!(
            "`{given}` is no folder in `{}`",
            project.display()
        )));
    }
    Ok(folder)
}

/// The last part of the name that was given, if it is a plain one.
pub(super) fn name_of(draft: &Draft) -> String {
    let given = draft.name.as_deref().unwrap_or_default().trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let yaml = given.ends_with(".yml") || given.ends_with(".yaml");
    if yaml && given.len() <= 100 && !given.starts_with('.') && given.chars().all(plain) {
        given.to_owned()
    } else {
        "hdconfig.yml".to_owned()
    }
}

fn filled(text: Option<&String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// Findings of a text and, if there is no error, what would run.
#[derive(Serialize, JsonSchema)]
pub(super) struct Checked {
    schema_version: u32,
    /// Whether it could run.
    ok: bool,
    /// Findings, in the shape of `overdrive check --format json`.
    items: Vec<Value>,
    /// Always null: all findings are here.
    next: Option<String>,
    plan: Option<Plan>,
}

/// What would run.
#[derive(Serialize, JsonSchema)]
struct Plan {
    /// Kind of file.
    dialect: &'static str,
    sampler: String,
    policy: &'static str,
    metric: Option<String>,
    goal: Option<Goal>,
    max_total_runs: u64,
    max_concurrent_runs: u64,
    max_duration_minutes: Option<f64>,
    targets: Vec<String>,
    parameters: Vec<PlannedParameter>,
    /// Configurations in the whole space, if they can be counted.
    size: Option<f64>,
}

/// A parameter of a space.
#[derive(Serialize, JsonSchema)]
struct PlannedParameter {
    name: String,
    distribution: String,
    /// Values, if they can be counted.
    size: Option<usize>,
}

pub(super) async fn check(State(studio): State<Studio>, Json(draft): Json<Draft>) -> Answer<Checked> {
    let folder = folder_of(&studio, &draft)?;
    let files = studio.settings.files.clone();
    let work = move || checked(&draft, &folder, files);
    tokio::task::spawn_blocking(work)
        .await
        .map(Json)
        .map_err(|_| ApiError::internal("the text could not be checked"))
}

/// Findings and, if there is no error, what would run.
fn checked(draft: &Draft, folder: &Path, files: Arc<dyn Files + Send + Sync>) -> Checked {
    let path = folder.join(name_of(draft));
    let overlay = Overlay {
        below: files,
        path: path.clone(),
        text: draft.text.clone(),
    };
    let request = Request {
        file: Some(path),
        run_configuration: filled(draft.run_configuration.as_ref()),
        source_directory: Some(folder.to_owned()),
        script: filled(draft.script.as_ref()),
        arguments: draft.arguments.clone(),
        experiment_name: filled(draft.experiment.as_ref()),
        display_name: filled(draft.display_name.as_ref()),
        ..Request::default()
    };
    let resolved = resolve(&request, &overlay);
    let items = match diagnostic::to_json(&resolved.diagnostics) {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    Checked {
        schema_version: SCHEMA_VERSION,
        ok: resolved.experiment.is_some(),
        items,
        next: None,
        plan: resolved.experiment.as_ref().map(plan),
    }
}

fn plan(experiment: &Experiment) -> Plan {
    let dialect = match experiment.dialect {
        Dialect::Hyperdrive => "hdconfig",
        Dialect::SweepJob => "sweep job",
        Dialect::CommandJob => "command job",
        Dialect::ScriptRun => "single run",
    };
    let policy = match &experiment.policy {
        PolicySpec::NoTermination => "none",
        PolicySpec::Bandit { .. } => "Bandit",
        PolicySpec::MedianStopping { .. } => "MedianStopping",
        PolicySpec::TruncationSelection { .. } => "TruncationSelection",
        PolicySpec::Asha { .. } => "ASHA",
        PolicySpec::Hyperband { .. } => "Hyperband",
        PolicySpec::Predictive { .. } => "Predictive",
    };
    let parameters = experiment
        .space
        .parameters
        .iter()
        .map(|parameter| PlannedParameter {
            name: parameter.name.clone(),
            distribution: kind(&parameter.distribution),
            size: size(&parameter.distribution),
        });
    let whole = Domain::new(Arc::new(experiment.space.clone()))
        .ok()
        .and_then(|domain| domain.cardinality());
    Plan {
        dialect,
        sampler: experiment.sampler.kind.clone(),
        policy,
        metric: experiment.metric.as_ref().map(|metric| metric.name.clone()),
        goal: experiment.metric.as_ref().map(|metric| metric.goal),
        max_total_runs: experiment.limits.max_total,
        max_concurrent_runs: experiment.limits.max_concurrent,
        max_duration_minutes: experiment.limits.max_duration_ms.map(|ms| ms as f64 / 60_000.0),
        targets: experiment.targets.clone(),
        parameters: parameters.collect(),
        size: whole.map(|count| count as f64),
    }
}

fn kind(distribution: &Distribution) -> String {
    serde_json::to_value(distribution)
        .ok()
        .and_then(|value| value.get("type").and_then(Value::as_str).map(str::to_owned))
        .unwrap_or_default()
}

fn size(distribution: &Distribution) -> Option<usize> {
    match distribution {
        Distribution::Choice { options, .. } => Some(options.len()),
        Distribution::Randint { upper } => usize::try_from(*upper).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(name: &str) -> Draft {
        Draft {
            text: String::new(),
            name: Some(name.to_owned()),
            source_directory: None,
            script: None,
            run_configuration: None,
            experiment: None,
            display_name: None,
            arguments: Vec::new(),
        }
    }

    #[test]
    fn names_never_lead_elsewhere() {
        assert_eq!(name_of(&draft("my-sweep.yaml")), "my-sweep.yaml");
        for hostile in [
            "../x.yml",
            "/etc/x.yml",
            ".x.yml",
            "a/b.yml",
            "x",
            "",
            "x\n.yml",
            "é.yml",
        ] {
            assert_eq!(name_of(&draft(hostile)), "hdconfig.yml", "{hostile:?}");
        }
    }
}
