//! Reads maps by the tables of `schema`: canonical JSON out, with the places of what was given.

use super::schema::{Field, Kind};
use crate::diagnostic::{Diagnostics, Entry, Fields, Kind as NodeKind, Node, Span, Unknown};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

/// Where each given value stands, by its canonical path (`environment/python/interpreterPath`).
pub(super) type Places = IndexMap<String, Span>;

/// Keys are the same if they differ in case, `_` and `-` only.
pub(super) fn fold(key: &str) -> String {
    key.chars()
        .filter(|letter| !matches!(letter, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// A reader of sections that knows where it is.
pub(super) struct Sections<'f> {
    pub found: &'f mut Diagnostics,
    pub places: Places,
}

impl Sections<'_> {
    /// Reads `node` as a map of `fields`; `path` is its canonical path (empty for the file).
    pub(super) fn section(&mut self, node: &Node, fields: &'static [Field], path: &str) -> Map<String, Json> {
        let what = if path.is_empty() {
            "the file".to_owned()
        } else {
            format!("`{}`", path.replace('/', "."))
        };
        let mut section = Map::new();
        let Some(mut map) = Fields::open_folded(node, &what, fold, self.found) else {
            return super::schema::defaults(fields);
        };
        for field in fields {
            let at = place(path, field.key);
            let entry = map.optional(field.key);
            let Some(entry) = entry else {
                if !matches!(field.kind, Kind::Ignored) {
                    section.insert(field.key.to_owned(), field.kind.default());
                }
                continue;
            };
            self.places.insert(at.clone(), entry.value.span);
            let value = if entry.value.is_null() {
                field.kind.default()
            } else {
                self.value(entry, &field.kind, &at)
            };
            section.insert(field.key.to_owned(), value);
        }
        map.finish(Unknown::Warn, self.found);
        section
    }

    fn value(&mut self, entry: &Entry, kind: &Kind, path: &str) -> Json {
        let node = &entry.value;
        let fallback = || kind.default();
        match kind {
            Kind::Text(_) => self.found.text(entry).map_or_else(fallback, Json::from),
            Kind::Scalar => match node.kind {
                NodeKind::Seq(_) | NodeKind::Map(_) => {
                    self.wrong(entry, "a single value");
                    fallback()
                }
                _ => node.to_json(),
            },
            Kind::Word(words, _) => {
                // A plain `None` is a text, `null` was taken as absent.
                let written = node.as_text().unwrap_or_default().to_owned();
                match self.found.word(entry, "unknown-value", words) {
                    Some(_) => Json::from(written),
                    None => fallback(),
                }
            }
            Kind::Int { low, .. } => self
                .found
                .integer(entry, *low, i64::MAX)
                .map_or_else(fallback, Json::from),
            Kind::Bool(_) => self.boolean(entry).map_or_else(fallback, Json::from),
            Kind::Texts(_) => self.found.texts(entry).map_or_else(fallback, Json::from),
            Kind::Records(fields) => match node.as_seq() {
                Some(items) if fields.is_empty() => items.iter().map(Node::to_json).collect(),
                Some(items) => items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| {
                        Json::Object(self.section(item, fields, &place(path, &index.to_string())))
                    })
                    .collect(),
                None => {
                    self.wrong(entry, "a list");
                    fallback()
                }
            },
            Kind::Section(fields) | Kind::OptionalSection(fields) => {
                Json::Object(self.section(node, fields, path))
            }
            Kind::Named(fields) => self.named(entry, fields, path),
            Kind::Variables(_) => self.variables(entry).map_or_else(fallback, Json::Object),
            Kind::OpenMap(_) if node.as_map().is_none() => {
                self.wrong(entry, "a map");
                fallback()
            }
            Kind::Open | Kind::OpenMap(_) | Kind::Ignored => node.to_json(),
        }
    }

    fn named(&mut self, entry: &Entry, fields: &'static [Field], path: &str) -> Json {
        let Some(entries) = entry.value.as_map() else {
            self.wrong(entry, "a map from names to maps");
            return Json::Object(Map::new());
        };
        let mut named = Map::new();
        for inner in entries {
            let at = place(path, &inner.key);
            self.places.insert(at.clone(), inner.key_span);
            named.insert(
                inner.key.clone(),
                Json::Object(self.section(&inner.value, fields, &at)),
            );
        }
        Json::Object(named)
    }

    /// A map of variables; values become text as they are written.
    pub(super) fn variables(&mut self, entry: &Entry) -> Option<Map<String, Json>> {
        let Some(entries) = entry.value.as_map() else {
            self.wrong(entry, "a map from names to texts");
            return None;
        };
        let mut variables = Map::new();
        for inner in entries {
            match inner.value.as_text() {
                Some(text) => {
                    variables.insert(inner.key.clone(), Json::from(text));
                }
                None if inner.value.is_null() => {
                    variables.insert(inner.key.clone(), Json::from(""));
                }
                None => self.wrong(inner, "a text"),
            }
        }
        Some(variables)
    }

    /// A boolean; quoted ones with a warning, since the old loader took any text (also `no`) for true.
    pub(super) fn boolean(&mut self, entry: &Entry) -> Option<bool> {
        let quoted = entry
            .value
            .as_str()
            .and_then(|text| match text.to_ascii_lowercase().as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            });
        if let Some(value) = quoted {
            self.found
                .warning(
                    "quoted-boolean",
                    entry.value.span,
                    format!("`{}` is a text where `{value}` is meant", entry.key),
                )
                .label(format!("read as {value}"))
                .suggest(entry.value.span, value.to_string());
            return Some(value);
        }
        if let Some(text) = entry.value.as_str() {
            let meant = match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" => Some("true"),
                "no" | "off" | "n" => Some("false"),
                _ => None,
            };
            let diagnostic = self.found.error(
                "argument-type",
                entry.value.span,
                format!("`{}` must be `true` or `false`", entry.key),
            );
            match meant {
                Some(meant) => diagnostic.suggest(entry.value.span, meant),
                None => diagnostic.label(entry.value.describe()),
            };
            return None;
        }
        self.found.boolean(entry)
    }

    pub(super) fn wrong(&mut self, entry: &Entry, must: &str) {
        self.found
            .error(
                "argument-type",
                entry.value.span,
                format!("`{}` must be {must}", entry.key),
            )
            .label(entry.value.describe());
    }

    /// Notes that a given value has no effect.
    pub(super) fn unused(&mut self, path: &str, why: &str) {
        if let Some(span) = self.places.get(path).copied() {
            self.found
                .note(
                    "no-effect",
                    span,
                    format!("`{}` has no effect here", path.replace('/', ".")),
                )
                .label(why.to_owned());
        }
    }
}

pub(super) fn place(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}/{key}")
    }
}
