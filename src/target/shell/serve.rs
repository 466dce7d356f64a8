//! The loop of an agent that drives its machine by a shell: takes requests in, starts and follows, tells.

use super::Reach;
use super::attempt::Followed;
use super::place;
use super::session::{Session, making};
use super::stock::{Stock, There};
use crate::config::launch::template::quote;
use crate::runner::AttemptSpec;
use crate::runner::shell::{SCRIPT, order};
use crate::target::agent::pieces::{self, Sending};
use crate::target::agent::protocol::{self, Answer, BODY_MAX, GREETING, Machine, Request, Starter};
use crate::target::local::gpu::listed_devices;
use crate::target::{Fate, Liveness};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Between two looks at attempts.
const LOOK: Duration = Duration::from_millis(200);

/// Between two looks for requests while nothing is followed.
const IDLE: Duration = Duration::from_secs(1);

/// A controller that says nothing for so long is not there any more.
const SILENCE: Duration = Duration::from_secs(90);

/// What trials find missing.
const LACKS: &str = "the shell runner executes its trials, and what they log to MLflow or NNI is not seen";

/// What the script needs beside the shell.
const TOOLS: &str = "cat chmod cp cut date dd grep head ln ls mkdir mkfifo mv rm sleep tail tr uname wc";

enum Incoming {
    Request(Box<Request>, Vec<u8>),
    Closed,
}

struct Agent<W> {
    out: W,
    reach: Reach,
    session: Session,
    /// The script there.
    script: String,
    stock: Stock,
    followed: BTreeMap<String, Followed>,
    /// Processes started on this line, and what was started.
    started: HashMap<String, u32>,
    specs: HashMap<String, Box<AttemptSpec>>,
    /// Fates of attempts that were not started, and that nobody will claim.
    refused: HashMap<String, Liveness>,
    /// What was asked to be sent home: attempt, pieces and bytes of the log that are home.
    wanted: Vec<(String, u64, u64)>,
    sending: VecDeque<Sending>,
    devices: Vec<String>,
    lent: HashMap<String, usize>,
    shim: Option<String>,
    warned: bool,
}

pub(super) fn serve(reach: Reach, input: impl Read + Send + 'static, mut out: impl Write) -> io::Result<()> {
    let mut session = Session::open(&reach)?;
    let (script, found) = settle(&reach, &mut session)?;
    out.write_all(GREETING)?;
    out.flush()?;
    let mut input = io::BufReader::new(input);
    let (Request::Hello { starter, .. }, _) = protocol::read::<Request>(&mut input)? else {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "the controller did not say hello",
        ));
    };
    if starter != Starter::Process {
        return Err(io::Error::other(
            "overdrive does not run there, and its shell runner starts no jobs of a cluster",
        ));
    }
    let machine = Machine {
        version: env!("CARGO_PKG_VERSION").into(),
        host: value(&found, "host"),
        boot_id: value(&found, "boot"),
        root: reach.root.clone().into(),
        doorbell: format!("{}/doorbell", reach.root).into(),
        cores: value(&found, "cores").parse().unwrap_or(1),
        devices: listed_devices(&value(&found, "devices")),
    };
    let devices = machine.devices.clone();
    protocol::write(&mut out, &Answer::Hello(machine), &[])?;
    let agent = Agent {
        out,
        reach,
        session,
        script,
        stock: Stock::default(),
        followed: BTreeMap::new(),
        started: HashMap::new(),
        specs: HashMap::new(),
        refused: HashMap::new(),
        wanted: Vec::new(),
        sending: VecDeque::new(),
        devices,
        lent: HashMap::new(),
        shim: None,
        warned: false,
    };
    agent.run(&listen(input)?)
}

