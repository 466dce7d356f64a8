//! Ctrl-C, SIGTERM and SIGHUP (the terminal went away): counted, never acted upon here. Who shows the sweep asks for the counts and decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Signals received so far.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    interrupts: Arc<AtomicU32>,
    terminations: Arc<AtomicU32>,
    hangups: Arc<AtomicU32>,
}

impl Signals {
    /// Catches Ctrl-C (SIGINT), SIGTERM and SIGHUP from now on.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn catch(runtime: &tokio::runtime::Handle) -> std::io::Result<Self> {
        let signals = Self::default();
        let _guard = runtime.enter();
        for (kind, counter) in [
            (SignalKind::interrupt(), &signals.interrupts),
            (SignalKind::terminate(), &signals.terminations),
            (SignalKind::hangup(), &signals.hangups),
        ] {
            let mut stream = signal(kind)?;
            let counter = Arc::clone(counter);
            runtime.spawn(async move {
                while stream.recv().await.is_some() {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        Ok(signals)
    }

    /// How often the user or the system asked to stop: 0 go on, 1 cancel cleanly, 2 leave.
    pub fn asked(&self) -> u32 {
        self.interrupts.load(Ordering::SeqCst) + self.terminations.load(Ordering::SeqCst)
    }

    /// Whether Ctrl-C came: somebody sits there who may press it again.
    pub fn interrupted(&self) -> bool {
        self.interrupts.load(Ordering::SeqCst) > 0
    }

    /// Whether the terminal went away: nobody watches any more, trials are to run on.
    pub fn hung_up(&self) -> bool {
        self.hangups.load(Ordering::SeqCst) > 0
    }

    /// Exit code of an end by signal: that of SIGTERM unless Ctrl-C came or the terminal went away.
    pub fn exit(&self) -> u8 {
        if self.hung_up() {
            return crate::cli::exit::HUNG_UP;
        }
        if self.interrupts.load(Ordering::SeqCst) > 0 {
            crate::cli::exit::INTERRUPTED
        } else {
            crate::cli::exit::TERMINATED
        }
    }
}
