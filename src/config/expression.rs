//! The ten sampling expressions with positional arguments: counts, types, bounds, and what is probably not meant.

use super::literal::{short, value_of};
use crate::diagnostic::{Diagnostics, Kind, Node, Span, nearest};
use crate::space::{Distribution, Value};

/// The names, in the order of the documentation.
pub const EXPRESSIONS: [&str; 10] = [
    "choice",
    "randint",
    "uniform",
    "quniform",
    "loguniform",
    "qloguniform",
    "normal",
    "qnormal",
    "lognormal",
    "qlognormal",
];

/// Beyond this exponent `exp` is no longer finite.
const LARGEST_LOG: f64 = 709.0;

/// An expression as written.
pub(crate) struct Call<'a> {
    /// One of [`EXPRESSIONS`].
    pub name: &'static str,
    /// Its arguments.
    pub values: &'a [Node],
    /// Where the arguments stand.
    pub span: Span,
}

/// The expression that `node` names, in any case (with a warning: the old tools wanted lower case).
pub(crate) fn expression_name(node: &Node, found: &mut Diagnostics) -> Option<&'static str> {
    let text = node.as_text().unwrap_or_default();
    if let Some(name) = EXPRESSIONS.into_iter().find(|name| *name == text) {
        return Some(name);
    }
    if let Some(name) = called(text) {
        found
            .warning(
                "expression-case",
                node.span,
                format!("`{text}` is read as `{name}`"),
            )
            .label("Azure ML takes lower case only")
            .suggest(node.span, name);
        return Some(name);
    }
    unknown(text, node.span, found);
    None
}

/// What the arguments are, in words, and how many.
fn arity(name: &str) -> (usize, &'static str) {
    match name {
        "randint" => (1, "one value, the exclusive upper bound"),
        "uniform" => (2, "two values, the lower and the upper bound"),
        "quniform" => (3, "three values: lower bound, upper bound, step"),
        "loguniform" => (
            2,
            "two values, the natural logarithms of the lower and the upper bound",
        ),
        "qloguniform" => (
            3,
            "three values: natural logarithms of the lower and the upper bound, step",
        ),
        "normal" => (2, "two values, the mean and the standard deviation"),
        "qnormal" => (3, "three values: mean, standard deviation, step"),
        "lognormal" => (
            2,
            "two values, the mean and the standard deviation of the natural logarithm",
        ),
        _ => (
            3,
            "three values: mean and standard deviation of the natural logarithm, step",
        ),
    }
}

/// The distribution; `None` after at least one error.
pub(crate) fn distribution(call: &Call<'_>, found: &mut Diagnostics) -> Option<Distribution> {
    if call.name == "choice" {
        return choice(call, found);
    }
    let (count, meaning) = arity(call.name);
    if call.values.len() != count {
        values_count(call, meaning, found);
        return None;
    }
    if call.name == "randint" {
        return randint(call, found);
    }
    let numbers: Vec<Option<f64>> = call.values.iter().map(|node| number(call, node, found)).collect();
    let numbers: Vec<f64> = numbers.into_iter().collect::<Option<_>>()?;
    let (&a, &b) = (numbers.first()?, numbers.get(1)?);
    let q = match (numbers.get(2), call.values.get(2)) {
        (Some(&q), Some(node)) => quantum(call, q, node, (a, b), found)?,
        _ => 1.0,
    };
    let distribution = of_numbers(call.name, a, b, q);
    if !bounds_hold(call, a, b, found) {
        return None;
    }
    advise(&distribution, call.span, found);
    Some(distribution)
}

/// The distribution of the bounded and normal kinds from their numbers: bounds, or mean and deviation; `q` where there is a step.
pub(crate) fn of_numbers(name: &str, a: f64, b: f64, q: f64) -> Distribution {
    let base = std::f64::consts::E;
    let (low, high, mu, sigma) = (a, b, a, b);
    match name {
        "uniform" => Distribution::Uniform { low, high },
        "quniform" => Distribution::Quniform { low, high, q },
        "loguniform" => Distribution::Loguniform { low, high, base },
        "qloguniform" => Distribution::Qloguniform { low, high, q, base },
        "normal" => Distribution::Normal { mu, sigma },
        "qnormal" => Distribution::Qnormal { mu, sigma, q },
        "lognormal" => Distribution::Lognormal { mu, sigma, base },
        _ => Distribution::Qlognormal { mu, sigma, q, base },
    }
}

