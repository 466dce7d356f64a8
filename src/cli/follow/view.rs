//! What is known of a running sweep, kept up to date from its event log, and turned into the live block.

use crate::config::Experiment;
use crate::controller::{Record, SweepState};
use crate::history::{CancelCause, TrialState};
use crate::metric::Goal;
use crate::policy::{self, Policy, PolicySpec};
use crate::report::eta::{self, Eta};
use crate::report::live::{Counts, LiveRow, LiveState, Sort};
use crate::report::overview;
use crate::space::Value;
use crate::store::row::{EventRow, MetricPoint, SweepRow, TrialRow};
use indexmap::IndexMap;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// Ended trials whose durations make the forecast; older ones say less about what comes.
const DURATIONS_MAX: usize = 500;

/// A trial that has not ended.
#[derive(Debug, Clone)]
struct Open {
    state: TrialState,
    cause: Option<CancelCause>,
    step: Option<i64>,
    curve: Vec<f64>,
    started: Option<Instant>,
    parameters: IndexMap<String, Value>,
    target: Option<String>,
}

/// The view.
pub(super) struct View {
    pub(super) sweep: SweepRow,
    read_at: Instant,
    sampler: String,
    /// Fed with what the controller's is fed with, asked only how far trials are from being stopped.
    policy: Option<Box<dyn Policy>>,
    policy_words: String,
    goal: Goal,
    open: BTreeMap<u64, Open>,
    pub(super) counts: Counts,
    created: u64,
    exhausted: bool,
    durations: VecDeque<u64>,
    best_so_far: Vec<f64>,
    top: Vec<(u64, f64, IndexMap<String, Value>)>,
    names: Vec<String>,
    pub(super) incumbent: Option<u64>,
    pub(super) sort: Sort,
    pub(super) chosen: Option<u64>,
}

/// What an event means to whoever prints lines.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum News {
    /// Nothing to print.
    None,
    /// A trial ended; its row is wanted.
    Ended(u64),
    /// Another trial is the best now.
    Incumbent { trial: u64, value: f64, interval: u64 },
    /// The sweep changed its state.
    Sweep(SweepState),
    /// The sampler has nothing left, resources are short: worth a line.
    Notice(String),
    /// Something is not as it should be, with a trial or the sweep.
    Warning {
        trial: Option<u64>,
        code: String,
        message: String,
    },
    /// Something that cannot happen by the rules.
    Anomaly(String),
}

impl View {
    pub(super) fn new(sweep: SweepRow, experiment: &Experiment) -> Self {
        let goal = sweep.goal.unwrap_or(Goal::Minimize);
        let incumbent = sweep.best.as_ref().map(|best| best.trial);
        Self {
            sweep,
            read_at: Instant::now(),
            sampler: sampler_words(experiment),
            policy: (experiment.policy != PolicySpec::NoTermination)
                .then(|| policy::build(&experiment.policy, goal)),
            policy_words: policy_words(&experiment.policy),
            goal,
            open: BTreeMap::new(),
            counts: Counts::default(),
            created: 0,
            exhausted: false,
            durations: VecDeque::new(),
            best_so_far: Vec::new(),
            top: Vec::new(),
            names: experiment
                .launch
                .parameters
                .iter()
                .map(|binding| binding.name.clone())
                .collect(),
            incumbent,
            sort: Sort::default(),
            chosen: None,
        }
    }

    /// Whether the reports of ended trials say anything here.
    pub(super) fn judges(&self) -> bool {
        self.policy.is_some()
    }

    /// Takes in a trial that exists when the view begins. `points` is its reports, as far as they are to be known.
    pub(super) fn begin(&mut self, row: &TrialRow, points: &[MetricPoint]) {
        self.created = self.created.max(row.trial + 1);
        if let Some(policy) = &mut self.policy {
            for point in points {
                policy.report(row.trial, point.value);
            }
        }
        if row.state.is_terminal() {
            self.end(row);
            return;
        }
        let mut open = open(row);
        open.step = points.last().map(|point| point.step);
        open.started = row
            .duration_ms
            .and_then(|ms| Instant::now().checked_sub(std::time::Duration::from_millis(ms)));
        for point in points {
            open.curve.push(point.value);
        }
        self.counts.add(row.state, row.cause.as_ref());
        self.open.insert(row.trial, open);
    }

