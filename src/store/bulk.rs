//! Many rows at once, with only the columns that charts need.

use super::codec::{Naming, number, read_assignment, signed, trial_state, unsigned};
use super::error::StoreError;
use super::open::Store;
use super::row::MetricPoint;
use crate::history::TrialState;
use crate::space::Value;
use indexmap::IndexMap;
use rusqlite::types::Value as Sql;
use rusqlite::{OptionalExtension, params};

/// An ended trial's place in the course of a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Number.
    pub trial: u64,
    /// Milliseconds since the sweep's creation.
    pub ended_ms: u64,
    /// Milliseconds from start to end, if it was started.
    pub duration_ms: Option<u64>,
    /// Best value of the primary metric.
    pub best: Option<f64>,
    /// Accepted reports of the primary metric.
    pub reports: u64,
    /// Whether the policy stopped it.
    pub stopped: bool,
    /// Whether it failed.
    pub failed: bool,
}

/// A trial with what searching, sorting and drawing need, without the texts that only its own page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// Number.
    pub trial: u64,
    /// State.
    pub state: TrialState,
    /// One line for people.
    pub reason: Option<String>,
    /// Parameters by their names as declared.
    pub parameters: IndexMap<String, Value>,
    /// Best value of the primary metric.
    pub best: Option<f64>,
    /// Last value of the primary metric.
    pub last: Option<f64>,
    /// Accepted reports of the primary metric.
    pub reports: u64,
    /// Attempts so far.
    pub attempts: u64,
    /// Milliseconds since the sweep's creation.
    pub created_ms: u64,
    /// Milliseconds since the sweep's creation.
    pub started_ms: Option<u64>,
    /// Milliseconds since the sweep's creation.
    pub ended_ms: Option<u64>,
    /// Mean that the sampler expected.
    pub predicted: Option<f64>,
    /// Where the policy stopped it: interval, value, threshold.
    pub stop: Option<(u64, Option<f64>, Option<f64>)>,
}

/// A trial's values of one metric in order of arrival; NaN kept.
pub type Curve = (u64, TrialState, Vec<f64>);

