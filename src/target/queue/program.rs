//! This program where every node of a cluster sees it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Installed at most once by a process.
#[derive(Default)]
pub(super) struct Program(Mutex<Option<PathBuf>>);

impl Program {
    /// `from` in the folder `bin` of `scratch`, under the hash of its content, so that a newer one is in nobody's way.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub(super) fn installed(&self, from: &Path, scratch: &Path) -> Result<PathBuf, String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = &*known {
            return Ok(place.clone());
        }
        let text = |error: std::io::Error| format!("{}: {error}", from.display());
        let mut file = File::open(from).map_err(text)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file).map_err(text)?;
        let hash: String = hasher.finalize().to_hex().chars().take(32).collect();
        let folder = scratch.join("bin");
        let place = folder.join(hash);
        if !place.exists() {
            fs::create_dir_all(&folder).map_err(text)?;
            let draft = tempfile::NamedTempFile::new_in(&folder).map_err(text)?;
            fs::copy(from, draft.path()).map_err(text)?;
            draft.persist(&place).map_err(|error| text(error.error))?;
        }
        *known = Some(place.clone());
        Ok(place)
    }
}
