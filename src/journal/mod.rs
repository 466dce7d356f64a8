//! The runner's journal: an append-only file of checksummed frames, one writer, any number of readers.
//!
//! Everything a trial does is told here first; the controller only follows journals. Frame layout and reading rules:
//! `docs/design/journal.md`.

mod decoder;
pub mod entry;
mod frame;
mod writer;

pub use decoder::{Damage, DamageKind, Decoder, Step, read};
pub use entry::{Channel, Entry, Exit};
pub use frame::{HEADER, MAX_PAYLOAD};
pub use writer::Writer;

use std::path::PathBuf;

/// Why a journal could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file could not be made (it exists already, or the folder does not allow it).
    #[error("cannot create the journal {}: {source}", path.display())]
    Create {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file could not be read.
    #[error("cannot read the journal {}: {source}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The disk or the quota is full. Nothing of the entry was kept; the space set aside for the last entries is untouched.
    #[error("no space left for the journal")]
    Full,
    /// The entry is larger than [`MAX_PAYLOAD`].
    #[error("journal entry of {0} bytes is too large")]
    TooLarge(usize),
    /// The journal was sealed; nothing may follow.
    #[error("the journal is sealed")]
    Sealed,
    /// The entry could not be put into JSON.
    #[error("journal entry cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    /// Any other failure of a write.
    #[error("cannot write to the journal: {0}")]
    Write(std::io::Error),
    /// `fdatasync` failed. It must not be retried on this descriptor: the kernel has marked the pages clean.
    #[error("cannot sync the journal: {0}")]
    Sync(std::io::Error),
}
