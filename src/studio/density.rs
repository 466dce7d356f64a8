//! Learning curves as counts per pixel, and the curve nearest to a place, for sweeps with more curves than a browser should hold.
//!
//! Layout of `density` (little endian): magic `ODDN`, u32 version (2), u32 width, u32 height, u32 curves, u32 drawn, f32 x0, x1, y0, y1, then
//! width times height u16 counts, rows from the top. A curve counts once per pixel that its line touches in a column. The picture may be narrower
//! than asked for: it holds no more columns than tell something about curves of that length, and is meant to be stretched.

use crate::metric::number;
use crate::store::Store;
use crate::studio::error::ApiError;
use crate::studio::read::SCHEMA_VERSION;
use crate::studio::state::Studio;
use crate::studio::table::{Curves, Table};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest picture, pixels per side.
const SIDE_MAX: u32 = 4096;
/// Columns of a picture for each step of a curve.
const COLUMNS_PER_STEP: f32 = 24.0;
/// Curves that one thread draws at a time, at least.
const SHARE_MIN: usize = 2_000;
/// Values that the range is guessed from.
const SAMPLE: usize = 20_000;

#[derive(Debug, Deserialize)]
pub(super) struct DensityQuery {
    metric: Option<String>,
    w: u32,
    h: u32,
    x0: Option<f32>,
    x1: Option<f32>,
    y0: Option<f32>,
    y1: Option<f32>,
    #[serde(default)]
    log: bool,
    every: Option<usize>,
}

/// Counts of curves over a window.
struct Raster {
    width: usize,
    height: usize,
    /// x0, x1, y0, y1; y as drawn, that is its logarithm on a logarithmic axis.
    window: [f64; 4],
    log: bool,
    counts: Vec<u16>,
}

impl Raster {
    fn new(width: usize, height: usize, window: [f64; 4], log: bool) -> Self {
        Self {
            width,
            height,
            window,
            log,
            counts: vec![0; width * height],
        }
    }

    /// Adds the line through `values` at x = 0, 1, 2, ...; gaps where a value is not finite, or cannot be on the axis.
    fn add(&mut self, values: &[f32]) {
        let [x0, x1, y0, y1] = self.window;
        let (sx, sy) = (self.width as f64 / (x1 - x0), self.height as f64 / (y1 - y0));
        let log = self.log;
        let row = |value: f32| {
            let value = f64::from(value);
            (y1 - if log { value.ln() } else { value }) * sy
        };
        if let [only] = values {
            let (x, y) = (-x0 * sx, row(*only));
            if y.is_finite() && x >= 0.0 && x < self.width as f64 {
                self.fill(x as usize, y, y);
            }
            return;
        }
        let mut done = -1_i64;
        let mut before = values.first().copied().map_or(f64::NAN, row);
        for (index, value) in values.iter().enumerate().skip(1) {
            let (ay, by) = (before, row(*value));
            before = by;
            if !(ay.is_finite() && by.is_finite()) {
                continue;
            }
            let ax = (index as f64 - 1.0 - x0) * sx;
            let bx = ax + sx;
            let first = (ax.floor().max(0.0) as i64).max(done + 1);
            let last = (bx.ceil() as i64 - 1).min(self.width as i64 - 1);
            let slope = (by - ay) / sx;
            for column in first..=last {
                let left = ay + (column as f64 - ax).max(0.0) * slope;
                let right = ay + ((column + 1) as f64).min(bx) * slope - ax * slope;
                self.fill(column as usize, left.min(right), left.max(right));
            }
            done = done.max(last);
        }
    }

    fn fill(&mut self, column: usize, top: f64, bottom: f64) {
        if bottom < 0.0 || top >= self.height as f64 {
            return;
        }
        let last = (bottom as usize).min(self.height - 1);
        let mut at = top.max(0.0) as usize * self.width + column;
        for _ in top.max(0.0) as usize..=last {
            if let Some(count) = self.counts.get_mut(at) {
                *count = count.saturating_add(1);
            }
            at += self.width;
        }
    }

    fn merge(mut self, other: &Self) -> Self {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self
    }
}

