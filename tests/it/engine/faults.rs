//! Runners that die, journals that end in the middle, machines that restart.

use super::{Project, until};
use overdrive::clock::{Clock, Stamp, SystemClock};
use overdrive::controller::{Outcome, SweepState};
use overdrive::engine::{Ending, Engine, EngineError};
use overdrive::process::Identity;
use overdrive::store::{OpenOptions, Store, StoreError};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The identity in an attempt's claim.
fn runner_of(store: &Store, sweep: &str, trial: u64) -> Option<(Identity, String)> {
    let attempt = store.attempts(sweep, Some(trial)).ok()?.pop()?;
    let claim = std::fs::read(std::path::Path::new(&attempt.folder).join("claim")).ok()?;
    Some((serde_json::from_slice(&claim).ok()?, attempt.folder))
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Runs long the first time, ends at once the second.
const TWICE: &str = r#"
echo "score=1"
if [ ! -e "$SEEN/first" ]; then
  echo $$ > "$SEEN/first"
  sleep 600
fi
echo "score=2"
"#;

#[test]
fn a_killed_runner_is_lost_its_script_dies_and_the_trial_is_tried_again() {
    let project = Project::new(TWICE);
    let store = project.store();
    let engine = Engine::start(&store, "HD_lost", &project.experiment(1, 1), project.setup()).unwrap();
    until("the script runs", || {
        store.sweep("HD_lost").unwrap().trials.get("Running") == Some(&1)
    });
    until("it reported", || {
        store.trial("HD_lost", 0).is_ok_and(|trial| trial.reports == 1)
    });
    let script: i32 = std::fs::read_to_string(project.seen().join("first"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let (runner, _) = runner_of(&store, "HD_lost", 0).unwrap();
    kill(runner.pid);
    let ending = engine.wait().unwrap();
    assert!(
        matches!(
            ending,
            Ending::Ended {
                state: SweepState::Completed,
                ..
            }
        ),
        "{ending:?}"
    );
    assert!(
        overdrive::process::start_ticks(script).is_none(),
        "the first script is gone"
    );
    let attempts = store.attempts("HD_lost", Some(0)).unwrap();
    assert_eq!(attempts.len(), 2);
    assert!(attempts[0].superseded && !attempts[1].superseded);
    assert!(
        matches!(&attempts[0].outcome, Some(Outcome::Failed { message, .. }) if message.contains("runner was lost"))
    );
    let values = |attempt| -> Vec<f64> {
        store
            .curve("HD_lost", 0, "score", attempt)
            .unwrap()
            .iter()
            .map(|point| point.value)
            .collect()
    };
    assert_eq!((values(Some(0)), values(None)), (vec![1.0], vec![1.0, 2.0]));
    assert_eq!(store.trial("HD_lost", 0).unwrap().reports, 2);
}

#[test]
fn a_torn_journal_tail_loses_only_what_was_never_whole() {
    let project = Project::new("echo score=1\necho score=2\nsleep 600\n");
    let store = project.store();
    let mut experiment = project.experiment(1, 1);
    experiment.max_retries = 0;
    experiment.abort_after_initial_failures = 0;
    let engine = Engine::start(&store, "HD_torn", &experiment, project.setup()).unwrap();
    until("it reported", || {
        store.trial("HD_torn", 0).is_ok_and(|trial| trial.reports == 2)
    });
    engine.control().detach();
    assert_eq!(engine.wait().unwrap(), Ending::Detached { live: 1 });
    let (runner, folder) = runner_of(&store, "HD_torn", 0).unwrap();
    kill(runner.pid);
    let journal = std::fs::File::options()
        .write(true)
        .open(std::path::Path::new(&folder).join("journal"))
        .unwrap();
    let length = journal.metadata().unwrap().len();
    // The beginning of one more frame: magic, version, kind, a length that never came.
    journal
        .write_all_at(&[0xd7, 0x0d, 1, 3, 200, 0, 0, 0, 5, 0], length)
        .unwrap();
    let ending = Engine::resume(&store, "HD_torn", project.setup())
        .unwrap()
        .wait()
        .unwrap();
    assert!(matches!(ending, Ending::Ended { .. }), "{ending:?}");
    let trial = store.trial("HD_torn", 0).unwrap();
    assert_eq!((trial.reports, trial.attempts), (2, 1));
    assert!(trial.reason.unwrap().contains("runner was lost"));
    let values: Vec<f64> = store
        .curve("HD_torn", 0, "score", None)
        .unwrap()
        .iter()
        .map(|p| p.value)
        .collect();
    assert_eq!(values, [1.0, 2.0]);
}

#[test]
fn what_was_detached_is_found_again_with_everything_it_said_meanwhile() {
    let project =
        Project::new("echo score=1\nwhile [ ! -e \"$SEEN/go\" ]; do sleep 0.02; done\necho score=2\n");
    let store = project.store();
    let engine = Engine::start(&store, "HD_det", &project.experiment(2, 2), project.setup()).unwrap();
    until("both reported", || {
        (0..2).all(|n| store.trial("HD_det", n).is_ok_and(|trial| trial.reports == 1))
    });
    engine.control().detach();
    assert_eq!(engine.wait().unwrap(), Ending::Detached { live: 2 });
    std::fs::write(project.seen().join("go"), "").unwrap();
    until("the scripts ended", || {
        super::processes_with(&project.state()).is_empty()
    });
    assert_eq!(store.sweep("HD_det").unwrap().trials.get("Running"), Some(&2));
    let ending = Engine::resume(&store, "latest", project.setup())
        .unwrap()
        .wait()
        .unwrap();
    assert!(
        matches!(
            ending,
            Ending::Ended {
                state: SweepState::Completed,
                ..
            }
        ),
        "{ending:?}"
    );
    for trial in 0..2 {
        let row = store.trial("HD_det", trial).unwrap();
        assert_eq!((row.reports, row.attempts, row.best), (2, 1, Some(2.0)));
    }
    assert!(matches!(
        Engine::resume(&store, "HD_det", project.setup()).map(|_| ()),
        Err(EngineError::Ended {
            state: "Completed",
            ..
        })
    ));
}

#[test]
fn unclaimed_attempts_of_another_boot_are_given_up_and_those_of_this_one_are_started() {
    for (same_boot, attempts) in [(true, 1), (false, 2)] {
        let project = Project::new("echo score=1\n");
        let store = project.store();
        // Placed and never started: as if killed between the decision and the start.
        let mut setup = project.setup();
        let options = setup.local.as_mut().unwrap();
        options.executable = "/bin/sh".into();
        options.arguments = vec!["-c".into(), "sleep 5".into(), "sh".into()];
        let engine = Engine::start(&store, "HD_boot", &project.experiment(1, 1), setup).unwrap();
        until("it is on record", || {
            store
                .attempts("HD_boot", Some(0))
                .is_ok_and(|attempts| !attempts.is_empty())
        });
        engine.control().detach();
        drop(engine.wait());
        assert_eq!(store.open_attempts("HD_boot").unwrap().len(), 1);
        if !same_boot {
            let raw = rusqlite::Connection::open(project.state().join(overdrive::store::FILE)).unwrap();
            raw.execute("UPDATE attempt SET boot_id = 'an earlier one'", [])
                .unwrap();
        }
        Engine::resume(&store, "HD_boot", project.setup())
            .unwrap()
            .wait()
            .unwrap();
        let row = store.trial("HD_boot", 0).unwrap();
        assert_eq!(
            (row.reports, u64::from(row.attempts)),
            (1, attempts),
            "same boot: {same_boot}"
        );
    }
}

/// The machine's clock, set one year ahead and another boot.
struct Later;

impl Clock for Later {
    fn stamp(&self) -> Stamp {
        let now = SystemClock.stamp();
        Stamp {
            boot_id: "later".into(),
            boot_ms: 5_000,
            wall_ms: now.wall_ms + 3_600_000,
        }
    }
}

#[test]
fn time_spent_switched_off_counts_for_the_duration() {
    let project = Project::new("echo score=1\nsleep 600\n");
    let mut experiment = project.experiment(4, 1);
    experiment.limits.max_duration_ms = Some(1_800_000);
    let store = project.store();
    let engine = Engine::start(&store, "HD_off", &experiment, project.setup()).unwrap();
    until("it runs", || {
        store.trial("HD_off", 0).is_ok_and(|trial| trial.reports == 1)
    });
    engine.control().detach();
    engine.wait().unwrap();
    drop(store);
    let options = OpenOptions {
        clock: Some(Arc::new(Later)),
        ..OpenOptions::default()
    };
    let later = Arc::new(Store::open_with(&project.state(), options).unwrap());
    let ending = Engine::resume(&later, "HD_off", project.setup())
        .unwrap()
        .wait()
        .unwrap();
    assert!(
        matches!(
            ending,
            Ending::Ended {
                state: SweepState::Canceled,
                ..
            }
        ),
        "{ending:?}"
    );
    until("all processes are gone", || {
        super::processes_with(&project.state()).is_empty()
    });
}

#[test]
fn a_newer_store_is_refused_before_anything_is_started() {
    let project = Project::new("echo score=1 >> $SEEN/ran\n");
    drop(project.store());
    let raw = rusqlite::Connection::open(project.state().join(overdrive::store::FILE)).unwrap();
    raw.execute_batch("PRAGMA user_version = 77").unwrap();
    assert!(matches!(
        Store::open(&project.state()).map(|_| ()),
        Err(StoreError::Newer { found: 77, .. })
    ));
    assert!(project.seen_lines().is_empty());
}
