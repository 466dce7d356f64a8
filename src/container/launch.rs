//! From a script's command to the engine's that runs it, and from the engine's word to how it ended.

use super::left::{self, PATIENCE, RUNNER};
use super::{Container, Kind};
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Variables by which the engine's client itself is led; a script's values of them must not lead it.
const CLIENTS: [&str; 8] = [
    "DOCKER_",
    "CONTAINER",
    "BUILDAH_",
    "PODMAN_",
    "LD_",
    "GO",
    "XDG_",
    "REGISTRY_",
];

/// What a script brings to its container.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// Name of the container.
    pub name: &'a str,
    /// Program and arguments.
    pub argv: &'a [String],
    /// Its variables, all of them.
    pub variables: &'a IndexMap<String, OsString>,
    /// Where it begins.
    pub workdir: &'a Path,
    /// Files and folders of this machine that it sees in their own places.
    pub places: &'a [PathBuf],
}

/// The command that runs a script in a container. Its output, signals and exit code are the script's.
pub fn command(container: &Container, script: &Script<'_>) -> Command {
    let mut command = Command::new(&container.engine.program);
    let has = |names: &[&str]| {
        let named = |argument: &String| {
            names
                .iter()
                .any(|name| argument == name || argument.starts_with(&format!("{name}=")))
        };
        container.arguments.iter().any(named)
    };
    command.args(["run", "--name", script.name]);
    if container.init {
        command.arg("--init");
    }
    command.arg("--label").arg(format!("{RUNNER}={}", left::own()));
    command.arg("--workdir").arg(script.workdir);
    if !has(&["--network", "--net"]) {
        // The numbers of MLflow clients come by loopback.
        command.args(["--network", "host"]);
    }
    if let Some(size) = &container.shm_size
        && !has(&["--shm-size", "--ipc"])
    {
        command.arg("--shm-size").arg(size);
    }
    let user = rustix::process::getuid();
    let as_user = container.engine.kind == Kind::Docker && !user.is_root() && !has(&["--user", "-u"]);
    if as_user {
        // Else the files would be root's, and their owner could not remove them.
        let group = rustix::process::getgid();
        command
            .arg("--user")
            .arg(format!("{}:{}", user.as_raw(), group.as_raw()));
        if !script.variables.contains_key("HOME") {
            command.args(["--env", "HOME=/tmp"]);
        }
    }
    let seen: BTreeSet<&PathBuf> = script.places.iter().collect();
    for place in seen {
        command.arg("--mount").arg(mount(place));
    }
    if container.gpus && !has(&["--gpus", "--runtime", "--device"]) {
        gpus(&mut command, container.engine.kind);
    }
    // Tini tells the whole group of the script, as the runner does where there is no container.
    command.args(["--env", "TINI_KILL_PROCESS_GROUP=1"]);
    for (name, value) in script.variables {
        variable(&mut command, name, value);
    }
    command.args(container.arguments.iter().filter(|argument| is_ours(argument)));
    match script.argv.split_first() {
        // What an image does by itself is no part of a trial.
        Some((program, rest)) if !has(&["--entrypoint"]) => {
            command
                .arg("--entrypoint")
                .arg(program)
                .arg(&container.image)
                .args(rest);
        }
        _ => {
            command.arg(&container.image).args(script.argv);
        }
    }
    command
}

/// Whether an argument leaves the container under its runner: one that removes itself, or runs behind its client's back, does not.
fn is_ours(argument: &str) -> bool {
    ![
        "--rm",
        "-d",
        "--detach",
        "-t",
        "--tty",
        "-i",
        "--interactive",
        "-it",
        "-ti",
        "--init",
    ]
    .contains(&argument)
}

/// A file or folder in its own place, as a line of comma-separated values.
fn mount(place: &Path) -> OsString {
    let quoted = |key: &str| {
        let mut field = OsString::from(format!("{key}="));
        field.push(place);
        let text = field.to_string_lossy();
        if text.contains([',', '"', '\n']) {
            OsString::from(format!("\"{}\"", text.replace('"', "\"\"")))
        } else {
            field
        }
    };
    let mut value = OsString::from("type=bind,");
    value.push(quoted("source"));
    value.push(",");
    value.push(quoted("target"));
    value
}

/// The GPUs that this process may use.
fn gpus(command: &mut Command, kind: Kind) {
    let visible = std::env::var("CUDA_VISIBLE_DEVICES")
        .ok()
        .filter(|list| !list.is_empty());
    match (kind, visible) {
        (Kind::Docker, None) => {
            command.args(["--gpus", "all"]);
        }
        (Kind::Docker, Some(list)) => {
            command.arg("--gpus").arg(format!("\"device={list}\""));
        }
        (Kind::Podman, None) => {
            command.args(["--device", "nvidia.com/gpu=all"]);
        }
        (Kind::Podman, Some(list)) => {
            for device in list.split(',').map(str::trim) {
                command.arg("--device").arg(format!("nvidia.com/gpu={device}"));
            }
        }
    }
}

