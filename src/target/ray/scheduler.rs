//! The thread that talks to the cluster.

use super::api::{Client, Ending, JobState, Undone};
use super::driver::Drivers;
use super::{Shared, State, quoted};
use crate::runner::Claim;
use crate::target::{Fate, Notice};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Between two looks at the jobs, unless the target's file says otherwise.
const POLL: Duration = Duration::from_secs(2);

/// Longest time between two looks while nothing changes.
const POLL_LAST: Duration = Duration::from_secs(10);

/// Waits before a submission that went wrong is repeated: the first, doubled up to the last.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_secs(60);

/// What a runner may need beyond its grace before Ray is asked to end its job.
const BEYOND_GRACE: Duration = Duration::from_secs(10);

/// How far an attempt is on its way through the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Taken up by this process, which has not submitted it.
    Found,
    /// To be submitted.
    Queued,
    /// The cluster has it, or a driver will take it.
    Submitted,
    /// Its job is over.
    Over { ending: Ending, at: Instant },
    /// It cannot be submitted.
    Refused(String),
}

/// One attempt.
pub(super) struct Entry {
    /// Submission id of its job.
    pub(super) name: String,
    pub(super) stage: Stage,
    /// Since when this process knows of it.
    pub(super) since: Instant,
    pub(super) claim: Option<Claim>,
    /// Since when its runner is seen to be gone.
    pub(super) gone: Option<Instant>,
    pub(super) canceled: Option<Instant>,
    pub(super) grace: Duration,
    /// Ray was asked to end its job.
    stopped: bool,
    pub(super) forgotten: bool,
    /// When the cluster last said something about it.
    pub(super) looked: Option<Instant>,
}

impl Entry {
    pub(super) fn new(folder: &Path) -> Self {
        let attempt = folder.file_name().unwrap_or_default().to_string_lossy();
        let trial = folder
            .parent()
            .and_then(Path::file_name)
            .unwrap_or_default()
            .to_string_lossy();
        Self {
            // The random text of the folder's name makes it the only one.
            name: format!("od-{trial}-{attempt}"),
            stage: Stage::Found,
            since: Instant::now(),
            claim: None,
            gone: None,
            canceled: None,
            grace: Duration::from_secs(30),
            stopped: false,
            forgotten: false,
            looked: None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over { .. } | Stage::Refused(_))
    }

    /// Whether there is a job of its own that still has to be ended.
    fn must_be_stopped(&self) -> bool {
        self.canceled.is_some() && !self.stopped && !self.is_over()
    }
}

pub(super) struct Scheduler {
    shared: Arc<Shared>,
    woken: Receiver<()>,
    client: Client,
    poll: Duration,
    program: Option<PathBuf>,
    drivers: Option<Drivers>,
    /// Not before: the cluster did not take the last submission.
    due: Instant,
    delay: Duration,
}

impl Scheduler {
    pub(super) fn new(shared: Arc<Shared>, woken: Receiver<()>) -> Self {
        Self {
            client: Client::new(shared.options.clone()),
            poll: POLL,
            program: None,
            drivers: None,
            due: Instant::now(),
            delay: FIRST_DELAY,
            shared,
            woken,
        }
    }

