//! Covariance matrix adaptation evolution strategy (Hansen 2016), on the unit cube of the numeric parameters.
//!
//! The factor of the covariance takes the place of its eigenvectors (Suttorp et al. 2009). Numbers on a grid keep a least step (in the spirit
//! of Hamano et al. 2022), choices without order have probabilities that move towards those of the better half (as in CatCMA, Hamano et
//! al. 2024), the population doubles at every restart (IPOP, Auger & Hansen 2005).
//!
//! A generation is a range of trial numbers. The distribution that trial `n` is drawn from is the one after the last generation before `n` of
//! which, and of all before which, every trial has ended: it follows from the history, whatever the order of completion.

use super::rng::{Stream, stream};
use super::rows::{Encoded, Lesson, Point, lesson};
use super::seen::{Found, Seen, search};
use super::{Origin, Proposal, Sampler, Suggestion};
use crate::history::History;
use crate::space::encode::Encoder;
use crate::space::{Domain, Levels};
use crate::surrogate::Cholesky;
use crate::surrogate::forest::Column;
use std::sync::Arc;

/// Initial step size, in units of an axis.
const SIGMA: f64 = 0.25;
/// Step size at which a search starts again elsewhere.
const CONVERGED: f64 = 2e-3;
/// Learning rate of the probabilities of a choice.
const CATEGORY_RATE: f64 = 0.25;

/// How one parameter takes part.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    /// Not at all.
    Fixed,
    /// Axis `index` of the normal distribution; `step` is the distance of neighbours on a grid, else 0.
    Axis { index: usize, step: f64, ladder: bool },
    /// One of so many options.
    Category(usize),
}

/// `type: cma_es`.
#[derive(Debug)]
pub struct CmaEs {
    encoder: Encoder,
    parts: Vec<Part>,
    seed: u64,
    seen: Seen,
    encoded: Encoded,
    state: Option<State>,
}

/// The search distribution before the generation that starts at trial `from`.
#[derive(Clone, Debug)]
struct State {
    from: usize,
    generation: u64,
    restarts: u64,
    lambda: usize,
    mean: Vec<f64>,
    sigma: f64,
    covariance: Vec<f64>,
    factor: Cholesky,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    probabilities: Vec<Vec<f64>>,
}

impl CmaEs {
    /// A sampler of `domain`.
    pub fn new(domain: Arc<Domain>, seed: u64) -> Self {
        let encoder = Encoder::new(domain.clone());
        let mut axes = 0;
        let mut axis = |step, ladder| {
            axes += 1;
            Part::Axis {
                index: axes - 1,
                step,
                ladder,
            }
        };
        let parts = encoder
            .columns()
            .into_iter()
            .zip(&domain.space().parameters)
            .enumerate()
            .map(|(i, (column, parameter))| {
                match (column, encoder.ladder(i), parameter.distribution.levels()) {
                    (Column::Ignored, ..) => Part::Fixed,
                    (Column::Category(options), ..) => Part::Category(options),
                    (Column::Number, Some(order), _) => axis(1.0 / order.len().max(1) as f64, true),
                    (Column::Number, None, Levels::Finite(count)) => axis(1.0 / count as f64, false),
                    (Column::Number, None, _) => axis(0.0, false),
                }
            })
            .collect();
        Self {
            encoder,
            parts,
            seed,
            seen: Seen::default(),
            encoded: Encoded::default(),
            state: None,
        }
    }

    fn axes(&self) -> usize {
        self.parts
            .iter()
            .filter(|part| matches!(part, Part::Axis { .. }))
            .count()
    }

    /// The distribution to start from: around `mean`, or a random place after a restart.
    fn start(&self, from: usize, restarts: u64, lambda: usize, mean: Option<Vec<f64>>) -> State {
        let n = self.axes();
        let mut draws = stream(self.seed, "cma-es restart", restarts);
        let mean = mean.unwrap_or_else(|| {
            (0..n)
                .map(|_| if restarts == 0 { 0.5 } else { draws.unit() })
                .collect()
        });
        let mut covariance = vec![0.0; n * n];
        covariance.iter_mut().step_by(n + 1).for_each(|c| *c = 1.0);
        let options = |part: &Part| match part {
            Part::Category(options) => vec![1.0 / *options as f64; *options],
            _ => Vec::new(),
        };
        State {
            from,
            generation: 0,
            restarts,
            lambda,
            mean,
            sigma: SIGMA,
            factor: Cholesky::new(&covariance, n).unwrap_or_default(),
            covariance,
            path_sigma: vec![0.0; n],
            path_c: vec![0.0; n],
            probabilities: self.parts.iter().map(options).collect(),
        }
    }