    /// A fresh row of the sweep.
    pub(super) fn refresh(&mut self, sweep: SweepRow) {
        self.sweep = sweep;
        self.read_at = Instant::now();
    }

    /// Takes in the row of a trial: of one that was just created, or that ended.
    pub(super) fn row(&mut self, row: &TrialRow) {
        if row.state.is_terminal() {
            if let Some(old) = self.open.remove(&row.trial) {
                remove(&mut self.counts, &old);
            }
            self.end(row);
        } else if let Some(known) = self.open.get_mut(&row.trial) {
            known.parameters.clone_from(&row.parameters);
            known.target.clone_from(&row.target);
        }
    }

    fn end(&mut self, row: &TrialRow) {
        self.dropped(row.trial, row.state);
        self.counts.add(row.state, row.cause.as_ref());
        if let Some(duration) = row.duration_ms {
            self.durations.push_back(duration);
            if self.durations.len() > DURATIONS_MAX {
                self.durations.pop_front();
            }
        }
        let last = self.best_so_far.last().copied().unwrap_or(f64::NAN);
        let value = row.best.filter(|value| value.is_finite());
        self.best_so_far.push(match value {
            Some(value) if !last.is_finite() || self.goal.better(value, last) => value,
            _ => last,
        });
        if let Some(value) = value {
            let place = self
                .top
                .iter()
                .position(|(_, known, _)| self.goal.better(value, *known))
                .unwrap_or(self.top.len());
            if place < 5 {
                self.top.insert(place, (row.trial, value, row.parameters.clone()));
                self.top.truncate(5);
            }
        }
    }

    /// The policy looks at a trial no more.
    fn dropped(&mut self, trial: u64, state: TrialState) {
        if let Some(policy) = &mut self.policy {
            policy.end(trial, state);
        }
    }

    /// Takes in one event.
    pub(super) fn event(&mut self, event: &EventRow) -> News {
        if event.kind == "observed" {
            self.observed(event);
            return News::None;
        }
        if event.kind == "warning" {
            let text = |key: &str| event.data.get(key).and_then(serde_json::Value::as_str);
            let (code, message) = (
                text("code").unwrap_or_default(),
                text("message").unwrap_or_default(),
            );
            return match code {
                // What is about resources and targets, not about one trial.
                "exhausted" | "target-lost" | "target-found" | "target" | "slurm" | "ray"
                | "not-collected" => News::Notice(message.to_owned()),
                code => News::Warning {
                    trial: event.trial,
                    code: code.to_owned(),
                    message: message.to_owned(),
                },
            };
        }
        let Ok(record) = serde_json::from_value::<Record>(event.data.clone()) else {
            return News::None;
        };
        match record {
            Record::TrialCreated { trial, .. } => {
                self.created = self.created.max(trial + 1);
                let fresh = Open {
                    state: TrialState::Queued,
                    cause: None,
                    step: None,
                    curve: Vec::new(),
                    started: None,
                    parameters: IndexMap::new(),
                    target: None,
                };
                if self.open.insert(trial, fresh).is_none() {
                    self.counts.add(TrialState::Queued, None);
                }
                News::None
            }
            Record::AttemptEnded {
                trial,
                superseded: true,
                ..
            } => {
                if let Some(policy) = &mut self.policy {
                    policy.restart(trial);
                }
                if let Some(open) = self.open.get_mut(&trial) {
                    open.curve.clear();
                    open.started = None;
                }
                News::None
            }
            Record::TrialState { trial, state, .. } if state.is_terminal() => News::Ended(trial),
            Record::TrialState {
                trial, state, cause, ..
            } => {
                if state == TrialState::CancelRequested {
                    self.dropped(trial, TrialState::Canceled);
                }
                if let Some(open) = self.open.get_mut(&trial) {
                    remove(&mut self.counts, open);
                    open.state = state;
                    open.cause = cause;
                    if state == TrialState::Running && open.started.is_none() {
                        open.started = Some(Instant::now());
                    }
                    self.counts.add(state, open.cause.as_ref());
                }
                News::None
            }
            Record::Incumbent {
                trial,
                value,
                interval,
            } => {
                let news = if self.incumbent == Some(trial) {
                    News::None
                } else {
                    News::Incumbent {
                        trial,
                        value,
                        interval,
                    }
                };
                self.incumbent = Some(trial);
                news
            }
            Record::SweepState { state, .. } => News::Sweep(state),
            Record::Exhausted { reason, .. } => {
                self.exhausted = true;
                News::Notice(reason)
            }
            Record::Anomaly { message } => News::Anomaly(message),
            _ => News::None,
        }
    }

