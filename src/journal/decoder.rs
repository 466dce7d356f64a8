//! Incremental reader of a journal: bytes in as they come, entries out in order, damage named, nothing cut off.

use super::frame::{Check, HEADER, Header, MAGIC, check, payload};
use super::{Entry, JournalError};
use std::io::Read;
use std::ops::Range;
use std::path::Path;

/// What the decoder found at its position.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The next entry.
    Entry {
        /// Its number in the journal, from 0.
        seq: u64,
        /// The entry.
        entry: Entry,
    },
    /// Push more bytes (from [`Decoder::wanted`] on).
    NotYet,
    /// The bytes at the position are no valid frame. A network file system may have shown a size before the bytes: reopen the
    /// file, [`Decoder::reread`], push again. If that does not help for as long as such caches live (60 s), call
    /// [`Decoder::resync`].
    Suspect,
    /// Bytes that are lost for good (only after [`Decoder::settle`]).
    Damaged(Damage),
    /// Nothing follows: sealed, or settled and used up.
    End,
}

/// A part of a journal that cannot be read. The file is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where, in bytes of the file.
    pub bytes: Range<u64>,
    /// Entries known to be lost (by the gap in the numbers); unknown at the tail.
    pub lost: Option<u64>,
    /// What kind.
    pub kind: DamageKind,
}

/// Kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// The end of the file is an incomplete or bad frame with no valid one behind it.
    TornTail,
    /// Valid frames lie behind.
    Corrupt,
    /// A valid frame with an entry that this version does not know.
    UnknownEntry,
}

/// Reads one journal from its beginning.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
    offset: u64,
    previous: u32,
    seq: u64,
    sealed: bool,
    settled: bool,
}

impl Decoder {
    /// A decoder at the beginning of a journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the bytes that lie at [`Self::wanted`].
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 1 << 20 {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Offset in the file from which the next push must come.
    pub fn wanted(&self) -> u64 {
        self.offset + self.rest().len() as u64
    }

    /// Offset behind the last frame that was understood.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of the next entry.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether the seal was read.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Forgets the bytes that are not yet understood; [`Self::wanted`] goes back to [`Self::offset`].
    pub fn reread(&mut self) {
        self.buffer.clear();
        self.start = 0;
    }

    /// Tells that no byte will come any more: the writer is proved dead and the file was pushed to its end. From now on bad
    /// bytes are [`Step::Damaged`] and the frames behind them are read.
    pub fn settle(&mut self) {
        self.settled = true;
    }

    /// The next thing, if any.
    pub fn step(&mut self) -> Step {
        if self.sealed {
            return Step::End;
        }
        match check(self.rest(), self.previous, self.seq) {
            Check::Good(header, payload) => {
                let entry = serde_json::from_slice::<Entry>(payload);
                self.take(header, entry)
            }
            Check::Short if !self.settled => Step::NotYet,
            Check::Bad if !self.settled => Step::Suspect,
            _ if self.rest().is_empty() => Step::End,
            _ => Step::Damaged(self.resync().unwrap_or_else(|| self.drop_tail())),
        }
    }

    /// Goes on at the next frame that is proved valid, past the bad bytes at the position; `None` (and no move) if there is none
    /// among the pushed bytes.
    ///
    /// A frame's checksum covers its predecessor's, so a frame behind damage is proved either by the checksum field of the bad
    /// frame, if that is whole, or by that of the last good frame, if only foreign bytes were put between, or else by a valid
    /// successor's predecessor; the first frame behind lost ones may thus have to be given up with them.
    pub fn resync(&mut self) -> Option<Damage> {
        let bytes = self.rest();
        let stored = Header::read(bytes)
            .map(|header| header.crc)
            .or_else(|| crc_field(bytes));
        let mut at = 1;
        while let Some(found) = bytes.get(at..).and_then(position_of_magic) {
            let candidate = at + found;
            at = candidate + 1;
            let Some(frame) = bytes.get(candidate..) else {
                break;
            };
            let Some(header) = Header::read(frame) else {
                continue;
            };
            if header.seq < self.seq || frame.len() < header.total() {
                continue;
            }
            let proof = [Some(self.previous), stored]
                .into_iter()
                .flatten()
                .find(|previous| payload(frame, header, *previous).is_some());
            let (skip, previous, seq) = match proof {
                Some(previous) => (candidate, previous, header.seq),
                None => {
                    let Some(seq) = header.seq.checked_add(1) else {
                        continue;
                    };
                    let Some(next) = frame.get(header.total()..) else {
                        continue;
                    };
                    if !matches!(check(next, header.crc, seq), Check::Good(..)) {
                        continue;
                    }
                    (candidate + header.total(), header.crc, seq)
                }
            };
            let damage = Damage {
                bytes: self.offset..self.offset + skip as u64,
                lost: Some(seq - self.seq),
                kind: DamageKind::Corrupt,
            };
            self.advance(skip);
            self.previous = previous;
            self.seq = seq;
            return Some(damage);
        }
        None
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn advance(&mut self, by: usize) {
        self.start += by;
        self.offset += by as u64;
    }

    fn take(&mut self, header: Header, entry: Result<Entry, serde_json::Error>) -> Step {
        let begin = self.offset;
        self.advance(header.total());
        self.previous = header.crc;
        self.seq = header.seq + 1;
        match entry {
            Ok(entry) => {
                self.sealed = matches!(entry, Entry::Sealed);
                Step::Entry {
                    seq: header.seq,
                    entry,
                }
            }
            Err(_) => Step::Damaged(Damage {
                bytes: begin..self.offset,
                lost: Some(1),
                kind: DamageKind::UnknownEntry,
            }),
        }
    }

    fn drop_tail(&mut self) -> Damage {
        let begin = self.offset;
        self.advance(self.rest().len());
        Damage {
            bytes: begin..self.offset,
            lost: None,
            kind: DamageKind::TornTail,
        }
    }
}

fn crc_field(bytes: &[u8]) -> Option<u32> {
    let field = bytes.get(HEADER - 4..HEADER)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

fn position_of_magic(bytes: &[u8]) -> Option<usize> {
    bytes.windows(MAGIC.len()).position(|window| window == MAGIC)
}

/// Reads a whole journal of a runner that writes no more: its entries in order and its damage.
///
/// # Errors
/// [`JournalError::Read`].
pub fn read(path: &Path) -> Result<(Vec<Entry>, Vec<Damage>), JournalError> {
    let unreadable = |source| JournalError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let mut decoder = Decoder::new();
    let mut chunk = vec![0; 256 << 10];
    let (mut entries, mut damages) = (Vec::new(), Vec::new());
    loop {
        match file.read(&mut chunk).map_err(unreadable)? {
            0 => decoder.settle(),
            length => decoder.push(chunk.get(..length).unwrap_or_default()),
        }
        loop {
            match decoder.step() {
                Step::Entry { entry, .. } => entries.push(entry),
                Step::Damaged(damage) => damages.push(damage),
                Step::NotYet => break,
                // The file does not change any more, so what is bad stays bad.
                Step::Suspect => match decoder.resync() {
                    Some(damage) => damages.push(damage),
                    None => break,
                },
                Step::End => return Ok((entries, damages)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
