//! What is known of one attempt on another machine, and its copy in the attempt's folder here: the journal and the log as they
//! grow, the rest at the end.

use crate::journal::{Decoder, Entry, Step};
use crate::models::Models;
use crate::runner::AttemptSpec;
use crate::target::agent::protocol::Piece;
use crate::target::agent::run_of;
use crate::target::{AttemptRef, Liveness};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// Most bytes of a journal given out in one look.
const ROUND_BYTES: u64 = 256 << 10;

/// How long bytes that make no sense are asked for again before they count as damage, and how often.
const SUSPECT: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(2);

/// Name of the captured output below an attempt's folder.
const LOG: &str = "azureml-logs/70_driver_log.txt";

/// Exists when everything of an attempt is home, so that nothing more is asked of the other machine.
const HOME_MARK: &str = "collected";

/// How far the bringing home of an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::target) enum Home {
    /// It has not ended.
    Not,
    /// It has ended; nothing was asked for on this line yet.
    Wanted,
    /// Pieces are coming.
    Coming,
    /// All is here.
    Done,
}

/// One attempt that was not forgotten.
pub(in crate::target) struct Tracked {
    pub(in crate::target) run: String,
    pub(in crate::target) folder: PathBuf,
    /// What it is started with; `None` for one that an earlier controller may have started.
    pub(in crate::target) spec: Option<Box<AttemptSpec>>,
    /// The agent was given the specification on this line.
    pub(in crate::target) submitted: bool,
    /// It was begun by this process, and no line was ever told of it: it cannot run.
    pub(in crate::target) untold: bool,
    /// The agent was told to follow it on this line.
    pub(in crate::target) followed: bool,
    pub(in crate::target) cancel: bool,
    pub(in crate::target) cancel_sent: bool,
    /// Whether it is to be frozen (with the request) or thawed, if either was ever asked for.
    pub(in crate::target) hold: Option<Option<String>>,
    pub(in crate::target) hold_sent: bool,
    /// What the agent says of its runner; `None` = nothing yet on this line.
    pub(in crate::target) life: Option<Liveness>,
    pub(in crate::target) home: Home,
    /// Bytes of the journal that are here.
    pub(in crate::target) received: u64,
    /// Bytes of the log that are here.
    pub(in crate::target) log: u64,
    /// Pieces that are here.
    pub(in crate::target) pieces: u64,
    /// Where the entry begins that tells the end: shown only when all the rest is home.
    end: Option<u64>,
    decoder: Decoder,
    open: Option<File>,
    /// Since when bytes of the journal make no sense.
    suspect: Option<Instant>,
    /// It is not followed again before.
    pub(in crate::target) due: Option<Instant>,
    /// Pieces that could not be kept.
    pub(in crate::target) trouble: Option<String>,
}

impl Tracked {
    /// Takes an attempt up, with what is here of it.
    pub(in crate::target) fn new(attempt: &AttemptRef) -> Self {
        let folder = attempt.folder.clone();
        let size = |path: &str| fs::metadata(folder.join(path)).map_or(0, |metadata| metadata.len());
        let mut tracked = Self {
            run: run_of(&folder),
            spec: None,
            submitted: false,
            untold: false,
            followed: false,
            cancel: false,
            cancel_sent: false,
            hold: None,
            hold_sent: false,
            life: None,
            home: if folder.join(HOME_MARK).exists() {
                Home::Done
            } else {
                Home::Not
            },
            received: 0,
            log: size(LOG),
            pieces: 0,
            end: None,
            decoder: Decoder::new(),
            open: None,
            suspect: None,
            due: None,
            trouble: None,
            folder,
        };
        if let Ok(bytes) = fs::read(tracked.folder.join("journal")) {
            tracked.received = bytes.len() as u64;
            if !tracked.look(&bytes) {
                // A power cut here ate what was not synced: from there on it is asked for again.
                tracked.cut();
            }
        }
        tracked
    }

