//! Where the next attempt of a sweep is started that has several compute targets, and which of them are left alone for a while.
//!
//! Pure and counted from facts alone (who was placed where, how it ended, when), so that a resumed driver that replays the facts of the
//! store decides as the one before it would have. A decision is stored beside the attempt before anything is started and is
//! never taken again.
//!
//! **The order.** Among targets with a free slot the next attempt goes to the one with the lowest `cost_per_hour`
//! (nothing said = costs nothing); among equals to the one with the fewest seconds per trial, measured from placement to end over the
//! last [`MEASURED`] completed trials there, queueing included (not measured yet = first, so that each gets a first trial); among
//! equals to the one named first. A trial whose last attempt was lost is placed elsewhere if there is room.
//!
//! **Benches.** A target on which [`FAULTS`] attempts in a row were lost or could not be started gets no new ones for
//! [`BENCH_MS`], doubled with each further bench up to [`BENCH_LAST_MS`]; anything that a script did there by itself clears it.
//! The last target that is left is never benched.

use crate::controller::{FailureClass, Outcome};
use std::collections::VecDeque;

/// Attempts lost in a row until a target is benched.
pub const FAULTS: u32 = 3;

/// First bench of a target, milliseconds.
pub const BENCH_MS: u64 = 120_000;

/// Longest bench of a target, milliseconds.
pub const BENCH_LAST_MS: u64 = 3_600_000;

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// Completed trials whose mean time says how fast a target is.
pub const MEASURED: usize = 16;

/// A compute target as its owner describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Name.
    pub name: String,
    /// Price of one slot for an hour, in any unit; finite and not negative.
    pub cost_per_hour: Option<f64>,
}

/// A target that begins to be left alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Benched {
    /// Its name.
    pub name: String,
    /// Attempts that were lost there in a row.
    pub faults: u32,
    /// For how long, milliseconds.
    pub for_ms: u64,
}

#[derive(Clone, Debug)]
struct Standing {
    offer: Offer,
    /// Slots, taken ones included; `None` = as many as wanted.
    slots: Option<u64>,
    taken: u64,
    /// Milliseconds of the last completed trials.
    times: VecDeque<u64>,
    /// Attempts lost since one last ended by itself.
    faults: u32,
    /// Benches since an attempt last ended by itself.
    benches: u32,
    until: Option<u64>,
}

impl Standing {
    fn free(&self) -> bool {
        self.slots.is_none_or(|slots| self.taken < slots)
    }

    fn benched(&self, now: u64) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Whether it could take attempts at all.
    fn serves(&self, now: u64) -> bool {
        !self.benched(now) && self.slots != Some(0)
    }

    /// Mean milliseconds of a trial; 0 = not measured.
    fn pace(&self) -> u64 {
        let sum: u64 = self.times.iter().fold(0, |sum, time| sum.saturating_add(*time));
        sum.checked_div(self.times.len() as u64).unwrap_or(0)
    }
}

/// See the module documentation. Targets are named by their place in the list given at the beginning.
#[derive(Clone, Debug)]
pub struct Placement {
    targets: Vec<Standing>,
    /// What the attempts that have ended cost.
    spent: f64,
}

impl Placement {
    /// Targets of which nothing is known but what their owners say. Until told otherwise, none has a slot.
    pub fn new(offers: Vec<Offer>) -> Self {
        let standing = |offer| Standing {
            offer,
            slots: Some(0),
            taken: 0,
            times: VecDeque::new(),
            faults: 0,
            benches: 0,
            until: None,
        };
        Self {
            targets: offers.into_iter().map(standing).collect(),
            spent: 0.0,
        }
    }

    /// What the attempts that have ended cost, from placement to end, in the unit of `cost_per_hour`; `None` where no target has a price.
    pub fn spent(&self) -> Option<f64> {
        let priced = |standing: &Standing| standing.offer.cost_per_hour.is_some();
        self.targets.iter().any(priced).then_some(self.spent)
    }

    /// How many attempts a target can hold at once, taken slots included.
    pub fn holds(&mut self, target: usize, slots: Option<u64>) {
        if let Some(standing) = self.targets.get_mut(target) {
            standing.slots = slots;
        }
    }

    /// An attempt was placed on a target.
    pub fn placed(&mut self, target: usize) {
        if let Some(standing) = self.targets.get_mut(target) {
            standing.taken += 1;
        }
    }

