//! Who a process is: host, boot id, process id and start time. Enough to say whether the very same process still runs, so that
//! nobody takes a stranger with a reused id for it.

pub mod talk;

use serde::{Deserialize, Serialize};
use std::fs;

/// Names one process of one boot of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Host name.
    pub host: String,
    /// Boot id of the host.
    pub boot_id: String,
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
}

/// Whether a process still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It runs.
    Here,
    /// It is proved gone: other boot, no such process, a zombie, or the id belongs to a younger process.
    Gone,
    /// It is on another host; nothing is known from here.
    Elsewhere,
    /// The process table could not be looked at (out of descriptors or memory): no proof of anything.
    Unknown,
}

impl Identity {
    /// This very process.
    pub fn own() -> Self {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Self {
            host: host(),
            boot_id: crate::clock::boot_id().to_owned(),
            pid,
            start_ticks: start_ticks(pid).unwrap_or(0),
        }
    }

    /// Whether it still runs, as far as this host can prove.
    pub fn presence(&self) -> Presence {
        if self.host != host() {
            Presence::Elsewhere
        } else if self.boot_id != crate::clock::boot_id() {
            Presence::Gone
        } else {
            match look(self.pid) {
                Ok(Some(ticks)) if ticks == self.start_ticks => Presence::Here,
                Ok(_) => Presence::Gone,
                Err(_) => Presence::Unknown,
            }
        }
    }
}

/// Name of this host.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Start time of a living process in clock ticks since boot; `None` if there is none, it is a zombie, or nobody can tell.
pub fn start_ticks(pid: i32) -> Option<u64> {
    look(pid).ok().flatten()
}

/// As [`start_ticks`], but what cannot be looked at is an error: only the absence of the process says that it is gone.
pub(crate) fn look(pid: i32) -> std::io::Result<Option<u64>> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(started(&stat)),
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound
                || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn started(stat: &str) -> Option<u64> {
    // The name in parentheses may itself hold parentheses and blanks: fields count from the last `)`.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_itself_and_no_stranger() {
        let own = Identity::own();
        assert_eq!(own.presence(), Presence::Here);
        assert_eq!(
            Identity {
                start_ticks: own.start_ticks + 1,
                ..own.clone()
            }
            .presence(),
            Presence::Gone
        );
        assert_eq!(
            Identity {
                boot_id: "other".into(),
                ..own.clone()
            }
            .presence(),
            Presence::Gone
        );
        assert_eq!(
            Identity {
                host: "elsewhere.invalid".into(),
                ..own
            }
            .presence(),
            Presence::Elsewhere
        );
    }

    #[test]
    fn a_zombie_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let begun = std::time::Instant::now();
        while start_ticks(pid).is_some() && begun.elapsed().as_secs() < 5 {
            std::thread::yield_now();
        }
        assert_eq!(start_ticks(pid), None);
        child.wait().unwrap();
    }
}
