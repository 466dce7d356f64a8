//! A model of learning curves: how far the best loss of a trial still falls, learned from all curves of a sweep.
//!
//! Rungs are numbers of reports in a constant ratio, and `m_k` is a curve's lowest loss up to rung k. The next drop,
//! `(m_k - m_{k+1}) / S_k`, is regressed on `[1, (m_{k-1} - m_k) / S_k, min((m_k - best_k) / S_k, 3)]`, where `S_k` is the spread of
//! all curves at the rung and `best_k` their lowest, with noise that grows with the second and third feature. Conjugate Bayesian linear
//! regression per rung (Bishop, "Pattern Recognition and Machine Learning", 3.3 and exercise 3.12), in which neighbouring rungs count in
//! part; six noise shapes are averaged by their evidence. Each regression is conditional on where the curve stands, so curves that were
//! cut for what was seen of them bias nothing. An end is predicted by simulating the remaining drops with Student-t noise, none negative.
//!
//! The prior says that a drop is three quarters of the one before, as for a power law `t^-0.8` on this grid. After Domhan, Springenberg
//! and Hutter, "Speeding up automatic hyperparameter optimization of deep neural networks by extrapolation of learning curves" (2015),
//! who fit families of curves to each trial alone.

use crate::space::{normal, rng};

/// Ratio of neighbouring rungs.
const RATIO: f64 = 1.45;
/// Smallest ratio of the end and the rung before it.
const SHORTEST: f64 = 1.15;
/// Weight of the transitions of a neighbouring rung.
const NEIGHBOUR: f64 = 0.3;
/// Noise shapes: constant part, and part that grows with the distance from the best.
const SHAPES: [(f64, f64); 6] = [
    (0.02, 0.03),
    (0.02, 0.2),
    (0.06, 0.03),
    (0.06, 0.2),
    (0.2, 0.03),
    (0.2, 0.2),
];
const PRIOR_MEAN: [f64; 3] = [0.02, 0.75, 0.03];
const PRIOR_SHAPE: f64 = 2.0;
const PRIOR_SCALE: f64 = 1.0;
/// Heavier tails than these never come out of the data.
const FREEDOM_MAX: f64 = 6.0;

/// Rungs that any curve may have; more than 10^8 reports are not told apart.
const RUNGS_MAX: usize = 48;

/// The rungs of endless curves: 1, 2, 3, 4, 6, 9, 13, 19, ...
pub fn grid() -> Vec<u64> {
    let mut at = 1.0_f64;
    (0..RUNGS_MAX)
        .map(|_| {
            let rung = at.round() as u64;
            at = (at * RATIO).max(at + 1.0);
            rung
        })
        .collect()
}

/// How many rungs of the grid come before an end at `last` reports; a last step that is much shorter than the others is none.
pub fn rungs_before(grid: &[u64], last: u64) -> usize {
    grid.iter()
        .take_while(|rung| **rung as f64 * SHORTEST < last as f64)
        .count()
}

/// Sums of one rung's transitions under one noise shape.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    xx: [[f64; 3]; 3],
    xy: [f64; 3],
    yy: f64,
    count: f64,
    log_noise: f64,
}

impl Sums {
    fn add(&mut self, x: [f64; 3], y: f64, noise: f64, weight: f64) {
        for (row, a) in self.xx.iter_mut().zip(x) {
            for (cell, b) in row.iter_mut().zip(x) {
                *cell += weight * a * b / noise;
            }
        }
        for (cell, a) in self.xy.iter_mut().zip(x) {
            *cell += weight * a * y / noise;
        }
        self.yy += weight * y * y / noise;
        self.count += weight;
        self.log_noise += weight * libm::log(noise);
    }

    fn join(&mut self, other: &Self, weight: f64) {
        for (row, theirs) in self.xx.iter_mut().zip(other.xx) {
            for (cell, their) in row.iter_mut().zip(theirs) {
                *cell += weight * their;
            }
        }
        for (cell, their) in self.xy.iter_mut().zip(other.xy) {
            *cell += weight * their;
        }
        self.yy += weight * other.yy;
        self.count += weight * other.count;
        self.log_noise += weight * other.log_noise;
    }
}

