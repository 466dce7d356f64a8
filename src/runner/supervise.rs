//! Watches a running script: captures output, follows the report file, enforces limits, ends the tree. One thread, one `poll`.

use super::boxed::{Boxed, Word};
use super::channels::Channels;
use super::command::NotStarted;
use super::freeze::{Freezer, Wish};
use super::group::Group;
use super::ledger::Ledger;
use super::log::Log;
use super::oom::Counters;
use super::output::Output;
use super::report::ReportFile;
use super::signals::Signals;
use super::sys::{self, Ended, Whom};
use super::watch::{TICK, Watch};
use super::{KILL_PATIENCE, tree};
use crate::journal::Exit;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::Pid;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for output that somebody who survived still holds.
const DRAIN: Duration = Duration::from_secs(2);
/// Reads of the pipe before the rest gets its turn.
const READS: usize = 16;
/// How often the tree is looked at while it is asked to end.
const LOOK: Duration = Duration::from_millis(10);
/// How long after a script that died of a signal this process may get one itself.
const WORD: Duration = Duration::from_millis(100);
/// Signal that nobody survives.
const SIGKILL: i32 = 9;
/// What Ctrl-C sends.
const SIGINT: i32 = 2;
/// What asks to end.
const SIGTERM: i32 = 15;

/// What a supervisor works with.
pub(super) struct Supervision {
    pub(super) main: Pid,
    pub(super) nonce: String,
    pub(super) folder: PathBuf,
    pub(super) pipe: OwnedFd,
    pub(super) log: Log,
    pub(super) output: Output,
    pub(super) report: ReportFile,
    pub(super) signals: Signals,
    pub(super) boxed: Option<Boxed>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) grace_ms: u64,
    pub(super) freezer: Freezer,
    pub(super) ledger: Arc<Ledger>,
}

/// The end of a script.
pub(super) struct End {
    pub(super) exit: Exit,
    /// The script never began, though what was to start it did.
    pub(super) never: Option<NotStarted>,
}

/// A request to end that was passed on with TERM.
#[derive(Clone, Copy, Debug)]
struct Ending {
    by: &'static str,
    kill_at: Instant,
    killed: bool,
}

/// Watches one script.
pub(super) struct Supervisor {
    it: Supervision,
    watch: Watch,
    cancel: PathBuf,
    buffer: Vec<u8>,
    open: bool,
    began: Instant,
    tick: Instant,
    ending: Option<Ending>,
    ended: Option<Ended>,
    survivors: Vec<i32>,
    memory: Option<Counters>,
    /// Tried once, at the first tick.
    group: Option<Option<Group>>,
}

impl Supervisor {
    pub(super) fn new(it: Supervision) -> Self {
        let watch = Watch::new(&it.folder, it.report.path());
        let nonblocking =
            fcntl_getfl(&it.pipe).and_then(|flags| fcntl_setfl(&it.pipe, flags | OFlags::NONBLOCK));
        Self {
            cancel: it.folder.join("cancel"),
            watch,
            buffer: vec![0; 64 << 10],
            // A pipe that would block is not read: the limits matter more.
            open: nonblocking.is_ok(),
            began: Instant::now(),
            tick: Instant::now() + TICK,
            ending: None,
            ended: None,
            survivors: Vec::new(),
            // A short life is told from the counters of the first tick as a rule; in a pod, whose memory is bounded, many end before it.
            memory: std::env::var_os("KUBERNETES_SERVICE_HOST").map(|_| Counters::read()),
            group: None,
            it,
        }
    }

    /// Names on the output that look like the primary metric.
    pub(super) fn near_misses(&self) -> &[String] {
        self.it.output.near_misses()
    }

    /// Names of numbers on the output that nobody looks for.
    pub(super) fn others(&self) -> &[String] {
        self.it.output.others()
    }

    /// Returns when the script has ended: by itself, or on request together with its tree.
    pub(super) fn watch(&mut self, channels: &mut Channels) {
        self.look_around();
        loop {
            if !self.sleep(channels) {
                self.it.ledger.catch_up();
            }
            if self.it.signals.asked_to_end() {
                self.ask_to_end(by_signal());
            }
            let now = Instant::now();
            if self
                .it
                .timeout_ms
                .is_some_and(|limit| self.ran(now) >= Duration::from_millis(limit))
            {
                self.ask_to_end("timeout");
            }
            if self.watch.patience() < TICK || now >= self.tick {
                self.look_around();
            }
            if now >= self.tick {
                self.tick = now + TICK;
                channels.look(&self.it.ledger);
                self.it.ledger.sync_soon();
                self.memory.get_or_insert_with(Counters::read);
                self.group
                    .get_or_insert_with(|| Group::around_children(&self.it.nonce));
            }
            if self.is_over(now) {
                return;
            }
        }
    }