    fn observed(&mut self, event: &EventRow) {
        let accepted = event
            .data
            .get("accepted")
            .and_then(serde_json::Value::as_bool)
            .unwrap_or(true);
        let Some(open) = event
            .trial
            .and_then(|trial| self.open.get_mut(&trial))
            .filter(|_| accepted)
        else {
            return;
        };
        let value = match event.data.get("value") {
            Some(serde_json::Value::String(word)) => word.parse().unwrap_or(f64::NAN),
            Some(value) => value.as_f64().unwrap_or(f64::NAN),
            None => f64::NAN,
        };
        open.curve.push(value);
        let position = i64::try_from(open.curve.len()).unwrap_or(i64::MAX) - 1;
        open.step = Some(
            event
                .data
                .get("step")
                .and_then(serde_json::Value::as_i64)
                .unwrap_or(position),
        );
        if let (Some(policy), Some(trial)) = (&mut self.policy, event.trial) {
            policy.report(trial, value);
        }
    }

    /// Milliseconds since the sweep began, by its own clock.
    pub(super) fn elapsed_ms(&self) -> u64 {
        let since = if self.sweep.state.is_terminal() {
            0
        } else {
            self.read_at.elapsed().as_millis() as u64
        };
        self.sweep.duration_ms + since
    }

    fn total(&self) -> u64 {
        if self.exhausted || self.sweep.state.is_terminal() {
            self.created
        } else {
            self.sweep.max_total_runs
        }
    }

