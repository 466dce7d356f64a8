//! Which parameters matter: PED-ANOVA (Watanabe, Bansal, Hutter: "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
//! Arbitrary Subspaces", IJCAI 2023), the Pearson divergence between the densities of good trials and of all trials per parameter.

use crate::metric::Goal;
use crate::space::Value;
use indexmap::IndexMap;

/// Share of the trials that are "good".
const GAMMA: f64 = 0.1;
/// Points of the grid on which densities are compared.
const GRID: usize = 50;
/// Trials with a value that are needed to say anything.
pub const TRIALS_MIN: usize = 10;

/// Importance of one parameter.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Importance {
    /// Parameter.
    pub parameter: String,
    /// Share of all parameters' importance, 0..=1; all shares sum to 1 unless all are 0.
    pub share: f64,
}

/// Why no importance can be computed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportanceError {
    /// Too few trials.
    #[error("importance needs {TRIALS_MIN} trials with a value; {0} so far")]
    TooFew(usize),
}

/// Shares per parameter, most important first. `trials` are (parameters, value) of trials with a finite value; parameters may
/// be missing (inactive), densities are then those of the trials that have them.
///
/// For each parameter: `v = integral p_all (p_good / p_all - 1)^2` on a grid of 50 points, Gaussian kernels with Scott's bandwidth for
/// numbers (in the logarithm if they are positive and span more than two decades), smoothed frequencies for the rest.
///
/// # Errors
/// [`ImportanceError::TooFew`] below ten trials.
pub fn importance(
    trials: &[(&IndexMap<String, Value>, f64)],
    goal: Goal,
) -> Result<Vec<Importance>, ImportanceError> {
    let mut ranked: Vec<&(&IndexMap<String, Value>, f64)> =
        trials.iter().filter(|(_, value)| value.is_finite()).collect();
    if ranked.len() < TRIALS_MIN {
        return Err(ImportanceError::TooFew(ranked.len()));
    }
    ranked.sort_by(|a, b| (goal.sign() * b.1).total_cmp(&(goal.sign() * a.1)));
    // At least three good trials: a density from one point says nothing.
    let good = ((ranked.len() as f64 * GAMMA).ceil() as usize).max(3);
    let mut names: Vec<&String> = Vec::new();
    for (parameters, _) in &ranked {
        for name in parameters.keys() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let mut out: Vec<Importance> = names
        .into_iter()
        .map(|name| {
            let values: Vec<Option<&Value>> = ranked
                .iter()
                .map(|(parameters, _)| parameters.get(name))
                .collect();
            Importance {
                parameter: name.clone(),
                share: divergence(&values, good),
            }
        })
        .collect();
    let total: f64 = out.iter().map(|entry| entry.share).sum();
    if total > 0.0 {
        for entry in &mut out {
            entry.share /= total;
        }
    }
    out.sort_by(|a, b| b.share.total_cmp(&a.share));
    Ok(out)
}

fn divergence(ranked: &[Option<&Value>], good: usize) -> f64 {
    let all: Vec<&Value> = ranked.iter().flatten().copied().collect();
    let best: Vec<&Value> = ranked.iter().take(good).flatten().copied().collect();
    if all.len() < 2 || best.is_empty() {
        return 0.0;
    }
    let numbers: Option<Vec<f64>> = all
        .iter()
        .map(|value| value.as_f64().filter(|number| number.is_finite()))
        .collect();
    match numbers {
        Some(numbers) => {
            let best: Vec<f64> = best.iter().filter_map(|value| value.as_f64()).collect();
            numeric(numbers, best)
        }
        None => categorical(&all, &best),
    }
}

fn numeric(mut all: Vec<f64>, mut best: Vec<f64>) -> f64 {
    let (low, high) = extremes(&all);
    if low > 0.0 && high / low > 100.0 {
        all.iter_mut()
            .chain(&mut best)
            .for_each(|value| *value = value.ln());
    }
    let (low, high) = extremes(&all);
    if high <= low {
        return 0.0;
    }
    let unit = |value: &f64| (value - low) / (high - low);
    let all: Vec<f64> = all.iter().map(unit).collect();
    let best: Vec<f64> = best.iter().map(unit).collect();
    let grid: Vec<f64> = (0..GRID).map(|index| index as f64 / (GRID - 1) as f64).collect();
    pearson(&density(&best, &grid), &density(&all, &grid))
}

fn categorical(all: &[&Value], best: &[&Value]) -> f64 {
    let mut options: Vec<&Value> = Vec::new();
    for value in all {
        if !options.contains(value) {
            options.push(value);
        }
    }
    // A prior of one count spread over the options keeps empty ones from dividing by zero.
    let frequency = |values: &[&Value]| -> Vec<f64> {
        options
            .iter()
            .map(|option| {
                let hits = values.iter().filter(|value| value == &option).count() as f64;
                (hits + 1.0 / options.len() as f64) / (values.len() as f64 + 1.0)
            })
            .collect()
    };
    pearson(&frequency(best), &frequency(all))
}

fn extremes(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        })
}

