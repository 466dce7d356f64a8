//! A sweep that is a step of a pipeline: its trial is a component file, its values are inputs of that component.

use super::super::command_job::data::{literal, literal_binding};
use super::super::command_job::scalars::wrong;
use super::{Header, Job, JobContext, Known, Parts, data, trial};
use crate::config::DataBinding;
use crate::config::files::join;
use crate::config::launch::template::{Room, Template};
use crate::diagnostic::{self, Diagnostics, Entry, Fields, Node, Source, Unknown, list, nearest, parse};
use indexmap::IndexMap;
use std::path::Path;

/// Whether the document is a pipeline.
pub(super) fn is_pipeline(root: &Node) -> bool {
    let kind = root.get("type").and_then(Node::as_str);
    matches!(kind, Some("pipeline" | "pipeline_job")) || kind.is_none() && root.get("jobs").is_some()
}

/// Reads the one sweep step, or the one that was asked for; other steps are left alone.
pub(super) fn read(root: &Node, context: &JobContext<'_>, found: &mut Diagnostics) -> Option<Job> {
    let mut fields = Fields::open(root, "the file", found)?;
    let mut header = Header::read(&mut fields, "pipeline", found);
    let pipeline_inputs = fields.given("inputs").map(|entry| &entry.value);
    let default_compute = fields
        .given("settings")
        .and_then(|entry| entry.value.get("default_compute"))
        .and_then(trial::compute_name);
    fields.know(&["outputs", "component", "schedule"]);
    let jobs = fields.required("jobs", found)?;
    fields.finish(Unknown::Refuse, found);
    let step = choose(jobs, context, found)?;
    header.compute = step
        .value
        .get("compute")
        .and_then(trial::compute_name)
        .or(header.compute.take())
        .or(default_compute);
    read_step(step, pipeline_inputs, header, context, found)
}

fn choose<'a>(jobs: &'a Entry, context: &JobContext<'_>, found: &mut Diagnostics) -> Option<&'a Entry> {
    let Some(steps) = jobs.value.as_map() else {
        wrong(jobs, "a map of steps", found);
        return None;
    };
    let sweeps: Vec<&Entry> = steps
        .iter()
        .filter(|step| step.value.get("type").and_then(Node::as_str) == Some("sweep"))
        .collect();
    let names = list(sweeps.iter().map(|step| step.key.as_str()));
    if let Some(wanted) = context.step {
        let hit = sweeps.iter().find(|step| step.key == wanted).copied();
        if hit.is_none() {
            let near = nearest(wanted, sweeps.iter().map(|step| step.key.as_str())).map(str::to_owned);
            let diagnostic = found.error(
                "unknown-step",
                jobs.key_span,
                format!("no sweep step is called `{wanted}`"),
            );
            diagnostic.expected(names);
            if let Some(near) = near {
                diagnostic.help(format!("was `{near}` meant?"));
            }
        }
        return hit;
    }
    match sweeps.as_slice() {
        [one] => {
            if steps.len() > 1 {
                found
                    .note(
                        "other-steps",
                        jobs.key_span,
                        "only the sweep step of the pipeline is run",
                    )
                    .label(format!("`{}` of {} steps", one.key, steps.len()));
            }
            Some(one)
        }
        [] => {
            found.error(
                "no-sweep-step",
                jobs.key_span,
                "the pipeline has no step of type `sweep`",
            );
            None
        }
        _ => {
            found
                .error(
                    "several-sweep-steps",
                    jobs.key_span,
                    "the pipeline has several sweep steps",
                )
                .help("name one with `--step NAME`")
                .expected(names);
            None
        }
    }
}

fn read_step(
    step: &Entry,
    pipeline_inputs: Option<&Node>,
    header: Header,
    context: &JobContext<'_>,
    found: &mut Diagnostics,
) -> Option<Job> {
    let mut fields = Fields::open(&step.value, &format!("step `{}`", step.key), found)?;
    let given = fields
        .given("inputs")
        .map(|entry| inputs(entry, pipeline_inputs, context, found))
        .unwrap_or_default();
    let outputs = fields
        .given("outputs")
        .map(|entry| data::outputs(entry, found))
        .unwrap_or_default();
    let parts = Parts::read(&mut fields, context, false, found);
    let trial_entry = fields.required("trial", found);
    let nodes = fields
        .given("resources")
        .and_then(|entry| trial::resources(entry, found));
    fields.know(&[
        "type",
        "compute",
        "display_name",
        "description",
        "tags",
        "queue_settings",
        "identity",
    ]);
    fields.finish(Unknown::Refuse, found);
    let entry = trial_entry?;
    let parts = parts?;
    let swept: Vec<&str> = parts
        .bindings
        .iter()
        .map(|binding| binding.name.as_str())
        .collect();
    let (mut trial, data) = match entry.value.as_str() {
        Some(path) => component_file(path, entry, given, &swept, context, found)?,
        None => component(&entry.value, given, &swept, context, found)?,
    };
    if let Some((text, _)) = &mut trial.command {
        *text = bind_swept(text, &swept);
    }
    trial.nodes = nodes.unwrap_or(trial.nodes);
    let known = Known {
        parameters: swept,
        single: false,
    };
    let launch = trial.into_launch(data, outputs, &known, step.value.to_json(), found)?;
    Some(parts.into_job(header, launch))
}

