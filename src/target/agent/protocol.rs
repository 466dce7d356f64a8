//! What a controller and the agent on another machine say to each other: frames of a JSON head and raw bytes.
//!
//! A frame is two little-endian 32-bit lengths, the head as JSON, the body. The agent's side begins with [`GREETING`], since login
//! shells may print anything before it.

use crate::config::EnvironmentSpec;
use crate::runner::AttemptSpec;
use crate::snapshot::ManifestEntry;
use crate::target::Liveness;
use crate::target::ray::RayOptions;
use crate::target::slurm::SlurmOptions;
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;

/// First bytes of the agent.
pub const GREETING: &[u8] = b"\nOVERDRIVE-AGENT-1\n";

/// Most bytes that may come before the greeting.
const CHATTER_MAX: usize = 256 << 10;

/// Largest head; a manifest of 100,000 files is about 20 MB.
const HEAD_MAX: usize = 64 << 20;

/// Largest body.
pub const BODY_MAX: usize = 1 << 20;

/// What starts runners on the agent's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Starter {
    /// The agent itself, as processes beside it.
    Process,
    /// A Slurm cluster, whose nodes see the agent's folder.
    Slurm {
        /// How jobs are submitted.
        options: Box<SlurmOptions>,
    },
    /// A Ray cluster, whose nodes see the agent's folder.
    Ray {
        /// How jobs are submitted.
        options: Box<RayOptions>,
    },
}

/// From the controller. `run` names an attempt: `SWEEP/TRIAL/ATTEMPT-NONCE`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// First of all.
    Hello {
        /// Sweep that is led.
        sweep: String,
        /// What starts runners.
        starter: Starter,
    },
    /// Which of these contents are missing there? Answered by [`Found::Lacks`].
    Have {
        /// Number of the question.
        id: u64,
        /// Names of contents: hash, and `x` if executable.
        blobs: Vec<String>,
    },
    /// Part of a content in the body, in order.
    Blob {
        /// Its name.
        name: String,
        /// Nothing follows.
        last: bool,
    },
    /// Build the tree of a snapshot from contents. Answered by [`Found::Folder`].
    Snapshot {
        /// Number of the question.
        id: u64,
        /// Id of the snapshot.
        snapshot: String,
        /// Its files; empty = only if it is there already.
        files: Vec<ManifestEntry>,
    },
    /// Build an environment, or find it. Answered by [`Found::Environment`].
    Environment {
        /// Number of the question.
        id: u64,
        /// What is in it.
        spec: Box<EnvironmentSpec>,
        /// Snapshot against which its files are resolved.
        snapshot: Option<String>,
    },
    /// Start an attempt, unless it is claimed.
    Submit {
        /// Attempt.
        run: String,
        /// Everything its runner needs.
        spec: Box<AttemptSpec>,
    },
    /// Tell what comes of an attempt.
    Follow {
        /// Attempt.
        run: String,
        /// From this byte of the journal on.
        journal: u64,
        /// From this byte of the log on.
        log: u64,
        /// The attempt's folder here, for an agent that works on this side of the line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        home: Option<PathBuf>,
    },
    /// End an attempt, or keep it from starting.
    Cancel {
        /// Attempt.
        run: String,
    },
    /// Take a cancel back, as far as that is possible.
    Withdraw {
        /// Attempt.
        run: String,
    },
    /// Remove what nobody needs any more. Answered by [`Found::Pruned`].
    Prune {
        /// Number of the question.
        id: u64,
        /// What was used within so many seconds stays.
        age_seconds: u64,
        /// Only say what would be removed.
        dry: bool,
    },
    /// Send what the attempt left, in an order that stays the same.
    Collect {
        /// Attempt.
        run: String,
        /// How many pieces are home already.
        skip: u64,
        /// How many bytes of the log are.
        log: u64,
    },
    /// The attempt is over for the controller.
    Forget {
        /// Attempt.
        run: String,
        /// Its folder is home and can go.
        delete: bool,
    },
    /// End what a lost runner left running.
    Orphans {
        /// Attempt.
        run: String,
        /// Its random text.
        nonce: String,
    },
    /// Say something.
    Ping,
}

/// From the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "snake_case")]
pub enum Answer {
    /// First of all.
    Hello(Machine),
    /// The answer to a question with a number.
    Found {
        /// Of the question.
        id: u64,
        /// What was found, or why nothing was.
        found: Result<Found, String>,
    },
    /// What goes on while something is built.
    Progress {
        /// One line.
        line: String,
    },
    /// Bytes of a journal in the body.
    Journal {
        /// Attempt.
        run: String,
        /// Where they begin.
        offset: u64,
    },
    /// Bytes of a log in the body.
    Log {
        /// Attempt.
        run: String,
        /// Where they begin.
        offset: u64,
    },
    /// What is known of a runner; all of its journal up to then was sent.
    Life {
        /// Attempt.
        run: String,
        /// What.
        life: Liveness,
    },
    /// A piece of what an attempt left; its path below the attempt's folder is the body.
    Piece {
        /// Attempt.
        run: String,
        /// What it is.
        piece: Piece,
    },
    /// Bytes of the last piece.
    Data {
        /// Attempt.
        run: String,
    },
    /// All pieces were sent.
    Collected {
        /// Attempt.
        run: String,
    },
    /// Something that people should know.
    Notice {
        /// One sentence.
        message: String,
    },
    /// Something.
    Pong,
    /// What was asked takes its time.
    Busy,
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Contents that are missing.
    Lacks(Vec<String>),
    /// The tree of a snapshot; `None` = it is not there.
    Folder(Option<PathBuf>),
    /// An environment.
    Environment(Environment),
    /// What was removed.
    Pruned(Pruned),
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Folders of attempts.
    pub attempts: u64,
    /// Folders of sweeps without any attempt.
    pub sweeps: u64,
    /// Trees of snapshots.
    pub snapshots: u64,
    /// Python environments.
    pub environments: u64,
    /// Builds of overdrive.
    pub programs: u64,
    /// Bytes of all of it, of contents of snapshots too.
    pub bytes: u64,
}

