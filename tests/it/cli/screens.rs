//! Every screen at 80, 120 and 200 columns, in both alphabets, with and without colour.

use super::rows;
use overdrive::controller::SweepState;
use overdrive::history::TrialState;
use overdrive::metric::Goal;
use overdrive::report::style::{Glyphs, Line};
use overdrive::report::{card, document, explain, lines, live, overview, text};
use std::collections::BTreeMap;

fn join(lines: &[String]) -> String {
    lines.join("\n")
}

fn plain(lines: &[Line]) -> String {
    lines
        .iter()
        .map(|line| line.render(false))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn live_block_at_80_columns() {
    insta::assert_snapshot!(join(&live::frame(&rows::live(), 80, 24, Glyphs::Unicode, false)));
}

#[test]
fn live_block_at_120_columns() {
    insta::assert_snapshot!(join(&live::frame(&rows::live(), 120, 24, Glyphs::Unicode, false)));
}

#[test]
fn live_block_at_200_columns() {
    insta::assert_snapshot!(join(&live::frame(&rows::live(), 200, 50, Glyphs::Unicode, false)));
}

#[test]
fn live_block_in_ascii() {
    let lines = live::frame(&rows::live(), 120, 24, Glyphs::Ascii, false);
    assert!(lines.iter().all(|line| line.is_ascii()), "{lines:?}");
    insta::assert_snapshot!(join(&lines));
}

#[test]
fn live_block_in_colour_differs_only_by_escapes() {
    let coloured = live::frame(&rows::live(), 80, 24, Glyphs::Unicode, true);
    assert!(join(&coloured).contains("\x1b[36m● Running"));
    let escapes = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    let stripped: Vec<String> = coloured
        .iter()
        .map(|line| escapes.replace_all(line, "").trim_end().to_owned())
        .collect();
    assert_eq!(
        stripped,
        live::frame(&rows::live(), 80, 24, Glyphs::Unicode, false)
    );
}

#[test]
fn live_block_fits_every_terminal() {
    let mut state = rows::live();
    let more = state.rows[0].clone();
    state.rows.extend((32..52).map(|trial| live::LiveRow {
        trial,
        ..more.clone()
    }));
    state.name = "学习率 \x1b[31m a name that is far too long for anything, really".repeat(3);
    state.notice = Some("stopping: no new trials, cancelling 4; press again to leave them running".into());
    for width in [20, 40, 59, 60, 80, 99, 100, 120, 179, 180, 200, 300] {
        for height in [2, 5, 10, 24, 50] {
            for glyphs in [Glyphs::Unicode, Glyphs::Ascii] {
                let lines = live::frame(&state, width, height, glyphs, false);
                assert!(
                    lines.len() < height.max(2),
                    "{width}x{height}: {} lines",
                    lines.len()
                );
                for line in &lines {
                    assert!(
                        text::width(line) <= width,
                        "{width}x{height}: {} cells: {line}",
                        text::width(line)
                    );
                    assert!(!line.contains('\x1b'));
                }
            }
        }
    }
    assert!(join(&live::frame(&state, 80, 24, Glyphs::Unicode, false)).contains("+16 more running"));
    assert_eq!(live::frame(&state, 40, 24, Glyphs::Unicode, false).len(), 3);
}

#[test]
fn live_block_before_the_first_report() {
    let state = live::LiveState {
        best: None,
        eta: None,
        rows: Vec::new(),
        top: Vec::new(),
        best_so_far: Vec::new(),
        counts: live::Counts::default(),
        ..rows::live()
    };
    for width in [80, 200] {
        let lines = live::frame(&state, width, 24, Glyphs::Unicode, false);
        assert!(lines[2].contains("no report of Accuracy yet"));
    }
}

#[test]
fn final_card() {
    let facts = card::Facts {
        saved: Some((212, 1080)),
        outputs: Some("/home/ada/digits/.overdrive/sweeps/HD_1f0c5a52/19/0-cd34/wd/outputs".into()),
        short_id: "HD_1f".into(),
        ..card::Facts::default()
    };
    insta::assert_snapshot!(plain(&card::lines(
        &rows::sweep(SweepState::Completed),
        &facts,
        100,
        Glyphs::Unicode
    )));
}

#[test]
fn final_card_without_the_metric() {
    let mut sweep = rows::sweep(SweepState::Completed);
    sweep.best = None;
    let facts = card::Facts {
        other_metrics: vec!["acc".into(), "accuracy".into(), "loss".into()],
        short_id: "HD_1f".into(),
        ..card::Facts::default()
    };
    insta::assert_snapshot!(plain(&card::lines(&sweep, &facts, 100, Glyphs::Unicode)));
}

#[test]
fn saved_reports_are_counted_against_the_longest_completed_trial() {
    let trials = [
        rows::trial(0, TrialState::Completed),
        rows::stopped(3),
        rows::failed(5),
    ];
    assert_eq!(card::saved(trials.iter()), Some((34, 80)));
    assert_eq!(card::saved(trials[..1].iter()), None);
}

#[test]
fn plain_lines() {
    let sweep = rows::sweep(SweepState::Running);
    let clock = "06:12:01";
    let all = [
        lines::started(
            clock,
            &sweep,
            "digits-mlp",
            "random seed 1234",
            "Bandit(slack_factor 0.1)",
        ),
        lines::ended(clock, &sweep, &rows::trial(0, TrialState::Completed), true),
        lines::ended(clock, &sweep, &rows::stopped(3), false),
        lines::ended(clock, &sweep, &rows::failed(5), false),
        lines::progress(clock, &sweep, &rows::live().counts, rows::live().eta),
        lines::new_best(clock, "Accuracy", 28, 0.98, 4),
        lines::finished(clock, &rows::sweep(SweepState::Completed)),
    ];
    for line in &all {
        assert!(text::width(line) <= lines::WIDTH, "{line}");
        assert!(!line.contains(['\r', '\x1b', '\n']));
    }
    insta::assert_snapshot!(join(&all));
}

#[test]
fn why_a_trial_was_stopped() {
    insta::assert_snapshot!(plain(&explain::story(
        &rows::sweep(SweepState::Running),
        &rows::stopped(3),
        &[],
        &[]
    )));
}

#[test]
fn why_a_trial_failed() {
    let tail = [
        "Traceback (most recent call last):".to_owned(),
        "ModuleNotFoundError: No module named 'torch'".to_owned(),
    ];
    insta::assert_snapshot!(plain(&explain::story(
        &rows::sweep(SweepState::Running),
        &rows::failed(5),
        &[],
        &tail
    )));
}

#[test]
fn why_a_trial_was_suggested() {
    insta::assert_snapshot!(plain(&explain::story(
        &rows::sweep(SweepState::Running),
        &rows::trial(7, TrialState::Completed),
        &[],
        &[]
    )));
}

#[test]
fn tables_of_list_and_show() {
    let sweeps = [
        rows::sweep(SweepState::Completed),
        rows::sweep(SweepState::Running),
    ];
    let mut trials = vec![
        rows::trial(0, TrialState::Completed),
        rows::stopped(3),
        rows::failed(5),
        rows::trial(19, TrialState::Completed),
    ];
    trials[3].best = Some(0.9731);
    overview::sort(&mut trials, overview::Order::Best, Goal::Maximize);
    assert_eq!(
        trials.iter().map(|trial| trial.trial).collect::<Vec<_>>(),
        [19, 0, 3, 5]
    );
    let mut text = String::new();
    for width in [80, 120, 200] {
        let list = overview::sweeps(&sweeps, Some(width), Glyphs::Unicode);
        let show = overview::trials(&sweeps[0], &trials, Some(width), Glyphs::Unicode);
        for line in list.iter().chain(&show) {
            assert!(line.width() <= width, "{}", line.render(false));
        }
        text.push_str(&format!("== {width}\n{}\n\n{}\n", plain(&list), plain(&show)));
    }
    insta::with_settings!({filters => vec![(r"2026-11-24 \d\d:\d\d:\d\d", "<time>")]}, {
        insta::assert_snapshot!(text);
    });
}

#[test]
fn one_trial() {
    let metrics: BTreeMap<String, (u64, f64)> = [
        ("Accuracy".to_owned(), (40, 0.93)),
        ("loss".to_owned(), (40, 0.21)),
    ]
    .into();
    let lines = overview::trial(
        &rows::sweep(SweepState::Running),
        &rows::trial(0, TrialState::Completed),
        &[],
        &metrics,
        Glyphs::Unicode,
    );
    insta::with_settings!({filters => vec![(r"2026-11-24 \d\d:\d\d:\d\d", "<time>")]}, {
        insta::assert_snapshot!(plain(&lines));
    });
}

#[test]
fn documents_have_a_version_first() {
    let sweep = rows::sweep(SweepState::Completed);
    let result = document::result(&sweep);
    let keys: Vec<&String> = result.as_object().unwrap().keys().collect();
    assert_eq!(keys[..3], ["schema_version", "sweep", "state"]);
    assert_eq!(result["best"]["trial"], 19);
    assert_eq!(result["best"]["value"], 0.973_123_4);
    assert_eq!(result["best"]["step"], 39);
    assert_eq!(result["best"]["parameters"]["--width"], 128);
    assert_eq!(result["trials"]["Completed"], 54);
    let list = document::list(std::slice::from_ref(&sweep), None);
    assert_eq!(list["items"][0]["sweep"], sweep.sweep.as_str());
    assert!(list["next"].is_null());
    let shown = document::sweep(&sweep, &[rows::stopped(3)], Some("number..3".into()));
    assert_eq!(shown["items"][0]["stop"]["operands"]["slack_factor"], 0.1);
    assert_eq!(shown["next"], "number..3");
}
