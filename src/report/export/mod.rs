//! Export of trials and metrics as CSV, JSON and Parquet: one flat table, parameters in columns of their own.

mod parquet;

use crate::metric::number;
use crate::report::document;
use crate::space::Value;
use crate::store::row::{MetricPoint, TrialRow};
use serde::Serialize;

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// CSV writer.
    #[error("the CSV cannot be written: {0}")]
    Csv(#[from] csv::Error),
    /// JSON writer.
    #[error("the JSON cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    /// Parquet writer.
    #[error("the Parquet file cannot be written: {0}")]
    Parquet(#[from] ::parquet::errors::ParquetError),
}

/// One point of one metric of one trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricRow {
    /// Trial.
    pub trial: u64,
    /// Metric.
    pub name: String,
    /// 0-based count.
    pub seq: u64,
    /// Step.
    pub step: i64,
    /// Milliseconds since the start of the attempt.
    pub elapsed_ms: u64,
    /// Value.
    #[serde(with = "number")]
    pub value: f64,
}

impl MetricRow {
    /// The row of a stored point.
    pub fn new(trial: u64, name: &str, point: MetricPoint) -> Self {
        Self {
            trial,
            name: name.to_owned(),
            seq: point.seq,
            step: point.step,
            elapsed_ms: point.elapsed_ms,
            value: point.value,
        }
    }
}

/// What one column holds; `None` = no value in that row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// Whole numbers.
    Int(Vec<Option<i64>>),
    /// Reals.
    Real(Vec<Option<f64>>),
    /// Yes or no.
    Bool(Vec<Option<bool>>),
    /// Text.
    Text(Vec<Option<String>>),
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Int(cells) => cells.len(),
            Self::Real(cells) => cells.len(),
            Self::Bool(cells) => cells.len(),
            Self::Text(cells) => cells.len(),
        }
    }

    /// The text of a cell in a CSV; empty if there is none. Reals have the shortest text that reads back to the same number.
    fn text(&self, row: usize) -> String {
        match self {
            Self::Int(cells) => cells.get(row).copied().flatten().map(|cell| cell.to_string()),
            Self::Real(cells) => cells.get(row).copied().flatten().map(crate::space::python_repr),
            Self::Bool(cells) => cells.get(row).copied().flatten().map(|cell| cell.to_string()),
            Self::Text(cells) => cells.get(row).cloned().flatten(),
        }
        .unwrap_or_default()
    }
}

/// A flat table: named columns of equal length.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Table {
    /// Columns.
    pub columns: Vec<(String, Cells)>,
}

