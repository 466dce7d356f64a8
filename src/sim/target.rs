//! A compute target that only exists in virtual time: launches become facts to come, cancels cut them short.
//!
//! Each attempt has a journal of facts, which outlives the controller as a real runner's does; a follower hands them out in
//! order and remembers how far it got.

use super::fault::Faults;
use super::workload::Workload;
use crate::controller::{Event, Outcome, Resident};
use crate::metric::Observation;
use crate::space::Assignment;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Something that happens to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// When, in milliseconds.
    pub at: u64,
    /// What.
    pub kind: FactKind,
    /// Whether it is delivered twice.
    pub twice: bool,
}

/// What happens to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum FactKind {
    /// A runner took the attempt.
    Claimed,
    /// The script runs.
    Started,
    /// The script reported.
    Reported(Observation),
    /// Contact was lost or found again.
    Contact {
        /// Lost.
        lost: bool,
    },
    /// The processes stand still.
    Frozen,
    /// They go on.
    Thawed,
    /// The end, or what was taken for it.
    Exited(Outcome),
}

impl Fact {
    pub(super) fn new(at: u64, kind: FactKind) -> Self {
        Self {
            at,
            kind,
            twice: false,
        }
    }

    pub(super) fn exit(at: u64, outcome: Outcome) -> Self {
        Self::new(at, FactKind::Exited(outcome))
    }

    /// The fact as the controller hears of it.
    pub fn event(&self, trial: u64, attempt: u32) -> Event {
        match &self.kind {
            FactKind::Claimed => Event::Claimed { trial, attempt },
            FactKind::Started => Event::Started { trial, attempt },
            FactKind::Reported(observation) => Event::Reported {
                trial,
                attempt,
                observation: *observation,
            },
            FactKind::Contact { lost } => Event::Unresponsive {
                trial,
                attempt,
                lost_contact: *lost,
            },
            FactKind::Frozen => Event::Frozen {
                trial,
                attempt,
                resident: Resident {
                    resident: MEMORY,
                    machine: 16 * MEMORY,
                    host: "sim".into(),
                },
            },
            FactKind::Thawed => Event::Thawed { trial, attempt },
            FactKind::Exited(outcome) => Event::Exited {
                trial,
                attempt,
                outcome: outcome.clone(),
            },
        }
    }
}

/// Memory that each trial holds, in bytes, of a machine with sixteen times as much.
const MEMORY: u64 = 1 << 30;

#[derive(Debug)]
struct Journal {
    facts: Vec<Fact>,
    /// Facts handed out and made durable.
    taken: usize,
    /// From a cancel to the end of the process tree.
    grace_ms: u64,
    /// It stands still from that time on: only so many facts happen.
    hold: Option<(u64, usize)>,
}

impl Journal {
    /// The next fact, if it happens.
    fn next(&self) -> Option<&Fact> {
        let held = self.hold.is_some_and(|(_, facts)| self.taken >= facts);
        self.facts.get(self.taken).filter(|_| !held)
    }
}

/// See the module documentation.
pub struct SimTarget {
    workload: Box<dyn Workload>,
    faults: Option<Faults>,
    journals: BTreeMap<(u64, u32), Journal>,
    /// Keep journals of ended attempts, for checks.
    keep: bool,
}

impl SimTarget {
    /// A target that runs `workload`, undisturbed or not.
    pub fn new(workload: Box<dyn Workload>, faults: Option<Faults>) -> Self {
        Self {
            workload,
            keep: faults.is_some(),
            faults,
            journals: BTreeMap::new(),
        }
    }

    /// Starts an attempt, once; returns when its first fact is due, or `None` if it was started before.
    pub fn launch(&mut self, now: u64, trial: u64, attempt: u32, assignment: &Assignment) -> Option<u64> {
        let Entry::Vacant(place) = self.journals.entry((trial, attempt)) else {
            return None;
        };
        let plan = self.workload.plan(trial, attempt, assignment);
        let faults = self.faults.unwrap_or_default();
        let mut source = faults.source(trial, attempt);
        let slow = faults.slow_cancel > 0.0 && source.unit() < faults.slow_cancel;
        let grace_ms = if slow { 1 + source.below(30_000) } else { 1 };
        let mut facts = faults.facts(now, plan, &mut source);
        for fact in &mut facts {
            let report = matches!(fact.kind, FactKind::Reported(_));
            fact.twice = !report && faults.duplicated > 0.0 && source.unit() < faults.duplicated;
        }
        let first = facts.first().map(|fact| fact.at);
        place.insert(Journal {
            facts,
            taken: 0,
            grace_ms,
            hold: None,
        });
        first
    }

