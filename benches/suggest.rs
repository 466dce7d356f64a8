//! Cost of one suggestion, by sampler and number of finished trials, in ten dimensions.
//!
//! `warm` is a sampler that made the suggestions before (a running sweep), `cold` one that was just built (the first decision after a
//! resume, everything learned anew). Times are CPU time of the process, all its threads together: figures of one core, whatever else the
//! machine is doing.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use overdrive::history::{History, Trial, TrialState};
use overdrive::metric::{Goal, Series};
use overdrive::sampler::{Sampler, SamplerSpec, Suggestion, build, find};
use overdrive::space::{Distribution, Parameter, SearchSpace};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

fn space(discrete: bool) -> Arc<SearchSpace> {
    let distribution = || match discrete {
        true => Distribution::Randint { upper: 10 },
        false => Distribution::Uniform { low: -1.0, high: 1.0 },
    };
    let parameter = |i: usize| Parameter {
        name: format!("x{i}"),
        distribution: distribution(),
        condition: None,
    };
    Arc::new(SearchSpace {
        parameters: (0..10).map(parameter).collect(),
        constraints: Vec::new(),
    })
}

fn sampler(kind: &str, space: &Arc<SearchSpace>) -> Box<dyn Sampler> {
    let spec = SamplerSpec {
        kind: kind.into(),
        seed: 1,
        allow_duplicates: false,
        options: serde_json::Map::new(),
    };
    build(&spec, space.clone(), Goal::Minimize).unwrap()
}

/// `n` finished trials of the random sampler (grid points for grid) on a noisy bowl.
fn history(kind: &str, space: &Arc<SearchSpace>, n: u64) -> History {
    let mut history = History::new(Goal::Minimize);
    let mut source = sampler(if kind == "grid" { "grid" } else { "random" }, space);
    for number in 0..n {
        let Suggestion::Next(next) = source.suggest(number, &history) else {
            break;
        };
        let x: Vec<f64> = next
            .assignment
            .values
            .iter()
            .flatten()
            .filter_map(|v| v.as_f64())
            .collect();
        let value = x
            .iter()
            .enumerate()
            .map(|(i, x)| (x - 0.1 * i as f64).powi(2))
            .sum::<f64>()
            + (number as f64).sin() * 0.1;
        let mut series = Series::default();
        series.push(Goal::Minimize, value);
        let assignment = next.assignment;
        history.trials.push(Trial {
            number,
            assignment,
            state: TrialState::Completed,
            series,
            cause: None,
        });
    }
    history
}

fn suggestions(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("suggest");
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(10);
    for (kind, sizes) in [
        ("random", &[0, 1_000, 100_000][..]),
        ("sobol", &[1_000]),
        ("grid", &[1_000]),
        ("tpe", &[100, 1_000, 10_000, 100_000]),
        ("cma_es", &[100, 1_000, 10_000]),
        ("random_forest", &[100, 1_000, 10_000]),
        ("bayesian", &[100, 1_000, 10_000, 100_000]),
    ] {
        if find(kind).is_none() {
            continue;
        }
        let space = space(kind == "grid");
        let largest = history(kind, &space, *sizes.last().unwrap_or(&0));
        for &n in sizes {
            let mut past = largest.clone();
            past.trials.truncate(n as usize);
            let mut warm = sampler(kind, &space);
            for number in n..n + 2 {
                black_box(warm.suggest(number, &past));
            }
            // Both parities, as a sweep has them.
            let mut number = n;
            group.bench_function(format!("{kind}/{n}/warm"), |bencher| {
                bencher.iter(|| {
                    number = n + (number + 1 - n) % 1000;
                    black_box(warm.suggest(number, &past))
                });
            });
            if matches!(kind, "bayesian" | "random_forest" | "cma_es") {
                group.bench_function(format!("{kind}/{n}/cold"), |bencher| {
                    bencher.iter_batched(
                        || sampler(kind, &space),
                        |mut cold| black_box(cold.suggest(n, &past)),
                        BatchSize::PerIteration,
                    );
                });
            }
        }
    }
    group.finish();
}

/// CPU time of this process.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }

    fn end(&self, start: Duration) -> Duration {
        self.start().saturating_sub(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = suggestions
}
criterion_main!(benches);
