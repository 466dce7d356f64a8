//! What the first view needs: sweeps with their course, and one sweep's best so far, forecast, troubles.
//!
//! A course is folded once from all ended trials and then kept up from the event log, so that an answer never reads all trials.

use crate::controller::SweepState;
use crate::metric::Goal;
use crate::process::Presence;
use crate::report::eta;
use crate::store::{EventQuery, EventRow, Score, Store, SweepFilter, SweepRow, TrialQuery, TrialRow};
use crate::studio::error::ApiError;
use crate::studio::read::{Answer, List, SCHEMA_VERSION};
use crate::studio::state::Studio;
use axum::Json;
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Points of the best-so-far line in one answer.
const BEST_POINTS_MAX: usize = 1000;
/// Points of the small line in a list.
const SPARK_POINTS: usize = 40;
/// Durations that a forecast is made from: the latest ones.
const DURATIONS: usize = 500;
/// Events that are searched for warnings at first.
const WARNINGS_BACK: u64 = 20_000;
/// Warnings and failures that are shown.
const TROUBLES: usize = 5;
/// Trials of a summary: what is shown before the first value came.
const FIRST_TRIALS: u64 = 40;
/// Sweeps of a list unless asked otherwise, and at most.
const SWEEPS: u64 = 500;
const SWEEPS_MAX: u64 = 10_000;

/// Courses of the sweeps that were looked at.
#[derive(Default)]
pub(super) struct Courses(Mutex<HashMap<String, Arc<Mutex<Course>>>>);

/// How a sweep went so far.
#[derive(Default)]
pub(super) struct Course {
    /// Position in the event log up to which this holds.
    seq: Option<u64>,
    seen: HashSet<u64>,
    ended: u64,
    /// `[trials ended, milliseconds since creation, value]` at each new best.
    line: Vec<(u64, u64, f64)>,
    durations: VecDeque<u64>,
    /// Durations of all ended trials together, milliseconds.
    spent_ms: u64,
    /// Reports of stopped trials, how many those are, most reports of any trial that ran to its end.
    stopped: (u64, u64),
    longest: u64,
    warnings: VecDeque<EventRow>,
    /// Numbers of the trials that failed last, the latest first.
    failed: VecDeque<u64>,
}

impl Course {
    fn follow(&mut self, store: &Store, sweep: &SweepRow) -> Result<(), ApiError> {
        let position = store.last_event()?;
        if self.seq == Some(position) {
            return Ok(());
        }
        let goal = sweep.goal.unwrap_or(Goal::Minimize);
        for score in store.scores(&sweep.sweep, self.seq)? {
            self.add(&score, goal);
        }
        let query = EventQuery {
            after: self.seq.unwrap_or_else(|| position.saturating_sub(WARNINGS_BACK)),
            kinds: vec!["warning".into(), "anomaly".into()],
            limit: TROUBLES as u64,
            ..EventQuery::default()
        };
        for warning in store.events_back(&sweep.sweep, &query)?.into_iter().rev() {
            self.warnings.push_front(warning);
        }
        self.warnings.truncate(TROUBLES);
        self.seq = Some(position);
        Ok(())
    }

    fn add(&mut self, score: &Score, goal: Goal) {
        if !self.seen.insert(score.trial) {
            return;
        }
        self.ended += 1;
        if let Some(duration) = score.duration_ms {
            self.spent_ms += duration;
            self.durations.push_back(duration);
            if self.durations.len() > DURATIONS {
                self.durations.pop_front();
            }
        }
        if score.failed {
            self.failed.push_front(score.trial);
            self.failed.truncate(TROUBLES);
        }
        if score.stopped {
            self.stopped.0 += score.reports;
            self.stopped.1 += 1;
        } else {
            self.longest = self.longest.max(score.reports);
        }
        if let Some(value) = score.best
            && self
                .line
                .last()
                .is_none_or(|(_, _, best)| goal.better(value, *best))
        {
            self.line.push((self.ended, score.ended_ms, value));
        }
    }

