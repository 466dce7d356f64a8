//! From raw results to tables: mean ranks, normalized regret, bootstrap intervals.
//!
//! At each (problem, seed, checkpoint) the optimizers are ranked by the noise-free value of their incumbent (ties share the mean rank);
//! ranks are averaged over seeds, then over problems. Normalized regret is `(f - best) / (median - best)`, clipped to [0, 1]. Intervals are
//! percentile bootstraps: seeds are resampled within problems. Optimizers are compared on the seeds that all of them have.

use crate::sampler::rng;
use indexmap::{IndexMap, IndexSet};

/// One line of a results file.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRow {
    /// Optimizer.
    pub optimizer: String,
    /// Problem.
    pub problem: String,
    /// Seed.
    pub seed: u64,
    /// Checkpoint.
    pub checkpoint: u64,
    /// Noise-free value of the incumbent.
    pub best_true: f64,
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Mean.
    pub mean: f64,
    /// 2.5 % point.
    pub low: f64,
    /// 97.5 % point.
    pub high: f64,
}

/// One optimizer at all checkpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Optimizer.
    pub optimizer: String,
    /// Mean rank per checkpoint.
    pub rank: Vec<Interval>,
    /// Normalized regret per checkpoint.
    pub regret: Vec<Interval>,
}

/// A comparison of optimizers.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// Checkpoints in order.
    pub checkpoints: Vec<u64>,
    /// Problems that every optimizer was run on.
    pub problems: Vec<String>,
    /// Smallest number of seeds in common on a problem.
    pub seeds_min: usize,
    /// Best mean rank at the last checkpoint first.
    pub standings: Vec<Standing>,
}

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;

/// `[problem][seed][optimizer]`.
type Cells = Vec<Vec<Vec<f64>>>;

/// Compares the optimizers of `rows`. `reference(problem)` gives (best known, median of random).
pub fn rank(rows: &[ResultRow], reference: &dyn Fn(&str) -> Option<(f64, f64)>) -> Ranking {
    let mut values: IndexMap<(&str, &str, u64, u64), f64> = IndexMap::new();
    let mut checkpoints = IndexSet::new();
    let mut optimizers = IndexSet::new();
    let mut problems = IndexSet::new();
    let mut best: IndexMap<&str, f64> = IndexMap::new();
    for row in rows.iter().filter(|row| row.best_true.is_finite()) {
        values.insert(
            (&row.optimizer, &row.problem, row.seed, row.checkpoint),
            row.best_true,
        );
        checkpoints.insert(row.checkpoint);
        optimizers.insert(row.optimizer.as_str());
        problems.insert(row.problem.as_str());
        let lowest = best.entry(&row.problem).or_insert(f64::INFINITY);
        *lowest = lowest.min(row.best_true);
    }
    let mut checkpoints: Vec<u64> = checkpoints.into_iter().collect();
    checkpoints.sort_unstable();
    let optimizers: Vec<&str> = optimizers.into_iter().collect();
    let last = checkpoints.last().copied().unwrap_or(0);
    let mut common: Vec<(&str, Vec<u64>)> = Vec::new();
    for problem in problems {
        let mut seeds: Vec<u64> = rows
            .iter()
            .filter(|row| row.problem == problem)
            .map(|row| row.seed)
            .collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds.retain(|seed| {
            optimizers
                .iter()
                .all(|o| values.contains_key(&(*o, problem, *seed, last)))
        });
        if !seeds.is_empty() && reference(problem).is_some() {
            common.push((problem, seeds));
        }
    }
    let seeds_min = common.iter().map(|(_, seeds)| seeds.len()).min().unwrap_or(0);
    let mut standings: Vec<Standing> = optimizers
        .iter()
        .map(|o| Standing {
            optimizer: (*o).to_owned(),
            rank: Vec::new(),
            regret: Vec::new(),
        })
        .collect();
    for checkpoint in &checkpoints {
        let (mut ranks, mut regrets): (Cells, Cells) = (Vec::new(), Vec::new());
        for (problem, seeds) in &common {
            let (known, median) = reference(problem).unwrap_or((0.0, 1.0));
            let lowest = best.get(problem).copied().unwrap_or(known).min(known);
            let mut problem_ranks = Vec::new();
            let mut problem_regrets = Vec::new();
            for seed in seeds {
                let row: Vec<f64> = optimizers
                    .iter()
                    .map(|o| {
                        values
                            .get(&(*o, *problem, *seed, *checkpoint))
                            .copied()
                            .unwrap_or(f64::INFINITY)
                    })
                    .collect();
                problem_regrets.push(
                    row.iter()
                        .map(|v| ((v - lowest) / (median - lowest)).clamp(0.0, 1.0))
                        .collect(),
                );
                problem_ranks.push(shared_ranks(&row));
            }
            ranks.push(problem_ranks);
            regrets.push(problem_regrets);
        }
        for (index, standing) in standings.iter_mut().enumerate() {
            standing.rank.push(interval(&ranks, index));
            standing.regret.push(interval(&regrets, index));
        }
    }
    standings.sort_by(|a, b| {
        let key = |s: &Standing| s.rank.last().map_or(f64::INFINITY, |rank| rank.mean);
        key(a).total_cmp(&key(b))
    });
    Ranking {
        checkpoints,
        problems: common
            .into_iter()
            .map(|(problem, _)| problem.to_owned())
            .collect(),
        seeds_min,
        standings,
    }
}