/// The inputs of a step; those that come from the pipeline are looked up there, those of other steps are errors.
fn inputs(
    entry: &Entry,
    pipeline_inputs: Option<&Node>,
    context: &JobContext<'_>,
    found: &mut Diagnostics,
) -> Vec<DataBinding> {
    let mut resolved = entry.clone();
    if let diagnostic::Kind::Map(entries) = &mut resolved.value.kind {
        entries.retain_mut(|input| {
            let bound = input
                .value
                .as_str()
                .or_else(|| input.value.get("path").and_then(Node::as_str))
                .map(|text| text.replace(' ', ""));
            let Some(inner) = bound
                .as_deref()
                .and_then(|text| text.strip_prefix("${{parent."))
                .and_then(|text| text.strip_suffix("}}"))
            else {
                return true;
            };
            let value = inner
                .strip_prefix("inputs.")
                .and_then(|name| pipeline_inputs.and_then(|inputs| inputs.get(name)));
            match value {
                Some(value) => {
                    input.value = value.clone();
                    true
                }
                None => {
                    found
                        .error(
                            "undefined-reference",
                            input.value.span,
                            format!("`{}` comes from elsewhere in the pipeline", input.key),
                        )
                        .label("only the sweep step is run here")
                        .help("give it a path of its own");
                    false
                }
            }
        });
    }
    data::inputs(&resolved, context, found)
}

fn component_file(
    path: &str,
    entry: &Entry,
    given: Vec<DataBinding>,
    swept: &[&str],
    context: &JobContext<'_>,
    found: &mut Diagnostics,
) -> Option<(trial::Trial, Vec<DataBinding>)> {
    let full = join(context.folder, path.strip_prefix("file:").unwrap_or(path));
    let text = match context.files.read(&full) {
        Ok(Some(text)) => text,
        Ok(None) => {
            found
                .error(
                    "missing-file",
                    entry.value.span,
                    format!("there is no component file `{path}`"),
                )
                .label(format!("looked for {}", full.display()));
            return None;
        }
        Err(reason) => {
            found.error("unreadable-file", entry.value.span, format!("`{path}`: {reason}"));
            return None;
        }
    };
    let source = Source::new(full.to_string_lossy(), text);
    let document = parse(&source, diagnostic::Dialect::Yaml11);
    let mut inner = Diagnostics::new(&source);
    inner.extend(document.diagnostics);
    let folder = full.parent().unwrap_or(Path::new(""));
    let context = JobContext { folder, ..*context };
    let read = document
        .root
        .and_then(|root| component(&root, given, swept, &context, &mut inner));
    let failed = inner.has_errors();
    found.extend(inner.sorted());
    read.filter(|_| !failed)
}

/// A command component: a trial with typed inputs that may have defaults.
fn component(
    root: &Node,
    given: Vec<DataBinding>,
    swept: &[&str],
    context: &JobContext<'_>,
    found: &mut Diagnostics,
) -> Option<(trial::Trial, Vec<DataBinding>)> {
    let mut fields = Fields::open(root, "the component", found)?;
    let trial = trial::read(&mut fields, context, found);
    let declared = fields.given("inputs");
    fields.know(&[
        "$schema",
        "type",
        "name",
        "display_name",
        "description",
        "version",
        "tags",
        "outputs",
        "is_deterministic",
        "properties",
    ]);
    fields.finish(Unknown::Refuse, found);
    let mut data: IndexMap<String, DataBinding> = given
        .into_iter()
        .map(|binding| (binding.name.clone(), binding))
        .collect();
    for input in declared
        .and_then(|entry| entry.value.as_map())
        .unwrap_or_default()
    {
        if swept.contains(&input.key.as_str()) || data.contains_key(&input.key) {
            continue;
        }
        let default = input.value.get("default").filter(|value| !value.is_null());
        let optional = input.value.get("optional").and_then(Node::as_bool) == Some(true);
        match default.map(|value| component_default(value, input)) {
            Some(Some(text)) => {
                data.insert(input.key.clone(), literal_binding(&input.key, text));
            }
            _ if optional => {}
            _ => {
                found.error(
                    "missing-key",
                    input.key_span,
                    format!("input `{}` of the component has no value", input.key),
                );
            }
        }
    }
    Some((trial, data.into_values().collect()))
}

/// A default in the type of its input: a `number` written as a whole one stays whole, `1e-3` of a number is one.
fn component_default(value: &Node, input: &Entry) -> Option<String> {
    let kind = input.value.get("type").and_then(Node::as_str).unwrap_or_default();
    if kind == "number"
        && let Some(number) = value.as_str().and_then(|text| text.parse::<f64>().ok())
    {
        return Some(crate::space::python_repr(number));
    }
    literal(value)
}

/// In a component the swept values are inputs; from here on they are hyperparameters.
fn bind_swept(text: &str, swept: &[&str]) -> String {
    let template = Template::parse(text);
    let mut bound = String::with_capacity(text.len());
    let mut end = 0;
    for reference in template.references() {
        if reference.room == Room::Inputs && swept.contains(&reference.path.as_str()) {
            let written = text.get(reference.range.clone()).unwrap_or_default();
            bound.push_str(text.get(end..reference.range.start).unwrap_or_default());
            if reference.optional {
                // The segment is given, so its brackets go.
                let inside = written.trim_start_matches('[').trim_end_matches(']');
                bound.push_str(&inside.replacen("inputs.", "search_space.", 1));
            } else {
                bound.push_str(&written.replacen("inputs.", "search_space.", 1));
            }
            end = reference.range.end;
        }
    }
    bound.push_str(text.get(end..).unwrap_or_default());
    bound
}

#[cfg(test)]
mod tests {
    use super::bind_swept;

    #[test]
    fn swept_inputs_become_hyperparameters() {
        assert_eq!(
            bind_swept("t ${{inputs.a}} [--b ${{inputs.b}}] ${{inputs.c}}", &["a", "b"]),
            "t ${{search_space.a}} --b ${{search_space.b}} ${{inputs.c}}"
        );
    }
}