    /// An attempt that was placed `ms` milliseconds ago has ended. Tells if that benches its target.
    pub fn ended(&mut self, now: u64, target: usize, ms: u64, outcome: &Outcome) -> Option<Benched> {
        let another = self
            .targets
            .iter()
            .enumerate()
            .any(|(index, standing)| index != target && standing.serves(now));
        let standing = self.targets.get_mut(target)?;
        standing.taken = standing.taken.saturating_sub(1);
        self.spent += standing.offer.cost_per_hour.unwrap_or(0.0) * ms as f64 / HOUR_MS;
        match outcome {
            Outcome::Failed {
                class: FailureClass::Infrastructure,
                ..
            } => standing.faults += 1,
            // Neither says anything about the target's health.
            Outcome::Canceled
            | Outcome::Failed {
                class: FailureClass::Preempted | FailureClass::Exhausted | FailureClass::Setup,
                ..
            } => return None,
            Outcome::Completed => {
                (standing.faults, standing.benches, standing.until) = (0, 0, None);
                standing.times.push_back(ms);
                if standing.times.len() > MEASURED {
                    standing.times.pop_front();
                }
            }
            Outcome::Failed { .. } => (standing.faults, standing.benches, standing.until) = (0, 0, None),
        }
        if standing.faults < FAULTS || !another {
            return None;
        }
        let for_ms = BENCH_MS
            .saturating_mul(1 << standing.benches.min(16))
            .min(BENCH_LAST_MS);
        let benched = Benched {
            name: standing.offer.name.clone(),
            faults: standing.faults,
            for_ms,
        };
        standing.until = Some(now.saturating_add(for_ms));
        standing.benches += 1;
        // One more fault after the bench is enough for the next.
        standing.faults = FAULTS - 1;
        Some(benched)
    }

    /// Slots of all targets. Taken ones count also where no new attempt may go (a target that is benched or out of reach): they must
    /// not cost the others theirs.
    pub fn slots(&self, now: u64) -> u64 {
        self.targets.iter().fold(0, |sum, standing| {
            let offered = if self.takes(standing, now) {
                standing.slots.unwrap_or(u64::MAX)
            } else {
                0
            };
            sum.saturating_add(offered.max(standing.taken))
        })
    }

    /// Whether another target than `target` could take an attempt now.
    pub fn room_beside(&self, now: u64, target: usize) -> bool {
        self.targets
            .iter()
            .enumerate()
            .any(|(index, standing)| index != target && standing.serves(now) && standing.free())
    }

    /// When a bench ends, the next one that does.
    pub fn next_change(&self, now: u64) -> Option<u64> {
        let ends = self.targets.iter().filter_map(|standing| standing.until);
        ends.filter(|until| *until > now).min()
    }

    /// Where the next attempt goes; `lost_on` is where the trial's last attempt was lost. Where no target has room, the first in order
    /// that is not benched.
    pub fn choose(&self, now: u64, lost_on: Option<usize>) -> usize {
        let order = |index: usize, standing: &Standing| {
            (
                !self.takes(standing, now),
                !standing.free(),
                Some(index) == lost_on,
                Price(standing.offer.cost_per_hour.unwrap_or(0.0)),
                standing.pace(),
                index,
            )
        };
        self.targets
            .iter()
            .enumerate()
            .min_by_key(|(index, standing)| order(*index, standing))
            .map_or(0, |(index, _)| index)
    }

    /// Whether a target is left alone now.
    pub fn benched(&self, now: u64, target: usize) -> bool {
        self.targets
            .get(target)
            .is_some_and(|standing| !self.takes(standing, now))
    }

    fn takes(&self, standing: &Standing, now: u64) -> bool {
        !standing.benched(now) || !self.targets.iter().any(|other| other.serves(now))
    }
}

/// A price in the order of prices; one that is no number is the highest.
#[derive(Clone, Copy)]
struct Price(f64);