impl Store {
    /// Ended trials in the order of their end; with `since`, only those that changed their state after that position of the event log.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn scores(&self, sweep: &str, since: Option<u64>) -> Result<Vec<Score>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let changed = match since {
            None => "?2 IS NULL",
            Some(_) => {
                "number IN (SELECT trial FROM event WHERE sweep = ?1 AND seq > ?2 AND kind = 'trial_state')"
            }
        };
        let mut statement = connection
            .prepare_cached(&format!(
                "SELECT number, ended_ms, started_ms, best, reports, stop IS NOT NULL, state = 'Failed' FROM trial \
                 WHERE sweep = ?1 AND ended_ms IS NOT NULL AND {changed} ORDER BY ended_ms, number"
            ))
            .map_err(self.sorted())?;
        let rows = statement.query_map(params![key, since.map(signed)], |row| {
            let ended_ms = unsigned(row.get(1)?);
            let started: Option<i64> = row.get(2)?;
            Ok(Score {
                trial: unsigned(row.get(0)?),
                ended_ms,
                duration_ms: started.map(|started| ended_ms.saturating_sub(unsigned(started))),
                best: row.get(3)?,
                reports: unsigned(row.get(4)?),
                stopped: row.get(5)?,
                failed: row.get(6)?,
            })
        });
        rows.and_then(Iterator::collect).map_err(self.sorted())
    }

    /// Milliseconds from start to end of all ended trials together, by the target of their last attempt.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn spent_by_target(&self, sweep: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT (SELECT target FROM attempt WHERE attempt.sweep = trial.sweep AND attempt.trial = trial.number \
                 ORDER BY number DESC LIMIT 1) AS place, SUM(MAX(ended_ms - started_ms, 0)) FROM trial \
                 WHERE sweep = ?1 AND ended_ms IS NOT NULL AND started_ms IS NOT NULL GROUP BY place",
            )
            .map_err(self.sorted())?;
        let rows = statement.query_map(params![key], |row| {
            let place: Option<String> = row.get(0)?;
            Ok((place.unwrap_or_default(), unsigned(row.get(1)?)))
        });
        rows.and_then(Iterator::collect).map_err(self.sorted())
    }

    /// Shows all trials in brief to `each`, by number; with `since`, only those that something happened to after that position of the
    /// event log.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn briefs(
        &self,
        sweep: &str,
        since: Option<u64>,
        mut each: impl FnMut(Brief),
    ) -> Result<(), StoreError> {
        let naming = Naming::of(self.experiment(sweep)?);
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let changed = match since {
            None => "?2 IS NULL",
            Some(_) => "number IN (SELECT DISTINCT trial FROM event WHERE sweep = ?1 AND seq > ?2)",
        };
        let mut statement = connection
            .prepare_cached(&format!(
                "SELECT number, state, reason, assignment, best, last_seq, last_value, reports, attempts, started_ms, ended_ms, \
                 CASE WHEN json_valid(origin) THEN json_extract(origin, '$.predicted.mean') END, \
                 stop IS NOT NULL, json_extract(stop, '$.interval'), json_extract(stop, '$.value'), json_extract(stop, '$.threshold'), created_ms \
                 FROM trial WHERE sweep = ?1 AND {changed} ORDER BY number"
            ))
            .map_err(self.sorted())?;
        let mut rows = statement
            .query(params![key, since.map(signed)])
            .map_err(self.sorted())?;
        while let Some(row) = rows.next().map_err(self.sorted())? {
            // Numbers that JSON has no sign for are words there.
            let real = |index: usize| match row.get::<_, Sql>(index) {
                Ok(Sql::Real(value)) => Some(value),
                Ok(Sql::Integer(value)) => Some(value as f64),
                _ => None,
            };
            let millis = |at: Option<i64>| at.map(unsigned);
            let last = row.get::<_, Option<i64>>(5)?.is_some();
            let assignment = row.get_ref(3)?.as_str().unwrap_or_default();
            each(Brief {
                trial: unsigned(row.get(0)?),
                state: trial_state(row.get_ref(1)?.as_str().unwrap_or_default()),
                reason: row.get(2)?,
                parameters: naming.name(&read_assignment(assignment, naming.parameters)?),
                best: row.get(4)?,
                last: if last { Some(number(row.get(6)?)) } else { None },
                reports: unsigned(row.get(7)?),
                attempts: unsigned(row.get(8)?),
                created_ms: unsigned(row.get(16)?),
                started_ms: millis(row.get(9)?),
                ended_ms: millis(row.get(10)?),
                predicted: real(11),
                stop: if row.get(12)? {
                    Some((real(13).unwrap_or(0.0) as u64, real(14), real(15)))
                } else {
                    None
                },
            });
        }
        Ok(())
    }

    /// The last value of one metric by trial, of the latest attempts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn last_values(&self, sweep: &str, metric: &str) -> Result<Vec<(u64, f64)>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT t.number, p.value FROM metric m JOIN trial t ON t.sweep = m.sweep \
                 JOIN series s ON s.sweep = t.sweep AND s.trial = t.number AND s.metric = m.key AND s.attempt = max(t.attempts - 1, 0) \
                 JOIN point p ON p.sweep = t.sweep AND p.metric = m.key AND p.trial = t.number AND p.attempt = s.attempt \
                 AND p.seq = s.points - 1 WHERE m.sweep = ?1 AND m.name = ?2",
            )
            .map_err(self.sorted())?;
        let rows = statement.query_map(params![key, metric], |row| {
            Ok((unsigned(row.get(0)?), number(row.get(1)?)))
        });
        rows.and_then(Iterator::collect).map_err(self.sorted())
    }

    /// The last point of every metric of a trial's latest attempt, by name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn last_points(&self, sweep: &str, trial: u64) -> Result<Vec<(String, MetricPoint)>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT m.name, p.seq, p.step, p.elapsed_ms, p.value FROM trial t \
                 JOIN series s ON s.sweep = t.sweep AND s.trial = t.number AND s.attempt = max(t.attempts - 1, 0) \
                 JOIN metric m ON m.key = s.metric \
                 JOIN point p ON p.sweep = t.sweep AND p.metric = s.metric AND p.trial = t.number AND p.attempt = s.attempt \
                 AND p.seq = s.points - 1 WHERE t.sweep = ?1 AND t.number = ?2 ORDER BY m.name",
            )
            .map_err(self.sorted())?;
        let rows = statement.query_map(params![key, signed(trial)], |row| {
            let seq: i64 = row.get(1)?;
            // MLflow's clients send step 0 when the script gave none.
            let step = row.get::<_, Option<i64>>(2)?.filter(|step| *step != 0);
            let point = MetricPoint {
                seq: unsigned(seq),
                step: step.unwrap_or(seq),
                elapsed_ms: unsigned(row.get(3)?),
                value: number(row.get(4)?),
            };
            Ok((row.get(0)?, point))
        });
        rows.and_then(Iterator::collect).map_err(self.sorted())
    }

    /// What trials' scripts set under one kind and key, by trial.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn facts_named(&self, sweep: &str, kind: &str, key: &str) -> Result<Vec<(u64, String)>, StoreError> {
        let connection = self.connection();
        let sweep = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached("SELECT trial, value FROM fact WHERE sweep = ?1 AND kind = ?2 AND key = ?3")
            .map_err(self.sorted())?;
        let rows = statement.query_map(params![sweep, kind, key], |row| {
            Ok((unsigned(row.get(0)?), row.get(1)?))
        });
        rows.and_then(Iterator::collect).map_err(self.sorted())
    }

    /// Every point of one metric, shown to `each` as (trial, attempt, value), by trial, attempt and order of arrival; one walk along the table.
    /// With `trials`, only those trials.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn every_point(
        &self,
        sweep: &str,
        metric: &str,
        trials: Option<&[u64]>,
        mut each: impl FnMut(u64, u64, f64),
    ) -> Result<(), StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let name: Option<i64> = connection
            .prepare_cached("SELECT key FROM metric WHERE sweep = ?1 AND name = ?2")
            .and_then(|mut statement| {
                statement
                    .query_row(params![key, metric], |row| row.get(0))
                    .optional()
            })
            .map_err(self.sorted())?;
        let Some(name) = name else { return Ok(()) };
        let mut statement = connection
            .prepare_cached(
                "SELECT trial, attempt, value FROM point WHERE sweep = ?1 AND metric = ?2 AND trial >= ?3 AND trial <= ?4 \
                 ORDER BY trial, attempt, seq",
            )
            .map_err(self.sorted())?;
        let one = |trial: &u64| (signed(*trial), signed(*trial));
        let ranges: Vec<(i64, i64)> =
            trials.map_or(vec![(0, i64::MAX)], |trials| trials.iter().map(one).collect());
        for (first, last) in ranges {
            let mut rows = statement
                .query(params![key, name, first, last])
                .map_err(self.sorted())?;
            while let Some(row) = rows.next().map_err(self.sorted())? {
                each(unsigned(row.get(0)?), unsigned(row.get(1)?), number(row.get(2)?));
            }
        }
        Ok(())
    }

    /// Curves of the latest attempts of at most `limit` trials with numbers above `after`, by number. Trials without a point of
    /// the metric are left out.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn curves(
        &self,
        sweep: &str,
        metric: &str,
        after: Option<u64>,
        limit: u64,
    ) -> Result<Vec<Curve>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT t.number, t.state, p.value FROM \
                 (SELECT number, state, max(attempts - 1, 0) AS attempt FROM trial \
                  WHERE sweep = ?1 AND number > ?3 ORDER BY number LIMIT ?4) t \
                 JOIN point p ON p.sweep = ?1 AND p.trial = t.number AND p.attempt = t.attempt \
                 AND p.metric = (SELECT key FROM metric WHERE sweep = ?1 AND name = ?2) \
                 ORDER BY t.number, p.seq",
            )
            .map_err(self.sorted())?;
        let after = after.map_or(-1, signed);
        let mut rows = statement
            .query(params![key, metric, after, signed(limit)])
            .map_err(self.sorted())?;
        let mut curves: Vec<Curve> = Vec::new();
        while let Some(row) = rows.next().map_err(self.sorted())? {
            let trial = unsigned(row.get(0)?);
            let value = number(row.get(2)?);
            match curves.last_mut() {
                Some((last, _, values)) if *last == trial => values.push(value),
                _ => curves.push((trial, trial_state(&row.get::<_, String>(1)?), vec![value])),
            }
        }
        Ok(curves)
    }
}
