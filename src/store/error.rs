//! Why the store could not do something.

use crate::process::Identity;
use std::path::{Path, PathBuf};

/// Errors of the store. Nothing was changed unless said otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store in that folder.
    #[error("no sweep was ever run here: `{path}` does not exist", path = .0.display())]
    Missing(PathBuf),
    /// A newer overdrive made it.
    #[error("`{path}` was written by a newer overdrive (format {found}, this one knows up to {known}); nothing was changed", path = .path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The file is something else.
    #[error("`{path}` is not a store of overdrive; nothing was changed", path = .0.display())]
    Foreign(PathBuf),
    /// The file is damaged.
    #[error("`{path}` is damaged: {reason}", path = .path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What SQLite found.
        reason: String,
    },
    /// The linked SQLite has a known fault.
    #[error("this build carries SQLite {found}; 3.51.3 or newer is needed")]
    OldSqlite {
        /// Version found.
        found: String,
    },
    /// No sweep is called so.
    #[error("no sweep is called `{0}`")]
    NotFound(String),
    /// Several sweeps are called so.
    #[error("`{reference}` names several sweeps: {}", .candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        reference: String,
        /// Ids that match.
        candidates: Vec<String>,
    },
    /// The sweep has no such trial.
    #[error("sweep `{sweep}` has no trial {trial}")]
    NoTrial {
        /// The sweep.
        sweep: String,
        /// The number asked for.
        trial: u64,
    },
    /// A sweep of that id exists.
    #[error("a sweep called `{0}` exists")]
    Exists(String),
    /// Another process leads the sweep.
    #[error("sweep `{sweep}` is led by process {pid} on `{host}`", pid = .leader.pid, host = .leader.host)]
    Held {
        /// The sweep.
        sweep: String,
        /// Who leads it.
        leader: Box<Identity>,
        /// Whether that process may still run (another host cannot be asked).
        certain: bool,
    },
    /// Another process took the sweep over; this one must stop.
    #[error("sweep `{0}` was taken over by another process")]
    Fenced(String),
    /// The disk is full; the reserve was used up or released.
    #[error("disk full at `{path}`", path = .0.display())]
    DiskFull(PathBuf),
    /// The store was opened for reading, or the file system does not allow writing.
    #[error("`{path}` cannot be written", path = .0.display())]
    ReadOnly(PathBuf),
    /// Another process keeps the store to itself for too long.
    #[error("`{path}` is in use by another process", path = .0.display())]
    Busy(PathBuf),
    /// A file could not be used.
    #[error("`{path}`: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A sync failed: what was acknowledged before is safe, this process must reopen the store or end.
    #[error("`{path}` could not be written to the disk: {reason}", path = .path.display())]
    SyncFailed {
        /// The store.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// Any other answer of SQLite.
    #[error("store: {0}")]
    Sqlite(rusqlite::Error),
    /// A stored document cannot be read.
    #[error("store: {what} cannot be read: {source}")]
    Document {
        /// Which.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

impl StoreError {
    /// Names the file in an I/O error.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| match source.raw_os_error() {
            Some(code) if code == NO_SPACE || code == QUOTA => Self::DiskFull(path.to_owned()),
            _ => Self::File {
                path: path.to_owned(),
                source,
            },
        }
    }

    /// Sorts an answer of SQLite about the store at `path`.
    pub(crate) fn sqlite(path: &Path, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let Some(code) = error.sqlite_error_code() else {
            return Self::Sqlite(error);
        };
        let path = path.to_owned();
        match code {
            ErrorCode::DiskFull => Self::DiskFull(path),
            ErrorCode::ReadOnly => Self::ReadOnly(path),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy(path),
            ErrorCode::NotADatabase => Self::Foreign(path),
            ErrorCode::DatabaseCorrupt => Self::Damaged {
                path,
                reason: error.to_string(),
            },
            // The index of the log could not be made larger.
            ErrorCode::SystemIoFailure
                if error
                    .sqlite_error()
                    .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) =>
            {
                Self::DiskFull(path)
            }
            ErrorCode::SystemIoFailure => Self::SyncFailed {
                path,
                reason: error.to_string(),
            },
            _ => Self::Sqlite(error),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::sqlite(Path::new(super::FILE), error)
    }
}

const NO_SPACE: i32 = rustix::io::Errno::NOSPC.raw_os_error();
const QUOTA: i32 = rustix::io::Errno::DQUOT.raw_os_error();
