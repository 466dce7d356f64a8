//! One seed, one sweep: settings, workload, faults, commands and kills drawn from it, every promise checked after every event.

use super::agenda::Agenda;
use super::checker::{Checker, Violation};
use super::fault::Faults;
use super::store::MemoryStore;
use super::target::SimTarget;
use super::workload::LearningCurves;
use crate::controller::{
    Action, Controller, Event, FreezeLimits, FrozenMemory, Limits, Outcome, Record, Settings, SweepState,
};
use crate::metric::{Goal, Observation};
use crate::policy::{self, PolicySpec, Schedule, Slack, Trigger};
use crate::sampler::rng::{Stream, stream};
use crate::sampler::{self, SamplerSpec};
use crate::space::{Assignment, Distribution, Parameter, SearchSpace, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Everything that one seed decides.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// Settings of the controller.
    pub settings: Settings,
    /// Space of the trials.
    pub space: Arc<SearchSpace>,
    /// Sampler.
    pub sampler: SamplerSpec,
    /// Policy.
    pub policy: PolicySpec,
    /// How much may be frozen.
    pub freeze: FreezeLimits,
    /// Slots of the target at the start.
    pub slots: u64,
    /// Configurations to try first.
    pub enqueue: Vec<Assignment>,
    /// Reports of a whole trial.
    pub steps: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// What users do and what becomes of the slots, with times.
    pub commands: Vec<(u64, Event)>,
}

/// What a scenario led to.
#[derive(Clone, Debug)]
pub struct Trace {
    /// All records.
    pub records: Vec<Record>,
    /// Events handled.
    pub events: u64,
    /// Lives of the controller.
    pub lives: u64,
    /// Trials created.
    pub trials: u64,
    /// State in the end.
    pub state: SweepState,
    /// Virtual milliseconds.
    pub duration_ms: u64,
}

impl Scenario {
    /// The scenario of `seed`.
    pub fn draw(seed: u64) -> Self {
        Self::draw_with(seed, false)
    }

    /// The scenario of `seed` under a policy that freezes.
    pub fn draw_freezing(seed: u64) -> Self {
        Self::draw_with(seed, true)
    }

    fn draw_with(seed: u64, freeze: bool) -> Self {
        let mut source = stream(seed, "scenario", 0);
        let goal = if source.unit() < 0.5 {
            Goal::Maximize
        } else {
            Goal::Minimize
        };
        let steps = source.below(16);
        let max_total = 1 + source.below(80);
        let horizon = 1_000 + max_total * steps * 400;
        let settings = Settings {
            goal,
            limits: Limits {
                max_total,
                max_concurrent: 1 + source.below(9),
                max_duration_ms: (source.unit() < 0.2).then(|| 1 + source.below(horizon)),
            },
            abort_after_initial_failures: source.below(5),
            max_retries: source.below(4) as u32,
        };
        let small = source.unit() < 0.3;
        let space = Arc::new(space(small));
        let kind = ["random", "random", "sobol", "grid"][source.index(4)];
        let kind = if kind == "grid" && !small { "random" } else { kind };
        let enqueue = (0..source.below(3))
            .map(|_| assignment(small, &mut source))
            .collect();
        let mut commands = Vec::new();
        for _ in 0..source.below(8) {
            let at = source.below(horizon);
            command(at, max_total, small, &mut source, &mut commands);
        }
        let slots = 1 + source.below(10);
        if source.unit() < 0.3 {
            let at = source.below(horizon);
            commands.push((
                at,
                Event::SlotsChanged {
                    slots: source.below(3),
                },
            ));
            commands.push((at + source.below(horizon), Event::SlotsChanged { slots }));
        }
        Self {
            seed,
            settings,
            space,
            sampler: SamplerSpec {
                kind: kind.into(),
                seed,
                allow_duplicates: false,
                options: serde_json::Map::new(),
            },
            policy: policy(&mut source, freeze, steps),
            freeze: freeze_limits(&mut source, freeze),
            slots,
            enqueue,
            steps,
            faults: Faults::draw(seed),
            commands,
        }
    }

