//! Signals to the runner: requests to end become a flag, ended children a wake-up.

use rustix::fd::{AsFd, BorrowedFd};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Handlers of this process; they stay until it ends.
#[derive(Debug)]
pub(super) struct Signals {
    wake: UnixStream,
    end: Arc<AtomicBool>,
}

impl Signals {
    /// TERM and INT ask to end the script, HUP is ignored, CHLD wakes. The script itself starts with the defaults: handlers do not
    /// survive `exec`.
    pub(super) fn install() -> io::Result<Self> {
        let (wake, ring) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let end = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // The flag first: when the wake-up comes, it is set.
            signal_hook::flag::register(signal, Arc::clone(&end))?;
            signal_hook::low_level::pipe::register(signal, ring.try_clone()?)?;
        }
        signal_hook::flag::register(SIGHUP, Arc::default())?;
        signal_hook::low_level::pipe::register(SIGCHLD, ring)?;
        Ok(Self { wake, end })
    }

    /// Whether somebody asked to end.
    pub(super) fn asked_to_end(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// Readable after a signal.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Takes the wake-ups that came.
    pub(super) fn acknowledge(&mut self) {
        let mut bytes = [0; 256];
        while matches!(self.wake.read(&mut bytes), Ok(length) if length == bytes.len()) {}
    }
}
