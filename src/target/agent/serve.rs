//! The agent's loop: takes requests in, starts and follows, tells.

use super::pieces::{self, LOG, Sending};
use super::protocol::{self, Answer, BODY_MAX, GREETING, Machine, Request, Starter};
use super::stock::{Built, Stock};
use super::{folder_of, protocol::Found};
use crate::runner::AttemptSpec;
use crate::target::local::hold;
use crate::target::{
    AttemptRef, Bell, ComputeTarget, Fate, Liveness, LocalOptions, LocalTarget, Luggage, TargetError,
};
use crate::target::{ray, slurm};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Longest sleep between two looks at journals and logs.
const LOOK: Duration = Duration::from_millis(100);

/// A controller that says nothing for so long is not there any more.
const SILENCE: Duration = Duration::from_secs(90);

/// Bytes of one log taken in one round.
const LOG_ROUND: usize = 256 << 10;

/// What a runner is told that cannot make room by stopping.
const NO_PLACE: &str = "!its place cannot be given to another trial";

enum Incoming {
    Request(Box<Request>, Vec<u8>),
    Closed,
}

/// What is known of one attempt.
struct Followed {
    reference: AttemptRef,
    journal: u64,
    log: u64,
    told: Option<Liveness>,
}

struct Agent<W> {
    out: W,
    root: PathBuf,
    target: Box<dyn ComputeTarget>,
    bell: Arc<Bell>,
    stock: Stock,
    followed: BTreeMap<String, Followed>,
    sending: VecDeque<Sending>,
    built: (Sender<Built>, Receiver<Built>),
    /// Runners die with this machine.
    of_this_boot: bool,
    /// Cancels that could not be delivered.
    cancels: Vec<String>,
    /// What is to be frozen (with its request) or thawed, by run.
    holds: BTreeMap<String, Option<String>>,
}

/// Serves the controller at the other end of the standard streams; the whole life of an agent process. Returns its exit code.
pub fn main(root: &Path) -> i32 {
    // Away from the terminal or session that a cut line would end it with.
    let _ = rustix::process::setsid();
    match serve(root, io::stdin(), io::stdout()) {
        Ok(()) => 0,
        Err(error) => {
            // The line's own log: all that the other side sees if the line breaks.
            let _ = writeln!(io::stderr(), "overdrive agent: {error}");
            1
        }
    }
}

fn serve(root: &Path, input: impl Read + Send + 'static, mut out: impl Write) -> io::Result<()> {
    let root = std::path::absolute(root)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
    out.write_all(GREETING)?;
    out.flush()?;
    let mut input = io::BufReader::new(input);
    let (Request::Hello { sweep, starter }, _) = protocol::read::<Request>(&mut input)? else {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "the controller did not say hello",
        ));
    };
    let bell = Arc::new(Bell::of(&root, &sweep));
    // Without it everything is told a little later.
    let _ = bell.open();
    let devices = crate::target::local::visible_devices();
    let machine = Machine {
        version: env!("CARGO_PKG_VERSION").into(),
        host: crate::process::host(),
        boot_id: crate::clock::boot_id().to_owned(),
        root: root.clone(),
        doorbell: bell.path().to_owned(),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        devices: devices.clone(),
    };
    protocol::write(&mut out, &Answer::Hello(machine), &[])?;
    let target: Box<dyn ComputeTarget> = match starter {
        Starter::Process => Box::new(LocalTarget::new(
            LocalOptions {
                devices,
                ..LocalOptions::default()
            },
            Arc::clone(&bell),
        )),
        Starter::Slurm { options } => {
            let program = std::env::current_exe()?;
            Box::new(slurm::target("slurm".into(), *options, root.clone(), program))
        }
        Starter::Ray { options } => {
            let program = std::env::current_exe()?;
            Box::new(ray::target("ray".into(), *options, root.clone(), program))
        }
    };
    target.listen(Arc::clone(&bell));
    target.equip(&Luggage {
        sweep,
        ..Luggage::default()
    });
    let agent = Agent {
        of_this_boot: target.is_local(),
        out,
        stock: Stock::new(&root),
        root,
        target,
        bell: Arc::clone(&bell),
        followed: BTreeMap::new(),
        sending: VecDeque::new(),
        built: channel(),
        cancels: Vec::new(),
        holds: BTreeMap::new(),
    };
    agent.run(listen(input, bell)?)
}

