//! The section put into an experiment; what depends on the space is checked here.

use super::freeze::Freeze;
use super::{Deferred, Placed, Section, enqueue};
use crate::config::Experiment;
use crate::config::expression::clip;
use crate::config::hyperdrive::{sampler_called, sampler_names};
use crate::controller::StopWhen;
use crate::controller::stop_when::TERMS;
use crate::diagnostic::{Diagnostic, Diagnostics, Span, list, nearest_or_synonym};
use crate::policy::{PolicySpec, Trigger};
use crate::space::Constraint;
use std::sync::Arc;

impl Section {
    /// Puts the settings into `experiment`; returns what is wrong with those that depend on the space or on what is registered
    /// (`constraints`, `enqueue`, `sampler`).
    pub fn apply(self, experiment: &mut Experiment) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        if let Some(seed) = self.seed {
            experiment.sampler.seed = seed;
        }
        if let Some(choice) = self.sampler {
            if let Some(kind) = choice.kind {
                match sampler_called(&kind.text) {
                    Some(name) => name.clone_into(&mut experiment.sampler.kind),
                    None => diagnostics.push(unknown_sampler(&kind)),
                }
            }
            experiment.sampler.options.extend(choice.options);
        }
        if let Some(allow) = self.allow_duplicates {
            experiment.sampler.allow_duplicates = allow;
        }
        if let Some(priors) = self.priors {
            set_priors(experiment, &priors, &mut diagnostics);
        }
        if self.clip == Some(true) {
            for parameter in &mut experiment.space.parameters {
                clip(&mut parameter.distribution);
            }
        }
        add_constraints(experiment, self.constraints.unwrap_or_default(), &mut diagnostics);
        set(&mut experiment.policy, self.policy);
        if let Some(freeze) = &self.freeze {
            set_freeze(experiment, freeze, &mut diagnostics);
        }
        set_policy(
            &mut experiment.policy,
            self.trigger,
            self.literal,
            self.exclude_finished_jobs,
        );
        for deferred in self.enqueue.unwrap_or_default() {
            let mut found = Diagnostics::new(&deferred.source);
            if let Some(assignment) = enqueue::assignment(
                &deferred.node,
                &experiment.space,
                &experiment.launch.parameters,
                &mut found,
            ) {
                for text in &experiment.space.constraints {
                    let constraint = Constraint::compile(text, &experiment.space);
                    if constraint.is_ok_and(|constraint| !constraint.holds(&assignment)) {
                        found
                            .error(
                                "enqueue",
                                deferred.node.span,
                                "a configuration to try first breaks a constraint",
                            )
                            .label(format!("`{text}` does not hold"));
                    }
                }
                experiment.enqueue.push(assignment);
            }
            diagnostics.extend(found.sorted());
        }
        set(&mut experiment.targets, self.targets);
        set(&mut experiment.resume_from, self.resume_from);
        set(&mut experiment.metrics, self.metrics);
        set(&mut experiment.tags, self.tags);
        set(
            &mut experiment.abort_after_initial_failures,
            self.abort_after_initial_failures,
        );
        set(&mut experiment.max_retries, self.max_retries);
        if let Some(condition) = self.stop_when {
            set_stop_when(experiment, condition, &mut diagnostics);
        }
        set(
            &mut experiment.launch.trial_timeout_ms,
            self.trial_timeout_ms.map(Some),
        );
        set(&mut experiment.display_name, self.display_name.map(Some));
        set(&mut experiment.description, self.description.map(Some));
        experiment.extensions.extend(self.extensions);
        diagnostics
    }
}

/// What is believed of good values, for samplers that learn; the sampler says what it cannot understand.
fn set_priors(experiment: &mut Experiment, priors: &Deferred, diagnostics: &mut Vec<Diagnostic>) {
    let beliefs = priors.node.to_json();
    let space = Arc::new(experiment.space.clone());
    match crate::sampler::refused_priors(&experiment.sampler.kind, &space, &beliefs) {
        None => {
            experiment.sampler.options.insert("priors".into(), beliefs);
        }
        Some(reason) => {
            let mut found = Diagnostics::new(&priors.source);
            found
                .error("priors", priors.node.span, "`priors` cannot be understood")
                .label(reason);
            diagnostics.extend(found.sorted());
        }
    }
}

