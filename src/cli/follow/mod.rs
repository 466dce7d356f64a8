//! Follows a sweep by its event log: the live block on a terminal, plain lines elsewhere, JSON lines into a file.
//!
//! The same code serves `run`, `resume` (the engine works in another thread of this process) and `watch` (it works elsewhere): all
//! three only read the store.

mod view;

use crate::cli::commands::last_lines;
use crate::cli::error::CliError;
use crate::cli::output::{self, Output, Progress};
use crate::cli::terminal::screen::{FRAME, Screen};
use crate::cli::terminal::{Key, Keys};
use crate::clock::iso;
use crate::history::{CancelCause, TrialState};
use crate::report::ci::Ci;
use crate::report::eta::Smooth;
use crate::report::style::{Look, Span};
use crate::report::{lines, live, number, text};
use crate::store::row::{EventRow, TrialRow};
use crate::store::{Store, TrialQuery};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use view::{News, View};

/// Events read at a time.
const BATCH: u64 = 2000;
/// Least time between two heartbeats of the plain lines.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// Above so many trials, ends that bring no new best are not told one by one.
const MANY: u64 = 200;
/// Lines of a trial's output below the rows.
const TAIL: usize = 8;
/// Lines of a failed trial's output in a group of a CI log, and how many trials get one.
const GROUP: (usize, u32) = (50, 10);
/// Warnings of one code that are told without `-v`.
const WARNINGS_MAX: u32 = 3;
/// Above so many trials that exist already, their curves are not read when the view begins.
const ROWS_MAX: u64 = 20_000;
/// The same for ended trials, whose curves only the policy's threshold needs.
const ENDED_MAX: u64 = 2_000;

/// Where JSON lines of events go.
pub(super) enum Events {
    /// Nowhere.
    None,
    /// Into a file or standard output.
    To(Box<dyn Write>),
}

impl Events {
    /// Opens the file; `-` is standard output.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, CliError> {
        match path {
            None => Ok(Self::None),
            Some(path) if path == Path::new("-") => Ok(Self::To(Box::new(std::io::stdout()))),
            Some(path) => match std::fs::File::create(path) {
                Ok(file) => Ok(Self::To(Box::new(file))),
                Err(error) => Err(CliError::failed(
                    "events",
                    format!("`{}`: {error}", path.display()),
                )),
            },
        }
    }

    fn write(&mut self, event: &EventRow) -> Result<(), CliError> {
        if let Self::To(out) = self {
            let mut line =
                serde_json::to_vec(event).map_err(|error| CliError::failed("json", error.to_string()))?;
            line.push(b'\n');
            out.write_all(&line)?;
            out.flush()?;
        }
        Ok(())
    }
}

/// A sweep being followed.
pub(super) struct Follower<'a> {
    store: &'a Store,
    id: String,
    output: &'a Output,
    events: Events,
    view: View,
    seq: u64,
    eta: Smooth,
    screen: Option<Screen<std::io::Stderr>>,
    drawn: Option<Instant>,
    refreshed: Instant,
    beat: Instant,
    beat_ended: u64,
    notice: Option<String>,
    warned: HashMap<String, u32>,
    keys: Option<Keys>,
    help: bool,
    /// Whether the output of the chosen trial is shown.
    tail: bool,
    /// Failures whose logs were grouped for a CI system.
    grouped: u32,
    above: Vec<String>,
}

