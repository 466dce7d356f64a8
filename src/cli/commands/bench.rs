//! `bench`: optimizers on benchmark problems, and tables of the results.
//!
//! Results are appended run by run, so that a run that was interrupted goes on where its file ends. The CSV has the columns
//! `protocol, optimizer, problem, seed, checkpoint, trials, spent, best_observed, best_true, cpu_s, wall_s`.

mod verdict;

use crate::ask_tell::{Protocol as Lines, ProtocolOptions, parse_policy};
use crate::cli::args::bench::{Bench, BenchCommand, BenchCurves, BenchProblems, BenchRun};
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::harness::problem::Files;
use crate::harness::protocol::{EarlierTrial, run_after, study};
use crate::harness::replay::random_curves;
use crate::harness::{Agent, Problem, Protocol};
use crate::report::table::{self, Column};
use serde::Deserialize;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(super) fn bench(arguments: &Bench, output: &Output) -> Result<u8, CliError> {
    match &arguments.command {
        BenchCommand::Run(arguments) => run(arguments, output),
        BenchCommand::Report(arguments) => verdict::report(arguments, output),
        BenchCommand::Compare(arguments) => verdict::compare(arguments, output),
        BenchCommand::Problems(arguments) => problems(arguments, output),
        BenchCommand::Curves(arguments) => curves(arguments, output),
    }
}

struct Folder(PathBuf);

impl Files for Folder {
    fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        let path = self.0.join(name);
        std::fs::read(&path).map_err(|error| format!("`{}`: {error}", path.display()))
    }
}

/// A sampler of ours, in process.
struct Own(Lines);

impl Agent for Own {
    fn exchange(&mut self, message: &str) -> Result<String, String> {
        Ok(self.0.handle(message))
    }
}

/// A program that speaks JSON lines.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(command: &str) -> Result<Self, String> {
        let words = shlex::split(command).ok_or_else(|| format!("a quote of `{command}` is never closed"))?;
        let (program, rest) = words.split_first().ok_or("`exec:NAME:COMMAND` needs a command")?;
        let mut child = Command::new(program)
            .args(rest)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`{program}`: {error}"))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self {
                child,
                input,
                output: BufReader::new(output),
            }),
            _ => Err(format!("`{program}` has no standard streams")),
        }
    }
}

impl Agent for Program {
    fn exchange(&mut self, message: &str) -> Result<String, String> {
        writeln!(self.input, "{message}")
            .and_then(|()| self.input.flush())
            .map_err(|error| error.to_string())?;
        if message == r#"{"type":"end"}"# {
            return Ok(String::new());
        }
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(0) => Err("it ended before it answered".into()),
            Ok(_) => Ok(line),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A suite file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    problems: Vec<String>,
    protocol: String,
    #[allow(dead_code, reason = "for people who read the file")]
    #[serde(default)]
    description: String,
}

fn suite(path: &Path) -> Result<Suite, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::not_found("suite", format!("`{}`: {error}", path.display())).help(
            "name a suite with `--suite FILE`, or problems with `--problems NAME,...` and a `--protocol`",
        )
    })?;
    serde_yaml::from_str(&text)
        .map_err(|error| CliError::usage("suite", format!("`{}`: {error}", path.display())))
}

fn seeds(text: &str) -> Result<Vec<u64>, CliError> {
    let wrong = || {
        CliError::usage(
            "seeds",
            format!("`{text}` is not a list of seeds: write `3`, `0-9` or `0,5,7`"),
        )
    };
    let mut seeds = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            Some((first, last)) => {
                let (first, last): (u64, u64) = (
                    first.parse().map_err(|_| wrong())?,
                    last.parse().map_err(|_| wrong())?,
                );
                seeds.extend(first..=last);
            }
            None => seeds.push(part.parse().map_err(|_| wrong())?),
        }
    }
    Ok(seeds)
}

