//! `enqueue`: configurations to try first, checked against the space.

use crate::config::literal::{short, value_of};
use crate::config::{ParameterBinding, Shape};
use crate::diagnostic::{Diagnostics, Entry, Node, list, nearest};
use crate::space::{Assignment, Distribution, SearchSpace, Value};

/// The assignment that the map `node` describes; `None` after at least one error.
///
/// Names are those of the file, with or without leading dashes; an inner parameter of a nested option is also found by the name
/// that the script sees, under the option that `node` chooses for its selector.
pub(super) fn assignment(
    node: &Node,
    space: &SearchSpace,
    bindings: &[ParameterBinding],
    found: &mut Diagnostics,
) -> Option<Assignment> {
    let entries = node.as_map()?;
    let mut used = vec![false; entries.len()];
    let mut values: Vec<Option<Value>> = Vec::with_capacity(space.len());
    let mut ok = true;
    for (index, parameter) in space.parameters.iter().enumerate() {
        let active = parameter.condition.as_ref().is_none_or(|condition| {
            values
                .get(condition.parent)
                .and_then(Option::as_ref)
                .and_then(|value| option_index(space, condition.parent, value))
                .is_some_and(|option| condition.options.contains(&option))
        });
        if !active {
            values.push(None);
            continue;
        }
        let shown = bindings
            .iter()
            .find(|binding| matches!(binding.shape, Shape::Parameter { index: bound } if bound == index))
            .map_or(parameter.name.as_str(), |binding| binding.name.as_str());
        let at = entries
            .iter()
            .position(|entry| same(&entry.key, &parameter.name) || same(&entry.key, shown));
        let value = match at.and_then(|at| entries.get(at)) {
            Some(entry) => {
                if let Some(used) = at.and_then(|at| used.get_mut(at)) {
                    *used = true;
                }
                fitting(entry, &parameter.distribution, found)
            }
            None => {
                found
                    .error(
                        "enqueue",
                        node.span,
                        format!("a configuration to try first does not set `{shown}`"),
                    )
                    .help("every parameter needs a value there");
                None
            }
        };
        ok &= value.is_some();
        values.push(value);
    }
    for (entry, _) in entries.iter().zip(used).filter(|(_, used)| !used) {
        ok = false;
        let names = space.parameters.iter().map(|parameter| parameter.name.as_str());
        let near = nearest(&entry.key, names.clone());
        let diagnostic = found.error(
            "enqueue",
            entry.key_span,
            format!("`{}` is not a parameter of this configuration", entry.key),
        );
        match near {
            Some(near) if !same(near, &entry.key) => diagnostic.suggest(entry.key_span, near),
            _ => diagnostic.expected(list(names)),
        };
    }
    ok.then_some(Assignment { values })
}

fn same(a: &str, b: &str) -> bool {
    a == b || a.trim_start_matches('-') == b.trim_start_matches('-')
}

fn option_index(space: &SearchSpace, parent: usize, value: &Value) -> Option<usize> {
    match &space.parameters.get(parent)?.distribution {
        Distribution::Choice { options, .. } => options.iter().position(|option| option == value),
        _ => None,
    }
}

/// The value, if the distribution can yield it; numbers outside the bounds are taken with a warning.
fn fitting(entry: &Entry, distribution: &Distribution, found: &mut Diagnostics) -> Option<Value> {
    let value = value_of(&entry.value, found)?;
    match distribution {
        Distribution::Choice { options, .. } => {
            // 1 for 1.0 and the like: the option as the file has it.
            let hit = options.iter().find(|option| **option == value).or_else(|| {
                options
                    .iter()
                    .find(|option| option.as_f64().is_some() && option.as_f64() == value.as_f64())
            });
            if hit.is_none() {
                let texts: Vec<String> = options.iter().map(ToString::to_string).collect();
                found
                    .error(
                        "enqueue",
                        entry.value.span,
                        format!("`{value}` is not an option of `{}`", entry.key),
                    )
                    .expected(list(texts.iter().map(String::as_str)));
            }
            hit.cloned()
        }
        _ => {
            let Some(number) = value.as_f64() else {
                found
                    .error(
                        "enqueue",
                        entry.value.span,
                        format!("`{}` must be a number", entry.key),
                    )
                    .label(entry.value.describe());
                return None;
            };
            let whole = matches!(
                distribution,
                Distribution::Randint { .. } | Distribution::Int { .. }
            );
            if whole && !matches!(value, Value::Int(_)) {
                found
                    .error(
                        "enqueue",
                        entry.value.span,
                        format!("`{}` must be a whole number", entry.key),
                    )
                    .label(entry.value.describe());
                return None;
            }
            if let Some((low, high)) = bounds(distribution)
                && !(low..=high).contains(&number)
            {
                found
                    .warning(
                        "enqueue",
                        entry.value.span,
                        format!("`{}` lies outside its bounds", entry.key),
                    )
                    .label(format!("{} .. {}", short(low, 6), short(high, 6)));
            }
            // A real parameter gets a real, so that the script sees what a draw would look like.
            let real = matches!(
                distribution,
                Distribution::Uniform { .. }
                    | Distribution::Loguniform { .. }
                    | Distribution::Normal { .. }
                    | Distribution::Lognormal { .. }
            );
            Some(if real { Value::Float(number) } else { value })
        }
    }
}

fn bounds(distribution: &Distribution) -> Option<(f64, f64)> {
    match *distribution {
        Distribution::Randint { upper } => Some((0.0, upper.saturating_sub(1) as f64)),
        Distribution::Int { low, high, .. } => Some((low as f64, high as f64)),
        Distribution::Uniform { low, high } => Some((low, high)),
        Distribution::Quniform { low, high, q } => Some((
            low.min((low / q).round_ties_even() * q),
            high.max((high / q).round_ties_even() * q),
        )),
        // A hair of tolerance: bounds are written as rounded logarithms.
        Distribution::Loguniform { low, high, base } => {
            Some((base.powf(low) * (1.0 - 1e-3), base.powf(high) * (1.0 + 1e-3)))
        }
        Distribution::Qloguniform { low, high, q, base } => Some((base.powf(low) - q, base.powf(high) + q)),
        _ => None,
    }
}
