//! The one meaning of all dialects: what to try, how to judge it, how to start it.

use crate::controller::Limits;
use crate::metric::Goal;
use crate::policy::PolicySpec;
use crate::sampler::SamplerSpec;
use crate::space::{Assignment, SearchSpace, Value};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which kind of file an experiment came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `hdconfig.yml` with a runconfig.
    Hyperdrive,
    /// v2 `type: sweep`.
    SweepJob,
    /// v2 `type: command`: one trial, no search space.
    CommandJob,
    /// `submit-script`: one trial from a runconfig.
    ScriptRun,
}

/// The primary metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricSpec {
    /// Exact, case-sensitive name as logged by the script.
    pub name: String,
    /// Direction.
    pub goal: Goal,
}

/// Everything a sweep is. Stored as JSON with the sweep; a resume needs no other file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Experiment name (`-e`, `experiment_name`, or the folder's name).
    pub name: String,
    /// Name of the sweep for people, if the file gives one.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Free text.
    #[serde(default)]
    pub description: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: IndexMap<String, String>,
    /// Where it came from.
    pub dialect: Dialect,
    /// Absolute path of the file that was run, if there was one.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The space; empty for a single run.
    pub space: SearchSpace,
    /// The sampler.
    pub sampler: SamplerSpec,
    /// The early-termination policy.
    pub policy: PolicySpec,
    /// The primary metric; absent only for single runs.
    #[serde(default)]
    pub metric: Option<MetricSpec>,
    /// Further metric names to look for in plain output.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// Limits of the sweep.
    pub limits: Limits,
    /// See [`crate::controller::Settings::abort_after_initial_failures`].
    pub abort_after_initial_failures: u64,
    /// See [`crate::controller::Settings::max_retries`].
    pub max_retries: u32,
    /// How a trial is started.
    pub launch: Launch,
    /// Names of the compute targets; `["local"]` by default.
    pub targets: Vec<String>,
    /// Configurations to try first.
    #[serde(default)]
    pub enqueue: Vec<Assignment>,
    /// Earlier sweeps whose trials are data (ids or folders).
    #[serde(default)]
    pub resume_from: Vec<String>,
    /// Condition that ends the sweep early, as written.
    #[serde(default)]
    pub stop_when: Option<String>,
    /// Settings of the `overdrive:` section that other rooms read by name.
    #[serde(default)]
    pub extensions: serde_json::Map<String, serde_json::Value>,
}

/// How one trial is started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// Absolute folder of the user's code; its snapshot is the working folder of every trial. `None` = empty folder.
    pub source_directory: Option<PathBuf>,
    /// The only files of `source_directory` that belong to the code, relative to it; empty = all (v2 `code` may name one file).
    #[serde(default)]
    pub source_files: Vec<String>,
    /// The command before the parameters.
    pub command: Command,
    /// How parameters reach the script, in order.
    pub parameters: Vec<ParameterBinding>,
    /// Variables of the user's files (not overdrive's own), low to high priority already merged.
    pub environment_variables: IndexMap<String, String>,
    /// Interpreter and packages.
    pub environment: EnvironmentSpec,
    /// Data bindings: datasets, data references, v2 inputs.
    #[serde(default)]
    pub data: Vec<DataBinding>,
    /// v2 named outputs: a folder (or file path) per trial is made for each.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// Those of `outputs` that are a file, not a folder (`uri_file`).
    #[serde(default)]
    pub file_outputs: Vec<String>,
    /// Hard limit of one trial in milliseconds (`maxRunDurationSeconds`, `trial_timeout`).
    #[serde(default)]
    pub trial_timeout_ms: Option<u64>,
    /// `framework` of the runconfig in lower case: `python`, `pyspark`, `pytorch`, `tensorflow`, `r`, ...
    pub framework: String,
    /// `communicator` of the runconfig in lower case: `none`, `openmpi`, `nccl`, ...
    pub communicator: String,
    /// Nodes of one trial.
    pub node_count: u32,
    /// Processes per node for distributed trials.
    pub process_count_per_node: u32,
    /// The merged run configuration (or v2 job) in canonical camelCase, for targets and records that need more of it.
    pub run_definition: serde_json::Value,
}

