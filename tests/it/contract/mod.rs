//! What every registered sampler must do on every kind of space.

mod spaces;
mod sweep;

use overdrive::history::{CancelCause, History, TrialState};
use overdrive::metric::Goal;
use overdrive::sampler::{REGISTRY, SamplerError, SamplerSpec, Suggestion, build};
use overdrive::space::{Domain, SearchSpace, Value};
use spaces::*;
use std::collections::HashSet;
use std::sync::Arc;
use sweep::*;

/// Samplers whose trial `n` must not depend on how the trials before it went.
const BLIND: [&str; 3] = ["random", "sobol", "grid"];

/// Every sampler with every space that it accepts; refusals must come at building and name a parameter.
fn for_each(
    spaces: &[(&'static str, SearchSpace)],
    mut check: impl FnMut(&'static str, &str, &Arc<SearchSpace>),
) {
    for row in REGISTRY {
        let mut accepted = 0;
        for (name, space) in spaces {
            let space = Arc::new(space.clone());
            match build(&spec(row.kind), space.clone(), Goal::Minimize) {
                Ok(_) => {
                    accepted += 1;
                    check(row.kind, name, &space);
                }
                Err(SamplerError::Space {
                    parameter, reason, ..
                }) => {
                    assert!(
                        space.index_of(&parameter).is_some() && !reason.is_empty(),
                        "{} {name}",
                        row.kind
                    );
                }
                Err(error) => panic!("{} {name}: {error}", row.kind),
            }
        }
        assert!(
            accepted > 0 || spaces.len() == 1,
            "{} accepted no space",
            row.kind
        );
    }
}

#[test]
fn suggestions_are_valid_new_and_keep_the_constraints() {
    for_each(&all_spaces(), |kind, name, space| {
        let domain = Domain::new(space.clone()).unwrap();
        let mut sweep = Sweep::new(kind, space.clone(), 7);
        let mut seen = HashSet::new();
        let budget = if name == "twenty" { 16 } else { 26 };
        for _ in 0..budget {
            let Some(trial) = sweep.step(3) else { break };
            assert!(domain.fits(&trial), "{kind} {name}: {trial:?}");
            assert!(domain.satisfies(&trial), "{kind} {name}: {trial:?}");
            assert!(
                seen.insert(domain.fingerprint(&trial)),
                "{kind} {name}: {trial:?} came twice"
            );
            assert!(within_bounds(space, &trial), "{kind} {name}: {trial:?}");
        }
        let size = domain.cardinality().unwrap_or(u128::MAX);
        assert!(
            seen.len() as u128 == size.min(budget) || !space.constraints.is_empty(),
            "{kind} {name}: {}",
            seen.len()
        );
        for origin in &sweep.origins {
            assert!(!origin.method.is_empty() && !origin.sampler.is_empty());
            if let Some(p) = origin.predicted {
                assert!(
                    p.low <= p.mean && p.mean <= p.high && p.low.is_finite() && p.high.is_finite(),
                    "{kind} {name} {p:?}"
                );
            }
        }
    });
}

#[test]
fn a_fresh_sampler_continues_as_the_old_one_would() {
    for_each(
        &[
            ("mixed", mixed()),
            ("conditional", conditional()),
            ("finite", finite()),
        ],
        |kind, name, space| {
            let mut sweep = Sweep::new(kind, space.clone(), 11);
            for number in 0..22 {
                let fresh = build(&spec_seed(kind, 11), space.clone(), Goal::Minimize)
                    .unwrap()
                    .suggest(number, &sweep.history);
                let warm = sweep.sampler.suggest(number, &sweep.history);
                assert!(
                    fresh == warm,
                    "{kind} {name} trial {number}:\n{fresh:?}\n{warm:?}"
                );
                if sweep.step(4).is_none() {
                    break;
                }
            }
        },
    );
}

/// Beyond the first trials models are learned at anchors and from fewer states: a resume there must decide alike, too.
#[test]
fn a_late_resume_decides_as_the_sweep_would_have() {
    for kind in ["bayesian", "auto"] {
        let space = Arc::new(mixed());
        let mut sweep = Sweep::new(kind, space.clone(), 13);
        for number in 0..110 {
            if [40, 61, 62, 75, 104, 109].contains(&number) {
                let fresh = build(&spec_seed(kind, 13), space.clone(), Goal::Minimize)
                    .unwrap()
                    .suggest(number, &sweep.history);
                let warm = sweep.sampler.suggest(number, &sweep.history);
                assert!(fresh == warm, "{kind} trial {number}:\n{fresh:?}\n{warm:?}");
            }
            sweep.step(4).unwrap();
        }
    }
}

#[test]
fn seeds_matter_and_repeat() {
    for_each(&[("mixed", mixed())], |kind, _, space| {
        let run = |seed| {
            let mut sweep = Sweep::new(kind, space.clone(), seed);
            (0..15).map(|_| sweep.step(1)).collect::<Vec<_>>()
        };
        assert!(run(1) == run(1), "{kind}");
        assert!(run(1) != run(2), "{kind}");
    });
}

#[test]
fn blind_samplers_do_not_care_when_trials_end() {
    for_each(&all_spaces(), |kind, name, space| {
        if !BLIND.contains(&kind) {
            return;
        }
        let run = |workers| {
            let mut sweep = Sweep::new(kind, space.clone(), 3);
            (0..30).map(|_| sweep.step(workers)).collect::<Vec<_>>()
        };
        assert!(run(1) == run(8), "{kind} {name}");
    });
}

#[test]
fn finite_spaces_are_used_up_exactly() {
    for_each(
        &[
            ("finite", finite()),
            ("one", one_value()),
            ("branches", finite_conditional()),
            ("tight", tight()),
        ],
        |kind, name, space| {
            let domain = Domain::new(space.clone()).unwrap();
            let size = domain.cardinality().unwrap();
            let allowed = (0..size)
                .filter(|i| domain.satisfies(&domain.nth(*i).unwrap()))
                .count();
            let mut sweep = Sweep::new(kind, space.clone(), 5);
            let mut found = HashSet::new();
            while let Some(trial) = sweep.step(2) {
                assert!(found.insert(domain.fingerprint(&trial)), "{kind} {name}");
                assert!(found.len() <= allowed, "{kind} {name}");
            }
            assert_eq!(found.len(), allowed, "{kind} {name}");
            match sweep.sampler.suggest(found.len() as u64, &sweep.history) {
                Suggestion::Exhausted(reason) => assert!(reason.contains("tried"), "{reason}"),
                Suggestion::Next(_) => panic!("{kind} {name} goes on"),
            }
        },
    );
}

#[test]
fn grid_goes_through_the_product_in_order() {
    let space = Arc::new(finite());
    let mut sweep = Sweep::new("grid", space.clone(), 0);
    let domain = Domain::new(space).unwrap();
    for index in 0..domain.cardinality().unwrap() {
        assert_eq!(sweep.step(1), domain.nth(index));
    }
    let continuous = build(&spec("grid"), Arc::new(mixed()), Goal::Minimize)
        .err()
        .unwrap();
    assert!(continuous.to_string().contains("cannot sample"), "{continuous}");
    let large = Arc::new(SearchSpace {
        parameters: (0..12)
            .map(|i| parameter(&format!("p{i}"), randint(1000)))
            .collect(),
        constraints: Vec::new(),
    });
    let mut sweep = Sweep::new("grid", large.clone(), 0);
    assert_eq!(sweep.step(1).unwrap().values, vec![Some(Value::Int(0)); 12]);
    assert_eq!(sweep.step(1).unwrap().values[11], Some(Value::Int(1)));
}

/// Trials that never end, end without a number, crash, or end with the same number must not stop a sweep.
#[test]
fn odd_outcomes_do_not_stop_a_sampler() {
    let outcomes: [(&str, fn(u64) -> Outcome); 7] = [
        ("pending", |_| Outcome::Pending),
        ("nan", |_| Outcome::Completed(f64::NAN)),
        ("all failed", |_| Outcome::Failed),
        ("equal", |_| Outcome::Completed(0.5)),
        ("infinite", |n| {
            Outcome::Completed(if n % 3 == 0 { f64::INFINITY } else { n as f64 })
        }),
        ("huge", |n| {
            Outcome::Completed(if n % 2 == 0 { 1e300 } else { -1e300 })
        }),
        ("stopped", |n| match n % 4 {
            0 => Outcome::Failed,
            1 => Outcome::Canceled(CancelCause::Policy, Some(n as f64)),
            2 => Outcome::Canceled(CancelCause::User, None),
            _ => Outcome::Completed((n as f64).sin()),
        }),
    ];
    for_each(
        &[
            ("mixed", mixed()),
            ("conditional", conditional()),
            ("choices", choices()),
        ],
        |kind, name, space| {
            for (what, outcome) in &outcomes {
                let domain = Domain::new(space.clone()).unwrap();
                let mut sweep = Sweep::new(kind, space.clone(), 2);
                let mut seen = HashSet::new();
                for number in 0..18 {
                    let trial = sweep
                        .step_with(outcome(number))
                        .unwrap_or_else(|| panic!("{kind} {name} {what} ended at {number}"));
                    assert!(seen.insert(domain.fingerprint(&trial)), "{kind} {name} {what}");
                }
            }
        },
    );
}

/// Earlier sweeps are data, not tried configurations; enqueued ones are tried.
#[test]
fn inherited_trials_do_not_count_as_tried() {
    for_each(&[("finite", finite())], |kind, _, space| {
        let domain = Domain::new(space.clone()).unwrap();
        let size = domain.cardinality().unwrap();
        let mut sweep = Sweep::new(kind, space.clone(), 5);
        for index in 0..size {
            sweep.history.inherited.push(trial(
                index as u64,
                domain.nth(index).unwrap(),
                Outcome::Completed(index as f64),
                Goal::Minimize,
            ));
        }
        sweep
            .history
            .trials
            .push(trial(0, domain.nth(3).unwrap(), Outcome::Pending, Goal::Minimize));
        let mut count = 0;
        while let Some(next) = sweep.step(1) {
            assert_ne!(Some(next), domain.nth(3), "{kind}");
            count += 1;
        }
        assert_eq!(count, size - 1, "{kind}");
    });
}

#[test]
fn duplicates_on_request() {
    let space = Arc::new(one_value());
    for kind in ["random", "sobol"] {
        let spec = SamplerSpec {
            allow_duplicates: true,
            ..spec(kind)
        };
        let mut sampler = build(&spec, space.clone(), Goal::Maximize).unwrap();
        let mut history = History::new(Goal::Maximize);
        for number in 0..3 {
            let Suggestion::Next(next) = sampler.suggest(number, &history) else {
                panic!("{kind}")
            };
            history.trials.push(trial(
                number,
                next.assignment,
                Outcome::Completed(1.0),
                Goal::Maximize,
            ));
        }
    }
}

/// A constraint that only one configuration in thousands keeps.
#[test]
fn narrow_constraints_are_found() {
    let space = SearchSpace {
        parameters: vec![parameter("a", randint(300)), parameter("b", randint(300))],
        constraints: vec!["a * b == 1147".into()],
    };
    for_each(&[("narrow", space)], |kind, _, space| {
        let mut sweep = Sweep::new(kind, space.clone(), 1);
        let found: Vec<_> = std::iter::from_fn(|| sweep.step(1)).collect();
        assert_eq!(found.len(), 2, "{kind}: 31 * 37 both ways");
    });
}

#[test]
fn mistakes_are_refused_at_building() {
    let space = Arc::new(finite());
    let unknown = build(&spec("annealing"), space.clone(), Goal::Minimize)
        .err()
        .unwrap();
    assert_eq!(unknown, SamplerError::Unknown("annealing".into()));
    for row in REGISTRY {
        let mut spec = spec(row.kind);
        spec.options.insert("colour".into(), "red".into());
        let error = build(&spec, space.clone(), Goal::Minimize).err().unwrap();
        assert!(matches!(error, SamplerError::Option { .. }), "{error}");
        let broken = Arc::new(SearchSpace {
            constraints: vec!["layers < 3".into()],
            ..finite()
        });
        let error = build(&self::spec(row.kind), broken, Goal::Minimize)
            .err()
            .unwrap();
        assert!(
            error.to_string().contains("no parameter is called `layers`"),
            "{error}"
        );
    }
}

#[test]
fn ten_thousand_trials() {
    for row in REGISTRY {
        let space = Arc::new(if row.kind == "grid" {
            large_finite()
        } else {
            mixed()
        });
        let mut sweep = Sweep::new(row.kind, space.clone(), 9);
        if BLIND.contains(&row.kind) {
            (0..10_000).for_each(|n| assert!(sweep.step(4).is_some(), "{} {n}", row.kind));
            continue;
        }
        // The others get a long history for nothing and must go on from there.
        let mut draws = Sweep::new("random", space.clone(), 9);
        (0..10_000).for_each(|_| assert!(draws.step(1).is_some()));
        sweep.history = draws.history;
        for _ in 0..3 {
            assert!(sweep.step(2).is_some(), "{}", row.kind);
        }
    }
}

/// Draws follow their distributions: the empirical distribution function against the closed form.
#[test]
fn random_draws_have_the_distributions_asked_for() {
    let e = std::f64::consts::E;
    let normal = statrs::distribution::Normal::new(0.0, 1.0).unwrap();
    let phi = |z: f64| statrs::distribution::ContinuousCDF::cdf(&normal, z);
    use overdrive::space::Distribution as D;
    let cases: Vec<(D, Box<dyn Fn(f64) -> f64>)> = vec![
        (D::Uniform { low: -1.0, high: 3.0 }, Box::new(|x| (x + 1.0) / 4.0)),
        (
            D::Loguniform {
                low: -4.0,
                high: 1.0,
                base: e,
            },
            Box::new(|x: f64| (x.ln() + 4.0) / 5.0),
        ),
        (
            D::Normal { mu: 2.0, sigma: 3.0 },
            Box::new(move |x| phi((x - 2.0) / 3.0)),
        ),
        (
            D::Lognormal {
                mu: 1.0,
                sigma: 0.5,
                base: e,
            },
            Box::new(move |x: f64| phi((x.ln() - 1.0) / 0.5)),
        ),
        (D::Randint { upper: 7 }, Box::new(|x| (x + 1.0) / 7.0)),
        (
            D::Quniform {
                low: 0.0,
                high: 10.0,
                q: 2.0,
            },
            Box::new(|x| ((x + 1.0) / 10.0).min(1.0)),
        ),
        (
            D::Qnormal {
                mu: 0.0,
                sigma: 4.0,
                q: 3.0,
            },
            Box::new(move |x| phi((x + 1.5) / 4.0)),
        ),
        (
            D::Qlognormal {
                mu: 1.0,
                sigma: 1.0,
                q: 2.0,
                base: e,
            },
            Box::new(move |x| phi((x + 1.0).ln() - 1.0)),
        ),
        (
            D::Qloguniform {
                low: 0.0,
                high: 3.0,
                q: 1.0,
                base: e,
            },
            Box::new(|x| ((x + 0.5).ln() / 3.0).min(1.0)),
        ),
        (
            D::Int {
                low: 1,
                high: 100,
                log: true,
            },
            Box::new(|x| ((x + 0.5) / 0.5).ln() / 201f64.ln()),
        ),
    ];
    for (distribution, cdf) in cases {
        let word = distribution.word();
        let space = Arc::new(SearchSpace {
            parameters: vec![parameter("x", distribution)],
            constraints: Vec::new(),
        });
        for kind in ["random", "sobol"] {
            let spec = SamplerSpec {
                allow_duplicates: true,
                ..spec(kind)
            };
            let mut sampler = build(&spec, space.clone(), Goal::Minimize).unwrap();
            let history = History::new(Goal::Minimize);
            let mut draws: Vec<f64> = (0..4000)
                .map(|number| match sampler.suggest(number, &history) {
                    Suggestion::Next(next) => next.assignment.values[0].as_ref().unwrap().as_f64().unwrap(),
                    Suggestion::Exhausted(reason) => panic!("{reason}"),
                })
                .collect();
            draws.sort_by(f64::total_cmp);
            // Kolmogorov-Smirnov at 0.1 %: 1.95 / sqrt(n); scrambled points do far better.
            let limit = if kind == "sobol" {
                0.004
            } else {
                1.95 / 4000f64.sqrt()
            };
            for (rank, x) in draws.iter().enumerate() {
                if draws.get(rank + 1) != Some(x) {
                    let empirical = (rank + 1) as f64 / 4000.0;
                    assert!(
                        (empirical - cdf(*x)).abs() < limit,
                        "{kind} {word} at {x}: {empirical} {}",
                        cdf(*x)
                    );
                }
            }
        }
    }
}

#[test]
fn the_model_finds_better_points_than_chance() {
    for row in REGISTRY.iter().filter(|row| !BLIND.contains(&row.kind)) {
        let (mut model, mut chance) = (0.0, 0.0);
        for seed in 0..3 {
            let best = |kind| {
                let mut sweep = Sweep::new(kind, Arc::new(bowl()), seed);
                (0..40).for_each(|_| assert!(sweep.step(2).is_some()));
                sweep.history.incumbent().unwrap().score().unwrap()
            };
            model += best(row.kind);
            chance += best("random");
        }
        assert!(model < chance, "{}: {model} against {chance}", row.kind);
        if row.kind == "bayesian" {
            assert!(model < 0.2 * chance, "{model} against {chance}");
        }
    }
    assert!(TrialState::Completed.is_terminal());
}

/// Earlier sweeps of other spaces: parameters missing, values outside of the bounds, results that mislead, several sweeps at once.
#[test]
fn earlier_sweeps_of_any_kind_do_not_harm_a_sampler() {
    for_each(
        &[
            ("mixed", mixed()),
            ("conditional", conditional()),
            ("finite", finite()),
        ],
        |kind, name, space| {
            let domain = Domain::new(space.clone()).unwrap();
            let mut draws = Sweep::new("random", space.clone(), 21);
            let mut inherited = Vec::new();
            for sweep in 0..3 {
                for number in 0..12 {
                    let Some(mut values) = draws.step(1) else { break };
                    // The second sweep lacks the first parameter, the third has numbers beyond the bounds.
                    if sweep == 1 {
                        values.values[0] = None;
                    }
                    if sweep == 2
                        && let Some(Some(Value::Float(x))) = values
                            .values
                            .iter_mut()
                            .find(|v| matches!(v, Some(Value::Float(_))))
                    {
                        *x *= 1.01;
                    }
                    let outcome = match number {
                        3 => Outcome::Failed,
                        4 => Outcome::Completed(f64::NAN),
                        _ => Outcome::Completed((number * 7 % 11) as f64),
                    };
                    inherited.push(trial(number, values, outcome, Goal::Minimize));
                }
            }
            let mut sweep = Sweep::new(kind, space.clone(), 21);
            sweep.history.inherited = inherited;
            let mut seen = HashSet::new();
            for number in 0..20 {
                let fresh = build(&spec_seed(kind, 21), space.clone(), Goal::Minimize)
                    .unwrap()
                    .suggest(number, &sweep.history);
                let warm = sweep.sampler.suggest(number, &sweep.history);
                assert!(
                    fresh == warm,
                    "{kind} {name} trial {number}:\n{fresh:?}\n{warm:?}"
                );
                let Some(next) = sweep.step(3) else { break };
                assert!(
                    domain.fits(&next) && domain.satisfies(&next),
                    "{kind} {name}: {next:?}"
                );
                assert!(within_bounds(space, &next), "{kind} {name}: {next:?}");
                assert!(
                    seen.insert(domain.fingerprint(&next)),
                    "{kind} {name}: {next:?} came twice"
                );
            }
        },
    );
}
