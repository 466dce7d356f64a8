//! `run`, `resume`: from the user's files to the final card.

use super::pools;
use crate::cli::args::{Environment, Globals, Resume, Run};
use crate::cli::disk::Disk;
use crate::cli::error::CliError;
use crate::cli::follow::Events;
use crate::cli::lead::{self, Led};
use crate::cli::output::Output;
use crate::cli::terminal::Signals;
use crate::cli::{exit, findings, inherit, place, prepare};
use crate::config::resolve::{EnvironmentChoice, Request, resolve};
use crate::config::{DataMap, Experiment, Files, Format};
use crate::controller::{Limits, SweepState};
use crate::diagnostic::{Dialect, Source, list, nearest, parse};
use crate::engine::{Engine, Setup};
use crate::store::row::SweepRow;
use crate::store::{FILE, Request as Wish, Store};
use indexmap::IndexMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a new sweep is started with, besides its experiment.
#[derive(Clone, Debug, Default)]
pub(super) struct Start {
    /// Go on with the newest unfinished sweep of the same file.
    pub(super) resume: bool,
    /// No snapshot.
    pub(super) in_place: bool,
    /// JSON lines.
    pub(super) events: Option<PathBuf>,
    /// Fence a living controller off.
    pub(super) take_over: bool,
}

/// Runs a sweep.
pub(super) fn run(arguments: &Run, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let file = match &arguments.file {
        Some(file) => file.clone(),
        None => only_file(output)?,
    };
    let request = Request {
        file: Some(file),
        run_configuration: arguments.run_configuration.clone(),
        source_directory: arguments.source_directory.clone(),
        script: arguments.script.clone(),
        arguments: arguments.arguments.clone(),
        targets: arguments.target.clone(),
        experiment_name: arguments.experiment.clone(),
        display_name: arguments.name.clone(),
        tags: tags(&arguments.tag)?,
        seed: arguments.seed,
        fallback_seed: chance(),
        resume_from: arguments.resume_from.clone(),
        settings: arguments.set.clone(),
        environment: choice(arguments.environment),
        short_timeouts: arguments.short_timeouts,
        allow_duplicate_arguments: arguments.allow_duplicate_arguments,
        step: arguments.step.clone(),
        map: data_map(&arguments.map)?,
        ..Request::default()
    };
    let experiment = findings::experiment(resolve(&request, &Disk), output)?;
    let start = Start {
        resume: arguments.resume,
        in_place: arguments.in_place,
        events: arguments.events.clone(),
        take_over: arguments.take_over,
    };
    let _studio = if arguments.studio {
        Some(super::studio::beside(globals, output)?)
    } else {
        None
    };
    begin(&experiment, &start, globals, output).and_then(|sweep| finish(&sweep, globals, output))
}

/// How a led sweep ended for its command.
pub(super) struct Finished {
    /// Its id.
    pub(super) sweep: String,
    led: Led,
}

impl Finished {
    /// Exit code of the signal that ended the leading, if one did.
    pub(super) fn signal(&self) -> Option<u8> {
        match self.led {
            Led::Left { code, .. } => Some(code),
            Led::Over { signal } => signal,
        }
    }
}

/// Prints the end and returns the exit code.
pub(super) fn finish(finished: &Finished, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = place::read(globals)?;
    let sweep = store.sweep(&finished.sweep)?;
    match finished.led {
        Led::Left { live, code } => {
            let id = place::short_id(&store, &sweep.sweep);
            output.complain(&format!("left {live} running; `overdrive resume {id}` goes on"));
            if output.json {
                super::closing(&store, &sweep, output)?;
            }
            Ok(code)
        }
        Led::Over { signal } => {
            super::closing(&store, &sweep, output)?;
            drop(store);
            told(&sweep, globals);
            Ok(signal.unwrap_or_else(|| super::verdict(&sweep)))
        }
    }
}

/// Notes that the result was delivered; the last thing before the end of the command, so that one that is killed earlier leaves a
/// result that `--resume` delivers.
pub(super) fn told(sweep: &SweepRow, globals: &Globals) {
    // Where that cannot be written the result is delivered once more by the next `--resume`: better twice than never.
    if let Ok(store) = place::write(globals) {
        let _ = store.set_awaited(&sweep.sweep, false);
    }
}