    fn thinned(&self, most: usize) -> Vec<(u64, u64, f64)> {
        let every = self.line.len().div_ceil(most.saturating_sub(1).max(1)).max(1);
        let last = self.line.len().saturating_sub(1);
        let kept = self.line.iter().enumerate();
        kept.filter(|(index, _)| index % every == 0 || *index == last)
            .map(|(_, point)| *point)
            .collect()
    }

    /// The best so far at equal distances over the ended trials.
    fn spark(&self) -> Vec<f64> {
        let Some(first) = self.line.first() else {
            return Vec::new();
        };
        let points = (self.ended.saturating_sub(first.0) + 1).min(SPARK_POINTS as u64);
        (0..points)
            .filter_map(|index| {
                let at = first.0 + (self.ended - first.0) * index / points.saturating_sub(1).max(1);
                let reached = self.line.partition_point(|(ended, _, _)| *ended <= at);
                self.line.get(reached.checked_sub(1)?).map(|point| point.2)
            })
            .collect()
    }

    fn eta(&self, sweep: &SweepRow) -> Option<Eta> {
        if sweep.state != SweepState::Running {
            return None;
        }
        let durations: Vec<u64> = self.durations.iter().copied().collect();
        let eta = eta::forecast(&durations, self.remaining(sweep), sweep.max_concurrent_runs)?;
        Some(Eta {
            middle_ms: eta.middle_ms,
            low_ms: eta.low_ms,
            high_ms: eta.high_ms,
        })
    }

    /// Trials still to end; running ones count half, since they are somewhere on their way.
    fn remaining(&self, sweep: &SweepRow) -> f64 {
        let running = sweep.trials.get("Running").copied().unwrap_or(0);
        sweep.max_total_runs.saturating_sub(self.ended) as f64 - 0.5 * running as f64
    }

    /// What all ended trials took, and what the rest will take at their mean; `spent` is what they cost.
    fn cost(&self, sweep: &SweepRow, spent: Option<f64>) -> Cost {
        let ended = self.ended.max(1) as f64;
        let ahead = (!sweep.state.is_terminal() && self.ended > 0)
            .then(|| (self.remaining(sweep).max(0.0) * self.spent_ms as f64 / ended).round() as u64);
        Cost {
            spent_ms: self.spent_ms,
            ahead_ms: ahead,
            spent,
            ahead: match (spent, ahead) {
                (Some(spent), Some(ahead)) if self.spent_ms > 0 => {
                    Some(spent * ahead as f64 / self.spent_ms as f64)
                }
                _ => None,
            },
        }
    }

    /// Reports that the policy saved, measured against the longest trial that ran to its end.
    fn saved(&self) -> Option<Saved> {
        let whole = self.stopped.1 * self.longest;
        (whole > 0).then(|| Saved {
            reports: whole.saturating_sub(self.stopped.0),
            of: self.ended * self.longest,
        })
    }
}

/// When a running sweep will have ended, milliseconds from now.
#[derive(Serialize, JsonSchema)]
struct Eta {
    /// Most likely.
    middle_ms: u64,
    /// One in ten ends before.
    low_ms: u64,
    /// Nine in ten end before.
    high_ms: u64,
}

/// Time of all ended trials together, and what the rest will take.
#[derive(Serialize, JsonSchema)]
struct Cost {
    spent_ms: u64,
    ahead_ms: Option<u64>,
    /// The same in money, where a target of the sweep says what an hour costs (`cost_per_hour`); in the unit of those prices.
    spent: Option<f64>,
    ahead: Option<f64>,
}

/// Milliseconds of an hour.
const HOUR: f64 = 3_600_000.0;

