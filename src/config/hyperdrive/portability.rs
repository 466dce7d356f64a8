//! What Azure ML would not have taken, and what its sampling advice was.

use super::space::Place;
use super::{Sampling, Space};
use crate::controller::Limits;
use crate::diagnostic::{Diagnostics, Span};
use crate::policy::PolicySpec;
use crate::space::{Distribution, Levels, Value};

/// Refuses spaces that a grid cannot list, and notes each use that the old sampler refused.
pub(super) fn check_space(sampling: &Sampling, space: &Space, found: &mut Diagnostics) {
    for (parameter, place) in space.space.parameters.iter().zip(&space.places) {
        match sampling.kind {
            "grid" => check_grid(sampling, &parameter.distribution, place, found),
            "bayesian" => check_bayesian(&parameter.distribution, place, found),
            _ => {}
        }
    }
    if sampling.kind == "bayesian"
        && let Some(place) = space.places.iter().find(|place| place.inner)
    {
        note(
            place.values,
            "Azure ML's bayesian sampling takes no nested options",
            found,
        );
    }
}

fn note(span: Span, text: &str, found: &mut Diagnostics) {
    found.note("portability", span, text);
}

fn check_grid(sampling: &Sampling, distribution: &Distribution, place: &Place, found: &mut Diagnostics) {
    if matches!(distribution, Distribution::Choice { .. }) {
        return;
    }
    if matches!(distribution.levels(), Levels::Finite(_)) {
        let text = format!(
            "Azure ML's grid sampling takes `choice` only; `{}` is written out here",
            place.name
        );
        note(place.expression, &text, found);
        return;
    }
    found
        .error(
            "sampler-space",
            place.expression,
            "grid sampling needs a finite list for every parameter",
        )
        .label(format!("`{}` has infinitely many values", place.name))
        .also(sampling.span, "grid requested here")
        .help(format!(
            "use `choice` for `{}`, or `type: random` / `type: bayesian`",
            place.name
        ));
}

fn check_bayesian(distribution: &Distribution, place: &Place, found: &mut Diagnostics) {
    match distribution {
        Distribution::Choice { options, .. } => {
            let plain = |value: &Value| matches!(value, Value::Int(_) | Value::Float(_) | Value::Str(_));
            let texts = options
                .iter()
                .filter(|value| matches!(value, Value::Str(_)))
                .count();
            if !options.iter().all(plain) {
                note(
                    place.values,
                    "Azure ML's bayesian sampling takes numbers and texts as options only",
                    found,
                );
            } else if texts > 0 && texts < options.len() {
                note(
                    place.values,
                    "Azure ML's bayesian sampling takes numbers or texts as options, not both",
                    found,
                );
            }
        }
        Distribution::Uniform { .. } => {}
        Distribution::Quniform { low, high, q } => {
            if !place.whole {
                note(
                    place.values,
                    "Azure ML's bayesian sampling takes whole numbers in `quniform` only",
                    found,
                );
            } else if (high - low) / q > 100_000.0 {
                note(
                    place.values,
                    "Azure ML's bayesian sampling takes at most 100,000 steps in `quniform`",
                    found,
                );
            }
        }
        _ => note(
            place.expression,
            "Azure ML's bayesian sampling takes `choice`, `uniform` and `quniform` only",
            found,
        ),
    }
}

/// The old advice for the Bayesian sampler: budget, concurrency, no policy.
pub(super) fn advise_bayesian(
    sampling: &Sampling,
    dimensions: usize,
    limits: &Limits,
    policy: &PolicySpec,
    found: &mut Diagnostics,
) {
    if sampling.kind != "bayesian" {
        return;
    }
    let wanted = 20 * dimensions as u64;
    if limits.max_total < wanted {
        found
            .warning("bayesian-budget", sampling.span, "few runs for bayesian sampling")
            .label(format!(
                "{} runs for {dimensions} parameter{}",
                limits.max_total,
                if dimensions == 1 { "" } else { "s" }
            ))
            .help(format!(
                "the rule of thumb is 20 runs per parameter, here  max_total_runs: {wanted}"
            ));
    }
    if limits.max_concurrent > 20 {
        found
            .warning(
                "bayesian-concurrency",
                sampling.span,
                "many concurrent runs for bayesian sampling",
            )
            .label(format!("{} at a time", limits.max_concurrent))
            .help("the model learns from finished runs; at most 20 at a time is the rule of thumb");
    }
    if !matches!(policy, PolicySpec::NoTermination) {
        found
            .warning(
                "bayesian-policy",
                sampling.span,
                "bayesian sampling with an early-termination policy",
            )
            .label("Azure ML's documentation advises against it")
            .help("stopped trials enter the model with their best value so far");
    }
}
