//! From a study of another tool to a sweep that has ended: its experiment, and everything that happened, in order of time.

use super::{End, Foreign, ForeignTrial, ImportError, Report, Request, infer};
use crate::config::{Command, Dialect, EnvironmentSpec, Experiment, Launch, MetricSpec, resolve};
use crate::controller::{FailureClass, Limits, Outcome, Record, SweepState};
use crate::history::{CancelCause, TrialState};
use crate::metric::{Goal, Observation};
use crate::policy::PolicySpec;
use crate::sampler::{Origin, SamplerSpec};
use crate::space::{Assignment, SearchSpace};
use indexmap::IndexMap;
use std::collections::BTreeSet;

/// A sweep as it is to be stored.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What was tried.
    pub experiment: Experiment,
    /// When it began, milliseconds since the epoch; `None` if nothing tells.
    pub created_ms: Option<i64>,
    /// What happened, each with the milliseconds since the beginning, in order.
    pub events: Vec<(u64, Event)>,
    /// What could not be taken over, one sentence each.
    pub notes: Vec<String>,
    /// Number of trials.
    pub trials: usize,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A change of the sweep's state.
    Record(Record),
    /// A number other than the primary metric.
    Point {
        /// Trial.
        trial: u64,
        /// Metric.
        name: String,
        /// Value.
        value: f64,
        /// Step.
        step: Option<i64>,
        /// Milliseconds since the trial's start.
        elapsed_ms: u64,
    },
    /// A tag or attribute.
    Tag {
        /// Trial.
        trial: u64,
        /// Key.
        key: String,
        /// Value.
        value: String,
    },
}

/// The sweep that `foreign` was. `name` is the experiment's.
///
/// # Errors
/// [`ImportError::Choice`] if the metric or its direction is not known and not given, or nothing was tried.
pub fn of(foreign: &Foreign, request: &Request, name: &str) -> Result<Imported, ImportError> {
    let metric = metric(foreign, request)?;
    let goal = request.goal.or(foreign.goal).ok_or_else(|| ImportError::Choice {
        message: format!(
            "{} does not say whether `{metric}` was to be minimized or maximized",
            foreign.tool.name()
        ),
        help: "say it with `--goal minimize` or `--goal maximize`".into(),
    })?;
    let (space, space_notes) = infer::space(foreign, &request.parameters);
    let trials: Vec<&ForeignTrial> = ordered(foreign);
    if trials.is_empty() {
        return Err(ImportError::Choice {
            message: "there is no trial in it".into(),
            help: "is this the right file, and the right study?".into(),
        });
    }
    let mut notes = foreign.notes.clone();
    notes.extend(space_notes);
    let missed = trials
        .iter()
        .filter(|trial| trial.end == End::Completed && !trial.metrics.contains_key(&metric))
        .count();
    if missed > 0 {
        notes.push(format!("{missed} completed trials never reported `{metric}`"));
    }
    let better = trials
        .iter()
        .filter(|trial| {
            let values = || {
                trial
                    .metrics
                    .get(&metric)
                    .into_iter()
                    .flatten()
                    .map(|report| report.value)
            };
            let last = values().next_back().filter(|_| trial.end == End::Completed);
            last.is_some_and(|last| values().any(|value| goal.better(value, last)))
        })
        .count();
    if better > 0 {
        notes.push(format!("{better} completed trials ended worse than they had been: here the best report counts, not the last"));
    }
    let created_ms = trials.iter().filter_map(|trial| trial.started_ms).min();
    let mut events: Vec<(u64, Event)> = Vec::new();
    for (number, trial) in trials.iter().enumerate() {
        Lived::new(trial, number, created_ms, &metric).tell(&space, foreign, &mut events);
    }
    // Trials of other tools overlap; what happened is told in order of time, each trial's own story in its own order.
    events.sort_by_key(|(at, _)| *at);
    let mut events = with_incumbents(events, goal);
    let end = events.last().map_or(0, |(at, _)| *at);
    let reason = format!("imported from {}", foreign.tool.name());
    let state = Record::SweepState {
        state: SweepState::Completed,
        reason,
    };
    events.push((end, Event::Record(state)));
    let other: BTreeSet<&String> = trials.iter().flat_map(|trial| trial.metrics.keys()).collect();
    let experiment = Experiment {
        name: name.to_owned(),
        display_name: Some(foreign.name.clone()),
        description: None,
        tags: IndexMap::from([("imported_from".to_owned(), foreign.tool.word().to_owned())]),
        dialect: Dialect::Hyperdrive,
        file: None,
        space,
        sampler: SamplerSpec {
            kind: "random".into(),
            seed: 0,
            allow_duplicates: true,
            options: serde_json::Map::new(),
        },
        policy: PolicySpec::NoTermination,
        metric: Some(MetricSpec {
            name: metric.clone(),
            goal,
        }),
        metrics: other
            .into_iter()
            .filter(|name| **name != metric)
            .cloned()
            .collect(),
        limits: Limits {
            max_total: trials.len() as u64,
            max_concurrent: 1,
            max_duration_ms: None,
        },
        abort_after_initial_failures: 0,
        max_retries: 0,
        launch: nothing_to_launch(),
        targets: vec!["local".into()],
        enqueue: Vec::new(),
        resume_from: Vec::new(),
        stop_when: None,
        extensions: serde_json::Map::new(),
    };
    Ok(Imported {
        experiment,
        created_ms,
        events,
        notes,
        trials: trials.len(),
    })
}

