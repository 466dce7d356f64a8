//! `import`: trials of another tuner as a sweep that has ended.

use super::run::sweep_id;
use crate::cli::args::Globals;
use crate::cli::args::import::{Direction, From as Word, Import};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::{exit, place};
use crate::clock::{Clock, Stamp, SystemClock};
use crate::import::sweep::{self, Event};
use crate::import::{ImportError, Request, Tool, read};
use crate::metric::Goal;
use crate::report::document;
use crate::store::{Change, Durability, OpenOptions, Store};
use std::sync::Arc;

/// Events stored in one transaction.
const BATCH: usize = 5_000;

impl From<ImportError> for CliError {
    fn from(error: ImportError) -> Self {
        let message = error.to_string();
        match error {
            ImportError::Choice { help, .. } => Self::usage("import", message).help(help),
            ImportError::Pickle { .. } => Self::usage("pickle", message)
                .help("export the trials from the tool that wrote it, for instance as CSV"),
            ImportError::File { .. } => Self::not_found("import", message),
            _ => Self::usage("import", message),
        }
    }
}

/// The time at which the imported sweep began.
struct Then(Stamp);

impl Clock for Then {
    fn stamp(&self) -> Stamp {
        self.0.clone()
    }
}

/// Reads an artefact and stores it as a sweep.
pub(super) fn import(arguments: &Import, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let request = Request {
        tool: arguments.from.map(|word| match word {
            Word::Optuna => Tool::Optuna,
            Word::Ray => Tool::Ray,
            Word::Wandb => Tool::Wandb,
            Word::Mlflow => Tool::Mlflow,
            Word::Csv => Tool::Csv,
        }),
        study: arguments.study.clone(),
        metric: arguments.metric.clone(),
        goal: arguments.goal.map(|goal| match goal {
            Direction::Minimize => Goal::Minimize,
            Direction::Maximize => Goal::Maximize,
        }),
        parameters: arguments.parameters.clone(),
    };
    let foreign = read(&arguments.path, &request)?;
    let name = match &arguments.experiment {
        Some(name) if crate::config::resolve::is_experiment_name(name) => name.clone(),
        Some(name) => {
            return Err(
                CliError::usage("experiment-name", format!("`{name}` cannot name an experiment"))
                    .help(crate::config::resolve::NAME_RULE),
            );
        }
        None => sweep::experiment_name(&foreign),
    };
    let imported = sweep::of(&foreign, &request, &name)?;
    for note in &imported.notes {
        output.note(&format!("note: {note}"));
    }
    let home = place::state_folder(globals)?;
    let now = SystemClock.stamp();
    let clock = Then(Stamp {
        // No machine has this boot id: the sweep's clock is the wall clock of the artefact.
        boot_id: "imported".into(),
        boot_ms: 0,
        wall_ms: imported.created_ms.unwrap_or(now.wall_ms),
    });
    let options = OpenOptions {
        clock: Some(Arc::new(clock)),
        ..OpenOptions::default()
    };
    let store = Arc::new(Store::open_with(&home, options)?);
    let id = sweep_id(&imported.experiment);
    store.create_sweep(&id, &imported.experiment, &home.join("sweeps").join(&id), None)?;
    let mut writer = store.writer(&id, None, false)?;
    let changes: Vec<(u64, Change)> = imported
        .events
        .into_iter()
        .map(|(at, event)| (at, change(event)))
        .collect();
    for batch in changes.chunks(BATCH) {
        writer.apply(batch, Durability::Process)?;
    }
    writer.apply(&[], Durability::Machine)?;
    writer.release()?;
    let row = store.sweep(&id)?;
    if output.json {
        output.document(&document::result(&row))?;
        return Ok(exit::OK);
    }
    output.note(&format!(
        "{} trials of {} taken over",
        imported.trials,
        foreign.tool.name()
    ));
    output.text(&id)?;
    Ok(exit::OK)
}

fn change(event: Event) -> Change {
    match event {
        Event::Record(record) => Change::Record(record),
        Event::Point {
            trial,
            name,
            value,
            step,
            elapsed_ms,
        } => Change::Point {
            trial,
            attempt: 0,
            name,
            value,
            step,
            elapsed_ms,
        },
        Event::Tag { trial, key, value } => Change::Fact {
            trial,
            attempt: 0,
            kind: "tag".into(),
            key,
            value,
        },
    }
}
