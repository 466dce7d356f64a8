//! Ending whole trees: cancel, time limit, daemons, ignored signals, fork storms.

use super::attempt::{Attempt, gone_within, lives};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn cancel_by_file_gives_grace_and_ends_the_tree() {
    let attempt = Attempt::shell(
        "trap 'echo saved > ../saved; exit 7' TERM
         (setsid sh -c '(sleep 300 & echo $! > ../grandchild; wait)' &)
         echo $$ > ../main; while :; do sleep 0.05; done",
    );
    let runner = attempt.start();
    attempt.await_file("main");
    let grandchild = attempt.await_file("grandchild");
    assert!(lives(&grandchild));
    let began = Instant::now();
    fs::write(attempt.file("cancel"), "").unwrap();
    let done = attempt.wait(runner);
    assert_eq!(done.exit().ended_by.as_deref(), Some("cancel"));
    assert_eq!(done.exit().code, Some(7));
    assert!(done.exit().survivors.is_empty());
    assert!(!lives(&grandchild));
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(fs::read_to_string(done.attempt.file("saved")).unwrap(), "saved\n");
}

#[test]
fn ignored_term_ends_after_the_grace() {
    let mut attempt = Attempt::shell("trap '' TERM; echo $$ > ../main; while :; do sleep 0.05; done");
    attempt.spec.grace_ms = 300;
    let runner = attempt.start();
    let main = attempt.await_file("main");
    let began = Instant::now();
    let pid = rustix::process::Pid::from_raw(i32::try_from(runner.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let done = attempt.wait(runner);
    let took = began.elapsed();
    assert!(
        took > Duration::from_millis(290) && took < Duration::from_secs(3),
        "{took:?}"
    );
    assert_eq!(
        (done.exit().signal, done.exit().ended_by.as_deref()),
        (Some(9), Some("terminated"))
    );
    assert!(!lives(&main));
}

#[test]
fn the_time_limit_is_hard() {
    let mut attempt = Attempt::shell("trap '' TERM; sleep 300 & echo $! > ../child; wait; sleep 300");
    attempt.spec.timeout_ms = Some(400);
    attempt.spec.grace_ms = 200;
    let began = Instant::now();
    let done = attempt.run();
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(done.exit().ended_by.as_deref(), Some("timeout"));
    assert!(
        (400..3_000).contains(&done.exit().duration_ms),
        "{}",
        done.exit().duration_ms
    );
    assert!(!lives(&fs::read_to_string(done.attempt.file("child")).unwrap()));
}

#[test]
fn a_cancel_before_the_start_executes_nothing() {
    let attempt = Attempt::shell("echo x > ../executed");
    fs::write(attempt.file("cancel"), "").unwrap();
    let done = attempt.run();
    assert_eq!(
        (done.exit().code, done.exit().ended_by.as_deref()),
        (None, Some("cancel"))
    );
    assert!(!done.attempt.file("executed").exists());
}

#[test]
fn daemons_do_not_outlive_the_script_nor_hold_its_end() {
    // A double fork into a session of its own that keeps standard output.
    let attempt = Attempt::shell(
        "(setsid sh -c 'echo $$ > ../daemon; trap \"\" TERM HUP; exec sleep 300' &); sleep 0.3; echo done",
    );
    let began = Instant::now();
    let done = attempt.run();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(done.exit().code, Some(0));
    assert_eq!(done.log(), b"done\n");
    assert!(!lives(&fs::read_to_string(done.attempt.file("daemon")).unwrap()));
}

#[test]
fn a_fork_storm_is_ended() {
    // Every generation leaves its session; at most 200 live at once.
    let storm = "import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open('../main', 'w').write('%d\\n' % os.getpid())
end = time.time() + 60
depth = 0
while time.time() < end:
    for _ in range(2):
        if len([p for p in os.listdir('/proc') if p.isdigit()]) < 300 and os.fork() == 0:
            os.setsid()
            depth += 1
            break
    time.sleep(0.01)
";
    let mut attempt = Attempt::new(&["python3", "-c", storm]);
    attempt.spec.grace_ms = 100;
    let nonce = attempt.spec.nonce.clone();
    let runner = attempt.start();
    attempt.await_file("main");
    std::thread::sleep(Duration::from_millis(800));
    let began = Instant::now();
    fs::write(attempt.file("cancel"), "").unwrap();
    let done = attempt.wait(runner);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(done.exit().survivors.is_empty());
    let left = Command::new("sh")
        .args([
            "-c",
            &format!("grep -l OVERDRIVE_COOKIE={nonce} /proc/[0-9]*/environ 2>/dev/null | wc -l"),
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(left.stdout).unwrap().trim(), "0");
}

#[test]
fn orphans_are_reaped_while_the_script_runs() {
    let attempt = Attempt::shell(
        "for i in 1 2 3 4 5; do (sh -c 'true' &); done; sleep 0.3; ps -o stat= --ppid $PPID > ../children; echo >> ../children",
    );
    let done = attempt.run();
    let children = fs::read_to_string(done.attempt.file("children")).unwrap();
    assert!(!children.contains('Z'), "{children}");
    assert_eq!(done.exit().code, Some(0));
}

#[test]
fn the_runner_has_left_the_session_and_the_script_has_its_own() {
    let attempt = Attempt::shell(
        "ps -o sid= -p $$ > ../script; ps -o sid= -p $PPID > ../runner; cat /proc/self/oom_score_adj > ../oom; sleep 0.1",
    );
    let done = attempt.run();
    let read = |name: &str| {
        fs::read_to_string(done.attempt.file(name))
            .unwrap()
            .trim()
            .to_owned()
    };
    // Not getsid(2): the leader of the test's session may be outside its PID namespace, and the session then is 0.
    let own = overdrive::runner::process::stat(std::process::id() as i32)
        .unwrap()
        .session
        .to_string();
    assert_ne!(read("runner"), own);
    assert_ne!(read("script"), read("runner"));
    assert!(read("oom").parse::<i32>().unwrap() >= 500);
    assert!(gone_within(&read("script"), Duration::from_secs(1)));
}

/// The folder of this process's own control group, if groups can be made in it.
fn divisible_group() -> Option<std::path::PathBuf> {
    let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .map(std::path::Path::new)
        .find(|root| root.join("cgroup.controllers").exists())?;
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = root.join(text.lines().find_map(|line| line.strip_prefix("0::/"))?);
    let probe = own.join(format!("overdrive-probe-{}", std::process::id()));
    fs::create_dir(&probe).ok()?;
    let can_kill = probe.join("cgroup.kill").exists();
    fs::remove_dir(&probe).unwrap();
    let ruled = std::path::Path::new("/run/systemd/system").is_dir();
    (can_kill && !ruled).then_some(own)
}

#[test]
fn a_group_is_put_around_a_script_that_lives_on_and_goes_with_it() {
    let Some(parent) = divisible_group() else {
        eprintln!("left out (no writable cgroup v2 subtree with cgroup.kill): the group around a script");
        return;
    };
    for is_lost in [false, true] {
        let mut attempt = Attempt::shell(
            "trap '' TERM; echo $$ > ../main
             until grep -q overdrive- /proc/self/cgroup; do sleep 0.02; done
             setsid sh -c 'trap : TERM; echo $$ > ../daemon; while :; do sleep 0.05; done' &
             while :; do sleep 0.05; done",
        );
        attempt.spec.grace_ms = 200;
        let group = parent.join(format!("overdrive-{}", attempt.spec.nonce));
        let mut runner = attempt.start();
        let daemon = attempt.await_file("daemon");
        let inside = fs::read_to_string(group.join("cgroup.procs")).unwrap();
        let main = attempt.await_file("main");
        for pid in [&main, &daemon] {
            assert!(
                inside.lines().any(|line| line == pid.trim()),
                "{pid} not in {inside}"
            );
        }
        if is_lost {
            runner.kill().unwrap();
            runner.wait().unwrap();
            let left = overdrive::runner::end_orphans(&attempt.spec.nonce, Duration::from_secs(10));
            assert!(left.is_empty(), "{left:?}");
        } else {
            fs::write(attempt.file("cancel"), "").unwrap();
            let done = attempt.wait(runner);
            assert_eq!(done.exit().signal, Some(9));
            assert!(done.exit().survivors.is_empty());
        }
        assert!(gone_within(&main, Duration::from_secs(5)) && gone_within(&daemon, Duration::from_secs(5)));
        assert!(!group.exists());
    }
}
