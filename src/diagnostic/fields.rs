//! Reading maps: keys that must or may be there, values of the right type, and keys that nobody asked for.

use super::message::{Diagnostics, Severity};
use super::node::{Entry, Kind, Node};
use super::source::Span;
use super::spelling::{list, nearest_or_synonym};

/// What to do about keys that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Say so; the key has no effect.
    Warn,
    /// Refuse the file.
    Refuse,
}

/// A map being read. It remembers which keys were asked for, so that [`Fields::finish`] can name the others.
#[derive(Debug)]
pub struct Fields<'a> {
    entries: &'a [Entry],
    span: Span,
    what: String,
    asked: Vec<&'static str>,
    used: Vec<bool>,
    fold: fn(&str) -> String,
}

impl<'a> Fields<'a> {
    /// Opens `node`, which the reader calls `what` in messages (`` `policy` ``, `the file`); an error if it is not a map.
    pub fn open(node: &'a Node, what: &str, found: &mut Diagnostics) -> Option<Self> {
        Self::open_folded(node, what, str::to_owned, found)
    }

    /// [`Fields::open`] with keys compared after `fold` (for files in which `nodeCount` and `node_count` are one key).
    pub fn open_folded(
        node: &'a Node,
        what: &str,
        fold: fn(&str) -> String,
        found: &mut Diagnostics,
    ) -> Option<Self> {
        let Some(entries) = node.as_map() else {
            found
                .error("argument-type", node.span, format!("{what} must be a map"))
                .label(node.describe());
            return None;
        };
        Some(Self {
            entries,
            span: node.span,
            what: what.to_owned(),
            asked: Vec::new(),
            used: vec![false; entries.len()],
            fold,
        })
    }

    /// Span of the whole map.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The entry under `key`, null or not.
    pub fn optional(&mut self, key: &'static str) -> Option<&'a Entry> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let wanted = (self.fold)(key);
        let mut first = None;
        for (entry, used) in self.entries.iter().zip(self.used.iter_mut()) {
            if (self.fold)(&entry.key) == wanted {
                *used = true;
                first = first.or(Some(entry));
            }
        }
        first
    }

    /// The entry under `key`, unless its value is null.
    pub fn given(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.optional(key).filter(|entry| !entry.value.is_null())
    }

    /// The entry under `key`; an error (`missing-key`) if it is absent or null.
    pub fn required(&mut self, key: &'static str, found: &mut Diagnostics) -> Option<&'a Entry> {
        let entry = self.optional(key);
        match entry {
            Some(entry) if !entry.value.is_null() => Some(entry),
            Some(entry) => {
                found
                    .error("missing-key", entry.key_span, format!("`{key}` has no value"))
                    .label("nothing after the colon");
                None
            }
            None => {
                // Point at the key that was probably meant, else at the place where the map starts.
                let message = format!("`{key}` is missing{}", self.inside());
                match self.misspelt(key) {
                    Some(typo) => found
                        .error("missing-key", typo.key_span, message)
                        .suggest(typo.key_span, key),
                    None => found.error("missing-key", self.start(), message),
                };
                None
            }
        }
    }

    /// [`Fields::optional`] for a key that is not offered as a spelling of unknown ones.
    pub fn optional_unlisted(&mut self, key: &str) -> Option<&'a Entry> {
        for (entry, used) in self.entries.iter().zip(self.used.iter_mut()) {
            if !*used && entry.key == key {
                *used = true;
                return Some(entry);
            }
        }
        None
    }

