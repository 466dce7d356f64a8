//! When two assignments are the same configuration: a 128-bit key of their values.
//!
//! Options of a choice count by identity, numbers of the other kinds by value (`1` and `1.0` are one number), inactive parameters
//! by their absence. Keys are made of two independent 64-bit chains, so accidental collisions do not happen in practice.

use super::domain::option_index;
use super::{Assignment, Distribution, Domain, Value};
use crate::space::rng::absorb;

/// Key of a configuration within one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u64, u64);

impl Fingerprint {
    fn absorb(&mut self, word: u64) {
        self.0 = absorb(self.0, word);
        self.1 = absorb(self.1, word.rotate_left(32));
    }

    fn text(&mut self, text: &str) {
        self.absorb(text.len() as u64);
        for chunk in text.as_bytes().chunks(8) {
            self.absorb(chunk.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)));
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.absorb(2),
            Value::Bool(flag) => self.absorb(3 + u64::from(*flag)),
            Value::Int(number) => {
                self.absorb(5);
                self.absorb((*number as f64).to_bits());
            }
            Value::Float(number) => {
                self.absorb(5);
                self.absorb((number + 0.0).to_bits());
            }
            Value::Str(text) => {
                self.absorb(6);
                self.text(text);
            }
            Value::List(items) => {
                self.absorb(7);
                self.absorb(items.len() as u64);
                items.iter().for_each(|item| self.value(item));
            }
            Value::Map(entries) => {
                self.absorb(8);
                self.absorb(entries.len() as u64);
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by_key(|(key, _)| *key);
                for (key, item) in sorted {
                    self.text(key);
                    self.value(item);
                }
            }
        }
    }
}

impl Domain {
    /// The key of `assignment`; equal exactly for equal configurations.
    pub fn fingerprint(&self, assignment: &Assignment) -> Fingerprint {
        let mut print = Fingerprint(0x452_821E_638D_0137, 0x7BE5_466C_F34E_90C6);
        for (index, parameter) in self.space().parameters.iter().enumerate() {
            match assignment.values.get(index).and_then(Option::as_ref) {
                None => print.absorb(0),
                Some(value) => match option_index(&parameter.distribution, value) {
                    Some(option) => {
                        print.absorb(1);
                        print.absorb(option as u64);
                    }
                    None if matches!(parameter.distribution, Distribution::Choice { .. }) => {
                        print.absorb(9);
                        print.value(value);
                    }
                    None => print.value(value),
                },
            }
        }
        print
    }
}
