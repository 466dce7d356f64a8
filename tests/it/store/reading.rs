//! What readers see.

use super::{assignment, experiment, led, observation, origin, records};
use overdrive::controller::{Outcome, Record, SweepState};
use overdrive::history::TrialState;
use overdrive::store::{Change, Durability, Store, StoreError, SweepFilter, TrialOrder, TrialQuery};

fn filled(folder: &std::path::Path) -> overdrive::store::SweepWriter {
    let mut writer = led(folder, "HD_1234abcd");
    for trial in 0..6u64 {
        let state = |state| Record::TrialState {
            trial,
            state,
            cause: None,
            reason: None,
        };
        let observed = |interval, value, step| Record::Observed {
            trial,
            attempt: 0,
            interval,
            observation: observation(value, step),
            accepted: true,
        };
        let base = trial as f64 / 10.0;
        let mut batch = vec![
            Record::TrialCreated {
                trial,
                assignment: assignment(base, 0.5),
                origin: origin(),
            },
            Record::AttemptCreated { trial, attempt: 0 },
        ];
        if trial < 5 {
            batch.push(state(TrialState::Running));
            batch.push(observed(1, f64::NAN, Some(10)));
            batch.push(observed(2, base + 0.2, None));
            batch.push(observed(3, base + 0.1, Some(30)));
            batch.push(Record::Incumbent {
                trial,
                value: base + 0.2,
                interval: 2,
            });
        }
        if trial < 3 {
            batch.push(Record::AttemptEnded {
                trial,
                attempt: 0,
                outcome: Outcome::Completed,
                superseded: false,
            });
            batch.push(state(TrialState::Completed));
        }
        records(&mut writer, 100 * (trial + 1), batch);
    }
    writer
}

#[test]
fn trials_are_found_sorted_and_paged() {
    let folder = tempfile::tempdir().unwrap();
    let writer = filled(folder.path());
    let reader = Store::open_read_only(folder.path()).unwrap();
    let numbers = |query: TrialQuery| -> Vec<u64> {
        reader
            .trials("HD_1234abcd", &query)
            .unwrap()
            .iter()
            .map(|row| row.trial)
            .collect()
    };
    let best = TrialQuery {
        order: TrialOrder::Best,
        ..TrialQuery::default()
    };
    assert_eq!(numbers(best.clone()), [4, 3, 2, 1, 0, 5]);
    assert_eq!(
        numbers(TrialQuery {
            reverse: true,
            ..best.clone()
        }),
        [0, 1, 2, 3, 4, 5]
    );
    assert_eq!(
        numbers(TrialQuery {
            offset: 1,
            limit: Some(2),
            ..best
        }),
        [3, 2]
    );
    assert_eq!(
        numbers(TrialQuery {
            states: vec![TrialState::Completed],
            ..TrialQuery::default()
        }),
        [0, 1, 2]
    );
    assert_eq!(
        numbers(TrialQuery {
            scored: Some(false),
            ..TrialQuery::default()
        }),
        [5]
    );
    let row = reader.trial("HD_1234abcd", 2).unwrap();
    assert_eq!(
        (row.best, row.best_interval, row.reports),
        (Some(0.4), Some(2), 3)
    );
    assert_eq!(row.run_id, "HD_1234abcd_2");
    assert_eq!(row.parameters.keys().collect::<Vec<_>>(), ["lr", "momentum"]);
    let last = row.last.unwrap();
    assert_eq!((last.seq, last.step), (2, 30));
    assert!(matches!(
        reader.trial("HD_1234abcd", 6),
        Err(StoreError::NoTrial { trial: 6, .. })
    ));
    drop(writer);
}

