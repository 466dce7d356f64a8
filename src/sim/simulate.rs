//! What a policy would save: one sweep on synthetic or recorded curves, under each of several policies.

use super::agenda::Agenda;
use super::target::{FactKind, SimTarget};
use super::workload::{LearningCurves, Plan, RecordedCurves, RecordedTrial, Workload};
use crate::controller::{Action, Controller, Event, Settings, StopWhen, SweepState};
use crate::history::{CancelCause, History, TrialState};
use crate::metric::{Goal, number};
use crate::policy::{self, PolicySpec};
use crate::sampler::{self, Origin, Proposal, Sampler, SamplerError, SamplerSpec, Suggestion};
use crate::space::{Assignment, SearchSpace};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The sweep to simulate.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Settings of the controller.
    pub settings: Settings,
    /// Space of the trials.
    pub space: Arc<SearchSpace>,
    /// Sampler; not asked when recorded curves are played.
    pub sampler: SamplerSpec,
    /// Configurations to try first; not used when recorded curves are played.
    pub enqueue: Vec<Assignment>,
    /// Slots of the target.
    pub slots: u64,
    /// Condition that ends the sweep early.
    pub stop_when: Option<StopWhen>,
}

/// Where the curves come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// [`LearningCurves`] over the space of the setup.
    Synthetic {
        /// Seed of the hidden optimum and of the noise.
        seed: u64,
        /// Reports of a whole trial.
        steps: u64,
        /// Mean milliseconds between reports.
        step_ms: u64,
        /// Standard deviation of the noise.
        noise: f64,
    },
    /// Trials of an earlier sweep, in order; the sweep is over when they are.
    Recorded(Arc<Vec<RecordedTrial>>),
}

/// What one policy led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Name of the policy as given.
    pub policy: String,
    /// State of the sweep in the end.
    pub state: SweepState,
    /// Trials created.
    pub trials: u64,
    /// Trials that ran to their end.
    pub completed: u64,
    /// Trials that failed.
    pub failed: u64,
    /// Trials that the policy stopped.
    pub stopped: u64,
    /// Reports made.
    pub reports: u64,
    /// Reports that the same trials would have made undisturbed.
    pub reports_whole: u64,
    /// Share of the reports that the policy saved, 0 to 1.
    pub saved: f64,
    /// Virtual milliseconds from start to end.
    pub duration_ms: u64,
    /// Best value and its trial.
    pub best: Option<Found>,
    /// Best value that the same trials would have reached undisturbed.
    pub best_whole: Option<Found>,
}

/// A value and who reported it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Trial.
    pub trial: u64,
    /// Value.
    #[serde(with = "number")]
    pub value: f64,
}

/// Why a sweep cannot be simulated.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum SimError {
    /// The sampler cannot be built.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// There is no recorded trial.
    #[error("there are no recorded trials to play")]
    NothingRecorded,
    /// The sweep did not end within this many events.
    #[error("the sweep did not end within {0} events")]
    Endless(u64),
}

const EVENTS_MAX: u64 = 100_000_000;

/// Runs the sweep once per policy, each with the same sampler, seed and curves.
///
/// # Errors
/// [`SimError`] if the sampler cannot be built or there is nothing to play.
pub fn simulate(
    setup: &Setup,
    source: &Source,
    policies: &[(String, PolicySpec)],
) -> Result<Vec<Line>, SimError> {
    if matches!(source, Source::Recorded(trials) if trials.is_empty()) {
        return Err(SimError::NothingRecorded);
    }
    policies
        .iter()
        .map(|(name, spec)| line(setup, source, name, spec))
        .collect()
}

fn workload(setup: &Setup, source: &Source) -> Box<dyn Workload> {
    match source {
        Source::Synthetic {
            seed,
            steps,
            step_ms,
            noise,
        } => Box::new(LearningCurves {
            space: Arc::clone(&setup.space),
            goal: setup.settings.goal,
            seed: *seed,
            steps: *steps,
            step_ms: *step_ms,
            noise: *noise,
        }),
        Source::Recorded(trials) => Box::new(RecordedCurves {
            trials: Arc::clone(trials),
        }),
    }
}

