//! Plain text on standard output: `name=value`, `name: value` and JSON object lines, for the names that the user's file gives.
//!
//! Lowest precedence of the live channels. The rules are those of a regular expression with look-ahead, matched by hand because
//! a trial of a millisecond should not compile one:
//! `(?:^|[\s,;|\[({"'])NAME["']?\s*[=:]\s*NUMBER(?=$|[\s,;|\])}"'%])`, first match of a line, thousands separators refused.

use super::Report;
use super::report_file::{lenient_object, number_of, step_of};
use crate::journal::Channel;
use std::borrow::Cow;

/// Lines that are looked at for near misses of a metric that never came.
const NEAR_MISS_LINES: u32 = 2_000;
/// Other names kept.
const OTHERS: usize = 16;
/// Near misses kept.
const NEAR_MISSES: usize = 8;

/// The text of one captured line: what a terminal would still show of it. Colours and other escape sequences are removed, of the
/// segments between carriage returns (progress bars) the last one counts, bad UTF-8 becomes U+FFFD.
pub fn plain(line: &[u8]) -> Cow<'_, str> {
    let end = line
        .iter()
        .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
        .map_or(0, |last| last + 1);
    let line = line.get(..end).unwrap_or_default();
    let start = line
        .iter()
        .rposition(|byte| *byte == b'\r')
        .map_or(0, |last| last + 1);
    let line = line.get(start..).unwrap_or_default();
    if line.contains(&0x1b) {
        Cow::Owned(String::from_utf8_lossy(&without_escapes(line)).into_owned())
    } else {
        String::from_utf8_lossy(line)
    }
}

