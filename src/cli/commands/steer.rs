//! `watch`, `pause`, `cancel`: what another process may want of a sweep that is led elsewhere.

use crate::cli::args::{Cancel, Globals, Pause, Watch};
use crate::cli::error::CliError;
use crate::cli::follow::{Events, Follower};
use crate::cli::output::Output;
use crate::cli::terminal::Signals;
use crate::cli::{exit, place};
use crate::process::Presence;
use crate::report::document;
use crate::store::row::SweepRow;
use crate::store::{Request, RequestState, Store};
use std::time::{Duration, Instant};

/// Between two looks at the store.
const POLL: Duration = Duration::from_millis(100);
/// A living controller answers a request within this time.
const ANSWER: Duration = Duration::from_secs(10);

/// Follows a sweep until it ends or Ctrl-C.
pub(super) fn watch(arguments: &Watch, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = place::read(globals)?;
    let sweep = store.sweep(&arguments.sweep)?;
    let runtime = super::runtime()?;
    let signals = Signals::catch(runtime.handle())?;
    let mut follower = Follower::new(
        &store,
        &sweep.sweep,
        output,
        Events::open(arguments.events.as_deref())?,
    )?;
    let mut warned = false;
    while !follower.step()? && signals.asked() == 0 && !signals.hung_up() && !follower.keys() {
        if !warned && !led(&store, &sweep.sweep)? {
            follower.notice(&format!(
                "no controller runs it: `overdrive resume {}` goes on",
                place::short_id(&store, &sweep.sweep)
            ));
            warned = true;
        }
        std::thread::sleep(POLL);
    }
    follower.finish()?;
    let sweep = store.sweep(&sweep.sweep)?;
    super::closing(&store, &sweep, output)?;
    if signals.asked() > 0 || signals.hung_up() {
        Ok(signals.exit())
    } else {
        Ok(super::verdict(&sweep))
    }
}

/// Whether a controller leads the sweep, as far as this host can tell.
pub(super) fn led(store: &Store, sweep: &str) -> Result<bool, CliError> {
    Ok(store
        .leader(sweep)?
        .is_some_and(|leader| leader.presence != Presence::Gone))
}

/// Asks the controller to start nothing new.
pub(super) fn pause(arguments: &Pause, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = place::write(globals)?;
    let sweep = open(&store, &arguments.sweep)?;
    if !led(&store, &sweep.sweep)? {
        return Err(CliError::failed(
            "not-led",
            format!("no controller runs `{}`: it starts nothing as it is", sweep.sweep),
        )
        .help(format!(
            "`overdrive resume {}` goes on",
            place::short_id(&store, &sweep.sweep)
        )));
    }
    let request = store.request(
        &sweep.sweep,
        &Request::Pause {
            reason: "paused by you".into(),
        },
    )?;
    answered(&store, request)?;
    tell(
        &store,
        &sweep,
        output,
        "paused: running trials go on, nothing new starts",
    )
}

/// Asks the controller to cancel a sweep or trials of it.
pub(super) fn cancel(arguments: &Cancel, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = place::write(globals)?;
    let sweep = open(&store, &arguments.sweep)?;
    for trial in &arguments.trial {
        store.trial(&sweep.sweep, *trial)?;
    }
    let mut requests = Vec::new();
    if arguments.trial.is_empty() {
        requests.push(store.request(
            &sweep.sweep,
            &Request::Cancel {
                reason: "canceled by you".into(),
            },
        )?);
    }
    for trial in &arguments.trial {
        requests.push(store.request(&sweep.sweep, &Request::CancelTrial { trial: *trial })?);
    }
    if !led(&store, &sweep.sweep)? {
        // Somebody has to carry the request out; what runs may have outlived its controller.
        if arguments.trial.is_empty() {
            return super::run::carry_out(store, &sweep, output);
        }
        return Err(not_led(&store, &sweep));
    }
    for request in requests {
        answered(&store, request)?;
    }
    if arguments.no_wait {
        return tell(&store, &sweep, output, "canceling");
    }
    loop {
        let row = store.sweep(&sweep.sweep)?;
        let done = if arguments.trial.is_empty() {
            row.state.is_terminal()
        } else {
            let mut all = true;
            for trial in &arguments.trial {
                all &= store.trial(&sweep.sweep, *trial)?.state.is_terminal();
            }
            all
        };
        if done {
            return tell(&store, &sweep, output, "canceled");
        }
        if !led(&store, &sweep.sweep)? {
            return super::run::carry_out(store, &sweep, output);
        }
        std::thread::sleep(POLL);
    }
}

fn not_led(store: &Store, sweep: &SweepRow) -> CliError {
    CliError::failed(
        "not-led",
        format!(
            "no controller runs `{}`; the request stays and is carried out by the next one",
            sweep.sweep
        ),
    )
    .help(format!(
        "`overdrive resume {}`",
        place::short_id(store, &sweep.sweep)
    ))
}

fn open(store: &Store, reference: &str) -> Result<SweepRow, CliError> {
    let sweep = store.sweep(reference)?;
    if sweep.state.is_terminal() {
        return Err(CliError::failed(
            "sweep-ended",
            format!("`{}` has ended: {}", sweep.sweep, sweep.state.word()),
        ));
    }
    Ok(sweep)
}

fn answered(store: &Store, request: i64) -> Result<(), CliError> {
    let asked = Instant::now();
    loop {
        match store.request_state(request)? {
            RequestState::Done => return Ok(()),
            RequestState::Refused(reason) => return Err(CliError::failed("refused", reason)),
            RequestState::Waiting if asked.elapsed() > ANSWER => {
                return Err(CliError::failed(
                    "no-answer",
                    "the controller did not answer within 10 s; the request stays and is carried out by the next one",
                ));
            }
            RequestState::Waiting => std::thread::sleep(POLL),
        }
    }
}

fn tell(store: &Store, sweep: &SweepRow, output: &Output, text: &str) -> Result<u8, CliError> {
    let row = store.sweep(&sweep.sweep)?;
    if output.json {
        output.document(&document::result(&row))?;
    } else {
        output.note(&format!("{}: {text}", row.sweep));
    }
    Ok(exit::OK)
}