    /// Whether there is nothing left to wait for; sends KILL when the grace is over.
    fn is_over(&mut self, now: Instant) -> bool {
        if self.ended.is_none() {
            self.ended = sys::ended(Whom::One(self.it.main), false).ok().flatten();
        }
        let Some(ending) = &mut self.ending else {
            return self.ended.is_some();
        };
        if ending.killed {
            return true;
        }
        if now >= ending.kill_at
            && ending.by == "cancel"
            && self.ended.is_none()
            && !self.it.signals.asked_to_end()
            && !self.cancel.exists()
        {
            // The request was taken back, and the script took no notice of it.
            self.ending = None;
            return false;
        }
        if now >= ending.kill_at {
            ending.killed = true;
            if let Some(boxed) = &self.it.boxed {
                boxed.kill();
            }
            if let Some(Some(group)) = &self.group {
                group.kill();
            }
            self.survivors = tree::kill_all(self.it.main, KILL_PATIENCE);
            self.ended = self
                .ended
                .or_else(|| sys::ended(Whom::One(self.it.main), false).ok().flatten());
            return true;
        }
        // Those that got TERM beside the script have the same grace.
        self.ended.is_some() && tree::is_empty(self.it.main)
    }

    /// Sleeps until something happens, and takes it; true if it was a signal, mostly of the script's end.
    fn sleep(&mut self, channels: &mut Channels) -> bool {
        let mut fds = vec![PollFd::from_borrowed_fd(self.it.signals.fd(), PollFlags::IN)];
        if self.open {
            fds.push(PollFd::from_borrowed_fd(self.it.pipe.as_fd(), PollFlags::IN));
        }
        let watched = self.watch.fd();
        if let Some(fd) = watched {
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        let waiting = channels.waiting();
        if let Some(fd) = waiting {
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        let timeout = timespec(self.patience());
        // Interrupted or out of memory: the next look at everything comes in any case.
        let _ = poll(&mut fds, Some(&timeout));
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let signalled = ready.next().unwrap_or(false);
        let readable = self.open && ready.next().unwrap_or(false);
        let noticed = watched.is_some() && ready.next().unwrap_or(false);
        let called = waiting.is_some() && ready.next().unwrap_or(false);
        if signalled {
            self.it.signals.acknowledge();
            self.reap_orphans();
        }
        if readable {
            self.capture();
        }
        if noticed {
            self.look_around();
        }
        if called {
            channels.answer(&self.it.ledger);
        }
        signalled
    }

    fn patience(&self) -> Duration {
        let now = Instant::now();
        let mut patience = self
            .tick
            .saturating_duration_since(now)
            .min(self.watch.patience());
        if let Some(ending) = &self.ending {
            patience = patience.min(ending.kill_at.saturating_duration_since(now));
            if self.ended.is_some() {
                patience = patience.min(LOOK);
            }
        } else if let Some(limit) = self.it.timeout_ms.filter(|_| !self.it.freezer.is_frozen()) {
            let left = Duration::from_millis(limit).saturating_sub(self.ran(now));
            patience = patience.min(left + Duration::from_millis(1));
        }
        patience
    }

    /// Looks at what lies in the folder: new report lines, a cancel request.
    fn look_around(&mut self) {
        self.watch.acknowledge();
        self.it.report.drain(&self.it.ledger);
        if self.ending.is_none() && self.cancel.exists() {
            self.ask_to_end("cancel");
        }
        if self.ending.is_none() && self.ended.is_none() {
            match self.it.freezer.look(self.it.main, &self.it.ledger) {
                Wish::None => {}
                // What it told before it stopped is known by the time that its slot is given away.
                Wish::Told => self.capture(),
                Wish::Abandoned => self.ask_to_end("abandoned"),
            }
        }
    }

    /// How long the script has run, without the time that it was frozen.
    fn ran(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
            .saturating_sub(self.it.freezer.frozen_for(now))
    }

    fn ask_to_end(&mut self, by: &'static str) {
        if self.ending.is_none() && self.ended.is_none() {
            // Those that got it while stopped see it as soon as they go on.
            tree::terminate(self.it.main);
            self.it.freezer.thaw(self.it.main, &self.it.ledger);
            let kill_at = Instant::now() + Duration::from_millis(self.it.grace_ms);
            self.ending = Some(Ending {
                by,
                kill_at,
                killed: false,
            });
        }
    }

    /// Takes what is in the pipe, up to a few reads, so that a flood does not keep the rest waiting.
    fn capture(&mut self) {
        for _ in 0..READS {
            match rustix::io::read(&self.it.pipe, self.buffer.as_mut_slice()) {
                Ok(0) => {
                    self.open = false;
                    return;
                }
                Ok(length) => {
                    let bytes = self.buffer.get(..length).unwrap_or_default();
                    self.it.log.write(bytes);
                    self.it.output.push(bytes, &self.it.ledger);
                    if length < self.buffer.len() {
                        return;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.open = false;
                    return;
                }
            }
        }
    }

    /// Reaps adopted children; the script itself stays a zombie until the end is told.
    fn reap_orphans(&self) {
        while let Ok(Some(child)) = sys::ended(Whom::Any, false) {
            let Some(pid) = Pid::from_raw(child.pid).filter(|pid| *pid != self.it.main) else {
                return;
            };
            if sys::ended(Whom::One(pid), true).is_err() {
                return;
            }
        }
    }

    /// A cluster that takes a node back signals all processes of a job, and the script may be gone before this one was told: whether
    /// the script died by itself or was preempted is known a moment later.
    fn wait_for_word(&mut self) {
        let signalled = self.ended.is_some_and(|ended| {
            let signal = ended.signal.or(ended.code.map(|code| code - 128));
            signal.is_some_and(|signal| [SIGINT, SIGTERM, SIGKILL].contains(&signal))
        });
        if self.ending.is_some() || !signalled {
            return;
        }
        let until = Instant::now() + WORD;
        while !self.it.signals.asked_to_end() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let mut fds = [PollFd::from_borrowed_fd(self.it.signals.fd(), PollFlags::IN)];
            // Interrupted by the very signal: the next look at the flag tells.
            let _ = poll(&mut fds, Some(&timespec(left)));
            self.it.signals.acknowledge();
        }
        self.ending = Some(Ending {
            by: by_signal(),
            kill_at: Instant::now(),
            killed: false,
        });
    }

    /// The script has ended (or cannot be ended): ends the rest of its tree, takes the last output and reports.
    pub(super) fn end(&mut self) -> End {
        let duration_ms = self.it.ledger.elapsed_ms();
        let word = self.unbox();
        if !word.out_of_memory {
            self.wait_for_word();
        }
        if self.survivors.is_empty() {
            // The script itself has ended.
            if let Some(Some(group)) = &self.group {
                group.kill();
            }
            self.survivors = tree::kill_all(self.it.main, KILL_PATIENCE);
        }
        let until = Instant::now() + DRAIN;
        while self.open {
            let left = until.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::from_borrowed_fd(self.it.pipe.as_fd(), PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) if left.is_zero() => break,
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) if left.is_zero() => break,
                Ok(_) => self.capture(),
                Err(_) => break,
            }
        }
        self.it.output.finish(&self.it.ledger);
        self.it.report.finish(&self.it.ledger);
        self.tell_log();
        let ended = self.ended;
        let exit = Exit {
            code: ended.and_then(|ended| ended.code),
            signal: ended.and_then(|ended| ended.signal),
            ended_by: match (self.ending, &word) {
                (
                    None,
                    Word {
                        out_of_memory: true, ..
                    },
                ) => Some("oom".to_owned()),
                // Whoever took the engine away took the trial's place.
                (None, Word { lost: true, .. }) => Some("terminated".to_owned()),
                _ => self.ended_by().map(str::to_owned),
            },
            duration_ms,
            max_rss: ended.map(|ended| ended.max_rss),
            cpu_s: ended.map(|ended| ended.cpu_s),
            tail: self.it.log.tail(),
            survivors: std::mem::take(&mut self.survivors),
        };
        End {
            exit,
            never: word.never,
        }
    }