/// Removes CSI, OSC and two-byte escape sequences.
fn without_escapes(line: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != 0x1b {
            kept.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'[') => while bytes.next().is_some_and(|byte| !(0x40..=0x7e).contains(&byte)) {},
            Some(b']') => {
                while let Some(byte) = bytes.next() {
                    if byte == 0x07 || (byte == 0x1b && bytes.next_if_eq(&b'\\').is_some()) {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    kept
}

/// Finds the wanted metrics in lines of text.
#[derive(Clone, Debug)]
pub struct TextParser {
    names: Vec<Wanted>,
    primary: Option<String>,
    near: Vec<String>,
    others: Vec<String>,
    lines: u32,
}

#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    found: bool,
    warned_ambiguous: bool,
    warned_percent: bool,
}

impl TextParser {
    /// Looks for `names`, near misses of `primary` are remembered.
    pub fn new(names: &[String], primary: Option<&str>) -> Self {
        let mut wanted: Vec<Wanted> = Vec::new();
        for name in names.iter().map(String::as_str).chain(primary) {
            if !name.is_empty() && wanted.iter().all(|other| other.name != name) {
                wanted.push(Wanted {
                    name: name.to_owned(),
                    found: false,
                    warned_ambiguous: false,
                    warned_percent: false,
                });
            }
        }
        Self {
            names: wanted,
            primary: primary.map(str::to_owned),
            near: Vec::new(),
            others: Vec::new(),
            lines: 0,
        }
    }

    /// Names on the output that differ from the primary metric's in case, blanks, underscores or a prefix only, while the
    /// primary metric itself was not seen.
    pub fn near_misses(&self) -> &[String] {
        &self.near
    }

    /// Names of numbers on the output that nobody looks for, while the primary metric itself was not seen.
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// Reads one line that went through [`plain`].
    pub fn line(&mut self, line: &str, out: &mut Vec<Report>) {
        if self.names.is_empty() || !line.bytes().any(|byte| byte == b'=' || byte == b':') {
            return;
        }
        let mut object = None;
        for wanted in &mut self.names {
            if !line.contains(wanted.name.as_str()) {
                continue;
            }
            let object = object.get_or_insert_with(|| lenient_object(line));
            if let Some(object) = object
                && let Some(value) = object.get(&wanted.name).and_then(number_of)
            {
                wanted.found = true;
                out.push(point(&wanted.name, value, step_of(object)));
                continue;
            }
            let Some(hit) = find(line, &wanted.name) else {
                continue;
            };
            wanted.found = true;
            if hit.ambiguous && !std::mem::replace(&mut wanted.warned_ambiguous, true) {
                out.push(warning(
                    "ambiguous-metric",
                    format!(
                        "`{}` was read from a line where another word stands before it: {}",
                        wanted.name,
                        excerpt(line)
                    ),
                ));
            }
            if hit.percent && !std::mem::replace(&mut wanted.warned_percent, true) {
                out.push(warning(
                    "percent-metric",
                    format!(
                        "`{}` is printed with a percent sign; the number is taken as it stands",
                        wanted.name
                    ),
                ));
            }
            out.push(point(&wanted.name, hit.value, step(line)));
        }
        self.look_for_near_miss(line);
    }

    fn look_for_near_miss(&mut self, line: &str) {
        let Some(primary) = &self.primary else { return };
        if self.lines >= NEAR_MISS_LINES
            || self
                .names
                .iter()
                .any(|wanted| wanted.found && wanted.name == *primary)
        {
            return;
        }
        self.lines += 1;
        if self.near.len() < NEAR_MISSES
            && let Some(near) = near_miss(line, primary)
            && !self.near.contains(&near)
        {
            self.near.push(near);
        }
        if self.others.len() < OTHERS {
            for name in assigned_names(line) {
                let known = self.names.iter().any(|wanted| wanted.name == name)
                    || self.others.iter().any(|other| other == name);
                if !known && self.others.len() < OTHERS {
                    self.others.push(name.to_owned());
                }
            }
        }
    }
}

fn point(name: &str, value: f64, step: Option<i64>) -> Report {
    Report::Metric {
        name: name.to_owned(),
        value,
        step,
        channel: Channel::Text,
    }
}

fn warning(code: &str, message: String) -> Report {
    Report::Warning {
        code: code.to_owned(),
        message,
    }
}

fn excerpt(line: &str) -> String {
    line.trim().chars().take(120).collect()
}

struct Hit {
    value: f64,
    ambiguous: bool,
    percent: bool,
}

/// First place where `name` stands as a word of its own and is followed by `=` or `:` and a number.
fn find(line: &str, name: &str) -> Option<Hit> {
    for (at, _) in line.match_indices(name) {
        let before = line.get(..at)?;
        let mut back = before.chars().rev();
        let previous = back.next();
        if !previous.is_none_or(|c| c.is_whitespace() || ",;|[({\"'".contains(c)) {
            continue;
        }
        let Some((value, next)) = assigned(line.get(at + name.len()..)?) else {
            continue;
        };
        let ambiguous = previous == Some(' ') && back.next().is_some_and(char::is_alphabetic);
        return Some(Hit {
            value,
            ambiguous,
            percent: next == Some('%'),
        });
    }
    None
}

/// Reads `["']?\s*[=:]\s*NUMBER` with its border; gives the number and the character behind it.
fn assigned(rest: &str) -> Option<(f64, Option<char>)> {
    let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix(['=', ':'])?.trim_start();
    let length = number_length(rest)?;
    let (text, behind) = rest.split_at_checked(length)?;
    let next = behind.chars().next();
    if !next.is_none_or(|c| c.is_whitespace() || ",;|])}\"'%".contains(c)) {
        return None;
    }
    let thousands = behind
        .strip_prefix(',')
        .and_then(|digits| digits.as_bytes().get(..3));
    if thousands.is_some_and(|digits| digits.iter().all(u8::is_ascii_digit)) {
        return None;
    }
    Some((text.parse().ok()?, next))
}

/// Length of the number at the beginning of `text`: decimal with optional sign, fraction and exponent, or nan, inf, infinity.
fn number_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    for word in ["infinity", "inf", "nan"] {
        if bytes
            .get(sign..sign + word.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
        {
            return Some(sign + word.len());
        }
    }
    let digits = |from: usize| {
        bytes
            .iter()
            .skip(from)
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let whole = digits(sign);
    let mut end = sign + whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if whole + fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    } else if whole == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    Some(end)
}

/// The step that a line names: `step`, else `iteration` or `iter`, else `epoch`, followed by `=`, `:` or a blank and an integer.
fn step(line: &str) -> Option<i64> {
    let folded = line.to_ascii_lowercase();
    ["step", "iteration", "iter", "epoch"].iter().find_map(|word| {
        folded.match_indices(word).find_map(|(at, _)| {
            let before = folded.get(..at)?.chars().next_back();
            if before.is_some_and(char::is_alphanumeric) {
                return None;
            }
            let rest = folded.get(at + word.len()..)?;
            let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
            let bare = rest.trim_start();
            let digits = match bare.strip_prefix(['=', ':']) {
                Some(value) => value.trim_start(),
                None if bare.len() < rest.len() => bare,
                None => return None,
            };
            let length = digits.bytes().take_while(u8::is_ascii_digit).count();
            let (number, behind) = digits.split_at_checked(length)?;
            let fraction = behind
                .strip_prefix('.')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if fraction { None } else { number.parse().ok() }
        })
    })
}

/// A name on the line that is not `name` but looks like it, with a number assigned.
fn near_miss(line: &str, name: &str) -> Option<String> {
    let fold = |text: &str| -> String {
        text.chars()
            .map(|c| {
                if matches!(c, '_' | '-') {
                    ' '
                } else {
                    c.to_ascii_lowercase()
                }
            })
            .collect()
    };
    let (folded, wanted) = (fold(line), fold(name));
    // Folding keeps byte positions: it only swaps ASCII for ASCII.
    folded.match_indices(&wanted).find_map(|(at, _)| {
        let end = at + wanted.len();
        assigned(line.get(end..)?)?;
        let before = line.get(..at)?;
        let begin = before
            .char_indices()
            .rev()
            .take_while(|(_, c)| c.is_alphanumeric() || "_/.-".contains(*c))
            .last()
            .map_or(at, |(index, _)| index);
        let found = line.get(begin..end)?;
        (found != name && found.len() <= 100).then(|| found.to_owned())
    })
}

/// Words on the line that a number is assigned to.
fn assigned_names(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(['=', ':']).filter_map(|(at, _)| {
        assigned(line.get(at..)?)?;
        let before = line.get(..at)?.trim_end().trim_end_matches(['"', '\'']);
        let begin = before
            .char_indices()
            .rev()
            .take_while(|(_, c)| c.is_alphanumeric() || "_/.-@".contains(*c))
            .last()?
            .0;
        let name = before.get(begin..)?;
        (name.len() <= 100 && name.starts_with(|c: char| c.is_alphabetic() || c == '_')).then_some(name)
    })
}

#[cfg(test)]
mod tests;
