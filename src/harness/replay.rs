//! Replay: a policy let loose on recorded curves, in many orders of arrival.
//!
//! The trials of a finished sweep come again, `slots` at a time, each report taking one unit of virtual time; where the policy stops a
//! trial, the rest of its curve is saved and the next one begins. Since the curves are known to their ends, so is what each stop cost. The
//! order in which trials came was chance: everything is told over many random orders (percentile intervals), whose spread is that of a
//! sweep which would be repeated with the same trials.

use crate::ask_tell::{ProblemParameter, Study, search_space};
use crate::harness::Problem;
use crate::history::TrialState;
use crate::metric::Goal;
use crate::policy::{PolicySpec, build};
use crate::space::rng::stream;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// How to replay.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// Direction of the metric.
    pub goal: Goal,
    /// Trials that run at a time; >= 1.
    pub slots: usize,
    /// Orders of arrival; the first is the recorded one. >= 1.
    pub orders: u64,
    /// How many trials count as the best, for what is called a false stop; >= 1.
    pub top_k: usize,
    /// Of the random orders.
    pub seed: u64,
}

/// A mean over the orders with the percentiles of 2.5 and 97.5 of single orders.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// 2.5 % of the orders lie below.
    pub low: f64,
    /// 2.5 % of the orders lie above.
    pub high: f64,
}

/// What a policy would have done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Share of all reports that would not have been needed.
    pub saved: Spread,
    /// Share of the time that would have been saved with as many slots.
    pub faster: Spread,
    /// Trials stopped.
    pub stopped: Spread,
    /// Share of false stops among all stops of all orders: trials whose end was better than the k-th best value seen when they were
    /// stopped. NaN without stops.
    pub false_stops: f64,
    /// Share of orders in which the best trial of all was stopped.
    pub best_stopped: f64,
    /// What was lost: the best value of all and the best of those that were not stopped before it, as a share of the distance between
    /// the best and the median trial.
    pub lost: Spread,
    /// Orders replayed.
    pub orders: u64,
}

/// One order.
struct Once {
    saved: f64,
    faster: f64,
    stopped: u64,
    false_stops: u64,
    best_stopped: bool,
    lost: f64,
}

impl Replay {
    /// Replays `policy` on `curves`, the reports of whole trials in the order in which they came. `None` if no curve has a finite value.
    pub fn run(&self, curves: &[Vec<f64>], policy: &PolicySpec) -> Option<Outcome> {
        let curves: Vec<&[f64]> = curves
            .iter()
            .map(Vec::as_slice)
            .filter(|curve| !curve.is_empty())
            .collect();
        // Ends and medians in losses, smaller is better.
        let mut ends: Vec<f64> = curves.iter().map(|curve| self.loss(curve)).collect();
        let unsorted = ends.clone();
        ends.retain(|end| end.is_finite());
        ends.sort_by(f64::total_cmp);
        let best = *ends.first()?;
        let median = *ends.get(ends.len() / 2)?;
        let range = if median > best { median - best } else { 1.0 };
        let mut order: Vec<usize> = (0..curves.len()).collect();
        let mut all = Vec::new();
        for index in 0..self.orders.max(1) {
            if index > 0 {
                let mut draws = stream(self.seed, "replay", index);
                for at in (1..order.len()).rev() {
                    order.swap(at, draws.index(at + 1));
                }
            }
            all.push(self.once(&curves, &unsorted, &order, policy, (best, range)));
        }
        let stops: u64 = all.iter().map(|once| once.stopped).sum();
        let false_stops: u64 = all.iter().map(|once| once.false_stops).sum();
        let count = all.len() as f64;
        Some(Outcome {
            saved: spread(all.iter().map(|once| once.saved)),
            faster: spread(all.iter().map(|once| once.faster)),
            stopped: spread(all.iter().map(|once| once.stopped as f64)),
            false_stops: false_stops as f64 / stops as f64,
            best_stopped: all.iter().filter(|once| once.best_stopped).count() as f64 / count,
            lost: spread(all.iter().map(|once| once.lost)),
            orders: all.len() as u64,
        })
    }

