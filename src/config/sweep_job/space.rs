//! `search_space`: ten expressions with named arguments, and conditional spaces through `choice` of maps.
//!
//! A nested space is made flat for the samplers: the selector of `conv` keeps that name, what lies under its first option is
//! called `conv/0/...`. The script sees the nested form again (`Shape`).

use crate::config::command_job::is_name;
use crate::config::command_job::scalars::{integer, number, wrong};
use crate::config::expression::{advise, called, no_options, of_numbers, unknown};
use crate::config::{ParameterBinding, Shape};
use crate::diagnostic::{Diagnostics, Entry, Fields, Kind, Node, Span, Unknown};
use crate::space::{Condition, Distribution, Parameter, SearchSpace, Value};
use indexmap::IndexMap;

/// A space with its bindings, and where each parameter stands.
#[derive(Debug, Default)]
pub(super) struct Space {
    pub space: SearchSpace,
    pub bindings: Vec<ParameterBinding>,
    pub spans: Vec<Span>,
}

/// Reads the map; `lenient` (2021 previews) takes names with dashes.
pub(super) fn read(entry: &Entry, lenient: bool, found: &mut Diagnostics) -> Option<Space> {
    let Some(entries) = entry.value.as_map() else {
        wrong(entry, "a map from names to expressions", found);
        return None;
    };
    if entries.is_empty() {
        found
            .error("missing-key", entry.key_span, "`search_space` names no parameter")
            .help("write  lr: {type: uniform, min_value: 0.001, max_value: 0.1}");
        return None;
    }
    let mut space = Space::default();
    let mut ok = true;
    for parameter in entries {
        if !is_name(&parameter.key) {
            let dashed = is_name(&parameter.key.replace('-', "_"));
            if !(lenient && dashed) {
                let diagnostic = found.error(
                    "bad-name",
                    parameter.key_span,
                    format!("`{}` cannot be the name of a parameter here", parameter.key),
                );
                diagnostic.expected("letters, digits and `_`, not beginning with a digit");
                if dashed {
                    diagnostic.suggest(parameter.key_span, parameter.key.replace('-', "_"));
                }
                ok = false;
                continue;
            }
        }
        match expression(parameter, &parameter.key, None, &mut space, found) {
            Some(shape) => space.bindings.push(ParameterBinding {
                name: parameter.key.clone(),
                shape,
                argument: None,
            }),
            None => ok = false,
        }
    }
    ok.then_some(space)
}

/// Reads one expression, adds its parameters to the space, and returns how the script sees them.
fn expression(
    entry: &Entry,
    path: &str,
    condition: Option<Condition>,
    space: &mut Space,
    found: &mut Diagnostics,
) -> Option<Shape> {
    if let Kind::Seq(items) = &entry.value.kind {
        return wire_form(entry, items, path, condition, space, found);
    }
    let what = format!("`{path}`");
    let mut fields = Fields::open(&entry.value, &what, found)?;
    let kind = fields
        .required("type", found)
        .and_then(|entry| name(entry, found));
    let shape = match kind? {
        "choice" => {
            let values = fields.required("values", found);
            fields.finish(Unknown::Refuse, found);
            return choice(values?, path, condition, space, found);
        }
        kind => {
            let distribution = distribution(kind, &mut fields, found);
            fields.finish(Unknown::Refuse, found);
            let distribution = distribution?;
            advise(&distribution, entry.value.span, found);
            add(path, distribution, condition, entry.value.span, space)
        }
    };
    Some(shape)
}

fn name(entry: &Entry, found: &mut Diagnostics) -> Option<&'static str> {
    let text = entry.value.as_str().unwrap_or_default();
    let hit = called(text);
    if hit.is_none() {
        unknown(text, entry.value.span, found);
    }
    hit
}

fn add(
    path: &str,
    distribution: Distribution,
    condition: Option<Condition>,
    span: Span,
    space: &mut Space,
) -> Shape {
    let index = space.space.parameters.len();
    space.space.parameters.push(Parameter {
        name: path.to_owned(),
        distribution,
        condition,
    });
    space.spans.push(span);
    Shape::Parameter { index }
}

fn choice(
    values: &Entry,
    path: &str,
    condition: Option<Condition>,
    space: &mut Space,
    found: &mut Diagnostics,
) -> Option<Shape> {
    let Some(items) = values.value.as_seq() else {
        wrong(values, "a list of options", found);
        return None;
    };
    options(items, values.value.span, path, condition, space, found)
}

fn options(
    items: &[Node],
    span: Span,
    path: &str,
    condition: Option<Condition>,
    space: &mut Space,
    found: &mut Diagnostics,
) -> Option<Shape> {
    if items.is_empty() {
        no_options(span, found);
        return None;
    }
    if items.iter().any(|item| item.as_map().is_some()) {
        return branches(items, span, path, condition, space, found);
    }
    let options: Vec<Option<Value>> = items.iter().map(|item| option(item, found)).collect();
    let options = options.into_iter().collect::<Option<Vec<_>>>()?;
    let distribution = Distribution::Choice {
        options,
        ordered: None,
    };
    Some(add(path, distribution, condition, span, space))
}

/// A plain option: a number or a text, nothing else.
fn option(item: &Node, found: &mut Diagnostics) -> Option<Value> {
    match &item.kind {
        Kind::Int(value) => Some(Value::Int(*value)),
        Kind::Float(value) if value.is_finite() => Some(Value::Float(*value)),
        Kind::Str(text) => Some(Value::Str(text.clone())),
        _ => {
            let diagnostic = found.error(
                "argument-type",
                item.span,
                "an option of `choice` must be a number, a text or a map",
            );
            diagnostic.label(item.describe());
            if let Some(text) = item.as_text() {
                diagnostic.help(format!("for the text write  \"{text}\""));
            }
            None
        }
    }
}

