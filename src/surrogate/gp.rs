//! Exact Gaussian-process regression: marginal likelihood with its gradient, posterior, leave-one-out, growth by fantasies.

use super::kernel::{self, Group};
use super::{Cholesky, SurrogateError};
use std::f64::consts::PI;

/// What a model learns from. Values should be standardized.
#[derive(Clone, Debug)]
pub struct Data {
    /// Features, row-major, `width` columns.
    pub features: Vec<f64>,
    /// Columns.
    pub width: usize,
    /// How columns are compared.
    pub groups: Vec<Group>,
    /// One value per row.
    pub values: Vec<f64>,
    /// Noise variance of each row beyond the learned one (0 for plain observations).
    pub extra_noise: Vec<f64>,
}

/// Logarithms of everything that is learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyperparameters {
    /// ln length scale per group.
    pub ln_lengths: Vec<f64>,
    /// ln signal variance.
    pub ln_scale: f64,
    /// ln noise variance.
    pub ln_noise: f64,
}

/// Added to every diagonal element.
pub const NUGGET: f64 = 1e-6;

/// Smallest variance that is reported.
pub const MIN_VARIANCE: f64 = 1e-10;

impl Hyperparameters {
    /// Length scales, signal and noise as one vector.
    pub fn to_vec(&self) -> Vec<f64> {
        self.ln_lengths
            .iter()
            .copied()
            .chain([self.ln_scale, self.ln_noise])
            .collect()
    }

    /// The reverse of [`Self::to_vec`]; missing entries are 0.
    pub fn from_slice(theta: &[f64]) -> Self {
        let groups = theta.len().saturating_sub(2);
        let at = |i: usize| theta.get(i).copied().unwrap_or(0.0);
        Self {
            ln_lengths: theta.iter().take(groups).copied().collect(),
            ln_scale: at(groups),
            ln_noise: at(groups + 1),
        }
    }

    /// `1 / l^2` per group.
    pub fn weights(&self) -> Vec<f64> {
        self.ln_lengths
            .iter()
            .map(|ln| libm::exp(-2.0 * ln.clamp(-12.0, 12.0)))
            .collect()
    }

    /// Signal variance.
    pub fn scale(&self) -> f64 {
        libm::exp(self.ln_scale.clamp(-25.0, 25.0))
    }

    /// Noise variance.
    pub fn noise(&self) -> f64 {
        libm::exp(self.ln_noise.clamp(-28.0, 10.0))
    }
}

impl Data {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Squared distances of one group between all pairs, `n x n`.
    pub fn distances(&self, group: &Group) -> Vec<f64> {
        let n = self.len();
        let columns = kernel::columns(&self.features, self.width);
        let mut out = vec![0.0; n * n];
        if n > 0 && self.width > 0 {
            for (point, line) in self
                .features
                .chunks_exact(self.width)
                .zip(out.chunks_exact_mut(n))
            {
                kernel::add_distance(group, point, &columns, 1.0, line);
            }
        }
        out
    }
}

/// `C = s^2 k(r^2) + diag(noise)` from squared scaled distances; only the upper triangle is right.
pub(crate) fn covariance(r2: &[f64], scale: f64, noise: f64, extra: &[f64]) -> Vec<f64> {
    let n = extra.len();
    let mut c = vec![0.0; n * n];
    for i in 0..n {
        let from = i * n + i;
        let to = (i + 1) * n;
        if let (Some(out), Some(r2)) = (c.get_mut(from..to), r2.get(from..to)) {
            out.iter_mut()
                .zip(r2)
                .for_each(|(c, r2)| *c = scale * kernel::matern52(*r2));
            if let (Some(diagonal), Some(extra)) = (out.first_mut(), extra.get(i)) {
                *diagonal += noise + NUGGET + extra;
            }
        }
    }
    c
}

/// Factor, mean and weights that both likelihood and posterior need.
struct Solved {
    factor: Cholesky,
    mean: f64,
    alpha: Vec<f64>,
    /// Negative log marginal likelihood.
    loss: f64,
}

