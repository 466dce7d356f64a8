//! Leads a sweep from this process: the engine works in its own thread, this one shows what happens and listens to signals.

use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::follow::{Events, Follower};
use crate::cli::output::Output;
use crate::cli::terminal::Signals;
use crate::engine::{Ending, Engine, EngineError, Progress};
use crate::report::text;
use crate::store::Store;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Longest time between two looks at the store and the signals.
const TURN: Duration = Duration::from_millis(100);
/// Time between the first Ctrl-C and the cancel: whoever presses again within it leaves the trials untouched.
const HOLD: Duration = Duration::from_secs(1);

/// Code of the engine's warning that nothing can be stored.
const DISK_FULL: &str = "disk-full";

/// How the leading ended for the command.
pub(super) enum Led {
    /// The sweep is over.
    Over {
        /// Exit code of the signal that ended it, if one did.
        signal: Option<u8>,
    },
    /// The user let go of it; trials run on.
    Left {
        /// How many.
        live: u64,
        /// Exit code.
        code: u8,
    },
}

/// Leads until the end. `reader` is a connection of its own, so that showing never waits for a commit.
///
/// # Errors
/// [`EngineError`] as [`CliError`]; failures of the display never end the sweep.
pub(super) fn lead(
    mut engine: Engine,
    reader: &Store,
    output: &Output,
    events: Events,
    signals: &Signals,
) -> Result<Led, CliError> {
    let id = engine.sweep().to_owned();
    let control = engine.control();
    let progress = engine.progress();
    let worker = std::thread::Builder::new()
        .name("engine".into())
        .spawn(move || engine.wait())
        .map_err(|error| CliError::failed("thread", error.to_string()))?;
    let mut follower = match Follower::new(reader, &id, output, events) {
        Ok(follower) => Some(follower),
        Err(error) => {
            output.complain(&format!("{error}\nthe sweep goes on without a display"));
            None
        }
    };
    let mut asked = 0;
    let mut cancel_at: Option<Instant> = None;
    let mut quit = false;
    let mut progress = progress;
    while !worker.is_finished() {
        let unstored = wait(&mut progress);
        if let Some(shown) = &mut follower {
            for (code, message) in unstored {
                shown.warn(&code, &message);
            }
        }
        if let Some(shown) = &mut follower
            && let Err(error) = shown.step()
        {
            follower = None;
            // A reader of the events that went away, or a store that cannot be read for now: neither is the sweep's fault.
            if !error.slug.is_empty() {
                output.complain(&format!("{error}\nthe sweep goes on without a display"));
            }
        }
        if cancel_at.is_some_and(|at| Instant::now() >= at) {
            cancel_at = None;
            control.stop_starting_and_cancel("interrupted");
        }
        if asked < 2 && follower.as_mut().is_some_and(Follower::keys) {
            asked = 2;
            quit = true;
            cancel_at = None;
            control.detach();
            if let Some(follower) = &mut follower {
                follower.notice("leaving: trials run on");
            }
        }
        let now = signals.asked();
        if now > asked || (signals.hung_up() && asked < 2) {
            asked = if signals.hung_up() { 2 } else { now };
            let text = if asked == 1 {
                if signals.interrupted() {
                    control.pause("interrupted");
                    cancel_at = Some(Instant::now() + HOLD);
                } else {
                    control.stop_starting_and_cancel("terminated");
                }
                let running = follower.as_ref().map_or(0, Follower::running);
                format!("stopping: no new trials, cancelling {running}; press again to leave them running")
            } else {
                cancel_at = None;
                control.detach();
                "leaving: trials run on".to_owned()
            };
            match &mut follower {
                Some(follower) => follower.notice(&text),
                None => output.note(&text),
            }
        }
    }
    if let Some(follower) = follower {
        let _ = follower.finish();
    }
    let ending = match worker.join() {
        Ok(ending) => ending.map_err(|error| engine_error(&error))?,
        Err(_) => {
            return Err(CliError::failed(
                "panic",
                "the controller's thread ended; `overdrive resume` goes on from the store",
            ));
        }
    };
    Ok(match ending {
        Ending::Ended { .. } => Led::Over {
            signal: (asked > 0 && !quit).then(|| signals.exit()),
        },
        Ending::Detached { live } => Led::Left {
            live,
            code: if quit { exit::INTERRUPTED } else { signals.exit() },
        },
    })
}

/// Sleeps until something happened or a turn has passed; takes all news off the queue. What the event log has is read there; returned
/// are warnings that could not be stored: code and message.
fn wait(progress: &mut Option<Receiver<Progress>>) -> Vec<(String, String)> {
    let mut unstored = Vec::new();
    let mut take = |news: Progress| {
        if let Progress::Warning { code, message, .. } = news
            && code == DISK_FULL
        {
            unstored.push((code, message));
        }
    };
    let Some(receiver) = progress else {
        std::thread::sleep(TURN);
        return unstored;
    };
    match receiver.recv_timeout(TURN) {
        Ok(news) => {
            take(news);
            // A short pause lets a burst of commits be shown in one go.
            std::thread::sleep(Duration::from_millis(20));
            while let Ok(news) = receiver.try_recv() {
                take(news);
            }
        }
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => *progress = None,
    }
    unstored
}

/// An error of the engine with its exit code and what to type.
pub(super) fn engine_error(error: &EngineError) -> CliError {
    match error {
        EngineError::Store(error) => CliError::failed("store", error.to_string()),
        EngineError::Sampler(error) => CliError::usage("sampler", error.to_string()),
        EngineError::NoTarget(name) => CliError::not_found(
            "unknown-target",
            format!("no compute target is called `{}`", text::printable(name)),
        )
        .help("`local` is this computer"),
        EngineError::Ended { sweep, .. } => CliError::failed("sweep-ended", error.to_string()).help(format!(
            "`overdrive run FILE --resume-from {sweep}` starts another one that learns from it"
        )),
        EngineError::Unprepared(sweep) => CliError::failed("not-prepared", error.to_string()).help(format!(
            "`overdrive run FILE` starts it anew; `{sweep}` has no trial yet"
        )),
        other => CliError::new(exit::FAILED, "engine", other.to_string()),
    }
}
