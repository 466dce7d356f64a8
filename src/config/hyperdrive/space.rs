//! `sampling.parameter_space`: from the list of parameters to a flat space with bindings; nested options become branches.
//!
//! A `choice` whose options are maps, at least one of which holds an expression in the wire form (`lr: [uniform, [0, 1]]`), is a
//! branch selector: the option is drawn, then its inner parameters; the outer name is dropped, the inner names become the
//! arguments. Maps without any expression are literals and reach the script as JSON text.

use crate::config::expression::{Call, EXPRESSIONS, choice_options, distribution, expression_name};
use crate::config::literal::value_of;
use crate::config::{ParameterBinding, Shape};
use crate::diagnostic::{Diagnostics, Entry, Fields, Kind, Node, Span, Unknown};
use crate::space::{Condition, Distribution, Parameter, SearchSpace, Value};

/// Where a parameter stands in the file; aligned with the parameters of the space.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Name as declared.
    pub name: String,
    /// The expression.
    pub expression: Span,
    /// Its values.
    pub values: Span,
    /// Whether it exists under an option of another one only.
    pub inner: bool,
    /// Whether all its values are written as whole numbers.
    pub whole: bool,
}

/// The space with what belongs to each parameter.
#[derive(Clone, Debug, Default)]
pub(super) struct Space {
    /// The parameters.
    pub space: SearchSpace,
    /// How they reach the script.
    pub bindings: Vec<ParameterBinding>,
    /// Where they stand.
    pub places: Vec<Place>,
}

