//! `list`, `show`, `best`, `why`: what the store knows, as tables or JSON.

use crate::cli::args::{Best, Globals, List, Show, Why};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::{exit, place};
use crate::controller::SweepState;
use crate::history::TrialState;
use crate::metric::Goal;
use crate::report::overview::{self, Order};
use crate::report::search::Search;
use crate::report::{card, document, explain, number, text};
use crate::store::row::{SweepRow, TrialRow};
use crate::store::{Store, SweepFilter, TrialCursor, TrialOrder, TrialQuery};
use serde_json::json;
use std::collections::BTreeMap;

const SWEEP_STATES: [SweepState; 6] = [
    SweepState::Running,
    SweepState::Paused,
    SweepState::CancelRequested,
    SweepState::Completed,
    SweepState::Failed,
    SweepState::Canceled,
];

const TRIAL_STATES: [TrialState; 9] = [
    TrialState::Queued,
    TrialState::Preparing,
    TrialState::Running,
    TrialState::Paused,
    TrialState::NotResponding,
    TrialState::CancelRequested,
    TrialState::Completed,
    TrialState::Failed,
    TrialState::Canceled,
];

/// Trials whose printed names are told when the primary metric never came.
const LOOK_AT: u64 = 8;

/// Lists sweeps.
pub(super) fn list(arguments: &List, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = place::read(globals)?;
    let states = arguments.state.iter().flat_map(|word| {
        SWEEP_STATES
            .into_iter()
            .filter(|state| state.word().eq_ignore_ascii_case(word))
    });
    let search = arguments.search.as_deref().map(expression).transpose()?;
    // One more than asked for tells whether there are more; an expression is looked for among all.
    let filter = SweepFilter {
        experiment: arguments.experiment.clone(),
        states: states.collect(),
        archived: arguments.all,
        after: arguments
            .cursor
            .as_deref()
            .map(|text| store.resolve(text))
            .transpose()?,
        limit: (arguments.last > 0 && search.is_none()).then(|| arguments.last.saturating_add(1)),
        ..SweepFilter::default()
    };
    let mut rows = store.sweeps(&filter)?;
    if let Some(search) = &search {
        rows.retain(|row| search.matches_sweep(row));
    }
    let more = arguments.last > 0 && rows.len() as u64 > arguments.last;
    if more {
        rows.truncate(usize::try_from(arguments.last).unwrap_or(usize::MAX));
    }
    if output.json {
        let next = rows.last().filter(|_| more).map(|row| row.sweep.clone());
        output.document(&document::list(&rows, next))?;
        return Ok(exit::OK);
    }
    if rows.is_empty() {
        output.note("no sweep fits; `overdrive list --all` shows archived ones too");
        return Ok(exit::OK);
    }
    output.lines(&overview::sweeps(&rows, output.table_width(), output.glyphs))?;
    if more {
        output.note("there are older ones: `--last 0` shows all");
    }
    for row in rows.iter().filter(|row| !row.state.is_terminal()) {
        note_if_unled(&store, row, output)?;
    }
    Ok(exit::OK)
}

/// Says so if nobody leads a sweep that has not ended.
fn note_if_unled(store: &Store, sweep: &SweepRow, output: &Output) -> Result<(), CliError> {
    if !super::steer::led(store, &sweep.sweep)? {
        let id = place::short_id(store, &sweep.sweep);
        output.note(&format!(
            "{} is led by nobody: `overdrive resume {id}` goes on with it",
            sweep.sweep
        ));
    }
    Ok(())
}

/// A search expression that was typed.
fn expression(text: &str) -> Result<Search, CliError> {
    Search::parse(text).map_err(|error| CliError::usage("where", error.to_string()))
}

