//! Monotone transforms of the values before a model sees them, because losses have a heavy bad tail (smaller is better here).

use crate::space::normal;

/// Which transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformKind {
    /// Zero mean, unit variance.
    Standardize,
    /// Power transform of the standardized values (Yeo & Johnson 2000), most likely exponent, standardized again.
    YeoJohnson,
    /// The worse half replaced by normal quantiles of its ranks (Song et al. 2024), standardized.
    HalfRank,
    /// Normal quantiles of the ranks, ties averaged.
    Copula,
}

/// A fitted transform with a way back.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    /// Transformed values, one per input.
    pub values: Vec<f64>,
    /// (transformed, original), ascending and without ties.
    ladder: Vec<(f64, f64)>,
}

impl Transform {
    /// Fits `kind` to finite values and applies it. Values beyond ten interquartile ranges above the median are drawn in first. All-equal
    /// values become zeros.
    pub fn fit(kind: TransformKind, values: &[f64]) -> Self {
        let clipped = winsorize(values);
        let transformed = match kind {
            TransformKind::Standardize => standardize(&clipped),
            TransformKind::YeoJohnson => standardize(&yeo_johnson(&standardize(&clipped))),
            TransformKind::HalfRank => standardize(&half_rank(&clipped)),
            TransformKind::Copula => copula(&clipped),
        };
        let mut ladder: Vec<(f64, f64)> = transformed.iter().copied().zip(clipped.iter().copied()).collect();
        ladder.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        ladder.dedup_by(|b, a| a.0 == b.0 || a.1 == b.1);
        Self {
            values: transformed,
            ladder,
        }
    }

    /// The transformed value at an original one: linear between the data, continued with the slope of the outer quarter beyond them.
    pub fn at(&self, value: f64) -> f64 {
        let swapped = Self {
            values: Vec::new(),
            ladder: self.ladder.iter().map(|(t, v)| (*v, *t)).collect(),
        };
        swapped.back(value)
    }

    /// The original value at a transformed one: linear between the data, continued with the slope of the outer quarter beyond them.
    pub fn back(&self, t: f64) -> f64 {
        let (Some(first), Some(last)) = (self.ladder.first(), self.ladder.last()) else {
            return t;
        };
        if self.ladder.len() == 1 {
            return first.1;
        }
        let line = |a: &(f64, f64), b: &(f64, f64)| a.1 + (t - a.0) * (b.1 - a.1) / (b.0 - a.0);
        let quarter = (self.ladder.len() / 4).max(1);
        if t <= first.0 {
            return self
                .ladder
                .get(quarter)
                .map_or(first.1, |inner| line(first, inner));
        }
        if t >= last.0 {
            return self
                .ladder
                .get(self.ladder.len() - 1 - quarter)
                .map_or(last.1, |inner| {
                    last.1 + (t - last.0) * (last.1 - inner.1) / (last.0 - inner.0)
                });
        }
        let above = self.ladder.partition_point(|(x, _)| *x <= t);
        match (self.ladder.get(above.saturating_sub(1)), self.ladder.get(above)) {
            (Some(a), Some(b)) => line(a, b),
            _ => last.1,
        }
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Linear-interpolation quantile of sorted values.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let position = p * sorted.len().saturating_sub(1) as f64;
    let below = position.floor();
    let at = |i: usize| {
        sorted
            .get(i.min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0.0)
    };
    let (a, b) = (at(below as usize), at(below as usize + 1));
    a + (position - below) * (b - a)
}

fn winsorize(values: &[f64]) -> Vec<f64> {
    let sorted = sorted(values);
    let spread = quantile(&sorted, 0.75) - quantile(&sorted, 0.25);
    if spread > 0.0 && spread.is_finite() {
        let limit = quantile(&sorted, 0.5) + 10.0 * spread;
        values.iter().map(|v| v.min(limit)).collect()
    } else {
        values.to_vec()
    }
}

fn standardize(values: &[f64]) -> Vec<f64> {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|v| v / n).sum::<f64>();
    // Scaled before squaring, so that huge values do not overflow.
    let largest = values.iter().fold(0.0_f64, |m, v| m.max((v - mean).abs()));
    if !(largest > 0.0 && largest.is_finite()) {
        return vec![0.0; values.len()];
    }
    let squares: f64 = values
        .iter()
        .map(|v| ((v - mean) / largest) * ((v - mean) / largest))
        .sum();
    let deviation = largest * (squares / n).sqrt();
    values.iter().map(|v| (v - mean) / deviation).collect()
}

/// Yeo-Johnson with exponent `lambda` at `z`.
pub fn yeo_johnson_at(z: f64, lambda: f64) -> f64 {
    if z >= 0.0 {
        if lambda == 0.0 {
            libm::log1p(z)
        } else {
            libm::expm1(lambda * libm::log1p(z)) / lambda
        }
    } else {
        let mirrored = 2.0 - lambda;
        if mirrored == 0.0 {
            -libm::log1p(-z)
        } else {
            -libm::expm1(mirrored * libm::log1p(-z)) / mirrored
        }
    }
}