/// Ranks from 1; equal values share the mean of their places.
fn shared_ranks(values: &[f64]) -> Vec<f64> {
    values
        .iter()
        .map(|v| {
            let less = values.iter().filter(|other| *other < v).count() as f64;
            let equal = values.iter().filter(|other| *other == v).count() as f64;
            less + (equal + 1.0) / 2.0
        })
        .collect()
}

fn interval(cells: &Cells, optimizer: usize) -> Interval {
    let columns: Vec<Vec<f64>> = cells
        .iter()
        .map(|seeds| {
            seeds
                .iter()
                .filter_map(|row| row.get(optimizer).copied())
                .collect::<Vec<f64>>()
        })
        .filter(|column| !column.is_empty())
        .collect();
    if columns.is_empty() {
        return Interval {
            mean: f64::NAN,
            low: f64::NAN,
            high: f64::NAN,
        };
    }
    let mean_of = |column: &[f64]| column.iter().sum::<f64>() / column.len() as f64;
    let mean = columns.iter().map(|column| mean_of(column)).sum::<f64>() / columns.len() as f64;
    let mut generator = rng::stream(0, "bootstrap", optimizer as u64);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let total: f64 = columns
                .iter()
                .map(|column| {
                    let sum: f64 = (0..column.len())
                        .map(|_| column.get(generator.index(column.len())).copied().unwrap_or(0.0))
                        .sum();
                    sum / column.len() as f64
                })
                .sum();
            total / columns.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| {
        means
            .get(((RESAMPLES - 1) as f64 * share) as usize)
            .copied()
            .unwrap_or(mean)
    };
    Interval {
        mean,
        low: at(0.025),
        high: at(0.975),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_the_mean_rank() {
        assert_eq!(shared_ranks(&[0.5, 0.1, 0.5, 0.9]), [2.5, 1.0, 2.5, 4.0]);
    }

    #[test]
    fn only_seeds_in_common_count() {
        let row = |optimizer: &str, seed, value| ResultRow {
            optimizer: optimizer.into(),
            problem: "p".into(),
            seed,
            checkpoint: 10,
            best_true: value,
        };
        let rows = [row("a", 0, 1.0), row("a", 1, 0.0), row("b", 0, 2.0)];
        let ranking = rank(&rows, &|_| Some((0.0, 4.0)));
        assert_eq!(ranking.seeds_min, 1);
        assert_eq!(ranking.standings[0].optimizer, "a");
        assert_eq!(ranking.standings[0].regret[0].mean, 0.25);
        assert_eq!(ranking.standings[1].rank[0].mean, 2.0);
    }
}
