//! Trials and attempts, read.

use super::codec::{self, Naming, parsed, read_assignment, unsigned};
use super::error::StoreError;
use super::open::Store;
use super::row::{MetricPoint, TrialRow};
use crate::clock::{Stamp, iso};
use crate::history::TrialState;
use crate::metric::Goal;
use crate::sampler::Origin;
use crate::space::Assignment;
use rusqlite::{OptionalExtension, Row, params};

/// By what to sort trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrialOrder {
    /// By number.
    #[default]
    Number,
    /// Best first; those without a value last, ties by number.
    Best,
    /// By start, those not started last.
    Started,
    /// By end, those not ended last.
    Ended,
}

/// Which trials to read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialQuery {
    /// Only in these states; empty = any.
    pub states: Vec<TrialState>,
    /// Only these numbers; empty = any.
    pub numbers: Vec<u64>,
    /// Only those with a value of the primary metric (`true`) or without (`false`).
    pub scored: Option<bool>,
    /// Sorting.
    pub order: TrialOrder,
    /// The other way round (trials without the sorted value stay last).
    pub reverse: bool,
    /// Only those behind this place in the order, that of the last row of the page before.
    pub after: Option<TrialCursor>,
    /// Skip so many.
    pub offset: u64,
    /// At most so many.
    pub limit: Option<u64>,
}

/// A place in an order of trials: pages that begin behind one neither repeat nor miss a trial that kept its place, whatever came in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrialCursor {
    /// The order it is a place in.
    pub order: TrialOrder,
    /// What the order sorts by: the value, or milliseconds since the sweep's creation; nothing for trials without, and for the order by number.
    pub key: Option<f64>,
    /// Number of the trial.
    pub trial: u64,
}

impl TrialOrder {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Number, "number"),
        (Self::Best, "best"),
        (Self::Started, "started"),
        (Self::Ended, "ended"),
    ];

    /// Its name.
    pub fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(order, _)| *order == self);
        found.map_or("number", |(_, word)| word)
    }

    /// The order of that name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(order, _)| *order)
    }
}

impl std::fmt::Display for TrialCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.", self.order.word())?;
        if let Some(key) = self.key {
            // The bits: a decimal fraction would not find its place again.
            write!(f, "{:016x}", key.to_bits())?;
        }
        write!(f, ".{}", self.trial)
    }
}

impl std::str::FromStr for TrialCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let (Some(order), Some(key), Some(trial), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let key = match key {
            "" => None,
            bits => Some(f64::from_bits(u64::from_str_radix(bits, 16).map_err(|_| ())?)),
        };
        Ok(Self {
            order: TrialOrder::named(order).ok_or(())?,
            key: key.filter(|key| key.is_finite()),
            trial: trial.parse().map_err(|_| ())?,
        })
    }
}

const COLUMNS: &str = "t.number, t.assignment, t.origin, t.state, t.cause, t.reason, t.created_ms, t.started_ms, \
    t.ended_ms, t.attempts, t.reports, t.best, t.best_interval, t.last_seq, t.last_value, t.last_step, t.last_elapsed_ms, \
    t.stop, a.folder, a.target";

const TABLES: &str =
    "trial t LEFT JOIN attempt a ON a.sweep = t.sweep AND a.trial = t.number AND a.number = t.attempts - 1";

enum Prepared<'c> {
    Kept(rusqlite::CachedStatement<'c>),
    Once(rusqlite::Statement<'c>),
}

impl<'c> std::ops::Deref for Prepared<'c> {
    type Target = rusqlite::Statement<'c>;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Kept(statement) => statement,
            Self::Once(statement) => statement,
        }
    }
}

impl std::ops::DerefMut for Prepared<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Kept(statement) => statement,
            Self::Once(statement) => statement,
        }
    }
}

pub(super) struct Context {
    pub(super) key: i64,
    created: Stamp,
    now_ms: u64,
    goal: Option<Goal>,
    pub(super) naming: Naming,
    sweep: String,
}

