//! Thousands of seeded sweeps with faults, commands and kills. A failure names its seed; `OVERDRIVE_SIM_SEED=n` runs that one,
//! `OVERDRIVE_SIM_SWEEPS=n` more of them.

use overdrive::controller::{Record, SweepState};
use overdrive::history::TrialState;
use overdrive::sim::scenario::{Scenario, Trace};
use std::collections::BTreeMap;
use std::time::Instant;

fn text(trace: &Trace) -> Vec<String> {
    trace
        .records
        .iter()
        .map(|record| serde_json::to_string(record).unwrap())
        .collect()
}

/// Runs a seed undisturbed and with kills, and compares the two.
fn check(seed: u64) -> Trace {
    check_one(&Scenario::draw(seed), seed)
}

fn check_one(scenario: &Scenario, seed: u64) -> Trace {
    let calm = scenario
        .run(None)
        .unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    let killed = scenario
        .run(Some(seed))
        .unwrap_or_else(|violation| panic!("seed {seed}, killed: {violation}"));
    let (left, right) = (text(&calm), text(&killed));
    for (index, (left, right)) in left.iter().zip(&right).enumerate() {
        assert_eq!(
            left, right,
            "seed {seed}: record {index} differs after {} lives",
            killed.lives
        );
    }
    assert_eq!(left.len(), right.len(), "seed {seed}: {} lives", killed.lives);
    killed
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn every_promise_holds_in_seeded_sweeps() {
    if let Some(seed) = number("OVERDRIVE_SIM_SEED") {
        for record in check(seed).records {
            println!("{}", serde_json::to_string(&record).unwrap());
        }
        return;
    }
    let sweeps = number("OVERDRIVE_SIM_SWEEPS").unwrap_or(1_000);
    let began = Instant::now();
    let (mut events, mut lives, mut trials) = (0, 0, 0);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..sweeps {
        let trace = check(seed);
        events += 2 * trace.events;
        lives += trace.lives;
        trials += 2 * trace.trials;
        *seen.entry(format!("sweep {}", trace.state.word())).or_default() += 1;
        for record in &trace.records {
            let key = match record {
                Record::TrialState { state, cause, .. } => match cause {
                    Some(cause) => format!("{} {cause:?}", state.word()),
                    None => state.word().to_owned(),
                },
                Record::Observed { accepted, .. } => format!("observed, accepted {accepted}"),
                Record::AttemptEnded { superseded: true, .. } => "superseded".into(),
                Record::Stopped(stop) => format!("stopped by {}", stop.policy),
                Record::SweepState { .. } => continue,
                other => serde_json::to_value(other).unwrap()["record"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            };
            *seen.entry(key).or_default() += 1;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} sweeps, {trials} trials, {events} events, {lives} lives in {seconds:.1} s: {:.0} events/s",
        2 * sweeps,
        events as f64 / seconds
    );
    println!("{seen:#?}");
    // A campaign that does not reach these is not worth its name.
    for word in [SweepState::Completed, SweepState::Failed, SweepState::Canceled] {
        assert!(
            seen.contains_key(&format!("sweep {}", word.word())),
            "no sweep was {}",
            word.word()
        );
    }
    for word in [
        TrialState::NotResponding,
        TrialState::Preparing,
        TrialState::Failed,
        TrialState::Completed,
    ] {
        assert!(seen.contains_key(word.word()), "no trial was {}", word.word());
    }
    for key in [
        "Canceled Policy",
        "Canceled User",
        "Canceled Sweep",
        "Canceled MaxDuration",
        "Canceled TrialTimeout",
        "observed, accepted false",
        "superseded",
        "stopped by Bandit",
        "stopped by MedianStopping",
        "stopped by TruncationSelection",
        "exhausted",
        "enqueued",
        "limits_changed",
        "anomaly",
    ] {
        assert!(seen.contains_key(key), "nothing was {key}");
    }
    assert!(lives > 2 * sweeps, "hardly any kill");
}

/// Under policies that freeze: never more trials that run than there are slots, nor more frozen ones than may be, every trial ends, and a
/// controller that is killed and restored decides the same.
#[test]
fn every_promise_holds_where_trials_are_frozen() {
    if let Some(seed) = number("OVERDRIVE_SIM_FREEZING_SEED") {
        for record in check_one(&Scenario::draw_freezing(seed), seed).records {
            println!("{}", serde_json::to_string(&record).unwrap());
        }
        return;
    }
    let sweeps = number("OVERDRIVE_SIM_SWEEPS").unwrap_or(60);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..sweeps {
        let trace = check_one(&Scenario::draw_freezing(seed), seed);
        for record in &trace.records {
            let key = match record {
                Record::Freeze(stop) => format!("frozen by {}", stop.policy),
                Record::Thaw(thaw) => format!("thawed by {}", thaw.policy),
                Record::Thawed { .. } => "thawed".into(),
                Record::Stopped(stop) => format!("no room: stopped by {}", stop.policy),
                Record::TrialState {
                    state: TrialState::CancelRequested,
                    reason: Some(reason),
                    ..
                } if reason.contains("hold") => "no memory".into(),
                Record::TrialState {
                    state: TrialState::CancelRequested,
                    reason: Some(reason),
                    ..
                } if reason.contains("promises more") => "made room".into(),
                Record::TrialState {
                    state: TrialState::CancelRequested,
                    reason: Some(reason),
                    ..
                } if reason.contains("made it one of the best") => "stopped at the end".into(),
                Record::Anomaly { message } if message.contains("would stop") => panic!("{seed}: {message}"),
                _ => continue,
            };
            *seen.entry(key).or_default() += 1;
        }
    }
    if sweeps < 1_000 {
        // Too few to meet everything.
        return;
    }
    for policy in ["ASHA", "Hyperband", "Predictive"] {
        for what in ["frozen by", "thawed by", "no room: stopped by"] {
            let key = format!("{what} {policy}");
            assert!(seen.contains_key(&key), "never {key}: {seen:?}");
        }
    }
    for key in ["thawed", "no memory", "made room", "stopped at the end"] {
        assert!(seen.contains_key(key), "never {key}: {seen:?}");
    }
}
