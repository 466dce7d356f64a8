//! The live block: what a running sweep looks like on a terminal, as a pure function of its state and the terminal's size.
//!
//! 80 columns: counts, best, one row per running trial. From 100 columns on: curve, distance to the policy, time left, two
//! parameters. From 180 columns on: a right column with the best so far, the five best ended trials and the target.

use crate::history::{CancelCause, TrialState};
use crate::report::eta::Eta;
use crate::report::number;
use crate::report::style::{self, Glyphs, Line, Look, Span};
use crate::report::table::{self, Column};
use crate::report::text;
use crate::space::Value;
use crate::store::row::Best;
use indexmap::IndexMap;

/// Everything the block shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveState {
    /// Name of the sweep for people.
    pub name: String,
    /// `max Accuracy`, or empty for a single run.
    pub objective: String,
    /// Primary metric.
    pub metric: String,
    /// Sampler in words: `random`.
    pub sampler: String,
    /// Policy in words: `Bandit(slack_factor 0.1)`; empty = none.
    pub policy: String,
    /// Milliseconds since the sweep was created.
    pub elapsed_ms: u64,
    /// Its limit.
    pub limit_ms: Option<u64>,
    /// Trials that may be created in all.
    pub total: u64,
    /// How many are in which state.
    pub counts: Counts,
    /// Best so far.
    pub best: Option<Best>,
    /// Forecast.
    pub eta: Option<Eta>,
    /// Trials that are not ended, running first by number.
    pub rows: Vec<LiveRow>,
    /// Best value so far after each ended trial, in order of their ends.
    pub best_so_far: Vec<f64>,
    /// Best ended trials: number, value, parameters.
    pub top: Vec<(u64, f64, IndexMap<String, Value>)>,
    /// Targets with slots taken and in all: `local 2/2`; of several only how many are taken.
    pub targets: Vec<(String, u64, Option<u64>)>,
    /// Names of the parameters, those that vary most first.
    pub parameters: Vec<String>,
    /// Whether keys can be pressed.
    pub keys: bool,
    /// Order of the rows.
    pub sort: Sort,
    /// The row that was chosen.
    pub chosen: Option<u64>,
    /// Last lines of the chosen trial's output, if they are wanted.
    pub tail: Option<Vec<String>>,
    /// Whether the keys are explained.
    pub help: bool,
    /// What is being done about a request of the user, or why the sweep stands still.
    pub notice: Option<String>,
}

/// Order of the rows of running trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By number.
    #[default]
    Trial,
    /// Best last value first.
    Metric,
    /// Longest first.
    Time,
}

impl Sort {
    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Trial => Self::Metric,
            Self::Metric => Self::Time,
            Self::Time => Self::Trial,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Trial => "trial",
            Self::Metric => "metric",
            Self::Time => "time",
        }
    }
}

/// Trials by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Script runs (also cancel requested, not responding).
    pub running: u64,
    /// Queued or preparing.
    pub starting: u64,
    /// Ended well.
    pub completed: u64,
    /// Stopped by the policy.
    pub stopped: u64,
    /// Canceled otherwise.
    pub canceled: u64,
    /// Failed.
    pub failed: u64,
}

impl Counts {
    /// Trials that have ended.
    pub fn ended(&self) -> u64 {
        self.completed + self.stopped + self.canceled + self.failed
    }

    /// Counts one trial.
    pub fn add(&mut self, state: TrialState, cause: Option<&CancelCause>) {
        let slot = match state {
            TrialState::Queued | TrialState::Preparing => &mut self.starting,
            TrialState::Running
            | TrialState::Paused
            | TrialState::NotResponding
            | TrialState::CancelRequested => &mut self.running,
            TrialState::Completed => &mut self.completed,
            TrialState::Failed => &mut self.failed,
            TrialState::Canceled if cause == Some(&CancelCause::Policy) => &mut self.stopped,
            TrialState::Canceled => &mut self.canceled,
        };
        *slot += 1;
    }
}

