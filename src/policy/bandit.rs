//! Bandit: stops whoever is worse than the best by more than the slack.
//!
//! At a due interval N, B is the best value of anybody's first N reports. A trial whose own best by then is worse than the
//! threshold goes: `B / (1 + f)` to maximize, `B * (1 + f)` to minimize, `B - a` and `B + a` for an amount. For B <= 0 the
//! relative slack is taken of |B|, so that the threshold lies on the bad side of the best; `literal` keeps the raw ratio.
//!
//! B as a function of N only ever rises, hence one array that a new value lifts from its interval on.

use super::inequality::{inequality, setting, significant};
use super::{Policy, Schedule, Slack, Stop, Trigger};
use crate::history::TrialState;
use crate::metric::Goal;
use indexmap::IndexMap;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A trial that may still be stopped; values times the goal's sign.
#[derive(Debug, Default)]
struct Live {
    reports: u64,
    best: Option<f64>,
    due: u64,
    best_at_due: Option<f64>,
    /// Interval and value of each new best of its own.
    improvements: Vec<(u64, f64)>,
}

/// Best of anybody's first n reports, at index n - 1; ascending.
#[derive(Debug, Default)]
struct Envelope {
    best: Vec<f64>,
}

impl Envelope {
    /// Takes in a value of interval `interval`; whether anything rose.
    fn lift(&mut self, interval: u64, value: f64) -> bool {
        let index = usize::try_from(interval.saturating_sub(1)).unwrap_or(usize::MAX);
        let last = self.best.last().copied().unwrap_or(f64::NEG_INFINITY);
        if self.best.len() <= index {
            if value <= last {
                return false;
            }
            self.best.resize(index, last);
            self.best.push(value);
            return true;
        }
        let mut rose = false;
        for best in self.best.iter_mut().skip(index).take_while(|best| **best < value) {
            *best = value;
            rose = true;
        }
        rose
    }

    /// The best up to `interval`, if there is any value.
    fn at(&self, interval: u64) -> Option<f64> {
        let count = usize::try_from(interval)
            .unwrap_or(usize::MAX)
            .min(self.best.len());
        self.best
            .get(count.checked_sub(1)?)
            .copied()
            .filter(|best| best.is_finite())
    }
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Bandit {
    goal: Goal,
    schedule: Schedule,
    slack: Slack,
    literal: bool,
    trigger: Trigger,
    live: BTreeMap<u64, Live>,
    ended: HashSet<u64>,
    /// Of all trials.
    everybody: Envelope,
    /// Of those that ended, who can no longer lose their reports.
    settled: Envelope,
    pending: BTreeSet<u64>,
}

impl Bandit {
    pub(super) fn new(goal: Goal, schedule: Schedule, slack: Slack, literal: bool, trigger: Trigger) -> Self {
        Self {
            goal,
            schedule,
            slack,
            literal,
            trigger,
            live: BTreeMap::new(),
            ended: HashSet::new(),
            everybody: Envelope::default(),
            settled: Envelope::default(),
            pending: BTreeSet::new(),
        }
    }

    /// The threshold for the best value `best` (as reported) and its formula in words.
    fn threshold(&self, best: f64) -> (f64, String) {
        let shown = significant(best, 4);
        match (self.slack, self.goal) {
            (Slack::Amount(amount), Goal::Maximize) => {
                (best - amount, format!("best {shown} - {}", setting(amount)))
            }
            (Slack::Amount(amount), Goal::Minimize) => {
                (best + amount, format!("best {shown} + {}", setting(amount)))
            }
            (Slack::Factor(factor), Goal::Maximize) if best > 0.0 || self.literal => (
                best / (1.0 + factor),
                format!("best {shown} / {}", setting(1.0 + factor)),
            ),
            (Slack::Factor(factor), Goal::Minimize) if best > 0.0 || self.literal => (
                best * (1.0 + factor),
                format!("best {shown} * {}", setting(1.0 + factor)),
            ),
            (Slack::Factor(factor), Goal::Maximize) => (
                best - best.abs() * factor / (1.0 + factor),
                format!(
                    "best {shown} - {} * {} / {}",
                    significant(best.abs(), 4),
                    setting(factor),
                    setting(1.0 + factor)
                ),
            ),
            (Slack::Factor(factor), Goal::Minimize) => (
                best + best.abs() * factor,
                format!(
                    "best {shown} + {} * {}",
                    significant(best.abs(), 4),
                    setting(factor)
                ),
            ),
        }
    }

