//! Splits captured bytes into lines and lets the text channels read them.

use super::ledger::Ledger;
use crate::channel::marker::MarkerParser;
use crate::channel::offline::OfflineParser;
use crate::channel::text::{TextParser, plain};
use crate::channel::{Report, Sink};

/// Lines beyond this length are not read.
const MAX_LINE: usize = 1 << 20;
/// Length from which an unfinished line is looked at for a progress bar's segments.
const SEGMENTS: usize = 16 << 10;

/// Line splitter with the parsers of standard output.
#[derive(Debug)]
pub(super) struct Output {
    line: Vec<u8>,
    skipping: bool,
    parsers: Parsers,
}

#[derive(Debug)]
struct Parsers {
    marker: MarkerParser,
    offline: OfflineParser,
    text: TextParser,
    reports: Vec<Report>,
    /// The next line belongs to an offline run's message, whatever it looks like.
    pending: bool,
}

impl Output {
    pub(super) fn new(names: &[String], primary: Option<&str>) -> Self {
        let mut wanted = names.to_vec();
        wanted.extend(primary.map(str::to_owned));
        Self {
            line: Vec::new(),
            skipping: false,
            parsers: Parsers {
                marker: MarkerParser::new(primary),
                offline: OfflineParser::new(&wanted),
                text: TextParser::new(names, primary),
                reports: Vec::new(),
                pending: false,
            },
        }
    }

    /// Reads captured bytes; whole lines are reported at once.
    pub(super) fn push(&mut self, mut bytes: &[u8], ledger: &Ledger) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (piece, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            bytes = rest.get(1..).unwrap_or_default();
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if self.line.is_empty() {
                if piece.len() <= MAX_LINE {
                    self.parsers.line(piece, ledger);
                } else {
                    too_long(ledger);
                }
            } else {
                self.extend(piece, ledger);
                if !std::mem::take(&mut self.skipping) {
                    self.parsers.line(&self.line, ledger);
                }
                self.line.clear();
                self.line.shrink_to(64 << 10);
            }
        }
        if !self.skipping && !bytes.is_empty() {
            self.extend(bytes, ledger);
        }
    }

    /// Reads what is left without a line end.
    pub(super) fn finish(&mut self, ledger: &Ledger) {
        if !self.skipping && !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.parsers.line(&line, ledger);
        }
    }

    /// Names on the output that look like the primary metric.
    pub(super) fn near_misses(&self) -> &[String] {
        self.parsers.text.near_misses()
    }

    /// Names of numbers on the output that nobody looks for.
    pub(super) fn others(&self) -> &[String] {
        self.parsers.text.others()
    }

    fn extend(&mut self, piece: &[u8], ledger: &Ledger) {
        self.line.extend_from_slice(piece);
        if self.line.len() > SEGMENTS {
            // A terminal would show only what follows the last carriage return.
            let last = self.line.len() - 1;
            if let Some(at) = self
                .line
                .get(..last)
                .and_then(|line| line.iter().rposition(|byte| *byte == b'\r'))
            {
                self.line.drain(..=at);
            }
        }
        if self.line.len() > MAX_LINE {
            self.line = Vec::new();
            self.skipping = true;
            too_long(ledger);
        }
    }
}

fn too_long(ledger: &Ledger) {
    ledger.warn(
        "long-line",
        "a line of output over 1 MiB was not read for metrics".to_owned(),
    );
}

impl Parsers {
    fn line(&mut self, line: &[u8], ledger: &Ledger) {
        // Every form has one of these; most output has none and is not looked at further.
        if !self.pending && !line.iter().any(|byte| matches!(byte, b'=' | b':')) && !line.starts_with(b"Att")
        {
            return;
        }
        let line = plain(line);
        if self.offline.line(&line, &mut self.reports) {
            self.pending = self.offline.is_pending();
        } else if !self.marker.line(&line, &mut self.reports) {
            self.text.line(&line, &mut self.reports);
        }
        for report in self.reports.drain(..) {
            ledger.report(report);
        }
    }
}
