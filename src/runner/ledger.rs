//! The runner's one way to tell anything: reports from all channels are merged and appended to the journal, the doorbell rings.

use super::clock::boot_ms;
use super::spec::TOLD;
use super::sys;
use crate::channel::merge::{Merge, Notice, Verdict};
use crate::channel::{Report, Sink};
use crate::journal::{Entry, Exit, JournalError, Writer};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, sendto, socket_with,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a controller may take to notice the end before the journal is synced here.
const ANSWER: Duration = Duration::from_millis(200);
/// Below this a trial is short: executing it again costs less than its share of the disk's syncs.
const SHORT_MS: u64 = 2_000;
/// Warnings of one kind that are told; the rest is counted.
const WARNINGS_PER_CODE: u32 = 5;
/// Longest metric name in bytes.
const MAX_NAME: usize = 1_000;
/// Longest text of a fact in bytes.
const MAX_TEXT: usize = 64 << 10;

/// Journal, merge and doorbell behind one lock.
#[derive(Debug)]
pub(super) struct Ledger {
    inner: Mutex<Inner>,
    bell: Option<Bell>,
    /// Something was written that nobody was rung for.
    unrung: AtomicBool,
    /// Rings wait for the end, which follows at once.
    hushed: AtomicBool,
    syncing: Arc<AtomicBool>,
    sync_failed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Inner {
    writer: Writer,
    merge: Merge,
    claimed_ms: u64,
    started_ms: Option<u64>,
    dropped: u64,
    warned: BTreeMap<String, u32>,
    closed: bool,
    /// Time by somebody else's clock, in its milliseconds; `None` = this machine's boot clock.
    told_ms: Option<u64>,
}

#[derive(Debug)]
struct Bell {
    socket: OwnedFd,
    address: SocketAddrUnix,
    /// The last ring reached a queue that somebody holds.
    heard: AtomicBool,
}

impl Ledger {
    /// Tells through `writer`; rings at `doorbell`, best effort.
    pub(super) fn new(writer: Writer, primary: Option<&str>, doorbell: Option<&Path>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                writer,
                merge: Merge::new(primary),
                claimed_ms: boot_ms(),
                started_ms: None,
                dropped: 0,
                warned: BTreeMap::new(),
                closed: false,
                told_ms: None,
            }),
            bell: doorbell.and_then(Bell::at),
            unrung: AtomicBool::new(false),
            hushed: AtomicBool::new(false),
            syncing: Arc::default(),
            sync_failed: Arc::default(),
        }
    }

    /// Tells through `writer` what happened elsewhere; the time is set by [`Self::at`].
    pub(super) fn retelling(writer: Writer, primary: Option<&str>) -> Self {
        let ledger = Self::new(writer, primary, None);
        {
            let mut inner = ledger.lock();
            inner.claimed_ms = 0;
            inner.told_ms = Some(0);
        }
        ledger
    }

    /// It is `ms` milliseconds after the claim there.
    pub(super) fn at(&self, ms: u64) {
        self.lock().told_ms = Some(ms);
    }

    /// Appends the claim of a runner elsewhere.
    pub(super) fn claimed(&self, entry: &Entry) -> Result<(), JournalError> {
        self.lock().writer.append(entry)
    }

    /// Says that nothing follows of what happened elsewhere, where it is on disk.
    pub(super) fn seal_retold(&self) -> Result<(), JournalError> {
        self.lock().writer.seal_unsynced()
    }

    /// Appends `Started`; metrics count their time from here. Rings with the next report, or by [`Self::catch_up`].
    pub(super) fn started(&self, pid: i32, start_ticks: u64, argv: &[String]) -> Result<(), JournalError> {
        let mut inner = self.lock();
        let now = inner.now();
        inner.started_ms = Some(now);
        let at_ms = now - inner.claimed_ms;
        let entry = Entry::Started {
            pid,
            start_ticks,
            argv: argv.to_vec(),
            at_ms,
        };
        inner.writer.append(&entry)?;
        self.unrung.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Rings for what was written without: a script that has ended by then is told of once, not twice.
    pub(super) fn catch_up(&self) {
        if self.unrung.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    /// From here on only [`Self::close`] rings.
    pub(super) fn hush(&self) {
        self.hushed.store(true, Ordering::Relaxed);
    }

    /// Milliseconds since `Started` (0 before).
    pub(super) fn elapsed_ms(&self) -> u64 {
        let inner = self.lock();
        inner
            .started_ms
            .map_or(0, |started| inner.now().saturating_sub(started))
    }

    /// Tells something to people; of each kind only the first few.
    pub(super) fn warn(&self, code: &str, message: String) {
        self.report(Report::Warning {
            code: code.to_owned(),
            message,
        });
    }

    /// Number of points of a metric that count.
    pub(super) fn points(&self, name: &str) -> u64 {
        self.lock().merge.points(name)
    }

    /// What to tell if the primary metric never came.
    pub(super) fn missing_primary(&self, printed: &[String]) -> Option<Notice> {
        self.lock().merge.missing_primary(printed)
    }

    /// Syncs the journal from a thread of its own if something is not synced, so that nothing waits for the disk.
    pub(super) fn sync_soon(&self) {
        if self.sync_failed.load(Ordering::Relaxed) || self.syncing.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some(Ok(file)) = self.lock().writer.unsynced() else {
            self.syncing.store(false, Ordering::Relaxed);
            return;
        };
        let (syncing, failed) = (Arc::clone(&self.syncing), Arc::clone(&self.sync_failed));
        let sync = move || {
            // A failed sync must not be tried again on this file: the kernel has marked the pages clean.
            if file.sync_data().is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            syncing.store(false, Ordering::Relaxed);
        };
        if std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(sync)
            .is_err()
        {
            self.syncing.store(false, Ordering::Relaxed);
        }
    }

    /// Whether a sync has failed.
    pub(super) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Relaxed)
    }

    /// Writes the last entries: what was dropped, then the end. Nothing is taken after this.
    pub(super) fn close(&self, last: Entry) -> Result<(), JournalError> {
        let mut inner = self.lock();
        inner.closed = true;
        if inner.dropped > 0 {
            let dropped = inner.dropped;
            // The disk may still be full; then the end matters more.
            let message = format!("{dropped} reports were dropped: no space left for the journal");
            let _ = inner.writer.append_last_warning("journal-full", message);
        }
        let done = match inner.writer.append(&last) {
            Err(JournalError::Full | JournalError::TooLarge(_)) => inner.writer.append(&without_tail(last)),
            done => done,
        };
        drop(inner);
        self.hushed.store(false, Ordering::Relaxed);
        self.ring();
        done
    }

    /// Seals; syncs before, unless the script was short and a controller was seen to take in what came after the end was written:
    /// within a second its store is synced with all of it, and a sync per short trial would make every other one wait for the file
    /// system's log.
    pub(super) fn seal(&self) -> Result<(), JournalError> {
        let short = self.elapsed_ms() < SHORT_MS;
        let taken = short && self.bell.as_ref().is_some_and(|bell| bell.answered(ANSWER));
        let mut inner = self.lock();
        if taken {
            inner.writer.seal_unsynced()
        } else {
            inner.writer.seal()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The journal is consistent after each append, whatever a thread died of.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        if self.hushed.load(Ordering::Relaxed) {
            return;
        }
        self.unrung.store(false, Ordering::Relaxed);
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

impl Bell {
    fn at(path: &Path) -> Option<Self> {
        let address = SocketAddrUnix::new(path).ok()?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
        Some(Self {
            socket,
            address,
            heard: AtomicBool::new(false),
        })
    }

    fn ring(&self) {
        // Nobody may be there, or too busy to need it.
        let sent = sendto(
            &self.socket,
            &[TOLD],
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            &self.address,
        );
        self.heard.store(sent.is_ok(), Ordering::Relaxed);
    }

    /// Whether the last ring was delivered and taken out of the queue within `patience`, by somebody who still lives: the queue
    /// of a dead reader is empty too, but nobody can be connected to it.
    fn answered(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut pause = Duration::from_millis(1);
        while self.heard.load(Ordering::Relaxed) {
            match sys::unread(&self.socket) {
                Some(0) => return connect(&self.socket, &self.address).is_ok(),
                Some(_) if Instant::now() < until => std::thread::sleep(pause),
                _ => return false,
            }
            pause *= 2;
        }
        false
    }
}

impl Sink for Ledger {
    fn report(&self, report: Report) {
        let mut inner = self.lock();
        if !inner.closed && inner.take(report) {
            drop(inner);
            self.ring();
        }
    }
}

impl Inner {
    fn now(&self) -> u64 {
        self.told_ms.unwrap_or_else(boot_ms)
    }

    /// Takes one report in; `true` if something was written.
    fn take(&mut self, report: Report) -> bool {
        let entry = match report {
            Report::Metric {
                name,
                value,
                step,
                channel,
            } => {
                if name.len() > MAX_NAME || name.is_empty() {
                    return self.warning(
                        "metric-name",
                        "a metric without a name, or with one over 1,000 bytes, was dropped".into(),
                    );
                }
                let now = self.now();
                match self.merge.judge(&name, value, channel, now) {
                    Verdict::Drop => return false,
                    Verdict::DropWith(notice) => return self.warning(notice.code, notice.message),
                    Verdict::Keep => {}
                }
                let at_ms = self.started_ms.map_or(0, |started| now.saturating_sub(started));
                Entry::Metric {
                    name,
                    value,
                    step,
                    channel,
                    at_ms,
                }
            }
            Report::Fact { kind, key, value } => Entry::Fact {
                kind,
                key: cut(key),
                value: cut(value),
            },
            Report::Artifact { kind, name, path } => Entry::Artifact {
                kind,
                name: cut(name),
                path,
            },
            Report::Warning { code, message } => return self.warning(&code, message),
        };
        self.write(&entry)
    }

    fn warning(&mut self, code: &str, message: String) -> bool {
        if self.warned.len() > 1_000 && !self.warned.contains_key(code) {
            return false;
        }
        let count = self.warned.entry(code.to_owned()).or_default();
        *count += 1;
        if *count > WARNINGS_PER_CODE {
            return false;
        }
        self.write(&Entry::Warning {
            code: cut(code.to_owned()),
            message: cut(message),
        })
    }

    fn write(&mut self, entry: &Entry) -> bool {
        let done = self.writer.append(entry).is_ok();
        self.dropped += u64::from(!done);
        done
    }
}

/// At most [`MAX_TEXT`] bytes.
fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let mut end = MAX_TEXT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

/// The same end in fewer bytes.
fn without_tail(entry: Entry) -> Entry {
    match entry {
        Entry::Exited(exit) => Entry::Exited(Exit {
            tail: Vec::new(),
            ..exit
        }),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Channel, read};

    fn ledger(folder: &Path, doorbell: Option<&Path>) -> Ledger {
        Ledger::new(
            Writer::create(&folder.join("journal")).unwrap(),
            Some("acc"),
            doorbell,
        )
    }

    #[test]
    fn reports_are_merged_written_and_rung() {
        let folder = tempfile::tempdir().unwrap();
        let bell = folder.path().join("bell");
        let listener = std::os::unix::net::UnixDatagram::bind(&bell).unwrap();
        let ledger = ledger(folder.path(), Some(&bell));
        let point = |name: &str, channel| Report::Metric {
            name: name.into(),
            value: 0.5,
            step: None,
            channel,
        };
        ledger.report(point("acc", Channel::Mlflow));
        ledger.report(point("acc", Channel::Text));
        ledger.report(point("acc", Channel::Text));
        ledger.report(point("", Channel::Text));
        for _ in 0..9 {
            ledger.warn("x", "y".into());
        }
        ledger
            .close(Entry::NotStarted {
                class: "setup".into(),
                reason: "r".into(),
            })
            .unwrap();
        ledger.report(point("late", Channel::Mlflow));
        ledger.seal().unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.recv(&mut [0; 4]).unwrap(), 1);
        let (entries, damages) = read(&folder.path().join("journal")).unwrap();
        assert!(damages.is_empty());
        let codes: Vec<&str> = entries
            .iter()
            .filter_map(|e| {
                if let Entry::Warning { code, .. } = e {
                    Some(code.as_str())
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(codes, ["shadowed-metric", "metric-name", "x", "x", "x", "x", "x"]);
        assert_eq!(
            entries
                .iter()
                .filter(|e| matches!(e, Entry::Metric { .. }))
                .count(),
            1
        );
        assert_eq!(entries.last(), Some(&Entry::Sealed));
    }
}