/// Posterior of one rung's regression under one noise shape.
#[derive(Clone, Copy, Debug)]
struct Posterior {
    mean: [f64; 3],
    covariance: [[f64; 3]; 3],
    freedom: f64,
    scale: f64,
    shape: (f64, f64),
    evidence: f64,
}

/// The model after a fit; see the module documentation.
#[derive(Clone, Debug, Default)]
pub struct CurveModel {
    /// Spread and best of all trials, per rung.
    spread: Vec<f64>,
    best: Vec<f64>,
    /// Per rung, one posterior per noise shape.
    posteriors: Vec<Vec<Posterior>>,
}

impl CurveModel {
    /// Fits the model to curves: of each, its lowest losses at the rungs that it has passed; infinite where it had none. `rungs` is the
    /// number of rungs, the end included. Takes O(curves * rungs).
    pub fn fit<'a>(curves: impl Iterator<Item = &'a [f64]> + Clone, rungs: usize) -> Self {
        let mut model = Self::default();
        let mut column = Vec::new();
        for rung in 0..rungs {
            column.clear();
            column.extend(
                curves
                    .clone()
                    .filter_map(|curve| curve.get(rung))
                    .copied()
                    .filter(|m| m.is_finite()),
            );
            column.sort_by(f64::total_cmp);
            let at = |share: f64| {
                column
                    .get((share * (column.len().saturating_sub(1)) as f64).round() as usize)
                    .copied()
            };
            let (low, high) = (at(0.1).unwrap_or(0.0), at(0.75).unwrap_or(0.0));
            let before = model.spread.last().copied().unwrap_or(0.0);
            // Few survivors say little about the scale of what is still to come.
            let spread = match column.len() {
                0..4 => before.max(high - low),
                _ => high - low,
            };
            let spread = if spread > 0.0 { spread } else { before };
            model.spread.push(spread.max(low.abs() * 1e-9).max(1e-300));
            let best = column.first().copied().unwrap_or(f64::INFINITY);
            model
                .best
                .push(best.min(model.best.last().copied().unwrap_or(f64::INFINITY)));
        }
        let mut sums = vec![[Sums::default(); SHAPES.len()]; rungs.saturating_sub(1)];
        for curve in curves {
            for (rung, row) in sums.iter_mut().enumerate() {
                let (Some(&now), Some(&next)) = (curve.get(rung), curve.get(rung + 1)) else {
                    break;
                };
                if !now.is_finite() || !next.is_finite() {
                    continue;
                }
                let before = rung.checked_sub(1).and_then(|rung| curve.get(rung)).copied();
                let x = model.features(rung, now, before);
                let y = (now - next) / model.scale(rung);
                for (sums, shape) in row.iter_mut().zip(SHAPES) {
                    sums.add(x, y, noise(x, shape), 1.0);
                }
            }
        }
        model.posteriors = (0..sums.len())
            .map(|rung| {
                (0..SHAPES.len())
                    .map(|shape| {
                        let mut joint = Sums::default();
                        for (other, row) in sums.iter().enumerate() {
                            // The first rung knows no drop before it.
                            if let Some(theirs) = row.get(shape)
                                && (other == rung || (rung > 0 && other > 0))
                            {
                                joint.join(theirs, (0..other.abs_diff(rung)).map(|_| NEIGHBOUR).product());
                            }
                        }
                        posterior(
                            &joint,
                            SHAPES.get(shape).copied().unwrap_or((0.06, 0.2)),
                            rung == 0,
                        )
                    })
                    .collect()
            })
            .collect();
        model
    }

    fn scale(&self, rung: usize) -> f64 {
        self.spread
            .get(rung)
            .or(self.spread.last())
            .copied()
            .unwrap_or(1.0)
    }

    fn features(&self, rung: usize, now: f64, before: Option<f64>) -> [f64; 3] {
        let scale = self.scale(rung);
        let best = self.best.get(rung).copied().unwrap_or(now).min(now);
        let drop = before
            .filter(|before| before.is_finite())
            .map_or(0.0, |before| (before - now) / scale);
        [1.0, drop.min(10.0), ((now - best) / scale).min(3.0)]
    }

    /// Ends of `count` simulated paths of a curve that stands at `now` at rung `rung` (from 0) and stood at `before` one rung
    /// earlier. `key` makes the draws: the same key draws the same.
    pub fn ends(&self, rung: usize, now: f64, before: Option<f64>, count: usize, key: u64) -> Vec<f64> {
        let mut draws = rng::stream(key, "curve", rung as u64);
        (0..count)
            .map(|path| {
                let quantile = (path as f64 + 0.5) / count as f64;
                let (mut now, mut before) = (now, before);
                for rung in rung..self.posteriors.len() {
                    let Some(posterior) = self.posteriors.get(rung).and_then(|all| choose(all, quantile))
                    else {
                        break;
                    };
                    let x = self.features(rung, now, before);
                    let (mean, width) = posterior.drop(x);
                    let drop = mean + width * student(posterior.freedom, &mut draws);
                    before = Some(now);
                    now -= drop.max(0.0) * self.scale(rung);
                }
                now
            })
            .collect()
    }
}