fn agent(name: &str) -> Result<(String, Box<dyn Agent>), CliError> {
    if let Some((label, command)) = name.strip_prefix("exec:").and_then(|rest| rest.split_once(':')) {
        let program = Program::start(command).map_err(|reason| CliError::usage("optimizer", reason))?;
        return Ok((label.to_owned(), Box::new(program)));
    }
    let (sampler, policy) = name
        .split_once('+')
        .map_or((name, None), |(sampler, policy)| (sampler, Some(policy)));
    if crate::sampler::find(sampler).is_none() {
        let known: Vec<&str> = crate::sampler::REGISTRY.iter().map(|kind| kind.kind).collect();
        return Err(
            CliError::usage("optimizer", format!("no sampler is called `{sampler}`"))
                .help(format!("known: {}, or `exec:NAME:COMMAND`", known.join(", "))),
        );
    }
    let policy = policy
        .map(parse_policy)
        .transpose()
        .map_err(|error| CliError::usage("policy", error.to_string()))?;
    let options = ProtocolOptions {
        sampler: Some(sampler.to_owned()),
        policy,
        seed: None,
    };
    Ok((name.to_owned(), Box::new(Own(Lines::new(options)))))
}

fn run(arguments: &BenchRun, output: &Output) -> Result<u8, CliError> {
    let (problems, protocol) = if arguments.problems.is_empty() || arguments.protocol.is_none() {
        let suite = suite(&arguments.suite)?;
        let problems = if arguments.problems.is_empty() {
            suite.problems
        } else {
            arguments.problems.clone()
        };
        (problems, arguments.protocol.clone().unwrap_or(suite.protocol))
    } else {
        (
            arguments.problems.clone(),
            arguments.protocol.clone().unwrap_or_default(),
        )
    };
    let protocol = Protocol::parse(&protocol)
        .ok_or_else(|| CliError::usage("protocol", format!("`{protocol}` is none of seq, async4, mf")))?;
    let seeds = seeds(&arguments.seeds)?;
    let done = finished(&arguments.out)?;
    let fresh = !arguments.out.exists();
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&arguments.out)?;
    let mut writer = csv::WriterBuilder::new().from_writer(file);
    if fresh {
        writer.write_record(COLUMNS).map_err(csv_error)?;
    }
    let folder = Folder(arguments.data.clone());
    for name in &problems {
        let problem = Problem::read(name, &folder)
            .map_err(|error| CliError::not_found("problem", error.to_string()))?;
        if protocol == Protocol::Mf && problem.fidelity.is_none() {
            continue;
        }
        for seed in &seeds {
            for optimizer in &arguments.optimizer {
                let (label, mut agent) = agent(optimizer)?;
                let label = match arguments.earlier.as_slice() {
                    [] => label,
                    names => format!("{label} after {}", names.join("+")),
                };
                if done.contains(&(protocol.name().to_owned(), label.clone(), name.clone(), *seed)) {
                    continue;
                }
                let earlier = arguments
                    .earlier
                    .iter()
                    .filter(|earlier| *earlier != name)
                    .map(|earlier| earlier_sweep(earlier, &problem, *seed, arguments.earlier_trials, &folder))
                    .collect::<Result<Vec<_>, _>>()?;
                let begun = std::time::Instant::now();
                let cpu = cpu_seconds();
                let checkpoints = run_after(
                    &problem,
                    agent.as_mut(),
                    protocol,
                    *seed,
                    arguments.last,
                    &earlier,
                )
                .map_err(|error| {
                    CliError::failed("bench", format!("{label} on {name}, seed {seed}: {error}"))
                })?;
                let (cpu, wall) = (cpu_seconds() - cpu, begun.elapsed().as_secs_f64());
                for point in &checkpoints {
                    writer
                        .write_record([
                            protocol.name(),
                            &label,
                            name,
                            &seed.to_string(),
                            &point.at.to_string(),
                            &point.finished.to_string(),
                            &format!("{:.6}", point.spent),
                            &point.best_observed.to_string(),
                            &point.best_true.to_string(),
                            &format!("{cpu:.4}"),
                            &format!("{wall:.2}"),
                        ])
                        .map_err(csv_error)?;
                }
                writer.flush()?;
                let last = checkpoints.last().map_or(f64::NAN, |point| point.best_true);
                output.note(&format!("{label} {name} seed {seed}: {last:.6} in {wall:.1} s"));
            }
        }
    }
    Ok(exit::OK)
}

