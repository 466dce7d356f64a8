//! The resident driver: one job that runs attempts as tasks, for trials that are shorter than the start of a job.
//!
//! Attempts are files in `queue/` below a folder of the sweep's own; the driver (`driver.py`) moves each to `taken/` and makes a task
//! of it. Drivers of a sweep are numbered, and a number is a submission id: that there is only one at a time needs no lock.

use super::RayOptions;
use super::api::{Client, Ending, JobState, Undone};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The program that runs on the cluster.
const PROGRAM: &str = include_str!("driver.py");

/// Between two tries to start a driver after one that failed.
const AGAIN: Duration = Duration::from_secs(10);

/// How long a look at the driver is good for.
const FRESH: Duration = Duration::from_secs(2);

/// The drivers of one sweep, of which at most one is alive.
pub(super) struct Drivers {
    folder: PathBuf,
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
    /// Those of the sweep whose attempts are queued in `folder`.
    pub(super) fn new(folder: PathBuf) -> Self {
        let hash = blake3::hash(folder.as_os_str().as_bytes()).to_hex();
        Self {
            prefix: format!("odw-{}", hash.chars().take(16).collect::<String>()),
            folder,
            number: 0,
            submitted: false,
            ended: None,
            due: Instant::now(),
            seen: None,
        }
    }

    /// Puts an attempt where the driver will take it.
    pub(super) fn put(&self, attempt: &Path, name: &str) -> io::Result<()> {
        let queue = self.folder.join("queue");
        fs::create_dir_all(&queue)?;
        fs::create_dir_all(self.folder.join("taken"))?;
        match fs::remove_file(self.folder.join("stop")) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let draft = queue.join(format!(".{name}"));
        fs::write(&draft, attempt.as_os_str().as_bytes())?;
        fs::rename(&draft, queue.join(sortable(name)))
    }

    /// Whether an attempt is in the hands of a driver, or of the next.
    pub(super) fn has(&self, name: &str) -> bool {
        let entry = sortable(name);
        ["queue", "taken"]
            .iter()
            .any(|below| self.folder.join(below).join(&entry).exists())
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
            .map_err(|error| Undone::Later(format!("{}: {error}", self.folder.display())))?;
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
            .folder
            .join(format!("driver-{}.py", hash.chars().take(16).collect::<String>()));
        if !path.exists() {
            fs::create_dir_all(self.folder.join("taken"))?;
            fs::create_dir_all(self.folder.join("queue"))?;
            let draft = path.with_extension("new");
            fs::write(&draft, PROGRAM)?;
            fs::rename(&draft, &path)?;
        }
        // The interpreter of the entrypoint is the one that Ray runs in.
        Ok(format!(
            "exec \"$(command -v python3 || command -v python)\" {} {} {} {}",
            super::quoted(&path.to_string_lossy()),
            super::quoted(&self.folder.to_string_lossy()),
            super::quoted(&program.to_string_lossy()),
            super::quoted(&Value::Object(task_needs(options)).to_string()),
        ))
    }

    /// Tells the driver that nothing more will come.
    pub(super) fn stop(&self) {
        if self.submitted {
            // It ends by itself a little later otherwise.
            let _ = fs::write(self.folder.join("stop"), "");
        }
    }
}

/// What the drivers of a sweep say of tasks that are over: a file to which they append.
#[derive(Default)]
pub(super) struct Ends {
    read: u64,
    words: HashMap<String, String>,
}

impl Ends {
    /// Takes in what is new; a file that is not there or cannot be read says nothing.
    pub(super) fn read(&mut self, folder: &Path) {
        // Through a new descriptor each time: only that is sure to show what another machine wrote.
        let Ok(mut file) = File::open(folder.join("ended")) else {
            return;
        };
        let mut new = Vec::new();
        if file.seek(SeekFrom::Start(self.read)).is_err() || file.read_to_end(&mut new).is_err() {
            return;
        }
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(new.get(..whole).unwrap_or_default()).into_owned();
        self.read += whole as u64;
        for line in text.lines() {
            if let Some((name, word)) = line.split_once(' ') {
                self.words.insert(name.to_owned(), word.to_owned());
            }
        }
    }

    /// How the task of that name ended.
    pub(super) fn of(&self, name: &str) -> Option<&str> {
        self.words.get(name).map(String::as_str)
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

/// A name in the order of trials: `od-7-0-ab` becomes `000000007.od-7-0-ab`.
fn sortable(name: &str) -> String {
    let trial: u64 = name
        .split('-')
        .nth(1)
        .and_then(|trial| trial.parse().ok())
        .unwrap_or(0);
    format!("{trial:09}.{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_queued_whole_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let drivers = Drivers::new(folder.path().join("s"));
        for trial in [10, 9] {
            let attempt = PathBuf::from(format!("/p/trials/{trial}/0-ab"));
            drivers.put(&attempt, &format!("od-{trial}-0-ab")).unwrap();
        }
        let queue = folder.path().join("s/queue");
        let mut names: Vec<_> = fs::read_dir(&queue)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["000000009.od-9-0-ab", "000000010.od-10-0-ab"]);
        assert_eq!(
            fs::read_to_string(queue.join(&names[0])).unwrap(),
            "/p/trials/9/0-ab"
        );
        assert!(drivers.has("od-9-0-ab") && !drivers.has("od-8-0-ab"));
        fs::rename(
            queue.join(&names[0]),
            folder.path().join("s/taken").join(&names[0]),
        )
        .unwrap();
        assert!(drivers.has("od-9-0-ab"));
    }

    #[test]
    fn ends_are_taken_in_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut ends = Ends::default();
        ends.read(folder.path());
        let write = |text: &str| fs::write(folder.path().join("ended"), text).unwrap();
        write("od-1-0-a ended with code 0\nod-2-0-b lost: the n");
        ends.read(folder.path());
        assert_eq!(ends.of("od-1-0-a"), Some("ended with code 0"));
        assert_eq!(ends.of("od-2-0-b"), None);
        write("od-1-0-a ended with code 0\nod-2-0-b lost: the node died\n");
        ends.read(folder.path());
        assert_eq!(ends.of("od-2-0-b"), Some("lost: the node died"));
    }

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
