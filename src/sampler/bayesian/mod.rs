//! Bayesian optimization with a Gaussian process over mixed and conditional spaces.
//!
//! A decision is a function of the seed, the trial's number and the history. Hyperparameters are learned at *anchors* (growing numbers of
//! finished trials) from what is known of the trials up to the anchor, never carried along, so that a resumed sweep finds the same ones; what
//! is cached here is keyed by exactly the data it was made from. Even and odd trials see the values through different transforms
//! (Yeo-Johnson, copula), which err in different ways. Sources: Snoek et al. 2012 (averaging, fantasies), Hvarfner et al. 2024 (length-scale
//! prior), Ament et al. 2023 (log EI), Cowen-Rivers et al. 2022 (output transforms).

mod belief;

use super::rng::{Stream, absorb, stream};
use super::rows::{self, Encoded, Point, Row, Rows};
use super::seen::{Found, Seen, search};
use super::{Origin, Prediction, Proposal, Sampler, Suggestion, sobol};
use crate::acquisition::maximize::rank;
use crate::acquisition::{Candidate, Search, Stage};
use crate::history::History;
use crate::metric::Goal;
use crate::space::encode::Encoder;
use crate::space::{Assignment, Domain};
use crate::surrogate::{Fit, Hyperparameters, Prior, SurrogateError, Transform, TransformKind};
use belief::Belief;
use std::sync::Arc;

/// Up to so many rows the acquisition is averaged over several hyperparameter states (more states for fewer rows).
const AVERAGED: [(usize, usize); 2] = [(250, 5), (400, 3)];
/// Up to so many rows the model is exact; beyond, it sees the best, the newest and a sample.
const EXACT: usize = 1_200;
/// Rows seen of longer histories.
const SELECTED: usize = 700;
/// Rows from which hyperparameters are learned.
const FIT_ROWS: usize = 100;
/// Rows of the model that screens candidates where the exact one is too slow for all of them.
const SCREEN_ROWS: usize = 224;
/// Candidates that the exact model ranks then.
const FINALISTS: usize = 24;
/// Finite spaces up to this size are scored completely.
const COMPLETE: u128 = 2_000;
/// Observed points whose neighbourhood is searched.
const PARENTS: usize = 5;
/// Steps of the search for the most probable hyperparameters.
const STEPS: u64 = 30;
/// Hyperparameters renewed in one sweep of the chain.
const COORDINATES: usize = 8;

/// `type: bayesian`.
#[derive(Debug)]
pub struct Bayesian {
    encoder: Encoder,
    seed: u64,
    goal: Goal,
    initial: usize,
    seen: Seen,
    encoded: Encoded,
    learned: [Option<Learned>; 2],
}

/// Hyperparameters and the data (as a hash) that they were learned from.
#[derive(Debug)]
struct Learned {
    key: u64,
    states: Vec<Hyperparameters>,
}

impl Bayesian {
    /// A sampler of `domain`. `initial` is the number of trials before the model decides; `None` = one more than the number of searched
    /// parameters, at least 5, at most 10.
    pub fn new(domain: Arc<Domain>, seed: u64, goal: Goal, initial: Option<usize>) -> Self {
        let encoder = Encoder::new(domain);
        let initial = initial.unwrap_or((encoder.dimensions() + 1).clamp(5, 10));
        Self {
            encoder,
            seed,
            goal,
            initial,
            seen: Seen::default(),
            encoded: Encoded::default(),
            learned: [None, None],
        }
    }

