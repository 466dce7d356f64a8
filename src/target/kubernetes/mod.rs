//! A Kubernetes cluster: one pod per attempt, by a job that retries nothing, and in it the agent that every machine elsewhere has.
//!
//! A pod is a machine that comes and goes: [`crate::target::remote::RemoteTarget`] leads one attempt in it through `kubectl exec`, and what
//! the API tells of the pod is the proof of its death. Everything is done with the user's own rights and `kubectl`; nothing in the
//! cluster needs any. See `docs/design/kubernetes.md`.

mod fleet;
mod kubectl;
mod manifest;
mod options;
mod pod;
mod probe;
mod settings;
mod transport;

pub use options::{KubernetesOptions, KubernetesProblem};
pub use settings::KIND;

use super::local::Bell;
use super::{AttemptRef, Chunk, ComputeTarget, Fate, Liveness, Luggage, Notice, Site, TargetError};
use crate::config::EnvironmentSpec;
use crate::runner::AttemptSpec;
use fleet::{Fleet, State};
use pod::Pod;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// File in an attempt's folder that names the job of its pod.
const MACHINE: &str = "machine";

/// File beside it: the attempt was, or was about to be, handed over to the machine.
const HANDED: &str = "handed";

/// A Kubernetes cluster as a compute target.
pub struct KubernetesTarget {
    fleet: Arc<Fleet>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Attempts that are bound to a machine which is not ready yet, by folder.
    specs: HashMap<PathBuf, (AttemptRef, AttemptSpec)>,
    /// Machines of attempts, by folder.
    bound: HashMap<PathBuf, String>,
    /// Attempts that were cancelled before they were handed over.
    canceled: HashSet<PathBuf>,
    /// Why the sweep cannot run here at all.
    unfit: Option<String>,
}

