//! One controller per sweep: a lock that the kernel drops with the process, and a lease row whose nonce every commit checks.

use super::error::StoreError;
use super::open::Store;
use crate::process::{Identity, Presence};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The right to write one sweep.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) key: i64,
    pub(crate) sweep: String,
    pub(crate) nonce: String,
    /// Held for as long as the lease; `None` if it could not be had from a frozen predecessor.
    _lock: Option<File>,
}

/// Who leads a sweep now.
#[derive(Clone, Debug, PartialEq)]
pub struct Leader {
    /// The process.
    pub identity: Identity,
    /// Whether it runs, as far as this host can tell.
    pub presence: Presence,
    /// Datagram socket that wakes it.
    pub doorbell: Option<PathBuf>,
    /// When it last renewed its lease, milliseconds since the epoch.
    pub renewed_wall_ms: i64,
}

/// Random text of 16 lower-case hexadecimal digits.
pub(crate) fn nonce() -> String {
    uuid::Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .take(16)
        .collect()
}

pub(super) fn leader(connection: &Connection, key: i64) -> Result<Option<(Leader, String)>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT host, boot_id, pid, start_ticks, nonce, doorbell, renewed_wall_ms FROM lease WHERE sweep = ?1",
        )?
        .query_row([key], |row| {
            let identity = Identity {
                host: row.get(0)?,
                boot_id: row.get(1)?,
                pid: row.get(2)?,
                start_ticks: u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
            };
            let presence = identity.presence();
            let doorbell = row.get::<_, Option<String>>(5)?.map(PathBuf::from);
            Ok((Leader { identity, presence, doorbell, renewed_wall_ms: row.get(6)? }, row.get(4)?))
        })
        .optional()
}

impl Store {
    /// Who leads the sweep, if anybody does or did without saying goodbye.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn leader(&self, sweep: &str) -> Result<Option<Leader>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        Ok(leader(&connection, key)
            .map_err(self.sorted())?
            .map(|(leader, _)| leader))
    }

    /// Takes the right to write `sweep`. With `take_over`, a living leader is fenced off: its next commit fails and it ends.
    pub(super) fn lease(
        &self,
        sweep: &str,
        doorbell: Option<&Path>,
        take_over: bool,
    ) -> Result<Lease, StoreError> {
        let key = super::sweeps::key(&self.connection(), sweep)?;
        let folder = self.folder.join("locks");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(StoreError::file(&folder))?;
        let path = folder.join(format!("{sweep}.lock"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::file(&path))?;
        let mut locked = lock(&file, &path)?;
        if !locked && !take_over {
            let leader = leader(&self.connection(), key).map_err(self.sorted())?;
            return Err(held(sweep, leader.map(|(leader, _)| leader.identity), true));
        }
        let own = Identity::own();
        let nonce = nonce();
        {
            let mut connection = self.writing()?;
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(self.sorted())?;
            // File systems whose locks do nothing leave the row as the only witness.
            if let Some((leader, _)) = leader(&transaction, key).map_err(self.sorted())?
                && !take_over
                && leader.identity != own
                && leader.presence != Presence::Gone
            {
                return Err(held(
                    sweep,
                    Some(leader.identity),
                    leader.presence == Presence::Here,
                ));
            }
            transaction
                .execute(
                    "INSERT OR REPLACE INTO lease VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        key,
                        own.host,
                        own.boot_id,
                        own.pid,
                        super::signed(own.start_ticks),
                        nonce,
                        doorbell.map(|path| path.to_string_lossy()),
                        self.clock.stamp().wall_ms,
                    ],
                )
                .map_err(self.sorted())?;
            transaction.commit().map_err(self.sorted())?;
        }
        // The predecessor notices at its next commit, at the latest at its next renewal; a frozen one is fenced anyway.
        for _ in 0..if locked { 0 } else { 80 } {
            std::thread::sleep(Duration::from_millis(100));
            locked = lock(&file, &path)?;
            if locked {
                break;
            }
        }
        Ok(Lease {
            key,
            sweep: sweep.to_owned(),
            nonce,
            _lock: locked.then_some(file),
        })
    }
}

fn lock(file: &File, path: &Path) -> Result<bool, StoreError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        // No locks here: the lease row decides alone.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOLCK | rustix::io::Errno::NOSYS) => Ok(true),
        Err(error) => Err(StoreError::file(path)(error.into())),
    }
}

fn held(sweep: &str, leader: Option<Identity>, certain: bool) -> StoreError {
    let unknown = || Identity {
        host: crate::process::host(),
        boot_id: String::new(),
        pid: 0,
        start_ticks: 0,
    };
    StoreError::Held {
        sweep: sweep.to_owned(),
        leader: Box::new(leader.unwrap_or_else(unknown)),
        certain,
    }
}
