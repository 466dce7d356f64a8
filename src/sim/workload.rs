//! What trials would do if they were run: curves, durations, ends.

use crate::controller::Outcome;
use crate::metric::{Goal, Observation};
use crate::sampler::rng::stream;
use crate::space::{Assignment, Distribution, SearchSpace, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The undisturbed course of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Milliseconds from the launch to the start of the script.
    pub prepare_ms: u64,
    /// What the script reports, with the milliseconds since its start, ascending.
    pub reports: Vec<Observation>,
    /// Milliseconds from the start of the script to its end; not before the last report.
    pub duration_ms: u64,
    /// How it ends.
    pub outcome: Outcome,
}

/// Knows what every trial would do.
pub trait Workload: Send {
    /// The course of an attempt; the same for the same arguments.
    fn plan(&self, trial: u64, attempt: u32, assignment: &Assignment) -> Plan;
}

/// Saturating exponential curves whose height depends on how near a configuration is to a hidden optimum.
///
/// `value(step) = final + (initial - final) * exp(-rate * step)` plus normal noise, after the curve models of Domhan, Springenberg,
/// Hutter, "Speeding up automatic hyperparameter optimization of deep neural networks by extrapolation of learning curves" (2015).
#[derive(Clone, Debug)]
pub struct LearningCurves {
    /// Space of the assignments.
    pub space: Arc<SearchSpace>,
    /// Direction: values rise from 0 towards 1 to maximize, fall from 1 towards 0 to minimize.
    pub goal: Goal,
    /// Seed of the optimum and of the noise.
    pub seed: u64,
    /// Reports of a whole trial.
    pub steps: u64,
    /// Mean milliseconds from one report to the next; a trial is up to twice as fast or slow.
    pub step_ms: u64,
    /// Standard deviation of the noise on each report.
    pub noise: f64,
}

impl LearningCurves {
    /// Final value of a configuration without noise, 0 worst to 1 best.
    pub fn quality(&self, assignment: &Assignment) -> f64 {
        let mut optimum = stream(self.seed, "optimum", 0);
        let (mut square, mut weights) = (0.0, 0.0);
        for (index, parameter) in self.space.parameters.iter().enumerate() {
            let (target, weight) = (optimum.unit(), 0.25 + optimum.unit());
            if let Some(Some(value)) = assignment.values.get(index) {
                square += weight * (position(&parameter.distribution, value) - target).powi(2);
                weights += weight;
            }
        }
        if weights > 0.0 {
            (-4.0 * square / weights).exp()
        } else {
            0.5
        }
    }
}

impl Workload for LearningCurves {
    fn plan(&self, trial: u64, attempt: u32, assignment: &Assignment) -> Plan {
        let mut source = stream(self.seed, "curve", trial << 8 | u64::from(attempt & 0xff));
        let quality = self.quality(assignment);
        let rate = (1.0 + 4.0 * source.unit()) / self.steps.max(1) as f64;
        let pace = (self.step_ms as f64 * (source.unit() * 2.0 - 1.0).exp2()).max(1.0);
        let reports = (1..=self.steps)
            .map(|step| {
                let height = quality * (1.0 - (-rate * step as f64).exp()) + self.noise * source.normal();
                Observation {
                    value: match self.goal {
                        Goal::Maximize => height,
                        Goal::Minimize => 1.0 - height,
                    },
                    step: Some(step as i64 - 1),
                    elapsed_ms: (pace * step as f64) as u64,
                }
            })
            .collect::<Vec<_>>();
        Plan {
            prepare_ms: self.step_ms / 4,
            duration_ms: reports.last().map_or(0, |last| last.elapsed_ms) + 1,
            reports,
            outcome: Outcome::Completed,
        }
    }
}

/// Where a value lies in its distribution, 0 to 1.
fn position(distribution: &Distribution, value: &Value) -> f64 {
    if let Distribution::Choice { options, .. } = distribution {
        let index = options.iter().position(|option| option == value).unwrap_or(0);
        return (index as f64 + 0.5) / options.len().max(1) as f64;
    }
    let Some(value) = value.as_f64() else {
        return 0.5;
    };
    // Quantiles ascend, so that the place of a value is found by halving.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..30 {
        let middle = (low + high) / 2.0;
        match distribution.quantile(middle).as_f64() {
            Some(quantile) if quantile < value => low = middle,
            _ => high = middle,
        }
    }
    (low + high) / 2.0
}

/// One recorded trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedTrial {
    /// Its values.
    pub assignment: Assignment,
    /// All its reports of the primary metric.
    pub reports: Vec<Observation>,
    /// Milliseconds from its start to its end.
    pub duration_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// Trials of an earlier sweep, played again in their order.
#[derive(Clone, Debug, Default)]
pub struct RecordedCurves {
    /// By trial number.
    pub trials: Arc<Vec<RecordedTrial>>,
}

impl Workload for RecordedCurves {
    fn plan(&self, trial: u64, _: u32, _: &Assignment) -> Plan {
        let recorded = usize::try_from(trial)
            .ok()
            .and_then(|index| self.trials.get(index));
        Plan {
            prepare_ms: 0,
            reports: recorded.map(|trial| trial.reports.clone()).unwrap_or_default(),
            duration_ms: recorded.map_or(0, |trial| trial.duration_ms),
            outcome: recorded.map_or(Outcome::Completed, |trial| trial.outcome.clone()),
        }
    }
}
