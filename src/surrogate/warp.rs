//! Learned warping of the axes: `w(x) = 1 - (1 - x^a)^b`, the distribution function of Kumaraswamy, for every axis of one column in [0, 1].
//!
//! A stationary covariance believes that a function changes equally fast everywhere on an axis. A monotone map of the axis onto itself, learned
//! with the length scales under a log-normal prior around the identity, lets it change faster at one end (Snoek et al. 2014, section 3).

use super::SurrogateError;
use super::fit::{Prior, minimize};
use super::gp::{self, Data, Hyperparameters};
use super::kernel::{Group, GroupKind};

/// Standard deviation of the normal prior on ln a and ln b.
pub const SPREAD: f64 = 0.4;

/// Logarithms beyond this are cut off.
const LIMIT: f64 = 1.2;

/// Positions are kept this far from the ends, where the map has no derivative.
const EDGE: f64 = 1e-9;

/// A map of the feature columns: `(column, ln a, ln b)` of those that are warped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Warp {
    columns: Vec<(usize, f64, f64)>,
}

/// The map and its derivatives by ln a and ln b at `x` in [0, 1] (the latter 0 at the ends).
fn kumaraswamy(x: f64, ln_a: f64, ln_b: f64) -> (f64, f64, f64) {
    let x = x.clamp(EDGE, 1.0 - EDGE);
    let (a, b) = (
        libm::exp(ln_a.clamp(-LIMIT, LIMIT)),
        libm::exp(ln_b.clamp(-LIMIT, LIMIT)),
    );
    let ln_x = libm::log(x);
    let power = libm::exp(a * ln_x);
    let ln_rest = libm::log1p(-power);
    let rest = libm::exp(b * ln_rest);
    let inside = |ln: f64| if ln.abs() < LIMIT { 1.0 } else { 0.0 };
    (
        1.0 - rest,
        inside(ln_a) * a * b * libm::exp((b - 1.0) * ln_rest) * power * ln_x,
        inside(ln_b) * -b * rest * ln_rest,
    )
}

/// The groups that can be warped: axes of one column whose rows all lie in [0, 1] and take more than two values.
fn warpable(data: &Data) -> Vec<(usize, Group)> {
    let fits = |group: &Group| {
        let column: Vec<f64> = column(data, group.start);
        let mut values = column.clone();
        values.sort_by(f64::total_cmp);
        values.dedup();
        group.kind == GroupKind::Euclid
            && group.width == 1
            && values.len() > 2
            && column.iter().all(|x| (0.0..=1.0).contains(x))
    };
    data.groups
        .iter()
        .enumerate()
        .filter(|(_, group)| fits(group))
        .map(|(index, group)| (index, *group))
        .collect()
}

fn column(data: &Data, column: usize) -> Vec<f64> {
    data.features
        .iter()
        .skip(column)
        .step_by(data.width.max(1))
        .copied()
        .collect()
}

impl Warp {
    /// Whether nothing is changed.
    pub fn is_identity(&self) -> bool {
        self.columns.is_empty()
    }

    /// Maps row-major features of `width` columns in place; positions outside [0, 1] are drawn to its ends.
    pub fn apply(&self, features: &mut [f64], width: usize) {
        for row in features.chunks_exact_mut(width.max(1)) {
            for (column, ln_a, ln_b) in &self.columns {
                if let Some(x) = row.get_mut(*column) {
                    *x = kumaraswamy(*x, *ln_a, *ln_b).0;
                }
            }
        }
    }
}

/// Learning hyperparameters and warps of one data set together.
#[derive(Debug)]
pub struct WarpFit<'a> {
    data: &'a Data,
    prior: Prior,
    distances: Vec<Vec<f64>>,
    warped: Vec<(usize, Group, Vec<f64>)>,
}

impl<'a> WarpFit<'a> {
    /// Prepares `data` (meant for at most some hundred rows).
    pub fn new(data: &'a Data, prior: Prior) -> Self {
        let warped = warpable(data)
            .into_iter()
            .map(|(index, group)| (index, group, column(data, group.start)))
            .collect();
        Self {
            data,
            prior,
            distances: data.groups.iter().map(|group| data.distances(group)).collect(),
            warped,
        }
    }

