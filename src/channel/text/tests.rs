//! The measured lines, and what must not be read.

use super::*;
use proptest::prelude::*;

fn parse(name: &str, line: &str) -> Vec<(f64, Option<i64>)> {
    let mut out = Vec::new();
    TextParser::new(&[name.to_owned()], None).line(&plain(line.as_bytes()), &mut out);
    out.into_iter()
        .filter_map(|report| match report {
            Report::Metric {
                value,
                step,
                name: found,
                channel: Channel::Text,
            } => {
                assert_eq!(found, name);
                Some((value, step))
            }
            _ => None,
        })
        .collect()
}

fn codes(name: &str, line: &str) -> Vec<String> {
    let mut out = Vec::new();
    TextParser::new(&[name.to_owned()], None).line(line, &mut out);
    out.into_iter()
        .filter_map(|report| {
            if let Report::Warning { code, .. } = report {
                Some(code)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn measured_vectors() {
    for (name, line, value, step) in [
        ("loss", "loss=0.3", 0.3, None),
        ("accuracy", "accuracy=.98", 0.98, None),
        ("Score", "Score=-7.53e-05", -7.53e-5, None),
        ("val loss", "epoch 3 val loss: 1e3", 1e3, Some(3)),
        ("loss", "loss=-Infinity", f64::NEG_INFINITY, None),
        ("loss", "loss=INF", f64::INFINITY, None),
        ("acc", r#"{"acc": 0.91, "step": 3}"#, 0.91, Some(3)),
        ("acc", "{'acc': 0.91}", 0.91, None),
        ("acc", "acc: 93.1%", 93.1, None),
        ("test-multi_logloss", "[10]\ttest-multi_logloss: 0.33", 0.33, None),
        ("loss", "[loss: 0.1]", 0.1, None),
        ("loss", "loss=0.5, loss=0.4", 0.5, None),
        ("loss", "train loss = 0.25 | val loss = 0.3", 0.25, None),
        ("loss", "Step: 12 epoch 2 loss=1", 1.0, Some(12)),
        ("loss", "iter=4 loss=1.", 1.0, Some(4)),
        ("loss", "\u{1b}[32mloss\u{1b}[0m=\u{1b}[1m0.5\u{1b}[0m", 0.5, None),
        ("loss", "\u{1b}]0;title loss=9\u{7}loss=0.5", 0.5, None),
        (
            "loss",
            " 10% loss=0.9\r 50% loss=0.7\r100% loss=0.5\r\n",
            0.5,
            None,
        ),
        ("acc", r#"{"acc": "0.5"}"#, 0.5, None),
        ("损失", "轮次 损失=0.5 🙂", 0.5, None),
        ("loss", "loss=1,234 loss=2", 2.0, None),
        ("a.b", "a.b=1 axb=2", 1.0, None),
        ("loss", "{'loss': 0.5, 'epoch': 0.02}", 0.5, None),
    ] {
        assert_eq!(parse(name, line), [(value, step)], "{line:?}");
    }
    assert!(parse("loss", "loss=nan")[0].0.is_nan());
    assert!(parse("acc", r#"{"acc": NaN}"#)[0].0.is_nan());
}

#[test]
fn what_is_not_a_metric() {
    for (name, line) in [
        ("loss", "xloss=1"),
        ("loss", "val_loss=0.5"),
        ("loss", "val/loss: 0.5"),
        ("loss", "loss=1.2.3"),
        ("loss", "loss=3e"),
        ("loss", "loss=1,234"),
        ("loss", "loss=abc"),
        ("loss", "loss"),
        ("loss", "loss=."),
        ("loss", "Loss=0.5"),
        ("axb", "a.b=1"),
        ("", "=1"),
    ] {
        assert_eq!(parse(name, line), [], "{line:?}");
    }
}

#[test]
fn doubtful_lines_warn_once() {
    assert_eq!(
        codes("loss", "train loss = 0.25 | val loss = 0.3"),
        ["ambiguous-metric"]
    );
    assert_eq!(codes("acc", "acc: 93.1%"), ["percent-metric"]);
    assert!(codes("val loss", "epoch 3 val loss: 1e3").is_empty());
    let mut parser = TextParser::new(&["acc".into()], None);
    let mut out = Vec::new();
    for _ in 0..3 {
        parser.line("acc: 93.1%", &mut out);
    }
    assert_eq!(out.len(), 4);
}

#[test]
fn near_misses_of_the_primary_metric() {
    let mut parser = TextParser::new(&[], Some("accuracy"));
    let mut out = Vec::new();
    for line in [
        "Accuracy=0.5",
        "val_accuracy: 0.6",
        "Accuracy=0.7",
        "accuracy improved",
        "time: 12:30",
    ] {
        parser.line(line, &mut out);
    }
    assert_eq!(parser.near_misses(), ["Accuracy", "val_accuracy"]);
    let mut parser = TextParser::new(&[], Some("val loss"));
    parser.line("val_loss=1", &mut out);
    assert_eq!(parser.near_misses(), ["val_loss"]);
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), name in "\\PC{0,5}") {
        let mut out = Vec::new();
        TextParser::new(std::slice::from_ref(&name), Some(&name)).line(&plain(&bytes), &mut out);
    }

    #[test]
    fn no_dressed_text_panics(
        before in "[ \\[{'\"\\r\u{1b}a-z0-9é=:,]{0,12}", number in "[-+.0-9einaf,]{0,12}", after in "[ \\]}%'\",.é\\r]{0,6}",
    ) {
        parse("loss", &format!("{before}loss={number}{after}"));
        parse("é", &format!("{before}é: {number}{after} step {number}"));
    }

    #[test]
    fn every_printed_double_comes_back(value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
        prop_assert_eq!(parse("loss", &format!("loss={value}"))[0].0, value);
        prop_assert_eq!(parse("loss", &format!("loss: {value:e};"))[0].0, value);
    }
}

#[test]
fn numbers_under_other_names_are_remembered_while_the_metric_is_missing() {
    let mut parser = TextParser::new(&["loss".into()], Some("accuracy"));
    let mut out = Vec::new();
    for line in [
        "acc=0.5 loss: 1 val/f1 = .3",
        r#"{"auc": 0.7, "note": "x"}"#,
        "2026-01-01 10:20:30 start",
        "http://host:80/x epoch 3: loss=0.2",
        "acc=0.6",
    ] {
        parser.line(line, &mut out);
    }
    assert_eq!(parser.others(), ["acc", "val/f1", "auc"]);
    parser.line("accuracy=1 more=2", &mut out);
    assert_eq!(parser.others().len(), 3);
}