impl<'a> Follower<'a> {
    /// Begins with what is in the store now.
    ///
    /// # Errors
    /// That of the store.
    pub(super) fn new(
        store: &'a Store,
        id: &str,
        output: &'a Output,
        events: Events,
    ) -> Result<Self, CliError> {
        // The position first: an event between the two readings is seen twice rather than never.
        let seq = store.last_event()?;
        let sweep = store.sweep(id)?;
        let existing: u64 = sweep.trials.values().sum();
        let mut view = View::new(sweep, &store.experiment(id)?);
        if output.progress != Progress::None || !matches!(events, Events::None) {
            // Ended trials are taken one by one, unless a policy compares the others with their reports.
            let keeps_ended = view.judges() && existing <= ENDED_MAX;
            let mut kept = Vec::new();
            store.each_trial(id, &TrialQuery::default(), |row| {
                if row.state.is_terminal() && !keeps_ended {
                    view.begin(&row, &[]);
                } else {
                    kept.push(row);
                }
            })?;
            let metric = view.sweep.metric.clone().unwrap_or_default();
            for row in kept {
                let curve = if existing > ROWS_MAX {
                    Vec::new()
                } else {
                    store.curve(id, row.trial, &metric, None).unwrap_or_default()
                };
                view.begin(&row, &curve);
            }
        }
        let beat_ended = view.counts.ended();
        let mut follower = Self {
            store,
            id: id.to_owned(),
            output,
            events,
            view,
            seq,
            eta: Smooth::default(),
            screen: None,
            drawn: None,
            refreshed: Instant::now(),
            beat: Instant::now(),
            beat_ended,
            notice: None,
            warned: HashMap::new(),
            keys: None,
            help: false,
            tail: false,
            grouped: 0,
            above: Vec::new(),
        };
        follower.begin();
        Ok(follower)
    }

    fn begin(&mut self) {
        match self.output.progress {
            Progress::Live => {
                self.screen = Some(Screen::new(std::io::stderr()));
                self.keys = Keys::take();
            }
            Progress::Lines => {
                let (name, sampler, policy) = self.view.words();
                let verb = if self.view.counts.ended() + self.view.counts.running > 0 {
                    "goes on"
                } else {
                    "started"
                };
                let line = lines::started(&clock_now(), &self.view.sweep, &name, sampler, policy);
                self.output
                    .complain(&line.replacen("started  ", &format!("{verb:<9}"), 1));
            }
            Progress::None => {}
        }
    }

    /// What is being done about a request of the user; shown in the block, or as a line.
    pub(super) fn notice(&mut self, text: &str) {
        match self.output.progress {
            Progress::Live => self.notice = Some(text.to_owned()),
            Progress::Lines => self
                .output
                .complain(&lines::line(&clock_now(), "sweep", "notice", text)),
            Progress::None => self.output.note(text),
        }
    }

    /// Takes the keys that were pressed; true if the user wants to leave.
    pub(crate) fn keys(&mut self) -> bool {
        let pressed = self.keys.as_ref().map(Keys::pressed).unwrap_or_default();
        let mut leave = false;
        for key in pressed {
            match key {
                Key::Quit => leave = true,
                Key::Sort => self.view.sort = self.view.sort.next(),
                Key::Help => self.help = !self.help,
                Key::Escape => (self.help, self.tail) = (false, false),
                Key::Up | Key::Down => self.choose(key == Key::Down),
                Key::Enter => {
                    if self.chosen().is_none() {
                        self.choose(true);
                    }
                    self.tail = !self.tail;
                }
            }
            self.drawn = None;
        }
        leave
    }

    fn chosen(&self) -> Option<u64> {
        self.view.live(None, None).chosen
    }

    /// Moves the choice to the row below or above.
    fn choose(&mut self, down: bool) {
        let state = self.view.live(None, None);
        let at = state
            .chosen
            .and_then(|chosen| state.rows.iter().position(|row| row.trial == chosen));
        let next = match (at, down) {
            (None, _) => 0,
            (Some(at), true) => (at + 1).min(state.rows.len().saturating_sub(1)),
            (Some(at), false) => at.saturating_sub(1),
        };
        self.view.chosen = state.rows.get(next).map(|row| row.trial);
    }

    /// Number of trials that run or start now.
    pub(super) fn running(&self) -> u64 {
        if self.is_silent() {
            let words = [TrialState::Preparing.word(), TrialState::Running.word()];
            return self.store.sweep(&self.id).map_or(0, |sweep| {
                words.iter().filter_map(|word| sweep.trials.get(*word)).sum()
            });
        }
        self.view.counts.running + self.view.counts.starting
    }

    /// Whether nobody wants to see anything before the end.
    fn is_silent(&self) -> bool {
        self.output.progress == Progress::None && matches!(self.events, Events::None)
    }