    /// What the engine says of the container whose client has ended; it is gone after this.
    fn unbox(&mut self) -> Word {
        let asked = self.ending.is_some();
        let code = self.ended.and_then(|ended| ended.code);
        if self.it.boxed.is_some() {
            // The engine's last words are the reason, if it has one.
            self.capture();
        }
        let tail = self.it.log.tail();
        match &mut self.it.boxed {
            Some(boxed) => boxed.end(code, asked, &tail),
            None => Word::default(),
        }
    }

    fn ended_by(&self) -> Option<&'static str> {
        if let Some(ending) = self.ending {
            return Some(ending.by);
        }
        let ended = self.ended?;
        let killed = ended.signal == Some(SIGKILL) || ended.code == Some(128 + SIGKILL);
        let before = self.memory.as_ref()?;
        (killed && Counters::read().grew_since(before)).then_some("oom")
    }

    fn tell_log(&mut self) {
        let outcome = self.it.log.finish();
        if outcome.cut > 0 {
            self.it.ledger.warn(
                "log-capped",
                format!("{} bytes in the middle of the log were left out", outcome.cut),
            );
        }
        if outcome.unwritten > 0 {
            self.it.ledger.warn(
                "log-disk-full",
                format!("{} bytes of the log could not be written", outcome.unwritten),
            );
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// What a signal to this process means.
fn by_signal() -> &'static str {
    if std::env::var_os(super::TERM_CANCELS).is_some() {
        "cancel"
    } else {
        "terminated"
    }
}
