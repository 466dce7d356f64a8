//! The readers' only window to the outside: whoever calls them says how files are read.

use std::path::{Path, PathBuf};

/// Read access to the user's files. Relative paths are relative to the caller's working directory.
pub trait Files {
    /// The text of a file, `None` if there is none at that path (or a folder). A byte-order mark is kept.
    ///
    /// # Errors
    /// One line for people when the file is there but cannot be read (permissions, no UTF-8).
    fn read(&self, path: &Path) -> Result<Option<String>, String>;

    /// Whether a file or a folder is there.
    fn exists(&self, path: &Path) -> bool;

    /// Whether a folder is there.
    fn is_folder(&self, path: &Path) -> bool;

    /// The files directly in `folder`, names only, sorted; empty if there is no such folder.
    fn names(&self, folder: &Path) -> Vec<String>;

    /// The files anywhere below `folder`, as paths relative to it, sorted. Hidden folders but `.azureml` may be left out, and
    /// the walk may end after some ten thousand files.
    fn walk(&self, folder: &Path) -> Vec<PathBuf>;

    /// The absolute path, without `.` and `..` where that needs no look at links.
    fn absolute(&self, path: &Path) -> PathBuf;
}

/// `path` below `folder` with `.` and `..` resolved by their letters only; absolute paths stay.
pub(crate) fn join(folder: &Path, path: &str) -> PathBuf {
    use std::path::Component;
    let mut joined = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match joined.components().next_back() {
                Some(Component::Normal(_)) => {
                    joined.pop();
                }
                Some(Component::RootDir) => {}
                _ => joined.push(".."),
            },
            other => joined.push(other),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::join;
    use std::path::Path;

    #[test]
    fn joins_by_letters() {
        for (folder, path, expected) in [
            ("a/b", "../c", "a/c"),
            ("a", "./x/../y.py", "a/y.py"),
            ("", "../../c", "../../c"),
            ("/a", "../../c", "/c"),
            ("a", "/b", "/b"),
            (".", "x", "x"),
        ] {
            assert_eq!(
                join(Path::new(folder), path),
                Path::new(expected),
                "{folder} {path}"
            );
        }
    }
}
