//! `run list|show|cancel|update|monitor-logs|download-logs`.

use super::print::Printer;
use crate::cli::args::{Cancel, Globals, RunCommand, RunReference};
use crate::cli::commands::{logs, steer};
use crate::cli::error::CliError;
use crate::cli::follow::{Events, Follower};
use crate::cli::output::{Output, Progress};
use crate::cli::place;
use crate::report::record;
use crate::store::row::{SweepRow, TrialRow};
use crate::store::{Store, SweepFilter, TrialOrder, TrialQuery};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a run id names.
pub(super) enum Run {
    Sweep(Box<SweepRow>),
    Trial(Box<SweepRow>, Box<TrialRow>),
}

pub(super) fn find(store: &Store, id: &str) -> Result<Run, CliError> {
    match store.sweep(id) {
        Ok(sweep) => Ok(Run::Sweep(Box::new(sweep))),
        Err(error) => match place::trial(store, id) {
            Ok((sweep, trial)) => Ok(Run::Trial(Box::new(sweep), Box::new(trial))),
            Err(_) => Err(error.into()),
        },
    }
}

fn store(reference: &RunReference, globals: &Globals) -> Result<Store, CliError> {
    Ok(Store::open_read_only(&place::state_folder_from(
        globals,
        &reference.scope.path,
    )?)?)
}

