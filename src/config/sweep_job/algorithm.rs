//! `sampling_algorithm`: a name, or a map with seed, rule and base of logarithms.

use super::space::Space;
use crate::config::command_job::scalars::{integer, word};
use crate::diagnostic::{Diagnostics, Entry, Fields, Kind, Span, Unknown};
use crate::space::Distribution;

/// The algorithm as the samplers know it.
#[derive(Debug)]
pub(super) struct Algorithm {
    pub kind: &'static str,
    pub seed: Option<u64>,
    logbase: Option<(f64, Span)>,
    span: Option<Span>,
}

impl Default for Algorithm {
    fn default() -> Self {
        Self {
            kind: "random",
            seed: None,
            logbase: None,
            span: None,
        }
    }
}

const KINDS: &[&str] = &["random", "grid", "bayesian"];

pub(super) fn read(entry: &Entry, found: &mut Diagnostics) -> Option<Algorithm> {
    if entry.value.as_map().is_none() {
        let kind = word(entry, "unknown-sampler", KINDS, found);
        if kind.is_none()
            && entry
                .value
                .as_str()
                .is_some_and(|text| text.eq_ignore_ascii_case("sobol"))
        {
            found.advise_last("Sobol points are a rule of random sampling:  {type: random, rule: sobol}");
        }
        return Some(Algorithm {
            kind: kind?,
            span: Some(entry.value.span),
            ..Algorithm::default()
        });
    }
    let mut fields = Fields::open(&entry.value, "`sampling_algorithm`", found)?;
    let kind = fields
        .required("type", found)
        .and_then(|entry| Some((word(entry, "unknown-sampler", KINDS, found)?, entry.value.span)));
    let (kind, span) = kind?;
    let mut algorithm = Algorithm {
        kind,
        span: Some(span),
        ..Algorithm::default()
    };
    if kind == "random" {
        algorithm.seed = fields
            .given("seed")
            .and_then(|entry| integer(entry, found))
            .map(i64::cast_unsigned);
        if let Some(entry) = fields.given("rule")
            && word(entry, "unknown-rule", &["random", "sobol"], found)? == "sobol"
        {
            algorithm.kind = "sobol";
        }
        if let Some(entry) = fields.given("logbase") {
            algorithm.logbase = Some((logbase(entry, found)?, entry.value.span));
        }
    }
    fields.finish(Unknown::Refuse, found);
    Some(algorithm)
}

fn logbase(entry: &Entry, found: &mut Diagnostics) -> Option<f64> {
    let value = match &entry.value.kind {
        Kind::Int(value) => Some(*value as f64),
        Kind::Float(value) => Some(*value),
        Kind::Str(text) if text.trim() == "e" => Some(std::f64::consts::E),
        Kind::Str(text) => text.trim().parse().ok(),
        _ => None,
    };
    let value = value.filter(|value: &f64| value.is_finite() && *value > 0.0 && *value != 1.0);
    if value.is_none() {
        found
            .error(
                "argument-range",
                entry.value.span,
                "`logbase` must be a base of logarithms",
            )
            .label(entry.value.describe())
            .expected("`e`, or a number above 0 other than 1");
    }
    value
}

/// Draws by powers of `logbase`; whether the distribution is one of those that do. Powers of a base below 1 are those of its
/// inverse with the sign of the exponent turned, so that a distribution always grows with its exponent.
fn rebase(distribution: &mut Distribution, logbase: f64) -> bool {
    let turned = logbase < 1.0;
    let power = if turned { logbase.recip() } else { logbase };
    match distribution {
        Distribution::Loguniform { low, high, base } | Distribution::Qloguniform { low, high, base, .. } => {
            if turned {
                (*low, *high) = (-*high, -*low);
            }
            *base = power;
        }
        Distribution::Lognormal { mu, base, .. } | Distribution::Qlognormal { mu, base, .. } => {
            if turned {
                *mu = -*mu;
            }
            *base = power;
        }
        _ => return false,
    }
    true
}

/// Whether the algorithm suits the space; puts the base into its logarithmic distributions.
pub(super) fn suits(algorithm: &Algorithm, space: &mut Space, found: &mut Diagnostics) {
    if let Some((logbase, span)) = algorithm.logbase {
        let mut used = false;
        for parameter in &mut space.space.parameters {
            used |= rebase(&mut parameter.distribution, logbase);
        }
        if !used {
            found
                .warning("no-effect", span, "`logbase` has no effect here")
                .label("no parameter is drawn by its logarithm");
        }
    }
    for (parameter, span) in space.space.parameters.iter().zip(&space.spans) {
        let distribution = &parameter.distribution;
        if let Some(mistake) = distribution.mistake() {
            found
                .error(
                    "argument-range",
                    *span,
                    format!("`{}` cannot be drawn", parameter.name),
                )
                .label(mistake);
        }
        match algorithm.kind {
            "grid" if !matches!(distribution, Distribution::Choice { .. }) => {
                let diagnostic = found.error(
                    "sampler-space",
                    *span,
                    format!("grid sampling needs a finite list for `{}`", parameter.name),
                );
                if let Some(grid) = algorithm.span {
                    diagnostic.also(grid, "grid requested here");
                }
                diagnostic.help("use `choice`, or random or bayesian sampling");
            }
            "bayesian"
                if !matches!(
                    distribution,
                    Distribution::Choice { .. }
                        | Distribution::Uniform { .. }
                        | Distribution::Quniform { .. }
                ) =>
            {
                found.note(
                    "portability",
                    *span,
                    "Azure ML's Bayesian sampling takes choice, uniform and quniform only",
                );
            }
            _ => {}
        }
    }
}
