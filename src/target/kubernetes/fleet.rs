//! The machines of a sweep: one pod each, made when an attempt needs one, bound to it, and taken away after it.

use super::kubectl::Kubectl;
use super::manifest::{self, SWEEP, Wanted};
use super::options::{IDLE_SECONDS, KubernetesOptions, START_MINUTES};
use super::pod::{self, Pod};
use super::transport::{PodTransport, Program, Status};
use crate::target::errand::Errand;
use crate::target::local::Bell;
use crate::target::remote::{LineError, RemoteOptions, RemoteTarget, Slots};
use crate::target::{ComputeTarget, Fate, Luggage, Notice};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two looks at the pods while some of them are on their way, and otherwise.
const LOOKS: (Duration, Duration) = (Duration::from_millis(700), Duration::from_secs(4));

/// How long leaving may take.
const FAREWELL: Duration = Duration::from_secs(20);

/// Shortest wait for a pod to start.
const START_MIN: Duration = Duration::from_secs(5);

/// Longest pause after the cluster did not answer.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A pod, and what is bound to it.
pub(super) struct Machine {
    pub(super) remote: Arc<RemoteTarget>,
    pub(super) status: Arc<Status>,
    /// Folders of its attempts that are not forgotten.
    pub(super) attempts: HashSet<PathBuf>,
    /// Whether its job has to be made, or was there before.
    made: bool,
    /// Since when it waits for the same reason.
    waits: Instant,
    why: String,
    /// Since when it has nothing to do.
    idle: Option<Instant>,
    /// An attempt has run in it.
    used: bool,
}

impl Machine {
    /// Nobody waits for its pod any more.
    fn let_go(&self) {
        self.status.set(Pod::Over {
            fate: Fate::Canceled,
            why: "it is not needed any more".into(),
        });
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) machines: BTreeMap<String, Machine>,
    pub(super) luggage: Option<Luggage>,
    pub(super) image: String,
    /// Jobs to take away.
    unwanted: Vec<String>,
    pub(super) notices: Vec<Notice>,
    pub(super) bell: Option<Arc<Bell>>,
    /// Why the cluster refuses jobs, if it does.
    pub(super) refused: Option<String>,
    /// Why it cannot be asked for any, if it cannot.
    pub(super) unreachable: Option<String>,
    errand: Option<Errand<()>>,
    leaving: bool,
}

impl State {
    /// The watcher looks again.
    fn wake(&self) {
        if let Some(errand) = &self.errand {
            errand.tell(());
        }
    }
}

/// What the target and its watcher share.
pub(super) struct Fleet {
    pub(super) name: String,
    pub(super) options: KubernetesOptions,
    pub(super) kubectl: Kubectl,
    program: PathBuf,
    known: Mutex<Option<Program>>,
    state: Mutex<State>,
    /// Told when something is new.
    pub(super) changed: Condvar,
}

impl Fleet {
    pub(super) fn new(name: String, options: KubernetesOptions, program: PathBuf) -> Self {
        Self {
            kubectl: Kubectl::new(&options),
            name,
            options,
            program,
            known: Mutex::new(None),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, state: &State) {
        self.changed.notify_all();
        if let Some(bell) = &state.bell {
            bell.ring();
        }
    }

    /// Starts the watcher, once.
    pub(super) fn begin(self: &Arc<Self>, state: &mut State) {
        if state.errand.is_some() {
            return;
        }
        let fleet = Arc::clone(self);
        // Tried again with the next attempt.
        state.errand = Errand::begin("pods", |_, woken| move || fleet.watch(&woken)).ok();
    }

    /// The program that is brought into pods; its file is read once.
    fn program(&self) -> Result<Program, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = &*known {
            return Ok(program.clone());
        }
        let program = Program::of(self.program.clone(), self.options.cache.is_some())
            .map_err(|error| format!("`{}`: {error}", self.program.display()))?;
        *known = Some(program.clone());
        Ok(program)
    }

