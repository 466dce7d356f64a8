//! MLflow's store in SQLite (`sqlite:///mlflow.db`).

use super::{choose, end, study};
use crate::import::{Foreign, ForeignTrial, ImportError, Report, Request, scalar, sqlite};
use indexmap::IndexMap;
use rusqlite::Connection;
use std::path::Path;

/// Reads one experiment.
pub(in crate::import) fn read(path: &Path, request: &Request) -> Result<Foreign, ImportError> {
    let connection = sqlite::open(path)?;
    let failed = ImportError::database(path);
    let names: Vec<(String, bool)> = connection
        .prepare(
            "SELECT name, EXISTS (SELECT 1 FROM runs r WHERE r.experiment_id = e.experiment_id AND r.lifecycle_stage = 'active') \
             FROM experiments e ORDER BY experiment_id",
        )
        .and_then(|mut statement| statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .map_err(failed)?;
    let name = choose(&names, request)?.to_owned();
    let mut runs: IndexMap<String, ForeignTrial> = IndexMap::new();
    {
        let mut statement = connection
            .prepare(
                "SELECT r.run_uuid, r.status, r.start_time, r.end_time FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id \
                 WHERE e.name = ?1 AND r.lifecycle_stage = 'active' ORDER BY r.start_time, r.run_uuid",
            )
            .map_err(failed)?;
        let mut rows = statement.query([&name]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let state: String = row.get(1).map_err(failed)?;
            let run = ForeignTrial {
                end: end(&state, path)?,
                started_ms: row.get(2).map_err(failed)?,
                ended_ms: row.get(3).map_err(failed)?,
                ..ForeignTrial::default()
            };
            runs.insert(row.get(0).map_err(failed)?, run);
        }
    }
    texts(&connection, "params", |run, key, text| {
        if let (Some(run), Some(value)) = (runs.get_mut(&run), scalar::value(&text)) {
            run.parameters.insert(key, value);
        }
    })
    .map_err(failed)?;
    texts(&connection, "tags", |run, key, text| {
        if let Some(run) = runs.get_mut(&run) {
            run.tags.insert(key, text);
        }
    })
    .map_err(failed)?;
    points(&connection, |run, key, report| {
        if let Some(run) = runs.get_mut(&run) {
            run.metrics.entry(key).or_default().push(report);
        }
    })
    .map_err(failed)?;
    Ok(study(name, runs.into_iter().collect()))
}

fn texts(
    connection: &Connection,
    table: &str,
    mut each: impl FnMut(String, String, String),
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare(&format!(
        "SELECT run_uuid, key, value FROM {table} ORDER BY run_uuid, key"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(
            row.get(0)?,
            row.get(1)?,
            row.get::<_, Option<String>>(2)?.unwrap_or_default(),
        );
    }
    Ok(())
}

fn points(
    connection: &Connection,
    mut each: impl FnMut(String, String, Report),
) -> Result<(), rusqlite::Error> {
    let mut statement =
        connection.prepare("SELECT run_uuid, key, value, is_nan, step, timestamp FROM metrics ORDER BY run_uuid, key, step, timestamp")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let nan: bool = row.get::<_, Option<bool>>(3)?.unwrap_or(false);
        let report = Report {
            value: if nan { f64::NAN } else { row.get(2)? },
            step: row.get(4)?,
            at_ms: row.get(5)?,
        };
        each(row.get(0)?, row.get(1)?, report);
    }
    Ok(())
}
