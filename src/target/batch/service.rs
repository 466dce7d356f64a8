//! The thread that talks to both services: adds tasks, looks what became of them, copies what they say into attempts' folders.

use super::client::{Client, TASKS_AT_ONCE};
use super::equip::{self, Trouble, at_once};
use super::http::{Body, Failure, Http};
use super::model::{Claimed, Task};
use super::order::{CONTAINER, Order, TASK};
use super::storage::{self, Container};
use super::{Entry, Phase, Shared, Stage, State, job_of};
use crate::runner::AttemptSpec;
use crate::target::agent::pieces::LOG;
use crate::target::remote::mirror::Home;
use crate::target::{Fate, Liveness, Notice};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at tasks: right after something changed, grown to the longest while nothing does.
const FIRST_PACE: Duration = Duration::from_millis(700);
const LAST_PACE: Duration = Duration::from_secs(8);

/// Waits after a service failed: the first, doubled up to the last; and where somebody has to change something.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_secs(30);
const REFUSED_DELAY: Duration = Duration::from_secs(60);

/// A task that was added and is not listed after so long is added again.
const UNSEEN: Duration = Duration::from_secs(30);

/// What a cancelled attempt may take beyond its grace before its task is ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// For how long a node keeps the files of a task that ended and was not removed.
const RETENTION: &str = "P1D";

/// What a claim holds that no node made.
const GIVEN_UP: &str = "controller";

pub(super) struct Service {
    pub(super) shared: Arc<Shared>,
    woken: Mutex<Receiver<()>>,
    pub(super) client: Client,
    http: Http,
    /// The container, once its secret could be read.
    container: Option<Container>,
    /// Blob of the program.
    program: Option<String>,
    /// The job is there.
    job: Option<String>,
    pace: Duration,
    look: Instant,
}

/// A look at one task that runs: what its files gave beyond what is here.
pub(super) struct Read {
    pub(super) folder: PathBuf,
    pub(super) task: String,
    pub(super) journal: u64,
    pub(super) log: u64,
}

impl Service {
    pub(super) fn new(shared: Arc<Shared>, woken: Receiver<()>) -> Self {
        let http = Http::new();
        Self {
            client: Client::new(shared.options.clone(), http.clone()),
            shared,
            woken: Mutex::new(woken),
            http,
            container: None,
            program: None,
            job: None,
            pace: FIRST_PACE,
            look: Instant::now(),
        }
    }

    pub(super) fn run(mut self) {
        let mut delay = FIRST_DELAY;
        loop {
            let leaving = self.shared.state().leaving;
            let wait = match self.round() {
                Ok(()) => {
                    delay = FIRST_DELAY;
                    self.up();
                    self.look.saturating_duration_since(Instant::now())
                }
                Err(failure) => {
                    let refused = !matches!(failure, Failure::Later(_));
                    self.down(&failure, refused);
                    let wait = if refused { REFUSED_DELAY } else { delay };
                    delay = (delay * 2).min(LAST_DELAY);
                    wait
                }
            };
            if leaving {
                self.close();
                return;
            }
            if !self.sleep(wait) {
                return;
            }
        }
    }