/// Passes a variable by the client's environment, so that no value stands in a list of processes, unless it would lead the client.
fn variable(command: &mut Command, name: &str, value: &OsStr) {
    let own = std::env::var_os(name);
    let leads = CLIENTS.iter().any(|prefix| name.starts_with(prefix)) || own.is_some();
    if own.as_deref() != Some(value) && leads {
        let mut pair = OsString::from(format!("{name}="));
        pair.push(value);
        command.arg("--env").arg(pair);
    } else {
        command.env(name, value).arg("--env").arg(name);
    }
}

/// How a script in a container ended, by the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It ran.
    Ran {
        /// The kernel killed a process of it for lack of memory.
        out_of_memory: bool,
    },
    /// It was never started; what the engine said.
    Never(String),
    /// The engine does not answer.
    Unknown(String),
}

impl End {
    /// Asks for the end of the container `name`, whose client has ended.
    pub fn of(container: &Container, name: &str) -> Self {
        const FORMAT: &str =
            "{{.State.OOMKilled}}\t{{.State.Status}}\t{{.State.StartedAt}}\t{{.State.Error}}";
        let asked = container
            .engine
            .ask(&["container", "inspect", "--format", FORMAT, name], PATIENCE);
        match asked {
            Ok(spoken) if spoken.code == Some(0) => Self::told(&spoken.output),
            Ok(spoken) if spoken.errors.to_ascii_lowercase().contains("no such container") => {
                Self::Never(String::new())
            }
            Ok(spoken) => Self::Unknown(crate::process::talk::last_line(&spoken.errors)),
            Err(error) => Self::Unknown(error.to_string()),
        }
    }

    fn told(line: &str) -> Self {
        let mut fields = line.trim_end_matches('\n').splitn(4, '\t');
        let mut field = || fields.next().unwrap_or_default();
        let (out_of_memory, status, started, error) = (field() == "true", field(), field(), field());
        // The year 1 is the engine's way to say never.
        if started.starts_with("0001-01-01") || status == "created" {
            return Self::Never(error.to_owned());
        }
        Self::Ran { out_of_memory }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Engine;
    use super::*;

    fn container(arguments: &[&str]) -> Container {
        Container {
            engine: Engine {
                program: "/usr/bin/docker".into(),
                kind: Kind::Docker,
            },
            image: "img:1".into(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            shm_size: Some("2g".into()),
            init: true,
            gpus: false,
        }
    }

    #[test]
    fn values_do_not_stand_in_the_arguments_and_odd_places_are_quoted() {
        let variables: IndexMap<String, OsString> = [
            ("OVERDRIVE_TEST_SECRET", "s3cr3t"),
            ("DOCKER_HOST", "unix:///elsewhere"),
            ("LINES2", "a\nb"),
        ]
        .map(|(name, value)| (name.to_owned(), OsString::from(value)))
        .into();
        let argv = ["python3".to_owned(), "train.py".to_owned(), "--rm".to_owned()];
        let places = [PathBuf::from("/p/a,b"), PathBuf::from("/p/c d")];
        let script = Script {
            name: "overdrive-1",
            argv: &argv,
            variables: &variables,
            workdir: Path::new("/p/a,b/wd"),
            places: &places,
        };
        let built = command(&container(&["--rm", "--cpus=2", "--net=none"]), &script);
        let arguments: Vec<String> = built
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        let line = arguments.join(" ");
        assert!(
            !line.contains("s3cr3t") && line.contains("--env OVERDRIVE_TEST_SECRET"),
            "{line}"
        );
        assert!(line.contains("--env DOCKER_HOST=unix:///elsewhere"), "{line}");
        assert!(
            line.contains("type=bind,\"source=/p/a,b\",\"target=/p/a,b\""),
            "{line}"
        );
        assert!(line.contains("type=bind,source=/p/c d,target=/p/c d"), "{line}");
        assert!(
            line.ends_with("--cpus=2 --net=none --entrypoint python3 img:1 train.py --rm"),
            "{line}"
        );
        assert!(
            !line.contains("--network") && line.contains("--shm-size 2g"),
            "{line}"
        );
        let set = |name: &str| built.get_envs().any(|(known, _)| known == name);
        assert!(set("OVERDRIVE_TEST_SECRET") && !set("DOCKER_HOST"));
    }

    #[test]
    fn the_engine_tells_how_it_ended() {
        assert_eq!(
            End::told("true\texited\t2026-01-01T00:00:00Z\t\n"),
            End::Ran { out_of_memory: true }
        );
        assert_eq!(
            End::told("false\tcreated\t0001-01-01T00:00:00Z\texec: \"pyton\": not found\n"),
            End::Never("exec: \"pyton\": not found".into())
        );
    }
}
