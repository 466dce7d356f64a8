//! Sweeps: creating, naming, listing, labelling them.

use super::codec::{self, document, parsed, signed, unsigned};
use super::error::StoreError;
use super::open::Store;
use super::row::{Best, SweepRow};
use crate::clock::{Stamp, iso};
use crate::config::Experiment;
use crate::controller::{Limits, SweepState};
use indexmap::IndexMap;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use std::path::{Path, PathBuf};

/// Which sweeps to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepFilter {
    /// Only of this experiment.
    pub experiment: Option<String>,
    /// Only of this file.
    pub file: Option<PathBuf>,
    /// Only in these states; empty = any.
    pub states: Vec<SweepState>,
    /// Archived ones too.
    pub archived: bool,
    /// Only those that are older than the sweep of this id.
    pub after: Option<String>,
    /// At most this many, the newest.
    pub limit: Option<u64>,
}

/// The stored clock of a sweep: what `now` is counted from.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepClock {
    /// Creation on both clocks.
    pub created: Stamp,
    /// Latest `now` that was stored.
    pub now_ms: u64,
}

const COLUMNS: &str = "key, id, experiment, display_name, file, folder, targets, metric, goal, state, reason, max_total, \
    max_concurrent, max_duration_ms, boot_id, created_boot_ms, created_wall_ms, now_ms, ended_ms, stopped_by_policy, \
    best_trial, best_value, best_interval, best_step, best_parameters, tags, notes, archived";

pub(super) fn key(connection: &Connection, sweep: &str) -> Result<i64, StoreError> {
    connection
        .prepare_cached("SELECT key FROM sweep WHERE id = ?1")?
        .query_row([sweep], |row| row.get(0))
        .optional()?
        .ok_or_else(|| StoreError::NotFound(sweep.to_owned()))
}

