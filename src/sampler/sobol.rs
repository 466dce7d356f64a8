//! Scrambled Sobol points through the quantile functions: even coverage of the space (Owen 1995; Burley 2020, hash-based scrambling).

use super::rng::stream;
use super::seen::{Found, Seen, search};
use super::{Origin, Proposal, Sampler, Suggestion};
use crate::history::History;
use crate::space::{Assignment, Domain};
use std::sync::Arc;

/// Length of one scrambled sequence and number of its dimensions in `sobol_burley`.
const LENGTH: u64 = 1 << 16;
const DIMENSIONS: usize = 256;

/// Point `index` of the scrambled sequence of `seed`, one coordinate in (0, 1) per call. The 24 bits of the sequence are continued by
/// random ones, so that a coordinate takes as many values as a draw.
pub(crate) fn point(seed: u64, name: &str, index: u64) -> impl FnMut(usize) -> f64 {
    let mut digits = stream(seed, name, index);
    let block = stream(seed, name, u64::MAX - index / LENGTH).bits();
    move |dimension: usize| {
        let scramble =
            (block ^ (block >> 32)) as u32 ^ ((dimension / DIMENSIONS) as u32).wrapping_mul(0x9E37_79B9);
        let u = sobol_burley::sample((index % LENGTH) as u32, (dimension % DIMENSIONS) as u32, scramble);
        f64::from(u) + digits.unit() * (1.0 / 16_777_216.0)
    }
}

/// `type: random` with `rule: sobol`, or `type: sobol`. One dimension per parameter; trial `n` is point `n`.
#[derive(Debug)]
pub struct Sobol {
    domain: Arc<Domain>,
    seed: u64,
    allow_duplicates: bool,
    seen: Seen,
}

impl Sobol {
    /// A sampler of `domain`; with `allow_duplicates` a configuration may come again.
    pub fn new(domain: Arc<Domain>, seed: u64, allow_duplicates: bool) -> Self {
        Self {
            domain,
            seed,
            allow_duplicates,
            seen: Seen::default(),
        }
    }
}

/// The assignment at a point: point `number`, or, where that is taken or forbidden, an independent draw.
pub(crate) fn draw(domain: &Domain, seed: u64, number: u64) -> impl FnMut(u32) -> Assignment {
    let mut spare = stream(seed, "sobol spare", number);
    move |attempt| match attempt {
        0 => domain.at(point(seed, "sobol", number)),
        _ => domain.at(|_| spare.unit()),
    }
}

impl Sampler for Sobol {
    fn suggest(&mut self, number: u64, history: &History) -> Suggestion {
        if !self.allow_duplicates {
            self.seen.follow(&self.domain, history);
        }
        let mut left = stream(self.seed, "sobol left over", number);
        let seen = (!self.allow_duplicates).then_some(&self.seen);
        match search(
            &self.domain,
            seen,
            &mut left,
            draw(&self.domain, self.seed, number),
        ) {
            Found::None(reason) => Suggestion::Exhausted(reason),
            Found::New(assignment, draws) => {
                let method = match draws {
                    1 => format!("scrambled Sobol point {number}"),
                    _ => format!("independent draw, scrambled Sobol point {number} was not free"),
                };
                let origin = Origin {
                    sampler: "sobol".into(),
                    method,
                    predicted: None,
                    notes: Vec::new(),
                };
                Suggestion::Next(Box::new(Proposal { assignment, origin }))
            }
        }
    }
}
