//! One attempt on its way through a cluster, and what follows from that for the life of its runner.

use super::Cluster;
use crate::process::{Identity, Presence};
use crate::runner::Claim;
use crate::target::{Fate, Liveness};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a node's last words may take to be seen on this machine (shared file systems cache).
const LAG: Duration = Duration::from_secs(3);

/// How long the cluster may take to say how a job ended whose runner is seen to be gone.
const WORD: Duration = Duration::from_secs(6);

/// What a runner may need beyond its grace before the cluster is asked to end its job.
const BEYOND_GRACE: Duration = Duration::from_secs(10);

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::target) enum Stage<E> {
    /// Taken up by this process, which has not submitted it.
    Found,
    /// To be submitted.
    Queued,
    /// Perhaps submitted; looked for first.
    Uncertain { since: Instant },
    /// The cluster has it, or a worker will take it.
    Submitted,
    /// Its job is over.
    Over { end: E, at: Instant },
    /// It cannot be submitted.
    Refused(String),
}

/// One attempt.
pub(in crate::target) struct Entry<C: Cluster> {
    /// Its folder.
    pub(in crate::target) folder: PathBuf,
    /// Name of its job.
    pub(in crate::target) name: String,
    /// Number of its job, as far as it is known.
    pub(in crate::target) id: Option<String>,
    /// How far it is.
    pub(in crate::target) stage: Stage<C::End>,
    /// Since when this process knows of it.
    pub(in crate::target) since: Instant,
    /// When the cluster was last asked about it.
    pub(in crate::target) looked: Option<Instant>,
    /// The cluster has shown its job.
    pub(in crate::target) seen: bool,
    /// Its claim, and since when that is known.
    pub(in crate::target) claim: Option<Claim>,
    pub(in crate::target) claimed: Option<Instant>,
    /// Since when its runner is seen to be gone.
    gone: Option<Instant>,
    /// When its cancel was asked for.
    pub(in crate::target) canceled: Option<Instant>,
    /// What its script may take to end.
    pub(super) grace: Duration,
    /// The cluster was asked to end its job.
    pub(super) killed: bool,
    /// The engine will not ask for it again.
    pub(super) forgotten: bool,
}

// A derive would ask the cluster itself to be cloned.
impl<C: Cluster> Clone for Entry<C> {
    fn clone(&self) -> Self {
        Self {
            folder: self.folder.clone(),
            name: self.name.clone(),
            id: self.id.clone(),
            stage: self.stage.clone(),
            claim: self.claim.clone(),
            ..*self
        }
    }
}

/// Why the cluster may be silent about an attempt.
pub(super) struct Silence<'a> {
    /// Jobs are for many attempts.
    pub(super) workers: bool,
    /// What stands in the way of asking.
    pub(super) trouble: Option<&'a str>,
}

impl<C: Cluster> Entry<C> {
    pub(super) fn new(folder: &Path) -> Self {
        let part = |path: Option<&Path>| {
            let name = path.and_then(Path::file_name).unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        // The random text of the folder's name makes it the only one.
        let name = format!("od-{}-{}", part(folder.parent()), part(Some(folder)));
        Self {
            id: C::known(&name, folder),
            folder: folder.to_owned(),
            name,
            stage: Stage::Found,
            since: Instant::now(),
            looked: None,
            seen: false,
            claim: None,
            claimed: None,
            gone: None,
            canceled: None,
            grace: Duration::from_secs(30),
            killed: false,
            forgotten: false,
        }
    }

    /// Reads the claim, if there is one by now.
    pub(super) fn look_for_claim(&mut self) {
        if self.claim.is_none() {
            self.claim = Claim::read(&self.folder.join("claim"));
            self.claimed = self.claim.as_ref().map(|_| Instant::now());
        }
    }

    /// Whether a runner has claimed it by now.
    pub(in crate::target) fn is_claimed(&self) -> bool {
        self.claim.is_some() || Claim::read(&self.folder.join("claim")).is_some()
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over { .. })
    }

    /// Whether it may still need a job or a worker.
    pub(in crate::target) fn is_open(&self) -> bool {
        !self.forgotten && matches!(self.stage, Stage::Queued | Stage::Submitted)
    }

