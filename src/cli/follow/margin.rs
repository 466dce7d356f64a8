//! How far a running trial is from being stopped, for policies whose threshold needs no other trial's averages.

use crate::metric::Goal;
use crate::policy::{PolicySpec, Slack};

/// Distance of `best` (of a trial with `reports` reports) to the Bandit threshold at that interval, positive = it would survive.
/// `None` for other policies, before `delay_evaluation`, or without a value. `best_at[n - 1]` is the best of all trials up to
/// interval n. Formulas: `docs/reference/policies.md`.
pub(super) fn of(
    policy: &PolicySpec,
    goal: Goal,
    best_at: &[f64],
    best: Option<f64>,
    reports: usize,
) -> Option<f64> {
    let PolicySpec::Bandit {
        schedule,
        slack,
        literal,
        ..
    } = policy
    else {
        return None;
    };
    if (reports as u64) < schedule.delay_evaluation.max(1) {
        return None;
    }
    let leader = *best_at.get(reports.checked_sub(1)?)?;
    let threshold = threshold(*slack, goal, *literal, leader);
    let margin = goal.sign() * (best? - threshold);
    margin.is_finite().then_some(margin)
}

fn threshold(slack: Slack, goal: Goal, literal: bool, leader: f64) -> f64 {
    match (slack, goal) {
        (Slack::Amount(amount), _) => leader - goal.sign() * amount,
        (Slack::Factor(factor), Goal::Maximize) if leader > 0.0 || literal => leader / (1.0 + factor),
        (Slack::Factor(factor), Goal::Maximize) => leader - leader.abs() * factor / (1.0 + factor),
        (Slack::Factor(factor), Goal::Minimize) if leader > 0.0 || literal => leader * (1.0 + factor),
        (Slack::Factor(factor), Goal::Minimize) => leader + leader.abs() * factor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Schedule, Trigger};

    fn bandit(slack: Slack) -> PolicySpec {
        PolicySpec::Bandit {
            schedule: Schedule {
                evaluation_interval: 1,
                delay_evaluation: 2,
            },
            slack,
            literal: false,
            trigger: Trigger::Sweep,
        }
    }

    #[test]
    fn distance_to_the_threshold() {
        let near = |margin: Option<f64>, expected: f64| {
            assert!((margin.unwrap() - expected).abs() < 1e-12, "{margin:?}")
        };
        near(
            of(
                &bandit(Slack::Factor(0.2)),
                Goal::Maximize,
                &[0.5, 0.8],
                Some(0.7),
                2,
            ),
            0.7 - 0.8 / 1.2,
        );
        near(
            of(
                &bandit(Slack::Amount(0.2)),
                Goal::Minimize,
                &[0.5, 0.4],
                Some(0.5),
                2,
            ),
            0.1,
        );
        assert_eq!(
            of(&bandit(Slack::Factor(0.2)), Goal::Maximize, &[0.5], Some(0.7), 1),
            None
        );
        assert_eq!(
            of(&PolicySpec::NoTermination, Goal::Maximize, &[0.5], Some(0.7), 1),
            None
        );
    }
}