/// One trial that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveRow {
    /// Number.
    pub trial: u64,
    /// State.
    pub state: TrialState,
    /// Who asked for its end.
    pub cause: Option<CancelCause>,
    /// Step of the last report.
    pub step: Option<i64>,
    /// Last value.
    pub last: Option<f64>,
    /// Best value.
    pub best: Option<f64>,
    /// All values.
    pub curve: Vec<f64>,
    /// Distance to the policy's threshold, positive = survives.
    pub margin: Option<f64>,
    /// Milliseconds since the start of the script.
    pub time_ms: Option<u64>,
    /// Milliseconds it will probably still take.
    pub left_ms: Option<u64>,
    /// Parameters.
    pub parameters: IndexMap<String, Value>,
}

/// Most rows of trials that are shown.
const ROWS_MAX: usize = 8;
/// Width of the right column.
const ASIDE: usize = 60;

/// The lines of the block for a terminal of `width` x `height` cells; never more lines than `height - 1`, never a line wider than
/// `width`. Below 60 columns only the header and the best.
pub fn frame(state: &LiveState, width: usize, height: usize, glyphs: Glyphs, colour: bool) -> Vec<String> {
    let wide = width >= 180;
    let left = if wide { width - ASIDE - 3 } else { width };
    let mut lines = vec![header(state, left), progress(state, left, glyphs)];
    lines.push(best(state, left, glyphs));
    if let Some(notice) = &state.notice {
        lines.push(Line(vec![Span::new(text::printable(notice), Look::Yellow)]));
    }
    if width < 60 {
        lines.remove(1);
    } else if !state.rows.is_empty() {
        let room = height.saturating_sub(lines.len() + 3).clamp(1, ROWS_MAX);
        let shown = state.rows.len().min(room);
        let first = window(state, shown);
        lines.extend(rows(state, first, shown, left, width >= 100, wide, glyphs));
        if state.rows.len() > shown {
            lines.push(Line(vec![Span::new(
                format!("  +{} more running", state.rows.len() - shown),
                Look::Dim,
            )]));
        }
    }
    if width >= 60 {
        lines.extend(opened(state, left, glyphs));
    }
    if wide {
        lines = beside(lines, aside(state, glyphs), left, glyphs);
    }
    lines.truncate(height.saturating_sub(1).max(1));
    lines
        .iter()
        .map(|line| line.clipped(width, glyphs).render(colour))
        .collect()
}

/// The first row that is shown, so that the chosen one is among them.
fn window(state: &LiveState, shown: usize) -> usize {
    let chosen = state
        .chosen
        .and_then(|chosen| state.rows.iter().position(|row| row.trial == chosen));
    chosen.map_or(0, |at| (at + 1).saturating_sub(shown))
}

/// What keys have opened below the rows.
fn opened(state: &LiveState, width: usize, glyphs: Glyphs) -> Vec<Line> {
    let mut lines = Vec::new();
    if let (Some(trial), Some(tail)) = (state.chosen, &state.tail) {
        lines.push(Line(vec![Span::new(
            format!("  output of trial {trial}"),
            Look::Dim,
        )]));
        if tail.is_empty() {
            lines.push(Line(vec![Span::new("  | nothing yet", Look::Dim)]));
        }
        for line in tail {
            lines.push(Line::plain(format!("  | {}", text::printable(line))).clipped(width, glyphs));
        }
    }
    if state.help {
        let text = format!(
            "  s order (by {})   {} choose   Enter its output   q leave, trials run on   ? close",
            state.sort.word(),
            glyphs.pick("↑↓", "j k")
        );
        lines.push(Line(vec![Span::new(text, Look::Dim)]));
    }
    lines
}

fn header(state: &LiveState, width: usize) -> Line {
    let mut clock = number::long_clock(state.elapsed_ms);
    if let Some(limit) = state.limit_ms {
        clock = format!("{clock} of {}", number::long_clock(limit));
    }
    let mut line = Line(vec![Span::new(text::printable(&state.name), Look::Bold)]);
    let room = width.saturating_sub(text::width(&clock) + 2);
    // Where it is narrow the seed gives way to the policy.
    let whole: usize = [&state.objective, &state.sampler, &state.policy]
        .iter()
        .filter(|part| !part.is_empty())
        .map(|part| 2 + text::width(part))
        .sum();
    let sampler = match state.sampler.split_once(" seed ") {
        Some((kind, _)) if line.width() + whole > room => kind,
        _ => state.sampler.as_str(),
    };
    for part in [state.objective.as_str(), sampler, state.policy.as_str()] {
        if !part.is_empty() && line.width() + 2 + text::width(part) <= room {
            line.push(format!("  {}", text::printable(part)), Look::Plain);
        }
    }
    flush_right(line, Line::plain(clock), width)
}

