//! Removing what nobody needs any more below an agent's root: folders of attempts that are over and were left behind, and what has not
//! been used for long.

use super::protocol::Pruned;
use crate::journal::{self, Entry};
use crate::runner::Claim;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Removes what is older than `age`; with `dry` only says what would be. Attempts that may run are never touched.
pub(super) fn prune(root: &Path, age: Duration, dry: bool) -> Pruned {
    let mut pruning = Pruning {
        before: SystemTime::now().checked_sub(age),
        dry,
        pruned: Pruned::default(),
    };
    let kept = pruning.attempts(&root.join("runs"));
    // A folder that a remaining attempt names is in use, however old it is.
    let used = |path: &Path| {
        let name = path.to_string_lossy();
        kept.iter().any(|spec| spec.contains(name.as_ref()))
    };
    for path in folders(&root.join("snapshots")) {
        if pruning.is_old(&path) && !used(&path) && pruning.remove(&path) {
            pruning.pruned.snapshots += 1;
            if !dry {
                let _ = fs::remove_file(path.with_extension("json"));
            }
        }
    }
    for path in folders(&root.join("environments")) {
        if pruning.is_old(&path) && !used(&path) && pruning.remove(&path) {
            pruning.pruned.environments += 1;
        }
    }
    // A content that a tree still has costs no room, one that none has is sent again when it is needed.
    for folder in folders(&root.join("blobs")) {
        for path in entries(&folder) {
            let alone = fs::metadata(&path).is_ok_and(|known| known.nlink() == 1);
            if alone && pruning.is_old(&path) {
                pruning.remove(&path);
            }
        }
    }
    let own = std::env::current_exe().ok();
    for path in entries(&root.join("bin")) {
        if Some(&path) != own.as_ref() && pruning.is_old(&path) && pruning.remove(&path) {
            pruning.pruned.programs += 1;
        }
    }
    pruning.pruned
}

/// Says that a folder was used now, so that it counts as young.
pub(super) fn touch(folder: &Path) {
    if let Ok(file) = fs::File::open(folder) {
        // A folder of somebody else stays as old as it is.
        let _ = file.set_modified(SystemTime::now());
    }
}

struct Pruning {
    /// What was last used before this is old; `None` = nothing can be that old.
    before: Option<SystemTime>,
    dry: bool,
    pruned: Pruned,
}

impl Pruning {
    fn is_old(&self, path: &Path) -> bool {
        let changed = fs::symlink_metadata(path).and_then(|known| known.modified());
        matches!((changed, self.before), (Ok(changed), Some(before)) if changed <= before)
    }

    /// Removes attempts that are over; the specifications of those that stay.
    fn attempts(&mut self, runs: &Path) -> Vec<String> {
        let mut kept = Vec::new();
        for sweep in folders(runs) {
            // Looked at before what is removed below makes it young.
            let old = self.is_old(&sweep);
            for trial in folders(&sweep) {
                if trial.file_name().is_some_and(|name| name == "registry") {
                    continue;
                }
                for attempt in folders(&trial) {
                    let old = entries(&attempt).iter().all(|path| self.is_old(path)) && self.is_old(&attempt);
                    if old && is_over(&attempt) && self.remove(&attempt) {
                        self.pruned.attempts += 1;
                    } else {
                        kept.push(fs::read_to_string(attempt.join("spec.json")).unwrap_or_default());
                    }
                }
                if !self.dry {
                    let _ = fs::remove_dir(&trial);
                }
            }
            let registry = sweep.join("registry");
            let alone = entries(&sweep).iter().all(|path| *path == registry);
            if alone && old && self.remove(&sweep) {
                self.pruned.sweeps += 1;
            }
        }
        kept
    }

    /// Removes a file or folder; whether it is gone, or would be.
    fn remove(&mut self, path: &Path) -> bool {
        let bytes = size(path);
        let gone = self.dry
            || if path.is_dir() {
                fs::remove_dir_all(path).is_ok()
            } else {
                fs::remove_file(path).is_ok()
            };
        if gone {
            self.pruned.bytes += bytes;
        }
        gone
    }
}

/// Whether no runner can be at work on the attempt.
fn is_over(attempt: &Path) -> bool {
    let ended = journal::read(&attempt.join("journal")).is_ok_and(|(entries, _)| {
        entries
            .iter()
            .any(|entry| matches!(entry, Entry::Exited(_) | Entry::NotStarted { .. }))
    });
    let claim = attempt.join("claim");
    ended
        || !claim.exists()
        || Claim::read(&claim).is_some_and(|claim| claim.pid == 0 || claim.proof_of_death().is_some())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut paths = entries(folder);
    paths.retain(|path| fs::symlink_metadata(path).is_ok_and(|known| known.is_dir()));
    paths
}

/// Bytes that go when it goes: contents that are kept elsewhere, too, do not count.
fn size(path: &Path) -> u64 {
    let Ok(known) = fs::symlink_metadata(path) else {
        return 0;
    };
    if known.is_dir() {
        return entries(path).iter().map(|path| size(path)).sum();
    }
    if known.nlink() > 1 { 0 } else { known.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Writer;

    #[test]
    fn what_may_run_or_is_used_stays() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let attempt = |name: &str| {
            let path = root.join("runs/s/0").join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let over = attempt("0-a");
        let mut journal = Writer::create(&over.join("journal")).unwrap();
        journal
            .append(&Entry::NotStarted {
                class: "setup".into(),
                reason: "no".into(),
            })
            .unwrap();
        fs::write(over.join("claim"), "{}").unwrap();
        let live = attempt("1-b");
        Claim::of_this_process("b").take(&live.join("claim")).unwrap();
        let (used, unused) = (root.join("snapshots/one"), root.join("snapshots/two"));
        for path in [&used, &unused] {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(unused.join("train.py"), "0123456789").unwrap();
        fs::write(
            live.join("spec.json"),
            format!("{{\"snapshot\":\"{}\"}}", used.display()),
        )
        .unwrap();
        let young = prune(root, Duration::from_secs(3600), false);
        assert_eq!(young, Pruned::default());
        let dry = prune(root, Duration::ZERO, true);
        assert_eq!((dry.attempts, dry.snapshots), (1, 1));
        assert!(dry.bytes > 10 && over.exists() && unused.exists());
        let done = prune(root, Duration::ZERO, false);
        assert_eq!(done, dry);
        assert!(!over.exists() && live.exists() && used.exists() && !unused.exists());
        assert_eq!(prune(root, Duration::ZERO, false), Pruned::default());
    }
}