impl Table {
    /// The table of trials: fixed columns, then one per parameter called `param:<name>`.
    pub fn of_trials(rows: &[TrialRow]) -> Self {
        let text = |of: &dyn Fn(&TrialRow) -> Option<String>| Cells::Text(rows.iter().map(of).collect());
        let int = |of: &dyn Fn(&TrialRow) -> Option<u64>| {
            Cells::Int(
                rows.iter()
                    .map(|row| of(row).and_then(|value| i64::try_from(value).ok()))
                    .collect(),
            )
        };
        let mut columns = vec![
            ("trial".to_owned(), int(&|row| Some(row.trial))),
            ("run_id".to_owned(), text(&|row| Some(row.run_id.clone()))),
            ("state".to_owned(), text(&|row| Some(row.state.word().to_owned()))),
            ("reason".to_owned(), text(&|row| row.reason.clone())),
            (
                "best".to_owned(),
                Cells::Real(rows.iter().map(|row| row.best).collect()),
            ),
            ("best_interval".to_owned(), int(&|row| row.best_interval)),
            (
                "last".to_owned(),
                Cells::Real(rows.iter().map(|row| row.last.map(|point| point.value)).collect()),
            ),
            ("reports".to_owned(), int(&|row| Some(row.reports))),
            ("attempts".to_owned(), int(&|row| Some(u64::from(row.attempts)))),
            ("created".to_owned(), text(&|row| Some(row.created.clone()))),
            ("started".to_owned(), text(&|row| row.started.clone())),
            ("ended".to_owned(), text(&|row| row.ended.clone())),
            ("duration_ms".to_owned(), int(&|row| row.duration_ms)),
            (
                "stopped_by".to_owned(),
                text(&|row| row.stop.as_ref().map(|stop| stop.policy.clone())),
            ),
            (
                "sampler".to_owned(),
                text(&|row| Some(row.origin.sampler.clone())),
            ),
            ("target".to_owned(), text(&|row| row.target.clone())),
            ("folder".to_owned(), text(&|row| row.folder.clone())),
        ];
        let mut names: Vec<&String> = Vec::new();
        for row in rows {
            for name in row.parameters.keys() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        for name in names {
            let values: Vec<Option<&Value>> = rows
                .iter()
                .map(|row| row.parameters.get(name).filter(|value| **value != Value::Null))
                .collect();
            columns.push((format!("param:{name}"), parameter(&values)));
        }
        Self { columns }
    }

    /// The table of metric points.
    pub fn of_metrics(rows: &[MetricRow]) -> Self {
        let int = |of: &dyn Fn(&MetricRow) -> u64| {
            Cells::Int(rows.iter().map(|row| i64::try_from(of(row)).ok()).collect())
        };
        Self {
            columns: vec![
                ("trial".to_owned(), int(&|row| row.trial)),
                (
                    "name".to_owned(),
                    Cells::Text(rows.iter().map(|row| Some(row.name.clone())).collect()),
                ),
                ("seq".to_owned(), int(&|row| row.seq)),
                (
                    "step".to_owned(),
                    Cells::Int(rows.iter().map(|row| Some(row.step)).collect()),
                ),
                ("elapsed_ms".to_owned(), int(&|row| row.elapsed_ms)),
                (
                    "value".to_owned(),
                    Cells::Real(rows.iter().map(|row| Some(row.value)).collect()),
                ),
            ],
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |(_, cells)| cells.len())
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The table as CSV with a header.
    ///
    /// # Errors
    /// [`ExportError::Csv`].
    pub fn csv(&self) -> Result<Vec<u8>, ExportError> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.iter().map(|(name, _)| name.as_str()))?;
        for row in 0..self.len() {
            writer.write_record(self.columns.iter().map(|(_, cells)| cells.text(row)))?;
        }
        writer
            .into_inner()
            .map_err(|error| ExportError::Csv(error.into_error().into()))
    }

    /// The table as a Parquet file.
    ///
    /// # Errors
    /// [`ExportError::Parquet`].
    pub fn parquet(&self) -> Result<Vec<u8>, ExportError> {
        parquet::write(self)
    }
}

/// A column of one type: whole numbers, reals (whole numbers among them become reals), booleans, else text.
fn parameter(values: &[Option<&Value>]) -> Cells {
    let present = || values.iter().flatten();
    if present().all(|value| matches!(value, Value::Int(_))) {
        return Cells::Int(
            values
                .iter()
                .map(|value| match value {
                    Some(Value::Int(number)) => Some(*number),
                    _ => None,
                })
                .collect(),
        );
    }
    if present().all(|value| value.as_f64().is_some()) {
        return Cells::Real(values.iter().map(|value| value.and_then(Value::as_f64)).collect());
    }
    if present().all(|value| matches!(value, Value::Bool(_))) {
        return Cells::Bool(
            values
                .iter()
                .map(|value| match value {
                    Some(Value::Bool(flag)) => Some(*flag),
                    _ => None,
                })
                .collect(),
        );
    }
    Cells::Text(
        values
            .iter()
            .map(|value| value.map(ToString::to_string))
            .collect(),
    )
}

/// Rows as one JSON document `{schema_version, items, next}`.
///
/// # Errors
/// [`ExportError::Json`].
pub fn json<T: Serialize>(rows: &[T]) -> Result<Vec<u8>, ExportError> {
    let mut bytes = serde_json::to_vec_pretty(&document::list(rows, None))?;
    bytes.push(b'\n');
    Ok(bytes)
}