fn progress(state: &LiveState, width: usize, glyphs: Glyphs) -> Line {
    let counts = &state.counts;
    let share = if state.total == 0 {
        0.0
    } else {
        counts.ended() as f64 / state.total as f64
    };
    let mut facts = Line(vec![Span::new(
        format!(
            "  {}/{}",
            number::count(counts.ended()),
            number::count(state.total)
        ),
        Look::Bold,
    )]);
    let shown = [
        (counts.running, glyphs.pick("●", "*"), "running", Look::Cyan),
        (counts.starting, glyphs.pick("◌", "."), "starting", Look::Dim),
        (counts.stopped, glyphs.pick("■", "#"), "stopped", Look::Yellow),
        (counts.canceled, glyphs.pick("■", "#"), "canceled", Look::Dim),
        (counts.failed, glyphs.pick("✗", "x"), "failed", Look::Failure),
    ];
    for (count, sign, word, look) in shown {
        if count > 0 {
            facts.push("  ", Look::Plain);
            facts.push(format!("{sign}{count} {word}"), look);
        }
    }
    let hint = Line(vec![Span::new(if state.keys { "? keys" } else { "" }, Look::Dim)]);
    // The bar gives way to the counts.
    let mut line = Line::plain(style::bar(
        share,
        width.saturating_sub(facts.width()).clamp(8, 30),
        glyphs,
    ));
    line.0.extend(facts.0);
    if state.keys && line.width() + hint.width() + 2 <= width {
        line = flush_right(line, hint, width);
    }
    line
}

fn best(state: &LiveState, width: usize, glyphs: Glyphs) -> Line {
    let eta = match state.eta {
        Some(eta) => format!("ETA {}{}", number::long_clock(eta.middle_ms), range(eta)),
        None => "ETA -".into(),
    };
    let left = match &state.best {
        Some(best) => {
            let mut line = Line(vec![Span::new(
                format!("{} best {}", glyphs.best(), number::real(best.value)),
                Look::Bold,
            )]);
            line.push(format!("  trial {}", best.trial), Look::Plain);
            let arguments = text::short_arguments(&best.parameters);
            if !arguments.is_empty() {
                line.push(format!("  {arguments}"), Look::Plain);
            }
            line
        }
        None if state.metric.is_empty() => Line::plain("no metric"),
        None => Line::plain(format!("no report of {} yet", text::printable(&state.metric))),
    };
    let room = width.saturating_sub(text::width(&eta) + 2);
    if width < 60 {
        return left;
    }
    flush_right(left.clipped(room, glyphs), Line::plain(eta), width)
}

/// ` (0:04..0:08)` in hours and minutes; with seconds where the ends are within two minutes, nothing where seconds do not tell them apart.
fn range(eta: Eta) -> String {
    let near = eta.high_ms / 60_000 < eta.low_ms / 60_000 + 2;
    let shown = if near { number::long_clock } else { short_clock };
    let (low, high) = (shown(eta.low_ms), shown(eta.high_ms));
    if low == high {
        return String::new();
    }
    format!(" ({low}..{high})")
}

fn short_clock(milliseconds: u64) -> String {
    let minutes = milliseconds / 60_000;
    format!("{}:{:02}", minutes / 60, minutes % 60)
}

fn flush_right(left: Line, right: Line, width: usize) -> Line {
    let mut line = left.padded(width.saturating_sub(right.width()));
    line.0.extend(right.0);
    line
}

