//! All trials of a sweep in memory, as columns: read once, then kept up from the event log. Searching, sorting, scatter plots and many curves
//! are answered from here, so that none of them reads every trial's texts again.

use crate::history::TrialState;
use crate::metric::Goal;
use crate::report::search::{Search, Searched};
use crate::space::Value;
use crate::store::{Brief, Store, TrialCursor, TrialOrder};
use crate::studio::error::ApiError;
use indexmap::{IndexMap, IndexSet};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Sweeps that are kept, the latest ones that were asked for.
const TABLES_MAX: usize = 4;
/// Metrics of a sweep whose curves are kept.
const METRICS_MAX: usize = 2;
/// Lists of fitting trials that are kept.
const LISTS_MAX: usize = 4;

/// Tables of the sweeps that were looked at last.
#[derive(Default)]
pub(super) struct Tables(Mutex<VecDeque<(String, Arc<Mutex<Table>>)>>);

impl Tables {
    /// The table of a sweep, up to date, shown to `look`.
    pub(super) fn with<T>(
        &self,
        store: &Store,
        sweep: &str,
        look: impl FnOnce(&mut Table) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let table = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let found = all.iter().position(|(known, _)| known == sweep);
            let entry = found
                .and_then(|at| all.remove(at))
                .unwrap_or_else(|| (sweep.to_owned(), Arc::new(Mutex::new(Table::default()))));
            let table = Arc::clone(&entry.1);
            all.push_back(entry);
            if all.len() > TABLES_MAX {
                all.pop_front();
            }
            table
        };
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        table.follow(store, sweep)?;
        look(&mut table)
    }
}

/// What a list of trials is asked by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    /// Only in these states; empty = any.
    pub(super) states: Vec<TrialState>,
    /// Only what fits.
    pub(super) search: Option<(String, Search)>,
    /// Sorted by.
    pub(super) order: TrialOrder,
    /// The other way round; trials without the sorted value stay last.
    pub(super) reverse: bool,
}

/// A trial without what only its own page shows.
pub(super) struct Line {
    pub(super) state: TrialState,
    pub(super) best: Option<f64>,
    pub(super) reports: u64,
    pub(super) attempts: u64,
    pub(super) created_ms: u64,
    pub(super) started_ms: Option<u64>,
    pub(super) ended_ms: Option<u64>,
    pub(super) predicted: Option<f64>,
    pub(super) stop: Option<(u64, Option<f64>, Option<f64>)>,
    trial: u64,
    last: Option<f64>,
    reason: Option<Box<str>>,
    /// Parameter, by its place among the names, and value.
    parameters: Box<[(u32, Value)]>,
}

impl Line {
    /// The value of the parameter at `place` among the table's names.
    pub(super) fn parameter(&self, place: usize) -> Option<&Value> {
        let found = self.parameters.iter().find(|(known, _)| *known as usize == place);
        found.map(|(_, value)| value)
    }

    /// One line for people.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Milliseconds from start to end, or to `now`.
    pub(super) fn duration_ms(&self, now: u64) -> Option<u64> {
        self.started_ms
            .map(|started| self.ended_ms.unwrap_or(now).saturating_sub(started))
    }
}

/// A line with the names that its parameters stand for.
struct Named<'t> {
    line: &'t Line,
    names: &'t IndexSet<String>,
    now: u64,
}

impl Searched for Named<'_> {
    fn state(&self) -> TrialState {
        self.line.state
    }

    fn is_stopped(&self) -> bool {
        self.line.stop.is_some()
    }

    fn reason(&self) -> Option<&str> {
        self.line.reason.as_deref()
    }

    fn parameters(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.line.parameters.iter().filter_map(|(place, value)| {
            let name = self.names.get_index(*place as usize)?;
            Some((name.as_str(), value))
        })
    }

    fn number(&self, name: &str) -> Option<f64> {
        match name {
            "trial" => Some(self.line.trial as f64),
            "best" => self.line.best,
            "last" => self.line.last,
            "reports" => Some(self.line.reports as f64),
            "duration" => self.line.duration_ms(self.now).map(|ms| ms as f64 / 1000.0),
            _ => None,
        }
    }
}

