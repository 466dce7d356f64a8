//! Snapshots of the source folder: content-addressed, made once per sweep, so that edits to the source during a sweep change
//! nothing and a trial can be reproduced.
//!
//! Layout below the store folder: `blobs/<2 hex>/<hash>[x]` holds each content once (`x` = executable), `snapshots/<id>.json` the
//! manifest, `snapshots/<id>/` the tree as hard links to blobs. The tree is read-only by convention: runners copy (or reflink) from it.
//! The id is the BLAKE3 hash of the sorted manifest, so equal folders share one snapshot.
//!
//! Which files belong: every regular file below the root that the root's `.amlignore` (else the root's `.gitignore`) does not
//! exclude; the two are never merged and nested ignore files have no meaning, as with the Azure ML clients. Patterns have gitignore syntax
//! and are matched against the path of each file, so `!data/keep.csv` rescues a file below an excluded `data/`.

mod git;
pub mod stock;
mod walk;

pub use git::facts as git_facts;
pub use walk::{Included, Walk, walk};

use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Total size above which a note is given (the limit of the Azure ML clients).
pub const SIZE_NOTE_BYTES: u64 = 300 * 1024 * 1024;
/// Number of files above which a note is given.
pub const FILES_NOTE: usize = 2000;

/// A snapshot that exists on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// BLAKE3 of the manifest, 64 hex digits.
    pub id: String,
    /// The tree to copy from.
    pub folder: PathBuf,
    /// Number of files.
    pub files: u64,
    /// Their total size in bytes.
    pub bytes: u64,
    /// Bytes that were not in the store before.
    pub new_bytes: u64,
    /// What people should know: files left out, sizes above the usual limits.
    pub notes: Vec<String>,
}

/// One file of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Path relative to the root, `/` as separator; lossy only for names that are not UTF-8, which are left out with a note.
    pub path: String,
    /// BLAKE3 of the content.
    pub hash: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Whether the owner may execute it.
    pub executable: bool,
}

