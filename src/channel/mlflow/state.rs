//! What the clients have said so far: the trial's own run, its children, and which points are new.

use super::door::Peer;
use super::{Config, Create};
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Points kept for reading back, all runs together; beyond it only the newest of each metric is kept.
const POINTS_MAX: usize = 200_000;
/// Children kept; the oldest goes.
const CHILDREN_MAX: usize = 10_000;
/// Equal points of two live connections within this time are one: ranks of one job that all report.
const ECHO: Duration = Duration::from_secs(1);

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

/// A point as the client sent it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) value: f64,
    pub(super) timestamp: i64,
    pub(super) step: i64,
    /// Whether the client links it with a logged model.
    pub(super) linked: bool,
}

/// How many points back a linked one is looked for.
const LINK_DEPTH: usize = 1000;

/// One run.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) user: String,
    pub(super) start_ms: i64,
    pub(super) end_ms: Option<i64>,
    pub(super) params: IndexMap<String, String>,
    pub(super) tags: IndexMap<String, String>,
    pub(super) metrics: IndexMap<String, Vec<Point>>,
}

/// All runs.
#[derive(Debug)]
pub(super) struct State {
    /// The trial is the first.
    pub(super) runs: IndexMap<String, Run>,
    trial: String,
    points: usize,
    recent: HashMap<(String, String, i64, u64), (Instant, Peer)>,
    told: HashSet<String>,
}

impl State {
    /// Only the trial, running.
    pub(super) fn new(config: &Config, now_ms: i64) -> Self {
        let mut trial = Run {
            id: config.run_id.clone(),
            name: config.run_name.clone(),
            status: "RUNNING".to_owned(),
            start_ms: now_ms,
            ..Run::default()
        };
        trial
            .tags
            .insert("mlflow.runName".to_owned(), config.run_name.clone());
        if let Some(sweep) = &config.sweep {
            trial.tags.insert("mlflow.parentRunId".to_owned(), sweep.clone());
        }
        Self {
            runs: IndexMap::from([(config.run_id.clone(), trial)]),
            trial: config.run_id.clone(),
            points: 0,
            recent: HashMap::new(),
            told: HashSet::new(),
        }
    }

    /// Whether an id belongs to a child; every other one means the trial.
    pub(super) fn is_child(&self, id: &str) -> bool {
        id != self.trial && self.runs.contains_key(id)
    }

    /// A run by id. An unknown id is the trial: scripts set ids of their own, and the key already says which trial speaks.
    pub(super) fn run(&mut self, id: &str) -> &mut Run {
        let id = if self.runs.contains_key(id) {
            id.to_owned()
        } else {
            self.trial.clone()
        };
        let trial = self.trial.clone();
        self.runs.entry(id).or_insert_with(|| Run {
            id: trial,
            ..Run::default()
        })
    }

