//! Finished trials in order of merit, kept up at a cost that does not grow with the history.
//!
//! What it answers depends on the history alone, not on the order in which trials ended.

use super::rows::{Encoded, Lesson, Point, lesson};
use super::seen::Seen;
use crate::history::{History, Trial, TrialState};
use crate::sampler::rng::absorb;
use crate::space::encode::Encoder;
use std::collections::{BTreeMap, BTreeSet};

/// Finished trials kept as a pseudo-random sample of all.
const SAMPLE: usize = 1_000;

/// One finished trial. Sorted by merit, then by age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    /// Value to minimize; infinity for a failure.
    pub(super) value: f64,
    /// Whether it belongs to an earlier sweep.
    pub(super) inherited: bool,
    /// Index in its list of the history.
    pub(super) index: usize,
}

impl Entry {
    fn key(&self) -> (u64, bool, usize) {
        (
            absorb(u64::from(self.inherited), self.index as u64),
            self.inherited,
            self.index,
        )
    }

    fn order(&self, other: &Self) -> std::cmp::Ordering {
        self.value
            .total_cmp(&other.value)
            .then(other.inherited.cmp(&self.inherited))
            .then(self.index.cmp(&other.index))
    }
}

/// The incremental index of one sweep.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    encoded: Encoded,
    /// Trials that had not ended when last seen.
    open: Vec<usize>,
    /// Those of them that are frozen, and how they are filed meanwhile.
    frozen: BTreeMap<usize, Entry>,
    known: usize,
    inherited: usize,
    ranked: Vec<Entry>,
    sample: BTreeSet<(u64, bool, usize)>,
}

impl Ledger {
    /// Takes in what is new since the last call. `seen` must be the one of the same sampler.
    pub(super) fn follow(&mut self, encoder: &Encoder, seen: &mut Seen, history: &History) {
        let same = seen.follow(encoder.domain(), history) && self.inherited == history.inherited.len();
        if !same {
            *self = Self::default();
        }
        self.encoded.follow(encoder, history, same);
        let sign = -history.goal.sign();
        if self.inherited == 0 {
            for (index, trial) in history.inherited.iter().enumerate() {
                if encoder.domain().fits(&trial.assignment) {
                    self.file(trial, index, true, sign);
                }
            }
            self.inherited = history.inherited.len();
        }
        let mut open = std::mem::take(&mut self.open);
        open.extend(self.known..history.trials.len());
        self.known = history.trials.len();
        open.retain(|index| {
            let Some(trial) = history.trials.get(*index) else {
                return false;
            };
            // What a frozen trial taught holds until it goes on.
            if let Some(entry) = self.frozen.get(index).copied() {
                if trial.state == TrialState::Paused && trial.score() == Some(sign * entry.value) {
                    return true;
                }
                self.frozen.remove(index);
                self.take_out(&entry);
            }
            let ended = trial.state.is_terminal();
            if ended {
                self.file(trial, *index, false, sign);
            } else if trial.state == TrialState::Paused
                && let Some(entry) = self.file(trial, *index, false, sign)
            {
                self.frozen.insert(*index, entry);
            }
            !ended
        });
        self.open = open;
    }

    /// Undoes [`Self::file`].
    fn take_out(&mut self, entry: &Entry) {
        let at = self.ranked.partition_point(|other| other.order(entry).is_lt());
        if self.ranked.get(at) == Some(entry) {
            self.ranked.remove(at);
        }
        // Another one may belong into the sample now.
        if self.sample.remove(&entry.key()) && self.ranked.len() >= SAMPLE {
            self.sample = self.ranked.iter().map(Entry::key).collect();
            while self.sample.len() > SAMPLE {
                self.sample.pop_last();
            }
        }
    }

    fn file(&mut self, trial: &Trial, index: usize, inherited: bool, sign: f64) -> Option<Entry> {
        let value = match lesson(trial) {
            Lesson::Value(value) | Lesson::Partial(value) => sign * value,
            Lesson::Failure => f64::INFINITY,
            Lesson::Pending | Lesson::Nothing => return None,
        };
        let entry = Entry {
            value,
            inherited,
            index,
        };
        let at = self.ranked.partition_point(|other| other.order(&entry).is_lt());
        self.ranked.insert(at, entry);
        self.sample.insert(entry.key());
        if self.sample.len() > SAMPLE {
            self.sample.pop_last();
        }
        Some(entry)
    }

    /// Every finished trial, best first, failures last.
    pub(super) fn ranked(&self) -> &[Entry] {
        &self.ranked
    }

    /// Number of finished trials that have a value.
    pub(super) fn worked(&self) -> usize {
        self.ranked.partition_point(|entry| entry.value < f64::INFINITY)
    }

    /// Points of trials that have not ended.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Point> {
        let open = self.open.iter().filter(|index| !self.frozen.contains_key(index));
        open.filter_map(|index| self.encoded.own(*index))
    }

    /// Number of trials of this sweep.
    pub(super) fn known(&self) -> usize {
        self.known
    }

    /// Number of trials that have not ended.
    pub(super) fn open(&self) -> usize {
        self.open.len() - self.frozen.len()
    }

    /// The point of a finished trial.
    pub(super) fn point(&self, entry: &Entry) -> Option<&Point> {
        if entry.inherited {
            self.encoded.inherited(entry.index)
        } else {
            self.encoded.own(entry.index)
        }
    }

    /// At most [`SAMPLE`] finished trials: all of them while there are so few, else a fixed pseudo-random choice.
    pub(super) fn sample(&self) -> impl Iterator<Item = (bool, usize)> {
        self.sample
            .iter()
            .map(|(_, inherited, index)| (*inherited, *index))
    }

    /// The point of a sampled trial.
    pub(super) fn sampled(&self, (inherited, index): (bool, usize)) -> Option<&Point> {
        self.point(&Entry {
            value: 0.0,
            inherited,
            index,
        })
    }
}
