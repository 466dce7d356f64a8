//! Who is compared with whom: the reference sets of the median and truncation policies, kept up to date report by report.
//!
//! At interval N the population is everybody who reported N times or more, with what they had by then, and those who ended
//! earlier, with all they had. Numbers are multiplied by the goal's sign, so that larger is better everywhere in here.

use super::ranks::{Prefixes, Ranks};
use super::{Policy, Schedule, Stop, Trigger};
use crate::history::TrialState;
use crate::metric::Goal;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The number with which a trial stands in the population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statistic {
    /// Mean of its reports so far.
    Mean,
    /// Best of its reports so far.
    Best,
    /// The same, and only those who run are compared.
    BestOfRunning,
}

/// How a trial fares within its population.
pub(super) trait Rule: Send {
    /// The number with which trials stand in the population.
    fn statistic(&self) -> Statistic;

    /// The decision to stop `number` at the due interval `due`, with its best up to there, or how many more members its population
    /// may get that would certainly not lead to it.
    fn judge(&self, population: &Population, number: u64, due: u64, value: Option<f64>) -> Result<Stop, u64>;

    /// What a trial is compared with at the due interval `due`, greater being better; `None` if there is nothing.
    fn threshold(&self, population: &Population, due: u64) -> Option<f64>;
}

/// A policy that compares each trial with its population by a rule.
#[derive(Debug)]
pub(super) struct Ranked<R> {
    rule: R,
    population: Population,
}

impl<R: Rule> Ranked<R> {
    pub(super) fn new(rule: R, goal: Goal, schedule: Schedule, trigger: Trigger) -> Self {
        let population = Population::new(goal, schedule, trigger, rule.statistic());
        Self { rule, population }
    }
}

impl<R: Rule> Policy for Ranked<R> {
    fn report(&mut self, trial: u64, value: f64) {
        self.population.report(trial, value);
    }

    fn end(&mut self, trial: u64, _: TrialState) {
        self.population.end(trial);
    }

    fn restart(&mut self, trial: u64) {
        self.population.restart(trial);
    }

    fn restored(&mut self) {
        self.population.restored();
    }

    fn margin(&self, number: u64) -> Option<f64> {
        let (due, value) = self.population.due(number)?;
        let margin = value? - self.rule.threshold(&self.population, due)?;
        margin.is_finite().then_some(margin)
    }

    fn stops(&mut self) -> Vec<Stop> {
        let mut stops = Vec::new();
        for (number, due, value) in self.population.take_pending() {
            match self.rule.judge(&self.population, number, due, value) {
                Ok(stop) => stops.push(stop),
                Err(margin) => self.population.kept(number, margin),
            }
        }
        for stop in &stops {
            self.population.end(stop.trial);
        }
        stops
    }
}

/// A trial that may still be stopped.
#[derive(Clone, Debug, Default)]
struct Live {
    reports: u64,
    sum: f64,
    values: u64,
    best: Option<f64>,
    /// Latest due interval; 0 = none.
    due: u64,
    /// Best up to the latest due interval.
    best_at_due: Option<f64>,
    /// The statistic at each due interval so far.
    entered: Vec<Option<f64>>,
    /// How many more members its population may get before the last verdict, to keep it, could change.
    margin: u64,
}

impl Live {
    fn statistic(&self, statistic: Statistic) -> Option<f64> {
        match statistic {
            Statistic::Best | Statistic::BestOfRunning => self.best,
            Statistic::Mean => (self.values > 0).then(|| self.sum / self.values as f64),
        }
    }
}

/// The reference sets, and whom to judge next.
#[derive(Debug)]
pub(super) struct Population {
    goal: Goal,
    schedule: Schedule,
    trigger: Trigger,
    statistic: Statistic,
    live: BTreeMap<u64, Live>,
    ended: HashSet<u64>,
    /// Statistics at each due interval of all who reached it.
    reached: Vec<Ranks>,
    /// Final statistics of those who ended, by the number of whole evaluation intervals that they reported.
    short: Prefixes,
    pending: BTreeSet<u64>,
}

impl Population {
    fn new(goal: Goal, schedule: Schedule, trigger: Trigger, statistic: Statistic) -> Self {
        Self {
            goal,
            schedule,
            trigger,
            statistic,
            live: BTreeMap::new(),
            ended: HashSet::new(),
            reached: Vec::new(),
            short: Prefixes::default(),
            pending: BTreeSet::new(),
        }
    }

