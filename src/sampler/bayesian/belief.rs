//! What the model believes at one decision: posteriors under several hyperparameters, pending trials imagined, one acquisition value.

use super::transfer::{Lean, Transfer};
use crate::acquisition::expected_improvement::{log_expected_improvement, log_mean_exp};
use crate::sampler::rng::Stream;
use crate::sampler::rows::{Point, Row};
use crate::space::encode::Encoder;
use crate::surrogate::{Data, Gp, Hyperparameters, SurrogateError, Transform, Warp};
use rayon::prelude::*;

/// Posteriors over the same data.
pub(super) struct Belief<'a> {
    encoder: &'a Encoder,
    members: Vec<Member>,
    /// Features and outcome of every row, once failures matter.
    failures: Option<Vec<bool>>,
    /// What earlier sweeps let expect; the members know the difference only.
    prior: Option<(&'a Transfer, Lean)>,
    /// How the axes are bent before points are compared.
    warp: &'a Warp,
}

struct Member {
    gp: Gp,
    /// What is to be improved on: the best posterior mean among the rows that worked, less the margin.
    best: f64,
    /// Rows that are real (fantasies come after them).
    rows: usize,
}

/// What is asked of the model at one decision besides the rows.
pub(super) struct Imagined<'a> {
    /// Pending trials.
    pub(super) pending: &'a [&'a Point],
    /// One stream per hyperparameter state for a joint draw of their values.
    pub(super) draws: &'a [Stream],
    /// Gain over the best below which an improvement counts for nothing.
    pub(super) margin: f64,
}

/// Weight of the prior guess of the failure rate, in trials.
const FAILURE_PRIOR: f64 = 1.0;