impl CurveModel {
    /// Mean and variance of the end of a curve that stands at `now` at rung `rung` and stood at `before` one rung earlier, under the
    /// likeliest noise shape and with each drop at its mean: a few steps instead of many paths.
    pub fn expected_end(&self, rung: usize, now: f64, before: Option<f64>) -> (f64, f64) {
        let (mut now, mut before, mut variance) = (now, before, 0.0);
        for rung in rung..self.posteriors.len() {
            let likeliest = |all: &Vec<Posterior>| {
                all.iter()
                    .copied()
                    .max_by(|a, b| a.evidence.total_cmp(&b.evidence))
            };
            let Some(posterior) = self.posteriors.get(rung).and_then(likeliest) else {
                break;
            };
            let x = self.features(rung, now, before);
            let (mean, width) = posterior.drop(x);
            let z = mean / width;
            // Mean of a normal number that is cut off at zero.
            let drop = mean * normal::cdf(z) + width * normal::density(z);
            let scale = self.scale(rung);
            variance += (width * scale) * (width * scale);
            before = Some(now);
            now -= drop * scale;
        }
        (now, variance)
    }
}

impl Posterior {
    /// Mean and width of the next drop at features `x`.
    fn drop(&self, x: [f64; 3]) -> (f64, f64) {
        let mean: f64 = x.iter().zip(self.mean).map(|(x, w)| x * w).sum();
        let doubt: f64 = x
            .iter()
            .zip(self.covariance)
            .map(|(a, row)| a * x.iter().zip(row).map(|(b, cell)| b * cell).sum::<f64>())
            .sum();
        (mean, (self.scale * (noise(x, self.shape) + doubt)).sqrt())
    }
}

fn noise(x: [f64; 3], (constant, distance): (f64, f64)) -> f64 {
    constant * constant + 0.25 * x[1] * x[1] + distance * distance * x[2] * x[2]
}

/// A noise shape in proportion to its evidence.
fn choose(all: &[Posterior], quantile: f64) -> Option<&Posterior> {
    let top = all
        .iter()
        .map(|one| one.evidence)
        .fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = all.iter().map(|one| libm::exp(one.evidence - top)).sum();
    let mut left = quantile * total;
    for one in all {
        left -= libm::exp(one.evidence - top);
        if left <= 0.0 {
            return Some(one);
        }
    }
    all.last()
}

fn posterior(sums: &Sums, shape: (f64, f64), first: bool) -> Posterior {
    let (mean, precision) = if first {
        ([0.3, 0.0, 0.1], [4.0, 4.0, 4.0])
    } else {
        (PRIOR_MEAN, [1.0 / (shape.0 * shape.0), 4.0, 4.0])
    };
    let mut system = sums.xx;
    let mut right = sums.xy;
    let mut constant = PRIOR_SCALE + 0.5 * sums.yy;
    for (index, (precision, mean)) in precision.into_iter().zip(mean).enumerate() {
        system[index][index] += precision;
        right[index] += precision * mean;
        constant += 0.5 * precision * mean * mean;
    }
    let (covariance, determinant) = inverse(system);
    let weights: [f64; 3] =
        std::array::from_fn(|row| covariance[row].iter().zip(right).map(|(c, r)| c * r).sum());
    let fitted: f64 = weights.iter().zip(right).map(|(w, r)| w * r).sum();
    let b = (constant - 0.5 * fitted).max(1e-12);
    let a = PRIOR_SHAPE + 0.5 * sums.count;
    let prior_determinant: f64 = precision.iter().product();
    // The scale of the prior is 1, whose logarithm falls out.
    let evidence = -0.5 * sums.log_noise + 0.5 * libm::log(prior_determinant / determinant)
        - a * libm::log(b)
        + libm::lgamma(a)
        - libm::lgamma(PRIOR_SHAPE);
    Posterior {
        mean: weights,
        covariance,
        freedom: (2.0 * a).min(FREEDOM_MAX),
        scale: b / a,
        shape,
        evidence,
    }
}