    /// Answers `runs/create`: the trial itself, or a new child. Returns its id and whether it is new.
    pub(super) fn create(
        &mut self,
        create: Create,
        parent: Option<&str>,
        name: Option<String>,
        user: &str,
    ) -> (String, bool) {
        if create == Create::Trial && parent.is_none() {
            let trial = self.trial.clone();
            "RUNNING".clone_into(&mut self.run(&trial).status);
            return (trial, false);
        }
        if self.runs.len() > CHILDREN_MAX {
            self.runs.shift_remove_index(1);
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        let short: String = id.chars().take(8).collect();
        let mut run = Run {
            id: id.clone(),
            name: name.unwrap_or_else(|| format!("nested-{short}")),
            status: "RUNNING".to_owned(),
            user: user.to_owned(),
            start_ms: now_ms(),
            ..Run::default()
        };
        run.tags.insert("mlflow.runName".to_owned(), run.name.clone());
        let parent = parent.map_or_else(|| self.trial.clone(), str::to_owned);
        run.tags.insert("mlflow.parentRunId".to_owned(), parent);
        self.runs.insert(id.clone(), run);
        (id, true)
    }

    /// Takes a point in. `false` if it is no new one: the echo of an equal one that another, still open connection sent within a
    /// second, or one that `log_model` of a 3.x client says again, with its old timestamp, to link it with the model.
    pub(super) fn log(
        &mut self,
        id: &str,
        key: &str,
        point: Point,
        peer: Peer,
        now: Instant,
        open: impl Fn(Peer) -> bool,
    ) -> bool {
        let own = self.run(id).id.clone();
        let mark = (own.clone(), key.to_owned(), point.step, point.value.to_bits());
        if self.recent.len() > 4096 {
            self.recent.retain(|_, (at, _)| now.duration_since(*at) < ECHO);
        }
        if let Some((at, other)) = self.recent.get(&mark)
            && *other != peer
            && now.duration_since(*at) < ECHO
            && open(*other)
        {
            return false;
        }
        let again = |old: &Point| {
            (old.step, old.timestamp, old.value.to_bits())
                == (point.step, point.timestamp, point.value.to_bits())
        };
        let before = self
            .run(&own)
            .metrics
            .get(key)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if point.linked && before.iter().rev().take(LINK_DEPTH).any(again) {
            return false;
        }
        self.recent.insert(mark, (now, peer));
        let full = self.points >= POINTS_MAX;
        let series = self.run(&own).metrics.entry(key.to_owned()).or_default();
        if full && !series.is_empty() {
            series.clear();
            series.push(point);
        } else {
            series.push(point);
            self.points += 1;
        }
        true
    }

    /// Points of a metric in all children, with the child's id.
    pub(super) fn child_points(&self, metric: &str) -> Vec<(String, Point)> {
        let children = self.runs.values().filter(|run| run.id != self.trial);
        children
            .flat_map(|run| {
                run.metrics
                    .get(metric)
                    .into_iter()
                    .flatten()
                    .map(|point| (run.id.clone(), *point))
            })
            .collect()
    }

    /// Whether this is the first time that `what` is to be told.
    pub(super) fn first(&mut self, what: &str) -> bool {
        self.told.len() < 10_000 && self.told.insert(what.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new(&Config::new("HD_1_0", "e", "/nowhere"), 0)
    }

    fn point(value: f64, step: i64) -> Point {
        Point {
            value,
            timestamp: 0,
            step,
            linked: false,
        }
    }

    #[test]
    fn equal_points_of_one_connection_all_count() {
        let (mut state, now) = (state(), Instant::now());
        for _ in 0..3 {
            assert!(state.log("HD_1_0", "acc", point(0.5, 0), Peer(1), now, |_| true));
        }
        assert_eq!(state.run("HD_1_0").metrics["acc"].len(), 3);
    }

    #[test]
    fn points_said_again_for_a_model_are_not_new() {
        let (mut state, now) = (state(), Instant::now());
        let linked = |value, timestamp| Point {
            timestamp,
            linked: true,
            ..point(value, 0)
        };
        assert!(state.log("x", "acc", point(0.5, 0), Peer(1), now, |_| true));
        assert!(state.log("x", "acc", point(0.6, 0), Peer(1), now, |_| true));
        assert!(!state.log("x", "acc", linked(0.5, 0), Peer(1), now, |_| true));
        assert!(state.log("x", "acc", linked(0.5, 7), Peer(1), now, |_| true));
    }

    #[test]
    fn ranks_that_all_report_count_once() {
        let (mut state, now) = (state(), Instant::now());
        assert!(state.log("x", "acc", point(0.5, 1), Peer(1), now, |_| true));
        assert!(!state.log("x", "acc", point(0.5, 1), Peer(2), now, |_| true));
        // Another value, another step, later, or after the other process has gone: all count.
        assert!(state.log("x", "acc", point(0.6, 1), Peer(2), now, |_| true));
        assert!(state.log("x", "acc", point(0.5, 2), Peer(2), now, |_| true));
        assert!(state.log("x", "acc", point(0.6, 1), Peer(3), now, |_| false));
        assert!(state.log("x", "acc", point(0.5, 1), Peer(4), now + ECHO, |_| true));
    }

    #[test]
    fn a_run_without_parent_is_the_trial_and_one_with_parent_is_a_child() {
        let mut state = state();
        assert_eq!(
            state.create(Create::Trial, None, None, "u"),
            ("HD_1_0".to_owned(), false)
        );
        let (child, new) = state.create(Create::Trial, Some("HD_1_0"), None, "u");
        assert!(new && state.is_child(&child) && !state.is_child("unknown"));
        state.log(&child, "acc", point(0.1, 0), Peer(1), Instant::now(), |_| true);
        assert!(state.run("HD_1_0").metrics.is_empty());
        assert_eq!(state.child_points("acc"), [(child, point(0.1, 0))]);
        assert!(state.create(Create::Child, None, None, "u").1);
    }
}
