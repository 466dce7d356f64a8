//! A sweep whose trials the caller runs.

use crate::controller::{
    Action, Batch, Controller, Event, FailureClass, Limits, Outcome, Record, Resident, Settings,
};
use crate::history::{History, Trial, TrialState};
use crate::metric::{Goal, Observation, Series};
use crate::policy::{self, PolicySpec, Stop};
use crate::sampler::{self, SamplerError, SamplerSpec};
use crate::space::{Assignment, Parameter, SearchSpace, Value};
use indexmap::IndexMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why a study cannot be built or refuses a call.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum StudyError {
    /// The sampler or the space is wrong.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// No trial has that number.
    #[error("there is no trial {0}")]
    Unknown(u64),
    /// The trial has ended.
    #[error("trial {trial} is {}", state.word())]
    Ended {
        /// The trial.
        trial: u64,
        /// Its state.
        state: TrialState,
    },
}

/// Whether a trial goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Continue,
    /// End the trial and tell its value; the policy expects nothing of it.
    Stop,
    /// Keep the trial as it is and do not go on with it for now: [`Study::ask`] names it again when its time has come. Only policies
    /// with `freeze` say so.
    Freeze,
}

/// A trial to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Number, from 0; names the trial in all other calls.
    pub number: u64,
    /// The active parameters by name, in the order of the space.
    pub parameters: IndexMap<String, Value>,
}

impl Asked {
    /// The number that a parameter has; NaN if it is inactive or no number.
    pub fn f64(&self, name: &str) -> f64 {
        self.parameters
            .get(name)
            .and_then(Value::as_f64)
            .unwrap_or(f64::NAN)
    }

    /// The value of a parameter, if it is active.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.parameters.get(name)
    }
}

/// The best trial so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// Number.
    pub trial: u64,
    /// Its best value.
    pub value: f64,
    /// Its active parameters.
    pub parameters: IndexMap<String, Value>,
}

/// Settings of a study before it begins.
#[derive(Clone, Debug)]
pub struct Builder {
    space: SearchSpace,
    goal: Goal,
    sampler: SamplerSpec,
    policy: PolicySpec,
    max_trials: u64,
    enqueue: Vec<Assignment>,
    earlier: Vec<EarlierTrials>,
}

/// Finished trials of earlier studies: values of the parameters by name (of this space; others are passed over), and the result.
pub type EarlierTrials = Vec<(IndexMap<String, Value>, f64)>;

impl Builder {
    /// Registered name of the sampler; `bayesian` unless said otherwise.
    pub fn sampler(mut self, kind: &str) -> Self {
        self.sampler.kind = kind.to_owned();
        self
    }

    /// Sampler with all its settings.
    pub fn sampler_spec(mut self, spec: SamplerSpec) -> Self {
        self.sampler = spec;
        self
    }

    /// Early-termination policy; none unless said otherwise.
    pub fn policy(mut self, policy: PolicySpec) -> Self {
        self.policy = policy;
        self
    }

    /// Seed of all draws; 0 unless said otherwise.
    pub fn seed(mut self, seed: u64) -> Self {
        self.sampler.seed = seed;
        self
    }

    /// Trials to ask for at most; unlimited unless said otherwise.
    pub fn max_trials(mut self, max: u64) -> Self {
        self.max_trials = max.max(1);
        self
    }

    /// Conditions between parameters, as in `layers * width <= 4096`.
    pub fn constraint(mut self, text: &str) -> Self {
        self.space.constraints.push(text.to_owned());
        self
    }

    /// A configuration to try before the sampler's.
    pub fn enqueue(mut self, assignment: Assignment) -> Self {
        self.enqueue.push(assignment);
        self
    }

    /// Results of an earlier study to learn from, weighed by how well they predict this one; call again for several.
    pub fn learn_from(mut self, trials: EarlierTrials) -> Self {
        self.earlier.push(trials);
        self
    }

    /// Begins the study.
    ///
    /// # Errors
    /// [`StudyError::Sampler`] if there is no such sampler or the space does not suit it.
    pub fn build(mut self) -> Result<Study, StudyError> {
        self.sampler.plan_for(self.max_trials, u64::MAX);
        let space = Arc::new(self.space);
        let sampler = sampler::build(&self.sampler, Arc::clone(&space), self.goal)?;
        let settings = Settings {
            goal: self.goal,
            limits: Limits {
                max_total: self.max_trials,
                max_concurrent: u64::MAX,
                max_duration_ms: None,
            },
            abort_after_initial_failures: 0,
            max_retries: 0,
        };
        let policy = policy::build(&self.policy, self.goal);
        let mut controller = Controller::new(settings, sampler, policy, self.enqueue);
        controller.inherit(inherited(&space, self.goal, &self.earlier));
        Ok(Study {
            space,
            controller,
            stops: BTreeMap::new(),
            frozen: BTreeSet::new(),
        })
    }
}

