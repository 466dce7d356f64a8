//! The fork server: one process of this binary that is ready to run and forks once per attempt, so that a short trial does not pay
//! for loading and linking the program again (`overdrive runner --serve`, hidden; started by the local target).
//!
//! Requests and answers are single packets on standard input, a `SOCK_SEQPACKET` socket. Only the controller holds the other end:
//! when it closes, the server ends; the runners it forked have left its session and go on.

use super::sys::{self, Fork};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest request: a folder's path.
const REQUEST_MAX: usize = 8 << 10;

/// Name of the file, in an attempt's folder, that receives what a runner says on standard error, or of its panic.
pub const RUNNER_LOG: &str = "runner.log";

/// Answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A runner was forked.
    Forked {
        /// Its process id.
        pid: i32,
        /// Its start time in clock ticks since boot.
        start_ticks: u64,
    },
    /// The system refused.
    Refused {
        /// Its error number.
        errno: i32,
    },
}

/// Forks a runner for each folder that is asked for, until the other end of standard input is closed. Returns the exit code of the
/// process it ends in: the server's, or a runner's.
///
/// Must be called from the main thread of a process that has no other threads and no children.
pub fn serve() -> i32 {
    // Signals of a terminal are for the controller.
    let _ = rustix::process::setsid();
    if sys::let_children_go().is_err() {
        return super::EXIT_TROUBLE;
    }
    warm_up();
    let stdin = std::io::stdin();
    let mut request = vec![0_u8; REQUEST_MAX];
    loop {
        let length = match recv(stdin.as_fd(), request.as_mut_slice(), RecvFlags::empty()) {
            Ok((0, _)) => return super::EXIT_DONE,
            Ok((length, _)) => length,
            Err(Errno::INTR) => continue,
            Err(_) => return super::EXIT_TROUBLE,
        };
        let folder = request.get(..length).unwrap_or_default();
        let answer = match sys::fork() {
            Ok(Fork::Child) => return become_runner(Path::new(std::ffi::OsStr::from_bytes(folder))),
            Ok(Fork::Parent(pid)) => Answer::Forked {
                pid,
                start_ticks: super::process::stat(pid).map_or(0, |stat| stat.start_ticks),
            },
            Err(error) => Answer::Refused {
                errno: error.raw_os_error().unwrap_or(0),
            },
        };
        let text = serde_json::to_vec(&answer).unwrap_or_default();
        // Whoever asked and does not read finds the runner by its claim.
        let _ = send(stdin.as_fd(), &text, SendFlags::NOSIGNAL);
    }
}

/// Finds out once what would be the same for all runners.
fn warm_up() {
    let _ = crate::clock::boot_id();
    let _ = crate::channel::shim::folder_name();
    // The checksum looks at the processor's features when first used, which a virtual machine makes slow.
    let _ = crc32c::crc32c(b"warm");
}

/// In the child: what starting the program anew would have given it, then the life of a runner.
fn become_runner(folder: &Path) -> i32 {
    // Nothing here may stop the runner: it tells its troubles in the journal.
    let _ = sys::silence();
    let _ = sys::keep_children();
    let _ = std::env::set_current_dir(folder);
    // A file for what should never be said, made only when it is.
    let log = folder.join(RUNNER_LOG);
    std::panic::set_hook(Box::new(move |panic| {
        let _ = std::fs::write(&log, format!("{panic}\n"));
    }));
    super::main(folder)
}
