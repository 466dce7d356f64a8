//! `why`: the operands of a stop and what survival would have taken, the cause of a failure, the origin of a suggestion.

use crate::controller::Outcome;
use crate::history::{CancelCause, TrialState};
use crate::metric::Goal;
use crate::policy::Stop;
use crate::report::lines;
use crate::report::number;
use crate::report::style::{Line, Look, Span};
use crate::report::text;
use crate::store::row::{AttemptRow, SweepRow, TrialRow};

/// The story of one trial: how it ended and why, where it ran, then why it was tried. `tail` are the last lines of its output.
pub fn story(sweep: &SweepRow, row: &TrialRow, attempts: &[AttemptRow], tail: &[String]) -> Vec<Line> {
    let metric = sweep
        .metric
        .as_deref()
        .map(text::printable)
        .unwrap_or_else(|| "metric".into());
    let goal = sweep.goal.unwrap_or(Goal::Minimize);
    let mut out = vec![Line(vec![
        Span::new(format!("trial {}  {}", row.trial, row.state.word()), Look::Bold),
        Span::plain(format!("  {}", text::short_arguments(&row.parameters))),
    ])];
    match (&row.stop, row.state) {
        (Some(stop), TrialState::Paused) => {
            out.push(Line(vec![Span::new(
                "frozen: it goes on when it is one of the best again, or ends with the sweep",
                Look::Bold,
            )]));
            out.extend(stopped(stop, &metric, "frozen"));
        }
        (Some(stop), _) => {
            out.extend(stopped(stop, &metric, "stopped"));
            // The decision of the policy was to freeze it.
            let later = row
                .reason
                .as_deref()
                .filter(|reason| row.cause == Some(CancelCause::Policy) && !reason.starts_with("by "));
            if let Some(reason) = later {
                out.push(Line::plain(format!(
                    "it was frozen then, and stopped later: {}",
                    text::printable(reason)
                )));
            }
        }
        (None, TrialState::Failed) => {
            out.push(Line::plain(format!(
                "failed: {}",
                row.reason
                    .as_deref()
                    .map(text::printable)
                    .unwrap_or_else(|| "no reason was recorded".into())
            )));
            for line in tail {
                out.push(Line(vec![Span::new(
                    format!("  | {}", text::printable(line)),
                    Look::Dim,
                )]));
            }
            if let Some(folder) = &row.folder {
                let log = lines::log_path(folder);
                out.push(Line(vec![
                    Span::plain("log: "),
                    Span::plain(log.clone()).to_path(&log),
                ]));
            }
        }
        (None, TrialState::Canceled) => {
            out.push(Line::plain(format!(
                "canceled: {}",
                lines::cancel_facts(sweep, row)
            )));
            if row.cause == Some(CancelCause::Policy) {
                out.push(Line::plain("the decision was not kept with its numbers"));
            }
        }
        (None, TrialState::Completed) => out.extend(completed(sweep, row, &metric, goal)),
        (None, _) => {
            out.push(Line::plain(format!(
                "not ended; {} reports so far{}",
                row.reports,
                row.best
                    .map(|best| format!(", best {}", number::real(best)))
                    .unwrap_or_default()
            )));
            if let Some(reason) = row.reason.as_deref().filter(|_| row.state == TrialState::Running) {
                out.push(Line::plain(text::printable(reason)));
            }
        }
    }
    out.extend(places(sweep, attempts));
    out.push(Line::plain(""));
    out.extend(origin(row, &metric, goal));
    out
}

/// Where its attempts ran, if there is more to say than one word.
fn places(sweep: &SweepRow, attempts: &[AttemptRow]) -> Vec<Line> {
    if sweep.targets.len() <= 1 && attempts.len() <= 1 {
        return Vec::new();
    }
    attempts
        .iter()
        .map(|attempt| {
            let end = match &attempt.outcome {
                Some(Outcome::Failed { message, .. }) if attempt.superseded => {
                    format!(": {}; tried again", text::printable(message))
                }
                _ => String::new(),
            };
            let target = text::printable(&attempt.target);
            Line::plain(format!("attempt {} on `{target}`{end}", attempt.attempt))
        })
        .collect()
}

