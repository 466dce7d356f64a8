//! What other processes ask of a running sweep.

use super::{Project, until};
use overdrive::controller::{Limits, SweepState};
use overdrive::engine::{Ending, Engine};
use overdrive::history::{CancelCause, TrialState};
use overdrive::space::{Assignment, Value};
use overdrive::store::{Request, RequestState, Store};
use std::time::{Duration, Instant};

fn ask(client: &Store, request: &Request) -> RequestState {
    let begun = Instant::now();
    let id = client.request("HD_req", request).unwrap();
    until("an answer", || {
        client.request_state(id).unwrap() != RequestState::Waiting
    });
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?} for {request:?}",
        begun.elapsed()
    );
    client.request_state(id).unwrap()
}

#[test]
fn requests_are_carried_out_and_impossible_ones_refused() {
    let project = Project::new("echo score=$2\nwhile [ ! -e \"$SEEN/go\" ]; do sleep 0.02; done\n");
    let store = project.store();
    let engine = Engine::start(&store, "HD_req", &project.experiment(2, 1), project.setup()).unwrap();
    until("the first runs", || {
        store.trial("HD_req", 0).is_ok_and(|trial| trial.reports == 1)
    });
    let client = Store::open(&project.state()).unwrap();

    assert_eq!(
        ask(
            &client,
            &Request::Pause {
                reason: "lunch".into()
            }
        ),
        RequestState::Done
    );
    assert_eq!(store.sweep("HD_req").unwrap().state, SweepState::Paused);
    assert_eq!(
        ask(&client, &Request::CancelTrial { trial: 0 }),
        RequestState::Done
    );
    until("it is gone", || {
        store.trial("HD_req", 0).unwrap().state == TrialState::Canceled
    });
    assert_eq!(store.trial("HD_req", 0).unwrap().cause, Some(CancelCause::User));
    assert_eq!(
        store.sweep("HD_req").unwrap().trials.values().sum::<u64>(),
        1,
        "paused: nothing new"
    );

    let refused = |request: &Request| matches!(ask(&client, request), RequestState::Refused(_));
    assert!(refused(&Request::CancelTrial { trial: 0 }));
    assert!(refused(&Request::CancelTrial { trial: 9 }));
    assert!(refused(&Request::Rerun { trial: 9 }));
    assert!(refused(&Request::Enqueue {
        assignment: Assignment { values: vec![None] }
    }));

    let values = vec![Some(Value::Float(0.25)), Some(Value::Str("b".into()))];
    assert_eq!(
        ask(
            &client,
            &Request::Enqueue {
                assignment: Assignment { values }
            }
        ),
        RequestState::Done
    );
    assert_eq!(ask(&client, &Request::Rerun { trial: 0 }), RequestState::Done);
    let limits = Limits {
        max_total: 3,
        max_concurrent: 2,
        max_duration_ms: None,
    };
    assert_eq!(ask(&client, &Request::SetLimits { limits }), RequestState::Done);
    assert_eq!(ask(&client, &Request::Resume), RequestState::Done);
    until("two more run", || {
        store.sweep("HD_req").unwrap().trials.get("Running") == Some(&2)
    });
    assert_eq!(
        store.trial("HD_req", 1).unwrap().parameters["x"],
        Value::Float(0.25)
    );
    let first = store.trial("HD_req", 0).unwrap().parameters;
    assert_eq!(store.trial("HD_req", 2).unwrap().parameters, first);

    std::fs::write(project.seen().join("go"), "").unwrap();
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
}

#[test]
fn a_cancelled_sweep_leaves_no_process_behind() {
    let project =
        Project::new("trap '' TERM\necho score=1\n(setsid sleep 600 &)\nsleep 600 & wait; sleep 600\n");
    let store = project.store();
    let engine = Engine::start(&store, "HD_req", &project.experiment(5, 2), project.setup()).unwrap();
    until("two run", || {
        (0..2).all(|n| store.trial("HD_req", n).is_ok_and(|trial| trial.reports == 1))
    });
    let begun = Instant::now();
    let client = Store::open(&project.state()).unwrap();
    assert_eq!(
        ask(
            &client,
            &Request::Cancel {
                reason: "cancelled by the user".into()
            }
        ),
        RequestState::Done
    );
    let ending = engine.wait().unwrap();
    assert_eq!(
        ending,
        Ending::Ended {
            state: SweepState::Canceled,
            reason: "cancelled by the user".into()
        }
    );
    // Grace is 2 s here.
    assert!(
        begun.elapsed() < Duration::from_secs(7 + 5),
        "{:?}",
        begun.elapsed()
    );
    let row = store.sweep("HD_req").unwrap();
    assert_eq!(row.trials.get("Canceled"), Some(&2), "{row:?}");
    until("no process is left", || {
        super::processes_with(&project.state()).is_empty()
    });
    assert_eq!(
        client.request("HD_req", &Request::Resume).map(|_| ()).ok(),
        Some(())
    );
}
