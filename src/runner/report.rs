//! Follows the report file: whole new lines, from the offset reached so far.

use super::ledger::Ledger;
use crate::channel::{Report, Sink, report_file};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Longest line; longer ones are passed over.
const MAX_LINE: usize = 1 << 20;

/// Reader of one report file.
#[derive(Debug)]
pub(super) struct ReportFile {
    path: PathBuf,
    file: Option<File>,
    offset: u64,
    line: Vec<u8>,
    skipping: bool,
    reports: Vec<Report>,
}

impl ReportFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            offset: 0,
            line: Vec::new(),
            skipping: false,
            reports: Vec::new(),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what was appended since the last call. A file that does not exist yet, or was replaced by something else than a file,
    /// gives nothing.
    pub(super) fn drain(&mut self, ledger: &Ledger) {
        if self.file.is_none() {
            self.file = open(&self.path);
        }
        let Some(file) = self.file.take() else { return };
        let mut chunk = [0; 16 << 10];
        while let Ok(length) = file.read_at(&mut chunk, self.offset) {
            if length == 0 {
                break;
            }
            self.offset += length as u64;
            self.push(chunk.get(..length).unwrap_or_default(), ledger);
        }
        self.file = Some(file);
    }

    /// Reads the rest, also a last line without an end.
    pub(super) fn finish(&mut self, ledger: &Ledger) {
        self.drain(ledger);
        self.finish_line(ledger);
    }

    /// Reads a last line without an end.
    pub(super) fn finish_line(&mut self, ledger: &Ledger) {
        if !self.skipping {
            let line = std::mem::take(&mut self.line);
            self.read(&line, ledger);
        }
    }

    /// Reads bytes that come from elsewhere.
    pub(super) fn push(&mut self, mut bytes: &[u8], ledger: &Ledger) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (piece, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            bytes = rest.get(1..).unwrap_or_default();
            self.line.extend_from_slice(piece);
            let line = std::mem::take(&mut self.line);
            if !std::mem::take(&mut self.skipping) {
                self.read(&line, ledger);
            }
        }
        if !self.skipping {
            self.line.extend_from_slice(bytes);
            if self.line.len() > MAX_LINE {
                self.line = Vec::new();
                self.skipping = true;
                ledger.warn(
                    "long-line",
                    "a line of the report file over 1 MiB was passed over".to_owned(),
                );
            }
        }
    }

    fn read(&mut self, line: &[u8], ledger: &Ledger) {
        if let Some(side) = report_file::line(&String::from_utf8_lossy(line), &mut self.reports) {
            self.read_side(&side, ledger);
        }
        for report in self.reports.drain(..) {
            ledger.report(report);
        }
    }

    /// A line that was too long for one atomic append stands in a file of its own.
    fn read_side(&mut self, name: &str, ledger: &Ledger) {
        let mut folder = self.path.clone().into_os_string();
        folder.push(".d");
        let text = open(&Path::new(&folder).join(name)).and_then(|file| {
            let mut text = Vec::new();
            file.take(MAX_LINE as u64 + 1).read_to_end(&mut text).ok()?;
            (text.len() <= MAX_LINE).then_some(text)
        });
        match text {
            // One step only: a side line that names another one says nothing.
            Some(text) => drop(report_file::line(
                &String::from_utf8_lossy(&text),
                &mut self.reports,
            )),
            None => ledger.warn(
                "report-line",
                format!("the report file names `{name}`, which cannot be read"),
            ),
        }
    }
}

/// Opens a file that a script may have put there, if it is one.
pub(super) fn open(path: &Path) -> Option<File> {
    // A pipe in its place must not block the runner, nor may a link lead elsewhere.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    file.metadata().ok()?.is_file().then_some(file)
}