fn stopped(stop: &Stop, metric: &str, how: &str) -> Vec<Line> {
    let mut out = vec![Line::plain(format!(
        "{how} by {} at interval {}: {metric} {}",
        stop.policy,
        stop.interval,
        text::printable(&stop.inequality)
    ))];
    if let Some(value) = stop.value {
        out.push(operand(
            "value",
            format!(
                "{}  best {metric} of this trial up to interval {}",
                number::real(value),
                stop.interval
            ),
        ));
    } else {
        out.push(operand(
            "value",
            format!("none  no finite {metric} up to interval {}", stop.interval),
        ));
    }
    for (name, value) in &stop.operands {
        if name != "value" && name != "sign" {
            out.push(operand(name, format!("{}{}", plain(*value), meaning(name))));
        }
    }
    if !stop.operands.contains_key("threshold")
        && let Some(threshold) = stop.threshold
    {
        out.push(operand(
            "threshold",
            format!("{}{}", number::real(threshold), meaning("threshold")),
        ));
    }
    let survival = format!("to survive it needed {metric} {}", crate::policy::survival(stop));
    out.push(Line(vec![Span::new(survival, Look::Bold)]));
    out
}

fn operand(name: &str, value: String) -> Line {
    Line(vec![
        Span::new(format!("  {:<15} ", text::printable(name)), Look::Dim),
        Span::plain(value),
    ])
}

/// Counts stay integers.
fn plain(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e9 {
        format!("{value}")
    } else {
        number::real(value)
    }
}

fn meaning(name: &str) -> &'static str {
    match name {
        "best" => "  best of all trials up to the same interval",
        "slack_factor" => "  slack relative to the best",
        "slack_amount" => "  slack in units of the metric",
        "threshold" => "  what it was compared with",
        "median" => "  median of the averages of all trials up to the same interval",
        "population" => "  trials that were compared",
        "k" => "  how many of them had to go",
        "kept" => "  how many of them go on",
        "reduction_factor" => "  one in so many goes on",
        "better" => "  how many of them were better",
        "truncation_percentage" | "percentage" => "  per cent that go",
        _ => "",
    }
}

fn completed(sweep: &SweepRow, row: &TrialRow, metric: &str, goal: Goal) -> Vec<Line> {
    let Some(best) = row.best else {
        return vec![Line::plain(format!("completed without any finite {metric}"))];
    };
    let mut text = format!("completed with {metric} {}", number::real(best));
    if let Some(leader) = &sweep.best {
        if leader.trial == row.trial {
            text.push_str(", the best of the sweep");
        } else {
            let word = match goal {
                Goal::Maximize => "below",
                Goal::Minimize => "above",
            };
            text.push_str(&format!(
                ", {} {word} the best (trial {})",
                number::real((leader.value - best).abs()),
                leader.trial
            ));
        }
    }
    vec![Line::plain(text)]
}

fn origin(row: &TrialRow, metric: &str, goal: Goal) -> Vec<Line> {
    let origin = &row.origin;
    let mut out = vec![Line::plain(format!(
        "suggested by {}: {}",
        text::printable(&origin.sampler),
        text::printable(&origin.method)
    ))];
    if let Some(predicted) = origin.predicted {
        out.push(Line::plain(format!(
            "expected {metric} {} ({} .. {} with 90 %)",
            number::real(predicted.mean),
            number::real(predicted.low),
            number::real(predicted.high)
        )));
        if let Some(best) = row.best {
            let inside = (predicted.low..=predicted.high).contains(&best);
            let verdict = match (inside, goal.better(best, predicted.mean)) {
                (true, _) => "as expected",
                (false, true) => "better than expected",
                (false, false) => "worse than expected",
            };
            out.push(Line::plain(format!("got {}: {verdict}", number::real(best))));
        }
    }
    for note in &origin.notes {
        out.push(Line::plain(text::printable(note)));
    }
    out
}
