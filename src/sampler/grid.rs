//! Every configuration of a finite space once, the first declared parameter slowest.

use super::seen::{Seen, exhausted};
use super::{Origin, Proposal, Sampler, SamplerError, Suggestion};
use crate::history::History;
use crate::space::Domain;
use std::sync::Arc;

/// Points that may in a row break a constraint before the sampler gives up.
const MAX_SKIPPED: u64 = 20_000_000;

/// `type: grid`. The next point is the first that no trial has taken, so the order of completion has no influence; points are
/// computed from their index, never listed.
#[derive(Debug)]
pub struct Grid {
    domain: Arc<Domain>,
    size: u128,
    seen: Seen,
    /// All points before this one are taken or forbidden.
    cursor: u128,
    allowed: u64,
}

impl Grid {
    /// A sampler of `domain`.
    ///
    /// # Errors
    /// [`SamplerError::Space`] if a parameter cannot be enumerated.
    pub fn new(domain: Arc<Domain>) -> Result<Self, SamplerError> {
        if let Some(parameter) = domain
            .unbounded_parameter()
            .and_then(|i| domain.space().parameters.get(i))
        {
            return Err(SamplerError::Space {
                sampler: "grid",
                parameter: parameter.name.clone(),
                reason: format!("`{}` has no finite list of values", parameter.distribution.word()),
            });
        }
        let size = domain.cardinality().unwrap_or(0);
        Ok(Self {
            domain,
            size,
            seen: Seen::default(),
            cursor: 0,
            allowed: 0,
        })
    }
}

impl Sampler for Grid {
    fn suggest(&mut self, _number: u64, history: &History) -> Suggestion {
        if !self.seen.follow(&self.domain, history) {
            self.cursor = 0;
            self.allowed = 0;
        }
        let mut skipped = 0;
        while self.cursor < self.size {
            let Some(assignment) = self.domain.nth(self.cursor) else {
                break;
            };
            if !self.domain.satisfies(&assignment) {
                skipped += 1;
                if skipped > MAX_SKIPPED {
                    return Suggestion::Exhausted(format!(
                        "{MAX_SKIPPED} grid points in a row broke a constraint"
                    ));
                }
            } else if self.seen.contains(&self.domain.fingerprint(&assignment)) {
                self.allowed += 1;
            } else {
                let method = format!("grid point {} of {}", self.cursor, self.size);
                let origin = Origin {
                    sampler: "grid".into(),
                    method,
                    predicted: None,
                    notes: Vec::new(),
                };
                return Suggestion::Next(Box::new(Proposal { assignment, origin }));
            }
            self.cursor += 1;
        }
        Suggestion::Exhausted(exhausted(usize::try_from(self.allowed).unwrap_or(usize::MAX)))
    }
}
