//! `logs`: the captured output of a trial, whole, its end, or as it grows.

use crate::cli::args::{Globals, Logs};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::{exit, place};
use crate::report::text;
use crate::store::Store;
use std::fs::File;
use std::io::{IsTerminal, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Names of the captured output inside an attempt's folder, best first.
const NAMES: [&str; 2] = ["azureml-logs/70_driver_log.txt", "user_logs/std_log.txt"];
/// How much of the end of a log is read for its last lines.
const TAIL_BYTES: u64 = 256 * 1024;
/// Between two looks at a growing log.
const POLL: Duration = Duration::from_millis(200);

/// The captured output in an attempt's folder, if it is there.
pub(super) fn file(folder: &Path) -> Option<PathBuf> {
    NAMES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

/// The last lines of the captured output; empty if there is none.
pub(in crate::cli) fn last_lines(folder: &Path, count: usize) -> Vec<String> {
    let Some(path) = file(folder) else {
        return Vec::new();
    };
    tail(&path, count)
        .map(|text| text.lines().map(str::to_owned).collect())
        .unwrap_or_default()
}

fn tail(path: &Path, count: usize) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let mut out = lines
        .get(lines.len().saturating_sub(count)..)
        .unwrap_or_default()
        .join("\n");
    if !out.is_empty() {
        out.push('\n');
    }
    Ok(out)
}

/// Prints the output of a trial.
pub(super) fn logs(arguments: &Logs, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = place::read(globals)?;
    let (sweep, row) = place::trial(&store, &arguments.trial)?;
    let attempts = store.attempts(&sweep.sweep, Some(row.trial))?;
    let attempt = match arguments.attempt {
        Some(number) => attempts.iter().find(|attempt| attempt.attempt == number),
        None => attempts.last(),
    };
    let Some(attempt) = attempt else {
        return Err(match arguments.attempt {
            Some(number) => CliError::not_found(
                "unknown-attempt",
                format!("trial {} has no attempt {number}", row.trial),
            ),
            None => CliError::not_found("no-log", format!("trial {} was not started yet", row.trial)),
        });
    };
    let folder = PathBuf::from(&attempt.folder);
    let ended =
        || -> Result<bool, CliError> { Ok(store.trial(&sweep.sweep, row.trial)?.state.is_terminal()) };
    if output.json {
        let path = file(&folder);
        let lines = last_lines(&folder, arguments.tail.unwrap_or(200));
        output.document(&crate::report::document::document(serde_json::json!({
            "sweep": sweep.sweep, "trial": row.trial, "attempt": attempt.attempt, "state": row.state.word(), "file": path, "lines": lines,
        })))?;
        return Ok(exit::OK);
    }
    let path = loop {
        match file(&folder) {
            Some(path) => break path,
            None if arguments.follow && !ended()? => std::thread::sleep(POLL),
            None => {
                return Err(CliError::not_found(
                    "no-log",
                    format!("no output of trial {} is in {}", row.trial, folder.display()),
                ));
            }
        }
    };
    let terminal = std::io::stdout().is_terminal();
    let print = |bytes: &[u8]| {
        if terminal {
            output.bytes(text::tame(&String::from_utf8_lossy(bytes)).as_bytes())
        } else {
            output.bytes(bytes)
        }
    };
    let mut handle = File::open(&path)?;
    if let Some(count) = arguments.tail {
        let end = handle.metadata()?.len();
        print(tail(&path, count)?.as_bytes())?;
        handle.seek(SeekFrom::Start(end))?;
    }
    let mut bytes = vec![0; 64 * 1024];
    loop {
        // Asked before reading: what was written before the end is read after it.
        let last = !arguments.follow || ended()?;
        loop {
            let count = handle.read(&mut bytes)?;
            if count == 0 {
                break;
            }
            print(bytes.get(..count).unwrap_or_default())?;
        }
        if last {
            return Ok(exit::OK);
        }
        std::thread::sleep(POLL);
    }
}

/// Copies the output of a trial to `out` until the trial has ended; waits for it to begin.
pub(super) fn stream(
    store: &Store,
    sweep: &str,
    trial: u64,
    out: &mut dyn std::io::Write,
) -> Result<(), CliError> {
    let mut handle: Option<File> = None;
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let row = store.trial(sweep, trial).ok();
        let ended = match &row {
            Some(row) => row.state.is_terminal(),
            // Not created yet, and never will be if the sweep has ended.
            None => store.sweep(sweep)?.state.is_terminal(),
        };
        if handle.is_none()
            && let Some(path) = row
                .as_ref()
                .and_then(|row| row.folder.as_deref())
                .and_then(|folder| file(Path::new(folder)))
        {
            handle = Some(File::open(path)?);
        }
        if let Some(handle) = &mut handle {
            loop {
                let count = handle.read(&mut bytes)?;
                if count == 0 {
                    break;
                }
                out.write_all(
                    text::tame(&String::from_utf8_lossy(bytes.get(..count).unwrap_or_default())).as_bytes(),
                )?;
            }
        }
        if ended {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
}
