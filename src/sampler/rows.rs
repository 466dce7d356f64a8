//! What the trials teach: every trial as a row of coordinates, features, a value to minimize and its doubt.

use crate::history::{CancelCause, History, Trial, TrialState};
use crate::sampler::forecast::Forecast;
use crate::sampler::rng::absorb;
use crate::space::encode::Encoder;

/// Noise variance, in units of the standardized values, that a value from an unfinished curve carries beyond the learned noise.
pub(super) const PARTIAL_NOISE: f64 = 0.1;

/// Encoded assignments, kept up with the history.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    own: Vec<Point>,
    inherited: Vec<Point>,
}

#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) coordinates: Vec<f64>,
    pub(super) features: Vec<f64>,
}

impl Point {
    pub(super) fn new(encoder: &Encoder, coordinates: Vec<f64>) -> Self {
        let mut features = Vec::with_capacity(encoder.width());
        encoder.features(&coordinates, &mut features);
        Self {
            coordinates,
            features,
        }
    }
}

/// One finished trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) point: &'a Point,
    /// Identity for choosing subsets: stable when other rows come.
    pub(super) key: u64,
    /// Value to minimize; meaningless if failed.
    pub(super) value: f64,
    /// Noise variance beyond the learned one, on standardized values.
    pub(super) extra_noise: f64,
    pub(super) failed: bool,
}

/// Everything finished, in order of number (inherited ones first), and everything pending.
pub(super) struct Rows<'a> {
    pub(super) finished: Vec<Row<'a>>,
    pub(super) pending: Vec<&'a Point>,
}

impl Encoded {
    /// Takes in new trials; forgets everything first if the history is another one.
    pub(super) fn follow(&mut self, encoder: &Encoder, history: &History, same: bool) {
        if !same {
            self.own.clear();
        }
        self.own.truncate(history.trials.len());
        let encode = |trial: &Trial| Point::new(encoder, encoder.coordinates(&trial.assignment));
        self.own
            .extend(history.trials.iter().skip(self.own.len()).map(encode));
        if self.inherited.len() != history.inherited.len() {
            self.inherited = history.inherited.iter().map(encode).collect();
        }
    }

    /// The point of trial `index` of this sweep.
    pub(super) fn own(&self, index: usize) -> Option<&Point> {
        self.own.get(index)
    }

    /// The point of inherited trial `index`.
    pub(super) fn inherited(&self, index: usize) -> Option<&Point> {
        self.inherited.get(index)
    }

    /// The rows of the present state of `history`; of inherited trials those that `wanted` takes by index.
    pub(super) fn rows(
        &self,
        encoder: &Encoder,
        history: &History,
        wanted: impl Fn(usize) -> bool,
    ) -> Rows<'_> {
        let mut rows = Rows {
            finished: Vec::with_capacity(history.trials.len()),
            pending: Vec::new(),
        };
        let sign = -history.goal.sign();
        let forecast = Forecast::of(history);
        let fitting = history
            .inherited
            .iter()
            .zip(&self.inherited)
            .enumerate()
            .filter(|(index, (trial, _))| wanted(*index) && encoder.domain().fits(&trial.assignment))
            .map(|(_, pair)| pair);
        let own = history.trials.iter().zip(&self.own);
        for ((trial, point), salt) in fitting.map(|pair| (pair, 1)).chain(own.map(|pair| (pair, 0))) {
            let row = Row {
                point,
                key: absorb(salt, trial.number),
                value: f64::NAN,
                extra_noise: 0.0,
                failed: false,
            };
            let lesson = lesson(trial);
            // An unfinished curve counts with where it would have ended, a running one too.
            if salt == 0
                && matches!(lesson, Lesson::Partial(_) | Lesson::Pending)
                && let Some((value, doubt)) = forecast.as_ref().and_then(|forecast| forecast.end(trial))
            {
                rows.finished.push(Row {
                    value,
                    extra_noise: PARTIAL_NOISE + doubt,
                    ..row
                });
                continue;
            }
            match (lesson, salt) {
                (Lesson::Value(value), _) => rows.finished.push(Row {
                    value: sign * value,
                    ..row
                }),
                (Lesson::Partial(value), _) => {
                    rows.finished.push(Row {
                        value: sign * value,
                        extra_noise: PARTIAL_NOISE,
                        ..row
                    });
                }
                (Lesson::Failure, _) => rows.finished.push(Row { failed: true, ..row }),
                (Lesson::Pending, 0) => rows.pending.push(point),
                (Lesson::Pending | Lesson::Nothing, _) => {}
            }
        }
        rows
    }
}

