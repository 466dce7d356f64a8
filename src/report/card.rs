//! The final card: how a sweep ended, its best trial, and what to type next.

use crate::controller::SweepState;
use crate::metric::Goal;
use crate::report::live::Counts;
use crate::report::number;
use crate::report::style::{self, Glyphs, Line, Look, Span};
use crate::report::text;
use crate::store::row::{SweepRow, TrialRow};

/// Widest column of commands to type next; the meaning of a longer one follows it directly.
const NEXT: usize = 50;

/// What the card tells beyond the sweep's own row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Reports that the policy's stops spared, and how many there would have been: `(212, 1080)`.
    pub saved: Option<(u64, u64)>,
    /// Most reports of a trial, and the first report at which the policy would have looked, if none came so far: `(1, 5)`.
    pub never_judged: Option<(u64, u64)>,
    /// Names of metrics that trials did report, if none reported the primary one.
    pub other_metrics: Vec<String>,
    /// Outputs of the best trial.
    pub outputs: Option<String>,
    /// Folder that paths are shown relative to where they lie in it; `None` = whole paths.
    pub here: Option<String>,
    /// Short form of the sweep's id that is unique in the store.
    pub short_id: String,
}

/// Reports that stops spared: the longest completed trial is taken as what a stopped one would have reported.
/// `None` if nothing was stopped or nothing completed.
pub fn saved<'a>(trials: impl Iterator<Item = &'a TrialRow>) -> Option<(u64, u64)> {
    let (mut full, mut stopped, mut reports, mut all) = (0u64, 0u64, 0u64, 0u64);
    for trial in trials {
        all += trial.reports;
        match trial.state {
            crate::history::TrialState::Completed => full = full.max(trial.reports),
            crate::history::TrialState::Canceled if trial.stop.is_some() => {
                stopped += 1;
                reports += trial.reports;
            }
            _ => {}
        }
    }
    if stopped == 0 || full == 0 {
        return None;
    }
    let saved = (stopped * full).saturating_sub(reports);
    Some((saved, all + saved))
}

/// Counts of a sweep by the words of its row.
pub fn counts(sweep: &SweepRow) -> Counts {
    let of = |word: &str| sweep.trials.get(word).copied().unwrap_or(0);
    Counts {
        running: of("Running") + of("CancelRequested") + of("NotResponding") + of("Paused"),
        starting: of("Queued") + of("Preparing"),
        completed: of("Completed"),
        stopped: sweep.stopped_by_policy,
        canceled: of("Canceled").saturating_sub(sweep.stopped_by_policy),
        failed: of("Failed"),
    }
}

/// The card, a line per fact.
pub fn lines(sweep: &SweepRow, facts: &Facts, width: usize, glyphs: Glyphs) -> Vec<Line> {
    let mut out = Vec::new();
    let (sign, look) = style::sweep_sign(sweep.state, glyphs);
    let name = sweep.display_name.as_deref().unwrap_or(&sweep.experiment);
    let mut title = Line(vec![Span::new(
        format!("{sign} {}", text::printable(name)),
        Look::Bold,
    )]);
    title.push(format!("  {}", sweep.state.word()), look);
    if let Some(reason) = &sweep.reason {
        title.push(format!(": {}", text::printable(reason)), Look::Plain);
    }
    out.push(title);
    out.extend(best(sweep, facts, glyphs));
    out.push(trials(sweep, glyphs));
    if let Some((saved, all)) = facts.saved
        && saved > 0
    {
        let share = 100.0 * saved as f64 / all.max(1) as f64;
        out.push(fact(
            "policy",
            format!(
                "saved {} of {} reports ({share:.0} %)",
                number::count(saved),
                number::count(all)
            ),
        ));
    }
    if let Some((most, first)) = facts.never_judged {
        let times = if most == 1 {
            "once".to_owned()
        } else {
            format!("{most} times")
        };
        out.push(fact(
            "policy",
            format!("had no say: it looks from report {first} on, and no trial reported more than {times}"),
        ));
    }
    out.push(fact("time", number::duration(sweep.duration_ms)));
    if let Some(outputs) = &facts.outputs {
        out.push(path("outputs", outputs, facts));
    }
    out.push(path("folder", &sweep.folder, facts));
    out.extend(next(sweep, facts, width));
    out
}

fn fact(name: &str, value: impl Into<String>) -> Line {
    let mut line = Line(vec![Span::new(format!("  {name:<9}"), Look::Dim)]);
    line.push(value, Look::Plain);
    line
}

fn path(name: &str, path: &str, facts: &Facts) -> Line {
    let mut line = fact(name, "");
    line.0
        .push(Span::plain(text::printable(nearer(path, facts))).to_path(path));
    line
}

/// The path as it is called from the folder of [`Facts::here`].
fn nearer<'a>(path: &'a str, facts: &Facts) -> &'a str {
    facts
        .here
        .as_deref()
        .and_then(|here| path.strip_prefix(here)?.strip_prefix('/'))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(path)
}