fn inherited(space: &SearchSpace, goal: Goal, earlier: &[EarlierTrials]) -> Vec<Trial> {
    let study = |trials: &EarlierTrials| -> Vec<Trial> {
        let numbered = trials.iter().zip(0..);
        numbered
            .map(|((parameters, value), number)| {
                let mut series = Series::default();
                series.push(goal, *value);
                Trial {
                    number,
                    assignment: Assignment {
                        values: space
                            .parameters
                            .iter()
                            .map(|parameter| parameters.get(&parameter.name).cloned())
                            .collect(),
                    },
                    state: TrialState::Completed,
                    series,
                    cause: None,
                }
            })
            .collect()
    };
    earlier.iter().flat_map(study).collect()
}

/// A sweep whose trials the caller runs, one at a time or many at once. Holds no clock: durations mean nothing here.
pub struct Study {
    space: Arc<SearchSpace>,
    controller: Controller,
    /// Decisions about trials that have not been told yet.
    stops: BTreeMap<u64, Stop>,
    /// Trials that the caller was told to keep as they are.
    frozen: BTreeSet<u64>,
}

impl Study {
    /// A study that looks for the smallest value.
    pub fn minimize(parameters: impl IntoIterator<Item = Parameter>) -> Builder {
        Self::over(
            SearchSpace {
                parameters: parameters.into_iter().collect(),
                ..SearchSpace::default()
            },
            Goal::Minimize,
        )
    }

    /// A study that looks for the largest value.
    pub fn maximize(parameters: impl IntoIterator<Item = Parameter>) -> Builder {
        Self::over(
            SearchSpace {
                parameters: parameters.into_iter().collect(),
                ..SearchSpace::default()
            },
            Goal::Maximize,
        )
    }

    /// A study over a whole space, conditions and constraints included.
    pub fn over(space: SearchSpace, goal: Goal) -> Builder {
        let kind = sampler::find("bayesian").map_or("random", |row| row.kind);
        Builder {
            space,
            goal,
            sampler: SamplerSpec {
                kind: kind.to_owned(),
                seed: 0,
                allow_duplicates: false,
                options: serde_json::Map::new(),
            },
            policy: PolicySpec::NoTermination,
            max_trials: u64::MAX,
            enqueue: Vec::new(),
            earlier: Vec::new(),
        }
    }

    /// The next trial to run, taking into account those that still run; `None` if there is none left. A number that was given before is
    /// that of a trial that was told to wait ([`Decision::Freeze`]): it goes on where it stood.
    pub fn ask(&mut self) -> Option<Asked> {
        let slots = self.controller.occupied().saturating_add(1);
        let batch = self.handle(Event::SlotsChanged { slots });
        // No slot stays open, so that a later result does not start a trial by itself.
        self.handle(Event::SlotsChanged { slots: 0 });
        batch.actions.into_iter().find_map(|action| match action {
            Action::Launch {
                trial, assignment, ..
            } => Some(Asked {
                number: trial,
                parameters: self.parameters(&assignment),
            }),
            Action::Thaw { trial, .. } => Some(Asked {
                number: trial,
                parameters: self.parameters(&self.trial(trial)?.assignment),
            }),
            _ => None,
        })
    }

    /// Hands an event to the controller. What there is to do about frozen trials is done at once: here they are nothing but a mark.
    fn handle(&mut self, event: Event) -> Batch {
        let batch = self.controller.handle(0, event);
        for action in &batch.actions {
            match *action {
                Action::Freeze { trial, attempt } => {
                    self.frozen.insert(trial);
                    let resident = Resident {
                        resident: 0,
                        machine: 0,
                        host: String::new(),
                    };
                    self.handle(Event::Frozen {
                        trial,
                        attempt,
                        resident,
                    });
                }
                Action::Thaw { trial, attempt } => {
                    self.frozen.remove(&trial);
                    self.handle(Event::Thawed { trial, attempt });
                }
                // Nobody runs it who could end it.
                Action::Cancel { trial, attempt, .. } if self.frozen.remove(&trial) => {
                    self.handle(Event::Exited {
                        trial,
                        attempt,
                        outcome: Outcome::Canceled,
                    });
                }
                _ => {}
            }
        }
        batch
    }

