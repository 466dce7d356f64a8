//! The `overdrive` section: what Azure ML's files cannot say.
//!
//! It stands in an hdconfig file (whose old readers ignore it), in a file `overdrive.yml` beside any file, or comes as `--set
//! KEY=VALUE`. Each is read into a [`Section`] of its own; [`Section::over`] stacks them, [`Section::apply`] puts the result into
//! an experiment.

mod apply;
mod enqueue;
mod freeze;

use super::Reading;
use crate::diagnostic::{
    self, Diagnostic, Diagnostics, Entry, Fields, Kind, Node, Severity, Source, Span, Unknown, parse,
};
use crate::policy::{PolicySpec, Trigger};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// All keys of the section.
pub const KEYS: [&str; 34] = [
    "seed",
    "policy",
    "freeze",
    "targets",
    "stop_when",
    "priors",
    "constraints",
    "enqueue",
    "resume_from",
    "metrics",
    "abort_after_initial_failures",
    "max_retries",
    "trial_timeout",
    "sampler",
    "allow_duplicates",
    "trigger",
    "literal",
    "exclude_finished_jobs",
    "clip",
    "render",
    "display_name",
    "description",
    "tags",
    "allow_duplicate_arguments",
    "datastores",
    "datasets",
    "data_map",
    "grace_seconds",
    "log_cap_mib",
    "azureml_shim",
    "mlflow_endpoint",
    "mlflow_create",
    "lost_contact_minutes",
    "amlcompute_on",
];

/// A text that another room will look into (a constraint, a condition), with its place for what that room has to say.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
    /// In which file.
    pub source: Arc<Source>,
}

/// A value that can only be understood once the space is known.
#[derive(Clone, Debug)]
struct Deferred {
    node: Node,
    source: Arc<Source>,
}

/// `sampler: NAME` or `sampler: {type: NAME, OPTION: ...}`.
#[derive(Clone, Debug)]
pub struct SamplerChoice {
    /// The sampler, if it is to be another than the file names.
    pub kind: Option<Placed>,
    /// Options by name; the sampler knows what they mean.
    pub options: Map<String, Json>,
}

/// The section. Absent settings leave the experiment as it is.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Seed of every random draw.
    pub seed: Option<u64>,
    /// Names of compute targets.
    pub targets: Option<Vec<String>>,
    /// Condition that ends the sweep early.
    pub stop_when: Option<Placed>,
    /// Conditions between parameters.
    pub constraints: Option<Vec<Placed>>,
    enqueue: Option<Vec<Deferred>>,
    priors: Option<Deferred>,
    /// Earlier sweeps whose trials are data.
    pub resume_from: Option<Vec<String>>,
    /// Further metrics to look for.
    pub metrics: Option<Vec<String>>,
    /// End the sweep when so many first trials failed without a report; 0 = never.
    pub abort_after_initial_failures: Option<u64>,
    /// New attempts after infrastructure faults.
    pub max_retries: Option<u32>,
    /// Hard limit of one trial in milliseconds.
    pub trial_timeout_ms: Option<u64>,
    /// Another sampler, or options of the one that the file names.
    pub sampler: Option<SamplerChoice>,
    /// Whether one configuration may be tried twice.
    pub allow_duplicates: Option<bool>,
    /// A policy of overdrive's own instead of the file's.
    pub policy: Option<PolicySpec>,
    freeze: Option<freeze::Freeze>,
    /// Whom the policy judges.
    pub trigger: Option<Trigger>,
    /// Bandit by the raw ratio also for negative metrics.
    pub literal: Option<bool>,
    /// Truncation ranks only running trials.
    pub exclude_finished_jobs: Option<bool>,
    /// Keep quantized draws inside their bounds.
    pub clip: Option<bool>,
    /// Name for people.
    pub display_name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Tags.
    pub tags: Option<indexmap::IndexMap<String, String>>,
    /// Settings that other rooms read by name.
    pub extensions: Map<String, Json>,
}

impl Section {
    /// Reads a file `overdrive.yml`: the keys at top level, or under one key `overdrive`.
    pub fn from_file(source: &Arc<Source>) -> Reading<Self> {
        let document = parse(source, diagnostic::Dialect::Yaml12);
        let mut found = Diagnostics::new(source);
        found.extend(document.diagnostics);
        let value = document.root.and_then(|root| {
            if root.is_null() {
                return Some(Self::default());
            }
            match root.as_map() {
                Some([only]) if only.key == "overdrive" => Self::read(&only.value, &mut found),
                _ => Self::read(&root, &mut found),
            }
        });
        finish(value, found)
    }

