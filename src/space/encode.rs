//! From assignments to coordinates and features, and back: what the model-based samplers compute on.
//!
//! A *coordinate* is one number per parameter: a position in [0, 1] for numbers (uniform in probability, so a normal parameter carries
//! its prior by itself), the option's index for a choice, NaN while inactive. *Features* are what a surrogate compares: numbers on an
//! axis, also for a `choice` of three or more numbers; categories by equality; conditional axes as an arc that shrinks to its centre when
//! inactive (Swersky et al. 2014). Numbers on a grid are compared at the values that they round to (Garrido-Merchán & Hernández-Lobato 2020).

use super::distribution::logarithm;
use super::domain::is_active;
use super::features::{Column, Group, GroupKind};
use super::{Assignment, Distribution, Domain, Levels, Value, normal};
use crate::space::rng::Stream;
use std::sync::Arc;

/// Tails of normal kinds beyond these probabilities are not searched.
const TAIL: f64 = 1e-4;

/// Share of pi that an arc spans.
const ARC: f64 = 0.8;

/// How one parameter is searched and compared.
#[derive(Clone, Debug, PartialEq)]
enum Axis {
    /// One value only.
    Fixed,
    /// Drawn, but without influence (`seed`).
    Noise,
    /// A number; on a grid if `grid`.
    Number { grid: bool },
    /// An ordered choice: position of every option in [0, 1], and the options in ascending order.
    Ladder { positions: Vec<f64>, order: Vec<usize> },
    /// An unordered choice of so many options.
    Category { options: usize },
}

/// The encoding of one space.
#[derive(Clone, Debug)]
pub struct Encoder {
    domain: Arc<Domain>,
    axes: Vec<Axis>,
    groups: Vec<Group>,
    /// Parameter behind each group.
    owners: Vec<usize>,
    width: usize,
}

impl Encoder {
    /// Decides how every parameter of `domain` is encoded.
    pub fn new(domain: Arc<Domain>) -> Self {
        let space = domain.space().clone();
        let axes: Vec<Axis> = space
            .parameters
            .iter()
            .map(|p| axis(&p.name, &p.distribution))
            .collect();
        let mut groups = Vec::new();
        let mut owners = Vec::new();
        let mut width = 0;
        let mut push = |owner, kind, columns| {
            owners.push(owner);
            groups.push(Group {
                kind,
                start: width,
                width: columns,
            });
            width += columns;
        };
        for (owner, (axis, parameter)) in axes.iter().zip(&space.parameters).enumerate() {
            let arc = if parameter.condition.is_some() { 2 } else { 1 };
            match axis {
                Axis::Fixed | Axis::Noise => {}
                Axis::Number { .. } | Axis::Ladder { .. } => push(owner, GroupKind::Euclid, arc),
                Axis::Category { .. } => push(owner, GroupKind::Hamming, 1),
            }
        }
        Self {
            domain,
            axes,
            groups,
            owners,
            width,
        }
    }

    /// Name of the parameter behind a feature group.
    pub fn owner(&self, group: usize) -> Option<&str> {
        let parameter = self.owners.get(group)?;
        self.domain
            .space()
            .parameters
            .get(*parameter)
            .map(|p| p.name.as_str())
    }

    /// The space.
    pub fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    /// How feature columns are compared.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Number of feature columns; 0 if nothing can be modelled.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of parameters that are searched.
    pub fn dimensions(&self) -> usize {
        self.axes
            .iter()
            .filter(|axis| !matches!(axis, Axis::Fixed | Axis::Noise))
            .count()
    }

    /// Coordinates of an assignment; values that fit no option become the first one.
    pub fn coordinates(&self, assignment: &Assignment) -> Vec<f64> {
        let options = self.domain.options_of(assignment);
        let parameters = self.domain.space().parameters.iter();
        parameters
            .zip(&assignment.values)
            .zip(options)
            .map(|((parameter, value), option)| match value {
                None => f64::NAN,
                Some(value) => match parameter.distribution {
                    Distribution::Choice { .. } => option.unwrap_or(0) as f64,
                    _ => parameter.distribution.unit_of(value.as_f64().unwrap_or(f64::NAN)),
                },
            })
            .collect()
    }

