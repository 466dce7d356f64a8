//! From an experiment and one trial's values to the final command: argument list, environment, and the parameters as people
//! see them.
//!
//! Pure: whoever starts trials says where things lie ([`LaunchContext`]) and gets a [`LaunchPlan`]. The rules are those of
//! `docs/reference/launch.md`: fixed arguments first, then `--name value` per parameter; nothing goes through a shell unless
//! the user's own command text needs one.

pub mod template;
mod values;
mod variables;

pub use values::{argument_name, compact_json};

use crate::config::{Command, Dialect, EnvironmentSpec, Experiment, Launch};
use crate::space::{Assignment, Value};
use indexmap::IndexMap;
use std::path::PathBuf;
use template::{Room, Template};
use values::Rendering;

/// Folder below an attempt's folder that holds the named outputs, one folder per name.
pub const NAMED_OUTPUTS: &str = "named_outputs";

/// Variable that tells what stands in the place of `spark-submit` which variables, separated by commas, the script is to have wherever it runs.
pub const SPARK_VARIABLES: &str = "OVERDRIVE_SPARK_VARIABLES";

/// What only the one who starts trials knows. All paths are those of the machine on which the script will run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaunchContext {
    /// Sweep id, or the run id of a single run.
    pub sweep: String,
    /// Run id shown to the script.
    pub run_id: String,
    /// Trial number.
    pub trial: u64,
    /// Attempt, from 0.
    pub attempt: u32,
    /// Argument list that starts the environment's Python, for instance `["/envs/ab12/bin/python"]`; empty = the
    /// `interpreterPath` of the files, else `python3`.
    pub interpreter: Vec<String>,
    /// Folder of the attempt; named outputs lie in its `named_outputs`.
    pub attempt_folder: PathBuf,
    /// Values of data bindings by name, where they differ from the files' (staged copies on a remote machine).
    pub data: IndexMap<String, String>,
    /// Label of the workspace; shown to scripts that ask for it.
    pub workspace: String,
    /// Kind of the compute target (`local`, `ssh`, ...), for `AZUREML_TARGET_TYPE`.
    pub target_type: String,
    /// Whether our `azureml` package is offered to the script; only then are the scope variables set.
    pub shim: bool,
    /// How the target calls `spark-submit` for PySpark scripts.
    pub spark: SparkSubmit,
}

/// How a target calls `spark-submit`. What the files say of packages and settings comes behind it, and wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparkSubmit {
    /// What stands in the place of `spark-submit`; empty = that one of the search path.
    pub program: Vec<String>,
    /// Address of the cluster; `None` = what Spark is configured for there.
    pub master: Option<String>,
    /// `client` or `cluster`; `None` = `hdi.yarnDeployMode` of the files on YARN, else what Spark does by itself.
    pub deploy_mode: Option<String>,
    /// Settings of the target.
    pub conf: IndexMap<String, String>,
}

/// A command that can be started as it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaunchPlan {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables to set on top of the environment of the process that starts it, in order.
    pub env: IndexMap<String, String>,
    /// The trial's parameters by their names as declared; inactive ones are absent.
    pub parameters: IndexMap<String, Value>,
    /// Data bindings: name to path or literal text.
    pub inputs: IndexMap<String, String>,
    /// Named outputs: name to absolute path.
    pub outputs: IndexMap<String, String>,
}

/// Why no command can be made.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum LaunchError {
    /// The assignment is of another space.
    #[error("the assignment has {given} values, the space has {expected} parameters")]
    ForeignAssignment {
        /// Values given.
        given: usize,
        /// Parameters of the space.
        expected: usize,
    },
    /// A selector's value is none of its branches.
    #[error("`{parameter}` selects branch `{value}`, which the space does not have")]
    NoSuchBranch {
        /// Name of the selector.
        parameter: String,
        /// Its value.
        value: String,
    },
    /// The command names something that the file does not define.
    #[error("the command uses `${{{{{room}.{path}}}}}`, which is not defined")]
    Undefined {
        /// `inputs`, `outputs` or `search_space`.
        room: &'static str,
        /// The dotted path.
        path: String,
    },
    /// The command has nothing to start.
    #[error("the command is empty")]
    Empty,
    /// Quotes of the command do not match.
    #[error("a quote of the command is never closed: {0}")]
    OpenQuote(String),
    /// The operating system cannot pass it.
    #[error("argument {index} has a NUL character")]
    Nul {
        /// Position in the argument list.
        index: usize,
    },
}