    /// Marks keys as known without reading them.
    pub fn know(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.optional(key);
        }
    }

    /// An entry that nobody asked for yet and that is spelt nearly like `key`; marked as used if found, so that it is reported once.
    pub fn misspelt(&mut self, key: &'static str) -> Option<&'a Entry> {
        for (entry, used) in self.entries.iter().zip(self.used.iter_mut()) {
            if !*used && nearest_or_synonym(&entry.key, &[key]).is_some() {
                *used = true;
                return Some(entry);
            }
        }
        None
    }

    /// The entries that nobody asked for so far.
    pub fn unread(&self) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .zip(self.used.clone())
            .filter(|(_, used)| !used)
            .map(|(entry, _)| entry)
    }

    /// Reports every key that nobody asked for (`unknown-key`), each with the nearest one that was.
    pub fn finish(self, unknown: Unknown, found: &mut Diagnostics) {
        for entry in self.unread() {
            let severity = match unknown {
                Unknown::Warn => Severity::Warning,
                Unknown::Refuse => Severity::Error,
            };
            let diagnostic = found.report(
                severity,
                "unknown-key",
                entry.key_span,
                format!("`{}` is not a key{}", entry.key, self.inside()),
            );
            match nearest_or_synonym(&entry.key, &self.asked) {
                Some(near) => {
                    diagnostic.suggest(entry.key_span, near);
                }
                None => {
                    if unknown == Unknown::Warn {
                        diagnostic.label("has no effect");
                    }
                    if !self.asked.is_empty() {
                        diagnostic.expected(list(self.asked.iter().copied()));
                    }
                }
            }
        }
    }

    fn inside(&self) -> String {
        if self.what == "the file" {
            String::new()
        } else {
            format!(" of {}", self.what)
        }
    }

    /// The first key of the map, or the map itself if it is empty.
    fn start(&self) -> Span {
        self.entries.first().map_or(self.span, |entry| entry.key_span)
    }
}

/// Scalars of the right type. Each returns `None` after reporting `argument-type`.
impl Diagnostics {
    fn wrong_type(&mut self, entry: &Entry, must: &str) {
        self.error(
            "argument-type",
            entry.value.span,
            format!("`{}` must be {must}", entry.key),
        )
        .label(entry.value.describe());
    }

    /// A text; other scalars are taken as written.
    pub fn text(&mut self, entry: &Entry) -> Option<String> {
        let text = entry.value.as_text();
        if text.is_none() {
            self.wrong_type(entry, "a text");
        }
        text.map(str::to_owned)
    }

    /// A whole number from `low` to `high`. A quoted one or one with `.0` is taken with the warning `quoted-number`.
    pub fn integer(&mut self, entry: &Entry, low: i64, high: i64) -> Option<i64> {
        let must = match (low, high) {
            (i64::MIN, i64::MAX) => "a whole number".to_owned(),
            (low, i64::MAX) => format!("a whole number, at least {low}"),
            (low, high) => format!("a whole number from {low} to {high}"),
        };
        let value = match &entry.value.kind {
            Kind::Int(value) => Some(*value),
            Kind::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                let whole = *value as i64;
                self.number_form(entry, &whole.to_string());
                Some(whole)
            }
            Kind::Str(text) => text.trim().parse::<i64>().ok().inspect(|whole| {
                self.number_form(entry, &whole.to_string());
            }),
            _ => None,
        };
        match value {
            Some(value) if (low..=high).contains(&value) => Some(value),
            Some(value) => {
                self.error(
                    "argument-range",
                    entry.value.span,
                    format!("`{}` must be {must}", entry.key),
                )
                .label(format!("{value} is out of range"));
                None
            }
            None => {
                self.wrong_type(entry, &must);
                None
            }
        }
    }

    /// A finite number. A quoted one is taken with the warning `quoted-number`.
    pub fn number(&mut self, entry: &Entry) -> Option<f64> {
        let value = match &entry.value.kind {
            Kind::Int(value) => Some(*value as f64),
            Kind::Float(value) => Some(*value),
            Kind::Str(text) => text.trim().parse::<f64>().ok().inspect(|_| {
                self.number_form(entry, text.trim());
            }),
            _ => None,
        };
        match value {
            Some(value) if value.is_finite() => Some(value),
            Some(_) => {
                self.error(
                    "argument-range",
                    entry.value.span,
                    format!("`{}` must be a finite number", entry.key),
                );
                None
            }
            None => {
                self.wrong_type(entry, "a number");
                None
            }
        }
    }

    /// A boolean.
    pub fn boolean(&mut self, entry: &Entry) -> Option<bool> {
        let value = entry.value.as_bool();
        if value.is_none() {
            self.wrong_type(entry, "`true` or `false`");
        }
        value
    }

    /// A list of texts; a single text counts as a list of one.
    pub fn texts(&mut self, entry: &Entry) -> Option<Vec<String>> {
        let items = match &entry.value.kind {
            Kind::Seq(items) => items.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        let texts: Option<Vec<String>> = items
            .iter()
            .map(|item| item.as_text().map(str::to_owned))
            .collect();
        if texts.is_none() {
            self.wrong_type(entry, "a list of texts");
        }
        texts
    }

    /// One of `words`, compared without case; the word as listed is returned. Errors are `code` with the nearest word.
    pub fn word<'w>(&mut self, entry: &Entry, code: &str, words: &[&'w str]) -> Option<&'w str> {
        let Some(text) = entry.value.as_str() else {
            self.error(
                code,
                entry.value.span,
                format!("`{}` must be {}", entry.key, alternatives(words)),
            )
            .label(entry.value.describe());
            return None;
        };
        let hit = words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied();
        if hit.is_none() {
            let near = nearest_or_synonym(text, words);
            let diagnostic = self.error(
                code,
                entry.value.span,
                format!("`{}` must be {}", entry.key, alternatives(words)),
            );
            if let Some(near) = near {
                diagnostic.suggest(entry.value.span, near);
            }
        }
        hit
    }

    fn number_form(&mut self, entry: &Entry, text: &str) {
        self.warning(
            "quoted-number",
            entry.value.span,
            format!(
                "`{}` is {} where a plain number is meant",
                entry.key,
                entry.value.describe()
            ),
        )
        .label(format!("read as {text}"))
        .suggest(entry.value.span, text);
    }
}