/// The end of a sweep whose command was killed before it could tell it.
fn undelivered(sweep: SweepRow, output: &Output) -> Finished {
    output.note(&format!(
        "{} has ended and its command was killed before it could tell: this is its result",
        sweep.sweep
    ));
    Finished {
        sweep: sweep.sweep,
        led: Led::Over { signal: None },
    }
}

/// Starts a sweep, or goes on with one, and leads it to its end.
pub(super) fn begin(
    experiment: &Experiment,
    start: &Start,
    globals: &Globals,
    output: &Output,
) -> Result<Finished, CliError> {
    let home = place::state_folder(globals)?;
    if start.resume
        && home.join(FILE).is_file()
        && let Some(file) = &experiment.file
    {
        let store = Arc::new(Store::open(&home)?);
        if let Some(sweep) = place::to_go_on_with(&store, file)? {
            if sweep.state.is_terminal() {
                return Ok(undelivered(sweep, output));
            }
            output.note(&format!("going on with {}", sweep.sweep));
            let targets = pools::of(&store.experiment(&sweep.sweep)?, &home, output)?;
            let setup = resuming(
                &store,
                &sweep,
                Some((experiment, start, &home, output)),
                start.take_over,
                targets,
            )?;
            return go_on(&store, &sweep, setup, start.events.as_deref(), output);
        }
    }
    begin_as(&sweep_id(experiment), experiment, start, globals, output)
}

/// Starts a sweep under this id and leads it to its end.
pub(super) fn begin_as(
    id: &str,
    experiment: &Experiment,
    start: &Start,
    globals: &Globals,
    output: &Output,
) -> Result<Finished, CliError> {
    let home = place::state_folder(globals)?;
    // A name that is not known is told before anything is made.
    let targets = pools::of(experiment, &home, output)?;
    let store = Arc::new(Store::open(&home)?);
    let (inherited, left_out) = inherit::inherited(&store, experiment)?;
    if let Some(note) = left_out.note() {
        output.note(&note);
    }
    if !inherited.is_empty() {
        output.note(&format!("learning from {} earlier trials", inherited.len()));
    }
    if start.in_place && targets.any_elsewhere() {
        return Err(CliError::usage(
            "in-place",
            "`--in-place` runs trials in a folder of this computer, and a target is elsewhere",
        ));
    }
    let experiment = &*prepare::with_inputs(experiment, output)?;
    let mut preparation = prepare::prepare(experiment, &home, start.in_place, targets.any_here(), output)?;
    if targets.any_elsewhere() {
        prepare::data(experiment, &home, &mut preparation)?;
    }
    targets.make_ready(&preparation.luggage(id, experiment), output)?;
    let runtime = super::runtime()?;
    let signals = Signals::catch(runtime.handle())?;
    let setup = Setup {
        targets: targets.others,
        local: targets.local,
        pools: targets.pools,
        costs: targets.costs,
        preparation: Some(preparation),
        inherited,
        take_over: start.take_over,
        awaited: true,
    };
    let events = Events::open(start.events.as_deref())?;
    let engine = Engine::start(&store, id, experiment, setup).map_err(|error| lead::engine_error(&error))?;
    let led = with_reader(&store, |reader| {
        lead::lead(engine, reader, output, events, &signals)
    })?;
    Ok(Finished {
        sweep: id.to_owned(),
        led,
    })
}

fn go_on(
    store: &Arc<Store>,
    sweep: &SweepRow,
    setup: Setup,
    events: Option<&Path>,
    output: &Output,
) -> Result<Finished, CliError> {
    let runtime = super::runtime()?;
    let signals = Signals::catch(runtime.handle())?;
    let events = Events::open(events)?;
    if sweep.state == SweepState::Paused {
        store.request(&sweep.sweep, &Wish::Resume)?;
    }
    let engine = Engine::resume(store, &sweep.sweep, setup).map_err(|error| match error {
        crate::engine::EngineError::Store(error) => CliError::from(error),
        other => lead::engine_error(&other),
    })?;
    let led = with_reader(store, |reader| {
        lead::lead(engine, reader, output, events, &signals)
    })?;
    Ok(Finished {
        sweep: sweep.sweep.clone(),
        led,
    })
}

/// A connection of its own for the display; on file systems where only one process may have the store open, the shared one.
fn with_reader<T>(store: &Arc<Store>, act: impl FnOnce(&Store) -> T) -> T {
    match Store::open_read_only(store.folder()) {
        Ok(reader) => act(&reader),
        Err(_) => act(store),
    }
}

