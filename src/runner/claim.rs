//! The claim: whoever creates this file executes the attempt, everybody else leaves.

use crate::clock::boot_id;
use crate::journal::Entry;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Content of the claim file: which process owns the attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Host name.
    pub host: String,
    /// Boot id of the host.
    pub boot_id: String,
    /// Process id; 0 if the claim was taken only to keep others from starting.
    pub pid: i32,
    /// Start time of that process in clock ticks since boot.
    pub start_ticks: u64,
    /// The attempt's random text.
    pub nonce: String,
}

impl Claim {
    /// The claim of this process.
    pub fn of_this_process(nonce: &str) -> Self {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot_id: boot_id().to_owned(),
            pid,
            start_ticks: super::process::stat(pid).map_or(0, |stat| stat.start_ticks),
            nonce: nonce.to_owned(),
        }
    }

    /// Creates `path` with this claim; `false` if somebody was first.
    ///
    /// # Errors
    /// The system's error if the file could not be made for another reason.
    pub fn take(&self, path: &Path) -> std::io::Result<bool> {
        let mut file = match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
        {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(error),
        };
        // Existence is what counts; the content is for those who look for the runner.
        file.write_all(&serde_json::to_vec(self)?)?;
        Ok(true)
    }

    /// Reads a claim; `None` if there is none or it is not readable (yet).
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Whether the claiming process is proved not to run any more, with the proof in words. `None`: it runs, or nobody can tell
    /// from here.
    pub fn proof_of_death(&self) -> Option<String> {
        if self.host != rustix::system::uname().nodename().to_string_lossy() {
            return None;
        }
        if self.boot_id != boot_id() {
            return Some(format!("{} was rebooted since", self.host));
        }
        match super::process::stat(self.pid) {
            None => Some(format!("process {} is gone", self.pid)),
            Some(stat) if stat.start_ticks != self.start_ticks => {
                Some(format!("process {} is another one", self.pid))
            }
            Some(stat) if stat.state == b'Z' => Some(format!("process {} has ended", self.pid)),
            Some(_) => None,
        }
    }

    pub(super) fn entry(&self) -> Entry {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Entry::Claimed {
            host: self.host.clone(),
            boot_id: self.boot_id.clone(),
            pid: self.pid,
            start_ticks: self.start_ticks,
            wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
