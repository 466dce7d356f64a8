//! Tests of the Gaussian process against dense algebra, finite differences and its prior.

use super::super::{Fit, Prior};
use super::*;
use crate::space::rng::stream;
use crate::surrogate::GroupKind;

/// Mixed features: two axes, an arc of two columns, a category.
fn data(n: usize) -> Data {
    let groups = vec![
        Group {
            kind: GroupKind::Euclid,
            start: 0,
            width: 1,
        },
        Group {
            kind: GroupKind::Euclid,
            start: 1,
            width: 1,
        },
        Group {
            kind: GroupKind::Euclid,
            start: 2,
            width: 2,
        },
        Group {
            kind: GroupKind::Hamming,
            start: 4,
            width: 1,
        },
    ];
    let mut draws = stream(11, "gp data", n as u64);
    let mut features = Vec::new();
    let mut values = Vec::new();
    for _ in 0..n {
        let row = [
            draws.unit(),
            draws.unit(),
            draws.unit(),
            draws.unit(),
            draws.below(3) as f64,
        ];
        values.push((6.0 * row[0]).sin() + row[1] * row[2] + 0.3 * row[4] + 0.1 * draws.normal());
        features.extend(row);
    }
    let extra_noise = (0..n).map(|i| if i % 5 == 0 { 0.2 } else { 0.0 }).collect();
    Data {
        features,
        width: 5,
        groups,
        values,
        extra_noise,
    }
}

fn theta() -> Hyperparameters {
    Hyperparameters {
        ln_lengths: vec![-0.7, 0.1, 0.4, 0.9],
        ln_scale: 0.3,
        ln_noise: -3.0,
    }
}

/// Plain dense algebra: Gauss-Jordan inverse and determinant, no blocking, `std` functions.
fn dense(data: &Data, theta: &Hyperparameters) -> (Vec<Vec<f64>>, Vec<Vec<f64>>, f64) {
    let n = data.len();
    let row = |i: usize| &data.features[i * 5..(i + 1) * 5];
    let k = |a: &[f64], b: &[f64]| {
        let l: Vec<f64> = theta.ln_lengths.iter().map(|x| x.exp()).collect();
        let r2 = ((a[0] - b[0]) / l[0]).powi(2)
            + ((a[1] - b[1]) / l[1]).powi(2)
            + (((a[2] - b[2]).powi(2) + (a[3] - b[3]).powi(2)) / l[2].powi(2))
            + f64::from(u8::from(a[4] != b[4])) / l[3].powi(2);
        let root = (5.0 * r2).sqrt();
        theta.ln_scale.exp() * (1.0 + root + 5.0 / 3.0 * r2) * (-root).exp()
    };
    let kernel: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| k(row(i), row(j))).collect())
        .collect();
    let mut work: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let mut line = kernel[i].clone();
            line[i] += theta.ln_noise.exp() + NUGGET + data.extra_noise[i];
            line.extend((0..n).map(|j| f64::from(u8::from(i == j))));
            line
        })
        .collect();
    let mut ln_determinant = 0.0;
    for p in 0..n {
        let pivot = work[p][p];
        ln_determinant += pivot.ln();
        work[p].iter_mut().for_each(|v| *v /= pivot);
        for i in 0..n {
            if i != p {
                let factor = work[i][p];
                let source = work[p].clone();
                work[i].iter_mut().zip(source).for_each(|(v, s)| *v -= factor * s);
            }
        }
    }
    (
        kernel,
        work.into_iter().map(|line| line[n..].to_vec()).collect(),
        ln_determinant,
    )
}

#[test]
fn likelihood_posterior_and_leave_one_out_match_dense_algebra() {
    let data = data(23);
    let n = data.len();
    let (kernel, inverse, ln_determinant) = dense(&data, &theta());
    let apply = |v: &[f64]| -> Vec<f64> {
        inverse
            .iter()
            .map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
            .collect()
    };
    let ones = vec![1.0; n];
    let mean = apply(&ones)
        .iter()
        .zip(&data.values)
        .map(|(a, y)| a * y)
        .sum::<f64>()
        / apply(&ones).iter().sum::<f64>();
    let centred: Vec<f64> = data.values.iter().map(|y| y - mean).collect();
    let alpha = apply(&centred);
    let quadratic: f64 = alpha.iter().zip(&centred).map(|(a, y)| a * y).sum();
    let expected = 0.5 * (quadratic + ln_determinant + n as f64 * (2.0 * PI).ln());
    let distances: Vec<_> = data.groups.iter().map(|g| data.distances(g)).collect();
    let (loss, _) = loss_and_gradient(&theta(), &data, &distances).unwrap();
    assert!((loss - expected).abs() < 1e-9);

    let gp = Gp::new(&theta(), &data).unwrap();
    assert!((gp.mean() - mean).abs() < 1e-10);
    let (means, variances) = gp.predict(&data.features);
    for i in 0..n {
        let weighted = apply(&kernel[i]);
        let posterior_mean = mean + kernel[i].iter().zip(&alpha).map(|(k, a)| k * a).sum::<f64>();
        let variance = kernel[i][i] - weighted.iter().zip(&kernel[i]).map(|(a, b)| a * b).sum::<f64>();
        assert!((means[i] - posterior_mean).abs() < 1e-9 && (variances[i] - variance).abs() < 1e-9);
        assert!((gp.fitted()[i] - posterior_mean).abs() < 1e-9);
    }
    let (loo_mean, loo_variance) = gp.leave_one_out();
    for i in 0..n {
        assert!((loo_mean[i] - (data.values[i] - alpha[i] / inverse[i][i])).abs() < 1e-8);
        assert!((loo_variance[i] - 1.0 / inverse[i][i]).abs() < 1e-8);
    }
}

