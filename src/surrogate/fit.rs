//! Learning hyperparameters: priors, the most probable ones by L-BFGS, and samples from their posterior by slice sampling.

use super::SurrogateError;
use super::gp::{self, Data, Hyperparameters};
use crate::space::rng::Stream;
use argmin::core::{CostFunction, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use std::cell::RefCell;

/// Independent normal priors on the logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Mean and standard deviation of ln length scale.
    pub ln_length: (f64, f64),
    /// Mean and standard deviation of ln signal variance.
    pub ln_scale: (f64, f64),
    /// Mean and standard deviation of ln noise variance.
    pub ln_noise: (f64, f64),
}

impl Prior {
    /// The prior for standardized values over `groups` groups of unit-range columns. Length scales grow with the square root of the
    /// dimension (Hvarfner et al. 2024), in a band narrow enough that averaging over samples does not over-explore.
    pub fn standard(groups: usize) -> Self {
        let shift = 0.5 * libm::log(groups.max(1) as f64);
        Self {
            ln_length: (libm::log(0.6) + shift, 0.75),
            ln_scale: (0.0, 1.0),
            ln_noise: (-4.0, 1.0),
        }
    }

    fn of(&self, index: usize, groups: usize) -> (f64, f64) {
        match index.checked_sub(groups) {
            None => self.ln_length,
            Some(0) => self.ln_scale,
            Some(_) => self.ln_noise,
        }
    }

    /// Negative log density up to a constant.
    pub fn loss(&self, theta: &[f64]) -> f64 {
        let groups = theta.len().saturating_sub(2);
        let penalty = |(index, value): (usize, &f64)| {
            let (mean, deviation) = self.of(index, groups);
            let z = (value - mean) / deviation;
            0.5 * z * z
        };
        theta.iter().enumerate().map(penalty).sum()
    }

    pub(crate) fn add_gradient(&self, theta: &[f64], gradient: &mut [f64]) {
        let groups = theta.len().saturating_sub(2);
        for (index, (value, slope)) in theta.iter().zip(gradient).enumerate() {
            let (mean, deviation) = self.of(index, groups);
            *slope += (value - mean) / (deviation * deviation);
        }
    }
}

/// The learning problem of one data set.
#[derive(Debug)]
pub struct Fit<'a> {
    data: &'a Data,
    prior: Prior,
    distances: Vec<Vec<f64>>,
}

impl<'a> Fit<'a> {
    /// Prepares `data` (distances of all pairs; meant for at most a few hundred rows).
    pub fn new(data: &'a Data, prior: Prior) -> Self {
        Self {
            data,
            prior,
            distances: data.groups.iter().map(|group| data.distances(group)).collect(),
        }
    }

    /// Where a search starts: length scales `sqrt(D) / 2`, unit signal, noise at its prior mean.
    pub fn start(&self) -> Hyperparameters {
        let groups = self.data.groups.len();
        let length = libm::log(0.5) + 0.5 * libm::log(groups.max(1) as f64);
        Hyperparameters {
            ln_lengths: vec![length; groups],
            ln_scale: 0.0,
            ln_noise: self.prior.ln_noise.0,
        }
    }

    /// Negative log posterior density (up to a constant) and its gradient.
    ///
    /// # Errors
    /// [`SurrogateError`] if the covariance cannot be factored.
    pub fn objective(&self, theta: &[f64]) -> Result<(f64, Vec<f64>), SurrogateError> {
        let hyper = Hyperparameters::from_slice(theta);
        let (loss, mut gradient) = gp::loss_and_gradient(&hyper, self.data, &self.distances)?;
        self.prior.add_gradient(theta, &mut gradient);
        Ok((loss + self.prior.loss(theta), gradient))
    }

    /// The most probable hyperparameters, by at most `iterations` steps of L-BFGS (Nocedal 1980) with a Moré-Thuente line search. If the
    /// search breaks down, the best point it saw.
    pub fn most_probable(&self, start: &Hyperparameters, iterations: u64) -> Hyperparameters {
        let wall = |theta: &[f64]| {
            let mut gradient = vec![0.0; theta.len()];
            self.prior.add_gradient(theta, &mut gradient);
            (self.prior.loss(theta), gradient)
        };
        let found = minimize(&|theta| self.objective(theta), &wall, start.to_vec(), iterations);
        Hyperparameters::from_slice(&found)
    }

    /// `count` further states of a Markov chain that starts at `start`: each is one sweep of univariate slice sampling (Neal 2003) over
    /// at most `coordinates` hyperparameters, chosen anew for every sweep.
    pub fn sample(
        &self,
        start: &Hyperparameters,
        count: usize,
        coordinates: usize,
        draws: &mut Stream,
    ) -> Vec<Hyperparameters> {
        let mut theta = start.to_vec();
        (0..count)
            .map(|_| {
                let mut order: Vec<usize> = (0..theta.len()).collect();
                for i in (1..order.len()).rev() {
                    order.swap(i, draws.index(i + 1));
                }
                for index in order.into_iter().take(coordinates) {
                    self.slice(&mut theta, index, draws);
                }
                Hyperparameters::from_slice(&theta)
            })
            .collect()
    }

