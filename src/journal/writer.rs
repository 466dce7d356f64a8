//! The one writer of a journal: frames the entries, keeps room for the last ones, syncs when told.

use super::frame::{HEADER, MAX_PAYLOAD, complete, kind};
use super::{Entry, JournalError};
use rustix::fs::{FallocateFlags, fallocate, fdatasync, ftruncate};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Space set aside beyond the end of the file, so that the last entries find room on a full disk.
const RESERVE: u64 = 64 << 10;
/// Part of the reserve that only the last entries may use.
const LAST_WORDS: u64 = 48 << 10;

/// Appends entries. Dropping it neither syncs nor seals.
#[derive(Debug)]
pub struct Writer {
    file: File,
    frame: Vec<u8>,
    position: u64,
    reserved: Option<u64>,
    largest: u64,
    previous: u32,
    seq: u64,
    dirty: bool,
    sealed: bool,
}

impl Writer {
    /// Creates the journal (mode 0600) and sets 64 KiB aside behind its end where the file system can.
    ///
    /// # Errors
    /// [`JournalError::Create`] if the file exists or cannot be made.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| JournalError::Create {
                path: path.to_owned(),
                source,
            })?;
        let mut writer = Self {
            file,
            frame: Vec::with_capacity(512),
            position: 0,
            reserved: Some(0),
            // The limit on file sizes is not asked when space is set aside.
            largest: getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX),
            previous: 0,
            seq: 0,
            dirty: false,
            sealed: false,
        };
        match writer.reserve() {
            Ok(()) => Ok(writer),
            Err(error) => {
                let source = match error {
                    JournalError::Write(source) => source,
                    _ => ErrorKind::StorageFull.into(),
                };
                Err(JournalError::Create {
                    path: path.to_owned(),
                    source,
                })
            }
        }
    }

    /// Appends one entry with one `write`. When this returns `Ok`, the entry survives every crash but the machine's.
    ///
    /// `Exited`, `NotStarted` and `Sealed` may use the space set aside; other entries fail with [`JournalError::Full`] first.
    ///
    /// # Errors
    /// [`JournalError`]; after any of them nothing of the entry is in the file and the writer can go on.
    pub fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.put(
            entry,
            matches!(entry, Entry::Exited(_) | Entry::NotStarted { .. } | Entry::Sealed),
        )
    }

    /// Appends a warning that belongs to the end and may use the space set aside.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_last_warning(&mut self, code: &str, message: String) -> Result<(), JournalError> {
        self.put(
            &Entry::Warning {
                code: code.to_owned(),
                message,
            },
            true,
        )
    }

    fn put(&mut self, entry: &Entry, last: bool) -> Result<(), JournalError> {
        if self.sealed {
            return Err(JournalError::Sealed);
        }
        self.frame.clear();
        self.frame.resize(HEADER, 0);
        serde_json::to_writer(&mut self.frame, entry)?;
        let length = self.frame.len();
        if length - HEADER > MAX_PAYLOAD {
            self.frame = Vec::new();
            return Err(JournalError::TooLarge(length - HEADER));
        }
        let needed = self.position + length as u64 + LAST_WORDS;
        if !last && needed > self.largest {
            return Err(JournalError::Full);
        }
        if !last && self.reserved.is_some_and(|end| needed > end) {
            self.reserve()?;
        }
        let crc = complete(&mut self.frame, kind(entry), self.seq, self.previous);
        self.write()?;
        self.position += length as u64;
        self.previous = crc;
        self.seq += 1;
        self.dirty = true;
        self.sealed = matches!(entry, Entry::Sealed);
        Ok(())
    }

    /// Whether something was appended since the last sync.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// A second handle of the file for a sync elsewhere, if something is not synced; counts as synced from here on.
    pub fn unsynced(&mut self) -> Option<std::io::Result<File>> {
        std::mem::take(&mut self.dirty).then(|| self.file.try_clone())
    }

    /// Number of entries so far.
    pub fn entries(&self) -> u64 {
        self.seq
    }

    /// Makes all entries so far survive a power cut (`fdatasync`); does nothing if they do already.
    ///
    /// # Errors
    /// [`JournalError::Sync`]; do not call again on this writer.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        if self.dirty {
            self.dirty = false;
            fdatasync(&self.file).map_err(|errno| JournalError::Sync(errno.into()))?;
        }
        Ok(())
    }

    /// Syncs, then says that nothing follows, and gives the unused reserve back. The seal itself is not synced: without it the
    /// proof of the runner's death serves as well.
    ///
    /// # Errors
    /// [`JournalError`]; the seal is written even if the sync failed.
    pub fn seal(&mut self) -> Result<(), JournalError> {
        let synced = self.sync();
        self.seal_unsynced()?;
        synced
    }

    /// Says that nothing follows and gives the unused reserve back, without a sync: for entries that are safe elsewhere.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn seal_unsynced(&mut self) -> Result<(), JournalError> {
        self.append(&Entry::Sealed)?;
        if self.reserved.is_some_and(|end| end > self.position)
            && let Ok(length) = self.length()
        {
            // Only frees blocks; a failure costs 64 KiB of disk.
            let _ = ftruncate(&self.file, length);
        }
        Ok(())
    }

    fn reserve(&mut self) -> Result<(), JournalError> {
        // A busy journal asks seldom: the reserve grows with the file.
        let ahead = RESERVE.max((self.position / 4).min(16 << 20)) + LAST_WORDS;
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.position, ahead) {
            Ok(()) => {
                self.reserved = Some(self.position + ahead);
                Ok(())
            }
            Err(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Err(JournalError::Full),
            Err(_) => {
                // The file system cannot set space aside: go on without.
                self.reserved = None;
                Ok(())
            }
        }
    }

    fn write(&mut self) -> Result<(), JournalError> {
        loop {
            let error = match self.file.write(&self.frame) {
                Ok(written) if written == self.frame.len() => return Ok(()),
                Ok(written) => {
                    self.take_back(written as u64);
                    return Err(JournalError::Full);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return Err(match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                    JournalError::Full
                }
                _ => JournalError::Write(error),
            });
        }
    }

    /// Removes a part of a frame, which readers would have to skip as damage.
    fn take_back(&self, written: u64) {
        if let Ok(length) = self.length() {
            // If it fails, the reader goes round it.
            let _ = ftruncate(&self.file, length.saturating_sub(written));
        }
    }

    /// The real end of the file: a script may have appended to it as well.
    fn length(&self) -> std::io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}