/// Reads requests in a thread of its own.
fn listen(mut input: impl Read + Send + 'static, bell: Arc<Bell>) -> io::Result<Receiver<Incoming>> {
    let (out, requests) = channel();
    std::thread::Builder::new()
        .name("requests".into())
        .spawn(move || {
            loop {
                let (incoming, last) = match protocol::read(&mut input) {
                    Ok((request, body)) => (Incoming::Request(Box::new(request), body), false),
                    Err(_) => (Incoming::Closed, true),
                };
                if out.send(incoming).is_err() || last {
                    break;
                }
                bell.ring();
            }
            bell.ring();
        })?;
    Ok(requests)
}

impl<W: Write> Agent<W> {
    fn run(mut self, requests: Receiver<Incoming>) -> io::Result<()> {
        let mut heard = Instant::now();
        loop {
            while let Ok(incoming) = requests.try_recv() {
                heard = Instant::now();
                match incoming {
                    Incoming::Request(request, body) => self.request(*request, &body)?,
                    Incoming::Closed => return Ok(()),
                }
            }
            if heard.elapsed() > SILENCE {
                return Ok(());
            }
            for notice in self.target.notices() {
                let message = notice.message;
                self.tell(&Answer::Notice { message }, &[])?;
            }
            while let Ok(built) = self.built.1.try_recv() {
                match built {
                    Built::Line(line) => self.tell(&Answer::Progress { line }, &[])?,
                    Built::Done(id, found) => self.tell(&Answer::Found { id, found }, &[])?,
                }
            }
            for run in std::mem::take(&mut self.cancels) {
                self.cancel(&run);
            }
            self.hold();
            let more = self.follow()? | self.send()?;
            if !more {
                self.bell.wait(LOOK);
            }
        }
    }

    fn tell(&mut self, answer: &Answer, body: &[u8]) -> io::Result<()> {
        protocol::write(&mut self.out, answer, body)
    }

    fn found(&mut self, id: u64, found: Result<Found, String>) -> io::Result<()> {
        self.tell(&Answer::Found { id, found }, &[])
    }

    fn request(&mut self, request: Request, body: &[u8]) -> io::Result<()> {
        match request {
            Request::Hello { .. } => Ok(()),
            Request::Ping => self.tell(&Answer::Pong, &[]),
            Request::Have { id, blobs } => {
                let found = self.stock.lacks(blobs);
                self.found(id, Ok(found))
            }
            Request::Blob { name, last } => {
                self.stock.blob(&name, body, last);
                Ok(())
            }
            Request::Snapshot { id, snapshot, files } => {
                let found = self.stock.snapshot(&snapshot, &files);
                self.found(id, found)
            }
            Request::Environment { id, spec, snapshot } => {
                let out = self.built.0.clone();
                self.stock.environment(id, *spec, snapshot.as_deref(), out);
                Ok(())
            }
            Request::Submit { run, spec } => self.submit(run, &spec),
            Request::Follow {
                run, journal, log, ..
            } => {
                if let Some(reference) = self.reference(&run) {
                    self.target.reopen(&reference);
                    self.followed.insert(
                        run,
                        Followed {
                            reference,
                            journal,
                            log,
                            told: None,
                        },
                    );
                }
                Ok(())
            }
            Request::Cancel { run } => {
                self.cancel(&run);
                Ok(())
            }
            Request::Freeze { run, request } => {
                self.holds.insert(run, Some(request));
                self.hold();
                Ok(())
            }
            Request::Thaw { run } => {
                self.holds.insert(run, None);
                self.hold();
                Ok(())
            }
            Request::Withdraw { run } => {
                self.cancels.retain(|asked| *asked != run);
                if let Some(reference) = self.reference(&run) {
                    self.target.withdraw(&reference);
                }
                Ok(())
            }
            Request::Prune { id, age_seconds, dry } => {
                let pruned = super::prune::prune(&self.root, Duration::from_secs(age_seconds), dry);
                self.found(id, Ok(Found::Pruned(pruned)))
            }
            Request::Collect { run, skip, log } => {
                if let Some(folder) = folder_of(&self.root, &run) {
                    self.sending.retain(|sending| sending.run != run);
                    self.sending.push_back(Sending::new(run, folder, skip, log));
                }
                Ok(())
            }
            Request::Forget { run, delete } => {
                if let Some(reference) = self.reference(&run) {
                    self.target.forget(&reference);
                    if delete {
                        remove(&reference.folder);
                    }
                }
                self.followed.remove(&run);
                self.sending.retain(|sending| sending.run != run);
                Ok(())
            }
            Request::Orphans { run, nonce } => {
                if let Some(reference) = self.reference(&run) {
                    self.target.end_orphans(&reference, &nonce);
                }
                Ok(())
            }
        }
    }

