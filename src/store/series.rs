//! Curves, facts, artifacts: what the scripts told.

use super::codec::{number, signed, unsigned};
use super::error::StoreError;
use super::open::Store;
use super::row::{ArtifactRow, FactRow, MetricPoint, MetricSummary};
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeMap;

/// Values that scripts logged on the sweep: by name, then (trial, values in order).
pub type SweepMetrics = BTreeMap<String, Vec<(u64, Vec<serde_json::Value>)>>;

impl Store {
    /// Names of all metrics that the sweep's trials reported (or one trial did), with how many trials and points, by name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn metric_names(&self, sweep: &str, trial: Option<u64>) -> Result<Vec<MetricSummary>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT m.name, count(DISTINCT s.trial), sum(s.points) FROM metric m JOIN series s \
                 ON s.metric = m.key AND s.sweep = m.sweep \
                 WHERE m.sweep = ?1 AND (?2 IS NULL OR s.trial = ?2) GROUP BY m.key ORDER BY m.name",
            )
            .map_err(self.sorted())?;
        let rows = statement.query_map(params![key, trial.map(signed)], |row| {
            Ok(MetricSummary {
                name: row.get(0)?,
                trials: unsigned(row.get(1)?),
                points: unsigned(row.get(2)?),
            })
        });
        rows.and_then(Iterator::collect).map_err(self.sorted())
    }

    /// All points of one metric of one trial's latest attempt (or the given one), in order of arrival. Steps that were not given are positions; a
    /// series whose steps are all 0 counts as given without.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn curve(
        &self,
        sweep: &str,
        trial: u64,
        metric: &str,
        attempt: Option<u32>,
    ) -> Result<Vec<MetricPoint>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let sorted = self.sorted();
        let name: Option<i64> = connection
            .prepare_cached("SELECT key FROM metric WHERE sweep = ?1 AND name = ?2")
            .and_then(|mut statement| {
                statement
                    .query_row(params![key, metric], |row| row.get(0))
                    .optional()
            })
            .map_err(sorted)?;
        let Some(name) = name else { return Ok(Vec::new()) };
        let attempt: i64 = match attempt {
            Some(attempt) => i64::from(attempt),
            None => connection
                .prepare_cached("SELECT max(attempts - 1, 0) FROM trial WHERE sweep = ?1 AND number = ?2")
                .and_then(|mut statement| {
                    statement
                        .query_row(params![key, signed(trial)], |row| row.get(0))
                        .optional()
                })
                .map_err(sorted)?
                .unwrap_or(0),
        };
        let mut statement = connection
            .prepare_cached(
                "SELECT seq, step, elapsed_ms, value FROM point \
                 WHERE sweep = ?1 AND trial = ?2 AND metric = ?3 AND attempt = ?4 ORDER BY seq",
            )
            .map_err(sorted)?;
        let points: Vec<(u64, Option<i64>, u64, f64)> = statement
            .query_map(params![key, signed(trial), name, attempt], |row| {
                Ok((
                    unsigned(row.get(0)?),
                    row.get(1)?,
                    unsigned(row.get(2)?),
                    number(row.get(3)?),
                ))
            })
            .and_then(Iterator::collect)
            .map_err(sorted)?;
        // MLflow's clients send step 0 when the script gave none.
        let stepless = points.len() > 1 && points.iter().all(|(_, step, _, _)| *step == Some(0));
        Ok(points
            .into_iter()
            .map(|(seq, step, elapsed_ms, value)| MetricPoint {
                seq,
                step: step.filter(|_| !stepless).unwrap_or_else(|| signed(seq)),
                elapsed_ms,
                value,
            })
            .collect())
    }

    /// Parameters, tags and properties that a trial's script set.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn facts(&self, sweep: &str, trial: u64) -> Result<Vec<FactRow>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT kind, key, value FROM fact WHERE sweep = ?1 AND trial = ?2 ORDER BY kind, key",
            )
            .map_err(self.sorted())?;
        let rows = statement.query_map(params![key, signed(trial)], |row| {
            Ok(FactRow {
                kind: row.get(0)?,
                key: row.get(1)?,
                value: row.get(2)?,
            })
        });
        rows.and_then(Iterator::collect).map_err(self.sorted())
    }

    /// What scripts logged on the sweep itself (`run.parent.log`): by name, then by trial, the values in order.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn sweep_metrics(&self, sweep: &str) -> Result<SweepMetrics, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT key, trial, value FROM fact WHERE sweep = ?1 AND kind = 'sweep_metric' ORDER BY trial, key",
            )
            .map_err(self.sorted())?;
        let rows = statement
            .query_map(params![key], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    unsigned(row.get(1)?),
                    row.get::<_, String>(2)?,
                ))
            })
            .map_err(self.sorted())?;
        let mut metrics = SweepMetrics::new();
        for row in rows {
            let (name, trial, values) = row.map_err(self.sorted())?;
            let values = super::codec::parsed(&values, "sweep metric")?;
            metrics.entry(name).or_default().push((trial, values));
        }
        Ok(metrics)
    }

    /// Files that a trial's script handed over.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn artifacts(&self, sweep: &str, trial: u64) -> Result<Vec<ArtifactRow>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT attempt, kind, name, path FROM artifact WHERE sweep = ?1 AND trial = ?2 ORDER BY attempt, path, name",
            )
            .map_err(self.sorted())?;
        let rows = statement.query_map(params![key, signed(trial)], |row| {
            Ok(ArtifactRow {
                attempt: row.get(0)?,
                kind: row.get(1)?,
                name: row.get(2)?,
                path: row.get(3)?,
            })
        });
        rows.and_then(Iterator::collect).map_err(self.sorted())
    }
}
