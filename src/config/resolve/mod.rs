//! The one entry for whoever starts things: from what was typed to an [`Experiment`], with everything there is to say about the
//! files on the way.
//!
//! Precedence, low to high: what the formats leave open, the run configuration, the main file, `overdrive.yml` beside it,
//! `--set`, the other arguments. Every value of a lower level that a higher one names is replaced, lists as a whole.

mod duplicates;
mod find;
mod local;
mod naming;
mod run;

pub use find::{FindError, find_file};
pub use naming::{NAME_RULE, is_experiment_name, sanitized};

use super::command_job::{self, JobContext, Setting};
use super::files::join;
use super::overdrive_section::{KEYS, Section};
use super::{DataMap, Dialect, EnvironmentSpec, Experiment, Files, Format, Reading, hyperdrive, sweep_job};
use crate::diagnostic::{self, Diagnostic, Severity, Source, Span, nearest, parse};
use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which interpreter trials run with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnvironmentChoice {
    /// What the files ask for.
    #[default]
    AsAsked,
    /// The Python that is there, whatever the files ask for.
    Current,
    /// What the files ask for, but not in a container.
    WithoutContainer,
}

/// What was typed.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The main file as typed: `hdconfig.yml`, a job file, or a run configuration; `None` = a single run of
    /// `run_configuration`, or of a script with everything by default.
    pub file: Option<PathBuf>,
    /// Name or path of the run configuration.
    pub run_configuration: Option<String>,
    /// Folder in which run configurations are looked for and to which their paths are relative (`--path`); `None` = that of the
    /// main file, else the working directory.
    pub project: Option<PathBuf>,
    /// Folder of the user's code; `None` = the project folder.
    pub source_directory: Option<PathBuf>,
    /// Script instead of the configuration's.
    pub script: Option<String>,
    /// Arguments instead of the configuration's, if any are given.
    pub arguments: Vec<String>,
    /// Compute targets instead of the files'.
    pub targets: Vec<String>,
    /// Experiment name instead of the files'.
    pub experiment_name: Option<String>,
    /// Name of the sweep for people.
    pub display_name: Option<String>,
    /// Further tags.
    pub tags: IndexMap<String, String>,
    /// Seed instead of the files'.
    pub seed: Option<u64>,
    /// Seed when nobody gives one; by chance, so that two sweeps differ.
    pub fallback_seed: u64,
    /// Earlier sweeps whose trials are data.
    pub resume_from: Vec<String>,
    /// `KEY=VALUE` changes: keys of the main file (dotted) or of the `overdrive` section.
    pub settings: Vec<String>,
    /// Which interpreter.
    pub environment: EnvironmentChoice,
    /// Conda file instead of the configuration's dependencies.
    pub conda_dependencies: Option<PathBuf>,
    /// Where data behind names lies, besides what the files say.
    pub map: DataMap,
    /// The step of a pipeline to run, if it has several sweeps.
    pub step: Option<String>,
    /// Let a parameter replace the fixed argument of the same name, instead of an error.
    pub allow_duplicate_arguments: bool,
    /// Take timeouts of job files below a minute as they are.
    pub short_timeouts: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The experiment; absent if any finding is an error.
    pub experiment: Option<Experiment>,
    /// All findings: main file first, then the files it led to, each in the order of its text.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that were read, main file first.
    pub sources: Vec<Arc<Source>>,
    /// The run configuration that was used, if one was.
    pub run_configuration: Option<PathBuf>,
}

/// Reads everything that `request` leads to.
pub fn resolve(request: &Request, files: &dyn Files) -> Resolved {
    let mut resolver = Resolver::new(request, files);
    let experiment = resolver.experiment();
    let failed = super::overdrive_section::has_errors(&resolver.diagnostics);
    Resolved {
        experiment: experiment.filter(|_| !failed),
        diagnostics: resolver.diagnostics,
        sources: resolver.sources,
        run_configuration: resolver.run_configuration,
    }
}

struct Resolver<'a> {
    request: &'a Request,
    files: &'a dyn Files,
    project: PathBuf,
    diagnostics: Vec<Diagnostic>,
    sources: Vec<Arc<Source>>,
    run_configuration: Option<PathBuf>,
}

impl<'a> Resolver<'a> {
    fn new(request: &'a Request, files: &'a dyn Files) -> Self {
        let project = match (&request.project, &request.file) {
            (Some(project), _) => project.clone(),
            (None, Some(file)) => file.parent().unwrap_or(Path::new("")).to_path_buf(),
            (None, None) => PathBuf::new(),
        };
        Self {
            request,
            files,
            project,
            diagnostics: Vec::new(),
            sources: Vec::new(),
            run_configuration: None,
        }
    }

