//! What an attempt left, piece by piece: everything in its folder but the copy of the snapshot, of which only `outputs/` and
//! `logs/` are sent.

use super::protocol::{self, Answer, Piece};
use crate::runner::AttemptSpec;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The captured output below an attempt's folder.
pub(in crate::target) const LOG: &str = "azureml-logs/70_driver_log.txt";

/// What stays where it is: the journal is followed, the rest is of use there only.
const STAYS: [&str; 8] = [
    "journal",
    "spec.json",
    "spec.json.tmp",
    "cancel",
    "freeze",
    "freeze.tmp",
    "boot",
    "shim",
];

/// Of the working folder, what the old service kept.
const OF_WORKING_FOLDER: [&str; 2] = ["outputs", "logs"];

/// Bytes of a piece that are sent at once.
const CHUNK: usize = 256 << 10;

/// Pieces sent before attempts are looked at again.
const PIECES_ROUND: usize = 64;

/// Sends a few pieces of the attempt that waits longest; true if there are more.
pub(in crate::target) fn send_some(
    waiting: &mut VecDeque<Sending>,
    out: &mut impl Write,
) -> io::Result<bool> {
    let Some(mut sending) = waiting.pop_front() else {
        return Ok(false);
    };
    for _ in 0..PIECES_ROUND {
        let run = sending.run.clone();
        match sending.next() {
            Next::Piece(piece, name) => protocol::write(out, &Answer::Piece { run, piece }, &name)?,
            Next::Data(bytes) => {
                protocol::write(out, &Answer::Data { run }, &bytes)?;
                // Large ones take turns with journals.
                break;
            }
            Next::End => {
                protocol::write(out, &Answer::Collected { run }, &[])?;
                return Ok(!waiting.is_empty());
            }
        }
    }
    waiting.push_back(sending);
    Ok(true)
}

/// Every path below `folder` that is to be sent, in order of bytes; links last, so that nothing is ever written through one.
pub(in crate::target) fn list(folder: &Path) -> Vec<PathBuf> {
    let mut found: BTreeMap<(bool, Vec<u8>), PathBuf> = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder.join(&below)) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let named = |names: &[&str]| names.iter().any(|known| name == **known);
            if (below.as_os_str().is_empty() && named(&STAYS))
                || (below == Path::new("wd") && !named(&OF_WORKING_FOLDER))
            {
                continue;
            }
            let Ok(kind) = entry.file_type() else { continue };
            let path = below.join(&name);
            if kind.is_dir() {
                folders.push(path.clone());
            } else if !(kind.is_file() || kind.is_symlink()) {
                continue;
            }
            found.insert((kind.is_symlink(), path.as_os_str().as_bytes().to_vec()), path);
        }
    }
    found.into_values().collect()
}

/// What the run of the attempt registered with its sweep on this machine: where it lies, and as what it is sent.
fn registered(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let run = fs::read(folder.join("spec.json"))
        .ok()
        .and_then(|text| serde_json::from_slice::<AttemptSpec>(&text).ok())
        .map(|spec| spec.run_id);
    // SWEEP/TRIAL/ATTEMPT
    let models = folder
        .ancestors()
        .nth(2)
        .map(|sweep| sweep.join("registry/models"));
    let (Some(run), Some(models)) = (run, models) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for name in list(&models)
        .into_iter()
        .filter(|path| path.components().count() == 2)
    {
        let document = models.join(&name);
        let own = document.extension().is_some_and(|extension| extension == "json")
            && fs::read(&document)
                .ok()
                .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
                .is_some_and(|known| known["run_id"] == run.as_str());
        if !own {
            continue;
        }
        let version = name.with_extension("");
        let below = |path: &Path| Path::new("registry/models").join(path);
        found.push((models.join(&version), below(&version)));
        found.extend(
            list(&models.join(&version))
                .into_iter()
                .map(|path| version.join(path))
                .map(|path| (models.join(&path), below(&path))),
        );
        // Last: with it the version exists.
        found.push((document, below(&name)));
    }
    found
}

