//! One leader, durable commits, refusals.

use super::{assignment, experiment, led, origin, records};
use overdrive::controller::{Limits, Record};
use overdrive::store::{
    Change, Durability, FILE, OpenOptions, Placement, Request, RequestState, Store, StoreError, SweepFilter,
};
use std::sync::Arc;

fn created(trial: u64) -> Record {
    Record::TrialCreated {
        trial,
        assignment: assignment(0.1, 0.2),
        origin: origin(),
    }
}

#[test]
fn a_second_leader_is_refused_by_name_and_admitted_after_the_first_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let writer = led(folder.path(), "HD_a");
    let other = Arc::new(Store::open(folder.path()).unwrap());
    match other.writer("HD_a", None, false).map(|_| ()) {
        Err(error @ StoreError::Held { certain: true, .. }) => {
            assert!(
                error.to_string().contains(&std::process::id().to_string()),
                "{error}"
            );
        }
        answer => panic!("{answer:?}"),
    }
    assert!(other.leader("HD_a").unwrap().is_some());
    drop(writer);
    let mut second = other.writer("HD_a", None, false).unwrap();
    records(&mut second, 1, [created(0)]);
    second.release().unwrap();
    assert!(other.leader("HD_a").unwrap().is_none());
}

#[test]
fn a_leader_that_was_taken_over_cannot_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = led(folder.path(), "HD_a");
    records(&mut first, 1, [created(0)]);
    let usurper = std::thread::scope(|scope| {
        let usurper = scope.spawn(|| {
            let store = Arc::new(Store::open(folder.path()).unwrap());
            store.writer("HD_a", None, true).unwrap()
        });
        let mut now = 2;
        loop {
            match first.apply(
                &[(
                    now,
                    Change::Record(Record::Anomaly {
                        message: "still here".into(),
                    }),
                )],
                Durability::Process,
            ) {
                Ok(()) => now += 1,
                Err(StoreError::Fenced(sweep)) => break assert_eq!(sweep, "HD_a"),
                Err(error) => panic!("{error}"),
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        drop(first);
        usurper.join().unwrap()
    });
    let mut usurper = usurper;
    records(&mut usurper, 99, [created(1)]);
    assert_eq!(
        usurper
            .store()
            .trials("HD_a", &overdrive::store::TrialQuery::default())
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_newer_store_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    drop(led(folder.path(), "HD_a"));
    let path = folder.path().join(FILE);
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("PRAGMA user_version = 1000; PRAGMA journal_mode = DELETE;")
        .unwrap();
    drop(raw);
    let before = std::fs::read(&path).unwrap();
    for answer in [
        Store::open(folder.path()).map(|_| ()),
        Store::open_read_only(folder.path()).map(|_| ()),
    ] {
        assert!(
            matches!(answer, Err(StoreError::Newer { found: 1000, .. })),
            "{answer:?}"
        );
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(!folder.path().join("overdrive.db-wal").exists());
}

#[test]
fn other_files_and_damage_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        Store::open_read_only(folder.path()).map(|_| ()),
        Err(StoreError::Missing(_))
    ));
    std::fs::write(
        folder.path().join(FILE),
        "not a database at all, but long enough to be looked at ".repeat(40),
    )
    .unwrap();
    assert!(matches!(
        Store::open(folder.path()).map(|_| ()),
        Err(StoreError::Foreign(_))
    ));
}

#[test]
fn a_batch_is_stored_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = led(folder.path(), "HD_a");
    records(&mut writer, 1, [created(0)]);
    // Trial 0 exists: the batch breaks at its second record.
    let changes = [(2, Change::Record(created(1))), (2, Change::Record(created(0)))];
    assert!(writer.apply(&changes, Durability::Machine).is_err());
    records(&mut writer, 3, [created(1)]);
    let row = writer.store().sweep("HD_a").unwrap();
    assert_eq!(row.trials.get("Queued"), Some(&2));
}

#[test]
fn network_file_systems_get_no_log_and_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let network = OpenOptions {
        placement: Some(Placement::Network),
        ..OpenOptions::default()
    };
    let store = Arc::new(Store::open_with(folder.path(), network).unwrap());
    store
        .create_sweep("HD_n", &experiment(), folder.path(), None)
        .unwrap();
    let mut writer = store.writer("HD_n", None, false).unwrap();
    records(&mut writer, 1, [created(0)]);
    assert!(!folder.path().join("overdrive.db-wal").exists());
    assert!(!folder.path().join("overdrive.db-shm").exists());
    drop((writer, store));
    assert_eq!(
        Store::open_read_only(folder.path())
            .unwrap()
            .sweeps(&SweepFilter::default())
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn requests_reach_the_leader_and_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let bell = folder.path().join("bell");
    let socket = std::os::unix::net::UnixDatagram::bind(&bell).unwrap();
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(5)))
        .unwrap();
    let store = Arc::new(Store::open(folder.path()).unwrap());
    store
        .create_sweep("HD_r", &experiment(), folder.path(), None)
        .unwrap();
    let mut writer = store.writer("HD_r", Some(&bell), false).unwrap();
    let client = Store::open(folder.path()).unwrap();
    let wish = Request::SetLimits {
        limits: Limits {
            max_total: 9,
            max_concurrent: 2,
            max_duration_ms: None,
        },
    };
    let first = client.request("HD_r", &wish).unwrap();
    let nothing = overdrive::space::Assignment {
        values: vec![None, Some(overdrive::space::Value::Null)],
    };
    let second = client
        .request(
            "HD_r",
            &Request::Enqueue {
                assignment: nothing.clone(),
            },
        )
        .unwrap();
    assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
    let open = store.open_requests("HD_r").unwrap();
    assert_eq!(
        open,
        vec![
            (first, Ok(wish)),
            (second, Ok(Request::Enqueue { assignment: nothing }))
        ]
    );
    assert_eq!(client.request_state(first).unwrap(), RequestState::Waiting);
    let answers = [
        (
            5,
            Change::Handled {
                request: first,
                error: None,
            },
        ),
        (
            5,
            Change::Handled {
                request: second,
                error: Some("the space has no such option".into()),
            },
        ),
    ];
    writer.apply(&answers, Durability::Machine).unwrap();
    assert_eq!(client.request_state(first).unwrap(), RequestState::Done);
    assert!(matches!(
        client.request_state(second).unwrap(),
        RequestState::Refused(_)
    ));
    assert!(store.open_requests("HD_r").unwrap().is_empty());
}

#[test]
fn ids_cannot_leave_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for id in ["", "..", "a/b", ".hidden", "x\n"] {
        assert!(
            store
                .create_sweep(id, &experiment(), folder.path(), None)
                .is_err(),
            "{id:?}"
        );
    }
    store
        .create_sweep("ok_1.2-3", &experiment(), folder.path(), None)
        .unwrap();
    assert!(matches!(
        store.create_sweep("ok_1.2-3", &experiment(), folder.path(), None),
        Err(StoreError::Exists(_))
    ));
}