    /// Negative log posterior density (up to a constant) of `theta` (lengths, signal, noise, then ln a and ln b of every axis that can be
    /// warped) and its gradient: with `s_ij` the derivative of the loss by the squared scaled distance of a pair,
    /// `dL/dw_i = sum_j 2 s_ij (w_i - w_j) / l^2`, times `dw/dln a` and `dw/dln b`.
    ///
    /// # Errors
    /// [`SurrogateError`] if the covariance cannot be factored.
    pub fn objective(&self, theta: &[f64]) -> Result<(f64, Vec<f64>), SurrogateError> {
        let n = self.data.len();
        let count = self.data.groups.len() + 2;
        let (own, warps) = theta.split_at(count.min(theta.len()));
        let hyper = Hyperparameters::from_slice(own);
        let mut distances = self.distances.clone();
        let mut maps = Vec::with_capacity(self.warped.len());
        for ((index, _, column), warp) in self.warped.iter().zip(warps.chunks_exact(2)) {
            let (Some(ln_a), Some(ln_b)) = (warp.first(), warp.last()) else {
                continue;
            };
            let map: Vec<(f64, f64, f64)> = column.iter().map(|x| kumaraswamy(*x, *ln_a, *ln_b)).collect();
            if let Some(distances) = distances.get_mut(*index) {
                for (line, (x, ..)) in distances.chunks_exact_mut(n.max(1)).zip(&map) {
                    for (d, (z, ..)) in line.iter_mut().zip(&map) {
                        *d = (x - z) * (x - z);
                    }
                }
            }
            maps.push(map);
        }
        let (mut loss, mut gradient, slopes) = gp::loss_and_slopes(&hyper, self.data, &distances)?;
        self.prior.add_gradient(own, &mut gradient);
        loss += self.prior.loss(own);
        let weights = hyper.weights();
        for (((index, ..), map), warp) in self.warped.iter().zip(&maps).zip(warps.chunks_exact(2)) {
            let weight = weights.get(*index).copied().unwrap_or(0.0);
            let mut by = [0.0, 0.0];
            // Only the upper triangle is filled: a pair pulls both its ends.
            for (i, (w_i, a_i, b_i)) in map.iter().enumerate() {
                let line = slopes.get(i * n + i + 1..(i + 1) * n).unwrap_or_default();
                for (slope, (w_j, a_j, b_j)) in line.iter().zip(map.iter().skip(i + 1)) {
                    let pull = slope * 2.0 * weight * (w_i - w_j);
                    by = [by[0] + pull * (a_i - a_j), by[1] + pull * (b_i - b_j)];
                }
            }
            for (slope, ln) in by.into_iter().zip(warp) {
                gradient.push(slope + ln / (SPREAD * SPREAD));
                loss += 0.5 * ln * ln / (SPREAD * SPREAD);
            }
        }
        Ok((loss, gradient))
    }

