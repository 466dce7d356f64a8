//! Ask and tell in JSON lines: one object in, one object out. See `docs/reference/ask-tell.md`.

use super::options::OptionError;
use super::problem::{Fidelity, ProblemError, ProblemParameter, ProblemType, search_space};
use super::study::{Asked, Decision, Study, StudyError};
use crate::metric::{Goal, number};
use crate::policy::{PolicySpec, Schedule, Trigger};
use crate::space::Value;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the protocol.
const VERSION: u64 = 1;

/// What the program was started with; wins over what `init` says.
#[derive(Clone, Debug, Default)]
pub struct ProtocolOptions {
    /// Registered name of the sampler; `bayesian` unless given.
    pub sampler: Option<String>,
    /// Policy. Unless given: median stopping after a third of the steps if there is a fidelity, else none.
    pub policy: Option<PolicySpec>,
    /// Seed; the driver's unless given.
    pub seed: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Request {
    Init(Init),
    Ask,
    Report {
        trial: u64,
        step: i64,
        #[serde(with = "number")]
        value: f64,
    },
    Tell {
        trial: u64,
        #[serde(default)]
        value: Told,
        #[serde(default)]
        step: Option<u64>,
        #[serde(default)]
        status: Status,
    },
    End,
}

#[derive(Debug, Deserialize)]
struct Init {
    #[serde(default)]
    version: Option<u64>,
    #[serde(default)]
    seed: u64,
    #[serde(default = "minimize")]
    goal: Goal,
    space: Vec<ProblemParameter>,
    #[serde(default)]
    max_trials: Option<u64>,
    #[serde(default)]
    fidelity: Option<Fidelity>,
    /// Results of earlier studies to learn from.
    #[serde(default)]
    earlier: Vec<Vec<Earlier>>,
}

#[derive(Debug, Deserialize)]
struct Earlier {
    params: indexmap::IndexMap<String, Value>,
    #[serde(with = "number")]
    value: f64,
}

fn minimize() -> Goal {
    Goal::Minimize
}

/// A value that may be absent or null.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum Told {
    Value(#[serde(with = "number")] f64),
    #[default]
    Nothing,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    #[default]
    Completed,
    Stopped,
    Failed,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Response {
    Ready,
    Trial {
        trial: u64,
        params: indexmap::IndexMap<String, Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        resource: Option<u64>,
    },
    Done,
    Decision {
        action: &'static str,
    },
    Ok,
    Error {
        message: String,
    },
}

#[derive(Debug, thiserror::Error)]
enum ProtocolError {
    #[error("not a message: {0}")]
    Json(#[from] serde_json::Error),
    #[error("this program speaks version {VERSION}, not {0}")]
    Version(u64),
    #[error("`init` comes first")]
    NotBegun,
    #[error("`init` comes once")]
    Begun,
    #[error("`fidelity` goes from {min} to {max}")]
    Fidelity { min: u64, max: u64 },
    #[error(transparent)]
    Problem(#[from] ProblemError),
    #[error(transparent)]
    Study(#[from] StudyError),
    #[error(transparent)]
    Options(#[from] OptionError),
}

struct Session {
    study: Study,
    problem: Vec<ProblemParameter>,
    fidelity: Option<Fidelity>,
    /// Whole trainings to spend, with a fidelity.
    budget: Option<u64>,
    /// Largest step of each trial so far, and their sum.
    steps: BTreeMap<u64, u64>,
    spent: u64,
}

/// One conversation. Pure: lines in, lines out; never panics, whatever the lines are.
pub struct Protocol {
    options: ProtocolOptions,
    session: Option<Session>,
    ended: bool,
}

impl Protocol {
    /// A conversation that has not begun.
    pub fn new(options: ProtocolOptions) -> Self {
        Self {
            options,
            session: None,
            ended: false,
        }
    }

    /// Whether `end` has been said.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The study, once `init` has been said.
    pub fn study(&self) -> Option<&Study> {
        self.session.as_ref().map(|session| &session.study)
    }

    /// The answer to one line, without a line break; empty for `end` and for empty lines, which are not answered.
    pub fn handle(&mut self, line: &str) -> String {
        if line.trim().is_empty() {
            return String::new();
        }
        let response = match self.answer(line) {
            Ok(Some(response)) => response,
            Ok(None) => return String::new(),
            Err(error) => Response::Error {
                message: error.to_string(),
            },
        };
        serde_json::to_string(&response)
            .unwrap_or_else(|_| r#"{"type":"error","message":"the answer has no JSON form"}"#.into())
    }

    fn answer(&mut self, line: &str) -> Result<Option<Response>, ProtocolError> {
        let request: Request = serde_json::from_str(line)?;
        let init = match request {
            Request::Init(init) => init,
            Request::End => {
                self.ended = true;
                return Ok(None);
            }
            request => {
                let session = self.session.as_mut().ok_or(ProtocolError::NotBegun)?;
                return session.answer(request).map(Some);
            }
        };
        if self.session.is_some() {
            return Err(ProtocolError::Begun);
        }
        self.session = Some(Session::begin(&self.options, init)?);
        Ok(Some(Response::Ready))
    }
}

impl Session {
    fn begin(options: &ProtocolOptions, init: Init) -> Result<Self, ProtocolError> {
        if let Some(version) = init.version.filter(|version| *version != VERSION) {
            return Err(ProtocolError::Version(version));
        }
        if let Some(Fidelity { min, max }) = init.fidelity
            && (min > max || max == 0)
        {
            return Err(ProtocolError::Fidelity { min, max });
        }
        let space = search_space(&init.space)?;
        let policy = match (&options.policy, init.fidelity) {
            // The driver has said how long a whole trial is.
            (
                Some(PolicySpec::Predictive {
                    false_stops,
                    top_k,
                    eager,
                    delay_evaluation,
                    max_resource: None,
                    freeze,
                }),
                Some(fidelity),
            ) => PolicySpec::Predictive {
                false_stops: *false_stops,
                top_k: *top_k,
                eager: *eager,
                delay_evaluation: *delay_evaluation,
                max_resource: Some(fidelity.max),
                freeze: *freeze,
            },
            (Some(policy), _) => policy.clone(),
            (None, Some(fidelity)) => PolicySpec::MedianStopping {
                schedule: Schedule {
                    evaluation_interval: 1,
                    delay_evaluation: (fidelity.max / 3).max(fidelity.min),
                },
                trigger: Trigger::Sweep,
            },
            (None, None) => PolicySpec::NoTermination,
        };
        let mut builder = Study::over(space, init.goal)
            .seed(options.seed.unwrap_or(init.seed))
            .policy(policy);
        if let Some(sampler) = &options.sampler {
            builder = builder.sampler(sampler);
        }
        for study in init.earlier {
            builder = builder.learn_from(
                study
                    .into_iter()
                    .map(|trial| (trial.params, trial.value))
                    .collect(),
            );
        }
        // With a fidelity the driver counts whole trainings, of which stopped trials are fractions.
        if let (Some(max), None) = (init.max_trials, init.fidelity) {
            builder = builder.max_trials(max);
        }
        Ok(Self {
            study: builder.build()?,
            problem: init.space,
            budget: init.fidelity.and(init.max_trials),
            fidelity: init.fidelity,
            steps: BTreeMap::new(),
            spent: 0,
        })
    }

    fn answer(&mut self, request: Request) -> Result<Response, ProtocolError> {
        match request {
            Request::Ask => Ok(self.ask()),
            Request::Report { trial, step, value } => {
                let decision = self.study.report(trial, step, value)?;
                self.spend(trial, u64::try_from(step).unwrap_or(0));
                Ok(Response::Decision {
                    action: match decision {
                        Decision::Continue => "continue",
                        Decision::Stop => "stop",
                        Decision::Freeze => "freeze",
                    },
                })
            }
            Request::Tell {
                trial,
                value,
                step,
                status,
            } => {
                let value = match value {
                    Told::Value(value) => Some(value),
                    Told::Nothing => None,
                };
                match (status, value) {
                    (Status::Completed, Some(value)) => self.study.tell(trial, value)?,
                    (Status::Completed, None) => self.study.tell(trial, f64::NAN)?,
                    (Status::Stopped, value) => self.study.stopped(trial, value)?,
                    (Status::Failed, _) => self.study.fail(trial, "the client said so")?,
                }
                self.spend(trial, step.unwrap_or(0));
                Ok(Response::Ok)
            }
            Request::Init(_) | Request::End => Err(ProtocolError::Begun),
        }
    }

    fn ask(&mut self) -> Response {
        if let (Some(fidelity), Some(budget)) = (self.fidelity, self.budget)
            && self.spent / fidelity.max.max(1) >= budget
        {
            return Response::Done;
        }
        match self.study.ask() {
            Some(asked) => Response::Trial {
                trial: asked.number,
                resource: self.fidelity.map(|fidelity| fidelity.max),
                params: self.within(asked),
            },
            None => Response::Done,
        }
    }

    fn spend(&mut self, trial: u64, step: u64) {
        // A step beyond the whole training costs nothing: it does not exist.
        let step = step.min(self.fidelity.map_or(0, |fidelity| fidelity.max));
        let before = self.steps.entry(trial).or_default();
        if step > *before {
            self.spent += step - *before;
            *before = step;
        }
    }

    /// Rounding of logarithms may leave the bounds by the last bit, which clients need not expect.
    fn within(&self, asked: Asked) -> indexmap::IndexMap<String, Value> {
        let mut parameters = asked.parameters;
        for entry in self
            .problem
            .iter()
            .filter(|entry| entry.kind == ProblemType::Float)
        {
            if let (Some(Value::Float(value)), Some(low), Some(high)) =
                (parameters.get_mut(&entry.name), entry.low, entry.high)
            {
                *value = value.max(low).min(high);
            }
        }
        parameters
    }
}