/// Most points of a curve, and a range of values that leaves out the outermost 1 % on either side.
fn window(curves: &Curves, log: bool) -> [f32; 4] {
    let shown = |value: &f32| value.is_finite() && (!log || *value > 0.0);
    let every = curves.count().div_ceil(SAMPLE / 10).max(1);
    let some = curves.of.iter().filter(|curve| !curve.is_empty()).step_by(every);
    let mut sample: Vec<f32> = some
        .flat_map(|curve| {
            let thin = curve.len().div_ceil(10).max(1);
            // From the end, so that the last value is always there.
            curve.iter().rev().step_by(thin).copied().filter(shown)
        })
        .collect();
    sample.sort_by(f32::total_cmp);
    let at = |share: f64| {
        let place = ((sample.len().max(1) - 1) as f64 * share).round() as usize;
        sample.get(place).copied()
    };
    let (low, high) = (at(0.01).unwrap_or(0.0), at(0.99).unwrap_or(1.0));
    let last = (curves.longest().max(2) - 1) as f32;
    if log {
        return [0.0, last, low * 0.95, high * 1.05];
    }
    let margin = if high > low {
        (high - low) * 0.04
    } else {
        low.abs().max(1.0) * 0.05
    };
    [0.0, last, low - margin, high + margin]
}

pub(super) async fn density(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<DensityQuery>,
) -> Result<Response, ApiError> {
    if !(1..=SIDE_MAX).contains(&query.w) || !(1..=SIDE_MAX).contains(&query.h) {
        return Err(ApiError::bad(format!("`w` and `h` are pixels, 1 to {SIDE_MAX}")));
    }
    let (tables, kept) = (studio.tables.clone(), studio.kept.clone());
    let bytes = studio
        .with_large(move |store| {
            let (sweep, metric) = named(store, &reference, query.metric.clone())?;
            tables.with(store, &sweep, |table| {
                let name = format!("density {sweep} {} {query:?}", table.version);
                kept.get(&name, || picture(table, store, &sweep, &metric, &query))
            })
        })
        .await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// Id of the sweep, and the metric that is asked for.
fn named(store: &Store, reference: &str, metric: Option<String>) -> Result<(String, String), ApiError> {
    let row = store.sweep(reference)?;
    let metric = metric
        .or(row.metric)
        .ok_or_else(|| ApiError::bad("the sweep has no primary metric: name one with `metric`"))?;
    Ok((row.sweep, metric))
}

fn picture(
    table: &mut Table,
    store: &Store,
    sweep: &str,
    metric: &str,
    query: &DensityQuery,
) -> Result<Vec<u8>, ApiError> {
    let curves = table.curves(store, sweep, metric)?;
    let [x0, x1, y0, y1] = window(curves, query.log);
    let shown = [
        query.x0.unwrap_or(x0),
        query.x1.unwrap_or(x1),
        query.y0.unwrap_or(y0),
        query.y1.unwrap_or(y1),
    ];
    let [x0, x1, y0, y1] = shown.map(f64::from);
    if !(x1 > x0 && y1 > y0 && (!query.log || y0 > 0.0)) {
        return Err(ApiError::bad(
            "the window is empty: `x1` above `x0`, `y1` above `y0`, and `y0` above 0 on a logarithmic axis",
        ));
    }
    let ends = if query.log { [y0.ln(), y1.ln()] } else { [y0, y1] };
    let enough = ((x1 - x0) as f32 * COLUMNS_PER_STEP)
        .ceil()
        .clamp(64.0, SIDE_MAX as f32);
    let width = (query.w as usize).min(enough as usize);
    let empty = || Raster::new(width, query.h as usize, [x0, x1, ends[0], ends[1]], query.log);
    let count = curves.count();
    let drawn: Vec<&[f32]> = curves
        .of
        .iter()
        .filter(|curve| !curve.is_empty())
        .step_by(query.every.unwrap_or(1).max(1))
        .map(|curve| &**curve)
        .collect();
    let share = drawn.len().div_ceil(rayon::current_num_threads()).max(SHARE_MIN);
    let raster = drawn
        .par_iter()
        .with_min_len(share)
        .fold(empty, |mut raster, curve| {
            raster.add(curve);
            raster
        })
        .reduce_with(|a, b| a.merge(&b))
        .unwrap_or_else(empty);
    Ok(pack(&raster, shown, [count as u32, drawn.len() as u32]))
}

fn pack(raster: &Raster, window: [f32; 4], curves: [u32; 2]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40 + raster.counts.len() * 2);
    bytes.extend_from_slice(b"ODDN");
    for number in [2, raster.width as u32, raster.height as u32, curves[0], curves[1]] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for number in window {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for count in &raster.counts {
        bytes.extend_from_slice(&count.to_le_bytes());
    }
    bytes
}

#[derive(Debug, Deserialize)]
pub(super) struct NearestQuery {
    metric: Option<String>,
    x: f64,
    y: f64,
    #[serde(default)]
    log: bool,
}

/// The curve that passes nearest above or below a place.
#[derive(Serialize, JsonSchema)]
pub(super) struct Nearest {
    schema_version: u32,
    /// Its trial; null if no curve has a point there.
    trial: Option<u64>,
    /// State of the trial.
    state: Option<&'static str>,
    /// Which of its points, from 0.
    point: u64,
    /// All its values.
    values: Vec<Shown>,
    /// Where the policy stopped it: value and threshold.
    stop: Option<[Option<f64>; 2]>,
}

/// A number; a word if it is not finite.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Shown(
    #[serde(with = "number")]
    #[schemars(with = "f64")]
    f64,
);