/// The command, environment and visible parameters of one attempt of one trial.
///
/// # Errors
/// [`LaunchError`]; the readers of this crate leave nothing that could fail here but an assignment of another space.
pub fn plan(
    experiment: &Experiment,
    assignment: &Assignment,
    context: &LaunchContext,
) -> Result<LaunchPlan, LaunchError> {
    if assignment.values.len() != experiment.space.len() {
        return Err(LaunchError::ForeignAssignment {
            given: assignment.values.len(),
            expected: experiment.space.len(),
        });
    }
    let launch = &experiment.launch;
    let rendering = Rendering::of(experiment);
    let parameters = values::visible(experiment, assignment, rendering)?;
    let inputs: IndexMap<String, String> = launch
        .data
        .iter()
        .map(|binding| {
            let staged = context.data.get(&binding.name);
            (binding.name.clone(), staged.unwrap_or(&binding.value).clone())
        })
        .collect();
    let outputs: IndexMap<String, String> = launch
        .outputs
        .iter()
        .map(|name| {
            let mut path = context.attempt_folder.join(NAMED_OUTPUTS).join(name);
            if launch.file_outputs.contains(name) {
                path.push(name);
            }
            (name.clone(), path.to_string_lossy().into_owned())
        })
        .collect();
    let mut plan = LaunchPlan {
        argv: Vec::new(),
        env: variables::of(experiment, context, rendering, &parameters, &inputs, &outputs),
        parameters,
        inputs,
        outputs,
    };
    plan.argv = match &launch.command {
        Command::Script { script, arguments } => {
            let mut argv = starter(launch, context, script);
            argv.extend(
                arguments
                    .iter()
                    .map(|argument| fixed_argument(argument, launch, &plan)),
            );
            argv.extend(pairs(launch, &plan.parameters, rendering));
            argv
        }
        Command::Template {
            text,
            append_parameters,
        } => {
            let extra = if *append_parameters {
                pairs(launch, &plan.parameters, rendering)
            } else {
                Vec::new()
            };
            from_template(experiment, context, rendering, text, &extra, &mut plan)?
        }
    };
    if launch.framework.starts_with("pyspark")
        && matches!(launch.environment, EnvironmentSpec::Conda { .. })
        && let Some(python) = context.interpreter.first()
        // Its nodes do not see what was built beside `spark-submit`.
        && context.spark.master.as_deref() != Some("yarn")
    {
        plan.env
            .entry("PYSPARK_PYTHON".into())
            .or_insert_with(|| python.clone());
    }
    if context.spark.program.len() > 1 {
        let names: Vec<&str> = plan.env.keys().map(String::as_str).collect();
        plan.env.insert(SPARK_VARIABLES.into(), names.join(","));
    }
    if plan.argv.first().is_none_or(String::is_empty) {
        return Err(LaunchError::Empty);
    }
    if let Some(index) = plan.argv.iter().position(|argument| argument.contains('\0')) {
        return Err(LaunchError::Nul { index });
    }
    Ok(plan)
}

/// The trial's parameters as people and scripts see them: names as declared, inactive ones absent. The same as in [`plan`].
///
/// # Errors
/// [`LaunchError::NoSuchBranch`] for an assignment of another space.
pub fn parameters(
    experiment: &Experiment,
    assignment: &Assignment,
) -> Result<IndexMap<String, Value>, LaunchError> {
    values::visible(experiment, assignment, Rendering::of(experiment))
}

