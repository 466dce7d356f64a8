//! Runs and sweeps that are started by a run configuration.

use super::{Resolver, current_interpreter, duplicates};
use crate::config::command_job::sampler;
use crate::config::files::join;
use crate::config::launch::template::Template;
use crate::config::overdrive_section::Section;
use crate::config::runconfig::{
    self, Located, NotFound, RunConfig, SCRIPT_PLACEHOLDER, data_bindings, environment,
};
use crate::config::{Command, DataMap, Dialect, Experiment, Hyperdrive, Launch};
use crate::controller::Limits;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, Source, list, nearest};
use crate::policy::PolicySpec;
use crate::space::SearchSpace;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A run configuration and how it was come by.
struct Found {
    config: RunConfig,
    path: Option<PathBuf>,
    given_as_path: bool,
}

impl Resolver<'_> {
    /// A sweep: an hdconfig file and the run configuration that goes with it.
    pub(super) fn sweep(
        &mut self,
        source: &Arc<Source>,
        hyperdrive: Option<Hyperdrive>,
        section: Section,
        map: &DataMap,
    ) -> Option<Experiment> {
        // Its findings are wanted also when the main file has errors.
        let found = self.configuration(None);
        let mut map = map.clone();
        if let Some(hyperdrive) = &hyperdrive {
            map.merge(&DataMap::from_extensions(&hyperdrive.section.extensions));
        }
        let mut found = found?;
        let names: Vec<String> = hyperdrive
            .iter()
            .flat_map(|hyperdrive| &hyperdrive.parameters)
            .filter_map(|binding| binding.argument.clone())
            .collect();
        let said = [
            Some(&section),
            hyperdrive.as_ref().map(|hyperdrive| &hyperdrive.section),
        ]
        .into_iter()
        .flatten()
        .find_map(|section| section.extensions.get("allow_duplicate_arguments"))
        .and_then(Json::as_bool);
        let allowed = self.request.allow_duplicate_arguments || said.unwrap_or(false);
        let launch = self.launch(&mut found, &map, |resolver, config, arguments| {
            duplicates::check(
                source,
                config,
                arguments,
                &names,
                allowed,
                &mut resolver.diagnostics,
            )
        });
        let (hyperdrive, launch) = (hyperdrive?, launch?);
        let (mut experiment, own) = hyperdrive.into_experiment(String::new(), None, launch);
        experiment.sampler.seed = self.request.fallback_seed;
        experiment.targets = targets(&found.config);
        self.finish(experiment, section.over(own))
    }

    /// A single run of a run configuration, which is the main file, or named by `-c`, or the built-in one.
    pub(super) fn script_run(
        &mut self,
        main: Option<(PathBuf, Arc<Source>)>,
        section: Section,
    ) -> Option<Experiment> {
        let mut map = self.request.map.clone();
        map.merge(&DataMap::from_extensions(&section.extensions));
        let mut found = self.configuration(main)?;
        let launch = self.launch(&mut found, &map, |_, _, arguments| arguments)?;
        let experiment = Experiment {
            name: String::new(),
            display_name: None,
            description: None,
            tags: indexmap::IndexMap::new(),
            dialect: Dialect::ScriptRun,
            file: None,
            space: SearchSpace::default(),
            sampler: sampler("random"),
            policy: PolicySpec::NoTermination,
            metric: None,
            metrics: Vec::new(),
            limits: Limits {
                max_total: 1,
                max_concurrent: 1,
                max_duration_ms: None,
            },
            abort_after_initial_failures: 0,
            max_retries: crate::config::MAX_RETRIES,
            launch,
            targets: targets(&found.config),
            enqueue: Vec::new(),
            resume_from: Vec::new(),
            stop_when: None,
            extensions: serde_json::Map::new(),
        };
        self.finish(experiment, section)
    }

    /// Finds and reads the run configuration.
    fn configuration(&mut self, main: Option<(PathBuf, Arc<Source>)>) -> Option<Found> {
        let is_sweep = self.request.file.is_some() && main.is_none();
        let (path, source, given_as_path) = match (main, &self.request.run_configuration) {
            (Some((path, source)), _) => (path, source, true),
            (None, Some(name)) => {
                let located = match runconfig::locate(name, &self.project, self.files) {
                    Ok(located) => located,
                    Err(missing) => {
                        self.not_found(&missing);
                        return None;
                    }
                };
                let source = self.open(&located.path, "run configuration")?;
                (located.path, source, located.given_as_path)
            }
            (None, None) if is_sweep => match runconfig::beside(&self.project, self.files) {
                Ok(Some(Located { path, .. })) => {
                    let source = self.open(&path, "run configuration")?;
                    (path, source, false)
                }
                Ok(None) => return Some(built_in()),
                Err(several) => {
                    if let Some(diagnostic) = self.complain(
                        "several-runconfigs",
                        format!(
                            "there are several run configurations: {}",
                            list(several.iter().map(String::as_str))
                        ),
                    ) {
                        diagnostic.help("name one with `-c NAME`");
                    }
                    return None;
                }
            },
            (None, None) => return Some(built_in()),
        };
        let (config, findings) = runconfig::read(&source, &path, &self.project, self.files);
        self.diagnostics.extend(findings);
        self.run_configuration = Some(self.files.absolute(&path));
        Some(Found {
            config: config?,
            path: Some(path),
            given_as_path,
        })
    }

    fn not_found(&mut self, missing: &NotFound) {
        let tried: Vec<String> = missing
            .tried
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        if let Some(diagnostic) = self.complain(
            "missing-runconfig",
            format!("there is no run configuration `{}`", missing.name),
        ) {
            if let Some(near) = &missing.nearest {
                diagnostic.help(format!("did you mean `{near}`?"));
            } else if !missing.present.is_empty() {
                diagnostic.help(format!(
                    "known here: {}",
                    list(missing.present.iter().map(String::as_str))
                ));
            }
            diagnostic.help(format!("looked for {}", tried.join(", ")));
        }
    }

    /// How a trial is started, by the configuration and what was typed. `arguments` may take fixed arguments away.
    fn launch(
        &mut self,
        found: &mut Found,
        map: &DataMap,
        arguments: impl FnOnce(&mut Self, &RunConfig, Vec<String>) -> Vec<String>,
    ) -> Option<Launch> {
        self.overrides(&mut found.config);
        let config = &found.config;
        let beside = found
            .path
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(&self.project);
        let folders = if found.given_as_path {
            [beside, &self.project]
        } else {
            [&self.project, beside]
        };
        let mut findings = Diagnostics::new(&config.source);
        let resolved = environment(
            config,
            folders,
            self.request.conda_dependencies.as_deref(),
            self.files,
            &mut findings,
        );
        let source_directory = self
            .request
            .source_directory
            .clone()
            .unwrap_or_else(|| self.project.clone());
        let mut more = findings.sorted();
        // A missing conda file is no matter when its environment is not used.
        if self.request.environment == super::EnvironmentChoice::Current {
            more.retain(|finding| finding.severity != Severity::Error);
        }
        self.diagnostics.extend(more);
        let data = data_bindings(config, map, &self.project, self.files, &mut self.diagnostics);
        let fixed: Vec<String> = config
            .arguments
            .iter()
            .map(|argument| argument.text.clone())
            .collect();
        let fixed = if self.request.arguments.is_empty() {
            fixed
        } else {
            self.request.arguments.clone()
        };
        let config = config.clone();
        let fixed = arguments(self, &config, fixed);
        let command = self.command(&config, fixed, &source_directory)?;
        let spec = if found.path.is_none() && self.request.conda_dependencies.is_none() {
            current_interpreter()
        } else {
            resolved.spec
        };
        let lower = |key: &str| config.text(key).unwrap_or_default().to_ascii_lowercase();
        let outputs: Vec<String> = config
            .at("outputData")
            .as_object()
            .map(|outputs| outputs.keys().cloned().collect())
            .unwrap_or_default();
        let nodes = count(config.at("nodeCount")).unwrap_or(1);
        Some(Launch {
            source_directory: Some(self.files.absolute(&source_directory)),
            source_files: Vec::new(),
            command,
            parameters: Vec::new(),
            environment_variables: resolved.variables,
            environment: spec,
            data,
            outputs,
            file_outputs: Vec::new(),
            trial_timeout_ms: config
                .at("maxRunDurationSeconds")
                .as_u64()
                .map(|seconds| seconds.saturating_mul(1000)),
            framework: lower("framework"),
            communicator: lower("communicator"),
            node_count: nodes,
            process_count_per_node: processes(&config, nodes),
            run_definition: Json::Object(config.definition),
        })
    }

    /// What was typed replaces what the configuration says.
    fn overrides(&self, config: &mut RunConfig) {
        if let Some(script) = &self.request.script {
            config.set("script", Json::from(script.as_str()));
            config.set("command", Json::from(""));
        }
        if !self.request.arguments.is_empty() {
            let arguments = self
                .request
                .arguments
                .iter()
                .map(|text| Json::from(text.as_str()));
            config.set("arguments", arguments.collect());
        }
        if let [target] = self.request.targets.as_slice() {
            config.set("target", Json::from(target.as_str()));
        }
    }

    /// The script with its arguments, or the command; complains about a script that is not there.
    fn command(&mut self, config: &RunConfig, arguments: Vec<String>, folder: &Path) -> Option<Command> {
        if let Some(text) = config.text("command") {
            if let Some(defect) = Template::parse(text).defect() {
                self.diagnostics.push(Diagnostic::new(
                    Severity::Error,
                    "bad-command",
                    Some(&config.source),
                    config.place_or_head("command"),
                    defect,
                ));
            }
            return Some(Command::Template {
                text: text.to_owned(),
                append_parameters: true,
            });
        }
        let Some(script) = config
            .text("script")
            .filter(|script| *script != SCRIPT_PLACEHOLDER)
        else {
            let mut diagnostic = Diagnostic::new(
                Severity::Error,
                "missing-script",
                Some(&config.source).filter(|source| !source.text().is_empty()),
                config.place_or_head("script"),
                "no script to run is named",
            );
            diagnostic.help("name it after the file:  overdrive run FILE train.py");
            diagnostic.help("or in the run configuration:  script: train.py");
            self.diagnostics.push(diagnostic);
            return None;
        };
        let path = join(Path::new(""), script);
        let normal = path.to_string_lossy().into_owned();
        let outside = path.is_absolute() || path.starts_with("..");
        let full = join(folder, script);
        if outside || !self.files.exists(&full) || self.files.is_folder(&full) {
            let mut diagnostic = Diagnostic::new(
                Severity::Error,
                "missing-script",
                Some(&config.source).filter(|_| config.place("script").is_some()),
                config.place("script").unwrap_or_default(),
                format!("there is no script `{script}` in the source folder"),
            );
            if outside {
                diagnostic.label("outside the source folder");
                diagnostic.help("only what lies in the source folder reaches the trials; `--source-directory` names another");
            } else {
                diagnostic.label(format!("looked for {}", full.display()));
                let names = self.files.names(full.parent().unwrap_or(folder));
                let wanted = full.file_name().unwrap_or_default().to_string_lossy();
                if let Some(near) = nearest(&wanted, names.iter().map(String::as_str)) {
                    diagnostic.help(format!("did you mean `{near}`?"));
                }
            }
            self.diagnostics.push(diagnostic);
            return None;
        }
        Some(Command::Script {
            script: normal,
            arguments,
        })
    }
}

fn built_in() -> Found {
    Found {
        config: RunConfig::built_in(),
        path: None,
        given_as_path: false,
    }
}

fn targets(config: &RunConfig) -> Vec<String> {
    vec![config.text("target").unwrap_or("local").to_owned()]
}

fn count(value: &Json) -> Option<u32> {
    value.as_u64().and_then(|value| u32::try_from(value).ok())
}

/// Processes on one node by communicator: MPI counts them per node, PyTorch in all.
fn processes(config: &RunConfig, nodes: u32) -> u32 {
    let communicator = config
        .text("communicator")
        .unwrap_or_default()
        .to_ascii_lowercase();
    match communicator.as_str() {
        "mpi" | "openmpi" | "intelmpi" => count(config.at("mpi/processCountPerNode")).unwrap_or(1),
        "nccl" | "gloo" => {
            count(config.at("pytorch/processCount")).map_or(1, |all| (all / nodes.max(1)).max(1))
        }
        _ => 1,
    }
}
