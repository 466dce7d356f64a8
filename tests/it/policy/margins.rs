//! The distance to the threshold that people see says the same as the decisions: negative for whoever is stopped, else not.

use overdrive::history::TrialState;
use overdrive::metric::Goal;
use overdrive::policy::{PolicySpec, Schedule, Slack, Trigger, build};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

fn specs() -> Vec<PolicySpec> {
    let schedule = Schedule {
        evaluation_interval: 2,
        delay_evaluation: 3,
    };
    let trigger = Trigger::Sweep;
    let mut specs = vec![PolicySpec::MedianStopping { schedule, trigger }];
    for slack in [Slack::Factor(0.2), Slack::Amount(0.4)] {
        specs.push(PolicySpec::Bandit {
            schedule,
            slack,
            literal: false,
            trigger,
        });
    }
    for exclude_finished_jobs in [false, true] {
        specs.push(PolicySpec::TruncationSelection {
            schedule,
            percentage: 40,
            exclude_finished_jobs,
            trigger,
        });
    }
    specs
}

#[test]
fn the_margin_agrees_with_every_decision() {
    let mut rng = Pcg64::seed_from_u64(17);
    for goal in [Goal::Maximize, Goal::Minimize] {
        for spec in specs() {
            let mut policy = build(&spec, goal);
            let (mut stopped, mut kept) = (0, 0);
            let mut live: Vec<u64> = (0..12).collect();
            for round in 0..300 {
                if live.is_empty() {
                    break;
                }
                let trial = live[rng.random_range(0..live.len())];
                if round % 40 == 39 {
                    policy.end(trial, TrialState::Completed);
                    live.retain(|other| *other != trial);
                } else {
                    policy.report(trial, 1.0 + trial as f64 / 12.0 + rng.random_range(0.0..0.1));
                }
                let margins: Vec<(u64, Option<f64>)> =
                    live.iter().map(|trial| (*trial, policy.margin(*trial))).collect();
                let stops = policy.stops();
                for (trial, margin) in margins {
                    match stops.iter().find(|stop| stop.trial == trial) {
                        Some(stop) => {
                            stopped += 1;
                            if let (Some(value), Some(threshold)) = (stop.value, stop.threshold) {
                                let margin = margin.unwrap();
                                assert!(margin < 0.0, "{spec:?}: {stop:?} with {margin}");
                                assert!((margin - goal.sign() * (value - threshold)).abs() < 1e-9);
                            }
                        }
                        None => {
                            kept += usize::from(margin.is_some());
                            assert!(
                                margin.is_none_or(|margin| margin >= 0.0),
                                "{spec:?}: {trial} {margin:?}"
                            );
                        }
                    }
                }
                live.retain(|trial| stops.iter().all(|stop| stop.trial != *trial));
            }
            assert!(
                stopped > 0 && kept > 0,
                "{spec:?}: {stopped} stopped, {kept} kept"
            );
        }
    }
}

#[test]
fn nothing_is_compared_before_its_time() {
    let mut policy = build(&specs()[1], Goal::Maximize);
    assert_eq!(policy.margin(0), None);
    for _ in 0..3 {
        policy.report(0, 0.5);
        policy.report(1, 0.3);
        assert_eq!(policy.margin(1), None, "due at interval 4");
    }
    policy.report(1, 0.3);
    policy.report(0, 0.5);
    let margin = policy.margin(1).unwrap();
    assert!((margin - (0.3 - 0.5 / 1.2)).abs() < 1e-12, "{margin}");
    let none = build(&PolicySpec::NoTermination, Goal::Maximize);
    assert_eq!(none.margin(0), None);
}