    /// Brings the distribution up to date for trial `number`.
    fn advance(&self, state: &mut State, number: u64, history: &History) {
        let sign = -history.goal.sign();
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        while state.from + state.lambda <= number {
            let Some(trials) = history.trials.get(state.from..state.from + state.lambda) else {
                return;
            };
            let mut ranked: Vec<(f64, &Point)> = Vec::with_capacity(trials.len());
            for (index, trial) in trials.iter().enumerate() {
                let value = match lesson(trial) {
                    Lesson::Pending => return,
                    Lesson::Value(value) | Lesson::Partial(value) => sign * value,
                    Lesson::Failure | Lesson::Nothing => f64::INFINITY,
                };
                if let Some(point) = self.encoded.own(state.from + index) {
                    ranked.push((value, point));
                }
            }
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
            let positions: Vec<Vec<f64>> = ranked
                .iter()
                .map(|(_, point)| self.positions(point, &state.mean))
                .collect();
            let options: Vec<&[f64]> = ranked
                .iter()
                .map(|(_, point)| point.coordinates.as_slice())
                .collect();
            state.update(&positions);
            state.learn_options(&self.parts, &options);
            state.from += state.lambda;
            state.generation += 1;
            if state.converged(&self.parts) {
                let lambda = (state.lambda * 2).min(256);
                *state = self.start(state.from, state.restarts + 1, lambda, None);
            }
        }
    }

    /// Axis positions of a point; the mean where inactive, which teaches nothing.
    fn positions(&self, point: &Point, mean: &[f64]) -> Vec<f64> {
        let axes = self.parts.iter().enumerate().filter_map(|(i, part)| match part {
            Part::Axis { index, ladder, .. } => Some((i, *index, *ladder)),
            _ => None,
        });
        axes.map(|(parameter, index, ladder)| {
            let x = point.coordinates.get(parameter).copied().unwrap_or(f64::NAN);
            match (x.is_nan(), ladder, self.encoder.ladder(parameter)) {
                (true, ..) => mean.get(index).copied().unwrap_or(0.5),
                (false, true, Some(order)) => {
                    let rank = order.iter().position(|option| *option as f64 == x).unwrap_or(0);
                    (rank as f64 + 0.5) / order.len().max(1) as f64
                }
                _ => x,
            }
        })
        .collect()
    }

    /// Raw coordinates drawn from the distribution.
    fn draw(&self, state: &State, draws: &mut Stream) -> Vec<f64> {
        let offsets = state.offsets(draws);
        self.parts
            .iter()
            .enumerate()
            .map(|(i, part)| match part {
                Part::Fixed => f64::NAN,
                Part::Category(_) => {
                    let mut at = draws.unit();
                    let probabilities = state.probabilities.get(i).map(Vec::as_slice).unwrap_or_default();
                    let found = probabilities.iter().position(|p| {
                        at -= p;
                        at < 0.0
                    });
                    found.unwrap_or(0) as f64
                }
                Part::Axis { index, step, ladder } => {
                    let mean = state.mean.get(*index).copied().unwrap_or(0.5);
                    let offset = offsets.get(*index).copied().unwrap_or(0.0);
                    let least = 0.4 * step / state.deviation(*index).max(1e-300);
                    let x = fold(mean + offset * least.max(1.0));
                    match (ladder, self.encoder.ladder(i)) {
                        (true, Some(order)) => {
                            let rank = ((x * order.len() as f64) as usize).min(order.len().saturating_sub(1));
                            order.get(rank).map_or(f64::NAN, |option| *option as f64)
                        }
                        _ => x,
                    }
                }
            })
            .collect()
    }
}

/// Reflects at the edges until inside [0, 1].
fn fold(x: f64) -> f64 {
    let around = x - (x / 2.0).floor() * 2.0;
    if around > 1.0 { 2.0 - around } else { around }
}

impl State {
    fn deviation(&self, axis: usize) -> f64 {
        let n = self.mean.len();
        self.sigma
            * self
                .covariance
                .get(axis * n + axis)
                .copied()
                .unwrap_or(1.0)
                .max(0.0)
                .sqrt()
    }