    /// A finding that is about no text.
    fn complain(&mut self, code: &str, message: String) -> Option<&mut Diagnostic> {
        self.diagnostics.push(Diagnostic::new(
            Severity::Error,
            code,
            None,
            Span::default(),
            message,
        ));
        self.diagnostics.last_mut()
    }

    fn take<T>(&mut self, reading: Reading<T>) -> Option<T> {
        self.diagnostics.extend(reading.diagnostics);
        reading.value
    }

    /// Reads a text that must be there.
    fn open(&mut self, path: &Path, what: &str) -> Option<Arc<Source>> {
        let name = path.to_string_lossy().into_owned();
        match self.files.read(path) {
            Ok(Some(text)) => {
                let source = Source::new(name, text);
                self.sources.push(Arc::clone(&source));
                Some(source)
            }
            Ok(None) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                let names = self.files.names(folder);
                let wanted = path.file_name().unwrap_or_default().to_string_lossy();
                let near = nearest(&wanted, names.iter().map(String::as_str)).map(str::to_owned);
                let is_folder = self.files.is_folder(path);
                if let Some(diagnostic) =
                    self.complain("missing-file", format!("there is no {what} `{name}`"))
                {
                    if is_folder {
                        diagnostic.help("it is a folder; name the file in it");
                    } else if let Some(near) = near {
                        diagnostic.help(format!("did you mean `{}`?", join(folder, &near).display()));
                    }
                }
                None
            }
            Err(reason) => {
                self.complain("unreadable-file", format!("`{name}`: {reason}"));
                None
            }
        }
    }

    fn experiment(&mut self) -> Option<Experiment> {
        let Some(file) = &self.request.file else {
            let (section, _) = self.section(None)?;
            return self.script_run(None, section);
        };
        let source = self.open(file, "file")?;
        let format = self.format(file, &source);
        let (section, settings) = self.section(Some((&source, format)))?;
        let mut map = self.request.map.clone();
        map.merge(&DataMap::from_extensions(&section.extensions));
        match format {
            Some(Format::Runconfig) => self.script_run(Some((file.clone(), source)), section),
            Some(Format::SweepJob | Format::PipelineJob | Format::CommandJob) => {
                let context = JobContext {
                    files: self.files,
                    folder: file.parent().unwrap_or(Path::new("")),
                    map: &map,
                    settings: &settings,
                    step: self.request.step.as_deref(),
                    timeout_floor: !self.request.short_timeouts,
                };
                let reading = if format == Some(Format::CommandJob) {
                    command_job::read(&source, &context)
                } else {
                    sweep_job::read(&source, &context)
                };
                let job = self.take(reading)?;
                self.unused_by_jobs();
                let mut experiment = job.experiment;
                experiment.sampler.seed = job.seed.unwrap_or(self.request.fallback_seed);
                if let Some(source_directory) = &self.request.source_directory {
                    experiment.launch.source_directory = Some(self.files.absolute(source_directory));
                    experiment.launch.source_files.clear();
                }
                self.finish(experiment, section.over(job.section))
            }
            _ => {
                let hyperdrive = self.take(hyperdrive::read_with(&source, &settings));
                self.sweep(&source, hyperdrive, section, &map)
            }
        }
    }

    /// What kind of file it is. A name that ends in `.runconfig` is one, whatever it holds.
    fn format(&self, file: &Path, source: &Arc<Source>) -> Option<Format> {
        if file.extension().is_some_and(|extension| extension == "runconfig") {
            return Some(Format::Runconfig);
        }
        let root = parse(source, diagnostic::Dialect::Yaml12).root?;
        let body = root.get("properties").unwrap_or(&root);
        if body.get("jobType").is_some() || root.get("job_type").is_some() {
            return Some(Format::SweepJob);
        }
        let detected = Format::detect(&root);
        // A file that is named by `-c` too is the sweep's, however little it says of itself.
        if detected.is_none() && root.get("environment").is_some() {
            return Some(Format::Runconfig);
        }
        detected
    }

    /// The `overdrive` section of everything but the main file, and the `--set` changes that are for the main file itself.
    fn section(&mut self, main: Option<(&Arc<Source>, Option<Format>)>) -> Option<(Section, Vec<Setting>)> {
        let beside = join(&self.project, "overdrive.yml");
        let mut section = Section::default();
        let is_main = self
            .request
            .file
            .as_deref()
            .is_some_and(|file| join(Path::new(""), &file.to_string_lossy()) == beside);
        if !is_main && let Ok(Some(text)) = self.files.read(&beside) {
            let source = Source::new(beside.to_string_lossy(), text);
            self.sources.push(Arc::clone(&source));
            section = self.take(Section::from_file(&source)).unwrap_or_default();
        }
        let dialect = match main {
            Some((_, Some(Format::SweepJob | Format::PipelineJob | Format::CommandJob))) => {
                diagnostic::Dialect::Yaml11
            }
            _ => diagnostic::Dialect::Yaml12,
        };
        let root = main.and_then(|(source, _)| parse(source, dialect).root);
        let mut settings = Vec::new();
        for setting in &self.request.settings {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            let first = path.first().map(String::as_str).unwrap_or_default();
            let in_file = root.as_ref().is_some_and(|root| root.get(first).is_some());
            let ours = KEYS.contains(&first);
            if main.is_some() && setting.contains('=') && first != "overdrive" && (in_file || !ours) {
                let value = parse(&Source::new("--set", value), dialect);
                self.diagnostics.extend(value.diagnostics);
                settings.extend(value.root.map(|value| (path, value)));
                continue;
            }
            let setting = setting.strip_prefix("overdrive.").unwrap_or(setting);
            let over = self.take(Section::from_setting(setting));
            section = over.unwrap_or_default().over(section);
        }
        Some((section, settings))
    }

    /// Arguments that say something about a run configuration mean nothing to a job file.
    fn unused_by_jobs(&mut self) {
        let request = self.request;
        for (given, name) in [
            (request.run_configuration.is_some(), "-c"),
            (request.script.is_some(), "a script"),
            (!request.arguments.is_empty(), "script arguments"),
            (request.conda_dependencies.is_some(), "a conda file"),
        ] {
            if given
                && let Some(diagnostic) = self.complain(
                    "no-effect",
                    format!("a job file says itself what is run; {name} cannot be given beside it"),
                )
            {
                diagnostic.help("change it with `--set trial.command='python train.py ...'`");
            }
        }
    }

    /// The last word: section, arguments, names.
    fn finish(&mut self, mut experiment: Experiment, section: Section) -> Option<Experiment> {
        let request = self.request;
        experiment.file = request.file.as_ref().map(|file| self.files.absolute(file));
        let findings = section.apply(&mut experiment);
        self.diagnostics.extend(findings);
        if let Some(seed) = request.seed {
            experiment.sampler.seed = seed;
        }
        if !request.targets.is_empty() {
            experiment.targets = request.targets.clone();
        }
        if let Some(name) = &request.display_name {
            experiment.display_name = Some(name.clone());
        }
        experiment.tags.extend(request.tags.clone());
        experiment.resume_from.extend(request.resume_from.iter().cloned());
        self.limits_of_local(&experiment);
        experiment.launch.environment = chosen(experiment.launch.environment, request.environment);
        let limits = experiment.limits;
        experiment
            .sampler
            .plan_for(limits.max_total, limits.max_concurrent);
        self.name(&mut experiment)?;
        Some(experiment)
    }
}

/// The environment after the user's choice.
fn chosen(environment: EnvironmentSpec, choice: EnvironmentChoice) -> EnvironmentSpec {
    match (choice, environment) {
        (EnvironmentChoice::AsAsked, environment) => environment,
        (EnvironmentChoice::WithoutContainer, EnvironmentSpec::Docker { inner, .. }) => *inner,
        (EnvironmentChoice::WithoutContainer, environment) => environment,
        (EnvironmentChoice::Current, EnvironmentSpec::UserManaged { interpreter }) => {
            EnvironmentSpec::UserManaged { interpreter }
        }
        (EnvironmentChoice::Current, EnvironmentSpec::Docker { inner, .. }) => {
            chosen(*inner, EnvironmentChoice::Current)
        }
        (EnvironmentChoice::Current, EnvironmentSpec::Conda { .. }) => current_interpreter(),
    }
}

/// The Python that is there.
fn current_interpreter() -> EnvironmentSpec {
    EnvironmentSpec::UserManaged {
        interpreter: "python".to_owned(),
    }
}

/// Whether an experiment is a single run.
pub fn is_single(experiment: &Experiment) -> bool {
    matches!(experiment.dialect, Dialect::CommandJob | Dialect::ScriptRun)
}