    fn report(&mut self, number: u64, value: f64) {
        if self.ended.contains(&number) {
            return;
        }
        let trial = self.live.entry(number).or_default();
        trial.reports += 1;
        if value.is_finite() {
            let value = self.goal.sign() * value;
            trial.sum += value;
            trial.values += 1;
            trial.best = Some(trial.best.map_or(value, |best| best.max(value)));
        }
        let due = trial.reports;
        if self.schedule.latest_due(due) != due {
            return;
        }
        trial.due = due;
        trial.best_at_due = trial.best;
        trial.margin = 0;
        let statistic = trial.statistic(self.statistic);
        let index = trial.entered.len();
        trial.entered.push(statistic);
        if self.reached.len() <= index {
            self.reached.resize_with(index + 1, Ranks::default);
        }
        if let Some(set) = self.reached.get_mut(index) {
            set.add(statistic);
        }
        match self.trigger {
            Trigger::Reporter => {
                self.pending.insert(number);
            }
            Trigger::Sweep => self.joined(|other| other == due),
        }
    }

    fn end(&mut self, number: u64) {
        if !self.ended.insert(number) {
            return;
        }
        self.pending.remove(&number);
        let Some(trial) = self.live.remove(&number) else {
            return;
        };
        let whole = trial.reports / self.schedule.evaluation_interval.max(1);
        self.short.add(whole, trial.statistic(self.statistic));
        // Those who are judged at an interval that it reached had it in their population before.
        self.joined(|due| due > trial.reports);
        if self.statistic == Statistic::BestOfRunning {
            self.judge_all();
        }
    }

    fn restart(&mut self, number: u64) {
        self.pending.remove(&number);
        let Some(trial) = self.live.remove(&number) else {
            return;
        };
        for (set, statistic) in self.reached.iter_mut().zip(trial.entered) {
            set.remove(statistic);
        }
        self.judge_all();
    }

    fn restored(&mut self) {
        self.pending.clear();
        // Those who were judged before are judged the same again; those whose turn had come are not forgotten.
        self.judge_all();
    }

    fn judge_all(&mut self) {
        self.live.values_mut().for_each(|trial| trial.margin = 0);
        self.joined(|_| true);
    }

    /// The population of those who are judged at an interval in `at` has one more member.
    fn joined(&mut self, at: impl Fn(u64) -> bool) {
        if self.trigger == Trigger::Reporter {
            return;
        }
        for (number, trial) in &mut self.live {
            if trial.due == 0 || !at(trial.due) {
                continue;
            }
            match trial.margin.checked_sub(1) {
                Some(margin) => trial.margin = margin,
                None => {
                    self.pending.insert(*number);
                }
            }
        }
    }

    /// The trial was judged and kept, and would be kept with `margin` more members in its population, whoever they are.
    fn kept(&mut self, number: u64, margin: u64) {
        if let Some(trial) = self.live.get_mut(&number) {
            trial.margin = margin;
        }
    }

    /// Whom to judge now, ascending, each with its latest due interval and its best up to there.
    fn take_pending(&mut self) -> Vec<(u64, u64, Option<f64>)> {
        std::mem::take(&mut self.pending)
            .into_iter()
            .filter_map(|number| {
                let trial = self.live.get(&number)?;
                (trial.due > 0).then_some((number, trial.due, trial.best_at_due))
            })
            .collect()
    }

    /// The latest due interval of a trial that runs, with its best up to there.
    pub(super) fn due(&self, number: u64) -> Option<(u64, Option<f64>)> {
        let trial = self.live.get(&number).filter(|trial| trial.due > 0)?;
        Some((trial.due, trial.best_at_due))
    }

    /// The sets whose union is the population at the due interval `due`.
    pub(super) fn at(&self, due: u64) -> Vec<&Ranks> {
        let reached = self.reached.get(self.index(due));
        let whole = due / self.schedule.evaluation_interval.max(1);
        reached.into_iter().chain(self.short.before(whole)).collect()
    }

    /// Those who still run and reached the due interval `due`.
    pub(super) fn running_at(&self, due: u64) -> Ranks {
        let index = self.index(due);
        let mut running = Ranks::default();
        for statistic in self.live.values().filter_map(|trial| trial.entered.get(index)) {
            running.add(*statistic);
        }
        running
    }

    /// Position of a due interval among the due intervals.
    fn index(&self, due: u64) -> usize {
        let every = self.schedule.evaluation_interval.max(1);
        let first = self.schedule.delay_evaluation.max(1).div_ceil(every);
        usize::try_from((due / every).saturating_sub(first)).unwrap_or(usize::MAX)
    }
}
