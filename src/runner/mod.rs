//! The runner: executes one attempt of one trial on whatever machine it is started on (`overdrive runner DIR`, hidden).
//!
//! Claims the attempt, materialises the working folder, starts the command in a session of its own, captures its output, hosts
//! the metric channels, enforces limits, ends the whole process tree, and tells everything in the attempt's journal. How and
//! why: `docs/design/runner.md`.

mod attempt;
mod boxed;
mod channels;
pub mod claim;
mod clock;
mod command;
mod foreign;
pub mod fork_server;
mod group;
mod ledger;
mod log;
mod oom;
mod output;
pub mod process;
pub mod ranks;
mod report;
pub mod shell;
mod signals;
pub mod spec;
mod supervise;
mod sys;
mod tree;
mod watch;
mod workdir;

pub use claim::Claim;
pub use spec::{AttemptSpec, Group, GroupKind};
pub use tree::{COOKIE, end_orphans};

use crate::journal::JournalError;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time for KILL to take hold before a process counts as a survivor.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Exit code of a runner that did what it was started for (or found the attempt claimed by another).
pub const EXIT_DONE: i32 = 0;
/// Exit code of a runner that could not even tell in a journal what went wrong; `runner_error.txt` in the attempt's folder says it.
pub const EXIT_TROUBLE: i32 = 70;

/// Variable of a runner to which TERM says that somebody does not want the attempt any more. Without it TERM says that its place is wanted
/// by others, so that the trial is tried again.
pub const TERM_CANCELS: &str = "OVERDRIVE_TERM_CANCELS";

/// Why a runner gave up without an end in the journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// `spec.json` is missing or says something else.
    #[error("cannot read {}: {source}", path.display())]
    Spec {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The claim could be neither taken nor found taken.
    #[error("cannot create {}: {source}", path.display())]
    Claim {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The journal could not be made or extended.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Removes the container of an attempt whose runner is proved dead, if it had one: what [`end_orphans`] is for processes.
/// `folder` is the attempt's.
pub fn end_container(folder: &Path, nonce: &str) {
    let spec = std::fs::read(folder.join("spec.json"))
        .ok()
        .and_then(|text| serde_json::from_slice::<AttemptSpec>(&text).ok());
    if let Some(container) = spec.and_then(|spec| spec.container) {
        crate::container::remove(&container.engine, &boxed::name_of(nonce));
    }
}

/// Executes the attempt whose `spec.json` lies in `folder`; the whole life of a runner process. Returns its exit code.
///
/// Must be called from the main thread of a process that has no other threads and no children.
pub fn main(folder: &Path) -> i32 {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    match attempt::execute(&folder) {
        Ok(()) => EXIT_DONE,
        Err(error) => {
            // The last resort; there may be no room for it either.
            let _ = std::fs::write(folder.join("runner_error.txt"), format!("{error}\n"));
            EXIT_TROUBLE
        }
    }
}