    /// Waits until it is time or something is wanted; after a failure only the end of everything shortens it.
    fn sleep(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let failing = matches!(self.shared.state().phase, Phase::Down { .. });
        loop {
            match woken.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(()) => {
                    while woken.try_recv().is_ok() {}
                    if !failing || self.shared.state().leaving {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn up(&self) {
        let mut state = self.shared.state();
        if let Phase::Down { since, .. } = &state.phase {
            let message = format!(
                "target `{}` was reached again after {} s",
                self.shared.name,
                since.elapsed().as_secs()
            );
            state.notices.push(Notice {
                code: "target-found",
                message,
            });
        }
        state.phase = Phase::Up;
        self.shared.ring(&state);
    }

    fn down(&self, failure: &Failure, refused: bool) {
        let reason = failure.text();
        let mut state = self.shared.state();
        let since = match &state.phase {
            Phase::Down { since, .. } => *since,
            phase => {
                let runs = match phase {
                    Phase::Up => "; its trials run on",
                    _ => "",
                };
                let message = format!(
                    "target `{}` cannot be reached: {reason}{runs}; it is tried again",
                    self.shared.name
                );
                state.notices.push(Notice {
                    code: "target-lost",
                    message,
                });
                Instant::now()
            }
        };
        state.phase = Phase::Down {
            since,
            refused,
            reason,
        };
        self.shared.ring(&state);
    }

    /// One round: what is wanted is said, and, when it is time, what became of tasks is looked at.
    fn round(&mut self) -> Result<(), Failure> {
        self.equip()?;
        self.forget()?;
        self.add()?;
        self.cancel()?;
        if Instant::now() < self.look {
            return Ok(());
        }
        let changed = self.look()?;
        self.pace = if changed {
            FIRST_PACE
        } else {
            (self.pace * 3 / 2).min(LAST_PACE)
        };
        self.look = Instant::now() + self.pace;
        Ok(())
    }

    fn container(&mut self) -> Result<Container, Failure> {
        if let Some(container) = &self.container {
            return Ok(container.clone());
        }
        let options = &self.shared.options;
        let signature = options.signature().map_err(|reason| Failure::Refused {
            status: 401,
            code: String::new(),
            message: reason,
        })?;
        let container = Container::new(&options.container, &signature, self.http.clone());
        self.container = Some(container.clone());
        Ok(container)
    }

    fn job_id(&self) -> String {
        job_id(&self.shared.state())
    }

    fn equip(&mut self) -> Result<(), Failure> {
        let luggage = {
            let state = self.shared.state();
            match (&state.equipped, &state.luggage) {
                (None, Some(luggage)) => luggage.clone(),
                _ => return Ok(()),
            }
        };
        let container = self.container()?;
        // A pool that is not there is told before anything is sent.
        self.pool()?;
        let told = |line: String| {
            self.shared.state().lines.push(line);
            self.shared.changed.notify_all();
        };
        let options = &self.shared.options;
        let program = options.binary.as_deref().unwrap_or(&self.shared.program);
        let equipped = match equip::equip(&container, &luggage, program, &told) {
            Ok(program) => {
                self.program = Some(program);
                Ok(())
            }
            Err(Trouble::Service(failure)) => return Err(failure),
            Err(Trouble::Final(reason)) => Err(reason),
        };
        let mut state = self.shared.state();
        if state.luggage.as_ref() == Some(&luggage) {
            state.equipped = Some(equipped);
        }
        self.shared.ring(&state);
        Ok(())
    }

    /// Makes the pool, if that is overdrive's to do.
    fn pool(&self) -> Result<(), Failure> {
        match (self.client.pool(), self.shared.options.plan()) {
            (Ok(pool), _) if pool.state == "deleting" => {
                Err(Failure::Later("its pool is being removed".into()))
            }
            (Ok(_), _) => Ok(()),
            (Err(failure), Some(plan)) if failure.is(404) => {
                let body = super::probe::pool_body(&self.shared.options.pool, &plan);
                self.client.create_pool(&body)
            }
            (Err(failure), _) => Err(failure),
        }
    }

    /// Removes tasks of attempts that are over for the controller, and their blobs.
    fn forget(&mut self) -> Result<(), Failure> {
        let forgotten = std::mem::take(&mut self.shared.state().forgotten);
        if forgotten.is_empty() {
            return Ok(());
        }
        let container = self.container()?;
        let job = self.job_id();
        let outcome = at_once(&forgotten, &|(task, may_run)| {
            if *may_run {
                // Given up while nobody could tell: should it not run yet, it never will.
                container.put_new(&storage::of_task(&job, task, "claim"), GIVEN_UP.as_bytes())?;
            }
            self.client.delete_task(&job, task)?;
            for what in ["order", "left", "cancel"] {
                container.delete(&storage::of_task(&job, task, what))?;
            }
            if !may_run {
                container.delete(&storage::of_task(&job, task, "claim"))?;
            }
            Ok(())
        });
        if outcome.is_err() {
            // All of it can be done twice.
            self.shared.state().forgotten.extend(forgotten);
        }
        outcome
    }

    /// Adds the tasks of attempts that were submitted.
    fn add(&mut self) -> Result<(), Failure> {
        let job = self.job_id();
        let queued: Vec<(PathBuf, String, AttemptSpec)> = {
            let state = self.shared.state();
            if !matches!(state.equipped, Some(Ok(()))) {
                return Ok(());
            }
            let queued = state
                .entries
                .iter()
                .filter(|(_, entry)| entry.stage == Stage::Queued);
            queued
                .filter(|(_, entry)| entry.canceled.is_none())
                .filter_map(|(folder, entry)| {
                    let spec = entry.tracked.spec.as_deref()?.clone();
                    Some((folder.clone(), entry.task.clone(), spec))
                })
                .collect()
        };
        let Some(program) = self.program.clone().filter(|_| !queued.is_empty()) else {
            return Ok(());
        };
        let container = self.container()?;
        if self.job.as_ref() != Some(&job) {
            self.client.create_job(&job)?;
            self.job = Some(job.clone());
        }
        for some in queued.chunks(TASKS_AT_ONCE) {
            at_once(some, &|(_, task, spec)| {
                let order = serde_json::to_vec(&self.order(spec))
                    .map_err(|error| Failure::Later(error.to_string()))?;
                container.put(&storage::of_task(&job, task, "order"), Body::Bytes(&order))
            })?;
            let bodies: Vec<Value> = some
                .iter()
                .map(|(_, task, _)| self.task(&container, &job, task, &program))
                .collect();
            let added = match self.client.add_tasks(&job, &bodies) {
                Err(failure)
                    if failure.says("JobNotFound")
                        || failure.says("JobBeingDeleted")
                        || failure.says("JobCompleted") =>
                {
                    self.job = None;
                    return Err(self.job_gone(&job, failure));
                }
                added => added?,
            };
            let mut state = self.shared.state();
            for (task, outcome) in added {
                let Some((folder, _, _)) = some
                    .iter()
                    .find(|(_, known, _)| known.eq_ignore_ascii_case(&task))
                else {
                    continue;
                };
                let Some(entry) = state.entries.get_mut(folder) else {
                    continue;
                };
                match outcome {
                    Ok(()) => entry.stage = Stage::Added(Instant::now()),
                    // With the next round.
                    Err(Failure::Later(_)) => {}
                    Err(failure) => {
                        entry.stage = Stage::Added(Instant::now());
                        entry.tracked.lives(Liveness::Over(
                            Fate::NotStarted,
                            format!("Batch refused its task: {}", failure.text()),
                        ));
                        entry.tracked.collected();
                    }
                }
            }
            self.shared.ring(&state);
        }
        self.pace = FIRST_PACE;
        self.look = self.look.min(Instant::now() + FIRST_PACE);
        Ok(())
    }

    /// A job that was completed by somebody takes no tasks any more: it is removed, and made anew with the next round.
    fn job_gone(&self, job: &str, failure: Failure) -> Failure {
        if let Ok(known) = self.client.job(job)
            && known.state == "completed"
        {
            let _ = self.client.delete_job(job);
        }
        Failure::Later(failure.text())
    }

    fn order(&self, spec: &AttemptSpec) -> Order {
        let state = self.shared.state();
        let luggage = state.luggage.clone().unwrap_or_default();
        let snapshot = luggage.snapshot.map(|(id, _)| id);
        Order {
            spec: spec.clone(),
            snapshots: snapshot
                .clone()
                .into_iter()
                .chain(luggage.data.into_iter().map(|data| data.snapshot))
                .collect(),
            environment: luggage.environment.map(|environment| (environment, snapshot)),
            places: self.shared.places.clone(),
        }
    }

    /// The body that adds a task. No retries by Batch: every attempt is overdrive's own decision.
    fn task(&self, container: &Container, job: &str, task: &str, program: &str) -> Value {
        json!({
            "id": task,
            "commandLine": "/bin/sh -c \"exec ./overdrive batch-task .\"",
            "resourceFiles": [{
                "httpUrl": container.address_of(program),
                "filePath": "overdrive",
                "fileMode": "0755",
            }],
            "environmentSettings": [
                {"name": CONTAINER, "value": container.access()},
                {"name": TASK, "value": format!("{job}/{task}")},
            ],
            "constraints": {"maxTaskRetryCount": 0, "retentionTime": RETENTION},
            "requiredSlots": self.shared.options.required_slots.unwrap_or(1),
        })
    }

    /// Says cancels, takes those back that were withdrawn, and ends tasks that outlive their grace.
    fn cancel(&mut self) -> Result<(), Failure> {
        let (asked, withdrawn, overdue): (Vec<_>, Vec<_>, Vec<_>) = {
            let mut state = self.shared.state();
            let state = &mut *state;
            let live = |entry: &&mut Entry| entry.tracked.home == Home::Not;
            let mut lists = (Vec::new(), Vec::new(), Vec::new());
            for (folder, entry) in state.entries.iter_mut() {
                if !live(&entry) {
                    continue;
                }
                let known = (folder.clone(), entry.task.clone());
                match entry.canceled {
                    Some(_) if !entry.cancel_sent => lists.0.push(known),
                    Some(at) if !entry.terminated && at.elapsed() > entry.grace + PATIENCE => {
                        lists.2.push(known)
                    }
                    None if entry.withdrawn => lists.1.push(known),
                    _ => {}
                }
            }
            lists
        };
        if asked.is_empty() && withdrawn.is_empty() && overdue.is_empty() {
            return Ok(());
        }
        let container = self.container()?;
        let job = self.job_id();
        at_once(&asked, &|(folder, task)| {
            let kept_out = container.put_new(&storage::of_task(&job, task, "claim"), GIVEN_UP.as_bytes())?
                || self.claimed(&container, &job, task)? == Claimed::GivenUp;
            if kept_out {
                self.client.terminate_task(&job, task)?;
            } else {
                container.put(&storage::of_task(&job, task, "cancel"), Body::Bytes(b""))?;
            }
            let mut state = self.shared.state();
            if let Some(entry) = state.entries.get_mut(folder) {
                entry.cancel_sent = true;
                if kept_out {
                    entry.terminated = true;
                    entry.stage = Stage::Added(Instant::now());
                    entry.tracked.lives(Liveness::Over(
                        Fate::Canceled,
                        "the attempt was given up before its task began".into(),
                    ));
                    entry.tracked.collected();
                }
            }
            self.shared.ring(&state);
            Ok(())
        })?;
        at_once(&withdrawn, &|(folder, task)| {
            container.delete(&storage::of_task(&job, task, "cancel"))?;
            if let Some(entry) = self.shared.state().entries.get_mut(folder) {
                entry.withdrawn = false;
            }
            Ok(())
        })?;
        at_once(&overdue, &|(folder, task)| {
            self.client.terminate_task(&job, task)?;
            if let Some(entry) = self.shared.state().entries.get_mut(folder) {
                entry.terminated = true;
            }
            Ok(())
        })
    }

    /// Who has the claim of a task.
    pub(super) fn claimed(&self, container: &Container, job: &str, task: &str) -> Result<Claimed, Failure> {
        Ok(match container.get(&storage::of_task(job, task, "claim"))? {
            None => Claimed::Nobody,
            Some(content) if content == GIVEN_UP.as_bytes() => Claimed::GivenUp,
            Some(_) => Claimed::Node,
        })
    }

    /// Looks at all tasks; true if something changed.
    fn look(&mut self) -> Result<bool, Failure> {
        let job = self.job_id();
        let asked = Instant::now();
        let wanted = |entry: &Entry| entry.stage != Stage::Queued && entry.tracked.home != Home::Done;
        if !self.shared.state().entries.values().any(wanted) {
            return Ok(false);
        }
        let tasks = match self.client.tasks(&job) {
            Ok(tasks) => tasks,
            // Nobody has added anything.
            Err(failure) if failure.is(404) => Vec::new(),
            Err(failure) => return Err(failure),
        };
        let tasks: HashMap<String, Task> = tasks
            .into_iter()
            .map(|task| (task.id.to_ascii_lowercase(), task))
            .collect();
        let container = self.container()?;
        let mut changed = false;
        let (mut running, mut over, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        {
            let mut state = self.shared.state();
            for (folder, entry) in state.entries.iter_mut().filter(|(_, entry)| wanted(entry)) {
                let read = Read {
                    folder: folder.clone(),
                    task: entry.task.clone(),
                    journal: entry.tracked.received,
                    log: entry.tracked.log,
                };
                match tasks.get(&entry.task.to_ascii_lowercase()) {
                    Some(task) if task.is_over() => over.push((read, task.clone())),
                    Some(task) => {
                        if entry.stage == Stage::Found {
                            entry.stage = Stage::Added(asked);
                        }
                        changed |= entry.tracked.life != Some(Liveness::Alive);
                        entry.tracked.life = Some(Liveness::Alive);
                        if !task.waits() {
                            running.push(read);
                        }
                    }
                    None => match entry.stage {
                        Stage::Added(at) if asked.saturating_duration_since(at) < UNSEEN => {}
                        _ => absent.push(read),
                    },
                }
            }
            if changed {
                self.shared.ring(&state);
            }
        }
        let news = AtomicBool::new(changed || !over.is_empty());
        at_once(&running, &|read| {
            if self.follow(&job, read)? {
                news.store(true, Ordering::Relaxed);
            }
            Ok(())
        })?;
        at_once(&over, &|(read, task)| {
            self.bring_home(&container, &job, read, task)
        })?;
        at_once(&absent, &|read| {
            let claimed = self.claimed(&container, &job, &read.task)?;
            let mut state = self.shared.state();
            let Some(entry) = state.entries.get_mut(&read.folder) else {
                return Ok(());
            };
            match claimed {
                Claimed::Nobody if entry.tracked.spec.is_some() => entry.stage = Stage::Queued,
                Claimed::Nobody => entry.tracked.lives(Liveness::Unclaimed),
                Claimed::GivenUp => {
                    entry
                        .tracked
                        .lives(Liveness::Over(Fate::Canceled, "the attempt was given up".into()));
                    entry.tracked.collected();
                }
                Claimed::Node => {
                    entry
                        .tracked
                        .lives(Liveness::Dead("its task was removed from Batch".into()));
                    entry.tracked.collected();
                }
            }
            self.shared.ring(&state);
            Ok(())
        })?;
        Ok(news.into_inner())
    }

    /// Takes in what a running task has written; true if there was something.
    fn follow(&self, job: &str, read: &Read) -> Result<bool, Failure> {
        let journal = self
            .client
            .file(job, &read.task, "wd/attempt/journal", read.journal)?;
        let log = self
            .client
            .file(job, &read.task, &format!("wd/attempt/{LOG}"), read.log)?;
        if journal.is_empty() && log.is_empty() {
            return Ok(false);
        }
        let mut state = self.shared.state();
        if let Some(entry) = state.entries.get_mut(&read.folder) {
            // What cannot be kept here now is asked for again: the counts have not moved.
            let _ = entry.tracked.log(read.log, &log);
            let _ = entry.tracked.journal(read.journal, &journal);
            if entry.tracked.home == Home::Wanted {
                // It told its end; what it left is there when the task is over.
                entry.tracked.home = Home::Coming;
            }
        }
        self.shared.ring(&state);
        Ok(true)
    }

    /// The last words: a job of which nothing is wanted any more is removed, since an account may have few.
    fn close(&mut self) {
        let (idle, job) = {
            let state = self.shared.state();
            (
                state.entries.is_empty() && state.forgotten.is_empty(),
                job_id(&state),
            )
        };
        if idle
            && self.job.as_ref() == Some(&job)
            && self.client.tasks(&job).is_ok_and(|tasks| tasks.is_empty())
        {
            let _ = self.client.delete_job(&job);
        }
    }
}

/// The job of the sweep that is led.
fn job_id(state: &State) -> String {
    job_of(
        state
            .luggage
            .as_ref()
            .map_or("", |luggage| luggage.sweep.as_str()),
    )
}
