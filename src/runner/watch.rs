//! Notices new lines of the report file and the cancel request, without asking all the time where the system can tell.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the folder is looked at anyway: another machine's writes are not told.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// How often it is looked at where the system has no watches left.
const SHORT: Duration = Duration::from_millis(4);

/// A watch on an attempt's folder.
#[derive(Debug)]
pub(super) struct Watch {
    queue: Option<OwnedFd>,
    report: PathBuf,
    report_watched: bool,
}

impl Watch {
    /// Watches `folder` for new files and `report` for appended lines.
    pub(super) fn new(folder: &Path, report: &Path) -> Self {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .ok()
            .filter(|queue| {
                inotify::add_watch(queue, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO).is_ok()
            });
        Self {
            queue,
            report: report.to_owned(),
            report_watched: false,
        }
    }

    /// What to poll for reading.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.queue.as_ref().map(AsFd::as_fd)
    }

    /// Longest time to sleep.
    pub(super) fn patience(&self) -> Duration {
        if self.queue.is_some() { TICK } else { SHORT }
    }

    /// Takes what the system told. Afterwards the report file is watched if it exists; read it after this.
    pub(super) fn acknowledge(&mut self) {
        let Some(queue) = &self.queue else { return };
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
