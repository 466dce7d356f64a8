//! What the clerk of a queue does with Slurm.

use super::bench::Bench;
use super::job::{self, Ending, Job, JobState, PUT_BACK, Shape};
use super::{SlurmOptions, worker};
use crate::target::Fate;
use crate::target::queue::{Cluster, Desk, Entry, News, Stage, Unsubmitted, quoted};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A submission of which nobody knows is repeated when it was not found in the queue for so long.
const CERTAIN: Duration = Duration::from_secs(20);

/// File in an attempt's folder with the number of its job.
const NUMBER: &str = "slurm.job";

/// A Slurm cluster.
pub(in crate::target) struct Slurm {
    options: SlurmOptions,
    workers: worker::Pool,
    bench: Bench,
    /// Nodes by job.
    nodes: HashMap<String, String>,
}

impl Slurm {
    pub(super) fn new(options: SlurmOptions) -> Self {
        Self {
            options,
            workers: worker::Pool::default(),
            bench: Bench::default(),
            nodes: HashMap::new(),
        }
    }

    fn shape(&self, desk: &Desk<Self>) -> Shape {
        Shape {
            group: desk.group(),
            without: self.bench.left_out(Instant::now()),
        }
    }

    /// Calls `submit`; once more if it was perhaps refused for want of the nodes that are left out.
    fn with_shape<T>(
        &mut self,
        desk: &Desk<Self>,
        mut submit: impl FnMut(&mut Self, &Shape) -> Result<T, Unsubmitted>,
    ) -> Result<T, Unsubmitted> {
        let shape = self.shape(desk);
        match submit(self, &shape) {
            Err(Unsubmitted::Refused(_)) if !shape.without.is_empty() => {
                self.bench.clear();
                let shape = self.shape(desk);
                submit(self, &shape)
            }
            done => done,
        }
    }

    /// As many workers as there are attempts, at most as many as there are slots.
    fn staff(&mut self, desk: &Desk<Self>) -> Result<(), Unsubmitted> {
        let program = desk.program().map_err(Unsubmitted::Later)?;
        let wanted = desk.open().min(self.options.slots.unwrap_or(u64::MAX));
        while self.workers.alive() < wanted {
            self.with_shape(desk, |this, shape| {
                this.workers.hire(&this.options, desk, shape, &program)
            })?;
        }
        Ok(())
    }

    /// Takes in where an attempt's job is; what is to be done with it beyond that.
    fn take_in(
        &mut self,
        entry: &Entry<Self>,
        job: &Job,
        own: bool,
        asked: Instant,
        desk: &Desk<Self>,
    ) -> Chores {
        let mut chores = Chores::default();
        if !job.nodes.is_empty() {
            self.nodes.insert(job.id.clone(), job.nodes.clone());
        }
        match &job.state {
            // Its runner was ended, and a second one would find the claim of the first.
            JobState::Active if own && job.pending && entry.claimed.is_some_and(|at| at < asked) => {
                desk.news(&entry.folder, News::There(Some(job.id.clone())));
                desk.news(&entry.folder, News::Over(Ending::of(PUT_BACK, &entry.folder)));
                chores.cancel = true;
            }
            JobState::Active => {
                desk.news(&entry.folder, News::There(Some(job.id.clone())));
                chores.begin = own && job.put_off;
            }
            JobState::Over(word) => {
                desk.news(&entry.folder, News::There(Some(job.id.clone())));
                desk.news(&entry.folder, News::Over(Ending::of(word, &entry.folder)));
                let node = self.nodes.remove(&job.id).unwrap_or_default();
                if own
                    && entry.canceled.is_none()
                    && word != "CANCELLED"
                    && self.bench.saw(&node, entry.is_claimed(), Instant::now())
                {
                    desk.tell(format!(
                        "target `{}`: jobs end on node `{node}` before they begin: it is left out for a while",
                        desk.terms.name
                    ));
                }
            }
        }
        chores
    }