/// Trials are frozen or not, for policies that can.
fn set_freeze(experiment: &mut Experiment, freeze: &Freeze, diagnostics: &mut Vec<Diagnostic>) {
    if !experiment.policy.set_freeze(freeze.on) && freeze.on {
        let mut found = Diagnostics::new(&freeze.source);
        found
            .error("freeze", freeze.span, "the policy of this sweep freezes nobody")
            .label("nothing to freeze")
            .help("policies that do: ASHA, Hyperband, Predictive; write  policy: {type: ASHA}");
        diagnostics.extend(found.sorted());
    }
    if let Ok(limits) = serde_json::to_value(freeze.limits) {
        experiment
            .extensions
            .insert(crate::config::FREEZE_LIMITS.to_owned(), limits);
    }
}

fn unknown_sampler(kind: &Placed) -> Diagnostic {
    let mut found = Diagnostics::new(&kind.source);
    let diagnostic = found.error(
        "unknown-sampler",
        kind.span,
        format!("`{}` is not a sampler", kind.text),
    );
    let names = sampler_names();
    diagnostic.expected(list(names.iter().copied()));
    if let Some(near) = nearest_or_synonym(&kind.text, &names) {
        diagnostic.suggest(kind.span, near);
    }
    diagnostic.clone()
}

/// Takes over the constraints that can be understood, reports the others at the character where understanding ended.
fn add_constraints(experiment: &mut Experiment, constraints: Vec<Placed>, diagnostics: &mut Vec<Diagnostic>) {
    for constraint in constraints {
        match Constraint::compile(&constraint.text, &experiment.space) {
            Ok(_) => experiment.space.constraints.push(constraint.text),
            Err(error) => {
                let mut found = Diagnostics::new(&constraint.source);
                // Escapes and folded lines move the letters; then the whole text is underlined.
                let within = constraint.source.slice(constraint.span).find(&constraint.text);
                let byte = constraint.text.char_indices().nth(error.column.saturating_sub(1));
                let span = match (within, byte) {
                    (Some(offset), Some((byte, letter))) => {
                        let start = constraint.span.start + offset + byte;
                        Span::new(start, start + letter.len_utf8())
                    }
                    _ => constraint.span,
                };
                found
                    .error("constraint", span, "a constraint cannot be understood")
                    .label(error.reason);
                diagnostics.extend(found.sorted());
            }
        }
    }
}

/// Samplers that predict the value of what they propose.
const EXPECTING: [&str; 3] = ["bayesian", "random_forest", "auto"];

/// Takes a condition that is understood.
fn set_stop_when(experiment: &mut Experiment, condition: Placed, diagnostics: &mut Vec<Diagnostic>) {
    let error = match StopWhen::parse(&condition.text) {
        Ok(parsed) => {
            let kind = experiment.sampler.kind.as_str();
            if parsed.asks_for_gain() && !EXPECTING.contains(&kind) {
                let mut found = Diagnostics::new(&condition.source);
                let message = format!(
                    "`{kind}` sampling expects nothing: no comparison with `expected_gain` will hold"
                );
                found
                    .warning("expects-nothing", condition.span, message)
                    .help(format!("samplers that do: {}", EXPECTING.join(", ")));
                diagnostics.extend(found.sorted());
            }
            experiment.stop_when = Some(condition.text);
            return;
        }
        Err(error) => error,
    };
    let mut found = Diagnostics::new(&condition.source);
    // Escapes and folded lines move the letters; then the whole text is underlined.
    let within = condition.source.slice(condition.span).find(&condition.text);
    let byte = |column: usize| {
        let mut letters = condition.text.char_indices().map(|(byte, _)| byte);
        letters.nth(column).unwrap_or(condition.text.len())
    };
    let begin = error.column.saturating_sub(1);
    let span = match within {
        Some(offset) if byte(begin) < condition.text.len() => {
            let start = condition.span.start + offset;
            Span::new(start + byte(begin), start + byte(begin + error.length))
        }
        _ => condition.span,
    };
    let names = TERMS.map(|(name, _)| name);
    let diagnostic = found.error("stop-when", span, "`stop_when` cannot be understood");
    diagnostic.label(error.reason);
    if let Some(word) = &error.unknown {
        diagnostic.expected(list(names));
        if let Some(near) = nearest_or_synonym(word, &names) {
            diagnostic.help(format!("did you mean `{near}`?"));
        }
    }
    diagnostics.extend(found.sorted());
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn set_policy(
    policy: &mut PolicySpec,
    judged: Option<Trigger>,
    raw: Option<bool>,
    running_only: Option<bool>,
) {
    match policy {
        PolicySpec::Bandit { literal, trigger, .. } => {
            set(literal, raw);
            set(trigger, judged);
        }
        PolicySpec::MedianStopping { trigger, .. } => set(trigger, judged),
        PolicySpec::TruncationSelection {
            exclude_finished_jobs,
            trigger,
            ..
        } => {
            set(exclude_finished_jobs, running_only);
            set(trigger, judged);
        }
        _ => {}
    }
}
