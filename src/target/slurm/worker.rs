//! Jobs that take one trial after the other: `overdrive worker FOLDER`, hidden.
//!
//! Attempts are files in `queue/`, named so that the oldest comes first; whoever moves one to its own folder below `taken/` executes
//! it by starting its runner. A worker that finds nothing for a while ends, and so does one that finds `stop`.

use super::SlurmOptions;
use super::cluster::Slurm;
use super::job::{self, Job, JobState, Shape};
use crate::runner::Claim;
use crate::target::queue::{Desk, ENDED, Tray, Unsubmitted, quoted, unsortable};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a worker waits for another trial, in seconds, unless its variable says otherwise.
const IDLE: u64 = 30;

/// Variable that says how long, in seconds.
const IDLE_VARIABLE: &str = "OVERDRIVE_WORKER_IDLE";

/// Between two looks at the queue.
const LOOK: Duration = Duration::from_millis(50);

/// A worker that the scheduler has not shown for so long was not taken after all.
const UNSEEN: Duration = Duration::from_secs(30);

/// Takes attempts from `folder` until there are none; the whole life of a worker process. Returns its exit code.
pub fn main(folder: &Path) -> i32 {
    let name = std::env::var("SLURM_JOB_NAME").unwrap_or_else(|_| format!("worker-{}", std::process::id()));
    let own = folder.join("taken").join(name);
    if fs::create_dir_all(&own).is_err() {
        return 1;
    }
    let mut since = Instant::now();
    let told = std::env::var(IDLE_VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok());
    let idle = Duration::from_secs(told.unwrap_or(IDLE));
    while since.elapsed() < idle && !folder.join("stop").exists() {
        match take(&folder.join("queue"), &own) {
            Some((entry, attempt)) => {
                execute(&attempt);
                // What it came to is in its journal.
                let _ = fs::remove_file(entry);
                since = Instant::now();
            }
            None => std::thread::sleep(LOOK),
        }
    }
    // Not empty if a removal failed: then it is in nobody's way.
    let _ = fs::remove_dir(own);
    0
}

/// The oldest attempt that nobody else takes.
fn take(queue: &Path, own: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut names: Vec<_> = fs::read_dir(queue)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .collect();
    names.sort();
    for name in names
        .into_iter()
        .filter(|name| !name.as_bytes().starts_with(b"."))
    {
        let mine = own.join(&name);
        if fs::rename(queue.join(&name), &mine).is_ok() {
            let attempt = fs::read(&mine).ok()?;
            return Some((mine, PathBuf::from(std::ffi::OsString::from_vec(attempt))));
        }
    }
    None
}

fn execute(attempt: &Path) {
    let started = Command::new("/proc/self/exe")
        .arg("runner")
        .arg(attempt)
        .current_dir(attempt)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(attempt.join("runner.log")).map_or_else(|_| Stdio::null(), Stdio::from))
        .spawn();
    let Ok(mut runner) = started else {
        let _ = fs::write(attempt.join(ENDED), "");
        return;
    };
    let pid = i32::try_from(runner.id()).unwrap_or_default();
    let _ = runner.wait();
    // One that found the attempt claimed by another says nothing about that one.
    let other = Claim::read(&attempt.join("claim"))
        .is_some_and(|claim| claim.pid != pid || claim.host != crate::process::host());
    if !other {
        // The runner is gone, whatever its journal says: nobody on another machine could see that.
        let _ = fs::write(attempt.join(ENDED), "");
    }
}

/// The workers of one sweep, as the submitting side sees them.
#[derive(Default)]
pub(super) struct Pool {
    tray: Option<Tray>,
    /// By name: when it was asked for, and whether the queue has shown it.
    workers: BTreeMap<String, (Instant, bool)>,
    /// Worker by name of the attempt's job.
    taken: HashMap<String, String>,
}

impl Pool {
    /// Where attempts are put for workers to take.
    pub(super) fn tray(&mut self, desk: &Desk<Slurm>) -> &Tray {
        self.tray.get_or_insert_with(|| desk.tray("workers"))
    }

    /// How many workers run or will.
    pub(super) fn alive(&self) -> u64 {
        self.workers.len() as u64
    }