    /// Reads one `KEY=VALUE` of the command line; the key may have dots (`render.quantized=float`), the value is YAML.
    pub fn from_setting(argument: &str) -> Reading<Self> {
        let source = Source::new("--set", argument);
        let mut found = Diagnostics::new(&source);
        let Some((key, value)) = argument.split_once('=') else {
            found
                .error(
                    "setting",
                    Span::new(0, argument.len()),
                    "a setting is written  KEY=VALUE",
                )
                .expected(diagnostic::list(KEYS));
            return finish(None, found);
        };
        // Blanks in place of the key keep the places of the value right.
        let padded = format!("{}{value}", " ".repeat(key.len() + 1));
        let document = parse(&Source::new("--set", padded), diagnostic::Dialect::Yaml12);
        for mut diagnostic in document.diagnostics {
            diagnostic.source = Some(Arc::clone(&source));
            found.extend([diagnostic]);
        }
        let key_span = Span::new(0, key.len());
        let section = document.root.and_then(|value| {
            let root = key.rsplit('.').fold(value, |value, part| Node {
                kind: Kind::Map(vec![Entry {
                    key: part.to_owned(),
                    key_span,
                    value,
                }]),
                span: Span::new(0, argument.len()),
                raw: String::new(),
                quoted: false,
            });
            Self::read(&root, &mut found)
        });
        finish(section, found)
    }

