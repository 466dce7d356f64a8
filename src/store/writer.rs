//! The one writer of a sweep: changes in, rows and summaries out, in one transaction each time.

use super::change::{Change, Durability};
use super::codec::{Naming, signed};
use super::error::StoreError;
use super::fold::{Counters, Fold};
use super::lease::{self, Lease};
use super::open::Store;
use crate::controller::Limits;
use crate::metric::Goal;
use rusqlite::{OptionalExtension, TransactionBehavior, params};
use std::path::Path;
use std::sync::Arc;

/// Longest time that a commit stays unsynced, milliseconds.
const SYNC_EVERY_MS: u64 = 900;

/// How often the lease is renewed, milliseconds.
const RENEW_EVERY_MS: u64 = 5_000;

/// The right to change one sweep; gone with the value, or when another process takes it over.
pub struct SweepWriter {
    store: Arc<Store>,
    lease: Lease,
    naming: Naming,
    metric: Option<String>,
    goal: Goal,
    limits: Limits,
    counters: Counters,
    unsynced_since: Option<u64>,
    renewed: u64,
    reserve_spent: bool,
}

impl Store {
    /// Takes the right to change `sweep`. `doorbell` is the datagram socket that others ring after leaving a request.
    ///
    /// # Errors
    /// [`StoreError::Held`] if another process leads it (unless `take_over`), [`StoreError::NotFound`],
    /// [`StoreError::DiskFull`] if there is no room for the reserve.
    pub fn writer(
        self: &Arc<Self>,
        sweep: &str,
        doorbell: Option<&Path>,
        take_over: bool,
    ) -> Result<SweepWriter, StoreError> {
        let experiment = self.experiment(sweep)?;
        let lease = self.lease(sweep, doorbell, take_over)?;
        self.ballast.fill()?;
        Ok(SweepWriter {
            store: Arc::clone(self),
            lease,
            goal: experiment
                .metric
                .as_ref()
                .map_or(Goal::Minimize, |metric| metric.goal),
            metric: experiment.metric.as_ref().map(|metric| metric.name.clone()),
            limits: experiment.limits,
            naming: Naming::of(experiment),
            counters: Counters::default(),
            unsynced_since: None,
            renewed: self.clock.stamp().boot_ms,
            reserve_spent: false,
        })
    }
}

impl SweepWriter {
    /// The store written to.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Id of the sweep.
    pub fn sweep(&self) -> &str {
        &self.lease.sweep
    }

    /// Makes `changes` durable together, each at its `now` (milliseconds since the sweep's creation, never decreasing).
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if another process took over: stop at once. [`StoreError::DiskFull`] if even the reserve did not
    /// help. Nothing of `changes` is stored then.
    pub fn apply(&mut self, changes: &[(u64, Change)], durability: Durability) -> Result<(), StoreError> {
        match self.attempt(changes, durability) {
            Err(StoreError::DiskFull(_)) if !self.reserve_spent => {
                self.reserve_spent = true;
                self.store.ballast.release();
                self.attempt(changes, durability)
            }
            other => other,
        }
    }

    fn attempt(&mut self, changes: &[(u64, Change)], durability: Durability) -> Result<(), StoreError> {
        let applied = self.commit(changes, durability);
        if applied.is_err() {
            // They count what the rolled-back transaction had in it.
            self.counters = Counters::default();
        }
        applied
    }

