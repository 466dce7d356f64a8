//! Finding the best candidate of a mixed space without gradients: a broad pool, then mutants of the best in shrinking steps.

use crate::space::encode::Encoder;
use crate::space::rng::Stream;
use std::collections::HashSet;

/// A scored point.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Coordinates (see [`Encoder`]).
    pub coordinates: Vec<f64>,
    /// Acquisition value; larger is better.
    pub score: f64,
}

/// Where in a search points are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The broad pool; only its best survive.
    Pool,
    /// What survived, and its mutants.
    Refinement,
}

/// Acquisition values of points, at a stage of the search.
pub type Score<'a> = dyn FnMut(&[Vec<f64>], Stage) -> Vec<f64> + 'a;

/// Sizes of a search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Points drawn from the whole space.
    pub uniform: usize,
    /// Mutants of the observed points.
    pub mutants: usize,
    /// Rounds of refinement.
    pub rounds: usize,
    /// Points kept for each round.
    pub top: usize,
    /// Mutants of each kept point.
    pub offspring: usize,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            uniform: 300,
            mutants: 200,
            rounds: 4,
            top: 6,
            offspring: 20,
        }
    }
}

/// Range of ln10 step sizes of the first mutants, in units of an axis.
const SPREAD: (f64, f64) = (-2.3, -0.4);

impl Search {
    /// All candidates that `admit` lets through, best first; equal scores in order of creation. `score` is told whether it sees the first
    /// pool (where a cheaper approximation does). `parents` are the observed points to start from, best first.
    pub fn run(
        &self,
        encoder: &Encoder,
        parents: &[Vec<f64>],
        draws: &mut Stream,
        admit: &mut dyn FnMut(&[f64]) -> bool,
        score: &mut Score<'_>,
    ) -> Vec<Candidate> {
        let mut known: HashSet<Vec<u64>> = HashSet::new();
        let rate = (1.5 / encoder.dimensions().max(1) as f64).max(0.15);
        let mut pool = Vec::new();
        let mut offer = |point: Vec<f64>, pool: &mut Vec<Vec<f64>>| {
            if known.insert(point.iter().map(|x| x.to_bits()).collect()) && admit(&point) {
                pool.push(point);
            }
        };
        for _ in 0..self.uniform {
            offer(encoder.at(|_| draws.unit()), &mut pool);
        }
        if !parents.is_empty() {
            for i in 0..self.mutants {
                let parent = parents
                    .get(i % parents.len())
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                offer(encoder.mutate(parent, rate, SPREAD, draws), &mut pool);
            }
        }
        let mut found = best_of(rank(pool, &mut |p| score(p, Stage::Pool)), 4 * self.top.max(1));
        found = rank(found.into_iter().map(|c| c.coordinates).collect(), &mut |p| {
            score(p, Stage::Refinement)
        });
        for round in 0..self.rounds {
            let shrink = 0.3 * round as f64;
            let spread = (SPREAD.0 - shrink, SPREAD.1 - shrink);
            let mut pool = Vec::new();
            for parent in found.iter().take(self.top) {
                for _ in 0..self.offspring {
                    offer(
                        encoder.mutate(&parent.coordinates, rate, spread, draws),
                        &mut pool,
                    );
                }
            }
            found.extend(rank(pool, &mut |p| score(p, Stage::Refinement)));
            // A stable sort keeps the earlier of equals, so the result does not depend on the sort.
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        found
    }
}

/// Scores points and sorts them, best first; points without a number come last.
pub(crate) fn rank(points: Vec<Vec<f64>>, score: &mut dyn FnMut(&[Vec<f64>]) -> Vec<f64>) -> Vec<Candidate> {
    let scores = score(&points);
    let finite = |score: f64| if score.is_nan() { f64::NEG_INFINITY } else { score };
    let mut ranked: Vec<Candidate> = points
        .into_iter()
        .zip(scores)
        .map(|(coordinates, score)| Candidate {
            coordinates,
            score: finite(score),
        })
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked
}

fn best_of(mut ranked: Vec<Candidate>, count: usize) -> Vec<Candidate> {
    ranked.truncate(count);
    ranked
}
