//! Scenarios told as text: commands, a line of dashes, and what the controller said and asked for.
//!
//! A block is one or more commands, `----`, the expected lines, an empty line. `@n` before a command sets the time in milliseconds.
//! Records are printed plainly, actions after `>`. `OVERDRIVE_UPDATE_SCENARIOS=1` writes the files anew; look at the difference.

use overdrive::controller::fold::fold;
use overdrive::controller::{
    Action, Batch, Controller, Event, FailureClass, Limits, Outcome, Record, Settings,
};
use overdrive::history::History;
use overdrive::metric::{Goal, Observation};
use overdrive::policy::{self, PolicySpec, Schedule, Slack, Trigger};
use overdrive::sampler::{Origin, Proposal, Sampler, Suggestion};
use overdrive::space::{Assignment, Value};
use std::fmt::Write;
use std::path::Path;

struct Counting {
    upper: u64,
}

impl Sampler for Counting {
    fn suggest(&mut self, number: u64, _: &History) -> Suggestion {
        if number >= self.upper {
            return Suggestion::Exhausted(format!("all {} configurations have been tried", self.upper));
        }
        Suggestion::Next(Box::new(Proposal {
            assignment: assignment(number as i64),
            origin: Origin {
                sampler: "counting".into(),
                method: "next number".into(),
                predicted: None,
                notes: Vec::new(),
            },
        }))
    }
}

fn assignment(number: i64) -> Assignment {
    Assignment {
        values: vec![Some(Value::Int(number))],
    }
}

fn shown(assignment: &Assignment) -> String {
    assignment.values[0].as_ref().unwrap().to_string()
}

struct Stage {
    settings: Settings,
    policy: PolicySpec,
    upper: u64,
    controller: Controller,
    records: Vec<Record>,
    now: u64,
}

impl Stage {
    fn new(words: &[&str]) -> Self {
        let mut stage = Self {
            settings: Settings {
                goal: Goal::Maximize,
                limits: Limits {
                    max_total: 10,
                    max_concurrent: 2,
                    max_duration_ms: None,
                },
                abort_after_initial_failures: 3,
                max_retries: 1,
            },
            policy: PolicySpec::NoTermination,
            upper: 1000,
            controller: Controller::new(
                Settings {
                    goal: Goal::Maximize,
                    limits: Limits {
                        max_total: 1,
                        max_concurrent: 1,
                        max_duration_ms: None,
                    },
                    abort_after_initial_failures: 0,
                    max_retries: 0,
                },
                Box::new(Counting { upper: 0 }),
                policy::build(&PolicySpec::NoTermination, Goal::Maximize),
                Vec::new(),
            ),
            records: Vec::new(),
            now: 0,
        };
        let mut enqueue = Vec::new();
        let schedule = Schedule::default();
        for word in words {
            let (key, value) = word.split_once('=').unwrap();
            match key {
                "goal" => stage.settings.goal = serde_json::from_value(value.into()).unwrap(),
                "total" => stage.settings.limits.max_total = value.parse().unwrap(),
                "concurrent" => stage.settings.limits.max_concurrent = value.parse().unwrap(),
                "duration" => stage.settings.limits.max_duration_ms = value.parse().ok(),
                "abort" => stage.settings.abort_after_initial_failures = value.parse().unwrap(),
                "retries" => stage.settings.max_retries = value.parse().unwrap(),
                "upper" => stage.upper = value.parse().unwrap(),
                "enqueue" => enqueue = value.split(',').map(|n| assignment(n.parse().unwrap())).collect(),
                "bandit" => {
                    stage.policy = PolicySpec::Bandit {
                        schedule,
                        slack: Slack::Factor(value.parse().unwrap()),
                        literal: false,
                        trigger: Trigger::Sweep,
                    }
                }
                "median" => {
                    stage.policy = PolicySpec::MedianStopping {
                        schedule: Schedule {
                            delay_evaluation: value.parse().unwrap(),
                            ..schedule
                        },
                        trigger: Trigger::Sweep,
                    }
                }
                other => panic!("unknown setting {other}"),
            }
        }
        stage.controller = Controller::new(
            stage.settings,
            Box::new(Counting { upper: stage.upper }),
            policy::build(&stage.policy, stage.settings.goal),
            enqueue,
        );
        stage
    }

