//! One file per command (or per family of small ones); each takes its arguments and the output, and returns the exit code.

mod bench;
mod check;
mod draw;
mod import;
mod logs;
mod look;
mod ml;
mod pools;
mod replay;
mod run;
mod steer;
mod studio;
mod target;
mod texts;
mod without;
mod words;

pub(super) use logs::last_lines;
pub(super) use words::real_az;

use crate::cli::args::{Cli, Command};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::settings::Settings;
use crate::cli::{exit, place};
use crate::controller::SweepState;
use crate::history::TrialState;
use crate::report::{card, document, text};
use crate::store::row::SweepRow;
use crate::store::{Store, TrialQuery};
use std::collections::HashMap;

/// Runs the command.
///
/// # Errors
/// [`CliError`] with the exit code and what to type next.
pub(super) fn dispatch(
    cli: Cli,
    output: &Output,
    settings: &Settings,
    flags: &HashMap<String, String>,
) -> Result<u8, CliError> {
    let globals = &cli.globals;
    match cli.command {
        Command::List(arguments) => look::list(&arguments, globals, output),
        Command::Show(arguments) => look::show(&arguments, globals, output),
        Command::Best(arguments) => look::best(&arguments, globals, output),
        Command::Why(arguments) => look::why(&arguments, globals, output),
        Command::Logs(arguments) => logs::logs(&arguments, globals, output),
        Command::Plot(arguments) => draw::plot(&arguments, globals, output),
        Command::Export(arguments) => draw::export(&arguments, globals, output),
        Command::Watch(arguments) => steer::watch(&arguments, globals, output),
        Command::Pause(arguments) => steer::pause(&arguments, globals, output),
        Command::Cancel(arguments) => steer::cancel(&arguments, globals, output),
        Command::Run(arguments) => run::run(&arguments, globals, output),
        Command::Resume(arguments) => run::resume(&arguments, globals, output),
        Command::Studio(arguments) => studio::studio(&arguments, globals, output),
        Command::Check(arguments) => check::check(&arguments, output),
        Command::Init(arguments) => check::init(&arguments, output),
        Command::Schema(arguments) => check::schema(&arguments, output),
        Command::Config(arguments) => texts::config(&arguments, settings, flags, output),
        Command::Simulate(arguments) => without::simulate(&arguments, output),
        Command::Replay(arguments) => replay::replay(&arguments, globals, output),
        Command::AskTell(arguments) => without::ask_tell(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments, output),
        Command::Import(arguments) => import::import(&arguments, globals, output),
        Command::Completions(arguments) => texts::completions(&arguments, output),
        Command::Complete { kind } => words::complete(kind, globals, output),
        Command::InstallAlias(arguments) => words::install_alias(&arguments, output),
        Command::Man(arguments) => texts::man(&arguments, output),
        Command::Target(arguments) => target::target(*arguments, globals, output),
        Command::Ml(arguments) => ml::ml(*arguments, globals, output),
        Command::Az(arguments) => ml::az(arguments.command, globals, output),
    }
}

/// The threads that signals need.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?)
}

/// Exit code of a sweep by its state: see [`exit`].
fn verdict(sweep: &SweepRow) -> u8 {
    match sweep.state {
        SweepState::Completed => {
            let single = sweep.metric.is_none();
            let failed = sweep.trials.get("Failed").copied().unwrap_or(0);
            match (&sweep.best, single) {
                (Some(_), _) => exit::OK,
                (None, true) if failed == 0 => exit::OK,
                (None, true) => exit::FAILED,
                (None, false) => exit::NO_METRIC,
            }
        }
        SweepState::Failed | SweepState::Canceled => exit::FAILED,
        SweepState::Running | SweepState::Paused | SweepState::CancelRequested => exit::OK,
    }
}

/// What a command that followed a sweep prints last: the card, or the document.
fn closing(store: &Store, sweep: &SweepRow, output: &Output) -> Result<(), CliError> {
    if sweep.state == SweepState::Failed {
        failed(store, sweep, output)?;
    }
    let missed = sweep.state == SweepState::Completed && sweep.best.is_none() && sweep.metric.is_some();
    let reported = if missed {
        look::reported(store, sweep)?
    } else {
        Vec::new()
    };
    if missed {
        output.complain(&place::no_metric(sweep, &reported).to_string());
    }
    if output.json {
        let mut document = document::result(sweep);
        if missed && let serde_json::Value::Object(entries) = &mut document {
            entries.insert("reported".into(), serde_json::json!(reported));
        }
        return output.document(&document);
    }
    if output.quiet {
        return match &sweep.best {
            Some(best) => output.text(&text::arguments(&best.parameters)),
            None => Ok(()),
        };
    }
    let facts = look::facts(store, sweep)?;
    output.lines(&card::lines(
        sweep,
        &facts,
        output.table_width().unwrap_or(120),
        output.glyphs,
    ))
}

/// The last lines of the first failed trial's output, on standard error: what made the whole sweep fail.
fn failed(store: &Store, sweep: &SweepRow, output: &Output) -> Result<(), CliError> {
    let query = TrialQuery {
        states: vec![TrialState::Failed],
        limit: Some(1),
        ..TrialQuery::default()
    };
    let Some(row) = store.trials(&sweep.sweep, &query)?.into_iter().next() else {
        return Ok(());
    };
    let reason = row.reason.as_deref().map(text::printable).unwrap_or_default();
    output.complain(&format!(
        "error[sweep-failed]: {}",
        sweep.reason.as_deref().map(text::printable).unwrap_or_default()
    ));
    output.complain(&format!("  trial {}: {reason}", row.trial));
    if let Some(folder) = &row.folder {
        for line in logs::last_lines(std::path::Path::new(folder), 10) {
            output.complain(&format!("  | {}", text::printable(&line)));
        }
    }
    output.complain(&format!(
        "  = help: `overdrive logs {}` shows all of it",
        row.trial
    ));
    Ok(())
}
