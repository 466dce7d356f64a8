//! Notices new lines of the report file and the cancel request, without asking all the time where the system can tell.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the folder is looked at anyway: another machine's writes are not told.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// How often it is looked at while there is no watch: at first, or because the system has none left.
const SHORT: Duration = Duration::from_millis(4);
/// Age of the script from which a watch is worth it. Giving a watch back takes the kernel some 25 ms (a grace period of its
/// readers), which would be most of the life of a short trial.
const WORTH_IT: Duration = Duration::from_millis(100);

/// New files, and those that go: a freeze is taken back by removing its file.
const FOLDER: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE);

/// A watch on an attempt's folder.
#[derive(Debug)]
pub(super) struct Watch {
    state: State,
    folder: PathBuf,
    report: PathBuf,
    report_watched: bool,
}

#[derive(Debug)]
enum State {
    /// No watch until then.
    Later(Instant),
    /// The system tells.
    Told(OwnedFd),
    /// The system has no watch left.
    Never,
}

impl Watch {
    /// Watches `folder` for new files and `report` for appended lines.
    pub(super) fn new(folder: &Path, report: &Path) -> Self {
        Self {
            state: State::Later(Instant::now() + WORTH_IT),
            folder: folder.to_owned(),
            report: report.to_owned(),
            report_watched: false,
        }
    }

    /// What to poll for reading.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Told(queue) => Some(queue.as_fd()),
            _ => None,
        }
    }

    /// Longest time to sleep.
    pub(super) fn patience(&self) -> Duration {
        match self.state {
            State::Told(_) => TICK,
            _ => SHORT,
        }
    }

    /// Takes what the system told. Afterwards the report file is watched if it exists; read it after this.
    pub(super) fn acknowledge(&mut self) {
        if matches!(self.state, State::Later(when) if Instant::now() >= when) {
            self.state = begin(&self.folder).map_or(State::Never, State::Told);
        }
        let State::Told(queue) = &self.state else { return };
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut reader = inotify::Reader::new(queue, &mut buffer);
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::IGNORED) {
                self.report_watched = false;
            }
        }
        if !self.report_watched {
            self.report_watched =
                inotify::add_watch(queue, &self.report, WatchFlags::MODIFY | WatchFlags::DONT_FOLLOW).is_ok();
        }
    }
}

fn begin(folder: &Path) -> Option<OwnedFd> {
    let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    inotify::add_watch(&queue, folder, FOLDER).ok()?;
    Some(queue)
}