    /// Whether it is to be submitted.
    pub(super) fn is_due(&self) -> bool {
        self.stage == Stage::Queued && !self.forgotten && self.canceled.is_none()
    }

    /// Whether something can be learned of it by asking the cluster.
    pub(super) fn is_asked(&self) -> bool {
        matches!(
            self.stage,
            Stage::Found | Stage::Uncertain { .. } | Stage::Submitted
        )
    }

    /// No runner has claimed it, or none ever will.
    fn is_nobodys(&self) -> bool {
        self.claim.as_ref().is_none_or(|claim| claim.pid == 0)
    }

    /// Whether its job is to be ended, now or once it is found.
    fn has_to_end(&self) -> bool {
        let may_have_one = match self.stage {
            Stage::Uncertain { .. } => true,
            Stage::Over { .. } | Stage::Refused(_) => false,
            _ => self.id.is_some(),
        };
        self.canceled.is_some() && !self.killed && may_have_one
    }

    /// The job that is to be ended now: one that nobody claimed at once, others when their runner had its time.
    pub(super) fn take_cancel(&mut self) -> Option<String> {
        let asked = self.canceled?;
        self.look_for_claim();
        let late = asked.elapsed() > self.grace + BEYOND_GRACE && !self.forgotten;
        (self.has_to_end() && (self.is_nobodys() || late))
            .then(|| self.id.clone())
            .flatten()
    }

    /// Whether nobody has any interest in it: it is over for the engine, and has no job that must still be ended.
    pub(super) fn is_done(&self) -> bool {
        self.forgotten && !(self.has_to_end() && self.is_nobodys())
    }

    /// What is known of its runner.
    pub(super) fn liveness(&mut self, silence: &Silence<'_>) -> Liveness {
        self.look_for_claim();
        if let Some(claim) = &self.claim {
            if claim.pid == 0 {
                return Liveness::Over(
                    Fate::Canceled,
                    "the attempt was given up before a runner claimed it".into(),
                );
            }
            let runner = Identity {
                host: claim.host.clone(),
                boot_id: claim.boot_id.clone(),
                pid: claim.pid,
                start_ticks: claim.start_ticks,
            };
            // On the machine of the runner itself the cluster need not be asked.
            match runner.presence() {
                Presence::Here => return Liveness::Alive,
                Presence::Gone => {
                    let gone = *self.gone.get_or_insert_with(Instant::now);
                    return match self.ended(true, Duration::ZERO) {
                        Some(life) => life,
                        // The cluster may know better why.
                        None if !silence.workers && gone.elapsed() < WORD => Liveness::Alive,
                        None => Liveness::Dead("its runner is gone".into()),
                    };
                }
                Presence::Elsewhere | Presence::Unknown => {}
            }
        }
        let claimed = self.claim.is_some();
        if let Some(life) = self.ended(claimed, LAG) {
            return life;
        }
        match (&self.stage, silence.trouble) {
            (Stage::Refused(why), _) => Liveness::Over(Fate::Setup, why.clone()),
            // The cluster was asked after it was taken up, and knows of no job.
            (Stage::Found, _) if self.looked.is_some() && !claimed => Liveness::Unclaimed,
            (Stage::Found, _) if self.looked.is_some() => {
                Liveness::Dead(format!("{} does not know its job any more", C::CALLED))
            }
            (Stage::Found, None) => Liveness::Unknown(format!("{} was not asked yet", C::CALLED)),
            (Stage::Found, Some(trouble)) => Liveness::Unknown(trouble.to_owned()),
            (Stage::Submitted, Some(trouble)) if claimed || self.seen => {
                Liveness::Unknown(trouble.to_owned())
            }
            _ => Liveness::Alive,
        }
    }

    /// How it ended by the cluster's word, once its last words had `lag` to arrive.
    fn ended(&self, claimed: bool, lag: Duration) -> Option<Liveness> {
        let Stage::Over { end, at } = &self.stage else {
            return None;
        };
        if at.elapsed() < lag {
            return None;
        }
        let (fate, why) = C::verdict(self, end, claimed);
        Some(match fate {
            Some(fate) => Liveness::Over(fate, why),
            None => Liveness::Dead(why),
        })
    }
}