/// One attempt's pieces on their way.
pub(in crate::target) struct Sending {
    pub(in crate::target) run: String,
    left: std::vec::IntoIter<(PathBuf, PathBuf)>,
    open: Option<File>,
    /// Bytes of the log that are home.
    log: u64,
}

/// What is sent next.
pub(in crate::target) enum Next {
    /// A piece begins; its path.
    Piece(Piece, Vec<u8>),
    /// Bytes of it.
    Data(Vec<u8>),
    /// Nothing follows.
    End,
}

impl Sending {
    pub(in crate::target) fn new(run: String, folder: PathBuf, skip: u64, log: u64) -> Self {
        let mut all: Vec<(PathBuf, PathBuf)> = list(&folder)
            .into_iter()
            .map(|path| (folder.join(&path), path))
            .collect();
        all.extend(registered(&folder));
        all.drain(..usize::try_from(skip).unwrap_or(usize::MAX).min(all.len()));
        Self {
            run,
            left: all.into_iter(),
            open: None,
            log,
        }
    }

    pub(in crate::target) fn next(&mut self) -> Next {
        if let Some(file) = &mut self.open {
            let mut bytes = Vec::with_capacity(CHUNK);
            let read = file.take(CHUNK as u64).read_to_end(&mut bytes);
            if read.is_ok() && !bytes.is_empty() {
                return Next::Data(bytes);
            }
            // What cannot be read to its end is sent as far as it goes.
            self.open = None;
        }
        if let Some((source, path)) = self.left.next() {
            let name = path.as_os_str().as_bytes().to_vec();
            match begin(&source, if path == Path::new(LOG) { self.log } else { 0 }) {
                Ok((piece, Start::Nothing)) => return Next::Piece(piece, name),
                Ok((piece, Start::File(file))) => {
                    self.open = Some(file);
                    return Next::Piece(piece, name);
                }
                // Gone meanwhile, or not to be read: as if it were not there, but counted.
                Err(_) => return Next::Piece(Piece::Folder, Vec::new()),
            }
        }
        Next::End
    }
}

enum Start {
    Nothing,
    File(File),
}

fn begin(path: &Path, offset: u64) -> io::Result<(Piece, Start)> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        return Ok((Piece::Folder, Start::Nothing));
    }
    if metadata.is_symlink() {
        let to = fs::read_link(path)?;
        return Ok((
            Piece::Link {
                to: to.as_os_str().as_bytes().to_vec(),
            },
            Start::Nothing,
        ));
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mode = metadata.permissions().mode() & 0o777;
    Ok((Piece::File { mode, offset }, Start::File(file)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn outputs_of_any_name_are_sent_and_the_snapshot_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["wd/outputs/deep", "wd/src", "azureml-logs"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        for path in [
            "journal",
            "spec.json",
            "claim",
            "wd/train.py",
            "wd/src/x",
            "azureml-logs/70_driver_log.txt",
        ] {
            fs::write(at(path), "0123456789").unwrap();
        }
        let odd = folder
            .path()
            .join("wd/outputs")
            .join(OsStr::from_bytes(b"a\nb\xff"));
        fs::write(&odd, "odd").unwrap();
        std::os::unix::fs::symlink("deep", at("wd/outputs/aa")).unwrap();
        let names: Vec<Vec<u8>> = list(folder.path())
            .iter()
            .map(|path| path.as_os_str().as_bytes().to_vec())
            .collect();
        let expected: [&[u8]; 8] = [
            b"azureml-logs",
            b"azureml-logs/70_driver_log.txt",
            b"claim",
            b"wd",
            b"wd/outputs",
            b"wd/outputs/a\nb\xff",
            b"wd/outputs/deep",
            b"wd/outputs/aa",
        ];
        assert_eq!(names, expected);
        let mut sending = Sending::new("r".into(), folder.path().to_owned(), 1, 4);
        let Next::Piece(Piece::File { offset: 4, .. }, name) = sending.next() else {
            panic!()
        };
        assert_eq!(name, b"azureml-logs/70_driver_log.txt");
        let Next::Data(bytes) = sending.next() else {
            panic!()
        };
        assert_eq!(bytes, b"456789");
    }
}
