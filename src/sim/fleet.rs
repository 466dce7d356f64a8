//! One sweep over several compute targets in virtual time: who gets which trial, what a target that dies costs, and whether a
//! controller that is killed and taken up again from the facts decides the same.

use super::agenda::Agenda;
use super::checker::Violation;
use super::store::MemoryStore;
use crate::controller::placement::{Offer, Placement};
use crate::controller::{Action, Controller, Event, FailureClass, Outcome, Settings, SweepState};
use crate::metric::Observation;
use crate::policy::{self, PolicySpec};
use crate::sampler::{self, SamplerSpec};
use crate::space::SearchSpace;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A target of the fleet.
#[derive(Clone, Debug)]
pub struct Member {
    /// What its owner says of it.
    pub offer: Offer,
    /// Trials at once.
    pub slots: u64,
    /// Milliseconds of a trial on it.
    pub trial_ms: u64,
    /// When it dies, and after how many more milliseconds that is proved.
    pub dies: Option<(u64, u64)>,
    /// Everything on it is lost as soon as it has begun.
    pub broken: bool,
}

/// The sweep.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Settings of the controller.
    pub settings: Settings,
    /// Space of the trials.
    pub space: Arc<SearchSpace>,
    /// Sampler.
    pub sampler: SamplerSpec,
    /// Where its trials run.
    pub members: Vec<Member>,
    /// The controller is killed and taken up again after every so many events; 0 = never.
    pub kill_every: u64,
}

/// An attempt as the store would know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Trial.
    pub trial: u64,
    /// Attempt.
    pub attempt: u32,
    /// Index of its target.
    pub target: usize,
    /// When it was placed, milliseconds.
    pub at: u64,
    /// When and how it ended.
    pub end: Option<(u64, Outcome)>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// Every attempt in the order of their beginnings.
    pub attempts: Vec<Placed>,
    /// State in the end.
    pub state: SweepState,
    /// Virtual milliseconds.
    pub duration_ms: u64,
    /// Lives of the controller.
    pub lives: u64,
    /// Trials that completed.
    pub completed: u64,
}

/// More events than any sweep here has.
const EVENTS_MAX: u64 = 1_000_000;

#[derive(Clone, Copy)]
enum Due {
    /// The attempt of that place in the list ends.
    End(usize),
    /// A target dies, or its death is proved.
    Death(usize, bool),
    /// Nothing but time.
    Tick,
}

struct World<'a> {
    fleet: &'a Fleet,
    controller: Controller,
    store: MemoryStore,
    placement: Placement,
    attempts: Vec<Placed>,
    open: BTreeMap<(u64, u32), usize>,
    lost_on: HashMap<u64, usize>,
    dead: Vec<bool>,
    agenda: Agenda<Due>,
    slots: u64,
    lives: u64,
    events: u64,
}

impl Fleet {
    /// Runs the sweep to its end.
    ///
    /// # Errors
    /// The first broken promise: a target above its capacity, a trial on a target that is known to be dead, a sweep that never ends.
    pub fn run(&self) -> Result<Course, Violation> {
        let mut world = World {
            fleet: self,
            controller: self.fresh()?,
            store: MemoryStore::new(self.settings),
            placement: self.placement(),
            attempts: Vec::new(),
            open: BTreeMap::new(),
            lost_on: HashMap::new(),
            dead: vec![false; self.members.len()],
            agenda: Agenda::default(),
            slots: 0,
            lives: 1,
            events: 0,
        };
        for (index, member) in self.members.iter().enumerate() {
            if let Some((at, proof)) = member.dies {
                world.agenda.enter(at, Due::Death(index, false));
                world.agenda.enter(at + proof, Due::Death(index, true));
            }
        }
        world.tell_slots()?;
        while let Some(due) = world.agenda.take() {
            if world.events > EVENTS_MAX {
                return Err(Violation(format!("no end after {EVENTS_MAX} events")));
            }
            world.meet(due)?;
            if world.controller.state().is_terminal() {
                break;
            }
        }
        let trials = &world.controller.history().trials;
        Ok(Course {
            state: world.controller.state(),
            duration_ms: world.agenda.now(),
            lives: world.lives,
            completed: trials
                .iter()
                .filter(|trial| trial.state == crate::history::TrialState::Completed)
                .count() as u64,
            attempts: world.attempts,
        })
    }