/// Values of one metric, by trial number; empty where a trial reported none.
#[derive(Default)]
pub(super) struct Curves {
    pub(super) of: Vec<Box<[f32]>>,
    /// Position of the event log that they hold for.
    seq: Option<u64>,
    /// Trials that had not ended then: they may have reported since.
    open: Vec<u64>,
}

impl Curves {
    /// How many trials have a curve.
    pub(super) fn count(&self) -> usize {
        self.of.iter().filter(|curve| !curve.is_empty()).count()
    }

    /// Most points of any trial.
    pub(super) fn longest(&self) -> usize {
        self.of.iter().map(|curve| curve.len()).max().unwrap_or(0)
    }
}

/// All trials of a sweep.
#[derive(Default)]
pub(super) struct Table {
    seq: Option<u64>,
    /// Raised whenever a trial changed.
    pub(super) version: u64,
    pub(super) goal: Option<Goal>,
    pub(super) names: IndexSet<String>,
    /// By trial number.
    pub(super) lines: Vec<Line>,
    curves: IndexMap<String, Curves>,
    lists: VecDeque<(u64, Wanted, Arc<Vec<u64>>)>,
    /// Milliseconds since the sweep's creation.
    pub(super) now: u64,
}

impl Table {
    fn follow(&mut self, store: &Store, sweep: &str) -> Result<(), ApiError> {
        let clock = store.sweep_clock(sweep)?;
        self.now = store.clock().stamp().since(&clock.created, clock.now_ms);
        let position = store.last_event()?;
        if self.seq == Some(position) {
            return Ok(());
        }
        if self.seq.is_none() {
            let experiment = store.experiment(sweep)?;
            self.goal = experiment.metric.as_ref().map(|metric| metric.goal);
        }
        let mut changed = false;
        let (names, lines) = (&mut self.names, &mut self.lines);
        store.briefs(sweep, self.seq, |brief| {
            changed = true;
            let at = usize::try_from(brief.trial).unwrap_or(usize::MAX);
            let line = line_of(names, brief);
            // Numbers grow by one; what is no next number cannot be.
            if at == lines.len() {
                lines.push(line);
            } else if let Some(place) = lines.get_mut(at) {
                *place = line;
            }
        })?;
        if changed {
            self.version += 1;
        }
        self.seq = Some(position);
        Ok(())
    }

    /// Numbers of the trials that fit, in order.
    pub(super) fn list(&mut self, wanted: &Wanted) -> Arc<Vec<u64>> {
        let kept =
            |(version, known, _): &&(u64, Wanted, Arc<Vec<u64>>)| *version == self.version && known == wanted;
        if let Some((_, _, list)) = self.lists.iter().find(kept) {
            return Arc::clone(list);
        }
        let fits = |line: &&Line| {
            let named = Named {
                line,
                names: &self.names,
                now: self.now,
            };
            (wanted.states.is_empty() || wanted.states.contains(&line.state))
                && wanted
                    .search
                    .as_ref()
                    .is_none_or(|(_, search)| search.matches(&named))
        };
        let mut found: Vec<u64> = self.lines.iter().filter(fits).map(|line| line.trial).collect();
        found.sort_by(|a, b| {
            self.compare(
                wanted,
                self.key(wanted.order, *a),
                *a,
                self.key(wanted.order, *b),
                *b,
            )
        });
        let found = Arc::new(found);
        self.lists
            .push_back((self.version, wanted.clone(), Arc::clone(&found)));
        if self.lists.len() > LISTS_MAX {
            self.lists.pop_front();
        }
        found
    }

    /// How many of `list` come before what is behind `cursor`.
    pub(super) fn skipped(&self, list: &[u64], wanted: &Wanted, cursor: &TrialCursor) -> usize {
        list.partition_point(|trial| {
            self.compare(
                wanted,
                self.key(wanted.order, *trial),
                *trial,
                cursor.key,
                cursor.trial,
            )
            .is_le()
        })
    }

