//! Independent draws of every parameter from its distribution, without repetition.

use super::rng::stream;
use super::seen::{Found, Seen, search};
use super::{Origin, Proposal, Sampler, Suggestion};
use crate::history::History;
use crate::space::Domain;
use std::sync::Arc;

/// `type: random`. Trial `n` is a function of the seed, `n` and the configurations of the trials before it: the order in which trials
/// end has no influence.
#[derive(Debug)]
pub struct Random {
    domain: Arc<Domain>,
    seed: u64,
    allow_duplicates: bool,
    seen: Seen,
}

impl Random {
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

impl Sampler for Random {
    fn suggest(&mut self, number: u64, history: &History) -> Suggestion {
        if !self.allow_duplicates {
            self.seen.follow(&self.domain, history);
        }
        let mut draws = stream(self.seed, "random", number);
        let mut left = stream(self.seed, "random left over", number);
        let seen = (!self.allow_duplicates).then_some(&self.seen);
        match search(&self.domain, seen, &mut left, |_| {
            self.domain.at(|_| draws.unit())
        }) {
            Found::None(reason) => Suggestion::Exhausted(reason),
            Found::New(assignment, draws) => {
                let method = match draws {
                    1 => "independent draw".to_string(),
                    _ => format!("independent draw, {draws} tries"),
                };
                let origin = Origin {
                    sampler: "random".into(),
                    method,
                    predicted: None,
                    notes: Vec::new(),
                };
                Suggestion::Next(Box::new(Proposal { assignment, origin }))
            }
        }
    }
}
