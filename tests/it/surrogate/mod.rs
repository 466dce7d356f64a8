//! The Gaussian process beside scikit-learn's on the same data.

use crate::channel::venv;
use overdrive::space::rng::stream;
use overdrive::surrogate::gp::{NUGGET, loss_and_gradient};
use overdrive::surrogate::{Data, Fit, Gp, Group, GroupKind, Hyperparameters, Prior};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

const WIDTH: usize = 3;

fn data(n: usize) -> Data {
    let mut draws = stream(4, "scikit-learn", 0);
    let features: Vec<f64> = (0..n * WIDTH).map(|_| draws.unit()).collect();
    let values = features
        .chunks_exact(WIDTH)
        .map(|x| (5.0 * x[0]).sin() + (x[1] - 0.3).powi(2) * 4.0 + 0.2 * x[2] + 0.05 * draws.normal() + 3.0)
        .collect();
    Data {
        features,
        width: WIDTH,
        groups: (0..WIDTH)
            .map(|start| Group {
                kind: GroupKind::Euclid,
                start,
                width: 1,
            })
            .collect(),
        values,
        extra_noise: vec![0.0; n],
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn rows(flat: &[f64]) -> Vec<&[f64]> {
    flat.chunks_exact(WIDTH).collect()
}

#[test]
fn agrees_with_scikit_learn() {
    if !venv::full("agrees_with_scikit_learn") {
        return;
    }
    let python = venv::with("scikit-learn", &["scikit-learn"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/gaussian_process.py");
    let data = data(60);
    let mut draws = stream(4, "scikit-learn", 1);
    let at: Vec<f64> = (0..20 * WIDTH).map(|_| draws.unit() * 1.4 - 0.2).collect();
    // A wide prior: what is found is the most likely, as scikit-learn's is.
    let flat = Prior {
        ln_length: (0.0, 1e3),
        ln_scale: (0.0, 1e3),
        ln_noise: (-4.0, 1e3),
    };
    let fit = Fit::new(&data, flat);
    let found = fit.most_probable(&fit.start(), 200);
    let rough = Hyperparameters {
        ln_lengths: vec![-1.0, 0.2, 1.0],
        ln_scale: 0.4,
        ln_noise: -3.5,
    };
    let distances: Vec<Vec<f64>> = data.groups.iter().map(|group| data.distances(group)).collect();
    for theta in [&rough, &found] {
        let gp = Gp::new(theta, &data).unwrap();
        let given = json!({
            "x": rows(&data.features), "y": data.values, "at": rows(&at), "mean": gp.mean(), "nugget": NUGGET,
            "lengths": theta.ln_lengths.iter().map(|l| l.exp()).collect::<Vec<_>>(),
            "scale": theta.scale(), "noise": theta.noise(),
        });
        let mut child = Command::new(&python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(given.to_string().as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
        let (means, variances) = gp.predict(&at);
        for (ours, theirs) in means.iter().zip(numbers(&theirs["mean"])) {
            assert!((ours - theirs).abs() < 1e-8, "mean {ours} {theirs}");
        }
        for (ours, theirs) in variances.iter().zip(numbers(&theirs["variance"])) {
            assert!((ours - theirs).abs() < 1e-8, "variance {ours} {theirs}");
        }
        let (loss, gradient) = loss_and_gradient(theta, &data, &distances).unwrap();
        let likelihood = theirs["likelihood"].as_f64().unwrap();
        assert!(
            (loss + likelihood).abs() < 1e-8 * likelihood.abs().max(1.0),
            "likelihood {loss} {likelihood}"
        );
        // Theirs: signal variance, length scales, noise, of the likelihood; ours: length scales, signal, noise, of the loss.
        let slopes = numbers(&theirs["gradient"]);
        let theirs_in_our_order = [slopes[1], slopes[2], slopes[3], slopes[0], slopes[4]];
        for (ours, theirs) in gradient.iter().zip(theirs_in_our_order) {
            assert!(
                (ours + theirs).abs() < 1e-6 * theirs.abs().max(1.0),
                "gradient {ours} {theirs}"
            );
        }
        if std::ptr::eq(theta, &found) {
            let best = theirs["best"].as_f64().unwrap();
            assert!(-loss > best - 0.05, "most likely: {} {best}", -loss);
        }
    }
}
