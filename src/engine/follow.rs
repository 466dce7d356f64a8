//! One attempt as the engine follows it: bytes of its journal in, events for the controller and rows for the store out.

use super::outcome;
use crate::controller::{Event, Outcome, Resident};
use crate::journal::{Damage, DamageKind, Decoder, Entry, Exit, Step};
use crate::metric::Observation;
use crate::process::Identity;
use crate::space::Assignment;
use crate::store::Change;
use crate::target::{AttemptRef, Fate};

/// How long bad bytes may be a half-shown write of a network file system, milliseconds.
const SUSPECT_MS: u64 = 60_000;

/// How long a scheduler may take to say why it told a runner to end, milliseconds.
const TERMINATED_MS: u64 = 15_000;

/// What following led to, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    /// For the controller.
    Event(Event),
    /// For the store.
    Change(Change),
}

/// An attempt that has not ended.
pub(super) struct Follower {
    pub(super) attempt: AttemptRef,
    pub(super) nonce: String,
    /// Index of its target.
    pub(super) target: usize,
    /// When it was placed there.
    pub(super) placed_at: u64,
    /// Name of the primary metric.
    primary: Option<String>,
    decoder: Decoder,
    /// Frames below this are in the store already.
    taken: u64,
    suspect_since: Option<u64>,
    /// When nobody could tell any more whether it lives.
    silent_since: Option<u64>,
    /// The controller was told so.
    reported_silent: bool,
    /// Its end was told.
    pub(super) ended: bool,
    /// Since when it is known that its runner was told to end, and what the journal says of that.
    terminated: Option<(Option<u64>, Exit)>,
    /// Of an attempt that was found when the sweep was taken up and of which its target could not tell yet whether it was started.
    pub(super) adopting: Option<Adopting>,
}

/// What is needed to submit an adopted attempt after all.
pub(super) struct Adopting {
    pub(super) assignment: Assignment,
    /// A cancel of it is on record.
    pub(super) canceled: bool,
}

impl Follower {
    pub(super) fn new(
        attempt: AttemptRef,
        nonce: String,
        (target, placed_at): (usize, u64),
        primary: Option<String>,
        taken: u64,
    ) -> Self {
        Self {
            attempt,
            nonce,
            target,
            placed_at,
            primary,
            decoder: Decoder::new(),
            taken,
            suspect_since: None,
            silent_since: None,
            reported_silent: false,
            ended: false,
            terminated: None,
            adopting: None,
        }
    }

    /// Where the next bytes must come from.
    pub(super) fn wanted(&self) -> u64 {
        self.decoder.wanted()
    }

    /// Takes new bytes in. True if the journal must be read through a new descriptor.
    pub(super) fn take(&mut self, now: u64, bytes: &[u8], told: &mut Vec<Told>) -> bool {
        self.decoder.push(bytes);
        self.steps(now, told)
    }

    /// The runner is dead and the journal was read to its end: takes in what can be, and tells the end.
    pub(super) fn settle(&mut self, now: u64, proof: &str, told: &mut Vec<Told>) {
        self.decoder.settle();
        self.steps(now, told);
        if !self.ended {
            let outcome = match self.terminated.take() {
                Some((_, exit)) => outcome::of(&exit),
                None => outcome::lost(proof),
            };
            self.end(outcome, told);
        }
    }

    /// The target knows the end and the journal was read to its end, in which it does not stand.
    pub(super) fn over(&mut self, now: u64, fate: Fate, why: &str, told: &mut Vec<Told>) {
        self.decoder.settle();
        self.steps(now, told);
        if !self.ended {
            self.end(outcome::of_fate(fate, why), told);
        }
    }

    /// The runner is known to live.
    pub(super) fn heard(&mut self, told: &mut Vec<Told>) {
        self.silent_since = None;
        if std::mem::take(&mut self.reported_silent) {
            told.push(Told::Event(self.contact(false)));
        }
    }

    /// Nobody can tell whether the runner lives; after `patience` milliseconds of that the controller is told.
    pub(super) fn silent(&mut self, now: u64, patience: u64, told: &mut Vec<Told>) {
        let since = *self.silent_since.get_or_insert(now);
        if !self.reported_silent && now.saturating_sub(since) >= patience {
            self.reported_silent = true;
            told.push(Told::Event(self.contact(true)));
        }
    }

    /// How long nobody could tell, milliseconds.
    pub(super) fn silence(&self, now: u64) -> u64 {
        self.silent_since.map_or(0, |since| now.saturating_sub(since))
    }

    fn contact(&self, lost_contact: bool) -> Event {
        Event::Unresponsive {
            trial: self.attempt.trial,
            attempt: self.attempt.attempt,
            lost_contact,
        }
    }

    /// Ends the attempt for a reason that no journal tells.
    pub(super) fn end(&mut self, outcome: Outcome, told: &mut Vec<Told>) {
        if !self.ended {
            self.ended = true;
            let (trial, attempt) = (self.attempt.trial, self.attempt.attempt);
            told.push(Told::Event(Event::Exited {
                trial,
                attempt,
                outcome,
            }));
        }
    }

