//! The doorbell: a datagram socket that runners and other processes ring after they have written something down. Best effort;
//! whoever waits also looks by itself now and then.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest path of a socket that the kernel takes, without its end mark.
const PATH_MAX: usize = 107;

/// A bound socket; removed when dropped.
#[derive(Debug)]
pub struct Bell {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Bell {
    /// Binds a socket of a name that nobody else has, in `XDG_RUNTIME_DIR` or the folder for temporary files: project folders
    /// may be deeper than a socket's path may be long.
    ///
    /// # Errors
    /// The system's, for each of the folders tried.
    pub fn bind() -> io::Result<Self> {
        let folders = [
            std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
            Some(std::env::temp_dir()),
            Some("/tmp".into()),
        ];
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for folder in folders.into_iter().flatten() {
            let name: String = uuid::Uuid::new_v4()
                .simple()
                .to_string()
                .chars()
                .take(16)
                .collect();
            let path = folder.join(format!("overdrive-{name}"));
            if path.as_os_str().len() > PATH_MAX {
                continue;
            }
            match UnixDatagram::bind(&path).and_then(|socket| socket.set_nonblocking(true).map(|()| socket)) {
                Ok(socket) => return Ok(Self { socket, path }),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Where to ring.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Blocks until somebody rings, at most `timeout`; rings that came before count.
    pub fn wait(&self, timeout: Duration) {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        // An interrupted wait only means an early look.
        let _ = poll(&mut fds, Some(&timeout));
        let mut sink = [0; 16];
        // One look answers all rings up to now.
        for _ in 0..4096 {
            if self.socket.recv(&mut sink).is_err() {
                break;
            }
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // A socket file that stays is a few bytes nobody listens at.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Rings the bell at `path`, if anybody listens.
pub(super) fn ring(path: &Path) {
    if let Ok(socket) = UnixDatagram::unbound()
        && socket.set_nonblocking(true).is_ok()
    {
        // Nobody there, or a full queue: somebody will look anyway.
        let _ = socket.send_to(b"r", path);
    }
}