/// Shows a sweep or a trial.
pub(super) fn show(arguments: &Show, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = place::read(globals)?;
    let reference = arguments.reference.as_str();
    let digits =
        !reference.is_empty() && reference.len() < 8 && reference.bytes().all(|byte| byte.is_ascii_digit());
    if digits || reference == "best" || reference.contains('.') {
        let (sweep, row) = place::trial(&store, reference)?;
        return show_trial(&store, &sweep, &row, output);
    }
    let sweep = match store.sweep(reference) {
        Ok(sweep) => sweep,
        // A run id ends in the number of its trial.
        Err(error) => match place::trial(&store, reference) {
            Ok((sweep, row)) => return show_trial(&store, &sweep, &row, output),
            Err(_) => return Err(error.into()),
        },
    };
    let states = match &arguments.state {
        None => Vec::new(),
        Some(word) => vec![state(word)?],
    };
    let limit = if arguments.limit == 0 {
        None
    } else {
        Some(arguments.limit as u64)
    };
    let order = match arguments.sort.as_str() {
        "trial" | "duration" => TrialOrder::Number,
        _ => TrialOrder::Best,
    };
    let search = arguments.search.as_deref().map(expression).transpose()?;
    // Durations are computed, not stored: those are sorted here.
    let by_duration = arguments.sort == "duration";
    let after = match &arguments.cursor {
        None => None,
        Some(text) => {
            let cursor: Option<TrialCursor> = text.parse().ok();
            let cursor = cursor.filter(|cursor| cursor.order == order && !by_duration);
            Some(cursor.ok_or_else(|| {
                CliError::usage(
                    "cursor",
                    format!("`{}` is no `next` of a list in this order", text::printable(text)),
                )
            })?)
        }
    };
    let query = TrialQuery {
        states,
        order,
        after,
        limit: if by_duration || search.is_some() {
            None
        } else {
            limit.map(|limit| limit + 1)
        },
        ..TrialQuery::default()
    };
    let mut rows = store.trials(&sweep.sweep, &query)?;
    if let Some(search) = &search {
        rows.retain(|row| search.matches(row));
    }
    if by_duration {
        overview::sort(&mut rows, Order::Duration, sweep.goal.unwrap_or(Goal::Minimize));
    }
    let more = limit.is_some_and(|limit| rows.len() as u64 > limit);
    if let Some(limit) = limit {
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    if output.json {
        // Durations grow while one reads: that order has no place to go on from.
        let next = match rows.last().filter(|_| more && !by_duration) {
            Some(last) => Some(store.trial_cursor(&sweep.sweep, last.trial, order)?.to_string()),
            None => None,
        };
        let document = document::sweep(&sweep, &rows, next);
        let metrics = store.sweep_metrics(&sweep.sweep)?;
        output.document(&document::with_sweep_metrics(document, &metrics))?;
        return Ok(exit::OK);
    }
    let facts = facts(&store, &sweep)?;
    output.lines(&card::lines(
        &sweep,
        &facts,
        output.table_width().unwrap_or(120),
        output.glyphs,
    ))?;
    if sweep.targets.len() > 1 {
        output.lines(&overview::targets(&store.target_use(&sweep.sweep)?))?;
    }
    if !rows.is_empty() {
        output.text("")?;
        output.lines(&overview::trials(
            &sweep,
            &rows,
            output.table_width(),
            output.glyphs,
        ))?;
    }
    if more {
        output.note("there are more trials: `--limit 0` shows all");
    }
    if !sweep.state.is_terminal() {
        note_if_unled(&store, &sweep, output)?;
    }
    Ok(exit::OK)
}

/// What the final card tells beyond the row.
pub(super) fn facts(store: &Store, sweep: &SweepRow) -> Result<card::Facts, CliError> {
    let mut facts = card::Facts {
        short_id: place::short_id(store, &sweep.sweep),
        here: std::env::current_dir()
            .ok()
            .map(|folder| folder.to_string_lossy().into_owned()),
        ..card::Facts::default()
    };
    if sweep.stopped_by_policy > 0 {
        facts.saved = card::saved(place::all_trials(store, &sweep.sweep)?.iter());
    } else if sweep.state.is_terminal() && sweep.best.is_some() {
        facts.never_judged = never_judged(store, sweep)?;
    }
    match &sweep.best {
        None => facts.other_metrics = reported(store, sweep)?,
        Some(best) => {
            let folder = store.trial(&sweep.sweep, best.trial)?.folder;
            facts.outputs = folder
                .map(|folder| format!("{folder}/wd/outputs"))
                .filter(|path| std::path::Path::new(path).is_dir());
        }
    }
    Ok(facts)
}

/// Whether the first trials (all run the same script) reported too seldom for the policy ever to look.
fn never_judged(store: &Store, sweep: &SweepRow) -> Result<Option<(u64, u64)>, CliError> {
    let Some(first) = store.experiment(&sweep.sweep)?.policy.first_due() else {
        return Ok(None);
    };
    let mut most = 0;
    for trial in 0..sweep.trials.values().sum::<u64>().min(LOOK_AT) {
        most = most.max(store.trial(&sweep.sweep, trial)?.reports);
    }
    Ok((most < first).then_some((most, first)))
}

/// Names of what the trials reported, and of the numbers that they printed under a name nobody looked for.
pub(super) fn reported(store: &Store, sweep: &SweepRow) -> Result<Vec<String>, CliError> {
    let mut names: Vec<String> = store
        .metric_names(&sweep.sweep, None)?
        .into_iter()
        .map(|metric| metric.name)
        .collect();
    for trial in 0..sweep.trials.values().sum::<u64>().min(LOOK_AT) {
        for fact in store.facts(&sweep.sweep, trial)? {
            if fact.kind == "printed" && !names.contains(&fact.key) {
                names.push(fact.key);
            }
        }
    }
    names.retain(|name| Some(name) != sweep.metric.as_ref());
    Ok(names)
}

fn state(word: &str) -> Result<TrialState, CliError> {
    TRIAL_STATES
        .into_iter()
        .find(|state| state.word().eq_ignore_ascii_case(word))
        .ok_or_else(|| {
            let all: Vec<String> = TRIAL_STATES.iter().map(|state| state.word().to_owned()).collect();
            let help = match card::nearest(word, &all) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("one of {}", all.join(", ")),
            };
            CliError::usage("unknown-state", format!("`{word}` is not the state of a trial")).help(help)
        })
}

