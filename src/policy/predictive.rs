//! Predictive: stops a trial when it is improbable that it would become one of the best.
//!
//! A model of learning curves, shared by all trials ([`crate::surrogate::curve`]), says with which probability P a trial that has reached a
//! rung (1, 2, 3, 4, 6, 9, 13, ... reports) would end better than the k-th best value of the others so far. It goes if P is below
//! `false_stops`; if `eager`, also if P is below five times that and a new trial promises more for its reports:
//! `P / rest < (k / (n + 1)) / cost`, with `rest` the reports that the trial still needs, `cost` the mean reports of the `n` trials so far,
//! and `k / (n + 1)` the chance of a new one to be among the best if all were alike.
//!
//! With `freeze` who would go is frozen, and goes on in the next free place if by then P is not below `false_stops` any more and promises no
//! less than a new trial, as above; of several the one with the highest P. Once no new trial will begin, P decides alone.
//!
//! Nobody is judged before the length of a whole trial is known: from `max_resource`, or as the longest of at least three trials that
//! completed. Nor is a trial that stands among the best k itself, or while fewer than three others have a value.

use super::inequality::inequality;
use super::{Policy, Stop, Thaw};
use crate::history::TrialState;
use crate::metric::Goal;
use crate::surrogate::CurveModel;
use crate::surrogate::curve::{grid, rungs_before};
use indexmap::IndexMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Wire name.
const NAME: &str = "Predictive";
/// Simulated ends per judgement.
const PATHS: usize = 200;
/// Trials that must have completed before their length counts, and that must have a value to be compared with.
const ENOUGH: usize = 3;
/// How many times `false_stops` P may be where a new trial promises more.
const STRETCH: f64 = 5.0;

/// Settings, as in [`super::PolicySpec::Predictive`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) goal: Goal,
    pub(super) false_stops: f64,
    pub(super) top_k: u64,
    pub(super) eager: bool,
    pub(super) delay_evaluation: u64,
    pub(super) max_resource: Option<u64>,
    pub(super) freeze: bool,
}