fn rows(
    state: &LiveState,
    first: usize,
    shown: usize,
    width: usize,
    more: bool,
    all: bool,
    glyphs: Glyphs,
) -> Vec<Line> {
    let mut trial = Column::number("trial", 0);
    let mut word = Column::text("state", 0);
    let mut step = Column::number("step", 0);
    let mut last = Column::number(
        text::clip(&text::printable(&state.metric), 14, glyphs.is_unicode()),
        0,
    );
    let mut best = Column::number("best", 1);
    let mut time = Column::number("time", 2);
    let mut curve = Column::text("curve", 6);
    let mut left = Column::number("left", 5);
    let mut margin = Column::number("vs policy", 4);
    let names = if all { state.parameters.len() } else { 2 };
    let mut parameters: Vec<(String, Column)> = state
        .parameters
        .iter()
        .take(names)
        .map(|name| {
            (
                name.clone(),
                Column::text(text::clip(&text::printable(name), 16, glyphs.is_unicode()), 3),
            )
        })
        .collect();
    for row in state.rows.iter().skip(first).take(shown) {
        trial.push(row.trial.to_string());
        let (sign, look) = style::state_sign(row.state, row.cause.as_ref(), glyphs);
        let name = match row.state {
            TrialState::Queued | TrialState::Preparing => "Starting",
            TrialState::CancelRequested => "Stopping",
            TrialState::NotResponding => "No answer",
            other => other.word(),
        };
        word.push_span(Span::new(format!("{sign} {name}"), look));
        step.push(row.step.map_or("-".into(), |step| step.to_string()));
        last.push(row.last.map_or("-".into(), number::real));
        best.push(row.best.map_or("-".into(), number::real));
        time.push(row.time_ms.map_or("-".into(), number::clock));
        curve.push(style::sparkline(&row.curve, 8, glyphs));
        left.push(row.left_ms.map_or("-".into(), number::clock));
        margin.push(row.margin.map_or("-".into(), number::signed));
        for (name, column) in &mut parameters {
            column.push(row.parameters.get(name).map_or(String::new(), |value| {
                text::clip(&number::value(value), 16, glyphs.is_unicode())
            }));
        }
    }
    let mut columns = vec![trial, word, step, last, best];
    if more {
        columns.push(curve);
        if !state.policy.is_empty() {
            columns.push(margin);
        }
    }
    columns.push(time);
    if more {
        columns.push(left);
        columns.extend(parameters.into_iter().map(|(_, column)| column));
    }
    let mut lines = table::lines(columns, 2, Some(width), glyphs);
    let chosen = state
        .rows
        .iter()
        .skip(first)
        .take(shown)
        .position(|row| Some(row.trial) == state.chosen);
    // The title comes first.
    if let Some(line) = chosen.and_then(|at| lines.get_mut(at + 1))
        && let Some(indent) = line.0.first_mut()
    {
        *indent = Span::new(glyphs.pick("› ", "> "), Look::Bold);
    }
    lines
}

fn aside(state: &LiveState, glyphs: Glyphs) -> Vec<Line> {
    let mut lines = vec![Line(vec![Span::new(
        format!("best so far over {} ended trials", state.counts.ended()),
        Look::Dim,
    )])];
    lines.extend(
        style::braille(&state.best_so_far, ASIDE, 6, glyphs)
            .into_iter()
            .map(Line::plain),
    );
    if !state.top.is_empty() {
        lines.push(Line(vec![Span::new("best ended trials", Look::Dim)]));
    }
    for (trial, value, parameters) in state.top.iter().take(5) {
        let line = Line::plain(format!(
            "{trial:>5}  {:>10}  {}",
            number::real(*value),
            text::short_arguments(parameters)
        ));
        lines.push(line.clipped(ASIDE, glyphs));
    }
    for (name, taken, slots) in &state.targets {
        let taken = match slots {
            Some(slots) => format!("{taken}/{slots} slots"),
            None => format!("{taken} open"),
        };
        lines.push(Line(vec![Span::new(
            format!("{}  {taken}", text::printable(name)),
            Look::Dim,
        )]));
    }
    lines
}

fn beside(left: Vec<Line>, right: Vec<Line>, width: usize, glyphs: Glyphs) -> Vec<Line> {
    (0..left.len().max(right.len()))
        .map(|index| {
            let mut line = left
                .get(index)
                .cloned()
                .unwrap_or_default()
                .clipped(width, glyphs)
                .padded(width);
            line.push(glyphs.pick(" │ ", " | "), Look::Dim);
            line.0.extend(right.get(index).cloned().unwrap_or_default().0);
            line
        })
        .collect()
}
