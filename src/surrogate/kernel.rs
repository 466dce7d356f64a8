//! Matérn-5/2 covariance over mixed features with one length scale per group of columns (automatic relevance determination).
//!
//! `k = s^2 (1 + sqrt5 r + 5/3 r^2) exp(-sqrt5 r)`, `r^2 = sum_g d_g / l_g^2`, where `d_g` is a squared Euclidean distance of the columns of the
//! group, or 1 where a category differs (Rasmussen & Williams 2006, eq. 4.17; the sum over categories is the Hamming kernel of mixed spaces).
//! Both are Euclidean, hence the covariance is positive semidefinite.

pub use crate::space::features::{Group, GroupKind};

const SQRT5: f64 = 2.236_067_977_499_79;

/// `exp(x)` for `x <= 0` by range reduction and a polynomial; relative error below 3e-16, 0 below -700. Branch-free, so that loops over it are
/// vectorized, and free of the platform's library, so that it has the same bits everywhere.
#[inline(always)]
pub fn exp_negative(x: f64) -> f64 {
    // Adding 1.5 * 2^52 leaves the nearest integer in the low bits.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let clipped = if x > -700.0 { x } else { -700.0 };
    let shifted = clipped * std::f64::consts::LOG2_E + SHIFT;
    let k = shifted - SHIFT;
    let r = (clipped - k * LN2_HIGH) - k * LN2_LOW;
    let mut sum = 1.0 / 6_227_020_800.0;
    sum = sum * r + 1.0 / 479_001_600.0;
    sum = sum * r + 1.0 / 39_916_800.0;
    sum = sum * r + 1.0 / 3_628_800.0;
    sum = sum * r + 1.0 / 362_880.0;
    sum = sum * r + 1.0 / 40_320.0;
    sum = sum * r + 1.0 / 5_040.0;
    sum = sum * r + 1.0 / 720.0;
    sum = sum * r + 1.0 / 120.0;
    sum = sum * r + 1.0 / 24.0;
    sum = sum * r + 1.0 / 6.0;
    sum = sum * r + 0.5;
    sum = sum * r + 1.0;
    sum = sum * r + 1.0;
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    sum * power
}

/// Correlation at squared scaled distance `r2`.
#[inline(always)]
pub fn matern52(r2: f64) -> f64 {
    let root = SQRT5 * r2.sqrt();
    (1.0 + root + 5.0 / 3.0 * r2) * exp_negative(-root)
}

/// Derivative of [`matern52`] by `r2`.
#[inline(always)]
pub fn matern52_slope(r2: f64) -> f64 {
    let root = SQRT5 * r2.sqrt();
    -5.0 / 6.0 * (1.0 + root) * exp_negative(-root)
}

/// Column-major copy of row-major features.
pub fn columns(rows: &[f64], width: usize) -> Vec<f64> {
    let n = rows.len().checked_div(width).unwrap_or(0);
    (0..width)
        .flat_map(|c| (0..n).map(move |r| (r, c)))
        .map(|(r, c)| rows.get(r * width + c).copied().unwrap_or(0.0))
        .collect()
}

/// Adds the squared distance in one group between one point and all `columns.len() / width` points, times `weight`, to `out`.
#[inline]
pub fn add_distance(group: &Group, point: &[f64], columns: &[f64], weight: f64, out: &mut [f64]) {
    let n = out.len();
    for c in group.start..group.start + group.width {
        let (Some(x), Some(column)) = (point.get(c).copied(), columns.get(c * n..(c + 1) * n)) else {
            continue;
        };
        match group.kind {
            GroupKind::Euclid => out.iter_mut().zip(column).for_each(|(sum, z)| {
                let difference = x - z;
                *sum += difference * difference * weight;
            }),
            GroupKind::Hamming => out.iter_mut().zip(column).for_each(|(sum, z)| {
                *sum += if x == *z { 0.0 } else { weight };
            }),
        }
    }
}

/// Covariances `n x m` (row-major) of `n` row-major points with `m` column-major ones.
pub fn cross(
    groups: &[Group],
    weights: &[f64],
    scale: f64,
    points: &[f64],
    width: usize,
    others: &[f64],
) -> Vec<f64> {
    let m = others.len().checked_div(width).unwrap_or(0);
    let n = points.len().checked_div(width).unwrap_or(0);
    let mut out = vec![0.0; n * m];
    if m == 0 {
        return out;
    }
    for (point, line) in points.chunks_exact(width).zip(out.chunks_exact_mut(m)) {
        for (group, weight) in groups.iter().zip(weights) {
            add_distance(group, point, others, *weight, line);
        }
        line.iter_mut().for_each(|r2| *r2 = scale * matern52(*r2));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_accurate() {
        let mut worst: f64 = 0.0;
        for i in 0..200_000 {
            let x = -f64::from(i) * 0.0035;
            if x > -699.0 {
                worst = worst.max((exp_negative(x) / libm::exp(x) - 1.0).abs());
            }
        }
        assert!(worst < 6e-16, "{worst}");
        assert_eq!(exp_negative(0.0), 1.0);
        assert!(exp_negative(-1e9) < 1e-300 && exp_negative(f64::NEG_INFINITY) < 1e-300);
    }

    #[test]
    fn slope_is_the_derivative() {
        for r2 in [1e-4, 0.1, 1.0, 7.0, 50.0] {
            let h = 1e-6 * r2;
            let difference = (matern52(r2 + h) - matern52(r2 - h)) / (2.0 * h);
            assert!((matern52_slope(r2) - difference).abs() < 1e-7 * matern52_slope(0.0).abs());
        }
        assert!((matern52(1.0) - (1.0 + 5f64.sqrt() + 5.0 / 3.0) * (-(5f64.sqrt())).exp()).abs() < 1e-15);
    }
}
