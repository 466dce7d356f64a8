//! Spaces of every kind.

use overdrive::space::{Assignment, Condition, Distribution, Parameter, SearchSpace, Value};

pub(super) fn parameter(name: &str, distribution: Distribution) -> Parameter {
    Parameter {
        name: name.into(),
        distribution,
        condition: None,
    }
}

fn under(name: &str, distribution: Distribution, parent: usize, options: &[usize]) -> Parameter {
    Parameter {
        name: name.into(),
        distribution,
        condition: Some(Condition {
            parent,
            options: options.to_vec(),
        }),
    }
}

pub(super) fn randint(upper: i64) -> Distribution {
    Distribution::Randint { upper }
}

fn words(list: &[&str]) -> Distribution {
    Distribution::Choice {
        options: list.iter().map(|v| Value::Str((*v).into())).collect(),
        ordered: None,
    }
}

fn numbers(list: &[i64]) -> Distribution {
    Distribution::Choice {
        options: list.iter().map(|v| Value::Int(*v)).collect(),
        ordered: None,
    }
}

fn uniform(low: f64, high: f64) -> Distribution {
    Distribution::Uniform { low, high }
}

const E: f64 = std::f64::consts::E;

fn space(parameters: Vec<Parameter>) -> SearchSpace {
    SearchSpace {
        parameters,
        constraints: Vec::new(),
    }
}

/// All ten expressions and the native integers.
fn ten() -> SearchSpace {
    space(vec![
        parameter("--choice", words(&["a", "b", "c"])),
        parameter("--randint", randint(12)),
        parameter("--uniform", uniform(-2.0, 5.0)),
        parameter(
            "--quniform",
            Distribution::Quniform {
                low: 1.0,
                high: 64.0,
                q: 4.0,
            },
        ),
        parameter(
            "--loguniform",
            Distribution::Loguniform {
                low: -9.0,
                high: -1.0,
                base: E,
            },
        ),
        parameter(
            "--qloguniform",
            Distribution::Qloguniform {
                low: 0.0,
                high: 6.0,
                q: 2.0,
                base: E,
            },
        ),
        parameter("--normal", Distribution::Normal { mu: 1.0, sigma: 2.0 }),
        parameter(
            "--qnormal",
            Distribution::Qnormal {
                mu: 10.0,
                sigma: 4.0,
                q: 1.0,
            },
        ),
        parameter(
            "--lognormal",
            Distribution::Lognormal {
                mu: 0.0,
                sigma: 1.0,
                base: 10.0,
            },
        ),
        parameter(
            "--qlognormal",
            Distribution::Qlognormal {
                mu: 2.0,
                sigma: 1.0,
                q: 1.0,
                base: E,
            },
        ),
        parameter(
            "--int",
            Distribution::Int {
                low: -5,
                high: 5,
                log: false,
            },
        ),
        parameter(
            "--logint",
            Distribution::Int {
                low: 1,
                high: 4096,
                log: true,
            },
        ),
    ])
}

pub(super) fn mixed() -> SearchSpace {
    space(vec![
        parameter(
            "lr",
            Distribution::Loguniform {
                low: -5.0,
                high: -1.0,
                base: 10.0,
            },
        ),
        parameter("batch", numbers(&[16, 32, 64, 128])),
        parameter("optimizer", words(&["sgd", "adam", "rmsprop"])),
        parameter(
            "layers",
            Distribution::Int {
                low: 1,
                high: 6,
                log: false,
            },
        ),
        parameter("dropout", uniform(0.0, 0.5)),
    ])
}

/// Three branches of different depth, one parameter shared by two of them.
pub(super) fn conditional() -> SearchSpace {
    space(vec![
        parameter("model", words(&["tree", "net", "linear"])),
        under(
            "depth",
            Distribution::Int {
                low: 1,
                high: 12,
                log: false,
            },
            0,
            &[0],
        ),
        under("optimizer", words(&["sgd", "adam"]), 0, &[1]),
        under("momentum", uniform(0.0, 0.99), 2, &[0]),
        under(
            "penalty",
            Distribution::Loguniform {
                low: -6.0,
                high: 2.0,
                base: E,
            },
            0,
            &[1, 2],
        ),
    ])
}

/// Everything that a choice may hold.
pub(super) fn choices() -> SearchSpace {
    let odd = Distribution::Choice {
        options: vec![
            Value::Null,
            Value::Bool(true),
            Value::Int(1),
            Value::Float(0.5),
            Value::Str(String::new()),
            Value::List(vec![Value::Int(1), Value::Str("x".into())]),
            Value::Map(Box::new([("k".to_string(), Value::Int(2))].into_iter().collect())),
        ],
        ordered: None,
    };
    space(vec![
        parameter("odd", odd),
        parameter("flag", words(&["x", "y"])),
        parameter("n", randint(3)),
    ])
}

