//! The library: ask, report, tell.

use overdrive::ask_tell::{Decision, Study, StudyError, choice, float, int, log_float, log_int};
use overdrive::history::{CancelCause, TrialState};
use overdrive::policy::{PolicySpec, Schedule, Slack, Trigger};
use overdrive::space::{Assignment, Value};

fn bandit() -> PolicySpec {
    PolicySpec::Bandit {
        schedule: Schedule::default(),
        slack: Slack::Factor(0.1),
        literal: false,
        trigger: Trigger::Sweep,
    }
}

#[test]
fn many_trials_may_be_open_and_results_start_nothing_by_themselves() {
    let mut study = Study::minimize([float("x", 0.0, 1.0)])
        .sampler("random")
        .max_trials(3)
        .build()
        .unwrap();
    let open: Vec<_> = std::iter::from_fn(|| study.ask()).collect();
    assert_eq!(open.len(), 3);
    assert_eq!(study.open_trials(), 3);
    study.tell(1, 0.5).unwrap();
    assert_eq!(study.open_trials(), 2);
    assert_eq!(study.history().trials.len(), 3);
    study.fail(0, "out of luck").unwrap();
    study.tell(2, 0.25).unwrap();
    assert_eq!(study.best().unwrap().trial, 2);
    assert_eq!(study.ask(), None);
}

#[test]
fn telling_twice_changes_nothing_and_unknown_trials_are_refused() {
    let mut study = Study::maximize([int("n", 1, 9)])
        .sampler("random")
        .build()
        .unwrap();
    let trial = study.ask().unwrap().number;
    study.tell(trial, 0.5).unwrap();
    study.tell(trial, 0.9).unwrap();
    study.stopped(trial, Some(2.0)).unwrap();
    assert_eq!(study.best().unwrap().value, 0.5);
    assert_eq!(study.tell(99, 1.0), Err(StudyError::Unknown(99)));
    assert_eq!(
        study.report(trial, 1, 1.0),
        Err(StudyError::Ended {
            trial,
            state: TrialState::Completed
        })
    );
}

#[test]
fn policies_stop_and_say_why() {
    let mut study = Study::maximize([log_float("lr", 1e-4, 1.0)])
        .sampler("random")
        .policy(bandit())
        .build()
        .unwrap();
    let (good, bad) = (study.ask().unwrap().number, study.ask().unwrap().number);
    assert_eq!(study.report(good, 0, 0.9), Ok(Decision::Continue));
    assert_eq!(study.report(bad, 0, 0.5), Ok(Decision::Stop));
    assert_eq!(
        study.stop(bad).unwrap().inequality,
        "0.5000 < 0.8182 (best 0.9000 / 1.1)"
    );
    assert_eq!(
        study.report(bad, 1, 0.95),
        Ok(Decision::Stop),
        "a decision stands"
    );
    study.stopped(bad, Some(0.5)).unwrap();
    study.tell(good, 0.9).unwrap();
    let trials = &study.history().trials;
    assert_eq!(
        (trials[1].state, trials[1].cause.clone()),
        (TrialState::Canceled, Some(CancelCause::Policy))
    );
    assert_eq!(
        trials[0].series.values(),
        [0.9],
        "a value that was reported is not taken twice"
    );
    assert_eq!(trials[1].series.values(), [0.5]);
}

#[test]
fn finite_spaces_end_and_enqueued_configurations_come_first() {
    let options = || ["a", "b"].map(|text| Value::Str(text.into()));
    let first = Assignment {
        values: vec![Some(Value::Str("b".into())), Some(Value::Int(2))],
    };
    let mut study = Study::minimize([choice("kind", options()), log_int("n", 1, 2)])
        .sampler("random")
        .enqueue(first)
        .build()
        .unwrap();
    let mut seen = Vec::new();
    while let Some(trial) = study.ask() {
        seen.push(format!("{} {}", trial.get("kind").unwrap(), trial.f64("n")));
        study.tell(trial.number, f64::NAN).unwrap();
    }
    assert_eq!(seen[0], "b 2");
    seen.sort();
    assert_eq!(seen, ["a 1", "a 2", "b 1", "b 2"]);
    assert_eq!(study.best(), None);
}

#[test]
fn one_seed_one_sequence() {
    let draw = |seed| {
        let mut study = Study::minimize([float("x", 0.0, 1.0)])
            .sampler("random")
            .seed(seed)
            .build()
            .unwrap();
        (0..5).map(|_| study.ask().unwrap().f64("x")).collect::<Vec<_>>()
    };
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
    assert!(
        Study::minimize([float("x", 0.0, 1.0)])
            .sampler("nobody")
            .build()
            .is_err()
    );
}
