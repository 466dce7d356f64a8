//! What each change does to the rows. Must agree with the controller's own fold of its records.

use super::change::Change;
use super::codec::{Naming, cause_word, document, signed, trial_state, write_assignment};
use super::error::StoreError;
use crate::controller::fold::ENQUEUE;
use crate::controller::{Limits, Outcome, Progress, Record};
use crate::history::{CancelCause, TrialState};
use crate::metric::{Goal, Observation};
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::HashMap;

/// Values of one name that a script may log on the sweep; then the oldest go.
const SWEEP_VALUES: i64 = 1_000;

/// What the writer remembers between transactions instead of asking the tables.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) names: HashMap<String, Option<i64>>,
    /// Points by trial, metric and attempt; the flag says that the table is behind.
    pub(super) series: HashMap<(u64, i64, u32), (u64, bool)>,
    pub(super) progress: Option<(Progress, Progress)>,
}

/// One transaction's worth of changes.
pub(super) struct Fold<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) sweep: i64,
    pub(super) naming: &'a Naming,
    pub(super) metric: Option<&'a str>,
    pub(super) goal: Goal,
    /// Limits that the sweep began with.
    pub(super) limits: Limits,
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
            } if kind == "sweep_metric" => self.sweep_metric(*trial, *attempt, key, value),
            Change::Fact {
                trial,
                attempt,
                kind,
                key,
                value,
            } => {
                if kind == "sweep_tag" {
                    self.run(
                        "UPDATE sweep SET tags = json_patch(tags, json_object(?2, ?3)) WHERE key = ?1",
                        params![self.sweep, key, value],
                    )?;
                }
                self.run(
                    "INSERT INTO fact VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT DO UPDATE SET value = excluded.value, attempt = excluded.attempt",
                    params![self.sweep, signed(*trial), kind, key, attempt, value],
                )
            }
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

    fn record(&mut self, now: u64, record: &Record) -> Result<(), StoreError> {
        let (kind, trial, attempt) = label(record);
        self.progress()?.apply(record);
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
                if origin.sampler == ENQUEUE {
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
                    "UPDATE trial SET attempts = max(attempts, ?3), phase = 'Queued' WHERE sweep = ?1 AND number = ?2",
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
            Record::Freeze(stop) => {
                let mut stop = stop.clone();
                stop.operands.retain(|_, value| value.is_finite());
                self.run(
                    "UPDATE trial SET stop = ?3 WHERE sweep = ?1 AND number = ?2",
                    params![self.sweep, signed(stop.trial), document(&stop, "stop")?],
                )?;
            }
            Record::Enqueued { assignment } => self.run(
                "INSERT INTO enqueued (sweep, assignment) VALUES (?1, ?2)",
                params![self.sweep, write_assignment(assignment)?],
            )?,
            // Facts about the sweep as a whole: the progress tells.
            Record::Frozen { .. }
            | Record::Thaw(_)
            | Record::Thawed { .. }
            | Record::Incumbent { .. }
            | Record::LimitsChanged(_)
            | Record::Exhausted { .. }
            | Record::Observed { .. }
            | Record::Anomaly { .. } => {}
            Record::SweepState { state, .. } => self.run(
                "UPDATE sweep SET ended_ms = ?2 WHERE key = ?1",
                params![self.sweep, state.is_terminal().then_some(signed(now))],
            )?,
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

    /// What a script logged on the sweep itself: the values of one name are kept in order, as a JSON list.
    fn sweep_metric(&self, trial: u64, attempt: u32, key: &str, value: &str) -> Result<(), StoreError> {
        // Python writes NaN and infinities as bare words, which are no JSON.
        let value = match serde_json::from_str::<serde_json::Value>(value) {
            Ok(value) => value,
            Err(_) => serde_json::Value::from(value),
        };
        self.run(
            "INSERT INTO fact VALUES (?1, ?2, 'sweep_metric', ?3, ?4, json_array(json(?5))) \
             ON CONFLICT DO UPDATE SET attempt = excluded.attempt, value = json_insert( \
             CASE WHEN json_array_length(value) < ?6 THEN value ELSE json_remove(value, '$[0]') END, '$[#]', json(?5))",
            params![
                self.sweep,
                signed(trial),
                key,
                attempt,
                value.to_string(),
                SWEEP_VALUES
            ],
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
                 last_value = NULL, last_step = NULL, last_elapsed_ms = NULL, phase = 'Queued' WHERE sweep = ?1 AND number = ?2",
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
        // Why a trial was asked to stop stays the reason once it has stopped.
        let keep = before == TrialState::CancelRequested && state == TrialState::Canceled;
        let phase = matches!(state, TrialState::Preparing | TrialState::Running).then(|| state.word());
        self.run(
            "UPDATE trial SET state = ?3, cause = ?4, reason = CASE WHEN ?9 THEN coalesce(?5, reason) ELSE ?5 END, \
             started_ms = CASE WHEN ?6 THEN coalesce(started_ms, ?7) ELSE started_ms END, \
             ended_ms = CASE WHEN ?8 THEN ?7 ELSE NULL END, phase = coalesce(?10, phase) \
             WHERE sweep = ?1 AND number = ?2",
            params![
                self.sweep,
                signed(trial),
                state.word(),
                cause.map(cause_word),
                reason,
                started,
                signed(now),
                state.is_terminal(),
                keep,
                phase
            ],
        )?;
        let by_policy = cause == Some(&CancelCause::Policy);
        if before == TrialState::Paused && state != TrialState::Paused && !by_policy {
            // The decision to freeze it is not what became of it.
            self.run(
                "UPDATE trial SET stop = NULL WHERE sweep = ?1 AND number = ?2",
                params![self.sweep, signed(trial)],
            )?;
        }
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

    fn count(&self, state: TrialState, by: i64) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO trial_count VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET trials = trials + excluded.trials",
            params![self.sweep, state.word(), by],
        )
    }

    pub(super) fn event(
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

    pub(super) fn run(&self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
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
        Record::Freeze(stop) => ("freeze", Some(stop.trial), None),
        Record::Frozen { trial, attempt, .. } => ("frozen", Some(*trial), Some(*attempt)),
        Record::Thaw(thaw) => ("thaw", Some(thaw.trial), None),
        Record::Thawed { trial, attempt } => ("thawed", Some(*trial), Some(*attempt)),
        Record::Incumbent { trial, .. } => ("incumbent", Some(*trial), None),
        Record::Enqueued { .. } => ("enqueued", None, None),
        Record::LimitsChanged(_) => ("limits_changed", None, None),
        Record::Exhausted { .. } => ("exhausted", None, None),
        Record::SweepState { .. } => ("sweep_state", None, None),
        Record::Anomaly { .. } => ("anomaly", None, None),
    }
}
