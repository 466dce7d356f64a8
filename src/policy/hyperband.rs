//! Hyperband: brackets of ASHA that begin to judge later and later, in case early values mislead.
//!
//! Bracket s judges first at `min_resource * reduction_factor^s` reports. Trials are dealt to the brackets by their number, so that each
//! bracket gets about the same share of the reports: of `B` brackets, bracket s gets
//! `ceil(B / (B - s) * reduction_factor^(B - 1 - s))` of each round (Li et al., "Hyperband" (2018), algorithm 1, in asynchronous form).

use super::asha::Asha;
use super::{Policy, Stop, Thaw};
use crate::history::TrialState;
use crate::metric::Goal;

/// Wire name.
const NAME: &str = "Hyperband";

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Hyperband {
    brackets: Vec<Asha>,
    /// Trials of a round that go to each bracket.
    shares: Vec<u64>,
}

impl Hyperband {
    pub(super) fn new(goal: Goal, min_resource: u64, reduction_factor: u64, brackets: u64) -> Self {
        let factor = reduction_factor.max(2);
        // More would begin beyond any count of reports.
        let count = brackets.clamp(1, 20);
        let power = |exponent: u64| factor.saturating_pow(u32::try_from(exponent).unwrap_or(u32::MAX));
        Self {
            brackets: (0..count)
                .map(|s| Asha::new(goal, min_resource.max(1).saturating_mul(power(s)), factor))
                .collect(),
            shares: (0..count)
                .map(|s| power(count - 1 - s).saturating_mul(count).div_ceil(count - s))
                .collect(),
        }
    }

    /// The same, which freezes instead of stopping.
    pub(super) fn freezing(self, freeze: bool) -> Self {
        let brackets = self.brackets.into_iter();
        Self {
            brackets: brackets.map(|bracket| bracket.freezing(freeze)).collect(),
            ..self
        }
    }

    /// What all brackets want of trials, in this policy's name.
    fn collect(&mut self, decide: impl Fn(&mut Asha) -> Vec<Stop>) -> Vec<Stop> {
        let mut stops = Vec::new();
        for (index, bracket) in (0_u32..).zip(&mut self.brackets) {
            stops.extend(decide(bracket).into_iter().map(|mut stop| {
                stop.policy = NAME.into();
                stop.operands.insert("bracket".into(), f64::from(index + 1));
                let last = stop.operands.len() - 1;
                // `sign` stays last.
                stop.operands.swap_indices(last, last.saturating_sub(1));
                stop
            }));
        }
        stops.sort_by_key(|stop| stop.trial);
        stops
    }

    fn index(&self, trial: u64) -> usize {
        let round = self
            .shares
            .iter()
            .fold(0_u64, |sum, share| sum.saturating_add(*share))
            .max(1);
        let mut place = trial % round;
        for (index, share) in self.shares.iter().enumerate() {
            match place.checked_sub(*share) {
                Some(rest) => place = rest,
                None => return index,
            }
        }
        0
    }

    fn of(&mut self, trial: u64) -> Option<&mut Asha> {
        let index = self.index(trial);
        self.brackets.get_mut(index)
    }
}

impl Policy for Hyperband {
    fn report(&mut self, trial: u64, value: f64) {
        if let Some(bracket) = self.of(trial) {
            bracket.report(trial, value);
        }
    }

    fn end(&mut self, trial: u64, state: TrialState) {
        if let Some(bracket) = self.of(trial) {
            bracket.end(trial, state);
        }
    }

    fn restart(&mut self, trial: u64) {
        if let Some(bracket) = self.of(trial) {
            bracket.restart(trial);
        }
    }

    fn restored(&mut self) {
        self.brackets.iter_mut().for_each(Asha::restored);
    }

    fn margin(&self, trial: u64) -> Option<f64> {
        self.brackets.get(self.index(trial))?.margin(trial)
    }

    fn stops(&mut self) -> Vec<Stop> {
        self.collect(Asha::stops)
    }

    fn freezes(&mut self) -> Vec<Stop> {
        self.collect(Asha::freezes)
    }

    fn thaw(&mut self, frozen: &[u64], last: bool) -> Option<Thaw> {
        // Each bracket is a field of its own; the one whose candidate has come farthest goes first.
        let mut best: Option<(u64, Thaw)> = None;
        for index in 0..self.brackets.len() {
            let own: Vec<u64> = frozen
                .iter()
                .copied()
                .filter(|trial| self.index(*trial) == index)
                .collect();
            let Some(bracket) = self.brackets.get_mut(index) else {
                continue;
            };
            let Some(mut thaw) = bracket.thaw(&own, last) else {
                continue;
            };
            thaw.policy = NAME.into();
            thaw.reason = format!("{} in bracket {}", thaw.reason, index + 1);
            let reached = bracket.reached(thaw.trial);
            // Of equals the first.
            if best.as_ref().is_none_or(|(most, _)| reached > *most) {
                best = Some((reached, thaw));
            }
        }
        best.map(|(_, thaw)| thaw)
    }

    fn promise(&mut self, trial: u64) -> f64 {
        self.of(trial).map_or(0.0, |bracket| bracket.promise(trial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_get_shares_of_trials_and_begin_later_and_later() {
        let mut policy = Hyperband::new(Goal::Maximize, 1, 3, 3);
        assert_eq!(policy.shares, [9, 5, 3]);
        // Trials 0 and 1 are of the first bracket, 9 and 10 of the second, 14 and 15 of the third; the second of each is worse.
        let mut stopped = Vec::new();
        for (trial, value) in [(0, 0.9), (1, 0.1), (9, 0.9), (10, 0.1), (14, 0.9), (15, 0.1)] {
            for interval in 1..=9 {
                policy.report(trial, value);
                if let [stop] = policy.stops().as_slice() {
                    stopped.push((stop.trial, stop.interval));
                    assert_eq!(stop.interval, interval);
                    assert_eq!(stop.policy, "Hyperband");
                    assert_eq!(stop.operands.last().map(|(name, _)| name.as_str()), Some("sign"));
                    break;
                }
            }
        }
        assert_eq!(stopped, [(1, 1), (10, 3), (15, 9)]);
    }
}
