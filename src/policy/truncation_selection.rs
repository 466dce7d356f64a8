//! TruncationSelection: stops the worst `percentage` per cent.
//!
//! At a due interval N a trial goes if at least `|P| - k` of the population P are strictly better, `k = floor(|P| * percentage
//! / 100)`, each taken with its best up to N. Ties across the cut are kept; trials without a value rank last. After Li et al.,
//! "A Generalized Framework for Population Based Training" (2019), where the rule is the exploit step.

use super::inequality::inequality;
use super::median_stopping::not_above;
use super::population::{Population, Rule, Statistic};
use super::ranks::{Ranks, select};
use super::Stop;
use crate::metric::Goal;
use indexmap::IndexMap;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct TruncationSelection {
    pub(super) goal: Goal,
    pub(super) percentage: u8,
    pub(super) exclude_finished: bool,
}

impl Rule for TruncationSelection {
    fn statistic(&self) -> Statistic {
        match self.exclude_finished {
            true => Statistic::BestOfRunning,
            false => Statistic::Best,
        }
    }

    fn judge(&self, population: &Population, number: u64, due: u64, value: Option<f64>) -> Result<Stop, u64> {
        let running;
        let sets: Vec<&Ranks> = if self.exclude_finished {
            running = population.running_at(due);
            vec![&running]
        } else {
            population.at(due)
        };
        let valued: usize = sets.iter().map(|set| set.len()).sum();
        let blanks: u64 = sets.iter().map(|set| set.blanks).sum();
        let count = valued as u64 + blanks;
        let cut = count * u64::from(self.percentage) / 100;
        let better = match value {
            Some(value) => valued - sets.iter().map(|set| not_above(set, value)).sum::<usize>(),
            None => valued,
        } as u64;
        let goes = match value {
            Some(_) => better >= count.saturating_sub(cut),
            None => valued > 0,
        };
        if cut == 0 || !goes {
            // More members let more survive; each may be better than this one. Those who run may also become fewer.
            let margin = match value {
                Some(_) if !self.exclude_finished => (count - cut).saturating_sub(better + 1),
                _ => 0,
            };
            return Err(margin);
        }
        let sign = self.goal.sign();
        let value = value.map(|value| sign * value);
        let last_survivor = usize::try_from(count - cut)
            .ok()
            .and_then(|survivors| valued.checked_sub(survivors))
            .and_then(|index| select(&sets, index))
            .map(|value| sign * value);
        let because = format!(
            "{better} of {count} are better, the worst {} % are stopped",
            self.percentage
        );
        let mut operands = IndexMap::from([
            ("population".to_owned(), count as f64),
            ("percentage".to_owned(), f64::from(self.percentage)),
            ("k".to_owned(), cut as f64),
            ("better".to_owned(), better as f64),
        ]);
        if let Some(threshold) = last_survivor {
            operands.insert("threshold".to_owned(), threshold);
        }
        operands.insert("sign".to_owned(), sign);
        Ok(Stop {
            trial: number,
            interval: due,
            policy: "TruncationSelection".into(),
            value,
            threshold: last_survivor,
            operands,
            inequality: inequality(self.goal, value, last_survivor, &because),
        })
    }
}
