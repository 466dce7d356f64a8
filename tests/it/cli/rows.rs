//! Literal rows that the screens are drawn from.

use indexmap::IndexMap;
use overdrive::controller::SweepState;
use overdrive::history::{CancelCause, TrialState};
use overdrive::metric::Goal;
use overdrive::policy::Stop;
use overdrive::report::eta::Eta;
use overdrive::report::live::{Counts, LiveRow, LiveState};
use overdrive::sampler::{Origin, Prediction};
use overdrive::space::Value;
use overdrive::store::row::{Best, SweepRow, TrialRow};

pub fn parameters(lr: f64, width: i64) -> IndexMap<String, Value> {
    [
        ("--lr".to_owned(), Value::Float(lr)),
        ("--width".to_owned(), Value::Int(width)),
    ]
    .into_iter()
    .collect()
}

pub fn best() -> Best {
    Best {
        trial: 19,
        value: 0.973_123_4,
        step: Some(39),
        parameters: parameters(0.003_123_9, 128),
    }
}

pub fn sweep(state: SweepState) -> SweepRow {
    SweepRow {
        sweep: "HD_1f0c5a52-0f3e-4e5a-9d4b-6f7a0d3a9b11".into(),
        experiment: "digits-mlp".into(),
        display_name: None,
        state,
        reason: Some("64 trials have ended".into()),
        metric: Some("Accuracy".into()),
        goal: Some(Goal::Maximize),
        file: Some("/home/ada/digits/hdconfig.yml".into()),
        folder: "/home/ada/digits/.overdrive/sweeps/HD_1f0c5a52".into(),
        targets: vec!["local".into()],
        max_total_runs: 64,
        max_concurrent_runs: 4,
        max_duration_minutes: Some(100.0),
        created: "2026-11-24T06:12:01Z".into(),
        ended: Some("2026-11-24T06:27:31Z".into()),
        duration_ms: 930_000,
        trials: [
            ("Completed".to_owned(), 54),
            ("Canceled".to_owned(), 9),
            ("Failed".to_owned(), 1),
        ]
        .into_iter()
        .collect(),
        stopped_by_policy: 9,
        best: Some(best()),
        tags: IndexMap::new(),
        notes: None,
        archived: false,
    }
}

pub fn origin() -> Origin {
    Origin {
        sampler: "bayesian".into(),
        method: "largest log-EI of 1,412 candidates".into(),
        predicted: Some(Prediction {
            mean: 0.95,
            low: 0.91,
            high: 0.97,
        }),
        notes: vec!["3 pending trials were fantasised at their means".into()],
    }
}

pub fn trial(number: u64, state: TrialState) -> TrialRow {
    TrialRow {
        trial: number,
        run_id: format!("HD_1f0c5a52-0f3e-4e5a-9d4b-6f7a0d3a9b11_{number}"),
        state,
        cause: None,
        reason: None,
        parameters: parameters(0.0123, 64),
        best: Some(0.9321),
        best_interval: Some(38),
        last: None,
        reports: 40,
        attempts: 1,
        created: "2026-11-24T06:12:01Z".into(),
        started: Some("2026-11-24T06:12:04Z".into()),
        ended: Some("2026-11-24T06:12:31Z".into()),
        duration_ms: Some(27_000),
        stop: None,
        origin: origin(),
        folder: Some("/home/ada/digits/.overdrive/sweeps/HD_1f0c5a52/0/0-ab12".into()),
        target: Some("local".into()),
    }
}

pub fn stopped(number: u64) -> TrialRow {
    TrialRow {
        cause: Some(CancelCause::Policy),
        best: Some(0.612),
        best_interval: Some(6),
        reports: 6,
        duration_ms: Some(4_000),
        parameters: parameters(0.21, 16),
        stop: Some(Stop {
            trial: number,
            interval: 6,
            policy: "Bandit".into(),
            value: Some(0.612),
            threshold: Some(0.8474),
            operands: [
                ("best".to_owned(), 0.9321),
                ("slack_factor".to_owned(), 0.1),
                ("threshold".to_owned(), 0.8474),
            ]
            .into_iter()
            .collect(),
            inequality: "0.6120 < 0.8474 (best 0.9321 / 1.1)".into(),
        }),
        ..trial(number, TrialState::Canceled)
    }
}

pub fn failed(number: u64) -> TrialRow {
    TrialRow {
        best: None,
        best_interval: None,
        reports: 0,
        duration_ms: Some(2_000),
        reason: Some("exit 1: ModuleNotFoundError: No module named 'torch'".into()),
        ..trial(number, TrialState::Failed)
    }
}

fn row(
    trial: u64,
    state: TrialState,
    step: i64,
    last: f64,
    curve: &[f64],
    margin: Option<f64>,
    seconds: u64,
) -> LiveRow {
    LiveRow {
        trial,
        state,
        cause: None,
        step: (step >= 0).then_some(step),
        last: (step >= 0).then_some(last),
        best: (step >= 0).then(|| curve.iter().copied().fold(f64::MIN, f64::max)),
        curve: curve.to_vec(),
        margin,
        time_ms: Some(seconds * 1000),
        left_ms: (step >= 0).then_some(40_000_u64.saturating_sub(seconds * 1000)),
        parameters: parameters(0.003_301 * (1 + trial % 3) as f64, 128),
    }
}

pub fn live() -> LiveState {
    LiveState {
        name: "digits-mlp".into(),
        objective: "max Accuracy".into(),
        metric: "Accuracy".into(),
        sampler: "random".into(),
        policy: "Bandit(slack_factor 0.1)".into(),
        elapsed_ms: 252_000,
        limit_ms: Some(6_000_000),
        total: 64,
        counts: Counts {
            running: 3,
            starting: 1,
            completed: 17,
            stopped: 9,
            canceled: 0,
            failed: 1,
        },
        best: Some(best()),
        eta: Some(Eta {
            middle_ms: 330_000,
            low_ms: 240_000,
            high_ms: 480_000,
        }),
        rows: vec![
            row(
                28,
                TrialState::Running,
                14,
                0.9412,
                &[0.41, 0.62, 0.75, 0.84, 0.9, 0.93, 0.9418, 0.9412],
                Some(0.0572),
                21,
            ),
            row(29, TrialState::Running, 3, 0.712, &[0.4, 0.61, 0.712], None, 5),
            row(30, TrialState::Running, 1, 0.448, &[0.448], Some(-0.02), 2),
            row(31, TrialState::Preparing, -1, 0.0, &[], None, 0),
        ],
        best_so_far: vec![0.81, 0.88, 0.9, 0.9321, 0.9321, 0.95, 0.9731, 0.9731],
        top: vec![
            (19, 0.9731234, parameters(0.0031239, 128)),
            (7, 0.9683, parameters(0.003301, 64)),
        ],
        targets: vec![("local".into(), 4, Some(4))],
        parameters: vec!["--lr".into(), "--width".into()],
        notice: None,
        ..LiveState::default()
    }
}
