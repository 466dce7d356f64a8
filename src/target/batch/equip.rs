//! Brings into the container what trials need and it lacks: the program by its hash, snapshots by their contents.

use super::http::{Body, Failure};
use super::storage::{self, Container};
use crate::snapshot::{ManifestEntry, stock};
use crate::target::Luggage;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Blobs asked about, and written, side by side.
const AT_ONCE: usize = 12;

/// Why something could not be brought there.
pub(super) enum Trouble {
    /// By the service.
    Service(Failure),
    /// Waiting will not mend it.
    Final(String),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Service(failure)
    }
}

/// Makes sure that the container holds everything; the name of the program's blob.
pub(super) fn equip(
    container: &Container,
    luggage: &Luggage,
    program: &Path,
    told: &dyn Fn(String),
) -> Result<String, Trouble> {
    let failed = |error: std::io::Error| Trouble::Final(format!("`{}`: {error}", program.display()));
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(File::open(program).map_err(failed)?)
        .map_err(failed)?;
    let hash: String = hasher.finalize().to_hex().chars().take(32).collect();
    let name = storage::program(&hash);
    if !container.has(&name)? {
        let bytes = std::fs::metadata(program).map_err(failed)?.len();
        told(format!("sending overdrive itself, {bytes} bytes"));
        container.put(&name, Body::File(program))?;
    }
    let code = luggage.snapshot.as_ref().map(|(id, tree)| (id, tree));
    let data = luggage.data.iter().map(|data| (&data.snapshot, &data.tree));
    for (id, tree) in code.into_iter().chain(data) {
        snapshot(container, id, tree, told)?;
    }
    Ok(name)
}

/// The list of files goes last: once it is there, all that it names is.
fn snapshot(container: &Container, id: &str, tree: &Path, told: &dyn Fn(String)) -> Result<(), Trouble> {
    let list = storage::manifest(id);
    if container.has(&list)? {
        return Ok(());
    }
    let files = stock::manifest(tree)
        .map_err(|error| Trouble::Final(format!("{}: {error}", tree.with_extension("json").display())))?;
    let by_name: BTreeMap<String, &ManifestEntry> = files
        .iter()
        .map(|entry| (stock::content_name(entry), entry))
        .collect();
    let contents: Vec<(String, &ManifestEntry)> = by_name.into_iter().collect();
    let missing = Mutex::new(Vec::new());
    at_once(&contents, &|(name, entry)| {
        if !container.has(&storage::content(name))?
            && let Ok(mut missing) = missing.lock()
        {
            missing.push((name.clone(), *entry));
        }
        Ok(())
    })?;
    let missing = missing.into_inner().unwrap_or_default();
    let bytes =
        |entries: &mut dyn Iterator<Item = &ManifestEntry>| entries.map(|entry| entry.bytes).sum::<u64>();
    told(format!(
        "sending {} of {} files, {} of {} bytes",
        missing.len(),
        files.len(),
        bytes(&mut missing.iter().map(|(_, entry)| *entry)),
        bytes(&mut files.iter()),
    ));
    at_once(&missing, &|(name, entry)| {
        container.put(&storage::content(name), Body::File(&tree.join(&entry.path)))
    })?;
    let text = serde_json::to_vec(&files).map_err(|error| Trouble::Final(error.to_string()))?;
    container.put(&list, Body::Bytes(&text))?;
    Ok(())
}

/// Does the same with every item, some side by side; the first failure ends it.
pub(super) fn at_once<T: Sync>(
    items: &[T],
    act: &(dyn Fn(&T) -> Result<(), Failure> + Sync),
) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(trouble) = act(item) {
                        if let Ok(mut failure) = failure.lock() {
                            failure.get_or_insert(trouble);
                        }
                        next.store(items.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    match failure.into_inner() {
        Ok(Some(failure)) => Err(failure),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_its_turn_and_a_failure_ends_it() {
        let seen = Mutex::new(Vec::new());
        at_once(&(0..100).collect::<Vec<_>>(), &|item| {
            seen.lock().unwrap().push(*item);
            Ok(())
        })
        .unwrap();
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        let failed = at_once(&[1, 2, 3], &|_| Err(Failure::Later("busy".into())));
        assert_eq!(failed, Err(Failure::Later("busy".into())));
    }
}
