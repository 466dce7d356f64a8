//! Values of one trial: which exist, how they are named, how they become text.

use crate::config::launch::LaunchError;
use crate::config::{Dialect, Experiment, Shape};
use crate::space::{Assignment, Condition, Distribution, Parameter, SearchSpace, Value, python_repr};
use indexmap::IndexMap;

/// How values become text: by the dialect, unless the settings `render.quantized` (`int` or `float`) and
/// `render.raw_substitution` (boolean) of the `overdrive:` section say otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rendering {
    /// Integral draws of quantized distributions with an integral quantum are integers (`16`, not `16.0`).
    pub integers: bool,
    /// Lists and maps without blanks after `,` and `:`.
    pub compact: bool,
    /// Values are inserted into command templates without quoting.
    pub raw: bool,
}

impl Rendering {
    pub(super) fn of(experiment: &Experiment) -> Self {
        let setting = |name: &str| {
            experiment
                .extensions
                .get("render")
                .and_then(|render| render.get(name))
        };
        let v1 = matches!(experiment.dialect, Dialect::Hyperdrive | Dialect::ScriptRun);
        Self {
            integers: match setting("quantized").and_then(serde_json::Value::as_str) {
                Some("int") => true,
                Some("float") => false,
                _ => v1,
            },
            compact: !v1,
            raw: setting("raw_substitution").and_then(serde_json::Value::as_bool) == Some(true),
        }
    }

    /// The text that a script gets.
    pub(super) fn text(self, value: &Value) -> String {
        match value {
            Value::List(_) | Value::Map(_) if self.compact => compact_json(value),
            other => other.to_string(),
        }
    }

    fn draw(self, parameter: &Parameter, value: &Value) -> Value {
        let quantum = match &parameter.distribution {
            Distribution::Quniform { q, .. }
            | Distribution::Qloguniform { q, .. }
            | Distribution::Qnormal { q, .. }
            | Distribution::Qlognormal { q, .. } => *q,
            _ => return value.clone(),
        };
        match value {
            Value::Float(draw)
                if self.integers
                    && quantum.fract() == 0.0
                    && draw.fract() == 0.0
                    && draw.abs() < 9_007_199_254_740_992.0 =>
            {
                Value::Int(*draw as i64)
            }
            Value::Int(draw) if !self.integers => Value::Float(*draw as f64),
            other => other.clone(),
        }
    }
}

/// The argument name of a parameter: as declared if it starts with a dash, else with `--` before it.
pub fn argument_name(name: &str) -> String {
    if name.starts_with('-') {
        name.to_owned()
    } else {
        format!("--{name}")
    }
}

/// JSON without blanks; floats by the rules of Python's `repr`, text in UTF-8.
pub fn compact_json(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => python_repr(*value),
        Value::Str(text) => serde_json::Value::from(text.as_str()).to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(compact_json).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| {
                    format!(
                        "{}:{}",
                        serde_json::Value::from(key.as_str()),
                        compact_json(value)
                    )
                })
                .collect();
            format!("{{{}}}", entries.join(","))
        }
    }
}

/// The parameters of a trial by name, in the order of their bindings.
pub(super) fn visible(
    experiment: &Experiment,
    assignment: &Assignment,
    rendering: Rendering,
) -> Result<IndexMap<String, Value>, LaunchError> {
    let mut parameters = IndexMap::new();
    for binding in &experiment.launch.parameters {
        if let Some(value) = resolve(&binding.shape, &experiment.space, assignment, rendering)? {
            parameters.insert(binding.name.clone(), value);
        }
    }
    Ok(parameters)
}

fn resolve(
    shape: &Shape,
    space: &SearchSpace,
    assignment: &Assignment,
    rendering: Rendering,
) -> Result<Option<Value>, LaunchError> {
    match shape {
        Shape::Literal { value } => Ok(Some(value.clone())),
        Shape::Parameter { index } => Ok(
            assigned(space, assignment, *index).map(|(parameter, value)| rendering.draw(parameter, value))
        ),
        Shape::Constant { value, condition } => {
            Ok(holds(space, assignment, condition).then(|| value.clone()))
        }
        Shape::Record { entries } => {
            let mut map = IndexMap::new();
            for (key, entry) in entries {
                if let Some(value) = resolve(entry, space, assignment, rendering)? {
                    map.insert(key.clone(), value);
                }
            }
            Ok(Some(Value::Map(Box::new(map))))
        }
        Shape::Branches { index, options } => {
            let Some((parameter, value)) = assigned(space, assignment, *index) else {
                return Ok(None);
            };
            let branch = option_index(parameter, value).and_then(|branch| options.get(branch));
            match branch {
                Some(branch) => resolve(branch, space, assignment, rendering),
                None => Err(LaunchError::NoSuchBranch {
                    parameter: parameter.name.clone(),
                    value: value.to_string(),
                }),
            }
        }
    }
}

fn assigned<'a>(
    space: &'a SearchSpace,
    assignment: &'a Assignment,
    index: usize,
) -> Option<(&'a Parameter, &'a Value)> {
    Some((
        space.parameters.get(index)?,
        assignment.values.get(index)?.as_ref()?,
    ))
}

fn option_index(parameter: &Parameter, value: &Value) -> Option<usize> {
    match &parameter.distribution {
        Distribution::Choice { options, .. } => options.iter().position(|option| option == value),
        _ => None,
    }
}

fn holds(space: &SearchSpace, assignment: &Assignment, condition: &Condition) -> bool {
    assigned(space, assignment, condition.parent).is_some_and(|(parameter, value)| {
        option_index(parameter, value).is_some_and(|option| condition.options.contains(&option))
    })
}

/// The text for `${{search_space.PATH}}`: a parameter, or an inner value of its chosen branch (empty if the branch is not the
/// chosen one). `None` if no parameter begins the path.
pub(super) fn at_path(
    experiment: &Experiment,
    parameters: &IndexMap<String, Value>,
    path: &str,
    rendering: Rendering,
) -> Option<String> {
    let bindings = &experiment.launch.parameters;
    let known = |name: &str| bindings.iter().any(|binding| binding.name == name);
    if known(path) {
        return Some(
            parameters
                .get(path)
                .map(|value| rendering.text(value))
                .unwrap_or_default(),
        );
    }
    // A parameter's own name may hold dots (lenient files); the longest one that fits wins.
    let (name, rest) = path
        .rmatch_indices('.')
        .filter_map(|(at, _)| Some((path.get(..at)?, path.get(at + 1..)?)))
        .find(|(name, _)| known(name))?;
    let mut value = parameters.get(name);
    for key in rest.split('.') {
        value = match value {
            Some(Value::Map(entries)) => entries.get(key),
            _ => None,
        };
    }
    Some(value.map(|value| rendering.text(value)).unwrap_or_default())
}