    fn command(&mut self, line: &str, output: &mut String) {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if let Some(time) = words[0].strip_prefix('@') {
            self.now = time.parse().unwrap();
            words.remove(0);
        }
        match words[0] {
            "new" => *self = Self::new(&words[1..]),
            "restart" => {
                let snapshot = fold(&self.settings, &self.records).unwrap();
                self.controller = Controller::restore(
                    self.settings,
                    Box::new(Counting { upper: self.upper }),
                    policy::build(&self.policy, self.settings.goal),
                    snapshot,
                )
                .unwrap();
                for action in self.controller.outstanding() {
                    show_action(&action, output);
                }
            }
            "state" => {
                writeln!(output, "sweep {}", self.controller.state().word()).unwrap();
                for trial in &self.controller.history().trials {
                    let values: Vec<String> = trial.series.values().iter().map(f64::to_string).collect();
                    let line = format!("{} {} {}", trial.number, trial.state.word(), values.join(" "));
                    writeln!(output, "{}", line.trim_end()).unwrap();
                }
                if let Some(best) = self.controller.incumbent() {
                    writeln!(output, "best {} of trial {}", best.value, best.trial).unwrap();
                }
                if let Some(deadline) = self.controller.next_deadline() {
                    writeln!(output, "deadline {deadline}").unwrap();
                }
            }
            _ => {
                let event = event(&words, self.controller.limits());
                let batch = self.controller.handle(self.now, event);
                show(&batch, output);
                self.records.extend(batch.records);
            }
        }
    }
}

fn event(words: &[&str], limits: Limits) -> Event {
    let rest = words.get(1..).unwrap_or_default().join(" ");
    let place = || {
        let (trial, attempt) = words[1].split_once('.').unwrap();
        (trial.parse::<u64>().unwrap(), attempt.parse::<u32>().unwrap())
    };
    let number = || words[1].parse::<u64>().unwrap();
    match words[0] {
        "tick" => Event::Tick,
        "slots" => Event::SlotsChanged { slots: number() },
        "claim" => {
            let (trial, attempt) = place();
            Event::Claimed { trial, attempt }
        }
        "start" => {
            let (trial, attempt) = place();
            Event::Started { trial, attempt }
        }
        "report" => {
            let (trial, attempt) = place();
            Event::Reported {
                trial,
                attempt,
                observation: Observation {
                    value: words[2].parse().unwrap(),
                    step: None,
                    elapsed_ms: 0,
                },
            }
        }
        "exit" => {
            let (trial, attempt) = place();
            Event::Exited {
                trial,
                attempt,
                outcome: outcome(words[2]),
            }
        }
        "lost" | "found" => {
            let (trial, attempt) = place();
            Event::Unresponsive {
                trial,
                attempt,
                lost_contact: words[0] == "lost",
            }
        }
        "cancel" => Event::CancelTrial { trial: number() },
        "cancel-sweep" => Event::CancelSweep { reason: rest },
        "pause" => Event::Pause { reason: rest },
        "resume" => Event::Resume,
        "enqueue" => Event::Enqueue {
            assignment: assignment(words[1].parse().unwrap()),
        },
        "rerun" => Event::Rerun { trial: number() },
        "limits" => {
            let mut limits = limits;
            for word in &words[1..] {
                let (key, value) = word.split_once('=').unwrap();
                match key {
                    "total" => limits.max_total = value.parse().unwrap(),
                    "concurrent" => limits.max_concurrent = value.parse().unwrap(),
                    "duration" => limits.max_duration_ms = value.parse().ok(),
                    other => panic!("unknown limit {other}"),
                }
            }
            Event::SetLimits(limits)
        }
        other => panic!("unknown command {other}"),
    }
}

fn outcome(word: &str) -> Outcome {
    let class = match word {
        "completed" => return Outcome::Completed,
        "canceled" => return Outcome::Canceled,
        "script" => FailureClass::Script,
        "memory" => FailureClass::OutOfMemory,
        "time" => FailureClass::TimeLimit,
        "preempted" => FailureClass::Preempted,
        "infrastructure" => FailureClass::Infrastructure,
        "setup" => FailureClass::Setup,
        other => panic!("unknown outcome {other}"),
    };
    Outcome::Failed {
        class,
        exit_code: None,
        signal: None,
        message: format!("{word} failure"),
    }
}

