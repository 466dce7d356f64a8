//! Builds the script's command: arguments, environment, streams, isolation.

use super::boxed;
use super::channels::Channels;
use super::ranks;
use super::spec::AttemptSpec;
use super::sys;
use super::tree::COOKIE;
use crate::container::{self, Script};
use indexmap::IndexMap;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::ffi::{CString, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How much more than its parent the script is to blame for lack of memory.
const OOM_SCORE: i32 = 500;

/// Why a script was not started.
#[derive(Debug)]
pub(super) struct NotStarted {
    /// `setup`, `infrastructure` or `exhausted`.
    pub(super) class: &'static str,
    /// One sentence.
    pub(super) reason: String,
}

impl NotStarted {
    pub(super) fn setup(reason: String) -> Self {
        Self {
            class: "setup",
            reason,
        }
    }

    /// What the system refused: for lack of resources, or for good.
    pub(super) fn refused(what: &str, error: &io::Error) -> Self {
        let short = [Errno::AGAIN, Errno::MFILE, Errno::NFILE, Errno::NOMEM];
        let class = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(errno) if short.contains(&errno) => "exhausted",
            _ => "infrastructure",
        };
        Self {
            class,
            reason: format!("{what}: {error}"),
        }
    }

    pub(super) fn infrastructure(reason: String) -> Self {
        Self {
            class: "infrastructure",
            reason,
        }
    }
}

/// Folders that the command needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    /// The attempt's folder.
    pub(super) folder: &'a Path,
    /// Where the command runs.
    pub(super) workdir: &'a Path,
    /// The report file.
    pub(super) report: &'a Path,
}

/// Starts the command with both output streams on `output`. Call from the main thread.
pub(super) fn spawn(
    spec: &AttemptSpec,
    places: Places<'_>,
    channels: &Channels,
    output: (OwnedFd, OwnedFd),
) -> Result<Child, NotStarted> {
    let Some((program, arguments)) = spec.argv.split_first() else {
        return Err(NotStarted::setup("the command is empty".to_owned()));
    };
    if let Some(bad) = spec.argv.iter().find(|argument| argument.contains('\0')) {
        let shown = bad.replace('\0', "\\0");
        return Err(NotStarted::setup(format!(
            "the argument `{shown}` holds a NUL byte, which no process can receive"
        )));
    }
    let variables = environment(spec, places, channels);
    let mut command = match (&spec.group, &spec.container) {
        // It starts them, wherever they are to be, and its end is theirs.
        (Some(_), _) => {
            let own = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
            let mut command = Command::new(own);
            command.arg(ranks::VERB).arg(places.folder).envs(&variables);
            command
        }
        (None, Some(container)) => container::command(
            container,
            &Script {
                name: &boxed::name_of(&spec.nonce),
                argv: &spec.argv,
                variables: &variables,
                workdir: places.workdir,
                places: &boxed::places(spec, places.folder, channels.python_path()),
            },
        ),
        (None, None) => {
            let mut command = Command::new(program);
            command.args(arguments).envs(&variables);
            command
        }
    };
    command
        .current_dir(places.workdir)
        .stdin(Stdio::null())
        .stdout(output.0)
        .stderr(output.1);
    sys::isolate(&mut command, rustix::process::getpid(), oom_score());
    command.spawn().map_err(|error| match &spec.container {
        Some(container) => {
            let engine = container.engine.program.to_string_lossy();
            explain(&engine, places.workdir, &error)
        }
        None => explain(program, places.workdir, &error),
    })
}

/// What the script sees beyond the runner's own environment. Later entries win.
fn environment(spec: &AttemptSpec, places: Places<'_>, channels: &Channels) -> IndexMap<String, OsString> {
    let above = |name: &str| inherited(spec, name);
    let of_channels = |current: &dyn Fn(&str) -> Option<String>| {
        channels.environment(spec, places.folder, places.report, current)
    };
    variables(spec, places, &of_channels, channels.python_path(), &above)
}

