//! The reader of `hdconfig.yml`: sampling, policy, primary metric, limits, and our own `overdrive` section.
//!
//! What the old client accepted loads with the same meaning; what it refused is refused with a reason, or taken with a warning
//! where no harm can come of it. What overdrive takes beyond Azure ML is told under `portability`, one finding each.

mod limits;
mod policy;
mod portability;
mod space;

pub(in crate::config) use policy::chosen as chosen_policy;

use super::overdrive_section::Section;
use super::{Dialect, Experiment, Format, Launch, MetricSpec, ParameterBinding, Reading};
use crate::controller::Limits;
use crate::diagnostic::{
    self, Diagnostics, Entry, Fields, Node, Source, Span, Unknown, list, nearest_or_synonym, parse,
};
use crate::metric::Goal;
use crate::policy::PolicySpec;
use crate::sampler::{self, SamplerSpec};
use crate::space::SearchSpace;
use space::Space;
use std::path::PathBuf;
use std::sync::Arc;

/// The samplers of Azure ML.
const AZURE_SAMPLERS: [&str; 3] = ["random", "grid", "bayesian"];

/// All samplers that a file may name, those of Azure ML first.
pub(crate) fn sampler_names() -> Vec<&'static str> {
    let others = sampler::REGISTRY
        .iter()
        .map(|row| row.kind)
        .filter(|kind| !AZURE_SAMPLERS.contains(kind));
    AZURE_SAMPLERS.into_iter().chain(others).collect()
}

/// The sampler that `text` names, in any case.
pub(crate) fn sampler_called(text: &str) -> Option<&'static str> {
    AZURE_SAMPLERS
        .into_iter()
        .find(|name| name.eq_ignore_ascii_case(text))
        .or_else(|| sampler::find(text).map(|row| row.kind))
}

/// The keys of the file.
const KEYS: [&str; 8] = [
    "sampling",
    "policy",
    "primary_metric_name",
    "primary_metric_goal",
    "max_total_runs",
    "max_concurrent_runs",
    "max_duration_minutes",
    "overdrive",
];

/// What an hdconfig file says; the runconfig adds how a trial is started.
#[derive(Clone, Debug)]
pub struct Hyperdrive {
    /// What to try.
    pub space: SearchSpace,
    /// How the parameters reach the script.
    pub parameters: Vec<ParameterBinding>,
    /// The sampler; its seed is 0 until the section, the command line or chance gives one.
    pub sampler: SamplerSpec,
    /// Whom to stop early.
    pub policy: PolicySpec,
    /// What to optimise.
    pub metric: MetricSpec,
    /// How much.
    pub limits: Limits,
    /// The `overdrive` section, empty if there is none; not applied yet.
    pub section: Section,
}

impl Hyperdrive {
    /// The experiment with `launch` as its way to start a trial (whose `parameters` are replaced by those of this file). The
    /// section is left to [`Section::apply`], since a file beside and the command line have a say in it.
    pub fn into_experiment(
        self,
        name: String,
        file: Option<PathBuf>,
        launch: Launch,
    ) -> (Experiment, Section) {
        let experiment = Experiment {
            name,
            display_name: None,
            description: None,
            tags: indexmap::IndexMap::new(),
            dialect: Dialect::Hyperdrive,
            file,
            space: self.space,
            sampler: self.sampler,
            policy: self.policy,
            metric: Some(self.metric),
            metrics: Vec::new(),
            limits: self.limits,
            abort_after_initial_failures: super::ABORT_AFTER_INITIAL_FAILURES,
            max_retries: super::MAX_RETRIES,
            launch: Launch {
                parameters: self.parameters,
                ..launch
            },
            targets: vec!["local".to_owned()],
            enqueue: Vec::new(),
            resume_from: Vec::new(),
            stop_when: None,
            extensions: serde_json::Map::new(),
        };
        (experiment, self.section)
    }
}

/// The `sampling` section, its space apart.
pub(super) struct Sampling {
    kind: &'static str,
    span: Span,
}

/// Reads a file; the value is there unless an error was found.
pub fn read(source: &Arc<Source>) -> Reading<Hyperdrive> {
    read_with(source, &[])
}

/// [`read`] after changes to the document: dotted path and value (`--set max_total_runs=4`).
pub fn read_with(source: &Arc<Source>, settings: &[super::command_job::Setting]) -> Reading<Hyperdrive> {
    let document = parse(source, diagnostic::Dialect::Yaml12);
    let mut found = Diagnostics::new(source);
    found.extend(document.diagnostics);
    let value = document.root.and_then(|mut root| {
        super::command_job::apply_settings(&mut root, settings, &mut found);
        read_root(&root, &mut found)
    });
    let value = value.filter(|_| !found.has_errors());
    Reading {
        value,
        diagnostics: found.sorted(),
    }
}

