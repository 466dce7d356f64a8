//! Protocols: how an optimizer is let loose on a problem, in virtual time.
//!
//! | name | workers | budget |
//! |---|---|---|
//! | `seq` | 1 | full trainings, one after the other |
//! | `async4` | 4; a training lasts `2^u` virtual seconds | full trainings |
//! | `mf` | 4; every step lasts and costs 1/R of a full training | full trainings spent in steps; trials may be stopped or continued |

use crate::harness::problem::{Configuration, Problem, ProblemError};
use serde::Deserialize;
use serde_json::json;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// An optimizer: answers one JSON line to each JSON line (formats in `docs/reference/bench.md`).
pub trait Agent {
    /// Sends a message and returns the answer; `end` has no answer and returns an empty text.
    ///
    /// # Errors
    /// What went wrong, in words.
    fn exchange(&mut self, message: &str) -> Result<String, String>;
}

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// One worker, full trainings.
    Seq,
    /// Four asynchronous workers, full trainings.
    Async4,
    /// Four asynchronous workers, steps.
    Mf,
}

impl Protocol {
    /// The protocol called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "seq" => Some(Self::Seq),
            "async4" => Some(Self::Async4),
            "mf" => Some(Self::Mf),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seq => "seq",
            Self::Async4 => "async4",
            Self::Mf => "mf",
        }
    }

    /// Where results are read off: finished trials, or full trainings spent.
    pub fn checkpoints(self) -> &'static [u64] {
        match self {
            Self::Seq | Self::Async4 => &[10, 25, 50, 100],
            Self::Mf => &[2, 5, 10, 20, 50],
        }
    }

    fn workers(self) -> usize {
        if self == Self::Seq { 1 } else { 4 }
    }
}

/// The state of a run at a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Which.
    pub at: u64,
    /// Trials finished.
    pub finished: u64,
    /// Full trainings spent.
    pub spent: f64,
    /// Best value seen.
    pub best_observed: f64,
    /// Noise-free value of the configuration with the best seen value.
    pub best_true: f64,
}

/// A finished trial of an earlier study.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct EarlierTrial {
    /// Active parameters.
    pub params: Configuration,
    /// Result.
    pub value: f64,
}

/// What an earlier study of `trials` trials by `agent` found on `problem`, one after the other.
///
/// # Errors
/// [`RunError`] if the agent breaks the protocol or proposes what is not in the space.
pub fn study(
    problem: &Problem,
    agent: &mut dyn Agent,
    trials: u64,
    seed: u64,
) -> Result<Vec<EarlierTrial>, RunError> {
    let mut ask = |message: serde_json::Value| -> Result<Answer, RunError> {
        let answer = agent.exchange(&message.to_string()).map_err(RunError::Agent)?;
        serde_json::from_str(&answer).map_err(|error| RunError::Agent(error.to_string()))
    };
    ask(json!({
        "type": "init", "version": 1, "seed": seed, "goal": "minimize", "space": problem.space,
        "max_trials": trials, "workers": 1, "fidelity": null,
    }))?;
    let mut found = Vec::new();
    while let Answer::Trial { trial, params, .. } = ask(json!({"type": "ask"}))? {
        let configuration = problem.canonical(&params)?;
        let curve = problem.curve(&configuration, seed)?;
        let value = curve.into_iter().fold(f64::INFINITY, f64::min);
        ask(json!({"type": "tell", "trial": trial, "value": value, "step": 1, "status": "completed"}))?;
        found.push(EarlierTrial { params, value });
    }
    Ok(found)
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The optimizer said or did something wrong.
    #[error("the optimizer: {0}")]
    Agent(String),
    /// A configuration does not belong to the problem.
    #[error(transparent)]
    Problem(#[from] ProblemError),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Answer {
    Ready,
    Trial {
        trial: u64,
        params: Configuration,
        resource: Option<u64>,
    },
    Wait,
    Done,
    Decision {
        action: String,
    },
    Ok,
    Error {
        message: String,
    },
}

/// A step that is under way.
#[derive(PartialEq)]
struct Due {
    time: f64,
    order: u64,
    trial: u64,
    step: u64,
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.time
            .total_cmp(&other.time)
            .then(self.order.cmp(&other.order))
    }
}

struct Live {
    configuration: Configuration,
    until: u64,
    curve: Vec<f64>,
}

