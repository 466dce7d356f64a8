//! What the numbers say: importance of parameters, and the surface that a model sees over two of them.
//!
//! fANOVA: share of a parameter's main effect in the variance of a regression forest's mean over the space (Hutter, Hoos, Leyton-Brown:
//! "An Efficient Approach for Assessing Hyperparameter Importance", ICML 2014), marginals estimated from common random points instead of
//! summed over leaves. The surface is the posterior of a Gaussian process with the bayesian sampler's kernel, prior and transform.

use crate::history::TrialState;
use crate::metric::Goal;
use crate::report::importance;
use crate::sampler::rng::stream;
use crate::space::encode::Encoder;
use crate::space::{Assignment, Distribution, Domain, Value as Setting};
use crate::store::{Store, TrialQuery, TrialRow};
use crate::studio::error::ApiError;
use crate::studio::read::{Answer, SCHEMA_VERSION};
use crate::studio::state::Studio;
use crate::surrogate::forest::{Forest, Shape};
use crate::surrogate::{Data, Fit, Gp, Prior, Transform, TransformKind};
use axum::Json;
use axum::extract::{Path, Query, State};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Trials that importance is computed from at most: the latest.
const TRIALS_MAX: usize = 5_000;
/// Forests whose spread is shown.
const FORESTS: u64 = 5;
/// Random points of a marginal, and levels of the parameter.
const POINTS: usize = 96;
const LEVELS: usize = 16;
/// Trials that the surface is fitted to at most.
const ROWS_MAX: usize = 250;
/// Steps of the search for hyperparameters.
const ITERATIONS: u64 = 40;
/// Cells of the surface along a number.
const CELLS: usize = 40;

/// Encoded trials with values to minimize.
struct Rows {
    encoder: Encoder,
    coordinates: Vec<Vec<f64>>,
    values: Vec<f64>,
    goal: Goal,
}

fn scored(store: &Store, sweep: &str) -> Result<Vec<TrialRow>, ApiError> {
    let query = TrialQuery {
        scored: Some(true),
        reverse: true,
        limit: Some(TRIALS_MAX as u64),
        ..TrialQuery::default()
    };
    let mut trials = store.trials(sweep, &query)?;
    trials.retain(|trial| trial.state != TrialState::Failed && trial.best.is_some_and(f64::is_finite));
    trials.reverse();
    Ok(trials)
}

fn encode(store: &Store, sweep: &str, goal: Goal, trials: &[TrialRow]) -> Result<Rows, ApiError> {
    let space = Arc::new(store.experiment(sweep)?.space);
    let domain = Domain::new(space.clone()).map_err(|error| ApiError::bad(error.to_string()))?;
    let encoder = Encoder::new(Arc::new(domain));
    let mut rows = Rows {
        encoder,
        coordinates: Vec::new(),
        values: Vec::new(),
        goal,
    };
    for trial in trials {
        // Names in rows are as declared; a nested choice shows under its parent and is not one of them.
        let values = space
            .parameters
            .iter()
            .map(|parameter| trial.parameters.get(&parameter.name).cloned());
        let assignment = Assignment {
            values: values.collect(),
        };
        rows.coordinates.push(rows.encoder.coordinates(&assignment));
        rows.values.push(-goal.sign() * trial.best.unwrap_or(0.0));
    }
    Ok(rows)
}

/// Importance of parameters by several methods.
#[derive(Serialize, JsonSchema)]
pub(super) struct Importances {
    schema_version: u32,
    /// Trials that it is computed from.
    trials: usize,
    /// What is missing, if it cannot be computed yet.
    missing: Option<String>,
    methods: Vec<Method>,
}

/// One method's answer.
#[derive(Serialize, JsonSchema)]
struct Method {
    method: &'static str,
    /// Parameters, the most important first.
    items: Vec<Share>,
}

/// How much of what happens a parameter decides.
#[derive(Debug, Serialize, JsonSchema)]
struct Share {
    parameter: String,
    /// 0 to 1.
    share: f64,
    /// Standard deviation of the share over the forests.
    spread: Option<f64>,
}

