//! `ask-tell`, `simulate`: the core without processes.

use crate::ask_tell::{Protocol, ProtocolOptions, parse_policy};
use crate::cli::args::{AskTell, Simulate};
use crate::cli::disk::Disk;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::{exit, findings};
use crate::config::resolve::{Request, resolve};
use crate::controller::StopWhen;
use crate::engine::settings;
use crate::policy::PolicySpec;
use crate::report::style::Line;
use crate::report::table::{self, Column};
use crate::report::{document, number, overview};
use crate::sim::{self, Setup, Source};
use std::io::{BufRead, Write};
use std::sync::Arc;

/// Speaks the JSON-lines protocol on standard input and output.
pub(super) fn ask_tell(arguments: &AskTell) -> Result<u8, CliError> {
    let policy = match arguments.policy.as_deref() {
        None => None,
        Some(text) => Some(parse_policy(text).map_err(|error| CliError::usage("policy", error.to_string()))?),
    };
    let mut protocol = Protocol::new(ProtocolOptions {
        sampler: arguments.sampler.clone(),
        policy,
        seed: arguments.seed,
    });
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = protocol.handle(&line?);
        if !answer.is_empty() {
            // The other side waits for each line.
            writeln!(out, "{answer}")?;
            out.flush()?;
        }
        if protocol.ended() {
            break;
        }
    }
    Ok(exit::OK)
}

/// Runs a sweep in virtual time, once with its policy and once without.
pub(super) fn simulate(arguments: &Simulate, output: &Output) -> Result<u8, CliError> {
    let file = match &arguments.file {
        Some(file) => file.clone(),
        None => super::run::only_file(output)?,
    };
    let request = Request {
        file: Some(file),
        seed: Some(arguments.seed),
        settings: arguments.set.clone(),
        ..Request::default()
    };
    let experiment = findings::experiment(resolve(&request, &Disk), output)?;
    if experiment.metric.is_none() {
        return Err(CliError::usage(
            "no-metric",
            "a single run has nothing to simulate",
        ));
    }
    let setup = Setup {
        settings: settings(&experiment),
        space: Arc::new(experiment.space.clone()),
        sampler: experiment.sampler.clone(),
        enqueue: experiment.enqueue.clone(),
        slots: experiment.limits.max_concurrent,
        stop_when: experiment
            .stop_when
            .as_deref()
            .map(StopWhen::parse)
            .transpose()
            .map_err(|error| CliError::usage("stop-when", error.to_string()))?,
    };
    let source = Source::Synthetic {
        seed: arguments.seed,
        steps: arguments.steps.max(1),
        step_ms: (arguments.step_seconds.max(0.001) * 1000.0) as u64,
        noise: 0.01,
    };
    let mut policies = vec![("none".to_owned(), PolicySpec::NoTermination)];
    if experiment.policy != PolicySpec::NoTermination {
        policies.push((overview::policy(&experiment.policy), experiment.policy.clone()));
    }
    let lines = sim::simulate(&setup, &source, &policies)
        .map_err(|error| CliError::usage("simulate", error.to_string()))?;
    if output.json {
        output.document(&document::list(&lines, None))?;
    } else {
        output.lines(&table(&lines, output))?;
    }
    Ok(exit::OK)
}

fn table(lines: &[sim::Line], output: &Output) -> Vec<Line> {
    let mut columns = [
        Column::text("policy", 0),
        Column::number("trials", 0),
        Column::number("completed", 1),
        Column::number("stopped", 0),
        Column::number("reports", 2),
        Column::number("saved", 0),
        Column::number("time", 0),
        Column::number("best", 0),
        Column::number("trial", 1),
    ];
    for line in lines {
        let cells = [
            line.policy.clone(),
            number::count(line.trials),
            number::count(line.completed),
            number::count(line.stopped),
            number::count(line.reports),
            format!("{:.0} %", line.saved * 100.0),
            number::duration(line.duration_ms),
            line.best.map_or("-".into(), |best| number::real(best.value)),
            line.best.map_or("-".into(), |best| best.trial.to_string()),
        ];
        for (column, cell) in columns.iter_mut().zip(cells) {
            column.push(cell);
        }
    }
    table::lines(columns.into(), 0, output.table_width(), output.glyphs)
}
