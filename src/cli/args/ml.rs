//! The verbs of the Azure ML command line (v1): `overdrive ml ...`, `overdrive az ml ...`.

use super::job::{JobCommand, V2Command};
use super::target::{AttachTarget, CreateCommand, ProjectFolder, RemoveTarget, TargetName, UpdateCommand};
use clap::{Args, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// How the result of an `ml` verb is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Indented JSON.
    #[default]
    Json,
    /// The same; colours are not used.
    Jsonc,
    /// A table of the scalar fields.
    Table,
    /// Tab-separated values, no header.
    Tsv,
    /// YAML.
    Yaml,
    /// The same; colours are not used.
    Yamlc,
    /// Nothing.
    None,
}

/// Options of every `ml` verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every ml verb")]
pub struct MlGlobals {
    /// Workspace name, kept as a label.
    #[arg(short = 'w', long = "workspace-name", global = true, value_name = "NAME")]
    pub workspace: Option<String>,
    /// Resource group; accepted, has no effect.
    #[arg(short = 'g', long = "resource-group", global = true, value_name = "NAME")]
    pub resource_group: Option<String>,
    /// Subscription; accepted, has no effect.
    #[arg(
        long = "subscription-id",
        alias = "subscription",
        global = true,
        value_name = "ID"
    )]
    pub subscription: Option<String>,
    /// How the result is printed.
    #[arg(
        short = 'o',
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t
    )]
    pub output: OutputFormat,
    /// JMESPath expression on the result.
    #[arg(long, global = true, value_name = "JMESPATH")]
    pub query: Option<String>,
    /// Also write the result as JSON to this file, which must not exist.
    #[arg(
        short = 't',
        long = "output-metadata-file",
        global = true,
        value_name = "FILE"
    )]
    pub output_metadata_file: Option<PathBuf>,
    /// Show everything that happens.
    #[arg(long, global = true)]
    pub debug: bool,
    /// Print errors only.
    #[arg(long = "only-show-errors", global = true)]
    pub only_show_errors: bool,
}

/// Arguments of `ml`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  overdrive ml run submit-hyperdrive --hyperdrive-configuration-name hdconfig.yml -c train -e digits train.py")]
pub struct MlArgs {
    /// Options of every verb.
    #[command(flatten)]
    pub globals: MlGlobals,
    /// Group.
    #[command(subcommand)]
    pub command: MlCommand,
}

/// What follows `az`.
#[derive(Debug, Subcommand)]
pub enum AzCommand {
    /// The verbs of the Azure ML command line (v1).
    Ml(Box<MlArgs>),
    /// Accepted, has no effect.
    Login(Ignored),
    /// Accepted, has no effect.
    Account(Ignored),
    /// Accepted, has no effect.
    Extension(Ignored),
    /// Keep default names: `--defaults group=NAME workspace=NAME`.
    Configure {
        /// Names; an empty one is forgotten.
        #[arg(short = 'd', long, value_name = "KEY=VALUE", num_args = 0..)]
        defaults: Vec<String>,
    },
    /// Anything else is for the real `az`.
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// Anything.
#[derive(Debug, Args)]
pub struct Ignored {
    /// Anything.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ANYTHING")]
    pub rest: Vec<String>,
}

/// Groups of verbs.
#[derive(Debug, Subcommand)]
pub enum MlCommand {
    /// The project folder.
    #[command(subcommand)]
    Folder(FolderCommand),
    /// Experiments: names under which runs are kept.
    #[command(subcommand)]
    Experiment(ExperimentCommand),
    /// Runs: single scripts and sweeps.
    #[command(subcommand)]
    Run(Box<RunCommand>),
    /// Compute targets.
    #[command(subcommand)]
    Computetarget(Box<ComputeCommand>),
    /// Models: files of runs under names of their own.
    #[command(subcommand)]
    Model(Box<ModelCommand>),
    /// Jobs of the second command line (v2): sweeps and commands.
    #[command(subcommand)]
    Job(Box<JobCommand>),
    /// Compute targets in the words of the second command line (v2).
    #[command(subcommand)]
    Compute(Box<V2Command>),
    /// Any other group: answered with what there is.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Where the project lies and under which experiment it runs.
#[derive(Debug, Clone, Args)]
pub struct Scope {
    /// Project folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub path: PathBuf,
    /// Experiment name.
    #[arg(short = 'e', long = "experiment-name", value_name = "NAME")]
    pub experiment: Option<String>,
}

/// Verbs of `folder`.
#[derive(Debug, Subcommand)]
pub enum FolderCommand {
    /// Attach a folder to an experiment.
    Attach(Scope),
}

/// Verbs of `experiment`.
#[derive(Debug, Subcommand)]
pub enum ExperimentCommand {
    /// List the experiments.
    List(Scope),
    /// Create an experiment; one that exists is returned.
    Create {
        /// Name.
        #[arg(short = 'n', long, value_name = "NAME")]
        name: String,
        /// Project folder.
        #[arg(long, value_name = "DIR", default_value = ".")]
        path: PathBuf,
    },
}

/// Arguments of `run submit-script`.
#[derive(Debug, Clone, Args)]
pub struct SubmitScript {
    /// Project folder and experiment.
    #[command(flatten)]
    pub scope: Scope,
    /// Run configuration.
    #[arg(short = 'c', long = "run-configuration-name", value_name = "NAME")]
    pub run_configuration: Option<String>,
    /// Folder of the training code; default: the project folder.
    #[arg(long, value_name = "DIR")]
    pub source_directory: Option<PathBuf>,
    /// Conda file that replaces the dependencies.
    #[arg(short = 'd', long = "conda-dependencies", value_name = "FILE")]
    pub conda_dependencies: Option<PathBuf>,
    /// Compute target.
    #[arg(long, alias = "ct", value_name = "NAME")]
    pub target: Option<String>,
    /// Return at once.
    #[arg(long = "async")]
    pub detached: bool,
    /// Script and its arguments; everything after the script belongs to it.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "SCRIPT ARGS"
    )]
    pub rest: Vec<String>,
}