/// Puts the news behind every report that is better than all before it.
fn with_incumbents(events: Vec<(u64, Event)>, goal: Goal) -> Vec<(u64, Event)> {
    let mut told = Vec::with_capacity(events.len() + 16);
    let mut best = f64::NAN;
    for (at, event) in events {
        let news = match &event {
            Event::Record(Record::Observed {
                trial,
                interval,
                observation,
                ..
            }) if goal.better(observation.value, best) => {
                best = observation.value;
                Some(Record::Incumbent {
                    trial: *trial,
                    value: best,
                    interval: *interval,
                })
            }
            _ => None,
        };
        told.push((at, event));
        told.extend(news.map(|record| (at, Event::Record(record))));
    }
    told
}

/// A name that an experiment may have, made from that of the study.
pub fn experiment_name(foreign: &Foreign) -> String {
    resolve::sanitized(&foreign.name)
}

fn nothing_to_launch() -> Launch {
    Launch {
        source_directory: None,
        source_files: Vec::new(),
        command: Command::Template {
            text: String::new(),
            append_parameters: false,
        },
        parameters: Vec::new(),
        environment_variables: IndexMap::new(),
        environment: EnvironmentSpec::UserManaged {
            interpreter: "python3".into(),
        },
        data: Vec::new(),
        outputs: Vec::new(),
        file_outputs: Vec::new(),
        trial_timeout_ms: None,
        framework: "python".into(),
        communicator: "none".into(),
        node_count: 1,
        process_count_per_node: 1,
        run_definition: serde_json::Value::Null,
    }
}

/// Trials in order of their start; those that tell no time keep their place behind the one before them.
fn ordered(foreign: &Foreign) -> Vec<&ForeignTrial> {
    let mut latest = i64::MIN;
    let mut keyed: Vec<(i64, &ForeignTrial)> = Vec::new();
    for trial in &foreign.trials {
        latest = trial.started_ms.unwrap_or(latest);
        keyed.push((latest, trial));
    }
    keyed.sort_by_key(|(at, _)| *at);
    keyed.into_iter().map(|(_, trial)| trial).collect()
}

