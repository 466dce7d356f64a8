//! Where the store is, and which sweep or trial a word means.

use crate::cli::args::Globals;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::report::{card, text};
use crate::store::row::{SweepRow, TrialRow};
use crate::store::{FILE, STATE_FOLDER, Store, StoreError, SweepFilter, TrialOrder, TrialQuery};
use std::path::{Path, PathBuf};

/// The state folder: `--home`/`OVERDRIVE_HOME`, else `.overdrive` of this folder or of the nearest one above that holds a store,
/// else `.overdrive` here (which may not exist yet).
///
/// # Errors
/// If the current folder cannot be told.
pub(super) fn state_folder(globals: &Globals) -> Result<PathBuf, CliError> {
    if let Some(home) = &globals.home {
        return Ok(std::path::absolute(home)?);
    }
    state_folder_from(globals, Path::new("."))
}

/// As [`state_folder`], looking upward from `folder`.
///
/// # Errors
/// If the current folder cannot be told.
pub(super) fn state_folder_from(globals: &Globals, folder: &Path) -> Result<PathBuf, CliError> {
    if let Some(home) = &globals.home {
        return Ok(std::path::absolute(home)?);
    }
    let here = std::fs::canonicalize(folder).or_else(|_| std::path::absolute(folder))?;
    Ok(above(&here).unwrap_or_else(|| here.join(STATE_FOLDER)))
}

fn above(folder: &Path) -> Option<PathBuf> {
    folder
        .ancestors()
        .map(|folder| folder.join(STATE_FOLDER))
        .find(|state| state.join(FILE).is_file())
}

/// Opens the store for reading.
///
/// # Errors
/// That of the store, with what to type.
pub(super) fn read(globals: &Globals) -> Result<Store, CliError> {
    Ok(Store::open_read_only(&state_folder(globals)?)?)
}

/// Opens the store for writing; it must exist.
///
/// # Errors
/// That of the store, with what to type.
pub(super) fn write(globals: &Globals) -> Result<Store, CliError> {
    let folder = state_folder(globals)?;
    if !folder.join(FILE).is_file() {
        return Err(StoreError::Missing(folder.join(FILE)).into());
    }
    Ok(Store::open(&folder)?)
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Missing(_) => Self::not_found("no-store", message)
                .help("`overdrive run FILE` starts the first sweep; `--home DIR` names a state folder that is elsewhere"),
            StoreError::NotFound(_) => Self::not_found("unknown-sweep", message).help("`overdrive list --last 0 --all` lists all sweeps"),
            StoreError::NoTrial { .. } => Self::not_found("unknown-trial", message).help("`overdrive show --limit 0` lists all trials"),
            StoreError::Ambiguous { .. } => Self::usage("ambiguous-sweep", message).help("give more characters of the id"),
            StoreError::Held { .. } => Self::failed("sweep-is-led", message)
                .help("`overdrive watch` follows it; `--take-over` replaces a controller that is known to be dead"),
            _ => Self::new(exit::FAILED, "store", message),
        }
    }
}

/// The trial that `text` means: `N` or `best` of the latest sweep, `SWEEP.N`, `SWEEP.best`, or a run id.
///
/// # Errors
/// [`CliError`] if there is no such sweep or trial.
pub(super) fn trial(store: &Store, text: &str) -> Result<(SweepRow, TrialRow), CliError> {
    if text == "best" || number(text).is_some() {
        return numbered(store, "latest", text);
    }
    if let Some((sweep, number)) = text.rsplit_once('.') {
        return numbered(store, sweep, number);
    }
    if let Some((sweep, digits)) = text.rsplit_once('_')
        && number(digits).is_some()
        && store.resolve(sweep).is_ok()
    {
        return numbered(store, sweep, digits);
    }
    Err(
        CliError::not_found("unknown-trial", format!("no trial is called `{text}`"))
            .help("write N for a trial of the latest sweep, SWEEP.N, a run id, or `best`"),
    )
}

fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

fn numbered(store: &Store, sweep: &str, text: &str) -> Result<(SweepRow, TrialRow), CliError> {
    let sweep = store.sweep(sweep)?;
    let number = match (text, &sweep.best) {
        ("best", Some(best)) => best.trial,
        ("best", None) => return Err(no_metric(&sweep, &[])),
        _ => number(text).ok_or_else(|| {
            CliError::not_found("unknown-trial", format!("`{text}` is not the number of a trial"))
                .help("write SWEEP.N, for instance latest.3")
        })?,
    };
    let row = store.trial(&sweep.sweep, number)?;
    Ok((sweep, row))
}

/// The error of a sweep without a best trial; `reported` are the names that its trials did report.
pub(super) fn no_metric(sweep: &SweepRow, reported: &[String]) -> CliError {
    match &sweep.metric {
        Some(metric) => {
            let metric = text::printable(metric);
            let error = CliError::new(
                exit::NO_METRIC,
                "no-metric",
                format!("no trial of `{}` reported `{metric}`", sweep.sweep),
            );
            if reported.is_empty() {
                return error.help("`overdrive show` tells what the trials did");
            }
            let names: Vec<String> = reported
                .iter()
                .take(12)
                .map(|name| format!("`{}`", text::printable(name)))
                .collect();
            let nearest = card::nearest(&metric, reported)
                .map(|name| format!("; did you mean `{}`?", text::printable(name)))
                .unwrap_or_default();
            error.help(format!("the trials reported {}{nearest}", names.join(", ")))
        }
        None => CliError::new(
            exit::NO_METRIC,
            "no-metric",
            format!("`{}` is a single run without a primary metric", sweep.sweep),
        ),
    }
}

/// Shortest beginning of the id, from eight characters of its random part on, that names this sweep only.
pub(super) fn short_id(store: &Store, sweep: &str) -> String {
    let random = sweep.strip_prefix("HD_").unwrap_or(sweep);
    for length in [8, 13, 18] {
        if let Some(short) = random.get(..length)
            && store.resolve(short).is_ok_and(|found| found == sweep)
        {
            return short.trim_end_matches('-').to_owned();
        }
    }
    sweep.to_owned()
}

/// All trials of a sweep by number.
///
/// # Errors
/// That of the store.
pub(super) fn all_trials(store: &Store, sweep: &str) -> Result<Vec<TrialRow>, CliError> {
    Ok(store.trials(
        sweep,
        &TrialQuery {
            order: TrialOrder::Number,
            ..TrialQuery::default()
        },
    )?)
}

/// What `--resume` of a file means: its newest sweep if that has ended and nobody was told, else its newest that has not ended.
///
/// # Errors
/// That of the store.
pub(super) fn to_go_on_with(store: &Store, file: &Path) -> Result<Option<SweepRow>, CliError> {
    use crate::controller::SweepState;
    let newest = |states: Vec<SweepState>| -> Result<Option<SweepRow>, CliError> {
        let filter = SweepFilter {
            file: Some(file.to_owned()),
            states,
            limit: Some(1),
            ..SweepFilter::default()
        };
        Ok(store.sweeps(&filter)?.into_iter().next())
    };
    if let Some(sweep) = newest(Vec::new())?
        && sweep.state.is_terminal()
        && store.awaited(&sweep.sweep)?
    {
        return Ok(Some(sweep));
    }
    newest(vec![
        SweepState::Running,
        SweepState::Paused,
        SweepState::CancelRequested,
    ])
}