/// Why no snapshot could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The source folder is not a readable folder.
    #[error("source directory {path}: {source}")]
    Source {
        /// Folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The ignore file has a pattern that cannot be read.
    #[error("{path}: {reason}")]
    Ignore {
        /// Ignore file.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
    /// The store folder cannot be written.
    #[error("cannot write {path}: {source}")]
    Store {
        /// File or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// Takes a snapshot of `source` into the store folder; cheap if the same content was taken before.
///
/// # Errors
/// [`SnapshotError`]; a failed attempt leaves blobs behind, never a half-made snapshot.
pub fn take(source: &Path, store: &Path) -> Result<Snapshot, SnapshotError> {
    take_only(source, &[], store)
}

/// As [`take`], but only the named files (paths relative to `source`), ignore rules or not; no names = all.
///
/// # Errors
/// Those of [`take`], and [`SnapshotError::Source`] for a named file that cannot be read.
pub fn take_only(source: &Path, only: &[String], store: &Path) -> Result<Snapshot, SnapshotError> {
    let Walk { files, mut notes } = if only.is_empty() {
        walk(source)?
    } else {
        walk::named(source, only)?
    };
    let blobs = store.join("blobs");
    let mut manifest = Vec::with_capacity(files.len());
    let (mut bytes, mut new_bytes) = (0, 0);
    for file in &files {
        match store_blob(&file.path, file.executable, &blobs) {
            Ok(Blob { hash, size, new }) => {
                bytes += size;
                new_bytes += if new { size } else { 0 };
                manifest.push(ManifestEntry {
                    path: file.relative.clone(),
                    hash,
                    bytes: size,
                    executable: file.executable,
                });
            }
            Err(BlobError::Read(error)) => notes.push(format!("left out `{}`: {error}", file.relative)),
            Err(BlobError::Write(path, source)) => return Err(SnapshotError::Store { path, source }),
        }
    }
    manifest.sort();
    if bytes > SIZE_NOTE_BYTES || manifest.len() > FILES_NOTE {
        notes.push(size_note(&manifest, bytes));
    }
    let id = manifest_id(&manifest);
    let folder = store.join("snapshots").join(&id);
    if !folder.is_dir() {
        materialise(&manifest, &blobs, &folder)?;
    }
    Ok(Snapshot {
        id,
        folder,
        files: manifest.len() as u64,
        bytes,
        new_bytes,
        notes,
    })
}

fn manifest_id(manifest: &[ManifestEntry]) -> String {
    let mut hasher = blake3::Hasher::new();
    for entry in manifest {
        hasher.update(entry.path.as_bytes());
        hasher.update(&[0, u8::from(entry.executable)]);
        hasher.update(entry.hash.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}

fn size_note(manifest: &[ManifestEntry], bytes: u64) -> String {
    let mut largest: Vec<&ManifestEntry> = manifest.iter().collect();
    largest.sort_by_key(|entry| std::cmp::Reverse(entry.bytes));
    let names: Vec<String> = largest
        .iter()
        .take(5)
        .map(|entry| format!("`{}` ({} MB)", entry.path, entry.bytes / (1024 * 1024)))
        .collect();
    format!(
        "the source directory holds {} files, {} MB: each trial gets its own copy; name in `.amlignore` what trials do not need, the largest are {}",
        manifest.len(),
        bytes / (1024 * 1024),
        names.join(", ")
    )
}

struct Blob {
    hash: String,
    size: u64,
    new: bool,
}

enum BlobError {
    Read(io::Error),
    Write(PathBuf, io::Error),
}

/// Copies the file into the store while hashing it, so that the hash is that of the stored bytes even if the file is being written.
fn store_blob(path: &Path, executable: bool, blobs: &Path) -> Result<Blob, BlobError> {
    let mut file = fs::File::open(path).map_err(BlobError::Read)?;
    let write = |at: &Path| {
        let at = at.to_path_buf();
        move |error| BlobError::Write(at, error)
    };
    fs::create_dir_all(blobs).map_err(write(blobs))?;
    let mut temporary = tempfile::NamedTempFile::new_in(blobs).map_err(write(blobs))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut size = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(BlobError::Read(error)),
        };
        let chunk = buffer.get(..read).unwrap_or_default();
        hasher.update(chunk);
        temporary.write_all(chunk).map_err(write(temporary.path()))?;
        size += read as u64;
    }
    let hash = hasher.finalize().to_hex().to_string();
    let place = blob_path(blobs, &hash, executable);
    if place.exists() {
        return Ok(Blob {
            hash,
            size,
            new: false,
        });
    }
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).map_err(write(parent))?;
    }
    set_mode(temporary.path(), if executable { 0o755 } else { 0o644 }).map_err(write(temporary.path()))?;
    temporary
        .persist(&place)
        .map_err(|error| BlobError::Write(place.clone(), error.error))?;
    Ok(Blob {
        hash,
        size,
        new: true,
    })
}

fn blob_path(blobs: &Path, hash: &str, executable: bool) -> PathBuf {
    let name = if executable {
        format!("{hash}x")
    } else {
        hash.to_owned()
    };
    blobs.join(hash.get(..2).unwrap_or("00")).join(name)
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Builds the tree beside its final place and renames it there, so that a folder with the id's name is always whole.
fn materialise(manifest: &[ManifestEntry], blobs: &Path, folder: &Path) -> Result<(), SnapshotError> {
    let write = |path: &Path| {
        let path = path.to_path_buf();
        move |source| SnapshotError::Store { path, source }
    };
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(write(parent))?;
    let temporary = tempfile::Builder::new()
        .prefix(".making-")
        .tempdir_in(parent)
        .map_err(write(parent))?;
    for entry in manifest {
        let place = temporary.path().join(&entry.path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(write(parent))?;
        }
        let blob = blob_path(blobs, &entry.hash, entry.executable);
        if fs::hard_link(&blob, &place).is_err() {
            fs::copy(&blob, &place).map_err(write(&place))?;
        }
    }
    let json = serde_json::to_vec_pretty(manifest).map_err(|error| SnapshotError::Store {
        path: folder.to_path_buf(),
        source: io::Error::other(error),
    })?;
    let manifest_path = folder.with_extension("json");
    fs::write(&manifest_path, json).map_err(write(&manifest_path))?;
    set_mode(temporary.path(), 0o755).map_err(write(temporary.path()))?;
    let made = temporary.keep();
    match fs::rename(&made, folder) {
        Ok(()) => Ok(()),
        // Another process made the same snapshot meanwhile: its tree is as good as ours.
        Err(_) if folder.is_dir() => {
            let _ = fs::remove_dir_all(&made);
            Ok(())
        }
        Err(source) => Err(SnapshotError::Store {
            path: folder.to_path_buf(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests;
