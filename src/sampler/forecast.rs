//! Where unfinished curves would end: what stopped and running trials teach a sampler.
//!
//! The last value of a trial that was stopped at its third report says little; what it would have ended with, by the curves of the
//! other trials, and how sure that is, says more.

use crate::history::{History, Trial, TrialState};
use crate::surrogate::CurveModel;
use crate::surrogate::curve::{grid, rungs_before};

/// Newest trials that the model is fitted to.
const NEWEST: usize = 500;
/// Whole trials without which nothing is forecast: their spread is the measure of doubt.
const WHOLE: usize = 3;
/// Reports of a running trial from which on it is more than pending.
const RUNNING: usize = 2;
/// Doubt beyond which a forecast says nothing anyway.
const DOUBT_MAX: f64 = 1.0;

/// A model of the curves of one history.
pub(super) struct Forecast {
    sign: f64,
    grid: Vec<u64>,
    /// Rungs before the end.
    before: usize,
    /// Reports of a whole trial.
    last: u64,
    best: f64,
    /// Variance of the values of whole trials.
    variance: f64,
    model: CurveModel,
}

impl Forecast {
    /// Fits the model to the trials of this sweep; `None` while too few have completed, or have no curves.
    pub(super) fn of(history: &History) -> Option<Self> {
        let whole = || {
            history
                .trials
                .iter()
                .filter(|trial| trial.state == TrialState::Completed)
        };
        let last = whole().map(|trial| trial.series.intervals() as u64).max()?;
        let grid = grid();
        let before = rungs_before(&grid, last);
        let values: Vec<f64> = whole().filter_map(Trial::score).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values
            .iter()
            .map(|value| (value - mean) * (value - mean))
            .sum::<f64>()
            / values.len() as f64;
        if before < 3 || values.len() < WHOLE || !(variance > 0.0 && variance.is_finite()) {
            return None;
        }
        let mut forecast = Self {
            sign: -history.goal.sign(),
            grid,
            before,
            last,
            best: f64::INFINITY,
            variance,
            model: CurveModel::default(),
        };
        let newest = history.trials.len().saturating_sub(NEWEST);
        let curves: Vec<Vec<f64>> = history
            .trials
            .iter()
            .skip(newest)
            .map(|trial| forecast.losses(trial))
            .collect();
        forecast.model = CurveModel::fit(curves.iter().map(Vec::as_slice), before + 1);
        let scores = history.trials.iter().filter_map(Trial::score);
        forecast.best = scores
            .map(|score| forecast.sign * score)
            .fold(f64::INFINITY, f64::min);
        Some(forecast)
    }

    /// Lowest losses at the rungs that a trial has passed.
    fn losses(&self, trial: &Trial) -> Vec<f64> {
        let mut losses = Vec::new();
        let mut best = f64::INFINITY;
        for (reports, value) in (1..).zip(trial.series.values()) {
            if value.is_finite() {
                best = best.min(self.sign * value);
            }
            let rung = losses.len() < self.before && self.grid.get(losses.len()) == Some(&reports);
            if rung || reports == self.last {
                losses.push(best);
            }
        }
        losses
    }

    /// Expected final loss of an unfinished trial, no better than the best seen, and its variance in units of that of whole trials.
    /// `None` if its curve is too short to say anything, or whole.
    pub(super) fn end(&self, trial: &Trial) -> Option<(f64, f64)> {
        let open = !trial.state.is_terminal() && trial.state != TrialState::Paused;
        if open && trial.series.intervals() < RUNNING {
            return None;
        }
        let losses = self.losses(trial);
        let rung = losses.len().checked_sub(1).filter(|rung| *rung < self.before)?;
        let now = losses.get(rung).copied().filter(|now| now.is_finite())?;
        let before = rung.checked_sub(1).and_then(|rung| losses.get(rung)).copied();
        let (end, variance) = self.model.expected_end(rung, now, before);
        let end = end.max(self.best).min(now);
        end.is_finite()
            .then(|| (end, (variance / self.variance).min(DOUBT_MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Goal, Series};
    use crate::space::Assignment;

    fn trial(number: u64, state: TrialState, ceiling: f64, reports: u32) -> Trial {
        let mut trial = Trial {
            number,
            assignment: Assignment { values: Vec::new() },
            state,
            series: Series::default(),
            cause: None,
        };
        for step in 1..=reports {
            let value = ceiling - 0.5 * f64::from(step).powf(-0.8);
            trial.series.push(Goal::Maximize, value);
        }
        trial
    }

    #[test]
    fn a_stopped_trial_teaches_where_it_would_have_ended() {
        let mut history = History::new(Goal::Maximize);
        history.trials.push(trial(0, TrialState::Completed, 0.9, 50));
        assert!(Forecast::of(&history).is_none(), "one whole curve is not enough");
        for number in 1..8 {
            let ceiling = 0.6 + 0.04 * number as f64;
            history
                .trials
                .push(trial(number, TrialState::Completed, ceiling, 50));
        }
        history.trials.push(trial(8, TrialState::Canceled, 0.7, 4));
        history.trials.push(trial(9, TrialState::Running, 0.7, 1));
        let forecast = Forecast::of(&history).unwrap();
        let (end, doubt) = forecast.end(&history.trials[8]).unwrap();
        let (seen, whole) = (-(0.7 - 0.5 * 4_f64.powf(-0.8)), -(0.7 - 0.5 * 50_f64.powf(-0.8)));
        assert!(
            (end - whole).abs() < 0.3 * (seen - whole).abs(),
            "{end} for {whole}, last seen {seen}"
        );
        assert!(doubt > 0.0 && doubt <= 1.0);
        assert_eq!(forecast.end(&history.trials[9]), None, "one report says nothing");
        assert_eq!(
            forecast.end(&history.trials[0]),
            None,
            "a whole curve needs no forecast"
        );
    }
}
