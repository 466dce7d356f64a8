//! ASHA: a trial goes on past a rung only among the best of all that have reached it.
//!
//! Rungs lie at `min_resource * reduction_factor^k` reports. Who reaches one is kept if fewer than `max(1, floor(n / reduction_factor))`
//! of the n that have reached it, itself included, are better, each taken with its best up to there; trials without a value rank last.
//! After Li et al., "A System for Massively Parallel Hyperparameter Tuning" (2020), algorithm 2, in the form that stops instead of
//! pausing: a trial is judged once, when it reaches the rung, and nobody who was stopped is promoted later.
//!
//! With `freeze` it is the paper's own form, promotion: who is not among the best `floor(n / reduction_factor)` when it reaches a rung is
//! frozen there, and goes on as soon as it is, in the next place that is free, those of higher rungs first. Once no new trial will begin,
//! one of each rung may go on however few have reached it, as without `freeze`.

use super::inequality::inequality;
use super::ranks::{Ranks, select};
use super::{Policy, Stop, Thaw};
use crate::history::TrialState;
use crate::metric::Goal;
use indexmap::IndexMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A trial that may still be stopped; values times the goal's sign.
#[derive(Debug, Default)]
struct Live {
    reports: u64,
    best: Option<f64>,
    /// Its best at each rung that it has reached.
    entered: Vec<Option<f64>>,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Asha {
    goal: Goal,
    min_resource: u64,
    reduction_factor: u64,
    freeze: bool,
    live: BTreeMap<u64, Live>,
    ended: HashSet<u64>,
    rungs: Vec<Ranks>,
    /// Trials that have reached a rung since the last question.
    pending: BTreeSet<u64>,
}

impl Asha {
    pub(super) fn new(goal: Goal, min_resource: u64, reduction_factor: u64) -> Self {
        Self {
            goal,
            min_resource: min_resource.max(1),
            reduction_factor: reduction_factor.max(2),
            freeze: false,
            live: BTreeMap::new(),
            ended: HashSet::new(),
            rungs: Vec::new(),
            pending: BTreeSet::new(),
        }
    }

    /// The same, which freezes instead of stopping.
    pub(super) fn freezing(self, freeze: bool) -> Self {
        Self { freeze, ..self }
    }

    /// Reports at the highest rung that a trial has reached; 0 = none.
    pub(super) fn reached(&self, trial: u64) -> u64 {
        self.standing(trial).map_or(0, |(index, _, _)| self.level(index))
    }

    /// Reports at which rung `index` lies.
    fn level(&self, index: usize) -> u64 {
        let exponent = u32::try_from(index).unwrap_or(u32::MAX);
        self.min_resource
            .saturating_mul(self.reduction_factor.saturating_pow(exponent))
    }

    /// How many have reached the rung, and how many of them are kept.
    fn sizes(&self, rung: &Ranks) -> (u64, u64) {
        let count = rung.len() as u64 + rung.blanks;
        (count, (count / self.reduction_factor).max(1))
    }

    /// The worst of the `kept` best values at the rung, times the sign.
    fn cut(&self, rung: &Ranks, kept: u64) -> Option<f64> {
        if kept == 0 {
            return None;
        }
        let index = rung.len().saturating_sub(usize::try_from(kept).ok()?);
        select(&[rung], index)
    }

    /// Where a trial stands at the highest rung that it has reached: the rung, its value there, how many are better.
    fn standing(&self, number: u64) -> Option<(usize, Option<f64>, u64)> {
        let trial = self.live.get(&number)?;
        let index = trial.entered.len().checked_sub(1)?;
        let rung = self.rungs.get(index)?;
        let value = *trial.entered.last()?;
        let better = match value {
            Some(value) => rung.len() - rung.partition_point(|other| !Goal::Maximize.worse(value, other)),
            None => rung.len(),
        } as u64;
        Some((index, value, better))
    }

