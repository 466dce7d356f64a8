//! Regression forest with predictive variance: extremely randomized trees (Geurts et al. 2006) on bootstrap samples, mean and variance over
//! trees as in SMAC (Hutter et al. 2011), within-leaf variance included.

pub use crate::space::features::Column;

use super::SurrogateError;
use crate::space::rng::stream;
use rayon::prelude::*;

/// Size and shape.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of trees.
    pub trees: usize,
    /// Rows that one tree sees, drawn with replacement; fewer if there are fewer.
    pub rows: usize,
    /// Share of the columns tried at a split.
    pub columns: f64,
    /// Smallest node that is split.
    pub split: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            trees: 48,
            rows: 400,
            columns: 5.0 / 6.0,
            split: 3,
        }
    }
}

/// A grown forest.
#[derive(Clone, Debug)]
pub struct Forest {
    trees: Vec<Vec<Node>>,
}

#[derive(Clone, Copy, Debug)]
enum Node {
    Leaf {
        mean: f64,
        variance: f64,
    },
    /// Left if the number is at most `threshold`; children follow at `left` and `right`.
    Cut {
        column: usize,
        threshold: f64,
        left: usize,
        right: usize,
    },
    /// Left if the category's bit is set.
    Part {
        column: usize,
        left_bits: u64,
        left: usize,
        right: usize,
    },
}

/// Categories that a split can tell apart; further ones share the last bit.
const BITS: usize = 63;

fn bit(x: f64) -> u64 {
    1 << (x.max(-1.0) as i64 + 1).clamp(0, BITS as i64)
}

impl Forest {
    /// Grows a forest on row-major `features` (one column per entry of `columns`).
    ///
    /// # Errors
    /// [`SurrogateError::Empty`] without rows.
    pub fn grow(
        columns: &[Column],
        features: &[f64],
        values: &[f64],
        shape: &Shape,
        seed: u64,
    ) -> Result<Self, SurrogateError> {
        if values.is_empty() || columns.is_empty() {
            return Err(SurrogateError::Empty);
        }
        let trees = (0..shape.trees)
            .into_par_iter()
            .map(|tree| {
                let mut draws = stream(seed, "forest", tree as u64);
                let rows: Vec<usize> = (0..values.len().min(shape.rows))
                    .map(|_| draws.index(values.len()))
                    .collect();
                let mut grower = Grower {
                    columns,
                    features,
                    values,
                    shape,
                    draws,
                    nodes: Vec::new(),
                };
                grower.node(rows);
                grower.nodes
            })
            .collect();
        Ok(Self { trees })
    }

    /// Mean and variance at one point.
    pub fn predict(&self, point: &[f64]) -> (f64, f64) {
        let count = self.trees.len().max(1) as f64;
        let (mut first, mut second, mut within) = (0.0, 0.0, 0.0);
        for tree in &self.trees {
            let mut at = 0;
            let (mean, variance) = loop {
                let column = |i: &usize| point.get(*i).copied().unwrap_or(-1.0);
                at = match tree.get(at) {
                    Some(Node::Leaf { mean, variance }) => break (*mean, *variance),
                    Some(Node::Cut {
                        column: c,
                        threshold,
                        left,
                        right,
                    }) => {
                        if column(c) <= *threshold {
                            *left
                        } else {
                            *right
                        }
                    }
                    Some(Node::Part {
                        column: c,
                        left_bits,
                        left,
                        right,
                    }) => {
                        if bit(column(c)) & left_bits != 0 {
                            *left
                        } else {
                            *right
                        }
                    }
                    None => break (0.0, 0.0),
                };
            };
            first += mean;
            second += mean * mean;
            within += variance;
        }
        let mean = first / count;
        (
            mean,
            ((second / count - mean * mean).max(0.0) + within / count).max(super::gp::MIN_VARIANCE),
        )
    }
}

struct Grower<'a> {
    columns: &'a [Column],
    features: &'a [f64],
    values: &'a [f64],
    shape: &'a Shape,
    draws: crate::space::rng::Stream,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
enum Split {
    Cut(usize, f64),
    Part(usize, u64),
}

