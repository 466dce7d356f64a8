//! A script that is to make room for a while: stopped with its whole tree, and continued later.
//!
//! Asked for by a file `freeze` in the attempt's folder and taken back by removing it, so that both may be said twice and in any life of
//! whoever asks. The file's text tells one request from the next: who finds another text while the tree is stopped says so once more.
//! One that begins with `!` says why it cannot be, by whoever knows better than the runner. A file that nobody writes anew for too long was left by somebody who is gone: the script is ended then, since it would hold its
//! memory for ever.

use super::ledger::Ledger;
use super::process::memory_of_machine;
use super::spec::{AttemptSpec, FREEZE};
use super::tree::{Stopped, continue_all, stop_all};
use rustix::process::Pid;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How long a tree may take to stop; longer means uninterruptible sleep.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest text of a request that is looked at.
const LONGEST: usize = 256;

/// What a look led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing new.
    None,
    /// It was told that the tree is stopped, or why not, or that it goes on.
    Told,
    /// The tree is stopped and nobody asks for it any more.
    Abandoned,
}

/// Whether the script is frozen.
pub(super) struct Freezer {
    path: PathBuf,
    /// Why it never can be, if so.
    cannot: Option<&'static str>,
    patience: Duration,
    held: Option<Held>,
    /// The request that could not be fulfilled.
    refused: Option<String>,
    /// Time frozen before now.
    total: Duration,
}

struct Held {
    tree: Stopped,
    since: Instant,
    request: String,
    written: Option<SystemTime>,
    renewed: Instant,
}

impl Freezer {
    pub(super) fn new(spec: &AttemptSpec, folder: &Path) -> Self {
        let several = spec.group.as_ref().is_some_and(|group| group.processes() > 1);
        Self {
            path: folder.join(FREEZE),
            cannot: if spec.container.is_some() {
                Some("it runs in a container")
            } else if several {
                Some("it has several processes that wait for each other")
            } else {
                None
            },
            patience: Duration::from_millis(spec.frozen_patience_ms),
            held: None,
            refused: None,
            total: Duration::ZERO,
        }
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.held.is_some()
    }

    /// How long the script has been frozen until `now`, in all.
    pub(super) fn frozen_for(&self, now: Instant) -> Duration {
        let held = self.held.as_ref();
        self.total + held.map_or(Duration::ZERO, |held| now.saturating_duration_since(held.since))
    }

    /// Does what the file asks for.
    pub(super) fn look(&mut self, main: Pid, ledger: &Ledger) -> Wish {
        let Some((request, written)) = self.request() else {
            self.refused = None;
            return self.thaw(main, ledger);
        };
        if let Some(held) = &mut self.held {
            if held.written != written {
                held.written = written;
                held.renewed = Instant::now();
            }
            if held.request != request {
                held.request = request;
                tell(held.tree.resident, ledger);
                return Wish::Told;
            }
            return if held.renewed.elapsed() >= self.patience {
                Wish::Abandoned
            } else {
                Wish::None
            };
        }
        if self.refused.as_ref() == Some(&request) {
            return Wish::None;
        }
        let cannot = self.cannot.or_else(|| request.strip_prefix('!'));
        let stopped = match cannot {
            Some(reason) => Err(reason.to_owned()),
            None => stop_all(main, PATIENCE).map_err(|running| {
                let pids: Vec<String> = running.iter().map(ToString::to_string).collect();
                format!("processes that did not stop: {}", pids.join(", "))
            }),
        };
        match stopped {
            Ok(tree) => {
                tell(tree.resident, ledger);
                let now = Instant::now();
                self.held = Some(Held {
                    tree,
                    since: now,
                    request,
                    written,
                    renewed: now,
                });
            }
            Err(reason) => {
                ledger.not_frozen(reason);
                self.refused = Some(request);
            }
        }
        Wish::Told
    }

    /// Lets the tree go on, if it is stopped.
    pub(super) fn thaw(&mut self, main: Pid, ledger: &Ledger) -> Wish {
        let Some(held) = self.held.take() else {
            return Wish::None;
        };
        self.total += held.since.elapsed();
        // Told first: what the script reports from here on comes behind it.
        ledger.thawed();
        continue_all(main, &held.tree);
        Wish::Told
    }

    /// The text of the file and when it was written, if it is there.
    fn request(&self) -> Option<(String, Option<SystemTime>)> {
        let bytes = std::fs::read(&self.path).ok()?;
        let written = std::fs::metadata(&self.path)
            .and_then(|metadata| metadata.modified())
            .ok();
        let text = bytes.get(..bytes.len().min(LONGEST)).unwrap_or_default();
        Some((String::from_utf8_lossy(text).into_owned(), written))
    }
}

fn tell(resident: u64, ledger: &Ledger) {
    let host = crate::process::Identity::own().host;
    ledger.frozen(resident, memory_of_machine().unwrap_or(0), host);
}
