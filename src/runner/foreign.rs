//! Files that unchanged scripts of other tuners write: NNI's and hypertune's, followed while the script runs.

use super::ledger::Ledger;
use super::report::open;
use super::spec::AttemptSpec;
use crate::channel::Sink;
use crate::channel::foreign::{Files, Hypertune, Nni, Wanted, wanted};
use indexmap::IndexMap;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How much of a script is looked at for imports, in bytes.
const LOOK: u64 = 256 << 10;
/// Largest hypertune file that is read, in bytes; the package keeps a hundred lines.
const HYPERTUNE: u64 = 1 << 20;

/// The channel, armed for one attempt.
#[derive(Debug)]
pub(super) struct Foreign {
    files: Files,
    wanted: Wanted,
    nni: Nni,
    offset: u64,
    hypertune: Hypertune,
}

impl Foreign {
    /// Arms the channel if a Python file among the arguments imports one of the packages.
    pub(super) fn start(spec: &AttemptSpec, folder: &Path, workdir: &Path, ledger: &Ledger) -> Option<Self> {
        let mut found = Wanted::default();
        for argument in spec.argv.iter().filter(|argument| argument.ends_with(".py")) {
            let mut source = Vec::new();
            let Ok(file) = std::fs::File::open(workdir.join(argument)) else {
                continue;
            };
            if file.take(LOOK).read_to_end(&mut source).is_ok() {
                let one = wanted(&String::from_utf8_lossy(&source));
                found.nni |= one.nni;
                found.hypertune |= one.hypertune;
            }
        }
        if !found.nni && !found.hypertune {
            return None;
        }
        let files = Files::new(folder);
        if found.nni
            && let Err(error) = files.prepare(spec.trial, &spec.parameters)
        {
            ledger.warn(
                "nni-files",
                format!("cannot make the files that nni reads: {error}"),
            );
            return None;
        }
        let primary = spec.primary_metric.as_deref().unwrap_or("default");
        Some(Self {
            files,
            wanted: found,
            nni: Nni::new(primary),
            offset: 0,
            hypertune: Hypertune::default(),
        })
    }

    /// Variables for the script.
    pub(super) fn environment(&self, spec: &AttemptSpec) -> IndexMap<String, String> {
        self.files
            .environment(self.wanted, &spec.sweep, &spec.run_id, spec.trial)
    }

    /// Reads what is new.
    pub(super) fn drain(&mut self, ledger: &Ledger) {
        let mut reports = Vec::new();
        if self.wanted.nni
            && let Some(file) = open(&self.files.nni_metrics)
        {
            let mut chunk = [0; 16 << 10];
            while let Ok(length @ 1..) = file.read_at(&mut chunk, self.offset) {
                self.offset += length as u64;
                reports.extend(self.nni.feed(chunk.get(..length).unwrap_or_default()));
            }
        }
        if self.wanted.hypertune
            && let Some(file) = open(&self.files.hypertune)
        {
            let mut content = Vec::new();
            if file.take(HYPERTUNE).read_to_end(&mut content).is_ok() {
                reports.extend(self.hypertune.feed(&String::from_utf8_lossy(&content)));
            }
        }
        for report in reports {
            ledger.report(report);
        }
    }
}
