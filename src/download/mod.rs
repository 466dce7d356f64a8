//! Files that trials read from the web, fetched once for all of them.
//!
//! The bytes lie in a cache by their content, so that what a running trial reads never changes under it; a small index says which
//! content an address had last, with the marks (`ETag`, `Last-Modified`) by which the server can say that it still has it. A file
//! appears whole or not at all. Addresses are shown without their query and user part: these often are keys.

mod transfer;

pub(crate) use transfer::roots;

use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use transfer::{Answer, Marks};

/// Where fetched files go, and who is told of it.
pub struct Downloads<'a> {
    /// Cache folder (`$XDG_CACHE_HOME/overdrive/data`); made if it is not there.
    pub cache: &'a Path,
    /// Told what is being done, one line at a time.
    pub progress: &'a mut dyn FnMut(&str),
}

/// A file that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Absolute path if the cache folder's is; its last part is the last part of the address.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What people should know: the server was not reached and an older copy is used.
    pub note: Option<String>,
}

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The server answered, but not with the file.
    #[error("{address} answered {status}")]
    Refused {
        /// Address without query and user part.
        address: String,
        /// Code and its usual words: `404 Not Found`.
        status: String,
    },
    /// No answer, or none that could be understood.
    #[error("{address} cannot be reached: {reason}")]
    Unreachable {
        /// Address without query and user part.
        address: String,
        /// Why.
        reason: String,
    },
    /// The connection ended before the file did.
    #[error("{address} broke off after {got} bytes: {reason}")]
    Cut {
        /// Address without query and user part.
        address: String,
        /// Bytes that had come.
        got: u64,
        /// Why.
        reason: String,
    },
    /// The web knows no folders.
    #[error("{address} names a folder; only single files can be fetched from the web")]
    Folder {
        /// Address without query and user part.
        address: String,
    },
    /// The cache cannot be written.
    #[error("cannot keep the file in {path}: {source}")]
    Cache {
        /// File or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// What is known of an address.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    /// For people who look into the cache.
    address: String,
    /// BLAKE3 of the bytes.
    content: String,
    bytes: u64,
    name: String,
    #[serde(flatten)]
    marks: Marks,
}

impl Downloads<'_> {
    /// Makes the file behind an `http(s)` address available: from the cache if the server says that it has not changed (or cannot
    /// be reached), else by fetching it.
    ///
    /// # Errors
    /// [`DownloadError`]; nothing half-fetched is left behind.
    pub fn fetch(&mut self, address: &str) -> Result<Fetched, DownloadError> {
        let shown = shown(address);
        if shown.ends_with('/') {
            return Err(DownloadError::Folder { address: shown });
        }
        let index = self
            .cache
            .join("index")
            .join(format!("{}.json", blake3::hash(address.as_bytes()).to_hex()));
        let known = self.known(&index);
        let marks = known.as_ref().map(|known| &known.marks);
        let answer = transfer::get(address, &shown, marks, self.cache, self.progress);
        match (answer, known) {
            (Ok(Answer::Unchanged), Some(known)) => Ok(self.at(&known, None)),
            (Ok(Answer::Unchanged), None) => Err(DownloadError::Refused {
                address: shown,
                status: "304 Not Modified".into(),
            }),
            (
                Ok(Answer::File {
                    draft,
                    content,
                    bytes,
                    marks,
                }),
                _,
            ) => {
                let known = Known {
                    name: name_of(&shown),
                    address: shown,
                    content,
                    bytes,
                    marks,
                };
                self.keep(draft, &index, &known)?;
                Ok(self.at(&known, None))
            }
            // What was right for the last sweep is better than none; a server that says no is another matter.
            (Err(DownloadError::Unreachable { reason, .. }), Some(known)) => {
                let note = format!("{shown} cannot be reached ({reason}); using the copy fetched before");
                Ok(self.at(&known, Some(note)))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// What the index has on an address, if the bytes are still there.
    fn known(&self, index: &Path) -> Option<Known> {
        let known: Known = serde_json::from_slice(&fs::read(index).ok()?).ok()?;
        let there = fs::metadata(self.path_of(&known)).ok()?;
        (there.is_file() && there.len() == known.bytes).then_some(known)
    }

    fn path_of(&self, known: &Known) -> PathBuf {
        self.cache.join("content").join(&known.content).join(&known.name)
    }

    fn at(&self, known: &Known, note: Option<String>) -> Fetched {
        Fetched {
            path: self.path_of(known),
            bytes: known.bytes,
            note,
        }
    }

    /// Moves a complete draft to its place and notes where it is.
    fn keep(&self, draft: tempfile::NamedTempFile, index: &Path, known: &Known) -> Result<(), DownloadError> {
        let path = self.path_of(known);
        let fail = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DownloadError::Cache { path, source }
        };
        let is_there = fs::metadata(&path).is_ok_and(|there| there.len() == known.bytes);
        if !is_there {
            let folder = path.parent().unwrap_or(self.cache);
            fs::create_dir_all(folder).map_err(fail(folder))?;
            draft.as_file().sync_data().map_err(fail(&path))?;
            read_only(draft.as_file()).map_err(fail(&path))?;
            draft.persist(&path).map_err(|error| fail(&path)(error.error))?;
        }
        let folder = index.parent().unwrap_or(self.cache);
        fs::create_dir_all(folder).map_err(fail(folder))?;
        let mut entry = tempfile::NamedTempFile::new_in(folder).map_err(fail(folder))?;
        let text = serde_json::to_vec_pretty(known).map_err(|error| fail(index)(error.into()))?;
        entry.write_all(&text).map_err(fail(index))?;
        entry.persist(index).map_err(|error| fail(index)(error.error))?;
        Ok(())
    }
}

/// All trials read it; none should write it by accident, and nobody else may see what a key was needed for.
fn read_only(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o400))
}

/// An address without its query, fragment and user part.
pub fn shown(address: &str) -> String {
    let address = address.split(['?', '#']).next().unwrap_or(address);
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => address.to_owned(),
    }
}

/// The last part of an address as a file name that leads nowhere else; at most 200 bytes.
fn name_of(shown: &str) -> String {
    let path = shown.split_once("://").map_or(shown, |(_, rest)| rest);
    let last = path.rsplit_once('/').map_or("", |(_, last)| last);
    let name: String = last
        .chars()
        .map(|letter| {
            if letter.is_control() || letter == '\\' {
                '_'
            } else {
                letter
            }
        })
        .collect();
    if matches!(name.as_str(), "" | "." | "..") {
        return "data".to_owned();
    }
    // The end is what says of which kind it is.
    let from = name
        .char_indices()
        .map(|(at, _)| at)
        .find(|at| name.len() - at <= 200);
    name.get(from.unwrap_or(0)..).unwrap_or("data").to_owned()
}

#[cfg(test)]
mod tests;