    /// Reads the map `node`; `None` if it is none. Single settings that are wrong are reported and left out.
    pub fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        if node.is_null() {
            return Some(Self::default());
        }
        let mut fields = Fields::open(node, "the `overdrive` section", found)?;
        let mut section = Self::default();
        section.read_search(&mut fields, found);
        section.read_running(&mut fields, found);
        section.read_rest(&mut fields, found);
        fields.finish(Unknown::Refuse, found);
        Some(section)
    }

    fn read_search(&mut self, fields: &mut Fields<'_>, found: &mut Diagnostics) {
        self.seed = fields
            .given("seed")
            .and_then(|entry| found.integer(entry, 0, i64::MAX))
            .map(i64::unsigned_abs);
        self.stop_when = fields.given("stop_when").and_then(|entry| {
            let text = found.text(entry)?;
            Some(placed(text, &entry.value, found))
        });
        self.constraints = fields
            .given("constraints")
            .and_then(|entry| placed_texts(entry, found));
        self.enqueue = fields
            .given("enqueue")
            .and_then(|entry| deferred_maps(entry, found));
        self.priors = fields.given("priors").map(|entry| Deferred {
            node: entry.value.clone(),
            source: found.source().clone(),
        });
        self.resume_from = fields.given("resume_from").and_then(|entry| found.texts(entry));
        if let Some(entry) = fields.optional("resume_from")
            && self.resume_from.as_ref().is_some_and(|sweeps| sweeps.len() > 5)
        {
            found.note(
                "portability",
                entry.key_span,
                "Azure ML takes at most 5 earlier sweeps",
            );
        }
        self.metrics = fields.given("metrics").and_then(|entry| found.texts(entry));
        self.sampler = fields
            .given("sampler")
            .and_then(|entry| read_sampler(entry, found));
        self.allow_duplicates = fields
            .given("allow_duplicates")
            .and_then(|entry| found.boolean(entry));
        self.clip = fields.given("clip").and_then(|entry| found.boolean(entry));
    }

    fn read_running(&mut self, fields: &mut Fields<'_>, found: &mut Diagnostics) {
        self.targets = fields.given("targets").and_then(|entry| found.texts(entry));
        if let Some(entry) = fields.given("targets")
            && self.targets.as_ref().is_some_and(Vec::is_empty)
        {
            found
                .error("argument-range", entry.value.span, "`targets` names no target")
                .help("write  targets: [local]");
        }
        self.abort_after_initial_failures = fields
            .given("abort_after_initial_failures")
            .and_then(|entry| found.integer(entry, 0, 1_000_000))
            .map(i64::unsigned_abs);
        self.max_retries = fields
            .given("max_retries")
            .and_then(|entry| found.integer(entry, 0, 1000))
            .and_then(|value| u32::try_from(value).ok());
        self.trial_timeout_ms = fields
            .given("trial_timeout")
            .and_then(|entry| duration_ms(entry, found));
        self.policy = fields
            .given("policy")
            .and_then(|entry| crate::config::hyperdrive::chosen_policy(entry, found));
        self.freeze = fields
            .given("freeze")
            .and_then(|entry| freeze::read(entry, found));
        self.trigger = fields
            .given("trigger")
            .and_then(|entry| found.word(entry, "bad-trigger", &["sweep", "reporter"]))
            .map(|word| {
                if word == "sweep" {
                    Trigger::Sweep
                } else {
                    Trigger::Reporter
                }
            });
        self.literal = fields.given("literal").and_then(|entry| found.boolean(entry));
        self.exclude_finished_jobs = fields
            .given("exclude_finished_jobs")
            .and_then(|entry| found.boolean(entry));
    }

    fn read_rest(&mut self, fields: &mut Fields<'_>, found: &mut Diagnostics) {
        self.display_name = fields.given("display_name").and_then(|entry| found.text(entry));
        self.description = fields.given("description").and_then(|entry| found.text(entry));
        self.tags = fields.given("tags").and_then(|entry| text_map(entry, found));
        if let Some(entry) = fields.given("render") {
            self.read_render(entry, found);
        }
        for key in ["allow_duplicate_arguments", "azureml_shim", "mlflow_endpoint"] {
            if let Some(entry) = fields.given(key)
                && let Some(value) = found.boolean(entry)
            {
                self.extensions.insert(key.to_owned(), Json::from(value));
            }
        }
        if let Some(entry) = fields.given("mlflow_create")
            && let Some(word) = found.word(entry, "unknown-value", &["trial", "child"])
        {
            self.extensions
                .insert("mlflow_create".to_owned(), Json::from(word));
        }
        // Where data behind names lies; `data_map` says more about them.
        for key in ["datastores", "datasets", "data_map"] {
            if let Some(entry) = fields.given(key)
                && let Some(table) = text_map(entry, found)
            {
                self.extensions.insert(key.to_owned(), Json::from_iter(table));
            }
        }
        if let Some(entry) = fields.given("amlcompute_on")
            && let Some(name) = found.text(entry)
        {
            self.extensions
                .insert("amlcompute_on".to_owned(), Json::from(name));
        }
        for (key, high) in [
            ("grace_seconds", 86_400),
            ("log_cap_mib", 1 << 20),
            ("lost_contact_minutes", 525_600),
        ] {
            if let Some(entry) = fields.given(key)
                && let Some(value) = found.integer(entry, 1, high)
            {
                self.extensions.insert(key.to_owned(), Json::from(value));
            }
        }
    }

    fn read_render(&mut self, entry: &Entry, found: &mut Diagnostics) {
        let Some(mut fields) = Fields::open(&entry.value, "`render`", found) else {
            return;
        };
        let mut render = Map::new();
        if let Some(entry) = fields.given("quantized")
            && let Some(word) = found.word(entry, "bad-rendering", &["int", "float"])
        {
            render.insert("quantized".to_owned(), Json::from(word));
        }
        if let Some(entry) = fields.given("raw_substitution")
            && let Some(value) = found.boolean(entry)
        {
            render.insert("raw_substitution".to_owned(), Json::from(value));
        }
        fields.finish(Unknown::Refuse, found);
        self.extensions.insert("render".to_owned(), Json::Object(render));
    }

    /// This section where it says something, else `lower`. Lists replace each other; `render` is merged by key.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        let mut extensions = lower.extensions;
        for (key, value) in self.extensions {
            match (extensions.get_mut(&key), value) {
                (Some(Json::Object(under)), Json::Object(over)) => under.extend(over),
                (_, value) => {
                    extensions.insert(key, value);
                }
            }
        }
        Self {
            seed: self.seed.or(lower.seed),
            targets: self.targets.or(lower.targets),
            stop_when: self.stop_when.or(lower.stop_when),
            constraints: self.constraints.or(lower.constraints),
            enqueue: self.enqueue.or(lower.enqueue),
            priors: self.priors.or(lower.priors),
            resume_from: self.resume_from.or(lower.resume_from),
            metrics: self.metrics.or(lower.metrics),
            abort_after_initial_failures: self
                .abort_after_initial_failures
                .or(lower.abort_after_initial_failures),
            max_retries: self.max_retries.or(lower.max_retries),
            trial_timeout_ms: self.trial_timeout_ms.or(lower.trial_timeout_ms),
            sampler: self.sampler.or(lower.sampler),
            allow_duplicates: self.allow_duplicates.or(lower.allow_duplicates),
            policy: self.policy.or(lower.policy),
            freeze: self.freeze.or(lower.freeze),
            trigger: self.trigger.or(lower.trigger),
            literal: self.literal.or(lower.literal),
            exclude_finished_jobs: self.exclude_finished_jobs.or(lower.exclude_finished_jobs),
            clip: self.clip.or(lower.clip),
            display_name: self.display_name.or(lower.display_name),
            description: self.description.or(lower.description),
            tags: self.tags.or(lower.tags),
            extensions,
        }
    }
}

