//! The doorbell: a datagram socket that runners and other processes ring after they have written something down. Best effort;
//! whoever waits also looks by itself now and then.

use crate::runner::spec::TOLD;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest path of a socket that the kernel takes, without its end mark.
const PATH_MAX: usize = 107;

/// How often whoever waits without a socket looks.
const DEAF: Duration = Duration::from_millis(10);

/// A place to be rung at. Nobody listens there before [`Bell::open`]; the socket is removed when dropped.
#[derive(Debug)]
pub struct Bell {
    socket: OnceLock<UnixDatagram>,
    path: PathBuf,
    called: AtomicBool,
}

impl Bell {
    /// The bell of a sweep: always the same place, so that runners that outlived a controller ring its successor too. It lies in
    /// `XDG_RUNTIME_DIR` or the folder for temporary files, since project folders may be deeper than a socket's path may be long.
    pub fn of(state_folder: &Path, sweep: &str) -> Self {
        let state = std::path::absolute(state_folder).unwrap_or_else(|_| state_folder.to_owned());
        let mut hash = blake3::Hasher::new();
        hash.update(state.as_os_str().as_encoded_bytes());
        hash.update(b"\0");
        hash.update(sweep.as_bytes());
        let name: String = hash.finalize().to_hex().chars().take(20).collect();
        let folders = [
            std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
            Some(std::env::temp_dir()),
        ];
        let path = folders
            .into_iter()
            .flatten()
            .map(|folder| folder.join(format!("overdrive-{name}")))
            .find(|path| path.as_os_str().len() <= PATH_MAX && path.parent().is_some_and(Path::is_dir))
            .unwrap_or_else(|| Path::new("/tmp").join(format!("overdrive-{name}")));
        Self {
            socket: OnceLock::new(),
            path,
            called: AtomicBool::new(true),
        }
    }

    /// Begins to listen, in the place of whoever did before. To be called by the one who leads the sweep.
    ///
    /// # Errors
    /// The system's; waiting then just takes its time.
    pub fn open(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixDatagram::bind(&self.path)?;
        socket.set_nonblocking(true)?;
        // Opening twice keeps the first; the second socket would be the one that is rung.
        let _ = self.socket.set(socket);
        Ok(())
    }

    /// Rings this bell, from another thread.
    pub fn ring(&self) {
        ring(&self.path);
    }

    /// Where to ring.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Blocks until somebody rings, at most `timeout`; rings that came before count.
    pub fn wait(&self, timeout: Duration) {
        let Some(socket) = self.socket.get() else {
            std::thread::sleep(timeout.min(DEAF));
            return;
        };
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(socket, PollFlags::IN)];
        // An interrupted wait only means an early look.
        let _ = poll(&mut fds, Some(&timeout));
        let mut sink = [0; 16];
        // One look answers all rings up to now.
        for _ in 0..4096 {
            if socket.recv(&mut sink).is_err() {
                break;
            }
            if sink[0] != TOLD {
                self.called.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether somebody other than a runner has rung since the last question; true at first, and always without a socket.
    pub fn was_called(&self) -> bool {
        self.called.swap(false, Ordering::Relaxed) || self.socket.get().is_none()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if self.socket.get().is_none() {
            return;
        }
        // A socket file that stays is a few bytes nobody listens at.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Rings the bell at `path`, if anybody listens.
pub(in crate::target) fn ring(path: &Path) {
    if let Ok(socket) = UnixDatagram::unbound()
        && socket.set_nonblocking(true).is_ok()
    {
        // Nobody there, or a full queue: somebody will look anyway.
        let _ = socket.send_to(b"r", path);
    }
}