/// Inverse and determinant of a symmetric positive definite matrix.
fn inverse(m: [[f64; 3]; 3]) -> ([[f64; 3]; 3], f64) {
    let minor = |r: usize, c: usize| {
        let (r1, r2) = ((r + 1) % 3, (r + 2) % 3);
        let (c1, c2) = ((c + 1) % 3, (c + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant = (0..3).map(|c| m[0][c] * minor(0, c)).sum::<f64>().max(1e-300);
    let inverse = std::array::from_fn(|r| std::array::from_fn(|c| minor(c, r) / determinant));
    (inverse, determinant)
}

/// A number of Student's distribution with the next lower even number of degrees: a fixed number of draws makes it.
fn student(freedom: f64, draws: &mut rng::Stream) -> f64 {
    let normal = draws.normal();
    let whole = (freedom / 2.0).floor().max(1.0);
    let chi: f64 = (0..whole as usize).map(|_| -2.0 * libm::log(draws.unit())).sum();
    normal / (chi / (2.0 * whole)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_lie_in_a_constant_ratio() {
        let grid = grid();
        assert_eq!(grid.get(..9), Some(&[1, 2, 3, 4, 6, 9, 13, 19, 28][..]));
        assert!(grid.is_sorted_by(|a, b| a < b));
        assert_eq!(
            (
                rungs_before(&grid, 30),
                rungs_before(&grid, 40),
                rungs_before(&grid, 1)
            ),
            (8, 9, 0)
        );
    }

    #[test]
    fn the_inverse_is_one() {
        let m = [[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]];
        let (inverse, determinant) = inverse(m);
        assert!((determinant - 21.29).abs() < 1e-12, "{determinant}");
        for (r, row) in m.iter().enumerate() {
            for (c, _) in row.iter().enumerate() {
                let product: f64 = row.iter().zip(&inverse).map(|(x, column)| x * column[c]).sum();
                assert!((product - f64::from(u8::from(r == c))).abs() < 1e-12);
            }
        }
    }

    /// Power laws with different floors: the model must say where they end, and be sure of it.
    #[test]
    fn power_laws_are_extrapolated() {
        let grid: Vec<u64> = grid().into_iter().take(12).collect();
        let curve = |floor: f64, rungs: usize| -> Vec<f64> {
            let loss = |rung: &u64| floor + libm::pow(*rung as f64, -0.8);
            grid.iter().take(rungs).map(loss).collect()
        };
        let curves: Vec<Vec<f64>> = (0..20)
            .map(|index| curve(0.1 + 0.04 * f64::from(index), 12))
            .collect();
        let model = CurveModel::fit(curves.iter().map(Vec::as_slice), grid.len());
        let half = curve(0.35, 6);
        let ends = model.ends(5, half[5], Some(half[4]), 400, 7);
        let mean = ends.iter().sum::<f64>() / 400.0;
        let end = curve(0.35, 12)[11];
        assert!((mean - end).abs() < 0.05, "{mean} for {end}");
        assert!(
            ends.iter().filter(|e| **e < 0.15).count() < 20,
            "the best cannot be reached"
        );
        assert_eq!(
            ends,
            model.ends(5, half[5], Some(half[4]), 400, 7),
            "the same key draws the same"
        );
    }

    #[test]
    fn nothing_and_infinities_do_no_harm() {
        let model = CurveModel::fit(std::iter::empty(), 5);
        assert!(
            model
                .ends(0, 1.0, None, 10, 0)
                .iter()
                .all(|end| end.is_finite() && *end <= 1.0)
        );
        let curves = [
            vec![f64::INFINITY, 1.0, 1.0],
            vec![1.0, 1.0, 1.0],
            vec![f64::INFINITY; 3],
        ];
        let model = CurveModel::fit(curves.iter().map(Vec::as_slice), 3);
        assert!(model.ends(0, 1.0, None, 10, 0).iter().all(|end| end.is_finite()));
    }
}