/// What a model expects over two parameters.
#[derive(Serialize, JsonSchema)]
pub(super) struct Surface {
    schema_version: u32,
    x: Axis,
    y: Axis,
    /// Expected value of each cell, row by row.
    mean: Vec<f64>,
    /// Standard deviation of each cell.
    deviation: Vec<f64>,
    /// Trials that the model is fitted to.
    trials: usize,
    model: &'static str,
}

/// Cells along one parameter.
#[derive(Serialize, JsonSchema)]
struct Axis {
    name: Option<String>,
    values: Vec<Option<Setting>>,
    /// Whether the distances are those of logarithms.
    log: bool,
}

pub(super) async fn importances(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
) -> Answer<Importances> {
    let value = studio
        .with_large(move |store| {
            let row = store.sweep(&reference)?;
            let goal = row.goal.unwrap_or(Goal::Minimize);
            let trials = scored(store, &row.sweep)?;
            let pairs: Vec<(&IndexMap<String, Setting>, f64)> = trials
                .iter()
                .filter_map(|trial| trial.best.map(|best| (&trial.parameters, best)))
                .collect();
            let ped = match importance::importance(&pairs, goal) {
                Ok(ped) => ped,
                Err(error) => {
                    return Ok(Importances {
                        schema_version: SCHEMA_VERSION,
                        trials: trials.len(),
                        methods: Vec::new(),
                        missing: Some(error.to_string()),
                    });
                }
            };
            let rows = encode(store, &row.sweep, goal, &trials)?;
            let ped = ped.into_iter().map(|one| Share {
                parameter: one.parameter,
                share: one.share,
                spread: None,
            });
            Ok(Importances {
                schema_version: SCHEMA_VERSION,
                trials: trials.len(),
                missing: None,
                methods: vec![
                    Method {
                        method: "PED-ANOVA",
                        items: ped.collect(),
                    },
                    Method {
                        method: "fANOVA",
                        items: fanova(&rows),
                    },
                ],
            })
        })
        .await?;
    Ok(Json(value))
}

/// Main effects with their spread over forests, largest first.
fn fanova(rows: &Rows) -> Vec<Share> {
    let columns = rows.encoder.columns();
    let mut features = Vec::new();
    for coordinates in &rows.coordinates {
        rows.encoder.columns_at(coordinates, &mut features);
    }
    let values = Transform::fit(TransformKind::Standardize, &rows.values).values;
    let names: Vec<String> = rows
        .encoder
        .domain()
        .space()
        .parameters
        .iter()
        .map(|parameter| parameter.name.clone())
        .collect();
    let mut shares: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
    for seed in 0..FORESTS {
        let Ok(forest) = Forest::grow(&columns, &features, &values, &Shape::default(), seed) else {
            continue;
        };
        let units = |point: usize| {
            let mut draws = stream(seed, "fanova", point as u64);
            (0..names.len()).map(|_| draws.unit()).collect::<Vec<f64>>()
        };
        let points: Vec<Vec<f64>> = (0..POINTS).map(units).collect();
        let predict = |unit: &dyn Fn(usize) -> f64| {
            let mut line = Vec::new();
            rows.encoder.columns_at(&rows.encoder.at(unit), &mut line);
            forest.predict(&line).0
        };
        let at = |point: &[f64], index: usize| point.get(index).copied().unwrap_or(0.5);
        let all: Vec<f64> = points
            .iter()
            .map(|point| predict(&|index| at(point, index)))
            .collect();
        let total = variance(&all);
        for (parameter, shares) in shares.iter_mut().enumerate() {
            let marginal: Vec<f64> = (0..LEVELS)
                .map(|level| {
                    let fixed = (level as f64 + 0.5) / LEVELS as f64;
                    let unit = |point: &[f64], index: usize| {
                        if index == parameter {
                            fixed
                        } else {
                            at(point, index)
                        }
                    };
                    let sum: f64 = points
                        .iter()
                        .map(|point| predict(&|index| unit(point, index)))
                        .sum();
                    sum / POINTS as f64
                })
                .collect();
            shares.push(if total > 0.0 {
                (variance(&marginal) / total).min(1.0)
            } else {
                0.0
            });
        }
    }
    let mut items: Vec<Share> = names
        .into_iter()
        .zip(shares)
        .map(|(parameter, shares)| Share {
            parameter,
            share: shares.iter().sum::<f64>() / shares.len().max(1) as f64,
            spread: Some(variance(&shares).sqrt()),
        })
        .collect();
    items.sort_by(|a, b| b.share.total_cmp(&a.share));
    items
}

