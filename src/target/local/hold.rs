//! How a runner on a file system that this process sees is told to freeze its script, and to let it go on.

use super::bell;
use crate::runner::spec::FREEZE;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Asks for it, or says that it is still wanted. The file appears whole.
pub(in crate::target) fn ask(folder: &Path, request: &str) -> io::Result<()> {
    let draft = folder.join("freeze.tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(request.as_bytes())?;
    drop(file);
    fs::rename(&draft, folder.join(FREEZE))?;
    bell::ring(&folder.join("bell"));
    Ok(())
}

/// Takes it back; nothing happens if it was never asked for.
pub(in crate::target) fn take_back(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(FREEZE)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => {
            bell::ring(&folder.join("bell"));
            Ok(())
        }
    }
}