/// The expression called `text`, in any case.
pub(crate) fn called(text: &str) -> Option<&'static str> {
    EXPRESSIONS
        .into_iter()
        .find(|name| name.eq_ignore_ascii_case(text))
}

/// Reports a name that no expression has.
pub(crate) fn unknown(text: &str, span: Span, found: &mut Diagnostics) {
    let near = nearest(text, EXPRESSIONS);
    let message = if text.is_empty() {
        "an expression must be a text".to_owned()
    } else {
        format!("`{text}` is not a sampling expression")
    };
    let diagnostic = found.error("unknown-expression", span, message);
    diagnostic.expected(EXPRESSIONS.join(", "));
    if let Some(near) = near {
        diagnostic.suggest(span, near);
    }
}

/// Reports a `choice` without options.
pub(crate) fn no_options(span: Span, found: &mut Diagnostics) {
    found
        .error("values-count", span, "`choice` needs at least one option")
        .label("none is given");
}

fn values_count(call: &Call<'_>, meaning: &str, found: &mut Diagnostics) {
    let diagnostic = found.error(
        "values-count",
        call.span,
        format!("`{}` takes {meaning}; {} given", call.name, call.values.len()),
    );
    if call.name == "randint"
        && let [low, high] = call.values
        && let (Some(low), Some(high)) = (low.as_i64(), high.as_i64())
    {
        if low == 0 {
            diagnostic.help(format!(
                "for 0..{} write  values: [{high}]",
                high.saturating_sub(1)
            ));
            return;
        }
        diagnostic.help(format!(
            "0..{} is  values: [{high}] ; for {low}..{high} use  expression: quniform, values: [{low}, {high}, 1]  (end values have half the weight)",
            high.saturating_sub(1)
        ));
        if low < high && high.saturating_sub(low) < 12 {
            let all: Vec<String> = (low..=high).map(|value| value.to_string()).collect();
            diagnostic.help(format!("or  expression: choice, values: [{}]", all.join(", ")));
        }
    }
}

fn choice(call: &Call<'_>, found: &mut Diagnostics) -> Option<Distribution> {
    let options = choice_options(call, found)?;
    let options: Vec<Option<Value>> = options.iter().map(|node| value_of(node, found)).collect();
    Some(Distribution::Choice {
        options: options.into_iter().collect::<Option<_>>()?,
        ordered: None,
    })
}

/// The options of a `choice`: its values, or the items of the one list that it was given.
pub(crate) fn choice_options<'a>(call: &Call<'a>, found: &mut Diagnostics) -> Option<&'a [Node]> {
    let options = match call.values {
        [
            Node {
                kind: Kind::Seq(items),
                ..
            },
        ] => items.as_slice(),
        values => {
            if let Some(list) = values.iter().find(|value| value.as_seq().is_some()) {
                found
                    .error("choice-list", list.span, "a list among the options of `choice`")
                    .label("is it one option, or several?")
                    .help("for options that are lists write one list more:  values: [[[1, 2], [3, 4]]]");
                return None;
            }
            values
        }
    };
    if options.is_empty() {
        no_options(call.span, found);
        return None;
    }
    Some(options)
}

fn randint(call: &Call<'_>, found: &mut Diagnostics) -> Option<Distribution> {
    let node = call.values.first()?;
    let must = "the upper bound of `randint` must be a whole number above 0";
    match node.kind {
        Kind::Int(upper) if upper > 0 => Some(Distribution::Randint { upper }),
        Kind::Bool(true) => {
            found
                .warning("boolean-number", node.span, "a boolean where a number is meant")
                .label("read as 1");
            Some(Distribution::Randint { upper: 1 })
        }
        Kind::Int(upper) => {
            found
                .error("argument-range", node.span, must)
                .label(format!("{upper} leaves nothing to draw from"));
            None
        }
        _ => {
            let whole = node
                .as_text()
                .and_then(|text| text.trim().parse::<f64>().ok())
                .filter(|value| value.fract() == 0.0 && *value > 0.0 && *value < 9e15);
            let diagnostic = found.error("argument-type", node.span, must);
            diagnostic.label(node.describe());
            if let Some(whole) = whole {
                diagnostic.help(format!("write  values: [{whole}]"));
                diagnostic.suggest(node.span, format!("{whole}"));
            }
            None
        }
    }
}