/// 3 x 2 x 2 configurations; one option is there twice.
pub(super) fn finite() -> SearchSpace {
    let twice = Distribution::Choice {
        options: [0.5, 1.0, 0.5, 1.5].map(Value::Float).to_vec(),
        ordered: None,
    };
    space(vec![
        parameter("a", twice),
        parameter("b", words(&["x", "y"])),
        parameter("c", randint(2)),
    ])
}

pub(super) fn finite_conditional() -> SearchSpace {
    space(vec![
        parameter("kind", numbers(&[0, 1, 2])),
        under("left", randint(3), 0, &[0]),
        under("right", words(&["p", "q"]), 0, &[1]),
        parameter(
            "z",
            Distribution::Quniform {
                low: 0.0,
                high: 2.0,
                q: 1.0,
            },
        ),
    ])
}

pub(super) fn one_value() -> SearchSpace {
    space(vec![
        parameter("only", words(&["it"])),
        parameter("fixed", Distribution::Normal { mu: 3.0, sigma: 0.0 }),
    ])
}

/// Few of many configurations are allowed.
pub(super) fn tight() -> SearchSpace {
    SearchSpace {
        parameters: vec![
            parameter("--n-layers", randint(20)),
            parameter("--width", randint(20)),
            parameter("mode", words(&["a", "b"])),
        ],
        constraints: vec![
            "n_layers * width == 36".into(),
            "mode == 'a' or n_layers < 4".into(),
        ],
    }
}

fn constrained() -> SearchSpace {
    SearchSpace {
        constraints: vec![
            "layers * batch <= 128".into(),
            "optimizer != 'sgd' or lr < 0.001".into(),
        ],
        ..mixed()
    }
}

fn constant_and_free() -> SearchSpace {
    space(vec![
        parameter("constant", words(&["x"])),
        parameter("free", uniform(0.0, 1.0)),
        parameter("seed", randint(1000)),
    ])
}

fn twenty() -> SearchSpace {
    space(
        (0..20)
            .map(|i| parameter(&format!("x{i}"), uniform(-5.0, 10.0)))
            .collect(),
    )
}

pub(super) fn large_finite() -> SearchSpace {
    space((0..5).map(|i| parameter(&format!("x{i}"), randint(8))).collect())
}

/// A smooth valley in four dimensions.
pub(super) fn bowl() -> SearchSpace {
    space(
        (0..4)
            .map(|i| parameter(&format!("x{i}"), uniform(-1.0, 1.0)))
            .collect(),
    )
}

pub(super) fn all_spaces() -> Vec<(&'static str, SearchSpace)> {
    vec![
        ("ten", ten()),
        ("mixed", mixed()),
        ("conditional", conditional()),
        ("choices", choices()),
        ("finite", finite()),
        ("branches", finite_conditional()),
        ("one", one_value()),
        ("tight", tight()),
        ("constrained", constrained()),
        ("constant", constant_and_free()),
        ("twenty", twenty()),
    ]
}

/// Whether numbers lie where their expression can put them.
pub(super) fn within_bounds(space: &SearchSpace, assignment: &Assignment) -> bool {
    space
        .parameters
        .iter()
        .zip(&assignment.values)
        .all(|(parameter, value)| {
            let Some(number) = value.as_ref().and_then(Value::as_f64) else {
                return true;
            };
            match parameter.distribution {
                Distribution::Randint { upper } => (0.0..upper as f64).contains(&number),
                Distribution::Int { low, high, .. } => (low as f64..=high as f64).contains(&number),
                Distribution::Uniform { low, high } => (low..=high).contains(&number),
                Distribution::Quniform { low, high, q } => {
                    (low - q / 2.0..=high + q / 2.0).contains(&number) && number % q == 0.0
                }
                Distribution::Loguniform { low, high, base } => {
                    (low - 1e-12..=high + 1e-12).contains(&(number.ln() / base.ln()))
                }
                Distribution::Qloguniform { low, high, q, base } => {
                    (base.powf(low) - q / 2.0..=base.powf(high) + q / 2.0).contains(&number)
                        && number % q == 0.0
                }
                Distribution::Qnormal { q, .. } | Distribution::Qlognormal { q, .. } => number % q == 0.0,
                Distribution::Lognormal { .. } => number > 0.0,
                Distribution::Normal { .. } | Distribution::Choice { .. } => number.is_finite(),
            }
        })
}