/// Runs `agent` on `problem` up to the last checkpoint of `protocol` (or `last`, if smaller).
///
/// # Errors
/// [`RunError`] if the agent breaks the protocol or proposes what is not in the space.
pub fn run(
    problem: &Problem,
    agent: &mut dyn Agent,
    protocol: Protocol,
    seed: u64,
    last: Option<u64>,
) -> Result<Vec<Checkpoint>, RunError> {
    run_after(problem, agent, protocol, seed, last, &[])
}

/// As [`run`], told of the results of earlier studies (`earlier` of `init`).
///
/// # Errors
/// [`RunError`] if the agent breaks the protocol or proposes what is not in the space.
pub fn run_after(
    problem: &Problem,
    agent: &mut dyn Agent,
    protocol: Protocol,
    seed: u64,
    last: Option<u64>,
    earlier: &[Vec<EarlierTrial>],
) -> Result<Vec<Checkpoint>, RunError> {
    let checkpoints: Vec<u64> = protocol
        .checkpoints()
        .iter()
        .copied()
        .filter(|at| last.is_none_or(|last| *at <= last))
        .collect();
    let Some(&budget) = checkpoints.last() else {
        return Ok(Vec::new());
    };
    let steps = if protocol == Protocol::Mf {
        problem.steps()
    } else {
        1
    };
    let fidelity = (protocol == Protocol::Mf).then(|| json!({"min": 1, "max": steps}));
    let mut init = json!({
        "type": "init", "version": 1, "seed": seed, "goal": "minimize", "space": problem.space,
        "max_trials": budget, "workers": protocol.workers(), "fidelity": fidelity,
    });
    if let (false, Some(fields)) = (earlier.is_empty(), init.as_object_mut()) {
        fields.insert("earlier".into(), json!(earlier));
    }
    let mut run = Run {
        problem,
        agent,
        protocol,
        seed,
        steps,
        checkpoints,
        result: Vec::new(),
        free: protocol.workers(),
        started: 0,
        finished: 0,
        spent: 0.0,
        best: None,
        order: 0,
        now: 0.0,
        heap: BinaryHeap::new(),
        live: HashMap::new(),
        done_steps: HashMap::new(),
    };
    match run.send(&init)? {
        Answer::Ready => {}
        _ => return Err(RunError::Agent("`ready` is expected after `init`".into())),
    }
    run.drive(budget)?;
    run.agent.exchange(r#"{"type":"end"}"#).map_err(RunError::Agent)?;
    Ok(run.result)
}

struct Run<'a> {
    problem: &'a Problem,
    agent: &'a mut dyn Agent,
    protocol: Protocol,
    seed: u64,
    steps: u64,
    checkpoints: Vec<u64>,
    result: Vec<Checkpoint>,
    free: usize,
    started: u64,
    finished: u64,
    spent: f64,
    best: Option<(f64, Configuration)>,
    order: u64,
    now: f64,
    heap: BinaryHeap<Reverse<Due>>,
    live: HashMap<u64, Live>,
    done_steps: HashMap<u64, u64>,
}

