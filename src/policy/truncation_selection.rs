//! TruncationSelection: stops the worst `percentage` per cent.
//!
//! At a due interval N a trial goes if at least `|P| - k` of the population P are strictly better, `k = floor(|P| * percentage
//! / 100)`, each taken with its best up to N. Ties across the cut are kept; trials without a value rank last. After Li et al.,
//! "A Generalized Framework for Population Based Training" (2019), where the rule is the exploit step.

use super::Stop;
use super::inequality::inequality;
use super::median_stopping::not_above;
use super::population::{Population, Rule, Statistic};
use super::ranks::{Ranks, select};
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
        let running = self.running(population, due);
        let sets = sets(population, due, running.as_ref());
        let (valued, count, cut) = self.sizes(&sets);
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
        let last_survivor = last_survivor(&sets, valued, count - cut).map(|value| sign * value);
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

    fn threshold(&self, population: &Population, due: u64) -> Option<f64> {
        let running = self.running(population, due);
        let sets = sets(population, due, running.as_ref());
        let (valued, count, cut) = self.sizes(&sets);
        if cut == 0 {
            return None;
        }
        last_survivor(&sets, valued, count - cut)
    }
}

impl TruncationSelection {
    /// Those who run, if only they are compared.
    fn running(&self, population: &Population, due: u64) -> Option<Ranks> {
        self.exclude_finished.then(|| population.running_at(due))
    }

    /// Members with a value, all members, and how many of them go.
    fn sizes(&self, sets: &[&Ranks]) -> (usize, u64, u64) {
        let valued: usize = sets.iter().map(|set| set.len()).sum();
        let count = valued as u64 + sets.iter().map(|set| set.blanks).sum::<u64>();
        (valued, count, count * u64::from(self.percentage) / 100)
    }
}

fn sets<'a>(population: &'a Population, due: u64, running: Option<&'a Ranks>) -> Vec<&'a Ranks> {
    match running {
        Some(running) => vec![running],
        None => population.at(due),
    }
}

/// The value of the worst that is kept.
fn last_survivor(sets: &[&Ranks], valued: usize, survivors: u64) -> Option<f64> {
    let index = valued.checked_sub(usize::try_from(survivors).ok()?)?;
    select(sets, index)
}