    fn reference(&self, run: &str) -> Option<AttemptRef> {
        let folder = folder_of(&self.root, run)?;
        let mut parts = run.split('/').skip(1);
        Some(AttemptRef {
            trial: parts.next()?.parse().ok()?,
            attempt: parts.next()?.split('-').next()?.parse().ok()?,
            folder,
        })
    }

    /// Starts a runner, unless somebody has claimed the attempt; what goes wrong is told as its fate.
    fn submit(&mut self, run: String, spec: &AttemptSpec) -> io::Result<()> {
        let Some(reference) = self.reference(&run) else {
            return Ok(());
        };
        if reference.folder.join("claim").exists() {
            return Ok(());
        }
        let started = match write_spec(&reference.folder, spec) {
            Ok(()) => self.target.submit(&reference, spec),
            Err(error) => Err(match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => TargetError::Exhausted {
                    target: String::new(),
                    resource: "disk space".into(),
                },
                _ => TargetError::Refused {
                    target: String::new(),
                    reason: format!("{}: {error}", reference.folder.display()),
                },
            }),
        };
        let life = match started {
            Ok(()) => return Ok(()),
            Err(TargetError::Exhausted { resource, .. }) => {
                Liveness::Over(Fate::Exhausted, format!("out of {resource}"))
            }
            Err(TargetError::Refused { reason, .. } | TargetError::Unreachable { reason, .. }) => {
                Liveness::Over(Fate::NotStarted, reason)
            }
        };
        self.tell(&Answer::Life { run, life }, &[])
    }

    /// Delivers wishes to freeze and to thaw; what could not be delivered (a full disk, for instance) stays for the next turn.
    fn hold(&mut self) {
        for (run, wish) in std::mem::take(&mut self.holds) {
            let Some(reference) = self.reference(&run) else {
                continue;
            };
            let done = match &wish {
                Some(request) if self.target.can_freeze() => self.target.freeze(&reference, request).is_ok(),
                // The runner says no; nobody else can, since the answer stands in the journal.
                Some(_) => hold::ask(&reference.folder, NO_PLACE).is_ok(),
                None => self.target.thaw(&reference).is_ok(),
            };
            if !done && reference.folder.is_dir() {
                self.holds.insert(run, wish);
            }
        }
    }

    /// Ends what runs; keeps what nobody has claimed from ever starting.
    fn cancel(&mut self, run: &str) {
        let Some(reference) = self.reference(run) else {
            return;
        };
        // Made if it is not there: a claim that nobody holds must last.
        let _ = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&reference.folder);
        let kept_out = matches!(self.target.keep_others_out(&reference), Ok(true));
        // A scheduler has a job to let go of in any case.
        if !(kept_out && self.of_this_boot) && self.target.cancel(&reference).is_err() {
            // A full disk, for instance.
            self.cancels.push(run.to_owned());
        }
    }

    /// Tells what is new in journals and logs, and who lives; true if there is more to come at once.
    fn follow(&mut self) -> io::Result<bool> {
        let cursors: Vec<(AttemptRef, u64)> = self
            .followed
            .values()
            .map(|followed| (followed.reference.clone(), followed.journal))
            .collect();
        if cursors.is_empty() {
            return Ok(false);
        }
        let chunks = match self.target.follow(&cursors) {
            Ok(chunks) => chunks,
            Err(_) => return Ok(false),
        };
        let mut more = false;
        let runs: Vec<String> = self.followed.keys().cloned().collect();
        for (run, chunk) in runs.into_iter().zip(chunks) {
            let Some(followed) = self.followed.get_mut(&run) else {
                continue;
            };
            let (journal, log) = (followed.journal, followed.log);
            let told = followed.told.clone();
            let bytes = read_log(&followed.reference.folder.join(LOG), log);
            followed.journal += chunk.bytes.len() as u64;
            followed.log += bytes.len() as u64;
            let life = match chunk.liveness {
                Liveness::Unclaimed if self.of_this_boot => restarted(&followed.reference.folder),
                life => life,
            };
            let news = chunk.bytes.is_empty() && told.as_ref() != Some(&life);
            if news {
                followed.told = Some(life.clone());
            }
            more |= !chunk.bytes.is_empty() || bytes.len() == LOG_ROUND;
            for (part, at) in chunk.bytes.chunks(BODY_MAX).zip((journal..).step_by(BODY_MAX)) {
                let run = run.clone();
                self.tell(&Answer::Journal { run, offset: at }, part)?;
            }
            if !bytes.is_empty() {
                let run = run.clone();
                self.tell(&Answer::Log { run, offset: log }, &bytes)?;
            }
            if news {
                self.tell(&Answer::Life { run, life }, &[])?;
            }
        }
        Ok(more)
    }

    /// Sends a few of the pieces that were asked for; true if there are more.
    fn send(&mut self) -> io::Result<bool> {
        pieces::send_some(&mut self.sending, &mut self.out)
    }
}