    /// The assignment at coordinates made by this encoder.
    pub fn assignment(&self, coordinates: &[f64]) -> Assignment {
        let parameters = self.domain.space().parameters.iter();
        let value = |(parameter, x): (&super::Parameter, &f64)| {
            (!x.is_nan()).then(|| match &parameter.distribution {
                Distribution::Choice { options, .. } => {
                    options.get(*x as usize).cloned().unwrap_or(Value::Null)
                }
                distribution => distribution.quantile(x.clamp(1e-16, 1.0 - 1e-16)),
            })
        };
        Assignment {
            values: parameters.zip(coordinates).map(value).collect(),
        }
    }

    /// Appends the features at coordinates.
    pub fn features(&self, coordinates: &[f64], out: &mut Vec<f64>) {
        let conditional = self
            .domain
            .space()
            .parameters
            .iter()
            .map(|p| p.condition.is_some());
        for ((axis, x), conditional) in self.axes.iter().zip(coordinates).zip(conditional) {
            let mut position = |p: f64| match (conditional, p.is_nan()) {
                (false, _) => out.push(p),
                (true, true) => out.extend([0.0, 0.0]),
                (true, false) => {
                    let angle = std::f64::consts::PI * ARC * p;
                    out.extend([libm::sin(angle), libm::cos(angle)]);
                }
            };
            match axis {
                Axis::Fixed | Axis::Noise => {}
                Axis::Number { .. } => position(*x),
                Axis::Category { .. } => out.push(if x.is_nan() { -1.0 } else { *x }),
                Axis::Ladder { positions, .. } => {
                    let p = if x.is_nan() {
                        f64::NAN
                    } else {
                        positions.get(*x as usize).copied().unwrap_or(0.0)
                    };
                    position(p);
                }
            }
        }
    }

    /// The options of an ordered choice in ascending order; `None` for other parameters.
    pub fn ladder(&self, parameter: usize) -> Option<&[usize]> {
        match self.axes.get(parameter) {
            Some(Axis::Ladder { order, .. }) => Some(order),
            _ => None,
        }
    }

    /// What the columns of a regression forest are, one per parameter.
    pub fn columns(&self) -> Vec<Column> {
        let column = |axis: &Axis| match axis {
            Axis::Fixed | Axis::Noise => Column::Ignored,
            Axis::Number { .. } | Axis::Ladder { .. } => Column::Number,
            Axis::Category { options } => Column::Category(*options),
        };
        self.axes.iter().map(column).collect()
    }

    /// Appends the forest's columns at coordinates: positions, category codes, -1 while inactive.
    pub fn columns_at(&self, coordinates: &[f64], out: &mut Vec<f64>) {
        out.extend(self.axes.iter().zip(coordinates).map(|(axis, x)| match axis {
            _ if x.is_nan() => -1.0,
            Axis::Ladder { positions, .. } => positions.get(*x as usize).copied().unwrap_or(0.0),
            _ => *x,
        }));
    }

    /// Coordinates whose `i`-th parameter, if active, lies at probability `unit(i)`.
    pub fn at(&self, mut unit: impl FnMut(usize) -> f64) -> Vec<f64> {
        self.build(|index, distribution, _| {
            let u = unit(index);
            match distribution {
                Distribution::Choice { options, .. } => {
                    (u * options.len() as f64).floor().min(options.len() as f64 - 1.0)
                }
                _ => u,
            }
        })
    }

