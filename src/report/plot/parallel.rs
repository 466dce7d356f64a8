//! Parallel coordinates: one axis per parameter, the metric last, one line per trial, the best on top.

use super::axis::Axis;
use super::charts::{Frame, blank, nothing, parameter_axis, parameter_names};
use super::scene::{Anchor, Item, Scene};
use super::{Canvas, Data};
use crate::report::text;

/// The plot. Lines are coloured by rank; trials without a value are dashed and grey.
pub fn parallel(data: &Data, canvas: &Canvas) -> Scene {
    let names = parameter_names(data);
    let caption = format!(
        "{}: parameters and {} of {} trials",
        data.name,
        data.metric,
        data.trials.len()
    );
    let mut scene = blank(canvas, &caption, caption.clone());
    if names.is_empty() {
        nothing(&mut scene, canvas, "no parameters");
        return scene;
    }
    let frame = Frame {
        left: 60.0,
        top: 70.0,
        width: (canvas.width - 130.0).max(20.0),
        height: (canvas.height - 100.0).max(20.0),
    };
    let across = |index: usize| index as f64 / names.len() as f64;
    let value_axis = Axis::over(data.valued().map(|(_, value)| value), data.log, 6);
    let columns: Vec<_> = names.iter().map(|name| parameter_axis(data, name, 6)).collect();
    let mut ranked: Vec<&super::Point> = data.trials.iter().collect();
    // Worst first, so that the best lies on top; those without a value at the very back.
    ranked.sort_by(|a, b| {
        let key = |point: &super::Point| {
            super::finite(point.value).map_or(f64::NEG_INFINITY, |value| data.goal.sign() * value)
        };
        key(a).total_cmp(&key(b))
    });
    let valued = data.valued().count();
    let mut rank = 0;
    for point in ranked {
        let mut places: Vec<(f64, f64)> = names
            .iter()
            .zip(&columns)
            .enumerate()
            .filter_map(|(index, (name, (axis, place)))| {
                let value = place(point.parameters.get(name)?)?;
                Some(frame.at(across(index), axis.place(value)?))
            })
            .collect();
        let value = super::finite(point.value);
        let (colour, width) = match value {
            Some(value) => {
                places.extend(value_axis.place(value).map(|place| frame.at(1.0, place)));
                rank += 1;
                let share = rank as f64 / valued.max(1) as f64;
                let top = rank == valued;
                let fade = if top {
                    1.0
                } else {
                    (30.0 / valued.max(1) as f64).clamp(0.15, 0.7)
                };
                let colour = if top {
                    canvas.palette.series[0]
                } else {
                    canvas.palette.rank(share).faded(fade)
                };
                (colour, if top { 3.0 } else { 1.2 })
            }
            None => (canvas.palette.muted.faded(0.3), 1.0),
        };
        if places.len() > 1 {
            scene.items.push(Item::Path {
                points: places,
                colour,
                width,
                dashed: value.is_none(),
            });
        }
    }
    let titled = names
        .iter()
        .map(String::as_str)
        .zip(columns.iter().map(|(axis, _)| axis))
        .chain([(data.metric.as_str(), &value_axis)]);
    for (index, (name, axis)) in titled.enumerate() {
        let (x, bottom) = frame.at(across(index), 0.0);
        scene.line((x, frame.top), (x, bottom), canvas.palette.text, 1.0);
        let cells = (frame.width / names.len() as f64 / 7.0).max(4.0) as usize;
        scene.text(
            (x, frame.top - 14.0),
            text::clip(&text::printable(name), cells, true),
            12.0,
            canvas.palette.text,
            Anchor::Middle,
        );
        for (value, label) in &axis.ticks {
            if let Some(place) = axis.place(*value) {
                let (x, y) = frame.at(across(index), place);
                scene.line((x - 3.0, y), (x, y), canvas.palette.text, 1.0);
                scene.text(
                    (x - 5.0, y + 3.5),
                    label.clone(),
                    10.0,
                    canvas.palette.text,
                    Anchor::End,
                );
            }
        }
    }
    scene
}
