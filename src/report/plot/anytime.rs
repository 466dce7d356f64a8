//! Several optimizers over the course of a benchmark: a line each, with its interval at every checkpoint.

use super::Canvas;
use super::axis::Axis;
use super::charts::{Frame, axes, blank};
use super::scene::{Anchor, Item, Scene};
use crate::report::text;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Place, and mean with the ends of its interval.
    pub points: Vec<(f64, [f64; 3])>,
}

/// The lines, best at the end first, on logarithmic axes where every value is positive.
pub fn anytime(lines: &[Line], x_name: &str, y_name: &str, canvas: &Canvas) -> Scene {
    let palette = &canvas.palette;
    let caption = lines.first().map_or_else(
        || "no optimizer".to_owned(),
        |best| {
            format!(
                "{y_name} of {} optimizers over {x_name}; {} ends lowest",
                lines.len(),
                best.name
            )
        },
    );
    let mut scene = blank(canvas, &format!("{y_name}, with 95 % intervals"), caption);
    let names = 150.0;
    let frame = Frame {
        left: 70.0,
        top: 44.0,
        width: (canvas.width - 70.0 - names).max(60.0),
        height: (canvas.height - 44.0 - 48.0).max(60.0),
    };
    let all = || lines.iter().flat_map(|line| &line.points);
    let x = Axis::over(all().map(|(x, _)| *x), true, 6);
    let y = Axis::over(all().flat_map(|(_, values)| *values), true, 5);
    axes(&mut scene, canvas, &frame, (&x, x_name), (&y, y_name));
    let place = |at: f64, value: f64| Some(frame.at(x.place(at)?, y.place(value)?));
    let mut labels: Vec<(f64, usize)> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let colour = palette
            .series
            .get(index % palette.series.len())
            .copied()
            .unwrap_or(palette.text);
        for (at, [_, low, high]) in &line.points {
            if let (Some(from), Some(to)) = (place(*at, *low), place(*at, *high)) {
                scene.line(from, to, colour.faded(0.5), 2.0);
            }
        }
        let points: Vec<(f64, f64)> = line
            .points
            .iter()
            .filter_map(|(at, [mean, ..])| place(*at, *mean))
            .collect();
        for at in &points {
            scene.items.push(Item::Circle {
                at: *at,
                radius: 3.0,
                colour,
                hollow: false,
            });
        }
        if let Some((_, level)) = points.last() {
            labels.push((*level, index));
        }
        scene.items.push(Item::Path {
            points,
            colour,
            width: 2.0,
            // More lines than colours: the second round is dashed.
            dashed: index >= palette.series.len(),
        });
    }
    // Names stand at the ends of their lines, pushed down where they would overlap.
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut floor = f64::NEG_INFINITY;
    for (level, index) in labels {
        let Some(line) = lines.get(index) else { continue };
        let colour = palette
            .series
            .get(index % palette.series.len())
            .copied()
            .unwrap_or(palette.text);
        floor = level.max(floor + 14.0);
        let name = text::clip(&text::printable(&line.name), 18, true);
        scene.text(
            (frame.left + frame.width + 10.0, floor + 4.0),
            name,
            12.0,
            colour,
            Anchor::Start,
        );
    }
    scene
}

#[cfg(test)]
mod tests {
    use super::super::{Palette, svg};
    use super::*;

    #[test]
    fn every_line_is_drawn_and_named() {
        let line = |name: &str, scale: f64| Line {
            name: name.into(),
            points: [10.0, 25.0, 50.0]
                .map(|x| (x, [scale / x, 0.8 * scale / x, 1.2 * scale / x]))
                .to_vec(),
        };
        let canvas = Canvas {
            width: 640.0,
            height: 400.0,
            palette: Palette::LIGHT,
        };
        let picture = svg::write(&anytime(
            &[line("tpe", 2.0), line("random", 3.0)],
            "trials",
            "regret",
            &canvas,
        ));
        assert!(
            picture.contains(">tpe<") && picture.contains(">random<") && picture.contains("tpe ends lowest")
        );
        assert_eq!(picture.matches("<circle").count(), 6);
        svg::write(&anytime(&[], "trials", "regret", &canvas));
    }
}
