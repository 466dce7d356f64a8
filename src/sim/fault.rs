//! What goes wrong in a simulated attempt, drawn from a seed.

use super::target::{Fact, FactKind};
use super::workload::Plan;
use crate::controller::{FailureClass, Outcome};
use crate::metric::Observation;
use crate::sampler::rng::{Stream, stream};

/// Probabilities, each per attempt unless said otherwise. All zero = nothing goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Seed of the draws.
    pub seed: u64,
    /// The launch takes long.
    pub late_start: f64,
    /// The attempt ends before its script starts, by the user's files or by the machinery.
    pub failed_launch: f64,
    /// The script crashes at some report.
    pub crash: f64,
    /// The machine is lost (proof of death) at some report.
    pub lost: f64,
    /// The attempt is declared dead, but goes on and reports.
    pub false_death: f64,
    /// The scheduler takes the resources away.
    pub preempted: f64,
    /// Per report: NaN or infinite instead of a number.
    pub not_a_number: f64,
    /// Per report: logged twice.
    pub repeated: f64,
    /// Per report: its step is out of order.
    pub reordered: f64,
    /// Contact is lost and found again.
    pub flapping: f64,
    /// The facts before the first report never arrive.
    pub silent_start: f64,
    /// Per fact other than a report: delivered twice.
    pub duplicated: f64,
    /// Somebody else cancels the attempt.
    pub external_cancel: f64,
    /// A cancel takes up to the whole grace time.
    pub slow_cancel: f64,
}

impl Faults {
    /// Rates for `seed`: each kind of fault is absent in half of the seeds, else between rare and frequent.
    pub fn draw(seed: u64) -> Self {
        let mut source = stream(seed, "faults", 0);
        let mut rate = |most: f64| {
            if source.unit() < 0.5 {
                0.0
            } else {
                most * source.unit().powi(2)
            }
        };
        Self {
            seed,
            late_start: rate(0.5),
            failed_launch: rate(0.5),
            crash: rate(0.9),
            lost: rate(0.6),
            false_death: rate(0.4),
            preempted: rate(0.6),
            not_a_number: rate(0.3),
            repeated: rate(0.3),
            reordered: rate(0.3),
            flapping: rate(0.5),
            silent_start: rate(0.5),
            duplicated: rate(0.5),
            external_cancel: rate(0.2),
            slow_cancel: rate(0.8),
        }
    }

    /// The stream of one attempt.
    pub(super) fn source(&self, trial: u64, attempt: u32) -> Stream {
        stream(self.seed, "fault", trial << 8 | u64::from(attempt & 0xff))
    }

    /// The facts of one attempt launched at `now`, in order of time.
    pub(super) fn facts(&self, now: u64, plan: Plan, source: &mut Stream) -> Vec<Fact> {
        let mut happens = |rate: f64| rate > 0.0 && source.unit() < rate;
        let late = happens(self.late_start);
        let failed_launch = happens(self.failed_launch);
        let end = [
            (happens(self.crash), End::Crash),
            (happens(self.lost), End::Lost),
            (happens(self.false_death), End::FalseDeath),
            (happens(self.preempted), End::Preempted),
            (happens(self.external_cancel), End::ExternalCancel),
        ];
        let flapping = happens(self.flapping);
        let silent = happens(self.silent_start);
        let delay = if late { source.below(120_000) } else { 0 };
        let claimed = now + delay + plan.prepare_ms / 2;
        let started = now + delay + plan.prepare_ms;
        let mut facts = Vec::new();
        if failed_launch {
            let class = if source.unit() < 0.5 {
                FailureClass::Setup
            } else {
                FailureClass::Infrastructure
            };
            facts.push(Fact::exit(claimed, failure(class)));
            return facts;
        }
        if !silent {
            facts.push(Fact::new(claimed, FactKind::Claimed));
            facts.push(Fact::new(started, FactKind::Started));
        }
        let reports = self.reports(plan.reports, source);
        let end = end.into_iter().find(|(happens, _)| *happens).map(|(_, end)| end);
        let cut = match end {
            None => reports.len(),
            Some(_) => source.index(reports.len() + 1),
        };
        let at = |observation: &Observation| started + observation.elapsed_ms;
        for (index, observation) in reports.iter().enumerate() {
            let when = at(observation);
            if flapping && index == reports.len() / 2 {
                facts.push(Fact::new(when, FactKind::Contact { lost: true }));
                if source.unit() < 0.5 {
                    facts.push(Fact::new(when, FactKind::Contact { lost: false }));
                }
            }
            if index == cut {
                match end {
                    None => {}
                    Some(End::FalseDeath) => {
                        facts.push(Fact::exit(when, failure(FailureClass::Infrastructure)));
                    }
                    Some(_) => break,
                }
            }
            facts.push(Fact::new(when, FactKind::Reported(*observation)));
        }
        let last = facts.last().map_or(started, |fact| fact.at);
        let outcome = match end {
            None | Some(End::FalseDeath) => plan.outcome,
            Some(End::Crash) if source.unit() < 0.2 => failure(FailureClass::OutOfMemory),
            Some(End::Crash) if source.unit() < 0.2 => failure(FailureClass::TimeLimit),
            Some(End::Crash) => failure(FailureClass::Script),
            Some(End::Lost) => {
                facts.push(Fact::new(last, FactKind::Contact { lost: true }));
                let outcome = failure(FailureClass::Infrastructure);
                facts.push(Fact::exit(last + source.below(600_000), outcome));
                return facts;
            }
            Some(End::Preempted) => failure(FailureClass::Preempted),
            Some(End::ExternalCancel) => Outcome::Canceled,
        };
        let when = if end.is_none() {
            last.max(started + plan.duration_ms)
        } else {
            last + 1
        };
        facts.push(Fact::exit(when, outcome));
        facts
    }

    fn reports(&self, planned: Vec<Observation>, source: &mut Stream) -> Vec<Observation> {
        let mut reports = Vec::with_capacity(planned.len());
        for mut observation in planned {
            if self.not_a_number > 0.0 && source.unit() < self.not_a_number {
                observation.value = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][source.index(3)];
            }
            if self.reordered > 0.0 && source.unit() < self.reordered {
                observation.step = observation.step.map(|step| step / 2);
            }
            reports.push(observation);
            if self.repeated > 0.0 && source.unit() < self.repeated {
                reports.push(observation);
            }
        }
        reports
    }
}

#[derive(Clone, Copy)]
enum End {
    Crash,
    Lost,
    FalseDeath,
    Preempted,
    ExternalCancel,
}

fn failure(class: FailureClass) -> Outcome {
    Outcome::Failed {
        class,
        exit_code: (class == FailureClass::Script).then_some(1),
        signal: (class == FailureClass::OutOfMemory).then_some(9),
        message: match class {
            FailureClass::Script => "exit 1: simulated crash",
            FailureClass::OutOfMemory => "killed for memory",
            FailureClass::TimeLimit => "ran over its time limit",
            FailureClass::Preempted => "preempted",
            FailureClass::Infrastructure => "the machine is gone",
            FailureClass::Setup => "train.py is missing",
            FailureClass::Exhausted => "no process could be started",
        }
        .into(),
    }
}