    /// Coordinates near `from`: each parameter moves with probability `rate`, at least one; numbers by `10^U(spread) N(0, 1)` but at least
    /// a grid step, categories to another option. What becomes active is drawn.
    pub fn mutate(&self, from: &[f64], rate: f64, spread: (f64, f64), draws: &mut Stream) -> Vec<f64> {
        let count = self.axes.len();
        let searched = |i: usize| self.axes.get(i).is_some_and(|axis| !matches!(axis, Axis::Fixed));
        let active = |i: usize| from.get(i).is_some_and(|x| !x.is_nan());
        let movable: Vec<usize> = (0..count).filter(|i| searched(*i) && active(*i)).collect();
        let forced = movable.get(draws.index(movable.len())).copied();
        self.build(|index, distribution, axis| {
            let old = from.get(index).copied().unwrap_or(f64::NAN);
            let moves = draws.unit() < rate || forced == Some(index);
            if old.is_nan() {
                let u = draws.unit();
                return match distribution {
                    Distribution::Choice { options, .. } => (u * options.len() as f64).floor(),
                    _ => u,
                };
            }
            if !moves {
                return old;
            }
            let exponent = spread.0 + (spread.1 - spread.0) * draws.unit();
            let step = libm::exp(std::f64::consts::LN_10 * exponent) * draws.normal();
            match axis {
                Axis::Fixed => old,
                Axis::Noise => match distribution {
                    Distribution::Choice { options, .. } => draws.index(options.len()) as f64,
                    _ => draws.unit(),
                },
                Axis::Category { options } => {
                    let other = draws.index(options.saturating_sub(1)) as f64;
                    if other >= old { other + 1.0 } else { other }
                }
                Axis::Ladder { order, .. } => {
                    let rank = order.iter().position(|option| *option as f64 == old).unwrap_or(0) as f64;
                    let top = order.len().saturating_sub(1) as f64;
                    let jump = (step * top).round_ties_even();
                    let jump = if jump == 0.0 { 1_f64.copysign(step) } else { jump };
                    order
                        .get(reflect(rank + jump, 0.0, top) as usize)
                        .map_or(old, |option| *option as f64)
                }
                Axis::Number { grid: false } => reflect(old + step, 0.0, 1.0),
                Axis::Number { grid: true } => {
                    let mut step = step;
                    for _ in 0..14 {
                        let moved = distribution.snap(reflect(old + step, 0.0, 1.0));
                        if moved != old {
                            return moved;
                        }
                        step *= 2.0;
                    }
                    old
                }
            }
        })
    }

    /// Coordinates from raw ones: numbers in [0, 1] or option indices as given, drawn where NaN but active, NaN where inactive.
    pub fn complete(&self, raw: &[f64], draws: &mut Stream) -> Vec<f64> {
        self.build(|index, distribution, _| {
            let u = draws.unit();
            match (raw.get(index), distribution) {
                (Some(x), _) if !x.is_nan() => *x,
                (_, Distribution::Choice { options, .. }) => (u * options.len() as f64).floor(),
                _ => u,
            }
        })
    }

    /// Fills coordinates in order of declaration, NaN where inactive, on the grid and off the tails where active.
    fn build(&self, mut coordinate: impl FnMut(usize, &Distribution, &Axis) -> f64) -> Vec<f64> {
        let mut chosen: Vec<Option<usize>> = Vec::with_capacity(self.axes.len());
        let mut out = Vec::with_capacity(self.axes.len());
        for (index, (axis, parameter)) in self.axes.iter().zip(&self.domain.space().parameters).enumerate() {
            let raw = coordinate(index, &parameter.distribution, axis);
            let active = is_active(parameter.condition.as_ref(), &chosen);
            let choice = matches!(parameter.distribution, Distribution::Choice { .. });
            let x = match (active, axis) {
                (false, _) => f64::NAN,
                (true, Axis::Number { .. }) => parameter.distribution.snap(raw),
                (true, Axis::Noise) if !choice => parameter.distribution.snap(raw),
                (true, Axis::Fixed) if !choice => 0.5,
                (true, _) => raw,
            };
            chosen.push((active && choice).then_some(x as usize));
            out.push(x);
        }
        out
    }
}

/// Folds a step over the edge back in, once, then clips.
fn reflect(x: f64, low: f64, high: f64) -> f64 {
    let folded = if x < low {
        2.0 * low - x
    } else if x > high {
        2.0 * high - x
    } else {
        x
    };
    folded.clamp(low, high)
}

fn axis(name: &str, distribution: &Distribution) -> Axis {
    let levels = distribution.levels();
    if levels == Levels::Finite(1) {
        return Axis::Fixed;
    }
    let last = name.rsplit(['/', '-', '_', '.']).next().unwrap_or(name);
    if matches!(last.to_ascii_lowercase().as_str(), "seed" | "randomseed") {
        return Axis::Noise;
    }
    match distribution {
        Distribution::Choice { options, ordered } => choice_axis(options, *ordered),
        Distribution::Randint { upper } if *upper <= 8 && !is_size(name) => Axis::Number { grid: true },
        _ => Axis::Number {
            grid: levels != Levels::Continuous,
        },
    }
}

fn choice_axis(options: &[Value], ordered: Option<bool>) -> Axis {
    let numbers: Option<Vec<f64>> = options.iter().map(Value::as_f64).collect();
    let plain = Axis::Category {
        options: options.len(),
    };
    match (ordered, numbers) {
        (Some(false), _) => plain,
        (None, Some(numbers)) if numbers.len() >= 3 => ladder(&numbers),
        (Some(true), Some(numbers)) => ladder(&numbers),
        (Some(true), None) => ladder(&(0..options.len()).map(|i| i as f64).collect::<Vec<_>>()),
        _ => plain,
    }
}

