//! `run submit-script`, `run submit-hyperdrive`.

use super::print::Printer;
use super::runs;
use crate::cli::args::{Globals, SubmitHyperdrive, SubmitScript};
use crate::cli::commands::run::{self, Start};
use crate::cli::commands::{logs, pools};
use crate::cli::disk::Disk;
use crate::cli::error::CliError;
use crate::cli::output::{Output, Progress};
use crate::cli::{exit, findings, place, prepare};
use crate::config::Experiment;
use crate::config::resolve::{FindError, Request, find_file, resolve};
use crate::store::Store;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs a script once.
pub(super) fn script(
    arguments: &SubmitScript,
    globals: &Globals,
    output: &Output,
    printer: &Printer<'_>,
) -> Result<u8, CliError> {
    let experiment = findings::experiment(resolve(&request(arguments, None)?, &Disk), output)?;
    go(&experiment, arguments, globals, output, printer)
}

/// Runs a sweep.
pub(super) fn hyperdrive(
    arguments: &SubmitHyperdrive,
    globals: &Globals,
    output: &Output,
    printer: &Printer<'_>,
) -> Result<u8, CliError> {
    let submit = &arguments.submit;
    let file = find_file(&arguments.hyperdrive, &submit.scope.path, &Disk).map_err(|error| {
        let message = error.to_string();
        match error {
            FindError::Missing { .. } => CliError::not_found("missing-file", message),
            _ => CliError::usage("several-files", message),
        }
    })?;
    let experiment = findings::experiment(resolve(&request(submit, Some(file))?, &Disk), output)?;
    go(&experiment, submit, globals, output, printer)
}

fn request(arguments: &SubmitScript, file: Option<PathBuf>) -> Result<Request, CliError> {
    let mut rest = arguments.rest.iter();
    let script = rest.next().cloned();
    if let Some(option) = script.as_ref().filter(|word| word.starts_with('-')) {
        return Err(CliError::usage(
            "unknown-option",
            format!("`{option}` is not an option of this verb"),
        )
        .help("options come before the script; what follows the script belongs to it"));
    }
    Ok(Request {
        file,
        run_configuration: arguments.run_configuration.clone(),
        project: Some(arguments.scope.path.clone()),
        source_directory: arguments.source_directory.clone(),
        script,
        arguments: rest.cloned().collect(),
        targets: arguments.target.iter().cloned().collect(),
        experiment_name: arguments.scope.experiment.clone(),
        fallback_seed: run::chance(),
        conda_dependencies: arguments.conda_dependencies.clone(),
        ..Request::default()
    })
}

fn go(
    experiment: &Experiment,
    arguments: &SubmitScript,
    globals: &Globals,
    output: &Output,
    printer: &Printer<'_>,
) -> Result<u8, CliError> {
    let home = place::state_folder_from(globals, &arguments.scope.path)?;
    let globals = Globals {
        home: Some(home.clone()),
        ..globals.clone()
    };
    if arguments.detached {
        let id = run::sweep_id(experiment);
        detached(&id, experiment, &home, output)?;
        return printer.print(&runs::shown(&Store::open_read_only(&home)?, &id)?);
    }
    // The log of a single run is its progress; a sweep tells its events.
    let single = experiment.space.is_empty();
    let shown = if single && !output.quiet {
        Output {
            progress: Progress::None,
            ..output.clone()
        }
    } else {
        output.clone()
    };
    let printed = single && !output.quiet;
    let started = std::time::SystemTime::now();
    let streamer = printed.then(|| {
        let home = home.clone();
        std::thread::spawn(move || stream_newest(&home, started))
    });
    let finished = run::begin(experiment, &Start::default(), &globals, &shown)?;
    if let Some(streamer) = streamer {
        let _ = streamer.join();
    }
    let store = Store::open_read_only(&home)?;
    printer.print(&runs::shown(&store, &finished.sweep)?)?;
    let sweep = store.sweep(&finished.sweep)?;
    drop(store);
    run::told(&sweep, &globals);
    Ok(finished.code(&sweep))
}

/// Copies the log of the run that is about to start to standard error.
fn stream_newest(home: &Path, since: std::time::SystemTime) {
    let since: jiff::Timestamp = match jiff::Timestamp::try_from(since) {
        Ok(since) => since,
        Err(_) => return,
    };
    for _ in 0..600 {
        std::thread::sleep(Duration::from_millis(100));
        let Ok(store) = Store::open_read_only(home) else {
            continue;
        };
        let Ok(sweep) = store.sweep("latest") else {
            continue;
        };
        let fresh = sweep
            .created
            .parse::<jiff::Timestamp>()
            .is_ok_and(|created| created >= since);
        if fresh {
            let _ = logs::stream(&store, &sweep.sweep, 0, &mut std::io::stderr());
            return;
        }
    }
}

/// Creates the sweep and leaves its leading to a process of its own, which survives this one and its terminal.
pub(super) fn detached(
    id: &str,
    experiment: &Experiment,
    home: &Path,
    output: &Output,
) -> Result<(), CliError> {
    use std::os::unix::process::CommandExt;
    let targets = pools::of(experiment, home, output)?;
    let store = Store::open(home)?;
    let experiment = &*prepare::with_inputs(experiment, output)?;
    let mut preparation = prepare::prepare(experiment, home, false, targets.any_here(), output)?;
    if targets.any_elsewhere() {
        prepare::data(experiment, home, &mut preparation)?;
    }
    targets.make_ready(&preparation.luggage(id, experiment), output)?;
    drop(targets);
    let folder = home.join("sweeps").join(id);
    let document =
        serde_json::to_value(&preparation).map_err(|error| CliError::failed("json", error.to_string()))?;
    store.create_sweep(id, experiment, &folder, Some(&document))?;
    std::fs::create_dir_all(&folder)?;
    let log = std::fs::File::create(folder.join("controller.log"))?;
    let program = std::env::current_exe()?;
    Command::new(program)
        .args(["resume", id, "--progress", "lines", "--color", "never", "--home"])
        .arg(home)
        .stdin(Stdio::null())
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log))
        // A group of its own: Ctrl-C in this terminal is not meant for it.
        .process_group(0)
        .spawn()?;
    Ok(())
}

/// Exit code where the verb does not print a card.
impl run::Finished {
    pub(super) fn code(&self, sweep: &crate::store::row::SweepRow) -> u8 {
        self.signal()
            .unwrap_or_else(|| match crate::cli::commands::verdict(sweep) {
                // The old client knew success and failure only.
                exit::NO_METRIC => exit::OK,
                code => code,
            })
    }
}
