//! Tables of `list` and `show`: sweeps, one sweep with its trials, one trial with its attempts.

use crate::history::TrialState;
use crate::metric::Goal;
use crate::report::card;
use crate::report::lines;
use crate::report::number;
use crate::report::style::{self, Glyphs, Line, Look, Span};
use crate::report::table::{self, Column};
use crate::report::text;
use crate::store::TargetUse;
use crate::store::row::{AttemptRow, SweepRow, TrialRow};
use std::collections::BTreeMap;

/// The table of sweeps.
pub fn sweeps(rows: &[SweepRow], width: Option<usize>, glyphs: Glyphs) -> Vec<Line> {
    let mut id = Column::text("sweep", 0);
    let mut state = Column::text("state", 0);
    let mut name = Column::text("experiment", 4);
    let mut done = Column::number("trials", 2);
    let mut best = Column::number("best", 0);
    let mut metric = Column::text("metric", 3);
    let mut created = Column::text("created", 5);
    let mut time = Column::number("time", 6);
    let mut file = Column {
        least: 16,
        ..Column::text("file", 7)
    };
    for row in rows {
        id.push_span(Span::plain(text::printable(&row.sweep)).to_path(&row.folder));
        let (sign, look) = style::sweep_sign(row.state, glyphs);
        state.push_span(Span::new(format!("{sign} {}", row.state.word()), look));
        name.push(text::clip(
            &text::printable(row.display_name.as_deref().unwrap_or(&row.experiment)),
            24,
            glyphs.is_unicode(),
        ));
        done.push(format!("{}/{}", card::counts(row).ended(), row.max_total_runs));
        best.push(
            row.best
                .as_ref()
                .map_or("-".into(), |best| number::real(best.value)),
        );
        metric.push(
            row.metric
                .as_deref()
                .map(|metric| text::clip(&text::printable(metric), 20, glyphs.is_unicode()))
                .unwrap_or_default(),
        );
        created.push(number::local_time(&row.created));
        time.push(number::duration(row.duration_ms));
        file.push(row.file.as_deref().map(text::printable).unwrap_or_default());
    }
    table::lines(
        vec![id, state, name, done, best, metric, created, time, file],
        0,
        width,
        glyphs,
    )
}

/// How trials are ordered in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Best value first; those without a value last, by number.
    Best,
    /// By number.
    Trial,
    /// Longest first.
    Duration,
}

/// Sorts trials for display; stable, ties keep the order of creation.
pub fn sort(rows: &mut [TrialRow], order: Order, goal: Goal) {
    rows.sort_by_key(|row| row.trial);
    match order {
        Order::Trial => {}
        Order::Duration => rows.sort_by_key(|row| std::cmp::Reverse(row.duration_ms.unwrap_or(0))),
        Order::Best => rows.sort_by(|a, b| match (a.best, b.best) {
            (Some(a), Some(b)) => (goal.sign() * b).total_cmp(&(goal.sign() * a)),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => std::cmp::Ordering::Equal,
        }),
    }
}