impl KubernetesTarget {
    /// A cluster called `name`; `program` is brought into its pods.
    pub fn new(name: String, options: KubernetesOptions, program: PathBuf) -> Self {
        Self {
            fleet: Arc::new(Fleet::new(name, options, program)),
            waiting: Mutex::new(Waiting::default()),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, reason: String) -> TargetError {
        TargetError::Refused {
            target: self.fleet.name.clone(),
            reason,
        }
    }

    fn unreachable(&self, reason: String) -> TargetError {
        TargetError::Unreachable {
            target: self.fleet.name.clone(),
            reason,
        }
    }

    /// The machine of an attempt, from memory or from its folder.
    fn machine_of(&self, waiting: &mut Waiting, state: &mut State, folder: &Path) -> Option<String> {
        if let Some(job) = waiting.bound.get(folder) {
            return Some(job.clone());
        }
        let job = fs::read_to_string(folder.join(MACHINE)).ok()?.trim().to_owned();
        // Before anything was handed over, nobody can know whether its job was asked for: asked for again, it is the same job.
        let made = folder.join(HANDED).exists();
        if job.is_empty() || self.fleet.machine(state, &job, made).is_err() {
            return None;
        }
        self.fleet.bind(state, &job, folder.to_owned());
        waiting.bound.insert(folder.to_owned(), job.clone());
        Some(job)
    }

    /// Hands attempts over to machines that have become ready.
    fn pump(&self, waiting: &mut Waiting, state: &State) {
        let Waiting { specs, bound, .. } = waiting;
        specs.retain(|folder, (attempt, spec)| {
            let machine = bound.get(folder).and_then(|job| state.machines.get(job));
            match machine {
                // Written first: what may have been executed is never asked for again.
                Some(machine) if matches!(machine.remote.site(attempt), Ok(Some(_))) => {
                    record(folder, HANDED, "").is_err() || machine.remote.submit(attempt, spec).is_err()
                }
                _ => true,
            }
        });
    }
}

/// Writes a word on an attempt so that it lasts: one that is bound to a machine is never bound to a second one.
fn record(folder: &Path, file: &str, word: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    draft.write_all(word.as_bytes())?;
    draft.as_file().sync_all()?;
    draft.persist(folder.join(file)).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

impl ComputeTarget for KubernetesTarget {
    fn name(&self) -> &str {
        &self.fleet.name
    }

    fn kind(&self) -> &'static str {
        KIND.word
    }

    fn is_local(&self) -> bool {
        false
    }

    fn slots(&self) -> Option<u64> {
        self.fleet.options.slots
    }

    fn equip(&self, luggage: &Luggage) {
        let mut luggage = luggage.clone();
        let mut image = self.fleet.options.image.clone();
        let mut unfit = None;
        // The pod is the container.
        if let Some(EnvironmentSpec::Docker {
            image: asked,
            dockerfile,
            inner,
            ..
        }) = luggage.environment.clone()
        {
            if dockerfile.is_some() {
                unfit = Some(
                    "an image cannot be built on a cluster; build and push it, and name it by `environment.docker.baseImage`".to_owned(),
                );
            }
            image = asked.or(image);
            luggage.environment = Some(*inner);
        }
        if image.is_none() && unfit.is_none() {
            unfit = Some("no image is named, neither in the files nor by the target's `image`".to_owned());
        }
        self.waiting().unfit = unfit;
        let mut state = self.fleet.state();
        state.image = image.unwrap_or_default();
        if state.luggage.as_ref() != Some(&luggage) {
            for machine in state.machines.values() {
                machine.remote.equip(&luggage);
            }
            state.luggage = Some(luggage);
        }
        self.fleet.begin(&mut state);
    }

    fn ready(&self, told: &mut dyn FnMut(&str)) -> Result<(), TargetError> {
        if let Some(reason) = self.waiting().unfit.clone() {
            return Err(self.refused(reason));
        }
        // One machine tells whether any can be had; the first attempt takes it.
        let (job, remote, status) = {
            let mut state = self.fleet.state();
            let job = self
                .fleet
                .free(&mut state)
                .map_err(|reason| self.refused(reason))?;
            let machine = state.machines.get(&job);
            let Some((remote, status)) =
                machine.map(|machine| (Arc::clone(&machine.remote), Arc::clone(&machine.status)))
            else {
                return Ok(());
            };
            (job, remote, status)
        };
        let mut last = String::new();
        loop {
            match status.get() {
                Pod::Running(_) => break,
                Pod::Over { why, .. } => return Err(self.refused(why)),
                Pod::Waiting(why) if why != last => {
                    told(&format!("pod of {job}: {why}"));
                    last = why;
                }
                _ => {}
            }
            let state = self.fleet.state();
            if let Some(reason) = state.refused.clone() {
                return Err(self.refused(reason));
            }
            if let Some(reason) = state.unreachable.clone() {
                return Err(self.unreachable(reason));
            }
            drop(self.fleet.changed.wait_timeout(state, Duration::from_millis(500)));
        }
        // Of the target, not of its pod.
        remote.ready(told).map_err(|error| match error {
            TargetError::Unreachable { reason, .. } => self.unreachable(reason),
            TargetError::Refused { reason, .. } => self.refused(reason),
            TargetError::Exhausted { resource, .. } => TargetError::Exhausted {
                target: self.fleet.name.clone(),
                resource,
            },
        })
    }

    fn listen(&self, bell: Arc<Bell>) {
        let mut state = self.fleet.state();
        for machine in state.machines.values() {
            machine.remote.listen(Arc::clone(&bell));
        }
        state.bell = Some(bell);
    }

    fn site(&self, attempt: &AttemptRef) -> Result<Option<Site>, TargetError> {
        let mut waiting = self.waiting();
        if let Some(reason) = waiting.unfit.clone() {
            return Err(self.refused(reason));
        }
        let mut state = self.fleet.state();
        // All pods are alike: where one that is ready has everything, the others will have it.
        let site = state
            .machines
            .values()
            .find_map(|machine| machine.remote.site(attempt).ok().flatten());
        let Some(site) = site else {
            if let Some(reason) = state.refused.clone() {
                return Err(self.refused(reason));
            }
            if !state
                .machines
                .values()
                .any(|machine| !matches!(machine.status.get(), Pod::Over { .. }))
            {
                self.fleet
                    .free(&mut state)
                    .map_err(|reason| self.refused(reason))?;
            }
            return Err(self.unreachable("its first pod is being made ready".into()));
        };
        if self
            .machine_of(&mut waiting, &mut state, &attempt.folder)
            .is_none()
        {
            let job = self
                .fleet
                .free(&mut state)
                .map_err(|reason| self.refused(reason))?;
            record(&attempt.folder, MACHINE, &job)
                .map_err(|error| self.refused(format!("{}: {error}", attempt.folder.display())))?;
            self.fleet.bind(&mut state, &job, attempt.folder.clone());
            waiting.bound.insert(attempt.folder.clone(), job);
        }
        Ok(Some(site))
    }

    fn submit(&self, attempt: &AttemptRef, spec: &AttemptSpec) -> Result<(), TargetError> {
        let mut waiting = self.waiting();
        waiting
            .specs
            .insert(attempt.folder.clone(), (attempt.clone(), spec.clone()));
        let state = self.fleet.state();
        self.pump(&mut waiting, &state);
        Ok(())
    }

    fn follow(&self, cursors: &[(AttemptRef, u64)]) -> Result<Vec<Chunk>, TargetError> {
        let mut waiting = self.waiting();
        let mut state = self.fleet.state();
        self.pump(&mut waiting, &state);
        let mut chunks = Vec::with_capacity(cursors.len());
        for cursor in cursors {
            let (attempt, _) = cursor;
            let alone = |liveness| Chunk {
                attempt: attempt.clone(),
                bytes: Vec::new(),
                liveness,
            };
            if waiting.canceled.contains(&attempt.folder) {
                let why = "it was cancelled before its pod was ready";
                chunks.push(alone(Liveness::Over(Fate::Canceled, why.into())));
                continue;
            }
            let Some(job) = self.machine_of(&mut waiting, &mut state, &attempt.folder) else {
                chunks.push(alone(Liveness::Unclaimed));
                continue;
            };
            let Some(machine) = state.machines.get(&job) else {
                chunks.push(alone(Liveness::Dead(format!("its job {job} was taken away"))));
                continue;
            };
            let over = match machine.status.get() {
                Pod::Over { fate, why } => Some(Liveness::Over(fate, why)),
                _ => None,
            };
            if waiting.specs.contains_key(&attempt.folder) {
                chunks.push(alone(over.unwrap_or(Liveness::Alive)));
                continue;
            }
            let mut chunk = match machine.remote.follow(std::slice::from_ref(cursor)) {
                Ok(mut found) if !found.is_empty() => found.remove(0),
                Ok(_) => alone(Liveness::Unknown(String::new())),
                Err(error) => alone(Liveness::Unknown(error.to_string())),
            };
            // What was told before the pod's end comes first.
            if chunk.bytes.is_empty()
                && matches!(
                    chunk.liveness,
                    Liveness::Unknown(_) | Liveness::Alive | Liveness::Unclaimed
                )
                && let Some(over) = over
            {
                chunk.liveness = over;
            }
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    fn cancel(&self, attempt: &AttemptRef) -> Result<(), TargetError> {
        let mut waiting = self.waiting();
        let mut state = self.fleet.state();
        if waiting.specs.remove(&attempt.folder).is_some() {
            // Never handed over: nobody else can start it.
            waiting.canceled.insert(attempt.folder.clone());
            return Ok(());
        }
        match self.machine_of(&mut waiting, &mut state, &attempt.folder) {
            Some(job) => state
                .machines
                .get(&job)
                .map_or(Ok(()), |machine| machine.remote.cancel(attempt)),
            None => Ok(()),
        }
    }

    fn withdraw(&self, attempt: &AttemptRef) {
        let waiting = self.waiting();
        let state = self.fleet.state();
        let job = waiting.bound.get(&attempt.folder);
        if let Some(machine) = job.and_then(|job| state.machines.get(job)) {
            machine.remote.withdraw(attempt);
        }
    }

    fn wait(&self, timeout: Duration) {
        let state = self.fleet.state();
        // Woken early or not: whoever waits looks again.
        let _ = self.fleet.changed.wait_timeout(state, timeout);
    }

    fn forget(&self, attempt: &AttemptRef) {
        let mut waiting = self.waiting();
        waiting.specs.remove(&attempt.folder);
        waiting.canceled.remove(&attempt.folder);
        let mut state = self.fleet.state();
        if let Some(job) = waiting.bound.remove(&attempt.folder) {
            if let Some(machine) = state.machines.get(&job) {
                machine.remote.forget(attempt);
            }
            self.fleet.release(&mut state, &job, &attempt.folder);
        }
    }

    fn reopen(&self, attempt: &AttemptRef) {
        let waiting = self.waiting();
        let state = self.fleet.state();
        let job = waiting.bound.get(&attempt.folder);
        if let Some(machine) = job.and_then(|job| state.machines.get(job)) {
            machine.remote.reopen(attempt);
        }
    }

    fn end_orphans(&self, attempt: &AttemptRef, nonce: &str) {
        let waiting = self.waiting();
        let state = self.fleet.state();
        let job = waiting.bound.get(&attempt.folder);
        if let Some(machine) = job.and_then(|job| state.machines.get(job)) {
            machine.remote.end_orphans(attempt, nonce);
        }
    }

    fn notices(&self) -> Vec<Notice> {
        let mut state = self.fleet.state();
        let mut notices = std::mem::take(&mut state.notices);
        for machine in state.machines.values() {
            let over = matches!(machine.status.get(), Pod::Over { .. });
            // That a pod which is over cannot be reached is no news.
            notices.extend(machine.remote.notices().into_iter().filter(|_| !over));
        }
        notices
    }

    /// Never waits, so it wins only what was never handed over: nobody else can start that.
    fn keep_others_out(&self, attempt: &AttemptRef) -> Result<bool, TargetError> {
        let mut waiting = self.waiting();
        let held = waiting.specs.remove(&attempt.folder).is_some();
        Ok(held || !attempt.folder.join(HANDED).exists())
    }
}

impl Drop for KubernetesTarget {
    fn drop(&mut self) {
        self.fleet.leave();
    }
}
