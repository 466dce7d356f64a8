//! `job create|validate|list|show|cancel|stream|download|archive|restore|update`: the second command line over the same engine.

use super::print::Printer;
use super::runs::{self, Run};
use super::submit;
use crate::cli::args::{Cancel, CreateJob, Globals, JobCommand};
use crate::cli::commands::run::{self, Start};
use crate::cli::commands::steer;
use crate::cli::disk::Disk;
use crate::cli::error::CliError;
use crate::cli::output::{Output, Progress};
use crate::cli::{exit, findings, place};
use crate::config::resolve::{Request, Resolved, resolve};
use crate::report::job;
use crate::store::{Store, SweepFilter, TrialOrder, TrialQuery};
use serde_json::{Value, json};
use std::path::Path;

/// Runs one of the verbs.
pub(super) fn job(
    command: JobCommand,
    globals: &Globals,
    output: &Output,
    printer: &Printer<'_>,
) -> Result<u8, CliError> {
    match command {
        JobCommand::Create(arguments) => create(&arguments, globals, output, printer),
        JobCommand::Validate { file, set } => {
            findings::experiment(read(&file, &set, None), output)?;
            printer.print(&json!({"result": "Succeeded", "errors": []}))
        }
        JobCommand::List {
            parent_job_name,
            max_results,
            all_results,
            tag,
            include_archived,
            archived_only,
        } => {
            let store = place::read(globals)?;
            let limit = if all_results { usize::MAX } else { max_results };
            let mut records = match &parent_job_name {
                Some(parent) => children(&store, parent)?,
                None => {
                    let filter = SweepFilter {
                        archived: include_archived || archived_only,
                        ..SweepFilter::default()
                    };
                    let mut sweeps = store.sweeps(&filter)?;
                    sweeps.retain(|sweep| !archived_only || sweep.archived);
                    let record = |sweep: &_| Ok(job::of_sweep(sweep, &store.experiment(&sweep.sweep)?));
                    sweeps.iter().map(record).collect::<Result<_, CliError>>()?
                }
            };
            if let Some(tag) = &tag {
                let (key, value) = tag
                    .split_once('=')
                    .map_or((tag.as_str(), None), |(key, value)| (key, Some(value)));
                records.retain(|record: &Value| {
                    let found = record.get("tags").and_then(|tags| tags.get(key));
                    match value {
                        None => found.is_some(),
                        Some(value) => found.and_then(Value::as_str) == Some(value),
                    }
                });
            }
            records.truncate(limit);
            printer.print(&Value::Array(records))
        }
        JobCommand::Show(name) => {
            let store = place::read(globals)?;
            printer.print(&shown(&store, &name.name)?)
        }
        JobCommand::Cancel(name) => {
            cancel(&name.name, globals, output)?;
            Ok(exit::OK)
        }
        JobCommand::Stream(name) => {
            let store = place::read(globals)?;
            runs::monitor_run(&store, &name.name, output)?;
            let (state, code) = ended(&store, &name.name)?;
            if code != exit::OK {
                output.complain(&format!("{}: {state}", name.name));
            }
            Ok(code)
        }
        JobCommand::Download {
            job, download_path, ..
        } => {
            let store = place::read(globals)?;
            let copied = runs::download_all(&store, &job.name, &download_path)?;
            for path in &copied {
                output.note(&format!("written: {}", path.display()));
            }
            Ok(exit::OK)
        }
        JobCommand::Archive(name) => archived(&name.name, true, globals),
        JobCommand::Restore(name) => archived(&name.name, false, globals),
        JobCommand::Update { job, set } => {
            let store = place::write(globals)?;
            let sweep = store.sweep(&job.name)?;
            let mut tags = sweep.tags.clone();
            for pair in &set {
                let (key, value) = pair
                    .split_once('=')
                    .and_then(|(key, value)| Some((key.strip_prefix("tags.")?, value)))
                    .filter(|(key, _)| !key.is_empty())
                    .ok_or_else(|| {
                        CliError::usage(
                            "job-update",
                            format!("`{pair}` cannot be changed after the start"),
                        )
                        .help("tags can:  --set tags.KEY=VALUE")
                    })?;
                tags.insert(key.to_owned(), value.to_owned());
            }
            store.set_tags(&sweep.sweep, &tags)?;
            printer.print(&shown(&store, &sweep.sweep)?)
        }
    }
}

