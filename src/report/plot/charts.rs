//! Progress, learning curves, slices and importance.

use super::axis::Axis;
use super::scene::{Anchor, Colour, Item, Scene};
use super::{Canvas, Data, Point};
use crate::history::{CancelCause, TrialState};
use crate::report::importance::Importance;
use crate::report::{number, text};
use crate::space::Value;

const SMALL: f64 = 11.0;
const NORMAL: f64 = 12.0;
const TITLE: f64 = 15.0;

/// A rectangle with an axis on two sides.
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Frame {
    pub(super) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.left + x * self.width, self.top + (1.0 - y) * self.height)
    }

    fn place(&self, x: &Axis, y: &Axis, point: (f64, f64)) -> Option<(f64, f64)> {
        Some(self.at(x.place(point.0)?, y.place(point.1)?))
    }
}

pub(super) fn blank(canvas: &Canvas, title: &str, caption: String) -> Scene {
    let mut scene = Scene {
        width: canvas.width,
        height: canvas.height,
        ground: canvas.palette.ground,
        caption,
        items: Vec::new(),
    };
    let cells = (canvas.width / 8.5) as usize;
    scene.text(
        (16.0, 24.0),
        text::clip(&text::printable(title), cells, true),
        TITLE,
        canvas.palette.text,
        Anchor::Start,
    );
    scene
}

pub(super) fn axes(
    scene: &mut Scene,
    canvas: &Canvas,
    frame: &Frame,
    (x, x_name): (&Axis, &str),
    (y, y_name): (&Axis, &str),
) {
    let palette = &canvas.palette;
    for (value, label) in &y.ticks {
        let Some(place) = y.place(*value) else { continue };
        let (left, level) = frame.at(0.0, place);
        scene.line((left, level), (left + frame.width, level), palette.grid, 1.0);
        scene.text(
            (left - 6.0, level + 4.0),
            label.clone(),
            SMALL,
            palette.text,
            Anchor::End,
        );
    }
    for (value, label) in &x.ticks {
        let Some(place) = x.place(*value) else { continue };
        let (across, bottom) = frame.at(place, 0.0);
        scene.line((across, bottom), (across, bottom + 4.0), palette.text, 1.0);
        scene.text(
            (across, bottom + 17.0),
            label.clone(),
            SMALL,
            palette.text,
            Anchor::Middle,
        );
    }
    let (left, bottom) = frame.at(0.0, 0.0);
    scene.line((left, bottom), (left + frame.width, bottom), palette.text, 1.0);
    scene.line((left, frame.top), (left, bottom), palette.text, 1.0);
    if !x_name.is_empty() {
        scene.text(
            (left + frame.width / 2.0, bottom + 34.0),
            text::printable(x_name),
            NORMAL,
            palette.text,
            Anchor::Middle,
        );
    }
    if !y_name.is_empty() {
        scene.items.push(Item::Text {
            at: (frame.left - 48.0, frame.top + frame.height / 2.0),
            text: text::printable(y_name),
            size: NORMAL,
            colour: palette.text,
            anchor: Anchor::Middle,
            upwards: true,
        });
    }
}

fn wide(canvas: &Canvas) -> Frame {
    Frame {
        left: 70.0,
        top: 44.0,
        width: (canvas.width - 94.0).max(20.0),
        height: (canvas.height - 94.0).max(20.0),
    }
}

fn colour_of(point: &Point, canvas: &Canvas) -> Colour {
    match point.state {
        TrialState::Canceled if point.cause == Some(CancelCause::Policy) => canvas.palette.series[1],
        TrialState::Failed => canvas.palette.series[3],
        _ => canvas.palette.muted,
    }
}

fn summary(data: &Data) -> String {
    match data.best() {
        Some(best) => format!(
            "{}: best {} {} in trial {} of {}",
            data.name,
            data.metric,
            number::real(best.value.unwrap_or(f64::NAN)),
            best.trial,
            data.trials.len()
        ),
        None => format!(
            "{}: no trial of {} has a value of {} yet",
            data.name,
            data.trials.len(),
            data.metric
        ),
    }
}