    fn commit(&mut self, changes: &[(u64, Change)], durability: Durability) -> Result<(), StoreError> {
        let stamp = self.store.clock.stamp();
        let due =
            |since: &Option<u64>| since.is_some_and(|at| stamp.boot_ms.saturating_sub(at) >= SYNC_EVERY_MS);
        let hard = durability == Durability::Machine || due(&self.unsynced_since);
        let sorted = self.store.sorted();
        let mut connection = self.store.writing()?;
        if hard {
            connection
                .execute_batch("PRAGMA synchronous = FULL")
                .map_err(sorted)?;
        }
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sorted)?;
        let nonce: Option<String> = transaction
            .prepare_cached("SELECT nonce FROM lease WHERE sweep = ?1")
            .and_then(|mut statement| statement.query_row([self.lease.key], |row| row.get(0)).optional())
            .map_err(sorted)?;
        if nonce.as_deref() != Some(self.lease.nonce.as_str()) {
            return Err(StoreError::Fenced(self.lease.sweep.clone()));
        }
        let mut fold = Fold {
            transaction: &transaction,
            sweep: self.lease.key,
            naming: &self.naming,
            metric: self.metric.as_deref(),
            goal: self.goal,
            limits: self.limits,
            counters: &mut self.counters,
        };
        for (now, change) in changes {
            fold.take(*now, change).map_err(|error| self.store.place(error))?;
        }
        fold.finish().map_err(|error| self.store.place(error))?;
        if let Some((now, _)) = changes.last() {
            transaction
                .prepare_cached("UPDATE sweep SET now_ms = max(now_ms, ?2) WHERE key = ?1")
                .and_then(|mut statement| statement.execute(params![self.lease.key, signed(*now)]))
                .map_err(sorted)?;
        }
        if hard || stamp.boot_ms.saturating_sub(self.renewed) >= RENEW_EVERY_MS {
            transaction
                .prepare_cached("UPDATE lease SET renewed_wall_ms = ?2 WHERE sweep = ?1")
                .and_then(|mut statement| statement.execute(params![self.lease.key, stamp.wall_ms]))
                .map_err(sorted)?;
            self.renewed = stamp.boot_ms;
        }
        transaction.commit().map_err(sorted)?;
        if hard {
            self.store.relax(&connection)?;
            self.unsynced_since = None;
        } else {
            self.unsynced_since.get_or_insert(stamp.boot_ms);
        }
        Ok(())
    }

    /// Housekeeping, to be called a few times a second: syncs what is older than a second, renews the lease.
    ///
    /// # Errors
    /// Those of [`SweepWriter::apply`].
    pub fn tick(&mut self) -> Result<(), StoreError> {
        let now = self.store.clock.stamp().boot_ms;
        let unsynced = self
            .unsynced_since
            .is_some_and(|at| now.saturating_sub(at) >= SYNC_EVERY_MS);
        if unsynced || now.saturating_sub(self.renewed) >= RENEW_EVERY_MS {
            self.apply(&[], Durability::Process)?;
        }
        Ok(())
    }

    /// Where others ring after leaving a request.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn set_doorbell(&mut self, path: &Path) -> Result<(), StoreError> {
        self.store
            .writing()?
            .execute(
                "UPDATE lease SET doorbell = ?3 WHERE sweep = ?1 AND nonce = ?2",
                params![self.lease.key, self.lease.nonce, path.to_string_lossy()],
            )
            .map_err(self.store.sorted())?;
        Ok(())
    }

    /// Whether the reserve for a full disk was used: start nothing until [`SweepWriter::refill`] succeeds.
    pub fn reserve_spent(&self) -> bool {
        self.reserve_spent
    }

    /// Tries to make the reserve again; true if the disk has room again.
    pub fn refill(&mut self) -> bool {
        if self.reserve_spent && self.store.ballast.fill().is_ok() {
            self.reserve_spent = false;
        }
        !self.reserve_spent
    }

    /// Gives the right back, so that another host may lead without being told to take over.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn release(self) -> Result<(), StoreError> {
        self.store
            .writing()?
            .execute(
                "DELETE FROM lease WHERE sweep = ?1 AND nonce = ?2",
                params![self.lease.key, self.lease.nonce],
            )
            .map_err(self.store.sorted())?;
        Ok(())
    }
}

impl Store {
    /// Random text for the name of an attempt's folder: 16 hexadecimal digits.
    pub fn nonce() -> String {
        lease::nonce()
    }

    /// Names this store in an error of SQLite.
    fn place(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Sqlite(error) => StoreError::sqlite(&self.path, error),
            StoreError::DiskFull(_) => StoreError::DiskFull(self.path.clone()),
            other => other,
        }
    }
}