fn solve(covariance: &[f64], values: &[f64]) -> Result<Solved, SurrogateError> {
    let n = values.len();
    let factor = Cholesky::new(covariance, n)?;
    // Constant mean at its most likely value: (1' C^-1 y) / (1' C^-1 1).
    let mut ones = vec![1.0; n];
    let mut alpha = values.to_vec();
    factor.forward(&mut ones);
    factor.forward(&mut alpha);
    let (mut above, mut below) = (0.0, 0.0);
    for (one, y) in ones.iter().zip(&alpha) {
        above += one * y;
        below += one * one;
    }
    let mean = above / below;
    let mut quadratic = 0.0;
    for (y, one) in alpha.iter_mut().zip(&ones) {
        *y -= mean * one;
        quadratic += *y * *y;
    }
    factor.backward(&mut alpha);
    let loss = 0.5 * (quadratic + factor.ln_determinant() + n as f64 * libm::log(2.0 * PI));
    Ok(Solved {
        factor,
        mean,
        alpha,
        loss,
    })
}

/// Negative log marginal likelihood at given squared scaled distances (for samplers that change one hyperparameter at a time).
///
/// # Errors
/// [`SurrogateError`] if the covariance cannot be factored.
pub fn loss_at(r2: &[f64], scale: f64, noise: f64, data: &Data) -> Result<f64, SurrogateError> {
    Ok(solve(&covariance(r2, scale, noise, &data.extra_noise), &data.values)?.loss)
}

/// Negative log marginal likelihood and its gradient by every logarithm of `theta`; `distances[g]` as of [`Data::distances`].
///
/// With `a = C^-1 (y - m)` and `G = (C^-1 - a a') / 2`: `dL/dln l_g = -2/l_g^2 sum_ij G_ij k'_ij d_ij,g`, `dL/dln s^2 = sum G K`,
/// `dL/dln noise = noise tr G` (Rasmussen & Williams eq. 5.9); the derivative of the mean vanishes at its most likely value.
///
/// # Errors
/// [`SurrogateError`] if the covariance cannot be factored.
pub fn loss_and_gradient(
    theta: &Hyperparameters,
    data: &Data,
    distances: &[Vec<f64>],
) -> Result<(f64, Vec<f64>), SurrogateError> {
    let (loss, gradient, _) = loss_and_slopes(theta, data, distances)?;
    Ok((loss, gradient))
}

/// [`loss_and_gradient`], and the derivative of the loss by the squared scaled distance of every pair (upper triangle of an `n x n` matrix, each
/// pair once).
pub(crate) fn loss_and_slopes(
    theta: &Hyperparameters,
    data: &Data,
    distances: &[Vec<f64>],
) -> Result<(f64, Vec<f64>, Vec<f64>), SurrogateError> {
    let n = data.len();
    let (weights, scale, noise) = (theta.weights(), theta.scale(), theta.noise());
    let r2 = scaled_distances(&weights, distances, n);
    let solved = solve(&covariance(&r2, scale, noise, &data.extra_noise), &data.values)?;
    let inverse = solved.factor.inverse();
    let (mut by_scale, mut by_noise) = (0.0, 0.0);
    // Twice the strict upper triangle: the diagonal has no distance.
    let mut slope = vec![0.0; n * n];
    for i in 0..n {
        let a_i = solved.alpha.get(i).copied().unwrap_or(0.0);
        let line = i * n..(i + 1) * n;
        let (Some(c), Some(r2), Some(out)) = (
            inverse.get(line.clone()),
            r2.get(line.clone()),
            slope.get_mut(line),
        ) else {
            continue;
        };
        if let Some(c_ii) = c.get(i) {
            let g = 0.5 * (c_ii - a_i * a_i);
            by_noise += g;
            by_scale += g * scale;
        }
        let row = c
            .iter()
            .zip(r2)
            .zip(&solved.alpha)
            .zip(out.iter_mut())
            .skip(i + 1);
        let mut sum = 0.0;
        for (((c, r2), a_j), out) in row {
            let g = c - a_i * a_j;
            let root = 2.236_067_977_499_79 * r2.sqrt();
            let e = kernel::exp_negative(-root);
            sum += g * (1.0 + root + 5.0 / 3.0 * r2) * e;
            *out = g * (-5.0 / 6.0) * (1.0 + root) * e;
        }
        by_scale += sum * scale;
    }
    let mut gradient: Vec<f64> = distances
        .iter()
        .zip(&weights)
        .map(|(d, weight)| {
            let total: f64 = (0..n)
                .map(|i| {
                    let range = i * n + i + 1..(i + 1) * n;
                    match (slope.get(range.clone()), d.get(range)) {
                        (Some(h), Some(d)) => dot(h, d),
                        _ => 0.0,
                    }
                })
                .sum();
            -2.0 * weight * scale * total
        })
        .collect();
    gradient.extend([by_scale, noise * by_noise]);
    slope.iter_mut().for_each(|slope| *slope *= scale);
    Ok((solved.loss, gradient, slope))
}

