//! A parameter that is also a fixed argument: the script would be given it twice.

use crate::config::runconfig::RunConfig;
use crate::diagnostic::{Diagnostic, Dialect, Node, Severity, Source, Span, parse};
use std::sync::Arc;

/// Reports every one of `names` (as arguments, dashes included) that is among `arguments`, naming both places; with `allowed` the
/// fixed ones are dropped instead, with a note. Returns the arguments that stay.
pub(super) fn check(
    main: &Arc<Source>,
    config: &RunConfig,
    arguments: Vec<String>,
    names: &[String],
    allowed: bool,
    found: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let mut kept = Vec::with_capacity(arguments.len());
    // The places are those of the file only if the arguments are.
    let typed = config.arguments.len() != arguments.len()
        || config
            .arguments
            .iter()
            .zip(&arguments)
            .any(|(fixed, argument)| fixed.text != *argument);
    let mut skip_value = false;
    for (index, argument) in arguments.iter().enumerate() {
        if std::mem::take(&mut skip_value) && !is_option(argument) {
            continue;
        }
        let flag = argument
            .split_once('=')
            .map_or(argument.as_str(), |(flag, _)| flag);
        let Some(name) = names.iter().find(|name| *name == flag) else {
            kept.push(argument.clone());
            continue;
        };
        let place = config
            .arguments
            .get(index)
            .filter(|_| !typed)
            .map(|fixed| {
                let position = config.source.position(fixed.span.start);
                format!("{}:{}:{}", config.source.name(), position.line, position.column)
            })
            .unwrap_or_else(|| "the command line".to_owned());
        let mut diagnostic = Diagnostic::new(
            if allowed { Severity::Note } else { Severity::Error },
            "duplicate-argument",
            Some(main),
            parameter_place(main, name),
            format!("`{name}` is a parameter and a fixed argument"),
        );
        diagnostic.label(format!("also at {place}"));
        if allowed {
            diagnostic.help("the fixed one is dropped");
            skip_value = flag == argument;
        } else {
            diagnostic.help(format!("take it out of the arguments at {place}"));
            diagnostic.help("or let the parameter replace it:  --set allow_duplicate_arguments=true");
            kept.push(argument.clone());
        }
        found.push(diagnostic);
    }
    kept
}

/// Whether an argument is an option rather than a value (a negative number is a value).
fn is_option(argument: &str) -> bool {
    argument.starts_with('-') && argument.len() > 1 && argument.parse::<f64>().is_err()
}

/// Where the parameter called `argument` is declared.
fn parameter_place(main: &Arc<Source>, argument: &str) -> Span {
    fn find(node: &Node, names: [&str; 2]) -> Option<Span> {
        if let Some(name) = node.get("name")
            && names.iter().any(|wanted| name.as_text() == Some(wanted))
        {
            return Some(name.span);
        }
        if let Some(entries) = node.as_map() {
            return entries.iter().find_map(|entry| {
                if names.contains(&entry.key.as_str()) {
                    Some(entry.key_span)
                } else {
                    find(&entry.value, names)
                }
            });
        }
        node.as_seq()?.iter().find_map(|item| find(item, names))
    }
    let bare = argument.trim_start_matches('-');
    parse(main, Dialect::Yaml12)
        .root
        .and_then(|root| find(root.get("sampling")?, [argument, bare]))
        .unwrap_or_else(|| main.head())
}
