//! Finding interpreters and tools on a search path.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The executable called `name`: a path as it is, a plain name by the search path.
pub(super) fn find(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    if name.contains('/') {
        return std::path::absolute(name).ok().filter(|path| is_executable(path));
    }
    std::env::split_paths(search_path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The best interpreter for `python=<wanted>`: `python<major>.<minor>` if it is there, else `python3`; with its full version.
pub(super) fn for_version(wanted: Option<&str>, search_path: &OsStr) -> Option<(PathBuf, String)> {
    let exact = wanted.and_then(|wanted| {
        let mut parts = wanted.split('.');
        let name = match (parts.next(), parts.next()) {
            (Some(major), Some(minor)) => format!("python{major}.{minor}"),
            (Some(major), None) => format!("python{major}"),
            _ => return None,
        };
        find(&name, search_path).and_then(|path| version(&path).map(|version| (path, version)))
    });
    exact.or_else(|| {
        ["python3", "python"]
            .into_iter()
            .filter_map(|name| find(name, search_path))
            .find_map(|path| version(&path).map(|version| (path, version)))
    })
}

fn version(python: &Path) -> Option<String> {
    let output = Command::new(python)
        .args(["-c", "import platform; print(platform.python_version())"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Whether version `found` is of the series `wanted` as far as major and minor say (patch levels are interchangeable).
pub(super) fn satisfies(wanted: &str, found: &str) -> bool {
    let series = |text: &str| text.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    let (wanted, found) = (series(wanted), series(found));
    wanted.iter().zip(&found).all(|(a, b)| a == b || a == "*")
}