#[test]
fn curves_keep_nan_and_number_missing_steps() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = filled(folder.path());
    let zero = |value| Change::Point {
        trial: 0,
        attempt: 0,
        name: "loss".into(),
        value,
        step: Some(0),
        elapsed_ms: 1,
    };
    writer
        .apply(&[(900, zero(f64::NEG_INFINITY))], Durability::Process)
        .unwrap();
    let curve = |metric: &str| writer.store().curve("HD_1234abcd", 0, metric, None).unwrap();
    assert_eq!(
        curve("loss").iter().map(|point| point.step).collect::<Vec<_>>(),
        [0]
    );
    writer
        .apply(&[(900, zero(2.0)), (901, zero(3.0))], Durability::Process)
        .unwrap();
    let curve = |metric: &str| writer.store().curve("HD_1234abcd", 0, metric, None).unwrap();
    assert_eq!(
        curve("loss")
            .iter()
            .map(|point| (point.step, point.value))
            .collect::<Vec<_>>(),
        [(0, f64::NEG_INFINITY), (1, 2.0), (2, 3.0)]
    );
    let primary = curve("Accuracy");
    assert!(primary[0].value.is_nan());
    assert_eq!(
        primary.iter().map(|point| point.step).collect::<Vec<_>>(),
        [10, 1, 30]
    );
    assert!(curve("accuracy").is_empty());
    let names = writer.store().metric_names("HD_1234abcd", None).unwrap();
    assert_eq!(
        names
            .iter()
            .map(|name| (name.name.as_str(), name.trials, name.points))
            .collect::<Vec<_>>(),
        [("Accuracy", 5, 15), ("loss", 1, 3)]
    );
}

#[test]
fn sweeps_are_found_by_id_beginning_and_latest() {
    let folder = tempfile::tempdir().unwrap();
    let writer = filled(folder.path());
    let store = writer.store();
    store
        .create_sweep("HD_1299", &experiment(), folder.path(), None)
        .unwrap();
    assert_eq!(store.resolve("1234").unwrap(), "HD_1234abcd");
    assert_eq!(store.resolve("HD_129").unwrap(), "HD_1299");
    assert_eq!(store.resolve("latest").unwrap(), "HD_1299");
    assert!(
        matches!(store.resolve("HD_12"), Err(StoreError::Ambiguous { candidates, .. }) if candidates.len() == 2)
    );
    assert!(matches!(store.resolve("%"), Err(StoreError::NotFound(_))));
    store.set_archived("HD_1299", true).unwrap();
    store.set_notes("HD_1234abcd", "worth keeping").unwrap();
    store
        .set_tags(
            "HD_1234abcd",
            &[("a".to_owned(), "b".to_owned())].into_iter().collect(),
        )
        .unwrap();
    let rows = store.sweeps(&SweepFilter::default()).unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(row.notes.as_deref(), Some("worth keeping"));
    assert_eq!(row.tags.get("a").map(String::as_str), Some("b"));
    assert_eq!(row.state, SweepState::Running);
    let best = row.best.as_ref().unwrap();
    assert_eq!((best.trial, best.step, best.parameters.len()), (4, Some(1), 2));
    let file = SweepFilter {
        file: Some("/somewhere/else.yml".into()),
        ..SweepFilter::default()
    };
    assert!(store.sweeps(&file).unwrap().is_empty());
}

#[test]
fn open_attempts_carry_what_a_resume_needs() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = filled(folder.path());
    let placed = Change::Placed {
        trial: 4,
        attempt: 0,
        nonce: "00ff".into(),
        folder: "/tmp/4/0-00ff".into(),
        target: "local".into(),
        boot_id: "b".into(),
    };
    let started = Change::Started {
        trial: 4,
        attempt: 0,
        argv: vec!["sh".into()],
    };
    let followed = Change::Followed {
        trial: 4,
        attempt: 0,
        next: 12,
    };
    writer
        .apply(
            &[(1000, placed), (1000, started), (1000, followed)],
            Durability::Process,
        )
        .unwrap();
    let open = writer.store().open_attempts("HD_1234abcd").unwrap();
    assert_eq!(
        open.iter().map(|attempt| attempt.trial).collect::<Vec<_>>(),
        [3, 4, 5]
    );
    let four = &open[1];
    assert_eq!(
        (four.nonce.as_str(), four.journal_seq, four.started),
        ("00ff", 12, true)
    );
    assert_eq!(four.assignment, assignment(0.4, 0.5));
    assert!(!open[2].started && open[2].folder.is_empty());
}