    /// Reads what is new and shows it; returns whether the sweep has ended.
    ///
    /// # Errors
    /// That of the store, a closed pipe.
    pub(super) fn step(&mut self) -> Result<bool, CliError> {
        let mut ended = false;
        while !self.is_silent() {
            let batch = self.store.events_since(Some(&self.id), self.seq, BATCH)?;
            let full = batch.len() as u64 == BATCH;
            for event in &batch {
                self.seq = event.seq;
                self.events.write(event)?;
                let news = self.view.event(event);
                if event.kind == "trial_created"
                    && let Some(trial) = event.trial
                {
                    self.view.row(&self.store.trial(&self.id, trial)?);
                }
                self.tell(event, news)?;
            }
            if !full {
                break;
            }
        }
        let wait = if self.output.progress == Progress::Live {
            Duration::from_millis(500)
        } else {
            Duration::from_secs(2)
        };
        if self.refreshed.elapsed() > wait {
            self.refresh()?;
        }
        if self.view.sweep.state.is_terminal() {
            ended = true;
        }
        self.show()?;
        Ok(ended)
    }

    fn refresh(&mut self) -> Result<(), CliError> {
        self.view.refresh(self.store.sweep(&self.id)?);
        self.refreshed = Instant::now();
        Ok(())
    }

    fn tell(&mut self, event: &EventRow, news: News) -> Result<(), CliError> {
        let clock = number::local_clock(&event.time);
        match news {
            News::None => {}
            News::Ended(trial) => {
                let row = self.store.trial(&self.id, trial)?;
                self.view.row(&row);
                self.ended(&clock, &row);
            }
            News::Incumbent {
                trial,
                value,
                interval,
            } => {
                self.refresh()?;
                if self.output.verbose > 0 {
                    let metric = self.view.sweep.metric.clone().unwrap_or_default();
                    self.line(
                        lines::new_best(&clock, &metric, trial, value, interval),
                        Look::Bold,
                    );
                }
            }
            News::Sweep(state) => {
                self.refresh()?;
                if state.is_terminal() {
                    if self.output.progress == Progress::Lines {
                        self.line(lines::finished(&clock, &self.view.sweep), Look::Plain);
                    }
                } else if state != crate::controller::SweepState::Running {
                    self.line(lines::finished(&clock, &self.view.sweep), Look::Yellow);
                }
            }
            News::Notice(reason) => self.line(lines::line(&clock, "sweep", "notice", &reason), Look::Plain),
            News::Warning { trial, code, message } => self.warning(&clock, trial, &code, &message),
            News::Anomaly(message) => {
                if self.output.verbose > 0 {
                    self.line(lines::line(&clock, "sweep", "anomaly", &message), Look::Yellow);
                }
            }
        }
        Ok(())
    }

    /// A warning of the engine that is in no event log, because nothing can be written now.
    pub(super) fn warn(&mut self, code: &str, message: &str) {
        let clock = clock_now();
        self.warning(&clock, None, code, message);
    }

    /// The first of each code are told; trials of one sweep tend to have the same trouble.
    fn warning(&mut self, clock: &str, trial: Option<u64>, code: &str, message: &str) {
        let told = self.warned.entry(code.to_owned()).or_insert(0u32);
        *told += 1;
        let (told, all) = (*told, self.output.verbose > 0);
        if told > WARNINGS_MAX && !all {
            return;
        }
        let subject = trial.map_or("sweep".to_owned(), |trial| format!("trial {trial}"));
        let more = if told == WARNINGS_MAX && !all {
            " (further ones only with -v)"
        } else {
            ""
        };
        let facts = format!("[{code}] {}{more}", text::printable(message));
        self.line(lines::line(clock, &subject, "warning", &facts), Look::Yellow);
    }