fn resuming(
    store: &Arc<Store>,
    sweep: &SweepRow,
    fresh: Option<(&Experiment, &Start, &Path, &Output)>,
    take_over: bool,
    targets: pools::Targets,
) -> Result<Setup, CliError> {
    let stored = store.experiment(&sweep.sweep)?;
    let preparation = match (store.preparation(&sweep.sweep)?, fresh) {
        (None, Some((experiment, start, home, output))) => {
            let here = targets.any_here();
            let mut preparation = prepare::prepare(experiment, home, start.in_place, here, output)?;
            if targets.any_elsewhere() {
                prepare::data(experiment, home, &mut preparation)?;
            }
            Some(preparation)
        }
        _ => None,
    };
    let (inherited, _) = inherit::inherited(store, &stored)?;
    Ok(Setup {
        targets: targets.others,
        local: targets.local,
        pools: targets.pools,
        costs: targets.costs,
        preparation,
        inherited,
        take_over,
        awaited: true,
    })
}

/// Goes on with a sweep.
pub(super) fn resume(arguments: &Resume, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = Arc::new(place::write(globals)?);
    let sweep = store.sweep(&arguments.sweep)?;
    if sweep.state.is_terminal() && store.awaited(&sweep.sweep)? {
        return finish(&undelivered(sweep, output), globals, output);
    }
    if sweep.state.is_terminal() {
        let id = place::short_id(&store, &sweep.sweep);
        return Err(CliError::failed(
            "sweep-ended",
            format!("`{}` has ended: {}", sweep.sweep, sweep.state.word()),
        )
        .help(format!(
            "`overdrive run FILE --resume-from {id}` starts another one that learns from it"
        )));
    }
    if !arguments.set.is_empty() {
        let limits = limits(store.experiment(&sweep.sweep)?.limits, &sweep, &arguments.set)?;
        store.request(&sweep.sweep, &Wish::SetLimits { limits })?;
    }
    if super::steer::led(&store, &sweep.sweep)? && !arguments.take_over {
        if sweep.state == SweepState::Paused || !arguments.set.is_empty() {
            if sweep.state == SweepState::Paused {
                store.request(&sweep.sweep, &Wish::Resume)?;
            }
            output.note("told its controller; `overdrive watch` follows it");
            return Ok(exit::OK);
        }
        let leader = store.leader(&sweep.sweep)?;
        let who = leader
            .map(|leader| format!("process {} on `{}`", leader.identity.pid, leader.identity.host))
            .unwrap_or_default();
        return Err(CliError::failed("sweep-is-led", format!("`{}` is led by {who}", sweep.sweep))
            .help("`overdrive watch` follows it; `--take-over` replaces a controller that hangs or is known to be dead"));
    }
    let targets = pools::of(&store.experiment(&sweep.sweep)?, store.folder(), output)?;
    let setup = resuming(&store, &sweep, None, arguments.take_over, targets)?;
    let finished = go_on(&store, &sweep, setup, arguments.events.as_deref(), output)?;
    finish(&finished, globals, output)
}

/// Leads a sweep without a controller to the end that was asked for.
pub(super) fn carry_out(store: Store, sweep: &SweepRow, output: &Output) -> Result<u8, CliError> {
    let store = Arc::new(store);
    let targets = pools::to_end(&store.experiment(&sweep.sweep)?, store.folder());
    let setup = resuming(&store, sweep, None, false, targets)?;
    let finished = go_on(&store, sweep, setup, None, output)?;
    let row = store.sweep(&finished.sweep)?;
    super::closing(&store, &row, output)?;
    store.set_awaited(&row.sweep, false)?;
    Ok(if row.state == SweepState::Canceled {
        exit::OK
    } else {
        super::verdict(&row)
    })
}

