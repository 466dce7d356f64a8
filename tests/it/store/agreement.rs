//! The tables must mean what the controller's fold means: random sweeps, driven by the real controller.

use super::{assignment, experiment, led, origin};
use overdrive::controller::{Controller, Event, FailureClass, Limits, Outcome, Record, Settings, fold};
use overdrive::history::{History, TrialState};
use overdrive::metric::{Goal, Observation};
use overdrive::policy::{Policy, Stop};
use overdrive::sampler::{Proposal, Sampler, Suggestion};
use overdrive::space::Assignment;
use overdrive::store::{Change, Durability, Store};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::BTreeSet;

struct Line;

impl Sampler for Line {
    fn suggest(&mut self, number: u64, _: &History) -> Suggestion {
        let assignment = match number {
            25.. => return Suggestion::Exhausted("25 points are enough".into()),
            n if n % 5 == 4 => Assignment {
                values: vec![super::assignment(0.5, 0.0).values[0].clone(), None],
            },
            n => assignment(n as f64 / 25.0, 1.0 / (n + 1) as f64),
        };
        Suggestion::Next(Box::new(Proposal {
            assignment,
            origin: origin(),
        }))
    }
}

/// Stops every trial at its third report if that is below one half.
#[derive(Default)]
struct Third {
    reports: std::collections::BTreeMap<u64, u64>,
    due: BTreeSet<u64>,
    named: BTreeSet<u64>,
}

impl Policy for Third {
    fn report(&mut self, trial: u64, value: f64) {
        let reports = self.reports.entry(trial).or_default();
        *reports += 1;
        if *reports == 3 && value < 0.5 {
            self.due.insert(trial);
        }
    }

    fn end(&mut self, trial: u64, _: TrialState) {
        self.due.remove(&trial);
        self.named.insert(trial);
    }

    fn stops(&mut self) -> Vec<Stop> {
        std::mem::take(&mut self.due)
            .into_iter()
            .filter(|trial| self.named.insert(*trial))
            .map(|trial| Stop {
                trial,
                interval: 3,
                policy: "Third".into(),
                value: Some(0.1),
                threshold: Some(0.5),
                operands: [
                    ("threshold".to_owned(), 0.5),
                    ("best".to_owned(), f64::NEG_INFINITY),
                ]
                .into_iter()
                .collect(),
                inequality: "x < 0.5".into(),
            })
            .collect()
    }

    fn restart(&mut self, trial: u64) {
        self.reports.remove(&trial);
    }

    fn restored(&mut self) {
        self.due.clear();
    }
}

fn random_event(rng: &mut Pcg64, controller: &Controller) -> Event {
    let created = controller.history().trials.len() as u64;
    let trial = if created == 0 {
        0
    } else {
        rng.random_range(created.saturating_sub(6)..created)
    };
    let attempt = controller
        .snapshot()
        .attempts
        .get(trial as usize)
        .map_or(0, |state| state.created.saturating_sub(1));
    match rng.random_range(0..100) {
        0..8 => Event::SlotsChanged {
            slots: rng.random_range(1..5),
        },
        8..20 => Event::Claimed { trial, attempt },
        20..32 => Event::Started { trial, attempt },
        32..70 => {
            let value = match rng.random_range(0..12) {
                0 => f64::NAN,
                1 => f64::INFINITY,
                _ => rng.random_range(0.0..1.0),
            };
            let step = rng.random_bool(0.5).then(|| rng.random_range(-3..9));
            Event::Reported {
                trial,
                attempt,
                observation: Observation {
                    value,
                    step,
                    elapsed_ms: rng.random_range(0..99),
                },
            }
        }
        70..86 => {
            let failed = |class| Outcome::Failed {
                class,
                exit_code: Some(1),
                signal: None,
                message: "exit 1".into(),
            };
            let outcome = match rng.random_range(0..6) {
                0..3 => Outcome::Completed,
                3 => failed(FailureClass::Script),
                4 => failed(FailureClass::Infrastructure),
                _ => Outcome::Canceled,
            };
            Event::Exited {
                trial,
                attempt,
                outcome,
            }
        }
        86..90 => Event::Unresponsive {
            trial,
            attempt,
            lost_contact: rng.random_bool(0.5),
        },
        90..92 => Event::CancelTrial { trial },
        92 => Event::Pause {
            reason: "lunch".into(),
        },
        93..95 => Event::Resume,
        95 => Event::Enqueue {
            assignment: assignment(0.25, 0.75),
        },
        96 => Event::Rerun { trial },
        97 => Event::SetLimits(Limits {
            max_total: rng.random_range(5..40),
            max_concurrent: 3,
            max_duration_ms: Some(9_000),
        }),
        98 if rng.random_bool(0.1) => Event::CancelSweep {
            reason: "enough".into(),
        },
        _ => Event::Tick,
    }
}

/// NaN differs from itself, its text does not.
fn text(snapshot: &impl std::fmt::Debug) -> String {
    format!("{snapshot:#?}")
}

#[test]
fn tables_and_fold_agree_after_every_commit() {
    let experiment = experiment();
    let settings = Settings {
        goal: Goal::Maximize,
        limits: experiment.limits,
        abort_after_initial_failures: 3,
        max_retries: 2,
    };
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..25u64 {
        let mut rng = Pcg64::seed_from_u64(seed);
        let id = format!("HD_{seed}");
        let mut writer = led(folder.path(), &id);
        let mut controller = Controller::new(
            settings,
            Box::new(Line),
            Box::new(Third::default()),
            vec![assignment(0.0, 0.0)],
        );
        let mut all: Vec<Record> = Vec::new();
        for commit in 0..60u64 {
            let mut changes = Vec::new();
            for _ in 0..rng.random_range(1..12) {
                let event = random_event(&mut rng, &controller);
                for record in controller.handle(commit, event).records {
                    all.push(record.clone());
                    changes.push((commit, Change::Record(record)));
                }
            }
            writer.apply(&changes, Durability::Process).unwrap();
            if commit % 10 == 9 {
                let stored = writer.store().snapshot(&id).unwrap();
                assert_eq!(
                    text(&stored),
                    text(&fold::fold(&settings, &all).unwrap()),
                    "seed {seed} commit {commit}"
                );
                assert_eq!(
                    text(&stored),
                    text(controller.snapshot()),
                    "seed {seed} commit {commit}"
                );
                let row = writer.store().sweep(&id).unwrap();
                assert_eq!(row.state, controller.state());
                assert_eq!(
                    row.best.map(|best| (best.trial, best.value)),
                    controller.incumbent().map(|i| (i.trial, i.value))
                );
                assert_eq!(
                    row.trials.values().sum::<u64>(),
                    controller.history().trials.len() as u64
                );
                for (word, count) in &row.trials {
                    let live = controller
                        .history()
                        .trials
                        .iter()
                        .filter(|trial| trial.state.word() == word)
                        .count();
                    assert_eq!(live as u64, *count, "{word}");
                }
            }
        }
        assert!(all.len() > 50, "seed {seed} made only {} records", all.len());
        writer.release().unwrap();
    }
    let reader = Store::open_read_only(folder.path()).unwrap();
    let events = reader.events_since(None, 0, 1_000_000).unwrap();
    assert!(
        events
            .iter()
            .any(|event| event.kind == "observed" && event.data["value"] == "NaN")
    );
    assert!(events.iter().any(|event| event.kind == "stopped"));
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}
