//! Text on a terminal: its width in cells, clipping, padding, and making text of unknown origin harmless.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Width in terminal cells; East-Asian wide characters count two, combining ones none.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The same text with control and bidirectional-override characters shown as escapes (`\x1b`, `\u{202e}`), so that a name
/// cannot move the cursor or reorder a line.
pub fn printable(text: &str) -> String {
    if !text.chars().any(is_hostile) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if !is_hostile(c) {
            out.push(c);
        } else if (c as u32) < 0x100 {
            out.push_str(&format!("\\x{:02x}", c as u32));
        } else {
            out.push_str(&format!("\\u{{{:x}}}", c as u32));
        }
    }
    out
}

/// Output of a script made harmless for a terminal: lines, tabs, carriage returns and colours stay, everything else that moves the
/// cursor, sets titles or reorders text is shown as an escape.
pub fn tame(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '\x1b'
            && let Some(colour) = colour_sequence(rest)
        {
            out.push_str(colour);
            rest = rest.get(colour.len()..).unwrap_or_default();
            continue;
        }
        if matches!(c, '\n' | '\t' | '\r') || !is_hostile(c) {
            out.push(c);
        } else {
            out.push_str(&printable(&c.to_string()));
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

/// The leading `ESC [ digits ; m`, if there is one.
fn colour_sequence(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("\x1b[")?;
    let length = inner
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b';')
        .count();
    (inner.as_bytes().get(length) == Some(&b'm'))
        .then(|| text.get(..length + 3))
        .flatten()
}

/// `file:///PATH` of an absolute path; none for another one.
pub fn file_url(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let mut url = String::from("file://");
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' | b'+' => {
                url.push(char::from(byte));
            }
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    Some(url)
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// The text cut to `cells`, with `…` (or `~` without Unicode) in the last cell if something was cut.
pub fn clip(text: &str, cells: usize, unicode: bool) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    if cells == 0 {
        return String::new();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > cells - 1 {
            break;
        }
        used += wide;
        out.push(c);
    }
    out.push(if unicode { '…' } else { '~' });
    out
}

/// The text with spaces behind it up to `cells`.
pub fn pad_right(text: &str, cells: usize) -> String {
    format!("{text}{}", " ".repeat(cells.saturating_sub(width(text))))
}

/// The text with spaces before it up to `cells`.
pub fn pad_left(text: &str, cells: usize) -> String {
    format!("{}{text}", " ".repeat(cells.saturating_sub(width(text))))
}

/// Parameters as one pasteable line of arguments: `--lr 0.003124 --width 128`. Names that have no dashes get two; values are
/// quoted for a POSIX shell where needed; reals have all their digits.
pub fn arguments<'a>(parameters: impl IntoIterator<Item = (&'a String, &'a crate::space::Value)>) -> String {
    let mut words = Vec::new();
    for (name, value) in parameters {
        let flag = if name.starts_with('-') {
            name.clone()
        } else {
            format!("--{name}")
        };
        words.push(quote(&flag));
        words.push(quote(&value.to_string()));
    }
    words.join(" ")
}

/// The same with four digits, for a narrow place.
pub fn short_arguments<'a>(
    parameters: impl IntoIterator<Item = (&'a String, &'a crate::space::Value)>,
) -> String {
    let mut words = Vec::new();
    for (name, value) in parameters {
        words.push(if name.starts_with('-') {
            printable(name)
        } else {
            format!("--{}", printable(name))
        });
        words.push(crate::report::number::value(value));
    }
    words.join(" ")
}

fn quote(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| printable(word), |quoted| printable(&quoted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Value;
    use indexmap::IndexMap;

    #[test]
    fn cells_not_characters() {
        assert_eq!(width("学习"), 4);
        assert_eq!(clip("学习率", 5, true), "学习…");
        assert_eq!(clip("abcdef", 4, false), "abc~");
        assert_eq!(clip("abc", 3, true), "abc");
        assert_eq!(pad_left("学", 4), "  学");
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(printable("a\x1b[31mb\n"), "a\\x1b[31mb\\x0a");
        assert_eq!(printable("x\u{202e}y"), "x\\u{202e}y");
    }

    #[test]
    fn colours_of_a_script_stay_and_the_rest_is_shown() {
        assert_eq!(tame("\x1b[1;31mred\x1b[0m\n"), "\x1b[1;31mred\x1b[0m\n");
        assert_eq!(tame("\x1b]0;title\x07 \x1b[2Jx"), "\\x1b]0;title\\x07 \\x1b[2Jx");
        assert_eq!(tame("50 %\r100 %"), "50 %\r100 %");
    }

    #[test]
    fn parameters_paste_into_a_shell() {
        let parameters: IndexMap<String, Value> = [
            ("--lr".to_owned(), Value::Float(0.0031239)),
            ("opt".to_owned(), Value::Str("a b".into())),
        ]
        .into_iter()
        .collect();
        assert_eq!(arguments(&parameters), "--lr 0.0031239 --opt 'a b'");
        assert_eq!(short_arguments(&parameters), "--lr 0.003124 --opt a b");
    }
}
