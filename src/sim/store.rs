//! A store in memory: the records of a sweep as they would be written and read back, and their fold.

use crate::controller::fold::{self, FoldError};
use crate::controller::{Record, Settings, Snapshot};

/// Why records cannot be kept or read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A record does not survive its JSON form.
    #[error("a record does not survive its JSON form")]
    Json(#[from] serde_json::Error),
    /// The records contradict each other.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

/// Keeps records; what it gives back has been through JSON, as in a file.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    records: Vec<Record>,
    state: Snapshot,
    /// The fold of the first `reread_count` records as they come back from JSON.
    reread: Snapshot,
    reread_count: usize,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(settings: Settings) -> Self {
        Self {
            records: Vec::new(),
            state: Snapshot::new(&settings),
            reread: Snapshot::new(&settings),
            reread_count: 0,
        }
    }

    /// Makes the records of one batch durable.
    ///
    /// # Errors
    /// [`StoreError`] if one does not fit those before it.
    pub fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        for record in &records {
            fold::apply(&mut self.state, record)?;
        }
        self.records.extend(records);
        Ok(())
    }

    /// All records so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The state after all records, moved on one by one.
    pub fn state(&self) -> &Snapshot {
        &self.state
    }

    /// The state as a restarted controller gets it: every record written and read back.
    ///
    /// # Errors
    /// [`StoreError`] if a record does not survive that.
    pub fn read_back(&mut self) -> Result<Snapshot, StoreError> {
        for record in self.records.iter().skip(self.reread_count) {
            let text = serde_json::to_string(record)?;
            fold::apply(&mut self.reread, &serde_json::from_str(&text)?)?;
        }
        self.reread_count = self.records.len();
        Ok(self.reread.clone())
    }
}