/// An environment on the agent's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Its interpreter.
    pub interpreter: PathBuf,
    /// The container in which it lies.
    #[serde(default)]
    pub container: Option<Box<crate::container::Container>>,
    /// Folders to put first on `PATH`.
    pub path_prepend: Vec<PathBuf>,
    /// Variables to set.
    pub variables: IndexMap<String, String>,
    /// What people should know.
    pub notes: Vec<String>,
}

/// What a piece is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// A folder.
    Folder,
    /// A file whose bytes follow.
    File {
        /// Permission bits.
        mode: u32,
        /// Where its bytes begin; 0 but for the log.
        offset: u64,
    },
    /// A link.
    Link {
        /// Where it points to.
        to: Vec<u8>,
    },
}

/// The agent's machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Version of the agent.
    pub version: String,
    /// Host name.
    pub host: String,
    /// Boot id.
    pub boot_id: String,
    /// Where everything lies there.
    pub root: PathBuf,
    /// Where runners ring.
    pub doorbell: PathBuf,
    /// Cores that may be used.
    pub cores: u64,
    /// GPUs that may be used.
    pub devices: Vec<String>,
}

/// Writes one frame.
///
/// # Errors
/// The system's.
pub fn write<T: Serialize>(to: &mut impl Write, head: &T, body: &[u8]) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    let length =
        |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| io::Error::from(ErrorKind::InvalidInput));
    let mut frame = Vec::with_capacity(8 + head.len() + body.len());
    frame.extend_from_slice(&length(&head)?.to_le_bytes());
    frame.extend_from_slice(&length(body)?.to_le_bytes());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(body);
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one frame.
///
/// # Errors
/// `UnexpectedEof` at the end; `InvalidData` for what is no frame.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<(T, Vec<u8>)> {
    let mut lengths = [0; 8];
    from.read_exact(&mut lengths)?;
    let [a, b, c, d, e, f, g, h] = lengths;
    let head = u32::from_le_bytes([a, b, c, d]) as usize;
    let body = u32::from_le_bytes([e, f, g, h]) as usize;
    if head > HEAD_MAX || body > BODY_MAX {
        return Err(io::Error::new(ErrorKind::InvalidData, "no frame of an agent"));
    }
    let mut bytes = vec![0; head];
    from.read_exact(&mut bytes)?;
    let head = serde_json::from_slice(&bytes)?;
    let mut bytes = vec![0; body];
    from.read_exact(&mut bytes)?;
    Ok((head, bytes))
}

/// Reads up to and including the greeting.
///
/// # Errors
/// `UnexpectedEof` if it ends before; `InvalidData` if too much comes before; both with what came instead.
pub fn skip_to_greeting(from: &mut impl Read) -> io::Result<()> {
    let mut seen: Vec<u8> = Vec::new();
    let mut byte = [0];
    loop {
        match from.read(&mut byte) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, chatter(&seen))),
            Ok(_) => seen.extend_from_slice(&byte),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if seen.ends_with(GREETING) {
            return Ok(());
        }
        if seen.len() > CHATTER_MAX {
            return Err(io::Error::new(ErrorKind::InvalidData, chatter(&seen)));
        }
    }
}

/// The last line that is not blank.
fn chatter(seen: &[u8]) -> String {
    let text = String::from_utf8_lossy(seen);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or_default().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_chatter_is_skipped() {
        let mut bytes = b"Welcome to the machine\n".to_vec();
        bytes.extend_from_slice(GREETING);
        let request = Answer::Log {
            run: "s/1/0-a".into(),
            offset: 7,
        };
        write(&mut bytes, &request, b"\0\xff").unwrap();
        let mut from = bytes.as_slice();
        skip_to_greeting(&mut from).unwrap();
        assert_eq!(read::<Answer>(&mut from).unwrap(), (request, b"\0\xff".to_vec()));
        assert_eq!(
            read::<Answer>(&mut from).unwrap_err().kind(),
            ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn what_is_no_agent_is_quoted() {
        let error = skip_to_greeting(&mut "This account is locked.\n\n".as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "This account is locked.");
        let error = read::<Answer>(&mut b"HTTP/1.1 400 Bad Request".as_slice()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
