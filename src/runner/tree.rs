//! Ending a whole process tree, whatever it did to escape.
//!
//! The runner is a subreaper: orphans of the tree become its children, so the walk from the runner finds daemons as well.
//! Signals go through pidfds after a look that the process is still of the tree; a process that overdrive did not start is never
//! signalled.

use super::group::Group;
use super::process::{all, children, resident, stat};
use super::sys::{self, Whom};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};
use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

/// Name of the variable that marks every process of an attempt.
pub const COOKIE: &str = "OVERDRIVE_COOKIE";

/// One living process of the tree.
#[derive(Clone, Copy, Debug)]
struct Member {
    pid: i32,
    parent: i32,
    state: u8,
    group: i32,
    session: i32,
    start_ticks: u64,
}

/// Living descendants of this process, parents before children. Zombies do not count; those among the children that are not
/// `main` are reaped on the way.
fn living(main: Pid) -> Vec<Member> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let main = main.as_raw_nonzero().get();
    let mut found = Vec::new();
    let mut queue = vec![(own, children(own))];
    while let Some((parent, list)) = queue.pop() {
        for pid in list {
            let Some(stat) = stat(pid) else { continue };
            if stat.state == b'Z' || stat.state == b'X' {
                if parent == own
                    && pid != main
                    && let Some(pid) = Pid::from_raw(pid)
                {
                    // Already a zombie: nothing else can be lost.
                    let _ = sys::ended(Whom::One(pid), true);
                }
                continue;
            }
            found.push(Member {
                pid,
                parent,
                state: stat.state,
                group: stat.group,
                session: stat.session,
                start_ticks: stat.start_ticks,
            });
            queue.push((pid, children(pid)));
        }
    }
    found
}

/// Whether nothing of the tree lives any more.
pub(super) fn is_empty(main: Pid) -> bool {
    living(main).is_empty()
}

