//! A script in a container: the engine's client is the process that is watched, and the container goes with it.

use super::command::NotStarted;
use super::spec::AttemptSpec;
use crate::container::{Container, End, Guard, remove};
use std::path::PathBuf;
use std::time::Duration;

/// How long `kill` may take to be delivered.
const KILL: Duration = Duration::from_secs(20);

/// Exit code by which an engine says that the trouble is its own.
const ENGINES: i32 = 125;

/// Words of engines for what the user's files cause.
const USERS: [&str; 12] = [
    "no such image",
    "unable to find image",
    "pull access denied",
    "manifest unknown",
    "invalid reference",
    "executable file not found",
    "no such file or directory",
    "permission denied",
    "exec format error",
    "unknown flag",
    "invalid argument",
    "see 'docker run --help'",
];

/// The container of an attempt.
#[derive(Debug)]
pub(super) struct Boxed {
    container: Container,
    name: String,
    guard: Option<Guard>,
}

/// What its end says beyond the exit code of the client.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// It was killed for lack of memory.
    pub(super) out_of_memory: bool,
    /// The engine went away under it.
    pub(super) lost: bool,
    /// The script never began.
    pub(super) never: Option<NotStarted>,
}

/// Name of the container of an attempt.
pub(super) fn name_of(nonce: &str) -> String {
    format!("overdrive-{nonce}")
}

impl Boxed {
    /// Gets ready for the container that the specification asks for, if it does.
    pub(super) fn of(spec: &AttemptSpec) -> Result<Option<Self>, NotStarted> {
        let Some(container) = spec.container.clone() else {
            return Ok(None);
        };
        let name = name_of(&spec.nonce);
        let guard = Guard::over(&container.engine, &name)
            .map_err(|error| NotStarted::refused("cannot start the guard of the container", &error))?;
        Ok(Some(Self {
            container,
            name,
            guard: Some(guard),
        }))
    }

    /// Kills what is in it; the client ends by that.
    pub(super) fn kill(&self) {
        // One that is not there is not killed, and one that does not obey is removed later.
        let _ = self.container.engine.ask(&["kill", &self.name], KILL);
    }

    /// The client has ended with `code`: what became of the container, which is gone after this. `asked` = it was to end.
    pub(super) fn end(&mut self, code: Option<i32>, asked: bool, tail: &[String]) -> Word {
        let mut word = Word::default();
        if !asked {
            match End::of(&self.container, &self.name) {
                End::Ran { out_of_memory } => word.out_of_memory = out_of_memory && code != Some(0),
                End::Never(reason) => word.never = Some(never(&reason, tail)),
                End::Unknown(_) if code == Some(ENGINES) || code.is_none() => word.lost = true,
                End::Unknown(_) => {}
            }
        }
        if remove(&self.container.engine, &self.name)
            && let Some(guard) = self.guard.take()
        {
            guard.let_go();
        }
        word
    }
}

fn never(reason: &str, tail: &[String]) -> NotStarted {
    let last = tail.iter().rev().map(|line| line.trim());
    let said = last
        .clone()
        .find(|line| line.contains("rror") || line.starts_with("docker:"));
    let said = said
        .or_else(|| last.clone().find(|line| !line.is_empty()))
        .unwrap_or_default();
    let reason = if reason.is_empty() { said } else { reason };
    let lower = reason.to_ascii_lowercase();
    let reason = format!(
        "its container did not start: {}",
        reason.chars().take(300).collect::<String>()
    );
    if USERS.iter().any(|words| lower.contains(words)) {
        NotStarted::setup(reason)
    } else {
        NotStarted::infrastructure(reason)
    }
}

/// Files and folders that a script in a container needs to see.
pub(super) fn places(
    spec: &AttemptSpec,
    folder: &std::path::Path,
    python: Option<&std::path::Path>,
) -> Vec<PathBuf> {
    let mut places = vec![folder.to_owned()];
    places.extend(spec.in_place.clone());
    places.extend(python.map(std::path::Path::to_owned));
    places.extend(spec.registry.clone().filter(|registry| {
        // Made here, since what an engine makes is root's.
        std::fs::create_dir_all(registry).is_ok()
    }));
    let inputs = spec.inputs.values().map(PathBuf::from);
    places.extend(inputs.filter(|path| path.is_absolute() && path.exists()));
    places.retain(|place| !place.starts_with(folder) || place == folder);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_tell_whose_fault_it_is() {
        let tail = |line: &str| vec![line.to_owned(), String::new()];
        let user = never(
            "",
            &tail("docker: Error response from daemon: exec: \"pyton\": executable file not found in $PATH"),
        );
        assert_eq!(user.class, "setup");
        assert!(user.reason.contains("pyton"), "{}", user.reason);
        let other = never(
            "",
            &tail("docker: Cannot connect to the Docker daemon at unix:///x."),
        );
        assert_eq!(other.class, "infrastructure");
    }
}
