//! The thread that talks to Slurm.

use super::job::{self, Job, JobState, Shape, Unsubmitted};
use super::{Shared, State, worker};
use crate::runner::Claim;
use crate::target::{Fate, Notice};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Between two looks at the queue, unless the target's file says otherwise.
const POLL: Duration = Duration::from_secs(2);

/// Longest time between two looks while nothing changes.
const POLL_LAST: Duration = Duration::from_secs(10);

/// A submission of which nobody knows is repeated when it was not found in the queue for so long.
const CERTAIN: Duration = Duration::from_secs(20);

/// Before a submission is tried again that was refused for now.
const AGAIN: Duration = Duration::from_secs(15);

/// What a runner may need beyond its grace before Slurm is asked to end its job.
const BEYOND_GRACE: Duration = Duration::from_secs(10);

/// How far an attempt is on its way through Slurm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Taken up by this process, which has not submitted it.
    Found,
    /// To be submitted.
    Queued,
    /// Perhaps submitted; looked for first.
    Uncertain { since: Instant },
    /// Slurm has it, or a worker will take it.
    Submitted,
    /// Its job is over.
    Over { word: String, at: Instant },
    /// It cannot be submitted.
    Refused(Fate, String),
}

/// One attempt.
pub(super) struct Entry {
    /// Name of its job.
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) stage: Stage,
    /// Since when this process knows of it.
    pub(super) since: Instant,
    /// Its job was seen in the queue.
    pub(super) seen: bool,
    pub(super) claim: Option<Claim>,
    /// Since when the claim is known.
    claimed: Option<Instant>,
    /// Node of its job.
    node: String,
    /// Since when its runner is seen to be gone.
    pub(super) gone: Option<Instant>,
    pub(super) canceled: Option<Instant>,
    pub(super) grace: Duration,
    /// Slurm was asked to end its job.
    killed: bool,
    pub(super) forgotten: bool,
    /// Last line of the job's own output.
    pub(super) log: Option<String>,
    /// Not before.
    due: Instant,
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
            id: fs::read_to_string(folder.join("slurm.job"))
                .ok()
                .map(|id| id.trim().to_owned()),
            stage: Stage::Found,
            since: Instant::now(),
            seen: false,
            claim: None,
            claimed: None,
            node: String::new(),
            gone: None,
            canceled: None,
            grace: Duration::from_secs(30),
            killed: false,
            forgotten: false,
            log: None,
            due: Instant::now(),
        }
    }

    /// Reads the claim, if there is one by now.
    pub(super) fn look_for_claim(&mut self, folder: &Path) {
        if self.claim.is_none() {
            self.claim = Claim::read(&folder.join("claim"));
            self.claimed = self.claim.as_ref().map(|_| Instant::now());
        }
    }
}

pub(super) struct Scheduler {
    shared: Arc<Shared>,
    woken: Receiver<()>,
    poll: Duration,
    program: Option<PathBuf>,
    workers: worker::Pool,
}

impl Scheduler {
    pub(super) fn new(shared: Arc<Shared>, woken: Receiver<()>) -> Self {
        Self {
            poll: POLL,
            program: None,
            workers: worker::Pool::default(),
            shared,
            woken,
        }
    }