impl Run<'_> {
    fn send(&mut self, message: &serde_json::Value) -> Result<Answer, RunError> {
        let text = self
            .agent
            .exchange(&message.to_string())
            .map_err(RunError::Agent)?;
        match serde_json::from_str(&text) {
            Ok(Answer::Error { message }) => Err(RunError::Agent(message)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(RunError::Agent(format!(
                "cannot read the answer `{text}`: {error}"
            ))),
        }
    }

    fn drive(&mut self, budget: u64) -> Result<(), RunError> {
        let mf = self.protocol == Protocol::Mf;
        let mut exhausted = false;
        while self.result.len() < self.checkpoints.len() {
            while self.free > 0 && !exhausted && (mf || self.started < budget) {
                match self.send(&json!({"type": "ask"}))? {
                    Answer::Trial {
                        trial,
                        params,
                        resource,
                    } => self.start(trial, &params, resource)?,
                    Answer::Wait => break,
                    Answer::Done => exhausted = true,
                    _ => {
                        return Err(RunError::Agent(
                            "`trial`, `wait` or `done` is expected after `ask`".into(),
                        ));
                    }
                }
            }
            let Some(Reverse(due)) = self.heap.pop() else {
                if exhausted {
                    // Nothing more will come: the later checkpoints see what there is.
                    self.mark(f64::INFINITY)?;
                    return Ok(());
                }
                return Err(RunError::Agent(
                    "it neither starts a trial nor waits for one".into(),
                ));
            };
            self.now = due.time;
            if mf {
                self.step(&due)?
            } else {
                self.finish_whole(&due)?
            }
        }
        Ok(())
    }

    fn start(&mut self, trial: u64, params: &Configuration, resource: Option<u64>) -> Result<(), RunError> {
        let configuration = self.problem.canonical(params)?;
        if self.live.contains_key(&trial) {
            return Err(RunError::Agent(format!("trial {trial} is under way already")));
        }
        self.free -= 1;
        self.started += 1;
        let curve = self.problem.curve(&configuration, self.seed)?;
        let (time, step, until) = if self.protocol == Protocol::Mf {
            let until = resource.unwrap_or(self.steps).clamp(1, self.steps);
            let done = self.done_steps.get(&trial).copied().unwrap_or(0).min(until - 1);
            (self.now + 1.0 / self.steps as f64, done + 1, until)
        } else if self.protocol == Protocol::Async4 {
            (self.now + self.problem.duration(&configuration)?, 1, 1)
        } else {
            (self.now + 1.0, 1, 1)
        };
        self.live.insert(
            trial,
            Live {
                configuration,
                until,
                curve,
            },
        );
        self.push(time, trial, step);
        Ok(())
    }

    fn push(&mut self, time: f64, trial: u64, step: u64) {
        self.order += 1;
        self.heap.push(Reverse(Due {
            time,
            order: self.order,
            trial,
            step,
        }));
    }

    fn finish_whole(&mut self, due: &Due) -> Result<(), RunError> {
        let Some(live) = self.live.remove(&due.trial) else {
            return Ok(());
        };
        let value = live.curve.iter().copied().fold(f64::INFINITY, f64::min);
        self.spent += 1.0;
        self.finished += 1;
        self.free += 1;
        self.see(value, &live.configuration);
        self.send(
            &json!({"type": "tell", "trial": due.trial, "value": value, "step": 1, "status": "completed"}),
        )?;
        self.mark(self.finished as f64)
    }

    fn step(&mut self, due: &Due) -> Result<(), RunError> {
        let Some(live) = self.live.get(&due.trial) else {
            return Ok(());
        };
        let until = live.until;
        let value = live.curve.get(due.step as usize - 1).copied().unwrap_or(f64::NAN);
        let configuration = live.configuration.clone();
        self.spent += 1.0 / self.steps as f64;
        self.done_steps.insert(due.trial, due.step);
        self.see(value, &configuration);
        let report = json!({"type": "report", "trial": due.trial, "step": due.step, "value": value});
        let action = match self.send(&report)? {
            Answer::Decision { action } => action,
            _ => String::new(),
        };
        let stop = action == "stop";
        if action == "freeze" && due.step < until {
            // Its worker is free; it goes on when it is asked for again.
            self.live.remove(&due.trial);
            self.free += 1;
        } else if stop || due.step >= until {
            self.live.remove(&due.trial);
            self.finished += 1;
            self.free += 1;
            let status = if due.step >= self.steps {
                "completed"
            } else {
                "stopped"
            };
            self.send(
                &json!({"type": "tell", "trial": due.trial, "value": value, "step": due.step, "status": status}),
            )?;
        } else {
            self.push(self.now + 1.0 / self.steps as f64, due.trial, due.step + 1);
        }
        self.mark(self.spent)
    }

    fn see(&mut self, value: f64, configuration: &Configuration) {
        if self.best.as_ref().is_none_or(|(best, _)| value < *best) {
            self.best = Some((value, configuration.clone()));
        }
    }

    fn mark(&mut self, reached: f64) -> Result<(), RunError> {
        while let Some(&at) = self.checkpoints.get(self.result.len())
            && reached >= at as f64 - 1e-9
        {
            let (best_observed, best_true) = match &self.best {
                Some((value, configuration)) => (*value, self.problem.truth(configuration)?),
                None => (f64::NAN, f64::NAN),
            };
            self.result.push(Checkpoint {
                at,
                finished: self.finished,
                spent: self.spent,
                best_observed,
                best_true,
            });
        }
        Ok(())
    }
}