    /// Looks for the end; false if bytes are not (yet) what a runner writes.
    fn look(&mut self, bytes: &[u8]) -> bool {
        self.decoder.push(bytes);
        loop {
            let at = self.decoder.offset();
            match self.decoder.step() {
                Step::Entry { entry, .. } => {
                    if matches!(entry, Entry::Exited(_) | Entry::NotStarted { .. }) {
                        self.end.get_or_insert(at);
                        if self.home == Home::Not {
                            self.home = Home::Wanted;
                        }
                    }
                }
                Step::Damaged(_) => {}
                Step::Suspect => return false,
                Step::NotYet | Step::End => return true,
            }
        }
    }

    /// Takes the journal here back to the last byte that makes sense.
    fn cut(&mut self) {
        self.decoder.reread();
        self.received = self.decoder.offset();
        if let Ok(file) = OpenOptions::new().write(true).open(self.folder.join("journal")) {
            // What stays behind is overwritten.
            let _ = file.set_len(self.received);
        }
        self.followed = false;
    }

    /// Takes bytes of the journal in.
    ///
    /// # Errors
    /// If they cannot be kept; they are asked for again.
    pub(in crate::target) fn journal(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset != self.received {
            return Ok(());
        }
        append(&self.folder.join("journal"), offset, bytes)?;
        self.received += bytes.len() as u64;
        if self.look(bytes) {
            self.suspect = None;
            return Ok(());
        }
        // What a network file system there shows half-written is whole a little later.
        let since = *self.suspect.get_or_insert_with(Instant::now);
        if since.elapsed() < SUSPECT || self.decoder.resync().is_none() {
            self.cut();
            self.due = Some(Instant::now() + AGAIN);
        }
        Ok(())
    }

    /// Takes bytes of the log in.
    ///
    /// # Errors
    /// If they cannot be kept; they are asked for again.
    pub(in crate::target) fn log(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // Once it is asked for as a piece, it comes as one.
        if offset != self.log || self.home != Home::Not {
            return Ok(());
        }
        let path = self.folder.join(LOG);
        if offset == 0 {
            make_folder(path.parent().unwrap_or(&self.folder))?;
        }
        append(&path, offset, bytes)?;
        self.log += bytes.len() as u64;
        Ok(())
    }

    /// Takes news of the runner in.
    pub(in crate::target) fn lives(&mut self, life: Liveness) {
        if matches!(life, Liveness::Dead(_) | Liveness::Over(..)) && self.home == Home::Not {
            self.home = Home::Wanted;
        }
        if life == Liveness::Unclaimed && self.spec.is_some() {
            // It was submitted and its runner did not get far enough: once more, the claim decides.
            self.submitted = false;
            return;
        }
        self.life = Some(life);
    }

    /// Takes the beginning of a piece in. What cannot be kept is left out and told once.
    pub(in crate::target) fn piece(&mut self, piece: &Piece, name: &[u8]) {
        self.pieces += 1;
        self.open = None;
        if name.is_empty() {
            return;
        }
        match self.begin(piece, Path::new(OsStr::from_bytes(name))) {
            Ok(file) => self.open = file,
            Err(error) => {
                let name = String::from_utf8_lossy(name).into_owned();
                self.trouble
                    .get_or_insert(format!("`{name}` could not be brought back: {error}"));
            }
        }
    }

