//! `type: auto`: picks a sampler for every trial from the space and from what has happened so far, and says why.
//!
//! The rules come from measurements on the benchmark suites: the Gaussian process leads on mixed and conditional spaces of moderate size; with
//! very many parameters, or where most of a long history would be left out of its model, the Parzen estimator takes turns with it.

use super::bayesian::Bayesian;
use super::tpe::Tpe;
use super::{Sampler, Suggestion};
use crate::history::History;
use crate::metric::Goal;
use crate::space::Domain;
use crate::space::encode::Encoder;
use std::sync::Arc;

/// Searched parameters beyond which the Gaussian process does not decide alone.
const MANY_PARAMETERS: usize = 40;
/// Trials beyond which it does not decide alone.
const MANY_TRIALS: usize = 1_500;
/// Trials beyond which it decides one trial in eight.
const VERY_MANY_TRIALS: usize = 20_000;

/// `type: auto`.
#[derive(Debug)]
pub struct Auto {
    dimensions: usize,
    bayesian: Bayesian,
    tpe: Tpe,
}

impl Auto {
    /// A sampler of `domain`.
    pub fn new(domain: Arc<Domain>, seed: u64, goal: Goal) -> Self {
        let dimensions = Encoder::new(domain.clone()).dimensions();
        Self {
            dimensions,
            bayesian: Bayesian::new(domain.clone(), seed, goal, None),
            tpe: Tpe::new(domain, seed),
        }
    }

    /// Whether the Parzen estimator decides trial `number`, and why this one was chosen.
    fn choice(&self, number: u64, trials: usize) -> (bool, String) {
        let turns = |by: u64| !number.is_multiple_of(by);
        if trials > VERY_MANY_TRIALS {
            (
                turns(8),
                format!("more than {VERY_MANY_TRIALS} trials: mostly `tpe`, every eighth by `bayesian`"),
            )
        } else if trials > MANY_TRIALS {
            (
                turns(2),
                format!("more than {MANY_TRIALS} trials: `tpe` and `bayesian` take turns"),
            )
        } else if self.dimensions > MANY_PARAMETERS {
            (
                turns(2),
                format!("{} parameters: `tpe` and `bayesian` take turns", self.dimensions),
            )
        } else {
            (
                false,
                format!(
                    "{} parameters, {trials} trials: `bayesian` suits this size",
                    self.dimensions
                ),
            )
        }
    }
}

impl Sampler for Auto {
    fn suggest(&mut self, number: u64, history: &History) -> Suggestion {
        let (by_tpe, why) = self.choice(number, history.trials.len() + history.inherited.len());
        let mut suggestion = match by_tpe {
            true => self.tpe.suggest(number, history),
            false => self.bayesian.suggest(number, history),
        };
        if let Suggestion::Next(proposal) = &mut suggestion {
            proposal.origin.notes.push(format!("chosen by `auto`: {why}"));
        }
        suggestion
    }
}
