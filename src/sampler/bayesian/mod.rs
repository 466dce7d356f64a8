//! Bayesian optimization with a Gaussian process over mixed and conditional spaces.
//!
//! A decision is a function of the seed, the trial's number and the history. Hyperparameters are learned at *anchors* (growing numbers of
//! finished trials) from what is known of the trials up to the anchor, never carried along, so that a resumed sweep finds the same ones; what
//! is cached here is keyed by exactly the data it was made from. Even trials look for any gain over the best, odd ones for a gain of a
//! fraction of the spread of the values: the former refine, the latter leave an optimum that has nothing more to give. Sources: Snoek et al.
//! 2012 (averaging, fantasies), Hvarfner et al. 2024 (length-scale prior), Ament et al. 2023 (log EI), Cowen-Rivers et al. 2022 (output
//! transform).

mod belief;
mod decision;
mod preference;
mod transfer;

use super::rng::{absorb, stream};
use super::rows::{self, Encoded, Point, Row};
use super::seen::{Found, Seen, search};
use super::{Origin, Proposal, Sampler, Suggestion, sobol};
use crate::history::History;
use crate::metric::Goal;
use crate::space::Domain;
use crate::space::encode::Encoder;
use crate::surrogate::{
    Data, Fit, Gp, Hyperparameters, Prior, SurrogateError, Transform, TransformKind, Warp, WarpFit,
};
use decision::Decision;
use preference::Preferences;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use transfer::Transfer;

/// Trials before the model decides.
const INITIAL: usize = 5;
/// Up to so many rows the acquisition is averaged over hyperparameter samples: few trials leave them open, many do not.
const AVERAGED: usize = 60;
/// Hyperparameter samples then.
const STATES: usize = 5;
/// Rows from which hyperparameters are learned.
const FIT_ROWS: usize = 100;
/// Steps of the search for the most probable hyperparameters.
const STEPS: u64 = 30;
/// Rows above which a search on so many of them comes first, and the steps on all that follow it.
const COARSE_ROWS: usize = 60;
const FINE_STEPS: u64 = 10;
/// Hyperparameters renewed in one sweep of the chain.
const COORDINATES: usize = 8;
/// Log evidence by which the results must speak against earlier sweeps before these are dropped.
const MISLED: f64 = 1.0;
/// Rows below which no axis is bent.
const WARPED_FROM: usize = 20;
/// Log density of left-out values by which warped axes must be better.
const WARPED_BY: f64 = 2.0;
/// How the values are seen: losses have a heavy bad tail.
const TRANSFORM: TransformKind = TransformKind::YeoJohnson;

/// `type: bayesian`.
#[derive(Debug)]
pub struct Bayesian {
    encoder: Encoder,
    seed: u64,
    goal: Goal,
    initial: usize,
    seen: Seen,
    encoded: Encoded,
    preferences: Preferences,
    /// Whether axes may be bent.
    bending: bool,
    transfer: Transfer,
    learned: Option<Learned>,
}

/// Hyperparameters and the data (as a hash) that they were learned from.
#[derive(Debug)]
struct Learned {
    key: u64,
    states: Vec<Hyperparameters>,
    /// Whether they are those of the difference to what earlier sweeps let expect.
    leaning: bool,
    /// How the axes are bent, the same in all states.
    warp: Warp,
}