    fn judge(&self, number: u64) -> Option<Stop> {
        let (index, value, better) = self.standing(number)?;
        let rung = self.rungs.get(index)?;
        let (count, mut kept) = self.sizes(rung);
        if self.freeze {
            kept = count / self.reduction_factor;
        }
        if better < kept {
            return None;
        }
        let sign = self.goal.sign();
        let value = value.map(|value| sign * value);
        let threshold = self.cut(rung, kept).map(|cut| sign * cut);
        let because = format!("{better} of {count} at this rung are better, {kept} go on");
        Some(Stop {
            trial: number,
            interval: self.level(index),
            policy: "ASHA".into(),
            value,
            threshold,
            operands: IndexMap::from([
                ("population".to_owned(), count as f64),
                ("reduction_factor".to_owned(), self.reduction_factor as f64),
                ("kept".to_owned(), kept as f64),
                ("better".to_owned(), better as f64),
                ("sign".to_owned(), sign),
            ]),
            inequality: inequality(self.goal, value, threshold, &because),
        })
    }
}

impl Policy for Asha {
    fn report(&mut self, trial: u64, value: f64) {
        if self.ended.contains(&trial) {
            return;
        }
        let entry = self.live.entry(trial).or_default();
        entry.reports += 1;
        if value.is_finite() {
            let value = self.goal.sign() * value;
            entry.best = Some(entry.best.map_or(value, |best| best.max(value)));
        }
        let (reports, index, best) = (entry.reports, entry.entered.len(), entry.best);
        if reports < self.level(index) {
            return;
        }
        if let Some(entry) = self.live.get_mut(&trial) {
            entry.entered.push(best);
        }
        if self.rungs.len() <= index {
            self.rungs.resize_with(index + 1, Ranks::default);
        }
        if let Some(rung) = self.rungs.get_mut(index) {
            rung.add(best);
        }
        self.pending.insert(trial);
    }

    fn end(&mut self, trial: u64, _: TrialState) {
        self.live.remove(&trial);
        self.pending.remove(&trial);
        self.ended.insert(trial);
    }

    fn restart(&mut self, trial: u64) {
        self.pending.remove(&trial);
        if let Some(entry) = self.live.remove(&trial) {
            for (rung, value) in self.rungs.iter_mut().zip(entry.entered) {
                rung.remove(value);
            }
        }
    }

    fn restored(&mut self) {
        self.pending.clear();
    }

    fn margin(&self, trial: u64) -> Option<f64> {
        let entry = self.live.get(&trial)?;
        let rung = self.rungs.get(entry.entered.len().checked_sub(1)?)?;
        let (_, kept) = self.sizes(rung);
        let margin = (*entry.entered.last()?)? - self.cut(rung, kept)?;
        margin.is_finite().then_some(margin)
    }

    fn freezes(&mut self) -> Vec<Stop> {
        if !self.freeze {
            return Vec::new();
        }
        let pending = std::mem::take(&mut self.pending);
        pending
            .into_iter()
            .filter_map(|trial| self.judge(trial))
            .collect()
    }

    fn thaw(&mut self, frozen: &[u64], last: bool) -> Option<Thaw> {
        // The highest rung first, there the best, among equals the older one.
        let standing = |number: &u64| self.standing(*number).map(|standing| (*number, standing));
        let mut standings: Vec<_> = frozen.iter().filter_map(standing).collect();
        standings.sort_by_key(|(number, (index, _, better))| (Reverse(*index), *better, *number));
        standings.into_iter().find_map(|(number, (index, _, better))| {
            let (count, least) = self.sizes(self.rungs.get(index)?);
            let kept = if last {
                least
            } else {
                count / self.reduction_factor
            };
            let interval = self.level(index);
            (better < kept).then(|| Thaw {
                trial: number,
                policy: "ASHA".into(),
                reason: format!("{better} of {count} at interval {interval} are better, {kept} go on"),
            })
        })
    }