/// The results of an earlier sweep by `tpe`, with a seed of its own.
fn earlier_sweep(
    name: &str,
    problem: &Problem,
    seed: u64,
    trials: u64,
    folder: &Folder,
) -> Result<Vec<EarlierTrial>, CliError> {
    let inverted = name == "inverted";
    let other = match name {
        "same" | "inverted" => None,
        _ => Some(
            Problem::read(name, folder).map_err(|error| CliError::not_found("problem", error.to_string()))?,
        ),
    };
    let (_, mut agent) = agent("tpe")?;
    let mut found = study(
        other.as_ref().unwrap_or(problem),
        agent.as_mut(),
        trials,
        seed + 1_000,
    )
    .map_err(|error| CliError::failed("bench", format!("the earlier sweep on {name}: {error}")))?;
    if inverted {
        found.iter_mut().for_each(|trial| trial.value = -trial.value);
    }
    Ok(found)
}

const COLUMNS: [&str; 11] = [
    "protocol",
    "optimizer",
    "problem",
    "seed",
    "checkpoint",
    "trials",
    "spent",
    "best_observed",
    "best_true",
    "cpu_s",
    "wall_s",
];

fn csv_error(error: csv::Error) -> CliError {
    CliError::failed("results", error.to_string())
}

/// CPU seconds of this process so far (outside programs are not counted).
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

#[derive(Deserialize)]
struct CsvRow {
    protocol: String,
    optimizer: String,
    problem: String,
    seed: u64,
    checkpoint: f64,
    best_true: String,
}

fn rows(path: &Path) -> Result<Vec<CsvRow>, CliError> {
    let mut reader = csv::Reader::from_path(path)
        .map_err(|error| CliError::not_found("results", format!("`{}`: {error}", path.display())))?;
    reader
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(|error| CliError::usage("results", format!("`{}`: {error}", path.display())))
}

fn finished(path: &Path) -> Result<HashSet<(String, String, String, u64)>, CliError> {
    if !path.exists() {
        return Ok(HashSet::new());
    }
    Ok(rows(path)?
        .into_iter()
        .map(|row| (row.protocol, row.optimizer, row.problem, row.seed))
        .collect())
}

fn problems(arguments: &BenchProblems, output: &Output) -> Result<u8, CliError> {
    let folder = Folder(arguments.data.clone());
    let mut names: Vec<String> = std::fs::read_dir(&arguments.data)
        .map_err(|error| CliError::not_found("problems", format!("`{}`: {error}", arguments.data.display())))?
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    let mut columns = vec![
        Column::text("problem", 0),
        Column::number("parameters", 0),
        Column::number("steps", 0),
    ];
    for name in names {
        if let Ok(problem) = Problem::read(&name, &folder) {
            let cells = [name, problem.space.len().to_string(), problem.steps().to_string()];
            for (column, cell) in columns.iter_mut().zip(cells) {
                column.push(cell);
            }
        }
    }
    output.lines(&table::lines(columns, 0, None, output.glyphs))?;
    Ok(exit::OK)
}

fn curves(arguments: &BenchCurves, output: &Output) -> Result<u8, CliError> {
    let folder = Folder(arguments.data.clone());
    let problem = Problem::read(&arguments.problem, &folder)
        .map_err(|error| CliError::not_found("problem", error.to_string()))?;
    let failed = |reason: String| CliError::failed("curves", reason);
    let curves = random_curves(&problem, arguments.count, arguments.seed).map_err(failed)?;
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer
        .write_record(["trial", "step", "value"])
        .map_err(csv_error)?;
    for (trial, curve) in curves.iter().enumerate() {
        for (step, value) in (1_u64..).zip(curve) {
            writer
                .write_record([trial.to_string(), step.to_string(), value.to_string()])
                .map_err(csv_error)?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    match &arguments.out {
        None => output.bytes(&bytes)?,
        Some(path) => std::fs::write(path, &bytes)?,
    }
    Ok(exit::OK)
}
