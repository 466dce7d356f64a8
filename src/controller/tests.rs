//! The core's rules one by one, with a counting sampler; scenarios and the simulator cover their interplay.

use super::*;
use crate::history::{CancelCause, History, TrialState};
use crate::metric::Observation;
use crate::policy::{PolicySpec, Schedule, Slack, Trigger, build};
use crate::sampler::{Origin, Proposal, Sampler, Suggestion};
use crate::space::{Assignment, Value};

struct Counting {
    upper: u64,
}

impl Sampler for Counting {
    fn suggest(&mut self, number: u64, _: &History) -> Suggestion {
        if number >= self.upper {
            return Suggestion::Exhausted(format!("all {} configurations have been tried", self.upper));
        }
        Suggestion::Next(Box::new(Proposal {
            assignment: value(number as i64),
            origin: Origin {
                sampler: "counting".into(),
                method: "next number".into(),
                predicted: None,
                notes: Vec::new(),
            },
        }))
    }
}

fn value(number: i64) -> Assignment {
    Assignment {
        values: vec![Some(Value::Int(number))],
    }
}

fn settings() -> Settings {
    Settings {
        goal: Goal::Maximize,
        limits: Limits {
            max_total: 4,
            max_concurrent: 2,
            max_duration_ms: Some(10_000),
        },
        abort_after_initial_failures: 3,
        max_retries: 1,
    }
}

fn start(settings: Settings) -> Controller {
    let mut controller = Controller::new(
        settings,
        Box::new(Counting { upper: 100 }),
        build(&PolicySpec::NoTermination, Goal::Maximize),
        Vec::new(),
    );
    controller.handle(0, Event::SlotsChanged { slots: 8 });
    controller
}

fn exit(trial: u64, attempt: u32, outcome: Outcome) -> Event {
    Event::Exited {
        trial,
        attempt,
        outcome,
    }
}

fn failed(class: FailureClass) -> Outcome {
    Outcome::Failed {
        class,
        exit_code: Some(1),
        signal: None,
        message: "exit 1".into(),
    }
}

fn report(trial: u64, attempt: u32, value: f64) -> Event {
    Event::Reported {
        trial,
        attempt,
        observation: Observation {
            value,
            step: None,
            elapsed_ms: 0,
        },
    }
}

fn launched(batch: &Batch) -> Vec<(u64, u32)> {
    batch
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Launch { trial, attempt, .. } => Some((*trial, *attempt)),
            _ => None,
        })
        .collect()
}

#[test]
fn slots_are_refilled_and_the_sweep_ends_completed_whatever_its_trials_did() {
    let mut controller = start(settings());
    assert_eq!(controller.live(), 2);
    let batch = controller.handle(1, report(0, 0, 0.5));
    assert!(matches!(
        batch.records.last(),
        Some(Record::Incumbent { trial: 0, .. })
    ));
    assert_eq!(
        launched(&controller.handle(2, exit(0, 0, Outcome::Completed))),
        [(2, 0)]
    );
    assert_eq!(
        launched(&controller.handle(3, exit(1, 0, failed(FailureClass::Script)))),
        [(3, 0)]
    );
    controller.handle(4, exit(2, 0, failed(FailureClass::Script)));
    let batch = controller.handle(5, exit(3, 0, failed(FailureClass::Script)));
    assert_eq!(controller.state(), SweepState::Completed);
    assert!(matches!(
        batch.actions.last(),
        Some(Action::End {
            state: SweepState::Completed,
            ..
        })
    ));
    assert_eq!(controller.next_deadline(), None);
}

#[test]
fn lack_of_memory_is_a_failure_whatever_was_reported() {
    let mut controller = start(settings());
    controller.handle(1, report(0, 0, 0.9));
    controller.handle(2, exit(0, 0, failed(FailureClass::OutOfMemory)));
    let trial = &controller.history().trials[0];
    assert_eq!(trial.state, TrialState::Failed);
    assert_eq!(trial.cause, Some(CancelCause::OutOfMemory));
}

#[test]
fn a_superseded_attempt_takes_its_reports_with_it() {
    let mut controller = start(settings());
    controller.handle(1, report(1, 0, 0.4));
    controller.handle(2, report(0, 0, 0.9));
    let batch = controller.handle(3, exit(0, 0, failed(FailureClass::Infrastructure)));
    assert_eq!(launched(&batch), [(0, 1)]);
    assert_eq!(controller.incumbent().map(|best| best.trial), Some(1));
    assert_eq!(controller.history().trials[0].series.intervals(), 0);
    let late = controller.handle(4, report(0, 0, 0.99));
    assert!(matches!(
        late.records[..],
        [Record::Observed { accepted: false, .. }]
    ));
    assert_eq!(
        controller.history().incumbent().map(|trial| trial.number),
        Some(1)
    );
    controller.handle(5, exit(0, 0, Outcome::Completed));
    assert!(!controller.history().trials[0].state.is_terminal());
    let batch = controller.handle(6, exit(0, 1, failed(FailureClass::Preempted)));
    assert_eq!(launched(&batch), [(0, 2)], "whose place was taken is tried again");
    controller.handle(7, exit(0, 2, failed(FailureClass::Infrastructure)));
    assert_eq!(
        controller.history().trials[0].state,
        TrialState::Failed,
        "one retry only"
    );
}