    /// Ends an attempt; returns when its end is due, or `None` if it has ended or ends before.
    pub fn cancel(&mut self, now: u64, trial: u64, attempt: u32) -> Option<u64> {
        let journal = self.journals.get_mut(&(trial, attempt))?;
        let mut cut = now + journal.grace_ms;
        if let Some((since, facts)) = journal.hold.take() {
            // Nothing of what it would have done happens any more.
            journal.facts.truncate(facts);
            cut = cut.max(since);
            journal.facts.push(Fact::exit(cut, Outcome::Canceled));
            return Some(journal.facts.get(journal.taken).map_or(cut, |fact| fact.at));
        }
        let open =
            journal.facts.len() > journal.taken && journal.facts.last().is_some_and(|last| last.at > cut);
        if !open {
            return None;
        }
        let kept = journal
            .facts
            .iter()
            .position(|fact| fact.at > cut)
            .unwrap_or(journal.facts.len());
        journal.facts.truncate(kept.max(journal.taken));
        journal.facts.push(Fact::exit(cut, Outcome::Canceled));
        Some(cut)
    }

    /// Stops an attempt a moment later; returns when that is a fact, or `None` if it stands still already or ends before.
    pub fn freeze(&mut self, now: u64, trial: u64, attempt: u32) -> Option<u64> {
        let journal = self.journals.get_mut(&(trial, attempt))?;
        let at = now + journal.grace_ms.min(200);
        let last = journal.facts.last().is_some_and(|last| last.at > at);
        if journal.hold.is_some() || !last || journal.taken >= journal.facts.len() {
            return None;
        }
        let place = journal
            .facts
            .partition_point(|fact| fact.at <= at)
            .max(journal.taken);
        journal.facts.insert(place, Fact::new(at, FactKind::Frozen));
        journal.hold = Some((at, place + 1));
        Some(at)
    }

    /// Lets an attempt go on; returns when its next fact is due, or `None` if it does not stand still.
    pub fn thaw(&mut self, now: u64, trial: u64, attempt: u32) -> Option<u64> {
        let journal = self.journals.get_mut(&(trial, attempt))?;
        let (since, place) = journal.hold.take()?;
        let now = now.max(since);
        for fact in journal.facts.iter_mut().skip(place) {
            fact.at += now - since;
        }
        journal.facts.insert(place, Fact::new(now, FactKind::Thawed));
        journal.facts.get(journal.taken).map(|fact| fact.at)
    }

    /// The next fact of an attempt, if it has happened by `now`. It stays the next until [`SimTarget::taken`].
    pub fn next(&self, now: u64, trial: u64, attempt: u32) -> Option<&Fact> {
        let journal = self.journals.get(&(trial, attempt))?;
        journal.next().filter(|fact| fact.at <= now)
    }

    /// The next fact has been made durable; returns when the one after it is due.
    pub fn taken(&mut self, trial: u64, attempt: u32) -> Option<u64> {
        let journal = self.journals.get_mut(&(trial, attempt))?;
        journal.taken += 1;
        let next = journal.next().map(|fact| fact.at);
        if journal.taken >= journal.facts.len() && !self.keep {
            journal.facts = Vec::new();
            journal.taken = 0;
        }
        next
    }

    /// What each attempt reported so far, by (trial, attempt); only for targets with faults.
    pub fn reported(&self) -> impl Iterator<Item = ((u64, u32), Vec<Observation>)> {
        self.journals.iter().map(|(key, journal)| {
            let taken = journal.facts.iter().take(journal.taken);
            let reports = taken.filter_map(|fact| match fact.kind {
                FactKind::Reported(observation) => Some(observation),
                _ => None,
            });
            (*key, reports.collect())
        })
    }
}