fn best(sweep: &SweepRow, facts: &Facts, glyphs: Glyphs) -> Vec<Line> {
    let Some(best) = &sweep.best else {
        let Some(metric) = &sweep.metric else {
            return Vec::new();
        };
        let mut lines = vec![fact(
            "best",
            format!("none: no trial reported `{}`", text::printable(metric)),
        )];
        if !facts.other_metrics.is_empty() {
            let names: Vec<String> = facts
                .other_metrics
                .iter()
                .take(12)
                .map(|name| format!("`{}`", text::printable(name)))
                .collect();
            let nearest = nearest(metric, &facts.other_metrics)
                .map(|name| format!("; did you mean `{}`?", text::printable(name)))
                .unwrap_or_default();
            lines.push(fact("reported", format!("{}{nearest}", names.join(", "))));
        }
        return lines;
    };
    let metric = sweep.metric.as_deref().map(text::printable).unwrap_or_default();
    let goal = match sweep.goal {
        Some(Goal::Minimize) => " (min)",
        Some(Goal::Maximize) => " (max)",
        None => "",
    };
    let mut line = Line(vec![Span::new(
        format!("  {:<9}", format!("{} best", glyphs.best())),
        Look::Bold,
    )]);
    line.push(format!("{metric} {}", number::real(best.value)), Look::Bold);
    let step = best.step.map(|step| format!(", step {step}")).unwrap_or_default();
    line.push(format!("{goal}  trial {}{step}", best.trial), Look::Plain);
    let mut lines = vec![line];
    if !best.parameters.is_empty() {
        lines.push(fact("", text::arguments(&best.parameters)));
    }
    lines
}

/// The candidate nearest to `word`: equal but for case, else within a third of its length by Damerau-Levenshtein.
pub fn nearest<'a>(word: &str, candidates: &'a [String]) -> Option<&'a String> {
    let lower = word.to_lowercase();
    if let Some(same) = candidates
        .iter()
        .find(|candidate| candidate.to_lowercase() == lower)
    {
        return Some(same);
    }
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn trials(sweep: &SweepRow, glyphs: Glyphs) -> Line {
    let counts = counts(sweep);
    let mut line = Line(vec![Span::new(format!("  {:<9}", "trials"), Look::Dim)]);
    line.push(
        format!(
            "{} {} Completed",
            glyphs.pick("✓", "+"),
            number::count(counts.completed)
        ),
        Look::Plain,
    );
    for (count, sign, word, look) in [
        (
            counts.stopped,
            glyphs.pick("■", "#"),
            "stopped by the policy",
            Look::Yellow,
        ),
        (counts.canceled, glyphs.pick("■", "#"), "Canceled", Look::Dim),
        (counts.failed, glyphs.pick("✗", "x"), "Failed", Look::Failure),
        (
            counts.running + counts.starting,
            glyphs.pick("●", "*"),
            "still running",
            Look::Cyan,
        ),
    ] {
        if count > 0 {
            line.push("  ", Look::Plain);
            line.push(format!("{sign} {} {word}", number::count(count)), look);
        }
    }
    line
}

fn next(sweep: &SweepRow, facts: &Facts, width: usize) -> Vec<Line> {
    let id = if facts.short_id.is_empty() {
        &sweep.sweep
    } else {
        &facts.short_id
    };
    let mut commands = Vec::new();
    match sweep.state {
        SweepState::Failed => {
            commands.push((format!("overdrive logs {id}.0"), "the output of the first trial"))
        }
        SweepState::Running | SweepState::Paused | SweepState::CancelRequested => {
            commands.push((format!("overdrive resume {id}"), "go on"));
        }
        SweepState::Completed | SweepState::Canceled => {}
    }
    commands.push((format!("overdrive show {id}"), "all trials"));
    if sweep.best.is_some() {
        commands.push((
            "overdrive studio".to_owned(),
            "curves, parameters, importance in a browser",
        ));
    }
    if sweep.state.is_terminal() && sweep.best.is_some() {
        let file = sweep.file.as_deref().map_or("FILE", |file| nearer(file, facts));
        let file = shlex::try_quote(file).unwrap_or_else(|_| file.into());
        commands.push((
            format!("overdrive run {file} --resume-from {id}"),
            "go on from here with more trials",
        ));
    }
    let widest = commands
        .iter()
        .map(|(command, _)| text::width(command))
        .max()
        .unwrap_or(0);
    commands
        .into_iter()
        .enumerate()
        .map(|(index, (command, meaning))| {
            let mut line = Line(vec![Span::new(
                format!("  {:<9}", if index == 0 { "next" } else { "" }),
                Look::Dim,
            )]);
            let column = widest.min(NEXT).max(text::width(&command));
            line.push(text::pad_right(&command, column), Look::Plain);
            if 13 + column + text::width(meaning) <= width {
                line.push(format!("  {meaning}"), Look::Dim);
            }
            line
        })
        .collect()
}