    /// One more value of a running trial, for instance of an epoch. `step` is for display.
    ///
    /// # Errors
    /// [`StudyError`] if there is no such trial or it has ended.
    pub fn report(&mut self, trial: u64, step: i64, value: f64) -> Result<Decision, StudyError> {
        self.open(trial)?;
        self.observe(trial, Some(step), value);
        Ok(match self.state(trial) {
            Some(TrialState::CancelRequested) => Decision::Stop,
            Some(TrialState::Paused) => Decision::Freeze,
            _ => Decision::Continue,
        })
    }

    /// Ends a trial with its value; NaN and infinities count as no value. Telling an ended trial again changes nothing.
    ///
    /// A value that was reported before is not taken twice.
    ///
    /// # Errors
    /// [`StudyError::Unknown`] if there is no such trial.
    pub fn tell(&mut self, trial: u64, value: f64) -> Result<(), StudyError> {
        self.end(trial, Some(value), Outcome::Completed)
    }

    /// Ends a trial before its time, with the best value that it had, if any.
    ///
    /// # Errors
    /// [`StudyError::Unknown`] if there is no such trial.
    pub fn stopped(&mut self, trial: u64, value: Option<f64>) -> Result<(), StudyError> {
        self.end(trial, value, Outcome::Canceled)
    }

    /// Ends a trial that failed; samplers learn to avoid its neighbourhood.
    ///
    /// # Errors
    /// [`StudyError::Unknown`] if there is no such trial.
    pub fn fail(&mut self, trial: u64, message: &str) -> Result<(), StudyError> {
        let outcome = Outcome::Failed {
            class: FailureClass::Script,
            exit_code: None,
            signal: None,
            message: message.to_owned(),
        };
        self.end(trial, None, outcome)
    }

    /// Tries a configuration before the sampler's next.
    pub fn enqueue(&mut self, assignment: Assignment) {
        self.handle(Event::Enqueue { assignment });
    }

    /// The best trial so far.
    pub fn best(&self) -> Option<Best> {
        let incumbent = self.controller.incumbent()?;
        let trial = self.trial(incumbent.trial)?;
        Some(Best {
            trial: incumbent.trial,
            value: incumbent.value,
            parameters: self.parameters(&trial.assignment),
        })
    }

    /// Why the policy stops a trial that has not ended yet, with the numbers.
    pub fn stop(&self, trial: u64) -> Option<&Stop> {
        self.stops.get(&trial)
    }

    /// All trials so far.
    pub fn history(&self) -> &History {
        self.controller.history()
    }

    /// The space.
    pub fn space(&self) -> &SearchSpace {
        &self.space
    }

    /// Trials that were asked for and not told.
    pub fn open_trials(&self) -> u64 {
        self.controller.live()
    }

    fn end(&mut self, trial: u64, value: Option<f64>, outcome: Outcome) -> Result<(), StudyError> {
        match self.open(trial) {
            Err(StudyError::Ended { .. }) => return Ok(()),
            other => other?,
        }
        if let Some(value) = value {
            let series = self
                .trial(trial)
                .map(|trial| trial.series.values())
                .unwrap_or_default();
            if !series.iter().any(|reported| reported.total_cmp(&value).is_eq()) {
                self.observe(trial, None, value);
            }
        }
        if outcome == Outcome::Canceled {
            self.handle(Event::CancelTrial { trial });
        }
        self.stops.remove(&trial);
        self.frozen.remove(&trial);
        self.handle(Event::Exited {
            trial,
            attempt: 0,
            outcome,
        });
        Ok(())
    }

    fn observe(&mut self, trial: u64, step: Option<i64>, value: f64) {
        let batch = self.handle(Event::Reported {
            trial,
            attempt: 0,
            observation: Observation {
                value,
                step,
                elapsed_ms: 0,
            },
        });
        for record in batch.records {
            if let Record::Stopped(stop) | Record::Freeze(stop) = record {
                self.stops.insert(stop.trial, stop);
            }
        }
    }

    fn open(&self, trial: u64) -> Result<(), StudyError> {
        match self.state(trial) {
            None => Err(StudyError::Unknown(trial)),
            Some(state) if state.is_terminal() => Err(StudyError::Ended { trial, state }),
            Some(_) => Ok(()),
        }
    }

    fn state(&self, trial: u64) -> Option<TrialState> {
        self.trial(trial).map(|trial| trial.state)
    }

    fn trial(&self, number: u64) -> Option<&Trial> {
        usize::try_from(number)
            .ok()
            .and_then(|index| self.controller.history().trials.get(index))
    }

    fn parameters(&self, assignment: &Assignment) -> IndexMap<String, Value> {
        let pairs = self.space.parameters.iter().zip(&assignment.values);
        pairs
            .filter_map(|(parameter, value)| Some((parameter.name.clone(), value.clone()?)))
            .collect()
    }
}