/// Arguments of `run submit-hyperdrive`.
#[derive(Debug, Clone, Args)]
#[command(
    override_usage = "overdrive ml run submit-hyperdrive --hyperdrive-configuration-name <FILE>\n           [OPTIONS] [SCRIPT ARGS]..."
)]
pub struct SubmitHyperdrive {
    /// hdconfig.yml.
    #[arg(long = "hyperdrive-configuration-name", value_name = "FILE")]
    pub hyperdrive: String,
    /// The same options as submit-script.
    #[command(flatten)]
    pub submit: SubmitScript,
}

/// Verbs of `run`.
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// Run a script once.
    SubmitScript(SubmitScript),
    /// Run a sweep.
    SubmitHyperdrive(SubmitHyperdrive),
    /// List runs, newest first; children only with --parent-run-id.
    List {
        /// Project folder and experiment.
        #[command(flatten)]
        scope: Scope,
        /// At most this many.
        #[arg(long, value_name = "N", default_value_t = 10)]
        last: usize,
        /// Children of this sweep.
        #[arg(long = "parent-run-id", value_name = "ID")]
        parent: Option<String>,
        /// Accepted for old scripts; there are no pipelines.
        #[arg(long = "pipeline-run-id", value_name = "ID")]
        pipeline: Option<String>,
        /// Only runs on this target.
        #[arg(long = "compute-target-name", value_name = "NAME")]
        target: Option<String>,
        /// Only runs in this state.
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// Only runs with this tag; repeat for several.
        #[arg(long, value_name = "KEY=VALUE")]
        tags: Vec<String>,
        /// Few fields.
        #[arg(long)]
        minimal: bool,
    },
    /// Show a run.
    Show(RunReference),
    /// Cancel a run.
    Cancel(RunReference),
    /// Add tags to a run.
    Update {
        /// Run.
        #[command(flatten)]
        reference: RunReference,
        /// Tag; repeat for several.
        #[arg(long = "add-tag", value_name = "KEY[=VALUE]")]
        add_tag: Vec<String>,
    },
    /// Print the output of a run until it ends.
    MonitorLogs(RunReference),
    /// Start TensorBoard on the logs of a run.
    MonitorTensorboard {
        /// Run.
        #[command(flatten)]
        reference: RunReference,
        /// Folder of the logs; default: that of the run itself.
        #[arg(long, value_name = "DIR")]
        local_directory: Option<PathBuf>,
    },
    /// Accepted for old scripts; there are no pipelines.
    SubmitPipeline {
        /// Anything.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ANYTHING")]
        rest: Vec<String>,
    },
    /// Copy the logs of a run.
    DownloadLogs {
        /// Run.
        #[command(flatten)]
        reference: RunReference,
        /// Folder; made if it is missing.
        #[arg(short = 'd', long = "output-dir", value_name = "DIR")]
        directory: PathBuf,
    },
}