/// Nobody claimed it: whether that is because the machine was restarted before the claim was on disk.
fn restarted(folder: &Path) -> Liveness {
    match fs::read_to_string(folder.join("boot")) {
        Ok(boot) if boot != crate::clock::boot_id() => {
            Liveness::Dead("the machine was restarted before its runner's claim was on disk".into())
        }
        _ => Liveness::Unclaimed,
    }
}

/// New bytes of a log; an unreadable one has none.
fn read_log(path: &Path, offset: u64) -> Vec<u8> {
    let Ok(file) = File::open(path) else {
        return Vec::new();
    };
    let length = file
        .metadata()
        .map_or(0, |metadata| metadata.len())
        .saturating_sub(offset);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(LOG_ROUND).min(LOG_ROUND)];
    let read = if bytes.is_empty() {
        0
    } else {
        file.read_at(&mut bytes, offset).unwrap_or(0)
    };
    bytes.truncate(read);
    bytes
}

/// Makes the attempt's folder with its specification. On disk before the start: of an attempt that this machine forgot, nobody
/// could say that it was not started here.
fn write_spec(folder: &Path, spec: &AttemptSpec) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = folder.join("spec.json.tmp");
    fs::write(&draft, serde_json::to_vec(spec)?)?;
    fs::rename(&draft, folder.join("spec.json"))?;
    let mut boot = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(folder.join("boot"))?;
    boot.write_all(crate::clock::boot_id().as_bytes())?;
    boot.sync_all()?;
    File::open(folder)?.sync_all()
}

/// Removes an attempt's folder, and those above it that are empty then.
fn remove(folder: &Path) {
    // What cannot be removed stays; it is in nobody's way.
    let _ = fs::remove_dir_all(folder);
    for above in folder.ancestors().skip(1).take(2) {
        let _ = fs::remove_dir(above);
    }
}
