//! What has happened so far, as samplers, policies and reports see it: trials with their assignments, states and primary-metric
//! series.
//!
//! Pure plain data. The controller owns the one [`History`] of a sweep and is the only writer; everybody else reads.

use crate::metric::{Goal, Series};
use crate::space::Assignment;
use serde::{Deserialize, Serialize};

/// State of a trial. The words are HyperDrive's; `Paused` is a frozen trial, `NotResponding` one whose fate is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum TrialState {
    /// Created, its attempt not yet started by a runner.
    Queued,
    /// The runner prepares the attempt (environment, files).
    Preparing,
    /// The script runs.
    Running,
    /// Frozen in place (SIGSTOP); its slot is free.
    Paused,
    /// No sign of life and no proof of death; the slot stays taken.
    NotResponding,
    /// A cancel was decided and not yet confirmed.
    CancelRequested,
    /// Ended with exit code 0.
    Completed,
    /// Ended otherwise, or could not be started.
    Failed,
    /// Ended because a policy, a limit or the user said so.
    Canceled,
}

impl TrialState {
    /// Whether the state is final.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }

    /// The word, as in JSON and in the terminal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Preparing => "Preparing",
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::NotResponding => "NotResponding",
            Self::CancelRequested => "CancelRequested",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
        }
    }
}

/// Who ended a trial before its script did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CancelCause {
    /// The early-termination policy; the decision with its numbers is recorded beside it.
    Policy,
    /// The user cancelled this trial.
    User,
    /// The user cancelled the sweep, or a signal ended it.
    Sweep,
    /// `max_duration_minutes` of the sweep.
    MaxDuration,
    /// The trial's own time limit.
    TrialTimeout,
    /// Its use of memory: it has failed, whatever it reported before.
    OutOfMemory,
}

/// One trial as the decision makers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Number in creation order, from 0.
    pub number: u64,
    /// Its values.
    pub assignment: Assignment,
    /// Where it stands.
    pub state: TrialState,
    /// Accepted reports of the primary metric, in order. Reports after a stop decision are not in here.
    pub series: Series,
    /// Who cancelled it, if someone did.
    pub cause: Option<CancelCause>,
}

impl Trial {
    /// Best finite value reported so far: HyperDrive's score of a run.
    pub fn score(&self) -> Option<f64> {
        self.series.best().map(|(_, value)| value)
    }
}

/// All trials of one sweep, and those inherited by `resume_from`.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Direction of the primary metric.
    pub goal: Goal,
    /// Trials of this sweep; index = number.
    pub trials: Vec<Trial>,
    /// Terminal trials of earlier sweeps on a compatible space; data for samplers and reference for policies, never counted.
    pub inherited: Vec<Trial>,
}

impl History {
    /// An empty history.
    pub fn new(goal: Goal) -> Self {
        Self {
            goal,
            trials: Vec::new(),
            inherited: Vec::new(),
        }
    }

    /// Trials that are created and not terminal.
    pub fn pending(&self) -> impl Iterator<Item = &Trial> {
        self.trials.iter().filter(|trial| !trial.state.is_terminal())
    }

    /// The best trial by its best value; among equals the one with the smaller number.
    pub fn incumbent(&self) -> Option<&Trial> {
        self.trials
            .iter()
            .filter(|trial| trial.score().is_some())
            .reduce(|best, trial| match (trial.score(), best.score()) {
                (Some(a), Some(b)) if self.goal.better(a, b) => trial,
                _ => best,
            })
    }
}
