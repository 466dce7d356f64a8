//! Tests of the encoding: round trips of every expression, ordered choices.

use super::*;
use crate::space::rng::stream;
use crate::space::{Condition, Parameter, SearchSpace};

fn every_kind() -> Arc<Domain> {
    let e = std::f64::consts::E;
    let numbers = |list: &[i64]| Distribution::Choice {
        options: list.iter().map(|v| Value::Int(*v)).collect(),
        ordered: None,
    };
    let words = |list: &[&str]| Distribution::Choice {
        options: list.iter().map(|v| Value::Str((*v).into())).collect(),
        ordered: None,
    };
    let list = vec![
        ("branch", words(&["a", "b", "c"]), None),
        ("batch", numbers(&[128, 16, 32, 64]), None),
        ("n", Distribution::Randint { upper: 20 }, None),
        ("few", Distribution::Randint { upper: 3 }, None),
        (
            "log",
            Distribution::Int {
                low: 1,
                high: 500,
                log: true,
            },
            None,
        ),
        ("u", Distribution::Uniform { low: -1.0, high: 3.0 }, Some(vec![0])),
        (
            "qu",
            Distribution::Quniform {
                low: 1.0,
                high: 10.0,
                q: 2.0,
            },
            None,
        ),
        (
            "lu",
            Distribution::Loguniform {
                low: -5.0,
                high: -1.0,
                base: 10.0,
            },
            Some(vec![1, 2]),
        ),
        (
            "qlu",
            Distribution::Qloguniform {
                low: 0.0,
                high: 5.0,
                q: 3.0,
                base: e,
            },
            None,
        ),
        ("norm", Distribution::Normal { mu: 2.0, sigma: 3.0 }, None),
        (
            "qnorm",
            Distribution::Qnormal {
                mu: 2.0,
                sigma: 3.0,
                q: 0.5,
            },
            None,
        ),
        (
            "lnorm",
            Distribution::Lognormal {
                mu: 0.0,
                sigma: 1.0,
                base: e,
            },
            Some(vec![2]),
        ),
        (
            "qlnorm",
            Distribution::Qlognormal {
                mu: 3.0,
                sigma: 1.0,
                q: 1.0,
                base: e,
            },
            None,
        ),
        ("seed", Distribution::Randint { upper: 100 }, None),
        ("constant", words(&["x"]), None),
    ];
    let parameters = list
        .into_iter()
        .map(|(name, distribution, options)| Parameter {
            name: name.into(),
            distribution,
            condition: options.map(|options| Condition { parent: 0, options }),
        })
        .collect();
    Arc::new(
        Domain::new(Arc::new(SearchSpace {
            parameters,
            constraints: Vec::new(),
        }))
        .unwrap(),
    )
}

#[test]
fn coordinates_survive_the_round_trip() {
    let domain = every_kind();
    let encoder = Encoder::new(domain.clone());
    let mut draws = stream(4, "round trip", 0);
    let mut point = encoder.at(|_| draws.unit());
    for step in 0..400 {
        let assignment = encoder.assignment(&point);
        assert!(domain.fits(&assignment), "{assignment:?}");
        let again = encoder.coordinates(&assignment);
        for (i, (a, b)) in point.iter().zip(&again).enumerate() {
            assert!(
                (a - b).abs() < 1e-9 || (a.is_nan() && b.is_nan()),
                "{step} {i} {a} {b}"
            );
        }
        // Continuous values may differ in the last bits, all others may not.
        for (a, b) in assignment.values.iter().zip(&encoder.assignment(&again).values) {
            match (a, b) {
                (Some(Value::Float(a)), Some(Value::Float(b))) => {
                    assert!((a - b).abs() <= 1e-9 * a.abs().max(1e-3))
                }
                _ => assert_eq!(a, b),
            }
        }
        let mut features = Vec::new();
        encoder.features(&again, &mut features);
        assert_eq!(features.len(), encoder.width());
        assert!(features.iter().all(|f| f.is_finite()));
        let moved = encoder.mutate(&point, 0.2, (-2.0, -0.4), &mut draws);
        assert!(
            moved
                .iter()
                .zip(&point)
                .any(|(a, b)| a != b && !(a.is_nan() && b.is_nan()))
        );
        point = moved;
    }
}

#[test]
fn numeric_choices_are_ordered_and_geometric_ones_logarithmic() {
    let axis = |list: &[f64]| choice_axis(&list.iter().map(|v| Value::Float(*v)).collect::<Vec<_>>(), None);
    let Axis::Ladder { positions, order } = axis(&[128.0, 16.0, 32.0, 64.0]) else {
        panic!()
    };
    assert_eq!(order, [1, 2, 3, 0]);
    assert!(
        positions
            .iter()
            .zip([1.0, 0.0, 1.0 / 3.0, 2.0 / 3.0])
            .all(|(a, b)| (a - b).abs() < 1e-12)
    );
    let Axis::Ladder { positions, .. } = axis(&[0.0, 1.0, 5.0]) else {
        panic!()
    };
    assert_eq!(positions, [0.0, 0.5, 1.0]);
    assert_eq!(axis(&[1.0, 2.0]), Axis::Category { options: 2 });
}