/// Looks up what a script would see of a variable.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What the script sees on top of what `above` knows: with the variables of the channels, and `shim` first on `PYTHONPATH`.
pub(super) fn variables(
    spec: &AttemptSpec,
    places: Places<'_>,
    of_channels: &dyn Fn(Lookup<'_>) -> Vec<(String, String)>,
    shim: Option<&Path>,
    above: &dyn Fn(&str) -> Option<OsString>,
) -> IndexMap<String, OsString> {
    let usable =
        |name: &str, value: &str| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
    let mut env: IndexMap<String, OsString> = IndexMap::new();
    for (name, value) in spec.env.iter().filter(|(name, value)| usable(name, value)) {
        env.insert(name.clone(), value.into());
    }
    for (name, value) in [
        ("PYTHONUNBUFFERED", "1"),
        ("AZUREML_OUTPUT_DIRECTORY", "./outputs"),
    ] {
        if !env.contains_key(name) && above(name).is_none() {
            env.insert(name.to_owned(), value.into());
        }
    }
    for name in &spec.outputs {
        if !env.contains_key(&format!("AZURE_ML_OUTPUT_{name}")) && usable(name, "") {
            env.insert(
                format!("AZURE_ML_OUTPUT_{name}"),
                places.folder.join("named_outputs").join(name).into(),
            );
        }
    }
    let current = |name: &str| {
        env.get(name)
            .map(|value| value.to_string_lossy().into_owned())
            .or_else(|| above(name)?.into_string().ok())
    };
    let from_channels = of_channels(&current);
    env.extend(
        from_channels
            .into_iter()
            .map(|(name, value)| (name, value.into())),
    );
    if let Ok(parameters) = serde_json::to_string(&spec.parameters) {
        env.insert("OVERDRIVE_PARAMS".to_owned(), parameters.into());
    }
    for (name, value) in &spec.parameters {
        let name: String = name
            .trim_start_matches('-')
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        let value = value.to_string();
        if usable(&name, &value) {
            env.insert(format!("OVERDRIVE_PARAM_{name}"), value.into());
        }
    }
    env.insert("OVERDRIVE_RUN_DIR".to_owned(), places.folder.into());
    env.insert("OVERDRIVE_REPORT".to_owned(), places.report.into());
    env.insert("OVERDRIVE_METRICS".to_owned(), places.report.into());
    env.insert("OVERDRIVE_TRIAL".to_owned(), spec.trial.to_string().into());
    env.insert("OVERDRIVE_ATTEMPT".to_owned(), spec.attempt.to_string().into());
    env.insert(COOKIE.to_owned(), spec.nonce.clone().into());
    let python = shim.into_iter().chain([places.workdir]);
    prepend(&mut env, "PYTHONPATH", python.map(Path::to_owned), above);
    prepend(&mut env, "PATH", spec.path_prepend.iter().cloned(), above);
    env
}

/// What the script sees of this process's own variables: in a container, nothing.
fn inherited(spec: &AttemptSpec, name: &str) -> Option<OsString> {
    if spec.container.is_some() {
        return None;
    }
    std::env::var_os(name)
}

/// Puts folders before those that a search path has already; one that cannot stand in such a list is left out.
fn prepend(
    env: &mut IndexMap<String, OsString>,
    name: &str,
    first: impl Iterator<Item = PathBuf>,
    above: &dyn Fn(&str) -> Option<OsString>,
) {
    let mut folders: Vec<PathBuf> = first
        .filter(|folder| std::env::join_paths([folder]).is_ok())
        .collect();
    if folders.is_empty() {
        return;
    }
    if let Some(rest) = env
        .get(name)
        .cloned()
        .or_else(|| above(name))
        .filter(|rest| !rest.is_empty())
    {
        folders.extend(std::env::split_paths(&rest));
    }
    if let Ok(joined) = std::env::join_paths(folders) {
        env.insert(name.to_owned(), joined);
    }
}

/// The score for the kernel's memory killer, as text for `/proc/self/oom_score_adj`.
fn oom_score() -> &'static std::ffi::CStr {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj")
        .ok()
        .and_then(|text| text.trim().parse::<i32>().ok());
    let score = own.unwrap_or(0).saturating_add(OOM_SCORE).min(1000);
    // One small leak in the life of the process; what runs between fork and exec must not allocate.
    CString::new(score.to_string()).map_or(c"500", |text| Box::leak(text.into_boxed_c_str()))
}

fn explain(program: &str, workdir: &Path, error: &io::Error) -> NotStarted {
    use io::ErrorKind as Kind;
    let reason = match error.kind() {
        Kind::NotFound if !workdir.is_dir() => format!("the working folder {} is gone", workdir.display()),
        Kind::NotFound if workdir.join(program).is_file() => {
            format!("`{program}` exists, but the interpreter named in its first line does not")
        }
        Kind::NotFound => format!("command `{program}` was not found"),
        Kind::PermissionDenied => format!("`{program}` may not be executed (permission denied)"),
        Kind::ArgumentListTooLong => {
            "the arguments and the environment are too large for the system".to_owned()
        }
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            format!(
                "`{program}` is no program that this machine can execute; a script needs `#!` in its first line"
            )
        }
        _ => return NotStarted::refused(&format!("cannot start `{program}`"), error),
    };
    NotStarted::setup(reason)
}