/// Positions by rank, or by logarithm where the ratios of neighbours are about constant.
fn ladder(numbers: &[f64]) -> Axis {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    let at = |i: usize| numbers.get(i).copied().unwrap_or(0.0);
    order.sort_by(|a, b| at(*a).total_cmp(&at(*b)).then(a.cmp(b)));
    let mut distinct: Vec<f64> = order.iter().map(|i| at(*i)).collect();
    distinct.dedup();
    let ratios: Vec<f64> = distinct
        .iter()
        .zip(distinct.iter().skip(1))
        .map(|(a, b)| b / a)
        .collect();
    let (least, most) = ratios
        .iter()
        .fold((f64::INFINITY, 0.0_f64), |(l, m), r| (l.min(*r), m.max(*r)));
    let (first, last) = (
        distinct.first().copied().unwrap_or(0.0),
        distinct.last().copied().unwrap_or(0.0),
    );
    let geometric = first > 0.0 && last > first && most <= 2.0 * least;
    let position = |value: f64| {
        if geometric {
            (libm::log(value) - libm::log(first)) / (libm::log(last) - libm::log(first))
        } else {
            distinct.iter().position(|v| *v == value).unwrap_or(0) as f64 / (distinct.len().max(2) - 1) as f64
        }
    };
    Axis::Ladder {
        positions: numbers.iter().map(|v| position(*v)).collect(),
        order,
    }
}

/// Whether a name speaks of a quantity.
fn is_size(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "num", "size", "depth", "layer", "width", "unit", "count", "epoch", "n_", "dim",
    ]
    .iter()
    .any(|word| name.contains(word))
}

impl Distribution {
    /// Position of a number in probability: the inverse of the draw, within [0, 1] for values inside the bounds, at most half a range
    /// outside for others; normal kinds are clipped to their searched part. 0.5 where it has no meaning.
    pub fn unit_of(&self, value: f64) -> f64 {
        let position = match self {
            Self::Choice { .. } => return 0.5,
            Self::Randint { upper } => (value + 0.5) / *upper as f64,
            Self::Int {
                low,
                high,
                log: false,
            } => (value - *low as f64 + 0.5) / (high.abs_diff(*low) as f64 + 1.0),
            Self::Int { low, high, log: true } => {
                let (from, to) = (libm::log(*low as f64 - 0.5), libm::log(*high as f64 + 0.5));
                (libm::log(value.max(0.5)) - from) / (to - from)
            }
            Self::Uniform { low, high } | Self::Quniform { low, high, .. } => (value - low) / (high - low),
            Self::Loguniform { low, high, base } | Self::Qloguniform { low, high, base, .. } => {
                (logarithm(*base, value.max(f64::MIN_POSITIVE)) - low) / (high - low)
            }
            Self::Normal { mu, sigma } | Self::Qnormal { mu, sigma, .. } => {
                normal::cdf((value - mu) / sigma).clamp(TAIL, 1.0 - TAIL)
            }
            Self::Lognormal { mu, sigma, base } | Self::Qlognormal { mu, sigma, base, .. } => {
                let z = (logarithm(*base, value.max(f64::MIN_POSITIVE)) - mu) / sigma;
                normal::cdf(z).clamp(TAIL, 1.0 - TAIL)
            }
        };
        if position.is_nan() {
            0.5
        } else {
            position.clamp(-0.5, 1.5)
        }
    }

    /// The position of the value that a draw at `u` yields: `u` itself for continuous kinds.
    pub fn snap(&self, u: f64) -> f64 {
        let u = u.clamp(0.0, 1.0);
        match self {
            Self::Choice { .. } | Self::Uniform { .. } | Self::Loguniform { .. } => u,
            Self::Normal { .. } | Self::Lognormal { .. } => u.clamp(TAIL, 1.0 - TAIL),
            Self::Randint { .. } | Self::Int { log: false, .. } => {
                let count = match self.levels() {
                    Levels::Finite(count) => count as f64,
                    _ => 1.0,
                };
                ((u * count).floor().min(count - 1.0) + 0.5) / count
            }
            _ => self
                .quantile(u.clamp(TAIL.min(1e-9), 1.0 - 1e-9))
                .as_f64()
                .map_or(u, |value| self.unit_of(value)),
        }
    }
}

#[cfg(test)]
mod tests;
