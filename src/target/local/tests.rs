//! The local target with real processes in the place of runners: shell scripts that claim, write and end.

use super::*;
use crate::process::start_ticks;
use crate::target::Fate;
use crate::target::Liveness;
use std::path::Path;
use std::time::Instant;

fn bell() -> Arc<Bell> {
    let bell = Bell::of(Path::new("/nowhere"), &uuid::Uuid::new_v4().to_string());
    bell.open().unwrap();
    Arc::new(bell)
}

fn target(script: &str) -> LocalTarget {
    let options = LocalOptions {
        executable: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into(), "sh".into()],
        fork_server: false,
        ..LocalOptions::default()
    };
    LocalTarget::new(options, bell())
}

fn attempt(folder: &Path) -> AttemptRef {
    AttemptRef {
        trial: 0,
        attempt: 0,
        folder: folder.to_owned(),
    }
}

fn spec() -> AttemptSpec {
    serde_json::from_value(serde_json::json!({
        "sweep": "HD_x", "experiment": "x", "trial": 0, "run_id": "HD_x_0", "attempt": 0, "nonce": "00", "argv": [],
        "env": {}, "grace_ms": 1, "parameters": {}, "log_cap_bytes": 1, "shim": false, "mlflow": false
    }))
    .unwrap()
}

fn until(target: &LocalTarget, attempt: &AttemptRef, done: impl Fn(&Chunk) -> bool) -> Chunk {
    let begun = Instant::now();
    loop {
        let chunk = target.follow(&[(attempt.clone(), 0)]).unwrap().remove(0);
        if done(&chunk) {
            return chunk;
        }
        assert!(begun.elapsed().as_secs() < 20, "{chunk:?}");
        target.wait(Duration::from_millis(20));
    }
}

#[test]
fn bytes_written_before_death_are_read_after_it_is_proved() {
    let folder = tempfile::tempdir().unwrap();
    let target = target("printf abc > journal; exit 3");
    let attempt = attempt(folder.path());
    target.submit(&attempt, &spec()).unwrap();
    let chunk = until(&target, &attempt, |chunk| {
        matches!(chunk.liveness, Liveness::Dead(_))
    });
    assert_eq!(chunk.bytes, b"abc");
    let rest = target.follow(&[(attempt.clone(), 2)]).unwrap().remove(0);
    assert_eq!(rest.bytes, b"c");
    target.forget(&attempt);
}

#[test]
fn last_words_of_a_runner_that_cannot_start_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let target = target("echo 'no room for the claim' >&2; exit 1");
    let attempt = attempt(folder.path());
    target.submit(&attempt, &spec()).unwrap();
    let chunk = until(&target, &attempt, |chunk| {
        matches!(chunk.liveness, Liveness::Dead(_))
    });
    assert!(matches!(chunk.liveness, Liveness::Dead(text) if text.ends_with(": no room for the claim")));
}

#[test]
fn a_claim_decides_and_a_reused_id_does_not_deceive() {
    let folder = tempfile::tempdir().unwrap();
    let target = target("sleep 60");
    let attempt = attempt(folder.path());
    let alive = |claim: &Identity| {
        std::fs::write(folder.path().join("claim"), serde_json::to_vec(claim).unwrap()).unwrap();
        target.forget(&attempt);
        target.follow(&[(attempt.clone(), 0)]).unwrap().remove(0).liveness
    };
    assert_eq!(
        target.follow(&[(attempt.clone(), 0)]).unwrap().remove(0).liveness,
        Liveness::Unclaimed
    );
    let own = Identity::own();
    assert_eq!(alive(&own), Liveness::Alive);
    assert_eq!(
        alive(&Identity {
            start_ticks: 1,
            ..own.clone()
        }),
        Liveness::Dead(format!("runner {} is gone", own.pid))
    );
    assert!(matches!(
        alive(&Identity {
            boot_id: "b".into(),
            ..own.clone()
        }),
        Liveness::Dead(_)
    ));
    assert!(matches!(
        alive(&Identity {
            host: "elsewhere".into(),
            ..own
        }),
        Liveness::Unknown(_)
    ));
    assert!(!target.keep_others_out(&attempt).unwrap());
    std::fs::remove_file(folder.path().join("claim")).unwrap();
    assert!(target.keep_others_out(&attempt).unwrap());
    target.forget(&attempt);
    assert!(matches!(
        target.follow(&[(attempt.clone(), 0)]).unwrap().remove(0).liveness,
        Liveness::Over(Fate::Canceled, _)
    ));
}

#[test]
fn cancel_leaves_its_mark_and_zombies_do_not_pile_up() {
    let folder = tempfile::tempdir().unwrap();
    let target = target("echo $$ > pid; while [ ! -e cancel ]; do sleep 0.01; done");
    let attempt = attempt(folder.path());
    target.submit(&attempt, &spec()).unwrap();
    target.cancel(&attempt).unwrap();
    target.cancel(&attempt).unwrap();
    until(&target, &attempt, |chunk| {
        matches!(chunk.liveness, Liveness::Dead(_))
    });
    let pid: i32 = std::fs::read_to_string(folder.path().join("pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    target.forget(&attempt);
    assert_eq!(start_ticks(pid), None);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn what_is_missing_for_good_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = LocalOptions {
        executable: "/nonexistent/overdrive".into(),
        ..LocalOptions::default()
    };
    let target = LocalTarget::new(options, bell());
    assert!(matches!(
        target.submit(&attempt(folder.path()), &spec()),
        Err(TargetError::Refused { .. })
    ));
    let gone = attempt(&folder.path().join("gone"));
    assert!(matches!(
        target.submit(&gone, &spec()),
        Err(TargetError::Refused { .. })
    ));
}

#[test]
fn devices_go_to_the_least_used_and_come_back() {
    let options = LocalOptions {
        devices: vec!["a".into(), "b".into()],
        ..LocalOptions::default()
    };
    let target = LocalTarget::new(options, bell());
    let take = |folder: &str| target.device(&mut target.state(), Path::new(folder)).unwrap();
    assert_eq!([take("/0"), take("/1"), take("/2")], ["a", "b", "a"]);
    target.forget(&attempt(Path::new("/1")));
    assert_eq!(target.device(&mut target.state(), Path::new("/3")).unwrap(), "b");
}

#[test]
fn the_bell_wakes_and_a_silent_one_lets_go() {
    let bell = bell();
    let begun = Instant::now();
    bell.wait(Duration::from_millis(30));
    assert!(begun.elapsed() >= Duration::from_millis(25));
    bell::ring(bell.path());
    bell::ring(bell.path());
    let begun = Instant::now();
    bell.wait(Duration::from_secs(10));
    assert!(begun.elapsed() < Duration::from_secs(5));
    let begun = Instant::now();
    bell.wait(Duration::from_millis(30));
    assert!(
        begun.elapsed() >= Duration::from_millis(25),
        "two rings were answered by one look"
    );
    let path = bell.path().to_owned();
    drop(bell);
    assert!(!path.exists());
}
