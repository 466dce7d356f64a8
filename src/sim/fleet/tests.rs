//! Fleets that live, break and die, with and without kills of the controller.

use super::*;
use crate::controller::Limits;
use crate::metric::Goal;
use crate::space::{Distribution, Parameter};

fn fleet(members: Vec<Member>, total: u64) -> Fleet {
    Fleet {
        settings: Settings {
            goal: Goal::Minimize,
            limits: Limits {
                max_total: total,
                max_concurrent: 100,
                max_duration_ms: None,
            },
            abort_after_initial_failures: 3,
            max_retries: 2,
        },
        space: Arc::new(SearchSpace {
            parameters: vec![Parameter {
                name: "x".into(),
                distribution: Distribution::Uniform { low: 0.0, high: 1.0 },
                condition: None,
            }],
            constraints: Vec::new(),
        }),
        sampler: SamplerSpec {
            kind: "random".into(),
            seed: 1,
            allow_duplicates: false,
            options: serde_json::Map::new(),
        },
        members,
        kill_every: 0,
    }
}

fn member(name: &str, cost: Option<f64>, slots: u64, trial_ms: u64) -> Member {
    Member {
        offer: Offer {
            name: name.into(),
            cost_per_hour: cost,
        },
        slots,
        trial_ms,
        dies: None,
        broken: false,
    }
}

fn on(course: &Course, target: usize) -> usize {
    let there = |attempt: &&Placed| attempt.target == target;
    course.attempts.iter().filter(there).count()
}

#[test]
fn a_sweep_is_spread_over_all_and_the_cheap_one_is_never_idle() {
    let members = vec![
        member("dear", Some(2.0), 3, 1_000),
        member("free", None, 2, 4_000),
    ];
    let course = fleet(members, 50).run().unwrap();
    assert_eq!((course.state, course.completed), (SweepState::Completed, 50));
    // Three fast slots and two slow ones: 3 trials per second against 0.5.
    assert_eq!(
        course
            .attempts
            .iter()
            .take(2)
            .map(|it| it.target)
            .collect::<Vec<_>>(),
        [1, 1]
    );
    assert!((40..=45).contains(&on(&course, 0)), "{}", on(&course, 0));
    assert!(course.duration_ms <= 16_000, "{}", course.duration_ms);
}

#[test]
fn what_a_dying_target_had_is_done_elsewhere_and_counts_once() {
    let mut dying = member("dying", None, 4, 1_000);
    dying.dies = Some((2_500, 30_000));
    let mut fleet = fleet(vec![dying, member("stays", Some(1.0), 2, 1_000)], 30);
    let whole = fleet.run().unwrap();
    assert_eq!((whole.state, whole.completed), (SweepState::Completed, 30));
    let lost: Vec<&Placed> = whole
        .attempts
        .iter()
        .filter(|attempt| matches!(&attempt.end, Some((_, Outcome::Failed { .. }))))
        .collect();
    assert_eq!(lost.len(), 4);
    for lost in lost {
        assert_eq!((lost.target, lost.end.as_ref().unwrap().0), (0, 32_500));
        let again: Vec<&Placed> = whole
            .attempts
            .iter()
            .filter(|attempt| attempt.trial == lost.trial && attempt.attempt == 1)
            .collect();
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].target, 1);
    }
    // While nobody could tell, the other target's slots were all in use.
    let meanwhile = |attempt: &&Placed| attempt.target == 1 && (2_500..14_000).contains(&attempt.at);
    assert!(whole.attempts.iter().filter(meanwhile).count() >= 18);
    for every in [1, 2, 3, 7] {
        fleet.kill_every = every;
        let killed = fleet.run().unwrap();
        assert!(killed.lives > 5);
        assert_eq!(killed.attempts, whole.attempts, "killed every {every}");
    }
}

#[test]
fn a_broken_target_is_left_alone_and_no_trial_fails_of_it() {
    let mut broken = member("broken", None, 4, 1_000);
    broken.broken = true;
    let mut fleet = fleet(vec![broken, member("dear", Some(9.0), 2, 1_000)], 40);
    let whole = fleet.run().unwrap();
    assert_eq!((whole.state, whole.completed), (SweepState::Completed, 40));
    assert!(on(&whole, 0) < 12, "{}", on(&whole, 0));
    fleet.kill_every = 3;
    assert_eq!(fleet.run().unwrap().attempts, whole.attempts);
}

#[test]
fn between_equals_the_faster_one_gets_more() {
    let members = vec![member("slow", None, 2, 5_000), member("fast", None, 2, 500)];
    let mut fleet = fleet(members, 60);
    fleet.settings.limits.max_concurrent = 2;
    let course = fleet.run().unwrap();
    assert_eq!(course.completed, 60);
    assert!(on(&course, 1) >= 56, "{}", on(&course, 1));
}