#[test]
fn what_was_preempted_often_has_all_its_retries_after_a_node_failure() {
    let mut settings = settings();
    settings.max_retries = 2;
    let mut controller = start(settings);
    let mut records = Vec::new();
    let mut attempt = 0;
    let mut lose = |controller: &mut Controller, class| {
        let batch = controller.handle(1, exit(0, attempt, failed(class)));
        attempt += 1;
        let again = launched(&batch) == [(0, attempt)];
        records.extend(batch.records);
        again
    };
    for _ in 0..5 {
        assert!(lose(&mut controller, FailureClass::Preempted));
        assert!(lose(&mut controller, FailureClass::Exhausted));
    }
    assert!(lose(&mut controller, FailureClass::Infrastructure));
    let losses = controller.snapshot().attempts[0].losses;
    assert_eq!((losses.preempted, losses.exhausted, losses.faults), (5, 5, 1));

    // A restored controller has exactly the patience that is left.
    let snapshot = controller.snapshot().clone();
    let mut restored = Controller::restore(
        settings,
        Box::new(Counting { upper: 100 }),
        build(&PolicySpec::NoTermination, Goal::Maximize),
        snapshot,
    )
    .unwrap();
    restored.handle(1, Event::SlotsChanged { slots: 8 });
    assert!(lose(&mut restored, FailureClass::Infrastructure));
    assert!(lose(&mut restored, FailureClass::Preempted));
    assert!(!lose(&mut restored, FailureClass::Infrastructure));
    assert_eq!(restored.history().trials[0].state, TrialState::Failed);
    let attempts = records
        .iter()
        .filter(|record| matches!(record, Record::AttemptEnded { superseded: true, .. }))
        .count();
    assert_eq!(attempts, 13);
}

#[test]
fn preemption_has_its_own_limit_and_none_without_retries() {
    for (max_retries, granted) in [(0, 0), (1, 100)] {
        let mut controller = start(Settings {
            max_retries,
            ..settings()
        });
        for attempt in 0..=granted {
            let batch = controller.handle(1, exit(0, attempt, failed(FailureClass::Preempted)));
            assert_eq!(launched(&batch).contains(&(0, attempt + 1)), attempt < granted);
        }
        assert_eq!(controller.history().trials[0].state, TrialState::Failed);
    }
}

#[test]
fn lost_contact_keeps_the_slot_and_any_sign_of_life_ends_it() {
    let mut controller = start(settings());
    controller.handle(1, Event::Started { trial: 0, attempt: 0 });
    let lost = Event::Unresponsive {
        trial: 0,
        attempt: 0,
        lost_contact: true,
    };
    let batch = controller.handle(2, lost.clone());
    assert_eq!(controller.history().trials[0].state, TrialState::NotResponding);
    assert!(batch.actions.is_empty());
    controller.handle(3, report(0, 0, 0.1));
    assert_eq!(controller.history().trials[0].state, TrialState::Running);
    controller.handle(4, lost);
    controller.handle(
        5,
        Event::Unresponsive {
            trial: 0,
            attempt: 0,
            lost_contact: false,
        },
    );
    assert_eq!(controller.history().trials[0].state, TrialState::Running);
}

#[test]
fn duration_cancels_what_runs_and_ends_canceled() {
    let mut controller = start(settings());
    assert_eq!(controller.next_deadline(), Some(10_000));
    let batch = controller.handle(10_000, Event::Tick);
    assert_eq!(controller.state(), SweepState::CancelRequested);
    assert_eq!(batch.actions.len(), 2);
    controller.handle(10_001, exit(0, 0, Outcome::Canceled));
    let batch = controller.handle(10_002, exit(1, 0, Outcome::Canceled));
    assert_eq!(controller.state(), SweepState::Canceled);
    assert_eq!(
        controller.history().trials[0].cause,
        Some(CancelCause::MaxDuration)
    );
    assert!(matches!(batch.actions.last(), Some(Action::End { .. })));
}