/// Brings the script there, if it is not there, and makes it known to the shell; where it lies, and what the machine is.
fn settle(reach: &Reach, session: &mut Session) -> io::Result<(String, String)> {
    let hash: String = blake3::hash(SCRIPT.as_bytes())
        .to_hex()
        .chars()
        .take(16)
        .collect();
    let root = &reach.root;
    let script = format!("{root}/shell/{hash}.sh");
    let mark = session.mark().to_owned();
    // What a login shell said comes before.
    session.define(":", &mut || {})?;
    let found = session.define(
        &format!(
            "umask 077\nfor tool in {TOOLS}; do command -v $tool >/dev/null || echo \"OD missing=$tool\"; done\n\
             od_mark={mark} od_runner={script}\nmkdir -p {root}/shell {root}/shim {root}/snapshots {root}/runs\n\
             if [ -s {script} ]; then :; else\n{}fi && set -- lib && . {script}\n\
             od_host=$(uname -n)\nod_boot=''\nread -r od_boot </proc/sys/kernel/random/boot_id\n\
             echo \"OD host=$od_host\"\necho \"OD boot=$od_boot\"\n\
             echo \"OD cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)\"\n\
             if [ -n \"${{CUDA_VISIBLE_DEVICES+set}}\" ]; then echo \"OD devices=$CUDA_VISIBLE_DEVICES\"\n\
             elif [ -e /proc/driver/nvidia ]; then echo \"OD devices=$(nvidia-smi --query-gpu=uuid --format=csv,noheader 2>/dev/null | tr '\\n' ',')\"; fi\n\
             command -v od_look >/dev/null && echo \"OD ready=yes\"",
            making(&script, SCRIPT.as_bytes(), "600")
        ),
        &mut || {},
    )?;
    let text = found.text();
    let missing = value(&text, "missing");
    if !missing.is_empty() {
        return Err(io::Error::other(format!(
            "the shell runner needs `{missing}`, which is not there"
        )));
    }
    if value(&text, "ready") != "yes" {
        let line = text.lines().next_back().unwrap_or("no output");
        return Err(io::Error::other(format!(
            "the shell runner cannot be kept there: {line}"
        )));
    }
    if value(&text, "boot").is_empty() {
        return Err(io::Error::other(
            "the shell runner needs Linux with /proc, and there is none",
        ));
    }
    Ok((script, text))
}

/// The value that the script told for `key`.
fn value(text: &str, key: &str) -> String {
    let mark = format!("OD {key}=");
    let found = text.lines().find_map(|line| line.strip_prefix(&mark));
    found.unwrap_or_default().trim().to_owned()
}

/// Reads requests in a thread of its own.
fn listen(mut input: impl Read + Send + 'static) -> io::Result<Receiver<Incoming>> {
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
            }
        })?;
    Ok(requests)
}

