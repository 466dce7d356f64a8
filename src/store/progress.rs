//! The sweep's own row: its progress as the controller folds it, and the same in columns for lists.

use super::codec::{document, parsed, read_assignment, real, signed};
use super::error::StoreError;
use super::fold::Fold;
use crate::controller::{Incumbent, Progress};
use rusqlite::{Connection, OptionalExtension, params};

/// The stored progress of a sweep; nothing if no record was ever stored.
pub(super) fn read(connection: &Connection, sweep: i64) -> Result<Option<Progress>, StoreError> {
    let text: Option<String> = connection
        .prepare_cached("SELECT progress FROM sweep WHERE key = ?1")?
        .query_row([sweep], |row| row.get(0))?;
    text.map(|text| parsed(&text, "progress")).transpose()
}

impl Fold<'_> {
    /// The progress, to be moved on.
    pub(super) fn progress(&mut self) -> Result<&mut Progress, StoreError> {
        if self.counters.progress.is_none() {
            let progress = read(self.transaction, self.sweep)?.unwrap_or_else(|| Progress::new(self.limits));
            self.counters.progress = Some((progress.clone(), progress));
        }
        match &mut self.counters.progress {
            Some((progress, _)) => Ok(progress),
            None => Err(StoreError::NotFound("progress".into())),
        }
    }

    /// Brings the tables up to what the writer holds in memory.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        self.flush_series()?;
        let Some((progress, stored)) = &self.counters.progress else {
            return Ok(());
        };
        if progress == stored {
            return Ok(());
        }
        let (progress, before) = (progress.clone(), stored.incumbent);
        self.run(
            "UPDATE sweep SET progress = ?2, state = ?3, reason = nullif(?4, ''), max_total = ?5, max_concurrent = ?6, \
             max_duration_ms = ?7 WHERE key = ?1",
            params![
                self.sweep,
                document(&progress, "progress")?,
                progress.state.word(),
                progress.reason,
                signed(progress.limits.max_total),
                signed(progress.limits.max_concurrent),
                progress.limits.max_duration_ms.map(signed)
            ],
        )?;
        if progress.incumbent != before {
            self.best(progress.incumbent)?;
        }
        self.counters.progress = Some((progress.clone(), progress));
        Ok(())
    }

    fn best(&self, incumbent: Option<Incumbent>) -> Result<(), StoreError> {
        let Some(Incumbent {
            trial,
            value,
            interval,
        }) = incumbent
        else {
            return self.run(
                "UPDATE sweep SET best_trial = NULL, best_value = NULL, best_interval = NULL, best_step = NULL, \
                 best_parameters = NULL WHERE key = ?1",
                params![self.sweep],
            );
        };
        let row: Option<(String, Option<i64>)> = self
            .transaction
            .prepare_cached("SELECT assignment, best_step FROM trial WHERE sweep = ?1 AND number = ?2")?
            .query_row(params![self.sweep, signed(trial)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((assignment, step)) = row else {
            return Ok(());
        };
        let parameters = self
            .naming
            .name(&read_assignment(&assignment, self.naming.parameters)?);
        self.run(
            "UPDATE sweep SET best_trial = ?2, best_value = ?3, best_interval = ?4, best_step = ?5, best_parameters = ?6 \
             WHERE key = ?1",
            params![
                self.sweep,
                signed(trial),
                real(value),
                signed(interval),
                step,
                document(&parameters, "parameters")?
            ],
        )
    }
}
