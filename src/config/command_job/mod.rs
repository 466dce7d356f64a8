//! v2 command jobs, and what they share with sweep jobs: header, inputs, outputs, trial.
//!
//! A command job is an experiment of one trial without a search space. Unknown keys are errors, as they are for Azure ML.

pub(crate) mod data;
pub(crate) mod scalars;
pub(crate) mod trial;

use super::{DataMap, Dialect, Experiment, Files, Launch, Reading, Section, experiment::MetricSpec};
use crate::controller::Limits;
use crate::diagnostic::{self, Diagnostics, Fields, Node, Source, Unknown, parse};
use crate::policy::PolicySpec;
use crate::sampler::SamplerSpec;
use crate::space::SearchSpace;
use indexmap::IndexMap;
use scalars::{integer_from, texts};
use std::path::Path;
use std::sync::Arc;

/// A change to a document before it is read: dotted path in parts, and the value.
pub type Setting = (Vec<String>, Node);

/// What the readers of v2 jobs need to know.
#[derive(Clone, Copy)]
pub struct JobContext<'a> {
    /// The user's files.
    pub files: &'a dyn Files,
    /// Folder of the job file; its paths are relative to it.
    pub folder: &'a Path,
    /// Where data and code behind names lie.
    pub map: &'a DataMap,
    /// Changes to the document (`--set limits.max_total_trials=4`).
    pub settings: &'a [Setting],
    /// The step of a pipeline to run, if it has several sweeps.
    pub step: Option<&'a str>,
    /// Read timeouts below a minute as a minute, as Azure ML does.
    pub timeout_floor: bool,
}

/// A job file that was understood. The section is left to [`Section::apply`].
#[derive(Clone, Debug)]
pub struct Job {
    /// The experiment; its name is empty where the file gives none, its seed 0.
    pub experiment: Experiment,
    /// The seed of the file.
    pub seed: Option<u64>,
    /// The `overdrive` section, empty if there is none.
    pub section: Section,
}

/// What a command may refer to besides inputs and outputs.
pub(crate) struct Known<'a> {
    pub parameters: Vec<&'a str>,
    pub single: bool,
}

/// Reads a v2 command job (`type: command`, also without `type`).
pub fn read(source: &Arc<Source>, context: &JobContext<'_>) -> Reading<Job> {
    let document = parse(source, diagnostic::Dialect::Yaml11);
    let mut found = Diagnostics::new(source);
    found.extend(document.diagnostics);
    let value = document.root.and_then(|mut root| {
        apply_settings(&mut root, context.settings, &mut found);
        read_root(&root, context, &mut found)
    });
    let value = value.filter(|_| !found.has_errors());
    Reading {
        value,
        diagnostics: found.sorted(),
    }
}

fn read_root(root: &Node, context: &JobContext<'_>, found: &mut Diagnostics) -> Option<Job> {
    let mut fields = Fields::open(root, "the file", found)?;
    let header = Header::read(&mut fields, "command", found);
    let inputs = fields
        .given("inputs")
        .map(|entry| data::inputs(entry, context, found))
        .unwrap_or_default();
    let outputs = fields
        .given("outputs")
        .map(|entry| data::outputs(entry, found))
        .unwrap_or_default();
    let trial = trial::read(&mut fields, context, found);
    let mut timeout = None;
    if let Some(entry) = fields.given("limits")
        && let Some(mut limits) = Fields::open(&entry.value, "`limits`", found)
    {
        timeout = limits
            .given("timeout")
            .and_then(|entry| integer_from(entry, 0, found))
            .filter(|seconds| *seconds > 0);
        limits.finish(Unknown::Refuse, found);
    }
    fields.know(&["parent_job_name"]);
    fields.finish(Unknown::Refuse, found);
    let known = Known {
        parameters: Vec::new(),
        single: true,
    };
    let mut launch = trial.into_launch(inputs, outputs, &known, root.to_json(), found)?;
    launch.trial_timeout_ms = timeout.map(|seconds| seconds.unsigned_abs().saturating_mul(1000));
    let limits = Limits {
        max_total: 1,
        max_concurrent: 1,
        max_duration_ms: None,
    };
    Some(Job {
        seed: None,
        section: header.section.clone(),
        experiment: header.into_experiment(
            Dialect::CommandJob,
            launch,
            Sweep {
                space: SearchSpace::default(),
                sampler: sampler("random"),
                policy: PolicySpec::NoTermination,
                metric: None,
                limits,
            },
        ),
    })
}

