//! Journal files, read from offsets, with a bounded number of open descriptors.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Most journals open at a time; beyond it the one not read for longest is closed.
const OPEN_MAX: usize = 256;

/// Most bytes taken from one journal in one round, so that a flood neither starves the others nor
/// makes one commit long.
const ROUND_BYTES: usize = 256 << 10;

/// Open journals by folder.
#[derive(Default)]
pub(in crate::target) struct Readers {
    open: HashMap<PathBuf, (File, u64)>,
    round: u64,
}

impl Readers {
    /// The bytes of the journal from `offset` on.
    pub(in crate::target) fn read(&mut self, folder: &Path, offset: u64) -> io::Result<Vec<u8>> {
        self.round += 1;
        if !self.open.contains_key(folder) {
            if self.open.len() >= OPEN_MAX {
                self.close_oldest();
            }
            let file = File::open(folder.join("journal"))?;
            self.open.insert(folder.to_owned(), (file, 0));
        }
        let Some((file, used)) = self.open.get_mut(folder) else {
            return Ok(Vec::new());
        };
        *used = self.round;
        // The size says how much to ask for: mostly nothing, and then no buffer is needed.
        let length = file.metadata()?.len().saturating_sub(offset);
        let wanted = usize::try_from(length).unwrap_or(ROUND_BYTES).min(ROUND_BYTES);
        let mut bytes = vec![0; wanted];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.open.remove(folder);
                    return Err(error);
                }
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Closes the journal; the next read opens it anew (network file systems show new bytes only then).
    pub(in crate::target) fn forget(&mut self, folder: &Path) {
        self.open.remove(folder);
    }

    fn close_oldest(&mut self) {
        let oldest = self
            .open
            .iter()
            .min_by_key(|(_, (_, used))| *used)
            .map(|(folder, _)| folder.clone());
        if let Some(folder) = oldest {
            self.open.remove(&folder);
        }
    }
}
