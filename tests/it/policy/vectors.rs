//! The 38 test vectors of the HyperDrive policies, under both triggers.

use overdrive::history::TrialState;
use overdrive::metric::Goal;
use overdrive::policy::{PolicySpec, Schedule, Slack, Trigger, build, survival};
use serde_json::Value;
use std::collections::BTreeMap;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../fixtures/policies.json")).unwrap()
}

fn spec(vector: &Value, trigger: Trigger) -> PolicySpec {
    let policy = &vector["policy"];
    let schedule = Schedule {
        evaluation_interval: policy["evaluation_interval"].as_u64().unwrap_or(1),
        delay_evaluation: policy["delay_evaluation"].as_u64().unwrap_or(0),
    };
    match policy["type"].as_str().unwrap() {
        "NoTerminationPolicy" => PolicySpec::NoTermination,
        "BanditPolicy" => PolicySpec::Bandit {
            schedule,
            slack: match (&policy["slack_factor"], &policy["slack_amount"]) {
                (Value::Null, amount) => Slack::Amount(amount.as_f64().unwrap()),
                (factor, _) => Slack::Factor(factor.as_f64().unwrap()),
            },
            literal: vector["literal"].as_bool().unwrap_or(false),
            trigger,
        },
        "MedianStoppingPolicy" => PolicySpec::MedianStopping { schedule, trigger },
        "TruncationSelectionPolicy" => PolicySpec::TruncationSelection {
            schedule,
            percentage: u8::try_from(policy["truncation_percentage"].as_u64().unwrap()).unwrap(),
            exclude_finished_jobs: policy["exclude_finished_jobs"].as_bool().unwrap(),
            trigger,
        },
        other => panic!("unknown policy {other}"),
    }
}

fn goal(vector: &Value) -> Goal {
    serde_json::from_value(vector["goal"].clone()).unwrap()
}

#[test]
fn all_vectors_under_both_triggers() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 38);
    for vector in &vectors {
        for (name, trigger) in [("sweep", Trigger::Sweep), ("reporter", Trigger::Reporter)] {
            let mut policy = build(&spec(vector, trigger), goal(vector));
            let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
            let mut stopped = Vec::new();
            for (index, event) in vector["events"].as_array().unwrap().iter().enumerate() {
                let trial = event[0].as_str().unwrap();
                let next = numbers.len() as u64;
                let number = *numbers.entry(trial.to_owned()).or_insert(next);
                match &event[1] {
                    Value::Number(value) => policy.report(number, value.as_f64().unwrap()),
                    Value::String(word) => match word.as_str() {
                        "NaN" => policy.report(number, f64::NAN),
                        "end" => policy.end(number, TrialState::Completed),
                        "fail" => policy.end(number, TrialState::Failed),
                        "cancel" => policy.end(number, TrialState::Canceled),
                        other => panic!("unknown event {other}"),
                    },
                    other => panic!("unknown event {other}"),
                }
                for stop in policy.stops() {
                    let trial = numbers
                        .iter()
                        .find(|(_, number)| **number == stop.trial)
                        .unwrap()
                        .0;
                    stopped.push(serde_json::json!([index + 1, trial, stop.interval]));
                }
            }
            assert_eq!(Value::from(stopped), vector[name], "{} {name}", vector["id"]);
        }
    }
}

/// The first stop of a vector as (inequality, what survival would have taken).
fn first_stop(id: &str) -> (String, String) {
    let vectors = vectors();
    let vector = vectors.iter().find(|vector| vector["id"] == id).unwrap();
    let mut policy = build(&spec(vector, Trigger::Sweep), goal(vector));
    for event in vector["events"].as_array().unwrap() {
        let number = u64::from(event[0].as_str().unwrap().as_bytes()[0]);
        match event[1].as_f64() {
            Some(value) => policy.report(number, value),
            None if event[1] == "NaN" => policy.report(number, f64::NAN),
            None => policy.end(number, TrialState::Completed),
        }
        if let Some(stop) = policy.stops().first() {
            let json = serde_json::to_string(stop).unwrap();
            assert_eq!(
                &serde_json::from_str::<overdrive::policy::Stop>(&json).unwrap(),
                stop
            );
            return (stop.inequality.clone(), survival(stop));
        }
    }
    panic!("{id} stops nobody");
}

#[test]
fn decisions_are_told_with_their_numbers() {
    for (id, inequality, survival) in [
        (
            "B1",
            "0.6600 < 0.6667 (best 0.8000 / 1.2)",
            "0.6667 or more by interval 1 (it had 0.6600), or a slack_factor of 0.2121",
        ),
        (
            "B2",
            "0.5900 < 0.6000 (best 0.8000 - 0.2)",
            "0.6000 or more by interval 1 (it had 0.5900), or a slack_amount of 0.2100",
        ),
        (
            "B3",
            "1.110 > 1.100 (best 1 * 1.1)",
            "1.100 or less by interval 1 (it had 1.110), or a slack_factor of 0.1100",
        ),
        (
            "B4",
            "-1.200 < -1.167 (best -1 - 1 * 0.2 / 1.2)",
            "-1.167 or more by interval 1 (it had -1.200), or a slack_factor of 0.2500",
        ),
        (
            "B8",
            "no value against 0.4583 (best 0.5500 / 1.2)",
            "a value of 0.4583 or more by interval 2 (it had none)",
        ),
        (
            "M1",
            "0.5000 < 0.6000 (median of 2 averages)",
            "0.6000 or more by interval 1 (it had 0.5000)",
        ),
        (
            "M2",
            "1 > 0.7500 (median of 2 averages)",
            "0.7500 or less by interval 1 (it had 1)",
        ),
        (
            "T1",
            "0.4000 < 0.5000 (4 of 5 are better, the worst 20 % are stopped)",
            "0.5000 or more by interval 1 (it had 0.4000)",
        ),
        (
            "T5",
            "no value against 0.1000 (2 of 3 are better, the worst 34 % are stopped)",
            "a value of 0.1000 or more by interval 1 (it had none)",
        ),
    ] {
        assert_eq!(
            first_stop(id),
            (inequality.to_owned(), survival.to_owned()),
            "{id}"
        );
    }
}