/// A finite number; booleans count as 0 and 1, as they always did.
fn number(call: &Call<'_>, node: &Node, found: &mut Diagnostics) -> Option<f64> {
    match node.kind {
        Kind::Int(value) => Some(value as f64),
        Kind::Float(value) if value.is_finite() => Some(value),
        Kind::Float(_) => {
            found
                .error(
                    "argument-range",
                    node.span,
                    format!("the values of `{}` must be finite numbers", call.name),
                )
                .label("not finite");
            None
        }
        Kind::Bool(value) => {
            found
                .warning("boolean-number", node.span, "a boolean where a number is meant")
                .label(format!("read as {}", u8::from(value)));
            Some(f64::from(u8::from(value)))
        }
        _ => {
            let plain = node
                .as_text()
                .map(str::trim)
                .filter(|text| text.parse::<f64>().is_ok());
            let diagnostic = found.error(
                "argument-type",
                node.span,
                format!("the values of `{}` must be numbers", call.name),
            );
            diagnostic.label(node.describe());
            if let Some(plain) = plain {
                diagnostic.help(format!("write  {plain}"));
                diagnostic.suggest(node.span, plain);
            }
            None
        }
    }
}

fn quantum(
    call: &Call<'_>,
    q: f64,
    node: &Node,
    (low, high): (f64, f64),
    found: &mut Diagnostics,
) -> Option<f64> {
    if q <= 0.0 {
        found
            .error(
                "argument-range",
                node.span,
                format!("the step of `{}` must be above 0", call.name),
            )
            .label(format!("{} is not", short(q, 6)));
        return None;
    }
    if q.fract() != 0.0 {
        let diagnostic = found.error(
            "argument-type",
            node.span,
            format!("the step of `{}` must be a whole number", call.name),
        );
        diagnostic.label("a fraction");
        let steps = ((high - low) / q).round();
        if call.name == "quniform" && (1.0..=20.0).contains(&steps) {
            let all: Vec<String> = (0..=steps as u32)
                .map(|step| short(low + f64::from(step) * q, 12))
                .collect();
            diagnostic.help(format!("use  expression: choice, values: [{}]", all.join(", ")));
        } else {
            diagnostic
                .help("use the expression without `q` and round in the script, or `choice` with a list");
        }
        return None;
    }
    Some(q)
}

fn bounds_hold(call: &Call<'_>, a: f64, b: f64, found: &mut Diagnostics) -> bool {
    let (left, right) = (short(a, 6), short(b, 6));
    match call.name {
        "uniform" | "quniform" if a >= b => {
            let diagnostic = found.error(
                "argument-range",
                call.span,
                format!("the lower bound of `{}` must be below the upper bound", call.name),
            );
            if a == b {
                diagnostic.label("they are equal").help(format!(
                    "for a constant use  expression: choice, values: [{left}]  or a fixed argument"
                ));
            } else {
                diagnostic.label(format!("{left} is above {right}"));
            }
            false
        }
        "loguniform" | "qloguniform" if a > b => {
            found
                .error(
                    "argument-range",
                    call.span,
                    format!(
                        "the lower bound of `{}` must not be above the upper bound",
                        call.name
                    ),
                )
                .label(format!("{left} is above {right}"));
            false
        }
        "loguniform" | "qloguniform" if b > LARGEST_LOG => {
            found
                .error(
                    "log-bounds",
                    call.span,
                    format!(
                        "`{}` takes natural logarithms: exp({right}) is too large for a number",
                        call.name
                    ),
                )
                .help(log_help(a, b));
            false
        }
        "normal" | "qnormal" | "lognormal" | "qlognormal" if b < 0.0 => {
            found
                .error(
                    "argument-range",
                    call.values.get(1).map_or(call.span, |node| node.span),
                    format!("the standard deviation of `{}` must be 0 or more", call.name),
                )
                .label("is negative");
            false
        }
        _ => true,
    }
}

fn log_help(low: f64, high: f64) -> String {
    if low > 0.0 {
        format!(
            "for {} .. {} write  values: [{:.4}, {:.4}]",
            short(low, 6),
            short(high, 6),
            low.ln(),
            high.ln()
        )
    } else {
        "write the natural logarithms of the bounds".to_owned()
    }
}