/// The table of trials.
pub fn trials(sweep: &SweepRow, rows: &[TrialRow], width: Option<usize>, glyphs: Glyphs) -> Vec<Line> {
    let mut trial = Column::number("trial", 0);
    let mut state = Column::text("state", 0);
    let metric = sweep.metric.as_deref().unwrap_or("best");
    let mut best = Column::number(text::clip(&text::printable(metric), 16, glyphs.is_unicode()), 0);
    let mut step = Column::number("reports", 4);
    let mut time = Column::number("time", 3);
    let mut attempts = Column::number("attempts", 6);
    let mut target = Column::text("target", 7);
    let mut why = Column {
        least: 16,
        ..Column::text("why", 5)
    };
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        for name in row.parameters.keys() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    let mut parameters: Vec<(String, Column)> = names
        .into_iter()
        .map(|name| {
            let title = text::clip(&text::printable(&name), 20, glyphs.is_unicode());
            (name, Column::text(title, 1))
        })
        .collect();
    let one_target = sweep.targets.len() <= 1;
    let retried = rows.iter().any(|row| row.attempts > 1);
    for row in rows {
        let is_best = sweep.best.as_ref().is_some_and(|best| best.trial == row.trial);
        trial.push(row.trial.to_string());
        let (sign, look) = style::state_sign(row.state, row.cause.as_ref(), glyphs);
        let sign = if is_best { glyphs.best() } else { sign };
        state.push_span(Span::new(
            format!("{sign} {}", row.state.word()),
            if is_best { Look::Bold } else { look },
        ));
        best.push_span(Span::new(
            row.best.map_or("-".into(), number::real),
            if is_best { Look::Bold } else { Look::Plain },
        ));
        step.push(row.reports.to_string());
        time.push(row.duration_ms.map_or("-".into(), number::duration));
        attempts.push(if retried {
            row.attempts.to_string()
        } else {
            String::new()
        });
        target.push(if one_target {
            String::new()
        } else {
            row.target.clone().unwrap_or_default()
        });
        for (name, column) in &mut parameters {
            column.push(row.parameters.get(name).map_or(String::new(), |value| {
                text::clip(&number::value(value), 20, glyphs.is_unicode())
            }));
        }
        why.push(match row.state {
            TrialState::Canceled => lines::cancel_facts(sweep, row),
            TrialState::Failed => row.reason.as_deref().map(text::printable).unwrap_or_default(),
            _ => String::new(),
        });
    }
    let mut columns = vec![trial, state, best, step, time];
    columns.extend(parameters.into_iter().map(|(_, column)| column));
    columns.extend([attempts, target, why]);
    table::lines(columns, 0, width, glyphs)
}

/// A line per target of a sweep that has several: what runs there, what came of it, how fast it is.
pub fn targets(all: &[TargetUse]) -> Vec<Line> {
    all.iter()
        .map(|used| {
            let mut facts = vec![
                format!("{} open", used.open),
                format!("{} completed", used.completed),
            ];
            if used.others > 0 {
                facts.push(format!("{} ended otherwise", used.others));
            }
            if used.lost > 0 {
                facts.push(format!("{} lost and tried again", used.lost));
            }
            if let Some(mean) = used.mean_ms {
                facts.push(format!("{} a trial", number::duration(mean)));
            }
            Line(vec![
                Span::new(format!("  {:<11}", text::printable(&used.target)), Look::Dim),
                Span::plain(facts.join(", ")),
            ])
        })
        .collect()
}

