//! One attempt that is followed: its account there, and the journal that is made of it here.

use super::Reach;
use super::fetch;
use super::session::Session;
use crate::runner::AttemptSpec;
use crate::runner::shell::{Account, Fact, Retelling};
use crate::target::{Fate, Liveness};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

/// The captured output below an attempt's folder.
const LOG: &str = "azureml-logs/70_driver_log.txt";

/// How folders begin in which what arrives lies for a while.
const ARRIVING: &str = ".arriving-";

/// Block of what is read there, bytes, and how many at once.
const BLOCK: u64 = 4096;
const BLOCKS: u64 = 128;

/// Bytes of output taken in before others have their turn.
const ROUND: u64 = 4 << 20;

/// One attempt.
pub(super) struct Followed {
    /// Its folder there.
    pub(super) place: String,
    /// Process that was started for it on this line.
    pub(super) starter: Option<u32>,
    /// What the controller knows last.
    pub(super) told: Option<Liveness>,
    /// Bytes of the journal and of the log that the controller has.
    pub(super) journal: u64,
    pub(super) log: u64,
    /// Its folder on the controller's side.
    home: Option<PathBuf>,
    /// Where what is made and fetched lies here, laid out as below an agent's root.
    spool: tempfile::TempDir,
    folder: PathBuf,
    account: Account,
    facts: VecDeque<Fact>,
    retelling: Option<Retelling>,
    /// Bytes of output and of reports that were taken in.
    logged: u64,
    reported: u64,
    sides: bool,
    life: Option<Liveness>,
    /// Why it was not started; holds until somebody claims it all the same.
    pub(super) refused: Option<Liveness>,
    packing: Option<Receiver<io::Result<()>>>,
    packed: bool,
    /// Why what it left could not be fetched.
    pub(super) trouble: Option<String>,
}

/// What is new of an attempt.
#[derive(Default)]
pub(super) struct News {
    /// Bytes of output with their places.
    pub(super) log: Vec<(u64, Vec<u8>)>,
    /// There is more to come at once.
    pub(super) more: bool,
}

impl Followed {
    pub(super) fn new(
        place: String,
        run: &str,
        spec: Option<&AttemptSpec>,
        (journal, log): (u64, u64),
        home: Option<PathBuf>,
    ) -> io::Result<Self> {
        for left in home.iter().flat_map(fs::read_dir).flatten().flatten() {
            // Of an agent that was killed.
            if left.file_name().to_string_lossy().starts_with(ARRIVING) {
                fetch::remove(&left.path());
            }
        }
        let spool = match home.as_deref().filter(|home| home.is_dir()) {
            Some(home) => tempfile::Builder::new().prefix(ARRIVING).tempdir_in(home)?,
            None => tempfile::tempdir()?,
        };
        let folder = spool.path().join(run);
        fs::create_dir_all(folder.join("azureml-logs"))?;
        let mut followed = Self {
            place,
            starter: None,
            told: None,
            journal,
            log,
            home,
            spool,
            folder,
            account: Account::new(),
            facts: VecDeque::new(),
            retelling: None,
            logged: 0,
            reported: 0,
            sides: false,
            life: None,
            refused: None,
            packing: None,
            packed: false,
            trouble: None,
        };
        if let Some(spec) = spec {
            followed.know(spec)?;
        }
        Ok(followed)
    }

    /// Whether it is known with what it was started.
    pub(super) fn is_known(&self) -> bool {
        self.retelling.is_some()
    }

    /// It is started with this.
    pub(super) fn know(&mut self, spec: &AttemptSpec) -> io::Result<()> {
        if self.retelling.is_none() {
            // By it what the run registered is found.
            fs::write(self.folder.join("spec.json"), serde_json::to_vec(spec)?)?;
            self.retelling =
                Some(Retelling::new(spec, &self.folder.join("journal")).map_err(io::Error::other)?);
        }
        Ok(())
    }

    /// The question that the shell there is asked.
    pub(super) fn question(&self) -> String {
        let starter = self.starter.map(|pid| pid.to_string()).unwrap_or_default();
        format!("od_look '{}' {} '{starter}'\n", self.place, self.account.wanted())
    }

