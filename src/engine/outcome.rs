//! How the end that a journal tells becomes an outcome, with one line that says what went wrong.

use crate::controller::{FailureClass, Outcome};
use crate::journal::Exit;
use crate::target::Fate;

/// Longest line of a message, in characters.
const LINE: usize = 300;

/// The outcome of a script's end.
pub(super) fn of(exit: &Exit) -> Outcome {
    let failed = |class, message| Outcome::Failed {
        class,
        exit_code: exit.code,
        signal: exit.signal,
        message,
    };
    match (exit.ended_by.as_deref(), exit.code) {
        (Some("cancel" | "abandoned"), _) => Outcome::Canceled,
        // By somebody else: a scheduler that takes its place away, a machine that goes down.
        (Some("terminated"), _) => failed(
            FailureClass::Preempted,
            "its runner was told to end by the machine or the scheduler".into(),
        ),
        (Some("timeout"), _) => failed(FailureClass::TimeLimit, "its time limit was reached".into()),
        (Some("oom"), _) => failed(
            FailureClass::OutOfMemory,
            with_line("killed for lack of memory", &exit.tail),
        ),
        (_, Some(0)) => Outcome::Completed,
        (_, Some(code)) => failed(
            FailureClass::Script,
            with_line(&format!("exit {code}"), &exit.tail),
        ),
        (_, None) => {
            let what = match exit.signal {
                Some(signal) => format!("ended by {}", signal_name(signal)),
                None => "ended without an exit code".into(),
            };
            failed(FailureClass::Script, with_line(&what, &exit.tail))
        }
    }
}

/// The attempt's end when only its runner's death is known.
pub(super) fn lost(proof: &str) -> Outcome {
    Outcome::Failed {
        class: FailureClass::Infrastructure,
        exit_code: None,
        signal: None,
        message: format!("the runner was lost: {proof}"),
    }
}

/// An attempt that has not begun and never will where it was placed: another one begins elsewhere.
pub(super) fn moved(target: &str) -> Outcome {
    Outcome::Failed {
        class: FailureClass::Preempted,
        exit_code: None,
        signal: None,
        message: format!("not begun on `{target}`, which cannot be reached: it goes elsewhere"),
    }
}

/// The attempt's end by the word of its target.
pub(super) fn of_fate(fate: Fate, why: &str) -> Outcome {
    let class = match fate {
        Fate::Canceled => return Outcome::Canceled,
        Fate::TimeLimit => FailureClass::TimeLimit,
        Fate::OutOfMemory => FailureClass::OutOfMemory,
        Fate::Preempted => FailureClass::Preempted,
        Fate::Exhausted => return not_started("exhausted", why),
        Fate::NotStarted => return not_started("infrastructure", why),
        Fate::Setup => return not_started("setup", why),
    };
    Outcome::Failed {
        class,
        exit_code: None,
        signal: None,
        message: why.to_owned(),
    }
}

/// The attempt's end when its script was never started. `class` is the journal's.
pub(super) fn not_started(class: &str, reason: &str) -> Outcome {
    let class = match class {
        "setup" => FailureClass::Setup,
        "exhausted" => FailureClass::Exhausted,
        _ => FailureClass::Infrastructure,
    };
    Outcome::Failed {
        class,
        exit_code: None,
        signal: None,
        message: format!("could not be started: {reason}"),
    }
}

fn with_line(what: &str, tail: &[String]) -> String {
    match telling_line(tail) {
        Some(line) => format!("{what}: {}", line.chars().take(LINE).collect::<String>()),
        None => what.to_owned(),
    }
}

/// The line that says most: of the last Python traceback its exception, else the last line that is not blank.
fn telling_line(tail: &[String]) -> Option<&str> {
    let lines = || tail.iter().map(|line| line.trim_end());
    let exception = tail
        .iter()
        .rposition(|line| line.trim_start().starts_with("Traceback (most recent call last)"))
        .and_then(|at| {
            lines()
                .skip(at + 1)
                .find(|line| !line.is_empty() && !line.starts_with([' ', '\t']))
        });
    exception
        .or_else(|| {
            let named = |line: &&str| {
                let name = line.split(':').next().unwrap_or_default();
                !name.contains(' ') && (name.ends_with("Error") || name.ends_with("Exception"))
            };
            lines().rev().find(named)
        })
        .or_else(|| lines().rev().find(|line| !line.trim().is_empty()))
        .map(str::trim)
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal} ({name})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: Option<i32>, signal: Option<i32>, ended_by: Option<&str>, tail: &[&str]) -> Exit {
        Exit {
            code,
            signal,
            ended_by: ended_by.map(str::to_owned),
            duration_ms: 1,
            max_rss: None,
            cpu_s: None,
            tail: tail.iter().map(|line| (*line).to_owned()).collect(),
            survivors: Vec::new(),
        }
    }

    fn message(outcome: Outcome) -> (FailureClass, String) {
        match outcome {
            Outcome::Failed { class, message, .. } => (class, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_exception_is_told_not_what_came_after_it() {
        let tail = [
            "epoch 1",
            "Traceback (most recent call last):",
            "  File \"train.py\", line 3, in <module>",
            "    import torch",
            "ModuleNotFoundError: No module named 'torch'",
            "",
            "some atexit noise",
        ];
        assert_eq!(
            message(of(&exit(Some(1), None, None, &tail))),
            (
                FailureClass::Script,
                "exit 1: ModuleNotFoundError: No module named 'torch'".into()
            )
        );
        assert_eq!(
            message(of(&exit(Some(2), None, None, &["usage: train", "  "]))).1,
            "exit 2: usage: train"
        );
        assert_eq!(message(of(&exit(Some(3), None, None, &[]))).1, "exit 3");
    }

    #[test]
    fn every_end_has_its_class() {
        assert_eq!(of(&exit(Some(0), None, None, &["bye"])), Outcome::Completed);
        assert_eq!(of(&exit(None, Some(15), Some("cancel"), &[])), Outcome::Canceled);
        assert_eq!(
            message(of(&exit(None, Some(9), Some("timeout"), &[]))).0,
            FailureClass::TimeLimit
        );
        assert_eq!(
            message(of(&exit(None, Some(9), Some("oom"), &[]))).0,
            FailureClass::OutOfMemory
        );
        assert!(of(&exit(Some(0), None, Some("terminated"), &[])).is_infrastructure());
        assert_eq!(
            message(of(&exit(None, Some(11), None, &[]))),
            (FailureClass::Script, "ended by signal 11 (SIGSEGV)".into())
        );
        assert!(lost("runner 3 is gone").is_infrastructure());
        assert!(!not_started("setup", "no such file").is_infrastructure());
    }
}