    /// The place of a trial in an order.
    pub(super) fn cursor(&self, order: TrialOrder, trial: u64) -> TrialCursor {
        TrialCursor {
            order,
            key: self.key(order, trial),
            trial,
        }
    }

    fn key(&self, order: TrialOrder, trial: u64) -> Option<f64> {
        let line = self.lines.get(usize::try_from(trial).ok()?)?;
        match order {
            TrialOrder::Number => None,
            TrialOrder::Best => line.best,
            TrialOrder::Started => line.started_ms.map(|ms| ms as f64),
            TrialOrder::Ended => line.ended_ms.map(|ms| ms as f64),
        }
    }

    fn compare(
        &self,
        wanted: &Wanted,
        a: Option<f64>,
        first: u64,
        b: Option<f64>,
        second: u64,
    ) -> std::cmp::Ordering {
        use std::cmp::Ordering;
        if wanted.order == TrialOrder::Number {
            let up = first.cmp(&second);
            return if wanted.reverse { up.reverse() } else { up };
        }
        let best_first = wanted.order == TrialOrder::Best && self.goal == Some(Goal::Maximize);
        let keys = match (a, b) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) if best_first != wanted.reverse => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
        };
        keys.then(first.cmp(&second))
    }

    /// Curves of a metric, up to date.
    pub(super) fn curves(&mut self, store: &Store, sweep: &str, metric: &str) -> Result<&Curves, ApiError> {
        let mut curves = self.curves.shift_remove(metric).unwrap_or_default();
        let (lines, seq) = (&self.lines, self.seq);
        let first = curves.seq.is_none();
        if first || curves.seq != seq || !curves.open.is_empty() {
            // A metric that decides nothing leaves no event: whoever was at work may have reported.
            let mut stale = std::mem::take(&mut curves.open);
            stale.extend(curves.of.len() as u64..lines.len() as u64);
            curves.of.resize_with(lines.len(), Box::default);
            let latest = |trial: u64| {
                let line = usize::try_from(trial).ok().and_then(|at| lines.get(at));
                line.map(|line| line.attempts.saturating_sub(1))
            };
            let mut current: Option<(u64, Vec<f32>)> = None;
            let mut put = |done: Option<(u64, Vec<f32>)>| {
                if let Some((trial, values)) = done
                    && let Some(place) = usize::try_from(trial).ok().and_then(|at| curves.of.get_mut(at))
                {
                    *place = values.into_boxed_slice();
                }
            };
            let chosen = (!first).then_some(stale.as_slice());
            store.every_point(sweep, metric, chosen, |trial, attempt, value| {
                if latest(trial) != Some(attempt) {
                    return;
                }
                match &mut current {
                    Some((known, values)) if *known == trial => values.push(value as f32),
                    _ => put(current.replace((trial, vec![value as f32]))),
                }
            })?;
            put(current.take());
            curves.open = lines
                .iter()
                .filter(|line| !line.state.is_terminal())
                .map(|line| line.trial)
                .collect();
            curves.seq = seq;
        }
        if self.curves.len() >= METRICS_MAX {
            self.curves.shift_remove_index(0);
        }
        Ok(self.curves.entry(metric.to_owned()).or_insert(curves))
    }
}

fn line_of(names: &mut IndexSet<String>, brief: Brief) -> Line {
    let parameters = brief
        .parameters
        .into_iter()
        .map(|(name, value)| {
            let place = match names.get_index_of(&name) {
                Some(place) => place,
                None => names.insert_full(name).0,
            };
            (u32::try_from(place).unwrap_or(u32::MAX), value)
        })
        .collect();
    Line {
        state: brief.state,
        best: brief.best,
        reports: brief.reports,
        attempts: brief.attempts,
        created_ms: brief.created_ms,
        started_ms: brief.started_ms,
        ended_ms: brief.ended_ms,
        predicted: brief.predicted,
        stop: brief.stop,
        trial: brief.trial,
        last: brief.last,
        reason: brief.reason.map(String::into_boxed_str),
        parameters,
    }
}
