//! What each change does to the rows. Must agree with the controller's own fold of its records.

use super::change::Change;
use super::codec::{
    Naming, cause_word, document, read_assignment, real, signed, trial_state, unsigned, write_assignment,
};
use super::error::StoreError;
use crate::controller::{Limits, Outcome, Record};
use crate::history::{CancelCause, TrialState};
use crate::metric::{Goal, Observation};
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::HashMap;

/// Most distinct metric names of one sweep; later names are dropped with a warning.
const METRIC_NAMES: i64 = 10_000;

/// What the writer remembers between transactions instead of asking the tables.
#[derive(Default)]
pub(super) struct Counters {
    names: HashMap<String, Option<i64>>,
    /// Points by trial, metric and attempt; the flag says that the table is behind.
    series: HashMap<(u64, i64, u32), (u64, bool)>,
}

/// One transaction's worth of changes.
pub(super) struct Fold<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) sweep: i64,
    pub(super) naming: &'a Naming,
    pub(super) metric: Option<&'a str>,
    pub(super) goal: Goal,
    pub(super) counters: &'a mut Counters,
}

impl Fold<'_> {
    pub(super) fn take(&mut self, now: u64, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::Record(record) => self.record(now, record),
            Change::Placed {
                trial,
                attempt,
                nonce,
                folder,
                target,
                boot_id,
            } => self.run(
                "UPDATE attempt SET nonce = ?4, folder = ?5, target = ?6, boot_id = ?7 \
                     WHERE sweep = ?1 AND trial = ?2 AND number = ?3",
                params![
                    self.sweep,
                    signed(*trial),
                    attempt,
                    nonce,
                    folder,
                    target,
                    boot_id
                ],
            ),
            Change::Claimed {
                trial,
                attempt,
                runner,
            } => self.run(
                "UPDATE attempt SET runner = ?4 WHERE sweep = ?1 AND trial = ?2 AND number = ?3",
                params![self.sweep, signed(*trial), attempt, document(runner, "runner")?],
            ),
            Change::Started { trial, attempt, argv } => self.run(
                "UPDATE attempt SET argv = ?4 WHERE sweep = ?1 AND trial = ?2 AND number = ?3",
                params![self.sweep, signed(*trial), attempt, document(argv, "argv")?],
            ),
            Change::Point {
                trial,
                attempt,
                name,
                value,
                step,
                elapsed_ms,
            } => {
                let observation = Observation {
                    value: *value,
                    step: *step,
                    elapsed_ms: *elapsed_ms,
                };
                self.point(now, *trial, *attempt, name, &observation, None)
                    .map(|_| ())
            }
            Change::Fact {
                trial,
                attempt,
                kind,
                key,
                value,
            } => self.run(
                "INSERT INTO fact VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT DO UPDATE SET value = excluded.value, attempt = excluded.attempt",
                params![self.sweep, signed(*trial), kind, key, attempt, value],
            ),
            Change::Artifact {
                trial,
                attempt,
                kind,
                name,
                path,
            } => self.run(
                "INSERT OR REPLACE INTO artifact VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![self.sweep, signed(*trial), attempt, path, kind, name],
            ),
            Change::Warning {
                trial,
                attempt,
                code,
                message,
            } => {
                let data = serde_json::json!({ "code": code, "message": message });
                self.event(now, "warning", *trial, *attempt, None, Some(&data.to_string()))
            }
            Change::Followed { trial, attempt, next } => self.run(
                "UPDATE attempt SET journal_seq = ?4 WHERE sweep = ?1 AND trial = ?2 AND number = ?3",
                params![self.sweep, signed(*trial), attempt, signed(*next)],
            ),
            Change::Handled { request, error } => self.run(
                "UPDATE request SET handled_ms = ?3, error = ?4 WHERE sweep = ?1 AND id = ?2",
                params![self.sweep, request, signed(now), error],
            ),
            Change::Prepared(value) => self.run(
                "UPDATE sweep SET preparation = ?2 WHERE key = ?1",
                params![self.sweep, value.to_string()],
            ),
        }
    }

    /// Brings the tables up to the counters.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
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

    fn record(&mut self, now: u64, record: &Record) -> Result<(), StoreError> {
        let (kind, trial, attempt) = label(record);
        if let Record::Observed {
            trial,
            attempt,
            interval,
            observation,
            accepted,
        } = record
        {
            let name = self.metric.unwrap_or_default().to_owned();
            let interval = accepted.then_some(*interval);
            let Some(point) = self.point(now, *trial, *attempt, &name, observation, interval)? else {
                return Ok(());
            };
            self.observed(*trial, observation, interval, point)?;
            return self.event(now, kind, Some(*trial), Some(*attempt), Some(point), None);
        }
        match record {
            Record::TrialCreated {
                trial,
                assignment,
                origin,
            } => {
                self.run(
                    "INSERT INTO trial (sweep, number, assignment, origin, state, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![
                        self.sweep,
                        signed(*trial),
                        write_assignment(assignment)?,
                        document(origin, "origin")?,
                        TrialState::Queued.word(),
                        signed(now)
                    ],
                )?;
                self.count(TrialState::Queued, 1)?;
                if origin.sampler == "enqueue" {
                    self.run(
                        "DELETE FROM enqueued WHERE key = (SELECT min(key) FROM enqueued WHERE sweep = ?1)",
                        params![self.sweep],
                    )?;
                }
            }
            Record::AttemptCreated { trial, attempt } => {
                self.run(
                    "INSERT INTO attempt (sweep, trial, number, created_ms) VALUES (?1, ?2, ?3, ?4)",
                    params![self.sweep, signed(*trial), attempt, signed(now)],
                )?;
                self.run(
                    "UPDATE trial SET attempts = max(attempts, ?3) WHERE sweep = ?1 AND number = ?2",
                    params![self.sweep, signed(*trial), i64::from(*attempt) + 1],
                )?;
            }
            Record::AttemptEnded {
                trial,
                attempt,
                outcome,
                superseded,
            } => {
                self.attempt_ended(now, *trial, *attempt, outcome, *superseded)?;
            }
            Record::TrialState {
                trial,
                state,
                cause,
                reason,
            } => {
                self.trial_state(now, *trial, *state, cause.as_ref(), reason.as_deref())?;
            }
            Record::Stopped(stop) => {
                let mut stop = stop.clone();
                // JSON has no word for them, and a document that cannot be read back is worth nothing.
                stop.operands.retain(|_, value| value.is_finite());
                self.run(
                    "UPDATE trial SET stop = ?3 WHERE sweep = ?1 AND number = ?2",
                    params![self.sweep, signed(stop.trial), document(&stop, "stop")?],
                )?;
            }
            Record::Incumbent {
                trial,
                value,
                interval,
            } => self.incumbent(*trial, *value, *interval)?,
            Record::Enqueued { assignment } => self.run(
                "INSERT INTO enqueued (sweep, assignment) VALUES (?1, ?2)",
                params![self.sweep, write_assignment(assignment)?],
            )?,
            Record::LimitsChanged(Limits {
                max_total,
                max_concurrent,
                max_duration_ms,
            }) => self.run(
                "UPDATE sweep SET max_total = ?2, max_concurrent = ?3, max_duration_ms = ?4 WHERE key = ?1",
                params![
                    self.sweep,
                    signed(*max_total),
                    signed(*max_concurrent),
                    max_duration_ms.map(signed)
                ],
            )?,
            Record::Exhausted { reason } => {
                self.run(
                    "UPDATE sweep SET exhausted = ?2 WHERE key = ?1",
                    params![self.sweep, reason],
                )?;
            }
            Record::SweepState { state, reason } => self.run(
                "UPDATE sweep SET state = ?2, reason = nullif(?3, ''), ended_ms = ?4 WHERE key = ?1",
                params![
                    self.sweep,
                    state.word(),
                    reason,
                    state.is_terminal().then_some(signed(now))
                ],
            )?,
            // Nothing but the event.
            Record::Observed { .. } | Record::Anomaly { .. } => {}
        }
        self.event(
            now,
            kind,
            trial,
            attempt,
            None,
            Some(&document(record, "record")?),
        )
    }

    fn attempt_ended(
        &mut self,
        now: u64,
        trial: u64,
        attempt: u32,
        outcome: &Outcome,
        superseded: bool,
    ) -> Result<(), StoreError> {
        self.run(
            "UPDATE attempt SET outcome = ?4, superseded = ?5, ended_ms = ?6 WHERE sweep = ?1 AND trial = ?2 AND number = ?3",
            params![self.sweep, signed(trial), attempt, document(outcome, "outcome")?, superseded, signed(now)],
        )?;
        if superseded {
            // Its points stay readable by attempt; the trial counts from nothing again.
            self.run(
                "UPDATE trial SET reports = 0, best = NULL, best_interval = NULL, best_step = NULL, last_seq = NULL, \
                 last_value = NULL, last_step = NULL, last_elapsed_ms = NULL WHERE sweep = ?1 AND number = ?2",
                params![self.sweep, signed(trial)],
            )?;
        }
        Ok(())
    }

    fn trial_state(
        &mut self,
        now: u64,
        trial: u64,
        state: TrialState,
        cause: Option<&CancelCause>,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let before: Option<String> = self
            .transaction
            .prepare_cached("SELECT state FROM trial WHERE sweep = ?1 AND number = ?2")?
            .query_row(params![self.sweep, signed(trial)], |row| row.get(0))
            .optional()?;
        let Some(before) = before.map(|word| trial_state(&word)) else {
            return Ok(());
        };
        let started = state == TrialState::Running;
        self.run(
            "UPDATE trial SET state = ?3, cause = coalesce(?4, cause), reason = coalesce(?5, reason), \
             started_ms = CASE WHEN ?6 THEN coalesce(started_ms, ?7) ELSE started_ms END, \
             ended_ms = CASE WHEN ?8 THEN ?7 ELSE NULL END WHERE sweep = ?1 AND number = ?2",
            params![
                self.sweep,
                signed(trial),
                state.word(),
                cause.map(cause_word),
                reason,
                started,
                signed(now),
                state.is_terminal()
            ],
        )?;
        self.count(before, -1)?;
        self.count(state, 1)?;
        if state == TrialState::Canceled && cause == Some(&CancelCause::Policy) {
            self.run(
                "UPDATE sweep SET stopped_by_policy = stopped_by_policy + 1 WHERE key = ?1",
                params![self.sweep],
            )?;
        }
        Ok(())
    }

    fn observed(
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

    fn incumbent(&mut self, trial: u64, value: f64, interval: u64) -> Result<(), StoreError> {
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

    /// Appends a point; returns its position in the series, nothing if the sweep has too many metric names.
    fn point(
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
                signed(trial),
                metric,
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

    fn count(&self, state: TrialState, by: i64) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO trial_count VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET trials = trials + excluded.trials",
            params![self.sweep, state.word(), by],
        )
    }

    fn event(
        &self,
        now: u64,
        kind: &str,
        trial: Option<u64>,
        attempt: Option<u32>,
        point: Option<u64>,
        data: Option<&str>,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO event (sweep, at_ms, kind, trial, attempt, point, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![self.sweep, signed(now), kind, trial.map(signed), attempt, point.map(signed), data],
        )
    }

    fn run(&self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}

fn label(record: &Record) -> (&'static str, Option<u64>, Option<u32>) {
    match record {
        Record::TrialCreated { trial, .. } => ("trial_created", Some(*trial), None),
        Record::AttemptCreated { trial, attempt } => ("attempt_created", Some(*trial), Some(*attempt)),
        Record::AttemptEnded { trial, attempt, .. } => ("attempt_ended", Some(*trial), Some(*attempt)),
        Record::TrialState { trial, .. } => ("trial_state", Some(*trial), None),
        Record::Observed { trial, attempt, .. } => ("observed", Some(*trial), Some(*attempt)),
        Record::Stopped(stop) => ("stopped", Some(stop.trial), None),
        Record::Incumbent { trial, .. } => ("incumbent", Some(*trial), None),
        Record::Enqueued { .. } => ("enqueued", None, None),
        Record::LimitsChanged(_) => ("limits_changed", None, None),
        Record::Exhausted { .. } => ("exhausted", None, None),
        Record::SweepState { .. } => ("sweep_state", None, None),
        Record::Anomaly { .. } => ("anomaly", None, None),
    }
}
