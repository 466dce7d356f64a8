//! Optuna's storage in SQLite (`sqlite:///FILE`), schemas of versions 2 to 5.

use super::{Declared, METRIC_NAMES, end, metric_name};
use crate::import::{
    Foreign, ForeignTrial, ImportError, Report, Request, Tool, chosen, json, scalar, sqlite,
};
use crate::metric::Goal;
use indexmap::IndexMap;
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;

/// Reads one study.
pub(in crate::import) fn read(path: &Path, request: &Request) -> Result<Foreign, ImportError> {
    let connection = sqlite::open(path)?;
    let failed = ImportError::database(path);
    let names: Vec<String> = connection
        .prepare("SELECT study_name FROM studies ORDER BY study_id")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(failed)?;
    let name = chosen(request.study.as_deref(), &names, "study")?.clone();
    let study: i64 = connection
        .query_row(
            "SELECT study_id FROM studies WHERE study_name = ?1",
            [&name],
            |row| row.get(0),
        )
        .map_err(failed)?;
    let (goals, metric) = study_facts(&connection, study).map_err(failed)?;
    let mut foreign = Foreign {
        tool: Tool::Optuna,
        name,
        goal: goals.first().copied(),
        metric,
        parameters: IndexMap::new(),
        trials: Vec::new(),
        notes: Vec::new(),
    };
    if goals.len() > 1 {
        foreign.notes.push(format!(
            "the study has {} objectives; the first one is the metric",
            goals.len()
        ));
    }
    let mut keys = IndexMap::new();
    let mut statement = connection
        .prepare("SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials WHERE study_id = ?1 ORDER BY number, trial_id")
        .map_err(failed)?;
    let mut rows = statement.query([study]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let state: String = row.get(2).map_err(failed)?;
        if state == "WAITING" {
            continue;
        }
        let time = |index: usize| {
            row.get::<_, Option<String>>(index)
                .ok()
                .flatten()
                .and_then(|at| scalar::time(&at))
        };
        let number: Option<i64> = row.get(1).map_err(failed)?;
        keys.insert(row.get::<_, i64>(0).map_err(failed)?, foreign.trials.len());
        foreign.trials.push(ForeignTrial {
            label: number.unwrap_or_default().to_string(),
            end: end(&state),
            started_ms: time(3),
            ended_ms: time(4),
            ..ForeignTrial::default()
        });
    }
    let mut declared: IndexMap<String, Declared> = IndexMap::new();
    parameters(&connection, study, path, |trial, name, distribution, internal| {
        if let Some(trial) = keys.get(&trial).and_then(|index| foreign.trials.get_mut(*index))
            && let Some(value) = distribution.value(internal)
        {
            trial.parameters.insert(name.clone(), value);
            let known = declared.shift_remove_entry(&name);
            let (name, joined) = match known {
                Some((name, known)) => (name, known.joined(&distribution)),
                None => (name, distribution),
            };
            declared.insert(name, joined);
        }
    })?;
    // Removing and inserting moved every parameter to the end: the order of the file is that of first appearance.
    let mut order: Vec<&String> = Vec::new();
    for trial in &foreign.trials {
        for name in trial.parameters.keys() {
            if !order.contains(&name) {
                order.push(name);
            }
        }
    }
    foreign.parameters = order
        .into_iter()
        .map(|name| {
            (
                name.clone(),
                declared.get(name).map(|declared| declared.distribution.clone()),
            )
        })
        .collect();
    let metric = foreign.metric.clone().unwrap_or_else(|| "value".into());
    values(&connection, study, &metric, |trial, name, report| {
        if let Some(trial) = keys.get(&trial).and_then(|index| foreign.trials.get_mut(*index)) {
            trial.metrics.entry(name).or_default().push(report);
        }
    })
    .map_err(failed)?;
    attributes(&connection, study, |trial, key, value| {
        if let Some(trial) = keys.get(&trial).and_then(|index| foreign.trials.get_mut(*index)) {
            trial.tags.insert(key, value);
        }
    })
    .map_err(failed)?;
    foreign.metric = Some(metric);
    Ok(foreign)
}

fn study_facts(connection: &Connection, study: i64) -> Result<(Vec<Goal>, Option<String>), rusqlite::Error> {
    let goal = |word: String| match word.as_str() {
        "MAXIMIZE" => Goal::Maximize,
        _ => Goal::Minimize,
    };
    // Before version 3 a study had one direction in a column of its own.
    let sql = if sqlite::has_column(connection, "study_directions", "direction")? {
        "SELECT direction FROM study_directions WHERE study_id = ?1 ORDER BY objective"
    } else {
        "SELECT direction FROM studies WHERE study_id = ?1"
    };
    let goals = connection
        .prepare(sql)?
        .query_map([study], |row| row.get(0).map(goal))?
        .collect::<Result<_, _>>()?;
    let names: Option<String> = connection
        .query_row(
            "SELECT value_json FROM study_system_attributes WHERE study_id = ?1 AND key = ?2",
            (study, METRIC_NAMES),
            |row| row.get(0),
        )
        .optional()?;
    let name = names.and_then(|text| metric_name(&json::parse(&text).ok()?));
    Ok((goals, name))
}