/// Limits with `KEY=VALUE` changes.
fn limits(stored: Limits, sweep: &SweepRow, settings: &[String]) -> Result<Limits, CliError> {
    const KEYS: [&str; 3] = ["max_total_runs", "max_concurrent_runs", "max_duration_minutes"];
    let mut limits = Limits {
        max_total: sweep.max_total_runs,
        max_concurrent: sweep.max_concurrent_runs,
        ..stored
    };
    limits.max_duration_ms = sweep
        .max_duration_minutes
        .map(|minutes| (minutes * 60_000.0) as u64);
    for setting in settings {
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        let wrong = || {
            CliError::usage(
                "limit-value",
                format!("`{key}` must be a positive number, not `{value}`"),
            )
        };
        let whole = || {
            value
                .parse::<u64>()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(wrong)
        };
        match key {
            "max_total_runs" | "max_total_trials" => limits.max_total = whole()?,
            "max_concurrent_runs" | "max_concurrent_trials" => limits.max_concurrent = whole()?,
            "max_duration_minutes" => {
                let minutes = value
                    .parse::<f64>()
                    .ok()
                    .filter(|number| *number > 0.0 && number.is_finite())
                    .ok_or_else(wrong)?;
                limits.max_duration_ms = Some((minutes * 60_000.0) as u64);
            }
            other => {
                let near = nearest(other, KEYS).map_or_else(
                    || format!("one of {}", list(KEYS)),
                    |near| format!("did you mean `{near}`?"),
                );
                return Err(CliError::usage(
                    "unknown-limit",
                    format!("`{other}` cannot be changed while a sweep goes on"),
                )
                .help(near));
            }
        }
    }
    Ok(limits)
}

/// `HD_<uuid>` for a sweep; `<experiment>_<seconds>_<8 hex>` for a single run.
pub(super) fn sweep_id(experiment: &Experiment) -> String {
    if experiment.metric.is_some() || !experiment.space.is_empty() {
        return format!("HD_{}", uuid::Uuid::new_v4());
    }
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!(
        "{}_{seconds}_{}",
        experiment.name,
        random.get(..8).unwrap_or_default()
    )
}

/// A seed by chance; below 2^32, so that people can type it again.
pub(super) fn chance() -> u64 {
    (uuid::Uuid::new_v4().as_u128() & 0xffff_ffff) as u64
}

/// What `--environment` means.
fn choice(word: Environment) -> EnvironmentChoice {
    match word {
        Environment::Auto => EnvironmentChoice::AsAsked,
        Environment::Current => EnvironmentChoice::Current,
        Environment::NoContainer => EnvironmentChoice::WithoutContainer,
    }
}

/// What `--map` says: a dataset, `datastore:NAME`, or the beginning of an address, to a path of this machine.
fn data_map(pairs: &[String]) -> Result<DataMap, CliError> {
    let mut map = DataMap::default();
    for pair in pairs {
        let (data, path) = pair
            .split_once('=')
            .filter(|(data, path)| !data.is_empty() && !path.is_empty())
            .ok_or_else(|| {
                CliError::usage("map", format!("`{pair}` is not of the form DATA=PATH")).help(
                    "for instance  --map azureml:iris:1=data/iris.csv  or  --map datastore:blob=/mnt/blob",
                )
            })?;
        let path = path.to_owned();
        match data.strip_prefix("datastore:") {
            Some(name) => map.datastores.insert(name.to_owned(), path),
            None if data.contains("://") || data.starts_with("azureml:") => {
                map.locations.insert(data.to_owned(), path)
            }
            None => map.datasets.insert(data.to_owned(), path),
        };
    }
    Ok(map)
}

/// `KEY=VALUE` pairs.
pub(super) fn tags(pairs: &[String]) -> Result<IndexMap<String, String>, CliError> {
    pairs
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(CliError::usage(
                "tag",
                format!("`{pair}` is not of the form KEY=VALUE"),
            )),
        })
        .collect()
}

/// The only sweep file of the working directory.
pub(super) fn only_file(output: &Output) -> Result<PathBuf, CliError> {
    let mut found = Vec::new();
    for name in Disk.names(Path::new("")) {
        if !(name.ends_with(".yml") || name.ends_with(".yaml") || name.ends_with(".json")) {
            continue;
        }
        let Ok(Some(text)) = Disk.read(Path::new(&name)) else {
            continue;
        };
        let format = parse(&Source::new(&name, text), Dialect::Yaml12)
            .root
            .and_then(|root| Format::detect(&root));
        if matches!(format, Some(Format::Hyperdrive | Format::SweepJob)) {
            found.push(name);
        }
    }
    match found.as_slice() {
        [only] => {
            output.note(&format!("using {only}"));
            Ok(PathBuf::from(only))
        }
        [] => Err(
            CliError::usage("no-file", "there is no sweep file in this folder")
                .help("`overdrive run FILE`, or `overdrive init` to write a sample"),
        ),
        several => Err(CliError::usage(
            "several-files",
            format!("there are several sweep files here: {}", several.join(", ")),
        )
        .help("`overdrive run FILE`")),
    }
}
