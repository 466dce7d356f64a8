//! The thread that talks to the cluster.

use super::desk::Desk;
use super::entry::{Entry, Stage};
use super::{Cluster, Unsubmitted};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Between two looks at the jobs, unless the target's file says otherwise.
const POLL: Duration = Duration::from_secs(2);

/// Longest time between two looks while nothing changes.
const POLL_LAST: Duration = Duration::from_secs(10);

/// Waits before a submission that was not taken is repeated: the first, doubled up to the last.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_secs(30);

pub(super) struct Clerk<C: Cluster> {
    desk: Arc<Desk<C>>,
    cluster: C,
    woken: Receiver<()>,
    /// Between two looks, and when the next one is due.
    poll: Duration,
    next: Instant,
    /// Not before: the cluster did not take the last submission.
    due: Instant,
    delay: Duration,
}

impl<C: Cluster> Clerk<C> {
    pub(super) fn new(desk: Arc<Desk<C>>, cluster: C, woken: Receiver<()>) -> Self {
        Self {
            desk,
            cluster,
            woken,
            poll: POLL,
            next: Instant::now(),
            due: Instant::now(),
            delay: FIRST_DELAY,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            if self.desk.state().leaving {
                self.cancels();
                self.cluster.leave();
                return;
            }
            let more = self.submissions();
            self.cancels();
            if Instant::now() >= self.next {
                self.look();
            }
            let pause = if more {
                Duration::ZERO
            } else {
                let left = self.next.saturating_duration_since(Instant::now());
                left.min(Duration::from_secs(1))
            };
            match self.woken.recv_timeout(pause) {
                // One look at what is wanted answers all calls.
                Ok(()) => while self.woken.try_recv().is_ok() {},
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Submits what is to be submitted, the oldest first, until a look is due. True if there is more.
    fn submissions(&mut self) -> bool {
        let queued: Vec<Entry<C>> = {
            let state = self.desk.state();
            let mut queued: Vec<&Entry<C>> = state.entries.values().filter(|entry| entry.is_due()).collect();
            queued.sort_by_key(|entry| entry.since);
            queued.into_iter().cloned().collect()
        };
        for (place, job) in queued.iter().enumerate() {
            if Instant::now() < self.due || self.desk.state().leaving {
                return false;
            }
            if place > 0 && Instant::now() >= self.next {
                return true;
            }
            // Cancelled or forgotten while others were submitted.
            if !self
                .desk
                .state()
                .entries
                .get(&job.folder)
                .is_some_and(Entry::is_due)
            {
                continue;
            }
            let submitted = self.cluster.submit(job, &self.desk);
            self.take_in(job, submitted);
        }
        false
    }

    fn take_in(&mut self, job: &Entry<C>, submitted: Result<Option<String>, Unsubmitted>) {
        let stage = match submitted {
            Ok(id) => {
                self.delay = FIRST_DELAY;
                let mut state = self.desk.state();
                state.told = None;
                if let Some(entry) = state.entries.get_mut(&job.folder)
                    && id.is_some()
                {
                    entry.id = id;
                }
                Some(Stage::Submitted)
            }
            Err(Unsubmitted::Refused(why)) => Some(Stage::Refused(why)),
            Err(Unsubmitted::Uncertain(why)) => {
                self.put_off();
                self.desk.hindered(why);
                let since = Instant::now();
                Some(Stage::Uncertain { since })
            }
            Err(Unsubmitted::Later(why)) => {
                self.put_off();
                self.desk.hindered(why);
                None
            }
            Err(Unsubmitted::Unreachable(why)) => {
                self.put_off();
                self.desk.in_trouble(why);
                None
            }
        };
        let mut state = self.desk.state();
        if let (Some(entry), Some(stage)) = (state.entries.get_mut(&job.folder), stage) {
            // A worker may be done with it by now.
            if entry.stage == Stage::Queued {
                entry.stage = stage;
            }
        }
        state.ring();
    }

    fn put_off(&mut self) {
        self.due = Instant::now() + self.delay;
        self.delay = (self.delay * 2).min(LAST_DELAY);
    }

    /// Ends jobs of attempts that were cancelled.
    fn cancels(&mut self) {
        if self.desk.terms.workers {
            // The job is for others, too; the runner ends the trial, and nobody takes what is claimed by nobody.
            return;
        }
        let due: Vec<(PathBuf, String)> = {
            let mut state = self.desk.state();
            let entries = state.entries.iter_mut();
            entries
                .filter_map(|(folder, entry)| Some((folder.clone(), entry.take_cancel()?)))
                .collect()
        };
        for (folder, id) in due {
            if self.cluster.cancel(&id)
                && let Some(entry) = self.desk.state().entries.get_mut(&folder)
            {
                entry.killed = true;
            }
        }
    }

    /// Asks how jobs are whose end would be news.
    fn look(&mut self) {
        let workers = self.desk.terms.workers;
        let asked: Vec<Entry<C>> = {
            let mut state = self.desk.state();
            state
                .entries
                .retain(|_, entry| !(entry.is_done() || (workers && entry.forgotten)));
            let entries = state.entries.values();
            entries.filter(|entry| entry.is_asked()).cloned().collect()
        };
        let mut changed = false;
        if !asked.is_empty() {
            match self.cluster.look(&asked, &self.desk) {
                Ok(()) => self.desk.out_of_trouble(),
                Err(why) => {
                    self.desk.in_trouble(why);
                    changed = true;
                }
            }
            let state = self.desk.state();
            changed |= asked.iter().any(|before| {
                let now = state.entries.get(&before.folder);
                now.is_none_or(|now| now.stage != before.stage)
            });
        }
        let given = self.desk.terms.poll_seconds.map(Duration::from_secs);
        let first = given.unwrap_or(POLL).max(Duration::from_millis(200));
        self.poll = if changed {
            first
        } else {
            (self.poll * 5 / 4).clamp(first, POLL_LAST.max(first))
        };
        self.next = Instant::now() + self.poll;
    }
}