/// Gaussian kernel density on `grid`, normalised to sum 1 there; Scott's bandwidth, at least one grid cell.
fn density(points: &[f64], grid: &[f64]) -> Vec<f64> {
    let count = points.len() as f64;
    let mean = points.iter().sum::<f64>() / count;
    let deviation =
        (points.iter().map(|point| (point - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0)).sqrt();
    let bandwidth = (1.059 * deviation * count.powf(-0.2))
        .max(0.5 / (GRID - 1) as f64 * 2.0)
        .max(0.02);
    let mut out: Vec<f64> = grid
        .iter()
        .map(|at| {
            points
                .iter()
                .map(|point| (-0.5 * ((at - point) / bandwidth).powi(2)).exp())
                .sum::<f64>()
                + 1e-12
        })
        .collect();
    let total: f64 = out.iter().sum();
    out.iter_mut().for_each(|value| *value /= total);
    out
}

fn pearson(best: &[f64], all: &[f64]) -> f64 {
    best.iter()
        .zip(all)
        .map(|(best, all)| all * (best / all - 1.0).powi(2))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(count: usize) -> Vec<(IndexMap<String, Value>, f64)> {
        (0..count)
            .map(|index| {
                // A low-discrepancy sequence stands for random draws.
                let x = (index as f64 * 0.754_877_666) % 1.0;
                let y = (index as f64 * 0.569_840_291) % 1.0;
                let option = if index % 3 == 0 { "a" } else { "b" };
                let parameters = [
                    ("x".to_owned(), Value::Float(x)),
                    ("y".to_owned(), Value::Float(y)),
                    ("kind".to_owned(), Value::Str(option.into())),
                ];
                (parameters.into_iter().collect(), (x - 0.3).powi(2) + 0.001 * y)
            })
            .collect()
    }

    #[test]
    fn the_parameter_that_decides_leads() {
        let trials = trials(100);
        let rows: Vec<(&IndexMap<String, Value>, f64)> = trials
            .iter()
            .map(|(parameters, value)| (parameters, *value))
            .collect();
        let out = importance(&rows, Goal::Minimize).unwrap();
        assert_eq!(out[0].parameter, "x");
        assert!(out[0].share > 0.7, "{out:?}");
        assert!((out.iter().map(|entry| entry.share).sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn few_trials_say_so() {
        let trials = trials(9);
        let rows: Vec<(&IndexMap<String, Value>, f64)> = trials
            .iter()
            .map(|(parameters, value)| (parameters, *value))
            .collect();
        assert_eq!(importance(&rows, Goal::Minimize), Err(ImportanceError::TooFew(9)));
    }

    #[test]
    fn a_constant_parameter_has_no_share() {
        let mut trials = trials(30);
        for (parameters, _) in &mut trials {
            parameters.insert("constant".into(), Value::Int(3));
        }
        let rows: Vec<(&IndexMap<String, Value>, f64)> = trials
            .iter()
            .map(|(parameters, value)| (parameters, *value))
            .collect();
        let out = importance(&rows, Goal::Minimize).unwrap();
        assert_eq!(out.last().unwrap().parameter, "constant");
        assert_eq!(out.last().unwrap().share, 0.0);
    }
}
