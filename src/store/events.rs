//! The event log: every change of a sweep in order, for `watch` and the studio.

use super::codec::{number, signed, unsigned};
use super::error::StoreError;
use super::open::Store;
use super::row::EventRow;
use crate::clock::iso;
use rusqlite::params;
use serde_json::json;

/// Which events of a sweep to look back at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only before this position; from the newest on if absent.
    pub before: Option<u64>,
    /// Only after this position.
    pub after: u64,
    /// Only of this trial.
    pub trial: Option<u64>,
    /// Only of these kinds; empty = any.
    pub kinds: Vec<String>,
    /// Reports of the metric too; they are many.
    pub reports: bool,
    /// At most this many.
    pub limit: u64,
}

impl Store {
    /// Events of a sweep, newest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such sweep.
    pub fn events_back(&self, sweep: &str, query: &EventQuery) -> Result<Vec<EventRow>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let kinds: Vec<String> = (0..query.kinds.len())
            .map(|index| format!("?{}", index + 6))
            .collect();
        let mut sql = String::from(
            "SELECT e.seq, s.id, s.created_wall_ms + e.at_ms, e.kind, e.trial, e.data FROM event e JOIN sweep s ON s.key = e.sweep \
             WHERE e.sweep = ?1 AND e.seq < ?2 AND e.seq > ?3 AND (?4 IS NULL OR e.trial = ?4)",
        );
        if !query.reports {
            sql.push_str(" AND e.point IS NULL");
        }
        if !kinds.is_empty() {
            sql.push_str(&format!(" AND e.kind IN ({})", kinds.join(", ")));
        }
        sql.push_str(" ORDER BY e.seq DESC LIMIT ?5");
        let mut values: Vec<rusqlite::types::Value> = vec![
            key.into(),
            query.before.map_or(i64::MAX, signed).into(),
            signed(query.after).into(),
            query.trial.map(signed).into(),
            signed(query.limit).into(),
        ];
        values.extend(query.kinds.iter().map(|kind| kind.clone().into()));
        let mut statement = connection.prepare_cached(&sql).map_err(self.sorted())?;
        let rows = statement
            .query_map(rusqlite::params_from_iter(values), |row| {
                let data: Option<String> = row.get(5)?;
                Ok(EventRow {
                    seq: unsigned(row.get(0)?),
                    sweep: row.get(1)?,
                    time: iso(row.get(2)?),
                    kind: row.get(3)?,
                    trial: row.get::<_, Option<i64>>(4)?.map(unsigned),
                    data: data
                        .and_then(|text| serde_json::from_str(&text).ok())
                        .unwrap_or(serde_json::Value::Null),
                })
            })
            .map_err(self.sorted())?;
        rows.collect::<Result<_, _>>().map_err(self.sorted())
    }

    /// Events after position `seq` (0 = from the start), oldest first, at most `limit`; of one sweep or of all.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such sweep.
    pub fn events_since(
        &self,
        sweep: Option<&str>,
        seq: u64,
        limit: u64,
    ) -> Result<Vec<EventRow>, StoreError> {
        let connection = self.connection();
        let key = sweep
            .map(|sweep| super::sweeps::key(&connection, sweep))
            .transpose()?;
        let filter = if key.is_some() {
            "e.sweep = ?1"
        } else {
            "?1 IS NULL"
        };
        let sql = format!(
            "SELECT e.seq, s.id, s.created_wall_ms + e.at_ms, e.kind, e.trial, e.attempt, e.data, \
             p.seq, p.step, p.elapsed_ms, p.value, p.interval, s.metric \
             FROM event e JOIN sweep s ON s.key = e.sweep \
             LEFT JOIN metric m ON e.point IS NOT NULL AND m.sweep = e.sweep AND m.name = s.metric \
             LEFT JOIN point p ON p.sweep = e.sweep AND p.trial = e.trial AND p.metric = m.key \
             AND p.attempt = e.attempt AND p.seq = e.point \
             WHERE {filter} AND e.seq > ?2 ORDER BY e.seq LIMIT ?3"
        );
        let mut statement = connection.prepare_cached(&sql).map_err(self.sorted())?;
        let rows = statement
            .query_map(params![key, signed(seq), signed(limit)], |row| {
                let trial = row.get::<_, Option<i64>>(4)?.map(unsigned);
                let data = match row.get::<_, Option<String>>(6)? {
                    Some(text) => serde_json::from_str(&text).unwrap_or(serde_json::Value::Null),
                    None => {
                        let value = number(row.get(10)?);
                        let value = serde_json::to_value(Word(value)).unwrap_or(serde_json::Value::Null);
                        json!({
                            "record": "observed",
                            "trial": trial,
                            "attempt": row.get::<_, Option<u32>>(5)?,
                            "metric": row.get::<_, Option<String>>(12)?,
                            "seq": row.get::<_, Option<i64>>(7)?,
                            "interval": row.get::<_, Option<i64>>(11)?,
                            "accepted": row.get::<_, Option<i64>>(11)?.is_some(),
                            "step": row.get::<_, Option<i64>>(8)?,
                            "elapsed_ms": row.get::<_, Option<i64>>(9)?,
                            "value": value,
                        })
                    }
                };
                Ok(EventRow {
                    seq: unsigned(row.get(0)?),
                    sweep: row.get(1)?,
                    time: iso(row.get(2)?),
                    kind: row.get(3)?,
                    trial,
                    data,
                })
            })
            .map_err(self.sorted())?;
        rows.collect::<Result<_, _>>().map_err(self.sorted())
    }

    /// Position of the newest event; 0 if there is none.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn last_event(&self) -> Result<u64, StoreError> {
        self.connection()
            .query_row("SELECT coalesce(max(seq), 0) FROM event", [], |row| row.get(0))
            .map(unsigned)
            .map_err(self.sorted())
    }
}

#[derive(serde::Serialize)]
struct Word(#[serde(with = "crate::metric::number")] f64);
