//! A sweep without a controller: suggest, then let older trials end.

use overdrive::history::{CancelCause, History, Trial, TrialState};
use overdrive::metric::{Goal, Series};
use overdrive::sampler::{Origin, Sampler, SamplerSpec, Suggestion, build};
use overdrive::space::{Assignment, SearchSpace, Value};
use std::sync::Arc;

pub(super) fn spec(kind: &str) -> SamplerSpec {
    spec_seed(kind, 0)
}

pub(super) fn spec_seed(kind: &str, seed: u64) -> SamplerSpec {
    SamplerSpec {
        kind: kind.into(),
        seed,
        allow_duplicates: false,
        options: serde_json::Map::new(),
    }
}

#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Pending,
    Completed(f64),
    Failed,
    Canceled(CancelCause, Option<f64>),
}

pub(super) fn trial(number: u64, assignment: Assignment, outcome: Outcome, goal: Goal) -> Trial {
    let mut series = Series::default();
    let (state, cause) = match outcome {
        Outcome::Pending => (TrialState::Running, None),
        Outcome::Completed(value) => {
            series.push(goal, value);
            (TrialState::Completed, None)
        }
        Outcome::Failed => (TrialState::Failed, None),
        Outcome::Canceled(cause, value) => {
            value.into_iter().for_each(|value| {
                series.push(goal, value);
            });
            (TrialState::Canceled, Some(cause))
        }
    };
    Trial {
        number,
        assignment,
        state,
        series,
        cause,
    }
}

pub(super) struct Sweep {
    pub(super) sampler: Box<dyn Sampler>,
    pub(super) history: History,
    pub(super) origins: Vec<Origin>,
}

impl Sweep {
    pub(super) fn new(kind: &str, space: Arc<SearchSpace>, seed: u64) -> Self {
        let sampler = build(&spec_seed(kind, seed), space, Goal::Minimize).unwrap();
        Self {
            sampler,
            history: History::new(Goal::Minimize),
            origins: Vec::new(),
        }
    }

    fn ask(&mut self, outcome: Outcome) -> Option<Assignment> {
        let number = self.history.trials.len() as u64;
        let Suggestion::Next(next) = self.sampler.suggest(number, &self.history) else {
            return None;
        };
        self.origins.push(next.origin);
        self.history
            .trials
            .push(trial(number, next.assignment.clone(), outcome, Goal::Minimize));
        Some(next.assignment)
    }

    /// Suggests one trial that ends at once as told.
    pub(super) fn step_with(&mut self, outcome: Outcome) -> Option<Assignment> {
        self.ask(outcome)
    }

    /// Suggests one trial; then, if more than `workers - 1` are open, ends one of them (not always the oldest).
    pub(super) fn step(&mut self, workers: usize) -> Option<Assignment> {
        let assignment = self.ask(Outcome::Pending)?;
        let open: Vec<u64> = self.history.pending().map(|trial| trial.number).collect();
        if open.len() >= workers {
            let number = open[(open.len() * 7 / 3) % open.len()];
            let chosen = self.history.trials[number as usize].assignment.clone();
            let outcome = Outcome::Completed(value(&chosen));
            self.history.trials[number as usize] = trial(number, chosen, outcome, Goal::Minimize);
        }
        Some(assignment)
    }
}

/// A smooth objective of any assignment.
fn value(assignment: &Assignment) -> f64 {
    let term = |(index, value): (usize, &Option<Value>)| match value {
        Some(value) => match value.as_f64() {
            Some(number) => (number.clamp(-1e6, 1e6) - 0.3 * (index as f64 + 1.0) / 4.0)
                .powi(2)
                .min(1e6),
            None => 0.1 * value.to_string().len() as f64,
        },
        None => 0.0,
    };
    assignment.values.iter().enumerate().map(term).sum()
}