fn metric(foreign: &Foreign, request: &Request) -> Result<String, ImportError> {
    let known: Vec<String> = {
        let mut names: Vec<String> = Vec::new();
        for name in foreign.trials.iter().flat_map(|trial| trial.metrics.keys()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    };
    let list = || {
        known
            .iter()
            .take(20)
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (&request.metric, &foreign.metric, known.as_slice()) {
        (Some(wanted), ..) if known.contains(wanted) => Ok(wanted.clone()),
        // A study without any value yet may still have its metric renamed.
        (Some(wanted), _, []) => Ok(wanted.clone()),
        (Some(wanted), ..) => {
            let nearest = crate::diagnostic::nearest(wanted, known.iter().map(String::as_str));
            Err(ImportError::Choice {
                message: format!("no trial reported `{wanted}`"),
                help: match nearest {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", list()),
                },
            })
        }
        (None, Some(metric), _) => Ok(metric.clone()),
        (None, None, [only]) => Ok(only.clone()),
        (None, None, []) => Err(ImportError::Choice {
            message: "no trial reported any number".into(),
            help: "for a table, name the column with `--metric`".into(),
        }),
        (None, None, _) => Err(ImportError::Choice {
            message: "it is not known which of the reported numbers was optimized".into(),
            help: format!("name it with `--metric`: {}", list()),
        }),
    }
}

/// One trial on the clock of the sweep.
struct Lived<'a> {
    row: &'a ForeignTrial,
    trial: u64,
    metric: &'a str,
    started: u64,
    ended: u64,
}

impl<'a> Lived<'a> {
    fn new(row: &'a ForeignTrial, number: usize, created_ms: Option<i64>, metric: &'a str) -> Self {
        let since = |at: i64| created_ms.map_or(0, |created| u64::try_from(at - created).unwrap_or(0));
        // Without times the order is all there is to tell.
        let started = row
            .started_ms
            .map_or(if created_ms.is_some() { 0 } else { number as u64 }, since);
        let last = row
            .metrics
            .values()
            .flatten()
            .filter_map(|report| report.at_ms)
            .max();
        let ended = row.ended_ms.max(last).map_or(started, since).max(started);
        Self {
            row,
            trial: number as u64,
            metric,
            started,
            ended,
        }
    }

    /// When a report came: by its own clock, else spread evenly over the trial.
    fn at(&self, index: usize, count: usize, report: &Report) -> u64 {
        let own = match (report.at_ms, self.row.started_ms) {
            (Some(at), Some(start)) => u64::try_from(at - start).ok().map(|since| self.started + since),
            _ => None,
        };
        let spread =
            || self.started + (self.ended - self.started) * (index as u64 + 1) / (count as u64).max(1);
        own.unwrap_or_else(spread).clamp(self.started, self.ended)
    }

    fn tell(&self, space: &SearchSpace, foreign: &Foreign, events: &mut Vec<(u64, Event)>) {
        let trial = self.trial;
        let (outcome, state, cause, reason) = self.ending(foreign);
        let begin = [
            Record::TrialCreated {
                trial,
                assignment: Assignment {
                    values: space
                        .parameters
                        .iter()
                        .map(|parameter| self.row.parameters.get(&parameter.name).cloned())
                        .collect(),
                },
                origin: Origin {
                    sampler: foreign.tool.word().to_owned(),
                    method: format!("trial `{}` of {}", self.row.label, foreign.tool.name()),
                    predicted: None,
                    notes: Vec::new(),
                },
            },
            Record::AttemptCreated { trial, attempt: 0 },
            Record::TrialState {
                trial,
                state: TrialState::Running,
                cause: None,
                reason: None,
            },
        ];
        events.extend(begin.map(|record| (self.started, Event::Record(record))));
        for (name, reports) in &self.row.metrics {
            let mut latest = self.started;
            for (index, report) in reports.iter().enumerate() {
                latest = self.at(index, reports.len(), report).max(latest);
                events.push((latest, self.report(name, index, report, latest - self.started)));
            }
        }
        for (key, value) in &self.row.tags {
            let (key, value) = (key.clone(), value.clone());
            events.push((self.ended, Event::Tag { trial, key, value }));
        }
        let end = [
            Record::AttemptEnded {
                trial,
                attempt: 0,
                outcome,
                superseded: false,
            },
            Record::TrialState {
                trial,
                state,
                cause,
                reason,
            },
        ];
        events.extend(end.map(|record| (self.ended, Event::Record(record))));
    }

    fn report(&self, name: &str, index: usize, report: &Report, elapsed_ms: u64) -> Event {
        if name == self.metric {
            return Event::Record(Record::Observed {
                trial: self.trial,
                attempt: 0,
                interval: index as u64 + 1,
                observation: Observation {
                    value: report.value,
                    step: report.step,
                    elapsed_ms,
                },
                accepted: true,
            });
        }
        Event::Point {
            trial: self.trial,
            name: name.to_owned(),
            value: report.value,
            step: report.step,
            elapsed_ms,
        }
    }

    fn ending(&self, foreign: &Foreign) -> (Outcome, TrialState, Option<CancelCause>, Option<String>) {
        let tool = foreign.tool.name();
        match &self.row.end {
            End::Completed => (Outcome::Completed, TrialState::Completed, None, None),
            End::Stopped => (
                Outcome::Canceled,
                TrialState::Canceled,
                Some(CancelCause::Policy),
                Some(format!("stopped early in {tool}")),
            ),
            End::Canceled => (
                Outcome::Canceled,
                TrialState::Canceled,
                Some(CancelCause::User),
                Some(format!("cancelled in {tool}")),
            ),
            End::Unfinished => (
                Outcome::Canceled,
                TrialState::Canceled,
                Some(CancelCause::Sweep),
                Some(format!("had not ended in {tool} when it was imported")),
            ),
            End::Failed(message) => (
                Outcome::Failed {
                    class: FailureClass::Script,
                    exit_code: None,
                    signal: None,
                    message: message.clone(),
                },
                TrialState::Failed,
                None,
                Some(message.clone()),
            ),
        }
    }
}
