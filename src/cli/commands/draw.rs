//! `plot`, `export`: pictures and tables for other programs.

use crate::cli::args::{Export, Format, Globals, Kind, Plot, Theme, What};
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::{exit, place};
use crate::metric::Goal;
use crate::report::export::{self, MetricRow, Table};
use crate::report::importance::importance;
use crate::report::plot::{self, Canvas, Data, Palette, Point, Scene};
use crate::space::{Distribution, SearchSpace, Value};
use crate::store::Store;
use crate::store::row::SweepRow;
use std::path::{Path, PathBuf};

/// Draws a sweep.
pub(super) fn plot(arguments: &Plot, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = place::read(globals)?;
    let sweep = store.sweep(&arguments.sweep)?;
    let kinds = if arguments.kind.is_empty() {
        Kind::ALL.to_vec()
    } else {
        arguments.kind.clone()
    };
    let data = data(&store, &sweep, kinds.contains(&Kind::Curves), arguments.log)?;
    let canvas = Canvas {
        width: f64::from(arguments.width),
        height: f64::from(arguments.height),
        palette: match arguments.theme {
            Theme::Light => Palette::LIGHT,
            Theme::Dark => Palette::DARK,
        },
    };
    let mut written = Vec::new();
    for kind in &kinds {
        let scene = scene(*kind, &data, &canvas);
        let target = target(
            arguments,
            *kind,
            kinds.len(),
            &place::short_id(&store, &sweep.sweep),
        );
        match target {
            None => output.text(&plot::svg::write(&scene))?,
            Some(path) => {
                let bytes = match path.extension().and_then(|extension| extension.to_str()) {
                    Some("png") => plot::png::write(&scene, 1.0)
                        .map_err(|error| CliError::failed("plot", error.to_string()))?,
                    Some("svg") | None => plot::svg::write(&scene).into_bytes(),
                    Some(other) => {
                        return Err(CliError::usage(
                            "plot-type",
                            format!("`.{other}` is not a type of picture that can be written"),
                        )
                        .help("name a file that ends in .svg or .png"));
                    }
                };
                write(&path, &bytes)?;
                written.push(path);
            }
        }
    }
    if output.json && !written.is_empty() {
        output.document(&crate::report::document::list(&written, None))?;
    } else {
        for path in &written {
            output.note(&format!("written: {}", path.display()));
        }
    }
    Ok(exit::OK)
}

fn target(arguments: &Plot, kind: Kind, count: usize, id: &str) -> Option<PathBuf> {
    let name = format!("{id}-{}.{}", kind.word(), arguments.format);
    match &arguments.out {
        Some(path) if path == Path::new("-") => None,
        Some(path) if count == 1 && !path.is_dir() => Some(path.clone()),
        Some(folder) => Some(folder.join(name)),
        None => Some(PathBuf::from(name)),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::failed("write", format!("`{}`: {error}", path.display()));
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)
}

fn scene(kind: Kind, data: &Data, canvas: &Canvas) -> Scene {
    match kind {
        Kind::Progress => plot::progress(data, canvas),
        Kind::Curves => plot::curves(data, canvas),
        Kind::Parallel => plot::parallel(data, canvas),
        Kind::Slices => plot::slices(data, canvas),
        Kind::Importance => {
            let rows: Vec<_> = data
                .valued()
                .map(|(point, value)| (&point.parameters, value))
                .collect();
            let shares = importance(&rows, data.goal);
            plot::importance(data, shares.as_deref().map_err(ToString::to_string), canvas)
        }
    }
}

fn data(store: &Store, sweep: &SweepRow, curves: bool, log: bool) -> Result<Data, CliError> {
    let metric = sweep.metric.clone().unwrap_or_default();
    let mut trials = Vec::new();
    for row in place::all_trials(store, &sweep.sweep)? {
        let curve = if curves && row.reports > 0 {
            let points = store.curve(&sweep.sweep, row.trial, &metric, None)?;
            points
                .into_iter()
                .map(|point| (point.step as f64, point.value))
                .collect()
        } else {
            Vec::new()
        };
        trials.push(Point {
            trial: row.trial,
            state: row.state,
            cause: row.cause,
            value: row.best,
            parameters: row.parameters,
            curve,
        });
    }
    let name = sweep
        .display_name
        .clone()
        .unwrap_or_else(|| sweep.experiment.clone());
    let log_parameters = log_parameters(&store.experiment(&sweep.sweep)?.space);
    Ok(Data {
        log_parameters,
        name,
        metric,
        goal: sweep.goal.unwrap_or(Goal::Minimize),
        trials,
        log,
    })
}

/// Parameters that are drawn by their logarithm: what is sampled so, and choices of numbers over more than two decades.
fn log_parameters(space: &SearchSpace) -> Vec<String> {
    let wide = |options: &[Value]| {
        let numbers: Vec<f64> = options.iter().filter_map(Value::as_f64).collect();
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(0.0, f64::max);
        numbers.len() == options.len() && low > 0.0 && high / low > 100.0
    };
    let by_logarithm = |distribution: &Distribution| match distribution {
        Distribution::Loguniform { .. }
        | Distribution::Qloguniform { .. }
        | Distribution::Lognormal { .. }
        | Distribution::Qlognormal { .. } => true,
        Distribution::Int { log, .. } => *log,
        Distribution::Choice { options, .. } => wide(options),
        _ => false,
    };
    let logarithmic = space
        .parameters
        .iter()
        .filter(|parameter| by_logarithm(&parameter.distribution));
    logarithmic.map(|parameter| parameter.name.clone()).collect()
}

/// Writes trials or metrics.
pub(super) fn export(arguments: &Export, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let store = place::read(globals)?;
    let sweep = store.sweep(&arguments.sweep)?;
    let by_name = arguments
        .out
        .as_ref()
        .and_then(|path| path.extension())
        .and_then(|extension| extension.to_str())
        .and_then(|extension| match extension {
            "json" => Some(Format::Json),
            "parquet" => Some(Format::Parquet),
            "csv" => Some(Format::Csv),
            _ => None,
        });
    let format = arguments
        .format
        .or(by_name)
        .unwrap_or(if output.json { Format::Json } else { Format::Csv });
    let failed = |error: export::ExportError| CliError::failed("export", error.to_string());
    let trials = place::all_trials(&store, &sweep.sweep)?;
    let (bytes, rows) = match arguments.what {
        What::Trials => {
            let bytes = match format {
                Format::Json => export::json(&trials),
                Format::Csv => Table::of_trials(&trials).csv(),
                Format::Parquet => Table::of_trials(&trials).parquet(),
            };
            (bytes.map_err(failed)?, trials.len())
        }
        What::Metrics => {
            let mut points = Vec::new();
            for row in &trials {
                for metric in store.metric_names(&sweep.sweep, Some(row.trial))? {
                    let curve = store.curve(&sweep.sweep, row.trial, &metric.name, None)?;
                    points.extend(
                        curve
                            .into_iter()
                            .map(|point| MetricRow::new(row.trial, &metric.name, point)),
                    );
                }
            }
            let bytes = match format {
                Format::Json => export::json(&points),
                Format::Csv => Table::of_metrics(&points).csv(),
                Format::Parquet => Table::of_metrics(&points).parquet(),
            };
            (bytes.map_err(failed)?, points.len())
        }
    };
    match arguments.out.as_deref().filter(|path| *path != Path::new("-")) {
        None => output.bytes(&bytes)?,
        Some(path) => {
            write(path, &bytes)?;
            output.note(&format!("written: {} ({rows} rows)", path.display()));
        }
    }
    Ok(exit::OK)
}