    fn promise(&mut self, trial: u64) -> f64 {
        let Some((index, _, better)) = self.standing(trial) else {
            return f64::INFINITY;
        };
        // Its share of the whole field, if those who fell at lower rungs are worse.
        let count = self.rungs.get(index).map_or(1, |rung| self.sizes(rung).0.max(1));
        let exponent = i32::try_from(index).unwrap_or(i32::MAX);
        -((better + 1) as f64 / count as f64) * (self.reduction_factor as f64).powi(-exponent)
    }

    fn stops(&mut self) -> Vec<Stop> {
        if self.freeze {
            return Vec::new();
        }
        let stops: Vec<Stop> = std::mem::take(&mut self.pending)
            .into_iter()
            .filter_map(|trial| self.judge(trial))
            .collect();
        for stop in &stops {
            self.end(stop.trial, TrialState::Canceled);
        }
        stops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports of one trial after the other, each judged at once; gives whom was stopped at which interval.
    fn stopped(goal: Goal, curves: &[&[f64]]) -> Vec<(u64, u64)> {
        let mut policy = Asha::new(goal, 1, 3);
        let mut stopped = Vec::new();
        for (trial, curve) in (0..).zip(curves) {
            for value in *curve {
                policy.report(trial, *value);
                let stops = policy.stops();
                if let [stop] = stops.as_slice() {
                    stopped.push((stop.trial, stop.interval));
                    break;
                }
                assert!(stops.is_empty());
            }
        }
        stopped
    }

    #[test]
    fn a_rung_keeps_the_best_third_and_at_least_one() {
        // Alone it is kept; worse than the only other it goes; better it stays; of six the second best stays.
        let curves: [&[f64]; 6] = [
            &[0.5, 0.5, 0.5],
            &[0.4],
            &[0.6, 0.6, 0.6],
            &[0.1],
            &[0.2],
            &[0.55, 0.1, 0.1],
        ];
        // Trial 5 passes the first rung (second of six) and falls at the second (third of three).
        assert_eq!(stopped(Goal::Maximize, &curves), [(1, 1), (3, 1), (4, 1), (5, 3)]);
        let mirrored: Vec<Vec<f64>> = curves
            .iter()
            .map(|curve| curve.iter().map(|value| -value).collect())
            .collect();
        let mirrored: Vec<&[f64]> = mirrored.iter().map(Vec::as_slice).collect();
        assert_eq!(
            stopped(Goal::Minimize, &mirrored),
            [(1, 1), (3, 1), (4, 1), (5, 3)]
        );
    }

    #[test]
    fn no_value_ranks_last_and_between_rungs_nobody_is_judged() {
        let curves: [&[f64]; 3] = [&[f64::NAN], &[0.5, 0.4], &[f64::NAN]];
        assert_eq!(stopped(Goal::Maximize, &curves), [(2, 1)]);
    }

    #[test]
    fn the_stop_names_its_operands_and_what_survival_takes() {
        let mut policy = Asha::new(Goal::Maximize, 2, 3);
        for (trial, value) in [(0, 0.9), (1, 0.3)] {
            policy.report(trial, value);
            assert!(policy.stops().is_empty(), "below the first rung");
            policy.report(trial, value);
        }
        assert_eq!(policy.margin(1), Some(0.3 - 0.9));
        let stops = policy.stops();
        assert_eq!(stops.len(), 1);
        let stop = &stops[0];
        assert_eq!((stop.trial, stop.interval, stop.threshold), (1, 2, Some(0.9)));
        assert_eq!(stop.operands["kept"], 1.0);
        assert!(super::super::survival(stop).starts_with("0.9000 or more by interval 2"));
    }

    #[test]
    fn a_new_attempt_leaves_its_rungs_and_a_restored_policy_judges_nobody_again() {
        let mut policy = Asha::new(Goal::Maximize, 1, 3);
        policy.report(0, 0.9);
        policy.restart(0);
        policy.report(1, 0.1);
        assert!(policy.stops().is_empty(), "the better one began anew");
        policy.report(0, 0.9);
        policy.report(2, 0.2);
        policy.restored();
        assert!(policy.stops().is_empty());
    }
}
