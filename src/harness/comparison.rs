//! Two optimizers on the same problems and seeds: paired differences of the normalized regret with bootstrap intervals.
//!
//! A pair is one (problem, seed) that both ran. The difference is the second's regret less the first's, so that above 0 the second is worse;
//! the mean over seeds, then over problems. Intervals are percentile bootstraps: pairs are resampled within problems.

use crate::harness::ranking::{Interval, ResultRow};
use crate::sampler::rng;
use indexmap::IndexMap;

/// Pairs of regrets by problem.
type PairsByProblem<'a> = IndexMap<&'a str, Vec<(f64, f64)>>;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 4_000;

/// Differences below this are ties: what 32-bit evaluators leave.
const TIE: f64 = 1e-6;

/// The pairs at one checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Paired {
    /// Checkpoint.
    pub at: u64,
    /// Regret of the first.
    pub first: f64,
    /// Regret of the second.
    pub second: f64,
    /// Second less first; below 0 the second is better.
    pub difference: Interval,
    /// Pairs in which the second is better.
    pub wins: usize,
    /// Pairs in which both are alike.
    pub ties: usize,
    /// Pairs in which the second is worse.
    pub losses: usize,
    /// Mean difference per problem.
    pub problems: Vec<(String, f64)>,
}

/// A comparison of two optimizers.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// One entry per checkpoint that both reached, in order.
    pub checkpoints: Vec<Paired>,
    /// Number of (problem, seed) pairs.
    pub pairs: usize,
}

impl Comparison {
    /// Whether the second is worse at a checkpoint by more than `margin`, beyond what chance explains.
    pub fn regressed(&self, margin: f64) -> bool {
        self.checkpoints
            .iter()
            .any(|paired| paired.difference.low > margin)
    }
}

/// Compares the results of two optimizers. `reference(problem)` gives (best known, median of random); the best known is lowered to the best of
/// both. Problems without reference, and pairs that one of them did not run, are left out.
pub fn compare(
    first: &[ResultRow],
    second: &[ResultRow],
    reference: &dyn Fn(&str) -> Option<(f64, f64)>,
) -> Comparison {
    let table = |rows: &[ResultRow]| -> IndexMap<(String, u64, u64), f64> {
        rows.iter()
            .filter(|row| row.best_true.is_finite())
            .map(|row| ((row.problem.clone(), row.seed, row.checkpoint), row.best_true))
            .collect()
    };
    let (a, b) = (table(first), table(second));
    let mut best: IndexMap<&str, f64> = IndexMap::new();
    for ((problem, ..), value) in a.iter().chain(&b) {
        let lowest = best.entry(problem).or_insert(f64::INFINITY);
        *lowest = lowest.min(*value);
    }
    let mut found: IndexMap<u64, PairsByProblem<'_>> = IndexMap::new();
    for (key, x) in &a {
        let (problem, _, checkpoint) = key;
        let (Some(y), Some((known, median))) = (b.get(key), reference(problem)) else {
            continue;
        };
        let lowest = best.get(problem.as_str()).copied().unwrap_or(known).min(known);
        let regret = |value: f64| ((value - lowest) / (median - lowest)).clamp(0.0, 1.0);
        let pairs = found.entry(*checkpoint).or_default().entry(problem).or_default();
        pairs.push((regret(*x), regret(*y)));
    }
    found.sort_unstable_keys();
    let pairs = found
        .values()
        .map(|problems| problems.values().map(Vec::len).sum())
        .max()
        .unwrap_or(0);
    Comparison {
        checkpoints: found
            .into_iter()
            .map(|(at, problems)| paired(at, &problems))
            .collect(),
        pairs,
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    if count > 0.0 { sum / count } else { f64::NAN }
}

fn paired(at: u64, problems: &IndexMap<&str, Vec<(f64, f64)>>) -> Paired {
    let all = || problems.values().flatten();
    let of = |pick: fn(&(f64, f64)) -> f64| mean(problems.values().map(|pairs| mean(pairs.iter().map(pick))));
    let mut draws = rng::stream(0, "paired bootstrap", at);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            mean(problems.values().map(|pairs| {
                mean(
                    (0..pairs.len()).map(|_| pairs.get(draws.index(pairs.len())).map_or(0.0, |(x, y)| y - x)),
                )
            }))
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        means
            .get(((RESAMPLES - 1) as f64 * share) as usize)
            .copied()
            .unwrap_or(f64::NAN)
    };
    Paired {
        at,
        first: of(|(x, _)| *x),
        second: of(|(_, y)| *y),
        difference: Interval {
            mean: of(|(x, y)| y - x),
            low: quantile(0.025),
            high: quantile(0.975),
        },
        wins: all().filter(|(x, y)| y - x < -TIE).count(),
        ties: all().filter(|(x, y)| (y - x).abs() <= TIE).count(),
        losses: all().filter(|(x, y)| y - x > TIE).count(),
        problems: problems
            .iter()
            .map(|(name, pairs)| ((*name).to_owned(), mean(pairs.iter().map(|(x, y)| y - x))))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(shift: impl Fn(u64) -> f64) -> Vec<ResultRow> {
        (0..20)
            .flat_map(|seed| {
                let value = 1.0 + (seed * 7 % 5) as f64 * 0.1 + shift(seed);
                [("p", value), ("q", value + 0.5)].map(|(problem, best_true)| ResultRow {
                    optimizer: "o".into(),
                    problem: problem.into(),
                    seed,
                    checkpoint: 10,
                    best_true,
                })
            })
            .collect()
    }

    #[test]
    fn pairs_show_what_means_alone_would_not() {
        let reference = |_: &str| Some((0.0, 4.0));
        let worse = compare(&rows(|_| 0.0), &rows(|_| 0.05), &reference);
        assert_eq!((worse.pairs, worse.checkpoints.len()), (40, 1));
        let paired = &worse.checkpoints[0];
        assert!((paired.difference.mean - 0.0125).abs() < 1e-12 && paired.difference.low > 0.0124);
        assert_eq!((paired.wins, paired.ties, paired.losses), (0, 0, 40));
        assert!(worse.regressed(0.0) && !worse.regressed(0.02));
        let same = compare(
            &rows(|_| 0.0),
            &rows(|seed| if seed % 2 == 0 { 0.1 } else { -0.1 }),
            &reference,
        );
        assert!(!same.regressed(0.0) && same.checkpoints[0].difference.high > 0.0);
        let none = compare(&rows(|_| 0.0), &[], &reference);
        assert!(none.checkpoints.is_empty() && none.pairs == 0);
    }
}