/// One trial: its facts, then its attempts.
pub fn trial(
    sweep: &SweepRow,
    row: &TrialRow,
    attempts: &[AttemptRow],
    metrics: &BTreeMap<String, (u64, f64)>,
    glyphs: Glyphs,
) -> Vec<Line> {
    let (sign, look) = style::state_sign(row.state, row.cause.as_ref(), glyphs);
    let mut title = Line(vec![Span::new(format!("{sign} trial {}", row.trial), Look::Bold)]);
    title.push(format!("  {}", row.state.word()), look);
    match row.state {
        TrialState::Canceled => title.push(format!(" {}", lines::cancel_facts(sweep, row)), Look::Plain),
        _ => {
            if let Some(reason) = &row.reason {
                title.push(format!(": {}", text::printable(reason)), Look::Plain);
            }
        }
    }
    let mut out = vec![title];
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            let mut line = Line(vec![Span::new(format!("  {name:<11}"), Look::Dim)]);
            let value = Span::plain(value);
            line.0.push(match (&row.folder, name) {
                (Some(folder), "folder") => value.to_path(folder),
                _ => value,
            });
            out.push(line);
        }
    };
    fact("run id", text::printable(&row.run_id));
    fact("parameters", text::arguments(&row.parameters));
    if let Some(metric) = &sweep.metric {
        let at = row
            .best_interval
            .map(|interval| format!(" at report {interval} of {}", row.reports))
            .unwrap_or_default();
        fact(
            &text::clip(&text::printable(metric), 11, glyphs.is_unicode()),
            row.best
                .map_or("-".into(), |best| format!("{}{at}", number::real(best))),
        );
    }
    for (name, (points, last)) in metrics {
        if Some(name) != sweep.metric.as_ref() {
            fact(
                &text::clip(&text::printable(name), 11, glyphs.is_unicode()),
                format!("{} (last of {points})", number::real(*last)),
            );
        }
    }
    fact("time", row.duration_ms.map(number::duration).unwrap_or_default());
    fact(
        "started",
        row.started.as_deref().map(number::local_time).unwrap_or_default(),
    );
    fact(
        "ended",
        row.ended.as_deref().map(number::local_time).unwrap_or_default(),
    );
    fact(
        "target",
        row.target.as_deref().map(text::printable).unwrap_or_default(),
    );
    fact(
        "folder",
        row.folder.as_deref().map(text::printable).unwrap_or_default(),
    );
    for attempt in attempts {
        let ended = match &attempt.outcome {
            None => "not ended".to_owned(),
            Some(crate::controller::Outcome::Completed) => "completed".to_owned(),
            Some(crate::controller::Outcome::Canceled) => "canceled".to_owned(),
            Some(crate::controller::Outcome::Failed { message, .. }) => text::printable(message),
        };
        let superseded = if attempt.superseded {
            ", replaced by a later attempt"
        } else {
            ""
        };
        fact(
            &format!("attempt {}", attempt.attempt),
            format!("{ended}{superseded}"),
        );
        if let Some(argv) = &attempt.argv {
            let words: Vec<String> = argv
                .iter()
                .map(|word| {
                    shlex::try_quote(word).map_or_else(|_| word.clone(), |quoted| quoted.into_owned())
                })
                .collect();
            fact("", text::printable(&words.join(" ")));
        }
    }
    out
}

/// A policy in words: `Bandit(slack_factor 0.1)`; empty for none.
pub fn policy(policy: &crate::policy::PolicySpec) -> String {
    use crate::policy::{PolicySpec, Slack};
    let freezing = |freeze| if freeze { ", freezes" } else { "" };
    let (name, first, schedule) = match policy {
        PolicySpec::Bandit { schedule, slack, .. } => {
            let slack = match slack {
                Slack::Factor(factor) => format!("slack_factor {factor}"),
                Slack::Amount(amount) => format!("slack_amount {amount}"),
            };
            ("Bandit", slack, schedule)
        }
        PolicySpec::MedianStopping { schedule, .. } => ("MedianStopping", String::new(), schedule),
        PolicySpec::TruncationSelection {
            schedule, percentage, ..
        } => ("TruncationSelection", format!("{percentage} %"), schedule),
        PolicySpec::Asha {
            min_resource,
            reduction_factor,
            freeze,
        } => {
            return format!(
                "ASHA(from {min_resource}, one in {reduction_factor}{})",
                freezing(*freeze)
            );
        }
        PolicySpec::Hyperband {
            min_resource,
            reduction_factor,
            brackets,
            freeze,
        } => {
            let freezing = freezing(*freeze);
            return format!(
                "Hyperband(from {min_resource}, one in {reduction_factor}, {brackets} brackets{freezing})"
            );
        }
        PolicySpec::Predictive {
            false_stops,
            top_k,
            freeze,
            ..
        } => {
            let freezing = freezing(*freeze);
            return match top_k {
                1 => format!("Predictive({false_stops}{freezing})"),
                _ => format!("Predictive({false_stops}, best {top_k}{freezing})"),
            };
        }
        _ => return String::new(),
    };
    let mut parts = vec![first];
    if schedule.evaluation_interval > 1 {
        parts.push(format!("every {}", schedule.evaluation_interval));
    }
    if schedule.delay_evaluation > 0 {
        parts.push(format!("from {}", schedule.delay_evaluation));
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() {
        name.to_owned()
    } else {
        format!("{name}({})", parts.join(", "))
    }
}