/// The rows as a data set with `values` (transformed).
pub(super) fn data(encoder: &Encoder, rows: &[Row<'_>], values: Vec<f64>) -> Data {
    Data {
        features: rows
            .iter()
            .flat_map(|row| row.point.features.iter().copied())
            .collect(),
        width: encoder.width(),
        groups: encoder.groups().to_vec(),
        values,
        extra_noise: rows.iter().map(|row| row.extra_noise).collect(),
    }
}

impl<'a> Belief<'a> {
    /// Conditions every state of the hyperparameters on `rows` and on one joint draw of the pending values per state.
    pub(super) fn new(
        encoder: &'a Encoder,
        rows: &[Row<'_>],
        transform: &Transform,
        (states, warp): (&[Hyperparameters], &'a Warp),
        imagined: &Imagined<'_>,
        transfer: Option<&'a Transfer>,
    ) -> Result<Self, SurrogateError> {
        let prior = transfer.map(|transfer| (transfer, transfer.lean(rows, &transform.values)));
        let mut data = data(encoder, rows, transform.values.clone());
        let guess = match &prior {
            Some((transfer, lean)) => transfer.guess(lean, &data.features, rows.len()),
            None => vec![0.0; rows.len()],
        };
        data.values
            .iter_mut()
            .zip(&guess)
            .for_each(|(value, guess)| *value -= guess);
        warp.apply(&mut data.features, data.width);
        let pending: Vec<Vec<f64>> = imagined
            .pending
            .iter()
            .map(|point| {
                let mut features = point.features.clone();
                warp.apply(&mut features, encoder.width());
                features
            })
            .collect();
        let build = |(theta, draws): (&Hyperparameters, &Stream)| -> Result<Member, SurrogateError> {
            let mut gp = Gp::new(theta, &data)?;
            let mut draws = draws.clone();
            for point in &pending {
                // A point on top of a row teaches nothing new; it is left out.
                let _ = gp.fantasize(point, draws.normal());
            }
            let fitted = gp
                .fitted()
                .into_iter()
                .zip(&guess)
                .map(|(mean, guess)| mean + guess);
            let worked = fitted.zip(rows).filter(|(_, row)| !row.failed);
            let best = worked.map(|(mean, _)| mean).fold(f64::INFINITY, f64::min);
            Ok(Member {
                gp,
                best: best - imagined.margin,
                rows: rows.len(),
            })
        };
        let members = states
            .par_iter()
            .zip(imagined.draws.par_iter())
            .map(build)
            .collect::<Result<Vec<_>, _>>()?;
        let failures = (rows.iter().filter(|row| row.failed).count() >= 2)
            .then(|| rows.iter().map(|row| row.failed).collect());
        Ok(Self {
            encoder,
            members,
            failures,
            prior,
            warp,
        })
    }

    /// What earlier sweeps let expect at row-major features.
    fn guess(&self, features: &[f64], count: usize) -> Vec<f64> {
        match &self.prior {
            Some((transfer, lean)) => transfer.guess(lean, features, count),
            None => vec![0.0; count],
        }
    }

    /// The sentence on earlier sweeps, if they count.
    pub(super) fn note(&self) -> Option<String> {
        let (_, lean) = self.prior.as_ref()?;
        (!lean.is_nothing()).then(|| lean.note())
    }

    /// Log expected improvement of every point, averaged over the first `members` states, times the chance that it works.
    pub(super) fn score(&self, points: &[Vec<f64>], members: usize) -> Vec<f64> {
        let mut features = Vec::with_capacity(points.len() * self.encoder.width());
        points
            .iter()
            .for_each(|point| self.encoder.features(point, &mut features));
        let guess = self.guess(&features, points.len());
        self.warp.apply(&mut features, self.encoder.width());
        let each: Vec<Vec<f64>> = self
            .members
            .par_iter()
            .take(members)
            .map(|member| {
                let (means, variances) = member.gp.predict(&features);
                let means = means.into_iter().zip(&guess).map(|(mean, guess)| mean + guess);
                means
                    .zip(variances)
                    .map(|(mean, variance)| log_expected_improvement(mean, variance.sqrt(), member.best))
                    .collect()
            })
            .collect();
        let width = self.encoder.width().max(1);
        (0..points.len())
            .map(|i| {
                let mean = log_mean_exp(
                    each.iter()
                        .map(|scores| scores.get(i).copied().unwrap_or(f64::NEG_INFINITY)),
                );
                mean + self.log_success(features.get(i * width..(i + 1) * width).unwrap_or_default())
            })
            .collect()
    }

    /// `ln(1 - p)` for the failure rate `p` of the neighbourhood: a kernel average of outcomes under the first state.
    fn log_success(&self, features: &[f64]) -> f64 {
        let (Some(failures), Some(member)) = (&self.failures, self.members.first()) else {
            return 0.0;
        };
        let weights = member.gp.correlations(features);
        let (mut failed, mut total) = (0.0, 0.0);
        for (weight, failure) in weights.iter().take(member.rows).zip(failures) {
            let weight = weight * weight;
            total += weight;
            failed += if *failure { weight } else { 0.0 };
        }
        let rate = failures.iter().filter(|failure| **failure).count() as f64 / failures.len().max(1) as f64;
        let p = (failed + FAILURE_PRIOR * rate) / (total + FAILURE_PRIOR);
        libm::log((1.0 - p).max(1e-6))
    }

    /// Mean and standard deviation (noise included) of the value at a point, the states taken together.
    pub(super) fn predict(&self, point: &[f64]) -> (f64, f64) {
        let mut features = Vec::new();
        self.encoder.features(point, &mut features);
        let count = self.members.len().max(1) as f64;
        let guess = self.guess(&features, 1).first().copied().unwrap_or(0.0);
        self.warp.apply(&mut features, self.encoder.width());
        let (mut first, mut second) = (0.0, 0.0);
        for member in &self.members {
            let (means, variances) = member.gp.predict(&features);
            if let (Some(mean), Some(variance)) = (means.first(), variances.first()) {
                let mean = mean + guess;
                first += mean / count;
                second += (mean * mean + variance + member.gp.noise()) / count;
            }
        }
        (first, (second - first * first).max(1e-12).sqrt())
    }
}