impl Store {
    /// Trials of a sweep.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn trials(&self, sweep: &str, query: &TrialQuery) -> Result<Vec<TrialRow>, StoreError> {
        let mut trials = Vec::new();
        self.each_trial(sweep, query, |row| trials.push(row))?;
        Ok(trials)
    }

    /// As [`Store::trials`], one at a time: for more rows than should be in memory. `take` must not ask this store for anything.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn each_trial(
        &self,
        sweep: &str,
        query: &TrialQuery,
        mut take: impl FnMut(TrialRow),
    ) -> Result<(), StoreError> {
        let context = self.context(sweep)?;
        let mut sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE t.sweep = ?1");
        if !query.states.is_empty() {
            let words: Vec<String> = query
                .states
                .iter()
                .map(|state| format!("'{}'", state.word()))
                .collect();
            sql.push_str(&format!(" AND t.state IN ({})", words.join(", ")));
        }
        if !query.numbers.is_empty() {
            let numbers: Vec<String> = query.numbers.iter().map(u64::to_string).collect();
            sql.push_str(&format!(" AND t.number IN ({})", numbers.join(",")));
        }
        match query.scored {
            Some(true) => sql.push_str(" AND t.best IS NOT NULL"),
            Some(false) => sql.push_str(" AND t.best IS NULL"),
            None => {}
        }
        let maximize = context.goal == Some(Goal::Maximize);
        let (column, down) = match query.order {
            TrialOrder::Number => ("t.number", query.reverse),
            TrialOrder::Best => ("t.best", maximize != query.reverse),
            TrialOrder::Started => ("t.started_ms", query.reverse),
            TrialOrder::Ended => ("t.ended_ms", query.reverse),
        };
        let direction = if down { "DESC" } else { "ASC" };
        if let Some(after) = query.after {
            let (beyond, trial) = (if down { "<" } else { ">" }, codec::signed(after.trial));
            sql.push_str(&match after.key {
                _ if query.order == TrialOrder::Number => format!(" AND t.number {beyond} {trial}"),
                None => format!(" AND {column} IS NULL AND t.number > {trial}"),
                Some(_) => format!(
                    " AND ({column} {beyond} ?2 OR {column} IS NULL OR ({column} = ?2 AND t.number > {trial}))"
                ),
            });
        }
        if query.order == TrialOrder::Number {
            sql.push_str(&format!(" ORDER BY {column} {direction}"));
        } else {
            sql.push_str(&format!(" ORDER BY {column} {direction} NULLS LAST, t.number"));
        }
        let limit = query.limit.map_or(-1, codec::signed);
        sql.push_str(&format!(" LIMIT {limit} OFFSET {}", codec::signed(query.offset)));
        let connection = self.connection();
        // A list of numbers makes a text that never comes again: it is not kept.
        let mut statement = if query.numbers.is_empty() {
            Prepared::Kept(connection.prepare_cached(&sql).map_err(self.sorted())?)
        } else {
            Prepared::Once(connection.prepare(&sql).map_err(self.sorted())?)
        };
        let key = query.after.and_then(|after| after.key);
        let mut rows = match key.filter(|_| query.order != TrialOrder::Number) {
            Some(key) => statement.query(params![context.key, key]),
            None => statement.query(params![context.key]),
        }
        .map_err(self.sorted())?;
        while let Some(row) = rows.next().map_err(self.sorted())? {
            take(trial_row(row, &context)?);
        }
        Ok(())
    }

    /// The place of a trial in an order of its sweep.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::NoTrial`].
    pub fn trial_cursor(
        &self,
        sweep: &str,
        trial: u64,
        order: TrialOrder,
    ) -> Result<TrialCursor, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let column = match order {
            TrialOrder::Number => "NULL",
            TrialOrder::Best => "best",
            TrialOrder::Started => "started_ms",
            TrialOrder::Ended => "ended_ms",
        };
        let found: Option<Option<f64>> = connection
            .prepare_cached(&format!(
                "SELECT CAST({column} AS REAL) FROM trial WHERE sweep = ?1 AND number = ?2"
            ))
            .and_then(|mut statement| {
                statement
                    .query_row(params![key, codec::signed(trial)], |row| row.get(0))
                    .optional()
            })
            .map_err(self.sorted())?;
        match found {
            Some(key) => Ok(TrialCursor { order, key, trial }),
            None => Err(StoreError::NoTrial {
                sweep: sweep.to_owned(),
                trial,
            }),
        }
    }

    /// One trial.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::NoTrial`].
    pub fn trial(&self, sweep: &str, trial: u64) -> Result<TrialRow, StoreError> {
        let context = self.context(sweep)?;
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM {TABLES} WHERE t.sweep = ?1 AND t.number = ?2"
            ))
            .map_err(self.sorted())?;
        let mut rows = statement
            .query(params![context.key, codec::signed(trial)])
            .map_err(self.sorted())?;
        match rows.next().map_err(self.sorted())? {
            Some(row) => trial_row(row, &context),
            None => Err(StoreError::NoTrial {
                sweep: context.sweep,
                trial,
            }),
        }
    }

    /// Place of a trial among those with a value (best = 1; nothing if it has none), and how many have one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn rank(&self, sweep: &str, trial: u64) -> Result<(Option<u64>, u64), StoreError> {
        let context = self.context(sweep)?;
        let better = if context.goal == Some(Goal::Maximize) {
            ">"
        } else {
            "<"
        };
        let connection = self.connection();
        connection
            .prepare_cached(&format!(
                "SELECT (SELECT best FROM trial WHERE sweep = ?1 AND number = ?2) IS NOT NULL, \
                 (SELECT count(*) FROM trial WHERE sweep = ?1 AND best {better} \
                  (SELECT best FROM trial WHERE sweep = ?1 AND number = ?2)), \
                 (SELECT count(*) FROM trial WHERE sweep = ?1 AND best IS NOT NULL)"
            ))
            .and_then(|mut statement| {
                statement.query_row(params![context.key, codec::signed(trial)], |row| {
                    let has: bool = row.get(0)?;
                    let before = unsigned(row.get(1)?);
                    Ok((has.then_some(before + 1), unsigned(row.get(2)?)))
                })
            })
            .map_err(self.sorted())
    }

    /// The values of a trial, aligned with the search space.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::NoTrial`].
    pub fn assignment(&self, sweep: &str, trial: u64) -> Result<Assignment, StoreError> {
        let context = self.context(sweep)?;
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT assignment FROM trial WHERE sweep = ?1 AND number = ?2")
            .map_err(self.sorted())?;
        let mut rows = statement
            .query(params![context.key, codec::signed(trial)])
            .map_err(self.sorted())?;
        match rows.next().map_err(self.sorted())? {
            Some(row) => read_assignment(&row.get::<_, String>(0)?, context.naming.parameters),
            None => Err(StoreError::NoTrial {
                sweep: context.sweep,
                trial,
            }),
        }
    }

    pub(super) fn context(&self, sweep: &str) -> Result<Context, StoreError> {
        let experiment = self.experiment(sweep)?;
        let clock = self.sweep_clock(sweep)?;
        let key = super::sweeps::key(&self.connection(), sweep)?;
        Ok(Context {
            key,
            now_ms: self.clock.stamp().since(&clock.created, clock.now_ms),
            created: clock.created,
            goal: experiment.metric.as_ref().map(|metric| metric.goal),
            naming: Naming::of(experiment),
            sweep: sweep.to_owned(),
        })
    }
}