fn variance(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count
}

#[derive(Deserialize)]
pub(super) struct SurfaceQuery {
    x: String,
    y: String,
}

pub(super) async fn surface(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<SurfaceQuery>,
) -> Answer<Surface> {
    let value = studio
        .with_large(move |store| {
            let row = store.sweep(&reference)?;
            let trials = chosen(scored(store, &row.sweep)?, row.goal.unwrap_or(Goal::Minimize));
            if trials.len() < importance::TRIALS_MIN {
                return Err(ApiError::bad(format!(
                    "the model needs {} trials with a value; {} so far",
                    importance::TRIALS_MIN,
                    trials.len()
                )));
            }
            let rows = encode(store, &row.sweep, row.goal.unwrap_or(Goal::Minimize), &trials)?;
            surface_of(&rows, &query)
        })
        .await?;
    Ok(Json(value))
}

/// The best half of what may be fitted, and an even sample of the rest.
fn chosen(mut trials: Vec<TrialRow>, goal: Goal) -> Vec<TrialRow> {
    if trials.len() <= ROWS_MAX {
        return trials;
    }
    let key = |trial: &TrialRow| -goal.sign() * trial.best.unwrap_or(0.0);
    trials.sort_by(|a, b| key(a).total_cmp(&key(b)));
    let rest = trials.split_off(ROWS_MAX / 2);
    let every = rest.len().div_ceil(ROWS_MAX / 2).max(1);
    trials.extend(rest.into_iter().step_by(every));
    trials
}

/// Levels of a parameter along an axis, as coordinates.
fn levels(distribution: &Distribution) -> Vec<f64> {
    match distribution {
        Distribution::Choice { options, .. } => (0..options.len()).map(|index| index as f64).collect(),
        _ => (0..CELLS)
            .map(|index| (index as f64 + 0.5) / CELLS as f64)
            .collect(),
    }
}

fn is_logarithmic(distribution: &Distribution) -> bool {
    use Distribution::{Int, Lognormal, Loguniform, Qlognormal, Qloguniform};
    matches!(
        distribution,
        Loguniform { .. } | Qloguniform { .. } | Lognormal { .. } | Qlognormal { .. } | Int { log: true, .. }
    )
}

