//! Opening a store: checks, pragmas, migrations.

use super::ballast::Ballast;
use super::error::StoreError;
use super::placement::Placement;
use super::schema::{self, Format, MIGRATIONS};
use crate::clock::{Clock, SystemClock};
use rusqlite::{Connection, OpenFlags};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Name of the database inside the state folder.
pub const FILE: &str = "overdrive.db";

/// Name of the state folder inside a project.
pub const STATE_FOLDER: &str = ".overdrive";

/// First SQLite in which two connections cannot damage a write-ahead log.
const OLDEST_SQLITE: i32 = 3_051_003;

/// All sweeps of one project.
pub struct Store {
    pub(super) folder: PathBuf,
    pub(super) path: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) placement: Placement,
    pub(super) ballast: Ballast,
    writable: bool,
    connection: Mutex<Connection>,
}

/// How to open a store in other than the usual way.
#[derive(Clone, Default)]
pub struct OpenOptions {
    /// Clock; the machine's by default.
    pub clock: Option<Arc<dyn Clock>>,
    /// Kind of file system; found out by default.
    pub placement: Option<Placement>,
}

impl Store {
    /// Opens the store in a state folder (`<project>/.overdrive`) for reading and writing; makes both if missing, brings an older
    /// format forward.
    ///
    /// # Errors
    /// [`StoreError`]; a newer, foreign or damaged file is left as it was.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_with(folder, OpenOptions::default())
    }

    /// As [`Store::open`], with choices.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub fn open_with(folder: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        check_sqlite()?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(StoreError::file(folder))?;
        let placement = match options.placement {
            Some(placement) => placement,
            None => Placement::of(folder).map_err(StoreError::file(folder))?,
        };
        let path = folder.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let sorted = |error| StoreError::sqlite(&path, error);
        let mut connection = Connection::open_with_flags(&path, flags).map_err(sorted)?;
        connection
            .busy_timeout(std::time::Duration::from_secs(5))
            .map_err(sorted)?;
        // A refused file must stay as it is, so nothing that writes comes before this look.
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        schema::inspect(&connection, &path, known)?;
        connection
            .execute_batch(match placement {
                Placement::Local => "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000;",
                Placement::Network => {
                    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL;"
                }
            })
            .map_err(sorted)?;
        connection
            .execute_batch(
                "PRAGMA mmap_size = 0; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864;
                 PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY;",
            )
            .map_err(sorted)?;
        connection.set_prepared_statement_cache_capacity(128);
        schema::migrate(&mut connection, &path, MIGRATIONS)?;
        let ballast = Ballast::new(folder);
        Ok(Self {
            folder: folder.to_owned(),
            path,
            clock: options.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            placement,
            ballast,
            writable: true,
            connection: Mutex::new(connection),
        })
    }

    /// Opens an existing store for reading; other processes may be writing.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none, [`StoreError::Busy`] if its controller keeps it to itself (network file systems).
    pub fn open_read_only(folder: &Path) -> Result<Self, StoreError> {
        Self::open_read_only_with(folder, OpenOptions::default())
    }

    /// As [`Store::open_read_only`], with choices.
    ///
    /// # Errors
    /// Those of [`Store::open_read_only`].
    pub fn open_read_only_with(folder: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        check_sqlite()?;
        let path = folder.join(FILE);
        if !path.exists() {
            return Err(StoreError::Missing(path));
        }
        let placement = match options.placement {
            Some(placement) => placement,
            None => Placement::of(folder).map_err(StoreError::file(folder))?,
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let sorted = |error| StoreError::sqlite(&path, error);
        let connection = Connection::open_with_flags(&path, flags).map_err(sorted)?;
        connection
            .busy_timeout(std::time::Duration::from_secs(5))
            .map_err(sorted)?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        match schema::inspect(&connection, &path, known)? {
            Format::Version(found) if found == known => {}
            Format::Version(_) => {
                // Reading needs today's tables; bringing them forward is a writer's work, done here once.
                drop(connection);
                drop(Self::open_with(folder, options.clone())?);
                return Self::open_read_only_with(folder, options);
            }
            Format::Empty => return Err(StoreError::Missing(path)),
        }
        connection
            .execute_batch("PRAGMA query_only = ON; PRAGMA mmap_size = 0; PRAGMA cache_size = -16000;")
            .map_err(sorted)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self {
            folder: folder.to_owned(),
            ballast: Ballast::new(folder),
            path,
            clock: options.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            placement,
            writable: false,
            connection: Mutex::new(connection),
        })
    }

    /// The state folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The clock that this store measures by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Kind of file system that it lies on.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, if it may write.
    pub(super) fn writing(&self) -> Result<MutexGuard<'_, Connection>, StoreError> {
        if self.writable {
            Ok(self.connection())
        } else {
            Err(StoreError::ReadOnly(self.path.clone()))
        }
    }

    pub(super) fn sorted(&self) -> impl Fn(rusqlite::Error) -> StoreError + Copy + '_ {
        |error| StoreError::sqlite(&self.path, error)
    }
}

fn check_sqlite() -> Result<(), StoreError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(StoreError::OldSqlite {
            found: rusqlite::version().to_owned(),
        });
    }
    Ok(())
}