fn finish(value: Option<Section>, found: Diagnostics) -> Reading<Section> {
    let value = value.filter(|_| !found.has_errors());
    Reading {
        value,
        diagnostics: found.sorted(),
    }
}

fn text_map(entry: &Entry, found: &mut Diagnostics) -> Option<indexmap::IndexMap<String, String>> {
    let Some(entries) = entry.value.as_map() else {
        found
            .error(
                "argument-type",
                entry.value.span,
                format!("`{}` must be a map of texts", entry.key),
            )
            .label(entry.value.describe());
        return None;
    };
    entries
        .iter()
        .map(|entry| Some((entry.key.clone(), found.text(entry)?)))
        .collect()
}

fn placed(text: String, node: &Node, found: &Diagnostics) -> Placed {
    Placed {
        text,
        span: node.span,
        source: Arc::clone(found.source()),
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::Seq(items) => items,
        _ => std::slice::from_ref(node),
    }
}

fn placed_texts(entry: &Entry, found: &mut Diagnostics) -> Option<Vec<Placed>> {
    let texts = found.texts(entry)?;
    Some(
        texts
            .into_iter()
            .zip(items(&entry.value))
            .map(|(text, node)| placed(text, node, found))
            .collect(),
    )
}

fn deferred_maps(entry: &Entry, found: &mut Diagnostics) -> Option<Vec<Deferred>> {
    let nodes = items(&entry.value);
    if let Some(other) = nodes.iter().find(|node| node.as_map().is_none()) {
        found
            .error(
                "argument-type",
                other.span,
                "`enqueue` must be a list of configurations",
            )
            .label(other.describe())
            .help("write  - {--lr: 0.01, --layers: 3}");
        return None;
    }
    let source = Arc::clone(found.source());
    Some(
        nodes
            .iter()
            .map(|node| Deferred {
                node: node.clone(),
                source: Arc::clone(&source),
            })
            .collect(),
    )
}

fn read_sampler(entry: &Entry, found: &mut Diagnostics) -> Option<SamplerChoice> {
    if entry.value.as_map().is_none() {
        let text = found.text(entry)?;
        return Some(SamplerChoice {
            kind: Some(placed(text, &entry.value, found)),
            options: Map::new(),
        });
    }
    let mut fields = Fields::open(&entry.value, "`sampler`", found)?;
    let kind = fields
        .given("type")
        .and_then(|entry| found.text(entry).map(|text| placed(text, &entry.value, found)));
    // Each sampler names and checks its own options.
    let options = fields
        .unread()
        .map(|option| (option.key.clone(), option.value.to_json()))
        .collect();
    Some(SamplerChoice { kind, options })
}

/// Seconds as a number, or a number with a unit: `90`, `90s`, `15m`, `2h`, `1d`.
fn duration_ms(entry: &Entry, found: &mut Diagnostics) -> Option<u64> {
    let text = entry.value.as_text().unwrap_or_default().trim();
    let split = text
        .find(|letter: char| letter.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim() {
        "" | "s" => Some(1_000.0),
        "ms" => Some(1.0),
        "m" | "min" => Some(60_000.0),
        "h" => Some(3_600_000.0),
        "d" => Some(86_400_000.0),
        _ => None,
    };
    let milliseconds = number
        .trim()
        .parse::<f64>()
        .ok()
        .zip(factor)
        .map(|(number, factor)| number * factor);
    match milliseconds {
        Some(value) if (1.0..1e15).contains(&value) => Some(value as u64),
        _ => {
            found
                .error(
                    "argument-type",
                    entry.value.span,
                    format!("`{}` must be a time above 0", entry.key),
                )
                .label(entry.value.describe())
                .expected("seconds, or a number with a unit: 90s, 15m, 2h, 1d");
            None
        }
    }
}

/// Whether any of `diagnostics` is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error)
}
