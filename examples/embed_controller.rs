//! A loop of one's own around the controller: threads as compute target, a vector as store.
//!
//! The controller decides; this program makes its records durable, performs its actions and tells it what happens.
//!
//! `cargo run --no-default-features --example embed_controller`
#![allow(clippy::print_stdout, reason = "an example talks to people")]

use overdrive::controller::{Action, Controller, Event, Limits, Outcome, Record, Settings, fold};
use overdrive::metric::{Goal, Observation};
use overdrive::policy::{self, PolicySpec, Schedule, Slack, Trigger};
use overdrive::sampler::{self, SamplerSpec};
use overdrive::space::{Assignment, Distribution, Parameter, SearchSpace, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// One trial: reports an accuracy each millisecond until it is done or told to stop.
fn run(trial: u64, attempt: u32, rate: f64, stop: &AtomicBool, events: &Sender<Event>) {
    let began = Instant::now();
    let _ = events.send(Event::Started { trial, attempt });
    for step in 0..20 {
        if stop.load(Ordering::Relaxed) {
            let outcome = Outcome::Canceled;
            let _ = events.send(Event::Exited {
                trial,
                attempt,
                outcome,
            });
            return;
        }
        let value = (1.0 - (rate - 0.3).abs()) * (1.0 - 0.8_f64.powi(step + 1));
        let _ = events.send(Event::Reported {
            trial,
            attempt,
            observation: Observation {
                value,
                step: Some(i64::from(step)),
                elapsed_ms: began.elapsed().as_millis() as u64,
            },
        });
        thread::sleep(Duration::from_millis(1));
    }
    let outcome = Outcome::Completed;
    let _ = events.send(Event::Exited {
        trial,
        attempt,
        outcome,
    });
}

fn rate(assignment: &Assignment) -> f64 {
    assignment
        .values
        .first()
        .and_then(Option::as_ref)
        .and_then(Value::as_f64)
        .unwrap_or(0.0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings {
        goal: Goal::Maximize,
        limits: Limits {
            max_total: 30,
            max_concurrent: 4,
            max_duration_ms: Some(60_000),
        },
        abort_after_initial_failures: 3,
        max_retries: 1,
    };
    let space = SearchSpace {
        parameters: vec![Parameter {
            name: "rate".into(),
            distribution: Distribution::Uniform { low: 0.0, high: 1.0 },
            condition: None,
        }],
        constraints: Vec::new(),
    };
    let spec = SamplerSpec {
        kind: "random".into(),
        seed: 7,
        allow_duplicates: false,
        options: serde_json::Map::new(),
    };
    let slack = PolicySpec::Bandit {
        schedule: Schedule {
            evaluation_interval: 1,
            delay_evaluation: 3,
        },
        slack: Slack::Factor(0.2),
        literal: false,
        trigger: Trigger::Sweep,
    };
    let sampler = sampler::build(&spec, Arc::new(space), settings.goal)?;
    let mut controller = Controller::new(
        settings,
        sampler,
        policy::build(&slack, settings.goal),
        Vec::new(),
    );

    let mut store: Vec<Record> = Vec::new();
    let mut running: HashMap<(u64, u32), Arc<AtomicBool>> = HashMap::new();
    let (sender, receiver): (Sender<Event>, Receiver<Event>) = channel();
    let began = Instant::now();
    let mut event = Event::SlotsChanged { slots: 4 };
    'sweep: loop {
        let now = began.elapsed().as_millis() as u64;
        let batch = controller.handle(now, event);
        // First durable, then done.
        store.extend(batch.records);
        for action in batch.actions {
            match action {
                Action::Launch {
                    trial,
                    attempt,
                    assignment,
                } => {
                    let stop = Arc::new(AtomicBool::new(false));
                    running.insert((trial, attempt), Arc::clone(&stop));
                    let sender = sender.clone();
                    thread::spawn(move || run(trial, attempt, rate(&assignment), &stop, &sender));
                }
                Action::Cancel { trial, attempt, .. } => {
                    if let Some(stop) = running.get(&(trial, attempt)) {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                Action::End { state, reason } => {
                    println!("{}: {reason}", state.word());
                    break 'sweep;
                }
                _ => {}
            }
        }
        let patience = controller
            .next_deadline()
            .map_or(u64::MAX, |deadline| deadline.saturating_sub(now));
        event = match receiver.recv_timeout(Duration::from_millis(patience.min(1_000))) {
            Ok(event) => event,
            Err(mpsc::RecvTimeoutError::Timeout) => Event::Tick,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        };
    }
    for record in &store {
        if let Record::Stopped(stop) = record {
            println!(
                "trial {} stopped at interval {}: {}",
                stop.trial, stop.interval, stop.inequality
            );
        }
    }
    // What was recorded is all that there is: the state can be folded from it at any time.
    let state = fold::fold(&settings, &store)?;
    if let Some(best) = state.progress.incumbent {
        let number = usize::try_from(best.trial)?;
        println!(
            "best {:.4} with rate {:.3}",
            best.value,
            rate(&state.history.trials[number].assignment)
        );
    }
    Ok(())
}