fn alternatives(words: &[&str]) -> String {
    match words {
        [one, two] => format!("`{one}` or `{two}`"),
        _ => format!("one of {}", list(words.iter().copied())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dialect, Source, parse};
    use super::*;

    fn codes(text: &str, read: impl FnOnce(&mut Fields<'_>, &mut Diagnostics)) -> Vec<String> {
        let source = Source::new("x.yml", text);
        let document = parse(&source, Dialect::Yaml12);
        let root = document.root.unwrap();
        let mut found = Diagnostics::new(&source);
        let mut fields = Fields::open(&root, "the file", &mut found).unwrap();
        read(&mut fields, &mut found);
        fields.finish(Unknown::Warn, &mut found);
        found
            .sorted()
            .iter()
            .map(|diagnostic| {
                format!(
                    "{} {} {}",
                    diagnostic.severity.word(),
                    diagnostic.code,
                    diagnostic.primary.text
                )
            })
            .collect()
    }

    #[test]
    fn numbers_are_coerced_with_a_warning() {
        let found = codes("a: '8'\nb: 8.0\nc: 8.5\nd: 0\ne: [1]\n", |fields, found| {
            let mut read = |key| fields.given(key).and_then(|entry| found.integer(entry, 1, 10));
            assert_eq!(read("a"), Some(8));
            assert_eq!(read("b"), Some(8));
            assert_eq!(read("c"), None);
            assert_eq!(read("d"), None);
            assert_eq!(read("e"), None);
        });
        assert_eq!(
            found,
            [
                "warning quoted-number read as 8",
                "warning quoted-number read as 8",
                "error argument-type a number",
                "error argument-range 0 is out of range",
                "error argument-type a list",
            ]
        );
    }

    #[test]
    fn folded_keys_are_one_key() {
        let fold = |key: &str| key.replace('_', "").to_lowercase();
        let source = Source::new("x.yml", "node_count: 2\nNodeCoun: 1\n");
        let root = parse(&source, Dialect::Yaml12).root.unwrap();
        let mut found = Diagnostics::new(&source);
        let mut fields = Fields::open_folded(&root, "the file", fold, &mut found).unwrap();
        assert_eq!(fields.given("nodeCount").unwrap().value.as_i64(), Some(2));
        fields.finish(Unknown::Refuse, &mut found);
        let found = found.sorted();
        assert_eq!(found[0].suggestion.as_ref().unwrap().text, "nodeCount");
    }
}
