//! Which engine answers on this machine.

use super::ContainerError;
use crate::process::talk::{Input, Spoken, last_line, talk};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Variable by which a user chooses: `docker`, `podman`, or the path of one.
pub const CHOICE: &str = "OVERDRIVE_CONTAINER_ENGINE";

/// How long an engine may take to say its version. A rootless podman that was never used sets itself up first.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whose command line it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Docker's client; containers belong to a daemon.
    Docker,
    /// Podman; containers belong to the user.
    Podman,
}

/// An engine that answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Its program.
    pub program: PathBuf,
    /// Whose command line it speaks.
    pub kind: Kind,
}

impl Engine {
    /// The engine that `wanted` names, else the first of docker and podman on `search_path` that answers.
    ///
    /// # Errors
    /// [`ContainerError::NoEngine`] with the words of each.
    pub fn find(search_path: &OsStr, wanted: Option<&str>) -> Result<Self, ContainerError> {
        let names = match wanted.filter(|wanted| !wanted.is_empty()) {
            Some(wanted) => vec![wanted],
            None => vec!["docker", "podman"],
        };
        let mut reasons = Vec::new();
        for name in names {
            match Self::called(name, search_path) {
                Ok(engine) => return Ok(engine),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(ContainerError::NoEngine(reasons.join("; ")))
    }

    /// As [`Self::find`], by the environment of this process.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn here() -> Result<Self, ContainerError> {
        let wanted = std::env::var(CHOICE).ok();
        Self::find(&std::env::var_os("PATH").unwrap_or_default(), wanted.as_deref())
    }

    fn called(name: &str, search_path: &OsStr) -> Result<Self, String> {
        let Some(program) = executable(name, search_path) else {
            return Err(format!("there is no `{name}`"));
        };
        let file = program.file_name().unwrap_or_default().to_string_lossy();
        let mut engine = Self {
            kind: if file.starts_with("podman") {
                Kind::Podman
            } else {
                Kind::Docker
            },
            program,
        };
        let asked = engine.ask(
            &["version", "--format", "{{.Client.Version}} {{.Server.Version}}"],
            PATIENCE,
        );
        match asked {
            Ok(spoken) if spoken.code == Some(0) => {
                // A podman that calls itself docker.
                if engine.kind == Kind::Docker && spoken.errors.contains("podman") {
                    engine.kind = Kind::Podman;
                }
                Ok(engine)
            }
            // Podman has a server only where it is told so.
            Ok(spoken) if engine.kind == Kind::Podman && spoken.errors.contains("Server") => {
                match engine.ask(&["version", "--format", "{{.Client.Version}}"], PATIENCE) {
                    Ok(spoken) if spoken.code == Some(0) => Ok(engine),
                    _ => Err(format!("`{name}`: {}", last_line(&spoken.errors))),
                }
            }
            Ok(spoken) if spoken.code.is_none() => {
                Err(format!("`{name}` did not answer within {} s", PATIENCE.as_secs()))
            }
            Ok(spoken) => Err(format!("`{name}`: {}", last_line(&spoken.errors))),
            Err(error) => Err(format!("`{name}`: {error}")),
        }
    }

    /// Runs it with `arguments` to its end.
    ///
    /// # Errors
    /// The system's, if it cannot be started.
    pub fn ask(&self, arguments: &[&str], patience: Duration) -> std::io::Result<Spoken> {
        talk(
            Command::new(&self.program).args(arguments),
            Input::Text(""),
            patience,
        )
    }

    /// As [`Self::ask`]; its output if it ended well.
    ///
    /// # Errors
    /// [`ContainerError::Engine`] with its last line.
    pub fn output(&self, arguments: &[&str], patience: Duration) -> Result<String, ContainerError> {
        let failed = |reason: String| ContainerError::Engine {
            engine: self.program.display().to_string(),
            reason,
        };
        let spoken = self
            .ask(arguments, patience)
            .map_err(|error| failed(error.to_string()))?;
        match spoken.code {
            Some(0) => Ok(spoken.output),
            Some(_) => Err(failed(last_line(&spoken.errors))),
            None => Err(failed(format!("no answer within {} s", patience.as_secs()))),
        }
    }
}

/// The executable called `name`.
fn executable(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    let fits = |path: &Path| {
        path.metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return std::path::absolute(name).ok().filter(|path| fits(path));
    }
    std::env::split_paths(search_path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| fits(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(folder: &Path, name: &str, body: &str) {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_first_that_answers_is_taken_and_the_others_are_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().as_os_str();
        assert_eq!(
            Engine::find(path, None).unwrap_err().to_string(),
            "no container engine answers here: there is no `docker`; there is no `podman`"
        );
        fake(
            folder.path(),
            "docker",
            "echo 'Cannot connect to the Docker daemon' >&2; exit 1",
        );
        let error = Engine::find(path, None).unwrap_err().to_string();
        assert!(
            error.contains("`docker`: Cannot connect to the Docker daemon"),
            "{error}"
        );
        fake(folder.path(), "podman", "echo 4.3.1");
        let found = Engine::find(path, None).unwrap();
        assert_eq!(
            (found.kind, found.program),
            (Kind::Podman, folder.path().join("podman"))
        );
        assert!(Engine::find(path, Some("docker")).is_err());
    }
}
