//! The resident driver: one job that runs attempts as tasks, for trials that are shorter than the start of a job.
//!
//! Attempts are files in `queue/` below a folder of the sweep's own; the driver (`driver.py`) moves each to `taken/` and makes a task
//! of it. Drivers of a sweep are numbered, and a number is a submission id: that there is only one at a time needs no lock.

use super::RayOptions;
use super::api::{Client, Ending, JobState, Undone};
use crate::target::queue::{Tray, quoted};
use serde_json::{Map, Value, json};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// The program that runs on the cluster.
const PROGRAM: &str = include_str!("driver.py");

/// Between two tries to start a driver after one that failed.
const AGAIN: Duration = Duration::from_secs(10);

/// How long a look at the driver is good for.
const FRESH: Duration = Duration::from_secs(2);

/// The drivers of one sweep, of which at most one is alive.
pub(super) struct Drivers {
    tray: Tray,
    prefix: String,
    number: u32,
    /// The driver of that number was submitted, or found.
    submitted: bool,
    /// How the last one ended.
    ended: Option<Ending>,
    due: Instant,
    /// When it was last seen, or submitted.
    seen: Option<Instant>,
}

impl Drivers {
    /// Those of the sweep whose attempts are put into `tray`.
    pub(super) fn new(tray: Tray) -> Self {
        Self {
            prefix: format!("odw-{}", tray.hash()),
            tray,
            number: 0,
            submitted: false,
            ended: None,
            due: Instant::now(),
            seen: None,
        }
    }

    /// Where they find attempts.
    pub(super) fn tray(&self) -> &Tray {
        &self.tray
    }

    /// The submission id of the present driver.
    fn id(&self) -> String {
        format!("{}-{}", self.prefix, self.number)
    }

    /// Sees to it that a driver is there while attempts are open. Gives how the last one ended, once.
    ///
    /// # Errors
    /// Why none can be had now.
    pub(super) fn look(
        &mut self,
        client: &Client,
        options: &RayOptions,
        program: &Path,
        wanted: bool,
    ) -> Result<Option<Ending>, Undone> {
        // Numbers that earlier controllers used are passed by.
        loop {
            match client.job(&self.id())? {
                Some(JobState::Active) => {
                    self.submitted = true;
                    self.seen = Some(Instant::now());
                    return Ok(None);
                }
                Some(JobState::Over(ending)) => {
                    let ours = std::mem::take(&mut self.submitted);
                    self.seen = None;
                    self.number += 1;
                    let failed = ending.word != "SUCCEEDED";
                    self.ended = ours.then_some(ending);
                    if ours && failed {
                        self.due = Instant::now() + AGAIN;
                        return Ok(self.ended.clone());
                    }
                }
                None => break,
            }
        }
        let failed = self
            .ended
            .as_ref()
            .is_some_and(|ending| ending.word != "SUCCEEDED");
        if !wanted || (failed && Instant::now() < self.due) {
            return Ok(None);
        }
        let entrypoint = self
            .entrypoint(options, program)
            .map_err(|error| Undone::Later(format!("{}: {error}", self.tray.folder().display())))?;
        // A driver only waits: its tasks ask for the cores.
        let needs = json!({"entrypoint_num_cpus": 0});
        client.submit(
            &self.id(),
            &entrypoint,
            needs.as_object().cloned().unwrap_or_default(),
        )?;
        self.submitted = true;
        self.seen = Some(Instant::now());
        Ok(None)
    }

    /// Whether a driver was there a moment ago, so that it need not be looked for with each attempt.
    pub(super) fn is_there(&self) -> bool {
        self.seen.is_some_and(|seen| seen.elapsed() < FRESH)
    }

    fn entrypoint(&self, options: &RayOptions, program: &Path) -> io::Result<String> {
        let hash = blake3::hash(PROGRAM.as_bytes()).to_hex();
        let path = self
            .tray
            .folder()
            .join(format!("driver-{}.py", hash.chars().take(16).collect::<String>()));
        if !path.exists() {
            self.tray.make()?;
            let draft = path.with_extension("new");
            fs::write(&draft, PROGRAM)?;
            fs::rename(&draft, &path)?;
        }
        // The interpreter of the entrypoint is the one that Ray runs in.
        Ok(format!(
            "exec \"$(command -v python3 || command -v python)\" {} {} {} {}",
            quoted(&path.to_string_lossy()),
            quoted(&self.tray.folder().to_string_lossy()),
            quoted(&program.to_string_lossy()),
            quoted(&Value::Object(task_needs(options)).to_string()),
        ))
    }

    /// Tells the driver that nothing more will come.
    pub(super) fn stop(&self) {
        if self.submitted {
            self.tray.stop();
        }
    }
}

/// What a task asks for, in the words of `ray.remote`.
fn task_needs(options: &RayOptions) -> Map<String, Value> {
    let mut needs = Map::new();
    needs.insert("num_cpus".into(), json!(options.cores()));
    if let Some(gpus) = options.gpus {
        needs.insert("num_gpus".into(), json!(gpus));
    }
    if let Some(memory) = options.memory() {
        needs.insert("memory".into(), json!(memory));
    }
    if !options.resources.is_empty() {
        needs.insert("resources".into(), json!(options.resources));
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_said_in_the_words_of_tasks() {
        let options = RayOptions {
            gpus: Some(0.5),
            memory_gib: Some(2.0),
            ..RayOptions::default()
        };
        assert_eq!(
            Value::Object(task_needs(&options)),
            json!({"num_cpus": 1.0, "num_gpus": 0.5, "memory": 2_147_483_648_u64})
        );
    }
}