/// What one trial teaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lesson {
    /// It ran to its end with this best value.
    Value(f64),
    /// It was ended early, or is frozen, with this best value.
    Partial(f64),
    /// Its configuration does not work: a crash, a time-out, or an end without any finite report.
    Failure,
    /// It is not finished.
    Pending,
    /// It was taken away before it said anything.
    Nothing,
}

/// The lesson of a trial, in units of the metric.
pub(crate) fn lesson(trial: &Trial) -> Lesson {
    let score = trial.score();
    match (trial.state, &trial.cause, score) {
        (TrialState::Completed, _, Some(value)) => Lesson::Value(value),
        (TrialState::Completed, _, None) => Lesson::Failure,
        // What it reported was reached with memory that is not there.
        (TrialState::Failed, Some(CancelCause::OutOfMemory), _) => Lesson::Failure,
        (TrialState::Failed | TrialState::Canceled | TrialState::Paused, _, Some(value)) => {
            Lesson::Partial(value)
        }
        (TrialState::Failed, _, None) => Lesson::Failure,
        (TrialState::Canceled, Some(CancelCause::TrialTimeout), None) => Lesson::Failure,
        (TrialState::Canceled, _, None) => Lesson::Nothing,
        _ => Lesson::Pending,
    }
}

/// Fills in the value of failed rows: worse than the worst by half the range.
pub(super) fn values(rows: &[Row<'_>]) -> Vec<f64> {
    let finite = rows.iter().filter(|row| !row.failed).map(|row| row.value);
    let (best, worst) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(b, w), v| {
        (b.min(v), w.max(v))
    });
    let bad = worst + (0.5 * worst - 0.5 * best).min(f64::MAX / 4.0);
    let bad = if bad.is_finite() { bad } else { worst };
    rows.iter()
        .map(|row| if row.failed { bad } else { row.value })
        .collect()
}

/// At most `limit` rows: the best third, the newest sixth, and a fixed pseudo-random choice of the others; in the order given.
pub(super) fn subset<'a>(rows: &[Row<'a>], limit: usize) -> Vec<Row<'a>> {
    if rows.len() <= limit {
        return rows.to_vec();
    }
    let mut taken = vec![false; rows.len()];
    let mut take = |index: usize| {
        if let Some(flag) = taken.get_mut(index) {
            *flag = true;
        }
    };
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let value = |i: &usize| {
        rows.get(*i).map_or(
            f64::INFINITY,
            |row| if row.failed { f64::INFINITY } else { row.value },
        )
    };
    let best = limit / 3;
    order.select_nth_unstable_by(best, |a, b| value(a).total_cmp(&value(b)).then(a.cmp(b)));
    order.iter().take(best).for_each(|i| take(*i));
    let newest = limit / 6;
    (rows.len() - newest..rows.len()).for_each(&mut take);
    let mut others: Vec<usize> = (0..rows.len())
        .filter(|i| taken.get(*i) == Some(&false))
        .collect();
    let rest = limit.saturating_sub(rows.len() - others.len());
    let key = |i: &usize| rows.get(*i).map_or(0, |row| row.key);
    if rest < others.len() {
        others.select_nth_unstable_by_key(rest, |i| (key(i), *i));
        others.truncate(rest);
    }
    others.into_iter().for_each(|i| {
        if let Some(flag) = taken.get_mut(i) {
            *flag = true;
        }
    });
    rows.iter()
        .zip(taken)
        .filter(|(_, taken)| *taken)
        .map(|(row, _)| *row)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Series;
    use crate::space::Assignment;

    #[test]
    fn a_value_that_took_too_much_memory_is_no_value() {
        let mut series = Series::default();
        series.push(crate::metric::Goal::Minimize, 0.1);
        let trial = |cause| Trial {
            number: 0,
            assignment: Assignment { values: Vec::new() },
            state: TrialState::Failed,
            series: series.clone(),
            cause,
        };
        assert_eq!(lesson(&trial(None)), Lesson::Partial(0.1));
        assert_eq!(lesson(&trial(Some(CancelCause::OutOfMemory))), Lesson::Failure);
    }
}