fn show_trial(store: &Store, sweep: &SweepRow, row: &TrialRow, output: &Output) -> Result<u8, CliError> {
    let attempts = store.attempts(&sweep.sweep, Some(row.trial))?;
    if output.json {
        output.document(&document::trial(sweep, row, &attempts))?;
        return Ok(exit::OK);
    }
    let mut metrics = BTreeMap::new();
    for summary in store.metric_names(&sweep.sweep, Some(row.trial))? {
        let curve = store.curve(&sweep.sweep, row.trial, &summary.name, None)?;
        if let Some(last) = curve.last() {
            metrics.insert(summary.name, (curve.len() as u64, last.value));
        }
    }
    output.lines(&overview::trial(sweep, row, &attempts, &metrics, output.glyphs))?;
    Ok(exit::OK)
}

/// Prints the best trial or trials.
pub(super) fn best(arguments: &Best, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = place::read(globals)?;
    let sweep = store.sweep(&arguments.sweep)?;
    let Some(best) = &sweep.best else {
        return Err(place::no_metric(&sweep, &reported(&store, &sweep)?));
    };
    if arguments.top > 1 {
        let query = TrialQuery {
            scored: Some(true),
            order: TrialOrder::Best,
            limit: Some(arguments.top as u64),
            ..TrialQuery::default()
        };
        let rows = store.trials(&sweep.sweep, &query)?;
        if output.json {
            output.document(&document::list(&rows, None))?;
        } else if output.quiet {
            for row in &rows {
                output.text(&text::arguments(&row.parameters))?;
            }
        } else {
            output.lines(&overview::trials(
                &sweep,
                &rows,
                output.table_width(),
                output.glyphs,
            ))?;
        }
        return Ok(exit::OK);
    }
    if output.json {
        output.document(&document::document(json!({
            "sweep": sweep.sweep, "state": sweep.state.word(), "metric": sweep.metric, "goal": sweep.goal, "best": best,
        })))?;
        return Ok(exit::OK);
    }
    let arguments = text::arguments(&best.parameters);
    if output.quiet {
        output.text(&arguments)?;
        return Ok(exit::OK);
    }
    let metric = sweep.metric.as_deref().map(text::printable).unwrap_or_default();
    let step = best.step.map(|step| format!(", step {step}")).unwrap_or_default();
    let running = if sweep.state.is_terminal() { "" } else { " so far" };
    output.text(&format!(
        "{metric} {}{running}  trial {}{step}\n{arguments}",
        number::real(best.value),
        best.trial
    ))?;
    Ok(exit::OK)
}

/// Tells why a trial ended and why it was tried.
pub(super) fn why(arguments: &Why, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = place::read(globals)?;
    let (sweep, row) = place::trial(&store, &arguments.trial)?;
    let attempts = store.attempts(&sweep.sweep, Some(row.trial))?;
    if output.json {
        output.document(&document::trial(&sweep, &row, &attempts))?;
        return Ok(exit::OK);
    }
    let tail = match (row.state, &row.folder) {
        (TrialState::Failed, Some(folder)) => super::logs::last_lines(std::path::Path::new(folder), 10),
        _ => Vec::new(),
    };
    output.lines(&explain::story(&sweep, &row, &attempts, &tail))?;
    Ok(exit::OK)
}