/// What time on targets costs; none if no price is known for a target of the sweep. Targets without a price are free.
fn paid(store: &Store, sweep: &SweepRow, prices: &HashMap<String, f64>) -> Result<Option<f64>, ApiError> {
    if !sweep.targets.iter().any(|target| prices.contains_key(target)) {
        return Ok(None);
    }
    let spent = store.spent_by_target(&sweep.sweep)?;
    let priced = spent
        .iter()
        .filter_map(|(target, ms)| Some(prices.get(target)? * *ms as f64 / HOUR));
    Ok(Some(priced.sum()))
}

/// Reports that the policy saved.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Saved {
    reports: u64,
    /// What all ended trials would have reported without a policy.
    of: u64,
}

/// A sweep in a list.
#[derive(Serialize, JsonSchema)]
pub(super) struct SweepItem {
    #[serde(flatten)]
    row: SweepRow,
    eta: Option<Eta>,
    /// The best so far at equal distances over the ended trials.
    spark: Vec<f64>,
    cost: Cost,
    /// Whether a living process leads it.
    led: bool,
}

/// Everything that the first view of a sweep shows.
#[derive(Serialize, JsonSchema)]
pub(super) struct Summary {
    schema_version: u32,
    sweep: SweepRow,
    /// Trials ended, milliseconds since creation, value: at each new best, at most 1,000 of them.
    best_so_far: Vec<(u64, u64, f64)>,
    eta: Option<Eta>,
    cost: Cost,
    saved: Option<Saved>,
    /// The latest warnings.
    warnings: Vec<EventRow>,
    /// Position in the event log that this holds for.
    position: u64,
    /// Whether a living process leads it.
    led: bool,
    /// The first trials by number.
    trials: Vec<TrialRow>,
    /// The trials that failed last.
    trouble: Vec<TrialRow>,
}

impl Courses {
    /// The course of a sweep, up to date, shown to `look`.
    fn with<T>(
        &self,
        store: &Store,
        sweep: &SweepRow,
        look: impl FnOnce(&Course) -> T,
    ) -> Result<T, ApiError> {
        let course = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(sweep.sweep.clone()).or_default())
        };
        let mut course = course.lock().unwrap_or_else(PoisonError::into_inner);
        course.follow(store, sweep)?;
        Ok(look(&course))
    }
}

/// Whether a living process leads the sweep.
fn is_led(store: &Store, sweep: &SweepRow) -> Result<bool, ApiError> {
    let leader = store.leader(&sweep.sweep)?;
    Ok(leader.is_some_and(|leader| leader.presence != Presence::Gone))
}

#[derive(Deserialize)]
pub(super) struct SweepsQuery {
    experiment: Option<String>,
    state: Option<String>,
    archived: Option<bool>,
    limit: Option<u64>,
    cursor: Option<String>,
}

pub(super) async fn sweeps(
    State(studio): State<Studio>,
    Query(query): Query<SweepsQuery>,
) -> Answer<List<SweepItem>> {
    let courses = studio.courses.clone();
    let prices = studio.settings.prices.clone();
    let states = query
        .state
        .iter()
        .flat_map(|words| words.split(','))
        .map(sweep_state);
    let states = states.collect::<Result<Vec<SweepState>, ApiError>>()?;
    let limit = query.limit.unwrap_or(SWEEPS).clamp(1, SWEEPS_MAX);
    let work = move |store: &Store| {
        let prices = prices();
        if let Some(cursor) = &query.cursor {
            let known = store.resolve(cursor).is_ok_and(|id| id == *cursor);
            if !known {
                return Err(ApiError::bad(format!(
                    "`{cursor}` is no `next` of a list of sweeps"
                )));
            }
        }
        let filter = SweepFilter {
            experiment: query.experiment,
            states,
            archived: query.archived.unwrap_or(false),
            after: query.cursor,
            limit: Some(limit + 1),
            ..SweepFilter::default()
        };
        let mut rows = store.sweeps(&filter)?;
        let more = rows.len() as u64 > limit;
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = rows.last().filter(|_| more).map(|row| row.sweep.clone());
        let items = rows.into_iter().map(|row| item(store, &courses, &prices, row));
        Ok(List::page(items.collect::<Result<_, _>>()?, next))
    };
    studio.with_store(work).await.map(Json)
}

