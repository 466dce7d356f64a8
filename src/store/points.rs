//! How numbers lie in the tables: points of series, names of metrics, and what a trial's row says about its primary metric.

use super::codec::{real, signed, unsigned};
use super::error::StoreError;
use super::fold::Fold;
use crate::metric::Observation;
use rusqlite::{OptionalExtension, params};

/// Most distinct metric names of one sweep; later names are dropped with a warning.
const METRIC_NAMES: i64 = 10_000;

impl Fold<'_> {
    pub(super) fn observed(
        &mut self,
        trial: u64,
        observation: &Observation,
        interval: Option<u64>,
        seq: u64,
    ) -> Result<(), StoreError> {
        let at = params![self.sweep, signed(trial)];
        if let Some(interval) = interval {
            let best: Option<f64> = self
                .transaction
                .prepare_cached("SELECT best FROM trial WHERE sweep = ?1 AND number = ?2")?
                .query_row(at, |row| row.get(0))
                .optional()?
                .flatten();
            let value = observation.value;
            if value.is_finite() && best.is_none_or(|best| self.goal.better(value, best)) {
                self.run(
                    "UPDATE trial SET best = ?3, best_interval = ?4, best_step = ?5 WHERE sweep = ?1 AND number = ?2",
                    params![self.sweep, signed(trial), value, signed(interval), observation.step],
                )?;
            }
        }
        self.run(
            "UPDATE trial SET reports = coalesce(?3, reports), last_seq = ?4, last_value = ?5, last_step = ?6, \
             last_elapsed_ms = ?7 WHERE sweep = ?1 AND number = ?2",
            params![
                self.sweep,
                signed(trial),
                interval.map(signed),
                signed(seq),
                real(observation.value),
                observation.step,
                signed(observation.elapsed_ms)
            ],
        )
    }

    /// Appends a point; returns its position in the series, nothing if the sweep has too many metric names.
    pub(super) fn point(
        &mut self,
        now: u64,
        trial: u64,
        attempt: u32,
        name: &str,
        observation: &Observation,
        interval: Option<u64>,
    ) -> Result<Option<u64>, StoreError> {
        let Some(metric) = self.metric_key(now, name)? else {
            return Ok(None);
        };
        let place = (trial, metric, attempt);
        let seq = match self.counters.series.get(&place) {
            Some((points, _)) => *points,
            None => self
                .transaction
                .prepare_cached(
                    "SELECT points FROM series WHERE sweep = ?1 AND trial = ?2 AND metric = ?3 AND attempt = ?4",
                )?
                .query_row(params![self.sweep, signed(trial), metric, attempt], |row| row.get(0))
                .optional()?
                .map_or(0, unsigned),
        };
        self.run(
            "INSERT INTO point VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                self.sweep,
                metric,
                signed(trial),
                attempt,
                signed(seq),
                observation.step,
                signed(observation.elapsed_ms),
                real(observation.value),
                interval.map(signed)
            ],
        )?;
        self.counters.series.insert(place, (seq + 1, true));
        Ok(Some(seq))
    }

    fn metric_key(&mut self, now: u64, name: &str) -> Result<Option<i64>, StoreError> {
        if let Some(key) = self.counters.names.get(name) {
            return Ok(*key);
        }
        let known: Option<i64> = self
            .transaction
            .prepare_cached("SELECT key FROM metric WHERE sweep = ?1 AND name = ?2")?
            .query_row(params![self.sweep, name], |row| row.get(0))
            .optional()?;
        let names = || -> Result<i64, StoreError> {
            Ok(self
                .transaction
                .prepare_cached("SELECT count(*) FROM metric WHERE sweep = ?1")?
                .query_row([self.sweep], |row| row.get(0))?)
        };
        let key = match known {
            Some(key) => Some(key),
            None if names()? >= METRIC_NAMES && Some(name) != self.metric => {
                let dropped = self.counters.names.values().filter(|key| key.is_none()).count();
                if dropped == 0 {
                    let message =
                        format!("more than {METRIC_NAMES} metric names; `{name}` and later ones are dropped");
                    let data = serde_json::json!({ "code": "metric-names", "message": message });
                    self.event(now, "warning", None, None, None, Some(&data.to_string()))?;
                }
                if dropped > 100_000 {
                    return Ok(None);
                }
                None
            }
            None => {
                self.run(
                    "INSERT INTO metric (sweep, name) VALUES (?1, ?2)",
                    params![self.sweep, name],
                )?;
                Some(self.transaction.last_insert_rowid())
            }
        };
        self.counters.names.insert(name.to_owned(), key);
        Ok(key)
    }

    /// Brings the table of series up to the counters.
    pub(super) fn flush_series(&mut self) -> Result<(), StoreError> {
        let mut statement = self
            .transaction
            .prepare_cached("INSERT OR REPLACE INTO series VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for ((trial, metric, attempt), (points, behind)) in &mut self.counters.series {
            if *behind {
                statement.execute(params![
                    self.sweep,
                    signed(*trial),
                    metric,
                    attempt,
                    signed(*points)
                ])?;
                *behind = false;
            }
        }
        if self.counters.series.len() > 10_000 {
            self.counters.series.clear();
        }
        Ok(())
    }
}
