//! A task of Batch on its node (`overdrive batch-task .`, hidden): claims the attempt, gets what it needs, executes it by a
//! runner, and sends home what it left.
//!
//! The claim is a blob that only one can make: Batch starts a task again whose node it has lost, and nobody can tell then whether
//! the first one still runs.

use super::http::{Body, Failure, Http};
use super::model::{CLAIMED, TROUBLE};
use super::order::{CONTAINER, Order, TASK};
use super::storage::{self, Container};
use crate::environment::{Builder, WithoutEngine};
use crate::snapshot::{ManifestEntry, stock};
use crate::target::agent::pieces::{Next, Sending};
use crate::target::agent::protocol::{self, Answer, BODY_MAX};
use crate::target::local::bell;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two looks whether the attempt is to be cancelled.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks at the runner.
const TURN: Duration = Duration::from_millis(50);
/// How often what an attempt left is tried to be sent home, and the pause between.
const SENDS: u32 = 20;
const SEND_PAUSE: Duration = Duration::from_secs(15);

/// Executes the attempt that the environment names; the whole life of a task. Returns its exit code.
pub fn main(folder: &Path) -> i32 {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let attempt = folder.join("attempt");
    let told = |code: i32, words: &str| {
        // For people who look at the task; the file is for the controller.
        let _ = writeln!(io::stderr(), "overdrive: {words}");
        let _ = fs::write(attempt.join("trouble"), words);
        code
    };
    if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(&attempt) {
        return told(TROUBLE, &format!("{}: {error}", attempt.display()));
    }
    match Task::of_environment(attempt.clone()).and_then(|task| task.execute()) {
        Ok(code) => code,
        Err(words) => told(TROUBLE, &words),
    }
}

struct Task {
    container: Container,
    job: String,
    id: String,
    attempt: PathBuf,
    share: PathBuf,
}

fn words(what: &str) -> impl Fn(Failure) -> String {
    let what = what.to_owned();
    move |failure| format!("{what}: {}", failure.text())
}

impl Task {
    fn of_environment(attempt: PathBuf) -> Result<Self, String> {
        let variable =
            |name: &str| std::env::var(name).map_err(|_| format!("the variable `{name}` is not set"));
        let address = variable(CONTAINER)?;
        let (address, signature) = address.split_once('?').unwrap_or((address.as_str(), ""));
        let name = variable(TASK)?;
        let (job, id) = name
            .split_once('/')
            .ok_or_else(|| format!("`{TASK}` is no task"))?;
        let shared = std::env::var_os("AZ_BATCH_NODE_SHARED_DIR").map(PathBuf::from);
        let usable =
            |folder: &PathBuf| fs::create_dir_all(folder).is_ok() && tempfile::tempfile_in(folder).is_ok();
        let share = shared
            .map(|folder| folder.join("overdrive"))
            .filter(usable)
            .unwrap_or_else(|| attempt.with_file_name("share"));
        Ok(Self {
            container: Container::new(address, signature, Http::new()),
            job: job.to_owned(),
            id: id.to_owned(),
            attempt,
            share,
        })
    }

    fn blob(&self, what: &str) -> String {
        storage::of_task(&self.job, &self.id, what)
    }