impl Store {
    /// Creates a sweep in state `Running`; durable against power loss on return. `folder` will hold its trials; `preparation` is
    /// the engine's document, see [`Store::preparation`].
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the id is taken, [`StoreError::NotFound`] if it cannot be an id (letters, digits, `_`, `-`, `.`).
    pub fn create_sweep(
        &self,
        id: &str,
        experiment: &Experiment,
        folder: &Path,
        preparation: Option<&serde_json::Value>,
    ) -> Result<(), StoreError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if id.is_empty() || id.len() > 200 || id.starts_with('.') || !id.chars().all(legal) {
            return Err(StoreError::NotFound(id.to_owned()));
        }
        let stamp = self.clock.stamp();
        let definition = document(experiment, "experiment")?;
        let Limits {
            max_total,
            max_concurrent,
            max_duration_ms,
        } = experiment.limits;
        let mut connection = self.writing()?;
        let sorted = self.sorted();
        connection
            .execute_batch("PRAGMA synchronous = FULL")
            .map_err(sorted)?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(sorted)?;
        let taken: bool = transaction
            .query_row("SELECT EXISTS (SELECT 1 FROM sweep WHERE id = ?1)", [id], |row| {
                row.get(0)
            })
            .map_err(sorted)?;
        if taken {
            return Err(StoreError::Exists(id.to_owned()));
        }
        transaction
            .execute(
                "INSERT INTO sweep (id, experiment, display_name, definition, file, folder, targets, metric, goal, state, \
                 max_total, max_concurrent, max_duration_ms, boot_id, created_boot_ms, created_wall_ms, tags, preparation) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
                params![
                    id,
                    experiment.name,
                    experiment.display_name,
                    definition,
                    experiment.file.as_ref().map(|path| path.to_string_lossy()),
                    folder.to_string_lossy(),
                    document(&experiment.targets, "targets")?,
                    experiment.metric.as_ref().map(|metric| &metric.name),
                    experiment.metric.as_ref().map(|metric| codec::goal_word(metric.goal)),
                    SweepState::Running.word(),
                    signed(max_total),
                    signed(max_concurrent),
                    max_duration_ms.map(signed),
                    stamp.boot_id,
                    signed(stamp.boot_ms),
                    stamp.wall_ms,
                    document(&experiment.tags, "tags")?,
                    preparation.map(ToString::to_string),
                ],
            )
            .map_err(sorted)?;
        transaction.commit().map_err(sorted)?;
        self.relax(&connection)
    }

    /// Back to the everyday setting after a commit that had to reach the disk.
    pub(super) fn relax(&self, connection: &Connection) -> Result<(), StoreError> {
        if self.placement == super::Placement::Local {
            connection
                .execute_batch("PRAGMA synchronous = NORMAL")
                .map_err(self.sorted())?;
        }
        Ok(())
    }

    /// The experiment as it was submitted.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn experiment(&self, sweep: &str) -> Result<Experiment, StoreError> {
        let text: Option<String> = self
            .connection()
            .prepare_cached("SELECT definition FROM sweep WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([sweep], |row| row.get(0)).optional())
            .map_err(self.sorted())?;
        parsed(
            &text.ok_or_else(|| StoreError::NotFound(sweep.to_owned()))?,
            "experiment",
        )
    }

    /// What `now` of a sweep is counted from.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn sweep_clock(&self, sweep: &str) -> Result<SweepClock, StoreError> {
        let connection = self.connection();
        let key = key(&connection, sweep)?;
        connection
            .query_row(
                "SELECT boot_id, created_boot_ms, created_wall_ms, now_ms FROM sweep WHERE key = ?1",
                [key],
                |row| {
                    let created = Stamp {
                        boot_id: row.get(0)?,
                        boot_ms: unsigned(row.get(1)?),
                        wall_ms: row.get(2)?,
                    };
                    Ok(SweepClock {
                        created,
                        now_ms: unsigned(row.get(3)?),
                    })
                },
            )
            .map_err(self.sorted())
    }

    /// The document that the engine kept by [`super::Change::Prepared`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn preparation(&self, sweep: &str) -> Result<Option<serde_json::Value>, StoreError> {
        let connection = self.connection();
        let key = key(&connection, sweep)?;
        let text: Option<String> = connection
            .query_row("SELECT preparation FROM sweep WHERE key = ?1", [key], |row| {
                row.get(0)
            })
            .map_err(self.sorted())?;
        text.map(|text| parsed(&text, "preparation")).transpose()
    }

    /// Sweeps, newest first.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn sweeps(&self, filter: &SweepFilter) -> Result<Vec<SweepRow>, StoreError> {
        let mut sql = format!("SELECT {COLUMNS} FROM sweep WHERE 1");
        let mut values: Vec<String> = Vec::new();
        if let Some(experiment) = &filter.experiment {
            values.push(experiment.clone());
            sql.push_str(&format!(" AND experiment = ?{}", values.len()));
        }
        if let Some(file) = &filter.file {
            values.push(file.to_string_lossy().into_owned());
            sql.push_str(&format!(" AND file = ?{}", values.len()));
        }
        if !filter.states.is_empty() {
            let words: Vec<String> = filter
                .states
                .iter()
                .map(|state| format!("'{}'", state.word()))
                .collect();
            sql.push_str(&format!(" AND state IN ({})", words.join(", ")));
        }
        if !filter.archived {
            sql.push_str(" AND archived = 0");
        }
        if let Some(after) = &filter.after {
            values.push(after.clone());
            sql.push_str(&format!(
                " AND (created_wall_ms, key) < (SELECT created_wall_ms, key FROM sweep WHERE id = ?{})",
                values.len()
            ));
        }
        sql.push_str(" ORDER BY created_wall_ms DESC, key DESC");
        if let Some(limit) = filter.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        self.sweep_rows(&sql, &values)
    }

    /// One sweep by its id, a unique beginning of it (`HD_` may be left out), or `latest`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub fn sweep(&self, reference: &str) -> Result<SweepRow, StoreError> {
        let id = self.resolve(reference)?;
        self.sweep_rows(&format!("SELECT {COLUMNS} FROM sweep WHERE id = ?1"), &[id])?
            .pop()
            .ok_or_else(|| StoreError::NotFound(reference.to_owned()))
    }

    /// The id that [`Store::sweep`] finds.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub fn resolve(&self, reference: &str) -> Result<String, StoreError> {
        let connection = self.connection();
        let unknown = || StoreError::NotFound(reference.to_owned());
        let ids = |sql: &str, value: &[&str]| -> Result<Vec<String>, rusqlite::Error> {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(rusqlite::params_from_iter(value), |row| row.get(0))?;
            rows.collect()
        };
        let exact = ids("SELECT id FROM sweep WHERE id = ?1", &[reference]).map_err(self.sorted())?;
        if let Some(id) = exact.into_iter().next() {
            return Ok(id);
        }
        if reference == "latest" {
            let newest =
                "SELECT id FROM sweep WHERE archived = 0 ORDER BY created_wall_ms DESC, key DESC LIMIT 1";
            return ids(newest, &[])
                .map_err(self.sorted())?
                .into_iter()
                .next()
                .ok_or_else(unknown);
        }
        if reference.is_empty() {
            return Err(unknown());
        }
        let begins = "SELECT id FROM sweep WHERE substr(id, 1, length(?1)) = ?1 \
            OR substr(id, 1, length(?1) + 3) = 'HD_' || ?1 ORDER BY created_wall_ms DESC LIMIT 12";
        let mut candidates = ids(begins, &[reference]).map_err(self.sorted())?;
        match (candidates.pop(), candidates.is_empty()) {
            (None, _) => Err(unknown()),
            (Some(id), true) => Ok(id),
            (Some(last), false) => {
                candidates.push(last);
                Err(StoreError::Ambiguous {
                    reference: reference.to_owned(),
                    candidates,
                })
            }
        }
    }

    /// Replaces the user's tags.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_tags(&self, sweep: &str, tags: &IndexMap<String, String>) -> Result<(), StoreError> {
        self.label(
            sweep,
            "UPDATE sweep SET tags = ?2 WHERE id = ?1",
            &document(tags, "tags")?,
        )
    }

    /// Replaces the user's notes; empty text removes them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_notes(&self, sweep: &str, notes: &str) -> Result<(), StoreError> {
        self.label(
            sweep,
            "UPDATE sweep SET notes = nullif(?2, '') WHERE id = ?1",
            notes,
        )
    }

    /// Hides the sweep from lists, or shows it again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_archived(&self, sweep: &str, archived: bool) -> Result<(), StoreError> {
        self.label(
            sweep,
            "UPDATE sweep SET archived = (?2 = '1') WHERE id = ?1",
            if archived { "1" } else { "0" },
        )
    }

    /// Notes that a command waits for the end of the sweep, or (`false`) that the end has been told. A sweep that has ended and is
    /// still awaited was led by a command that was killed before it could deliver the result.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_awaited(&self, sweep: &str, awaited: bool) -> Result<(), StoreError> {
        self.label(
            sweep,
            "UPDATE sweep SET awaited = (?2 = '1') WHERE id = ?1",
            if awaited { "1" } else { "0" },
        )
    }

    /// Whether a command that waits for the end of the sweep has not told it yet.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn awaited(&self, sweep: &str) -> Result<bool, StoreError> {
        let connection = self.connection();
        let key = key(&connection, sweep)?;
        connection
            .query_row("SELECT awaited FROM sweep WHERE key = ?1", [key], |row| {
                row.get(0)
            })
            .map_err(self.sorted())
    }

    fn label(&self, sweep: &str, sql: &str, value: &str) -> Result<(), StoreError> {
        let changed = self
            .writing()?
            .execute(sql, params![sweep, value])
            .map_err(self.sorted())?;
        if changed == 0 {
            Err(StoreError::NotFound(sweep.to_owned()))
        } else {
            Ok(())
        }
    }

    fn sweep_rows(&self, sql: &str, values: &[String]) -> Result<Vec<SweepRow>, StoreError> {
        let connection = self.connection();
        let now = self.clock.stamp();
        let mut statement = connection.prepare_cached(sql).map_err(self.sorted())?;
        let mut counts = connection
            .prepare_cached("SELECT state, trials FROM trial_count WHERE sweep = ?1 AND trials > 0")
            .map_err(self.sorted())?;
        let mut rows = statement
            .query(rusqlite::params_from_iter(values))
            .map_err(self.sorted())?;
        let mut sweeps = Vec::new();
        while let Some(row) = rows.next().map_err(self.sorted())? {
            let (key, mut sweep) = sweep_row(row, &now)?;
            let trials = counts
                .query_map([key], |row| Ok((row.get::<_, String>(0)?, unsigned(row.get(1)?))))
                .and_then(Iterator::collect)
                .map_err(self.sorted())?;
            sweep.trials = trials;
            sweeps.push(sweep);
        }
        Ok(sweeps)
    }
}