impl Bayesian {
    /// A sampler of `domain`. Options: `initial_trials`, the number of trials before the model decides (5 unless given), `priors`, what is believed of good values
    /// (see [`preference`]), and `warp`, whether the axes of numbers may be bent where the results are foreseen better so (false unless given).
    ///
    /// # Errors
    /// Name of the option at fault, and why.
    pub fn new(
        domain: Arc<Domain>,
        seed: u64,
        goal: Goal,
        options: &Map<String, Json>,
    ) -> Result<Self, (&'static str, String)> {
        let preferences =
            Preferences::new(&domain, options.get("priors")).map_err(|reason| ("priors", reason))?;
        let encoder = Encoder::new(domain);
        let initial = match options.get("initial_trials") {
            None => INITIAL,
            Some(value) => match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
                Some(n) if n >= 2 => n,
                _ => return Err(("initial_trials", "expected an integer of at least 2".into())),
            },
        };
        let bending = match options.get("warp") {
            None => false,
            Some(Json::Bool(bending)) => *bending,
            Some(_) => return Err(("warp", "expected `true` or `false`".into())),
        };
        Ok(Self {
            encoder,
            seed,
            goal,
            initial,
            bending,
            seen: Seen::default(),
            encoded: Encoded::default(),
            preferences,
            transfer: Transfer::default(),
            learned: None,
        })
    }

    /// Trials of the initial design.
    pub(super) fn initial(&self) -> usize {
        self.initial
    }

    /// In some trials of the design, what did best in earlier sweeps.
    fn proven(
        &self,
        number: u64,
        history: &History,
        own: &[Row<'_>],
        tried: &[&Point],
    ) -> Option<Suggestion> {
        if self.transfer.is_empty() || !transfer::PROVEN.contains(&number) {
            return None;
        }
        let domain = self.encoder.domain();
        // What an earlier sweep did not set stays at the middle of its axis.
        let complete = |index: usize| {
            let assignment = &history.inherited.get(index)?.assignment;
            let assignment = domain.filled(assignment);
            let inside =
                domain.fits(&assignment) && domain.contains(&assignment) && domain.satisfies(&assignment);
            (inside && !self.seen.contains(&domain.fingerprint(&assignment))).then_some(assignment)
        };
        let index = self.transfer.first(number, &self.encoded, own, tried, |index| {
            complete(index).is_some()
        })?;
        let origin = Origin {
            sampler: "bayesian".into(),
            method: "what did best in an earlier sweep".into(),
            predicted: None,
            notes: vec![
                "one of the first trials tries what earlier sweeps found, more of them once results agree"
                    .into(),
            ],
        };
        let assignment = complete(index)?;
        Some(Suggestion::Next(Box::new(Proposal { assignment, origin })))
    }

    /// A point of the space-filling design, or a draw where that is taken.
    fn design(&self, number: u64, why: &str) -> Suggestion {
        let domain = self.encoder.domain();
        let mut left = stream(self.seed, "bayesian left over", number);
        let mut points = sobol::draw(domain, self.seed, number);
        let centre = number == 0;
        // Where something is believed, every other point of the design is drawn from the belief, the first at its middle.
        let believed = self.preferences.stated() && number.is_multiple_of(2) && number < self.initial as u64;
        let mut spare = stream(self.seed, "bayesian belief", number);
        let near = |domain: &Domain, unit: &mut dyn FnMut() -> f64| {
            domain.at(|index| self.preferences.draw(domain.space(), index, unit()))
        };
        let draw = |attempt: u32| match attempt {
            0 if centre => near(domain, &mut || 0.5),
            0..=63 if believed => near(domain, &mut || spare.unit()),
            _ => points(if centre || believed { attempt - 1 } else { attempt }),
        };
        match search(domain, Some(&self.seen), &mut left, draw) {
            Found::None(reason) => Suggestion::Exhausted(reason),
            Found::New(assignment, draws) => {
                let method = match (draws, centre) {
                    (1, true) if believed => "centre of what the priors believe".to_string(),
                    (1, true) => "centre of the space".to_string(),
                    (1, false) if believed => "draw from the priors".to_string(),
                    (1, false) | (2, true) => format!("scrambled Sobol point {number}"),
                    _ => "independent draw".to_string(),
                };
                let origin = Origin {
                    sampler: "bayesian".into(),
                    method,
                    predicted: None,
                    notes: vec![why.to_string()],
                };
                Suggestion::Next(Box::new(Proposal { assignment, origin }))
            }
        }
    }
}

