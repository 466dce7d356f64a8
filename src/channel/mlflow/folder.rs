//! Files below one folder, by names that come from outside: opened step by step beneath a directory handle, never through a link.

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The parts of a relative path, or `None` if it could lead out: `..`, NUL, nothing left, longer than a file system takes.
pub(super) fn parts(path: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let fine = |part: &&str| *part != ".." && part.len() <= 255 && !part.contains('\0');
    (!parts.is_empty() && parts.len() <= 64 && parts.iter().all(fine)).then_some(parts)
}

/// One entry of a listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Bare name.
    pub(super) name: String,
    /// Size in bytes; `None` for a folder.
    pub(super) size: Option<u64>,
}

/// A folder.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

/// A file being written; visible under its name only after [`Draft::keep`].
pub(super) struct Draft {
    folder: OwnedFd,
    temporary: String,
    name: String,
    /// Where to write.
    pub(super) file: File,
    kept: bool,
}

impl Draft {
    /// Gives the file its name.
    pub(super) fn keep(mut self) -> io::Result<()> {
        rustix::fs::renameat(&self.folder, &self.temporary, &self.folder, &self.name)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed stays as a hidden file.
            let _ = rustix::fs::unlinkat(&self.folder, &self.temporary, AtFlags::empty());
        }
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Folder {
    /// A folder, made when something is written.
    pub(super) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its path.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn descend(&self, parts: &[&str], make: bool) -> io::Result<OwnedFd> {
        if make {
            std::fs::create_dir_all(&self.root)?;
        }
        let mut folder = rustix::fs::open(&self.root, FOLDER, Mode::empty())?;
        for part in parts {
            if make {
                match rustix::fs::mkdirat(&folder, *part, Mode::from_raw_mode(0o700)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            folder = rustix::fs::openat(&folder, *part, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(folder)
    }

    /// Begins a file; folders on the way are made.
    pub(super) fn create(&self, parts: &[&str]) -> io::Result<Draft> {
        let Some((name, folders)) = parts.split_last() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let folder = self.descend(folders, true)?;
        let temporary = format!(".{}", uuid::Uuid::new_v4().simple());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, &temporary, flags, Mode::from_raw_mode(0o600))?;
        Ok(Draft {
            folder,
            temporary,
            name: (*name).to_owned(),
            file: File::from(file),
            kept: false,
        })
    }

    /// Opens a plain file for reading.
    pub(super) fn open(&self, parts: &[&str]) -> io::Result<File> {
        let Some((name, folders)) = parts.split_last() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let folder = self.descend(folders, false)?;
        // NONBLOCK: a pipe that was put there must not hold the thread.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(&folder, *name, flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// Entries of a folder in order of their names, at most 10,000; hidden ones are left out. Empty if there is no such folder.
    pub(super) fn list(&self, parts: &[&str]) -> io::Result<Vec<Entry>> {
        let folder = match self.descend(parts, false) {
            Ok(folder) => folder,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&folder)?.take(10_000) {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let size = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => None,
                FileType::RegularFile => Some(u64::try_from(stat.st_size).unwrap_or(0)),
                _ => continue,
            };
            entries.push(Entry { name, size });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn names_that_lead_out_are_refused() {
        for path in ["", "/", "..", "a/../../b", "a/\0", ".", "../x", &"a/".repeat(65)] {
            assert_eq!(parts(path), None, "{path:?}");
        }
        assert_eq!(parts("/a//./b.txt"), Some(vec!["a", "b.txt"]));
        assert_eq!(parts("..."), Some(vec!["..."]));
    }

    #[test]
    fn a_link_is_never_followed() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let inside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), inside.path().join("file")).unwrap();
        let folder = Folder::new(inside.path());
        assert!(folder.open(&["link", "secret"]).is_err());
        assert!(folder.open(&["file"]).is_err());
        assert!(folder.create(&["link", "new"]).is_err());
        assert!(!outside.path().join("new").exists());
        assert!(folder.list(&["link"]).is_err() || folder.list(&["link"]).unwrap().is_empty());
        assert!(folder.list(&[]).unwrap().is_empty());
        // Writing over a link replaces the link.
        let mut draft = folder.create(&["file"]).unwrap();
        draft.file.write_all(b"new").unwrap();
        draft.keep().unwrap();
        assert_eq!(
            std::fs::read_to_string(outside.path().join("secret")).unwrap(),
            "s"
        );
        let mut text = String::new();
        folder.open(&["file"]).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "new");
    }

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let inside = tempfile::tempdir().unwrap();
        let folder = Folder::new(inside.path().join("made/later"));
        drop(folder.create(&["a", "b"]).unwrap());
        assert!(folder.list(&["a"]).unwrap().is_empty());
        assert_eq!(
            folder.list(&[]).unwrap(),
            [Entry {
                name: "a".into(),
                size: None
            }]
        );
        assert!(folder.open(&["a"]).is_err());
    }
}
