//! Glyphs and colours: every state has a sign, a word and a colour, and never the colour alone.

use crate::history::{CancelCause, TrialState};
use crate::report::text;

/// The signs to draw with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyphs {
    /// `●✓✗■◌▲`, block and braille characters.
    Unicode,
    /// `* + x # . ^`.
    Ascii,
}

impl Glyphs {
    /// Whether characters beyond ASCII may be used.
    pub fn is_unicode(self) -> bool {
        self == Self::Unicode
    }

    /// One of two texts.
    pub fn pick(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self {
            Self::Unicode => unicode,
            Self::Ascii => ascii,
        }
    }

    /// The sign of the best.
    pub fn best(self) -> &'static str {
        self.pick("▲", "^")
    }
}

/// How a piece of text looks. Only the 16 theme colours, bold and dim, so that every terminal theme works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// As it is.
    #[default]
    Plain,
    /// Bold.
    Bold,
    /// Dim.
    Dim,
    /// Cyan: what runs.
    Cyan,
    /// Yellow: stopped by a policy; warnings.
    Yellow,
    /// Red and bold: failures.
    Failure,
}

/// A piece of text with its look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Text, printable.
    pub text: String,
    /// Look.
    pub look: Look,
    /// Address that a terminal may open on a click.
    pub link: Option<String>,
}

impl Span {
    /// A piece of text.
    pub fn new(text: impl Into<String>, look: Look) -> Self {
        Self {
            text: text.into(),
            look,
            link: None,
        }
    }

    /// The same, leading to a file or folder.
    #[must_use]
    pub fn to_path(mut self, path: &str) -> Self {
        self.link = text::file_url(path);
        self
    }

    /// A piece of plain text.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Look::Plain)
    }
}

/// One line of spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(pub Vec<Span>);

impl Line {
    /// A line of one plain text.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(vec![Span::plain(text)])
    }

    /// Appends a piece.
    pub fn push(&mut self, text: impl Into<String>, look: Look) {
        self.0.push(Span::new(text, look));
    }

    /// Width in cells.
    pub fn width(&self) -> usize {
        self.0.iter().map(|span| text::width(&span.text)).sum()
    }

    /// The line cut to `cells`.
    #[must_use]
    pub fn clipped(&self, cells: usize, glyphs: Glyphs) -> Self {
        if self.width() <= cells {
            return self.clone();
        }
        let mut out = Self::default();
        let mut left = cells;
        for span in &self.0 {
            let wide = text::width(&span.text);
            if wide < left || (wide == left && std::ptr::eq(span, self.0.last().unwrap_or(span))) {
                out.0.push(span.clone());
                left -= wide;
            } else {
                let marked = format!("{} ", span.text);
                out.push(text::clip(&marked, left, glyphs.is_unicode()), span.look);
                break;
            }
        }
        out
    }

    /// The line with spaces behind it up to `cells`.
    #[must_use]
    pub fn padded(mut self, cells: usize) -> Self {
        let wide = self.width();
        if wide < cells {
            self.push(" ".repeat(cells - wide), Look::Plain);
        }
        self
    }

    /// The text, with escape sequences if `colour`; no trailing spaces, no links.
    pub fn render(&self, colour: bool) -> String {
        self.render_with(colour, false)
    }

    /// As [`Self::render`]; `links` makes what leads somewhere a hyperlink (OSC 8).
    pub fn render_with(&self, colour: bool, links: bool) -> String {
        if !colour && !links {
            let mut text: String = self.0.iter().map(|span| span.text.as_str()).collect();
            text.truncate(text.trim_end().len());
            return text;
        }
        let mut out = String::new();
        let last = self.0.iter().rposition(|span| !span.text.trim_end().is_empty());
        for (index, span) in self.0.iter().enumerate() {
            let text = match last {
                Some(last) if index < last => span.text.as_str(),
                Some(last) if index == last => span.text.trim_end(),
                _ => break,
            };
            let (on, off) = if colour { codes(span.look) } else { ("", "") };
            let link = span.link.as_ref().filter(|_| links);
            if let Some(link) = link {
                out.push_str(&format!("\x1b]8;;{link}\x1b\\"));
            }
            out.push_str(on);
            out.push_str(text);
            out.push_str(off);
            if link.is_some() {
                out.push_str("\x1b]8;;\x1b\\");
            }
        }
        out
    }
}