    fn ended(&mut self, clock: &str, row: &TrialRow) {
        let best = self.view.incumbent == Some(row.trial);
        let line = lines::ended(clock, &self.view.sweep, row, best);
        let stopped = row.cause == Some(CancelCause::Policy);
        let worth_keeping = best || row.state == TrialState::Failed || stopped;
        let look = match row.state {
            TrialState::Failed => Look::Failure,
            TrialState::Canceled if stopped => Look::Yellow,
            _ if best => Look::Bold,
            _ => Look::Plain,
        };
        match self.output.progress {
            Progress::Live if worth_keeping && self.view.sweep.max_total_runs <= MANY => {
                self.line(line, look)
            }
            Progress::Live if best || self.output.verbose > 0 => self.line(line, look),
            Progress::Lines
                if best
                    || self.view.sweep.max_total_runs <= MANY
                    || self.output.verbose > 0
                    || row.state == TrialState::Failed =>
            {
                self.line(line, look);
            }
            _ => {}
        }
        if self.output.progress == Progress::Lines && row.state == TrialState::Failed {
            self.group(row);
        }
    }

    /// The log of a failed trial, folded, and an annotation of the failure, where a CI system understands them.
    fn group(&mut self, row: &TrialRow) {
        let (lines, most) = GROUP;
        if self.output.ci == Ci::None || self.grouped >= most {
            return;
        }
        self.grouped += 1;
        let title = format!("trial {}", row.trial);
        let tail = row
            .folder
            .as_deref()
            .map(|folder| last_lines(Path::new(folder), lines))
            .unwrap_or_default();
        let seconds = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let id = format!("overdrive_trial_{}", row.trial);
        for line in self
            .output
            .ci
            .group(&id, &format!("output of {title}"), &tail, seconds)
        {
            self.output.complain(&line);
        }
        let reason = row.reason.as_deref().unwrap_or("failed");
        if let Some(line) = self.output.ci.failure(&format!("{title} failed"), reason) {
            self.output.complain(&line);
        }
    }

    /// Prints a line for good: above the block, or by itself.
    fn line(&mut self, line: String, look: Look) {
        match self.output.progress {
            Progress::Live => {
                // Not cut: above the block a line may wrap, and its end is what matters of a decision.
                let line = crate::report::style::Line(vec![Span::new(line, look)]);
                self.above.push(line.render(self.output.colour_err));
            }
            Progress::Lines => self.output.complain(&line),
            Progress::None => {}
        }
    }

    fn show(&mut self) -> Result<(), CliError> {
        match self.output.progress {
            Progress::Live => {
                if self.drawn.is_some_and(|drawn| drawn.elapsed() < FRAME) {
                    return Ok(());
                }
                self.draw()
            }
            Progress::Lines => {
                let step = (self.view.sweep.max_total_runs / 20).max(1);
                if self.beat.elapsed() >= HEARTBEAT && self.view.counts.ended() >= self.beat_ended + step {
                    self.refresh()?;
                    let line = lines::progress(
                        &clock_now(),
                        &self.view.sweep,
                        &self.view.counts,
                        self.view.forecast(),
                    );
                    self.output.complain(&line);
                    self.beat = Instant::now();
                    self.beat_ended = self.view.counts.ended();
                }
                Ok(())
            }
            Progress::None => Ok(()),
        }
    }

    fn draw(&mut self) -> Result<(), CliError> {
        let now = self.view.elapsed_ms();
        let eta = self.eta.feed(now, self.view.forecast());
        let (width, height) = output::size();
        let mut state = self.view.live(eta, self.notice.clone());
        state.keys = self.keys.is_some();
        state.help = self.help;
        if self.tail
            && let Some(chosen) = state.chosen
        {
            let folder = self.store.trial(&self.id, chosen)?.folder;
            let lines = folder.map(|folder| last_lines(Path::new(&folder), TAIL));
            state.tail = Some(lines.unwrap_or_default());
        }
        let block = live::frame(&state, width, height, self.output.glyphs, self.output.colour_err);
        if let Some(screen) = &mut self.screen {
            screen.draw(&std::mem::take(&mut self.above), &block)?;
        }
        self.drawn = Some(Instant::now());
        Ok(())
    }

    /// Shows the last events and takes the block away.
    ///
    /// # Errors
    /// That of the store or the terminal.
    pub(super) fn finish(mut self) -> Result<(), CliError> {
        self.refresh()?;
        self.step()?;
        if self.screen.is_some() {
            self.draw()?;
        }
        if let Some(screen) = self.screen.take() {
            screen.finish()?;
        }
        Ok(())
    }
}

fn clock_now() -> String {
    let wall = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64);
    number::local_clock(&iso(wall))
}
