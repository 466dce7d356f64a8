//! Plain lines for pipes, files and CI: `HH:MM:SS subject  verb  facts`, one self-contained line per event, at most 160 cells.

use crate::history::{CancelCause, TrialState};
use crate::report::eta::Eta;
use crate::report::live::Counts;
use crate::report::number;
use crate::report::text;
use crate::store::row::{SweepRow, TrialRow};

/// Widest line.
pub const WIDTH: usize = 160;

/// One line: clock, subject, verb, facts.
pub fn line(clock: &str, subject: &str, verb: &str, facts: &str) -> String {
    text::clip(
        format!("{clock} {subject:<9} {verb:<9} {facts}").trim_end(),
        WIDTH,
        true,
    )
}

/// The first line of a sweep: what will happen.
pub fn started(clock: &str, sweep: &SweepRow, name: &str, sampler: &str, policy: &str) -> String {
    let mut facts = format!("{}: ", text::printable(name));
    if sweep.max_total_runs == 1 && sweep.metric.is_none() {
        facts.push_str("1 trial");
    } else {
        facts.push_str(&format!(
            "{} trials, {} at once, {sampler}",
            number::count(sweep.max_total_runs),
            sweep.max_concurrent_runs
        ));
    }
    if !policy.is_empty() {
        facts.push_str(&format!(", {policy}"));
    }
    line(clock, "sweep", "started", &facts)
}

/// The line of an ended trial. `new_best` marks the incumbent.
pub fn ended(clock: &str, sweep: &SweepRow, trial: &TrialRow, new_best: bool) -> String {
    let subject = format!("trial {}", trial.trial);
    let metric = sweep.metric.as_deref().map(text::printable).unwrap_or_default();
    let took = trial
        .duration_ms
        .map(|ms| format!(" {}", number::duration(ms)))
        .unwrap_or_default();
    let arguments = text::short_arguments(&trial.parameters);
    match trial.state {
        TrialState::Completed => {
            let value = match trial.best {
                Some(value) => format!("{metric} {}", number::real(value)),
                None if sweep.metric.is_some() => format!("no report of {metric}"),
                None => String::new(),
            };
            let best = if new_best { " (new best)" } else { "" };
            let steps = if trial.reports > 0 {
                format!(" {} steps", trial.reports)
            } else {
                String::new()
            };
            line(
                clock,
                &subject,
                "Completed",
                format!("{value}{best}{steps}{took}  {arguments}").trim(),
            )
        }
        TrialState::Failed => {
            let reason = trial.reason.as_deref().map_or("failed".into(), text::printable);
            let tail = format!(
                "{}   overdrive logs {}",
                if took.is_empty() {
                    String::new()
                } else {
                    format!(" after{took}")
                },
                trial.trial
            );
            let reason = text::clip(&reason, WIDTH.saturating_sub(29 + text::width(&tail)), true);
            line(clock, &subject, "Failed", &format!("{reason}{tail}"))
        }
        TrialState::Canceled => line(clock, &subject, "Canceled", &cancel_facts(sweep, trial)),
        other => line(clock, &subject, other.word(), &arguments),
    }
}

/// Why a trial was canceled, in one clause with its numbers.
pub fn cancel_facts(sweep: &SweepRow, trial: &TrialRow) -> String {
    let metric = sweep.metric.as_deref().map(text::printable).unwrap_or_default();
    match (&trial.stop, &trial.cause) {
        (Some(stop), _) => format!(
            "by {} at interval {}: {metric} {}",
            stop.policy,
            stop.interval,
            text::printable(&stop.inequality)
        ),
        (None, Some(CancelCause::User)) => "by you".into(),
        (None, Some(CancelCause::Sweep)) => "with the sweep".into(),
        (None, Some(CancelCause::MaxDuration)) => "max_duration_minutes of the sweep has passed".into(),
        (None, Some(CancelCause::TrialTimeout)) => "its time limit has passed".into(),
        (None, _) => trial.reason.as_deref().map(text::printable).unwrap_or_default(),
    }
}

/// The heartbeat.
pub fn progress(clock: &str, sweep: &SweepRow, counts: &Counts, eta: Option<Eta>) -> String {
    let mut facts = format!(
        "{}/{} done, {} running",
        counts.ended(),
        sweep.max_total_runs,
        counts.running + counts.starting
    );
    if counts.stopped > 0 {
        facts.push_str(&format!(", {} stopped", counts.stopped));
    }
    if counts.failed > 0 {
        facts.push_str(&format!(", {} failed", counts.failed));
    }
    if let Some(best) = &sweep.best {
        facts.push_str(&format!(
            ", best {} (trial {})",
            number::real(best.value),
            best.trial
        ));
    }
    facts.push_str(&format!(
        ", ETA {}",
        eta.map_or("-".into(), |eta| number::rough(eta.middle_ms))
    ));
    line(clock, "sweep", "progress", &facts)
}

/// The line of a new best that came while its trial still runs.
pub fn new_best(clock: &str, metric: &str, trial: u64, value: f64, interval: u64) -> String {
    line(
        clock,
        &format!("trial {trial}"),
        "best",
        &format!(
            "{} {} (new best) at interval {interval}",
            text::printable(metric),
            number::real(value)
        ),
    )
}

/// The last line: state and reason.
pub fn finished(clock: &str, sweep: &SweepRow) -> String {
    let reason = sweep.reason.as_deref().map(text::printable).unwrap_or_default();
    line(clock, "sweep", sweep.state.word(), &reason)
}

/// Path of the captured output of an attempt's folder.
pub fn log_path(folder: &str) -> String {
    format!(
        "{}/user_logs/std_log.txt",
        text::printable(folder.trim_end_matches('/'))
    )
}
