//! What `overdrive simulate` is made of, on curves whose outcome can be told beforehand.

use super::*;
use crate::controller::{FailureClass, Limits, Outcome, Settings, SweepState};
use crate::metric::{Goal, Observation};
use crate::policy::{PolicySpec, Schedule, Slack, Trigger};
use crate::sampler::SamplerSpec;
use crate::space::{Assignment, Distribution, Parameter, SearchSpace, Value};
use std::sync::Arc;

fn setup(goal: Goal, max_total: u64) -> Setup {
    Setup {
        stop_when: None,
        settings: Settings {
            goal,
            limits: Limits {
                max_total,
                max_concurrent: 4,
                max_duration_ms: None,
            },
            abort_after_initial_failures: 3,
            max_retries: 1,
        },
        space: Arc::new(SearchSpace {
            parameters: vec![Parameter {
                name: "x".into(),
                distribution: Distribution::Uniform { low: 0.0, high: 1.0 },
                condition: None,
            }],
            constraints: Vec::new(),
        }),
        sampler: SamplerSpec {
            kind: "random".into(),
            seed: 3,
            allow_duplicates: false,
            options: serde_json::Map::new(),
        },
        enqueue: Vec::new(),
        slots: 2,
    }
}

fn policies() -> Vec<(String, PolicySpec)> {
    vec![
        ("none".into(), PolicySpec::NoTermination),
        (
            "bandit".into(),
            PolicySpec::Bandit {
                schedule: Schedule {
                    evaluation_interval: 1,
                    delay_evaluation: 2,
                },
                slack: Slack::Amount(0.1),
                literal: false,
                trigger: Trigger::Sweep,
            },
        ),
    ]
}

#[test]
fn policies_save_reports_on_synthetic_curves_and_nothing_else_differs() {
    for goal in [Goal::Maximize, Goal::Minimize] {
        let source = Source::Synthetic {
            seed: 1,
            steps: 20,
            step_ms: 1_000,
            noise: 0.0,
        };
        let lines = simulate(&setup(goal, 30), &source, &policies()).unwrap();
        let [none, bandit] = lines.as_slice() else {
            panic!("{lines:?}");
        };
        assert_eq!((none.trials, none.completed, none.stopped), (30, 30, 0));
        assert_eq!((none.reports, none.reports_whole, none.saved), (600, 600, 0.0));
        assert_eq!(none.best, none.best_whole);
        assert_eq!(bandit.trials, 30);
        assert!(bandit.stopped > 0 && bandit.saved > 0.1, "{bandit:?}");
        assert!(bandit.duration_ms < none.duration_ms, "{bandit:?}");
        assert_eq!(bandit.best_whole, none.best_whole, "the same trials");
        assert_eq!(simulate(&setup(goal, 30), &source, &policies()).unwrap(), lines);
    }
}

#[test]
fn recorded_trials_are_played_to_their_ends() {
    let trial = |value: f64, outcome: Outcome| RecordedTrial {
        assignment: Assignment {
            values: vec![Some(Value::Float(value))],
        },
        reports: (1..=5)
            .map(|step| Observation {
                value: value * step as f64,
                step: Some(step),
                elapsed_ms: step as u64 * 10,
            })
            .collect(),
        duration_ms: 60,
        outcome,
    };
    let failed = Outcome::Failed {
        class: FailureClass::Script,
        exit_code: Some(1),
        signal: None,
        message: "exit 1".into(),
    };
    let trials = vec![
        trial(0.2, Outcome::Completed),
        trial(0.1, failed),
        trial(0.05, Outcome::Completed),
    ];
    let source = Source::Recorded(Arc::new(trials));
    let lines = simulate(&setup(Goal::Maximize, 100), &source, &policies()).unwrap();
    let none = &lines[0];
    assert_eq!(
        (none.state, none.trials, none.completed, none.failed),
        (SweepState::Completed, 3, 2, 1)
    );
    assert_eq!(none.best, Some(Found { trial: 0, value: 1.0 }));
    assert_eq!(none.duration_ms, 120, "two slots, three trials of 60 ms");
    let bandit = &lines[1];
    assert_eq!((bandit.stopped, bandit.reports, bandit.reports_whole), (2, 9, 15));
    assert_eq!(
        simulate(
            &setup(Goal::Maximize, 1),
            &Source::Recorded(Arc::default()),
            &policies()
        ),
        Err(SimError::NothingRecorded)
    );
}
