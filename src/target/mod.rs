//! Compute targets: where runners are started, and how their journals come back.
//!
//! A target says how to start a runner somewhere, how to read its journal, how to stop it, how to find it again. It knows
//! nothing of sweeps, policies or the store. Calls are blocking; the engine makes them from threads of its own.

pub mod agent;
pub mod batch;
mod command;
mod errand;
pub mod kind;
pub mod kubernetes;
pub mod local;
pub mod pool;
pub mod probe;
mod queue;
pub mod ray;
pub mod registry;
pub mod remote;
pub mod shell;
pub mod slurm;
pub mod spark;
pub mod ssh;

pub use local::{Bell, LocalOptions, LocalTarget};

use crate::config::EnvironmentSpec;
use crate::config::launch::SparkSubmit;
use crate::runner::AttemptSpec;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Names one attempt, everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttemptRef {
    /// Trial number.
    pub trial: u64,
    /// Attempt number.
    pub attempt: u32,
    /// Its folder on the submitting machine.
    pub folder: PathBuf,
}

/// New bytes of one journal and what is known of its runner.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Whose.
    pub attempt: AttemptRef,
    /// Bytes from the asked offset on; may end inside a frame.
    pub bytes: Vec<u8>,
    /// What is known.
    pub liveness: Liveness,
}

impl Chunk {
    /// What one look at a journal gave. One that is not there yet is empty; one that cannot be read tells nothing of its runner either.
    pub(crate) fn of(attempt: &AttemptRef, read: std::io::Result<Vec<u8>>, liveness: Liveness) -> Self {
        let (bytes, liveness) = match read {
            Ok(bytes) => (bytes, liveness),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (Vec::new(), liveness),
            Err(error) => {
                let why = format!("journal of trial {}: {error}", attempt.trial);
                (Vec::new(), Liveness::Unknown(why))
            }
        };
        Self {
            attempt: attempt.clone(),
            bytes,
            liveness,
        }
    }
}

/// What a target knows of a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "why", rename_all = "snake_case")]
pub enum Liveness {
    /// It runs, or may still start.
    Alive,
    /// It is proved not to run any more (process gone on the same boot, other boot id, scheduler's terminal state); the text says by what.
    Dead(String),
    /// It is over without a word in the journal, and the machinery knows how.
    Over(Fate, String),
    /// No runner has claimed the attempt, and this process started none for it: it may be submitted (again).
    Unclaimed,
    /// Nobody can tell now; the text says why.
    Unknown(String),
}

/// How an attempt ended when its journal does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It was kept from ever starting, or the scheduler was told to end it.
    Canceled,
    /// The scheduler's time limit.
    TimeLimit,
    /// The scheduler ended it for its use of memory.
    OutOfMemory,
    /// The scheduler gave its place to somebody else.
    Preempted,
    /// It could not be started, for want of a resource that may come back.
    Exhausted,
    /// It could not be started, by the machinery's fault.
    NotStarted,
    /// It could not be started, by the fault of the user's files or settings.
    Setup,
}

/// Where one attempt lies on the machine of its runner, and with what it is started there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Site {
    /// Kind of the target, as scripts see it.
    pub kind: &'static str,
    /// The attempt's folder.
    pub folder: PathBuf,
    /// The snapshot's tree.
    pub snapshot: Option<PathBuf>,
    /// What starts Python; empty = what the files say.
    pub interpreter: Vec<String>,
    /// The container in which scripts run.
    pub container: Option<crate::container::Container>,
    /// Folders to put first on `PATH`.
    pub path_prepend: Vec<PathBuf>,
    /// Variables of the environment.
    pub variables: IndexMap<String, String>,
    /// Where to ring.
    pub doorbell: Option<PathBuf>,
    /// Registry of models and datasets.
    pub registry: Option<PathBuf>,
    /// Where data bindings lie that are paths of this machine, by name.
    pub data: IndexMap<String, String>,
}

/// What trials need and a target may lack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Luggage {
    /// Sweep.
    pub sweep: String,
    /// Id and tree of the snapshot on this machine.
    pub snapshot: Option<(String, PathBuf)>,
    /// The Python environment, if trials start Python.
    pub environment: Option<EnvironmentSpec>,
    /// Data bindings that are paths of this machine.
    pub data: Vec<Data>,
}

/// A file or folder of this machine that trials read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// Name of the binding.
    pub name: String,
    /// Id of the snapshot that was taken of it.
    pub snapshot: String,
    /// Tree of the snapshot.
    pub tree: PathBuf,
    /// Name of the file, if it is one.
    #[serde(default)]
    pub file: Option<String>,
}

/// Something about a target that people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Stable slug.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
}