/// A sampler by name with nothing else said.
pub(crate) fn sampler(kind: &str) -> SamplerSpec {
    SamplerSpec {
        kind: kind.to_owned(),
        seed: 0,
        allow_duplicates: false,
        options: serde_json::Map::new(),
    }
}

/// What makes a sweep of a job.
pub(crate) struct Sweep {
    pub space: SearchSpace,
    pub sampler: SamplerSpec,
    pub policy: PolicySpec,
    pub metric: Option<MetricSpec>,
    pub limits: Limits,
}

/// The keys that all v2 jobs have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Header {
    pub name: Option<String>,
    pub experiment_name: Option<String>,
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub tags: IndexMap<String, String>,
    pub compute: Option<String>,
    pub section: Section,
}

impl Header {
    pub(crate) fn read(fields: &mut Fields<'_>, kind: &'static str, found: &mut Diagnostics) -> Self {
        let mut header = Self::default();
        if let Some(entry) = fields.given("type")
            && entry.value.as_str() != Some(kind)
        {
            let text = entry.value.as_text().unwrap_or_default();
            found
                .error(
                    "unknown-type",
                    entry.value.span,
                    format!("`{text}` is not a type of job here"),
                )
                .suggest(entry.value.span, kind);
        }
        for (key, target) in [
            ("name", &mut header.name),
            ("experiment_name", &mut header.experiment_name),
            ("display_name", &mut header.display_name),
            ("description", &mut header.description),
        ] {
            *target = fields.given(key).and_then(|entry| found.text(entry));
        }
        if let Some(entry) = fields.given("tags") {
            header.tags = texts(entry, found);
        }
        if let Some(entry) = fields.given("properties") {
            texts(entry, found);
        }
        if let Some(entry) = fields.given("compute") {
            header.compute = trial::compute_name(&entry.value);
            if header.compute.is_none() {
                scalars::wrong(entry, "the name of a compute target", found);
            }
        }
        // Read by Azure ML only, or written by it when a job is exported.
        fields.know(&[
            "$schema",
            "identity",
            "services",
            "id",
            "status",
            "creation_context",
            "log_files",
        ]);
        if let Some(entry) = fields.given("overdrive") {
            found
                .note(
                    "portability",
                    entry.key_span,
                    "Azure ML refuses job files with an `overdrive` section",
                )
                .help("a file `overdrive.yml` beside this one does the same and leaves it portable");
            header.section = Section::read(&entry.value, found).unwrap_or_default();
        }
        header
    }

    pub(crate) fn into_experiment(self, dialect: Dialect, launch: Launch, sweep: Sweep) -> Experiment {
        Experiment {
            name: self.experiment_name.unwrap_or_default(),
            display_name: self.display_name.or(self.name),
            description: self.description,
            tags: self.tags,
            dialect,
            file: None,
            space: sweep.space,
            sampler: sweep.sampler,
            policy: sweep.policy,
            metric: sweep.metric,
            metrics: Vec::new(),
            limits: sweep.limits,
            abort_after_initial_failures: super::ABORT_AFTER_INITIAL_FAILURES,
            max_retries: super::MAX_RETRIES,
            launch,
            targets: vec![self.compute.unwrap_or_else(|| "local".to_owned())],
            enqueue: Vec::new(),
            resume_from: Vec::new(),
            stop_when: None,
            extensions: serde_json::Map::new(),
        }
    }
}

/// Names of inputs, outputs and hyperparameters: `^[a-zA-Z_]+[a-zA-Z0-9_]*$`.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Puts `--set` values into the document.
pub(crate) fn apply_settings(root: &mut Node, settings: &[Setting], found: &mut Diagnostics) {
    for (path, value) in settings {
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        // Complaints about the value go to the place that it replaces.
        let mut place = &*root;
        for key in &keys {
            match place.get(key) {
                Some(inner) => place = inner,
                None => break,
            }
        }
        let span = place.span;
        let mut value = value.clone();
        respan(&mut value, span);
        if !root.set(&keys, value) {
            found
                .error(
                    "setting",
                    span,
                    format!("`--set {}` goes through a value that is no map", path.join(".")),
                )
                .label("this one");
        }
    }
}

fn respan(node: &mut Node, span: diagnostic::Span) {
    node.span = span;
    match &mut node.kind {
        diagnostic::Kind::Seq(items) => items.iter_mut().for_each(|item| respan(item, span)),
        diagnostic::Kind::Map(entries) => {
            for entry in entries {
                entry.key_span = span;
                respan(&mut entry.value, span);
            }
        }
        _ => {}
    }
}
