//! When a sweep will end: remaining trials at the median duration of the ended ones, with a 10-90 % range.

/// A forecast in milliseconds from now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eta {
    /// Median.
    pub middle_ms: u64,
    /// 10 % quantile.
    pub low_ms: u64,
    /// 90 % quantile.
    pub high_ms: u64,
}

/// Standard normal quantile of 90 %.
const Z90: f64 = 1.2816;

/// Forecast from the durations of ended trials (stopped ones included at their rate); `remaining` trials are still to end, of
/// which the running ones count with what they have left. `None` until three trials ended.
///
/// The range is that of a sum of `remaining` independent durations whose mean is itself estimated from the sample:
/// `var = n s^2 + n^2 s^2 / k`, divided by the concurrency.
pub fn forecast(durations_ms: &[u64], remaining: f64, concurrent: u64) -> Option<Eta> {
    if durations_ms.len() < 3 {
        return None;
    }
    let mut sorted: Vec<f64> = durations_ms.iter().map(|duration| *duration as f64).collect();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let median = median(&sorted);
    let mean = sorted.iter().sum::<f64>() / count;
    let variance = sorted
        .iter()
        .map(|duration| (duration - mean).powi(2))
        .sum::<f64>()
        / (count - 1.0);
    let remaining = remaining.max(0.0);
    let lanes = (concurrent.max(1) as f64).min(remaining.max(1.0));
    let middle = remaining * median / lanes;
    let spread = Z90 * (remaining * variance + remaining * remaining * variance / count).sqrt() / lanes;
    let round = |value: f64| value.max(0.0).round() as u64;
    Some(Eta {
        middle_ms: round(middle),
        low_ms: round(middle - spread),
        high_ms: round(middle + spread),
    })
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(0.0);
    if sorted.len().is_multiple_of(2) {
        let lower = sorted.get(middle.saturating_sub(1)).copied().unwrap_or(upper);
        f64::midpoint(lower, upper)
    } else {
        upper
    }
}

/// Keeps a forecast from jumping: an exponential average with a time constant of five seconds.
#[derive(Clone, Debug, Default)]
pub struct Smooth {
    last: Option<(u64, [f64; 3])>,
}

impl Smooth {
    /// Feeds the forecast of time `now_ms`; returns the smoothed one.
    pub fn feed(&mut self, now_ms: u64, eta: Option<Eta>) -> Option<Eta> {
        let Some(eta) = eta else {
            self.last = None;
            return None;
        };
        let fresh = [eta.middle_ms as f64, eta.low_ms as f64, eta.high_ms as f64];
        let smooth = match self.last {
            None => fresh,
            Some((then, old)) => {
                let passed = now_ms.saturating_sub(then) as f64;
                let keep = (-passed / 5000.0).exp();
                let mut out = [0.0; 3];
                for (out, (old, fresh)) in out.iter_mut().zip(old.iter().zip(fresh)) {
                    // What was forecast then is nearer now by the time that has passed.
                    *out = keep * (old - passed).max(0.0) + (1.0 - keep) * fresh;
                }
                out
            }
        };
        self.last = Some((now_ms, smooth));
        let [middle, low, high] = smooth.map(|value| value.round() as u64);
        Some(Eta {
            middle_ms: middle,
            low_ms: low,
            high_ms: high,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_durations_have_no_range() {
        let eta = forecast(&[10_000, 10_000, 10_000], 8.0, 4).unwrap();
        assert_eq!(
            eta,
            Eta {
                middle_ms: 20_000,
                low_ms: 20_000,
                high_ms: 20_000
            }
        );
        assert_eq!(forecast(&[1, 2], 8.0, 4), None);
    }

    #[test]
    fn one_remaining_trial_uses_one_lane() {
        assert_eq!(forecast(&[10_000; 5], 1.0, 4).unwrap().middle_ms, 10_000);
    }

    #[test]
    fn spread_widens_the_range() {
        let eta = forecast(&[5_000, 10_000, 15_000], 10.0, 2).unwrap();
        assert_eq!(eta.middle_ms, 50_000);
        assert!(eta.low_ms < 40_000 && eta.high_ms > 60_000, "{eta:?}");
    }

    #[test]
    fn smoothing_follows_slowly_and_counts_down() {
        let mut smooth = Smooth::default();
        let first = Eta {
            middle_ms: 100_000,
            low_ms: 90_000,
            high_ms: 110_000,
        };
        assert_eq!(smooth.feed(0, Some(first)), Some(first));
        let jumped = Eta {
            middle_ms: 50_000,
            ..first
        };
        let next = smooth.feed(100, Some(jumped)).unwrap();
        assert!(next.middle_ms > 98_000, "{next:?}");
        assert_eq!(smooth.feed(200, None), None);
    }
}