/// One trial; losses, so that smaller is better.
#[derive(Debug)]
struct Curve {
    reports: u64,
    best: f64,
    /// Best at each rung of the grid that it has passed.
    rungs: Vec<f64>,
    live: bool,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Predictive {
    settings: Settings,
    grid: Vec<u64>,
    curves: BTreeMap<u64, Curve>,
    /// Trials that have reached a rung since the last question.
    pending: BTreeSet<u64>,
    /// Trials that completed, and the most reports of one.
    completed: usize,
    longest: u64,
    /// Reports of all trials.
    reports: u64,
    /// The model of all that was fed, until more is.
    fitted: Option<(u64, Arc<CurveModel>)>,
}

impl Predictive {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            grid: grid(),
            curves: BTreeMap::new(),
            pending: BTreeSet::new(),
            completed: 0,
            longest: 0,
            reports: 0,
            fitted: None,
        }
    }

    /// The model of what was fed so far.
    fn model(&mut self, last: u64) -> Arc<CurveModel> {
        match &self.fitted {
            Some((known, model)) if *known == last => Arc::clone(model),
            _ => {
                let model = Arc::new(self.fit(last));
                self.fitted = Some((last, Arc::clone(&model)));
                model
            }
        }
    }

    /// Reports of a whole trial, once that is known.
    fn last(&self) -> Option<u64> {
        let learned = (self.completed >= ENOUGH).then_some(self.longest);
        self.settings.max_resource.or(learned).filter(|last| *last > 1)
    }

    /// Fitted anew from all that was fed, in the order of the trials: a restored controller, which feeds in another order, must judge
    /// alike.
    fn fit(&self, last: u64) -> CurveModel {
        let before = rungs_before(&self.grid, last);
        let curves: Vec<Vec<f64>> = self
            .curves
            .values()
            .map(|curve| {
                let mut losses: Vec<f64> = curve.rungs.iter().copied().take(before).collect();
                if losses.len() == before && curve.reports >= last {
                    losses.push(curve.best);
                }
                losses
            })
            .collect();
        CurveModel::fit(curves.iter().map(Vec::as_slice), before + 1)
    }

    /// The k-th lowest loss of the others.
    fn rival(&self, number: u64) -> Option<f64> {
        let others = self.curves.iter().filter(|(other, _)| **other != number);
        let mut losses: Vec<f64> = others
            .map(|(_, curve)| curve.best)
            .filter(|loss| loss.is_finite())
            .collect();
        let top_k = usize::try_from(self.settings.top_k.max(1)).ok()?;
        if losses.len() < top_k.max(ENOUGH) {
            return None;
        }
        Some(*losses.select_nth_unstable_by(top_k - 1, f64::total_cmp).1)
    }

    /// Where a trial stands: rung, best loss there and one rung before. A trial without a value stands with the worst.
    fn standing(&self, curve: &Curve) -> Option<(usize, f64, Option<f64>)> {
        let rung = curve.rungs.len().checked_sub(1)?;
        let now = *curve.rungs.get(rung)?;
        let now = if now.is_finite() {
            now
        } else {
            let losses = self.curves.values().map(|other| other.best);
            losses
                .filter(|loss| loss.is_finite())
                .fold(f64::NEG_INFINITY, f64::max)
        };
        let before = rung
            .checked_sub(1)
            .and_then(|rung| curve.rungs.get(rung))
            .copied();
        Some((rung, now, before))
    }

    /// Probability that a trial ends among the best, and the value that it has to beat; `None` where nobody is judged.
    fn probability(&self, number: u64, last: u64, model: &CurveModel) -> Option<(f64, f64)> {
        let curve = self.curves.get(&number)?;
        let (rung, now, before) = self.standing(curve)?;
        if curve.reports < self.settings.delay_evaluation || rung >= rungs_before(&self.grid, last) {
            return None;
        }
        let rival = self.rival(number)?;
        if curve.best <= rival {
            return None;
        }
        let ends = model.ends(rung, now, before, PATHS, number);
        let better = ends.iter().filter(|end| **end < rival).count();
        Some(((better as f64 + 0.5) / (PATHS as f64 + 1.0), rival))
    }

    /// What a trial still needs, what a new one promises, and what trials cost on average.
    fn prospects(&self, reports: u64, last: u64) -> (f64, f64, f64) {
        let trials = self.curves.len() as f64;
        let cost = (self.reports as f64 / trials).max(1.0);
        let fresh = self.settings.top_k.max(1) as f64 / (trials + 1.0);
        let rest = last.saturating_sub(reports).max(1) as f64;
        (rest, fresh, cost)
    }

    /// As [`Self::probability`], of a trial that is frozen: 1 for one that is among the best or cannot be judged any more.
    fn chance(&self, number: u64, last: u64, model: &CurveModel) -> f64 {
        self.probability(number, last, model)
            .map_or(1.0, |(probability, _)| probability)
    }

    fn judge(&self, number: u64, last: u64, model: &CurveModel) -> Option<Stop> {
        let (probability, rival) = self.probability(number, last, model)?;
        let curve = self.curves.get(&number)?;
        let trials = self.curves.len() as f64;
        let (rest, fresh, cost) = self.prospects(curve.reports, last);
        let bound = self.settings.false_stops;
        let outdone =
            self.settings.eager && probability < bound * STRETCH && probability / rest < fresh / cost;
        if probability >= bound && !outdone {
            return None;
        }
        let sign = self.settings.goal.sign();
        let value = curve.best.is_finite().then_some(-sign * curve.best);
        let threshold = Some(-sign * rival);
        let of = match self.settings.top_k {
            0 | 1 => "the best".to_owned(),
            k => format!("the best {k}"),
        };
        let percent = 100.0 * probability;
        let because = if probability < bound {
            format!("by its curve {percent:.1} % to join {of} by interval {last}")
        } else {
            format!("by its curve {percent:.1} % to join {of} by interval {last}; a new trial promises more")
        };
        Some(Stop {
            trial: number,
            interval: curve.reports,
            policy: NAME.into(),
            value,
            threshold,
            operands: IndexMap::from([
                ("probability".to_owned(), probability),
                ("false_stops".to_owned(), bound),
                ("rest".to_owned(), rest),
                ("fresh".to_owned(), fresh),
                ("cost".to_owned(), cost),
                ("population".to_owned(), trials),
                ("sign".to_owned(), sign),
            ]),
            inequality: inequality(self.settings.goal, value, threshold, &because),
        })
    }
}