/// Ends everything below this process with KILL; gives those that outlived `patience` (uninterruptible sleep).
pub(super) fn kill_all(main: Pid, patience: Duration) -> Vec<i32> {
    let deadline = Instant::now() + patience;
    // By `/proc`, not getsid(2): 0 when the session's leader is outside this PID namespace, which the call's wrapper cannot express.
    let own_session = stat(rustix::process::getpid().as_raw_nonzero().get()).map_or(0, |stat| stat.session);
    let mut pause = Duration::from_micros(200);
    loop {
        let members = living(main);
        if members.is_empty() {
            return Vec::new();
        }
        if Instant::now() >= deadline {
            return members.iter().map(|member| member.pid).collect();
        }
        // A group dies in one stroke, which is what stops a fork bomb: a fork fails while a fatal signal is pending. The session
        // was made by a process of the tree, so all members of the group descend from it.
        let mut groups: Vec<i32> = members
            .iter()
            .filter(|member| member.session != own_session && member.group > 1)
            .map(|member| member.group)
            .collect();
        groups.sort_unstable();
        groups.dedup();
        for group in groups.into_iter().filter_map(Pid::from_raw) {
            // Gone meanwhile is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
        for member in &members {
            signal_if_same(member, Signal::KILL);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// A tree that is stopped.
#[derive(Debug, Default)]
pub(super) struct Stopped {
    /// Memory that it holds, in bytes; what processes share is counted once.
    pub(super) resident: u64,
    /// Processes (id, start time) that had stopped themselves before: they are not continued.
    before: HashSet<(i32, u64)>,
}

/// Stops everything below this process (SIGSTOP), parents before children, in rounds until two looks in a row found nobody running and
/// the same processes: a fork that was under way is found by the next round.
///
/// # Errors
/// Those that did not stop within `patience`; everybody was continued then.
pub(super) fn stop_all(main: Pid, patience: Duration) -> Result<Stopped, Vec<i32>> {
    let deadline = Instant::now() + patience;
    let mut stopped = Stopped::default();
    let mut signalled: HashSet<(i32, u64)> = HashSet::new();
    let mut quiet: Option<Vec<i32>> = None;
    let mut pause = Duration::from_micros(500);
    loop {
        let members = living(main);
        for member in &members {
            let same = (member.pid, member.start_ticks);
            if !signalled.contains(&same) && is_stopped(member.state) {
                stopped.before.insert(same);
            }
            // Again to those that somebody else continued.
            if !is_stopped(member.state) {
                signal_if_same(member, Signal::STOP);
            }
            signalled.insert(same);
        }
        // Who waits for a child between vfork and exec cannot run before that child does.
        let waits = |member: &Member| {
            member.state == b'D'
                && members
                    .iter()
                    .any(|child| child.parent == member.pid && is_stopped(child.state))
        };
        let running: Vec<i32> = members
            .iter()
            .filter(|member| !is_stopped(member.state) && !waits(member))
            .map(|member| member.pid)
            .collect();
        if running.is_empty() {
            let now: Vec<i32> = members.iter().map(|member| member.pid).collect();
            if quiet.as_ref() == Some(&now) {
                stopped.resident = now.iter().map(|pid| resident(*pid)).sum();
                return Ok(stopped);
            }
            quiet = Some(now);
        } else {
            quiet = None;
            if Instant::now() >= deadline {
                continue_all(main, &stopped);
                return Err(running);
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Lets a stopped tree go on, children before parents.
pub(super) fn continue_all(main: Pid, stopped: &Stopped) {
    for member in living(main).iter().rev() {
        if !stopped.before.contains(&(member.pid, member.start_ticks)) {
            signal_if_same(member, Signal::CONT);
        }
    }
}

fn is_stopped(state: u8) -> bool {
    state == b'T' || state == b't'
}

/// A signal to a process if it is still the one that was seen.
fn signal_if_same(member: &Member, signal: Signal) {
    let (pid, start_ticks) = (member.pid, member.start_ticks);
    let Some(id) = Pid::from_raw(pid) else { return };
    let handle = pidfd_open(id, PidfdFlags::empty());
    if stat(pid).is_none_or(|stat| stat.start_ticks != start_ticks) {
        return;
    }
    // Errors mean that it is gone.
    let _ = match handle {
        Ok(handle) => pidfd_send_signal(&handle, signal),
        Err(rustix::io::Errno::NOSYS) => kill_process(id, signal),
        Err(_) => Ok(()),
    };
}

/// TERM to the script's process group. The script is a child that was not reaped, so the id is still its own.
pub(super) fn terminate(main: Pid) {
    let _ = kill_process_group(main, Signal::TERM);
    // A stopped process would not see it before KILL.
    let _ = kill_process_group(main, Signal::CONT);
}

/// Ends whatever a *lost* runner left behind, found by the attempt's cookie in the environment of processes; gives those that
/// outlived `patience`. For compute targets, after proof of the runner's death.
pub fn end_orphans(nonce: &str, patience: Duration) -> Vec<i32> {
    let cookie = format!("{COOKIE}={nonce}");
    let deadline = Instant::now() + patience;
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    // Removed when this returns.
    let group = Group::left_by(nonce);
    if let Some(group) = &group {
        group.kill();
    }
    loop {
        let members: Vec<i32> = all()
            .filter(|pid| *pid != own && carries(*pid, cookie.as_bytes()))
            .collect();
        if members.is_empty() || Instant::now() >= deadline {
            return members;
        }
        for pid in members {
            let Some(id) = Pid::from_raw(pid) else { continue };
            let Ok(handle) = pidfd_open(id, PidfdFlags::empty()) else {
                continue;
            };
            // Looked at again behind the handle: the id may have changed hands in between.
            if carries(pid, cookie.as_bytes()) {
                let _ = pidfd_send_signal(&handle, Signal::KILL);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn carries(pid: i32, cookie: &[u8]) -> bool {
    // A zombie's environment reads as empty.
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == cookie)
    })
}