#[test]
fn three_dead_on_arrival_end_the_sweep_failed_unless_somebody_reported() {
    for (reported, expected) in [(false, SweepState::Failed), (true, SweepState::Completed)] {
        let mut controller = start(settings());
        controller.handle(1, exit(0, 0, failed(FailureClass::Script)));
        if reported {
            controller.handle(2, report(2, 0, 0.5));
        }
        controller.handle(3, exit(2, 0, failed(FailureClass::Script)));
        controller.handle(4, exit(3, 0, failed(FailureClass::Script)));
        let last = if reported {
            Outcome::Completed
        } else {
            Outcome::Canceled
        };
        controller.handle(5, exit(1, 0, last));
        assert_eq!(controller.state(), expected);
    }
}

#[test]
fn a_stop_frees_the_slot_only_when_the_exit_arrives() {
    let policy = PolicySpec::Bandit {
        schedule: Schedule::default(),
        slack: Slack::Factor(0.1),
        literal: false,
        trigger: Trigger::Sweep,
    };
    let mut controller = Controller::new(
        settings(),
        Box::new(Counting { upper: 100 }),
        build(&policy, Goal::Maximize),
        vec![value(-7)],
    );
    let batch = controller.handle(0, Event::SlotsChanged { slots: 8 });
    assert!(batch.records.contains(&Record::Enqueued {
        assignment: value(-7)
    }));
    assert_eq!(controller.history().trials[0].assignment, value(-7));
    controller.handle(1, report(0, 0, 0.9));
    let batch = controller.handle(2, report(1, 0, 0.5));
    assert!(launched(&batch).is_empty());
    assert!(matches!(
        batch.actions[..],
        [Action::Cancel {
            trial: 1,
            cause: CancelCause::Policy,
            ..
        }]
    ));
    let batch = controller.handle(3, report(1, 0, 0.95));
    assert!(matches!(
        batch.records[..],
        [Record::Observed {
            accepted: false,
            interval: 0,
            ..
        }]
    ));
    assert_eq!(
        launched(&controller.handle(4, exit(1, 0, Outcome::Canceled))),
        [(2, 0)]
    );
    assert_eq!(
        controller.history().trials[1].score(),
        Some(0.5),
        "stopped trials keep their score"
    );
}

#[test]
fn commands_and_impossible_events() {
    let mut controller = start(settings());
    let batch = controller.handle(1, report(77, 0, 1.0));
    assert!(matches!(batch.records[..], [Record::Anomaly { .. }]));
    controller.handle(
        2,
        Event::Pause {
            reason: "lunch".into(),
        },
    );
    assert!(launched(&controller.handle(3, exit(0, 0, Outcome::Completed))).is_empty());
    assert_eq!(launched(&controller.handle(4, Event::Resume)), [(2, 0)]);
    controller.handle(5, Event::Rerun { trial: 0 });
    assert_eq!(controller.snapshot().enqueued.len(), 1);
    controller.handle(6, Event::CancelTrial { trial: 2 });
    controller.handle(7, exit(2, 0, Outcome::Canceled));
    assert_eq!(
        controller.history().trials[3].assignment,
        controller.history().trials[0].assignment
    );
    controller.handle(
        8,
        Event::SetLimits(Limits {
            max_total: 5,
            ..controller.limits()
        }),
    );
    controller.handle(
        9,
        Event::CancelSweep {
            reason: "enough".into(),
        },
    );
    for trial in [1, 3] {
        controller.handle(10, exit(trial, 0, Outcome::Canceled));
    }
    assert_eq!(controller.state(), SweepState::Canceled);
    let batch = controller.handle(11, Event::Rerun { trial: 0 });
    assert!(matches!(batch.records[..], [Record::Anomaly { .. }]));
}

#[test]
fn exhaustion_completes_and_restore_goes_on() {
    let mut records = Vec::new();
    let mut controller = Controller::new(
        settings(),
        Box::new(Counting { upper: 3 }),
        build(&PolicySpec::NoTermination, Goal::Maximize),
        Vec::new(),
    );
    records.extend(controller.handle(0, Event::SlotsChanged { slots: 2 }).records);
    records.extend(controller.handle(1, exit(0, 0, Outcome::Completed)).records);
    let snapshot = fold::fold(&settings(), &records).unwrap();
    assert_eq!(&snapshot, controller.snapshot());
    let mut restored = Controller::restore(
        settings(),
        Box::new(Counting { upper: 3 }),
        build(&PolicySpec::NoTermination, Goal::Maximize),
        snapshot,
    )
    .unwrap();
    assert_eq!(restored.outstanding().len(), 2);
    assert!(
        restored
            .handle(2, Event::SlotsChanged { slots: 2 })
            .records
            .is_empty()
    );
    restored.handle(3, exit(1, 0, Outcome::Completed));
    restored.handle(4, exit(2, 0, Outcome::Completed));
    assert_eq!(restored.state(), SweepState::Completed);
    assert_eq!(
        restored.snapshot().progress.reason,
        "all 3 configurations have been tried"
    );
}