    fn loss(&self, curve: &[f64]) -> f64 {
        let finite = curve.iter().filter(|value| value.is_finite());
        finite
            .map(|value| -self.goal.sign() * value)
            .fold(f64::INFINITY, f64::min)
    }

    fn once(
        &self,
        curves: &[&[f64]],
        ends: &[f64],
        order: &[usize],
        policy: &PolicySpec,
        (best, range): (f64, f64),
    ) -> Once {
        let mut policy = build(policy, self.goal);
        let mut heap = BinaryHeap::new();
        let mut waiting = order.iter().enumerate();
        let mut seen = vec![f64::INFINITY; order.len()];
        let (mut stopped, mut false_stops) = (BTreeSet::new(), 0);
        let (mut now, mut spent, mut sequence) = (0_u64, 0_u64, 0_u64);
        let slots = self.slots.max(1);
        let mut free = slots;
        loop {
            while free > 0
                && let Some((trial, curve)) = waiting.next()
            {
                sequence += 1;
                heap.push(Reverse((now + 1, sequence, trial, *curve, 0_usize)));
                free -= 1;
            }
            let Some(Reverse((time, _, trial, index, report))) = heap.pop() else {
                break;
            };
            if stopped.contains(&trial) {
                continue;
            }
            now = time;
            spent += 1;
            let curve = curves.get(index).copied().unwrap_or_default();
            let value = curve.get(report).copied().unwrap_or(f64::NAN);
            if let (Some(seen), true) = (seen.get_mut(trial), value.is_finite()) {
                *seen = seen.min(-self.goal.sign() * value);
            }
            policy.report(trial as u64, value);
            let mut judged = policy.stops();
            if report + 1 == curve.len() {
                // A decision at the very end saves nothing and costs nothing.
                judged.retain(|stop| stop.trial != trial as u64);
                policy.end(trial as u64, TrialState::Completed);
                judged.extend(policy.stops());
                free += 1;
            } else {
                sequence += 1;
                heap.push(Reverse((now + 1, sequence, trial, index, report + 1)));
            }
            for stop in judged {
                let trial = usize::try_from(stop.trial).unwrap_or(usize::MAX);
                if !stopped.insert(trial) {
                    continue;
                }
                free += 1;
                let end = order.get(trial).and_then(|index| ends.get(*index)).copied();
                false_stops += u64::from(end.is_some_and(|end| end < self.rival(&seen, trial)));
            }
        }
        let total: usize = curves.iter().map(|curve| curve.len()).sum();
        let found = seen.iter().copied().fold(f64::INFINITY, f64::min);
        let winner = order
            .iter()
            .position(|index| ends.get(*index).is_some_and(|end| *end <= best));
        Once {
            saved: 1.0 - spent as f64 / total as f64,
            faster: 1.0 - now as f64 / self.undisturbed(curves, order) as f64,
            stopped: stopped.len() as u64,
            false_stops,
            best_stopped: winner.is_some_and(|winner| stopped.contains(&winner)),
            lost: ((found - best) / range).max(0.0),
        }
    }

    /// The k-th best of the others so far.
    fn rival(&self, seen: &[f64], trial: usize) -> f64 {
        let others = seen.iter().enumerate().filter(|(other, _)| *other != trial);
        let mut losses: Vec<f64> = others.map(|(_, loss)| *loss).collect();
        losses.sort_by(f64::total_cmp);
        losses
            .get(self.top_k.max(1) - 1)
            .copied()
            .unwrap_or(f64::INFINITY)
    }

    /// Time that all trials take if nobody is stopped.
    fn undisturbed(&self, curves: &[&[f64]], order: &[usize]) -> u64 {
        let mut slots: BinaryHeap<Reverse<u64>> = (0..self.slots.max(1)).map(|_| Reverse(0)).collect();
        let mut end = 1;
        for index in order {
            let Reverse(time) = slots.pop().unwrap_or(Reverse(0));
            let done = time + curves.get(*index).map_or(0, |curve| curve.len() as u64);
            end = end.max(done);
            slots.push(Reverse(done));
        }
        end
    }
}

