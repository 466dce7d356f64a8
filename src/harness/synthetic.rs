//! Synthetic problems: formulas with known optima.

use crate::harness::problem::Configuration;
use std::f64::consts::{E, PI};

/// The formula called `name`, if there is one; all are minimized.
pub fn formula(name: &str) -> Option<fn(&Configuration) -> f64> {
    Some(match name {
        "branin" => branin,
        "hartmann6" => hartmann6,
        "rosen20" => rosen20,
        "ackley_mixed" => ackley_mixed,
        "conditional" => conditional,
        _ => return None,
    })
}

fn number(configuration: &Configuration, name: &str) -> f64 {
    configuration
        .get(name)
        .and_then(crate::space::Value::as_f64)
        .unwrap_or(f64::NAN)
}

fn text(configuration: &Configuration, name: &str) -> String {
    configuration
        .get(name)
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn branin(c: &Configuration) -> f64 {
    let (x, y) = (number(c, "x"), number(c, "y"));
    (y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0).powi(2)
        + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos()
        + 10.0
}

fn hartmann6(c: &Configuration) -> f64 {
    const WEIGHTS: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const SHARPNESS: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const CENTRES: [[f64; 6]; 4] = [
        [1312.0, 1696.0, 5569.0, 124.0, 8283.0, 5886.0],
        [2329.0, 4135.0, 8307.0, 3736.0, 1004.0, 9991.0],
        [2348.0, 1451.0, 3522.0, 2883.0, 3047.0, 6650.0],
        [4047.0, 8828.0, 8732.0, 5743.0, 1091.0, 381.0],
    ];
    let x: Vec<f64> = (0..6).map(|i| number(c, &format!("x{i}"))).collect();
    -WEIGHTS
        .iter()
        .zip(SHARPNESS.iter().zip(&CENTRES))
        .map(|(weight, (sharpness, centres))| {
            let square: f64 = sharpness
                .iter()
                .zip(centres)
                .zip(&x)
                .map(|((a, p), x)| a * (x - 1e-4 * p).powi(2))
                .sum();
            weight * (-square).exp()
        })
        .sum::<f64>()
}

/// Rosenbrock in the decimal logarithm of 20 learning-rate-like parameters; the value is `log10(1 + f)`.
fn rosen20(c: &Configuration) -> f64 {
    let z: Vec<f64> = (0..20).map(|i| number(c, &format!("x{i:02}")).log10()).collect();
    let f: f64 = z
        .windows(2)
        .map(|pair| match pair {
            [a, b] => 100.0 * (b - a * a).powi(2) + (1.0 - a).powi(2),
            _ => 0.0,
        })
        .sum();
    (1.0 + f).log10()
}

/// Ackley over 4 reals, 3 integers and 3 categoricals whose categories lie at shuffled places.
fn ackley_mixed(c: &Configuration) -> f64 {
    let mut v: Vec<f64> = (0..4)
        .map(|i| number(c, &format!("f{i}")) - 0.7 * f64::from(i + 1))
        .collect();
    v.extend((0..3).map(|i| number(c, &format!("i{i}")) - f64::from(2 - i)));
    for (name, places) in [
        ("a", [2, 0, 4, 1, 3]),
        ("b", [3, 1, 0, 4, 2]),
        ("c", [1, 4, 2, 0, 3]),
    ] {
        let category = text(c, &format!("c_{name}"));
        let index: usize = category
            .get(1..)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0);
        v.push(2.0 * f64::from(places.get(index).copied().unwrap_or(0)));
    }
    let n = v.len() as f64;
    let square = v.iter().map(|v| v * v).sum::<f64>() / n;
    let cosine = v.iter().map(|v| (2.0 * PI * v).cos()).sum::<f64>() / n;
    -20.0 * (-0.2 * square.sqrt()).exp() - cosine.exp() + 20.0 + E
}

/// A choice of optimizer with branches of different depth.
fn conditional(c: &Configuration) -> f64 {
    let mut v = match text(c, "opt").as_str() {
        "sgd" => {
            let lr = number(c, "sgd_lr").log10();
            let plain = 0.10 + 0.08 * (lr + 1.3).powi(2);
            if text(c, "use_momentum") == "yes" {
                plain - 0.05 + 0.6 * (number(c, "momentum") - 0.87).powi(2) + 0.05 * (lr + 2.0).powi(2)
            } else {
                plain
            }
        }
        "adam" => {
            0.075
                + 0.06 * (number(c, "adam_lr").log10() + 3.1).powi(2)
                + 0.3 * (number(c, "beta2") - 0.985).abs()
        }
        _ => 0.14 + 0.01 * (number(c, "ridge").log10() - 0.5).powi(2),
    };
    v += 0.02 * (number(c, "width") / 96.0).log2().powi(2) + 0.015 * (number(c, "depth") - 3.0).abs();
    v
}