    /// One slice-sampling update of one coordinate: a window of one prior width placed at random, shrunk until it hits.
    fn slice(&self, theta: &mut [f64], index: usize, draws: &mut Stream) {
        let groups = self.data.groups.len();
        let n = self.data.len();
        // All distances but the one of this coordinate stay as they are.
        let mut weights = Hyperparameters::from_slice(theta).weights();
        let own = weights
            .get_mut(index)
            .map(|weight| std::mem::replace(weight, 0.0))
            .is_some();
        let rest = gp::scaled_distances(&weights, &self.distances, n);
        let loss = |theta: &[f64]| {
            let hyper = Hyperparameters::from_slice(theta);
            let likelihood = match (own, self.distances.get(index), hyper.weights().get(index)) {
                (true, Some(d), Some(weight)) => {
                    let r2: Vec<f64> = rest.iter().zip(d).map(|(rest, d)| rest + weight * d).collect();
                    gp::loss_at(&r2, hyper.scale(), hyper.noise(), self.data)
                }
                _ => gp::loss_at(&rest, hyper.scale(), hyper.noise(), self.data),
            };
            likelihood.map_or(f64::INFINITY, |loss| loss + self.prior.loss(theta))
        };
        let Some(current) = theta.get(index).copied() else {
            return;
        };
        let level = loss(theta) - libm::log(draws.unit());
        let width = self.prior.of(index, groups).1.min(1.0);
        let mut low = current - width * draws.unit();
        let mut high = low + width;
        for _ in 0..12 {
            let proposal = low + (high - low) * draws.unit();
            if let Some(value) = theta.get_mut(index) {
                *value = proposal;
            }
            if loss(theta) <= level {
                return;
            }
            if proposal < current {
                low = proposal;
            } else {
                high = proposal;
            }
        }
        if let Some(value) = theta.get_mut(index) {
            *value = current;
        }
    }
}

/// A function with its gradient.
pub(crate) type Objective<'a> = dyn Fn(&[f64]) -> Result<(f64, Vec<f64>), SurrogateError> + 'a;

/// A value and a gradient that lead back from where an [`Objective`] fails.
pub(crate) type Wall<'a> = dyn Fn(&[f64]) -> (f64, Vec<f64>) + 'a;

/// The smallest value that at most `iterations` steps of L-BFGS (Nocedal 1980) with a Moré-Thuente line search see; where `objective` fails, the
/// search meets `wall` (a value and a gradient that lead back).
pub(crate) fn minimize(
    objective: &Objective<'_>,
    wall: &Wall<'_>,
    start: Vec<f64>,
    iterations: u64,
) -> Vec<f64> {
    let problem = Problem {
        objective,
        wall,
        last: RefCell::new(None),
        best: RefCell::new((f64::INFINITY, start.clone())),
    };
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 7)
        .with_tolerance_grad(1e-3)
        .and_then(|solver| solver.with_tolerance_cost(1e-7));
    if let Ok(solver) = solver {
        // A failed line search ends the run early; what it saw is kept in `best`.
        let _ = Executor::new(&problem, solver)
            .configure(|state| state.param(start).max_iters(iterations))
            .ctrlc(false)
            .timer(false)
            .run();
    }
    problem.best.into_inner().1
}

/// A point, its value and its gradient.
type Evaluation = (Vec<f64>, f64, Vec<f64>);

/// The problem as `argmin` sees it; value and gradient of one point are computed together and kept.
struct Problem<'a> {
    objective: &'a Objective<'a>,
    wall: &'a Wall<'a>,
    last: RefCell<Option<Evaluation>>,
    best: RefCell<(f64, Vec<f64>)>,
}

impl Problem<'_> {
    fn at(&self, theta: &[f64]) -> (f64, Vec<f64>) {
        if let Some((point, loss, gradient)) = &*self.last.borrow()
            && point == theta
        {
            return (*loss, gradient.clone());
        }
        // A wall far from every sensible value sends the line search back.
        let (loss, gradient) = (self.objective)(theta).unwrap_or_else(|_| {
            let (loss, gradient) = (self.wall)(theta);
            (1e10 + loss, gradient)
        });
        if loss < self.best.borrow().0 {
            *self.best.borrow_mut() = (loss, theta.to_vec());
        }
        *self.last.borrow_mut() = Some((theta.to_vec(), loss, gradient.clone()));
        (loss, gradient)
    }
}

impl CostFunction for &Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, theta: &Vec<f64>) -> Result<f64, argmin::core::Error> {
        Ok(self.at(theta).0)
    }
}

impl Gradient for &Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, theta: &Vec<f64>) -> Result<Vec<f64>, argmin::core::Error> {
        Ok(self.at(theta).1)
    }
}
