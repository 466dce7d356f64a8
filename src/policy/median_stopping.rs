//! MedianStopping: stops whoever's best is worse than the median of the running averages.
//!
//! At a due interval N: the median, over everybody who reported N times or has ended, of the mean of their first N reports.
//! After Golovin et al., "Google Vizier: A Service for Black-Box Optimization" (2017), section 3.2.2; other than there,
//! HyperDrive's population is all trials, not the completed ones only. The decision is made by counting; the median itself is
//! looked up where counting leaves it open and for the record.

use super::Stop;
use super::inequality::inequality;
use super::population::{Population, Rule, Statistic};
use super::ranks::{Ranks, select};
use crate::metric::Goal;
use indexmap::IndexMap;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct MedianStopping {
    pub(super) goal: Goal,
}

impl Rule for MedianStopping {
    fn statistic(&self) -> Statistic {
        Statistic::Mean
    }

    fn judge(&self, population: &Population, number: u64, due: u64, value: Option<f64>) -> Result<Stop, u64> {
        let sets = population.at(due);
        let count: usize = sets.iter().map(|set| set.len()).sum();
        if count == 0 {
            return Err(0);
        }
        if let Some(value) = value {
            let above = count - sets.iter().map(|set| not_above(set, value)).sum::<usize>();
            // Half of an even population above: the two middle averages lie on both sides of the value.
            if above * 2 < count {
                return Err((count - above * 2 - 1) as u64);
            }
        }
        let median = median(&sets, count).ok_or(0u64)?;
        if value.is_some_and(|value| !Goal::Maximize.worse(value, median)) || !median.is_finite() {
            return Err(0);
        }
        let sign = self.goal.sign();
        let (value, median) = (value.map(|value| sign * value), sign * median);
        let because = match count {
            1 => "the only average".to_owned(),
            _ => format!("median of {count} averages"),
        };
        Ok(Stop {
            trial: number,
            interval: due,
            policy: "MedianStopping".into(),
            value,
            threshold: Some(median),
            operands: IndexMap::from([
                ("median".to_owned(), median),
                ("population".to_owned(), count as f64),
                ("sign".to_owned(), sign),
            ]),
            inequality: inequality(self.goal, value, Some(median), &because),
        })
    }

    fn threshold(&self, population: &Population, due: u64) -> Option<f64> {
        let sets = population.at(due);
        median(&sets, sets.iter().map(|set| set.len()).sum())
    }
}

/// How many of the set's numbers `value` is not worse than.
pub(super) fn not_above(set: &Ranks, value: f64) -> usize {
    set.partition_point(|other| !Goal::Maximize.worse(value, other))
}

fn median(sets: &[&Ranks], count: usize) -> Option<f64> {
    let upper = select(sets, count / 2)?;
    if count % 2 == 1 {
        return Some(upper);
    }
    Some(select(sets, count / 2 - 1)? * 0.5 + upper * 0.5)
}
