//! Makes the folders of an attempt, and the working folder from the snapshot.

use rustix::fs::ioctl_ficlone;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Copies the content of `from` into the new folder `to`: regular files (shared blocks where the file system can, else bytes),
/// folders, links as they are. Permission bits are kept, set-user-id and the like are not, and the owner can always write: hard
/// links would let a script that writes in place change the snapshot of all other trials. Pipes, sockets and devices are left out.
///
/// # Errors
/// The path and the system's error.
pub(super) fn materialize(from: &Path, to: &Path) -> Result<(), (PathBuf, io::Error)> {
    let mut can_clone = true;
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = folders.pop() {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| (path, error)
        };
        let mode = fs::metadata(&from).map_err(failed(&from))?.permissions().mode();
        match DirBuilder::new().mode((mode & 0o777) | 0o700).create(&to) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.map_err(failed(&to))?,
        }
        for entry in fs::read_dir(&from).map_err(failed(&from))? {
            let entry = entry.map_err(failed(&from))?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            let kind = entry.file_type().map_err(failed(&source))?;
            if kind.is_dir() {
                folders.push((source, target));
            } else if kind.is_symlink() {
                let link = fs::read_link(&source).map_err(failed(&source))?;
                symlink(link, &target).map_err(failed(&target))?;
            } else if kind.is_file() {
                copy(&source, &target, &mut can_clone).map_err(failed(&source))?;
            }
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, can_clone: &mut bool) -> io::Result<()> {
    let mut source = File::open(from)?;
    let details = source.metadata()?;
    let mode = (details.permissions().mode() & 0o777) | 0o200;
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(to)?;
    if !*can_clone || ioctl_ficlone(&target, &source).is_err() {
        // One refusal is enough: it depends on the file system, not on the file.
        *can_clone = false;
        io::copy(&mut source, &mut target)?;
    }
    // What the script writes is told from its sources by this time.
    target.set_modified(details.modified()?)
}

/// Makes a folder with its parents; one that exists is fine.
pub(super) fn ensure(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir_all(folder),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_modes_links_and_odd_names_but_shares_no_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("snapshot");
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::write(from.join("a/b/new\nline é"), "text").unwrap();
        fs::write(from.join("run.sh"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(from.join("run.sh"), fs::Permissions::from_mode(0o4555)).unwrap();
        symlink("a/b", from.join("link")).unwrap();
        symlink("/nowhere", from.join("broken")).unwrap();
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            from.join("pipe"),
            rustix::fs::Mode::from_raw_mode(0o600),
        )
        .unwrap();
        let to = folder.path().join("wd");
        materialize(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("link/new\nline é")).unwrap(), "text");
        assert_eq!(
            fs::metadata(to.join("run.sh")).unwrap().permissions().mode() & 0o7777,
            0o755
        );
        assert_eq!(fs::read_link(to.join("broken")).unwrap(), Path::new("/nowhere"));
        assert!(!to.join("pipe").exists());
        fs::write(to.join("run.sh"), "changed").unwrap();
        assert_eq!(fs::read_to_string(from.join("run.sh")).unwrap(), "#!/bin/sh\n");
    }

    #[test]
    fn a_missing_snapshot_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (path, error) = materialize(&folder.path().join("none"), &folder.path().join("wd")).unwrap_err();
        assert!(path.ends_with("none"));
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
