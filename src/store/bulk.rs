//! Many rows at once, with only the columns that charts need.

use super::codec::{number, signed, trial_state, unsigned};
use super::error::StoreError;
use super::open::Store;
use crate::history::TrialState;
use rusqlite::params;

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
                "SELECT number, ended_ms, started_ms, best, reports, stop IS NOT NULL FROM trial \
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
            })
        });
        rows.and_then(Iterator::collect).map_err(self.sorted())
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