fn read_root(root: &Node, found: &mut Diagnostics) -> Option<Hyperdrive> {
    if root.is_null() {
        found
            .error("empty-file", root.span, "the file is empty")
            .help("`overdrive init` writes a file to start from");
        return None;
    }
    match Format::detect(root) {
        None | Some(Format::Hyperdrive | Format::Overdrive) => {}
        Some(other) => {
            let span = root
                .as_map()
                .and_then(|entries| entries.first())
                .map_or(root.span, |entry| entry.key_span);
            let diagnostic = found.error(
                "other-format",
                span,
                format!("this is {}, not an hdconfig file", other.describe()),
            );
            match other {
                Format::Amulet => {
                    diagnostic.help("write its `search` section as  sampling: with  parameter_space:")
                }
                Format::Runconfig => diagnostic.help("give it with `-c`, beside an hdconfig file"),
                _ => diagnostic.help("run it as it is:  overdrive run FILE"),
            };
            return None;
        }
    }
    let mut fields = Fields::open(root, "the file", found)?;
    fields.know(&KEYS);
    let sampling = fields.required("sampling", found);
    let sampling = sampling.and_then(|entry| read_sampling(entry, found));
    let policy = policy::read(fields.optional("policy"), found);
    let metric = read_metric(&mut fields, found);
    let limits = limits::read(&mut fields, found);
    let section = match fields.given("overdrive") {
        Some(entry) => Section::read(&entry.value, found),
        None => Some(Section::default()),
    };
    point_to_section(&mut fields, found);
    fields.finish(Unknown::Warn, found);

    let (sampling, space) = sampling?;
    portability::check_space(&sampling, &space, found);
    if let (Some(limits), Some(policy)) = (&limits, &policy) {
        portability::advise_bayesian(&sampling, space.space.len(), limits, policy, found);
    }
    Some(Hyperdrive {
        space: space.space,
        parameters: space.bindings,
        sampler: SamplerSpec {
            kind: sampling.kind.to_owned(),
            seed: 0,
            allow_duplicates: false,
            options: serde_json::Map::new(),
        },
        policy: policy?,
        metric: metric?,
        limits: limits?,
        section: section?,
    })
}

fn read_sampling(entry: &Entry, found: &mut Diagnostics) -> Option<(Sampling, Space)> {
    let mut fields = Fields::open(&entry.value, "`sampling`", found)?;
    let kind = fields
        .required("type", found)
        .and_then(|entry| Some((read_sampler(entry, found)?, entry.value.span)));
    let space = fields
        .required("parameter_space", found)
        .and_then(|entry| space::read(entry, found));
    fields.finish(Unknown::Warn, found);
    let (kind, span) = kind?;
    Some((Sampling { kind, span }, space?))
}

fn read_sampler(entry: &Entry, found: &mut Diagnostics) -> Option<&'static str> {
    let span = entry.value.span;
    let text = entry.value.as_str().unwrap_or_default();
    if text.eq_ignore_ascii_case("bayesianoptimization") {
        found
            .warning(
                "portability",
                span,
                "`BayesianOptimization` is the name on the wire; files say `bayesian`",
            )
            .suggest(span, "bayesian");
        return Some("bayesian");
    }
    if let Some(name) = sampler_called(text) {
        if !AZURE_SAMPLERS.contains(&name) {
            found.warning(
                "portability",
                span,
                "Azure ML's hdconfig files know random, grid and bayesian sampling only",
            );
        }
        return Some(name);
    }
    let message = match entry.value.as_str() {
        Some(text) => format!("`{text}` is not a sampler"),
        None => "the type of `sampling` must be a text".to_owned(),
    };
    let names = sampler_names();
    let near = nearest_or_synonym(text, &names);
    let diagnostic = found.error("unknown-sampler", span, message);
    diagnostic.expected(list(names.iter().copied()));
    match near {
        Some(near) => diagnostic.suggest(span, near),
        None => diagnostic.label(entry.value.describe()),
    };
    None
}

fn read_metric(fields: &mut Fields<'_>, found: &mut Diagnostics) -> Option<MetricSpec> {
    let before = found.len();
    let name = fields.required("primary_metric_name", found);
    if name.is_none() && found.len() > before {
        found.advise_last("add the name that the script logs, for instance  primary_metric_name: Accuracy");
    }
    let name = name
        .and_then(|entry| found.text(entry))
        .filter(|name| !name.is_empty());
    let goal = fields
        .required("primary_metric_goal", found)
        .and_then(|entry| found.word(entry, "bad-goal", &["maximize", "minimize"]));
    let goal = match goal? {
        "maximize" => Goal::Maximize,
        _ => Goal::Minimize,
    };
    Some(MetricSpec { name: name?, goal })
}

/// Keys of the `overdrive` section written beside it: the old tools ignore them, so they keep having no effect there.
fn point_to_section(fields: &mut Fields<'_>, found: &mut Diagnostics) {
    for key in super::overdrive_section::KEYS {
        if let Some(entry) = fields.optional_unlisted(key) {
            found
                .warning("no-effect", entry.key_span, format!("`{key}` has no effect here"))
                .label("the old tools ignore it")
                .help(format!(
                    "write it in a section of its own:  overdrive: then indented  {key}: ..."
                ));
        }
    }
}
