//! A multivariate Parzen estimator over mixed, conditional coordinates.
//!
//! The density of a point under one kernel is the product over the parameters active in the point: a normal truncated to [0, 1] around the
//! kernel's value, or for a choice its option with most of the mass, or uniform where the kernel has that parameter inactive. One kernel
//! more is uniform everywhere: the prior.

use crate::sampler::rng::Stream;
use crate::space::normal;
use crate::surrogate::kernel::exp_negative;

/// How one parameter spreads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Dimension {
    /// Not modelled.
    Ignored,
    /// A number in [0, 1].
    Number,
    /// One of so many options.
    Choice(usize),
}

/// Points at which the mass inside [0, 1] is tabulated.
const TABLE: usize = 128;

/// The estimator.
#[derive(Debug)]
pub(super) struct Parzen<'a> {
    dimensions: &'a [Dimension],
    kernels: Vec<&'a [f64]>,
    /// Cumulative weights; the last is the total, the prior's share is what lies beyond the kernels.
    cumulative: Vec<f64>,
    ln_weights: Vec<f64>,
    sigma: f64,
    /// Per dimension: kernel values in a row.
    columns: Vec<Vec<f64>>,
    /// Per number dimension: `-ln(sigma sqrt(2 pi) Z)` of every kernel.
    constants: Vec<Vec<f64>>,
}

impl<'a> Parzen<'a> {
    /// An estimator of weighted kernels. The bandwidth is `0.2 n^(-1/(d+4))` (Scott's rule with a small factor), but at least
    /// `0.5 / min(n, 100)`, with `n` the number of kernels and the prior.
    pub(super) fn new(dimensions: &'a [Dimension], kernels: Vec<&'a [f64]>, weights: &[f64]) -> Self {
        let n = kernels.len() as f64 + 1.0;
        let d = dimensions.iter().filter(|d| **d != Dimension::Ignored).count() as f64;
        let least = 1.0 / n.min(100.0);
        let sigma = (0.2 * libm::pow(n, -1.0 / (d + 4.0))).max(least * 0.5).min(1.0);
        let inside: Vec<f64> = (0..=TABLE)
            .map(|i| {
                let mu = i as f64 / TABLE as f64;
                let mass = normal::cdf((1.0 - mu) / sigma) - normal::cdf(-mu / sigma);
                -libm::log(sigma * 2.506_628_274_631_000_7 * mass)
            })
            .collect();
        let constant = |mu: f64| {
            let position = mu.clamp(0.0, 1.0) * TABLE as f64;
            let below = (position as usize).min(TABLE - 1);
            let at = |i: usize| inside.get(i).copied().unwrap_or(0.0);
            at(below) + (position - below as f64) * (at(below + 1) - at(below))
        };
        let columns: Vec<Vec<f64>> = (0..dimensions.len())
            .map(|i| {
                kernels
                    .iter()
                    .map(|k| k.get(i).copied().unwrap_or(f64::NAN))
                    .collect()
            })
            .collect();
        let constants = columns
            .iter()
            .zip(dimensions)
            .map(|(column, dimension)| match dimension {
                Dimension::Number => column
                    .iter()
                    .map(|mu| if mu.is_nan() { 0.0 } else { constant(*mu) })
                    .collect(),
                _ => Vec::new(),
            })
            .collect();
        let mut total = 0.0;
        let cumulative: Vec<f64> = weights
            .iter()
            .map(|weight| {
                total += weight;
                total
            })
            .collect();
        total += 1.0;
        let ln_weights = weights.iter().map(|weight| libm::log(weight / total)).collect();
        Self {
            dimensions,
            kernels,
            cumulative,
            ln_weights,
            sigma,
            columns,
            constants,
        }
    }

    /// Weight of all kernels and the prior.
    fn total(&self) -> f64 {
        self.cumulative.last().copied().unwrap_or(0.0) + 1.0
    }

    /// Probability of the kernel's own option, and of each other one, of `options`.
    fn masses(&self, options: usize) -> (f64, f64) {
        let n = self.kernels.len() as f64 + 1.0;
        let share = 1.0 / n;
        let each = share / (1.0 + share * options as f64);
        ((1.0 + share) / (1.0 + share * options as f64), each)
    }

