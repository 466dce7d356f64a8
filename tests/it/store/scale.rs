//! 100,000 trials with 1,000,000 points: run with `cargo test --release --test it store::scale -- --ignored --nocapture`.

use super::{assignment, led, observation, origin};
use overdrive::controller::{Outcome, Record};
use overdrive::history::TrialState;
use overdrive::store::{Change, Durability, Store, TrialOrder, TrialQuery};
use std::time::Instant;

fn fill(folder: &std::path::Path, trials: u64) {
    let mut writer = led(folder, "HD_big");
    for block in 0..trials / 100 {
        let mut changes = Vec::new();
        for trial in block * 100..(block + 1) * 100 {
            let mut add = |record| changes.push((trial, Change::Record(record)));
            let state = |state| Record::TrialState {
                trial,
                state,
                cause: None,
                reason: None,
            };
            add(Record::TrialCreated {
                trial,
                assignment: assignment(trial as f64, 0.5),
                origin: origin(),
            });
            add(Record::AttemptCreated { trial, attempt: 0 });
            add(state(TrialState::Preparing));
            add(state(TrialState::Running));
            for interval in 1..=10 {
                let observation = observation((trial * interval % 977) as f64, None);
                add(Record::Observed {
                    trial,
                    attempt: 0,
                    interval,
                    observation,
                    accepted: true,
                });
            }
            add(Record::AttemptEnded {
                trial,
                attempt: 0,
                outcome: Outcome::Completed,
                superseded: false,
            });
            add(state(TrialState::Completed));
        }
        writer.apply(&changes, Durability::Process).unwrap();
    }
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

fn measure(trials: u64) -> [u128; 4] {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    fill(folder.path(), trials);
    println!("filled in {:?}, rss {} MiB", begun.elapsed(), resident_mib());
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let begun = Instant::now();
        work();
        println!("{what}: {:?}, rss {} MiB", begun.elapsed(), resident_mib());
        begun.elapsed().as_millis()
    };
    let list = timed("list", &mut || {
        let store = Store::open_read_only(folder.path()).unwrap();
        assert_eq!(
            store.sweep("latest").unwrap().trials.get("Completed"),
            Some(&trials)
        );
    });
    let show = timed("show", &mut || {
        let store = Store::open_read_only(folder.path()).unwrap();
        let query = TrialQuery {
            order: TrialOrder::Best,
            limit: Some(20),
            ..TrialQuery::default()
        };
        assert_eq!(store.trials("HD_big", &query).unwrap().len(), 20);
        assert_eq!(
            store.curve("HD_big", trials / 2, "Accuracy", None).unwrap().len(),
            10
        );
        store.metric_names("HD_big", Some(trials / 2)).unwrap();
    });
    let names = timed("metric names", &mut || {
        let store = Store::open_read_only(folder.path()).unwrap();
        assert_eq!(store.metric_names("HD_big", None).unwrap()[0].points, trials * 10);
    });
    let resume = timed("snapshot", &mut || {
        let store = Store::open_read_only(folder.path()).unwrap();
        let snapshot = store.snapshot("HD_big").unwrap();
        assert_eq!(snapshot.history.trials.len() as u64, trials);
        assert!(
            snapshot
                .history
                .trials
                .iter()
                .all(|trial| trial.series.intervals() == 10)
        );
        println!("holding it: rss {} MiB", resident_mib());
    });
    [list, show, names, resume]
}

#[test]
fn lists_do_not_scan() {
    let [list, show, ..] = measure(2_000);
    assert!(list < 200 && show < 200, "{list} ms, {show} ms");
}