    /// Runs the scenario to its end. With `kills`, the controller is killed at instants drawn from that seed (before a batch is
    /// durable, before its actions, after them) and restored; the records must be the same as without.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn run(&self, kills: Option<u64>) -> Result<Trace, Violation> {
        let mut world = World::new(self, kills)?;
        world
            .agenda
            .enter(0, Due::Event(Event::SlotsChanged { slots: self.slots }));
        for (at, event) in &self.commands {
            world.agenda.enter(*at, Due::Event(event.clone()));
        }
        while let Some(due) = world.agenda.take() {
            if world.events > EVENTS_MAX {
                return Err(Violation(format!("no end after {EVENTS_MAX} events")));
            }
            world.meet(due)?;
        }
        world.checker.finish(world.target.reported())?;
        Ok(Trace {
            events: world.events,
            lives: world.lives,
            trials: world.checker.created(),
            state: world.controller.state(),
            duration_ms: world.agenda.now(),
            records: world.store.records().to_vec(),
        })
    }
}

const EVENTS_MAX: u64 = 1_000_000;

enum Due {
    Wake { trial: u64, attempt: u32 },
    Event(Event),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kill {
    BeforeWrite,
    BeforeActions,
    AfterActions,
}

struct World<'a> {
    scenario: &'a Scenario,
    controller: Controller,
    store: MemoryStore,
    checker: Checker,
    target: SimTarget,
    agenda: Agenda<Due>,
    slots: u64,
    ticks: BTreeSet<u64>,
    kills: Option<Stream>,
    /// Time of the last durable batch.
    written: u64,
    events: u64,
    lives: u64,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, kills: Option<u64>) -> Result<Self, Violation> {
        let workload = LearningCurves {
            space: Arc::clone(&scenario.space),
            goal: scenario.settings.goal,
            seed: scenario.seed,
            steps: scenario.steps,
            step_ms: 1_000,
            noise: 0.05,
        };
        Ok(Self {
            controller: fresh(scenario)?,
            store: MemoryStore::new(scenario.settings),
            checker: Checker::new(scenario.settings, schedule(&scenario.policy)).freezing(scenario.freeze),
            target: SimTarget::new(Box::new(workload), Some(scenario.faults)),
            agenda: Agenda::default(),
            slots: 0,
            ticks: BTreeSet::new(),
            kills: kills.map(|seed| stream(seed, "kill", scenario.seed)),
            written: 0,
            events: 0,
            lives: 1,
            scenario,
        })
    }

    fn meet(&mut self, due: Due) -> Result<(), Violation> {
        match due {
            Due::Event(event) => {
                if let Event::SlotsChanged { slots } = event {
                    self.slots = slots;
                }
                self.deliver(&event, None)
            }
            Due::Wake { trial, attempt } => {
                while let Some(fact) = self.target.next(self.agenda.now(), trial, attempt).cloned() {
                    let event = fact.event(trial, attempt);
                    self.deliver(&event, Some((trial, attempt)))?;
                    if fact.twice {
                        self.deliver(&event, None)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Hands one event to the controller until its batch is durable and its actions are performed. The position of the
    /// follower, if the event came from a journal, moves on in the same commit.
    fn deliver(&mut self, event: &Event, follower: Option<(u64, u32)>) -> Result<(), Violation> {
        loop {
            let batch = self.controller.handle(self.agenda.now(), event.clone());
            self.events += 1;
            let kill = self.kill();
            if kill == Some(Kill::BeforeWrite) {
                self.restore()?;
                continue;
            }
            self.checker.batch(self.slots, &batch)?;
            self.store
                .append(batch.records)
                .map_err(|error| Violation(error.to_string()))?;
            self.written = self.agenda.now();
            let state = self.controller.snapshot();
            if self.store.state().progress != state.progress {
                return Err(Violation(
                    "the controller's state is not the fold of its records".into(),
                ));
            }
            if let Some((trial, attempt)) = follower
                && let Some(next) = self.target.taken(trial, attempt)
            {
                self.agenda.enter(next, Due::Wake { trial, attempt });
            }
            if kill == Some(Kill::BeforeActions) {
                self.restore()?;
            } else {
                self.perform(batch.actions);
            }
            if kill == Some(Kill::AfterActions) {
                self.restore()?;
            }
            if let Some(deadline) = self.controller.next_deadline()
                && self.ticks.insert(deadline)
            {
                self.agenda.enter(deadline, Due::Event(Event::Tick));
            }
            return Ok(());
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        let now = self.agenda.now();
        for action in actions {
            match action {
                Action::Launch {
                    trial,
                    attempt,
                    assignment,
                } => {
                    if let Some(at) = self.target.launch(now, trial, attempt, &assignment) {
                        self.agenda.enter(at, Due::Wake { trial, attempt });
                    }
                }
                Action::Cancel { trial, attempt, .. } => {
                    if let Some(at) = self.target.cancel(now, trial, attempt) {
                        self.agenda.enter(at, Due::Wake { trial, attempt });
                    }
                }
                Action::Freeze { trial, attempt } => {
                    if let Some(at) = self.target.freeze(now, trial, attempt) {
                        self.agenda.enter(at, Due::Wake { trial, attempt });
                    }
                }
                Action::Thaw { trial, attempt } => {
                    if let Some(at) = self.target.thaw(now, trial, attempt) {
                        self.agenda.enter(at, Due::Wake { trial, attempt });
                    }
                }
                Action::End { .. } => {}
            }
        }
    }

    fn kill(&mut self) -> Option<Kill> {
        let source = self.kills.as_mut()?;
        match source.below(80) {
            0 => Some(Kill::BeforeWrite),
            1 => Some(Kill::BeforeActions),
            2 => Some(Kill::AfterActions),
            _ => None,
        }
    }

    fn restore(&mut self) -> Result<(), Violation> {
        self.lives += 1;
        let broken = |error: &dyn std::fmt::Display| Violation(error.to_string());
        let snapshot = self.store.read_back().map_err(|error| broken(&error))?;
        if snapshot != *self.store.state() {
            return Err(Violation(
                "the state read back differs from the state written".into(),
            ));
        }
        if !snapshot.progress.begun {
            self.controller = fresh(self.scenario)?;
            return Ok(());
        }
        let (sampler, policy) = parts(self.scenario)?;
        self.controller = Controller::restore(self.scenario.settings, sampler, policy, snapshot)
            .map_err(|error| broken(&error))?;
        self.controller.freeze_within(self.scenario.freeze);
        let slots = Event::SlotsChanged { slots: self.slots };
        let batch = self.controller.handle(self.written, slots);
        self.checker.batch(self.slots, &batch)?;
        self.store.append(batch.records).map_err(|error| broken(&error))?;
        let outstanding = self.controller.outstanding();
        self.perform(outstanding);
        Ok(())
    }
}

type Parts = (Box<dyn sampler::Sampler>, Box<dyn policy::Policy>);

fn parts(scenario: &Scenario) -> Result<Parts, Violation> {
    let goal = scenario.settings.goal;
    let sampler = sampler::build(&scenario.sampler, Arc::clone(&scenario.space), goal)
        .map_err(|error| Violation(error.to_string()))?;
    Ok((sampler, policy::build(&scenario.policy, goal)))
}

fn fresh(scenario: &Scenario) -> Result<Controller, Violation> {
    let (sampler, policy) = parts(scenario)?;
    let mut controller = Controller::new(scenario.settings, sampler, policy, scenario.enqueue.clone());
    controller.freeze_within(scenario.freeze);
    Ok(controller)
}

fn space(small: bool) -> SearchSpace {
    let parameter = |name: &str, distribution| Parameter {
        name: name.into(),
        distribution,
        condition: None,
    };
    let options = [8, 16, 32].map(Value::Int).to_vec();
    let mut parameters = vec![
        parameter(
            "width",
            Distribution::Choice {
                options,
                ordered: None,
            },
        ),
        parameter("depth", Distribution::Randint { upper: 4 }),
    ];
    if !small {
        parameters.push(parameter("lr", Distribution::Uniform { low: 0.0, high: 1.0 }));
    }
    SearchSpace {
        parameters,
        constraints: Vec::new(),
    }
}

fn assignment(small: bool, source: &mut Stream) -> Assignment {
    let mut values = vec![
        Some(Value::Int([8, 16, 32][source.index(3)])),
        Some(Value::Int(source.below(4) as i64)),
    ];
    if !small {
        values.push(Some(Value::Float(source.unit())));
    }
    Assignment { values }
}

fn command(at: u64, total: u64, small: bool, source: &mut Stream, commands: &mut Vec<(u64, Event)>) {
    let trial = source.below(total + 2);
    let attempt = source.below(3) as u32;
    let event = match source.below(12) {
        0 | 1 => Event::CancelTrial { trial },
        2 if source.unit() < 0.4 => Event::CancelSweep {
            reason: "enough".into(),
        },
        3 => {
            commands.push((at + source.below(60_000), Event::Resume));
            Event::Pause {
                reason: "wait".into(),
            }
        }
        4 | 5 => Event::SetLimits(Limits {
            max_total: source.below(2 * total),
            max_concurrent: source.below(8),
            max_duration_ms: (source.unit() < 0.1).then(|| at + source.below(100_000)),
        }),
        6 | 7 => Event::Enqueue {
            assignment: assignment(small, source),
        },
        8 | 9 => Event::Rerun { trial },
        10 => Event::Reported {
            trial: u64::MAX - trial,
            attempt,
            observation: Observation {
                value: 1e9,
                step: None,
                elapsed_ms: 0,
            },
        },
        _ => Event::Exited {
            trial: trial + total * 3,
            attempt: attempt + 5,
            outcome: Outcome::Completed,
        },
    };
    commands.push((at, event));
}

fn policy(source: &mut Stream, freeze: bool, steps: u64) -> PolicySpec {
    let schedule = Schedule {
        evaluation_interval: 1 + source.below(3),
        delay_evaluation: source.below(5),
    };
    let trigger = if source.unit() < 0.8 {
        Trigger::Sweep
    } else {
        Trigger::Reporter
    };
    if freeze {
        let (min_resource, reduction_factor) = (1 + source.below(3), 2 + source.below(3));
        return match source.below(3) {
            0 => PolicySpec::Asha {
                min_resource,
                reduction_factor,
                freeze,
            },
            1 => PolicySpec::Hyperband {
                min_resource,
                reduction_factor,
                brackets: 1 + source.below(3),
                freeze,
            },
            _ => PolicySpec::Predictive {
                false_stops: 0.01 + 0.4 * source.unit(),
                top_k: 1 + source.below(2),
                eager: source.unit() < 0.5,
                delay_evaluation: source.below(3),
                max_resource: (source.unit() < 0.7).then_some(steps.max(2)),
                freeze,
            },
        };
    }
    match source.below(5) {
        0 => PolicySpec::NoTermination,
        1 => PolicySpec::Bandit {
            schedule,
            slack: Slack::Factor(0.05 + source.unit()),
            literal: source.unit() < 0.2,
            trigger,
        },
        2 => PolicySpec::Bandit {
            schedule,
            slack: Slack::Amount(source.unit() / 2.0),
            literal: false,
            trigger,
        },
        3 => PolicySpec::MedianStopping { schedule, trigger },
        _ => PolicySpec::TruncationSelection {
            schedule,
            percentage: 1 + source.below(99) as u8,
            exclude_finished_jobs: source.unit() < 0.3,
            trigger,
        },
    }
}

fn freeze_limits(source: &mut Stream, freeze: bool) -> FreezeLimits {
    if !freeze {
        return FreezeLimits::NONE;
    }
    FreezeLimits {
        max_frozen: [0, 1, 2, 5, 20, u64::MAX][source.index(6)],
        // Each trial holds a sixteenth of the machine.
        memory: (source.unit() < 0.5).then(|| FrozenMemory::Share(source.unit().max(0.01))),
    }
}

fn schedule(spec: &PolicySpec) -> Schedule {
    match spec {
        PolicySpec::NoTermination
        | PolicySpec::Asha { .. }
        | PolicySpec::Hyperband { .. }
        | PolicySpec::Predictive { .. } => Schedule::default(),
        PolicySpec::Bandit { schedule, .. }
        | PolicySpec::MedianStopping { schedule, .. }
        | PolicySpec::TruncationSelection { schedule, .. } => *schedule,
    }
}
