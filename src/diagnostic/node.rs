//! The tree of a document: every value and every key with its place.

use super::source::Span;
use serde_json::{Map, Number, Value as Json};

/// A value in a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its bytes; for a value that is absent after its colon, those of the key.
    pub span: Span,
    /// A scalar as written, quotes removed and escapes resolved; empty for lists and maps.
    pub raw: String,
    /// Whether it is a scalar in quotes (or a block scalar).
    pub quoted: bool,
}

/// Kinds of values after resolution by the document's dialect.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A real, also NaN and infinities; integers beyond 64 bits end here.
    Float(f64),
    /// Text.
    Str(String),
    /// A plain scalar that the old loaders read as a date or time.
    Date(String),
    /// A list.
    Seq(Vec<Node>),
    /// A map in file order, keys unique.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key as text.
    pub key: String,
    /// Bytes of the key.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Entry {
    /// Bytes from the key to the end of the value.
    pub fn span(&self) -> Span {
        Span::new(self.key_span.start, self.value.span.end.max(self.key_span.end))
    }
}

impl Node {
    /// A null at a place.
    pub fn null(span: Span) -> Self {
        Self {
            kind: Kind::Null,
            span,
            raw: String::new(),
            quoted: false,
        }
    }

    /// What it is, in words for messages: `a map`, `a quoted text`, `nothing`.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) => "a whole number",
            Kind::Float(_) => "a number",
            Kind::Str(_) if self.quoted => "a quoted text",
            Kind::Str(_) => "a text",
            Kind::Date(_) => "a date",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// The text, if it is one (numbers, booleans and dates are not).
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Str(text) => Some(text),
            _ => None,
        }
    }

    /// A scalar as text: texts as they are, other scalars as written in the file; `None` for null, lists and maps.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Str(text) | Kind::Date(text) => Some(text),
            Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => Some(&self.raw),
            Kind::Null | Kind::Seq(_) | Kind::Map(_) => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_i64(&self) -> Option<i64> {
        match self.kind {
            Kind::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is one (booleans are not).
    pub fn as_f64(&self) -> Option<f64> {
        match self.kind {
            Kind::Int(value) => Some(value as f64),
            Kind::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_seq(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if it is a map.
    pub fn as_map(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry under `key`, if this is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.as_map()?.iter().find(|entry| entry.key == key)
    }

    /// The value under `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Puts `value` under the path of keys, making maps on the way and replacing what was there; keys that it makes get the
    /// value's span. `false` if a value on the way is neither a map nor null.
    pub fn set(&mut self, path: &[&str], value: Node) -> bool {
        let Some((first, rest)) = path.split_first() else {
            *self = value;
            return true;
        };
        if self.is_null() {
            self.kind = Kind::Map(Vec::new());
        }
        let Kind::Map(entries) = &mut self.kind else {
            return false;
        };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.key == *first) {
            return entry.value.set(rest, value);
        }
        let span = value.span;
        let mut inner = Node::null(span);
        let done = inner.set(rest, value);
        entries.push(Entry {
            key: (*first).to_owned(),
            key_span: span,
            value: inner,
        });
        done
    }

    /// The value as JSON; dates and numbers that JSON lacks (NaN, infinities) become their text.
    pub fn to_json(&self) -> Json {
        match &self.kind {
            Kind::Null => Json::Null,
            Kind::Bool(value) => Json::Bool(*value),
            Kind::Int(value) => Json::from(*value),
            Kind::Float(value) => {
                Number::from_f64(*value).map_or_else(|| Json::from(self.raw.as_str()), Json::Number)
            }
            Kind::Str(text) | Kind::Date(text) => Json::from(text.as_str()),
            Kind::Seq(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}
