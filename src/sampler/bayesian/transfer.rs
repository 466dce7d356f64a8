//! What earlier sweeps teach about this one (`resume_from`): a model of each, weighed by how well it predicts what was found since.
//!
//! Each earlier sweep becomes a Gaussian process on the parameters that it shares with this space. While this sweep has few results of its own,
//! their weighted mean is the prior mean of its model, which then learns the difference only (stacking in the manner of Golovin et al. 2017):
//! a wrong guess is corrected where trials contradict it. The weight of a sweep is its ranking agreement with this sweep's own results
//! (Kendall's tau; ranking weights as in Wistuba et al. 2018 and Feurer et al. 2018), shrunk towards a moderate trust; sweeps that rank no
//! better than chance weigh nothing, the common slope is a shrunk regression, and the guess as a whole is dropped once the marginal
//! likelihood of this sweep's results is clearly better without it. A sweep whose values themselves are met again is the same task: its
//! trials are data like this sweep's own.

use super::TRANSFORM;
use super::belief;
use crate::history::{History, Trial};
use crate::sampler::rows::{self, Encoded, Lesson, Point, Row, lesson};
use crate::space::encode::Encoder;
use crate::surrogate::{Data, Fit, Gp, Prior, Transform};
use std::ops::Range;

/// Rows of all earlier models together, and of each at least.
const ROWS: usize = 240;
const ROWS_EACH: usize = 48;
/// Rows from which the hyperparameters of an earlier model are learned, and steps of that search.
const FIT_ROWS: usize = 60;
const STEPS: u64 = 20;
/// Fewer results teach nothing.
const FEWEST: usize = 4;
/// Trust in an earlier sweep before anything is known, and the number of own results that it counts as.
const TRUST: f64 = 0.6;
const TRUST_ROWS: f64 = 3.0;
/// Slope that is expected of the weighted mean, and the sum of squares that this counts as.
const SLOPE: f64 = 0.8;
const SLOPE_WEIGHT: f64 = 3.0;
/// Own results from which on earlier sweeps count no more: the model knows the space by then.
pub(super) const ENOUGH: usize = 200;
/// Mean squared standardized error of an earlier model below which its task is this one.
const SAME: f64 = 3.0;
/// Own results needed for that judgement.
const SAME_ROWS: usize = 2;
/// Configurations that are tried first keep this distance from each other, in coordinates, times the root of their number.
const APART: f64 = 0.15;
/// Trials of the design that may go to what did best earlier; the first goes there unseen, the others once there is agreement. Trial 0 stays
/// the centre, which an adversary cannot spoil.
pub(super) const PROVEN: [u64; 3] = [FIRST, 2, 4];
const FIRST: u64 = 1;

/// Models of the earlier sweeps.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    /// How many inherited trials they were made of.
    made_of: usize,
    tasks: Vec<Task>,
}

/// One earlier sweep.
#[derive(Debug)]
struct Task {
    /// Its place among the inherited trials.
    place: Range<usize>,
    gp: Gp,
    transform: Transform,
    /// Indices of its trials, best first.
    best: Vec<usize>,
    /// All its rows name every parameter of this space.
    whole: bool,
}

/// The earlier models at one decision: one weight each, and a common slope.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lean {
    weights: Vec<f64>,
    slope: f64,
}

/// Where the trials of one earlier sweep end and those of the next begin: numbers begin anew.
fn places(inherited: &[Trial]) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut from = 0;
    for (index, pair) in inherited.windows(2).enumerate() {
        if let [a, b] = pair
            && b.number <= a.number
        {
            places.push(from..index + 1);
            from = index + 1;
        }
    }
    if from < inherited.len() {
        places.push(from..inherited.len());
    }
    places
}

impl Transfer {
    /// Takes in the earlier sweeps of `history`.
    pub(super) fn follow(&mut self, encoder: &Encoder, encoded: &Encoded, history: &History) {
        if self.made_of == history.inherited.len() {
            return;
        }
        self.made_of = history.inherited.len();
        let places = places(&history.inherited);
        let limit = (ROWS / places.len().max(1)).max(ROWS_EACH);
        self.tasks = places
            .into_iter()
            .filter_map(|place| Task::new(encoder, encoded, history, place, limit))
            .collect();
    }