/// Runs one of the verbs.
pub(super) fn run(
    command: RunCommand,
    globals: &Globals,
    output: &Output,
    printer: &Printer<'_>,
) -> Result<u8, CliError> {
    match command {
        RunCommand::List {
            scope,
            last,
            parent,
            pipeline,
            target,
            status,
            tags,
            minimal,
        } => {
            if pipeline.is_some() {
                return Err(no_pipelines());
            }
            let store = Store::open_read_only(&place::state_folder_from(globals, &scope.path)?)?;
            let mut records = match &parent {
                Some(parent) => children(&store, parent)?,
                None => parents(&store, scope.experiment.as_deref())?,
            };
            let wanted = super::super::run::tags(&tags)?;
            let text = |record: &Value, key: &str| {
                record
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            records.retain(|record| {
                status
                    .as_ref()
                    .is_none_or(|status| text(record, "status").eq_ignore_ascii_case(status))
                    && target
                        .as_ref()
                        .is_none_or(|target| text(record, "target") == *target)
                    && wanted.iter().all(|(key, value)| {
                        record.get("tags").and_then(|tags| tags.get(key)) == Some(&json!(value))
                    })
            });
            records.truncate(last);
            if minimal {
                records = records.iter().map(record::minimal).collect();
            }
            printer.print(&Value::Array(records))
        }
        RunCommand::Show(reference) => {
            let store = store(&reference, globals)?;
            printer.print(&shown(&store, &reference.run)?)
        }
        RunCommand::Cancel(reference) => {
            let (sweep, trial) = match find(&store(&reference, globals)?, &reference.run)? {
                Run::Sweep(sweep) => (sweep.sweep, Vec::new()),
                Run::Trial(sweep, trial) => (sweep.sweep, vec![trial.trial]),
            };
            let globals = Globals {
                home: Some(place::state_folder_from(globals, &reference.scope.path)?),
                ..globals.clone()
            };
            let quiet = Output {
                quiet: true,
                json: false,
                progress: Progress::None,
                ..output.clone()
            };
            steer::cancel(
                &Cancel {
                    sweep,
                    trial,
                    no_wait: false,
                },
                &globals,
                &quiet,
            )?;
            printer.say("Experiment run canceled successfully.")
        }
        RunCommand::Update { reference, add_tag } => update(&reference, &add_tag, globals, printer),
        RunCommand::MonitorLogs(reference) => {
            let store = store(&reference, globals)?;
            monitor_run(&store, &reference.run, output)?;
            printer.print(&shown(&store, &reference.run)?)
        }
        RunCommand::DownloadLogs { reference, directory } => {
            let store = store(&reference, globals)?;
            let copied = download(&store, &reference.run, &directory)?;
            printer.print(&json!(copied))
        }
        RunCommand::MonitorTensorboard {
            reference,
            local_directory,
        } => tensorboard(&store(&reference, globals)?, &reference.run, local_directory),
        RunCommand::SubmitPipeline { .. } => Err(no_pipelines()),
        RunCommand::SubmitScript(_) | RunCommand::SubmitHyperdrive(_) => {
            Err(CliError::failed("verb", "this verb starts something"))
        }
    }
}

fn no_pipelines() -> CliError {
    CliError::usage("no-pipelines", "overdrive tunes and trains; it has no pipelines")
        .help("a sweep step of a pipeline file runs by itself:  overdrive run FILE --step NAME")
}

/// Becomes TensorBoard on the event files of a run; returns only if it cannot be started.
fn tensorboard(store: &Store, id: &str, directory: Option<PathBuf>) -> Result<u8, CliError> {
    use std::os::unix::process::CommandExt;
    let folder = match directory {
        Some(folder) => folder,
        None => folder(store, id)?.2.join("wd/logs"),
    };
    let error = std::process::Command::new("tensorboard")
        .arg("--logdir")
        .arg(&folder)
        .exec();
    Err(
        CliError::failed("tensorboard", format!("`tensorboard`: {error}")).help(format!(
            "pip install tensorboard; the event files are in {}",
            folder.display()
        )),
    )
}

/// Follows a run to its end: the events of a sweep, the output of a single run or a child.
pub(super) fn monitor_run(store: &Store, id: &str, output: &Output) -> Result<(), CliError> {
    match find(store, id)? {
        Run::Sweep(sweep) if sweep.metric.is_none() => {
            logs::stream(store, &sweep.sweep, 0, &mut std::io::stderr())?;
            monitor(store, &sweep.sweep, output)
        }
        Run::Sweep(sweep) => monitor(store, &sweep.sweep, output),
        Run::Trial(sweep, trial) => logs::stream(store, &sweep.sweep, trial.trial, &mut std::io::stderr()),
    }
}

fn monitor(store: &Store, sweep: &str, output: &Output) -> Result<(), CliError> {
    let lines = Output {
        progress: Progress::Lines,
        ..output.clone()
    };
    let mut follower = Follower::new(store, sweep, &lines, Events::None)?;
    while !follower.step()? {
        std::thread::sleep(Duration::from_millis(200));
    }
    follower.finish()
}

/// The record of a run.
pub(super) fn shown(store: &Store, id: &str) -> Result<Value, CliError> {
    match find(store, id)? {
        Run::Sweep(sweep) => {
            let number = parents(store, Some(&sweep.experiment))?
                .iter()
                .find(|record| record.get("runId").and_then(Value::as_str) == Some(&sweep.sweep))
                .and_then(|record| record.get("runNumber").and_then(Value::as_u64))
                .unwrap_or(1);
            Ok(record::of_sweep(&sweep, &store.experiment(&sweep.sweep)?, number))
        }
        Run::Trial(sweep, trial) => child(store, &sweep, &trial),
    }
}

fn child(store: &Store, sweep: &SweepRow, trial: &TrialRow) -> Result<Value, CliError> {
    let attempts = store.attempts(&sweep.sweep, Some(trial.trial))?;
    let argv = attempts.last().and_then(|attempt| attempt.argv.as_deref());
    Ok(record::of_trial(
        sweep,
        trial,
        &store.experiment(&sweep.sweep)?,
        argv,
    ))
}

/// Sweeps and single runs, newest first; numbers count from the oldest of the experiment.
fn parents(store: &Store, experiment: Option<&str>) -> Result<Vec<Value>, CliError> {
    let filter = SweepFilter {
        experiment: experiment.map(str::to_owned),
        archived: true,
        ..SweepFilter::default()
    };
    let sweeps = store.sweeps(&filter)?;
    let count = sweeps.len() as u64;
    let mut records = Vec::with_capacity(sweeps.len());
    for (index, sweep) in sweeps.iter().enumerate() {
        records.push(record::of_sweep(
            sweep,
            &store.experiment(&sweep.sweep)?,
            count - index as u64,
        ));
    }
    Ok(records)
}

fn children(store: &Store, parent: &str) -> Result<Vec<Value>, CliError> {
    let sweep = store.sweep(parent)?;
    let query = TrialQuery {
        order: TrialOrder::Number,
        reverse: true,
        ..TrialQuery::default()
    };
    store
        .trials(&sweep.sweep, &query)?
        .iter()
        .map(|trial| child(store, &sweep, trial))
        .collect()
}

fn update(
    reference: &RunReference,
    add: &[String],
    globals: &Globals,
    printer: &Printer<'_>,
) -> Result<u8, CliError> {
    let store = Store::open(&place::state_folder_from(globals, &reference.scope.path)?)?;
    let Run::Sweep(sweep) = find(&store, &reference.run)? else {
        return Err(CliError::usage(
            "trial-tags",
            "tags are kept for sweeps and single runs, not for their children",
        ));
    };
    let mut tags = sweep.tags.clone();
    for tag in add {
        let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
        if key.is_empty() {
            return Err(CliError::usage(
                "tag",
                format!("`{tag}` is not of the form KEY[=VALUE]"),
            ));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    store.set_tags(&sweep.sweep, &tags)?;
    printer.print(&shown(&store, &sweep.sweep)?)
}

const LOGS: [(&str, &str); 3] = [
    ("azureml-logs", "azureml-logs"),
    ("user_logs", "user_logs"),
    ("wd/logs", "logs"),
];

fn download(store: &Store, id: &str, directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    copies(store, id, directory, &LOGS)
}

/// Outputs and logs of a run into `<directory>/artifacts`.
pub(super) fn download_all(store: &Store, id: &str, directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let everything = [&LOGS[..], &[("wd/outputs", "outputs"), ("artifacts", "outputs")]].concat();
    copies(store, id, &directory.join("artifacts"), &everything)
}

fn copies(
    store: &Store,
    id: &str,
    directory: &Path,
    folders: &[(&str, &str)],
) -> Result<Vec<PathBuf>, CliError> {
    let mut copied = Vec::new();
    let (sweep, trials) = match find(store, id)? {
        Run::Sweep(sweep) => {
            let trials = place::all_trials(store, &sweep.sweep)?;
            (sweep, trials)
        }
        Run::Trial(sweep, trial) => (sweep, vec![*trial]),
    };
    let several = trials.len() > 1;
    for trial in &trials {
        let Some(folder) = trial.folder.as_deref().map(Path::new) else {
            continue;
        };
        let target = if several {
            directory.join(&trial.run_id)
        } else {
            directory.to_owned()
        };
        for (from, name) in folders {
            copy(&folder.join(from), &target.join(name), &mut copied)?;
        }
    }
    if copied.is_empty() {
        return Err(CliError::not_found(
            "no-log",
            format!("no logs of `{}` are there yet", sweep.sweep),
        ));
    }
    Ok(copied)
}

fn copy(from: &Path, to: &Path, copied: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let Ok(entries) = std::fs::read_dir(from) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target, copied)?;
        } else if path.is_file() {
            std::fs::create_dir_all(to)?;
            std::fs::copy(&path, &target)?;
            copied.push(target);
        }
    }
    Ok(())
}

/// Id, experiment and folder of the trial that a run stands for: itself, the only one of a single run, the best of a sweep.
pub(super) fn folder(store: &Store, id: &str) -> Result<(String, String, PathBuf), CliError> {
    let (sweep, trial) = match find(store, id)? {
        Run::Trial(sweep, trial) => (sweep, trial),
        Run::Sweep(sweep) => {
            let trial = match (&sweep.best, &sweep.metric) {
                (Some(best), _) => store.trial(&sweep.sweep, best.trial)?,
                (None, None) => store.trial(&sweep.sweep, 0)?,
                (None, Some(_)) => return Err(place::no_metric(&sweep, &[])),
            };
            (sweep, Box::new(trial))
        }
    };
    let single = sweep.metric.is_none();
    let folder = trial.folder.as_deref().map(PathBuf::from).ok_or_else(|| {
        CliError::not_found(
            "no-folder",
            format!("`{}` was never started and left nothing", trial.run_id),
        )
    })?;
    let run = if single { sweep.sweep } else { trial.run_id };
    Ok((run, sweep.experiment, folder))
}
