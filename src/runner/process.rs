//! What `/proc` tells of processes: state, family, start time.

use std::fs;
use std::io::Read;

/// The parts of `/proc/PID/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// One letter: `R`, `S`, `D`, `Z`, ...
    pub state: u8,
    /// Parent.
    pub parent: i32,
    /// Process group.
    pub group: i32,
    /// Session.
    pub session: i32,
    /// Start time in clock ticks since boot: tells a process from a later one with the same id.
    pub start_ticks: u64,
}

/// Reads the state of a process; `None` if there is none.
pub fn stat(pid: i32) -> Option<Stat> {
    let mut bytes = [0; 1024];
    let length = fs::File::open(format!("/proc/{pid}/stat"))
        .ok()?
        .read(&mut bytes)
        .ok()?;
    parse_stat(bytes.get(..length)?)
}

fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    // The name may hold anything, even `)`; it ends at the last one.
    let behind = bytes.iter().rposition(|byte| *byte == b')')? + 1;
    let text = std::str::from_utf8(bytes.get(behind..)?).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    // Fields are counted from 1 in proc(5); the session is the 6th, the start time the 22nd.
    let start_ticks = fields.nth(22 - 7)?.parse().ok()?;
    Some(Stat {
        state,
        parent,
        group,
        session,
        start_ticks,
    })
}

/// Children of all threads of a process; by a look at every process where the kernel keeps no lists.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return found;
    };
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => found.extend(
                list.split_ascii_whitespace()
                    .filter_map(|pid| pid.parse::<i32>().ok()),
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && thread.path().exists() => {
                return all()
                    .filter(|other| stat(*other).is_some_and(|stat| stat.parent == pid))
                    .collect();
            }
            Err(_) => {}
        }
    }
    found
}

/// Memory that a process holds, in bytes: its share of what it has in common with others, or all of it where the kernel does not say;
/// 0 if there is no such process.
pub(super) fn resident(pid: i32) -> u64 {
    let shared = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .ok()
        .and_then(|text| kilobytes(&text, "Pss:"));
    shared
        .or_else(|| kilobytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:"))
        .map_or(0, |kilobytes| kilobytes.saturating_mul(1024))
}

/// Memory of this machine, or of the group that bounds this process, in bytes; `None` if the kernel does not say.
pub(super) fn memory_of_machine() -> Option<u64> {
    let total = kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?.saturating_mul(1024);
    let bound = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    Some(bound.map_or(total, |bound| bound.min(total)))
}

/// The number behind `key` in a file of lines such as `Pss:   123 kB`.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// Ids of all processes that this one may see.
pub(super) fn all() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_do_not_confuse() {
        let line = b"42 (a) R (b)) S 7 8 9 0 -1 4194304 1 0 0 0 1 2 3 4 20 0 1 0 123456 1 2 3";
        assert_eq!(
            parse_stat(line),
            Some(Stat {
                state: b'S',
                parent: 7,
                group: 8,
                session: 9,
                start_ticks: 123_456
            })
        );
        assert_eq!(parse_stat(b"42 (a"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn this_process_is_seen() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let own = stat(pid).unwrap();
        assert!(own.start_ticks > 0);
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let id = i32::try_from(child.id()).unwrap();
        assert!(children(pid).contains(&id));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(stat(id).filter(|stat| stat.parent == pid), None);
    }
}
