//! What the files ask for and trials on this computer do not get: containers, several machines, packages of R. Said aloud, since
//! the numbers of such a sweep would otherwise be taken for those of what was asked for.

use super::{EnvironmentChoice, Resolver};
use crate::config::{Dialect, EnvironmentSpec, Experiment};
use crate::diagnostic::{self, Diagnostic, Kind, Node, Severity, Source, Span, parse};
use std::sync::Arc;

/// Where a container is asked for, by dialect; the first that is there is shown.
const CONTAINER: [&[&str]; 7] = [
    &["docker", "usedocker"],
    &["environment", "docker", "enabled"],
    &["trial", "environment", "image"],
    &["trial", "environment", "build"],
    &["environment", "image"],
    &["environment", "build"],
    &["environment", "docker"],
];

/// Where more than one node is asked for.
const PROCESSES: [&[&str]; 7] = [
    &["nodecount"],
    &["trial", "distribution"],
    &["trial", "resources", "instancecount"],
    &["distribution"],
    &["resources", "instancecount"],
    &["mpi", "processcountpernode"],
    &["pytorch", "processcount"],
];

impl Resolver<'_> {
    /// Warns of what the local target leaves out. Other targets have their own say.
    pub(super) fn limits_of_local(&mut self, experiment: &Experiment) {
        if experiment.targets.iter().any(|target| target != "local") {
            return;
        }
        let launch = &experiment.launch;
        if let EnvironmentSpec::Docker {
            image,
            dockerfile,
            inner,
            ..
        } = &launch.environment
            && self.request.environment == EnvironmentChoice::AsAsked
        {
            let instead = match inner.as_ref() {
                EnvironmentSpec::Conda { .. } => "the Python environment of its conda file",
                EnvironmentSpec::UserManaged { .. } | EnvironmentSpec::Docker { .. } => {
                    "the Python that is there"
                }
            };
            let mut finding = self.finding(
                Severity::Warning,
                "container",
                &CONTAINER,
                "trials on this computer run without the container that is asked for",
            );
            finding.label(match (image, dockerfile) {
                (Some(image), _) => format!("`{image}` is not used"),
                (None, Some(_)) => "no image is built from the Dockerfile".to_owned(),
                (None, None) => "no image is used".to_owned(),
            });
            finding.help(format!(
                "they run in {instead}; `--environment no-container` says that this is meant"
            ));
            self.diagnostics.push(finding);
        }
        let processes = u64::from(launch.node_count) * u64::from(launch.process_count_per_node);
        if launch.node_count > 1 {
            let mut finding = self.finding(
                Severity::Note,
                "one-computer",
                &PROCESSES,
                "all processes of a trial run on this computer",
            );
            finding.label(format!("{processes} processes of {} nodes", launch.node_count));
            self.diagnostics.push(finding);
        }
        let definition = &launch.run_definition;
        let packages = definition.pointer("/environment/r");
        if launch.framework == "r" && packages.is_some_and(|packages| !packages.is_null()) {
            let mut finding = self.finding(
                Severity::Warning,
                "r-packages",
                &[&["environment", "r"]],
                "packages of R are not installed",
            );
            finding.label("the `Rscript` that is there is used with what it has");
            self.diagnostics.push(finding);
        }
        let registered = ["/trial/environment", "/environment"]
            .into_iter()
            .find_map(|place| definition.pointer(place)?.as_str());
        let is_job = matches!(experiment.dialect, Dialect::SweepJob | Dialect::CommandJob);
        if let Some(name) = registered
            && is_job
        {
            let mut finding = self.finding(
                Severity::Note,
                "registered-environment",
                &[&["trial", "environment"], &["environment"]],
                "a registered environment is not known here",
            );
            finding.label(format!("trials run in the Python that is there, not in `{name}`"));
            finding.help("an inline one with `conda_file` is built");
            self.diagnostics.push(finding);
        }
    }

    /// A finding at the first of `places` that any of the files has.
    fn finding(&self, severity: Severity, code: &str, places: &[&[&str]], message: &str) -> Diagnostic {
        let place = self.sources.iter().find_map(|source| place(source, places));
        match place {
            Some((source, span)) => Diagnostic::new(severity, code, Some(&source), span, message),
            None => Diagnostic::new(severity, code, None, Span::default(), message),
        }
    }
}

fn place(source: &Arc<Source>, places: &[&[&str]]) -> Option<(Arc<Source>, Span)> {
    let root = parse(source, diagnostic::Dialect::Yaml12).root?;
    let span = places.iter().find_map(|path| {
        path.iter()
            .try_fold(&root, |node, key| inner(node, key))
            .filter(|node| !matches!(node.kind, Kind::Bool(false)))
            .map(|node| node.span)
    })?;
    Some((Arc::clone(source), span))
}

/// The value at `key` in any spelling.
fn inner<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.as_map()?
        .iter()
        .find(|entry| entry.key.to_ascii_lowercase().replace(['_', '-'], "") == key)
        .map(|entry| &entry.value)
}
