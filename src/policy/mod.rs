//! Early-termination policies: who is stopped before the end.
//!
//! Pure. A policy is fed the primary metric's reports and the ends of trials in the order in which the controller accepted them,
//! and asked after each batch whom it would stop. It may keep any incremental state, but its decisions are a deterministic
//! function of the fed order. Semantics: HyperDrive's, see `docs/reference/policies.md`.

mod asha;
mod bandit;
mod hyperband;
mod inequality;
mod median_stopping;
mod no_termination;
mod population;
mod predictive;
mod ranks;
mod truncation_selection;

pub use inequality::survival;

use crate::history::TrialState;
use crate::metric::Goal;
use asha::Asha;
use bandit::Bandit;
use hyperband::Hyperband;
use median_stopping::MedianStopping;
use no_termination::NoTermination;
use population::Ranked;
use predictive::Predictive;
use serde::{Deserialize, Serialize};
use truncation_selection::TruncationSelection;

/// When a policy looks at a trial: at interval n iff `n >= max(1, delay_evaluation)` and `n mod evaluation_interval == 0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Schedule {
    /// Every how many intervals; >= 1 (configuration maps 0 and less to 1).
    pub evaluation_interval: u64,
    /// Not before this interval.
    pub delay_evaluation: u64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            evaluation_interval: 1,
            delay_evaluation: 0,
        }
    }
}

impl Schedule {
    /// Latest due interval of a trial with `reports` reports; 0 = none.
    pub fn latest_due(self, reports: u64) -> u64 {
        let every = self.evaluation_interval.max(1);
        let due = reports / every * every;
        if due >= self.delay_evaluation.max(1) {
            due
        } else {
            0
        }
    }
}

impl PolicySpec {
    /// Whether trials may be frozen.
    pub fn freezes(&self) -> bool {
        matches!(
            self,
            Self::Asha { freeze: true, .. }
                | Self::Hyperband { freeze: true, .. }
                | Self::Predictive { freeze: true, .. }
        )
    }

    /// Has trials frozen or not, for policies that can; `false` if this one cannot.
    pub fn set_freeze(&mut self, on: bool) -> bool {
        match self {
            Self::Asha { freeze, .. } | Self::Hyperband { freeze, .. } | Self::Predictive { freeze, .. } => {
                *freeze = on;
                true
            }
            _ => false,
        }
    }

    /// The first interval at which a trial is looked at; `None` for a policy that never looks.
    pub fn first_due(&self) -> Option<u64> {
        let schedule = match self {
            Self::NoTermination => return None,
            Self::Asha { min_resource, .. } | Self::Hyperband { min_resource, .. } => {
                return Some((*min_resource).max(1));
            }
            Self::Predictive { delay_evaluation, .. } => return Some((*delay_evaluation).max(1)),
            Self::Bandit { schedule, .. }
            | Self::MedianStopping { schedule, .. }
            | Self::TruncationSelection { schedule, .. } => schedule,
        };
        let every = schedule.evaluation_interval.max(1);
        Some(
            schedule
                .delay_evaluation
                .max(1)
                .div_ceil(every)
                .saturating_mul(every),
        )
    }
}

/// Slack of the Bandit policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Slack {
    /// `slack_factor`: relative to the best.
    Factor(f64),
    /// `slack_amount`: absolute.
    Amount(f64),
}

/// Whom to judge after a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Every running trial at its latest due interval, from one snapshot.
    #[default]
    Sweep,
    /// Only the trial that reported, and only if its new interval is due.
    Reporter,
}

/// Serialisable settings of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PolicySpec {
    /// Never stops anything.
    NoTermination,
    /// Stops whoever is worse than the best by more than the slack.
    Bandit {
        /// When.
        #[serde(flatten)]
        schedule: Schedule,
        /// How much worse is allowed.
        slack: Slack,
        /// Use the raw ratio formula also for negative metrics (bug-for-bug).
        #[serde(default)]
        literal: bool,
        /// Whom to judge.
        #[serde(default)]
        trigger: Trigger,
    },
    /// Stops whoever's best is worse than the median of the running averages.
    MedianStopping {
        /// When.
        #[serde(flatten)]
        schedule: Schedule,
        /// Whom to judge.
        #[serde(default)]
        trigger: Trigger,
    },
    /// Stops the worst `percentage` per cent.
    TruncationSelection {
        /// When.
        #[serde(flatten)]
        schedule: Schedule,
        /// 1..=99.
        percentage: u8,
        /// Rank only trials that still run.
        #[serde(default)]
        exclude_finished_jobs: bool,
        /// Whom to judge.
        #[serde(default)]
        trigger: Trigger,
    },
    /// Keeps the best at each of some rungs that lie ever further apart; not one of HyperDrive's.
    Asha {
        /// Reports at the lowest rung; >= 1.
        min_resource: u64,
        /// One in so many goes on, and the next rung lies so many times as far; >= 2.
        reduction_factor: u64,
        /// Freeze who does not go on, and let go on later who is among the best by then, instead of stopping.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        freeze: bool,
    },
    /// ASHA in brackets that begin later and later; not one of HyperDrive's.
    Hyperband {
        /// Reports at the lowest rung of the first bracket; >= 1.
        min_resource: u64,
        /// As for ASHA; each bracket's first rung lies so many times as far as that of the one before; >= 2.
        reduction_factor: u64,
        /// Number of brackets, 1 to 20.
        brackets: u64,
        /// As for ASHA.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        freeze: bool,
    },
    /// Stops whoever will hardly become one of the best, by a model of learning curves; not one of HyperDrive's.
    Predictive {
        /// Bound of the probability that a stopped trial would have become one of the best, and of the share of such trials
        /// among the stopped ones; in (0, 0.5].
        false_stops: f64,
        /// How many trials count as the best; >= 1.
        top_k: u64,
        /// Stop also where a new trial promises more for its reports: for sweeps that are bounded by time, not by trials.
        #[serde(default)]
        eager: bool,
        /// Not before this interval.
        delay_evaluation: u64,
        /// Reports of a whole trial; learned from those that complete unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_resource: Option<u64>,
        /// Freeze instead of stopping, and let go on whose chances are better than those of a new trial by then.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        freeze: bool,
    },
}