/// Curves of `count` configurations of `problem` drawn by the `random` sampler.
///
/// # Errors
/// What is wrong with the problem's space, in words.
pub fn random_curves(problem: &Problem, count: u64, seed: u64) -> Result<Vec<Vec<f64>>, String> {
    let parameters = serde_json::to_value(&problem.space)
        .and_then(serde_json::from_value::<Vec<ProblemParameter>>)
        .map_err(|error| error.to_string())?;
    let space = search_space(&parameters).map_err(|error| error.to_string())?;
    let study = Study::over(space, Goal::Minimize)
        .sampler("random")
        .seed(seed)
        .max_trials(count);
    let mut study = study.build().map_err(|error| error.to_string())?;
    let mut curves = Vec::new();
    while let Some(asked) = study.ask() {
        let curve = problem
            .canonical(&asked.parameters)
            .and_then(|configuration| problem.curve(&configuration, seed))
            .map_err(|error| error.to_string())?;
        study.tell(asked.number, 0.0).map_err(|error| error.to_string())?;
        curves.push(curve);
    }
    Ok(curves)
}

fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    let at = |share: f64| {
        values
            .get((share * last).round() as usize)
            .copied()
            .unwrap_or(f64::NAN)
    };
    Spread {
        mean: values.iter().sum::<f64>() / values.len() as f64,
        low: at(0.025),
        high: at(0.975),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay() -> Replay {
        Replay {
            goal: Goal::Maximize,
            slots: 2,
            orders: 50,
            top_k: 1,
            seed: 0,
        }
    }

    #[test]
    fn nobody_stopped_saves_nothing() {
        let curves: Vec<Vec<f64>> = (1..=6).map(|trial| vec![0.1 * f64::from(trial); 4]).collect();
        let outcome = replay().run(&curves, &PolicySpec::NoTermination).unwrap();
        assert_eq!(
            (outcome.saved.mean, outcome.faster.mean, outcome.stopped.mean),
            (0.0, 0.0, 0.0)
        );
        assert!(outcome.false_stops.is_nan() && outcome.best_stopped == 0.0 && outcome.lost.high == 0.0);
        assert!(
            replay()
                .run(&[vec![f64::NAN]], &PolicySpec::NoTermination)
                .is_none()
        );
    }

    #[test]
    fn savings_and_false_stops_are_counted_by_hand() {
        // Alone in its slot each; ASHA at the first rung: the second is worse than the first there and goes, though it would have won.
        let curves = [vec![0.5, 0.5, 0.5, 0.5], vec![0.4, 0.9, 0.9, 0.9]];
        let replay = Replay {
            orders: 1,
            ..replay()
        };
        let asha = PolicySpec::Asha {
            min_resource: 1,
            reduction_factor: 3,
            freeze: false,
        };
        let outcome = replay.run(&curves, &asha).unwrap();
        assert_eq!(outcome.saved.mean, 3.0 / 8.0);
        assert_eq!(outcome.stopped.mean, 1.0);
        assert_eq!((outcome.false_stops, outcome.best_stopped), (1.0, 1.0));
        // The median of two is the worse: all of the distance is lost.
        assert_eq!(outcome.lost.mean, 1.0);
        assert_eq!(outcome.faster.mean, 0.0, "the other one takes its time");
    }

    #[test]
    fn the_order_matters_and_the_interval_says_so() {
        let curves: Vec<Vec<f64>> = (0..20)
            .map(|trial| {
                (1..=9)
                    .map(|report| f64::from(trial) - 1.0 / f64::from(report))
                    .collect()
            })
            .collect();
        let asha = PolicySpec::Asha {
            min_resource: 1,
            reduction_factor: 3,
            freeze: false,
        };
        let outcome = replay().run(&curves, &asha).unwrap();
        assert!(outcome.saved.low < outcome.saved.mean && outcome.saved.mean < outcome.saved.high);
        assert_eq!(outcome, replay().run(&curves, &asha).unwrap());
        assert_eq!(outcome.false_stops, 0.0, "curves that never cross cannot mislead");
    }
}