impl Predictive {
    /// Who goes, of those that have reached a rung since the last question.
    fn decide(&mut self) -> Vec<Stop> {
        let pending = std::mem::take(&mut self.pending);
        let Some(last) = self.last().filter(|_| !pending.is_empty()) else {
            return Vec::new();
        };
        let model = self.model(last);
        pending
            .into_iter()
            .filter_map(|trial| self.judge(trial, last, &model))
            .collect()
    }
}

impl Policy for Predictive {
    fn report(&mut self, trial: u64, value: f64) {
        let curve = self.curves.entry(trial).or_insert(Curve {
            reports: 0,
            best: f64::INFINITY,
            rungs: Vec::new(),
            live: true,
        });
        if !curve.live {
            return;
        }
        curve.reports += 1;
        self.reports += 1;
        // Between rungs only the end of a whole curve is news.
        if self
            .fitted
            .as_ref()
            .is_some_and(|(last, _)| curve.reports >= *last)
        {
            self.fitted = None;
        }
        if value.is_finite() {
            curve.best = curve.best.min(-self.settings.goal.sign() * value);
        }
        if self.grid.get(curve.rungs.len()) != Some(&curve.reports) {
            return;
        }
        curve.rungs.push(curve.best);
        self.fitted = None;
        self.pending.insert(trial);
    }

    fn end(&mut self, trial: u64, state: TrialState) {
        self.pending.remove(&trial);
        let Some(curve) = self.curves.get_mut(&trial).filter(|curve| curve.live) else {
            return;
        };
        self.fitted = None;
        curve.live = false;
        if state == TrialState::Completed {
            self.completed += 1;
            self.longest = self.longest.max(curve.reports);
        }
    }

    fn restart(&mut self, trial: u64) {
        self.pending.remove(&trial);
        self.fitted = None;
        if let Some(curve) = self.curves.remove(&trial) {
            self.reports = self.reports.saturating_sub(curve.reports);
        }
    }

    fn restored(&mut self) {
        self.pending.clear();
    }

    fn freezes(&mut self) -> Vec<Stop> {
        if self.settings.freeze {
            self.decide()
        } else {
            Vec::new()
        }
    }

    fn thaw(&mut self, frozen: &[u64], last: bool) -> Option<Thaw> {
        let end = self.last().filter(|_| !frozen.is_empty())?;
        let model = self.model(end);
        let worth = |number: &u64| {
            let chance = self.chance(*number, end, &model);
            let (rest, fresh, cost) = self.prospects(self.curves.get(number)?.reports, end);
            let wanted = chance >= self.settings.false_stops && (last || chance / rest >= fresh / cost);
            wanted.then_some((*number, chance, fresh))
        };
        // Of equals the older one.
        let best = frozen
            .iter()
            .filter_map(worth)
            .reduce(|best, other| if other.1 > best.1 { other } else { best });
        best.map(|(trial, chance, fresh)| {
            let percent = 100.0 * chance;
            let than = if last {
                "no new trial will begin".to_owned()
            } else {
                format!("a new trial has {:.1} %", 100.0 * fresh)
            };
            Thaw {
                trial,
                policy: NAME.into(),
                reason: format!(
                    "by its curve {percent:.1} % to become one of the best by interval {end}; {than}"
                ),
            }
        })
    }

    fn promise(&mut self, trial: u64) -> f64 {
        match self.last() {
            Some(last) => {
                let model = self.model(last);
                self.chance(trial, last, &model)
            }
            None => 1.0,
        }
    }

