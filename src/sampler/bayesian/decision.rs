//! One decision of the Gaussian process: candidates, their acquisition values, and why the best of them was chosen.

use super::belief::{Belief, Imagined};
use super::preference::Preferences;
use super::transfer::Transfer;
use super::{AVERAGED, TRANSFORM};
use crate::acquisition::maximize::rank;
use crate::acquisition::{Candidate, Search, Stage};
use crate::metric::Goal;
use crate::sampler::rng::{Stream, stream};
use crate::sampler::rows::{self, Point, Row, Rows};
use crate::sampler::seen::Seen;
use crate::sampler::{Origin, Prediction, Proposal, Suggestion};
use crate::space::Assignment;
use crate::space::encode::Encoder;
use crate::surrogate::{Hyperparameters, SurrogateError, Transform, Warp};

/// Up to so many rows the model is exact; beyond, it sees the best, the newest and a sample.
const EXACT: usize = 1_200;
/// Rows seen of longer histories.
const SELECTED: usize = 700;
/// Rows beyond which candidates are screened by a smaller model.
const SCREENED: usize = 400;
/// Rows of that model.
const SCREEN_ROWS: usize = 224;
/// Candidates that the exact model ranks then.
const FINALISTS: usize = 24;
/// Finite spaces up to this size are scored completely.
const COMPLETE: u128 = 2_000;
/// Observed points whose neighbourhood is searched.
const PARENTS: usize = 5;
/// Joint draws of the values of pending trials where the hyperparameters are not averaged.
const FANTASIES: usize = 4;
/// Gain that odd trials look for, in standard deviations of the transformed values.
const MARGIN: f64 = 0.3;

/// The inputs of one decision.
pub(super) struct Decision<'a> {
    pub(super) encoder: &'a Encoder,
    pub(super) seen: &'a Seen,
    pub(super) preferences: &'a Preferences,
    /// Models of earlier sweeps, where they count.
    pub(super) transfer: Option<&'a Transfer>,
    pub(super) goal: Goal,
    pub(super) seed: u64,
    pub(super) number: u64,
}

impl Decision<'_> {
    /// The new configuration with the largest acquisition value; `None` if no new one was among the candidates.
    pub(super) fn make(
        &self,
        rows: &Rows<'_>,
        states: &[Hyperparameters],
        warp: &Warp,
    ) -> Result<Option<Suggestion>, SurrogateError> {
        let selected = if rows.finished.len() <= EXACT {
            rows.finished.clone()
        } else {
            rows::subset(&rows.finished, SELECTED)
        };
        let transform = Transform::fit(TRANSFORM, &rows::values(&selected));
        // Pending trials need several draws of their values, also where there is one state only.
        let copies = match (rows.pending.is_empty(), states) {
            (false, [only]) => vec![only.clone(); FANTASIES],
            _ => states.to_vec(),
        };
        let states = copies.as_slice();
        let fantasies: Vec<Stream> = (0..states.len())
            .map(|s| stream(self.seed, &format!("bayesian fantasy {s}"), self.number))
            .collect();
        let imagined = Imagined {
            pending: &rows.pending,
            draws: &fantasies,
            margin: self.margin(),
        };
        let belief = Belief::new(
            self.encoder,
            &selected,
            &transform,
            (states, warp),
            &imagined,
            self.transfer,
        )?;
        let trials = rows.finished.len();
        let parents = parents(&selected);
        let (candidates, count) = if selected.len() <= SCREENED {
            self.candidates(&parents, &belief, states.len(), trials)
        } else {
            // Screen by a smaller model of the same kind, let the exact one choose among the finalists.
            let few = rows::subset(&selected, SCREEN_ROWS);
            let coarse = Transform::fit(TRANSFORM, &rows::values(&few));
            let small = Belief::new(
                self.encoder,
                &few,
                &coarse,
                (states, warp),
                &imagined,
                self.transfer,
            )?;
            let (mut candidates, count) = self.candidates(&parents, &small, states.len(), trials);
            candidates.retain(|candidate| self.is_new(&candidate.coordinates));
            let finalists = candidates
                .into_iter()
                .take(FINALISTS)
                .map(|c| c.coordinates)
                .collect();
            (
                rank(finalists, &mut |points| {
                    self.score(&belief, points, states.len(), trials)
                }),
                count,
            )
        };
        let Some((best, assignment)) = candidates.into_iter().find_map(|candidate| {
            let assignment = self.new_assignment(&candidate.coordinates)?;
            Some((candidate, assignment))
        }) else {
            return Ok(None);
        };
        let mut origin = self.origin(&best, count, &belief, &transform, rows, &selected, states);
        if !warp.is_identity() {
            let bent = "axes are bent (`warp`): so the model foresaw the results better";
            origin.notes.push(bent.into());
        }
        Ok(Some(Suggestion::Next(Box::new(Proposal { assignment, origin }))))
    }

    /// Scored candidates, best first, and how many were looked at.
    fn candidates(
        &self,
        parents: &[Vec<f64>],
        belief: &Belief<'_>,
        states: usize,
        trials: usize,
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
            let ranked = rank(points, &mut |points| self.score(belief, points, states, trials));
            return (ranked, count);
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
            &mut |points, stage| {
                let states = if stage == Stage::Pool { 1 } else { states };
                self.score(belief, points, states, trials)
            },
        );
        (found, count)
    }

    /// The gain below which an improvement counts for nothing, in standard deviations of the transformed values.
    fn margin(&self) -> f64 {
        if self.number.is_multiple_of(2) {
            0.0
        } else {
            MARGIN
        }
    }

    /// The acquisition value of points: what the model expects, raised by what was believed beforehand.
    fn score(&self, belief: &Belief<'_>, points: &[Vec<f64>], states: usize, trials: usize) -> Vec<f64> {
        let mut scores = belief.score(points, states);
        if !self.preferences.is_empty() {
            for (score, point) in scores.iter_mut().zip(points) {
                *score += self.preferences.weight(point, trials);
            }
        }
        scores
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
        let averaged = match states.len() {
            1 => "most probable hyperparameters",
            _ if selected.len() > AVERAGED => "most probable hyperparameters",
            _ => "averaged over hyperparameter samples",
        };
        let mut notes = vec![format!(
            "Gaussian process on {} finished trials, {averaged}",
            selected.len()
        )];
        notes.push(if self.margin() > 0.0 {
            "odd trials explore: small gains over the best count for nothing".into()
        } else {
            "even trials refine: any gain over the best counts".into()
        });
        notes.extend(belief.note());
        if self.preferences.stated() {
            notes.push("`priors` still count, less with every trial".into());
        }
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
