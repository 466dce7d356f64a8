//! `bench report` and `bench compare`: tables, pictures and verdicts from results files.

use super::{Folder, rows};
use crate::cli::args::bench::{BenchCompare, BenchReport};
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::harness::Problem;
use crate::harness::comparison::{self, Comparison};
use crate::harness::ranking::{Interval, Ranking, ResultRow, rank};
use crate::report::plot::{Canvas, Line, Palette, anytime, svg};
use crate::report::table::{self, Column};
use std::path::{Path, PathBuf};

struct Wanted<'a> {
    protocol: &'a str,
    optimizers: &'a [String],
    problems: &'a [String],
}

fn results(files: &[PathBuf], wanted: &Wanted<'_>) -> Result<Vec<ResultRow>, CliError> {
    let mut results = Vec::new();
    for path in files {
        for row in rows(path)? {
            let fits = row.protocol == wanted.protocol
                && (wanted.optimizers.is_empty() || wanted.optimizers.contains(&row.optimizer))
                && (wanted.problems.is_empty() || wanted.problems.contains(&row.problem));
            if let Ok(best_true) = row.best_true.parse()
                && fits
            {
                results.push(ResultRow {
                    optimizer: row.optimizer,
                    problem: row.problem,
                    seed: row.seed,
                    checkpoint: row.checkpoint as u64,
                    best_true,
                });
            }
        }
    }
    Ok(results)
}

fn reference(folder: &Path) -> impl Fn(&str) -> Option<(f64, f64)> + use<> {
    let folder = Folder(folder.to_owned());
    move |name: &str| {
        Problem::read(name, &folder)
            .ok()
            .map(|problem| (problem.reference.best, problem.reference.median))
    }
}

/// Prints mean ranks and regrets, and draws them.
pub(super) fn report(arguments: &BenchReport, output: &Output) -> Result<u8, CliError> {
    let wanted = Wanted {
        protocol: &arguments.protocol,
        optimizers: &arguments.optimizer,
        problems: &arguments.problems,
    };
    let results = results(&arguments.files, &wanted)?;
    let ranking = rank(&results, &reference(&arguments.data));
    if ranking.problems.is_empty() {
        return Err(CliError::usage(
            "results",
            "no problem was run by all optimizers with the same seeds",
        ));
    }
    if let Some(path) = &arguments.plot {
        std::fs::write(path, picture(&ranking, &arguments.protocol))
            .map_err(|error| CliError::failed("plot", format!("`{}`: {error}", path.display())))?;
    }
    let mut columns = vec![Column::text("optimizer", 0)];
    for at in &ranking.checkpoints {
        columns.push(Column::number(format!("rank@{at}"), 0));
    }
    for at in &ranking.checkpoints {
        columns.push(Column::number(format!("regret@{at}"), 0));
    }
    for standing in &ranking.standings {
        let cells = std::iter::once(standing.optimizer.clone())
            .chain(standing.rank.iter().map(|interval| shown(interval, 2)))
            .chain(standing.regret.iter().map(|interval| shown(interval, 3)));
        for (column, cell) in columns.iter_mut().zip(cells) {
            column.push(cell);
        }
    }
    output.note(&format!(
        "protocol {}; {} problems; at least {} seeds in common; mean [95 % interval]",
        arguments.protocol,
        ranking.problems.len(),
        ranking.seeds_min
    ));
    output.lines(&table::lines(columns, 0, None, output.glyphs))?;
    Ok(exit::OK)
}

fn picture(ranking: &Ranking, protocol: &str) -> String {
    let canvas = Canvas {
        width: 720.0,
        height: 420.0,
        palette: Palette::LIGHT,
    };
    let lines = ranking.standings.iter().map(|standing| Line {
        name: standing.optimizer.clone(),
        points: ranking
            .checkpoints
            .iter()
            .zip(&standing.regret)
            .map(|(at, regret)| (*at as f64, [regret.mean, regret.low, regret.high]))
            .collect(),
    });
    let lines: Vec<Line> = lines.collect();
    let unit = if protocol == "mf" {
        "full trainings spent"
    } else {
        "finished trials"
    };
    svg::write(&anytime(&lines, unit, "mean normalized regret", &canvas))
}

fn shown(interval: &Interval, digits: usize) -> String {
    format!(
        "{:.digits$} [{:.digits$}, {:.digits$}]",
        interval.mean, interval.low, interval.high
    )
}

