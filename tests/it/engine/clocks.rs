//! A wall clock that jumps: order is that of the records, limits are those of time that really passed.

use super::{Project, until};
use overdrive::clock::{Clock, Stamp, SystemClock};
use overdrive::controller::SweepState;
use overdrive::engine::{Ending, Engine};
use overdrive::store::{OpenOptions, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The machine's clock with a wall time that somebody sets.
#[derive(Default)]
struct Set {
    ahead_ms: AtomicI64,
}

impl Clock for Set {
    fn stamp(&self) -> Stamp {
        let now = SystemClock.stamp();
        Stamp {
            wall_ms: now.wall_ms + self.ahead_ms.load(Ordering::SeqCst),
            ..now
        }
    }
}

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_wall_clock_that_jumps_changes_neither_order_nor_limits() {
    let project = Project::new(
        "for i in 1 2 3 4 5 6; do echo score=$i; while [ ! -e \"$SEEN/$i\" ]; do sleep 0.01; done; done\n",
    );
    let clock = Arc::new(Set::default());
    let options = OpenOptions {
        clock: Some(Arc::clone(&clock) as Arc<dyn Clock>),
        ..OpenOptions::default()
    };
    let store = Arc::new(Store::open_with(&project.state(), options).unwrap());
    let mut experiment = project.experiment(3, 2);
    experiment.limits.max_duration_ms = Some(30 * 60_000);
    let mut engine = Engine::start(&store, "HD_jump", &experiment, project.setup()).unwrap();
    let jumps = [HOUR_MS, -HOUR_MS, 365 * 24 * HOUR_MS, 0, -365 * 24 * HOUR_MS];
    for (index, ahead) in jumps.into_iter().enumerate() {
        let reports = index as u64 + 1;
        until("both reported", || {
            (0..2).all(|n| {
                store
                    .trial("HD_jump", n)
                    .is_ok_and(|trial| trial.reports == reports)
            })
        });
        clock.ahead_ms.store(ahead, Ordering::SeqCst);
        if index == 2 {
            // Another controller takes up a year later by the wall, a moment later by the machine.
            engine.control().detach();
            assert_eq!(engine.wait().unwrap(), Ending::Detached { live: 2 });
            engine = Engine::resume(&store, "HD_jump", project.setup()).unwrap();
        }
        std::fs::write(project.seen().join(reports.to_string()), "").unwrap();
    }
    std::fs::write(project.seen().join("6"), "").unwrap();
    let ending = engine.wait().unwrap();
    assert!(
        matches!(&ending, Ending::Ended { state: SweepState::Completed, reason } if reason == "all 3 trials have ended"),
        "{ending:?}"
    );
    for trial in 0..3 {
        let curve = store.curve("HD_jump", trial, "score", None).unwrap();
        let values: Vec<f64> = curve.iter().map(|point| point.value).collect();
        assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(
            curve
                .windows(2)
                .all(|pair| pair[0].elapsed_ms <= pair[1].elapsed_ms)
        );
        let row = store.trial("HD_jump", trial).unwrap();
        assert_eq!(row.attempts, 1);
        assert!(row.duration_ms.unwrap() < 60_000, "{row:?}");
    }
    assert!(store.sweep("HD_jump").unwrap().duration_ms < 60_000);
}
