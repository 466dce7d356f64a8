//! Containers of trials: finding an engine, having its image, starting a script in it, and leaving nothing behind.
//!
//! The engine is a program of the system, `docker` or `podman`, with the user's own configuration and logins. The runner stays outside:
//! it starts the engine's client in place of the script, so that output, signals and the end are a process's as ever. See
//! `docs/design/containers.md`.

mod engine;
mod guard;
mod image;
mod launch;
mod left;

pub use engine::{CHOICE, Engine, Kind};
pub use guard::Guard;
pub use image::{Inside, Recipe, build, have, look};
pub use launch::{End, Script, command};
pub use left::{remove, sweep};

use serde::{Deserialize, Serialize};

/// In what a script runs, all but the script's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Who runs it.
    pub engine: Engine,
    /// The image, by name or id.
    pub image: String,
    /// Further arguments of `run`.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Size of `/dev/shm`, as the engine reads it.
    #[serde(default)]
    pub shm_size: Option<String>,
    /// Whether the engine has a first process that passes signals on and takes orphans in.
    #[serde(default)]
    pub init: bool,
    /// Whether the machine's GPUs are to be seen in it.
    #[serde(default)]
    pub gpus: bool,
}

/// Why there is no container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// Neither docker nor podman answers.
    #[error("no container engine answers here: {0}")]
    NoEngine(String),
    /// The engine has no such image and cannot get it.
    #[error("the image `{image}` cannot be had: {reason}")]
    NoImage {
        /// The image's name.
        image: String,
        /// What the engine said.
        reason: String,
    },
    /// The image could not be built.
    #[error("the image could not be built: {reason}; whole log: {log}")]
    Build {
        /// The last line of the build.
        reason: String,
        /// Where all of it is.
        log: String,
    },
    /// The engine did something else than was asked.
    #[error("{engine}: {reason}")]
    Engine {
        /// The program.
        engine: String,
        /// What it said.
        reason: String,
    },
    /// A file or folder of ours could not be written.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// The system's words.
        reason: String,
    },
}