    fn stops(&mut self) -> Vec<Stop> {
        if self.settings.freeze {
            return Vec::new();
        }
        let stops = self.decide();
        for stop in &stops {
            self.end(stop.trial, TrialState::Canceled);
        }
        stops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(goal: Goal, max_resource: Option<u64>) -> Predictive {
        Predictive::new(Settings {
            goal,
            false_stops: 0.05,
            top_k: 1,
            eager: false,
            delay_evaluation: 0,
            max_resource,
            freeze: false,
        })
    }

    /// Accuracy after `report` reports of a curve that ends near `ceiling`.
    fn accuracy(ceiling: f64, report: u64) -> f64 {
        ceiling - 0.5 * (report as f64).powf(-0.8)
    }

    /// Runs trials one after the other; when each was stopped.
    fn run(policy: &mut Predictive, sign: f64, ceilings: &[f64]) -> Vec<Option<u64>> {
        let mut stopped = Vec::new();
        for (trial, ceiling) in (0..).zip(ceilings) {
            let mut at = None;
            for report in 1..=40 {
                policy.report(trial, sign * accuracy(*ceiling, report));
                if let [stop] = policy.stops().as_slice() {
                    at = Some(stop.interval);
                    break;
                }
            }
            if at.is_none() {
                policy.end(trial, TrialState::Completed);
            }
            stopped.push(at);
        }
        stopped
    }

    #[test]
    fn the_hopeless_go_early_and_the_promising_run_to_their_end() {
        let ceilings = [0.80, 0.82, 0.78, 0.60, 0.81, 0.55, 0.79, 0.50, 0.90];
        let stopped = run(&mut policy(Goal::Maximize, None), 1.0, &ceilings);
        assert_eq!(
            stopped.get(..3),
            Some(&[None, None, None][..]),
            "no length is known yet"
        );
        for (hopeless, stopped) in [(3, stopped[3]), (5, stopped[5]), (7, stopped[7])] {
            assert!(
                stopped.is_some_and(|at| at <= 13),
                "trial {hopeless}: {stopped:?}"
            );
        }
        assert_eq!(stopped[8], None, "the best must not go");
        let mirrored = run(&mut policy(Goal::Minimize, None), -1.0, &ceilings);
        assert_eq!(stopped, mirrored, "the goal changes nothing");
    }

    #[test]
    fn what_was_asked_when_changes_nothing() {
        let ceilings = [0.80, 0.82, 0.78, 0.60, 0.81];
        let mut asked = policy(Goal::Maximize, None);
        run(&mut asked, 1.0, &ceilings);
        let mut restored = policy(Goal::Maximize, None);
        for (trial, curve) in &asked.curves {
            for report in 1..=curve.reports {
                restored.report(*trial, accuracy(ceilings[*trial as usize], report));
            }
            let state = if curve.reports == 40 {
                TrialState::Completed
            } else {
                TrialState::Canceled
            };
            restored.end(*trial, state);
        }
        restored.restored();
        for report in 1..=40 {
            for policy in [&mut asked, &mut restored] {
                policy.report(9, accuracy(0.7, report));
            }
            let (left, right) = (asked.stops(), restored.stops());
            assert_eq!(left, right);
        }
    }

    #[test]
    fn no_value_is_the_worst_and_a_restart_begins_anew() {
        let mut policy = policy(Goal::Maximize, Some(40));
        run(&mut policy, 1.0, &[0.9, 0.8, 0.85, 0.7]);
        for report in 1..=40 {
            policy.report(7, f64::NAN);
            if report == 3 {
                policy.restart(7);
            }
        }
        let reports = policy.curves.get(&7).map(|curve| curve.reports);
        assert_eq!(reports, Some(37));
        let mut fresh = super::tests::policy(Goal::Maximize, Some(40));
        run(&mut fresh, 1.0, &[0.9, 0.8, 0.85, 0.7]);
        let went = (1..=40).any(|_| {
            fresh.report(7, f64::NAN);
            !fresh.stops().is_empty()
        });
        assert!(went, "a trial without a value goes");
    }
}