    /// One that the queue does not show.
    fn not_there(&self, entry: &Entry<Self>, desk: &Desk<Self>) {
        desk.news(&entry.folder, News::Unheard);
        match (&entry.stage, &entry.id) {
            (Stage::Uncertain { since }, _) if since.elapsed() > CERTAIN => {
                desk.news(&entry.folder, News::Again);
            }
            // Known by its number and gone from the queue: it ended long ago.
            (Stage::Found | Stage::Submitted, Some(id)) if !self.options.workers => {
                let word = match (job::past(id), entry.seen) {
                    (Some(word), _) => word,
                    (None, true) => "gone from the queue".into(),
                    // Just submitted: the queue may have been read before.
                    (None, false) => return,
                };
                desk.news(&entry.folder, News::Over(Ending::of(&word, &entry.folder)));
            }
            _ => {}
        }
    }

    /// Whether the site or the user wants jobs to begin at a time.
    fn begins_later(&self) -> bool {
        let begins = |word: &String| word.starts_with("--begin") || word.starts_with("-b");
        self.options.directives.iter().any(begins)
    }
}

/// What is to be done with a job that was looked at.
#[derive(Default)]
struct Chores {
    cancel: bool,
    begin: bool,
}

impl Cluster for Slurm {
    type End = Ending;

    const KIND: &'static str = "slurm";
    const CALLED: &'static str = "Slurm";

    fn known(_: &str, folder: &Path) -> Option<String> {
        let id = fs::read_to_string(folder.join(NUMBER)).ok()?;
        Some(id.trim().to_owned())
    }

    fn verdict(job: &Entry<Self>, end: &Ending, claimed: bool) -> (Option<Fate>, String) {
        let (id, word) = (job.id.as_deref().unwrap_or("?"), &end.word);
        let why = match &end.log {
            Some(line) if !claimed => format!("Slurm job {id} is {word}: {line}"),
            _ => format!("Slurm job {id} is {word}"),
        };
        (job::fate(word, claimed), why)
    }

    fn of_worker(_: &str) -> Ending {
        Ending {
            word: "COMPLETED".into(),
            log: None,
        }
    }

    fn submit(&mut self, job: &Entry<Self>, desk: &Desk<Self>) -> Result<Option<String>, Unsubmitted> {
        let program = desk.program().map_err(Unsubmitted::Later)?;
        if self.options.workers {
            self.workers
                .tray(desk)
                .put(&job.folder, &job.name)
                .map_err(Unsubmitted::Later)?;
            return self.staff(desk).map(|()| None);
        }
        let line = format!(
            "exec {} runner {}",
            quoted(&program.to_string_lossy()),
            quoted(&job.folder.to_string_lossy())
        );
        let id = self.with_shape(desk, |this, shape| {
            job::submit(&this.options, shape, &job.name, &job.folder, &line)
        })?;
        // Without it the job is found by its name.
        let _ = fs::write(job.folder.join(NUMBER), &id);
        Ok(Some(id))
    }

    fn cancel(&mut self, id: &str) -> bool {
        job::cancel(id)
    }

    fn look(&mut self, asked: &[Entry<Self>], desk: &Desk<Self>) -> Result<(), String> {
        let at = Instant::now();
        let jobs = job::list()?;
        let workers = self.options.workers;
        if workers {
            self.workers.look(desk, &jobs);
        }
        let begins_later = self.begins_later();
        for entry in asked {
            let worker = self.workers.job_of(&entry.name).cloned();
            let name = worker.as_ref().unwrap_or(&entry.name);
            match (jobs.get(name), worker.as_deref()) {
                (Some(job), worker) => {
                    let chores = self.take_in(entry, job, worker.is_none(), at, desk);
                    if chores.cancel {
                        job::cancel(&job.id);
                    }
                    if chores.begin && !begins_later {
                        job::begin_now(&job.id);
                    }
                }
                (None, Some(worker)) if !self.workers.has(worker) => {
                    let end = Ending::of("gone from the queue", &entry.folder);
                    desk.news(&entry.folder, News::Over(end));
                }
                // An earlier controller put it there.
                (None, _)
                    if workers && entry.stage == Stage::Found && self.workers.tray(desk).has(&entry.name) =>
                {
                    desk.news(&entry.folder, News::There(None));
                }
                (None, _) => self.not_there(entry, desk),
            }
        }
        if workers && let Err(error) = self.staff(desk) {
            desk.tell(error.into_words());
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.workers.stop();
    }
}
