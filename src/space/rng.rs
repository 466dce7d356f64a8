//! Counter-based randomness: the stream of (seed, name, trial) never depends on what was drawn elsewhere.
//!
//! A resumed controller replays nothing: it asks for the stream of the trial it needs. The key is hashed by two independent chains of
//! the SplitMix64 finalizer (Steele, Lea, Flood 2014) into the state of a PCG XSL 128/64 (MCG) generator (O'Neill 2014), which is
//! stable by contract of `rand_pcg`. Golden values in the tests pin the bits; changing them would break the replay of old sweeps.

use crate::space::normal;
use rand::Rng;
use rand_pcg::Pcg64Mcg;

/// A stream of random numbers for one purpose of one trial.
#[derive(Clone, Debug)]
pub struct Stream(Pcg64Mcg);

/// The stream called `name` of trial `trial` in the sweep seeded by `seed`.
pub fn stream(seed: u64, name: &str, trial: u64) -> Stream {
    let high = key(0x243F_6A88_85A3_08D3, seed, name, trial);
    let low = key(0x1319_8A2E_0370_7344, seed, name, trial);
    Stream(Pcg64Mcg::new((u128::from(high) << 64) | u128::from(low)))
}

impl Stream {
    /// A uniform number in the open interval (0, 1), one of 2^52 equally spaced ones.
    pub fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
    }

    /// A uniform integer in `0..count`; 0 if `count` is 0.
    pub fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(count)) >> 64) as u64
    }

    /// A uniform index of a list of `count` things; 0 if there is none.
    pub fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// A standard normal number, by inversion.
    pub fn normal(&mut self) -> f64 {
        normal::quantile(self.unit())
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// One 64-bit hash of (seed, name, trial) under `salt`.
fn key(salt: u64, seed: u64, name: &str, trial: u64) -> u64 {
    let mut state = absorb(salt, seed);
    state = absorb(state, name.len() as u64);
    for chunk in name.as_bytes().chunks(8) {
        let word = chunk
            .iter()
            .rev()
            .fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
        state = absorb(state, word);
    }
    absorb(state, trial)
}

/// Mixes one word into a hash state: the SplitMix64 finalizer of their sum.
pub(crate) fn absorb(state: u64, word: u64) -> u64 {
    let mut z = (state ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)).wrapping_add(state.rotate_left(23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_in_every_part_of_their_key() {
        let first = |seed, name, trial| stream(seed, name, trial).bits();
        let mut draws = vec![
            first(0, "random", 0),
            first(1, "random", 0),
            first(0, "sobol", 0),
            first(0, "random", 1),
            first(0, "", 0),
            first(0, "random\0", 0),
            first(u64::MAX, "random", u64::MAX),
        ];
        draws.sort_unstable();
        draws.dedup();
        assert_eq!(draws.len(), 7);
    }

    #[test]
    fn generator_is_the_pinned_one() {
        use rand::SeedableRng;
        let value = (Pcg64Mcg::seed_from_u64(7).next_u64() >> 11) as f64 / 9_007_199_254_740_992.0;
        assert_eq!(value, 0.689_897_410_240_835_4);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut source = stream(3, "moments", 0);
        let n = 20_000;
        let (mut sum, mut square, mut unit) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let z = source.normal();
            sum += z;
            square += z * z;
            unit += source.unit();
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.03 && (square / n - 1.0).abs() < 0.05 && (unit / n - 0.5).abs() < 0.01);
    }
}