    fn median_duration(&self) -> Option<u64> {
        if self.durations.len() < 3 {
            return None;
        }
        let mut sorted: Vec<u64> = self.durations.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// When the sweep will end.
    pub(super) fn forecast(&self) -> Option<Eta> {
        let median = self.median_duration()?;
        let durations: Vec<u64> = self.durations.iter().copied().collect();
        let waiting = self
            .total()
            .saturating_sub(self.counts.ended() + self.open.len() as u64) as f64;
        let running: f64 = self
            .open
            .values()
            .map(|open| {
                let passed = open
                    .started
                    .map_or(0, |started| started.elapsed().as_millis() as u64);
                (1.0 - passed as f64 / median.max(1) as f64).clamp(0.0, 1.0)
            })
            .sum();
        eta::forecast(&durations, waiting + running, self.sweep.max_concurrent_runs)
    }

    /// The state that the block is drawn from.
    pub(super) fn live(&self, eta: Option<Eta>, notice: Option<String>) -> LiveState {
        let median = self.median_duration();
        let mut rows: Vec<LiveRow> = self
            .open
            .iter()
            .map(|(trial, open)| {
                let best = open
                    .curve
                    .iter()
                    .copied()
                    .filter(|value| value.is_finite())
                    .reduce(|a, b| if self.goal.better(b, a) { b } else { a });
                let time = open.started.map(|started| started.elapsed().as_millis() as u64);
                LiveRow {
                    trial: *trial,
                    state: open.state,
                    cause: open.cause.clone(),
                    step: open.step,
                    last: open.curve.last().copied(),
                    best,
                    margin: self.policy.as_ref().and_then(|policy| policy.margin(*trial)),
                    curve: open.curve.clone(),
                    time_ms: time,
                    left_ms: median.zip(time).map(|(median, time)| median.saturating_sub(time)),
                    parameters: open.parameters.clone(),
                }
            })
            .collect();
        rows.sort_by(|a, b| {
            let waits = |row: &LiveRow| matches!(row.state, TrialState::Queued | TrialState::Preparing);
            let value = |row: &LiveRow| {
                let last = row.last.filter(|value| !value.is_nan());
                last.map_or(f64::NEG_INFINITY, |value| self.goal.sign() * value)
            };
            let order = match self.sort {
                Sort::Trial => std::cmp::Ordering::Equal,
                Sort::Metric => value(b).total_cmp(&value(a)),
                Sort::Time => b.time_ms.cmp(&a.time_ms),
            };
            waits(a).cmp(&waits(b)).then(order).then(a.trial.cmp(&b.trial))
        });
        let taken = self.open.len() as u64;
        let name = self
            .sweep
            .display_name
            .clone()
            .unwrap_or_else(|| self.sweep.experiment.clone());
        let metric = self.sweep.metric.clone().unwrap_or_default();
        let direction = match self.goal {
            Goal::Maximize => "max",
            Goal::Minimize => "min",
        };
        LiveState {
            name,
            objective: if metric.is_empty() {
                String::new()
            } else {
                format!("{direction} {metric}")
            },
            metric,
            sampler: self.sampler.clone(),
            policy: self.policy_words.clone(),
            elapsed_ms: self.elapsed_ms(),
            limit_ms: self
                .sweep
                .max_duration_minutes
                .map(|minutes| (minutes * 60_000.0) as u64),
            total: self.total(),
            counts: self.counts,
            best: self.sweep.best.clone(),
            eta,
            rows,
            best_so_far: self.best_so_far.clone(),
            top: self.top.clone(),
            targets: match self.sweep.targets.as_slice() {
                [only] => vec![(only.clone(), taken, Some(self.sweep.max_concurrent_runs))],
                several => several
                    .iter()
                    .map(|name| {
                        let there = self
                            .open
                            .values()
                            .filter(|open| open.target.as_ref() == Some(name));
                        (name.clone(), there.count() as u64, None)
                    })
                    .collect(),
            },
            parameters: self.names.clone(),
            keys: false,
            sort: self.sort,
            chosen: self.chosen.filter(|chosen| self.open.contains_key(chosen)),
            tail: None,
            help: false,
            notice,
        }
    }

    /// The first words of the plain lines.
    pub(super) fn words(&self) -> (String, &str, &str) {
        (
            self.sweep
                .display_name
                .clone()
                .unwrap_or_else(|| self.sweep.experiment.clone()),
            &self.sampler,
            &self.policy_words,
        )
    }
}

fn open(row: &TrialRow) -> Open {
    Open {
        state: row.state,
        cause: row.cause.clone(),
        step: None,
        curve: Vec::new(),
        started: None,
        parameters: row.parameters.clone(),
        target: row.target.clone(),
    }
}

fn remove(counts: &mut Counts, open: &Open) {
    let slot = match open.state {
        TrialState::Queued | TrialState::Preparing => &mut counts.starting,
        _ => &mut counts.running,
    };
    *slot = slot.saturating_sub(1);
}

/// `random seed 1234`.
fn sampler_words(experiment: &Experiment) -> String {
    if experiment.space.is_empty() {
        return String::new();
    }
    format!("{} seed {}", experiment.sampler.kind, experiment.sampler.seed)
}

/// `Bandit(slack_factor 0.1)`; empty for none.
pub(super) fn policy_words(policy: &PolicySpec) -> String {
    overview::policy(policy)
}