/// Product of two vectors in eight partial sums, joined in a fixed order.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// `sum_g weight_g d_g`.
pub(crate) fn scaled_distances(weights: &[f64], distances: &[Vec<f64>], n: usize) -> Vec<f64> {
    let mut r2 = vec![0.0; n * n];
    for (d, weight) in distances.iter().zip(weights) {
        r2.iter_mut().zip(d).for_each(|(sum, d)| *sum += weight * d);
    }
    r2
}

/// A posterior.
#[derive(Clone, Debug)]
pub struct Gp {
    groups: Vec<Group>,
    weights: Vec<f64>,
    scale: f64,
    noise: f64,
    features: Vec<f64>,
    width: usize,
    values: Vec<f64>,
    diagonal_noise: Vec<f64>,
    factor: Cholesky,
    mean: f64,
    alpha: Vec<f64>,
}

impl Gp {
    /// Conditions the prior of `theta` on `data`.
    ///
    /// # Errors
    /// [`SurrogateError`] if there are no data or the covariance cannot be factored.
    pub fn new(theta: &Hyperparameters, data: &Data) -> Result<Self, SurrogateError> {
        let n = data.len();
        let (weights, scale, noise) = (theta.weights(), theta.scale(), theta.noise());
        let columns = kernel::columns(&data.features, data.width);
        let mut r2 = vec![0.0; n * n];
        if n > 0 && data.width > 0 {
            for (point, line) in data.features.chunks_exact(data.width).zip(r2.chunks_exact_mut(n)) {
                for (group, weight) in data.groups.iter().zip(&weights) {
                    kernel::add_distance(group, point, &columns, *weight, line);
                }
            }
        }
        let solved = solve(&covariance(&r2, scale, noise, &data.extra_noise), &data.values)?;
        Ok(Self {
            groups: data.groups.clone(),
            weights,
            scale,
            noise,
            features: data.features.clone(),
            width: data.width,
            values: data.values.clone(),
            diagonal_noise: data
                .extra_noise
                .iter()
                .map(|extra| noise + NUGGET + extra)
                .collect(),
            factor: solved.factor,
            mean: solved.mean,
            alpha: solved.alpha,
        })
    }

    /// Number of points it is conditioned on, fantasies included.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it is conditioned on nothing (never true for a built model).
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Prior variance of the signal.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Learned noise variance of an observation.
    pub fn noise(&self) -> f64 {
        self.noise
    }

    /// Constant mean.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Covariances of the rows so far with one point.
    fn covariances(&self, point: &[f64]) -> Vec<f64> {
        kernel::cross(
            &self.groups,
            &self.weights,
            self.scale,
            &self.features,
            self.width,
            point,
        )
    }

    /// Correlation of every row with one point, in [0, 1].
    pub fn correlations(&self, point: &[f64]) -> Vec<f64> {
        self.covariances(point)
            .into_iter()
            .map(|c| c / self.scale)
            .collect()
    }