/// One item of the list, understood as far as possible.
struct Item<'a> {
    name: String,
    name_span: Span,
    expression: Option<(&'static str, Span)>,
    values: Option<(&'a [Node], Span)>,
}

/// Reads the list (or, as an extension, a map from names to `{expression, values}`).
pub(super) fn read(entry: &Entry, found: &mut Diagnostics) -> Option<Space> {
    let mut items: Vec<Item<'_>> = Vec::new();
    let mut ok = true;
    match &entry.value.kind {
        Kind::Seq(nodes) => {
            for node in nodes {
                match read_item(node, None, found) {
                    Some(item) => put(&mut items, item, found),
                    None => ok = false,
                }
            }
        }
        Kind::Map(entries) => {
            found
                .warning("portability", entry.key_span, "`parameter_space` is a map")
                .help("Azure ML takes a list:  - name: NAME");
            for parameter in entries {
                match read_item(&parameter.value, Some(parameter), found) {
                    Some(item) => put(&mut items, item, found),
                    None => ok = false,
                }
            }
        }
        _ => {
            found
                .error(
                    "argument-type",
                    entry.value.span,
                    "`parameter_space` must be a list of parameters",
                )
                .label(entry.value.describe())
                .help("write  - name: --lr  then  expression: uniform  and  values: [0, 1]");
            return None;
        }
    }
    if items.is_empty() && ok {
        found
            .error(
                "missing-key",
                entry.key_span,
                "`parameter_space` names no parameter",
            )
            .help("write  - name: --lr  then  expression: uniform  and  values: [0, 1]");
        return None;
    }
    let mut space = Space::default();
    for item in &items {
        ok &= add_item(item, &mut space, found).is_some();
    }
    warn_of_shared_arguments(&items, found);
    ok.then_some(space)
}

/// The only key of a map in the list, where it stands for the name: `- lr: {expression: ..}`, as the map form has it.
fn name_as_key(node: &Node) -> Option<&Entry> {
    match &node.kind {
        Kind::Map(entries) => match entries.as_slice() {
            [only] if matches!(only.value.kind, Kind::Map(_)) => Some(only),
            _ => None,
        },
        _ => None,
    }
}

fn read_item<'a>(node: &'a Node, named_by: Option<&'a Entry>, found: &mut Diagnostics) -> Option<Item<'a>> {
    if named_by.is_none()
        && let Some(entry) = name_as_key(node)
    {
        found
            .error("missing-key", entry.key_span, "`name` is missing of a parameter")
            .label("here it is the key of what should stand beside it")
            .help(format!(
                "write  - name: {}  and, in line with `name`, its  expression:  and  values:",
                entry.key
            ));
        return None;
    }
    let mut fields = Fields::open(node, "a parameter", found)?;
    let (name, name_span) = match named_by {
        Some(entry) => (Some(entry.key.clone()), entry.key_span),
        None => match fields.required("name", found) {
            Some(entry) => (found.text(entry), entry.value.span),
            None => (None, node.span),
        },
    };
    let name = name.filter(|name| {
        let blank = name.trim().is_empty();
        if blank {
            found
                .error("argument-type", name_span, "a parameter needs a name")
                .label("nothing in it");
        }
        !blank
    });
    let expression = fields
        .required("expression", found)
        .and_then(|entry| Some((expression_name(&entry.value, found)?, entry.value.span)));
    let values = fields
        .required("values", found)
        .and_then(|entry| read_values(entry, expression, found));
    fields.finish(Unknown::Warn, found);
    Some(Item {
        name: name?,
        name_span,
        expression,
        values,
    })
}

fn read_values<'a>(
    entry: &'a Entry,
    expression: Option<(&'static str, Span)>,
    found: &mut Diagnostics,
) -> Option<(&'a [Node], Span)> {
    if let Kind::Seq(items) = &entry.value.kind {
        return Some((items, entry.value.span));
    }
    let one = std::slice::from_ref(&entry.value);
    match expression {
        Some(("choice" | "randint", _)) => {
            found
                .warning(
                    "values-list",
                    entry.value.span,
                    format!("`values` is {}, not a list", entry.value.describe()),
                )
                .label("read as a list of one")
                .suggest(entry.value.span, format!("[{}]", as_typed(&entry.value)));
            Some((one, entry.value.span))
        }
        _ => {
            found
                .error("argument-type", entry.value.span, "`values` must be a list")
                .label(entry.value.describe());
            None
        }
    }
}

fn as_typed(node: &Node) -> String {
    if node.quoted {
        format!("'{}'", node.raw.replace('\'', "''"))
    } else {
        node.raw.clone()
    }
}

/// A later parameter of the same name takes the place of the earlier one, as it always did.
fn put<'a>(items: &mut Vec<Item<'a>>, item: Item<'a>, found: &mut Diagnostics) {
    match items.iter_mut().find(|other| other.name == item.name) {
        Some(other) => {
            found
                .warning(
                    "duplicate-parameter",
                    item.name_span,
                    format!("`{}` is declared twice", item.name),
                )
                .label("this one counts")
                .also(other.name_span, "first here");
            *other = item;
        }
        None => items.push(item),
    }
}

fn add_item(item: &Item<'_>, space: &mut Space, found: &mut Diagnostics) -> Option<()> {
    let ((expression, expression_span), (values, span)) = (item.expression?, item.values?);
    let call = Call {
        name: expression,
        values,
        span,
    };
    let at = At {
        path: item.name.clone(),
        name: item.name.clone(),
        expression: expression_span,
        condition: None,
    };
    add_call(&call, at, space, found)
}

/// Which parameter an expression is for.
struct At {
    /// Unique name in the space.
    path: String,
    /// Name for people and scripts.
    name: String,
    expression: Span,
    condition: Option<Condition>,
}