    fn placement(&self) -> Placement {
        Placement::new(self.members.iter().map(|member| member.offer.clone()).collect())
    }

    fn fresh(&self) -> Result<Controller, Violation> {
        let sampler = sampler::build(&self.sampler, Arc::clone(&self.space), self.settings.goal)
            .map_err(|error| Violation(error.to_string()))?;
        let policy = policy::build(&PolicySpec::NoTermination, self.settings.goal);
        Ok(Controller::new(self.settings, sampler, policy, Vec::new()))
    }
}

impl World<'_> {
    fn meet(&mut self, due: Due) -> Result<(), Violation> {
        match due {
            Due::End(place) => {
                let Some(attempt) = self.attempts.get(place).filter(|attempt| attempt.end.is_none()) else {
                    return Ok(());
                };
                let (target, trial, number) = (attempt.target, attempt.trial, attempt.attempt);
                if self.dead.get(target).copied().unwrap_or(true) {
                    return Ok(());
                }
                let broken = self.fleet.members.get(target).is_some_and(|member| member.broken);
                if !broken {
                    let observation = Observation {
                        value: trial as f64,
                        step: None,
                        elapsed_ms: 0,
                    };
                    self.deliver(&Event::Reported {
                        trial,
                        attempt: number,
                        observation,
                    })?;
                }
                self.end(place, if broken { lost() } else { Outcome::Completed })
            }
            Due::Death(target, false) => {
                if let Some(dead) = self.dead.get_mut(target) {
                    *dead = true;
                }
                self.tell_slots()
            }
            Due::Death(target, true) => {
                let on_it = |placed: &Placed| placed.target == target && placed.end.is_none();
                let places: Vec<usize> = (0..self.attempts.len())
                    .filter(|place| self.attempts.get(*place).is_some_and(on_it))
                    .collect();
                places.into_iter().try_for_each(|place| self.end(place, lost()))
            }
            Due::Tick => self.tell_slots(),
        }
    }

    fn end(&mut self, place: usize, outcome: Outcome) -> Result<(), Violation> {
        let now = self.agenda.now();
        let Some(attempt) = self.attempts.get_mut(place) else {
            return Ok(());
        };
        attempt.end = Some((now, outcome.clone()));
        let (trial, number, target, at) = (attempt.trial, attempt.attempt, attempt.target, attempt.at);
        self.open.remove(&(trial, number));
        self.learn(trial, target, (at, now), &outcome);
        if let Some(change) = self.placement.next_change(now) {
            self.agenda.enter(change, Due::Tick);
        }
        self.tell_slots()?;
        self.deliver(&Event::Exited {
            trial,
            attempt: number,
            outcome,
        })
    }

    fn learn(&mut self, trial: u64, target: usize, (at, now): (u64, u64), outcome: &Outcome) {
        let _ = self.placement.ended(now, target, now - at, outcome);
        if outcome.is_infrastructure() {
            self.lost_on.insert(trial, target);
        }
    }

    fn tell_slots(&mut self) -> Result<(), Violation> {
        self.hold();
        let slots = self.placement.slots(self.agenda.now());
        if slots == self.slots {
            return Ok(());
        }
        self.slots = slots;
        self.deliver(&Event::SlotsChanged { slots })
    }

    fn hold(&mut self) {
        for (index, member) in self.fleet.members.iter().enumerate() {
            let dead = self.dead.get(index).copied().unwrap_or(true);
            self.placement
                .holds(index, Some(if dead { 0 } else { member.slots }));
        }
    }

    fn deliver(&mut self, event: &Event) -> Result<(), Violation> {
        let batch = self.controller.handle(self.agenda.now(), event.clone());
        self.events += 1;
        self.store
            .append(batch.records)
            .map_err(|error| Violation(error.to_string()))?;
        for action in batch.actions {
            if let Action::Launch { trial, attempt, .. } = action {
                self.launch(trial, attempt)?;
            }
        }
        let every = self.fleet.kill_every;
        if every > 0 && self.events.is_multiple_of(every) && !self.controller.state().is_terminal() {
            self.restore()?;
        }
        Ok(())
    }

    fn launch(&mut self, trial: u64, attempt: u32) -> Result<(), Violation> {
        let now = self.agenda.now();
        let lost_on = self.lost_on.get(&trial).copied().filter(|_| attempt > 0);
        let target = self.placement.choose(now, lost_on);
        self.placement.placed(target);
        let Some(member) = self.fleet.members.get(target) else {
            return Err(Violation("a target that is not there".into()));
        };
        if self.dead.get(target).copied().unwrap_or(true) {
            return Err(Violation(format!("trial {trial} on a dead target")));
        }
        let place = self.attempts.len();
        self.attempts.push(Placed {
            trial,
            attempt,
            target,
            at: now,
            end: None,
        });
        self.open.insert((trial, attempt), place);
        let there = |place: &&usize| {
            self.attempts
                .get(**place)
                .is_some_and(|placed| placed.target == target)
        };
        let taken = self.open.values().filter(there).count() as u64;
        if taken > member.slots {
            return Err(Violation(format!(
                "{taken} trials on `{}`, which holds {}",
                member.offer.name, member.slots
            )));
        }
        let took = if member.broken { 1 } else { member.trial_ms };
        self.agenda.enter(now + took, Due::End(place));
        Ok(())
    }

    /// The controller dies; another one learns from the facts.
    fn restore(&mut self) -> Result<(), Violation> {
        self.lives += 1;
        let broken = |error: &dyn std::fmt::Display| Violation(error.to_string());
        let snapshot = self.store.read_back().map_err(|error| broken(&error))?;
        let goal = self.fleet.settings.goal;
        let sampler = sampler::build(&self.fleet.sampler, Arc::clone(&self.fleet.space), goal)
            .map_err(|error| broken(&error))?;
        let policy = policy::build(&PolicySpec::NoTermination, goal);
        self.controller = Controller::restore(self.fleet.settings, sampler, policy, snapshot)
            .map_err(|error| broken(&error))?;
        self.placement = self.fleet.placement();
        self.lost_on.clear();
        self.hold();
        let mut ended: Vec<Placed> = self.attempts.clone();
        ended.retain(|attempt| attempt.end.is_some());
        ended.sort_by_key(|attempt| {
            let end = attempt.end.as_ref().map_or(0, |(at, _)| *at);
            (end, attempt.trial, attempt.attempt)
        });
        for attempt in &ended {
            self.placement.placed(attempt.target);
            if let Some((now, outcome)) = &attempt.end {
                self.learn(attempt.trial, attempt.target, (attempt.at, *now), outcome);
            }
        }
        for attempt in self.attempts.iter().filter(|attempt| attempt.end.is_none()) {
            self.placement.placed(attempt.target);
        }
        self.slots = self.placement.slots(self.agenda.now());
        let batch = self
            .controller
            .handle(self.agenda.now(), Event::SlotsChanged { slots: self.slots });
        self.store.append(batch.records).map_err(|error| broken(&error))?;
        for action in batch.actions {
            if let Action::Launch { trial, attempt, .. } = action {
                self.launch(trial, attempt)?;
            }
        }
        Ok(())
    }
}

fn lost() -> Outcome {
    Outcome::Failed {
        class: FailureClass::Infrastructure,
        exit_code: None,
        signal: None,
        message: "the machine is gone".into(),
    }
}

#[cfg(test)]
mod tests;