    /// A point of the space-filling design, or a draw where that is taken.
    fn design(&self, number: u64, why: &str) -> Suggestion {
        let domain = self.encoder.domain();
        let mut left = stream(self.seed, "bayesian left over", number);
        let mut points = sobol::draw(domain, self.seed, number);
        let centre = number == 0;
        let draw = |attempt: u32| match attempt {
            0 if centre => domain.at(|_| 0.5),
            _ => points(if centre { attempt - 1 } else { attempt }),
        };
        match search(domain, Some(&self.seen), &mut left, draw) {
            Found::None(reason) => Suggestion::Exhausted(reason),
            Found::New(assignment, draws) => {
                let method = match (draws, centre) {
                    (1, true) => "centre of the space".to_string(),
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
        let rows = self.encoded.rows(&self.encoder, history);
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
            return self.design(number, &format!("initial design of {} trials", self.initial));
        }
        if !varied {
            return self.design(
                number,
                "all values so far are equal, there is nothing to learn from",
            );
        }
        let member = usize::from(number % 2 == 1);
        let learned = learn(
            &self.encoder,
            self.seed,
            member,
            &rows.finished,
            self.learned.get_mut(member).and_then(Option::take),
        );
        let decision = Decision {
            encoder: &self.encoder,
            seen: &self.seen,
            goal: self.goal,
            seed: self.seed,
            number,
            member,
        };
        let answer = learned.and_then(|learned| {
            let answer = decision.make(&rows, &learned.states);
            if let Some(slot) = self.learned.get_mut(member) {
                *slot = Some(learned);
            }
            answer
        });
        match answer {
            Ok(Some(suggestion)) => suggestion,
            Ok(None) => self.design(number, "the model's candidates have all been tried"),
            Err(error) => self.design(number, &format!("the model could not be fitted: {error}")),
        }
    }
}

/// Values of trials as seen by member 0 and 1.
fn transform_of(member: usize) -> TransformKind {
    if member == 0 {
        TransformKind::YeoJohnson
    } else {
        TransformKind::Copula
    }
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
    member: usize,
    rows: &[Row<'_>],
    known: Option<Learned>,
) -> Result<Learned, SurrogateError> {
    let at = anchor(rows.len());
    let rows = rows.get(..at).unwrap_or(rows);
    let count = AVERAGED
        .iter()
        .find(|(limit, _)| at <= *limit)
        .map_or(1, |(_, states)| *states);
    let key = rows.iter().fold(at as u64, |key, row| {
        let outcome = if row.failed {
            1
        } else {
            absorb(row.value.to_bits(), row.extra_noise.to_bits())
        };
        absorb(absorb(key, row.key), outcome)
    });
    if let Some(known) = known
        && known.key == key
    {
        return Ok(known);
    }
    let chosen = rows::subset(rows, FIT_ROWS);
    let transform = Transform::fit(transform_of(member), &rows::values(&chosen));
    let data = belief::data(encoder, &chosen, transform.values);
    let fit = Fit::new(&data, Prior::standard(encoder.groups().len()));
    let best = fit.most_probable(&fit.start(), STEPS);
    let mut draws = stream(seed, "bayesian chain", 2 * at as u64 + member as u64);
    let mut states = fit.sample(&best, count - 1, COORDINATES, &mut draws);
    states.insert(0, best);
    Ok(Learned { key, states })
}

/// The inputs of one decision.
struct Decision<'a> {
    encoder: &'a Encoder,
    seen: &'a Seen,
    goal: Goal,
    seed: u64,
    number: u64,
    member: usize,
}

impl Decision<'_> {
    /// The new configuration with the largest acquisition value; `None` if no new one was among the candidates.
    fn make(
        &self,
        rows: &Rows<'_>,
        states: &[Hyperparameters],
    ) -> Result<Option<Suggestion>, SurrogateError> {
        let selected = if rows.finished.len() <= EXACT {
            rows.finished.clone()
        } else {
            rows::subset(&rows.finished, SELECTED)
        };
        let transform = Transform::fit(transform_of(self.member), &rows::values(&selected));
        let fantasies: Vec<Stream> = (0..states.len())
            .map(|s| stream(self.seed, &format!("bayesian fantasy {s}"), self.number))
            .collect();
        let belief = Belief::new(
            self.encoder,
            &selected,
            &transform,
            states,
            &rows.pending,
            &fantasies,
        )?;
        let parents = parents(&selected);
        let (candidates, count) = if selected.len() <= AVERAGED.map(|(limit, _)| limit)[1] {
            self.candidates(&parents, &belief, states.len())
        } else {
            // Screen by a smaller model of the same kind, let the exact one choose among the finalists.
            let few = rows::subset(&selected, SCREEN_ROWS);
            let coarse = Transform::fit(transform_of(self.member), &rows::values(&few));
            let small = Belief::new(self.encoder, &few, &coarse, states, &rows.pending, &fantasies)?;
            let (mut candidates, count) = self.candidates(&parents, &small, states.len());
            candidates.retain(|candidate| self.is_new(&candidate.coordinates));
            let finalists = candidates
                .into_iter()
                .take(FINALISTS)
                .map(|c| c.coordinates)
                .collect();
            (
                rank(finalists, &mut |points| belief.score(points, states.len())),
                count,
            )
        };
        let Some((best, assignment)) = candidates.into_iter().find_map(|candidate| {
            let assignment = self.new_assignment(&candidate.coordinates)?;
            Some((candidate, assignment))
        }) else {
            return Ok(None);
        };
        let origin = self.origin(&best, count, &belief, &transform, rows, &selected, states);
        Ok(Some(Suggestion::Next(Box::new(Proposal { assignment, origin }))))
    }

    /// Scored candidates, best first, and how many were looked at.
    fn candidates(
        &self,
        parents: &[Vec<f64>],
        belief: &Belief<'_>,
        states: usize,
    ) -> (Vec<Candidate>, usize) {
        let domain = self.encoder.domain();
        if let Some(size) = domain.cardinality()
            && size <= COMPLETE
        {
            let all = (0..size)
                .filter_map(|index| domain.nth(index))
                .filter(|a| domain.satisfies(a));
            let new = all.filter(|a| !self.seen.contains(&domain.fingerprint(a)));
            let points: Vec<Vec<f64>> = new.map(|a| self.encoder.coordinates(&a)).collect();
            let count = points.len();
            return (rank(points, &mut |points| belief.score(points, states)), count);
        }
        let mut draws = stream(self.seed, "bayesian search", self.number);
        let unconstrained = domain.constraints().is_empty();
        let mut count = 0;
        let found = Search::default().run(
            self.encoder,
            parents,
            &mut draws,
            &mut |point| {
                let allowed = unconstrained || domain.satisfies(&self.encoder.assignment(point));
                count += usize::from(allowed);
                allowed
            },
            &mut |points, stage| belief.score(points, if stage == Stage::Pool { 1 } else { states }),
        );
        (found, count)
    }

    fn is_new(&self, coordinates: &[f64]) -> bool {
        self.new_assignment(coordinates).is_some()
    }

    fn new_assignment(&self, coordinates: &[f64]) -> Option<Assignment> {
        let assignment = self.encoder.assignment(coordinates);
        let new = !self
            .seen
            .contains(&self.encoder.domain().fingerprint(&assignment));
        new.then_some(assignment)
    }

    fn origin(
        &self,
        best: &Candidate,
        count: usize,
        belief: &Belief<'_>,
        transform: &Transform,
        rows: &Rows<'_>,
        selected: &[Row<'_>],
        states: &[Hyperparameters],
    ) -> Origin {
        let (mean, deviation) = belief.predict(&best.coordinates);
        let sign = -self.goal.sign();
        let [a, b, c] = [
            mean,
            mean - 1.644_853_6 * deviation,
            mean + 1.644_853_6 * deviation,
        ]
        .map(|t| sign * transform.back(t));
        let predicted = Prediction {
            mean: a,
            low: b.min(c),
            high: b.max(c),
        };
        let seen_as = if self.member == 0 {
            "Yeo-Johnson"
        } else {
            "rank (copula)"
        };
        let averaged = match states.len() {
            1 => "most probable hyperparameters".to_string(),
            n => format!("averaged over {n} hyperparameter samples"),
        };
        let mut notes = vec![format!(
            "Gaussian process on {} finished trials, values on the {seen_as} scale, {averaged}",
            selected.len()
        )];
        let failed = selected.iter().filter(|row| row.failed).count();
        if failed > 0 {
            notes.push(format!("{failed} failed trials count as worse than the worst"));
        }
        if selected.len() < rows.finished.len() {
            notes.push(format!(
                "{} further trials were left out of the model",
                rows.finished.len() - selected.len()
            ));
        }
        if !rows.pending.is_empty() {
            notes.push(format!(
                "{} pending trials were given values drawn from the model",
                rows.pending.len()
            ));
        }
        notes.extend(relevance(self.encoder, states));
        Origin {
            sampler: "bayesian".into(),
            method: format!("largest expected improvement of {count} candidates"),
            predicted: Some(predicted),
            notes,
        }
    }
}

/// The sentence on which parameters the model finds to matter.
fn relevance(encoder: &Encoder, states: &[Hyperparameters]) -> Option<String> {
    let weights = states.first()?.weights();
    let mut by_name: Vec<(&str, f64)> = Vec::new();
    for (group, weight) in weights.iter().enumerate() {
        let name = encoder.owner(group)?;
        match by_name.last_mut() {
            Some((last, sum)) if *last == name => *sum += weight,
            _ => by_name.push((name, *weight)),
        }
    }
    by_name.sort_by(|a, b| b.1.total_cmp(&a.1));
    let names: Vec<String> = by_name
        .iter()
        .take(3)
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    (by_name.len() > 1).then(|| format!("most relevant parameters so far: {}", names.join(", ")))
}

/// Coordinates of the best rows, best first.
fn parents(rows: &[Row<'_>]) -> Vec<Vec<f64>> {
    let mut best: Vec<(f64, &Point)> = rows
        .iter()
        .filter(|row| !row.failed)
        .map(|row| (row.value, row.point))
        .collect();
    best.sort_by(|a, b| a.0.total_cmp(&b.0));
    best.into_iter()
        .take(PARENTS)
        .map(|(_, point)| point.coordinates.clone())
        .collect()
}
