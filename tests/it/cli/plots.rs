//! Plots are well-formed and hold their marks; exports read back to what went in.

use super::rows;
use overdrive::history::{CancelCause, TrialState};
use overdrive::metric::Goal;
use overdrive::report::export::{MetricRow, Table, json};
use overdrive::report::importance::importance;
use overdrive::report::plot::{self, Canvas, Data, Palette, Point, Scene};
use overdrive::space::Value;
use overdrive::store::row::MetricPoint;

fn data(trials: u64) -> Data {
    let points = (0..trials)
        .map(|trial| {
            let lr = 1e-4 * 1.2f64.powi(trial as i32);
            let value = if trial == 4 {
                None
            } else {
                Some(0.9 - (lr.ln() + 5.0).abs() * 0.05)
            };
            Point {
                trial,
                state: if trial % 3 == 1 {
                    TrialState::Canceled
                } else {
                    TrialState::Completed
                },
                cause: (trial % 3 == 1).then_some(CancelCause::Policy),
                value,
                parameters: [
                    ("--lr".to_owned(), Value::Float(lr)),
                    (
                        "--opt <b>".to_owned(),
                        Value::Str(if trial % 2 == 0 { "adam" } else { "sgd" }.into()),
                    ),
                ]
                .into_iter()
                .collect(),
                curve: value
                    .map(|value| {
                        (0..5)
                            .map(|step| {
                                (
                                    f64::from(step),
                                    if step == 2 && trial == 3 {
                                        f64::NAN
                                    } else {
                                        value * f64::from(step) / 5.0
                                    },
                                )
                            })
                            .collect()
                    })
                    .unwrap_or_default(),
            }
        })
        .collect();
    Data {
        name: "digits & co".into(),
        metric: "Accuracy".into(),
        goal: Goal::Maximize,
        trials: points,
        log: false,
        log_parameters: vec!["--lr".into()],
    }
}

fn scenes(data: &Data, canvas: &Canvas) -> Vec<Scene> {
    let rows: Vec<_> = data
        .trials
        .iter()
        .filter_map(|point| point.value.map(|value| (&point.parameters, value)))
        .collect();
    let shares = importance(&rows, data.goal);
    let shares = shares.as_deref().map_err(ToString::to_string);
    vec![
        plot::progress(data, canvas),
        plot::curves(data, canvas),
        plot::parallel(data, canvas),
        plot::slices(data, canvas),
        plot::importance(data, shares, canvas),
    ]
}

#[test]
fn every_kind_is_well_formed_svg_and_png() {
    for palette in [Palette::LIGHT, Palette::DARK] {
        let canvas = Canvas {
            width: 640.0,
            height: 400.0,
            palette,
        };
        for (data, least) in [(data(40), 5), (data(3), 1), (data(0), 1)] {
            for scene in scenes(&data, &canvas) {
                let svg = plot::svg::write(&scene);
                let marks = well_formed(&svg);
                assert!(marks > least, "{svg}");
                assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{svg}");
                assert!(!svg.contains("<b>"));
                let png = plot::png::write(&scene, 1.0).unwrap();
                assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
                assert_eq!(u32::from_be_bytes(png[16..20].try_into().unwrap()), 640);
                assert_eq!(u32::from_be_bytes(png[20..24].try_into().unwrap()), 400);
            }
        }
    }
}

/// A minimal reader of the markup that the writer may produce: every element is closed, attributes are quoted; returns the number of elements.
fn well_formed(svg: &str) -> usize {
    let tag = regex::Regex::new(r#"<(/?)([a-z]+)((?: [A-Za-z:-]+="[^"<]*")*)(/?)>"#).unwrap();
    let mut open: Vec<&str> = Vec::new();
    let mut count = 0;
    let mut rest = svg.len();
    for found in tag.captures_iter(svg) {
        rest -= found[0].len();
        count += 1;
        if &found[1] == "/" {
            assert_eq!(open.pop(), Some(found.get(2).unwrap().as_str()));
        } else if found[4].is_empty() {
            open.push(found.get(2).unwrap().as_str());
        }
    }
    assert!(open.is_empty());
    let text = tag.replace_all(svg, "");
    assert_eq!(text.len(), rest);
    assert!(!text.contains(['<', '>']), "{text}");
    count
}

#[test]
fn the_best_trial_stands_on_top_of_the_progress() {
    let canvas = Canvas {
        width: 640.0,
        height: 400.0,
        palette: Palette::LIGHT,
    };
    let data = data(40);
    let scene = plot::progress(&data, &canvas);
    let best = data.best().unwrap();
    assert!(
        scene.caption.contains(&format!("trial {} of 40", best.trial)),
        "{}",
        scene.caption
    );
    let circles = scene
        .items
        .iter()
        .filter(|item| matches!(item, plot::Item::Circle { .. }))
        .count();
    assert_eq!(circles, 39);
}

#[test]
fn exports_read_back() {
    let trials = [
        rows::trial(0, TrialState::Completed),
        rows::stopped(3),
        rows::failed(5),
    ];
    let table = Table::of_trials(&trials);
    let csv = table.csv().unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_slice());
    let header = reader.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 3);
    let cell = |row: usize, name: &str| {
        records[row][header.iter().position(|column| column == name).unwrap()].to_owned()
    };
    assert_eq!(cell(0, "param:--lr"), "0.0123");
    assert_eq!(cell(1, "param:--width"), "16");
    assert_eq!(cell(1, "stopped_by"), "Bandit");
    assert_eq!(cell(2, "best"), "");
    assert_eq!(
        cell(2, "reason"),
        "exit 1: ModuleNotFoundError: No module named 'torch'"
    );

    let document: serde_json::Value = serde_json::from_slice(&json(&trials).unwrap()).unwrap();
    assert_eq!(document["items"].as_array().unwrap().len(), 3);

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    let reader = SerializedFileReader::new(bytes::Bytes::from(table.parquet().unwrap())).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1].get_long(0).unwrap(), 3);
    assert_eq!(rows[1].get_string(2).unwrap(), "Canceled");
    let lr = header.iter().position(|column| column == "param:--lr").unwrap();
    assert_eq!(rows[1].get_double(lr).unwrap(), 0.21);
}

#[test]
fn metrics_keep_what_is_not_finite() {
    let point = |seq, value| MetricPoint {
        seq,
        step: seq as i64 * 10,
        elapsed_ms: 5,
        value,
    };
    let rows = [
        MetricRow::new(1, "loss", point(0, 0.1 + 0.2)),
        MetricRow::new(1, "loss", point(1, f64::NAN)),
    ];
    let csv = String::from_utf8(Table::of_metrics(&rows).csv().unwrap()).unwrap();
    assert_eq!(
        csv,
        "trial,name,seq,step,elapsed_ms,value\n1,loss,0,0,5,0.30000000000000004\n1,loss,1,10,5,nan\n"
    );
    let document: serde_json::Value = serde_json::from_slice(&json(&rows).unwrap()).unwrap();
    assert_eq!(document["items"][1]["value"], "NaN");
}