    /// Takes the answer in.
    pub(super) fn answer(&mut self, piece: &[u8]) {
        let end = piece
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(piece.len());
        let (line, rest) = piece.split_at_checked(end).unwrap_or((piece, &[]));
        self.life = Some(life(&String::from_utf8_lossy(line)));
        let skip = (self.account.wanted() % BLOCK) as usize + 1;
        let new = rest.get(skip..).unwrap_or_default();
        self.facts.extend(self.account.push(new));
    }

    /// What is known of its runner, once all that it told was taken in.
    pub(super) fn life(&self) -> Option<&Liveness> {
        match &self.life {
            Some(Liveness::Unclaimed) => self.refused.as_ref().or(self.life.as_ref()),
            life => life.as_ref().filter(|_| self.facts.is_empty()),
        }
    }

    /// Whether nothing more will be told.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.life(), Some(Liveness::Dead(_) | Liveness::Over(..)))
    }

    /// Takes in what was told, as far as it can be now.
    pub(super) fn advance(&mut self, session: &mut Session, reach: &Reach, script: &str) -> io::Result<News> {
        let mut news = News::default();
        let mut round = 0;
        while let Some(fact) = self.facts.front().cloned() {
            if let Fact::Grew { at_ms, log, report } = fact {
                while self.logged < log {
                    if round >= ROUND {
                        news.more = true;
                        return Ok(news);
                    }
                    let bytes = self.output(session, log)?;
                    if bytes.is_empty() {
                        // Somebody removed or cut it: what was there is not to be had any more.
                        self.logged = log;
                        break;
                    }
                    round += bytes.len() as u64;
                    if let Some(retelling) = &mut self.retelling {
                        retelling.grew(at_ms, &bytes, &[]);
                    }
                    let at = self.logged;
                    self.logged += bytes.len() as u64;
                    if self.logged > self.log {
                        let new = bytes
                            .get(self.log.saturating_sub(at) as usize..)
                            .unwrap_or_default()
                            .to_vec();
                        let from = self.log.max(at);
                        self.log = self.logged;
                        news.log.push((from, new));
                    }
                }
                while self.reported < report {
                    let path = format!("{}/report.jsonl", self.place);
                    let bytes = piece(session, &path, self.reported, report)?;
                    if bytes.is_empty() {
                        self.reported = report;
                        break;
                    }
                    if !self.sides && contains(&bytes, b"\"side\"") {
                        // Lines that are too long stand in files of their own.
                        self.sides = true;
                    }
                    if self.sides {
                        let folder = format!("{}/report.jsonl.d", self.place);
                        let into = self.folder.join("report.jsonl.d");
                        if let Err(error) = fetch::fetch(reach, script, &folder, true, &into) {
                            self.trouble.get_or_insert(error.to_string());
                        }
                    }
                    self.reported += bytes.len() as u64;
                    if let Some(retelling) = &mut self.retelling {
                        retelling.grew(at_ms, &[], &bytes);
                    }
                }
            }
            let wants = matches!(fact, Fact::Exited(_))
                && self.retelling.as_ref().is_some_and(Retelling::wants_files);
            if wants && !self.pack(reach, script) {
                return Ok(news);
            }
            let left = self.packed.then_some(self.folder.as_path());
            if let Some(retelling) = &mut self.retelling {
                retelling.fact(fact, left).map_err(io::Error::other)?;
            }
            self.facts.pop_front();
        }
        Ok(news)
    }

    /// The next bytes of output, up to `end`; what the controller has already is read there.
    fn output(&mut self, session: &mut Session, end: u64) -> io::Result<Vec<u8>> {
        if self.logged < self.log
            && let Some(home) = &self.home
        {
            let length = (self.log.min(end) - self.logged).min(BLOCK * BLOCKS);
            let mut bytes = vec![0; length as usize];
            let read =
                File::open(home.join(LOG)).and_then(|file| file.read_exact_at(&mut bytes, self.logged));
            if read.is_ok() {
                return Ok(bytes);
            }
        }
        let path = format!("{}/{LOG}", self.place);
        let bytes = piece(session, &path, self.logged, end)?;
        self.keep(self.logged, &bytes)?;
        Ok(bytes)
    }

    /// Keeps output for the bringing home; what the controller has is a hole.
    fn keep(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.folder.join(LOG))?
            .write_all_at(bytes, at)
    }

    /// Fetches what the attempt left, once, in a thread of its own; true when that is done.
    pub(super) fn pack(&mut self, reach: &Reach, script: &str) -> bool {
        if self.packed {
            return true;
        }
        let Some(done) = &self.packing else {
            let (out, done) = channel();
            let (reach, script, place) = (reach.clone(), script.to_owned(), self.place.clone());
            let (into, registry) = (
                self.folder.clone(),
                self.folder.ancestors().nth(2).map(Path::to_owned),
            );
            let work = move || {
                let mut fetched = fetch::fetch(&reach, &script, &place, false, &into);
                // SWEEP/TRIAL/ATTEMPT
                let models = Path::new(&place)
                    .ancestors()
                    .nth(2)
                    .map(|sweep| sweep.join("registry/models"));
                if let (Ok(()), Some(models), Some(here)) = (&fetched, models, registry) {
                    fetched = fetch::fetch(
                        &reach,
                        &script,
                        &models.to_string_lossy(),
                        true,
                        &here.join("registry/models"),
                    );
                }
                let _ = out.send(fetched);
            };
            if std::thread::Builder::new()
                .name("pack".into())
                .spawn(work)
                .is_ok()
            {
                self.packing = Some(done);
            }
            return false;
        };
        let done = match done.try_recv() {
            Err(TryRecvError::Empty) => return false,
            Ok(done) => done,
            Err(TryRecvError::Disconnected) => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if let Err(error) = done {
            self.trouble
                .get_or_insert(format!("what it left could not be fetched: {error}"));
        }
        self.packed = true;
        true
    }

    /// Output that no fact speaks of, because its runner was killed.
    pub(super) fn last_output(&mut self, session: &mut Session) -> io::Result<()> {
        self.logged = self.logged.max(self.log);
        loop {
            let path = format!("{}/{LOG}", self.place);
            let bytes = piece(session, &path, self.logged, u64::MAX)?;
            if bytes.is_empty() {
                break;
            }
            self.keep(self.logged, &bytes)?;
            self.logged += bytes.len() as u64;
        }
        // With nothing new it must be there all the same.
        self.keep(self.logged, &[])?;
        let file = OpenOptions::new().write(true).open(self.folder.join(LOG))?;
        if file.metadata()?.len() < self.logged {
            file.set_len(self.logged)?;
        }
        Ok(())
    }

    /// Where what is to be sent home lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// New bytes of the journal, at most `most`.
    pub(super) fn new_journal(&self, most: usize) -> io::Result<Vec<u8>> {
        let Ok(file) = File::open(self.folder.join("journal")) else {
            return Ok(Vec::new());
        };
        let left = file.metadata()?.len().saturating_sub(self.journal);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(most).min(most)];
        file.read_exact_at(&mut bytes, self.journal)?;
        Ok(bytes)
    }

    /// Removes what is here of it.
    pub(super) fn close(self) {
        fetch::remove(self.spool.path());
    }
}

