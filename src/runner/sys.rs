//! The few system calls that no library offers safely: waiting without reaping, with resource usage, forking, and what runs in the
//! child between `fork` and `exec`.
#![allow(unsafe_code)]

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// How a child ended, and what it and its waited-for descendants used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    /// Which child.
    pub(super) pid: i32,
    /// Exit code, if it exited.
    pub(super) code: Option<i32>,
    /// Signal, if one ended it.
    pub(super) signal: Option<i32>,
    /// Largest resident set of one of them, in bytes.
    pub(super) max_rss: u64,
    /// User and system CPU time, in seconds.
    pub(super) cpu_s: f64,
}

/// Whom to wait for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whom {
    /// One child.
    One(Pid),
    /// Any child.
    Any,
}

/// Looks whether a child has ended, without blocking. Unless `reap`, it stays a zombie, so that its id is not given to another.
///
/// The raw call is used because only it hands out the resource usage together with `WNOWAIT`.
pub(super) fn ended(whom: Whom, reap: bool) -> io::Result<Option<Ended>> {
    let (kind, id) = match whom {
        Whom::One(pid) => (libc::P_PID, pid.as_raw_nonzero().get()),
        Whom::Any => (libc::P_ALL, 0),
    };
    let keep = if reap { 0 } else { libc::WNOWAIT };
    // SAFETY: both structures are plain data for which all zeros is a value; the kernel writes into them only during the call.
    let (result, info, usage) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let mut usage: libc::rusage = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | keep;
        let result = libc::syscall(
            libc::SYS_waitid,
            kind as libc::c_long,
            libc::c_long::from(id),
            &raw mut info,
            libc::c_long::from(options),
            &raw mut usage,
        );
        (result, info, usage)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: waitid fills these members for a child; with no child ready they are the zeros from above.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let exited = info.si_code == libc::CLD_EXITED;
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    Ok(Some(Ended {
        pid,
        code: exited.then_some(status),
        signal: (!exited).then_some(status),
        max_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0) << 10,
        cpu_s: seconds(usage.ru_utime) + seconds(usage.ru_stime),
    }))
}

/// Bytes (as the kernel accounts them) that were sent through `socket` and not received yet; `None` if it cannot tell.
///
/// The raw call is used because no library has this request.
pub(super) fn unread(socket: &rustix::fd::OwnedFd) -> Option<u32> {
    let mut amount: libc::c_int = 0;
    // SAFETY: the request writes one `int` to the given place; the descriptor is open as long as it is borrowed.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut amount) };
    if result == 0 {
        u32::try_from(amount).ok()
    } else {
        None
    }
}

/// Makes the child lead a session of its own, die with `runner`, and be the kernel's first choice when memory runs out.
///
/// Must be spawned from the main thread: the death signal comes when the forking *thread* ends.
pub(super) fn isolate(command: &mut Command, runner: Pid, oom_score: &'static std::ffi::CStr) {
    let prepare = move || {
        rustix::process::setsid()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() != Some(runner) {
            // The runner died before the request took hold.
            return Err(io::Error::from(io::ErrorKind::BrokenPipe));
        }
        if let Ok(file) = rustix::fs::open(
            c"/proc/self/oom_score_adj",
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            // Best effort: a hardened system may refuse it.
            let _ = rustix::io::write(file, oom_score.to_bytes());
        }
        Ok(())
    };
    // SAFETY: the closure only makes system calls that are async-signal-safe and allocates nothing.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Where `fork` has returned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fork {
    /// In the process that called it, with the id of the new one.
    Parent(i32),
    /// In the new process.
    Child,
}

/// Doubles this process. Call only while it has one thread: locks that another held would stay locked in the child.
pub(super) fn fork() -> io::Result<Fork> {
    // SAFETY: by the condition above nothing of this process is in the middle of anything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Children vanish when they end, without being waited for.
pub(super) fn let_children_go() -> io::Result<()> {
    set_child_action(libc::SIG_IGN)
}

/// Children stay until they are waited for.
pub(super) fn keep_children() -> io::Result<()> {
    set_child_action(libc::SIG_DFL)
}

fn set_child_action(action: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: both actions are the system's own, no code of ours is called.
    if unsafe { libc::signal(libc::SIGCHLD, action) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Makes standard input, output and error lead nowhere.
pub(super) fn silence() -> io::Result<()> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for standard in 0..=2 {
        // SAFETY: plain descriptor numbers; that of `null` is open, and the standard ones are owned by nobody in this process.
        if unsafe { libc::dup2(null.as_raw_fd(), standard) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