fn trial_row(row: &Row<'_>, context: &Context) -> Result<TrialRow, StoreError> {
    let time = |at: Option<i64>| at.map(|at| iso(context.created.wall_ms.saturating_add(at)));
    let number = unsigned(row.get(0)?);
    let assignment = read_assignment(&row.get::<_, String>(1)?, context.naming.parameters)?;
    let created: i64 = row.get(6)?;
    let started: Option<i64> = row.get(7)?;
    let ended: Option<i64> = row.get(8)?;
    let last = match row.get::<_, Option<i64>>(13)? {
        Some(seq) => Some(MetricPoint {
            seq: unsigned(seq),
            step: row.get::<_, Option<i64>>(15)?.unwrap_or(seq),
            elapsed_ms: unsigned(row.get(16)?),
            value: codec::number(row.get(14)?),
        }),
        None => None,
    };
    let stop: Option<String> = row.get(17)?;
    Ok(TrialRow {
        trial: number,
        run_id: format!("{}_{number}", context.sweep),
        state: codec::trial_state(&row.get::<_, String>(3)?),
        cause: row
            .get::<_, Option<String>>(4)?
            .and_then(|word| codec::cause(&word)),
        reason: row.get(5)?,
        parameters: context.naming.name(&assignment),
        best: row.get(11)?,
        best_interval: row.get::<_, Option<i64>>(12)?.map(unsigned),
        last,
        reports: unsigned(row.get(10)?),
        attempts: row.get(9)?,
        created: iso(context.created.wall_ms.saturating_add(created)),
        started: time(started),
        ended: time(ended),
        duration_ms: started.map(|started| {
            ended
                .map_or(context.now_ms, unsigned)
                .saturating_sub(unsigned(started))
        }),
        stop: stop.and_then(|text| parsed(&text, "stop").ok()),
        origin: parsed(&row.get::<_, String>(2)?, "origin").unwrap_or_else(|_| unreadable()),
        folder: row
            .get::<_, Option<String>>(18)?
            .filter(|folder| !folder.is_empty()),
        target: row
            .get::<_, Option<String>>(19)?
            .filter(|target| !target.is_empty()),
    })
}

/// A stored prediction may hold numbers that JSON lost; the trial itself must stay readable.
fn unreadable() -> Origin {
    Origin {
        sampler: "unknown".into(),
        method: "not readable".into(),
        predicted: None,
        notes: Vec::new(),
    }
}
