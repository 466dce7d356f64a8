//! Attempts, read.

use super::codec::{self, parsed, read_assignment, unsigned};
use super::error::StoreError;
use super::open::Store;
use super::row::AttemptRow;
use crate::controller::Outcome;
use crate::history::TrialState;
use crate::process::Identity;
use crate::space::Assignment;
use rusqlite::params;
use serde::Serialize;

/// An attempt that has ended, as the choice of targets needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedAttempt {
    /// Trial number.
    pub trial: u64,
    /// Name of its target; empty if it was never placed.
    pub target: String,
    /// When it was created, milliseconds of the sweep.
    pub created_ms: u64,
    /// When it ended, milliseconds of the sweep.
    pub ended_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether another attempt follows.
    pub superseded: bool,
}

/// An attempt that has no outcome yet, as a resuming controller needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAttempt {
    /// Trial number.
    pub trial: u64,
    /// Attempt number.
    pub attempt: u32,
    /// Its folder; empty if it was never placed.
    pub folder: String,
    /// Random text of the folder's name.
    pub nonce: String,
    /// Name of its target.
    pub target: String,
    /// When it was created, milliseconds of the sweep.
    pub created_ms: u64,
    /// Boot id of this machine when it was placed.
    pub boot_id: String,
    /// Its runner, once it claimed.
    pub runner: Option<Identity>,
    /// Sequence number of the first journal frame that is not in the store.
    pub journal_seq: u64,
    /// The script was started.
    pub started: bool,
    /// State of the trial.
    pub state: TrialState,
    /// Values of the trial.
    pub assignment: Assignment,
}

/// What the attempts of a sweep came to on one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TargetUse {
    /// Name of the target.
    pub target: String,
    /// Attempts that have not ended.
    pub open: u64,
    /// Attempts that completed.
    pub completed: u64,
    /// Attempts that were lost, taken away or not begun, and tried again.
    pub lost: u64,
    /// Attempts that ended otherwise.
    pub others: u64,
    /// Mean time of those that completed, from placement to end, milliseconds.
    pub mean_ms: Option<u64>,
}

impl Store {
    /// What the targets of a sweep did, by name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn target_use(&self, sweep: &str) -> Result<Vec<TargetUse>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT target, sum(outcome IS NULL), sum(coalesce(outcome LIKE '%\"kind\":\"completed\"%', 0)), sum(superseded), \
                 count(*), avg(CASE WHEN outcome LIKE '%\"kind\":\"completed\"%' THEN ended_ms - created_ms END) \
                 FROM attempt WHERE sweep = ?1 AND target <> '' GROUP BY target ORDER BY target",
            )
            .map_err(self.sorted())?;
        let mut rows = statement.query([key]).map_err(self.sorted())?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(self.sorted())? {
            let [open, completed, lost, count] = [1, 2, 3, 4].map(|column| row.get::<_, i64>(column));
            let (open, completed, lost) = (unsigned(open?), unsigned(completed?), unsigned(lost?));
            let mean: Option<f64> = row.get(5)?;
            all.push(TargetUse {
                target: row.get(0)?,
                open,
                completed,
                lost,
                others: unsigned(count?).saturating_sub(open + completed + lost),
                mean_ms: mean.map(|mean| mean as u64),
            });
        }
        Ok(all)
    }

    /// Attempts of a trial, or of all trials, by number.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn attempts(&self, sweep: &str, trial: Option<u64>) -> Result<Vec<AttemptRow>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT trial, number, folder, target, nonce, outcome, superseded, argv FROM attempt \
                 WHERE sweep = ?1 AND (?2 IS NULL OR trial = ?2) ORDER BY trial, number",
            )
            .map_err(self.sorted())?;
        let mut rows = statement
            .query(params![key, trial.map(codec::signed)])
            .map_err(self.sorted())?;
        let mut attempts = Vec::new();
        while let Some(row) = rows.next().map_err(self.sorted())? {
            let outcome: Option<String> = row.get(5)?;
            let argv: Option<String> = row.get(7)?;
            attempts.push(AttemptRow {
                trial: unsigned(row.get(0)?),
                attempt: row.get(1)?,
                folder: row.get(2)?,
                target: row.get(3)?,
                nonce: row.get(4)?,
                outcome: outcome.map(|text| parsed(&text, "outcome")).transpose()?,
                superseded: row.get(6)?,
                argv: argv.map(|text| parsed(&text, "argv")).transpose()?,
            });
        }
        Ok(attempts)
    }

    /// Attempts that have no outcome yet.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn open_attempts(&self, sweep: &str) -> Result<Vec<OpenAttempt>, StoreError> {
        let context = self.context(sweep)?;
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(
                "SELECT a.trial, a.number, a.folder, a.nonce, a.target, a.boot_id, a.runner, a.journal_seq, a.argv, \
                 t.state, t.assignment, a.created_ms FROM attempt a JOIN trial t ON t.sweep = a.sweep AND t.number = a.trial \
                 WHERE a.sweep = ?1 AND a.outcome IS NULL ORDER BY a.trial, a.number",
            )
            .map_err(self.sorted())?;
        let mut rows = statement.query([context.key]).map_err(self.sorted())?;
        let mut attempts = Vec::new();
        while let Some(row) = rows.next().map_err(self.sorted())? {
            let runner: Option<String> = row.get(6)?;
            attempts.push(OpenAttempt {
                trial: unsigned(row.get(0)?),
                attempt: row.get(1)?,
                folder: row.get(2)?,
                nonce: row.get(3)?,
                target: row.get(4)?,
                boot_id: row.get(5)?,
                runner: runner.map(|text| parsed(&text, "runner")).transpose()?,
                journal_seq: unsigned(row.get(7)?),
                started: row.get::<_, Option<String>>(8)?.is_some(),
                state: codec::trial_state(&row.get::<_, String>(9)?),
                assignment: read_assignment(&row.get::<_, String>(10)?, context.naming.parameters)?,
                created_ms: unsigned(row.get(11)?),
            });
        }
        Ok(attempts)
    }

    /// Attempts that have ended, in the order of their ends: what was learned about the targets they ran on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn ended_attempts(&self, sweep: &str) -> Result<Vec<EndedAttempt>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT trial, target, created_ms, ended_ms, outcome, superseded FROM attempt \
                 WHERE sweep = ?1 AND outcome IS NOT NULL ORDER BY ended_ms, trial, number",
            )
            .map_err(self.sorted())?;
        let mut rows = statement.query([key]).map_err(self.sorted())?;
        let mut attempts = Vec::new();
        while let Some(row) = rows.next().map_err(self.sorted())? {
            let ended: Option<i64> = row.get(3)?;
            attempts.push(EndedAttempt {
                trial: unsigned(row.get(0)?),
                target: row.get(1)?,
                created_ms: unsigned(row.get(2)?),
                ended_ms: unsigned(ended.unwrap_or_default()),
                outcome: parsed(&row.get::<_, String>(4)?, "outcome")?,
                superseded: row.get(5)?,
            });
        }
        Ok(attempts)
    }
}