/// Why a target could not do something.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It cannot be reached now; try later. Nothing is known of what runs there.
    #[error("target `{target}` cannot be reached: {reason}")]
    Unreachable {
        /// Target name.
        target: String,
        /// Why.
        reason: String,
    },
    /// It refused for a reason that will not go away by itself.
    #[error("target `{target}`: {reason}")]
    Refused {
        /// Target name.
        target: String,
        /// Why.
        reason: String,
    },
    /// No resources for one more process right now (EAGAIN, EMFILE, ENOMEM): lower the concurrency, fail no trial.
    #[error("target `{target}` is out of {resource}")]
    Exhausted {
        /// Target name.
        target: String,
        /// What is short.
        resource: String,
    },
}

/// Where trials run.
pub trait ComputeTarget: Send + Sync {
    /// Name by which users call it.
    fn name(&self) -> &str;

    /// Kind of the target, as scripts see it.
    fn kind(&self) -> &'static str {
        "local"
    }

    /// Whether its runners die with this machine.
    fn is_local(&self) -> bool;

    /// How many trials it can hold at once; `None` = as many as the sweep allows.
    fn slots(&self) -> Option<u64>;

    /// Starts a runner for the attempt whose `spec.json` lies in its folder. Idempotent by folder: the claim decides.
    ///
    /// # Errors
    /// [`TargetError`]; after `Unreachable` the attempt may or may not have started, `follow` will tell.
    fn submit(&self, attempt: &AttemptRef, spec: &AttemptSpec) -> Result<(), TargetError>;

    /// New journal bytes of each attempt from its offset on, with liveness.
    ///
    /// # Errors
    /// [`TargetError::Unreachable`] if none can be read now.
    fn follow(&self, cursors: &[(AttemptRef, u64)]) -> Result<Vec<Chunk>, TargetError>;

    /// Asks the runner to end its script (TERM, grace, KILL); the answer comes in the journal.
    ///
    /// # Errors
    /// [`TargetError`] if the request could not be delivered; it is repeated.
    fn cancel(&self, attempt: &AttemptRef) -> Result<(), TargetError>;

    /// Takes a [`ComputeTarget::cancel`] back, as far as that is possible: a script that survives the grace is not killed then. What a
    /// target cannot take back stays asked for.
    fn withdraw(&self, attempt: &AttemptRef) {
        let _ = attempt;
    }

    /// Blocks until something may have happened (a doorbell, a poll interval), at most `timeout`.
    fn wait(&self, timeout: Duration);

    /// The attempt has ended and will not be asked for again: lets go of whatever is held for it.
    fn forget(&self, attempt: &AttemptRef);

    /// Bytes came that are no valid frame: read the journal through a new descriptor next time.
    fn reopen(&self, attempt: &AttemptRef);

    /// Ends what a runner that is proved dead left behind, before its trial is tried again. Best effort.
    fn end_orphans(&self, attempt: &AttemptRef, nonce: &str);

    /// What trials of the sweep need; told once, before the first call of [`Self::site`]. Does not wait.
    fn equip(&self, luggage: &Luggage) {
        let _ = luggage;
    }

    /// Waits until trials can be started; `told` gets what goes on, a line at a time.
    ///
    /// # Errors
    /// [`TargetError`] of the first try to reach it, or of making it ready.
    fn ready(&self, told: &mut dyn FnMut(&str)) -> Result<(), TargetError> {
        let _ = told;
        Ok(())
    }

    /// Whether its trials see the files of this computer where they lie, so that their environment is made here; else what they
    /// need is brought to them.
    fn shares_files(&self) -> bool {
        false
    }

    /// Whom to ring when something happened.
    fn listen(&self, bell: Arc<Bell>) {
        let _ = bell;
    }

    /// Where an attempt will lie; `None` = in its folder on this machine, with what this machine has.
    ///
    /// # Errors
    /// [`TargetError::Unreachable`] while that is not known, [`TargetError::Refused`] if it never will be.
    fn site(&self, attempt: &AttemptRef) -> Result<Option<Site>, TargetError> {
        let _ = attempt;
        Ok(None)
    }

    /// How it calls `spark-submit`, if it is made for that.
    fn spark(&self) -> Option<SparkSubmit> {
        None
    }

    /// What happened to the target since the last call.
    fn notices(&self) -> Vec<Notice> {
        Vec::new()
    }

    /// Removes what was left behind where its trials run and was not used for `age`; with `dry` only says what would be. `None` = it
    /// keeps nothing there. Blocks.
    ///
    /// # Errors
    /// [`TargetError`] if it cannot be reached.
    fn prune(&self, age: Duration, dry: bool) -> Result<Option<agent::protocol::Pruned>, TargetError> {
        let _ = (age, dry);
        Ok(None)
    }

    /// Wins the claim of an attempt that no runner has claimed, so that none ever executes it: what a controller does before it
    /// gives an attempt up. `false` if a runner was first.
    ///
    /// # Errors
    /// [`TargetError`] if nobody can tell.
    fn keep_others_out(&self, attempt: &AttemptRef) -> Result<bool, TargetError>;
}