    pub(super) fn run(mut self) {
        let mut next = Instant::now();
        loop {
            if self.shared.state().leaving {
                self.cancels();
                self.workers.stop();
                return;
            }
            self.submissions();
            self.cancels();
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
            match self.woken.recv_timeout(
                next.saturating_duration_since(Instant::now())
                    .min(Duration::from_secs(1)),
            ) {
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

    /// Submits what is to be submitted, one at a time, so that calls are never kept waiting.
    fn submissions(&mut self) {
        loop {
            let next = {
                let state = self.shared.state();
                let due = |entry: &Entry| {
                    entry.stage == Stage::Queued
                        && !entry.forgotten
                        && entry.canceled.is_none()
                        && entry.due <= Instant::now()
                };
                let mut due: Vec<(&PathBuf, &Entry)> =
                    state.entries.iter().filter(|(_, entry)| due(entry)).collect();
                due.sort_by_key(|(_, entry)| entry.since);
                due.first()
                    .map(|(folder, entry)| ((*folder).clone(), entry.name.clone()))
            };
            let Some((folder, name)) = next else { return };
            let shape = self.shape();
            let left_out = !shape.without.is_empty();
            let submitted = self.submit(&folder, &name, &shape);
            let mut state = self.shared.state();
            if let Some(entry) = state.entries.get_mut(&folder) {
                match submitted {
                    Ok(id) => {
                        entry.stage = Stage::Submitted;
                        entry.id = id;
                    }
                    // Perhaps for want of the nodes that are left out.
                    Err(Unsubmitted::Refused(_)) if left_out => state.bench.clear(),
                    Err(Unsubmitted::Refused(why)) => entry.stage = Stage::Refused(Fate::Setup, why),
                    Err(Unsubmitted::Uncertain(why)) => {
                        entry.stage = Stage::Uncertain {
                            since: Instant::now(),
                        };
                        told(&mut state, why);
                    }
                    Err(Unsubmitted::Later(why)) => {
                        entry.due = Instant::now() + AGAIN;
                        told(&mut state, why);
                    }
                }
            }
            if let Some(bell) = &state.bell {
                bell.ring();
            }
        }
    }

    fn shape(&self) -> Shape {
        let state = self.shared.state();
        Shape {
            group: state.group.clone(),
            without: state.bench.left_out(Instant::now()),
        }
    }

    fn submit(&mut self, folder: &Path, name: &str, shape: &Shape) -> Result<Option<String>, Unsubmitted> {
        let program = self.program().map_err(Unsubmitted::Later)?;
        if self.shared.options.workers {
            self.workers
                .put(&self.shared, folder, name)
                .map_err(Unsubmitted::Later)?;
            return self.staff(&program).map(|()| None);
        }
        let line = format!("exec {} runner {}", quoted(&program), quoted(folder));
        let id = job::submit(&self.shared.options, shape, name, folder, &line)?;
        // Without it the job is found by its name.
        let _ = fs::write(folder.join("slurm.job"), &id);
        Ok(Some(id))
    }

    /// As many workers as there are attempts, at most as many as there are slots.
    fn staff(&mut self, program: &Path) -> Result<(), Unsubmitted> {
        let wanted = {
            let state = self.shared.state();
            let open =
                |entry: &&Entry| !entry.forgotten && matches!(entry.stage, Stage::Queued | Stage::Submitted);
            state.entries.values().filter(open).count() as u64
        };
        let wanted = wanted.min(self.shared.options.slots.unwrap_or(u64::MAX));
        while self.workers.alive() < wanted {
            let shape = self.shape();
            self.workers.hire(&self.shared, &shape, program)?;
        }
        Ok(())
    }

    /// Ends jobs of attempts that were cancelled: those that nobody claimed at once, others when their runner had its time.
    fn cancels(&mut self) {
        if self.shared.options.workers {
            // The job is for others, too; the runner ends the trial, and nobody takes what is claimed by nobody.
            return;
        }
        let due: Vec<(PathBuf, String)> = {
            let mut state = self.shared.state();
            let mut due = Vec::new();
            for (folder, entry) in &mut state.entries {
                let (Some(at), Some(id)) = (entry.canceled, entry.id.clone()) else {
                    continue;
                };
                entry.look_for_claim(folder);
                let nobody = entry.claim.as_ref().is_none_or(|claim| claim.pid == 0);
                let late = at.elapsed() > entry.grace + BEYOND_GRACE && !entry.forgotten;
                if !entry.killed && (nobody || late) && !matches!(entry.stage, Stage::Over { .. }) {
                    entry.killed = true;
                    due.push((folder.clone(), id));
                }
            }
            due
        };
        for (_, id) in due {
            job::cancel(&id);
        }
    }

    /// Reads the queue; true if something changed.
    fn look(&mut self) -> bool {
        let open = {
            let mut state = self.shared.state();
            // What is over for the engine is of no interest, unless its job must still be ended.
            state.entries.retain(|_, entry| {
                !entry.forgotten
                    || (entry.canceled.is_some()
                        && !entry.killed
                        && matches!(entry.stage, Stage::Uncertain { .. }))
            });
            !state.entries.is_empty()
        };
        if !open {
            return false;
        }
        let asked = Instant::now();
        match job::list() {
            Ok(jobs) => {
                if self.shared.options.workers {
                    self.workers.look(&self.shared, &jobs);
                }
                let changed = self.take_in(asked, &jobs);
                if self.shared.options.workers
                    && let Ok(program) = self.program()
                    && let Err(
                        Unsubmitted::Refused(why) | Unsubmitted::Later(why) | Unsubmitted::Uncertain(why),
                    ) = self.staff(&program)
                {
                    told(&mut self.shared.state(), why);
                }
                changed
            }
            Err(why) => {
                let mut state = self.shared.state();
                if state.trouble.is_none() {
                    let name = &self.shared.name;
                    let message = format!("target `{name}`: {why}; its trials run on, it is tried again");
                    state.notices.push(Notice {
                        code: "target-lost",
                        message,
                    });
                }
                state.trouble = Some(why);
                true
            }
        }
    }

    fn take_in(&mut self, asked: Instant, jobs: &HashMap<String, Job>) -> bool {
        let mut guard = self.shared.state();
        let state = &mut *guard;
        if state.trouble.take().is_some() {
            let message = format!("target `{}` answers again", self.shared.name);
            state.notices.push(Notice {
                code: "target-found",
                message,
            });
        }
        state.looked = Some(asked);
        let mut changed = false;
        let mut lost = Vec::new();
        let mut put_back = Vec::new();
        let mut put_off = Vec::new();
        let mut nodes = Vec::new();
        for (folder, entry) in &mut state.entries {
            let before = entry.stage.clone();
            let worker = self.workers.job_of(&entry.name);
            let job = jobs.get(worker.unwrap_or(&entry.name));
            if job.is_none()
                && worker.is_some_and(|worker| !self.workers.has(worker))
                && !matches!(entry.stage, Stage::Over { .. })
            {
                over(entry, folder, "gone from the queue");
                changed = true;
                continue;
            }
            match (job, &entry.stage) {
                (Some(job), Stage::Found | Stage::Uncertain { .. } | Stage::Submitted) => {
                    entry.id = Some(job.id.clone());
                    entry.seen = true;
                    if !job.nodes.is_empty() {
                        entry.node.clone_from(&job.nodes);
                    }
                    let own = worker.is_none();
                    match &job.state {
                        // Its runner was ended, and a second one would find the claim of the first.
                        JobState::Active
                            if own && job.pending && entry.claimed.is_some_and(|at| at < asked) =>
                        {
                            put_back.push(job.id.clone());
                            over(entry, folder, job::PUT_BACK);
                        }
                        JobState::Active => {
                            if own && job.put_off {
                                put_off.push(job.id.clone());
                            }
                            entry.stage = Stage::Submitted;
                        }
                        JobState::Over(word) => {
                            over(entry, folder, word);
                            if own && entry.canceled.is_none() && word != "CANCELLED" {
                                entry.look_for_claim(folder);
                                nodes.push((entry.node.clone(), entry.claim.is_some()));
                            }
                        }
                    }
                }
                (None, Stage::Uncertain { since }) if since.elapsed() > CERTAIN => {
                    entry.stage = Stage::Queued
                }
                // Known by its number and gone from the queue: it ended long ago.
                (None, Stage::Found | Stage::Submitted)
                    if entry.id.is_some() && entry.since < asked && !self.shared.options.workers =>
                {
                    lost.push((folder.clone(), entry.id.clone().unwrap_or_default(), entry.seen));
                }
                _ => {}
            }
            changed |= entry.stage != before;
        }
        for (node, began) in nodes {
            if state.bench.saw(&node, began, Instant::now()) {
                let name = &self.shared.name;
                told(
                    state,
                    format!(
                        "target `{name}`: jobs end on node `{node}` before they begin: it is left out for a while"
                    ),
                );
            }
        }
        drop(guard);
        let begins = |word: &String| word.starts_with("--begin") || word.starts_with("-b");
        if !self.shared.options.directives.iter().any(begins) {
            put_off.iter().for_each(|id| job::begin_now(id));
        }
        put_back.iter().for_each(|id| job::cancel(id));
        for (folder, id, seen) in lost {
            // Just submitted: the queue may have been read before.
            let word = match (job::past(&id), seen) {
                (Some(word), _) => word,
                (None, true) => "gone from the queue".into(),
                (None, false) => continue,
            };
            if let Some(entry) = self.shared.state().entries.get_mut(&folder) {
                over(entry, &folder, &word);
                changed = true;
            }
        }
        if changed && let Some(bell) = &self.shared.state().bell {
            bell.ring();
        }
        changed
    }
}

fn over(entry: &mut Entry, folder: &Path, word: &str) {
    let log = fs::read(folder.join("slurm.log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    entry.log = log
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .map(|line| line.chars().take(300).collect());
    entry.stage = Stage::Over {
        word: word.to_owned(),
        at: Instant::now(),
    };
}

/// Something that goes wrong for now; told once.
fn told(state: &mut State, why: String) {
    if !state.notices.iter().any(|notice| notice.message == why) {
        state.notices.push(Notice {
            code: "slurm",
            message: why,
        });
    }
}

/// A path as one word of a shell.
pub(super) fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', "'\\''"))
}