    fn steps(&mut self, now: u64, told: &mut Vec<Told>) -> bool {
        let before = self.decoder.seq();
        let mut reopen = false;
        loop {
            match self.decoder.step() {
                Step::Entry { seq, entry } => {
                    self.suspect_since = None;
                    if seq >= self.taken {
                        self.entry(entry, told);
                    }
                }
                Step::Damaged(damage) => self.damaged(&damage, told),
                Step::Suspect => {
                    let since = *self.suspect_since.get_or_insert(now);
                    if now.saturating_sub(since) < SUSPECT_MS {
                        self.decoder.reread();
                        reopen = true;
                        break;
                    }
                    match self.decoder.resync() {
                        Some(damage) => self.damaged(&damage, told),
                        None => break,
                    }
                }
                Step::NotYet | Step::End => break,
            }
        }
        let next = self.decoder.seq();
        if next > before && next > self.taken {
            self.taken = next;
            let (trial, attempt) = (self.attempt.trial, self.attempt.attempt);
            told.push(Told::Change(Change::Followed { trial, attempt, next }));
        }
        reopen
    }

    fn damaged(&self, damage: &Damage, told: &mut Vec<Told>) {
        // The end of a journal whose writer was killed in the middle of a write: nothing was acknowledged there.
        if damage.kind == DamageKind::TornTail {
            return;
        }
        let lost = damage
            .lost
            .map_or_else(String::new, |lost| format!(", {lost} entries are lost"));
        let message = format!(
            "the journal is damaged at bytes {}..{}{lost}",
            damage.bytes.start, damage.bytes.end
        );
        told.push(Told::Change(self.warning("journal-damaged", message)));
    }

    fn warning(&self, code: &str, message: String) -> Change {
        Change::Warning {
            trial: Some(self.attempt.trial),
            attempt: Some(self.attempt.attempt),
            code: code.to_owned(),
            message,
        }
    }

    fn entry(&mut self, entry: Entry, told: &mut Vec<Told>) {
        let (trial, attempt) = (self.attempt.trial, self.attempt.attempt);
        match entry {
            Entry::Claimed {
                host,
                boot_id,
                pid,
                start_ticks,
                ..
            } => {
                let runner = Identity {
                    host,
                    boot_id,
                    pid,
                    start_ticks,
                };
                told.push(Told::Change(Change::Claimed {
                    trial,
                    attempt,
                    runner,
                }));
                told.push(Told::Event(Event::Claimed { trial, attempt }));
            }
            Entry::Started { argv, .. } => {
                told.push(Told::Change(Change::Started { trial, attempt, argv }));
                told.push(Told::Event(Event::Started { trial, attempt }));
            }
            Entry::Metric {
                name,
                value,
                step,
                at_ms,
                ..
            } => told.push(if Some(&name) == self.primary.as_ref() {
                let observation = Observation {
                    value,
                    step,
                    elapsed_ms: at_ms,
                };
                Told::Event(Event::Reported {
                    trial,
                    attempt,
                    observation,
                })
            } else {
                Told::Change(Change::Point {
                    trial,
                    attempt,
                    name,
                    value,
                    step,
                    elapsed_ms: at_ms,
                })
            }),
            Entry::Fact { kind, key, value } => {
                if kind == "sweep_status" && key == "cancel" {
                    let reason = format!("asked for by the script of trial {trial}");
                    told.push(Told::Event(Event::CancelSweep { reason }));
                }
                told.push(Told::Change(Change::Fact {
                    trial,
                    attempt,
                    kind,
                    key,
                    value,
                }));
            }
            Entry::Artifact { kind, name, path } => {
                told.push(Told::Change(Change::Artifact {
                    trial,
                    attempt,
                    kind,
                    name,
                    path,
                }));
            }
            Entry::Warning { code, message } => told.push(Told::Change(self.warning(&code, message))),
            Entry::NotStarted { class, reason } => self.end(outcome::not_started(&class, &reason), told),
            Entry::Exited(exit) => self.exited(&exit, told),
            Entry::Frozen {
                resident,
                machine,
                host,
                ..
            } => told.push(Told::Event(Event::Frozen {
                trial,
                attempt,
                resident: Resident {
                    resident,
                    machine,
                    host,
                },
            })),
            Entry::Thawed { .. } => told.push(Told::Event(Event::Thawed { trial, attempt })),
            Entry::NotFrozen { reason } => told.push(Told::Event(Event::NotFrozen {
                trial,
                attempt,
                reason,
            })),
            Entry::Sealed => {}
        }
    }

    /// A script that ended because somebody told its runner to: whoever did may still say why. Ends it as preempted when nobody has
    /// for a while.
    pub(super) fn terminated(&mut self, now: u64, told: &mut Vec<Told>) {
        if let Some((since, exit)) = &mut self.terminated
            && now.saturating_sub(*since.get_or_insert(now)) >= TERMINATED_MS
        {
            let outcome = outcome::of(exit);
            self.end(outcome, told);
        }
    }

    fn exited(&mut self, exit: &Exit, told: &mut Vec<Told>) {
        if !exit.survivors.is_empty() {
            let pids: Vec<String> = exit.survivors.iter().map(ToString::to_string).collect();
            let message = format!("processes that could not be ended: {}", pids.join(", "));
            told.push(Told::Change(self.warning("survivors", message)));
        }
        if exit.ended_by.as_deref() == Some("terminated") {
            self.terminated = Some((None, exit.clone()));
        } else {
            self.end(outcome::of(exit), told);
        }
    }
}

#[cfg(test)]
mod tests;
