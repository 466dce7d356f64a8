//! The agent: overdrive on another machine, at the other end of a line (`overdrive agent ROOT`, hidden).
//!
//! It starts runners, tells what their journals and logs say, brings cancels, keeps snapshots and environments, and sends home what
//! trials left. It holds no state that matters: when the line is cut it ends, runners go on, and the next agent finds them by
//! what lies in their folders. See `docs/design/remote.md`.

pub(in crate::target) mod pieces;
pub mod protocol;
mod prune;
mod serve;
mod stock;

pub use serve::main;

use std::path::{Path, PathBuf};

/// Name of an attempt on all machines: the last parts of its folder, without what a path there could be confused by.
pub fn run_of(folder: &Path) -> String {
    let mut parts = folder.iter().rev().map(|part| escaped(part.as_encoded_bytes()));
    let mut part = || parts.next().unwrap_or_else(|| "_".into());
    let (attempt, trial, _, sweep) = (part(), part(), part(), part());
    format!("{sweep}/{trial}/{attempt}")
}

/// Bytes other than letters, digits, `_`, `-` and inner dots as `%XX`.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'.' if index > 0 => text.push('.'),
            byte if byte.is_ascii_alphanumeric() || b"_-".contains(byte) => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The folder of an attempt below `root`; `None` if `run` is no name that [`run_of`] gives.
pub(super) fn folder_of(root: &Path, run: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = run.split('/').collect();
    let legal = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.%".contains(&byte))
    };
    (parts.len() == 3 && parts.iter().all(legal)).then(|| root.join("runs").join(run))
}

/// The folder of an attempt on a machine whose root is `root`.
pub fn place_of(root: &Path, folder: &Path) -> PathBuf {
    root.join("runs").join(run_of(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attempts_stay_below_their_root() {
        let run = run_of(Path::new("/p/.overdrive/sweeps/my exp/../_1/trials/3/0-ab12"));
        assert_eq!(run, "_1/3/0-ab12");
        let run = run_of(Path::new("/p/sweeps/caf\u{e9} 1/trials/3/0-ab12"));
        assert_eq!(run, "caf%C3%A9%201/3/0-ab12");
        assert_eq!(
            folder_of(Path::new("/r"), &run).unwrap(),
            Path::new("/r/runs").join(&run)
        );
        for run in [
            "../../etc",
            "a/b",
            "a/../c",
            "a//c",
            "a/b/c/d",
            "/a/b",
            "a/b/.c",
            "a/b/c\n",
        ] {
            assert_eq!(folder_of(Path::new("/r"), run), None, "{run}");
        }
    }
}