    /// Submits one more.
    pub(super) fn hire(
        &mut self,
        options: &SlurmOptions,
        desk: &Desk<Slurm>,
        shape: &Shape,
        program: &Path,
    ) -> Result<(), Unsubmitted> {
        let folder = self.tray(desk).folder().to_owned();
        let prefix = prefix(self.tray(desk));
        let random = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{prefix}{}", random.get(..8).unwrap_or_default());
        // Counted even if nobody knows whether it was taken: it shows up, or does not for a while.
        self.workers.insert(name.clone(), (Instant::now(), false));
        let idle = options.idle_seconds.unwrap_or(IDLE);
        let line = format!(
            "exec env {IDLE_VARIABLE}={idle} {} worker {}",
            quoted(&program.to_string_lossy()),
            quoted(&folder.to_string_lossy())
        );
        match job::submit(options, shape, &name, &folder, &line) {
            Ok(_) | Err(Unsubmitted::Uncertain(_)) => Ok(()),
            Err(error) => {
                self.workers.remove(&name);
                Err(error)
            }
        }
    }

    /// Takes the queue in: who is there, who has taken what; what a dead worker took and nobody claimed is put back.
    pub(super) fn look(&mut self, desk: &Desk<Slurm>, jobs: &HashMap<String, Job>) {
        let folder = self.tray(desk).folder().to_owned();
        let prefix = prefix(self.tray(desk));
        let now = Instant::now();
        for (name, job) in jobs.iter().filter(|(name, _)| name.starts_with(&prefix)) {
            match job.state {
                JobState::Active => {
                    self.workers.insert(name.clone(), (now, true));
                }
                JobState::Over(_) => {
                    self.workers.remove(name);
                }
            }
        }
        self.workers
            .retain(|name, (since, seen)| jobs.contains_key(name) || (!*seen && since.elapsed() < UNSEEN));
        self.taken.clear();
        let names = |path: &Path| -> HashSet<String> {
            let entries = fs::read_dir(path).into_iter().flatten();
            entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect()
        };
        for worker in names(&folder.join("taken")) {
            let dead = !self.workers.contains_key(&worker);
            for entry in names(&folder.join("taken").join(&worker)) {
                let path = folder.join("taken").join(&worker).join(&entry);
                let attempt = fs::read(&path).map(|bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes)));
                let unclaimed = attempt.is_ok_and(|attempt| Claim::read(&attempt.join("claim")).is_none());
                if dead && unclaimed {
                    // Back where it was; the claim decides if it was taken after all.
                    let _ = fs::rename(&path, folder.join("queue").join(&entry));
                } else {
                    self.taken.insert(unsortable(&entry), worker.clone());
                }
            }
        }
    }

    /// The worker that has taken the attempt.
    pub(super) fn job_of(&self, name: &str) -> Option<&String> {
        self.taken.get(name)
    }

    /// Whether a worker runs or will.
    pub(super) fn has(&self, worker: &str) -> bool {
        self.workers.contains_key(worker)
    }

    /// Tells workers that nothing more will come.
    pub(super) fn stop(&self) {
        if let Some(tray) = &self.tray {
            tray.stop();
        }
    }
}

/// What the names of the workers of a tray begin with.
fn prefix(tray: &Tray) -> String {
    format!("odw-{}-", tray.hash())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_taken_once_and_the_oldest_first() {
        let folder = tempfile::tempdir().unwrap();
        let queue = folder.path().join("queue");
        fs::create_dir_all(&queue).unwrap();
        for trial in [10, 9] {
            let name = format!("{trial:09}.od-{trial}-0-ab");
            fs::write(queue.join(name), format!("/runs/{trial}")).unwrap();
        }
        fs::write(queue.join(".od-8-0-ab"), "half").unwrap();
        let own = folder.path().join("a");
        fs::create_dir_all(&own).unwrap();
        let taken: Vec<PathBuf> = std::iter::from_fn(|| take(&queue, &own))
            .map(|(_, attempt)| attempt)
            .collect();
        assert_eq!(taken, [PathBuf::from("/runs/9"), PathBuf::from("/runs/10")]);
    }
}
