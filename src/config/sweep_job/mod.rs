//! v2 sweep jobs: `type: sweep` in today's form, the 2021 previews, the REST body, and one sweep step of a pipeline.
//!
//! The document is brought to today's form first (`preview`, `rest`, `pipeline`), then read once. What Azure ML's client
//! accepts loads here with the same meaning; what it leaves to the service to refuse is refused with a reason.

mod algorithm;
mod limits;
mod pipeline;
mod policy;
mod preview;
mod rest;
mod space;

use super::command_job::{
    Header, Job, JobContext, Known, Sweep, apply_settings, data, sampler, scalars, trial,
};
use super::{Dialect, MetricSpec, ParameterBinding, Reading};
use crate::diagnostic::{self, Diagnostics, Fields, Node, Source, Unknown, parse};
use crate::metric::Goal;
use std::sync::Arc;

/// Reads a v2 sweep job, or a pipeline with a sweep step.
pub fn read(source: &Arc<Source>, context: &JobContext<'_>) -> Reading<Job> {
    let document = parse(source, diagnostic::Dialect::Yaml11);
    let mut found = Diagnostics::new(source);
    found.extend(document.diagnostics);
    let value = document.root.and_then(|mut root| {
        apply_settings(&mut root, context.settings, &mut found);
        if pipeline::is_pipeline(&root) {
            return pipeline::read(&root, context, &mut found);
        }
        rest::to_yaml_form(&mut root);
        let preview = preview::modernise(&mut root, &mut found);
        read_root(&root, context, preview, &mut found)
    });
    let value = value.filter(|_| !found.has_errors());
    Reading {
        value,
        diagnostics: found.sorted(),
    }
}

fn read_root(root: &Node, context: &JobContext<'_>, preview: bool, found: &mut Diagnostics) -> Option<Job> {
    let mut fields = Fields::open(root, "the file", found)?;
    let header = Header::read(&mut fields, "sweep", found);
    let inputs = fields
        .given("inputs")
        .map(|entry| data::inputs(entry, context, found))
        .unwrap_or_default();
    let outputs = fields
        .given("outputs")
        .map(|entry| data::outputs(entry, found))
        .unwrap_or_default();
    let parts = Parts::read(&mut fields, context, preview, found);
    let trial = fields.required("trial", found).and_then(|entry| {
        if entry.value.as_str().is_some() {
            found
                .error(
                    "argument-type",
                    entry.value.span,
                    "`trial` must be written out here",
                )
                .label("a component file is for the steps of a pipeline");
            return None;
        }
        let mut fields = Fields::open(&entry.value, "`trial`", found)?;
        let trial = trial::read(&mut fields, context, found);
        fields.finish(Unknown::Refuse, found);
        Some(trial)
    });
    let nodes = fields
        .given("resources")
        .and_then(|entry| trial::resources(entry, found));
    if let Some(entry) = fields.given("queue_settings") {
        trial::queue_settings(entry, found);
    }
    fields.finish(Unknown::Refuse, found);

    let mut trial = trial?;
    trial.nodes = nodes.unwrap_or(trial.nodes);
    let parts = parts?;
    let known = Known {
        parameters: parts
            .bindings
            .iter()
            .map(|binding| binding.name.as_str())
            .collect(),
        single: false,
    };
    let launch = trial.into_launch(inputs, outputs, &known, root.to_json(), found)?;
    Some(parts.into_job(header, launch))
}

/// What is about the search, not about the trial.
struct Parts {
    bindings: Vec<ParameterBinding>,
    sweep: Sweep,
    seed: Option<u64>,
    trial_timeout_ms: Option<u64>,
}

impl Parts {
    fn read(
        fields: &mut Fields<'_>,
        context: &JobContext<'_>,
        preview: bool,
        found: &mut Diagnostics,
    ) -> Option<Self> {
        let algorithm = match fields.given("sampling_algorithm") {
            Some(entry) => algorithm::read(entry, found),
            None => Some(algorithm::Algorithm::default()),
        };
        let space = fields
            .required("search_space", found)
            .and_then(|entry| space::read(entry, preview, found));
        let metric = fields
            .required("objective", found)
            .and_then(|entry| objective(&entry.value, found));
        let limits = fields
            .required("limits", found)
            .and_then(|entry| limits::read(&entry.value, context.timeout_floor, found));
        let policy = policy::read(fields.given("early_termination"), found);
        let (algorithm, mut space, limits) = (algorithm?, space?, limits?);
        algorithm::suits(&algorithm, &mut space, found);
        Some(Self {
            bindings: space.bindings,
            seed: algorithm.seed,
            trial_timeout_ms: limits.trial_timeout_ms,
            sweep: Sweep {
                space: space.space,
                sampler: sampler(algorithm.kind),
                policy: policy?,
                metric: Some(metric?),
                limits: limits.limits,
            },
        })
    }

    fn into_job(self, header: Header, mut launch: super::Launch) -> Job {
        launch.parameters = self.bindings;
        launch.trial_timeout_ms = self.trial_timeout_ms;
        Job {
            seed: self.seed,
            section: header.section.clone(),
            experiment: header.into_experiment(Dialect::SweepJob, launch, self.sweep),
        }
    }
}

fn objective(node: &Node, found: &mut Diagnostics) -> Option<MetricSpec> {
    let mut fields = Fields::open(node, "`objective`", found)?;
    let goal = fields
        .required("goal", found)
        .and_then(|entry| found.word(entry, "bad-goal", &["minimize", "maximize"]));
    let name = fields.required("primary_metric", found).and_then(|entry| {
        let name = found.text(entry)?;
        if name.is_empty() {
            scalars::wrong(entry, "the name that the script logs", found);
            return None;
        }
        Some(name)
    });
    fields.finish(Unknown::Refuse, found);
    Some(MetricSpec {
        goal: if goal? == "maximize" {
            Goal::Maximize
        } else {
            Goal::Minimize
        },
        name: name?,
    })
}
