//! The folder from which workers take attempts.
//!
//! Attempts are files in `queue/`, named so that the oldest trial comes first, with the attempt's folder as content; whoever moves
//! one to `taken/`, or to a folder of its own below that, executes it. `stop` tells workers that nothing more will come.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// File in an attempt's folder by which a worker says that the attempt's runner is gone, and how.
pub(in crate::target) const ENDED: &str = "ended";

/// The tray of one sweep.
pub(in crate::target) struct Tray {
    folder: PathBuf,
}

impl Tray {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it lies.
    pub(in crate::target) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Text that no other sweep's tray has.
    pub(in crate::target) fn hash(&self) -> String {
        let hash = blake3::hash(self.folder.as_os_str().as_bytes()).to_hex();
        hash.chars().take(16).collect()
    }

    /// Makes its folders.
    ///
    /// # Errors
    /// The file system's.
    pub(in crate::target) fn make(&self) -> io::Result<()> {
        fs::create_dir_all(self.folder.join("queue"))?;
        fs::create_dir_all(self.folder.join("taken"))
    }

    /// Puts an attempt where a worker will take it; one that lies there or was taken is not put there twice.
    ///
    /// # Errors
    /// The file system's, in words.
    pub(in crate::target) fn put(&self, attempt: &Path, name: &str) -> Result<(), String> {
        let put = || -> io::Result<()> {
            self.make()?;
            match fs::remove_file(self.folder.join("stop")) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            if self.has(name) {
                return Ok(());
            }
            let queue = self.folder.join("queue");
            let draft = queue.join(format!(".{name}"));
            fs::write(&draft, attempt.as_os_str().as_bytes())?;
            fs::rename(&draft, queue.join(sortable(name)))
        };
        put().map_err(|error| format!("{}: {error}", self.folder.display()))
    }

    /// Whether an attempt is in the hands of a worker, or of the next.
    pub(in crate::target) fn has(&self, name: &str) -> bool {
        let entry = sortable(name);
        let taken = self.folder.join("taken");
        // In the order in which it is moved.
        self.folder.join("queue").join(&entry).exists()
            || taken.join(&entry).exists()
            || fs::read_dir(&taken)
                .into_iter()
                .flatten()
                .filter_map(Result::ok)
                .any(|worker| worker.path().join(&entry).exists())
    }

    /// Tells workers that nothing more will come.
    pub(in crate::target) fn stop(&self) {
        // They end by themselves a little later otherwise.
        let _ = fs::write(self.folder.join("stop"), "");
    }
}

/// A name in the order of trials: `od-7-0-ab` becomes `000000007.od-7-0-ab`.
fn sortable(name: &str) -> String {
    let trial: u64 = name
        .split('-')
        .nth(1)
        .and_then(|trial| trial.parse().ok())
        .unwrap_or(0);
    format!("{trial:09}.{name}")
}

/// The name that [`sortable`] was given.
pub(in crate::target) fn unsortable(entry: &str) -> String {
    entry.split_once('.').map_or(entry, |(_, name)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_lies_there_whole_in_order_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let tray = Tray::new(folder.path().join("s"));
        for trial in [10, 9] {
            let attempt = PathBuf::from(format!("/p/trials/{trial}/0-ab"));
            tray.put(&attempt, &format!("od-{trial}-0-ab")).unwrap();
        }
        let queue = folder.path().join("s/queue");
        let names = || {
            let mut names: Vec<_> = fs::read_dir(&queue)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let all = names();
        assert_eq!(all, ["000000009.od-9-0-ab", "000000010.od-10-0-ab"]);
        assert_eq!(unsortable(&all[0]), "od-9-0-ab");
        assert_eq!(
            fs::read_to_string(queue.join(&all[0])).unwrap(),
            "/p/trials/9/0-ab"
        );
        let taken = folder.path().join("s/taken");
        fs::rename(queue.join(&all[0]), taken.join(&all[0])).unwrap();
        fs::create_dir(taken.join("worker")).unwrap();
        fs::rename(queue.join(&all[1]), taken.join("worker").join(&all[1])).unwrap();
        for trial in [9, 10] {
            let name = format!("od-{trial}-0-ab");
            assert!(tray.has(&name));
            tray.put(Path::new("/p"), &name).unwrap();
        }
        assert!(names().is_empty(), "what was taken is not put there again");
        assert!(!tray.has("od-8-0-ab"));
    }
}
