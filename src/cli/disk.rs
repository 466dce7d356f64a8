//! The user's files as the readers of `config` see them.

use crate::config::Files;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// The disk of this machine, relative to the working directory.
pub(super) struct Disk;

/// Largest file that is read as a configuration.
const BYTES_MAX: u64 = 4 << 20;
/// Files after which a walk ends.
const WALK_MAX: usize = 10_000;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Ok(None),
            Ok(metadata) if metadata.len() > BYTES_MAX => return Err("larger than 4 MiB".into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(format!(
                "not UTF-8 from byte {} on",
                error.utf8_error().valid_up_to()
            )),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        here(path).exists()
    }

    fn is_folder(&self, path: &Path) -> bool {
        here(path).is_dir()
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(here(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.path().is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn walk(&self, folder: &Path) -> Vec<PathBuf> {
        let root = here(folder).to_path_buf();
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let path = entry.path();
                let name = entry.file_name().to_string_lossy().into_owned();
                // Links are not followed: a loop would never end.
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    if !name.starts_with('.') || name == ".azureml" {
                        folders.push(path);
                    }
                } else if let Ok(relative) = path.strip_prefix(&root) {
                    found.push(relative.to_owned());
                }
            }
            if found.len() > WALK_MAX {
                break;
            }
        }
        found.sort();
        found
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        let whole = std::path::absolute(here(path)).unwrap_or_else(|_| path.to_owned());
        let mut out = PathBuf::new();
        for component in whole.components() {
            match component {
                Component::ParentDir => {
                    out.pop();
                }
                Component::CurDir => {}
                other => out.push(other),
            }
        }
        out
    }
}

fn here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}
