//! Snapshots on other machines: which contents they are made of, and how they are put together there from contents that came over
//! a line.

use super::{ManifestEntry, SnapshotError, blob_path, manifest_id, materialise, set_mode};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

/// The files of the snapshot whose tree is `folder`.
///
/// # Errors
/// The system's, or that the manifest cannot be understood.
pub fn manifest(folder: &Path) -> io::Result<Vec<ManifestEntry>> {
    Ok(serde_json::from_slice(&fs::read(folder.with_extension("json"))?)?)
}

/// A snapshot of a file or folder of data: all of it, whatever ignore files say. The name is that of the file, if it is one.
///
/// # Errors
/// [`SnapshotError`].
pub fn take_data(path: &Path, store: &Path) -> Result<(super::Snapshot, Option<String>), SnapshotError> {
    let failed = |source| SnapshotError::Source {
        path: path.to_owned(),
        source,
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    if path.is_file() {
        let name = name.ok_or_else(|| failed(ErrorKind::InvalidInput.into()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let taken = super::take_only(folder, std::slice::from_ref(&name), store)?;
        return Ok((taken, Some(name)));
    }
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(path.join(&below)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let place = below.join(entry.file_name());
            // Links are followed, as reading would.
            let kind = fs::metadata(entry.path()).map_err(failed)?;
            if kind.is_dir() {
                folders.push(place);
            } else if let Some(name) = place.to_str().filter(|_| kind.is_file()) {
                names.push(name.to_owned());
            }
        }
    }
    if names.is_empty() {
        return Err(failed(io::Error::new(
            ErrorKind::NotFound,
            "there is no file in it",
        )));
    }
    Ok((super::take_only(path, &names, store)?, None))
}

/// Name of the content of a file: hash, and `x` if it is executable.
pub fn content_name(entry: &ManifestEntry) -> String {
    format!("{}{}", entry.hash, if entry.executable { "x" } else { "" })
}

/// Where a content of that name lies in `store`; `None` if it cannot be a name.
pub fn content_path(store: &Path, name: &str) -> Option<PathBuf> {
    let hash = name.strip_suffix('x').unwrap_or(name);
    let legal = hash.len() == 64
        && hash
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
    legal.then(|| blob_path(&store.join("blobs"), hash, name.ends_with('x')))
}

/// A content that comes in pieces.
pub struct Incoming {
    name: String,
    place: PathBuf,
    draft: tempfile::NamedTempFile,
    hasher: blake3::Hasher,
}

impl Incoming {
    /// Begins to take the content called `name` into `store`.
    ///
    /// # Errors
    /// `InvalidInput` for what is no name; else the system's.
    pub fn begin(store: &Path, name: &str) -> io::Result<Self> {
        let place = content_path(store, name).ok_or(ErrorKind::InvalidInput)?;
        let folder = place.parent().unwrap_or(store);
        fs::create_dir_all(folder)?;
        Ok(Self {
            name: name.to_owned(),
            draft: tempfile::NamedTempFile::new_in(folder)?,
            place,
            hasher: blake3::Hasher::new(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.draft.write_all(bytes)
    }

    /// All bytes are there: the content becomes visible, if it is what its name says.
    ///
    /// # Errors
    /// `InvalidData` for other bytes; else the system's.
    pub fn finish(self) -> io::Result<()> {
        let executable = self.name.ends_with('x');
        if self.hasher.finalize().to_hex().as_str() != self.name.trim_end_matches('x') {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "other bytes than were sent",
            ));
        }
        // Data is read in place, by all trials: none may change it for the others.
        set_mode(self.draft.path(), if executable { 0o555 } else { 0o444 })?;
        self.draft.persist(&self.place).map_err(|error| error.error)?;
        Ok(())
    }
}

/// The tree of the snapshot `id` in `store`, if it is there.
pub fn tree(store: &Path, id: &str) -> Option<PathBuf> {
    let legal = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let folder = store.join("snapshots").join(id);
    (legal && folder.is_dir()).then_some(folder)
}

/// Puts the tree of a snapshot together from contents that are in `store`.
///
/// # Errors
/// [`SnapshotError::Store`], also for a manifest that is not that of `id` or leads out of the tree.
pub fn assemble(store: &Path, id: &str, files: &[ManifestEntry]) -> Result<PathBuf, SnapshotError> {
    let folder = store.join("snapshots").join(id);
    let inside = |entry: &ManifestEntry| {
        let mut parts = Path::new(&entry.path).components();
        !entry.path.is_empty()
            && parts.all(|part| matches!(part, Component::Normal(_)))
            && content_path(store, &entry.hash).is_some()
    };
    if manifest_id(files) != id || !files.iter().all(inside) {
        return Err(SnapshotError::Store {
            path: folder,
            source: io::Error::new(ErrorKind::InvalidData, "the list of files is damaged"),
        });
    }
    if !folder.is_dir() {
        materialise(files, &store.join("blobs"), &folder)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_put_together_elsewhere_and_nothing_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let (source, here, there) = (
            folder.path().join("s"),
            folder.path().join("h"),
            folder.path().join("t"),
        );
        fs::create_dir_all(source.join("sub")).unwrap();
        fs::write(source.join("sub/a.txt"), "same").unwrap();
        fs::write(source.join("b.txt"), "other").unwrap();
        let taken = super::super::take(&source, &here).unwrap();
        let files = manifest(&taken.folder).unwrap();
        assert_eq!(files.len(), 2);
        assert!(
            assemble(&there, &taken.id, &files).is_err(),
            "contents are missing"
        );
        for entry in &files {
            let name = content_name(entry);
            let bytes = fs::read(content_path(&here, &name).unwrap()).unwrap();
            let mut wrong = Incoming::begin(&there, &name).unwrap();
            wrong.push(b"x").unwrap();
            assert_eq!(wrong.finish().unwrap_err().kind(), ErrorKind::InvalidData);
            let mut incoming = Incoming::begin(&there, &name).unwrap();
            incoming.push(&bytes).unwrap();
            incoming.finish().unwrap();
        }
        let tree = assemble(&there, &taken.id, &files).unwrap();
        assert_eq!(fs::read_to_string(tree.join("sub/a.txt")).unwrap(), "same");
        let mut out = files.clone();
        out[0].path = "../../b.txt".into();
        let id = manifest_id(&out);
        assert!(assemble(&there, &id, &out).is_err());
        assert!(Incoming::begin(&there, "../../x").is_err());
    }
}
