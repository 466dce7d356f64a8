//! The loop: take in, commit, act.

use super::follow::{Follower, Told};
use super::hold::Wish;
use super::launch::Launcher;
use super::submit::Submission;
use super::{Command, Ending, EngineError, Progress, outcome};
use crate::controller::placement::Placement;
use crate::controller::{Action, Controller, Event, Outcome, Record, SweepState};
use crate::space::Assignment;
use crate::store::{Change, Durability, Store, StoreError, SweepWriter};
use crate::target::{AttemptRef, Bell, ComputeTarget, Liveness};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

/// From this many changes on a commit is due before the turn is over.
const GROUP: usize = 256;

/// Longest sleep: requests whose bell was not heard are found within it.
pub(super) const LOOK_MS: u64 = 150;

/// How long a runner may be out of sight before its trial counts as not responding.
const SILENCE_MS: u64 = 30_000;

/// How long an attempt that has not begun waits for a target out of reach before it may begin on another one.
pub(super) const MOVE_MS: u64 = 5_000;

/// How often a cancel that could not be delivered, or a full disk, is tried again.
pub(super) const AGAIN_MS: u64 = 1_000;

/// Names an attempt here.
pub(super) type Key = (u64, u32);

/// What is to be done once it is on record.
enum Act {
    Launch { key: Key, assignment: Assignment },
    Cancel { key: Key },
    Freeze { key: Key },
    Thaw { key: Key },
    End { state: SweepState, reason: String },
}

pub(super) struct Driver {
    pub(super) writer: SweepWriter,
    pub(super) controller: Controller,
    pub(super) launcher: Launcher,
    pub(super) targets: Vec<Arc<dyn ComputeTarget>>,
    pub(super) names: HashMap<String, usize>,
    pub(super) bell: Arc<Bell>,
    /// `now` of the sweep, and the boot clock, when this process took over.
    base: (u64, u64),
    orders: Receiver<Command>,
    shown: SyncSender<Progress>,
    pub(super) followers: BTreeMap<Key, Follower>,
    /// Attempts that are decided and could not be submitted yet.
    pub(super) waiting: BTreeMap<Key, Submission>,
    /// Cancels that must be delivered, with the time of the next try.
    pub(super) cancels: BTreeMap<Key, u64>,
    /// Freezes that are to be renewed, and what else of them is to be delivered.
    pub(super) wishes: BTreeMap<Key, Wish>,
    /// When the store was last asked for requests.
    pub(super) asked_at: u64,
    /// Requests that were carried out; the store may not know yet.
    pub(super) answered: HashSet<i64>,
    /// Ends that were found while something else was being done.
    pub(super) given_up: Vec<(Key, Outcome)>,
    changes: Vec<(u64, Change)>,
    acts: Vec<Act>,
    durability: Durability,
    ended: Option<(SweepState, String)>,
    /// No commit before this time: the disk is full.
    blocked_until: Option<u64>,
    paused_for_disk: bool,
    /// The user of this process asked for the cancel of the sweep.
    pub(super) interrupted: bool,
    /// Which target gets the next attempt.
    pub(super) placement: Placement,
    /// Where the last attempt of a trial was lost.
    pub(super) lost_on: HashMap<u64, usize>,
    /// Slots told to the controller.
    pub(super) slots: u64,
    /// By target: until when fewer slots than there are may be used, and how many.
    pub(super) squeezed: BTreeMap<usize, (u64, u64)>,
    /// Whether it was said that a relative slack does not fit the numbers.
    pub(super) told_of_slack: bool,
    /// There is more to read at once.
    again: bool,
}

impl Driver {
    pub(super) fn new(
        writer: SweepWriter,
        controller: Controller,
        launcher: Launcher,
        (targets, names, placement): (Vec<Arc<dyn ComputeTarget>>, HashMap<String, usize>, Placement),
        bell: Arc<Bell>,
        base: (u64, u64),
        (orders, shown): (Receiver<Command>, SyncSender<Progress>),
    ) -> Self {
        // A controller before this one has said it.
        let told_of_slack = controller
            .incumbent()
            .is_some_and(|incumbent| incumbent.value <= 0.0);
        Self {
            writer,
            controller,
            launcher,
            targets,
            names,
            bell,
            base,
            orders,
            shown,
            followers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            cancels: BTreeMap::new(),
            wishes: BTreeMap::new(),
            asked_at: 0,
            answered: HashSet::new(),
            given_up: Vec::new(),
            changes: Vec::new(),
            acts: Vec::new(),
            durability: Durability::Process,
            ended: None,
            blocked_until: None,
            paused_for_disk: false,
            interrupted: false,
            placement,
            lost_on: HashMap::new(),
            slots: 0,
            squeezed: BTreeMap::new(),
            told_of_slack,
            again: false,
        }
    }

