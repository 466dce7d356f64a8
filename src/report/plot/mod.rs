//! Plots of a sweep. Each is built as a [`Scene`] of a few primitives, which [`svg`] and [`png`] write out alike.

mod anytime;
mod axis;
mod charts;
mod parallel;
pub mod png;
mod scene;
pub mod svg;

pub use anytime::{Line, anytime};
pub use axis::{Axis, ticks};
pub use charts::{curves, importance, progress, slices};
pub use parallel::parallel;
pub use scene::{Anchor, Colour, Item, Palette, Scene};

use crate::history::{CancelCause, TrialState};
use crate::metric::Goal;
use crate::space::Value;
use indexmap::IndexMap;

/// One trial of a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Number.
    pub trial: u64,
    /// State.
    pub state: TrialState,
    /// Who canceled it.
    pub cause: Option<CancelCause>,
    /// Best value of the primary metric.
    pub value: Option<f64>,
    /// Parameters.
    pub parameters: IndexMap<String, Value>,
    /// Step and value of each report.
    pub curve: Vec<(f64, f64)>,
}

/// What a plot shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// Name of the sweep.
    pub name: String,
    /// Primary metric.
    pub metric: String,
    /// Direction.
    pub goal: Goal,
    /// Trials by number.
    pub trials: Vec<Point>,
    /// Parameters that are drawn on a logarithmic axis.
    pub log_parameters: Vec<String>,
    /// Logarithmic axis of the metric; falls back to a linear one if a value is not positive.
    pub log: bool,
}

impl Data {
    /// The best trial.
    pub fn best(&self) -> Option<&Point> {
        self.trials
            .iter()
            .filter(|point| finite(point.value).is_some())
            .reduce(|best, point| match (point.value, best.value) {
                (Some(a), Some(b)) if self.goal.better(a, b) => point,
                _ => best,
            })
    }

    /// Trials with a finite value.
    pub fn valued(&self) -> impl Iterator<Item = (&Point, f64)> {
        self.trials
            .iter()
            .filter_map(|point| finite(point.value).map(|value| (point, value)))
    }
}

/// Size in pixels and colours of a plot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Canvas {
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// Colours.
    pub palette: Palette,
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}