/// The two sides of a comparison, by name.
fn sides(arguments: &BenchCompare) -> Result<[(String, Vec<ResultRow>); 2], CliError> {
    let of = |file: &PathBuf, optimizers: &[String]| {
        let wanted = Wanted {
            protocol: &arguments.protocol,
            optimizers,
            problems: &arguments.problems,
        };
        results(std::slice::from_ref(file), &wanted)
    };
    let only = |file: &PathBuf, name: Option<&String>| -> Result<(String, Vec<ResultRow>), CliError> {
        let found = of(file, name.map(std::slice::from_ref).unwrap_or_default())?;
        let mut names: Vec<&str> = found.iter().map(|row| row.optimizer.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        match names.as_slice() {
            [name] => Ok(((*name).to_owned(), found.clone())),
            [] => Err(CliError::usage(
                "results",
                format!(
                    "`{}` has no result of protocol `{}` that is wanted",
                    file.display(),
                    arguments.protocol
                ),
            )),
            _ => Err(CliError::usage(
                "optimizer",
                format!("`{}` has several optimizers", file.display()),
            )
            .help(format!("name two with `--optimizer`: {}", names.join(", ")))),
        }
    };
    match (arguments.files.as_slice(), arguments.optimizer.as_slice()) {
        ([file], [first, second]) => Ok([only(file, Some(first))?, only(file, Some(second))?]),
        ([_], _) => Err(
            CliError::usage("optimizer", "one file holds both sides: name two optimizers")
                .help("`--optimizer FIRST,SECOND`, or give two files"),
        ),
        ([first, second], [a, b]) => Ok([only(first, Some(a))?, only(second, Some(b))?]),
        ([first, second], names) => Ok([only(first, names.first())?, only(second, names.first())?]),
        _ => Err(CliError::usage("results", "give one or two results files")),
    }
}

/// Compares two results pair by pair.
pub(super) fn compare(arguments: &BenchCompare, output: &Output) -> Result<u8, CliError> {
    let [first, second] = sides(arguments)?;
    let comparison = comparison::compare(&first.1, &second.1, &reference(&arguments.data));
    if comparison.checkpoints.is_empty() {
        return Err(CliError::usage("results", "no problem and seed was run by both"));
    }
    let regressed = comparison.regressed(arguments.margin);
    if output.json {
        output.document(&document(&comparison, &first.0, &second.0, regressed))?;
    } else {
        let names = match first.0 == second.0 {
            true => ["first".to_owned(), "second".to_owned()],
            false => [first.0, second.0],
        };
        print(&comparison, &names, output)?;
        output.note(match regressed {
            true => "the second is worse beyond chance",
            false => "the second is not worse beyond chance and margin",
        });
    }
    Ok(if regressed { exit::FAILED } else { exit::OK })
}

fn print(comparison: &Comparison, [first, second]: &[String; 2], output: &Output) -> Result<(), CliError> {
    let mut columns = vec![
        Column::number("trials", 0),
        Column::number(first.clone(), 0),
        Column::number(second.clone(), 0),
        Column::number("difference", 0),
        Column::number("better", 0),
        Column::number("alike", 0),
        Column::number("worse", 0),
    ];
    for paired in &comparison.checkpoints {
        let cells = [
            paired.at.to_string(),
            format!("{:.3}", paired.first),
            format!("{:.3}", paired.second),
            shown(&paired.difference, 3),
            paired.wins.to_string(),
            paired.ties.to_string(),
            paired.losses.to_string(),
        ];
        for (column, cell) in columns.iter_mut().zip(cells) {
            column.push(cell);
        }
    }
    output.note(&format!(
        "normalized regret, second less first; {} pairs of problem and seed; mean [95 % interval]",
        comparison.pairs
    ));
    output.lines(&table::lines(columns, 0, None, output.glyphs))?;
    let Some(last) = comparison.checkpoints.last() else {
        return Ok(());
    };
    let mut columns = vec![
        Column::text("problem", 0),
        Column::number(format!("difference@{}", last.at), 0),
    ];
    for (name, difference) in &last.problems {
        for (column, cell) in columns.iter_mut().zip([name.clone(), format!("{difference:.3}")]) {
            column.push(cell);
        }
    }
    output.lines(&table::lines(columns, 0, None, output.glyphs))
}

fn document(comparison: &Comparison, first: &str, second: &str, regressed: bool) -> serde_json::Value {
    let checkpoints: Vec<serde_json::Value> = comparison
        .checkpoints
        .iter()
        .map(|paired| {
            let problems: serde_json::Map<String, serde_json::Value> =
                paired.problems.iter().map(|(name, difference)| (name.clone(), (*difference).into())).collect();
            serde_json::json!({
                "trials": paired.at, "first": paired.first, "second": paired.second,
                "difference": paired.difference.mean, "low": paired.difference.low, "high": paired.difference.high,
                "better": paired.wins, "alike": paired.ties, "worse": paired.losses, "problems": problems,
            })
        })
        .collect();
    serde_json::json!({
        "schema_version": crate::report::SCHEMA_VERSION,
        "first": first, "second": second, "pairs": comparison.pairs, "regressed": regressed, "checkpoints": checkpoints,
    })
}
