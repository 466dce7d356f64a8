//! Files of other tools, read at the end of a trial whose primary metric has no point: TensorBoard, Lightning, W&B, MLflow's store.
//!
//! The parsers read any stream and know no paths; [`scan`] walks folders, within limits, and only reads what was written since the
//! script began, so that logs in the user's sources are never taken for results.

mod file_store;
mod lightning;
mod protobuf;
mod tensorboard;
mod wandb;

use crate::channel::{Report, Sink};
use crate::journal::Channel;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A point of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Value.
    pub value: f64,
    /// Step, if the format has one.
    pub step: Option<i64>,
}

/// Kind of file. The order is the precedence when several have the same metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Source {
    /// `events.out.tfevents.*`.
    TensorBoard,
    /// `metrics.csv` of Lightning's CSV logger.
    Lightning,
    /// `*.wandb` of an offline run.
    Wandb,
    /// `metrics/` folder of an MLflow file store.
    FileStore,
}

impl Source {
    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::TensorBoard => "TensorBoard event files",
            Self::Lightning => "metrics.csv",
            Self::Wandb => "W&B offline files",
            Self::FileStore => "the MLflow file store",
        }
    }
}

/// One metric of one folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name as the tool has it.
    pub name: String,
    /// Kind of file.
    pub source: Source,
    /// Folder, relative to the root that was searched.
    pub folder: PathBuf,
    /// When its newest file was written.
    pub modified: SystemTime,
    /// Points in the order of the file.
    pub points: Vec<Point>,
}

/// How much is read at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries looked at.
    pub entries: usize,
    /// Folders below a root.
    pub depth: usize,
    /// Points kept.
    pub points: usize,
    /// Bytes read.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            depth: 12,
            points: 200_000,
            bytes: 1 << 30,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Series by source, folder and name.
    pub series: Vec<Series>,
    /// Whether a limit ended the search.
    pub cut: bool,
}

/// Takes points of a parser; `false` ends it.
pub(crate) type Take<'a> = dyn FnMut(&str, Point) -> bool + 'a;

/// Reads what was written below `roots` since `since`. Folders of packages and hidden ones (but not `.` names of files) are passed
/// over, links are not followed, a file that cannot be read or parsed gives what it gave until then.
pub fn scan(roots: &[PathBuf], since: SystemTime, limits: Limits) -> Findings {
    let mut walk = Walk {
        since,
        limits,
        found: BTreeMap::new(),
        points: 0,
        bytes: 0,
        entries: 0,
        cut: false,
        seen: HashSet::new(),
    };
    for root in roots {
        walk.folder(root, root, 0);
    }
    Findings {
        series: walk.found.into_values().collect(),
        cut: walk.cut,
    }
}

struct Walk {
    since: SystemTime,
    limits: Limits,
    found: BTreeMap<(Source, PathBuf, String), Series>,
    points: usize,
    bytes: u64,
    entries: usize,
    cut: bool,
    /// Device and inode of folders that were read.
    seen: HashSet<(u64, u64)>,
}

const PASSED_OVER: [&str; 7] = [
    "__pycache__",
    "node_modules",
    "site-packages",
    ".git",
    ".venv",
    ".ipynb_checkpoints",
    ".overdrive",
];

impl Walk {
    fn folder(&mut self, root: &Path, folder: &Path, depth: usize) {
        if depth > self.limits.depth {
            self.cut = true;
            return;
        }
        // A root inside another one (`outputs` below the working folder) is read once.
        if let Ok(details) = folder.metadata()
            && !self.seen.insert((details.dev(), details.ino()))
        {
            return;
        }
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            self.entries += 1;
            if self.entries > self.limits.entries
                || self.points >= self.limits.points
                || self.bytes >= self.limits.bytes
            {
                self.cut = true;
                return;
            }
            let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
                continue;
            };
            let Ok(details) = path.symlink_metadata() else {
                continue;
            };
            if details.is_dir() {
                if !PASSED_OVER.contains(&name.as_str()) {
                    self.folder(root, &path, depth + 1);
                }
            } else if details.is_file()
                && let Ok(modified) = details.modified()
                && modified >= self.since
                && let Some(source) = kind(&path, &name)
            {
                self.bytes = self.bytes.saturating_add(details.len());
                self.file(root, &path, source, modified);
            }
        }
    }

    fn file(&mut self, root: &Path, path: &Path, source: Source, modified: SystemTime) {
        let Ok(file) = File::open(path) else { return };
        let (folder, key) = place(root, path, source);
        let left = self.limits.points.saturating_sub(self.points);
        let mut taken = 0;
        let found = &mut self.found;
        let mut take = |name: &str, point: Point| {
            if taken >= left {
                return false;
            }
            taken += 1;
            let series = found
                .entry((source, folder.clone(), name.to_owned()))
                .or_insert_with(|| Series {
                    name: name.to_owned(),
                    source,
                    folder: folder.clone(),
                    modified,
                    points: Vec::new(),
                });
            series.modified = series.modified.max(modified);
            series.points.push(point);
            true
        };
        let reader = BufReader::new(file);
        match source {
            Source::TensorBoard => tensorboard::read(reader, &mut take),
            Source::Lightning => lightning::read(reader, &mut take),
            Source::Wandb => wandb::read(reader, &mut take),
            Source::FileStore => file_store::read(reader, &key, &mut take),
        }
        self.points += taken;
    }
}