impl Sampler for Bayesian {
    fn suggest(&mut self, number: u64, history: &History) -> Suggestion {
        let same = self.seen.follow(self.encoder.domain(), history);
        self.encoded.follow(&self.encoder, history, same);
        self.transfer.follow(&self.encoder, &self.encoded, history);
        let mut rows = self.encoded.rows(&self.encoder, history, |_| false);
        let young = rows.finished.len() < transfer::ENOUGH && !self.transfer.is_empty();
        // Earlier trials of what turned out to be the same task are data like this sweep's own.
        let same_task = self.transfer.same(&rows.finished);
        if !same_task.is_empty() {
            let taken = |index: usize| same_task.iter().any(|place| place.contains(&index));
            rows = self.encoded.rows(&self.encoder, history, taken);
        }
        let leaning = young && same_task.len() < self.transfer.len();
        let worked: Vec<f64> = rows
            .finished
            .iter()
            .filter(|row| !row.failed)
            .map(|row| row.value)
            .collect();
        let started = rows.finished.len() + rows.pending.len();
        let varied = worked.iter().any(|value| Some(value) != worked.first());
        if self.encoder.width() == 0 {
            return self.design(number, "nothing in the space can be modelled");
        }
        if started < self.initial || worked.len() < 3 {
            let tried: Vec<&Point> = rows
                .finished
                .iter()
                .map(|row| row.point)
                .chain(rows.pending.iter().copied())
                .collect();
            if let Some(suggestion) = self.proven(number, history, &rows.finished, &tried) {
                return suggestion;
            }
            return self.design(number, &format!("initial design of {} trials", self.initial));
        }
        if !varied {
            return self.design(
                number,
                "all values so far are equal, there is nothing to learn from",
            );
        }
        let answer = learn(
            &self.encoder,
            self.seed,
            &rows.finished,
            leaning.then_some(&self.transfer),
            self.bending,
            self.learned.take(),
        )
        .and_then(|learned| {
            let decision = Decision {
                encoder: &self.encoder,
                seen: &self.seen,
                preferences: &self.preferences,
                transfer: learned.leaning.then_some(&self.transfer),
                goal: self.goal,
                seed: self.seed,
                number,
            };
            let answer = decision.make(&rows, &learned.states, &learned.warp);
            self.learned = Some(learned);
            answer
        });
        match answer {
            Ok(Some(suggestion)) => suggestion,
            Ok(None) => self.design(number, "the model's candidates have all been tried"),
            Err(error) => self.design(number, &format!("the model could not be fitted: {error}")),
        }
    }
}

/// What is wrong with `priors` on this space, in words.
pub(super) fn refused_priors(domain: &Domain, priors: &Json) -> Option<String> {
    Preferences::new(domain, Some(priors)).err()
}

/// How many rows the latest anchor has: every number up to 24, then steps of a twelfth.
fn anchor(rows: usize) -> usize {
    let mut at = rows.min(24);
    while at >= 24 && at + at / 12 <= rows {
        at += at / 12;
    }
    at
}

/// The hyperparameter states for the present rows: those of `known` if they were learned from the same data.
fn learn(
    encoder: &Encoder,
    seed: u64,
    rows: &[Row<'_>],
    transfer: Option<&Transfer>,
    bending: bool,
    known: Option<Learned>,
) -> Result<Learned, SurrogateError> {
    let at = anchor(rows.len());
    let rows = rows.get(..at).unwrap_or(rows);
    let count = if at <= AVERAGED { STATES } else { 1 };
    let key = rows.iter().fold(
        at as u64 + if transfer.is_some() { 1 << 40 } else { 0 },
        |key, row| {
            let outcome = if row.failed {
                1
            } else {
                absorb(row.value.to_bits(), row.extra_noise.to_bits())
            };
            absorb(absorb(key, row.key), outcome)
        },
    );
    if let Some(known) = known
        && known.key == key
    {
        return Ok(known);
    }
    let chosen = rows::subset(rows, FIT_ROWS);
    let transform = Transform::fit(TRANSFORM, &rows::values(&chosen));
    let mut data = belief::data(encoder, &chosen, transform.values);
    let prior = Prior::standard(encoder.groups().len());
    if let Some(transfer) = transfer {
        let lean = transfer.lean(&chosen, &data.values);
        if !lean.is_nothing() {
            let guess = transfer.guess(&lean, &data.features, chosen.len());
            let mut rest = data.clone();
            rest.values
                .iter_mut()
                .zip(&guess)
                .for_each(|(value, guess)| *value -= guess);
            let (plain, leaning) = (Fit::new(&data, prior), Fit::new(&rest, prior));
            let steps = if chosen.len() > COARSE_ROWS {
                FINE_STEPS
            } else {
                STEPS
            };
            let (alone, best) = (
                plain.most_probable(&plain.start(), steps),
                leaning.most_probable(&leaning.start(), steps),
            );
            let loss = |fit: &Fit<'_>, at: &Hyperparameters| {
                fit.objective(&at.to_vec())
                    .map_or(f64::INFINITY, |(loss, _)| loss)
            };
            if loss(&leaning, &best) <= loss(&plain, &alone) + MISLED {
                data = rest;
                let fit = Fit::new(&data, prior);
                let mut draws = stream(seed, "bayesian chain", at as u64);
                let mut states = fit.sample(&best, count - 1, COORDINATES, &mut draws);
                states.insert(0, best);
                return Ok(Learned {
                    key,
                    states,
                    leaning: true,
                    warp: Warp::default(),
                });
            }
        }
    }
    let fit = Fit::new(&data, prior);
    // A coarse search on half of many rows costs an eighth and leaves little to do on all of them.
    let few = rows::subset(&chosen, COARSE_ROWS);
    let best = if few.len() < chosen.len() {
        let transform = Transform::fit(TRANSFORM, &rows::values(&few));
        let data = belief::data(encoder, &few, transform.values);
        let coarse = Fit::new(&data, Prior::standard(encoder.groups().len()));
        fit.most_probable(&coarse.most_probable(&coarse.start(), STEPS), FINE_STEPS)
    } else {
        fit.most_probable(&fit.start(), STEPS)
    };
    let bent = (bending && data.len() >= WARPED_FROM)
        .then(|| bend(&data, prior, &best))
        .flatten();
    let (best, warp, fit) = match &bent {
        Some((theta, warp, bent)) => (theta.clone(), warp.clone(), Fit::new(bent, prior)),
        None => (best, Warp::default(), fit),
    };
    let mut draws = stream(seed, "bayesian chain", at as u64);
    let mut states = fit.sample(&best, count - 1, COORDINATES, &mut draws);
    states.insert(0, best);
    Ok(Learned {
        key,
        states,
        leaning: false,
        warp,
    })
}

