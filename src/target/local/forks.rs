//! The controller's end of the fork server: runners without the cost of starting a program for each.

use super::LocalOptions;
use crate::runner::fork_server::Answer;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair, sockopt,
};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long an answer may take; then the server is given up. A fork takes a fraction of a millisecond.
const ANSWER: Duration = Duration::from_secs(5);

/// After so many servers that failed there is no other.
const SERVERS_MAX: u32 = 3;

/// A fork server and the way to it. Ends with this value.
#[derive(Debug)]
struct Server {
    socket: OwnedFd,
    child: Child,
}

/// Asks a fork server, which is started when first needed and again if it died.
#[derive(Debug, Default)]
pub(super) struct Forks {
    server: Option<Server>,
    failed: u32,
}

impl Forks {
    /// Forks a runner for the attempt in `folder`; `None` if that did not work: the caller then starts one by itself. Should both
    /// come to life, the claim decides.
    pub(super) fn fork(&mut self, options: &LocalOptions, folder: &Path) -> Option<Answer> {
        if !options.fork_server || self.failed >= SERVERS_MAX {
            return None;
        }
        if self.server.is_none() {
            self.server = Server::start(options).ok();
        }
        let answer = self.server.as_ref().and_then(|server| server.ask(folder));
        if answer.is_none() {
            self.failed += 1;
            self.server = None;
        }
        answer
    }
}

impl Server {
    fn start(options: &LocalOptions) -> std::io::Result<Self> {
        let (socket, other) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER))?;
        let child = Command::new(&options.executable)
            .args(&options.arguments)
            .arg("--serve")
            .current_dir("/")
            .stdin(Stdio::from(File::from(other)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { socket, child })
    }

    fn ask(&self, folder: &Path) -> Option<Answer> {
        send(&self.socket, folder.as_os_str().as_bytes(), SendFlags::NOSIGNAL).ok()?;
        let mut answer = [0_u8; 256];
        let (_, length) = recv(&self.socket, answer.as_mut_slice(), RecvFlags::empty()).ok()?;
        serde_json::from_slice(answer.get(..length)?).ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has no children that are its own and nothing to save; waiting for it to notice the closed socket could take long.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