    fn begin(&self, piece: &Piece, name: &Path) -> io::Result<Option<File>> {
        let outside = || io::Error::new(ErrorKind::InvalidInput, "it leads out of the trial's folder");
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(outside());
        }
        // Nothing is written through a link that came before.
        for above in name
            .ancestors()
            .skip(1)
            .filter(|above| !above.as_os_str().is_empty())
        {
            if fs::symlink_metadata(self.folder.join(above)).is_ok_and(|found| found.is_symlink()) {
                return Err(outside());
            }
        }
        let path = self.folder.join(name);
        match piece {
            Piece::Folder => make_folder(&path).map(|()| None),
            Piece::Link { to } => {
                let to = Path::new(OsStr::from_bytes(to));
                let mut depth = name.components().count().saturating_sub(1);
                for part in to.components() {
                    match part {
                        Component::Normal(_) => depth += 1,
                        Component::CurDir => {}
                        Component::ParentDir if depth > 0 => depth -= 1,
                        _ => return Err(outside()),
                    }
                }
                // Again after a line was cut.
                let _ = fs::remove_file(&path);
                symlink(to, &path).map(|()| None)
            }
            Piece::File { mode, offset } => {
                make_folder(path.parent().unwrap_or(&self.folder))?;
                if *offset == 0 {
                    let _ = fs::remove_file(&path);
                }
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .custom_flags(libc::O_NOFOLLOW)
                    .open(&path)?;
                file.set_len(*offset)?;
                file.set_permissions(Permissions::from_mode((mode & 0o777) | 0o600))?;
                Ok(Some(file))
            }
        }
    }

    /// Takes bytes of the last piece in.
    pub(in crate::target) fn data(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.open
            && let Err(error) = file.write_all(bytes)
        {
            self.open = None;
            self.trouble
                .get_or_insert(format!("what it left could not be brought back: {error}"));
        }
    }

    /// All pieces came.
    pub(in crate::target) fn collected(&mut self) {
        self.open = None;
        self.models();
        // Without the mark they are fetched again by the next controller.
        let _ = File::create(self.folder.join(HOME_MARK));
        self.home = Home::Done;
    }

    /// Puts models that the run registered there into the sweep's registry here.
    fn models(&mut self) {
        let own = self.folder.join("registry");
        // SWEEP/trials/TRIAL/ATTEMPT
        let Some(sweep) = self.folder.ancestors().nth(3).filter(|_| own.is_dir()) else {
            return;
        };
        if let Err(error) = Models::new(&sweep.join("registry")).adopt(&Models::new(&own)) {
            self.trouble
                .get_or_insert(format!("a model that it registered could not be kept: {error}"));
        }
    }

    /// A new line: what was asked for on the old one is asked for again.
    pub(in crate::target) fn new_line(&mut self) {
        self.followed = false;
        self.submitted = false;
        self.cancel_sent = false;
        self.hold_sent = false;
        self.life = None;
        self.open = None;
        if self.home == Home::Coming {
            self.home = Home::Wanted;
            self.pieces = 0;
        }
        // A cut may have lost the end of what was being written.
        self.log = fs::metadata(self.folder.join(LOG)).map_or(0, |metadata| metadata.len());
    }

    /// How much of the journal may be seen.
    fn visible(&self) -> u64 {
        match self.end {
            Some(end) if self.home != Home::Done => end,
            _ => self.received,
        }
    }

    /// Bytes of the journal from `offset` on.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::target) fn read(&self, offset: u64) -> io::Result<Vec<u8>> {
        let left = self.visible().saturating_sub(offset).min(ROUND_BYTES);
        if left == 0 {
            return Ok(Vec::new());
        }
        let file = File::open(self.folder.join("journal"))?;
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(0)];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// What is known of its runner, by somebody whose line is `up`, or is down for a reason.
    pub(in crate::target) fn liveness(&self, up: Result<(), &str>) -> Liveness {
        if self.home == Home::Done {
            return match &self.life {
                Some(life @ (Liveness::Dead(_) | Liveness::Over(..))) => life.clone(),
                _ if self.end.is_some() => Liveness::Alive,
                _ => Liveness::Dead("its runner is gone".into()),
            };
        }
        match (up, &self.life) {
            (Err(reason), _) => Liveness::Unknown(reason.to_owned()),
            // It ended, and what it left is on its way.
            (Ok(()), Some(Liveness::Dead(_) | Liveness::Over(..))) => Liveness::Alive,
            (Ok(()), Some(Liveness::Unclaimed)) if self.received > 0 => {
                Liveness::Unknown("its folder is gone on the other machine".into())
            }
            (Ok(()), Some(life)) => life.clone(),
            (Ok(()), None) if self.spec.is_some() => Liveness::Alive,
            (Ok(()), None) => Liveness::Unknown("the other machine has not answered yet".into()),
        }
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes at `offset`, where the file ends.
fn append(path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let open = || {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
    };
    let file = match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_folder(path.parent().unwrap_or(Path::new(".")))?;
            open()?
        }
        other => other?,
    };
    file.write_all_at(bytes, offset)
}