impl Launch {
    /// Whether a trial starts Python at all: a shell script needs no environment.
    pub fn starts_python(&self) -> bool {
        match &self.command {
            Command::Script { script, .. } => script.ends_with(".py"),
            Command::Template { text, .. } => text.contains("python"),
        }
    }
}

/// The command of a trial before its parameters are known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Command {
    /// Interpreter (from the environment and the framework), script, fixed arguments, then the parameters.
    Script {
        /// Path relative to the source directory.
        script: String,
        /// Fixed arguments in file order.
        arguments: Vec<String>,
    },
    /// A template in which `${{search_space.x}}`, `${{inputs.x}}`, `${{outputs.x}}` stand for values; a runconfig `command`
    /// has its parameters appended too.
    Template {
        /// The text as written.
        text: String,
        /// Append `--name value` pairs (v1 `command`), or not (v2).
        append_parameters: bool,
    },
}

/// How one parameter (or a constant of a branch) reaches the script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterBinding {
    /// Name shown to people and stored: as declared, dashes included.
    pub name: String,
    /// Where its value comes from.
    pub shape: Shape,
    /// Argument name for appended pairs (`--lr`), if it is appended.
    #[serde(default)]
    pub argument: Option<String>,
}

/// Where a bound value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Shape {
    /// The value of a parameter of the space, by index; absent while that parameter is inactive.
    Parameter {
        /// Index in the space.
        index: usize,
    },
    /// A constant that exists only under some options of a branch selector.
    Constant {
        /// The value.
        value: Value,
        /// When it exists.
        condition: crate::space::Condition,
    },
    /// What a selector (v2 nested choice) chose: the shape of the chosen option.
    Branches {
        /// Index of the selector in the space.
        index: usize,
        /// One shape per option of the selector: a record for a map, a literal for anything else.
        options: Vec<Shape>,
    },
    /// A map; entries without a value are left out.
    Record {
        /// Its entries by key.
        entries: IndexMap<String, Shape>,
    },
    /// A plain constant inside a branch.
    Literal {
        /// The value.
        value: Value,
    },
}

/// A name that stands for a path or a literal: v1 `data`/`dataReferences`, v2 `inputs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataBinding {
    /// Name in the file.
    pub name: String,
    /// What the script gets: an absolute path, a URI or the literal's text.
    pub value: String,
    /// Environment variables to set to the value; the first is the one by which the file calls it.
    pub variables: Vec<String>,
    /// How the data is consumed: v1 `direct`, `mount`, `download` (told to `run.input_datasets`), v2 `ro_mount`, `download`,
    /// `direct`. An `http(s)` address that is not `direct` is to be fetched for the script.
    #[serde(default)]
    pub mechanism: Option<String>,
    /// Whether `value` is a path on the submitting machine (to be brought to remote targets).
    pub is_path: bool,
}

/// Which interpreter and packages a trial runs with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EnvironmentSpec {
    /// The interpreter found on the target as it is (`userManagedDependencies: true`, `--environment current`).
    UserManaged {
        /// `interpreterPath`.
        interpreter: String,
    },
    /// Built from a conda file's mapping, cached by content: with conda/mamba where present, else a virtual environment when it
    /// holds only `python=X` and pip packages.
    Conda {
        /// The mapping: `name`, `channels`, `dependencies`.
        dependencies: serde_json::Value,
    },
    /// Docker image, with the inner environment to use in it.
    Docker {
        /// Image name, if given.
        image: Option<String>,
        /// Dockerfile text, if given.
        dockerfile: Option<String>,
        /// Folder whose files the Dockerfile may copy, on the submitting machine.
        #[serde(default)]
        context: Option<std::path::PathBuf>,
        /// Extra `docker run` arguments.
        arguments: Vec<String>,
        /// `shmSize`.
        shm_size: Option<String>,
        /// What runs inside.
        inner: Box<EnvironmentSpec>,
    },
}
