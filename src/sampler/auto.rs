//! `type: auto`: picks a sampler for every trial from the space, the budget, the concurrency and what has happened so far, and says why.
//!
//! The rules come from measurements on the benchmark suites (`docs/science.md`): the Gaussian process leads on mixed and conditional spaces of
//! moderate size from some five trials on; with very many parameters, or where most of a long history would be left out of its model, the
//! Parzen estimator takes turns with it.

use super::bayesian::Bayesian;
use super::tpe::Tpe;
use super::{Sampler, Suggestion};
use crate::history::History;
use crate::metric::Goal;
use crate::space::Domain;
use crate::space::encode::Encoder;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// Searched parameters beyond which the Gaussian process does not decide alone.
const MANY_PARAMETERS: usize = 40;
/// Trials beyond which it does not decide alone.
const MANY_TRIALS: usize = 1_500;
/// Trials beyond which it decides one trial in eight.
const VERY_MANY_TRIALS: usize = 20_000;
/// Budgets below this get a shorter initial design.
const SMALL_BUDGET: u64 = 15;

/// `type: auto`.
#[derive(Debug)]
pub struct Auto {
    dimensions: usize,
    /// Trials that may be made in all, if known.
    budget: Option<u64>,
    /// Trials that may run at once, if known.
    concurrency: Option<u64>,
    bayesian: Bayesian,
    tpe: Tpe,
}

impl Auto {
    /// A sampler of `domain`. Options: `max_trials` and `max_concurrent`, what the sweep may spend and run at once (whole numbers from 1),
    /// and those of [`Bayesian::new`].
    ///
    /// # Errors
    /// Name of the option at fault, and why.
    pub fn new(
        domain: Arc<Domain>,
        seed: u64,
        goal: Goal,
        options: &Map<String, Json>,
    ) -> Result<Self, (&'static str, String)> {
        let whole = |name: &'static str| match options.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(n) if n > 0 => Ok(Some(n)),
                _ => Err((name, "expected a whole number of at least 1".to_owned())),
            },
        };
        let (budget, concurrency) = (whole("max_trials")?, whole("max_concurrent")?);
        let dimensions = Encoder::new(domain.clone()).dimensions();
        let mut inner = options.clone();
        if let Some(budget) = budget.filter(|budget| *budget < SMALL_BUDGET)
            && !inner.contains_key("initial_trials")
        {
            // A third, so that a model has something left to decide.
            inner.insert("initial_trials".into(), (budget / 3).clamp(3, 5).into());
        }
        Ok(Self {
            dimensions,
            budget,
            concurrency,
            bayesian: Bayesian::new(domain.clone(), seed, goal, &inner)?,
            tpe: Tpe::new(domain, seed),
        })
    }

    /// Whether the Parzen estimator decides trial `number`, and why this one was chosen.
    fn choice(&self, number: u64, trials: usize) -> (bool, String) {
        let turns = |by: u64| !number.is_multiple_of(by);
        if trials > VERY_MANY_TRIALS {
            return (
                turns(8),
                format!("more than {VERY_MANY_TRIALS} trials: mostly `tpe`, every eighth by `bayesian`"),
            );
        }
        if trials > MANY_TRIALS {
            return (
                turns(2),
                format!("more than {MANY_TRIALS} trials: `tpe` and `bayesian` take turns"),
            );
        }
        if self.dimensions > MANY_PARAMETERS {
            return (
                turns(2),
                format!("{} parameters: `tpe` and `bayesian` take turns", self.dimensions),
            );
        }
        let initial = self.bayesian.initial() as u64;
        let parameters = match self.dimensions {
            1 => "1 parameter".to_string(),
            n => format!("{n} parameters"),
        };
        let why = match (self.budget, self.concurrency) {
            (Some(budget), _) if budget <= initial => {
                format!("{budget} trials in all teach a model too little: they are spread evenly")
            }
            (Some(budget), Some(slots)) if slots > initial && slots.saturating_mul(2) > budget => format!(
                "{slots} of {budget} trials run at once: most start before any has ended, so they are spread evenly, the rest by `bayesian`"
            ),
            (Some(budget), _) if budget < SMALL_BUDGET => {
                format!(
                    "{parameters}, only {budget} trials: `bayesian` after {initial} that are spread evenly"
                )
            }
            (Some(budget), _) => {
                format!("{parameters}, {trials} of {budget} trials: `bayesian` suits this size")
            }
            (None, _) => format!("{parameters}, {trials} trials: `bayesian` suits this size"),
        };
        (false, why)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Distribution, Parameter, SearchSpace};
    use serde_json::json;

    fn auto(parameters: usize, options: Json) -> Result<Auto, (&'static str, String)> {
        let parameter = |i: usize| Parameter {
            name: format!("x{i}"),
            distribution: Distribution::Uniform { low: 0.0, high: 1.0 },
            condition: None,
        };
        let space = SearchSpace {
            parameters: (0..parameters).map(parameter).collect(),
            constraints: Vec::new(),
        };
        let domain = Arc::new(Domain::new(Arc::new(space)).unwrap());
        Auto::new(domain, 1, Goal::Minimize, options.as_object().unwrap())
    }

    #[test]
    fn the_reason_names_budget_and_concurrency() {
        let why = |options: Json| auto(3, options).unwrap().choice(0, 0).1;
        assert!(why(json!({"max_trials": 3})).contains("3 trials in all"));
        assert!(why(json!({"max_trials": 12})).contains("only 12 trials: `bayesian` after 4"));
        assert!(why(json!({"max_trials": 64, "max_concurrent": 48})).contains("48 of 64 trials run at once"));
        assert!(why(json!({"max_trials": 100, "max_concurrent": 4})).contains("0 of 100 trials"));
        assert!(why(json!({})).contains("3 parameters, 0 trials"));
    }

    #[test]
    fn size_decides_whether_the_estimator_takes_turns() {
        let few = auto(3, json!({})).unwrap();
        assert!(!few.choice(3, 1_000).0 && few.choice(3, 2_000).0 && !few.choice(4, 2_000).0);
        assert_eq!((0..800).filter(|n| few.choice(*n, 30_000).0).count(), 700);
        let many = auto(41, json!({})).unwrap();
        assert!(many.choice(1, 10).0 && !many.choice(2, 10).0);
    }

    #[test]
    fn small_budgets_start_with_a_shorter_design() {
        let initial = |options: Json| auto(14, options).unwrap().bayesian.initial();
        assert_eq!(initial(json!({"max_trials": 10})), 3);
        assert_eq!(initial(json!({"max_trials": 100})), 5);
        assert_eq!(initial(json!({"max_trials": 10, "initial_trials": 8})), 8);
        assert_eq!(auto(2, json!({"max_trials": 0})).unwrap_err().0, "max_trials");
        assert_eq!(auto(2, json!({"priors": 3})).unwrap_err().0, "priors");
    }
}
