//! `replay`: what policies would have saved and killed on recorded curves.

use crate::ask_tell::parse_policy;
use crate::cli::args::Globals;
use crate::cli::args::replay::{Direction, Replay};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::{exit, place};
use crate::harness::replay::{Outcome, Replay as Engine, Spread};
use crate::history::TrialState;
use crate::metric::Goal;
use crate::policy::PolicySpec;
use crate::report::table::{self, Column};
use crate::report::{document, overview};
use indexmap::IndexMap;
use serde::Serialize;
use std::path::Path;

/// Policies that are compared unless some are named.
const USUAL: [&str; 7] = [
    "none",
    "bandit:slack_factor=0.1",
    "median",
    "truncation:truncation_percentage=20",
    "asha",
    "hyperband",
    "predictive",
];

/// Whole curves, and what else is known of them.
struct Recorded {
    goal: Goal,
    curves: Vec<Vec<f64>>,
    /// Trials that did not run to their end.
    left_out: usize,
    slots: u64,
    policy: Option<PolicySpec>,
}

#[derive(Serialize)]
struct Replayed {
    policy: String,
    #[serde(flatten)]
    outcome: Outcome,
}

pub(super) fn replay(arguments: &Replay, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let recorded = if arguments.curves.to_ascii_lowercase().ends_with(".csv") {
        from_file(Path::new(&arguments.curves), arguments)?
    } else {
        from_sweep(&arguments.curves, globals)?
    };
    let mut policies = Vec::new();
    for text in &arguments.policy {
        let policy = parse_policy(text).map_err(|error| CliError::usage("policy", error.to_string()))?;
        policies.push((text.clone(), policy));
    }
    if policies.is_empty() {
        if let Some(policy) = recorded
            .policy
            .filter(|policy| *policy != PolicySpec::NoTermination)
        {
            policies.push((format!("its own: {}", overview::policy(&policy)), policy));
        }
        for text in USUAL {
            let policy = parse_policy(text).map_err(|error| CliError::usage("policy", error.to_string()))?;
            policies.push((text.to_owned(), policy));
        }
    }
    let engine = Engine {
        goal: recorded.goal,
        slots: usize::try_from(arguments.slots.unwrap_or(recorded.slots)).unwrap_or(1),
        orders: arguments.orders,
        top_k: usize::try_from(arguments.top_k).unwrap_or(1),
        seed: arguments.seed,
    };
    let mut rows = Vec::new();
    for (name, policy) in policies {
        let outcome = engine.run(&recorded.curves, &policy).ok_or_else(|| {
            CliError::usage(
                "curves",
                "no trial ran to its end with a finite value of the metric",
            )
            .help("replay needs whole curves: run a sweep without a policy, or name a file of curves")
        })?;
        rows.push(Replayed {
            policy: name,
            outcome,
        });
    }
    if output.json {
        output.document(&document::list(&rows, None))?;
        return Ok(exit::OK);
    }
    output.note(&format!(
        "{} whole curves, {} orders of arrival, {} at a time{}; mean [95 % of the orders]",
        recorded.curves.len(),
        engine.orders,
        engine.slots,
        match recorded.left_out {
            0 => String::new(),
            n => format!("; {n} trials that did not run to their end are left out"),
        }
    ));
    output.lines(&table(&rows, output))?;
    Ok(exit::OK)
}

fn table(rows: &[Replayed], output: &Output) -> Vec<crate::report::style::Line> {
    let mut columns = [
        Column::text("policy", 0),
        Column::number("reports saved", 0),
        Column::number("time saved", 1),
        Column::number("stopped", 0),
        Column::number("false stops", 0),
        Column::number("best stopped", 0),
        Column::number("lost", 0),
    ];
    let percent = |spread: &Spread| {
        format!(
            "{:.0} % [{:.0}, {:.0}]",
            100.0 * spread.mean,
            100.0 * spread.low,
            100.0 * spread.high
        )
    };
    for row in rows {
        let outcome = &row.outcome;
        let cells = [
            row.policy.clone(),
            percent(&outcome.saved),
            percent(&outcome.faster),
            format!(
                "{:.0} [{:.0}, {:.0}]",
                outcome.stopped.mean, outcome.stopped.low, outcome.stopped.high
            ),
            if outcome.false_stops.is_nan() {
                "-".into()
            } else {
                format!("{:.1} %", 100.0 * outcome.false_stops)
            },
            format!("{:.0} %", 100.0 * outcome.best_stopped),
            percent(&outcome.lost),
        ];
        for (column, cell) in columns.iter_mut().zip(cells) {
            column.push(cell);
        }
    }
    table::lines(columns.into(), 0, output.table_width(), output.glyphs)
}

