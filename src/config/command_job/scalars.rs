//! Values as the v2 client takes them: numbers in texts, fractions cut, enum words in any case and spelling.

use crate::diagnostic::{Diagnostics, Entry, Kind, Span, list, nearest};
use indexmap::IndexMap;

/// A number; a text that holds one counts (PyYAML reads `1e-3` as a text). Integers stay integers.
pub(crate) fn number(entry: &Entry, found: &mut Diagnostics) -> Option<f64> {
    let value = match &entry.value.kind {
        Kind::Int(value) => Some(*value as f64),
        Kind::Float(value) => Some(*value),
        Kind::Str(text) => text.trim().parse().ok(),
        _ => None,
    };
    match value {
        Some(value) if value.is_finite() => Some(value),
        Some(_) => {
            found
                .error(
                    "argument-range",
                    entry.value.span,
                    format!("`{}` must be a finite number", entry.key),
                )
                .label("not finite");
            None
        }
        None => {
            wrong(entry, "a number", found);
            None
        }
    }
}

/// A whole number; texts that hold one count, fractions are cut with a warning.
pub(crate) fn integer(entry: &Entry, found: &mut Diagnostics) -> Option<i64> {
    let value = match &entry.value.kind {
        Kind::Int(value) => return Some(*value),
        Kind::Float(value) => Some(*value),
        Kind::Str(text) => match text.trim().parse::<i64>() {
            Ok(value) => return Some(value),
            Err(_) => None,
        },
        _ => None,
    };
    match value {
        Some(value) if value.is_finite() && value.abs() < 9e15 => {
            let whole = value.trunc() as i64;
            if value.fract() != 0.0 {
                found
                    .warning(
                        "cut-number",
                        entry.value.span,
                        format!("`{}` is a whole number", entry.key),
                    )
                    .label(format!("read as {whole}"))
                    .suggest(entry.value.span, whole.to_string());
            }
            Some(whole)
        }
        _ => {
            wrong(entry, "a whole number", found);
            None
        }
    }
}

/// A whole number not below `low`.
pub(crate) fn integer_from(entry: &Entry, low: i64, found: &mut Diagnostics) -> Option<i64> {
    let value = integer(entry, found)?;
    if value < low {
        found
            .error(
                "argument-range",
                entry.value.span,
                format!("`{}` must be at least {low}", entry.key),
            )
            .label(format!("{value} is out of range"));
        return None;
    }
    Some(value)
}

/// One of `words`, without regard to case and of `camelCase` for `snake_case`.
pub(crate) fn word<'w>(
    entry: &Entry,
    code: &str,
    words: &[&'w str],
    found: &mut Diagnostics,
) -> Option<&'w str> {
    let fold = |text: &str| text.replace('_', "").to_ascii_lowercase();
    let text = entry.value.as_str().unwrap_or_default();
    let hit = words.iter().find(|word| fold(word) == fold(text)).copied();
    if hit.is_none() || text.is_empty() {
        let near = nearest(text, words.iter().copied());
        let message = if text.is_empty() {
            format!("`{}` must be one of {}", entry.key, list(words.iter().copied()))
        } else {
            format!("`{text}` is not a value of `{}`", entry.key)
        };
        let diagnostic = found.error(code, entry.value.span, message);
        diagnostic.expected(list(words.iter().copied()));
        match near {
            Some(near) => diagnostic.suggest(entry.value.span, near),
            None => diagnostic.label(entry.value.describe()),
        };
        return None;
    }
    hit
}

/// A map of texts; null counts as empty, numbers and booleans are refused as the client refuses them.
pub(crate) fn texts(entry: &Entry, found: &mut Diagnostics) -> IndexMap<String, String> {
    let mut map = IndexMap::new();
    let Some(entries) = entry.value.as_map() else {
        wrong(entry, "a map of texts", found);
        return map;
    };
    for inner in entries {
        match &inner.value.kind {
            Kind::Str(text) | Kind::Date(text) => {
                map.insert(inner.key.clone(), text.clone());
            }
            Kind::Null => {
                map.insert(inner.key.clone(), String::new());
            }
            _ => {
                wrong(inner, "a text", found);
                if let Some(text) = inner.value.as_text() {
                    found.advise_last(format!("write  {}: \"{text}\"", inner.key));
                }
            }
        }
    }
    map
}

pub(crate) fn wrong(entry: &Entry, must: &str, found: &mut Diagnostics) {
    found
        .error(
            "argument-type",
            entry.value.span,
            format!("`{}` must be {must}", entry.key),
        )
        .label(entry.value.describe());
}

/// Where `needle` stands inside `span`, else `span`; folded texts differ from what is written, so places are found again.
pub(crate) fn place_of(needle: &str, span: Span, found: &Diagnostics) -> Span {
    match found.source().slice(span).find(needle) {
        Some(at) => Span::new(span.start + at, span.start + at + needle.len()),
        None => span,
    }
}