/// Value of each trial and best so far, over the trial number.
pub fn progress(data: &Data, canvas: &Canvas) -> Scene {
    let mut scene = blank(canvas, &summary(data), summary(data));
    let frame = wide(canvas);
    let last = data
        .trials
        .iter()
        .map(|point| point.trial)
        .max()
        .unwrap_or(1)
        .max(1) as f64;
    let x = Axis::over([0.0, last].into_iter(), false, 8);
    let y = Axis::over(data.valued().map(|(_, value)| value), data.log, 6);
    axes(&mut scene, canvas, &frame, (&x, "trial"), (&y, &data.metric));
    for (point, value) in data.valued() {
        if let Some(at) = frame.place(&x, &y, (point.trial as f64, value)) {
            let stopped = point.state == TrialState::Canceled;
            scene.items.push(Item::Circle {
                at,
                radius: 3.5,
                colour: colour_of(point, canvas),
                hollow: stopped,
            });
        }
    }
    let mut steps = Vec::new();
    let mut best: Option<f64> = None;
    for (point, value) in data.valued() {
        if best.is_none_or(|best| data.goal.better(value, best)) {
            if let Some(old) = best {
                steps.extend(frame.place(&x, &y, (point.trial as f64, old)));
            }
            best = Some(value);
            steps.extend(frame.place(&x, &y, (point.trial as f64, value)));
        }
    }
    if let Some(best) = best {
        steps.extend(frame.place(&x, &y, (last, best)));
    }
    scene.items.push(Item::Path {
        points: steps,
        colour: canvas.palette.series[0],
        width: 2.0,
        dashed: false,
    });
    legend(
        &mut scene,
        canvas,
        &[
            ("best so far", canvas.palette.series[0]),
            ("stopped by the policy", canvas.palette.series[1]),
        ],
    );
    scene
}

fn legend(scene: &mut Scene, canvas: &Canvas, entries: &[(&str, Colour)]) {
    let mut right = canvas.width - 24.0;
    for (name, colour) in entries.iter().rev() {
        scene.text((right, 40.0), *name, SMALL, canvas.palette.text, Anchor::End);
        right -= name.len() as f64 * 6.4 + 18.0;
        scene.items.push(Item::Rect {
            at: (right, 31.0),
            size: (10.0, 10.0),
            colour: *colour,
        });
        right -= 14.0;
    }
}

/// The metric over the steps, one line per trial; the best on top.
pub fn curves(data: &Data, canvas: &Canvas) -> Scene {
    let title = format!(
        "{}: {} over the reports of {} trials",
        data.name,
        data.metric,
        data.trials.len()
    );
    let mut scene = blank(canvas, &title, summary(data));
    let frame = wide(canvas);
    let points = || data.trials.iter().flat_map(|point| point.curve.iter().copied());
    let x = Axis::over(points().map(|(step, _)| step), false, 8);
    let y = Axis::over(points().map(|(_, value)| value), data.log, 6);
    axes(&mut scene, canvas, &frame, (&x, "step"), (&y, &data.metric));
    let best = data.best().map(|best| best.trial);
    let fade = (12.0 / data.trials.len().max(1) as f64).clamp(0.08, 0.6);
    let mut front = Vec::new();
    for point in &data.trials {
        // A value that is not finite breaks the line instead of bending it.
        for run in point.curve.split(|(_, value)| !value.is_finite()) {
            let places: Vec<(f64, f64)> = run
                .iter()
                .filter_map(|place| frame.place(&x, &y, *place))
                .collect();
            let leads = Some(point.trial) == best;
            let colour = if leads {
                canvas.palette.series[0]
            } else {
                colour_of(point, canvas).faded(fade)
            };
            let item = match places.as_slice() {
                [] => continue,
                [only] => Item::Circle {
                    at: *only,
                    radius: if leads { 3.5 } else { 2.0 },
                    colour,
                    hollow: false,
                },
                _ => Item::Path {
                    points: places,
                    colour,
                    width: if leads { 2.5 } else { 1.2 },
                    dashed: false,
                },
            };
            if leads {
                front.push(item)
            } else {
                scene.items.push(item)
            }
        }
        if point.cause == Some(CancelCause::Policy)
            && let Some(at) = point
                .curve
                .iter()
                .rev()
                .find_map(|place| frame.place(&x, &y, *place))
        {
            scene.items.push(Item::Circle {
                at,
                radius: 2.5,
                colour: canvas.palette.series[1],
                hollow: false,
            });
        }
    }
    scene.items.extend(front);
    legend(
        &mut scene,
        canvas,
        &[
            ("best", canvas.palette.series[0]),
            ("stopped by the policy", canvas.palette.series[1]),
        ],
    );
    scene
}