fn sweep_state(word: &str) -> Result<SweepState, ApiError> {
    let all = [
        SweepState::Running,
        SweepState::Paused,
        SweepState::CancelRequested,
        SweepState::Completed,
        SweepState::Failed,
        SweepState::Canceled,
    ];
    let found = all
        .into_iter()
        .find(|state| state.word().eq_ignore_ascii_case(word));
    found.ok_or_else(|| ApiError::bad(format!("no sweep state is called `{word}`")))
}

fn item(
    store: &Store,
    courses: &Courses,
    prices: &HashMap<String, f64>,
    row: SweepRow,
) -> Result<SweepItem, ApiError> {
    let spent = paid(store, &row, prices)?;
    let (eta, spark, cost) = courses.with(store, &row, |course| {
        (course.eta(&row), course.spark(), course.cost(&row, spent))
    })?;
    Ok(SweepItem {
        eta,
        spark,
        cost,
        led: is_led(store, &row)?,
        row,
    })
}

pub(super) async fn summary(State(studio): State<Studio>, Path(reference): Path<String>) -> Answer<Summary> {
    let courses = studio.courses.clone();
    let prices = studio.settings.prices.clone();
    let work = move |store: &Store| {
        let position = store.last_event()?;
        let row = store.sweep(&reference)?;
        let spent = paid(store, &row, &prices())?;
        let first = TrialQuery {
            limit: Some(FIRST_TRIALS),
            ..TrialQuery::default()
        };
        let trials = store.trials(&row.sweep, &first)?;
        let led = is_led(store, &row)?;
        let (mut summary, failed) = courses.with(store, &row, |course| {
            let summary = Summary {
                schema_version: SCHEMA_VERSION,
                best_so_far: course.thinned(BEST_POINTS_MAX),
                eta: course.eta(&row),
                cost: course.cost(&row, spent),
                saved: course.saved(),
                warnings: course.warnings.iter().cloned().collect(),
                position,
                led,
                trials,
                trouble: Vec::new(),
                sweep: row.clone(),
            };
            (summary, course.failed.clone())
        })?;
        for trial in failed {
            summary.trouble.push(store.trial(&row.sweep, trial)?);
        }
        Ok(summary)
    };
    studio.with_store(work).await.map(Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(trial: u64, best: Option<f64>) -> Score {
        Score {
            trial,
            ended_ms: trial * 10,
            duration_ms: Some(100),
            best,
            reports: 4,
            stopped: trial % 2 == 1,
            failed: false,
        }
    }

    #[test]
    fn the_line_holds_improvements_only_and_counts_a_trial_once() {
        let mut course = Course::default();
        for (trial, best) in [
            (0, Some(0.5)),
            (1, None),
            (2, Some(0.4)),
            (3, Some(0.9)),
            (3, Some(0.9)),
        ] {
            course.add(&score(trial, best), Goal::Maximize);
        }
        assert_eq!(course.line, [(1, 0, 0.5), (4, 30, 0.9)]);
        assert_eq!((course.ended, course.spent_ms, course.stopped), (4, 400, (8, 2)));
        assert_eq!(course.spark(), [0.5, 0.5, 0.5, 0.9]);
        assert_eq!(course.saved(), Some(Saved { reports: 0, of: 16 }));
    }

    #[test]
    fn a_long_line_keeps_its_last_point() {
        let mut course = Course::default();
        for trial in 0..2_500 {
            course.add(&score(trial, Some(trial as f64)), Goal::Maximize);
        }
        let line = course.thinned(BEST_POINTS_MAX);
        assert!(line.len() <= BEST_POINTS_MAX);
        assert_eq!(line.last().map(|point| point.2), Some(2_499.0));
        assert_eq!(course.durations.len(), DURATIONS);
    }
}
