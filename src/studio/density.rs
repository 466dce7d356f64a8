//! Learning curves as counts per pixel, for sweeps with more curves than a browser should hold.
//!
//! Layout (little endian): magic `ODDN`, u32 version (1), u32 width, u32 height, u32 curves, f32 x0, x1, y0, y1, then width times height
//! u16 counts, rows from the top. A curve counts once per pixel that its line touches in a column.

use crate::store::Store;
use crate::studio::error::ApiError;
use crate::studio::state::Studio;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

/// Largest picture, pixels per side.
const SIDE_MAX: u32 = 4096;
/// Trials that are read at a time.
const BLOCK: u64 = 5_000;

#[derive(Debug, Deserialize)]
pub(super) struct DensityQuery {
    metric: Option<String>,
    w: u32,
    h: u32,
    x0: Option<f32>,
    x1: Option<f32>,
    y0: Option<f32>,
    y1: Option<f32>,
}

/// Counts of curves over a window.
struct Raster {
    width: usize,
    height: usize,
    window: [f32; 4],
    counts: Vec<u16>,
}

impl Raster {
    fn new(width: usize, height: usize, window: [f32; 4]) -> Self {
        Self {
            width,
            height,
            window,
            counts: vec![0; width * height],
        }
    }

    /// Adds the line through `values` at x = 0, 1, 2, ...; gaps where a value is not finite.
    fn add(&mut self, values: &[f64]) {
        let [x0, x1, y0, y1] = self.window.map(f64::from);
        let (sx, sy) = (self.width as f64 / (x1 - x0), self.height as f64 / (y1 - y0));
        let px = |index: usize| (index as f64 - x0) * sx;
        let py = |value: f64| (y1 - value) * sy;
        let mut column_done = -1_i64;
        for (index, pair) in values.windows(2).enumerate() {
            let [a, b] = pair else { continue };
            if !(a.is_finite() && b.is_finite()) {
                continue;
            }
            let (ax, bx, ay, by) = (px(index), px(index + 1), py(*a), py(*b));
            let first = (ax.floor().max(0.0) as i64).max(column_done + 1);
            let last = (bx.ceil() as i64 - 1).min(self.width as i64 - 1);
            for column in first..=last {
                let slope = (by - ay) / (bx - ax);
                let left = ay + (column as f64 - ax).max(0.0) * slope;
                let right = ay + ((column + 1) as f64).min(bx) * slope - ax * slope;
                self.fill(column as usize, left.min(right), left.max(right));
                column_done = column;
            }
        }
        if let [only] = values
            && only.is_finite()
        {
            let (x, y) = (px(0), py(*only));
            if x >= 0.0 && x < self.width as f64 {
                self.fill(x as usize, y, y);
            }
        }
    }

    fn fill(&mut self, column: usize, top: f64, bottom: f64) {
        if bottom < 0.0 || top >= self.height as f64 {
            return;
        }
        let (first, last) = (
            top.max(0.0) as usize,
            (bottom.max(0.0) as usize).min(self.height - 1),
        );
        for row in first..=last {
            if let Some(count) = self.counts.get_mut(row * self.width + column) {
                *count = count.saturating_add(1);
            }
        }
    }
}

/// Most points of a curve, and a range of values that leaves out the outermost 1 % on either side.
fn window(curves: &[crate::store::Curve]) -> [f32; 4] {
    let longest = curves
        .iter()
        .map(|(_, _, values)| values.len())
        .max()
        .unwrap_or(2)
        .max(2);
    let every = curves.len().div_ceil(2_000).max(1);
    let mut sample: Vec<f64> = curves
        .iter()
        .step_by(every)
        .flat_map(|(_, _, values)| values.iter().copied().filter(|value| value.is_finite()))
        .collect();
    sample.sort_by(f64::total_cmp);
    let at = |share: f64| {
        sample
            .get(((sample.len().max(1) - 1) as f64 * share).round() as usize)
            .copied()
    };
    let (low, high) = (at(0.01).unwrap_or(0.0), at(0.99).unwrap_or(1.0));
    let margin = if high > low { (high - low) * 0.04 } else { 0.5 };
    [
        0.0,
        (longest - 1) as f32,
        (low - margin) as f32,
        (high + margin) as f32,
    ]
}

pub(super) async fn density(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<DensityQuery>,
) -> Result<Response, ApiError> {
    if !(1..=SIDE_MAX).contains(&query.w) || !(1..=SIDE_MAX).contains(&query.h) {
        return Err(ApiError::bad(format!("`w` and `h` are pixels, 1 to {SIDE_MAX}")));
    }
    let kept = studio.kept.clone();
    let name = format!("density {reference} {query:?}");
    let bytes = studio
        .with_large(move |store| kept.get(store, &name, || picture(store, &reference, query)))
        .await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

fn picture(store: &Store, reference: &str, query: DensityQuery) -> Result<Vec<u8>, ApiError> {
    let row = store.sweep(reference)?;
    let metric = query
        .metric
        .or(row.metric)
        .ok_or_else(|| ApiError::bad("the sweep has no primary metric: name one with `metric`"))?;
    let mut raster: Option<Raster> = None;
    let (mut after, mut count) = (None, 0_u32);
    loop {
        let block = store.curves(&row.sweep, &metric, after, BLOCK)?;
        let raster = raster.get_or_insert_with(|| {
            let [x0, x1, y0, y1] = window(&block);
            let chosen = [
                query.x0.unwrap_or(x0),
                query.x1.unwrap_or(x1),
                query.y0.unwrap_or(y0),
                query.y1.unwrap_or(y1),
            ];
            Raster::new(query.w as usize, query.h as usize, chosen)
        });
        let [x0, x1, y0, y1] = raster.window;
        if !(x1 > x0 && y1 > y0) {
            return Err(ApiError::bad(
                "the window is empty: `x1` above `x0`, `y1` above `y0`",
            ));
        }
        for (_, _, values) in &block {
            raster.add(values);
        }
        count += block.len() as u32;
        after = Some(after.map_or(BLOCK - 1, |after| after + BLOCK));
        if after >= Some(row.trials.values().sum()) {
            return Ok(pack(raster, count));
        }
    }
}

fn pack(raster: &Raster, curves: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(36 + raster.counts.len() * 2);
    bytes.extend_from_slice(b"ODDN");
    for number in [1, raster.width as u32, raster.height as u32, curves] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for number in raster.window {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for count in &raster.counts {
        bytes.extend_from_slice(&count.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_touches_every_column_once() {
        let mut raster = Raster::new(8, 4, [0.0, 4.0, 0.0, 4.0]);
        raster.add(&[0.5, 0.5, 0.5, 3.5, 3.5]);
        raster.add(&[0.5, f64::NAN, 0.5]);
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
        let mut raster = Raster::new(4, 4, [0.0, 2.0, 0.0, 1.0]);
        raster.add(&[9.0, 9.0, 9.0]);
        raster.add(&[-9.0, -9.0]);
        assert_eq!(raster.counts.iter().sum::<u16>(), 0);
    }
}