impl Grower<'_> {
    fn feature(&self, row: usize, column: usize) -> f64 {
        let x = self
            .features
            .get(row * self.columns.len() + column)
            .copied()
            .unwrap_or(f64::NAN);
        if x.is_nan() { -1.0 } else { x }
    }

    fn value(&self, row: usize) -> f64 {
        self.values.get(row).copied().unwrap_or(0.0)
    }

    fn goes_left(&self, row: usize, split: Split) -> bool {
        match split {
            Split::Cut(column, threshold) => self.feature(row, column) <= threshold,
            Split::Part(column, bits) => bit(self.feature(row, column)) & bits != 0,
        }
    }

    /// Grows the subtree of `rows` and returns its index.
    fn node(&mut self, rows: Vec<usize>) -> usize {
        let at = self.nodes.len();
        let n = rows.len().max(1) as f64;
        let mean = rows.iter().map(|row| self.value(*row)).sum::<f64>() / n;
        let variance = rows
            .iter()
            .map(|row| (self.value(*row) - mean) * (self.value(*row) - mean))
            .sum::<f64>()
            / n;
        self.nodes.push(Node::Leaf { mean, variance });
        if rows.len() < self.shape.split || variance <= 1e-14 {
            return at;
        }
        let Some(split) = self.best_split(&rows) else {
            return at;
        };
        let (left, right): (Vec<usize>, Vec<usize>) =
            rows.into_iter().partition(|row| self.goes_left(*row, split));
        let left = self.node(left);
        let right = self.node(right);
        let node = match split {
            Split::Cut(column, threshold) => Node::Cut {
                column,
                threshold,
                left,
                right,
            },
            Split::Part(column, left_bits) => Node::Part {
                column,
                left_bits,
                left,
                right,
            },
        };
        if let Some(slot) = self.nodes.get_mut(at) {
            *slot = node;
        }
        at
    }

    /// The best of one random split per tried column, by reduction of the squared error.
    fn best_split(&mut self, rows: &[usize]) -> Option<Split> {
        let mut best: Option<(f64, Split)> = None;
        for column in 0..self.columns.len() {
            let tried = self.draws.unit() < self.shape.columns || self.columns.len() == 1;
            let at = self.draws.unit();
            let coins = self.draws.bits();
            let split = match self.columns.get(column) {
                _ if !tried => continue,
                None | Some(Column::Ignored) => continue,
                Some(Column::Number) => {
                    let range = rows.iter().map(|row| self.feature(*row, column));
                    let (low, high) = range.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| {
                        (l.min(x), h.max(x))
                    });
                    if low >= high {
                        continue;
                    }
                    Split::Cut(column, low + at * (high - low))
                }
                Some(Column::Category(_)) => {
                    // A random half of the categories present, or one of them.
                    let present = rows
                        .iter()
                        .fold(0_u64, |bits, row| bits | bit(self.feature(*row, column)));
                    let one = 1_u64 << (present.trailing_zeros() as u64 + (coins >> 58) % 64).min(63);
                    let half = present & coins;
                    let bits = if half != 0 && half != present {
                        half
                    } else {
                        present & one
                    };
                    if bits == 0 || bits == present {
                        continue;
                    }
                    Split::Part(column, bits)
                }
            };
            let (mut left, mut left_count, mut total) = (0.0, 0.0, 0.0);
            for row in rows {
                let y = self.value(*row);
                total += y;
                if self.goes_left(*row, split) {
                    left += y;
                    left_count += 1.0;
                }
            }
            let right_count = rows.len() as f64 - left_count;
            if left_count == 0.0 || right_count == 0.0 {
                continue;
            }
            let right = total - left;
            let gain = left * left / left_count + right * right / right_count;
            if best.is_none_or(|(most, _)| gain > most) {
                best = Some((gain, split));
            }
        }
        best.map(|(_, split)| split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_a_step_and_a_category_and_doubts_far_away() {
        let mut draws = stream(3, "forest data", 0);
        let (mut features, mut values) = (Vec::new(), Vec::new());
        for _ in 0..300 {
            let (x, c, noise) = (draws.unit(), draws.index(4) as f64, draws.unit());
            features.extend([x, c, noise]);
            values.push(
                if x > 0.5 { 2.0 } else { 0.0 } + if c == 2.0 { -3.0 } else { 0.0 } + 0.05 * draws.normal(),
            );
        }
        let columns = [Column::Number, Column::Category(4), Column::Number];
        let forest = Forest::grow(&columns, &features, &values, &Shape::default(), 1).unwrap();
        for (point, expected) in [
            ([0.8, 0.0, 0.3], 2.0),
            ([0.2, 1.0, 0.9], 0.0),
            ([0.8, 2.0, 0.5], -1.0),
            ([0.1, 2.0, 0.5], -3.0),
        ] {
            let (mean, variance) = forest.predict(&point);
            assert!((mean - expected).abs() < 0.3, "{point:?} {mean}");
            assert!(variance > 0.0 && variance < 0.6, "{point:?} {variance}");
        }
        let edge = forest.predict(&[0.5, 0.0, 0.5]).1;
        assert!(
            edge > 3.0 * forest.predict(&[0.9, 0.0, 0.5]).1,
            "the step is where the trees disagree"
        );
        let again = Forest::grow(&columns, &features, &values, &Shape::default(), 1).unwrap();
        assert_eq!(forest.predict(&[0.4, 3.0, 0.1]), again.predict(&[0.4, 3.0, 0.1]));
        assert!(Forest::grow(&columns, &[], &[], &Shape::default(), 1).is_err());
    }
}