    /// The most probable hyperparameters and warps, by at most `iterations` steps from `start` and no warp.
    pub fn most_probable(&self, start: &Hyperparameters, iterations: u64) -> (Hyperparameters, Warp) {
        let mut theta = start.to_vec();
        let count = theta.len();
        theta.resize(count + 2 * self.warped.len(), 0.0);
        let wall = |theta: &[f64]| {
            let (own, warps) = theta.split_at(count.min(theta.len()));
            let mut gradient = vec![0.0; own.len()];
            self.prior.add_gradient(own, &mut gradient);
            gradient.extend(warps.iter().map(|ln| ln / (SPREAD * SPREAD)));
            let warped: f64 = warps.iter().map(|ln| 0.5 * ln * ln / (SPREAD * SPREAD)).sum();
            (self.prior.loss(own) + warped, gradient)
        };
        let found = minimize(&|theta| self.objective(theta), &wall, theta, iterations);
        let (own, warps) = found.split_at(count.min(found.len()));
        let columns = self
            .warped
            .iter()
            .zip(warps.chunks_exact(2))
            .filter_map(|((_, group, _), warp)| Some((group.start, *warp.first()?, *warp.last()?)))
            .collect();
        (Hyperparameters::from_slice(own), Warp { columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::rng::stream;
    use crate::surrogate::Gp;

    /// Two axes, an arc of two columns and a category; the value changes with the logarithm of the first axis.
    fn data(n: usize) -> Data {
        let group = |kind, start, width| Group { kind, start, width };
        let mut draws = stream(5, "warp data", n as u64);
        let (mut features, mut values) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let row = [
                draws.unit(),
                draws.unit(),
                draws.unit(),
                draws.unit(),
                draws.below(3) as f64,
            ];
            values.push((row[0] + 0.002).ln() + row[1] + 0.3 * row[2] + 0.2 * row[4] + 0.05 * draws.normal());
            features.extend(row);
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let deviation = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64).sqrt();
        values.iter_mut().for_each(|v| *v = (*v - mean) / deviation);
        Data {
            features,
            width: 5,
            groups: vec![
                group(GroupKind::Euclid, 0, 1),
                group(GroupKind::Euclid, 1, 1),
                group(GroupKind::Euclid, 2, 2),
                group(GroupKind::Hamming, 4, 1),
            ],
            values,
            extra_noise: (0..n).map(|i| if i % 5 == 0 { 0.2 } else { 0.0 }).collect(),
        }
    }

    #[test]
    fn the_map_is_the_published_one_monotone_and_has_these_derivatives() {
        for (ln_a, ln_b) in [(0.0_f64, 0.0_f64), (0.7, -0.4), (-0.9, 0.5)] {
            let mut last = -1.0;
            for i in 0..=20 {
                let x = f64::from(i) / 20.0;
                let (w, by_a, by_b) = kumaraswamy(x, ln_a, ln_b);
                let plain = 1.0 - (1.0 - x.powf(ln_a.exp())).powf(ln_b.exp());
                // The ends are cut off a little.
                let near = if (1..20).contains(&i) { 1e-12 } else { 1e-3 };
                assert!((w - plain).abs() < near && w > last, "{x} {w} {plain}");
                last = w;
                let h = 1e-6;
                let slope = |plus: (f64, f64, f64), minus: (f64, f64, f64)| (plus.0 - minus.0) / (2.0 * h);
                let a = slope(kumaraswamy(x, ln_a + h, ln_b), kumaraswamy(x, ln_a - h, ln_b));
                let b = slope(kumaraswamy(x, ln_a, ln_b + h), kumaraswamy(x, ln_a, ln_b - h));
                assert!(
                    (by_a - a).abs() < 1e-6 && (by_b - b).abs() < 1e-6,
                    "{x} {by_a} {a} {by_b} {b}"
                );
            }
        }
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let data = data(25);
        let fit = WarpFit::new(&data, Prior::standard(4));
        // Lengths, signal, noise, and two axes; the arc and the category are never bent.
        let at = [-0.7, 0.1, 0.4, 0.9, 0.3, -3.0, 0.3, -0.2, -0.4, 0.25];
        let (_, gradient) = fit.objective(&at).unwrap();
        assert_eq!(gradient.len(), at.len());
        for i in 0..at.len() {
            let shifted = |h: f64| {
                let mut moved = at;
                moved[i] += h;
                fit.objective(&moved).unwrap().0
            };
            let h = 1e-5;
            let difference =
                (8.0 * (shifted(h) - shifted(-h)) - (shifted(2.0 * h) - shifted(-2.0 * h))) / (12.0 * h);
            assert!(
                (gradient[i] - difference).abs() < 1e-6 * (1.0 + difference.abs()),
                "{i} {} {difference}",
                gradient[i]
            );
        }
    }

    #[test]
    fn an_axis_on_the_wrong_scale_is_bent_and_left_out_values_are_foreseen_better() {
        let data = data(60);
        let prior = Prior::standard(4);
        let plain = super::super::Fit::new(&data, prior);
        let best = plain.most_probable(&plain.start(), 30);
        let fit = WarpFit::new(&data, prior);
        let (theta, warp) = fit.most_probable(&best, 30);
        let mut bent = data.clone();
        warp.apply(&mut bent.features, bent.width);
        let score =
            |theta: &Hyperparameters, data: &Data| Gp::new(theta, data).unwrap().leave_one_out_score();
        let (with, without) = (score(&theta, &bent), score(&best, &data));
        assert!(with > without + 5.0, "{with} {without}");
        // The low end, where the logarithm is steep, is stretched.
        let low = warp.columns.iter().find(|(column, ..)| *column == 0).unwrap();
        assert!(kumaraswamy(0.1, low.1, low.2).0 > 0.2, "{warp:?}");
        assert_eq!(fit.most_probable(&best, 30).1, warp);
        // What is no axis stays what it was.
        let other =
            |features: &[f64]| -> Vec<f64> { features.chunks(5).flat_map(|row| row[2..].to_vec()).collect() };
        assert_eq!(other(&bent.features), other(&data.features));
        assert!(Warp::default().is_identity() && !warp.is_identity());
    }
}
