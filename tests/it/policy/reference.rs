//! The policies written down as literally as their rules are, recomputing everything at every event, against the incremental
//! ones on random event sequences.

use overdrive::history::TrialState;
use overdrive::metric::Goal;
use overdrive::policy::{PolicySpec, Schedule, Slack, Trigger, build};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Default)]
struct Run {
    reports: Vec<f64>,
    ended: bool,
}

impl Run {
    fn values(&self, until: usize) -> Vec<f64> {
        self.reports
            .iter()
            .take(until)
            .copied()
            .filter(|value| value.is_finite())
            .collect()
    }

    fn best(&self, goal: Goal, until: usize) -> Option<f64> {
        self.values(until)
            .into_iter()
            .reduce(|a, b| if goal.better(b, a) { b } else { a })
    }

    fn average(&self, until: usize) -> Option<f64> {
        let values = self.values(until);
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}

struct Reference {
    spec: PolicySpec,
    goal: Goal,
    runs: BTreeMap<u64, Run>,
}

impl Reference {
    fn settings(&self) -> (Schedule, Trigger) {
        match self.spec {
            PolicySpec::Bandit {
                schedule, trigger, ..
            }
            | PolicySpec::MedianStopping { schedule, trigger }
            | PolicySpec::TruncationSelection {
                schedule, trigger, ..
            } => (schedule, trigger),
            _ => (Schedule::default(), Trigger::Sweep),
        }
    }

    /// Trial and interval of everyone who goes now.
    fn stops(&mut self, reporter: Option<u64>) -> Vec<(u64, u64)> {
        let (schedule, trigger) = self.settings();
        let mut stops = Vec::new();
        for (number, run) in &self.runs {
            let reports = run.reports.len() as u64;
            let due = schedule.latest_due(reports);
            let asked = trigger == Trigger::Sweep || (reporter == Some(*number) && due == reports);
            if !run.ended && due > 0 && asked && self.goes(run, due as usize) {
                stops.push((*number, due));
            }
        }
        for (number, _) in &stops {
            self.runs.get_mut(number).unwrap().ended = true;
        }
        stops
    }

    fn population(&self, due: usize) -> Vec<&Run> {
        let short = |run: &Run| run.ended && !run.reports.is_empty();
        self.runs
            .values()
            .filter(|run| run.reports.len() >= due || short(run))
            .collect()
    }

    fn goes(&self, run: &Run, due: usize) -> bool {
        let goal = self.goal;
        let value = run.best(goal, due);
        match self.spec {
            PolicySpec::Bandit { slack, literal, .. } => {
                let bests = self.runs.values().filter_map(|run| run.best(goal, due));
                let Some(best) = bests.reduce(|a, b| if goal.better(b, a) { b } else { a }) else {
                    return false;
                };
                let sign = goal.sign();
                let threshold = match slack {
                    Slack::Amount(amount) => best - sign * amount,
                    Slack::Factor(factor) if best > 0.0 || literal => match goal {
                        Goal::Maximize => best / (1.0 + factor),
                        Goal::Minimize => best * (1.0 + factor),
                    },
                    Slack::Factor(factor) => match goal {
                        Goal::Maximize => best - best.abs() * factor / (1.0 + factor),
                        Goal::Minimize => best + best.abs() * factor,
                    },
                };
                value.is_none_or(|value| goal.worse(value, threshold))
            }
            PolicySpec::MedianStopping { .. } => {
                let mut averages: Vec<f64> = self
                    .population(due)
                    .into_iter()
                    .filter_map(|run| run.average(due))
                    .collect();
                averages.sort_by(f64::total_cmp);
                let count = averages.len();
                if count == 0 {
                    return false;
                }
                let median = (averages[(count - 1) / 2] + averages[count / 2]) / 2.0;
                value.is_none_or(|value| goal.worse(value, median))
            }
            PolicySpec::TruncationSelection {
                percentage,
                exclude_finished_jobs,
                ..
            } => {
                let mut population = self.population(due);
                population.retain(|run| !(exclude_finished_jobs && run.ended));
                let count = population.len() as u64;
                let cut = count * u64::from(percentage) / 100;
                let bests: Vec<f64> = population.iter().filter_map(|run| run.best(goal, due)).collect();
                match value {
                    None => cut >= 1 && !bests.is_empty(),
                    Some(value) => {
                        let better = bests.iter().filter(|best| goal.worse(value, **best)).count() as u64;
                        cut >= 1 && better >= count - cut
                    }
                }
            }
            _ => false,
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Report(u64, f64),
    End(u64),
    Restart(u64),
    Restored,
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-4i32..12).prop_map(|value| f64::from(value) / 4.0),
        4 => -2.0..2.0f64,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
    ]
}

fn trial() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..6, 0u64..40]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (trial(), value()).prop_map(|(trial, value)| Step::Report(trial, value)),
        2 => trial().prop_map(Step::End),
        1 => trial().prop_map(Step::Restart),
        1 => Just(Step::Restored),
    ]
}