fn show(batch: &Batch, output: &mut String) {
    for record in &batch.records {
        let line = match record {
            Record::TrialCreated {
                trial,
                assignment,
                origin,
            } => {
                let notes = origin.notes.join("; ");
                format!(
                    "trial {trial} is {} by {} {notes}",
                    shown(assignment),
                    origin.sampler
                )
            }
            Record::AttemptCreated { trial, attempt } => format!("attempt {trial}.{attempt}"),
            Record::AttemptEnded {
                trial,
                attempt,
                outcome,
                superseded,
            } => {
                let how = match outcome {
                    Outcome::Completed => "completed".into(),
                    Outcome::Canceled => "canceled".into(),
                    Outcome::Failed { class, .. } => format!("{class:?}"),
                };
                format!(
                    "attempt {trial}.{attempt} ended {how}{}",
                    if *superseded { ", superseded" } else { "" }
                )
            }
            Record::TrialState {
                trial,
                state,
                cause,
                reason,
            } => {
                let cause = cause
                    .as_ref()
                    .map(|cause| format!(" {cause:?}"))
                    .unwrap_or_default();
                let reason = reason
                    .as_ref()
                    .map(|reason| format!(": {reason}"))
                    .unwrap_or_default();
                format!("trial {trial} {}{cause}{reason}", state.word())
            }
            Record::Observed {
                trial,
                attempt,
                interval,
                observation,
                accepted,
            } => {
                let interval = if *accepted {
                    format!("at {interval}")
                } else {
                    "not accepted".into()
                };
                format!("observed {trial}.{attempt} {} {interval}", observation.value)
            }
            Record::Stopped(stop) => {
                format!("stop {} by {}: {}", stop.trial, stop.policy, stop.inequality)
            }
            Record::Incumbent {
                trial,
                value,
                interval,
            } => format!("best {value} by {trial} at {interval}"),
            Record::Enqueued { assignment } => format!("enqueued {}", shown(assignment)),
            Record::LimitsChanged(limits) => format!(
                "limits {} {} {:?}",
                limits.max_total, limits.max_concurrent, limits.max_duration_ms
            ),
            Record::Exhausted { reason, .. } => format!("exhausted: {reason}"),
            Record::SweepState { state, reason } => format!("sweep {}: {reason}", state.word()),
            Record::Anomaly { message } => format!("anomaly: {message}"),
            other => format!("{other:?}"),
        };
        writeln!(output, "{}", line.trim_end()).unwrap();
    }
    for action in &batch.actions {
        show_action(action, output);
    }
}

fn show_action(action: &Action, output: &mut String) {
    match action {
        Action::Launch {
            trial,
            attempt,
            assignment,
        } => writeln!(output, "> launch {trial}.{attempt} with {}", shown(assignment)),
        Action::Cancel {
            trial,
            attempt,
            cause,
        } => writeln!(output, "> cancel {trial}.{attempt} {cause:?}"),
        Action::End { state, reason } => writeln!(output, "> end {}: {reason}", state.word()),
        other => writeln!(output, "> {other:?}"),
    }
    .unwrap();
}

/// Plays a file; what it should look like.
fn play(text: &str) -> String {
    let mut stage = Stage::new(&[]);
    let mut rendered = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            writeln!(rendered, "{line}").unwrap();
            continue;
        }
        let mut output = String::new();
        let mut command = Some(line);
        while let Some(line) = command.filter(|line| *line != "----") {
            writeln!(rendered, "{line}").unwrap();
            if !line.starts_with('#') {
                stage.command(line, &mut output);
            }
            command = lines.next();
        }
        if output.is_empty() {
            output = "nothing\n".into();
        }
        write!(rendered, "----\n{output}").unwrap();
        while lines.next_if(|line| !line.is_empty()).is_some() {}
    }
    rendered
}

#[test]
fn scenarios_go_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let update = std::env::var_os("OVERDRIVE_UPDATE_SCENARIOS").is_some();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let written = std::fs::read_to_string(&path).unwrap();
        let played = play(&written);
        if update {
            std::fs::write(&path, &played).unwrap();
        } else {
            assert_eq!(played, written, "{}", path.display());
        }
        count += 1;
    }
    assert!(count >= 8, "scenarios are missing");
}