/// `--name value` of every parameter that is active and bound to an argument.
fn pairs(launch: &Launch, parameters: &IndexMap<String, Value>, rendering: Rendering) -> Vec<String> {
    let mut argv = Vec::new();
    for binding in &launch.parameters {
        if let (Some(argument), Some(value)) = (&binding.argument, parameters.get(&binding.name)) {
            argv.push(argument.clone());
            argv.push(rendering.text(value));
        }
    }
    argv
}

/// A fixed argument with its data references and known variables replaced. Unknown `$NAME`s stay: no shell was promised.
fn fixed_argument(argument: &str, launch: &Launch, plan: &LaunchPlan) -> String {
    let mut text = argument.to_owned();
    for (prefix, paths) in [
        ("DatasetConsumptionConfig:", &plan.inputs),
        ("DatasetOutputConfig:", &plan.outputs),
    ] {
        if let Some(name) = text.strip_prefix(prefix)
            && let Some(path) = paths.get(name)
        {
            text = path.clone();
            return text;
        }
    }
    if launch.data.is_empty() && !text.contains('$') {
        return text;
    }
    template::expand_variables(&text, &|name| plan.env.get(name).cloned())
}

/// What comes before the script's arguments. By framework first, then by what the script is.
fn starter(launch: &Launch, context: &LaunchContext, script: &str) -> Vec<String> {
    let python = |context: &LaunchContext| interpreter(&launch.environment, context);
    let with = |mut prefix: Vec<String>| {
        prefix.push(script.to_owned());
        prefix
    };
    match launch.framework.as_str() {
        "pyspark" | "pysparkinteractive" => {
            return with(spark_submit(&launch.run_definition, &context.spark));
        }
        "r" => return with(vec!["Rscript".into()]),
        _ => {}
    }
    let declared = declared_interpreter(&launch.environment);
    if let Some(interpreter) = declared
        && !is_python(interpreter)
    {
        return with(vec![interpreter.to_owned()]);
    }
    let extension = script
        .rsplit_once('/')
        .map_or(script, |(_, file)| file)
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("py" | "pyc" | "pyz" | "pyw") => with(python(context)),
        // Shell scripts in the wild lean on bash far more often than on a pure POSIX shell.
        Some("sh" | "bash") => with(vec!["bash".into()]),
        Some("r") => with(vec!["Rscript".into()]),
        Some("jl") => with(vec!["julia".into()]),
        // The old service handed whatever it was to Python; only a user-managed environment may hold a program of its own.
        _ if declared.is_some() => vec![if script.contains('/') {
            script.to_owned()
        } else {
            format!("./{script}")
        }],
        _ => with(python(context)),
    }
}

/// `interpreterPath` of a user-managed environment, in or out of an image.
fn declared_interpreter(environment: &EnvironmentSpec) -> Option<&str> {
    match environment {
        EnvironmentSpec::UserManaged { interpreter } => Some(interpreter),
        EnvironmentSpec::Conda { .. } => None,
        EnvironmentSpec::Docker { inner, .. } => declared_interpreter(inner),
    }
}

fn is_python(interpreter: &str) -> bool {
    let file = interpreter.rsplit_once('/').map_or(interpreter, |(_, file)| file);
    file.starts_with("python") || file.starts_with("pypy")
}

fn interpreter(environment: &EnvironmentSpec, context: &LaunchContext) -> Vec<String> {
    if !context.interpreter.is_empty() {
        return context.interpreter.clone();
    }
    vec![declared_interpreter(environment).unwrap_or("python3").to_owned()]
}