#[test]
fn gradient_matches_finite_differences() {
    for n in [3, 20, 41] {
        let data = data(n);
        let fit = Fit::new(&data, Prior::standard(4));
        let at = theta().to_vec();
        let (_, gradient) = fit.objective(&at).unwrap();
        for i in 0..at.len() {
            let shifted = |h: f64| {
                let mut moved = at.clone();
                moved[i] += h;
                fit.objective(&moved).unwrap().0
            };
            let h = 1e-5;
            let difference =
                (8.0 * (shifted(h) - shifted(-h)) - (shifted(2.0 * h) - shifted(-2.0 * h))) / (12.0 * h);
            assert!(
                (gradient[i] - difference).abs() < 1e-7 * (1.0 + difference.abs()),
                "{n} {i} {} {difference}",
                gradient[i]
            );
        }
    }
}

#[test]
fn the_search_finds_a_stationary_point_and_repeats_itself() {
    let data = data(40);
    let fit = Fit::new(&data, Prior::standard(4));
    let found = fit.most_probable(&fit.start(), 60);
    let (loss, gradient) = fit.objective(&found.to_vec()).unwrap();
    assert!(loss < fit.objective(&fit.start().to_vec()).unwrap().0);
    assert!(gradient.iter().all(|g| g.abs() < 0.05), "{gradient:?}");
    assert_eq!(found, fit.most_probable(&fit.start(), 60));
    assert_eq!(
        fit.sample(&found, 3, 6, &mut stream(1, "s", 0)),
        fit.sample(&found, 3, 6, &mut stream(1, "s", 0))
    );
}

/// With no data to speak of, the chain must return the prior.
#[test]
fn slice_samples_follow_the_prior_where_the_data_say_nothing() {
    let mut data = data(1);
    data.extra_noise = vec![1e6];
    let prior = Prior::standard(4);
    let fit = Fit::new(&data, prior);
    let states = fit.sample(&fit.start(), 4000, 6, &mut stream(2, "prior", 0));
    let mean = states.iter().map(|s| s.ln_noise).sum::<f64>() / 4000.0;
    let variance = states.iter().map(|s| (s.ln_noise - mean).powi(2)).sum::<f64>() / 4000.0;
    assert!(
        (mean + 4.0).abs() < 0.15 && (variance - 1.0).abs() < 0.2,
        "{mean} {variance}"
    );
    let lengths = states.iter().map(|s| s.ln_lengths[0]).sum::<f64>() / 4000.0;
    assert!((lengths - prior.ln_length.0).abs() < 0.1, "{lengths}");
}

#[test]
fn fantasies_are_conditioned_on_like_data() {
    let all = data(30);
    let cut = |n: usize| Data {
        features: all.features[..n * 5].to_vec(),
        values: all.values[..n].to_vec(),
        extra_noise: vec![0.0; n],
        ..all.clone()
    };
    let mut grown = Gp::new(&theta(), &cut(28)).unwrap();
    let mut added = Vec::new();
    for i in 28..30 {
        added.push(grown.fantasize(&all.features[i * 5..(i + 1) * 5], 0.5).unwrap());
    }
    let mut joined = cut(30);
    joined.values[28..].copy_from_slice(&added);
    let whole = Gp::new(&theta(), &joined).unwrap();
    let probe = [0.3, 0.3, 0.1, 0.2, 1.0];
    let ((a, va), (b, vb)) = (grown.predict(&probe), whole.predict(&probe));
    assert_eq!(va, vb);
    assert!(
        (a[0] - b[0]).abs() < 0.1,
        "only the constant mean may differ: {a:?} {b:?}"
    );
}