impl<W: Write> Agent<W> {
    fn run(mut self, requests: &Receiver<Incoming>) -> io::Result<()> {
        let mut heard = Instant::now();
        let mut looked: Option<Instant> = None;
        loop {
            let more = self.send()?;
            let patience = match (more, self.followed.is_empty(), looked) {
                (true, ..) => Duration::ZERO,
                (false, true, _) => IDLE,
                (false, false, Some(looked)) => LOOK.saturating_sub(looked.elapsed()),
                (false, false, None) => Duration::ZERO,
            };
            let mut next = requests.recv_timeout(patience);
            loop {
                match next {
                    Ok(Incoming::Request(request, body)) => {
                        heard = Instant::now();
                        // What was just wanted is looked at soon.
                        self.request(*request, &body)?;
                    }
                    Ok(Incoming::Closed) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                    Err(RecvTimeoutError::Timeout) => break,
                }
                next = requests.recv_timeout(Duration::ZERO);
            }
            if heard.elapsed() > SILENCE {
                return Ok(());
            }
            if !self.followed.is_empty() && looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                if self.look()? {
                    looked = None;
                }
            }
        }
    }

    fn tell(&mut self, answer: &Answer, body: &[u8]) -> io::Result<()> {
        protocol::write(&mut self.out, answer, body)
    }

    /// The machine and the stock, for a moment, while the controller hears that something goes on.
    fn there<T>(&mut self, act: impl FnOnce(&mut Stock, &mut There<'_>) -> io::Result<T>) -> io::Result<T> {
        let out = &mut self.out;
        let mut busy = || {
            // The next word fails, too.
            let _ = protocol::write(out, &Answer::Busy, &[]);
        };
        let mut there = There {
            session: &mut self.session,
            reach: &self.reach,
            root: &self.reach.root,
            script: &self.script,
            busy: &mut busy,
        };
        act(&mut self.stock, &mut there)
    }

    /// Runs a script there; what it says.
    fn ask(&mut self, script: &str) -> io::Result<super::session::Reply> {
        self.there(|_, there| there.session.run(script, there.busy))
    }

    fn request(&mut self, request: Request, body: &[u8]) -> io::Result<()> {
        match request {
            Request::Hello { .. } => Ok(()),
            Request::Ping => self.tell(&Answer::Pong, &[]),
            Request::Have { id, blobs } => {
                let found = self.there(|_, there| there.lacks(&blobs))?;
                self.tell(&Answer::Found { id, found: Ok(found) }, &[])
            }
            Request::Blob { name, last } => self.there(|stock, there| stock.blob(there, &name, body, last)),
            Request::Snapshot { id, snapshot, files } => {
                let found = self.there(|stock, there| stock.snapshot(there, &snapshot, &files))?;
                self.tell(&Answer::Found { id, found }, &[])
            }
            Request::Environment { id, spec, .. } => {
                let found = self.there(|_, there| there.environment(&spec))?;
                self.tell(&Answer::Found { id, found }, &[])
            }
            Request::Submit { run, spec } => self.submit(run, spec),
            Request::Follow {
                run,
                journal,
                log,
                home,
            } => self.follow(run, (journal, log), home),
            Request::Cancel { run } => self.cancel(&run),
            // Not asked of a machine that its shell drives: see `RemoteTarget::can_freeze`.
            Request::Freeze { .. } | Request::Thaw { .. } => Ok(()),
            Request::Withdraw { run } => match place(&self.reach.root, &run) {
                Some(place) => self.ask(&format!("rm -f '{place}/cancel'")).map(drop),
                None => Ok(()),
            },
            Request::Prune { id, .. } => {
                let found = Err(format!(
                    "overdrive does not run there; remove what is not needed in `{}` by hand",
                    self.reach.root
                ));
                self.tell(&Answer::Found { id, found }, &[])
            }
            Request::Collect { run, skip, log } => {
                self.sending.retain(|sending| sending.run != run);
                self.wanted.retain(|(wanted, ..)| *wanted != run);
                self.wanted.push((run, skip, log));
                Ok(())
            }
            Request::Forget { run, delete } => self.forget(&run, delete),
            Request::Orphans { nonce, .. } => {
                let script = format!("sh '{}' orphans {}", self.script, quote(&nonce));
                self.ask(&script).map(drop)
            }
        }
    }

    /// Starts a runner, unless somebody has claimed the attempt; what goes wrong is told as its fate.
    fn submit(&mut self, run: String, spec: Box<AttemptSpec>) -> io::Result<()> {
        let Some(folder) = place(&self.reach.root, &run) else {
            return Ok(());
        };
        if let Some(followed) = self.followed.get_mut(&run) {
            followed.know(&spec)?;
        }
        let life = match self.start(&run, &folder, &spec)? {
            Ok(()) => None,
            Err((fate, reason)) => Some(Liveness::Over(fate, reason)),
        };
        self.specs.insert(run.clone(), spec);
        match life {
            Some(life) => {
                self.refused.insert(run.clone(), life.clone());
                if let Some(followed) = self.followed.get_mut(&run) {
                    followed.refused = Some(life.clone());
                }
                self.tell(&Answer::Life { run, life }, &[])
            }
            None => {
                self.refused.remove(&run);
                Ok(())
            }
        }
    }

    fn start(
        &mut self,
        run: &str,
        folder: &str,
        spec: &AttemptSpec,
    ) -> io::Result<Result<(), (Fate, String)>> {
        let mut spec = spec.clone();
        if !self.devices.is_empty() && !spec.env.contains_key("CUDA_VISIBLE_DEVICES") {
            let used = |index: usize| self.lent.values().filter(|lent| **lent == index).count();
            let index = (0..self.devices.len())
                .min_by_key(|index| used(*index))
                .unwrap_or(0);
            if let Some(device) = self.devices.get(index) {
                spec.env.insert("CUDA_VISIBLE_DEVICES".into(), device.clone());
                self.lent.insert(run.to_owned(), index);
            }
        }
        if !std::mem::replace(&mut self.warned, true) {
            let why = &self.reach.why;
            let message = format!("{LACKS}: {why}");
            self.tell(&Answer::Notice { message }, &[])?;
        }
        if spec.shim && self.shim.is_none() {
            match self.there(|_, there| there.shim())? {
                Ok(shim) => self.shim = Some(shim),
                Err(reason) => return Ok(Err((Fate::NotStarted, reason))),
            }
        }
        let shim = self.shim.as_deref().filter(|_| spec.shim);
        let text = match order(&spec, folder.as_ref(), shim.map(std::path::Path::new)) {
            Ok(text) => text,
            Err(reason) => return Ok(Err((Fate::Setup, reason))),
        };
        // On disk before the start: of an attempt that this machine forgot, nobody could say that it was not started here.
        let script = format!(
            "[ ! -e {folder}/claim ] || exit 0\nmkdir -p {folder} || exit 73\n{}{}\
             echo \"$od_boot\" >{folder}/boot || exit 73\nsync {folder}/boot {folder}/order.sh 2>/dev/null || sync\nod_start {folder}\n",
            making(&format!("{folder}/spec.json"), &serde_json::to_vec(&spec)?, "600")
                .replace("false; }", "exit 73; }"),
            making(&format!("{folder}/order.sh"), text.as_bytes(), "600").replace("false; }", "exit 73; }"),
        );
        let reply = self.ask(&script)?;
        let said = reply.text();
        if reply.code != 0 {
            let line = said.lines().next_back().unwrap_or("no output").to_owned();
            let fate = if line.contains("No space") || line.contains("Disk quota") {
                Fate::Exhausted
            } else {
                Fate::NotStarted
            };
            return Ok(Err((fate, format!("{folder}: {line}"))));
        }
        if let Some(pid) = said.lines().next_back().and_then(|line| line.parse().ok()) {
            self.started.insert(run.to_owned(), pid);
            if let Some(followed) = self.followed.get_mut(run) {
                followed.starter = Some(pid);
            }
        }
        Ok(Ok(()))
    }

    fn follow(
        &mut self,
        run: String,
        (journal, log): (u64, u64),
        home: Option<std::path::PathBuf>,
    ) -> io::Result<()> {
        let Some(folder) = place(&self.reach.root, &run) else {
            return Ok(());
        };
        let mut known = self.specs.remove(&run);
        if known.is_none() {
            // An earlier line's, or an earlier controller's.
            let text = self.ask(&format!("cat {folder}/spec.json 2>/dev/null"))?.text();
            known = serde_json::from_str(&text).ok();
        }
        if let Some(former) = self.followed.remove(&run) {
            former.close();
        }
        let mut followed = Followed::new(folder, &run, known.as_deref(), (journal, log), home)?;
        followed.starter = self.started.get(&run).copied();
        followed.refused = self.refused.get(&run).cloned();
        self.followed.insert(run, followed);
        Ok(())
    }

    /// Ends what runs; keeps what nobody has claimed from ever starting.
    fn cancel(&mut self, run: &str) -> io::Result<()> {
        let Some(folder) = place(&self.reach.root, run) else {
            return Ok(());
        };
        let reply = self.ask(&format!("od_cancel {folder}"))?;
        if reply.code != 0 {
            let message = format!("a cancel could not be left there: {}", reply.text());
            self.tell(&Answer::Notice { message }, &[])?;
        }
        Ok(())
    }

    fn forget(&mut self, run: &str, delete: bool) -> io::Result<()> {
        if let Some(folder) = place(&self.reach.root, run).filter(|_| delete) {
            let above = |path: &str| {
                path.rsplit_once('/')
                    .map_or(String::new(), |(above, _)| above.to_owned())
            };
            let trial = above(&folder);
            let sweep = above(&trial);
            self.ask(&format!(
                "rm -rf {folder}; rmdir {trial} 2>/dev/null && rmdir {sweep} 2>/dev/null"
            ))?;
        }
        if let Some(followed) = self.followed.remove(run) {
            followed.close();
        }
        self.started.remove(run);
        self.specs.remove(run);
        self.refused.remove(run);
        self.lent.remove(run);
        self.wanted.retain(|(wanted, ..)| wanted != run);
        self.sending.retain(|sending| sending.run != run);
        Ok(())
    }

    /// Looks at all attempts and tells what is new; true if there is more to come at once.
    fn look(&mut self) -> io::Result<bool> {
        let runs: Vec<String> = self.followed.keys().cloned().collect();
        let script: String = self.followed.values().map(Followed::question).collect();
        let reply = self.ask(&script)?;
        let mut more = false;
        for (run, piece) in runs.iter().zip(&reply.pieces) {
            let Some(followed) = self.followed.get_mut(run) else {
                continue;
            };
            followed.answer(piece);
            if !followed.is_known() {
                // Nobody can tell what it was started with: it never was, or its folder is gone.
                continue;
            }
            let news = followed.advance(&mut self.session, &self.reach, &self.script)?;
            more |= news.more;
            for (offset, bytes) in news.log {
                for (part, at) in bytes.chunks(BODY_MAX).zip((offset..).step_by(BODY_MAX)) {
                    let run = run.clone();
                    protocol::write(&mut self.out, &Answer::Log { run, offset: at }, part)?;
                }
            }
        }
        for run in &runs {
            self.tell_of(run)?;
        }
        Ok(more)
    }

    /// Tells the journal and the life of one attempt.
    fn tell_of(&mut self, run: &str) -> io::Result<()> {
        let Some(followed) = self.followed.get_mut(run) else {
            return Ok(());
        };
        let mut new = false;
        loop {
            let bytes = followed.new_journal(BODY_MAX)?;
            if bytes.is_empty() {
                break;
            }
            new = true;
            let offset = followed.journal;
            followed.journal += bytes.len() as u64;
            let run = run.to_owned();
            protocol::write(&mut self.out, &Answer::Journal { run, offset }, &bytes)?;
        }
        let life = followed.life().cloned();
        if let Some(life) = life.filter(|life| !new && followed.told.as_ref() != Some(life)) {
            followed.told = Some(life.clone());
            let run = run.to_owned();
            protocol::write(&mut self.out, &Answer::Life { run, life }, &[])?;
        }
        Ok(())
    }

    /// Sends a few of the pieces that were asked for; true if there are more.
    fn send(&mut self) -> io::Result<bool> {
        for (run, skip, log) in std::mem::take(&mut self.wanted) {
            let Some(followed) = self.followed.get_mut(&run) else {
                continue;
            };
            // All that it told first, then what it left.
            if followed.is_over() && followed.pack(&self.reach, &self.script) {
                followed.last_output(&mut self.session)?;
                if let Some(message) = followed.trouble.take() {
                    let message = format!("attempt {run}: {message}");
                    protocol::write(&mut self.out, &Answer::Notice { message }, &[])?;
                }
                self.sending
                    .push_back(Sending::new(run, followed.folder().to_owned(), skip, log));
            } else {
                self.wanted.push((run, skip, log));
            }
        }
        pieces::send_some(&mut self.sending, &mut self.out)
    }
}
