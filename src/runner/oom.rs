//! Whether the kernel's memory killer was at work: a heuristic on its counters.
//!
//! The kernel does not tell who sent KILL. If the script ended by KILL (or, under a shell, with 137), this runner did not send it,
//! and a counter of the memory killer grew while the script ran, the end is put down to memory. A user's `kill -9` at the very
//! time of somebody else's memory trouble would be taken for it as well.

use std::fs;
use std::path::{Path, PathBuf};

/// Counters at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counters {
    machine: Option<u64>,
    group: Option<u64>,
}

impl Counters {
    /// Reads them now.
    pub(super) fn read() -> Self {
        let machine = fs::read_to_string("/proc/vmstat")
            .ok()
            .and_then(|text| value(&text, "oom_kill"));
        let group = fs::read_to_string("/proc/self/cgroup")
            .ok()
            .and_then(|text| group_file(&text))
            .and_then(|path| fs::read_to_string(path).ok())
            .and_then(|text| value(&text, "oom_kill"));
        Self { machine, group }
    }

    /// Whether one of them grew since.
    pub(super) fn grew_since(&self, before: &Self) -> bool {
        let grew = |now: Option<u64>, then: Option<u64>| matches!((now, then), (Some(now), Some(then)) if now > then);
        grew(self.machine, before.machine) || grew(self.group, before.group)
    }
}

fn value(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The file with the counter of the memory group (version 2, else 1) named in `/proc/self/cgroup`.
fn group_file(text: &str) -> Option<PathBuf> {
    let unified = text.lines().find_map(|line| line.strip_prefix("0::/"));
    let path = unified.map(|group| Path::new("/sys/fs/cgroup").join(group).join("memory.events"));
    if let Some(path) = path.filter(|path| path.exists()) {
        return Some(path);
    }
    let group = text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let controllers = parts.nth(1)?;
        controllers
            .split(',')
            .any(|name| name == "memory")
            .then_some(())?;
        parts.next()?.strip_prefix('/')
    })?;
    let root = Path::new("/sys/fs/cgroup/memory");
    let path = root.join(group).join("memory.oom_control");
    let of_container = root.join("memory.oom_control");
    // In a container the own group is mounted as the root, and named as the machine names it.
    Some(
        if !path.exists() && of_container.exists() && !root.join("release_agent").exists() {
            of_container
        } else {
            path
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_and_compared() {
        assert_eq!(
            value("oom 3\noom_kill 2\noom_group_kill 9\n", "oom_kill"),
            Some(2)
        );
        let at = |machine, group| Counters { machine, group };
        assert!(at(Some(2), None).grew_since(&at(Some(1), None)));
        assert!(at(Some(1), Some(5)).grew_since(&at(Some(1), Some(4))));
        assert!(!at(Some(1), Some(4)).grew_since(&at(Some(1), None)));
        assert_eq!(
            group_file("12:cpu:/\n4:memory:/a/b\n0::/none/such"),
            Some(PathBuf::from("/sys/fs/cgroup/memory/a/b/memory.oom_control"))
        );
    }
}
