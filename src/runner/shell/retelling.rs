//! The journal of an attempt that a shell runner executes: made from its account, the output and the report file by the very code that
//! other runners use, entry for entry the same each time it is made.

use super::super::RunnerError;
use super::super::ledger::Ledger;
use super::super::log::tail;
use super::super::output::Output;
use super::super::report::ReportFile;
use super::super::spec::AttemptSpec;
use super::account::Fact;
use crate::channel::{Report, Sink, scan};
use crate::journal::{Entry, Writer};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes of recent output that are kept for the last lines.
const RECENT: usize = 64 << 10;

/// One attempt's journal in the making.
#[derive(Debug)]
pub struct Retelling {
    primary: Option<String>,
    argv: Vec<String>,
    ledger: Ledger,
    output: Output,
    report: ReportFile,
    recent: Vec<u8>,
    /// Bytes of output so far.
    total: u64,
    started_ms: u64,
    ended: bool,
}

impl Retelling {
    /// Begins the journal in the new file `journal`. Lines of the report file that were too long for it are looked for in the folder
    /// `report.jsonl.d` beside it.
    ///
    /// # Errors
    /// [`RunnerError::Journal`] if the file cannot be made.
    pub fn new(spec: &AttemptSpec, journal: &Path) -> Result<Self, RunnerError> {
        let primary = spec.primary_metric.clone();
        let writer = Writer::create(journal)?;
        Ok(Self {
            ledger: Ledger::retelling(writer, primary.as_deref()),
            output: Output::new(&spec.metric_names, primary.as_deref()),
            report: ReportFile::new(journal.with_file_name("report.jsonl")),
            primary,
            argv: spec.argv.clone(),
            recent: Vec::new(),
            total: 0,
            started_ms: 0,
            ended: false,
        })
    }

    /// Takes in what was printed and reported until `at_ms` milliseconds after the start.
    pub fn grew(&mut self, at_ms: u64, output: &[u8], report: &[u8]) {
        self.ledger.at(self.started_ms + at_ms);
        self.output.push(output, &self.ledger);
        self.report.push(report, &self.ledger);
        self.total += output.len() as u64;
        self.recent.extend_from_slice(output);
        let over = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..over);
    }

    /// Whether the end needs what the script left: no point of the primary metric came by any other way.
    pub fn wants_files(&self) -> bool {
        self.primary
            .as_deref()
            .is_some_and(|metric| self.ledger.points(metric) == 0)
    }

    /// Takes a fact in, but [`Fact::Grew`], whose bytes come by [`Self::grew`]. `left` is where what the script left lies here, if it
    /// was fetched.
    ///
    /// # Errors
    /// [`RunnerError::Journal`] if the journal cannot be extended.
    pub fn fact(&mut self, fact: Fact, left: Option<&Path>) -> Result<(), RunnerError> {
        if self.ended && fact != Fact::Sealed {
            return Ok(());
        }
        match fact {
            Fact::Claimed {
                host,
                boot_id,
                pid,
                start_ticks,
                wall_ms,
            } => self.ledger.claimed(&Entry::Claimed {
                host,
                boot_id,
                pid,
                start_ticks,
                wall_ms,
                version: env!("CARGO_PKG_VERSION").to_owned(),
            })?,
            Fact::Started {
                pid,
                start_ticks,
                at_ms,
            } => {
                self.started_ms = at_ms;
                self.ledger.at(at_ms);
                self.ledger.started(pid, start_ticks, &self.argv)?;
            }
            Fact::Grew { .. } => {}
            Fact::Warned { code, message } => self.ledger.warn(&code, message),
            Fact::Refused { class, reason } => {
                self.ended = true;
                self.ledger.close(Entry::NotStarted { class, reason })?;
            }
            Fact::Exited(mut exit) => {
                self.ended = true;
                self.ledger.at(self.started_ms + exit.duration_ms);
                self.last_words(exit.code == Some(0), left);
                exit.tail = tail(&self.recent, self.recent.len() as u64 == self.total);
                self.ledger.close(Entry::Exited(exit))?;
            }
            Fact::Sealed => self.ledger.seal_retold()?,
        }
        Ok(())
    }

    /// What other runners tell between the last output and the end.
    fn last_words(&mut self, well: bool, left: Option<&Path>) {
        self.output.finish(&self.ledger);
        self.report.finish_line(&self.ledger);
        if self.wants_files()
            && let Some(folder) = left
        {
            let roots: [PathBuf; 3] = ["wd", "named_outputs", "artifacts"].map(|name| folder.join(name));
            // They were fetched just now, and times of another machine mean nothing here.
            let found = scan::scan(&roots, SystemTime::UNIX_EPOCH, scan::Limits::default());
            scan::report(&found, &self.ledger);
        }
        if well && let Some(notice) = self.ledger.missing_primary(self.output.near_misses()) {
            self.ledger.warn(notice.code, notice.message);
            for name in self.output.others() {
                self.ledger.report(Report::Fact {
                    kind: "printed".to_owned(),
                    key: name.clone(),
                    value: String::new(),
                });
            }
        }
    }
}