fn add_call(call: &Call<'_>, at: At, space: &mut Space, found: &mut Diagnostics) -> Option<()> {
    if call.name == "choice" {
        let options = choice_options(call, found)?;
        if options.iter().any(holds_expression) {
            return add_branches(options, call.span, at, space, found);
        }
        if let Some(map) = options.iter().find(|option| option.as_map().is_some()) {
            found
                .note(
                    "map-option",
                    map.span,
                    "an option that is a map without an expression in it",
                )
                .label("reaches the script as JSON text");
        }
    }
    let distribution = distribution(call, found)?;
    let index = space.space.parameters.len();
    space.places.push(Place {
        name: at.name.clone(),
        expression: at.expression,
        values: call.span,
        inner: at.condition.is_some(),
        whole: call.values.iter().all(|value| value.as_i64().is_some()),
    });
    space.space.parameters.push(Parameter {
        name: at.path,
        distribution,
        condition: at.condition,
    });
    space.bindings.push(ParameterBinding {
        argument: Some(argument_of(&at.name)),
        name: at.name,
        shape: Shape::Parameter { index },
    });
    Some(())
}

/// `name` as the script's argument: as declared if it starts with a dash, else with two dashes before it.
fn argument_of(name: &str) -> String {
    if name.starts_with('-') {
        name.to_owned()
    } else {
        format!("--{name}")
    }
}

fn add_branches(
    options: &[Node],
    span: Span,
    at: At,
    space: &mut Space,
    found: &mut Diagnostics,
) -> Option<()> {
    if let Some(other) = options.iter().find(|option| option.as_map().is_none()) {
        found
            .error(
                "nested-choice",
                other.span,
                format!("every option of `{}` must be a map, or none", at.name),
            )
            .label(other.describe());
        return None;
    }
    let parent = space.space.parameters.len();
    space.places.push(Place {
        name: at.name.clone(),
        expression: at.expression,
        values: span,
        inner: true,
        whole: true,
    });
    space.space.parameters.push(Parameter {
        name: at.path.clone(),
        distribution: Distribution::Choice {
            options: (0..options.len()).map(|index| Value::Int(index as i64)).collect(),
            ordered: Some(false),
        },
        condition: at.condition,
    });
    let mut ok = Some(());
    for (index, option) in options.iter().enumerate() {
        for entry in option.as_map().unwrap_or_default() {
            let condition = Condition {
                parent,
                options: vec![index],
            };
            let added = match wire_form(&entry.value) {
                Some((name, arguments)) => {
                    let call = Call {
                        name,
                        values: arguments.as_seq().unwrap_or_default(),
                        span: arguments.span,
                    };
                    let inner = At {
                        path: format!("{}/{index}/{}", at.path, entry.key),
                        name: entry.key.clone(),
                        expression: entry.value.span,
                        condition: Some(condition),
                    };
                    add_call(&call, inner, space, found)
                }
                None => value_of(&entry.value, found).map(|value| {
                    space.bindings.push(ParameterBinding {
                        argument: Some(argument_of(&entry.key)),
                        name: entry.key.clone(),
                        shape: Shape::Constant { value, condition },
                    });
                }),
            };
            ok = ok.and(added);
        }
    }
    ok
}

/// `[uniform, [0, 1]]`: an expression as the service's wire form has it.
fn wire_form(node: &Node) -> Option<(&'static str, &Node)> {
    let [name, arguments] = node.as_seq()? else {
        return None;
    };
    arguments.as_seq()?;
    let name = name.as_str()?;
    let name = EXPRESSIONS.into_iter().find(|expression| *expression == name)?;
    Some((name, arguments))
}

fn holds_expression(option: &Node) -> bool {
    option
        .as_map()
        .is_some_and(|entries| entries.iter().any(|entry| wire_form(&entry.value).is_some()))
}

/// `lr` and `--lr` are two parameters with one argument.
fn warn_of_shared_arguments(items: &[Item<'_>], found: &mut Diagnostics) {
    for (index, item) in items.iter().enumerate() {
        let argument = argument_of(&item.name);
        if let Some(other) = items
            .iter()
            .take(index)
            .find(|other| argument_of(&other.name) == argument)
        {
            found
                .warning(
                    "duplicate-argument",
                    item.name_span,
                    format!(
                        "`{}` and `{}` both become the argument `{argument}`",
                        other.name, item.name
                    ),
                )
                .label("the script gets it twice")
                .also(other.name_span, "first here");
        }
    }
}