/// `spark-submit` as the target calls it, with repositories, packages and settings of the run definition.
fn spark_submit(definition: &serde_json::Value, target: &SparkSubmit) -> Vec<String> {
    let scalar = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let list = |pointer: &str| definition.pointer(pointer).and_then(serde_json::Value::as_array);
    let mut argv = target.program.clone();
    if argv.is_empty() {
        argv.push("spark-submit".into());
    }
    let given = definition
        .pointer("/hdi/yarnDeployMode")
        .and_then(serde_json::Value::as_str)
        .map(str::to_ascii_lowercase)
        .filter(|mode| ["client", "cluster"].contains(&mode.as_str()));
    let on_yarn = target.master.as_deref() == Some("yarn");
    // The old service submitted to the cluster unless the file said otherwise.
    let of_files = on_yarn.then(|| given.unwrap_or_else(|| "cluster".into()));
    for (option, value) in [
        ("--master", target.master.clone()),
        ("--deploy-mode", target.deploy_mode.clone().or(of_files)),
    ] {
        if let Some(value) = value {
            argv.extend([option.to_owned(), value]);
        }
    }
    for (key, value) in &target.conf {
        argv.extend(["--conf".to_owned(), format!("{key}={value}")]);
    }
    if let Some(repositories) = list("/environment/spark/repositories").filter(|list| !list.is_empty()) {
        argv.push("--repositories".into());
        argv.push(repositories.iter().map(scalar).collect::<Vec<_>>().join(","));
    }
    if let Some(packages) = list("/environment/spark/packages").filter(|list| !list.is_empty()) {
        let coordinates = packages.iter().map(|package| {
            ["group", "artifact", "version"]
                .iter()
                .filter_map(|key| package.get(key).map(scalar))
                .collect::<Vec<_>>()
                .join(":")
        });
        argv.push("--packages".into());
        argv.push(coordinates.collect::<Vec<_>>().join(","));
    }
    if let Some(settings) = definition
        .pointer("/spark/configuration")
        .and_then(serde_json::Value::as_object)
    {
        for (key, value) in settings {
            argv.push("--conf".into());
            argv.push(format!("{key}={}", scalar(value)));
        }
    }
    argv
}

/// Fills a command template and turns it into an argument list, with a shell in front only where its text needs one.
fn from_template(
    experiment: &Experiment,
    context: &LaunchContext,
    rendering: Rendering,
    text: &str,
    extra: &[String],
    plan: &mut LaunchPlan,
) -> Result<Vec<String>, LaunchError> {
    let template = Template::parse(text.trim());
    let lookup = |room: Room, path: &str| match room {
        Room::Inputs => plan.inputs.get(path).cloned(),
        Room::Outputs => plan.outputs.get(path).cloned(),
        Room::SearchSpace => values::at_path(experiment, &plan.parameters, path, rendering),
    };
    let mut filled = template.fill(&lookup, &|name| plan.env.get(name).cloned(), rendering.raw)?;
    for argument in extra {
        filled.text.push(' ');
        filled.text.push_str(&template::quote(argument));
    }
    // Variables of a v2 file may hold placeholders too; they are plain text, no shell reads them.
    for name in experiment.launch.environment_variables.keys() {
        if let Some(value) = plan.env.get(name)
            && value.contains("${{")
        {
            let filled = Template::parse(value).fill(&lookup, &|_| None, true)?;
            plan.env.insert(name.clone(), filled.text);
        }
    }
    if filled.needs_shell {
        // Each format's own shell: v2 commands are written for bash, v1's `command` for /bin/sh.
        let shell = match experiment.dialect {
            Dialect::SweepJob | Dialect::CommandJob => "bash",
            Dialect::Hyperdrive | Dialect::ScriptRun => "/bin/sh",
        };
        return Ok(vec![shell.into(), "-c".into(), filled.text]);
    }
    let mut argv =
        shlex::split(&filled.text).ok_or_else(|| LaunchError::OpenQuote(text.trim().to_owned()))?;
    if argv.first().is_some_and(|program| program == "python") && !context.interpreter.is_empty() {
        argv.splice(0..1, context.interpreter.iter().cloned());
    }
    Ok(argv)
}

#[cfg(test)]
mod tests;