impl PartialEq for Price {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Price {}

impl PartialOrd for Price {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Price {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // -0 costs what 0 does.
        (self.0 + 0.0).total_cmp(&(other.0 + 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(costs: &[Option<f64>]) -> Placement {
        let offers = costs.iter().enumerate().map(|(index, cost)| Offer {
            name: format!("t{index}"),
            cost_per_hour: *cost,
        });
        let mut placement = Placement::new(offers.collect());
        for index in 0..costs.len() {
            placement.holds(index, Some(2));
        }
        placement
    }

    fn lost() -> Outcome {
        Outcome::Failed {
            class: FailureClass::Infrastructure,
            exit_code: None,
            signal: None,
            message: "gone".into(),
        }
    }

    #[test]
    fn what_ended_is_paid_for_whatever_came_of_it() {
        let hour = 3_600_000;
        let mut placement = offers(&[Some(0.5), None]);
        assert_eq!(placement.spent(), Some(0.0));
        for (target, ms, outcome) in [
            (0, 2 * hour, Outcome::Completed),
            (1, hour, Outcome::Completed),
            (0, hour / 2, Outcome::Canceled),
            (0, hour, lost()),
        ] {
            placement.placed(target);
            placement.ended(ms, target, ms, &outcome);
        }
        assert_eq!(placement.spent(), Some(1.75));
        assert_eq!(offers(&[None, None]).spent(), None);
    }

    fn fill(placement: &mut Placement, attempts: usize) -> Vec<usize> {
        (0..attempts)
            .map(|_| {
                let target = placement.choose(0, None);
                placement.placed(target);
                target
            })
            .collect()
    }

    #[test]
    fn the_cheapest_first_each_up_to_its_capacity() {
        let mut placement = offers(&[Some(3.0), None, Some(0.5)]);
        assert_eq!(fill(&mut placement, 6), [1, 1, 2, 2, 0, 0]);
        assert_eq!(placement.slots(0), 6);
        placement.ended(5, 2, 5, &Outcome::Canceled);
        assert_eq!(placement.choose(5, None), 2);
        placement.holds(0, None);
        assert_eq!(placement.slots(0), u64::MAX);
    }

    #[test]
    fn of_equal_price_the_fastest_and_each_is_measured_first() {
        let mut placement = offers(&[None, None]);
        assert_eq!(fill(&mut placement, 4), [0, 0, 1, 1]);
        placement.ended(90, 0, 90, &Outcome::Completed);
        assert_eq!(placement.choose(90, None), 0, "the only one with room");
        placement.ended(90, 1, 30, &Outcome::Completed);
        assert_eq!(placement.choose(90, None), 1);
        placement.ended(100, 1, 200, &Outcome::Completed);
        assert_eq!(placement.choose(100, None), 0);
        assert_eq!(placement.choose(100, Some(0)), 1, "it was lost on 0");
        placement.placed(1);
        placement.placed(1);
        assert_eq!(placement.choose(100, Some(0)), 0, "no room but there");
    }

    #[test]
    fn a_target_that_loses_everything_is_left_alone_for_a_while() {
        let mut placement = offers(&[Some(0.0), Some(1.0)]);
        fill(&mut placement, 3);
        assert_eq!(placement.ended(10, 0, 1, &lost()), None);
        placement.placed(0);
        assert_eq!(placement.ended(10, 0, 1, &lost()), None);
        placement.placed(0);
        let benched = placement.ended(10, 0, 1, &lost()).unwrap();
        assert_eq!((benched.name.as_str(), benched.for_ms), ("t0", BENCH_MS));
        assert_eq!(placement.choose(11, None), 1);
        assert_eq!(
            placement.slots(11),
            3,
            "the slot that is taken there, and two elsewhere"
        );
        assert_eq!(placement.next_change(11), Some(10 + BENCH_MS));
        let later = 10 + BENCH_MS;
        assert_eq!(placement.choose(later, None), 0);
        let again = placement.ended(later, 0, 1, &lost()).unwrap();
        assert_eq!(again.for_ms, 2 * BENCH_MS);
        placement.placed(0);
        placement.ended(later + 1, 0, 1, &Outcome::Completed);
        assert!(!placement.benched(later + 1, 0), "it works after all");
    }

    #[test]
    fn the_only_target_is_never_left_alone() {
        let mut placement = offers(&[None]);
        for _ in 0..9 {
            placement.placed(0);
            assert_eq!(placement.ended(1, 0, 1, &lost()), None);
        }
        assert_eq!((placement.choose(1, Some(0)), placement.slots(1)), (0, 2));
    }
}
