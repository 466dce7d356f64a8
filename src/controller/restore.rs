//! Going on after the end of a controller's life: decisions are replayed, never taken again.

use crate::controller::Settings;
use crate::controller::machine::Controller;
use crate::controller::state::Snapshot;
use crate::history::TrialState;
use crate::policy::Policy;
use crate::sampler::Sampler;
use std::collections::BTreeSet;

/// Why a snapshot cannot be gone on with.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// The sweep never began; it is started with `Controller::new`.
    #[error("the sweep has no records")]
    NotBegun,
    /// Trials are not numbered 0, 1, 2, ...
    #[error("trial {found} stands where trial {expected} should")]
    Numbering {
        /// The number that should be there.
        expected: u64,
        /// The number that is.
        found: u64,
    },
    /// There is not one attempt state per trial.
    #[error("{attempts} attempt states for {trials} trials")]
    Attempts {
        /// Trials.
        trials: usize,
        /// Attempt states.
        attempts: usize,
    },
    /// A trial and its attempts contradict each other.
    #[error("trial {trial} is {}, but its latest attempt has not ended", state.word())]
    Contradiction {
        /// The trial.
        trial: u64,
        /// Its state.
        state: TrialState,
    },
    /// The metric's direction is another one than in the settings.
    #[error("the goal of the sweep has changed")]
    Goal,
}

impl Controller {
    /// The controller that gave out the records of `snapshot`. `sampler` and `policy` are freshly built from the same settings.
    ///
    /// The driver then tells the slots, performs [`Controller::outstanding`] and goes on; `now_ms` keeps counting from the
    /// creation of the sweep.
    ///
    /// # Errors
    /// [`RestoreError`] if the snapshot contradicts itself or the settings.
    pub fn restore(
        settings: Settings,
        sampler: Box<dyn Sampler>,
        policy: Box<dyn Policy>,
        snapshot: Snapshot,
    ) -> Result<Self, RestoreError> {
        check(&settings, &snapshot)?;
        let mut controller = Self {
            settings,
            sampler,
            policy,
            state: snapshot,
            first: Vec::new(),
            live: BTreeSet::new(),
            waiting: BTreeSet::new(),
            slots: 0,
            inherited_fed: 0,
            stop_when: None,
            spent: None,
            now: 0,
        };
        for (trial, attempts) in controller
            .state
            .history
            .trials
            .iter()
            .zip(&controller.state.attempts)
        {
            for value in trial.series.values() {
                controller.policy.report(trial.number, *value);
            }
            if trial.state.is_terminal() {
                controller.policy.end(trial.number, trial.state);
                continue;
            }
            if trial.state == TrialState::CancelRequested {
                controller.policy.end(trial.number, TrialState::Canceled);
            }
            controller.live.insert(trial.number);
            if !attempts.alive {
                controller.waiting.insert(trial.number);
            }
        }
        let inherited = std::mem::take(&mut controller.state.history.inherited);
        controller.inherit(inherited);
        Ok(controller)
    }
}

fn check(settings: &Settings, snapshot: &Snapshot) -> Result<(), RestoreError> {
    let trials = &snapshot.history.trials;
    if !snapshot.progress.begun {
        return Err(RestoreError::NotBegun);
    }
    if snapshot.history.goal != settings.goal {
        return Err(RestoreError::Goal);
    }
    if trials.len() != snapshot.attempts.len() {
        return Err(RestoreError::Attempts {
            trials: trials.len(),
            attempts: snapshot.attempts.len(),
        });
    }
    for (index, (trial, attempts)) in trials.iter().zip(&snapshot.attempts).enumerate() {
        if trial.number != index as u64 {
            return Err(RestoreError::Numbering {
                expected: index as u64,
                found: trial.number,
            });
        }
        if trial.state.is_terminal() && attempts.alive {
            return Err(RestoreError::Contradiction {
                trial: trial.number,
                state: trial.state,
            });
        }
    }
    Ok(())
}
