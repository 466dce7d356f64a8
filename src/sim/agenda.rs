//! The virtual clock and what is due when; what was entered first comes first among equals.

use std::collections::BTreeMap;

/// Future things in the order (time, entry), and the time of the last one taken.
#[derive(Clone, Debug)]
pub struct Agenda<T> {
    now: u64,
    entered: u64,
    entries: BTreeMap<(u64, u64), T>,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self {
            now: 0,
            entered: 0,
            entries: BTreeMap::new(),
        }
    }
}

impl<T> Agenda<T> {
    /// Milliseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Enters `thing` for `at`; what lies in the past is due at once.
    pub fn enter(&mut self, at: u64, thing: T) {
        self.entries.insert((at.max(self.now), self.entered), thing);
        self.entered += 1;
    }

    /// Jumps to the next thing and takes it.
    pub fn take(&mut self) -> Option<T> {
        let ((at, _), thing) = self.entries.pop_first()?;
        self.now = at;
        Some(thing)
    }

    /// When the next thing is due.
    pub fn peek(&self) -> Option<u64> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_keep_their_order_and_the_past_is_now() {
        let mut agenda = Agenda::default();
        agenda.enter(5, 'b');
        agenda.enter(5, 'c');
        agenda.enter(1, 'a');
        assert_eq!((agenda.take(), agenda.now()), (Some('a'), 1));
        assert_eq!((agenda.take(), agenda.now()), (Some('b'), 5));
        agenda.enter(2, 'd');
        assert_eq!(
            (agenda.take(), agenda.take(), agenda.take()),
            (Some('c'), Some('d'), None)
        );
        assert_eq!(agenda.now(), 5);
    }
}
