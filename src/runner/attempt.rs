//! One attempt from claim to seal.

use super::RunnerError;
use super::boxed::Boxed;
use super::channels::Channels;
use super::claim::Claim;
use super::command::{NotStarted, Places, spawn};
use super::freeze::Freezer;
use super::ledger::Ledger;
use super::log::Log;
use super::output::Output;
use super::report::ReportFile;
use super::signals::Signals;
use super::spec::AttemptSpec;
use super::supervise::{Supervision, Supervisor};
use super::sys::{self, Whom};
use super::workdir::{ensure, materialize};
use crate::channel::{Report, Sink};
use crate::journal::{Entry, Exit, JournalError, Writer};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Executes the attempt in `folder`; returns at once if somebody else has claimed it.
pub(super) fn execute(folder: &Path) -> Result<(), RunnerError> {
    // Out of the terminal and the session of whoever started us. A group leader may not, and need not: it gets no terminal signals.
    let _ = rustix::process::setsid();
    let spec_path = folder.join("spec.json");
    let text = fs::read(&spec_path).map_err(|source| RunnerError::Spec {
        path: spec_path.clone(),
        source,
    })?;
    let spec: AttemptSpec = serde_json::from_slice(&text).map_err(|error| RunnerError::Spec {
        path: spec_path,
        source: std::io::Error::other(error),
    })?;
    let claim = Claim::of_this_process(&spec.nonce);
    let claim_path = folder.join("claim");
    if !claim.take(&claim_path).map_err(|source| RunnerError::Claim {
        path: claim_path,
        source,
    })? {
        return Ok(());
    }
    let mut writer = Writer::create(&folder.join("journal"))?;
    writer.append(&claim.entry())?;
    let ledger = Arc::new(Ledger::new(
        writer,
        spec.primary_metric.as_deref(),
        spec.doorbell.as_deref(),
    ));
    let last = match start(&spec, folder, &ledger) {
        Ok(Some(trial)) => return trial.finish(),
        Ok(None) => Entry::Exited(canceled_early()),
        Err(trouble) => Entry::NotStarted {
            class: trouble.class.to_owned(),
            reason: trouble.reason,
        },
    };
    ledger.close(last)?;
    sealed(&ledger)
}

/// The end of an attempt that was cancelled before its script began.
fn canceled_early() -> Exit {
    Exit {
        code: None,
        signal: None,
        ended_by: Some("cancel".to_owned()),
        duration_ms: 0,
        max_rss: None,
        cpu_s: None,
        tail: Vec::new(),
        survivors: Vec::new(),
    }
}

/// A script that runs.
struct Trial<'a> {
    spec: &'a AttemptSpec,
    ledger: Arc<Ledger>,
    folder: PathBuf,
    workdir: PathBuf,
    channels: Channels,
    main: Pid,
    supervisor: Supervisor,
}

/// Prepares everything and starts the script; `None` if it was cancelled before.
fn start<'a>(
    spec: &'a AttemptSpec,
    folder: &Path,
    ledger: &Arc<Ledger>,
) -> Result<Option<Trial<'a>>, NotStarted> {
    let infrastructure = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| NotStarted::refused(&format!("cannot {what}"), &error)
    };
    // Before orphans are adopted: its guard is to be nobody's child.
    let boxed = Boxed::of(spec)?;
    let signals = Signals::install().map_err(infrastructure("listen for signals"))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|errno| infrastructure("adopt orphaned processes")(errno.into()))?;
    let workdir = prepare(spec, folder)?;
    let log_path = folder.join("azureml-logs").join("70_driver_log.txt");
    let log = Log::create(&log_path, spec.log_cap_bytes).map_err(infrastructure("create the log"))?;
    let channels = Channels::start(spec, folder, &workdir, ledger);
    let report = folder.join("report.jsonl");
    if folder.join("cancel").exists() {
        return Ok(None);
    }
    if signals.asked_to_end() {
        return Err(NotStarted::infrastructure(
            "the runner was told to end".to_owned(),
        ));
    }
    let (read_end, write_end) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|errno| infrastructure("make a pipe")(errno.into()))?;
    let second = write_end.try_clone().map_err(infrastructure("make a pipe"))?;
    let places = Places {
        folder,
        workdir: &workdir,
        report: &report,
    };
    let child = spawn(spec, places, &channels, (write_end, second))?;
    // A child of ours that is not reaped: the id is valid and its own.
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let Some(main) = id else {
        return Err(NotStarted::infrastructure(
            "the system gave no process id".to_owned(),
        ));
    };
    let start_ticks = super::process::stat(main.as_raw_nonzero().get()).map_or(0, |stat| stat.start_ticks);
    if let Err(error) = ledger.started(main.as_raw_nonzero().get(), start_ticks, &spec.argv) {
        // A script of which nobody can know must not run.
        super::tree::kill_all(main, super::KILL_PATIENCE);
        return Err(NotStarted::infrastructure(error.to_string()));
    }
    let supervisor = Supervisor::new(Supervision {
        main,
        nonce: spec.nonce.clone(),
        folder: folder.to_owned(),
        pipe: read_end,
        log,
        output: Output::new(&spec.metric_names, spec.primary_metric.as_deref()),
        report: ReportFile::new(report),
        signals,
        boxed,
        timeout_ms: spec.timeout_ms,
        grace_ms: spec.grace_ms,
        freezer: Freezer::new(spec, folder),
        ledger: Arc::clone(ledger),
    });
    Ok(Some(Trial {
        spec,
        ledger: Arc::clone(ledger),
        folder: folder.to_owned(),
        workdir,
        channels,
        main,
        supervisor,
    }))
}