fn from_sweep(reference: &str, globals: &Globals) -> Result<Recorded, CliError> {
    let store = place::read(globals)?;
    let sweep = store.sweep(reference)?;
    let experiment = store.experiment(&sweep.sweep)?;
    let Some(metric) = &experiment.metric else {
        return Err(CliError::usage(
            "no-metric",
            "a single run has no curves to replay",
        ));
    };
    let trials = store.ended_trials(&sweep.sweep)?;
    let count = trials.len();
    let curves: Vec<Vec<f64>> = trials
        .into_iter()
        .filter(|trial| trial.state == TrialState::Completed && trial.score().is_some())
        .map(|trial| trial.series.values().to_vec())
        .collect();
    Ok(Recorded {
        goal: metric.goal,
        left_out: count - curves.len(),
        curves,
        slots: experiment.limits.max_concurrent.min(100_000),
        policy: Some(experiment.policy),
    })
}

fn from_file(path: &Path, arguments: &Replay) -> Result<Recorded, CliError> {
    let goal = match arguments.goal {
        Some(Direction::Maximize) => Goal::Maximize,
        Some(Direction::Minimize) => Goal::Minimize,
        None => {
            return Err(CliError::usage(
                "goal",
                "a file does not say whether its metric is to grow or to fall",
            )
            .help("add  --goal maximize  or  --goal minimize"));
        }
    };
    let wrong = |reason: String| CliError::usage("curves", format!("`{}`: {reason}", path.display()));
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_path(path)
        .map_err(|error| CliError::not_found("curves", format!("`{}`: {error}", path.display())))?;
    let headers = reader
        .headers()
        .map_err(|error| wrong(error.to_string()))?
        .clone();
    let column = |name: &str| headers.iter().position(|header| header.trim() == name);
    let missing = |name: &str| {
        let known: Vec<&str> = headers.iter().collect();
        wrong(format!("no column `{name}`; there are {}", known.join(", ")))
    };
    let trial = column("trial").ok_or_else(|| missing("trial"))?;
    let wide = arguments.metric.as_deref().and_then(column);
    let value = match wide {
        Some(column) => column,
        None => column("value").ok_or_else(|| missing(arguments.metric.as_deref().unwrap_or("value")))?,
    };
    let name = column("name").filter(|_| wide.is_none());
    let mut curves: IndexMap<String, Vec<f64>> = IndexMap::new();
    let mut metric = arguments.metric.clone();
    for (line, record) in (2_u64..).zip(reader.records()) {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        let cell = |column: usize| record.get(column).unwrap_or_default().trim();
        if let Some(name) = name {
            let known = metric.get_or_insert_with(|| cell(name).to_owned());
            if known != cell(name) {
                if arguments.metric.is_some() {
                    continue;
                }
                return Err(
                    wrong(format!("line {line}: metric `{}` beside `{known}`", cell(name)))
                        .help("choose one with  --metric NAME"),
                );
            }
        }
        // An empty cell is no report: tables of several metrics have them.
        if cell(value).is_empty() {
            continue;
        }
        let number: f64 = cell(value)
            .parse()
            .map_err(|_| wrong(format!("line {line}: `{}` is not a number", cell(value))))?;
        curves.entry(cell(trial).to_owned()).or_default().push(number);
    }
    Ok(Recorded {
        goal,
        curves: curves.into_values().collect(),
        left_out: 0,
        slots: 4,
        policy: None,
    })
}