fn codes(look: Look) -> (&'static str, &'static str) {
    match look {
        Look::Plain => ("", ""),
        Look::Bold => ("\x1b[1m", "\x1b[0m"),
        Look::Dim => ("\x1b[2m", "\x1b[0m"),
        Look::Cyan => ("\x1b[36m", "\x1b[0m"),
        Look::Yellow => ("\x1b[33m", "\x1b[0m"),
        Look::Failure => ("\x1b[1;31m", "\x1b[0m"),
    }
}

/// Sign and look of a trial's state.
pub fn state_sign(state: TrialState, cause: Option<&CancelCause>, glyphs: Glyphs) -> (&'static str, Look) {
    match state {
        TrialState::Running => (glyphs.pick("●", "*"), Look::Cyan),
        TrialState::Completed => (glyphs.pick("✓", "+"), Look::Plain),
        TrialState::Failed => (glyphs.pick("✗", "x"), Look::Failure),
        TrialState::NotResponding => (glyphs.pick("?", "?"), Look::Yellow),
        TrialState::Canceled | TrialState::CancelRequested => match cause {
            Some(CancelCause::Policy) => (glyphs.pick("■", "#"), Look::Yellow),
            _ => (glyphs.pick("■", "#"), Look::Dim),
        },
        TrialState::Queued | TrialState::Preparing | TrialState::Paused => (glyphs.pick("◌", "."), Look::Dim),
    }
}

/// Sign and look of a sweep's state.
pub fn sweep_sign(state: crate::controller::SweepState, glyphs: Glyphs) -> (&'static str, Look) {
    use crate::controller::SweepState;
    match state {
        SweepState::Running => (glyphs.pick("●", "*"), Look::Cyan),
        SweepState::Paused => (glyphs.pick("◌", "."), Look::Dim),
        SweepState::CancelRequested | SweepState::Canceled => (glyphs.pick("■", "#"), Look::Dim),
        SweepState::Completed => (glyphs.pick("✓", "+"), Look::Plain),
        SweepState::Failed => (glyphs.pick("✗", "x"), Look::Failure),
    }
}

/// A curve in `cells` characters: one bar per bucket, scaled between its own extremes; non-finite values are gaps.
pub fn sparkline(values: &[f64], cells: usize, glyphs: Glyphs) -> String {
    const UNICODE: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 5] = ['_', '.', '-', '=', '#'];
    let levels: &[char] = if glyphs.is_unicode() { &UNICODE } else { &ASCII };
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite
        .clone()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    if low > high || cells == 0 {
        return String::new();
    }
    let buckets = values.len().min(cells);
    (0..buckets)
        .map(|bucket| {
            // The last value of a bucket: the right end of the curve is always the newest report.
            let end = ((bucket + 1) * values.len()).div_ceil(buckets).min(values.len());
            let value = values
                .get(..end)
                .and_then(<[f64]>::last)
                .copied()
                .unwrap_or(f64::NAN);
            if !value.is_finite() {
                return ' ';
            }
            let share = if high > low {
                (value - low) / (high - low)
            } else {
                1.0
            };
            let index = (share * (levels.len() - 1) as f64).round() as usize;
            levels.get(index).copied().unwrap_or(' ')
        })
        .collect()
}

/// A bar of `cells` characters, `share` of it filled.
pub fn bar(share: f64, cells: usize, glyphs: Glyphs) -> String {
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let full = (share * cells as f64).round() as usize;
    format!(
        "{}{}",
        glyphs.pick("█", "#").repeat(full),
        glyphs.pick("░", ".").repeat(cells.saturating_sub(full))
    )
}

