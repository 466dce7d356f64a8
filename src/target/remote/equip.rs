//! Making another machine ready: the snapshot by its contents, of which only the missing ones travel, and the environment, which is
//! built there.

use super::Equipment;
use super::link::{End, Session};
use crate::snapshot::{ManifestEntry, stock};
use crate::target::Luggage;
use crate::target::agent::protocol::{Found, Request};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a content sent at once.
const CHUNK: usize = 256 << 10;

/// Names of contents asked about at once.
const NAMES: usize = 10_000;

/// Makes the machine at the other end of the line ready for the trials of a sweep; the inner error is one that waiting will not mend.
///
/// # Errors
/// The end of the line.
pub(super) fn equip(session: &mut Session<'_>, luggage: &Luggage) -> Result<Result<Equipment, String>, End> {
    let mut equipment = Equipment::default();
    if let Some((id, tree)) = &luggage.snapshot {
        match snapshot(session, id, tree)? {
            Ok(folder) => equipment.snapshot = Some(folder),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    for data in &luggage.data {
        match snapshot(session, &data.snapshot, &data.tree)? {
            Ok(folder) => {
                let path = match &data.file {
                    Some(name) => folder.join(name),
                    None => folder,
                };
                equipment
                    .data
                    .insert(data.name.clone(), path.to_string_lossy().into_owned());
            }
            Err(reason) => return Ok(Err(format!("data `{}`: {reason}", data.name))),
        }
    }
    if let Some(spec) = &luggage.environment {
        let found = session.ask(|id| Request::Environment {
            id,
            spec: Box::new(spec.clone()),
            snapshot: luggage.snapshot.as_ref().map(|(id, _)| id.clone()),
        })?;
        match found {
            Ok(Found::Environment(environment)) => {
                for note in &environment.notes {
                    session.tell(format!("note: {note}"));
                }
                equipment.environment = Some(environment);
            }
            Ok(_) => return Ok(Err(MISUNDERSTOOD.into())),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    Ok(Ok(equipment))
}

const MISUNDERSTOOD: &str = "its agent answers another question than was asked";

fn snapshot(session: &mut Session<'_>, snapshot: &str, tree: &Path) -> Result<Result<PathBuf, String>, End> {
    let ask = |files: Vec<ManifestEntry>| {
        let snapshot = snapshot.to_owned();
        move |id| Request::Snapshot { id, snapshot, files }
    };
    match session.ask(ask(Vec::new()))? {
        Ok(Found::Folder(Some(folder))) => return Ok(Ok(folder)),
        Ok(Found::Folder(None)) => {}
        Ok(_) => return Ok(Err(MISUNDERSTOOD.into())),
        Err(reason) => return Ok(Err(reason)),
    }
    let files = match stock::manifest(tree) {
        Ok(files) => files,
        Err(error) => return Ok(Err(format!("{}: {error}", tree.with_extension("json").display()))),
    };
    let missing = match missing(session, &files)? {
        Ok(missing) => missing,
        Err(reason) => return Ok(Err(reason)),
    };
    let size =
        |entries: &mut dyn Iterator<Item = &ManifestEntry>| entries.map(|entry| entry.bytes).sum::<u64>();
    session.tell(format!(
        "sending {} of {} files, {} of {} bytes",
        missing.len(),
        files.len(),
        size(&mut missing.iter().copied()),
        size(&mut files.iter()),
    ));
    for entry in missing {
        if let Err(reason) = send(session, entry, &tree.join(&entry.path))? {
            return Ok(Err(reason));
        }
    }
    Ok(match session.ask(ask(files))? {
        Ok(Found::Folder(Some(folder))) => Ok(folder),
        Ok(_) => Err(MISUNDERSTOOD.into()),
        Err(reason) => Err(reason),
    })
}

/// One file for each content that is missing there.
fn missing<'a>(
    session: &mut Session<'_>,
    files: &'a [ManifestEntry],
) -> Result<Result<Vec<&'a ManifestEntry>, String>, End> {
    let mut by_name: std::collections::BTreeMap<String, &ManifestEntry> = files
        .iter()
        .map(|entry| (stock::content_name(entry), entry))
        .collect();
    let names: Vec<String> = by_name.keys().cloned().collect();
    let mut missing = Vec::new();
    for names in names.chunks(NAMES) {
        let blobs = names.to_vec();
        match session.ask(|id| Request::Have { id, blobs })? {
            Ok(Found::Lacks(lacks)) => missing.extend(lacks.iter().filter_map(|name| by_name.remove(name))),
            Ok(_) => return Ok(Err(MISUNDERSTOOD.into())),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    Ok(Ok(missing))
}

fn send(session: &mut Session<'_>, entry: &ManifestEntry, path: &Path) -> Result<Result<(), String>, End> {
    let name = stock::content_name(entry);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Ok(Err(format!("{}: {error}", path.display()))),
    };
    let mut left = entry.bytes;
    loop {
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
        if let Err(error) = file.read_exact(&mut bytes) {
            return Ok(Err(format!("{}: {error}", path.display())));
        }
        left -= bytes.len() as u64;
        let (name, last) = (name.clone(), left == 0);
        session.say(&Request::Blob { name, last }, &bytes)?;
        if last {
            return Ok(Ok(()));
        }
    }
}