    pub(super) fn run(mut self) {
        let mut next = Instant::now();
        loop {
            if self.shared.state().leaving {
                self.stops();
                if let Some(drivers) = &self.drivers {
                    drivers.stop();
                }
                return;
            }
            self.submissions();
            self.stops();
            if Instant::now() >= next {
                let changed = self.look();
                let first = self
                    .shared
                    .options
                    .poll_seconds
                    .map_or(POLL, Duration::from_secs)
                    .max(Duration::from_millis(200));
                self.poll = if changed {
                    first
                } else {
                    (self.poll * 5 / 4).clamp(first, POLL_LAST.max(first))
                };
                next = Instant::now() + self.poll;
            }
            let sleep = next
                .saturating_duration_since(Instant::now())
                .min(Duration::from_secs(1));
            match self.woken.recv_timeout(sleep) {
                Ok(()) => {
                    // One look at what is wanted answers all calls.
                    while self.woken.try_recv().is_ok() {}
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// This program where every node sees it, under the hash of its content.
    fn program(&mut self) -> Result<PathBuf, String> {
        if let Some(program) = &self.program {
            return Ok(program.clone());
        }
        let from = &self.shared.program;
        let text = |error: std::io::Error| format!("{}: {error}", from.display());
        let mut file = fs::File::open(from).map_err(text)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file).map_err(text)?;
        let hash: String = hasher.finalize().to_hex().chars().take(32).collect();
        let folder = self.shared.scratch.join("bin");
        let place = folder.join(hash);
        if !place.exists() {
            fs::create_dir_all(&folder).map_err(text)?;
            let draft = tempfile::NamedTempFile::new_in(&folder).map_err(text)?;
            fs::copy(from, draft.path()).map_err(text)?;
            draft.persist(&place).map_err(|error| text(error.error))?;
        }
        self.program = Some(place.clone());
        Ok(place)
    }

    fn drivers(&mut self) -> &mut Drivers {
        let shared = &self.shared;
        self.drivers.get_or_insert_with(|| {
            let sweep = shared.state().sweep.clone();
            Drivers::new(shared.queue(&sweep))
        })
    }

    /// Submits what is to be submitted, the oldest first.
    fn submissions(&mut self) {
        while self.due <= Instant::now() {
            let next = {
                let state = self.shared.state();
                let mut queued: Vec<(&PathBuf, &Entry)> = state
                    .entries
                    .iter()
                    .filter(|(_, entry)| {
                        entry.stage == Stage::Queued && !entry.forgotten && entry.canceled.is_none()
                    })
                    .collect();
                queued.sort_by_key(|(_, entry)| entry.since);
                queued
                    .first()
                    .map(|(folder, entry)| ((*folder).clone(), entry.name.clone()))
            };
            let Some((folder, name)) = next else { return };
            let submitted = self.submit(&folder, &name);
            let mut state = self.shared.state();
            match submitted {
                Ok(()) => {
                    self.delay = FIRST_DELAY;
                    if let Some(entry) = state.entries.get_mut(&folder) {
                        entry.stage = Stage::Submitted;
                    }
                }
                Err(Undone::Refused(why)) => {
                    if let Some(entry) = state.entries.get_mut(&folder) {
                        entry.stage = Stage::Refused(why);
                    }
                }
                // The submission id makes a second try harmless.
                Err(Undone::Denied(why) | Undone::Later(why)) => {
                    self.due = Instant::now() + self.delay;
                    self.delay = (self.delay * 2).min(LAST_DELAY);
                    state.in_trouble(&self.shared.name, why);
                }
            }
            if let Some(bell) = &state.bell {
                bell.ring();
            }
        }
    }

    fn submit(&mut self, folder: &Path, name: &str) -> Result<(), Undone> {
        let program = self.program().map_err(Undone::Later)?;
        if self.shared.options.workers {
            self.drivers()
                .put(folder, name)
                .map_err(|error| Undone::Later(format!("{}: {error}", folder.display())))?;
            let there = self.drivers().is_there();
            return if there { Ok(()) } else { self.staff(&program) };
        }
        // A runner that is told to end is told so by somebody who stopped the job.
        let line = format!(
            "export {}=1; exec {} runner {}",
            crate::runner::TERM_CANCELS,
            quoted(&program.to_string_lossy()),
            quoted(&folder.to_string_lossy())
        );
        self.client.submit(name, &line, self.needs())
    }

    /// What a job asks for, in the words of the API.
    fn needs(&self) -> Map<String, Value> {
        let options = &self.shared.options;
        let mut needs = Map::new();
        // Without it jobs are not held to the size of the cluster.
        needs.insert("entrypoint_num_cpus".into(), json!(options.cores()));
        if let Some(gpus) = options.gpus {
            needs.insert("entrypoint_num_gpus".into(), json!(gpus));
        }
        if let Some(memory) = options.memory() {
            needs.insert("entrypoint_memory".into(), json!(memory));
        }
        if !options.resources.is_empty() {
            needs.insert("entrypoint_resources".into(), json!(options.resources));
        }
        needs
    }

    /// Sees to it that there is a driver, and takes in how the last one ended.
    fn staff(&mut self, program: &Path) -> Result<(), Undone> {
        let wanted = self
            .shared
            .state()
            .entries
            .values()
            .any(|entry| !entry.forgotten && matches!(entry.stage, Stage::Queued | Stage::Submitted));
        self.drivers();
        let Some(drivers) = &mut self.drivers else {
            return Ok(());
        };
        let ended = drivers.look(&self.client, &self.shared.options, program, wanted)?;
        let Some(ending) = ended else { return Ok(()) };
        // Its tasks ended with it; what nobody claimed is for the next one.
        let mut state = self.shared.state();
        if ending.word != "SUCCEEDED" {
            let message = format!(
                "target `{}`: its driver is {}: {}",
                self.shared.name, ending.word, ending.why
            );
            state.tell(message);
        }
        for (folder, entry) in &mut state.entries {
            if entry.claim.is_none() {
                entry.claim = Claim::read(&folder.join("claim"));
            }
            if entry.stage == Stage::Submitted && entry.claim.is_some() {
                let (ending, at) = (ending.clone(), Instant::now());
                entry.stage = Stage::Over { ending, at };
            }
        }
        Ok(())
    }

    /// Ends jobs of attempts that were cancelled: those that nobody claimed at once, others when their runner had its time.
    fn stops(&mut self) {
        if self.shared.options.workers {
            // The job is for others, too; the runner ends the trial, and nobody takes what is claimed by nobody.
            return;
        }
        let due: Vec<(PathBuf, String)> = {
            let mut state = self.shared.state();
            let mut due = Vec::new();
            for (folder, entry) in &mut state.entries {
                let Some(at) = entry.canceled else { continue };
                if entry.claim.is_none() {
                    entry.claim = Claim::read(&folder.join("claim"));
                }
                let nobody = entry.claim.as_ref().is_none_or(|claim| claim.pid == 0);
                let late = at.elapsed() > entry.grace + BEYOND_GRACE && !entry.forgotten;
                if entry.must_be_stopped() && (nobody || late) {
                    due.push((folder.clone(), entry.name.clone()));
                }
            }
            due
        };
        for (folder, name) in due {
            let stopped = self.client.stop(&name);
            if stopped.is_ok()
                && let Some(entry) = self.shared.state().entries.get_mut(&folder)
            {
                entry.stopped = true;
            }
        }
    }

    /// Asks for the jobs whose end would be news; true if something changed.
    fn look(&mut self) -> bool {
        let asked: Vec<(PathBuf, String, bool)> = {
            let mut state = self.shared.state();
            // What is over for the engine is of no interest, unless its job must still be ended.
            state
                .entries
                .retain(|_, entry| !entry.forgotten || (entry.must_be_stopped() && entry.claim.is_none()));
            let open = |entry: &Entry| matches!(entry.stage, Stage::Found | Stage::Submitted);
            let entries = state.entries.iter().filter(|(_, entry)| open(entry));
            entries
                .map(|(folder, entry)| (folder.clone(), entry.name.clone(), entry.stage == Stage::Found))
                .collect()
        };
        if self.shared.options.workers {
            return self.look_at_drivers(&asked);
        }
        let mut changed = false;
        for (folder, name, found) in asked {
            let job = match self.client.job(&name) {
                Ok(job) => job,
                Err(error) => {
                    self.shared
                        .state()
                        .in_trouble(&self.shared.name, error.into_words());
                    return true;
                }
            };
            let mut state = self.shared.state();
            state.out_of_trouble(&self.shared.name);
            let Some(entry) = state.entries.get_mut(&folder) else {
                continue;
            };
            entry.looked = Some(Instant::now());
            let before = entry.stage.clone();
            match job {
                Some(JobState::Active) => entry.stage = Stage::Submitted,
                Some(JobState::Over(ending)) => {
                    let at = Instant::now();
                    entry.stage = Stage::Over { ending, at };
                }
                // Found without a job: the engine may submit it.
                None if found => {}
                None => {
                    let ending = Ending {
                        word: "gone".into(),
                        why: "the cluster does not know its job any more".into(),
                        ..Ending::default()
                    };
                    let at = Instant::now();
                    entry.stage = Stage::Over { ending, at };
                }
            }
            if entry.stage != before {
                changed = true;
                if let Some(bell) = &state.bell {
                    bell.ring();
                }
            }
        }
        changed
    }

    fn look_at_drivers(&mut self, asked: &[(PathBuf, String, bool)]) -> bool {
        if asked.is_empty() {
            return false;
        }
        let staffed = match self.program() {
            Ok(program) => self.staff(&program),
            Err(why) => Err(Undone::Later(why)),
        };
        if let Err(error) = staffed {
            self.shared
                .state()
                .in_trouble(&self.shared.name, error.into_words());
            return true;
        }
        let mut guard = self.shared.state();
        let state = &mut *guard;
        state.out_of_trouble(&self.shared.name);
        let mut changed = false;
        for (folder, name, _) in asked {
            let Some(entry) = state.entries.get_mut(folder) else {
                continue;
            };
            entry.looked = Some(Instant::now());
            if entry.stage == Stage::Found && self.drivers.as_ref().is_some_and(|drivers| drivers.has(name)) {
                entry.stage = Stage::Submitted;
                changed = true;
            }
        }
        if changed && let Some(bell) = &state.bell {
            bell.ring();
        }
        changed
    }
}

impl State {
    /// Something stands in the way; told once.
    fn in_trouble(&mut self, name: &str, why: String) {
        if self.trouble.is_none() {
            self.tell(format!(
                "target `{name}`: {why}; its trials run on, it is tried again"
            ));
        }
        self.trouble = Some(why);
    }

    fn out_of_trouble(&mut self, name: &str) {
        if self.trouble.take().is_some() {
            self.notices.push(Notice {
                code: "target-found",
                message: format!("target `{name}` answers again"),
            });
        }
    }

    fn tell(&mut self, message: String) {
        self.notices.push(Notice {
            code: "target-lost",
            message,
        });
    }
}

/// What the stage of an attempt says about its end; `None` = nothing yet.
pub(super) fn refused(stage: &Stage) -> Option<(Fate, String)> {
    match stage {
        Stage::Refused(why) => Some((Fate::Setup, why.clone())),
        _ => None,
    }
}