/// The transform at the most likely of 33 exponents in [-2, 2]: `-n/2 ln var + (lambda - 1) sum sgn(z) ln(1 + |z|)`.
fn yeo_johnson(z: &[f64]) -> Vec<f64> {
    let n = z.len() as f64;
    let tilt: f64 = z.iter().map(|z| libm::log1p(z.abs()).copysign(*z)).sum();
    let mut best = (f64::NEG_INFINITY, z.to_vec());
    for step in 0..=32 {
        let lambda = -2.0 + f64::from(step) * 0.125;
        let t: Vec<f64> = z.iter().map(|z| yeo_johnson_at(*z, lambda)).collect();
        let mean = t.iter().sum::<f64>() / n;
        let variance = t.iter().map(|t| (t - mean) * (t - mean)).sum::<f64>() / n;
        let score = -0.5 * n * libm::log(variance.max(1e-300)) + (lambda - 1.0) * tilt;
        if score > best.0 {
            best = (score, t);
        }
    }
    best.1
}

/// Mean ranks from 0, ties averaged.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let at = |i: usize| values.get(i).copied().unwrap_or(0.0);
    order.sort_by(|a, b| at(*a).total_cmp(&at(*b)).then(a.cmp(b)));
    let mut out = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let value = order.get(from).map(|i| at(*i));
        let tied = order
            .iter()
            .skip(from)
            .take_while(|i| Some(at(**i)) == value)
            .count();
        for index in order.iter().skip(from).take(tied) {
            if let Some(rank) = out.get_mut(*index) {
                *rank = from as f64 + (tied as f64 - 1.0) / 2.0;
            }
        }
        from += tied.max(1);
    }
    out
}

fn copula(values: &[f64]) -> Vec<f64> {
    let n = values.len().max(1) as f64;
    ranks(values)
        .into_iter()
        .map(|rank| normal::quantile((rank + 0.5) / n))
        .collect()
}

fn half_rank(values: &[f64]) -> Vec<f64> {
    let sorted = sorted(values);
    let median = quantile(&sorted, 0.5);
    let good: Vec<f64> = values.iter().copied().filter(|v| *v <= median).collect();
    let spread =
        (good.iter().map(|v| (v - median) * (v - median)).sum::<f64>() / good.len().max(1) as f64).sqrt();
    let bad = (values.len() - good.len()).max(1) as f64;
    values
        .iter()
        .zip(ranks(values))
        .map(|(v, rank)| {
            let above = rank - good.len() as f64;
            if *v <= median {
                *v
            } else {
                median + spread * normal::quantile(0.5 + 0.5 * (above + 0.5) / bad)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [TransformKind; 4] = [
        TransformKind::Standardize,
        TransformKind::YeoJohnson,
        TransformKind::HalfRank,
        TransformKind::Copula,
    ];

    #[test]
    fn order_is_kept_and_the_way_back_returns() {
        let values = [0.3, 0.2, 17.0, 0.25, 1.0, 0.9, 0.21, 400.0, 0.4];
        for kind in KINDS {
            let t = Transform::fit(kind, &values);
            for i in 0..values.len() {
                for j in 0..values.len() {
                    if values[i] < values[j] && values[j] < 17.0 {
                        assert!(t.values[i] < t.values[j], "{kind:?} {i} {j}");
                    }
                }
                if values[i] < 17.0 {
                    assert!((t.back(t.values[i]) - values[i]).abs() < 1e-9, "{kind:?}");
                    assert!((t.at(values[i]) - t.values[i]).abs() < 1e-9, "{kind:?}");
                }
            }
            assert!(t.back(-9.0) < 0.2 && t.back(9.0) > 1.0);
        }
    }

    #[test]
    fn odd_inputs() {
        for kind in KINDS {
            assert!(Transform::fit(kind, &[]).values.is_empty());
            assert_eq!(Transform::fit(kind, &[5.0, 5.0, 5.0]).values, [0.0; 3]);
            assert_eq!(Transform::fit(kind, &[5.0, 5.0, 5.0]).back(2.0), 5.0);
            let huge = Transform::fit(kind, &[-1e300, 1e300, 3.0, 1e308]);
            assert!(
                huge.values.iter().all(|v| v.is_finite()),
                "{kind:?} {:?}",
                huge.values
            );
        }
        assert_eq!(ranks(&[2.0, 1.0, 2.0, 0.0]), [2.5, 1.0, 2.5, 0.0]);
    }

    #[test]
    fn yeo_johnson_is_the_published_function() {
        assert!((yeo_johnson_at(3.0, 0.5) - ((4f64.powf(0.5) - 1.0) / 0.5)).abs() < 1e-14);
        assert!((yeo_johnson_at(-3.0, 0.5) + (4f64.powf(1.5) - 1.0) / 1.5).abs() < 1e-14);
        assert_eq!(yeo_johnson_at(3.0, 0.0), 4f64.ln());
        assert_eq!(yeo_johnson_at(-3.0, 2.0), -(4f64.ln()));
        assert_eq!(yeo_johnson_at(1.5, 1.0), 1.5);
        let skewed: Vec<f64> = (0..200).map(|i| (f64::from(i) / 30.0).exp()).collect();
        let t = Transform::fit(TransformKind::YeoJohnson, &skewed).values;
        let third = |v: &[f64]| v.iter().map(|x| x * x * x).sum::<f64>() / v.len() as f64;
        assert!(third(&t).abs() < 0.5 * third(&standardize(&skewed)).abs());
    }
}
