//! Following real journals, whole, torn and damaged.

use super::*;
use crate::controller::FailureClass;
use crate::journal::{Channel, Writer};

fn follower(taken: u64) -> Follower {
    let attempt = AttemptRef {
        trial: 3,
        attempt: 1,
        folder: "/nowhere".into(),
    };
    Follower::new(attempt, "00".into(), (0, 0), Some("loss".into()), taken)
}

fn metric(name: &str, value: f64) -> Entry {
    Entry::Metric {
        name: name.into(),
        value,
        step: None,
        channel: Channel::Report,
        at_ms: 9,
    }
}

fn journal(entries: &[Entry]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut writer = Writer::create(&path).unwrap();
    for entry in entries {
        writer.append(entry).unwrap();
    }
    std::fs::read(path).unwrap()
}

fn values(told: &[Told]) -> Vec<f64> {
    told.iter()
        .filter_map(|told| match told {
            Told::Event(Event::Reported { observation, .. }) => Some(observation.value),
            _ => None,
        })
        .collect()
}

#[test]
fn primary_reports_are_events_and_the_rest_are_rows() {
    let bytes = journal(&[metric("loss", 1.0), metric("other", 2.0), metric("Loss", 3.0)]);
    let mut told = Vec::new();
    follower(0).take(0, &bytes, &mut told);
    assert_eq!(values(&told), [1.0]);
    assert_eq!(told.len(), 4);
    assert_eq!(
        told[3],
        Told::Change(Change::Followed {
            trial: 3,
            attempt: 1,
            next: 3
        })
    );
}

#[test]
fn whatever_the_pieces_each_entry_is_told_once_even_after_a_restart() {
    let bytes = journal(&(0..20).map(|i| metric("loss", f64::from(i))).collect::<Vec<_>>());
    for piece in [1, 7, 64, 4096] {
        let mut told = Vec::new();
        let mut first = follower(0);
        let half = bytes.len() / 2;
        for chunk in bytes[..half].chunks(piece) {
            assert!(!first.take(0, chunk, &mut told));
        }
        let next = told
            .iter()
            .filter_map(|told| match told {
                Told::Change(Change::Followed { next, .. }) => Some(*next),
                _ => None,
            })
            .next_back()
            .unwrap();
        let mut second = follower(next);
        for chunk in bytes.chunks(piece) {
            second.take(0, chunk, &mut told);
        }
        assert_eq!(values(&told), (0..20).map(f64::from).collect::<Vec<_>>());
    }
}

#[test]
fn a_torn_tail_costs_nothing_that_was_acknowledged() {
    let bytes = journal(&[metric("loss", 1.0), metric("loss", 2.0)]);
    let mut told = Vec::new();
    let mut follower = follower(0);
    follower.take(0, &bytes[..bytes.len() - 3], &mut told);
    follower.settle(0, "runner 7 is gone", &mut told);
    assert_eq!(values(&told), [1.0]);
    match told.last() {
        Some(Told::Event(Event::Exited {
            outcome: Outcome::Failed { class, message, .. },
            ..
        })) => {
            assert_eq!(*class, FailureClass::Infrastructure);
            assert_eq!(message, "the runner was lost: runner 7 is gone");
        }
        other => panic!("{other:?}"),
    }
    assert!(
        !told
            .iter()
            .any(|told| matches!(told, Told::Change(Change::Warning { .. })))
    );
}

#[test]
fn damage_in_the_middle_is_waited_for_then_named() {
    let mut bytes = journal(&(0..9).map(|i| metric("loss", f64::from(i))).collect::<Vec<_>>());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    let mut told = Vec::new();
    let mut follower = follower(0);
    assert!(follower.take(0, &bytes, &mut told), "asks for another look");
    assert!(values(&told).len() < 9);
    let wanted = usize::try_from(follower.wanted()).unwrap();
    follower.take(SUSPECT_MS, &bytes[wanted..], &mut told);
    assert!(values(&told).len() >= 7, "{:?}", values(&told));
    assert!(
        told.iter().any(
            |told| matches!(told, Told::Change(Change::Warning { code, .. }) if code == "journal-damaged")
        )
    );
}

#[test]
fn the_end_is_told_once() {
    let exit = Exit {
        code: Some(0),
        signal: None,
        ended_by: None,
        duration_ms: 5,
        max_rss: None,
        cpu_s: None,
        tail: Vec::new(),
        survivors: vec![42],
    };
    let bytes = journal(&[Entry::Exited(exit), Entry::Sealed]);
    let mut told = Vec::new();
    let mut follower = follower(0);
    follower.take(0, &bytes, &mut told);
    follower.settle(0, "gone", &mut told);
    let ends = told
        .iter()
        .filter(|told| matches!(told, Told::Event(Event::Exited { .. })))
        .count();
    assert_eq!(ends, 1);
    assert!(
        told.iter()
            .any(|told| matches!(told, Told::Change(Change::Warning { code, .. }) if code == "survivors"))
    );
}