    /// Posterior mean and variance (of the noise-free function) at `m` points given as row-major features.
    pub fn predict(&self, points: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let m = points.len().checked_div(self.width).unwrap_or(0);
        let others = kernel::columns(points, self.width);
        let mut k = kernel::cross(
            &self.groups,
            &self.weights,
            self.scale,
            &self.features,
            self.width,
            &others,
        );
        let mut means = vec![self.mean; m];
        for (line, alpha) in k.chunks_exact(m.max(1)).zip(&self.alpha) {
            means
                .iter_mut()
                .zip(line)
                .for_each(|(mean, c)| *mean += c * alpha);
        }
        self.factor.forward_many(&mut k, m);
        let mut variances = vec![self.scale; m];
        for line in k.chunks_exact(m.max(1)) {
            variances
                .iter_mut()
                .zip(line)
                .for_each(|(variance, v)| *variance -= v * v);
        }
        variances
            .iter_mut()
            .for_each(|variance| *variance = variance.max(MIN_VARIANCE));
        (means, variances)
    }

    /// Posterior means alone, which cost a product with the rows instead of a solve.
    pub fn means(&self, points: &[f64]) -> Vec<f64> {
        let m = points.len().checked_div(self.width).unwrap_or(0);
        let others = kernel::columns(points, self.width);
        let k = kernel::cross(
            &self.groups,
            &self.weights,
            self.scale,
            &self.features,
            self.width,
            &others,
        );
        let mut means = vec![self.mean; m];
        for (line, alpha) in k.chunks_exact(m.max(1)).zip(&self.alpha) {
            means
                .iter_mut()
                .zip(line)
                .for_each(|(mean, c)| *mean += c * alpha);
        }
        means
    }

    /// Posterior mean at the rows themselves, without the noise: `y_i - noise_i a_i`.
    pub fn fitted(&self) -> Vec<f64> {
        let jitter = self.factor.jitter();
        let rows = self.values.iter().zip(&self.diagonal_noise).zip(&self.alpha);
        rows.map(|((y, noise), alpha)| y - (noise + jitter) * alpha)
            .collect()
    }

    /// Leave-one-out mean and variance of every row (Rasmussen & Williams eq. 5.12).
    pub fn leave_one_out(&self) -> (Vec<f64>, Vec<f64>) {
        let n = self.len();
        let inverse = self.factor.inverse();
        let diagonal = || inverse.iter().step_by(n + 1).copied();
        let rows = self.values.iter().zip(&self.alpha).zip(diagonal());
        let means = rows.map(|((y, alpha), c)| y - alpha / c).collect();
        (means, diagonal().map(|c| (1.0 / c).max(MIN_VARIANCE)).collect())
    }

    /// Sum of the logarithms of the leave-one-out densities of the rows' values (Rasmussen & Williams eq. 5.11): what the model knew of each
    /// value from all the others.
    pub fn leave_one_out_score(&self) -> f64 {
        let (means, variances) = self.leave_one_out();
        let rows = self.values.iter().zip(means.iter().zip(&variances));
        rows.map(|(value, (mean, variance))| {
            let error = value - mean;
            -0.5 * (libm::log(2.0 * PI * variance) + error * error / variance)
        })
        .sum()
    }

    /// Draws a value for a pending point from the posterior (`z` standard normal) and conditions on it; repeated calls give a joint
    /// draw. The constant mean stays.
    ///
    /// # Errors
    /// [`SurrogateError`] if the point coincides with a row so closely that the factor cannot grow; the model is unchanged then.
    pub fn fantasize(&mut self, point: &[f64], z: f64) -> Result<f64, SurrogateError> {
        let column = self.covariances(point);
        let diagonal = self.scale + self.noise + NUGGET;
        let expected = column
            .iter()
            .zip(&self.alpha)
            .fold(self.mean, |sum, (c, a)| sum + c * a);
        self.factor.append(&column, diagonal)?;
        let last = self.factor.row(self.len()).last().copied().unwrap_or(0.0);
        let value = expected + last * z;
        self.features.extend_from_slice(point);
        self.values.push(value);
        self.diagonal_noise.push(self.noise + NUGGET);
        self.alpha = self.values.iter().map(|y| y - self.mean).collect();
        self.factor.solve(&mut self.alpha);
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
