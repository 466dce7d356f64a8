//! The reserve for a full disk: a file that is given back so that the last decisions still find room.

use super::error::StoreError;
use super::placement::free_bytes;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Size of the reserve in bytes.
pub const BALLAST_BYTES: u64 = 16 << 20;

/// The reserve beside one store.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    folder: PathBuf,
}

impl Ballast {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            path: folder.join("ballast"),
            folder: folder.to_owned(),
        }
    }

    /// Makes the reserve unless it is there. On file systems without `fallocate` there is none.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] if there is no room for it, twice its size for comfort.
    pub(crate) fn fill(&self) -> Result<(), StoreError> {
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() >= BALLAST_BYTES) {
            return Ok(());
        }
        let named = StoreError::file(&self.path);
        if free_bytes(&self.folder).map_err(StoreError::file(&self.folder))? < 2 * BALLAST_BYTES {
            return Err(StoreError::DiskFull(self.folder.clone()));
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&self.path)
            .map_err(named)?;
        match fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            Err(error) => {
                self.release();
                Err(StoreError::file(&self.path)(error.into()))
            }
        }
    }

    /// Gives the room back to whoever commits next.
    pub(crate) fn release(&self) {
        // Unlinking needs no room; a failure only means that there was no reserve.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_takes_real_room_and_gives_it_back() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(folder.path());
        ballast.fill().unwrap();
        ballast.fill().unwrap();
        assert!(fs::metadata(folder.path().join("ballast")).unwrap().blocks() * 512 >= BALLAST_BYTES);
        ballast.release();
        assert!(!folder.path().join("ballast").exists());
    }
}