    /// Milliseconds since the sweep was created.
    pub(super) fn now(&self) -> u64 {
        let boot = self.writer.store().clock().stamp().boot_ms;
        self.base.0.saturating_add(boot.saturating_sub(self.base.1))
    }

    /// Leads the sweep to its end, or until told to let go.
    pub(super) fn run(mut self) -> Result<Ending, EngineError> {
        self.adopt()?;
        loop {
            if self.orders()? {
                self.flush()?;
                self.withdraw_cancels();
                let live = self.controller.live();
                self.release()?;
                return Ok(Ending::Detached { live });
            }
            self.requests()?;
            // While nothing can be stored, journals keep it better than memory does.
            if self.blocked_until.is_none() {
                self.follow()?;
            }
            self.submissions()?;
            self.deliver_cancels();
            self.deliver_wishes()?;
            for (key, outcome) in std::mem::take(&mut self.given_up) {
                self.give_up(key, outcome)?;
            }
            self.notices();
            self.slots_now()?;
            if self
                .controller
                .next_deadline()
                .is_some_and(|deadline| self.now() >= deadline)
            {
                self.event(Event::Tick)?;
            }
            self.disk()?;
            self.flush()?;
            if let Some((state, reason)) = self.ended.take() {
                self.release()?;
                return Ok(Ending::Ended { state, reason });
            }
            if self.blocked_until.is_none() {
                match self.writer.tick() {
                    Ok(()) => {}
                    Err(StoreError::DiskFull(path)) => self.wait_for_room(&path),
                    Err(error) => return Err(error.into()),
                }
            }
            let patience = Duration::from_millis(self.patience());
            if self.blocked_until.is_some() {
                // A ring that is taken tells its runner that the store will have it: not while it cannot.
                std::thread::sleep(patience);
            } else if !std::mem::take(&mut self.again) {
                self.bell.wait(patience);
            }
        }
    }