    /// Whether there is nothing to learn from.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Number of models.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// The earlier sweeps that turned out to be this very task: their values were met again.
    pub(super) fn same(&self, own: &[Row<'_>]) -> Vec<Range<usize>> {
        let worked: Vec<&Row<'_>> = own.iter().filter(|row| !row.failed).collect();
        if worked.len() < SAME_ROWS {
            return Vec::new();
        }
        let meets = |task: &&Task| {
            let features: Vec<f64> = worked
                .iter()
                .flat_map(|row| row.point.features.iter().copied())
                .collect();
            let (means, variances) = task.gp.predict(&features);
            let squares = worked
                .iter()
                .zip(means.iter().zip(&variances))
                .map(|(row, (mean, variance))| {
                    let error = task.transform.at(row.value) - mean;
                    error * error / (variance + task.gp.noise() + row.extra_noise)
                });
            task.whole && squares.sum::<f64>() < SAME * worked.len() as f64
        };
        self.tasks
            .iter()
            .filter(meets)
            .map(|task| task.place.clone())
            .collect()
    }

    /// Predictions of every model at row-major features, standardized values of its own task.
    fn means(&self, features: &[f64]) -> Vec<Vec<f64>> {
        self.tasks.iter().map(|task| task.gp.means(features)).collect()
    }

    /// How far the earlier models are to be followed, from own rows with their transformed values.
    pub(super) fn lean(&self, own: &[Row<'_>], values: &[f64]) -> Lean {
        let features: Vec<f64> = own
            .iter()
            .flat_map(|row| row.point.features.iter().copied())
            .collect();
        let means = self.means(&features);
        let mut weights: Vec<f64> = means.iter().map(|means| trust(means, values).max(0.0)).collect();
        let sum: f64 = weights.iter().sum();
        if sum <= 0.0 {
            return Lean {
                weights: vec![0.0; self.tasks.len()],
                slope: 0.0,
            };
        }
        // Sharper than proportional: one sweep that fits shall not be diluted by many that half do.
        weights.iter_mut().for_each(|weight| *weight *= *weight);
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let mut lean = Lean { weights, slope: 1.0 };
        let guess = lean.mix(&means, own.len());
        let centre = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let (g, v) = (centre(&guess), centre(values));
        let (mut above, mut below) = (SLOPE * SLOPE_WEIGHT, SLOPE_WEIGHT);
        for (guess, value) in guess.iter().zip(values) {
            above += (guess - g) * (value - v);
            below += (guess - g) * (guess - g);
        }
        lean.slope = (above / below).clamp(0.0, 1.2);
        lean
    }

    /// The prior mean at row-major features of `count` points.
    pub(super) fn guess(&self, lean: &Lean, features: &[f64], count: usize) -> Vec<f64> {
        if lean.slope == 0.0 {
            return vec![0.0; count];
        }
        lean.mix(&self.means(features), count)
    }

    /// The inherited trial to try as number `number` of the design, by index: the best of each sweep in turn, away from what was tried. After
    /// the first such trial only of sweeps that rank this one's results rightly so far.
    pub(super) fn first(
        &self,
        number: u64,
        encoded: &Encoded,
        own: &[Row<'_>],
        tried: &[&Point],
        free: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let count = self.tasks.len();
        let features: Vec<f64> = own
            .iter()
            .flat_map(|row| row.point.features.iter().copied())
            .collect();
        let values = rows::values(own);
        let turn = usize::try_from(number / 2).unwrap_or(0);
        (0..count).find_map(|offset| {
            let task = self.tasks.get((turn + offset) % count)?;
            if number > FIRST && agreement(&task.gp.means(&features), &values) <= 0.0 {
                return None;
            }
            task.best.iter().copied().find(|index| {
                let Some(point) = encoded.inherited(*index) else {
                    return false;
                };
                let apart = tried.iter().all(|other| {
                    let pairs = point
                        .features
                        .iter()
                        .zip(&other.features)
                        .filter(|(a, b)| a.is_finite() && b.is_finite());
                    let square: f64 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
                    square.sqrt() > APART * (point.features.len() as f64).sqrt()
                });
                apart && free(*index)
            })
        })
    }
}

impl Lean {
    /// Whether nothing is left of the earlier models.
    pub(super) fn is_nothing(&self) -> bool {
        self.slope == 0.0
    }

    /// The sentence for `overdrive why`.
    pub(super) fn note(&self) -> String {
        let weights: Vec<String> = self.weights.iter().map(|weight| format!("{weight:.2}")).collect();
        format!(
            "earlier sweeps count with weights {} and slope {:.2}",
            weights.join(", "),
            self.slope
        )
    }

    fn mix(&self, means: &[Vec<f64>], count: usize) -> Vec<f64> {
        (0..count)
            .map(|i| {
                let each = means.iter().zip(&self.weights);
                self.slope
                    * each
                        .map(|(means, weight)| weight * means.get(i).copied().unwrap_or(0.0))
                        .sum::<f64>()
            })
            .collect()
    }
}

/// [`agreement`], shrunk towards [`TRUST`].
fn trust(means: &[f64], values: &[f64]) -> f64 {
    let known = values.iter().any(|value| Some(value) != values.first());
    let n = if known { values.len() as f64 } else { 0.0 };
    (n * agreement(means, values) + TRUST_ROWS * TRUST) / (n + TRUST_ROWS)
}

/// Agreement of two orders in [-1, 1] (Kendall's tau); 0 if nothing can be compared.
fn agreement(means: &[f64], values: &[f64]) -> f64 {
    let n = values.len();
    let (mut agree, mut pairs) = (0.0, 0.0);
    for i in 0..n {
        for j in 0..i {
            let (Some(a), Some(b), Some(x), Some(y)) =
                (means.get(i), means.get(j), values.get(i), values.get(j))
            else {
                continue;
            };
            if x != y {
                pairs += 1.0;
                agree += if (a - b) * (x - y) > 0.0 { 1.0 } else { -1.0 };
            }
        }
    }
    if pairs > 0.0 { agree / pairs } else { 0.0 }
}

impl Task {
    fn new(
        encoder: &Encoder,
        encoded: &Encoded,
        history: &History,
        place: Range<usize>,
        limit: usize,
    ) -> Option<Self> {
        let trials = history.inherited.get(place.clone())?;
        let parameters = &encoder.domain().space().parameters;
        let known: Vec<bool> = (0..parameters.len())
            .map(|index| trials.iter().any(|trial| value(trial, index)))
            .collect();
        // A group is compared if its parameter was set in that sweep at all.
        let groups: Vec<_> = encoder
            .groups()
            .iter()
            .enumerate()
            .filter(|(group, _)| {
                let owner = encoder.owner(*group);
                parameters
                    .iter()
                    .zip(&known)
                    .any(|(parameter, known)| *known && owner == Some(parameter.name.as_str()))
            })
            .map(|(_, group)| *group)
            .collect();
        if groups.is_empty() {
            return None;
        }
        let sign = -history.goal.sign();
        let mut rows = Vec::new();
        let mut ranked = Vec::new();
        for (index, trial) in place.clone().zip(trials) {
            let lacking = parameters
                .iter()
                .zip(&known)
                .enumerate()
                .any(|(index, (parameter, known))| {
                    *known && parameter.condition.is_none() && !value(trial, index)
                });
            let Some(point) = encoded.inherited(index).filter(|_| !lacking) else {
                continue;
            };
            let row = Row {
                point,
                key: index as u64,
                value: f64::NAN,
                extra_noise: 0.0,
                failed: false,
            };
            match lesson(trial) {
                Lesson::Value(value) => {
                    ranked.push((sign * value, index));
                    rows.push(Row {
                        value: sign * value,
                        ..row
                    });
                }
                Lesson::Partial(value) => rows.push(Row {
                    value: sign * value,
                    extra_noise: rows::PARTIAL_NOISE,
                    ..row
                }),
                Lesson::Failure => rows.push(Row { failed: true, ..row }),
                Lesson::Pending | Lesson::Nothing => {}
            }
        }
        let worked: Vec<f64> = rows
            .iter()
            .filter(|row| !row.failed)
            .map(|row| row.value)
            .collect();
        if worked.len() < FEWEST || worked.iter().all(|value| Some(value) == worked.first()) {
            return None;
        }
        let whole = trials
            .iter()
            .any(|trial| encoder.domain().fits(&trial.assignment));
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let few = rows::subset(&rows, FIT_ROWS);
        let transform = Transform::fit(TRANSFORM, &rows::values(&few));
        let data = with_groups(belief::data(encoder, &few, transform.values), &groups);
        let fit = Fit::new(&data, Prior::standard(groups.len()));
        let learned = fit.most_probable(&fit.start(), STEPS);
        let rows = rows::subset(&rows, limit);
        let transform = Transform::fit(TRANSFORM, &rows::values(&rows));
        let data = with_groups(belief::data(encoder, &rows, transform.values.clone()), &groups);
        Some(Self {
            place,
            gp: Gp::new(&learned, &data).ok()?,
            transform,
            best: ranked.into_iter().map(|(_, index)| index).collect(),
            whole,
        })
    }
}

fn value(trial: &Trial, index: usize) -> bool {
    trial.assignment.values.get(index).is_some_and(Option::is_some)
}

fn with_groups(data: Data, groups: &[crate::surrogate::Group]) -> Data {
    Data {
        groups: groups.to_vec(),
        ..data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::TrialState;
    use crate::metric::Series;
    use crate::space::Assignment;

    #[test]
    fn sweeps_are_told_apart_by_their_numbers() {
        let trial = |number| Trial {
            number,
            assignment: Assignment::default(),
            state: TrialState::Completed,
            series: Series::default(),
            cause: None,
        };
        let trials: Vec<Trial> = [0, 1, 4, 0, 1, 0].into_iter().map(trial).collect();
        assert_eq!(places(&trials), [0..3, 3..5, 5..6]);
        assert!(places(&[]).is_empty());
    }

    #[test]
    fn trust_follows_the_order() {
        let values: Vec<f64> = (0..20).map(f64::from).collect();
        let against: Vec<f64> = values.iter().map(|v| -v).collect();
        assert!(trust(&values, &values) > 0.9 && trust(&against, &values) < -0.7);
        assert!((trust(&[], &[]) - TRUST).abs() < 1e-12);
    }
}
