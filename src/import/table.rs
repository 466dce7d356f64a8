//! A table with one row per trial.

use super::{End, Foreign, ForeignTrial, ImportError, Report, Request, Tool, scalar, text};
use indexmap::IndexMap;
use std::path::Path;

/// What other tools put before the names of parameters.
const PREFIXES: [&str; 8] = [
    "params_",
    "params.",
    "param_",
    "param.",
    "config/",
    "config.",
    "hyperparameters.",
    "hp/",
];

/// Columns that are neither parameters nor metrics.
const KNOWN: [&str; 33] = [
    "",
    "number",
    "trial",
    "trial_id",
    "id",
    "name",
    "state",
    "status",
    "created",
    "runtime",
    "notes",
    "user",
    "tags",
    "sweep",
    "datetime_start",
    "datetime_complete",
    "duration",
    "logdir",
    "timestamp",
    "date",
    "pid",
    "hostname",
    "node_ip",
    "done",
    "checkpoint_dir_name",
    "experiment_tag",
    "reason",
    "started",
    "ended",
    "group",
    "job type",
    "hostname_",
    "run",
];

/// Reads the table. Parameters are the columns that [`Request::parameters`] names, else those with a prefix such as `params_`, else all but
/// the metric and what is known to be neither.
pub(super) fn read(path: &Path, request: &Request) -> Result<Foreign, ImportError> {
    let text = text(path)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let failed = |error: csv::Error| {
        let line = error.position().map(csv::Position::line);
        ImportError::content(path, line, error.to_string())
    };
    let header = reader.headers().map_err(failed)?.clone();
    for (index, name) in header.iter().enumerate() {
        if !name.is_empty() && header.iter().take(index).any(|other| other == name) {
            return Err(ImportError::content(
                path,
                Some(1),
                format!("there are two columns `{name}`"),
            ));
        }
    }
    let roles = roles(&header, request, path)?;
    let mut trials = Vec::new();
    for row in reader.records() {
        let row = row.map_err(failed)?;
        let line = row.position().map(csv::Position::line);
        let mut trial = ForeignTrial {
            label: trials.len().to_string(),
            ..ForeignTrial::default()
        };
        for ((column, role), cell) in header.iter().zip(&roles).zip(&row) {
            match role {
                Role::Parameter(name) => {
                    if let Some(value) = scalar::value(cell) {
                        trial.parameters.insert(name.clone(), value);
                    }
                }
                Role::Metric if cell.trim().is_empty() => {}
                Role::Metric => {
                    let number = scalar::number(cell);
                    if let Some(value) = number {
                        let report = Report {
                            value,
                            step: None,
                            at_ms: None,
                        };
                        trial.metrics.insert(column.to_owned(), vec![report]);
                    } else if request.metric.as_deref() == Some(column) {
                        return Err(ImportError::content(
                            path,
                            line,
                            format!("column `{column}`: `{cell}` is no number"),
                        ));
                    }
                }
                Role::State => {
                    trial.end = End::of_word(cell).ok_or_else(|| {
                        ImportError::content(
                            path,
                            line,
                            format!("column `{column}`: `{cell}` is no state that is known here"),
                        )
                    })?;
                }
                Role::Start => trial.started_ms = scalar::time(cell),
                Role::End => trial.ended_ms = scalar::time(cell),
                Role::Name => trial.label = cell.to_owned(),
                Role::Nothing => {}
            }
        }
        trials.push(trial);
    }
    let mut parameters = IndexMap::new();
    for role in roles {
        if let Role::Parameter(name) = role {
            parameters.insert(name, None);
        }
    }
    Ok(Foreign {
        tool: Tool::Csv,
        name: super::file_name(path),
        goal: None,
        metric: None,
        parameters,
        trials,
        notes: Vec::new(),
    })
}

enum Role {
    Parameter(String),
    Metric,
    State,
    Start,
    End,
    Name,
    Nothing,
}

fn roles(header: &csv::StringRecord, request: &Request, path: &Path) -> Result<Vec<Role>, ImportError> {
    let stripped = |name: &str| {
        PREFIXES
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .map(str::to_owned)
    };
    for name in &request.parameters {
        if !header
            .iter()
            .any(|column| column == name || stripped(column).as_ref() == Some(name))
        {
            let nearest = crate::diagnostic::nearest(name, header.iter());
            let hint = nearest
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            return Err(ImportError::content(
                path,
                Some(1),
                format!("there is no column `{name}`{hint}"),
            ));
        }
    }
    let prefixed = header.iter().any(|name| stripped(name).is_some());
    Ok(header
        .iter()
        .map(|column| {
            let bare = stripped(column).unwrap_or_else(|| column.to_owned());
            let lower = column.to_ascii_lowercase();
            let asked =
                request.parameters.contains(&bare) || request.parameters.iter().any(|name| name == column);
            if asked {
                return Role::Parameter(bare);
            }
            if request.metric.as_deref() == Some(column) {
                return Role::Metric;
            }
            match lower.as_str() {
                "state" | "status" => return Role::State,
                "datetime_start" | "started" | "created" => return Role::Start,
                "datetime_complete" | "ended" => return Role::End,
                "name" => return Role::Name,
                _ if KNOWN.contains(&lower.as_str()) => return Role::Nothing,
                _ => {}
            }
            let others_named = !request.parameters.is_empty() || prefixed;
            match (others_named, stripped(column).is_some(), &request.metric) {
                (true, true, _) if request.parameters.is_empty() => Role::Parameter(bare),
                (true, true, _) => Role::Nothing,
                (true, false, _) => Role::Metric,
                (false, _, Some(_)) => Role::Parameter(bare),
                (false, _, None) => Role::Metric,
            }
        })
        .collect())
}