fn sweep_row(row: &Row<'_>, now: &Stamp) -> Result<(i64, SweepRow), StoreError> {
    let created = Stamp {
        boot_id: row.get(14)?,
        boot_ms: unsigned(row.get(15)?),
        wall_ms: row.get(16)?,
    };
    let ended = row.get::<_, Option<i64>>(18)?;
    let best = match (row.get::<_, Option<i64>>(20)?, row.get::<_, Option<f64>>(21)?) {
        (Some(trial), Some(value)) => {
            let interval: Option<i64> = row.get(22)?;
            let parameters: Option<String> = row.get(24)?;
            Some(Best {
                trial: unsigned(trial),
                value,
                step: row
                    .get::<_, Option<i64>>(23)?
                    .or(interval.map(|interval| interval - 1)),
                parameters: parameters
                    .map(|text| parsed(&text, "parameters"))
                    .transpose()?
                    .unwrap_or_default(),
            })
        }
        _ => None,
    };
    let sweep = SweepRow {
        sweep: row.get(1)?,
        experiment: row.get(2)?,
        display_name: row.get(3)?,
        file: row.get(4)?,
        folder: row.get(5)?,
        targets: parsed(&row.get::<_, String>(6)?, "targets")?,
        metric: row.get(7)?,
        goal: row
            .get::<_, Option<String>>(8)?
            .and_then(|word| codec::goal(&word)),
        state: codec::sweep_state(&row.get::<_, String>(9)?),
        reason: row.get(10)?,
        max_total_runs: unsigned(row.get(11)?),
        max_concurrent_runs: unsigned(row.get(12)?),
        max_duration_minutes: row
            .get::<_, Option<i64>>(13)?
            .map(|milliseconds| milliseconds as f64 / 60_000.0),
        created: iso(created.wall_ms),
        ended: ended.map(|at| iso(created.wall_ms.saturating_add(at))),
        duration_ms: ended.map_or_else(|| now.since(&created, row.get(17).map_or(0, unsigned)), unsigned),
        trials: IndexMap::new(),
        stopped_by_policy: unsigned(row.get(19)?),
        best,
        tags: parsed(&row.get::<_, String>(25)?, "tags")?,
        notes: row.get(26)?,
        archived: row.get(27)?,
    };
    Ok((row.get(0)?, sweep))
}