fn line(setup: &Setup, source: &Source, name: &str, spec: &PolicySpec) -> Result<Line, SimError> {
    let goal = setup.settings.goal;
    let (sampler, enqueue): (Box<dyn Sampler>, _) = match source {
        Source::Recorded(trials) => (Box::new(Replay(Arc::clone(trials))), Vec::new()),
        Source::Synthetic { .. } => (
            sampler::build(&setup.sampler, Arc::clone(&setup.space), goal)?,
            setup.enqueue.clone(),
        ),
    };
    let mut controller = Controller::new(setup.settings, sampler, policy::build(spec, goal), enqueue);
    controller.stop_when(setup.stop_when.clone());
    let mut target = SimTarget::new(workload(setup, source), None);
    let mut agenda = Agenda::default();
    let mut reports = 0;
    agenda.enter(0, None);
    if let Some(deadline) = controller.next_deadline() {
        agenda.enter(deadline, None);
    }
    let mut events = 0;
    while let Some(wake) = agenda.take() {
        let Some((trial, attempt)) = wake else {
            let event = match events {
                0 => Event::SlotsChanged { slots: setup.slots },
                _ => Event::Tick,
            };
            events += 1;
            let actions = controller.handle(agenda.now(), event).actions;
            perform(&mut target, &mut agenda, actions);
            if let Some(deadline) = controller.next_deadline().filter(|at| *at > agenda.now()) {
                agenda.enter(deadline, None);
            }
            if controller.state().is_terminal() {
                break;
            }
            continue;
        };
        while let Some(fact) = target.next(agenda.now(), trial, attempt) {
            reports += u64::from(matches!(fact.kind, FactKind::Reported(_)));
            let event = fact.event(trial, attempt);
            if let Some(next) = target.taken(trial, attempt) {
                agenda.enter(next, Some((trial, attempt)));
            }
            events += 1;
            let actions = controller.handle(agenda.now(), event).actions;
            perform(&mut target, &mut agenda, actions);
        }
        if events > EVENTS_MAX {
            return Err(SimError::Endless(EVENTS_MAX));
        }
        if controller.state().is_terminal() {
            break;
        }
    }
    Ok(sum_up(setup, source, name, &controller, agenda.now(), reports))
}

fn perform(target: &mut SimTarget, agenda: &mut Agenda<Option<(u64, u32)>>, actions: Vec<Action>) {
    let now = agenda.now();
    for action in actions {
        let (key, at) = match action {
            Action::Launch {
                trial,
                attempt,
                assignment,
            } => ((trial, attempt), target.launch(now, trial, attempt, &assignment)),
            Action::Cancel { trial, attempt, .. } => ((trial, attempt), target.cancel(now, trial, attempt)),
            Action::Freeze { trial, attempt } => ((trial, attempt), target.freeze(now, trial, attempt)),
            Action::Thaw { trial, attempt } => ((trial, attempt), target.thaw(now, trial, attempt)),
            Action::End { .. } => continue,
        };
        if let Some(at) = at {
            agenda.enter(at, Some(key));
        }
    }
}

fn sum_up(
    setup: &Setup,
    source: &Source,
    name: &str,
    controller: &Controller,
    duration_ms: u64,
    reports: u64,
) -> Line {
    let workload = workload(setup, source);
    let history = controller.history();
    let count = |state: TrialState| history.trials.iter().filter(|trial| trial.state == state).count() as u64;
    let stopped = history
        .trials
        .iter()
        .filter(|trial| trial.cause == Some(CancelCause::Policy))
        .count() as u64;
    let mut reports_whole = 0;
    let mut best_whole: Option<Found> = None;
    for trial in &history.trials {
        let plan = workload.plan(trial.number, 0, &trial.assignment);
        reports_whole += plan.reports.len() as u64;
        if let Some(value) = best_of(setup.settings.goal, &plan)
            && best_whole.is_none_or(|best| setup.settings.goal.better(value, best.value))
        {
            best_whole = Some(Found {
                trial: trial.number,
                value,
            });
        }
    }
    let best = controller.incumbent().map(|incumbent| Found {
        trial: incumbent.trial,
        value: incumbent.value,
    });
    Line {
        policy: name.to_owned(),
        state: controller.state(),
        trials: history.trials.len() as u64,
        completed: count(TrialState::Completed),
        failed: count(TrialState::Failed),
        stopped,
        reports,
        reports_whole,
        saved: match reports_whole {
            0 => 0.0,
            whole => (1.0 - reports as f64 / whole as f64).max(0.0),
        },
        duration_ms,
        best,
        best_whole,
    }
}

fn best_of(goal: Goal, plan: &Plan) -> Option<f64> {
    let values = plan
        .reports
        .iter()
        .map(|report| report.value)
        .filter(|value| value.is_finite());
    values.reduce(|a, b| if goal.better(b, a) { b } else { a })
}

/// Suggests what was recorded, in order.
struct Replay(Arc<Vec<RecordedTrial>>);

impl Sampler for Replay {
    fn suggest(&mut self, number: u64, _: &History) -> Suggestion {
        match usize::try_from(number).ok().and_then(|index| self.0.get(index)) {
            Some(trial) => Suggestion::Next(Box::new(Proposal {
                assignment: trial.assignment.clone(),
                origin: Origin {
                    sampler: "replay".into(),
                    method: format!("recorded trial {number}"),
                    predicted: None,
                    notes: Vec::new(),
                },
            })),
            None => Suggestion::Exhausted(format!("all {} recorded trials have been played", self.0.len())),
        }
    }
}
