//! Tuning from inside a Rust program: ask for parameters, report as training goes on, tell the result.
//!
//! `cargo run --no-default-features --example embed_ask_tell`
#![allow(clippy::print_stdout, reason = "an example talks to people")]

use overdrive::ask_tell::{Decision, Study, StudyError, choice, int, log_float, parse_policy};
use overdrive::space::Value;

/// Stands for a training: the loss after each epoch.
fn loss(rate: f64, width: f64, momentum: bool, epoch: i64) -> f64 {
    let reachable = 0.05 + (rate.log10() + 2.5).powi(2) / 10.0 + (width.log2() - 6.0).powi(2) / 50.0;
    let pace = if momentum { 0.5 } else { 0.3 };
    reachable + 2.0 * (-pace * epoch as f64).exp()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut study = Study::minimize([
        log_float("rate", 1e-5, 1.0),
        int("width", 8, 256),
        choice("momentum", [Value::Bool(true), Value::Bool(false)]),
    ])
    .policy(parse_policy("median:delay_evaluation=5")?)
    .seed(1)
    .max_trials(40)
    .build()?;
    let mut epochs = 0;
    while let Some(trial) = study.ask() {
        let momentum = trial.get("momentum") == Some(&Value::Bool(true));
        let value = |epoch| loss(trial.f64("rate"), trial.f64("width"), momentum, epoch);
        train(&mut study, trial.number, value, &mut epochs)?;
    }
    if let Some(best) = study.best() {
        println!(
            "best {:.4} by trial {} after {epochs} of {} epochs",
            best.value,
            best.trial,
            40 * 20
        );
        for (name, value) in &best.parameters {
            println!("  {name} = {value}");
        }
    }
    Ok(())
}

fn train(
    study: &mut Study,
    trial: u64,
    value: impl Fn(i64) -> f64,
    epochs: &mut u64,
) -> Result<(), StudyError> {
    for epoch in 0..20 {
        *epochs += 1;
        if study.report(trial, epoch, value(epoch))? == Decision::Stop {
            if let Some(stop) = study.stop(trial) {
                println!("trial {trial} stopped after epoch {epoch}: {}", stop.inequality);
            }
            return study.stopped(trial, None);
        }
    }
    study.tell(trial, value(19))
}