    /// Raw coordinates drawn from the estimator: NaN where the drawn kernel leaves a parameter to the prior.
    pub(super) fn draw(&self, draws: &mut Stream) -> Vec<f64> {
        let at = draws.unit() * self.total();
        let kernel = self.kernels.get(self.cumulative.partition_point(|sum| *sum < at));
        (0..self.dimensions.len())
            .map(|i| {
                let mu = kernel.and_then(|k| k.get(i)).copied().unwrap_or(f64::NAN);
                match self.dimensions.get(i) {
                    Some(Dimension::Number) if !mu.is_nan() => {
                        // A few tries inside the range; beyond them the edge is far more than a bandwidth away from anywhere.
                        let tries = (0..16).map(|_| mu + self.sigma * draws.normal());
                        tries.into_iter().find(|x| (0.0..=1.0).contains(x)).unwrap_or(mu)
                    }
                    Some(Dimension::Choice(options)) if !mu.is_nan() => {
                        let (own, _) = self.masses(*options);
                        let (keep, other) =
                            (draws.unit() < own, draws.index(options.saturating_sub(1)) as f64);
                        if keep || *options < 2 {
                            mu
                        } else if other >= mu {
                            other + 1.0
                        } else {
                            other
                        }
                    }
                    _ => f64::NAN,
                }
            })
            .collect()
    }

    /// Log density at coordinates.
    pub(super) fn log_density(&self, point: &[f64]) -> f64 {
        let mut sums = self.ln_weights.clone();
        // The prior's density: uniform over numbers, one over the number of options over choices.
        let mut prior = -libm::log(self.total());
        let precision = 0.5 / (self.sigma * self.sigma);
        for (i, dimension) in self.dimensions.iter().enumerate() {
            let (Some(x), Some(column)) = (point.get(i).copied(), self.columns.get(i)) else {
                continue;
            };
            if x.is_nan() {
                continue;
            }
            match dimension {
                Dimension::Ignored => {}
                Dimension::Number => {
                    let constants = self.constants.get(i).map(Vec::as_slice).unwrap_or_default();
                    for ((sum, mu), constant) in sums.iter_mut().zip(column).zip(constants) {
                        let z = x - mu;
                        let term = constant - precision * z * z;
                        *sum += if mu.is_nan() { 0.0 } else { term };
                    }
                }
                Dimension::Choice(options) => {
                    let (own, other) = self.masses(*options);
                    let (own, other, uniform) =
                        (libm::log(own), libm::log(other), -libm::log(*options as f64));
                    prior += uniform;
                    for (sum, mu) in sums.iter_mut().zip(column) {
                        *sum += if mu.is_nan() {
                            uniform
                        } else if x == *mu {
                            own
                        } else {
                            other
                        };
                    }
                }
            }
        }
        let largest = sums.iter().fold(prior, |m, s| m.max(*s));
        let total = sums.iter().fold(libm::exp(prior - largest), |total, s| {
            total + exp_negative(s - largest)
        });
        largest + libm::log(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::rng::stream;

    #[test]
    fn density_integrates_to_one_and_draws_follow_it() {
        let dimensions = [Dimension::Number, Dimension::Choice(3)];
        let kernels: [[f64; 2]; 4] = [[0.02, 0.0], [0.5, 2.0], [0.9, f64::NAN], [f64::NAN, 1.0]];
        let parzen = Parzen::new(
            &dimensions,
            kernels.iter().map(|k| k.as_slice()).collect(),
            &[1.0, 0.5, 1.0, 0.2],
        );
        let cells = 2000;
        let mut below = [0.0; 2];
        for option in 0..3 {
            for i in 0..cells {
                let x = (f64::from(i) + 0.5) / f64::from(cells);
                let mass = parzen.log_density(&[x, f64::from(option)]).exp() / f64::from(cells);
                below[0] += mass;
                if x < 0.3 && option == 0 {
                    below[1] += mass;
                }
            }
        }
        assert!((below[0] - 1.0).abs() < 2e-3, "{}", below[0]);
        let mut draws = stream(1, "parzen", 0);
        let n = 20_000;
        let mut hits = 0.0;
        for _ in 0..n {
            let mut point = parzen.draw(&mut draws);
            // What is left open comes from the prior.
            if point[0].is_nan() {
                point[0] = draws.unit();
            }
            if point[1].is_nan() {
                point[1] = draws.index(3) as f64;
            }
            if point[0] < 0.3 && point[1] == 0.0 {
                hits += 1.0 / f64::from(n);
            }
        }
        assert!((hits - below[1]).abs() < 0.015, "{hits} {}", below[1]);
    }
}