/// Names a run.
#[derive(Debug, Clone, Args)]
pub struct RunReference {
    /// Run id.
    #[arg(short = 'r', long = "run", alias = "run-id", value_name = "ID")]
    pub run: String,
    /// Project folder and experiment.
    #[command(flatten)]
    pub scope: Scope,
}

/// Verbs of `computetarget`.
#[derive(Debug, Subcommand)]
pub enum ComputeCommand {
    /// Create a target.
    #[command(subcommand)]
    Create(CreateCommand),
    /// Change the numbers of a target.
    #[command(subcommand)]
    Update(UpdateCommand),
    /// List the targets.
    List(ProjectFolder),
    /// Show a target.
    Show(TargetName),
    /// Remove a target that was created.
    Delete(RemoveTarget),
    /// Let go of a target that was attached.
    Detach(RemoveTarget),
    /// Attach a resource that exists.
    Attach(AttachTarget),
}

/// Verbs of `model`.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Copy a file of a run, or a local one, into the model registry under the next version.
    Register(RegisterModel),
    /// List the models.
    List {
        /// Only this model.
        #[arg(short = 'n', long, value_name = "NAME")]
        name: Option<String>,
        /// Only of this run.
        #[arg(long, value_name = "ID")]
        run_id: Option<String>,
        /// Only the newest version of each.
        #[arg(long, short = 'l')]
        latest: bool,
        /// Project folder.
        #[command(flatten)]
        folder: ProjectFolder,
    },
    /// Show a model.
    Show(ModelName),
    /// Copy a model out.
    Download {
        /// Model.
        #[command(flatten)]
        model: ModelName,
        /// Folder; made if it is missing.
        #[arg(long, short = 'd', alias = "target-dir", value_name = "DIR")]
        output_dir: PathBuf,
        /// Replace what is there.
        #[arg(long)]
        overwrite: bool,
    },
}

/// Arguments of `model register`.
#[derive(Debug, Clone, Args)]
pub struct RegisterModel {
    /// Name of the model.
    #[arg(short = 'n', long, value_name = "NAME")]
    pub name: String,
    /// File or folder among the outputs of the run, for instance outputs/model.pkl.
    #[arg(long, value_name = "PATH")]
    pub asset_path: Option<String>,
    /// Run: a single run, a child, or a sweep (its best child).
    #[arg(long, short = 'r', value_name = "ID")]
    pub run_id: Option<String>,
    /// Record of the run, as written by `-t`; instead of its id.
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "run_id")]
    pub run_metadata_file: Option<PathBuf>,
    /// Local file or folder, instead of one of a run.
    #[arg(short = 'p', long, value_name = "PATH", conflicts_with_all = ["asset_path", "run_metadata_file"])]
    pub model_path: Option<PathBuf>,
    /// Free text.
    #[arg(short = 'd', long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Tag; repeat for several.
    #[arg(long, value_name = "KEY=VALUE")]
    pub tag: Vec<String>,
    /// Property; repeat for several.
    #[arg(long, value_name = "KEY=VALUE")]
    pub property: Vec<String>,
    /// Framework of the model, kept as a label.
    #[arg(long, value_name = "NAME")]
    pub model_framework: Option<String>,
    /// Its version.
    #[arg(long, value_name = "VERSION")]
    pub model_framework_version: Option<String>,
    /// Project folder and experiment.
    #[command(flatten)]
    pub scope: Scope,
}

/// Names a model.
#[derive(Debug, Clone, Args)]
pub struct ModelName {
    /// Name; the newest version.
    #[arg(short = 'n', long, value_name = "NAME", required_unless_present = "id")]
    pub name: Option<String>,
    /// NAME:VERSION.
    #[arg(
        short = 'i',
        long = "model-id",
        alias = "id",
        id = "id",
        value_name = "NAME:VERSION"
    )]
    pub id: Option<String>,
    /// Project folder.
    #[command(flatten)]
    pub folder: ProjectFolder,
}