    /// The machine called `job`; `made` if its job is known to have been asked for before.
    pub(super) fn machine<'s>(
        &self,
        state: &'s mut State,
        job: &str,
        made: bool,
    ) -> Result<&'s mut Machine, String> {
        if !state.machines.contains_key(job) {
            let program = self.program()?;
            let status = Arc::new(Status::new());
            let transport = PodTransport {
                kubectl: self.kubectl.clone(),
                job: job.to_owned(),
                status: Arc::clone(&status),
                program,
                installed: Mutex::new(None),
                doubted: AtomicBool::new(false),
            };
            let remote = RemoteOptions {
                name: format!("{} {job}", self.name),
                kind: super::KIND.word,
                slots: Slots::Of(1),
            };
            let remote = Arc::new(RemoteTarget::new(remote, Box::new(transport)));
            if let Some(bell) = &state.bell {
                remote.listen(Arc::clone(bell));
            }
            if let Some(luggage) = &state.luggage {
                remote.equip(luggage);
            }
            state.machines.insert(
                job.to_owned(),
                Machine {
                    remote,
                    status,
                    attempts: HashSet::new(),
                    made,
                    waits: Instant::now(),
                    why: String::new(),
                    idle: Some(Instant::now()),
                    used: made,
                },
            );
        }
        state.wake();
        state.machines.get_mut(job).ok_or_else(String::new)
    }

    /// A machine for another attempt: one that waits, or a new one.
    pub(super) fn free(&self, state: &mut State) -> Result<String, String> {
        let fits = |machine: &Machine| {
            machine.attempts.is_empty()
                && (self.options.workers || !machine.used)
                && !matches!(machine.status.get(), Pod::Over { .. })
        };
        if let Some((job, _)) = state.machines.iter().find(|(_, machine)| fits(machine)) {
            return Ok(job.clone());
        }
        let random = uuid::Uuid::new_v4().simple().to_string();
        let job = format!("overdrive-{}", random.get(..12).unwrap_or(&random));
        self.machine(state, &job, false)?;
        Ok(job)
    }

    /// An attempt is bound to a machine.
    pub(super) fn bind(&self, state: &mut State, job: &str, attempt: PathBuf) {
        if let Some(machine) = state.machines.get_mut(job) {
            machine.attempts.insert(attempt);
            machine.idle = None;
            machine.used = true;
        }
    }

    /// An attempt is over and home.
    pub(super) fn release(&self, state: &mut State, job: &str, attempt: &PathBuf) {
        let Some(machine) = state.machines.get_mut(job) else {
            return;
        };
        machine.attempts.remove(attempt);
        if machine.attempts.is_empty() {
            machine.idle = Some(Instant::now());
        }
        state.wake();
    }

    /// Nothing more is wanted: machines without attempts are taken away, others stay for whoever goes on with the sweep.
    pub(super) fn leave(&self) {
        let errand = {
            let mut state = self.state();
            state.leaving = true;
            state.wake();
            state.errand.take()
        };
        if let Some(errand) = errand {
            errand.farewell(FAREWELL);
        }
    }

    fn watch(&self, woken: &Receiver<()>) {
        let mut pause = LOOKS.0;
        loop {
            self.make();
            self.retire();
            let quiet = {
                let state = self.state();
                let settled =
                    |machine: &Machine| matches!(machine.status.get(), Pod::Running(_) | Pod::Over { .. });
                state.machines.values().all(settled)
            };
            match self.look() {
                Ok(()) => pause = if quiet { LOOKS.1 } else { LOOKS.0 },
                Err(_) => pause = (pause * 2).min(PAUSE_MAX),
            }
            match woken.recv_timeout(pause) {
                Ok(()) => while woken.try_recv().is_ok() {},
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.state().leaving {
                break;
            }
        }
        let (left, sweep) = {
            let mut state = self.state();
            let free = |machine: &Machine| machine.attempts.is_empty();
            let jobs = state.machines.iter().filter(|(_, machine)| free(machine));
            for (_, machine) in jobs.clone() {
                machine.let_go();
            }
            let mut jobs: Vec<String> = jobs.map(|(job, _)| job.clone()).collect();
            let over = jobs.len() == state.machines.len();
            jobs.append(&mut state.unwanted);
            let sweep = state.luggage.as_ref().filter(|_| over);
            (
                jobs,
                sweep.map(|luggage| format!("{SWEEP}={}", manifest::label(&luggage.sweep))),
            )
        };
        let mut words = vec!["delete", "job", "--ignore-not-found", "--wait=false"];
        match &sweep {
            // Also those that a controller which was killed had made for nobody yet.
            Some(selector) => words.extend(["-l", selector.as_str()]),
            None => words.extend(left.iter().map(String::as_str)),
        }
        if sweep.is_some() || !left.is_empty() {
            // What cannot be removed now ends by itself after some hours.
            let _ = self.kubectl.ask(&words);
        }
        self.changed.notify_all();
    }

    /// Asks for the jobs that are wanted and were not asked for.
    fn make(&self) {
        let (wanted, sweep, image) = {
            let state = self.state();
            let wanted = state.machines.iter().filter(|(_, machine)| !machine.made);
            let wanted: Vec<String> = wanted.map(|(job, _)| job.clone()).collect();
            let sweep = state.luggage.as_ref().map(|luggage| luggage.sweep.clone());
            (wanted, sweep.unwrap_or_default(), state.image.clone())
        };
        for job in wanted {
            let manifest = manifest::job(
                &self.options,
                Wanted {
                    name: &job,
                    sweep: &sweep,
                    image: &image,
                },
            );
            let created = self.kubectl.create(&manifest);
            let mut state = self.state();
            let Some(machine) = state.machines.get_mut(&job) else {
                continue;
            };
            match created {
                Ok(()) => {
                    machine.made = true;
                    machine.waits = Instant::now();
                    state.refused = None;
                    state.unreachable = None;
                }
                Err(LineError::Refused(reason)) => {
                    machine.made = true;
                    machine.status.set(Pod::Over {
                        fate: Fate::NotStarted,
                        why: reason.clone(),
                    });
                    state.refused = Some(reason);
                }
                Err(LineError::Unreachable(reason)) => {
                    machine.status.set(Pod::Waiting(reason.clone()));
                    state.unreachable = Some(reason);
                }
            }
            self.ring(&state);
        }
    }

    /// Looks at all pods of the sweep.
    fn look(&self) -> Result<(), LineError> {
        let (any, sweep) = {
            let state = self.state();
            let sweep = state.luggage.as_ref().map(|luggage| luggage.sweep.clone());
            (!state.machines.is_empty(), sweep.unwrap_or_default())
        };
        if !any {
            return Ok(());
        }
        let selector = format!("{SWEEP}={}", manifest::label(&sweep));
        let began = Instant::now();
        let list = self
            .kubectl
            .json(&["get", "jobs,pods", "-l", &selector, "-o", "json"])?;
        let empty = Vec::new();
        let items = list["items"].as_array().unwrap_or(&empty);
        let text = |item: &Value, pointer: &str| {
            item.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let jobs: HashSet<String> = items
            .iter()
            .filter(|item| item["kind"] == "Job")
            .map(|item| text(item, "/metadata/name"))
            .collect();
        let minutes = self.options.start_minutes.unwrap_or(START_MINUTES);
        let patience = Duration::from_secs(minutes.saturating_mul(60)).max(START_MIN);
        let mut state = self.state();
        let mut news = false;
        for (name, machine) in &mut state.machines {
            let of_job =
                |item: &&Value| item["kind"] == "Pod" && text(item, "/metadata/labels/job-name") == *name;
            let mut pods: Vec<&Value> = items.iter().filter(of_job).collect();
            // A pod that was taken away is replaced by its job: the first is the one that was used.
            pods.sort_by_key(|pod| text(pod, "/metadata/creationTimestamp"));
            let seen = match (pods.first(), machine.status.get()) {
                (Some(seen), known) => match (pod::read(seen), known) {
                    (Pod::Running(now), Pod::Running(before)) if now != before => gone(&before),
                    (Pod::Waiting(_), Pod::Running(before)) if text(seen, "/metadata/name") != before => {
                        gone(&before)
                    }
                    (seen, _) => seen,
                },
                (None, Pod::Running(before)) => gone(&before),
                (None, _) if machine.made && !jobs.contains(name) && machine.waits < began => Pod::Over {
                    fate: Fate::Preempted,
                    why: format!("its job {name} is gone"),
                },
                (None, _) => {
                    let why = items
                        .iter()
                        .find(|item| item["kind"] == "Job" && text(item, "/metadata/name") == *name)
                        .and_then(failure);
                    match why {
                        Some(why) => Pod::Over {
                            fate: Fate::NotStarted,
                            why,
                        },
                        None => Pod::Waiting("its job has no pod yet".into()),
                    }
                }
            };
            let seen = match seen {
                Pod::Waiting(why) => {
                    if why != machine.why {
                        machine.why.clone_from(&why);
                    }
                    if pod::is_stuck(&why, machine.waits.elapsed(), patience) {
                        Pod::Over {
                            fate: Fate::NotStarted,
                            why: format!("its pod did not start: {why}"),
                        }
                    } else {
                        Pod::Waiting(why)
                    }
                }
                seen => seen,
            };
            news |= machine.status.set(seen);
        }
        if news {
            self.ring(&state);
        }
        Ok(())
    }

    /// Takes away what nobody needs any more.
    fn retire(&self) {
        let idle = Duration::from_secs(if self.options.workers {
            self.options.idle_seconds.unwrap_or(IDLE_SECONDS)
        } else {
            0
        });
        let mut state = self.state();
        let due = |machine: &Machine| {
            let over = matches!(machine.status.get(), Pod::Over { .. });
            machine.used && machine.idle.is_some_and(|since| since.elapsed() >= idle || over)
        };
        let jobs: Vec<String> = state
            .machines
            .iter()
            .filter(|(_, machine)| due(machine))
            .map(|(job, _)| job.clone())
            .collect();
        let mut gone = Vec::new();
        for job in jobs {
            if let Some(machine) = state.machines.remove(&job) {
                machine.let_go();
                gone.push(machine);
            }
            state.unwanted.push(job);
        }
        let unwanted = std::mem::take(&mut state.unwanted);
        drop(state);
        // Their lines are closed without anybody waiting for it.
        drop(gone);
        for job in unwanted {
            if let Err(LineError::Unreachable(_)) = self.kubectl.delete(&job) {
                self.state().unwanted.push(job);
            }
        }
    }
}

fn gone(pod: &str) -> Pod {
    Pod::Over {
        fate: Fate::Preempted,
        why: format!("its pod {pod} is gone"),
    }
}

/// Why a job has failed without ever having had a pod.
fn failure(job: &Value) -> Option<String> {
    let conditions = job.pointer("/status/conditions")?.as_array()?;
    let failed = conditions
        .iter()
        .find(|condition| condition["type"] == "Failed" && condition["status"] == "True")?;
    Some(failed["message"].as_str().unwrap_or("its job failed").to_owned())
}