/// Options of which some are maps: a selector, and under it the parameters of each map.
fn branches(
    items: &[Node],
    span: Span,
    path: &str,
    condition: Option<Condition>,
    space: &mut Space,
    found: &mut Diagnostics,
) -> Option<Shape> {
    let index = space.space.parameters.len();
    let selector = Distribution::Choice {
        options: (0..items.len() as i64).map(Value::Int).collect(),
        ordered: Some(false),
    };
    add(path, selector, condition, span, space);
    let mut ok = true;
    let mut shapes = Vec::new();
    for (branch, item) in items.iter().enumerate() {
        let Some(entries) = item.as_map() else {
            match option(item, found) {
                Some(value) => shapes.push(Shape::Literal { value }),
                None => ok = false,
            }
            continue;
        };
        let under = || {
            Some(Condition {
                parent: index,
                options: vec![branch],
            })
        };
        let mut record = IndexMap::new();
        for entry in entries {
            let inner = format!("{path}/{branch}/{}", entry.key);
            let shape = match &entry.value.kind {
                Kind::Map(_) | Kind::Seq(_) => expression(entry, &inner, under(), space, found),
                _ => option(&entry.value, found).map(|value| Shape::Literal { value }),
            };
            match shape {
                Some(shape) => {
                    record.insert(entry.key.clone(), shape);
                }
                None => ok = false,
            }
        }
        shapes.push(Shape::Record { entries: record });
    }
    ok.then_some(Shape::Branches {
        index,
        options: shapes,
    })
}

fn distribution(
    kind: &'static str,
    fields: &mut Fields<'_>,
    found: &mut Diagnostics,
) -> Option<Distribution> {
    if kind == "randint" {
        let entry = fields.required("upper", found)?;
        let upper = integer(entry, found)?;
        return checked_upper(upper, entry.value.span, found);
    }
    let (first, second) = if kind.contains("uniform") {
        ("min_value", "max_value")
    } else {
        ("mu", "sigma")
    };
    let a = fields.required(first, found);
    let b = fields.required(second, found);
    let q = if kind.starts_with('q') {
        let q = fields.required("q", found);
        Some(q.and_then(|entry| Some((number(entry, found)?, entry.value.span)))?)
    } else {
        None
    };
    let (a, b) = (a?, b?);
    let (first, second) = (number(a, found), number(b, found));
    build(kind, first?, (second?, b.value.span), q, found)
}

fn checked_upper(upper: i64, span: Span, found: &mut Diagnostics) -> Option<Distribution> {
    if upper <= 0 {
        found
            .error("argument-range", span, "`upper` must be above 0")
            .label(format!("{upper} leaves nothing to draw from"));
        return None;
    }
    Some(Distribution::Randint { upper })
}

/// Checks the bounds that the client leaves to the service.
fn build(
    kind: &str,
    a: f64,
    (b, b_span): (f64, Span),
    q: Option<(f64, Span)>,
    found: &mut Diagnostics,
) -> Option<Distribution> {
    let bounded = kind.contains("uniform");
    if bounded && a > b {
        found
            .error(
                "argument-range",
                b_span,
                "`max_value` must not be below `min_value`",
            )
            .label(format!("below {a}"));
        return None;
    }
    if bounded && a == b && matches!(kind, "uniform" | "quniform") {
        found
            .warning("one-value", b_span, "every draw is the same")
            .label("equal to `min_value`");
    }
    if !bounded && b < 0.0 {
        found
            .error("argument-range", b_span, "`sigma` must be 0 or more")
            .label("is negative");
        return None;
    }
    if let Some((q, span)) = q
        && q <= 0.0
    {
        found
            .error("argument-range", span, "`q` must be above 0")
            .label(format!("{q} is not"));
        return None;
    }
    Some(of_numbers(kind, a, b, q.map_or(1.0, |(q, _)| q)))
}

/// The form on the wire: `["uniform", [0, 1]]`, `["choice", [["a", "b"]]]`.
fn wire_form(
    entry: &Entry,
    items: &[Node],
    path: &str,
    condition: Option<Condition>,
    space: &mut Space,
    found: &mut Diagnostics,
) -> Option<Shape> {
    let [name_node, arguments] = items else {
        wrong(entry, "an expression with `type`", found);
        return None;
    };
    let named = Entry {
        key: "type".to_owned(),
        key_span: name_node.span,
        value: name_node.clone(),
    };
    let kind = name(&named, found)?;
    let arguments = arguments.as_seq().unwrap_or(std::slice::from_ref(arguments));
    let span = entry.value.span;
    if kind == "choice" {
        let list = match arguments {
            [
                Node {
                    kind: Kind::Seq(inner),
                    ..
                },
            ] => inner.as_slice(),
            other => other,
        };
        return options(list, span, path, condition, space, found);
    }
    let numbers: Vec<(f64, Span)> = arguments
        .iter()
        .filter_map(|node| Some((node.as_f64()?, node.span)))
        .collect();
    let distribution = match (kind, numbers.as_slice()) {
        ("randint", [(upper, span)]) => checked_upper(*upper as i64, *span, found),
        (kind, [(a, _), b]) if !kind.starts_with('q') => build(kind, *a, *b, None, found),
        (kind, [(a, _), b, q]) if kind.starts_with('q') => build(kind, *a, *b, Some(*q), found),
        _ => {
            found
                .error("values-count", span, format!("`{kind}` has other arguments"))
                .label(format!("{} given", arguments.len()));
            None
        }
    }?;
    advise(&distribution, span, found);
    Some(add(path, distribution, condition, span, space))
}