    fn execute(&self) -> Result<i32, String> {
        let ended = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&ended)).map_err(|error| error.to_string())?;
        }
        if !self.claim()? {
            return Ok(CLAIMED);
        }
        let order = self
            .container
            .get(&self.blob("order"))
            .map_err(words("cannot fetch the order"))?
            .ok_or("the order of this task is gone")?;
        let order: Order =
            serde_json::from_slice(&order).map_err(|error| format!("the order of this task: {error}"))?;
        self.make_ready(&order)?;
        let mut runner = self.start()?;
        self.watch(&mut runner, &ended);
        self.send_home()?;
        Ok(0)
    }

    /// Wins the right to execute the attempt; `false` if somebody has it.
    fn claim(&self) -> Result<bool, String> {
        let own = format!(
            "{} {} {}",
            std::env::var("AZ_BATCH_NODE_ID").unwrap_or_else(|_| crate::process::host()),
            crate::clock::boot_id(),
            uuid::Uuid::new_v4().simple()
        );
        let name = self.blob("claim");
        let failed = words("cannot claim the attempt");
        if self.container.put_new(&name, own.as_bytes()).map_err(&failed)? {
            return Ok(true);
        }
        // The answer to a first try may have been lost on its way.
        Ok(self.container.get(&name).map_err(&failed)?.as_deref() == Some(own.as_bytes()))
    }

    fn make_ready(&self, order: &Order) -> Result<(), String> {
        for id in &order.snapshots {
            self.snapshot(id)
                .map_err(|reason| format!("the snapshot: {reason}"))?;
        }
        let mut spec = order.spec.clone();
        let mut python = None;
        if let Some((environment, snapshot)) = &order.environment {
            let base = snapshot.as_ref().and_then(|id| stock::tree(&self.share, id));
            let search_path = std::env::var_os("PATH").unwrap_or_default();
            let mut progress = |line: &str| {
                let _ = writeln!(io::stderr(), "{line}");
            };
            let prepared = Builder {
                cache: &self.share.join("environments"),
                base: base.as_deref(),
                search_path: &search_path,
                keep_azureml: false,
                without_engine: WithoutEngine::Refuse,
                progress: &mut progress,
            }
            .prepare(environment)
            .map_err(|error| error.to_string())?;
            python = Some(prepared.interpreter);
            spec.container = prepared.container;
            spec.path_prepend.extend(prepared.path_prepend);
            for (name, value) in prepared.variables {
                spec.env.entry(name).or_insert(value);
            }
        }
        let spec = order
            .places
            .put_right(&spec, &self.attempt, &self.share, python.as_deref())
            .map_err(|error| format!("the order of this task: {error}"))?;
        let path = self.attempt.join("spec.json");
        let text = serde_json::to_vec(&spec).map_err(|error| error.to_string())?;
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Brings a snapshot's tree into what the node's tasks share; only contents that are missing are fetched.
    fn snapshot(&self, id: &str) -> Result<(), String> {
        if stock::tree(&self.share, id).is_some() {
            return Ok(());
        }
        let manifest = self
            .container
            .get(&storage::manifest(id))
            .map_err(words("its list of files"))?
            .ok_or("its list of files is gone from the container")?;
        let files: Vec<ManifestEntry> =
            serde_json::from_slice(&manifest).map_err(|error| format!("its list of files: {error}"))?;
        let draft = tempfile::tempdir_in(&self.share).map_err(|error| error.to_string())?;
        for name in files.iter().map(stock::content_name) {
            if stock::content_path(&self.share, &name).is_none_or(|path| path.is_file()) {
                continue;
            }
            let fetched = draft.path().join("content");
            if !self
                .container
                .fetch(&storage::content(&name), &fetched)
                .map_err(words("one of its files"))?
            {
                return Err(format!("the content {name} is gone from the container"));
            }
            keep(&self.share, &name, &fetched).map_err(|error| format!("the content {name}: {error}"))?;
        }
        stock::assemble(&self.share, id, &files).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn start(&self) -> Result<Child, String> {
        let log = File::create(self.attempt.join("runner.log")).map_or_else(|_| Stdio::null(), Stdio::from);
        Command::new("/proc/self/exe")
            .arg("runner")
            .arg(&self.attempt)
            .current_dir(&self.attempt)
            // The right to use the container is no business of the script.
            .env_remove(CONTAINER)
            .env_remove(TASK)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("cannot start a runner: {error}"))
    }

    /// Waits for the runner's end; brings it a cancel, and what ends the task.
    fn watch(&self, runner: &mut Child, ended: &AtomicBool) {
        let path = self.attempt.join("cancel");
        let mut looked = Instant::now();
        while matches!(runner.try_wait(), Ok(None)) {
            if ended.swap(false, Ordering::Relaxed)
                && let Some(pid) = i32::try_from(runner.id())
                    .ok()
                    .and_then(rustix::process::Pid::from_raw)
            {
                // A child that was not waited for: the id is its own.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                match self.container.has(&self.blob("cancel")) {
                    Ok(true) if !path.exists() => {
                        let made = OpenOptions::new().create(true).append(true).open(&path);
                        if made.is_ok() {
                            bell::ring(&self.attempt.join("bell"));
                        }
                    }
                    Ok(false) if path.exists() => {
                        // Taken back.
                        let _ = fs::remove_file(&path);
                    }
                    // Nobody can tell now; later.
                    _ => {}
                }
            }
            std::thread::sleep(TURN);
        }
    }

    /// Sends the journal and all that the attempt left as one blob.
    fn send_home(&self) -> Result<(), String> {
        let path = self.attempt.with_file_name("left");
        let pack = || -> io::Result<()> {
            let mut out = io::BufWriter::new(File::create(&path)?);
            pack(&self.attempt, &mut out)?;
            out.flush()
        };
        pack().map_err(|error| format!("cannot gather what the trial left: {error}"))?;
        let mut last = String::new();
        for _ in 0..SENDS {
            match self.container.put(&self.blob("left"), Body::File(&path)) {
                Ok(()) => {
                    let _ = fs::remove_file(&path);
                    return Ok(());
                }
                Err(failure) => last = failure.text(),
            }
            std::thread::sleep(SEND_PAUSE);
        }
        Err(format!("cannot send home what the trial left: {last}"))
    }
}

/// Takes a fetched content into the node's stock.
fn keep(share: &Path, name: &str, fetched: &Path) -> io::Result<()> {
    let mut file = File::open(fetched)?;
    let mut incoming = stock::Incoming::begin(share, name)?;
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut bytes)?;
        if read == 0 {
            return incoming.finish();
        }
        incoming.push(bytes.get(..read).unwrap_or_default())?;
    }
}

/// Writes the frames that an agent would send: the journal, then everything else.
fn pack(attempt: &Path, out: &mut impl Write) -> io::Result<()> {
    let run = String::new;
    let mut journal = match File::open(attempt.join("journal")) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut offset = 0;
    while let Some(file) = &mut journal {
        let mut bytes = Vec::new();
        file.take(BODY_MAX as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            break;
        }
        protocol::write(out, &Answer::Journal { run: run(), offset }, &bytes)?;
        offset += bytes.len() as u64;
    }
    let mut sending = Sending::new(run(), attempt.to_owned(), 0, 0);
    loop {
        match sending.next() {
            Next::Piece(piece, name) => protocol::write(out, &Answer::Piece { run: run(), piece }, &name)?,
            Next::Data(bytes) => protocol::write(out, &Answer::Data { run: run() }, &bytes)?,
            Next::End => return protocol::write(out, &Answer::Collected { run: run() }, &[]),
        }
    }
}
