//! TruncationSelection: stops the worst `percentage` per cent.
//!
//! At a due interval N a trial goes if at least `|P| - k` of the population P are strictly better, `k = floor(|P| * percentage
//! / 100)`, each taken with its best up to N. Ties across the cut are kept; trials without a value rank last. After Li et al.,
//! "A Generalized Framework for Population Based Training" (2019), where the rule is the exploit step.

use super::inequality::inequality;
use super::median_stopping::not_above;
use super::population::{Population, Statistic};
use super::ranks::{Ranks, select};
use super::{Policy, Schedule, Stop, Trigger};
use crate::history::TrialState;
use crate::metric::Goal;
use indexmap::IndexMap;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct TruncationSelection {
    goal: Goal,
    percentage: u8,
    exclude_finished: bool,
    population: Population,
}

impl TruncationSelection {
    pub(super) fn new(
        goal: Goal,
        schedule: Schedule,
        percentage: u8,
        exclude_finished: bool,
        trigger: Trigger,
    ) -> Self {
        Self {
            goal,
            percentage,
            exclude_finished,
            population: Population::new(
                goal,
                schedule,
                trigger,
                match exclude_finished {
                    true => Statistic::BestOfRunning,
                    false => Statistic::Best,
                },
            ),
        }
    }

    /// Those who run, if only they are compared.
    fn running(&self, due: u64) -> Option<Ranks> {
        self.exclude_finished.then(|| self.population.running_at(due))
    }

    fn sets<'a>(&'a self, due: u64, running: Option<&'a Ranks>) -> Vec<&'a Ranks> {
        match running {
            Some(running) => vec![running],
            None => self.population.at(due),
        }
    }

    /// Members with a value, all members, and how many of them go.
    fn sizes(&self, sets: &[&Ranks]) -> (usize, u64, u64) {
        let valued: usize = sets.iter().map(|set| set.len()).sum();
        let count = valued as u64 + sets.iter().map(|set| set.blanks).sum::<u64>();
        (valued, count, count * u64::from(self.percentage) / 100)
    }

    /// The decision to stop, or how many more members would certainly not lead to it.
    fn judge(&self, number: u64, due: u64, value: Option<f64>) -> Result<Stop, u64> {
        let running = self.running(due);
        let sets = self.sets(due, running.as_ref());
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
}

/// The value of the worst that is kept.
fn last_survivor(sets: &[&Ranks], valued: usize, survivors: u64) -> Option<f64> {
    let index = valued.checked_sub(usize::try_from(survivors).ok()?)?;
    select(sets, index)
}

impl Policy for TruncationSelection {
    fn report(&mut self, trial: u64, value: f64) {
        self.population.report(trial, value);
    }

    fn end(&mut self, trial: u64, _: TrialState) {
        self.population.end(trial);
    }

    fn restart(&mut self, trial: u64) {
        self.population.restart(trial);
    }

    fn restored(&mut self) {
        self.population.restored();
    }

    fn margin(&self, number: u64) -> Option<f64> {
        let (due, value) = self.population.due(number)?;
        let running = self.running(due);
        let sets = self.sets(due, running.as_ref());
        let (valued, count, cut) = self.sizes(&sets);
        if cut == 0 {
            return None;
        }
        let margin = value? - last_survivor(&sets, valued, count - cut)?;
        margin.is_finite().then_some(margin)
    }

    fn stops(&mut self) -> Vec<Stop> {
        let mut stops = Vec::new();
        for (number, due, value) in self.population.take_pending() {
            match self.judge(number, due, value) {
                Ok(stop) => stops.push(stop),
                Err(margin) => self.population.kept(number, margin),
            }
        }
        for stop in &stops {
            self.population.end(stop.trial);
        }
        stops
    }
}