pub(super) async fn nearest(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<NearestQuery>,
) -> Result<Json<Nearest>, ApiError> {
    let tables = studio.tables.clone();
    let found = studio
        .with_large(move |store| {
            let (sweep, metric) = named(store, &reference, query.metric.clone())?;
            tables.with(store, &sweep, |table| {
                let point = query.x.round().max(0.0) as usize;
                let curves = table.curves(store, &sweep, &metric)?;
                let found = closest(curves, point, query.y, query.log);
                let values = found.and_then(|at| curves.of.get(at)).map(|values| {
                    let shown = values.iter().map(|value| Shown(f64::from(*value)));
                    shown.collect::<Vec<Shown>>()
                });
                let line = found.and_then(|at| table.lines.get(at));
                Ok(Nearest {
                    schema_version: SCHEMA_VERSION,
                    trial: found.map(|at| at as u64),
                    state: line.map(|line| line.state.word()),
                    point: point as u64,
                    values: values.unwrap_or_default(),
                    stop: line
                        .and_then(|line| line.stop)
                        .map(|(_, value, threshold)| [value, threshold]),
                })
            })
        })
        .await?;
    Ok(Json(found))
}

/// Number of the trial whose value at `point` is nearest to `y`.
fn closest(curves: &Curves, point: usize, y: f64, log: bool) -> Option<usize> {
    let place = |value: f64| if log { value.ln() } else { value };
    let wanted = place(y);
    let distances = curves.of.iter().enumerate().filter_map(|(trial, curve)| {
        let distance = (place(f64::from(*curve.get(point)?)) - wanted).abs();
        distance.is_finite().then_some((trial, distance))
    });
    distances
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(trial, _)| trial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_touches_every_column_once() {
        let mut raster = Raster::new(8, 4, [0.0, 4.0, 0.0, 4.0], false);
        raster.add(&[0.5, 0.5, 0.5, 3.5, 3.5]);
        raster.add(&[0.5, f32::NAN, 0.5]);
        let column = |x: usize| (0..4).map(|y| raster.counts[y * 8 + x]).collect::<Vec<_>>();
        assert_eq!(column(0), [0, 0, 0, 1]);
        assert_eq!(column(7), [1, 0, 0, 0]);
        assert!((0..8).all(|x| column(x).iter().sum::<u16>() >= 1));
        assert!(
            column(4).iter().sum::<u16>() >= 2,
            "a slope covers the rows it crosses"
        );
    }

    #[test]
    fn values_outside_the_window_are_left_out() {
        let mut raster = Raster::new(4, 4, [0.0, 2.0, 0.0, 1.0], false);
        raster.add(&[9.0, 9.0, 9.0]);
        raster.add(&[-9.0, -9.0]);
        assert_eq!(raster.counts.iter().sum::<u16>(), 0);
    }

    #[test]
    fn a_logarithmic_axis_has_no_place_below_zero() {
        let mut raster = Raster::new(4, 4, [0.0, 2.0, (0.001_f64).ln(), (10.0_f64).ln()], true);
        raster.add(&[-1.0, 0.0, -1.0]);
        assert_eq!(raster.counts.iter().sum::<u16>(), 0);
        raster.add(&[0.002, 0.002, 0.002]);
        let rows: Vec<u16> = raster.counts.chunks(4).map(|row| row.iter().sum()).collect();
        assert_eq!(rows, [0, 0, 0, 4]);
    }

    #[test]
    fn the_nearest_curve_is_found_on_either_axis() {
        let mut curves = Curves::default();
        for values in [vec![1.0, 10.0], vec![], vec![1.0, 1000.0], vec![5.0]] {
            curves.of.push(values.into_boxed_slice());
        }
        assert_eq!(closest(&curves, 1, 200.0, false), Some(0));
        assert_eq!(closest(&curves, 1, 200.0, true), Some(2));
        assert_eq!(closest(&curves, 0, 4.0, false), Some(3));
        assert_eq!(closest(&curves, 7, 4.0, false), None);
    }
}