fn spec() -> impl Strategy<Value = PolicySpec> {
    let schedule = (1u64..4, 0u64..6).prop_map(|(evaluation_interval, delay_evaluation)| Schedule {
        evaluation_interval,
        delay_evaluation,
    });
    let trigger = prop_oneof![3 => Just(Trigger::Sweep), 1 => Just(Trigger::Reporter)];
    let slack = prop_oneof![
        (0.0..1.0f64).prop_map(Slack::Factor),
        (0.0..1.0f64).prop_map(Slack::Amount),
        Just(Slack::Amount(0.25))
    ];
    (schedule, trigger, slack, any::<bool>(), 1u8..100, 0..3).prop_map(
        |(schedule, trigger, slack, flag, percentage, kind)| match kind {
            0 => PolicySpec::Bandit {
                schedule,
                slack,
                literal: flag,
                trigger,
            },
            1 => PolicySpec::MedianStopping { schedule, trigger },
            _ => PolicySpec::TruncationSelection {
                schedule,
                percentage,
                exclude_finished_jobs: flag,
                trigger,
            },
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn incremental_policies_decide_as_the_literal_ones(
        spec in spec(),
        maximize in any::<bool>(),
        steps in prop::collection::vec(step(), 1..250),
    ) {
        let goal = if maximize { Goal::Maximize } else { Goal::Minimize };
        let mut policy = build(&spec, goal);
        let mut reference = Reference { spec, goal, runs: BTreeMap::new() };
        for step in steps {
            let mut reporter = None;
            match step {
                Step::Report(trial, value) => {
                    policy.report(trial, value);
                    let run = reference.runs.entry(trial).or_default();
                    if !run.ended {
                        run.reports.push(value);
                        reporter = Some(trial);
                    }
                }
                Step::End(trial) => {
                    policy.end(trial, TrialState::Completed);
                    reference.runs.entry(trial).or_default().ended = true;
                }
                Step::Restart(trial) => {
                    // Only live attempts are ever superseded.
                    if reference.runs.get(&trial).is_some_and(|run| !run.ended) {
                        policy.restart(trial);
                        reference.runs.remove(&trial);
                    }
                }
                Step::Restored => {
                    // A new life is fed trial by trial, in the order of their numbers.
                    policy = build(&reference.spec, goal);
                    for (number, run) in &reference.runs {
                        for value in &run.reports {
                            policy.report(*number, *value);
                        }
                        if run.ended {
                            policy.end(*number, TrialState::Canceled);
                        }
                    }
                    policy.restored();
                    continue;
                }
            }
            let stops: Vec<(u64, u64)> =
                policy.stops().into_iter().map(|stop| (stop.trial, stop.interval)).collect();
            prop_assert_eq!(stops, reference.stops(reporter));
        }
    }
}