fn parameters(
    connection: &Connection,
    study: i64,
    path: &Path,
    mut each: impl FnMut(i64, String, Declared, f64),
) -> Result<(), ImportError> {
    let failed = ImportError::database(path);
    let mut statement = connection
        .prepare(
            "SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json FROM trial_params p \
             JOIN trials t ON t.trial_id = p.trial_id WHERE t.study_id = ?1 ORDER BY p.trial_id, p.param_id",
        )
        .map_err(failed)?;
    let mut rows = statement.query([study]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let (trial, name): (i64, String) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
        let text: String = row.get(3).map_err(failed)?;
        let distribution = Declared::read(&text).map_err(|reason| {
            ImportError::content(
                path,
                None,
                format!("parameter `{name}` of trial id {trial}: {reason}"),
            )
        })?;
        each(trial, name, distribution, row.get(2).map_err(failed)?);
    }
    Ok(())
}

/// The curve of every trial, then its final values; further objectives are metrics of their own.
fn values(
    connection: &Connection,
    study: i64,
    metric: &str,
    mut each: impl FnMut(i64, String, Report),
) -> Result<(), rusqlite::Error> {
    let decode = |value: Option<f64>, kind: Option<String>| match kind.as_deref() {
        Some("INF_POS") => f64::INFINITY,
        Some("INF_NEG") => f64::NEG_INFINITY,
        Some("NAN") => f64::NAN,
        _ => value.unwrap_or(f64::NAN),
    };
    let kind = |table: &str, column: &str| -> Result<String, rusqlite::Error> {
        Ok(if sqlite::has_column(connection, table, column)? {
            format!("v.{column}")
        } else {
            "NULL".to_owned()
        })
    };
    let curves = format!(
        "SELECT v.trial_id, v.step, v.intermediate_value, {} FROM trial_intermediate_values v \
         JOIN trials t ON t.trial_id = v.trial_id WHERE t.study_id = ?1 ORDER BY v.trial_id, v.step",
        kind("trial_intermediate_values", "intermediate_value_type")?
    );
    let mut last: IndexMap<i64, (i64, f64)> = IndexMap::new();
    let mut statement = connection.prepare(&curves)?;
    let mut rows = statement.query([study])?;
    while let Some(row) = rows.next()? {
        let (trial, step): (i64, i64) = (row.get(0)?, row.get(1)?);
        let value = decode(row.get(2)?, row.get(3)?);
        last.insert(trial, (step, value));
        let report = Report {
            value,
            step: Some(step),
            at_ms: None,
        };
        each(trial, metric.to_owned(), report);
    }
    let finals = format!(
        "SELECT v.trial_id, v.objective, v.value, {} FROM trial_values v JOIN trials t ON t.trial_id = v.trial_id \
         WHERE t.study_id = ?1 AND t.state = 'COMPLETE' ORDER BY v.trial_id, v.objective",
        kind("trial_values", "value_type")?
    );
    let mut statement = connection.prepare(&finals)?;
    let mut rows = statement.query([study])?;
    while let Some(row) = rows.next()? {
        let (trial, objective): (i64, i64) = (row.get(0)?, row.get(1)?);
        let value = decode(row.get(2)?, row.get(3)?);
        let before = last.get(&trial).filter(|_| objective == 0);
        // The last report of a curve usually is the final value.
        if before.is_some_and(|(_, last)| *last == value) {
            continue;
        }
        let report = Report {
            value,
            step: before.map(|(step, _)| step + 1),
            at_ms: None,
        };
        let name = if objective == 0 {
            metric.to_owned()
        } else {
            format!("objective_{objective}")
        };
        each(trial, name, report);
    }
    Ok(())
}

fn attributes(
    connection: &Connection,
    study: i64,
    mut each: impl FnMut(i64, String, String),
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare(
        "SELECT a.trial_id, a.key, a.value_json FROM trial_user_attributes a JOIN trials t ON t.trial_id = a.trial_id \
         WHERE t.study_id = ?1 ORDER BY a.trial_id, a.key",
    )?;
    let mut rows = statement.query([study])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?, row.get(1)?, row.get(2)?);
    }
    Ok(())
}