/// A decision to stop, with the operands of its inequality; enough to re-derive it and to say what survival would have taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Stop {
    /// The trial.
    pub trial: u64,
    /// The interval at which it was judged.
    pub interval: u64,
    /// The policy by its wire name: `Bandit`, `MedianStopping`, `TruncationSelection`, ...
    pub policy: String,
    /// Best value of the trial up to the interval, if it has any.
    pub value: Option<f64>,
    /// What it was compared with (threshold, median, value of the last survivor); in metric units.
    pub threshold: Option<f64>,
    /// All operands by name, in the order of the formula: `best`, `slack_factor`, `threshold`, `median`, `population`, `k`,
    /// `kept`, `reduction_factor`, `better`, `probability`; `sign` is last: 1 to maximize, -1 to minimize.
    pub operands: indexmap::IndexMap<String, f64>,
    /// The inequality with its numbers in words: `Accuracy 0.6120 < 0.8474 (best 0.9321 / 1.1)` without the metric's name.
    pub inequality: String,
}

/// A decision to let a frozen trial go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Thaw {
    /// The trial.
    pub trial: u64,
    /// The policy by its wire name.
    pub policy: String,
    /// Why, in words with the numbers: `2 of 9 at interval 3 are better, 3 go on`.
    pub reason: String,
}

/// Decides whom to stop.
pub trait Policy: Send {
    /// `trial` reported the primary metric once more (NaN and infinities included); returns nothing, see [`Policy::stops`].
    fn report(&mut self, trial: u64, value: f64);

    /// The reports of `trial` are over: it ended, or its cancel was decided (the policy's own stops included, `Canceled` then).
    /// It stays in the reference sets. A second call for the same trial changes nothing.
    fn end(&mut self, trial: u64, state: TrialState);

    /// The attempt of `trial` was superseded: its reports so far count for nothing, the trial begins anew.
    fn restart(&mut self, trial: u64);

    /// All that was fed so far was judged in an earlier life of the controller (or is inherited): nobody is to be judged for it.
    /// The trials that were stopped then have been told by [`Policy::end`].
    fn restored(&mut self);

    /// How far `trial` is from being stopped at its latest due interval, by all that was fed so far: its value against what it is
    /// compared with, in units of the metric, positive = kept. `None` without a due interval, a value, or anything to compare with.
    fn margin(&self, trial: u64) -> Option<f64> {
        let _ = trial;
        None
    }

    /// Whom to stop now, judged on everything fed so far; ascending by trial. A trial is named at most once over the policy's life.
    fn stops(&mut self) -> Vec<Stop>;

    /// Whom to freeze now, as [`Policy::stops`]. A frozen trial is one of those that run, as far as the policy is concerned: it may be
    /// thawed and is judged again at what it reaches then.
    fn freezes(&mut self) -> Vec<Stop> {
        Vec::new()
    }

    /// Which of the `frozen` trials (ascending) is to go on in a place that is free, rather than a new trial beginning there. `last` =
    /// no new trial will begin: the place is for one of them or for nobody. A function of all that was fed so far.
    fn thaw(&mut self, frozen: &[u64], last: bool) -> Option<Thaw> {
        let _ = (frozen, last);
        None
    }

    /// How promising a trial is that is frozen or about to be: where there is no room for all, the least promising is stopped. Only
    /// comparisons mean something.
    fn promise(&mut self, trial: u64) -> f64 {
        let _ = trial;
        0.0
    }
}

/// Builds the policy that `spec` describes.
pub fn build(spec: &PolicySpec, goal: Goal) -> Box<dyn Policy> {
    match *spec {
        PolicySpec::NoTermination => Box::new(NoTermination),
        PolicySpec::Bandit {
            schedule,
            slack,
            literal,
            trigger,
        } => Box::new(Bandit::new(goal, schedule, slack, literal, trigger)),
        PolicySpec::MedianStopping { schedule, trigger } => {
            let rule = MedianStopping { goal };
            Box::new(Ranked::new(rule, goal, schedule, trigger))
        }
        PolicySpec::TruncationSelection {
            schedule,
            percentage,
            exclude_finished_jobs,
            trigger,
        } => {
            let rule = TruncationSelection {
                goal,
                percentage,
                exclude_finished: exclude_finished_jobs,
            };
            Box::new(Ranked::new(rule, goal, schedule, trigger))
        }
        PolicySpec::Asha {
            min_resource,
            reduction_factor,
            freeze,
        } => Box::new(Asha::new(goal, min_resource, reduction_factor).freezing(freeze)),
        PolicySpec::Hyperband {
            min_resource,
            reduction_factor,
            brackets,
            freeze,
        } => Box::new(Hyperband::new(goal, min_resource, reduction_factor, brackets).freezing(freeze)),
        PolicySpec::Predictive {
            false_stops,
            top_k,
            eager,
            delay_evaluation,
            max_resource,
            freeze,
        } => Box::new(Predictive::new(predictive::Settings {
            goal,
            false_stops,
            top_k,
            eager,
            delay_evaluation,
            max_resource,
            freeze,
        })),
    }
}
