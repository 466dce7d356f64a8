//! All that the controller needs to go on: read in two scans, whatever the size of the sweep.

use super::codec::{self, number, read_assignment, unsigned};
use super::error::StoreError;
use super::open::Store;
use crate::controller::{AttemptState, Losses, Progress, Snapshot};
use crate::history::{History, Trial};
use crate::metric::{Goal, Series};
use rusqlite::{OptionalExtension, params};
use std::collections::{HashSet, VecDeque};

impl Store {
    /// The state of a sweep as of its last commit; equals the controller's fold of its records.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn snapshot(&self, sweep: &str) -> Result<Snapshot, StoreError> {
        let experiment = self.experiment(sweep)?;
        let goal = experiment
            .metric
            .as_ref()
            .map_or(Goal::Minimize, |metric| metric.goal);
        let parameters = experiment.space.parameters.len();
        let connection = self.connection();
        let sorted = self.sorted();
        let key = super::sweeps::key(&connection, sweep)?;
        // One instant for all tables, whoever writes meanwhile.
        let reading = connection.unchecked_transaction().map_err(sorted)?;
        let progress =
            super::progress::read(&reading, key)?.unwrap_or_else(|| Progress::new(experiment.limits));
        let mut history = History::new(goal);
        let mut attempts = Vec::new();
        {
            let mut statement = reading
                .prepare_cached(
                    "SELECT t.number, t.assignment, t.state, t.cause, t.attempts, t.phase, a.number IS NOT NULL FROM trial t \
                     LEFT JOIN attempt a INDEXED BY attempt_open ON a.sweep = t.sweep AND a.trial = t.number \
                     AND a.number = t.attempts - 1 AND a.outcome IS NULL WHERE t.sweep = ?1 ORDER BY t.number",
                )
                .map_err(sorted)?;
            let mut rows = statement.query([key]).map_err(sorted)?;
            while let Some(row) = rows.next().map_err(sorted)? {
                let text = |index| {
                    row.get_ref(index)
                        .and_then(|value| Ok(value.as_str()?))
                        .map_err(sorted)
                };
                history.trials.push(Trial {
                    number: unsigned(row.get(0)?),
                    assignment: read_assignment(text(1)?, parameters)?,
                    state: codec::trial_state(text(2)?),
                    series: Series::default(),
                    cause: row
                        .get::<_, Option<String>>(3)?
                        .and_then(|word| codec::cause(&word)),
                });
                attempts.push(AttemptState {
                    created: row.get(4)?,
                    alive: row.get(6)?,
                    phase: codec::trial_state(text(5)?),
                    losses: Losses::default(),
                });
            }
        }
        let mut superseded: HashSet<(i64, i64)> = HashSet::new();
        {
            let mut statement = reading
                .prepare_cached(
                    "SELECT trial, number, outcome FROM attempt WHERE sweep = ?1 AND superseded = 1",
                )
                .map_err(sorted)?;
            let mut rows = statement.query([key]).map_err(sorted)?;
            while let Some(row) = rows.next().map_err(sorted)? {
                let trial: i64 = row.get(0)?;
                superseded.insert((trial, row.get(1)?));
                let outcome = row.get::<_, Option<String>>(2)?;
                if let (Some(entry), Some(outcome)) = (
                    usize::try_from(trial)
                        .ok()
                        .and_then(|index| attempts.get_mut(index)),
                    outcome,
                ) {
                    entry.losses.count(&codec::parsed(&outcome, "outcome")?);
                }
            }
        }
        if let Some(metric) = &experiment.metric {
            let name: Option<i64> = reading
                .prepare_cached("SELECT key FROM metric WHERE sweep = ?1 AND name = ?2")
                .and_then(|mut statement| {
                    statement
                        .query_row(params![key, metric.name], |row| row.get(0))
                        .optional()
                })
                .map_err(sorted)?;
            let mut statement = reading
                .prepare_cached(
                    "SELECT trial, attempt, value FROM point WHERE sweep = ?1 AND metric = ?2 AND interval IS NOT NULL \
                     ORDER BY trial, attempt, seq",
                )
                .map_err(sorted)?;
            let mut rows = statement.query(params![key, name]).map_err(sorted)?;
            while let Some(row) = rows.next().map_err(sorted)? {
                let (trial, attempt): (i64, i64) = (row.get(0)?, row.get(1)?);
                if superseded.contains(&(trial, attempt)) {
                    continue;
                }
                if let Some(entry) = usize::try_from(trial)
                    .ok()
                    .and_then(|index| history.trials.get_mut(index))
                {
                    entry.series.push(goal, number(row.get(2)?));
                }
            }
        }
        let enqueued = reading
            .prepare_cached("SELECT assignment FROM enqueued WHERE sweep = ?1 ORDER BY key")
            .and_then(|mut statement| {
                statement
                    .query_map([key], |row| row.get::<_, String>(0))?
                    .collect::<Result<Vec<_>, _>>()
            })
            .map_err(sorted)?
            .iter()
            .map(|text| read_assignment(text, parameters))
            .collect::<Result<VecDeque<_>, _>>()?;
        Ok(Snapshot {
            progress,
            history,
            attempts,
            enqueued,
        })
    }

    /// Trials of an ended sweep as data for another one (`resume_from`): terminal ones only.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn ended_trials(&self, sweep: &str) -> Result<Vec<Trial>, StoreError> {
        let snapshot = self.snapshot(sweep)?;
        Ok(snapshot
            .history
            .trials
            .into_iter()
            .filter(|trial| trial.state.is_terminal())
            .collect())
    }
}