/// The value over each parameter, one panel each.
pub fn slices(data: &Data, canvas: &Canvas) -> Scene {
    let names = parameter_names(data);
    let mut scene = blank(
        canvas,
        &format!("{}: {} over each parameter", data.name, data.metric),
        summary(data),
    );
    if names.is_empty() {
        nothing(&mut scene, canvas, "no parameters");
        return scene;
    }
    let across = (names.len() as f64).sqrt().ceil().max(1.0) as usize;
    let down = names.len().div_ceil(across);
    let y = Axis::over(data.valued().map(|(_, value)| value), data.log, 4);
    let (cell_width, cell_height) = (
        (canvas.width - 30.0) / across as f64,
        (canvas.height - 44.0) / down as f64,
    );
    let best = data.best().map(|best| best.trial);
    for (index, name) in names.iter().enumerate() {
        let (column, row) = (index % across, index / across);
        let frame = Frame {
            left: 15.0 + column as f64 * cell_width + 55.0,
            top: 40.0 + row as f64 * cell_height + 8.0,
            width: (cell_width - 70.0).max(10.0),
            height: (cell_height - 56.0).max(10.0),
        };
        let (x, positions) = parameter_axis(data, name, 4);
        axes(&mut scene, canvas, &frame, (&x, name), (&y, ""));
        let mut front = None;
        for (point, value) in data.valued() {
            let Some(position) = point.parameters.get(name).and_then(&positions) else {
                continue;
            };
            if let Some(at) = frame.place(&x, &y, (position, value)) {
                if Some(point.trial) == best {
                    front = Some(at);
                } else {
                    scene.items.push(Item::Circle {
                        at,
                        radius: 2.8,
                        colour: colour_of(point, canvas).faded(0.7),
                        hollow: false,
                    });
                }
            }
        }
        if let Some(at) = front {
            scene.items.push(Item::Circle {
                at,
                radius: 4.5,
                colour: canvas.palette.series[0],
                hollow: false,
            });
        }
    }
    scene
}

/// Names of all parameters in order of appearance.
pub(super) fn parameter_names(data: &Data) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for point in &data.trials {
        for name in point.parameters.keys() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// Axis of a parameter with the place of each value: numbers by size or its logarithm, others by kind.
pub(super) fn parameter_axis(
    data: &Data,
    name: &str,
    count: usize,
) -> (Axis, impl Fn(&Value) -> Option<f64>) {
    let values: Vec<&Value> = data
        .trials
        .iter()
        .filter_map(|point| point.parameters.get(name))
        .collect();
    let numbers: Option<Vec<f64>> = values.iter().map(|value| value.as_f64()).collect();
    let mut kinds: Vec<Value> = Vec::new();
    let axis = match numbers {
        Some(numbers) if !numbers.is_empty() => Axis::over(
            numbers.into_iter(),
            data.log_parameters.iter().any(|log| log == name),
            count,
        ),
        _ => {
            for value in values {
                if !kinds.contains(value) {
                    kinds.push(value.clone());
                }
            }
            let mut axis = Axis::over(
                [0.0, kinds.len().saturating_sub(1) as f64].into_iter(),
                false,
                count,
            );
            axis.ticks = kinds
                .iter()
                .enumerate()
                .map(|(index, kind)| (index as f64, text::clip(&number::value(kind), 12, true)))
                .collect();
            axis
        }
    };
    let place = move |value: &Value| {
        if kinds.is_empty() {
            value.as_f64()
        } else {
            kinds
                .iter()
                .position(|kind| kind == value)
                .map(|index| index as f64)
        }
    };
    (axis, place)
}

/// Bars of importance, or why there are none yet.
pub fn importance(data: &Data, shares: Result<&[Importance], String>, canvas: &Canvas) -> Scene {
    let mut scene = blank(
        canvas,
        &format!("{}: what {} depends on (PED-ANOVA)", data.name, data.metric),
        summary(data),
    );
    let shares = match shares {
        Ok(shares) if !shares.is_empty() => shares,
        Ok(_) => {
            nothing(&mut scene, canvas, "no parameters");
            return scene;
        }
        Err(reason) => {
            nothing(&mut scene, canvas, &reason);
            return scene;
        }
    };
    let left = 180.0_f64.min(canvas.width * 0.35);
    let width = canvas.width - left - 80.0;
    let each = ((canvas.height - 70.0) / shares.len() as f64).min(40.0);
    for (index, entry) in shares.iter().enumerate() {
        let top = 50.0 + index as f64 * each;
        let name = text::clip(&text::printable(&entry.parameter), (left / 7.5) as usize, true);
        scene.text(
            (left - 8.0, top + each / 2.0 + 2.0),
            name,
            NORMAL,
            canvas.palette.text,
            Anchor::End,
        );
        scene.items.push(Item::Rect {
            at: (left, top),
            size: (width * entry.share, each * 0.7),
            colour: canvas.palette.series[0],
        });
        scene.text(
            (left + width * entry.share + 6.0, top + each / 2.0 + 2.0),
            format!("{:.2}", entry.share),
            NORMAL,
            canvas.palette.text,
            Anchor::Start,
        );
    }
    scene
}

pub(super) fn nothing(scene: &mut Scene, canvas: &Canvas, reason: &str) {
    scene.text(
        (canvas.width / 2.0, canvas.height / 2.0),
        text::printable(reason),
        NORMAL,
        canvas.palette.muted,
        Anchor::Middle,
    );
}