    /// Gives the lead back. On a full disk the lease stays: it names a process that is gone, which everybody can prove.
    fn release(self) -> Result<(), EngineError> {
        match self.writer.release() {
            Ok(()) | Err(StoreError::DiskFull(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn patience(&self) -> u64 {
        let now = self.now();
        let due = [
            self.controller.next_deadline(),
            self.placement.next_change(now),
            self.waiting.values().map(|submission| submission.due).min(),
            self.cancels.values().copied().min(),
            self.wishes.values().map(|wish| wish.due).min(),
            self.blocked_until,
        ];
        let next = due.into_iter().flatten().map(|due| due.saturating_sub(now)).min();
        next.map_or(LOOK_MS, |next| next.clamp(1, LOOK_MS))
    }

    /// Takes commands of this process in; true if told to let go.
    fn orders(&mut self) -> Result<bool, EngineError> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Command::Pause(reason) => self.event(Event::Pause { reason })?,
                Command::Cancel(reason) => {
                    // Somebody else's cancel is not for this process to take back.
                    self.interrupted |=
                        matches!(self.controller.state(), SweepState::Running | SweepState::Paused);
                    self.event(Event::CancelSweep { reason })?;
                }
                Command::Detach => {
                    if self.interrupted {
                        self.event(Event::Withdraw)?;
                    }
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Gives one event to the controller and keeps what follows from it for the next commit.
    pub(super) fn event(&mut self, event: Event) -> Result<(), EngineError> {
        let now = self.now();
        self.bind();
        let batch = self.controller.handle(now, event);
        if !self.wishes.is_empty() {
            self.count_still();
        }
        for record in batch.records {
            if matches!(&record, Record::SweepState { state, .. } if state.is_terminal()) {
                self.durability = Durability::Machine;
            }
            let remark = self.remark(&record);
            self.changes.push((now, Change::Record(record)));
            self.changes.extend(remark.map(|remark| (now, remark)));
        }
        for action in batch.actions {
            match action {
                Action::Launch {
                    trial,
                    attempt,
                    assignment,
                } => {
                    self.place(now, (trial, attempt));
                    self.acts.push(Act::Launch {
                        key: (trial, attempt),
                        assignment,
                    });
                }
                Action::Cancel { trial, attempt, .. } => self.acts.push(Act::Cancel {
                    key: (trial, attempt),
                }),
                Action::Freeze { trial, attempt } => self.acts.push(Act::Freeze {
                    key: (trial, attempt),
                }),
                Action::Thaw { trial, attempt } => self.acts.push(Act::Thaw {
                    key: (trial, attempt),
                }),
                Action::End { state, reason } => self.acts.push(Act::End { state, reason }),
            }
        }
        Ok(())
    }

    /// Where a new attempt will run; stored with the decision to start it.
    fn place(&mut self, now: u64, (trial, attempt): Key) {
        let nonce = Store::nonce();
        let folder = self.launcher.folder_of(trial, attempt, &nonce);
        let target = self
            .placement
            .choose(now, self.lost_on.get(&trial).copied().filter(|_| attempt > 0));
        self.placement.placed(target);
        let name = self
            .targets
            .get(target)
            .map(|target| target.name().to_owned())
            .unwrap_or_default();
        if self.targets.get(target).is_some_and(|target| !target.is_local()) {
            // Its runner outlives this machine: a start that a power cut forgets would be started again.
            self.durability = Durability::Machine;
        }
        self.changes.push((
            now,
            Change::Placed {
                trial,
                attempt,
                nonce: nonce.clone(),
                folder: folder.to_string_lossy().into_owned(),
                target: name,
                boot_id: crate::clock::boot_id().to_owned(),
            },
        ));
        let reference = AttemptRef {
            trial,
            attempt,
            folder,
        };
        let primary = self
            .launcher
            .experiment
            .metric
            .as_ref()
            .map(|metric| metric.name.clone());
        self.followers.insert(
            (trial, attempt),
            Follower::new(reference, nonce, (target, now), primary, 0),
        );
    }

    pub(super) fn change(&mut self, change: Change) {
        let now = self.now();
        self.changes.push((now, change));
    }

    /// What was acknowledged to somebody must survive the machine.
    pub(super) fn must_reach_the_disk(&mut self) {
        self.durability = Durability::Machine;
    }

    /// Commits and acts until nothing follows any more.
    fn flush(&mut self) -> Result<(), EngineError> {
        if self.blocked_until.is_some_and(|until| self.now() >= until) {
            self.blocked_until = None;
        }
        while !(self.changes.is_empty() && self.acts.is_empty()) {
            self.commit()?;
            if self.blocked_until.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        if self.blocked_until.is_some_and(|until| self.now() < until) {
            return Ok(());
        }
        self.blocked_until = None;
        if !self.changes.is_empty() {
            match self.writer.apply(&self.changes, self.durability) {
                Ok(()) => {}
                Err(StoreError::DiskFull(path)) => {
                    self.wait_for_room(&path);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
            self.durability = Durability::Process;
            for (now_ms, change) in std::mem::take(&mut self.changes) {
                match change {
                    Change::Record(record) => self.show(Progress::Record { now_ms, record }),
                    Change::Warning {
                        trial, code, message, ..
                    } => {
                        self.show(Progress::Warning { trial, code, message });
                    }
                    _ => {}
                }
            }
        }
        for act in std::mem::take(&mut self.acts) {
            match act {
                Act::Launch { key, assignment } if key.1 > 0 && !self.squeezed.is_empty() => {
                    let submission = Submission::patient(assignment, key.1, self.now());
                    self.waiting.insert(key, submission);
                }
                Act::Launch { key, assignment } => self.submit(key, Submission::new(assignment))?,
                Act::Cancel { key } => {
                    self.wishes.remove(&key);
                    self.cancels.insert(key, 0);
                    self.deliver_cancels();
                }
                Act::Freeze { key } => self.hold(key, true)?,
                Act::Thaw { key } => self.hold(key, false)?,
                Act::End { state, reason } => self.ended = Some((state, reason)),
            }
        }
        Ok(())
    }

    /// What targets have to say of themselves.
    fn notices(&mut self) {
        for notice in self
            .targets
            .iter()
            .flat_map(|target| target.notices())
            .collect::<Vec<_>>()
        {
            self.change(Change::Warning {
                trial: None,
                attempt: None,
                code: notice.code.into(),
                message: notice.message,
            });
        }
    }

    /// Scripts go on; what they say waits in their journals, what was decided waits here.
    fn wait_for_room(&mut self, path: &Path) {
        self.blocked_until = Some(self.now() + AGAIN_MS);
        let message = format!("disk full at `{}`: waiting for room", path.display());
        self.show(Progress::Warning {
            trial: None,
            code: "disk-full".into(),
            message,
        });
    }

    pub(super) fn show(&self, progress: Progress) {
        // Display may lag behind and lose; the store has it.
        let _ = self.shown.try_send(progress);
    }

    /// Reads the journals of all attempts that were submitted.
    fn follow(&mut self) -> Result<(), EngineError> {
        for index in 0..self.targets.len() {
            let cursors: Vec<(AttemptRef, u64)> = self
                .followers
                .iter()
                .filter(|(key, follower)| follower.target == index && !self.waiting.contains_key(*key))
                .map(|(_, follower)| (follower.attempt.clone(), follower.wanted()))
                .collect();
            if cursors.is_empty() {
                continue;
            }
            let Some(target) = self.targets.get(index).map(Arc::clone) else {
                continue;
            };
            // A target out of reach says nothing about its trials.
            let Ok(chunks) = target.follow(&cursors) else {
                continue;
            };
            for chunk in chunks {
                self.chunk(target.as_ref(), &chunk)?;
            }
        }
        Ok(())
    }

    fn chunk(&mut self, target: &dyn ComputeTarget, chunk: &crate::target::Chunk) -> Result<(), EngineError> {
        let now = self.now();
        let key = (chunk.attempt.trial, chunk.attempt.attempt);
        let Some(follower) = self.followers.get_mut(&key) else {
            return Ok(());
        };
        let mut told = Vec::new();
        if !chunk.bytes.is_empty() && follower.take(now, &chunk.bytes, &mut told) {
            target.reopen(&chunk.attempt);
        }
        match &chunk.liveness {
            Liveness::Dead(_) if !chunk.bytes.is_empty() => self.again = true,
            Liveness::Dead(proof) => {
                follower.settle(now, proof, &mut told);
                let lost = |told: &Told| matches!(told, Told::Event(Event::Exited { outcome, .. }) if outcome.is_infrastructure());
                if told.iter().any(lost) {
                    target.end_orphans(&chunk.attempt, &follower.nonce);
                }
            }
            Liveness::Over(..) if !chunk.bytes.is_empty() => self.again = true,
            Liveness::Over(fate, why) => follower.over(now, *fate, why, &mut told),
            Liveness::Alive => {
                follower.adopting = None;
                follower.heard(&mut told);
            }
            Liveness::Unclaimed if follower.adopting.is_some() && follower.wanted() == 0 => {
                self.unclaimed_after_all(key);
                return Ok(());
            }
            Liveness::Unclaimed | Liveness::Unknown(_) => {
                follower.silent(now, SILENCE_MS, &mut told);
                let index = follower.target;
                if follower.silence(now) >= MOVE_MS
                    && follower.wanted() == 0
                    && !self.cancels.contains_key(&key)
                    && self.placement.room_beside(now, index)
                    && target.keep_others_out(&chunk.attempt).unwrap_or(false)
                {
                    follower.end(outcome::moved(target.name()), &mut told);
                }
                // Only by the user's word: it may run all the same, and what it says then does not count.
                if let Some(minutes) = self.launcher.lost_contact_minutes()
                    && follower.silence(now) >= minutes.saturating_mul(60_000)
                {
                    follower.end(
                        outcome::lost(&format!("nobody has heard of it for {minutes} min")),
                        &mut told,
                    );
                }
            }
        }
        if matches!(&chunk.liveness, Liveness::Alive | Liveness::Unknown(_)) {
            follower.terminated(now, &mut told);
        }
        self.told(key, told)
    }

    /// Passes on what a follower told, and lets go of it if that was the end.
    pub(super) fn told(&mut self, key: Key, told: Vec<Told>) -> Result<(), EngineError> {
        for told in told {
            match told {
                Told::Change(change) => self.change(change),
                Told::Event(event) => {
                    if let Event::Exited { outcome, .. } = &event {
                        // Before the event: it fills the free slot, and perhaps not with the same.
                        self.ended(key, outcome)?;
                    }
                    self.event(event)?;
                }
            }
        }
        if self.followers.get(&key).is_some_and(|follower| follower.ended)
            && let Some(follower) = self.followers.remove(&key)
        {
            if let Some(target) = self.targets.get(follower.target) {
                target.forget(&follower.attempt);
            }
            self.cancels.remove(&key);
            self.wishes.remove(&key);
            self.waiting.remove(&key);
            self.count_still();
        }
        // Only here, where nothing is half told: what one look at a journal led to and how far it was read stand or fall together.
        if self.changes.len() >= GROUP {
            self.commit()
        } else {
            Ok(())
        }
    }

    /// Pauses while the reserve for a full disk is spent, goes on by itself when there is room again.
    fn disk(&mut self) -> Result<(), EngineError> {
        if self.writer.reserve_spent()
            && !self.paused_for_disk
            && self.controller.state() == SweepState::Running
        {
            self.paused_for_disk = true;
            self.event(Event::Pause {
                reason: format!("disk full at `{}`", self.writer.store().folder().display()),
            })?;
        }
        if self.writer.reserve_spent() && self.writer.refill() && std::mem::take(&mut self.paused_for_disk) {
            self.event(Event::Resume)?;
        }
        Ok(())
    }
}
