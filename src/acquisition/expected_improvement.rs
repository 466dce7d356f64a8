//! Logarithm of the expected improvement, stable where the improvement itself underflows (Ament et al. 2023, eq. 8-9).

use crate::space::normal;

/// `ln E[max(best - f, 0)]` for `f ~ N(mean, deviation^2)`, smaller values being better; `deviation` > 0.
pub fn log_expected_improvement(mean: f64, deviation: f64, best: f64) -> f64 {
    libm::log(deviation) + log_h((best - mean) / deviation)
}

/// `ln h(z)` with `h(z) = phi(z) + z Phi(z)`.
pub fn log_h(z: f64) -> f64 {
    const LN_SQRT_2PI: f64 = 0.918_938_533_204_672_8;
    if z > -1.0 {
        return libm::log(normal::density(z) + z * normal::cdf(z));
    }
    let ln_density = -0.5 * z * z - LN_SQRT_2PI;
    if z > -50.0 {
        // Phi(z) / phi(z) without cancellation: the Mills ratio by the scaled complementary error function.
        let mills = normal::scaled_erfc(-z * std::f64::consts::FRAC_1_SQRT_2) * 1.253_314_137_315_500_3;
        ln_density + libm::log1p(z * mills)
    } else {
        // The first term of the asymptotic series h(z) = phi(z) / z^2 (1 - 3/z^2 + ...).
        ln_density - 2.0 * libm::log(-z)
    }
}

/// `ln((e^a_1 + ... + e^a_n) / n)`; -infinity for nothing.
pub fn log_mean_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| {
        (sum + libm::exp(v - largest), count + 1.0)
    });
    largest + libm::log(sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        for (z, expected) in [
            (0.0, -0.918_939),
            (-1.0, -2.485_121),
            (-5.0, -16.744_301),
            (-10.0, -55.553_122),
        ] {
            assert!((log_h(z) - expected).abs() < 1e-6, "{z}: {}", log_h(z));
        }
    }

    /// `E[max(best - f, 0)]` by Simpson's rule over eight standard deviations.
    #[test]
    fn agrees_with_numerical_integration() {
        for (mean, deviation, best) in [
            (0.0, 1.0, 0.0),
            (1.0, 0.5, 0.2),
            (-3.0, 2.0, 1.0),
            (0.3, 0.01, 0.28),
            (2.0, 0.5, 0.0),
        ] {
            // Improvement exists only below `best`: integrate there.
            let (low, high) = (f64::min(mean, best) - 9.0 * deviation, best);
            let n = 20_000;
            let h = (high - low) / f64::from(n);
            let f = |x: f64| (best - x) * normal::density((x - mean) / deviation) / deviation;
            let weight = |i: i32| {
                if i == 0 || i == n {
                    1.0
                } else {
                    2.0 + 2.0 * f64::from(i % 2)
                }
            };
            let integral = (0..=n)
                .map(|i| weight(i) * f(low + h * f64::from(i)))
                .sum::<f64>()
                * h
                / 3.0;
            let got = log_expected_improvement(mean, deviation, best);
            assert!(
                (got - integral.ln()).abs() < 1e-7,
                "{mean} {deviation} {best}: {got} {}",
                integral.ln()
            );
        }
    }

    #[test]
    fn is_increasing_and_continuous_far_out() {
        let mut last = log_h(-2000.0);
        for i in 1..=200_500 {
            let z = -2000.0 + 0.01 * f64::from(i);
            let value = log_h(z);
            assert!(value > last && value.is_finite(), "{z}");
            last = value;
        }
        assert!((log_h(-50.0 + 1e-9) - log_h(-50.0 - 1e-9)).abs() < 2e-3);
        assert!((log_h(-1.0 + 1e-12) - log_h(-1.0 - 1e-12)).abs() < 1e-10);
        assert!((log_mean_exp([-1000.0, -1000.0].into_iter()) + 1000.0).abs() < 1e-12);
    }
}
