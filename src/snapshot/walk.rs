//! Which files of a source folder belong to its snapshot.

use crate::snapshot::SnapshotError;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Deepest nesting of folders that is followed.
const DEPTH_MAX: usize = 64;

/// A file that belongs to the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// Where it lies.
    pub path: PathBuf,
    /// Path below the root, `/` as separator.
    pub relative: String,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// Result of [`walk`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// In order of their relative path.
    pub files: Vec<Included>,
    /// What was left out and why, other than by the ignore file.
    pub notes: Vec<String>,
}

/// Lists the files below `root` that belong to its snapshot. Symbolic links are followed (also out of the root), loops and special
/// files are left out with a note; overdrive's own `.overdrive` and `.git` never belong.
///
/// # Errors
/// If the root cannot be read or its ignore file has a pattern that cannot be understood.
pub fn walk(root: &Path) -> Result<Walk, SnapshotError> {
    let rules = rules(root)?;
    let mut result = Walk::default();
    let metadata = fs::metadata(root).and_then(|_| fs::read_dir(root).map(drop));
    metadata.map_err(|source| SnapshotError::Source {
        path: root.to_path_buf(),
        source,
    })?;
    let mut ancestors = HashSet::new();
    visit(root, "", &rules, &mut ancestors, &mut result);
    result.files.sort_by(|a, b| a.relative.cmp(&b.relative));
    Ok(result)
}

/// The named files below `root`.
pub(super) fn named(root: &Path, names: &[String]) -> Result<Walk, SnapshotError> {
    let mut result = Walk::default();
    for name in names {
        let path = root.join(name);
        let metadata = fs::metadata(&path).map_err(|source| SnapshotError::Source {
            path: path.clone(),
            source,
        })?;
        let executable = metadata.permissions().mode() & 0o100 != 0;
        result.files.push(Included {
            path,
            relative: name.clone(),
            executable,
        });
    }
    Ok(result)
}

fn rules(root: &Path) -> Result<Gitignore, SnapshotError> {
    for name in [".amlignore", ".gitignore"] {
        let path = root.join(name);
        if path.is_file() {
            let mut builder = GitignoreBuilder::new(root);
            if let Some(error) = builder.add(&path) {
                return Err(SnapshotError::Ignore {
                    path,
                    reason: error.to_string(),
                });
            }
            return builder.build().map_err(|error| SnapshotError::Ignore {
                path,
                reason: error.to_string(),
            });
        }
    }
    Ok(Gitignore::empty())
}

fn visit(
    folder: &Path,
    below: &str,
    rules: &Gitignore,
    ancestors: &mut HashSet<(u64, u64)>,
    result: &mut Walk,
) {
    let shown = if below.is_empty() { "." } else { below };
    let identity = match fs::metadata(folder) {
        Ok(metadata) => (metadata.dev(), metadata.ino()),
        Err(error) => {
            result.notes.push(format!("left out `{shown}`: {error}"));
            return;
        }
    };
    if ancestors.len() >= DEPTH_MAX {
        result.notes.push(format!(
            "left out `{shown}`: nested deeper than {DEPTH_MAX} folders"
        ));
        return;
    }
    if !ancestors.insert(identity) {
        result.notes.push(format!(
            "left out `{shown}`: a link that leads back to a folder around it"
        ));
        return;
    }
    match fs::read_dir(folder) {
        Ok(entries) => {
            let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                visit_entry(&entry.path(), below, rules, ancestors, result);
            }
        }
        Err(error) => result.notes.push(format!("left out `{shown}`: {error}")),
    }
    ancestors.remove(&identity);
}

fn visit_entry(
    path: &Path,
    below: &str,
    rules: &Gitignore,
    ancestors: &mut HashSet<(u64, u64)>,
    result: &mut Walk,
) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        result.notes.push(format!(
            "left out `{}`: its name is not UTF-8",
            path.to_string_lossy()
        ));
        return;
    };
    if name == ".overdrive" || name == ".git" {
        return;
    }
    let relative = if below.is_empty() {
        name.to_owned()
    } else {
        format!("{below}/{name}")
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            if !rules.matched_path_or_any_parents(&relative, false).is_ignore() {
                result.notes.push(format!("left out `{relative}`: {error}"));
            }
            return;
        }
    };
    if metadata.is_dir() {
        // Not pruned by the rules: a later pattern may rescue a file below an excluded folder.
        visit(path, &relative, rules, ancestors, result);
    } else if !rules.matched_path_or_any_parents(&relative, false).is_ignore() {
        if metadata.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            result.files.push(Included {
                path: path.to_path_buf(),
                relative,
                executable,
            });
        } else {
            result
                .notes
                .push(format!("left out `{relative}`: not a regular file"));
        }
    }
}