fn surface_of(rows: &Rows, query: &SurfaceQuery) -> Result<Surface, ApiError> {
    let space = rows.encoder.domain().space().clone();
    let index = |name: &str| {
        let found = space
            .parameters
            .iter()
            .position(|parameter| parameter.name == name);
        found.ok_or_else(|| ApiError::bad(format!("no parameter is called `{name}`")))
    };
    let (x, y) = (index(&query.x)?, index(&query.y)?);
    if x == y {
        return Err(ApiError::bad("`x` and `y` must differ"));
    }
    let model = |error: crate::surrogate::SurrogateError| {
        ApiError::bad(format!("the model cannot be fitted: {error}"))
    };
    let transform = Transform::fit(TransformKind::YeoJohnson, &rows.values);
    let mut features = Vec::new();
    rows.coordinates
        .iter()
        .for_each(|coordinates| rows.encoder.features(coordinates, &mut features));
    let data = Data {
        features,
        width: rows.encoder.width(),
        groups: rows.encoder.groups().to_vec(),
        values: transform.values.clone(),
        extra_noise: vec![0.0; rows.values.len()],
    };
    let fit = Fit::new(&data, Prior::standard(data.groups.len()));
    let theta = fit.most_probable(&fit.start(), ITERATIONS);
    let gp = Gp::new(&theta, &data).map_err(model)?;
    let best = (0..rows.values.len()).min_by(|a, b| {
        let value = |index: &usize| rows.values.get(*index).copied().unwrap_or(f64::INFINITY);
        value(a).total_cmp(&value(b))
    });
    let base = best
        .and_then(|best| rows.coordinates.get(best))
        .cloned()
        .unwrap_or_default();
    let (xs, ys) = (axis(&space, x), axis(&space, y));
    let mut points = Vec::new();
    for level_y in &ys {
        for level_x in &xs {
            let mut coordinates = base.clone();
            for (at, level) in [(x, *level_x), (y, *level_y)] {
                if let Some(place) = coordinates.get_mut(at) {
                    *place = level;
                }
            }
            rows.encoder.features(&coordinates, &mut points);
        }
    }
    let (means, variances) = gp.predict(&points);
    let sign = -rows.goal.sign();
    let mean: Vec<f64> = means.iter().map(|mean| sign * transform.back(*mean)).collect();
    let deviation: Vec<f64> = means
        .iter()
        .zip(&variances)
        .map(|(mean, variance)| {
            let spread = variance.sqrt();
            (transform.back(mean + spread) - transform.back(mean - spread)).abs() / 2.0
        })
        .collect();
    let described = |index: usize, levels: &[f64]| {
        let distribution = space
            .parameters
            .get(index)
            .map(|parameter| &parameter.distribution);
        let values: Vec<Option<Setting>> = levels
            .iter()
            .map(|level| {
                let mut coordinates = base.clone();
                *coordinates.get_mut(index)? = *level;
                rows.encoder
                    .assignment(&coordinates)
                    .values
                    .get(index)
                    .cloned()
                    .flatten()
            })
            .collect();
        let name = space
            .parameters
            .get(index)
            .map(|parameter| parameter.name.clone());
        Axis {
            name,
            values,
            log: distribution.is_some_and(is_logarithmic),
        }
    };
    Ok(Surface {
        schema_version: SCHEMA_VERSION,
        x: described(x, &xs),
        y: described(y, &ys),
        mean,
        deviation,
        trials: rows.values.len(),
        model: "gaussian process, Matérn 5/2, other parameters as in the best trial",
    })
}

fn axis(space: &crate::space::SearchSpace, index: usize) -> Vec<f64> {
    space
        .parameters
        .get(index)
        .map(|parameter| levels(&parameter.distribution))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Rows {
        let space: crate::space::SearchSpace = serde_json::from_value(serde_json::json!({"parameters": [
            {"name": "x", "distribution": {"type": "uniform", "low": 0.0, "high": 1.0}},
            {"name": "y", "distribution": {"type": "uniform", "low": 0.0, "high": 1.0}},
        ]}))
        .unwrap();
        let encoder = Encoder::new(Arc::new(Domain::new(Arc::new(space)).unwrap()));
        let mut rows = Rows {
            encoder,
            coordinates: Vec::new(),
            values: Vec::new(),
            goal: Goal::Minimize,
        };
        for index in 0..count {
            let (x, y) = (
                (index as f64 * 0.754_877_666) % 1.0,
                (index as f64 * 0.569_840_291) % 1.0,
            );
            rows.coordinates.push(vec![x, y]);
            rows.values.push((x - 0.3).powi(2) + 0.05 * y);
        }
        rows
    }

    #[test]
    fn fanova_finds_the_parameter_that_decides() {
        let items = fanova(&rows(120));
        assert_eq!(items[0].parameter, "x");
        assert!(items[0].share > 0.7 && items[1].share < 0.2, "{items:?}");
    }

    #[test]
    fn the_surface_is_lowest_near_the_optimum() {
        let query = SurfaceQuery {
            x: "x".into(),
            y: "y".into(),
        };
        let mean = surface_of(&rows(60), &query)
            .unwrap_or_else(|error| panic!("{error}"))
            .mean;
        assert_eq!(mean.len(), CELLS * CELLS);
        let lowest = (0..mean.len())
            .min_by(|a, b| mean[*a].total_cmp(&mean[*b]))
            .unwrap();
        let x = (lowest % CELLS) as f64 / CELLS as f64;
        assert!((x - 0.3).abs() < 0.15, "{x}");
        assert!((mean[lowest] - 0.0).abs() < 0.05, "{}", mean[lowest]);
    }
}