/// Makes the attempt's folders; gives the one in which the script runs.
fn prepare(spec: &AttemptSpec, folder: &Path) -> Result<PathBuf, NotStarted> {
    let made = |result: std::io::Result<()>, path: &Path| {
        result.map_err(|error| NotStarted::refused(&format!("cannot make {}", path.display()), &error))
    };
    let workdir = match &spec.in_place {
        Some(place) if place.is_dir() => place.clone(),
        Some(place) => {
            return Err(NotStarted::setup(format!(
                "the folder {} does not exist",
                place.display()
            )));
        }
        None => {
            let workdir = folder.join("wd");
            match &spec.snapshot {
                Some(snapshot) => materialize(snapshot, &workdir).map_err(|(path, error)| {
                    NotStarted::refused(&format!("cannot copy the snapshot: {}", path.display()), &error)
                })?,
                None => made(ensure(&workdir), &workdir)?,
            }
            workdir
        }
    };
    for path in [
        workdir.join("outputs"),
        workdir.join("logs"),
        folder.join("azureml-logs"),
        folder.join("user_logs"),
    ] {
        made(ensure(&path), &path)?;
    }
    for name in &spec.outputs {
        // The name comes from a user's file: it must stay below its folder.
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(NotStarted::setup(format!(
                "`{name}` cannot be the name of an output"
            )));
        }
        let path = folder.join("named_outputs").join(name);
        made(fs::create_dir_all(&path), &path)?;
    }
    let link = folder.join("user_logs").join("std_log.txt");
    match symlink("../azureml-logs/70_driver_log.txt", &link) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => made(Err(error), &link)?,
        _ => {}
    }
    Ok(workdir)
}

impl Trial<'_> {
    /// Waits for the end and tells it.
    fn finish(mut self) -> Result<(), RunnerError> {
        self.supervisor.watch(&mut self.channels);
        let end = self.supervisor.end();
        self.ledger.hush();
        self.channels
            .finish(self.spec, &self.folder, &self.workdir, &self.ledger);
        if end.exit.code == Some(0)
            && let Some(notice) = self.ledger.missing_primary(self.supervisor.near_misses())
        {
            self.ledger.warn(notice.code, notice.message);
            for name in self.supervisor.others() {
                self.ledger.report(Report::Fact {
                    kind: "printed".to_owned(),
                    key: name.clone(),
                    value: String::new(),
                });
            }
        }
        if self.ledger.sync_failed() {
            self.ledger.warn(
                "journal-sync",
                "the disk did not confirm a write; a power cut may cost entries".to_owned(),
            );
        }
        // The slot is free when this is written.
        self.ledger.close(match end.never {
            None => Entry::Exited(end.exit),
            Some(trouble) => Entry::NotStarted {
                class: trouble.class.to_owned(),
                reason: trouble.reason,
            },
        })?;
        let done = sealed(&self.ledger);
        // Last of all: until here the id of the script could not go to a stranger.
        let _ = sys::ended(Whom::One(self.main), true);
        done
    }
}

fn sealed(ledger: &Ledger) -> Result<(), RunnerError> {
    match ledger.seal() {
        // All is written; only a power cut could still take it.
        Ok(()) | Err(JournalError::Sync(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