/// Bytes of a file there from `at` on, not beyond `end`.
fn piece(session: &mut Session, path: &str, at: u64, end: u64) -> io::Result<Vec<u8>> {
    let blocks = end
        .saturating_sub(at)
        .div_ceil(BLOCK)
        .saturating_add(1)
        .min(BLOCKS);
    let reply = session.run(&format!("od_piece '{path}' {at} {blocks}"), &mut || {})?;
    let mut bytes = reply.pieces.into_iter().next_back().unwrap_or_default();
    let skip = usize::try_from(at % BLOCK).unwrap_or(0).min(bytes.len());
    bytes.drain(..skip);
    bytes.truncate(usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX));
    Ok(bytes)
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// What the word of the shell there means.
fn life(line: &str) -> Liveness {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "alive" => Liveness::Alive,
        "unclaimed" => Liveness::Unclaimed,
        "nobody" => Liveness::Over(
            Fate::Canceled,
            "the attempt was given up before a runner claimed it".into(),
        ),
        "restarted" => Liveness::Dead("the machine was restarted".into()),
        "gone" => Liveness::Dead(format!("runner {rest} is gone")),
        "silent" => {
            let (pid, words) = rest.split_once(' ').unwrap_or((rest, ""));
            let words: String = words.chars().take(300).collect();
            let words = if words.is_empty() {
                words
            } else {
                format!(": {words}")
            };
            Liveness::Dead(format!("runner {pid} ended before it claimed the attempt{words}"))
        }
        "elsewhere" => Liveness::Unknown(format!("the runner is on host {rest}")),
        _ => Liveness::Unknown(format!(
            "the shell there says `{}`",
            line.chars().take(100).collect::<String>()
        )),
    }
}
