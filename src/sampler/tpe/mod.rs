//! Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate (Falkner et al. 2018), with pending trials as bad ones
//! (constant liar). Conditional spaces need no splitting into groups: a kernel says nothing about a parameter that it has inactive.

mod parzen;

use super::ledger::{Entry, Ledger};
use super::rng::stream;
use super::seen::{Found, Seen, search};
use super::{Origin, Proposal, Sampler, Suggestion, sobol};
use crate::history::History;
use crate::space::encode::Encoder;
use crate::space::{Assignment, Distribution, Domain};
use parzen::{Dimension, Parzen};
use std::sync::Arc;

/// Trials before the estimator decides.
const INITIAL: usize = 10;
/// Share of the trials that count as good, and their largest number.
const GOOD: (f64, usize) = (0.1, 25);
/// Candidates drawn from the good estimator.
const CANDIDATES: usize = 24;
/// Newest trials that have full weight among the bad ones.
const NEWEST: usize = 25;
/// Batches of candidates before an independent draw.
const BATCHES: u64 = 4;

/// `type: tpe`.
#[derive(Debug)]
pub struct Tpe {
    encoder: Encoder,
    dimensions: Vec<Dimension>,
    seed: u64,
    seen: Seen,
    ledger: Ledger,
}

impl Tpe {
    /// A sampler of `domain`.
    pub fn new(domain: Arc<Domain>, seed: u64) -> Self {
        let dimensions = domain
            .space()
            .parameters
            .iter()
            .map(
                |parameter| match (&parameter.distribution, parameter.distribution.levels()) {
                    (_, crate::space::Levels::Finite(1)) => Dimension::Ignored,
                    (Distribution::Choice { options, .. }, _) => Dimension::Choice(options.len()),
                    _ => Dimension::Number,
                },
            )
            .collect();
        let encoder = Encoder::new(domain);
        Self {
            encoder,
            dimensions,
            seed,
            seen: Seen::default(),
            ledger: Ledger::default(),
        }
    }

    fn design(&self, number: u64) -> Suggestion {
        let domain = self.encoder.domain();
        let mut left = stream(self.seed, "tpe left over", number);
        match search(
            domain,
            Some(&self.seen),
            &mut left,
            sobol::draw(domain, self.seed, number),
        ) {
            Found::None(reason) => Suggestion::Exhausted(reason),
            Found::New(assignment, draws) => {
                let method = match draws {
                    1 => format!("scrambled Sobol point {number}"),
                    _ => "independent draw".to_string(),
                };
                propose(assignment, method, Vec::new())
            }
        }
    }

    /// The good and the bad estimator.
    fn estimators(&self) -> (Parzen<'_>, Parzen<'_>, usize) {
        let ranked = self.ledger.ranked();
        let worked = self.ledger.worked();
        let good = ((GOOD.0 * ranked.len() as f64).ceil() as usize)
            .clamp(1, GOOD.1)
            .min(worked.max(1));
        let (best, _) = ranked.split_at(good.min(ranked.len()));
        let point = |entry: &Entry| self.ledger.point(entry).map(|p| p.coordinates.as_slice());
        let above: Vec<&[f64]> = best.iter().filter_map(point).collect();
        let weights = vec![1.0; above.len()];
        let is_good =
            |inherited: bool, index: usize| best.iter().any(|e| e.index == index && e.inherited == inherited);
        // Older bad trials weigh less (a ramp over their age), sampled ones stand for the others too.
        let total = ranked.len() as f64;
        let own = self.ledger.known() as f64;
        let mut below: Vec<&[f64]> = Vec::new();
        let mut ages = Vec::new();
        for (inherited, index) in self.ledger.sample() {
            if is_good(inherited, index) {
                continue;
            }
            if let Some(point) = self.ledger.sampled((inherited, index)) {
                below.push(&point.coordinates);
                let age = if inherited { own } else { own - index as f64 };
                ages.push(if age <= NEWEST as f64 {
                    1.0
                } else {
                    (1.0 - (age - NEWEST as f64) / (total + own)).max(1.0 / total)
                });
            }
        }
        for point in self.ledger.pending() {
            below.push(&point.coordinates);
            ages.push(1.0);
        }
        (
            Parzen::new(&self.dimensions, above, &weights),
            Parzen::new(&self.dimensions, below, &ages),
            good,
        )
    }
}

fn propose(assignment: Assignment, method: String, notes: Vec<String>) -> Suggestion {
    let origin = Origin {
        sampler: "tpe".into(),
        method,
        predicted: None,
        notes,
    };
    Suggestion::Next(Box::new(Proposal { assignment, origin }))
}

impl Sampler for Tpe {
    fn suggest(&mut self, number: u64, history: &History) -> Suggestion {
        self.ledger.follow(&self.encoder, &mut self.seen, history);
        if self.ledger.ranked().len() + self.ledger.open() < INITIAL || self.ledger.worked() < 2 {
            return self.design(number);
        }
        let domain = self.encoder.domain();
        let (good, bad, count) = self.estimators();
        let mut draws = stream(self.seed, "tpe", number);
        for batch in 0..BATCHES {
            let mut candidates: Vec<(f64, Vec<f64>)> = (0..CANDIDATES)
                .map(|_| {
                    let raw = good.draw(&mut draws);
                    let point = self.encoder.complete(&raw, &mut draws);
                    (good.log_density(&point) - bad.log_density(&point), point)
                })
                .collect();
            candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
            for (_, point) in candidates {
                let assignment = self.encoder.assignment(&point);
                if domain.satisfies(&assignment) && !self.seen.contains(&domain.fingerprint(&assignment)) {
                    let method = format!(
                        "best density ratio of {} candidates",
                        (batch + 1) * CANDIDATES as u64
                    );
                    let note = format!(
                        "{count} of {} finished trials count as good",
                        self.ledger.ranked().len()
                    );
                    return propose(assignment, method, vec![note]);
                }
            }
        }
        self.design(number)
    }
}
