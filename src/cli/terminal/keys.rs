//! Single keys while the live block is shown: the terminal gives them at once and unseen; Ctrl-C stays a signal.

use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};
use std::io::stdin;
use std::sync::{Mutex, PoisonError};

/// How the terminal was before; given back by [`restore`].
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Another order of the rows.
    Sort,
    /// The row above.
    Up,
    /// The row below.
    Down,
    /// Open or close what belongs to the chosen row.
    Enter,
    /// Close what is open.
    Escape,
    /// What the keys are.
    Help,
    /// Leave.
    Quit,
}

/// The keyboard of a terminal.
#[derive(Debug)]
pub struct Keys(());

impl Keys {
    /// Takes the keyboard, if standard input is a terminal and this process is in its foreground.
    pub fn take() -> Option<Self> {
        let keys = Self(());
        keys.ready().then_some(keys)
    }

    /// Whether keys can be read now, without being stopped for it; sets the terminal up where it is not (anew, after a suspend).
    fn ready(&self) -> bool {
        // Whoever reads or sets a terminal from the background is stopped by it.
        if !isatty(stdin()) || tcgetpgrp(stdin()).ok() != Some(getpgrp()) {
            return false;
        }
        let Ok(mut modes) = tcgetattr(stdin()) else {
            return false;
        };
        if !modes.local_modes.contains(LocalModes::ICANON) {
            return true;
        }
        BEFORE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| modes.clone());
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        modes.special_codes[SpecialCodeIndex::VMIN] = 0;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Now, &modes).is_ok()
    }

    /// Keys that were pressed since the last look; never waits.
    pub fn pressed(&self) -> Vec<Key> {
        if !self.ready() {
            return Vec::new();
        }
        let mut bytes = [0u8; 64];
        let length = rustix::io::read(stdin(), &mut bytes).unwrap_or(0);
        meaning(bytes.get(..length).unwrap_or_default())
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the keyboard back as it was. Called on drop and on panic.
pub fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before
        && tcgetpgrp(stdin()).ok() == Some(getpgrp())
    {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}

fn meaning(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let (key, rest) = match (first, rest) {
            (0x1b, [b'[' | b'O', b'A', rest @ ..]) => (Some(Key::Up), rest),
            (0x1b, [b'[' | b'O', b'B', rest @ ..]) => (Some(Key::Down), rest),
            (0x1b, [b'[' | b'O', rest @ ..]) => {
                // The rest of a sequence that means nothing here: parameters, then one final byte.
                let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte));
                (None, end.and_then(|end| rest.get(end + 1..)).unwrap_or_default())
            }
            (0x1b, rest) => (Some(Key::Escape), rest),
            (b's', rest) => (Some(Key::Sort), rest),
            (b'k', rest) => (Some(Key::Up), rest),
            (b'j', rest) => (Some(Key::Down), rest),
            (b'\r' | b'\n', rest) => (Some(Key::Enter), rest),
            (b'?', rest) => (Some(Key::Help), rest),
            (b'q', rest) => (Some(Key::Quit), rest),
            (_, rest) => (None, rest),
        };
        keys.extend(key);
        bytes = rest;
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_terminals_are_understood() {
        assert_eq!(meaning(b"sx?"), [Key::Sort, Key::Help]);
        assert_eq!(meaning(b"\x1b[A\x1bOB\r"), [Key::Up, Key::Down, Key::Enter]);
        assert_eq!(
            meaning(b"\x1b[1;5Cq"),
            [Key::Quit],
            "an unknown sequence is skipped whole"
        );
        assert_eq!(meaning(b"\x1b"), [Key::Escape]);
        assert_eq!(meaning("ä\u{1f600}".as_bytes()), []);
    }
}