/// A chart of `values` over their index in braille dots: `rows` lines of `cells` characters; ASCII draws one `*` per column.
pub fn braille(values: &[f64], cells: usize, rows: usize, glyphs: Glyphs) -> Vec<String> {
    let finite: Vec<(usize, f64)> = values
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, value)| value.is_finite())
        .collect();
    let (low, high) = finite
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, value)| {
            (low.min(*value), high.max(*value))
        });
    let (across, down) = if glyphs.is_unicode() { (2, 4) } else { (1, 1) };
    let (wide, tall) = (cells * across, rows * down);
    let mut grid = vec![0u8; cells * rows];
    if low <= high && wide > 0 && tall > 0 {
        for column in 0..wide {
            let index = column * values.len() / wide;
            let Some(value) = values.get(index).filter(|value| value.is_finite()) else {
                continue;
            };
            let share = if high > low {
                (value - low) / (high - low)
            } else {
                0.5
            };
            let row = tall - 1 - ((share * (tall - 1) as f64).round() as usize).min(tall - 1);
            let bit = match (column % across, row % down) {
                (0, 0) => 0x01,
                (0, 1) => 0x02,
                (0, 2) => 0x04,
                (0, _) => 0x40,
                (_, 0) => 0x08,
                (_, 1) => 0x10,
                (_, 2) => 0x20,
                _ => 0x80,
            };
            if let Some(cell) = grid.get_mut(row / down * cells + column / across) {
                *cell |= bit;
            }
        }
    }
    grid.chunks(cells.max(1))
        .map(|line| {
            line.iter()
                .map(|bits| match (glyphs, bits) {
                    (Glyphs::Unicode, bits) => char::from_u32(0x2800 + u32::from(*bits)).unwrap_or(' '),
                    (Glyphs::Ascii, 0) => ' ',
                    (Glyphs::Ascii, _) => '*',
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparkline_ends_with_the_newest_value() {
        assert_eq!(sparkline(&[0.0, 1.0], 8, Glyphs::Unicode), "▁█");
        let rising: Vec<f64> = (0..80).map(f64::from).collect();
        let line = sparkline(&rising, 8, Glyphs::Unicode);
        assert_eq!(line.chars().count(), 8);
        assert!(line.ends_with('█'));
        assert_eq!(sparkline(&[f64::NAN, 1.0], 8, Glyphs::Ascii), " #");
        assert_eq!(sparkline(&[], 8, Glyphs::Ascii), "");
    }

    #[test]
    fn clipping_keeps_looks_and_width() {
        let mut line = Line::plain("abc ");
        line.push("defgh", Look::Bold);
        assert_eq!(line.clipped(7, Glyphs::Unicode).render(false), "abc de…");
        assert_eq!(line.clipped(9, Glyphs::Unicode).render(false), "abc defgh");
        assert_eq!(line.clipped(4, Glyphs::Unicode).render(false), "abc…");
        assert_eq!(line.render(true), "abc \x1b[1mdefgh\x1b[0m");
        line.0.push(Span::plain("there").to_path("/a b"));
        assert_eq!(line.render(false), "abc defghthere");
        assert_eq!(
            line.render_with(false, true),
            "abc defgh\x1b]8;;file:///a%20b\x1b\\there\x1b]8;;\x1b\\"
        );
    }

    #[test]
    fn bars_and_charts_have_their_size() {
        assert_eq!(bar(0.42, 10, Glyphs::Ascii), "####......");
        assert_eq!(bar(f64::NAN, 4, Glyphs::Ascii), "....");
        let chart = braille(&[1.0, 2.0, 3.0], 10, 3, Glyphs::Unicode);
        assert_eq!(chart.len(), 3);
        assert!(chart.iter().all(|line| line.chars().count() == 10));
    }
}