/// Hyperparameters with warped axes, the warp and the warped data; `None` unless left-out values are foreseen clearly better so.
fn bend(data: &Data, prior: Prior, best: &Hyperparameters) -> Option<(Hyperparameters, Warp, Data)> {
    let (theta, warp) = WarpFit::new(data, prior).most_probable(best, STEPS);
    let mut bent = data.clone();
    warp.apply(&mut bent.features, bent.width);
    let score = |theta: &Hyperparameters, data: &Data| Some(Gp::new(theta, data).ok()?.leave_one_out_score());
    (score(&theta, &bent)? > score(best, data)? + WARPED_BY).then_some((theta, warp, bent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Trial, TrialState};
    use crate::metric::Series;
    use crate::space::{Distribution, Parameter, SearchSpace};
    use serde_json::json;

    fn sampler(options: &Json) -> Result<Bayesian, (&'static str, String)> {
        let parameter = |i: usize| Parameter {
            name: format!("x{i}"),
            distribution: Distribution::Uniform { low: 1e-4, high: 1.0 },
            condition: None,
        };
        let space = SearchSpace {
            parameters: (0..3).map(parameter).collect(),
            constraints: Vec::new(),
        };
        let domain = Arc::new(Domain::new(Arc::new(space)).unwrap());
        Bayesian::new(domain, 3, Goal::Minimize, options.as_object().unwrap())
    }

    /// A sweep whose axes should have been logarithmic: bent axes are told of, and a sampler that is built anew decides alike.
    #[test]
    fn axes_on_the_wrong_scale_are_bent_if_that_is_allowed() {
        let told = |options: Json| {
            let mut sampler_of_sweep = sampler(&options).unwrap();
            let mut history = History::new(Goal::Minimize);
            let mut bent = 0;
            for number in 0..36 {
                let suggestion = sampler_of_sweep.suggest(number, &history);
                if number % 7 == 5 {
                    assert_eq!(suggestion, sampler(&options).unwrap().suggest(number, &history));
                }
                let Suggestion::Next(next) = suggestion else {
                    panic!("a continuous space is never exhausted");
                };
                bent += u64::from(
                    next.origin
                        .notes
                        .iter()
                        .any(|note| note.contains("axes are bent")),
                );
                let x = next.assignment.values.iter().flatten().filter_map(|v| v.as_f64());
                let loss: f64 = x.map(|x| (x.log10() + 2.5).powi(2)).sum();
                let mut series = Series::default();
                series.push(Goal::Minimize, loss);
                history.trials.push(Trial {
                    number,
                    assignment: next.assignment,
                    state: TrialState::Completed,
                    series,
                    cause: None,
                });
            }
            bent
        };
        assert_eq!(told(json!({})), 0);
        assert!(told(json!({"warp": true})) >= 3);
        assert_eq!(sampler(&json!({"warp": 1})).unwrap_err().0, "warp");
    }
}