fn read(file: &Path, settings: &[String], experiment: Option<&str>) -> Resolved {
    let request = Request {
        file: Some(file.to_owned()),
        experiment_name: experiment.map(str::to_owned),
        fallback_seed: run::chance(),
        settings: settings.to_vec(),
        ..Request::default()
    };
    resolve(&request, &Disk)
}

fn create(
    arguments: &CreateJob,
    globals: &Globals,
    output: &Output,
    printer: &Printer<'_>,
) -> Result<u8, CliError> {
    let resolved = read(
        &arguments.file,
        &arguments.set,
        arguments.experiment_name.as_deref(),
    );
    let experiment = findings::experiment(resolved, output)?;
    let id = match arguments.name.clone().or_else(|| named(&arguments.file)) {
        Some(name) => legal(name)?,
        None => run::sweep_id(&experiment),
    };
    let home = place::state_folder(globals)?;
    if let Ok(store) = Store::open_read_only(&home)
        && store.resolve(&id).is_ok_and(|known| known == id)
    {
        return Err(
            CliError::usage("job-exists", format!("a job called `{id}` exists"))
                .help("`-n NAME` gives another name; without a name in the file a new one is made"),
        );
    }
    if arguments.stream {
        let finished = run::begin_as(&id, &experiment, &Start::default(), globals, output)?;
        let store = Store::open_read_only(&home)?;
        printer.print(&shown(&store, &id)?)?;
        let sweep = store.sweep(&id)?;
        drop(store);
        run::told(&sweep, globals);
        return Ok(finished.code(&sweep));
    }
    submit::detached(&id, &experiment, &home, output)?;
    printer.print(&shown(&Store::open_read_only(&home)?, &id)?)
}

/// The `name` of a job file.
fn named(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let document: serde_yaml::Value = serde_yaml::from_str(&text).ok()?;
    Some(document.get("name")?.as_str()?.to_owned())
}

fn legal(name: String) -> Result<String, CliError> {
    let fits = name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if fits {
        return Ok(name);
    }
    Err(CliError::usage("job-name", format!("`{name}` cannot name a job"))
        .help("letters, digits, `_`, `-` and `.`, a letter or digit first"))
}

fn shown(store: &Store, name: &str) -> Result<Value, CliError> {
    Ok(match runs::find(store, name)? {
        Run::Sweep(sweep) => job::of_sweep(&sweep, &store.experiment(&sweep.sweep)?),
        Run::Trial(sweep, trial) => job::of_trial(&sweep, &trial),
    })
}

fn children(store: &Store, parent: &str) -> Result<Vec<Value>, CliError> {
    let sweep = store.sweep(parent)?;
    let query = TrialQuery {
        order: TrialOrder::Number,
        reverse: true,
        ..TrialQuery::default()
    };
    let trials = store.trials(&sweep.sweep, &query)?;
    Ok(trials.iter().map(|trial| job::of_trial(&sweep, trial)).collect())
}

fn cancel(name: &str, globals: &Globals, output: &Output) -> Result<(), CliError> {
    let (sweep, trial) = match runs::find(&place::read(globals)?, name)? {
        Run::Sweep(sweep) => (sweep.sweep, Vec::new()),
        Run::Trial(sweep, trial) => (sweep.sweep, vec![trial.trial]),
    };
    let quiet = Output {
        quiet: true,
        json: false,
        progress: Progress::None,
        ..output.clone()
    };
    let cancel = Cancel {
        sweep,
        trial,
        no_wait: false,
    };
    steer::cancel(&cancel, globals, &quiet).map(|_| ())
}

/// State in words and exit code of a job that was followed.
fn ended(store: &Store, name: &str) -> Result<(&'static str, u8), CliError> {
    use crate::history::TrialState;
    Ok(match runs::find(store, name)? {
        Run::Sweep(sweep) => {
            let code = match crate::cli::commands::verdict(&sweep) {
                exit::NO_METRIC => exit::OK,
                code => code,
            };
            (sweep.state.word(), code)
        }
        Run::Trial(_, trial) => {
            let failed = matches!(trial.state, TrialState::Failed | TrialState::Canceled);
            (trial.state.word(), if failed { exit::FAILED } else { exit::OK })
        }
    })
}

fn archived(name: &str, archived: bool, globals: &Globals) -> Result<u8, CliError> {
    let store = place::write(globals)?;
    let sweep = store.sweep(name)?;
    store.set_archived(&sweep.sweep, archived)?;
    Ok(exit::OK)
}
