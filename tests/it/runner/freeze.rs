//! Freezing and thawing: the whole tree stops and goes on, its time stands still, and nothing of it outlives its end.

use super::attempt::{Attempt, Finished, gone_within, lives};
use overdrive::journal::{Entry, read};
use overdrive::runner::{Group, GroupKind};
use std::fs;
use std::time::{Duration, Instant};

fn ask(attempt: &Attempt, request: &str) {
    fs::write(attempt.file("freeze.tmp"), request).unwrap();
    fs::rename(attempt.file("freeze.tmp"), attempt.file("freeze")).unwrap();
}

/// Waits for the n-th entry that `wanted` takes.
fn await_entry(attempt: &Attempt, count: usize, wanted: impl Fn(&Entry) -> bool) -> Entry {
    let began = Instant::now();
    loop {
        if let Ok((entries, _)) = read(&attempt.file("journal"))
            && let Some(entry) = entries.into_iter().filter(&wanted).nth(count - 1)
        {
            return entry;
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the entry does not come"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn frozen(entry: &Entry) -> bool {
    matches!(entry, Entry::Frozen { .. })
}

/// Letter of the state of a process.
fn state(pid: &str) -> char {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    rest.trim().chars().next().unwrap()
}

fn count(done: &Finished, wanted: impl Fn(&Entry) -> bool) -> usize {
    done.entries.iter().filter(|entry| wanted(entry)).count()
}

#[test]
fn the_whole_tree_stops_and_its_time_stands_still() {
    let mut attempt = Attempt::shell(
        "(setsid sh -c 'echo $$ > ../grandchild; while :; do sleep 0.02; done' &)
         echo $$ > ../main; until [ -e ../enough ]; do sleep 0.02; done; echo acc=1",
    )
    .metric("acc");
    attempt.spec.timeout_ms = Some(20_000);
    let runner = attempt.start();
    let main = attempt.await_file("main");
    let grandchild = attempt.await_file("grandchild");
    ask(&attempt, "1");
    let Entry::Frozen {
        resident, machine, ..
    } = await_entry(&attempt, 1, frozen)
    else {
        unreachable!()
    };
    assert!(resident > 0 && machine > resident);
    assert_eq!((state(&main), state(&grandchild)), ('T', 'T'));
    // Another request while it is frozen is answered, the same one is not.
    ask(&attempt, "1");
    ask(&attempt, "2");
    await_entry(&attempt, 2, frozen);
    std::thread::sleep(Duration::from_millis(1_500));
    fs::remove_file(attempt.file("freeze")).unwrap();
    let Entry::Thawed { frozen_ms, .. } =
        await_entry(&attempt, 1, |entry| matches!(entry, Entry::Thawed { .. }))
    else {
        unreachable!()
    };
    assert!(frozen_ms >= 1_500);
    fs::write(attempt.file("enough"), "").unwrap();
    let began = Instant::now();
    let done = attempt.wait(runner);
    let whole = began.elapsed();
    assert_eq!(
        (done.exit().code, done.exit().ended_by.as_deref()),
        (Some(0), None)
    );
    assert_eq!(count(&done, frozen), 2);
    let at = done.entries.iter().find_map(|entry| match entry {
        Entry::Metric { at_ms, .. } => Some(*at_ms),
        _ => None,
    });
    let (at, duration) = (at.unwrap(), done.exit().duration_ms);
    assert!(at <= duration);
    assert!(!lives(&grandchild) && whole < Duration::from_secs(20));
}

#[test]
fn the_time_limit_does_not_run_while_it_is_frozen() {
    let mut attempt = Attempt::shell("echo $$ > ../main; until [ -e ../enough ]; do sleep 0.02; done");
    attempt.spec.timeout_ms = Some(5_000);
    let runner = attempt.start();
    attempt.await_file("main");
    ask(&attempt, "1");
    await_entry(&attempt, 1, frozen);
    // More than the whole limit.
    std::thread::sleep(Duration::from_millis(5_500));
    fs::write(attempt.file("enough"), "").unwrap();
    fs::remove_file(attempt.file("freeze")).unwrap();
    let done = attempt.wait(runner);
    assert_eq!(
        (done.exit().code, done.exit().ended_by.as_deref()),
        (Some(0), None)
    );
    assert!(done.exit().duration_ms < 5_000);
}

#[test]
fn a_frozen_script_can_be_cancelled_and_has_its_grace() {
    let attempt = Attempt::shell(
        "trap 'echo saved > ../saved; exit 7' TERM
         (setsid sh -c 'echo $$ > ../grandchild; while :; do sleep 0.02; done' &)
         echo $$ > ../main; while :; do sleep 0.02; done",
    );
    let runner = attempt.start();
    attempt.await_file("main");
    let grandchild = attempt.await_file("grandchild");
    ask(&attempt, "1");
    await_entry(&attempt, 1, frozen);
    fs::write(attempt.file("cancel"), "").unwrap();
    let done = attempt.wait(runner);
    assert_eq!(
        (done.exit().code, done.exit().ended_by.as_deref()),
        (Some(7), Some("cancel"))
    );
    assert_eq!(fs::read_to_string(done.attempt.file("saved")).unwrap(), "saved\n");
    assert!(!lives(&grandchild));
}

#[test]
fn a_script_that_forks_all_the_time_stops_too() {
    let attempt = Attempt::shell(
        "echo $$ > ../main; while :; do for i in 1 2 3 4; do (echo x >> ../grows; sleep 0.005) & done; wait; done",
    );
    let runner = attempt.start();
    attempt.await_file("main");
    attempt.await_file("grows");
    for round in 1..=5 {
        ask(&attempt, &round.to_string());
        await_entry(&attempt, round, frozen);
        let size = || fs::metadata(attempt.file("grows")).unwrap().len();
        let before = size();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(size(), before, "somebody goes on");
        fs::remove_file(attempt.file("freeze")).unwrap();
        await_entry(&attempt, round, |entry| matches!(entry, Entry::Thawed { .. }));
    }
    fs::write(attempt.file("cancel"), "").unwrap();
    assert!(attempt.wait(runner).exit().survivors.is_empty());
}

#[test]
fn a_lost_runner_leaves_nobody_frozen() {
    let attempt = Attempt::shell(
        "(setsid sh -c 'echo $$ > ../grandchild; while :; do sleep 0.02; done' &)
         echo $$ > ../main; while :; do sleep 0.02; done",
    );
    let mut runner = attempt.start();
    let main = attempt.await_file("main");
    let grandchild = attempt.await_file("grandchild");
    ask(&attempt, "1");
    await_entry(&attempt, 1, frozen);
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert!(gone_within(&main, Duration::from_secs(10)));
    assert!(overdrive::runner::end_orphans(&attempt.spec.nonce, Duration::from_secs(10)).is_empty());
    assert!(gone_within(&grandchild, Duration::from_secs(10)));
}

#[test]
fn who_is_not_asked_for_any_more_ends() {
    let mut attempt = Attempt::shell("echo $$ > ../main; while :; do sleep 0.02; done");
    attempt.spec.frozen_patience_ms = 2_000;
    let runner = attempt.start();
    let main = attempt.await_file("main");
    let began = Instant::now();
    ask(&attempt, "1");
    await_entry(&attempt, 1, frozen);
    std::thread::sleep(Duration::from_millis(1_000));
    // A word of whoever wants it counts anew.
    ask(&attempt, "1");
    let done = attempt.wait(runner);
    assert!(began.elapsed() >= Duration::from_millis(3_000));
    assert_eq!(done.exit().ended_by.as_deref(), Some("abandoned"));
    assert_eq!(count(&done, frozen), 1);
    assert!(!lives(&main));
}

#[test]
fn what_cannot_be_frozen_says_why_and_goes_on() {
    let refusals = |attempt: &Attempt| {
        let refused = |entry: &Entry| matches!(entry, Entry::NotFrozen { .. });
        let Entry::NotFrozen { reason } = await_entry(attempt, 1, refused) else {
            unreachable!()
        };
        reason
    };
    let script = "echo $$ > ../main; until [ -e ../enough ]; do sleep 0.02; done";
    let attempt = Attempt::shell(script);
    let runner = attempt.start();
    attempt.await_file("main");
    ask(&attempt, "!its place is taken");
    assert_eq!(refusals(&attempt), "its place is taken");
    fs::write(attempt.file("enough"), "").unwrap();
    let done = attempt.wait(runner);
    assert_eq!((done.exit().code, count(&done, frozen)), (Some(0), 0));

    let mut several = Attempt::shell("until [ -e ../enough ]; do sleep 0.02; done");
    several.spec.group = Some(Group {
        kind: GroupKind::Plain,
        nodes: 1,
        processes_per_node: 2,
        workers: 0,
        parameter_servers: 0,
    });
    let runner = several.start();
    await_entry(&several, 1, |entry| matches!(entry, Entry::Started { .. }));
    ask(&several, "1");
    assert!(refusals(&several).contains("several processes"));
    fs::write(several.file("enough"), "").unwrap();
    assert_eq!(several.wait(runner).exit().code, Some(0));
}
