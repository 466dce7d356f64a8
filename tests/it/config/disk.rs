//! The readers' window to the disk, and folders made for one test.

use overdrive::config::Files;
use std::path::{Path, PathBuf};

/// Reads real files.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(_) if path.is_dir() => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn walk(&self, folder: &Path) -> Vec<PathBuf> {
        fn visit(folder: &Path, below: &Path, into: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let relative = below.join(entry.file_name());
                if entry.path().is_dir() {
                    visit(&entry.path(), &relative, into);
                } else {
                    into.push(relative);
                }
            }
        }
        let mut files = Vec::new();
        visit(folder, Path::new(""), &mut files);
        files.sort();
        files
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        std::path::absolute(path).unwrap()
    }
}

/// A temporary folder with these files in it.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// A file of `tests/fixtures`.
pub fn fixture(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `severity code` of each finding, in order.
pub fn codes(found: &[overdrive::diagnostic::Diagnostic]) -> Vec<String> {
    found
        .iter()
        .map(|diagnostic| format!("{} {}", diagnostic.severity.word(), diagnostic.code))
        .collect()
}
