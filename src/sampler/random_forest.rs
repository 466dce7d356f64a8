//! Sequential model-based optimization with a regression forest, in the manner of SMAC (Hutter et al. 2011; Lindauer et al. 2022): robust
//! where many parameters are categorical or conditional. Pending trials count as bad ones (constant liar).

use super::rng::{absorb, stream};
use super::rows::{self, Encoded, Row};
use super::seen::{Found, Seen, search};
use super::{Origin, Prediction, Proposal, Sampler, Suggestion, sobol};
use crate::acquisition::{Search, log_expected_improvement};
use crate::history::History;
use crate::metric::Goal;
use crate::space::Domain;
use crate::space::encode::Encoder;
use crate::surrogate::forest::{Column, Forest, Shape};
use crate::surrogate::{Transform, TransformKind};
use std::sync::Arc;

/// Rows that the forest learns from at most.
const ROWS: usize = 1_500;
/// One trial in so many is a point of the space-filling design, whatever the model says.
const INTERLEAVE: u64 = 10;
/// Observed points whose neighbourhood is searched.
const PARENTS: usize = 10;

/// `type: random_forest`.
#[derive(Debug)]
pub struct RandomForest {
    encoder: Encoder,
    columns: Vec<Column>,
    seed: u64,
    goal: Goal,
    seen: Seen,
    encoded: Encoded,
}

impl RandomForest {
    /// A sampler of `domain`.
    pub fn new(domain: Arc<Domain>, seed: u64, goal: Goal) -> Self {
        let encoder = Encoder::new(domain);
        let columns = encoder.columns();
        Self {
            encoder,
            columns,
            seed,
            goal,
            seen: Seen::default(),
            encoded: Encoded::default(),
        }
    }

    fn design(&self, number: u64, why: &str) -> Suggestion {
        let domain = self.encoder.domain();
        let mut left = stream(self.seed, "forest left over", number);
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
                let origin = Origin {
                    sampler: "random_forest".into(),
                    method,
                    predicted: None,
                    notes: vec![why.into()],
                };
                Suggestion::Next(Box::new(Proposal { assignment, origin }))
            }
        }
    }
}

/// Coordinates as the forest sees them.
fn table(encoder: &Encoder, points: impl Iterator<Item = impl AsRef<[f64]>>) -> Vec<f64> {
    let mut out = Vec::new();
    points.for_each(|point| encoder.columns_at(point.as_ref(), &mut out));
    out
}

impl Sampler for RandomForest {
    fn suggest(&mut self, number: u64, history: &History) -> Suggestion {
        let same = self.seen.follow(self.encoder.domain(), history);
        self.encoded.follow(&self.encoder, history, same);
        let rows = self.encoded.rows(&self.encoder, history, |_| true);
        let worked: Vec<f64> = rows
            .finished
            .iter()
            .filter(|row| !row.failed)
            .map(|row| row.value)
            .collect();
        let initial = (self.encoder.dimensions() + 1).clamp(5, 10);
        if rows.finished.len() + rows.pending.len() < initial || worked.len() < 3 || self.encoder.width() == 0
        {
            return self.design(number, &format!("initial design of {initial} trials"));
        }
        if worked.iter().all(|value| Some(value) == worked.first()) {
            return self.design(
                number,
                "all values so far are equal, there is nothing to learn from",
            );
        }
        if number % INTERLEAVE == INTERLEAVE - 1 {
            return self.design(number, "every tenth trial covers the space");
        }
        let selected: Vec<Row<'_>> = rows::subset(&rows.finished, ROWS);
        let transform = Transform::fit(TransformKind::YeoJohnson, &rows::values(&selected));
        let mut values = transform.values.clone();
        let lie = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        values.resize(values.len() + rows.pending.len(), lie);
        let points = selected
            .iter()
            .map(|row| row.point)
            .chain(rows.pending.iter().copied());
        let features = table(&self.encoder, points.map(|point| &point.coordinates));
        let seed = absorb(self.seed, number);
        let Ok(forest) = Forest::grow(&self.columns, &features, &values, &Shape::default(), seed) else {
            return self.design(number, "the model could not be fitted");
        };
        let width = self.columns.len();
        let real = features
            .chunks_exact(width)
            .zip(&selected)
            .filter(|(_, row)| !row.failed);
        let best = real
            .map(|(features, _)| forest.predict(features).0)
            .fold(f64::INFINITY, f64::min);
        let score = |points: &[Vec<f64>]| -> Vec<f64> {
            let features = table(&self.encoder, points.iter());
            let each = features
                .chunks_exact(width)
                .map(|features| forest.predict(features));
            each.map(|(mean, variance)| log_expected_improvement(mean, variance.sqrt(), best))
                .collect()
        };
        let mut order: Vec<&Row<'_>> = selected.iter().filter(|row| !row.failed).collect();
        order.sort_by(|a, b| a.value.total_cmp(&b.value));
        let parents: Vec<Vec<f64>> = order
            .iter()
            .take(PARENTS)
            .map(|row| row.point.coordinates.clone())
            .collect();
        let domain = self.encoder.domain();
        let mut count = 0;
        let candidates = Search {
            uniform: 400,
            mutants: 300,
            rounds: 3,
            top: 8,
            offspring: 20,
        }
        .run(
            &self.encoder,
            &parents,
            &mut stream(self.seed, "forest search", number),
            &mut |point| {
                let assignment = self.encoder.assignment(point);
                let new =
                    domain.satisfies(&assignment) && !self.seen.contains(&domain.fingerprint(&assignment));
                count += usize::from(new);
                new
            },
            &mut |points, _| score(points),
        );
        let Some(best) = candidates.into_iter().next() else {
            return self.design(number, "the model's candidates have all been tried");
        };
        let (mean, variance) = forest.predict(&table(&self.encoder, std::iter::once(&best.coordinates)));
        let sign = -self.goal.sign();
        let spread = 1.644_853_6 * variance.sqrt();
        let [mean, a, b] = [mean, mean - spread, mean + spread].map(|t| sign * transform.back(t));
        let origin = Origin {
            sampler: "random_forest".into(),
            method: format!("largest expected improvement of {count} candidates"),
            predicted: Some(Prediction {
                mean,
                low: a.min(b),
                high: a.max(b),
            }),
            notes: vec![format!("regression forest on {} finished trials", selected.len())],
        };
        Suggestion::Next(Box::new(Proposal {
            assignment: self.encoder.assignment(&best.coordinates),
            origin,
        }))
    }
}
