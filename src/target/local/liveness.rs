//! Whether a runner lives: by its claim, or by what was started and has not claimed yet.

use super::super::{Fate, Liveness};
use crate::process::{Identity, Presence};
use std::path::Path;
use std::process::Child;

/// Why an attempt with a claim of nobody is over.
const KEPT_OUT: &str = "the attempt was given up before a runner claimed it";

/// A runner that this process started.
#[derive(Debug)]
pub(super) enum Started {
    /// A child of this process.
    Child(Child),
    /// Forked by the fork server, and nobody's child to wait for.
    Fork {
        /// Its process id.
        pid: i32,
        /// Its start time in clock ticks since boot; 0 if it ended at once.
        start_ticks: u64,
    },
}

impl Started {
    fn pid(&self) -> i32 {
        match self {
            Self::Child(child) => i32::try_from(child.id()).unwrap_or(0),
            Self::Fork { pid, .. } => *pid,
        }
    }

    /// Whether this is the process that `claim` names: a child that was not waited for keeps its id.
    fn is(&self, claim: &Identity) -> bool {
        self.pid() == claim.pid
    }

    /// Whether it ended; also clears a child from the process table.
    fn has_ended(&mut self) -> bool {
        match self {
            Self::Child(child) => !matches!(child.try_wait(), Ok(None)),
            Self::Fork { pid, start_ticks } => {
                matches!(crate::process::look(*pid), Ok(ticks) if ticks != Some(*start_ticks))
            }
        }
    }
}

/// What is known of the runner of an attempt's folder.
///
/// `known` remembers the claim: its file never changes once it is whole.
pub(super) fn of(folder: &Path, mut started: Option<&mut Started>, known: &mut Option<Identity>) -> Liveness {
    if known.is_none() {
        *known = match claim(folder) {
            Ok(claim) => claim,
            // Out of descriptors, a file system that hangs: a claim may be there all the same.
            Err(error) => return Liveness::Unknown(format!("its claim cannot be read: {error}")),
        };
    }
    match known {
        // A claim of nobody: it was taken so that no runner starts.
        Some(claim) if claim.pid == 0 => Liveness::Over(Fate::Canceled, KEPT_OUT.into()),
        // Our own child is asked directly, which takes one call instead of eight.
        Some(claim)
            if claim.boot_id == crate::clock::boot_id()
                && started
                    .as_mut()
                    .is_some_and(|started| started.is(claim) && !started.has_ended()) =>
        {
            Liveness::Alive
        }
        Some(claim) => match claim.presence() {
            Presence::Here => Liveness::Alive,
            Presence::Elsewhere => Liveness::Unknown(format!("the runner is on host {}", claim.host)),
            Presence::Unknown => Liveness::Unknown("the process table cannot be read".into()),
            Presence::Gone => {
                // Clears the process table where the runner is a child of this process.
                if let Some(started) = started {
                    started.has_ended();
                }
                Liveness::Dead(death(folder, claim))
            }
        },
        None => match started {
            // A claim may appear between the two looks; then the next call sees it.
            Some(started) => {
                if started.has_ended() && matches!(claim(folder), Ok(None)) {
                    let pid = started.pid();
                    Liveness::Dead(format!(
                        "runner {pid} ended before it claimed the attempt{}",
                        last_words(folder)
                    ))
                } else {
                    Liveness::Alive
                }
            }
            None => Liveness::Unclaimed,
        },
    }
}

/// The claim, if it is there and whole.
fn claim(folder: &Path) -> std::io::Result<Option<Identity>> {
    match std::fs::read(folder.join("claim")) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn death(folder: &Path, claim: &Identity) -> String {
    if claim.boot_id != crate::clock::boot_id() {
        "the machine was restarted".into()
    } else {
        // What it could not even write into a journal.
        let trouble = std::fs::read_to_string(folder.join("runner_error.txt")).unwrap_or_default();
        match trouble.trim() {
            "" => format!("runner {} is gone", claim.pid),
            trouble => trouble.chars().take(300).collect(),
        }
    }
}

/// The last line that the runner wrote on standard error, if any.
fn last_words(folder: &Path) -> String {
    let text = std::fs::read(folder.join("runner.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    match text.lines().rev().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => format!(": {}", line.chars().take(300).collect::<String>()),
        None => String::new(),
    }
}