    fn judge(&self, number: u64) -> Option<Stop> {
        let trial = self.live.get(&number).filter(|trial| trial.due > 0)?;
        let sign = self.goal.sign();
        let best = sign * self.everybody.at(trial.due)?;
        let value = trial.best_at_due.map(|value| sign * value);
        let (threshold, because) = self.threshold(best);
        if value.is_some_and(|value| !self.goal.worse(value, threshold)) || !threshold.is_finite() {
            return None;
        }
        let (name, slack) = match self.slack {
            Slack::Factor(factor) => ("slack_factor", factor),
            Slack::Amount(amount) => ("slack_amount", amount),
        };
        Some(Stop {
            trial: number,
            interval: trial.due,
            policy: "Bandit".into(),
            value,
            threshold: Some(threshold),
            operands: IndexMap::from([
                ("best".to_owned(), best),
                (name.to_owned(), slack),
                ("threshold".to_owned(), threshold),
                ("sign".to_owned(), sign),
            ]),
            inequality: inequality(self.goal, value, Some(threshold), &because),
        })
    }

    fn judge_all(&mut self) {
        if self.trigger == Trigger::Sweep {
            self.pending.extend(
                self.live
                    .iter()
                    .filter(|(_, trial)| trial.due > 0)
                    .map(|(number, _)| *number),
            );
        }
    }
}

impl Policy for Bandit {
    fn report(&mut self, number: u64, value: f64) {
        if self.ended.contains(&number) {
            return;
        }
        let trial = self.live.entry(number).or_default();
        trial.reports += 1;
        let interval = trial.reports;
        let value = self.goal.sign() * value;
        let mut rose = false;
        if value.is_finite() && trial.best.is_none_or(|best| value > best) {
            trial.best = Some(value);
            trial.improvements.push((interval, value));
            rose = self.everybody.lift(interval, value);
        }
        if self.schedule.latest_due(interval) == interval {
            trial.due = interval;
            trial.best_at_due = trial.best;
            self.pending.insert(number);
        }
        if rose {
            self.judge_all();
        }
    }

    fn end(&mut self, number: u64, _: TrialState) {
        self.ended.insert(number);
        self.pending.remove(&number);
        if let Some(trial) = self.live.remove(&number) {
            for (interval, value) in trial.improvements {
                self.settled.lift(interval, value);
            }
        }
    }

    fn restart(&mut self, number: u64) {
        self.pending.remove(&number);
        if self.live.remove(&number).is_none() {
            return;
        }
        self.everybody.best.clone_from(&self.settled.best);
        for trial in self.live.values() {
            for (interval, value) in &trial.improvements {
                self.everybody.lift(*interval, *value);
            }
        }
        self.judge_all();
    }

    fn restored(&mut self) {
        self.pending.clear();
        self.judge_all();
    }

    fn margin(&self, number: u64) -> Option<f64> {
        let trial = self.live.get(&number).filter(|trial| trial.due > 0)?;
        let sign = self.goal.sign();
        let (threshold, _) = self.threshold(sign * self.everybody.at(trial.due)?);
        let margin = trial.best_at_due? - sign * threshold;
        margin.is_finite().then_some(margin)
    }

    fn stops(&mut self) -> Vec<Stop> {
        let pending = std::mem::take(&mut self.pending);
        let stops: Vec<Stop> = pending
            .into_iter()
            .filter_map(|number| self.judge(number))
            .collect();
        for stop in &stops {
            self.end(stop.trial, TrialState::Canceled);
        }
        stops
    }
}