/// What a file is, by its name and place.
fn kind(path: &Path, name: &str) -> Option<Source> {
    if name.contains("events.out.tfevents.") && !name.ends_with(".profile-empty") {
        return Some(Source::TensorBoard);
    }
    if name == "metrics.csv" {
        return Some(Source::Lightning);
    }
    if name.starts_with("run-") && name.ends_with(".wandb") {
        return Some(Source::Wandb);
    }
    store(path).map(|_| Source::FileStore)
}

/// For `<store>/<experiment>/<run>/metrics/<key>`: the run's folder. It is known by its `meta.yaml`.
fn store(path: &Path) -> Option<&Path> {
    path.ancestors()
        .skip(1)
        .find(|folder| folder.file_name().is_some_and(|name| name == "metrics"))
        .and_then(Path::parent)
        .filter(|run| run.join("meta.yaml").is_file() && run.join("params").is_dir())
}

/// Folder that a file's series belong to, relative to the root, and the rest of the path.
fn place(root: &Path, path: &Path, source: Source) -> (PathBuf, String) {
    let folder = match source {
        Source::FileStore => store(path),
        _ => path.parent(),
    };
    let folder = folder.unwrap_or(root);
    let rest = path
        .strip_prefix(folder.join("metrics"))
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    (folder.strip_prefix(root).unwrap_or(folder).to_owned(), rest)
}

/// Tells the findings to a sink. A metric that only one folder has keeps its name. One that several have is told for each as
/// `<folder>/<name>`, and under its plain name from the folder that looks like validation, or else from the newest, with a warning.
pub fn report(findings: &Findings, sink: &dyn Sink) {
    let mut names: BTreeMap<&str, Vec<&Series>> = BTreeMap::new();
    for series in &findings.series {
        names.entry(&series.name).or_default().push(series);
    }
    for (name, mut all) in names {
        let Some(best) = all.iter().map(|series| series.source).min() else {
            continue;
        };
        all.retain(|series| series.source == best);
        let held_out = |series: &Series| {
            let folder = series.folder.to_string_lossy().to_lowercase();
            ["val", "test", "eval", "dev"]
                .iter()
                .any(|word| folder.rsplit('/').next().unwrap_or_default().contains(word))
        };
        let Some(chosen) = all
            .iter()
            .max_by_key(|series| (held_out(series), series.modified, &series.folder))
        else {
            continue;
        };
        if all.len() > 1 {
            for series in &all {
                tell(
                    &format!("{}/{name}", series.folder.to_string_lossy()),
                    series,
                    sink,
                );
            }
            sink.report(Report::Warning {
                code: "scan-ambiguous".to_owned(),
                message: format!(
                    "{} folders have a metric `{name}` in {}, that of `{}` is taken",
                    all.len(),
                    best.name(),
                    chosen.folder.display()
                ),
            });
        }
        tell(name, chosen, sink);
    }
    if findings.cut {
        sink.report(Report::Warning {
            code: "scan-cut".to_owned(),
            message: "there was more in the folders than is read at the end of a trial".to_owned(),
        });
    }
}

fn tell(name: &str, series: &Series, sink: &dyn Sink) {
    for point in &series.points {
        sink.report(Report::Metric {
            name: name.to_owned(),
            value: point.value,
            step: point.step,
            channel: Channel::Scan,
        });
    }
}

#[cfg(test)]
mod tests;
