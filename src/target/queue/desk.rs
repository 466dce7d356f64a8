//! What the engine's calls and the thread that talks to the cluster share.

use super::entry::{Entry, Stage};
use super::program::Program;
use super::tray::Tray;
use super::{Cluster, Terms};
use crate::runner::Group;
use crate::target::errand::Errand;
use crate::target::local::reader::Readers;
use crate::target::{Bell, Notice};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(super) struct State<C: Cluster> {
    pub(super) entries: HashMap<PathBuf, Entry<C>>,
    pub(super) readers: Readers,
    pub(super) notices: Vec<Notice>,
    pub(super) bell: Option<Arc<Bell>>,
    pub(super) sweep: String,
    /// The processes of the sweep's trials.
    pub(super) group: Option<Group>,
    /// What stands in the way of asking the cluster.
    pub(super) trouble: Option<String>,
    /// What was last told of submissions that wait.
    pub(super) told: Option<String>,
    pub(super) errand: Option<Errand<()>>,
    pub(super) leaving: bool,
}

impl<C: Cluster> State<C> {
    pub(super) fn wake(&self) {
        if let Some(errand) = &self.errand {
            errand.tell(());
        }
    }

    pub(super) fn entry(&mut self, folder: &Path) -> &mut Entry<C> {
        self.entries
            .entry(folder.to_owned())
            .or_insert_with(|| Entry::new(folder))
    }

    pub(super) fn ring(&self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }

    fn tell(&mut self, code: &'static str, message: String) {
        if !self.notices.iter().any(|notice| notice.message == message) {
            self.notices.push(Notice { code, message });
        }
    }
}

/// What a look at the cluster says of one attempt.
pub(in crate::target) enum News<E> {
    /// Its job waits or runs, or a worker has it or will take it; the job's number.
    There(Option<String>),
    /// Its job is over.
    Over(E),
    /// It was not taken after all.
    Again,
    /// There is no job, as far as the cluster knows.
    Unheard,
}

/// See the module documentation.
pub(in crate::target) struct Desk<C: Cluster> {
    pub(in crate::target) terms: Terms,
    program: Program,
    state: Mutex<State<C>>,
}

impl<C: Cluster> Desk<C> {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            program: Program::default(),
            terms,
            state: Mutex::new(State {
                entries: HashMap::new(),
                readers: Readers::default(),
                notices: Vec::new(),
                bell: None,
                sweep: String::new(),
                group: None,
                trouble: None,
                told: None,
                errand: None,
                leaving: false,
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The processes of the sweep's trials.
    pub(in crate::target) fn group(&self) -> Option<Group> {
        self.state().group.clone()
    }

    /// How many attempts need a job or a worker.
    pub(in crate::target) fn open(&self) -> u64 {
        let state = self.state();
        state.entries.values().filter(|entry| entry.is_open()).count() as u64
    }

    /// The attempts that the cluster is believed to have.
    pub(in crate::target) fn submitted(&self) -> Vec<Entry<C>> {
        let state = self.state();
        let entries = state.entries.values();
        entries
            .filter(|entry| entry.stage == Stage::Submitted)
            .cloned()
            .collect()
    }

    /// Where workers of the sweep find attempts: a folder of the target's own called `below`.
    pub(in crate::target) fn tray(&self, below: &str) -> Tray {
        let sweep = crate::target::agent::escaped(self.state().sweep.as_bytes());
        Tray::new(self.terms.scratch.join(below).join(sweep))
    }

    /// This program where every node sees it.
    ///
    /// # Errors
    /// What went wrong with a file, in words.
    pub(in crate::target) fn program(&self) -> Result<PathBuf, String> {
        self.program.installed(&self.terms.program, &self.terms.scratch)
    }

    /// Something that people should know; a sentence is told once at a time.
    pub(in crate::target) fn tell(&self, message: String) {
        self.state().tell(C::KIND, message);
    }

    /// Takes in what a look says of the attempt in `folder`.
    pub(in crate::target) fn news(&self, folder: &Path, news: News<C::End>) {
        let mut state = self.state();
        let Some(entry) = state.entries.get_mut(folder) else {
            return;
        };
        entry.looked = Some(Instant::now());
        if matches!(entry.stage, Stage::Over { .. } | Stage::Refused(_)) {
            return;
        }
        let next = match news {
            News::There(id) => {
                entry.seen = true;
                if id.is_some() {
                    entry.id = id;
                }
                Stage::Submitted
            }
            News::Over(end) => {
                let at = Instant::now();
                Stage::Over { end, at }
            }
            News::Again => Stage::Queued,
            News::Unheard => return,
        };
        if entry.stage != next {
            entry.stage = next;
            state.ring();
        }
    }

    /// A submission did not get through; told when the words are new.
    pub(super) fn hindered(&self, why: String) {
        let mut state = self.state();
        if state.told.as_ref() != Some(&why) {
            state.told = Some(why.clone());
            state.tell(C::KIND, format!("target `{}`: {why}", self.terms.name));
        }
    }

    /// Something stands in the way of the cluster; told once.
    pub(super) fn in_trouble(&self, why: String) {
        let mut state = self.state();
        if state.trouble.is_none() {
            let name = &self.terms.name;
            let message = format!("target `{name}`: {why}; its trials run on, it is tried again");
            state.tell("target-lost", message);
        }
        state.trouble = Some(why);
        state.ring();
    }

    pub(super) fn out_of_trouble(&self) {
        let mut state = self.state();
        if state.trouble.take().is_some() {
            let message = format!("target `{}` answers again", self.terms.name);
            state.tell("target-found", message);
        }
    }
}