    /// `sigma L z`.
    fn offsets(&self, draws: &mut Stream) -> Vec<f64> {
        let z: Vec<f64> = (0..self.mean.len()).map(|_| draws.normal()).collect();
        (0..z.len())
            .map(|i| self.sigma * self.factor.row(i).iter().zip(&z).map(|(l, z)| l * z).sum::<f64>())
            .collect()
    }

    /// One generation, best first (Hansen 2016, eq. 43-57 with the factor for the root of the covariance).
    fn update(&mut self, ranked: &[Vec<f64>]) {
        let n = self.mean.len();
        if n == 0 || ranked.is_empty() {
            return;
        }
        let dimension = n as f64;
        let mu = (ranked.len() / 2).max(1);
        let raw: Vec<f64> = (0..mu)
            .map(|i| libm::log(ranked.len() as f64 / 2.0 + 0.5) - libm::log(i as f64 + 1.0))
            .collect();
        let total: f64 = raw.iter().sum();
        let weights: Vec<f64> = raw.iter().map(|w| w / total).collect();
        let mu_eff = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
        let c_sigma = (mu_eff + 2.0) / (dimension + mu_eff + 5.0);
        let damping = 1.0 + 2.0 * (((mu_eff - 1.0) / (dimension + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma;
        let c_c = (4.0 + mu_eff / dimension) / (dimension + 4.0 + 2.0 * mu_eff / dimension);
        let c_1 = 2.0 / ((dimension + 1.3) * (dimension + 1.3) + mu_eff);
        let c_mu = (1.0 - c_1)
            .min(2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((dimension + 2.0) * (dimension + 2.0) + mu_eff))
            .max(0.0);
        let expected =
            dimension.sqrt() * (1.0 - 1.0 / (4.0 * dimension) + 1.0 / (21.0 * dimension * dimension));

        let steps: Vec<Vec<f64>> = ranked
            .iter()
            .take(mu)
            .map(|x| {
                x.iter()
                    .zip(&self.mean)
                    .map(|(x, m)| (x - m) / self.sigma)
                    .collect()
            })
            .collect();
        let mut mean_step = vec![0.0; n];
        for (step, weight) in steps.iter().zip(&weights) {
            mean_step
                .iter_mut()
                .zip(step)
                .for_each(|(sum, y)| *sum += weight * y);
        }
        self.mean
            .iter_mut()
            .zip(&mean_step)
            .for_each(|(m, y)| *m = (*m + self.sigma * y).clamp(0.0, 1.0));
        let mut whitened = mean_step.clone();
        self.factor.forward(&mut whitened);
        let gain = (c_sigma * (2.0 - c_sigma) * mu_eff).sqrt();
        self.path_sigma
            .iter_mut()
            .zip(&whitened)
            .for_each(|(p, y)| *p = (1.0 - c_sigma) * *p + gain * y);
        let length = self.path_sigma.iter().map(|p| p * p).sum::<f64>().sqrt();
        let decay = 1.0 - libm::pow(1.0 - c_sigma, 2.0 * (self.generation as f64 + 1.0));
        let moving = length / decay.sqrt() < (1.4 + 2.0 / (dimension + 1.0)) * expected;
        let gain = if moving {
            (c_c * (2.0 - c_c) * mu_eff).sqrt()
        } else {
            0.0
        };
        self.path_c
            .iter_mut()
            .zip(&mean_step)
            .for_each(|(p, y)| *p = (1.0 - c_c) * *p + gain * y);
        let keep = 1.0 - c_1 - c_mu + if moving { 0.0 } else { c_1 * c_c * (2.0 - c_c) };
        for i in 0..n {
            for j in 0..n {
                let of = |v: &[f64]| v.get(i).copied().unwrap_or(0.0) * v.get(j).copied().unwrap_or(0.0);
                let rank_mu: f64 = steps
                    .iter()
                    .zip(&weights)
                    .map(|(step, weight)| weight * of(step))
                    .sum();
                if let Some(c) = self.covariance.get_mut(i * n + j) {
                    *c = keep * *c + c_1 * of(&self.path_c) + c_mu * rank_mu;
                }
            }
        }
        self.sigma =
            (self.sigma * libm::exp((c_sigma / damping) * (length / expected - 1.0))).clamp(1e-8, 1.0);
        // A covariance that rounding has spoilt keeps its old factor for one generation.
        if let Ok(factor) = Cholesky::new(&self.covariance, n) {
            self.factor = factor;
        }
    }

    /// Moves the probabilities of choices towards the frequencies among the better half, with a floor.
    fn learn_options(&mut self, parts: &[Part], ranked: &[&[f64]]) {
        let mu = (ranked.len() / 2).max(1);
        for (i, (part, probabilities)) in parts.iter().zip(&mut self.probabilities).enumerate() {
            let Part::Category(options) = part else { continue };
            let taken: Vec<usize> = ranked
                .iter()
                .take(mu)
                .filter_map(|x| x.get(i))
                .filter(|x| !x.is_nan())
                .map(|x| *x as usize)
                .collect();
            if taken.is_empty() {
                continue;
            }
            let floor = 0.2 / *options as f64 / (1.0 + 0.1 * self.generation as f64);
            for (option, p) in probabilities.iter_mut().enumerate() {
                let frequency = taken.iter().filter(|t| **t == option).count() as f64 / taken.len() as f64;
                *p = ((1.0 - CATEGORY_RATE) * *p + CATEGORY_RATE * frequency).max(floor);
            }
            let total: f64 = probabilities.iter().sum();
            probabilities.iter_mut().for_each(|p| *p /= total);
        }
    }

    /// Whether every axis has shrunk below what matters (on grids: far below a step).
    fn converged(&self, parts: &[Part]) -> bool {
        let mut axes = parts.iter().filter_map(|part| match part {
            Part::Axis { index, step, .. } => Some((*index, *step)),
            _ => None,
        });
        !self.mean.is_empty() && axes.all(|(index, step)| self.deviation(index) < CONVERGED.max(0.15 * step))
    }
}

impl Sampler for CmaEs {
    fn suggest(&mut self, number: u64, history: &History) -> Suggestion {
        let same = self.seen.follow(self.encoder.domain(), history);
        self.encoded.follow(&self.encoder, history, same);
        let known = self.state.take();
        let fresh = || {
            let best = history
                .inherited
                .iter()
                .enumerate()
                .filter_map(|(i, trial)| Some((trial.score()?, i)));
            let best = best.reduce(|a, b| if history.goal.better(b.0, a.0) { b } else { a });
            let lambda = 4 + (3.0 * libm::log(self.axes().max(1) as f64)) as usize;
            let neutral = vec![0.5; self.axes()];
            let mean = best
                .and_then(|(_, i)| self.encoded.inherited(i))
                .map(|point| self.positions(point, &neutral));
            self.start(0, 0, lambda.max(5), mean)
        };
        let mut state = match known {
            // A state that has gone further than this trial may use is of no use here.
            Some(state) if same && state.from as u64 <= number => state,
            _ => fresh(),
        };
        self.advance(&mut state, number, history);
        let domain = self.encoder.domain();
        let mut draws = stream(self.seed, "cma-es", number);
        let mut left = stream(self.seed, "cma-es left over", number);
        let first = number == 0 && history.inherited.is_empty();
        let found = search(domain, Some(&self.seen), &mut left, |attempt| {
            if first && attempt == 0 {
                return domain.at(|_| 0.5);
            }
            // Where the distribution has collapsed onto what was tried, the space as a whole takes over.
            if attempt > 40 {
                return domain.at(|_| draws.unit());
            }
            let raw = self.draw(&state, &mut draws);
            self.encoder.assignment(&self.encoder.complete(&raw, &mut draws))
        });
        let suggestion = match found {
            Found::None(reason) => Suggestion::Exhausted(reason),
            Found::New(assignment, tries) => {
                let method = match (first, tries) {
                    (true, 1) => "centre of the space".to_string(),
                    (_, 1..=41) => format!(
                        "generation {} of population {}, step size {:.3}",
                        state.generation, state.lambda, state.sigma
                    ),
                    _ => "independent draw".to_string(),
                };
                let restarts = (state.restarts > 0)
                    .then(|| format!("restarted {} times with a larger population", state.restarts));
                let origin = Origin {
                    sampler: "cma_es".into(),
                    method,
                    predicted: None,
                    notes: restarts.into_iter().collect(),
                };
                Suggestion::Next(Box::new(Proposal { assignment, origin }))
            }
        };
        self.state = Some(state);
        suggestion
    }
}