/// Warns of distributions that are allowed but probably not meant.
pub(crate) fn advise(distribution: &Distribution, span: Span, found: &mut Diagnostics) {
    match *distribution {
        Distribution::Loguniform { low, high, base } | Distribution::Qloguniform { low, high, base, .. } => {
            if base == std::f64::consts::E && looks_like_plain_bounds(low, high) {
                let name = if matches!(distribution, Distribution::Loguniform { .. }) {
                    "loguniform"
                } else {
                    "qloguniform"
                };
                found
                    .warning(
                        "log-bounds",
                        span,
                        format!(
                            "`{name}` takes natural logarithms: this draws from {} to {}",
                            short(low.exp(), 5),
                            short(high.exp(), 5)
                        ),
                    )
                    .label(format!("exp({}) .. exp({})", short(low, 6), short(high, 6)))
                    .help(log_help(low, high));
            } else if low == high && matches!(distribution, Distribution::Loguniform { .. }) {
                constant(base.powf(low), span, found);
            }
        }
        Distribution::Normal { mu, sigma: 0.0 } => constant(mu, span, found),
        Distribution::Lognormal { mu, sigma: 0.0, base } => constant(base.powf(mu), span, found),
        _ => {}
    }
    let Some((low, high, q)) = quantized_bounds(distribution) else {
        return;
    };
    let (first, last) = ((low / q).round_ties_even() * q, (high / q).round_ties_even() * q);
    if first == last {
        constant(first + 0.0, span, found);
    } else if first < low || last > high {
        let beyond = if first < low { first } else { last };
        found
            .warning(
                "quantized-bounds",
                span,
                format!("rounding to multiples of {} can leave the bounds", short(q, 6)),
            )
            .label(format!(
                "draws {} .. {}",
                short(first + 0.0, 6),
                short(last + 0.0, 6)
            ))
            .help(format!(
                "that is how the service draws; `clip: true` in the `overdrive` section keeps {} out",
                short(beyond + 0.0, 6)
            ));
    }
}

fn constant(value: f64, span: Span, found: &mut Diagnostics) {
    found
        .warning("one-value", span, "every draw is the same")
        .label(format!("always {}", short(value, 6)));
}

/// Positive "logarithms" that nobody would write: the range is then a hair above 1, or astronomically large.
fn looks_like_plain_bounds(low: f64, high: f64) -> bool {
    (low > 0.0 && (low < 0.1 || (high <= 1.0 && high / low >= 5.0))) || high > 40.0
}

/// Real bounds before rounding, and the step, of a bounded quantized distribution.
pub(crate) fn quantized_bounds(distribution: &Distribution) -> Option<(f64, f64, f64)> {
    match *distribution {
        Distribution::Quniform { low, high, q } => Some((low, high, q)),
        Distribution::Qloguniform { low, high, q, base } => Some((base.powf(low), base.powf(high), q)),
        Distribution::Qnormal { mu, sigma: 0.0, q } => Some((mu, mu, q)),
        Distribution::Qlognormal {
            mu,
            sigma: 0.0,
            q,
            base,
        } => Some((base.powf(mu), base.powf(mu), q)),
        _ => None,
    }
}

/// Narrows a bounded quantized distribution so that every draw lies inside its bounds (`clip: true`); others stay as they are.
pub(crate) fn clip(distribution: &mut Distribution) {
    let Some((from, to, step)) = quantized_bounds(distribution) else {
        return;
    };
    let (first, last) = ((from / step).ceil() * step, (to / step).floor() * step);
    // No multiple inside: nothing to narrow to.
    if first > last {
        return;
    }
    match distribution {
        Distribution::Quniform { low, high, .. } => (*low, *high) = (first, last),
        Distribution::Qloguniform { low, high, base, .. } => {
            if first > 0.0 {
                *low = first.ln() / base.ln();
            }
            if last > 0.0 {
                *high = last.ln() / base.ln();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_keeps_draws_inside() {
        let mut distribution = Distribution::Quniform {
            low: 1.0,
            high: 10.0,
            q: 4.0,
        };
        clip(&mut distribution);
        assert_eq!(
            distribution,
            Distribution::Quniform {
                low: 4.0,
                high: 8.0,
                q: 4.0
            }
        );
        let mut nothing_inside = Distribution::Quniform {
            low: 1.0,
            high: 3.0,
            q: 4.0,
        };
        let before = nothing_inside.clone();
        clip(&mut nothing_inside);
        assert_eq!(nothing_inside, before);
    }

    #[test]
    fn real_logarithms_are_not_suspected() {
        for (low, high) in [
            (-9.2, -2.3),
            (0.0, 5.0),
            (1.0, 3.0),
            (-6.0, -1.0),
            (-1.0, 0.5),
            (2.0, 7.0),
        ] {
            assert!(!looks_like_plain_bounds(low, high), "{low} {high}");
        }
        for (low, high) in [(0.0001, 0.1), (1e-5, 10.0), (1.0, 1000.0), (0.1, 0.9)] {
            assert!(looks_like_plain_bounds(low, high), "{low} {high}");
        }
    }
}
