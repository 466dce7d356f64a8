//! How many events a second the controller takes in, by policy, and that 100,000 trials do not slow it down.
//!
//! `cargo bench --bench controller`; the elements are events (start, ten reports, exit of each trial).
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use overdrive::controller::{Action, Controller, Event, Limits, Outcome, Settings, fold};
use overdrive::history::History;
use overdrive::metric::{Goal, Observation};
use overdrive::policy::{PolicySpec, Schedule, Slack, Trigger, build};
use overdrive::sampler::{Origin, Proposal, Sampler, Suggestion};
use overdrive::space::{Assignment, Value};
use std::collections::VecDeque;

struct Counting;

impl Sampler for Counting {
    fn suggest(&mut self, number: u64, _: &History) -> Suggestion {
        Suggestion::Next(Box::new(Proposal {
            assignment: Assignment {
                values: vec![Some(Value::Int(number as i64)); 5],
            },
            origin: Origin {
                sampler: "counting".into(),
                method: "next number".into(),
                predicted: None,
                notes: Vec::new(),
            },
        }))
    }
}

fn settings(trials: u64) -> Settings {
    Settings {
        goal: Goal::Maximize,
        limits: Limits {
            max_total: trials,
            max_concurrent: 16,
            max_duration_ms: None,
        },
        abort_after_initial_failures: 3,
        max_retries: 3,
    }
}

fn policies() -> Vec<(&'static str, PolicySpec)> {
    let schedule = Schedule::default();
    let trigger = Trigger::Sweep;
    vec![
        ("none", PolicySpec::NoTermination),
        (
            "bandit",
            PolicySpec::Bandit {
                schedule,
                slack: Slack::Factor(0.5),
                literal: false,
                trigger,
            },
        ),
        ("median", PolicySpec::MedianStopping { schedule, trigger }),
        (
            "truncation",
            PolicySpec::TruncationSelection {
                schedule,
                percentage: 20,
                exclude_finished_jobs: false,
                trigger,
            },
        ),
    ]
}

/// A number between 0 and 1 of trial and step.
fn noise(trial: u64, step: u64) -> f64 {
    let mut bits = (trial * 31 + step).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits ^= bits >> 31;
    bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A whole sweep whose trials take turns; returns the number of events, and the records if they are wanted.
fn sweep(trials: u64, policy: &PolicySpec, mut keep: Option<&mut Vec<overdrive::controller::Record>>) -> u64 {
    let mut controller = Controller::new(
        settings(trials),
        Box::new(Counting),
        build(policy, Goal::Maximize),
        Vec::new(),
    );
    let mut turns: VecDeque<(u64, u64)> = VecDeque::new();
    let mut stopped = std::collections::HashSet::new();
    let mut events = 0;
    let mut handle =
        |event: Event, turns: &mut VecDeque<(u64, u64)>, stopped: &mut std::collections::HashSet<u64>| {
            events += 1;
            let batch = controller.handle(events, event);
            for action in batch.actions {
                match action {
                    Action::Launch { trial, .. } => turns.push_back((trial, 0)),
                    Action::Cancel { trial, .. } => {
                        stopped.insert(trial);
                    }
                    _ => {}
                }
            }
            if let Some(records) = keep.as_deref_mut() {
                records.extend(batch.records);
            }
        };
    handle(Event::SlotsChanged { slots: 16 }, &mut turns, &mut stopped);
    while let Some((trial, step)) = turns.pop_front() {
        let attempt = 0;
        if stopped.remove(&trial) {
            let outcome = Outcome::Canceled;
            handle(
                Event::Exited {
                    trial,
                    attempt,
                    outcome,
                },
                &mut turns,
                &mut stopped,
            );
            continue;
        }
        if step == 0 {
            handle(Event::Started { trial, attempt }, &mut turns, &mut stopped);
        }
        let value =
            (1.0 - 0.8_f64.powi(step as i32 + 1)) * (0.5 + noise(trial, 99)) + noise(trial, step) / 20.0;
        let observation = Observation {
            value,
            step: Some(step as i64),
            elapsed_ms: step,
        };
        handle(
            Event::Reported {
                trial,
                attempt,
                observation,
            },
            &mut turns,
            &mut stopped,
        );
        if step == 9 {
            // A stop that came with the last report is answered by the end of the script.
            stopped.remove(&trial);
            let outcome = Outcome::Completed;
            handle(
                Event::Exited {
                    trial,
                    attempt,
                    outcome,
                },
                &mut turns,
                &mut stopped,
            );
        } else {
            turns.push_back((trial, step + 1));
        }
    }
    assert!(controller.state().is_terminal());
    events
}

fn events(criterion: &mut Criterion) {
    for (trials, samples) in [(1_000, 10), (100_000, 10)] {
        let mut group = criterion.benchmark_group(format!("controller/{trials} trials"));
        group.sample_size(samples);
        for (name, policy) in policies() {
            group.throughput(Throughput::Elements(sweep(trials, &policy, None)));
            group.bench_function(name, |bencher| bencher.iter(|| sweep(trials, &policy, None)));
        }
        group.finish();
    }
}

fn restore(criterion: &mut Criterion) {
    let trials = 100_000;
    let (_, policy) = policies().swap_remove(2);
    let mut records = Vec::new();
    sweep(trials, &policy, Some(&mut records));
    let mut group = criterion.benchmark_group("restore/100000 trials");
    group.sample_size(10);
    group.throughput(Throughput::Elements(records.len() as u64));
    group.bench_function("fold", |bencher| {
        bencher.iter(|| fold::fold(&settings(trials), &records))
    });
    let snapshot = fold::fold(&settings(trials), &records).ok();
    group.bench_function("restore", |bencher| {
        bencher.iter_batched(
            || snapshot.clone().into_iter(),
            |snapshot| {
                for snapshot in snapshot {
                    let policy = build(&policy, Goal::Maximize);
                    assert!(
                        Controller::restore(settings(trials), Box::new(Counting), policy, snapshot).is_ok()
                    );
                }
            },
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, events, restore);
criterion_main!(benches);
