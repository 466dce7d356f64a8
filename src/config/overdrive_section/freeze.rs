//! `freeze`: whether trials are frozen instead of stopped, and how much may be frozen.

use crate::controller::{FreezeLimits, FrozenMemory};
use crate::diagnostic::{Diagnostics, Entry, Fields, Kind, Span, Unknown};

/// What was said, with its place.
#[derive(Clone, Debug)]
pub(super) struct Freeze {
    /// Whether trials are frozen.
    pub(super) on: bool,
    /// How much may be.
    pub(super) limits: FreezeLimits,
    pub(super) span: Span,
    pub(super) source: std::sync::Arc<crate::diagnostic::Source>,
}

/// Reads `true`, `false` or `{max_frozen: N, memory: 4GiB | 50%}`; a map means yes.
pub(super) fn read(entry: &Entry, found: &mut Diagnostics) -> Option<Freeze> {
    let said = |on, limits, found: &Diagnostics| {
        Some(Freeze {
            on,
            limits,
            span: entry.value.span,
            source: std::sync::Arc::clone(found.source()),
        })
    };
    if !matches!(entry.value.kind, Kind::Map(_)) {
        let on = found.boolean(entry)?;
        return said(on, FreezeLimits::USUAL, found);
    }
    let mut fields = Fields::open(&entry.value, "`freeze`", found)?;
    let mut limits = FreezeLimits::USUAL;
    if let Some(entry) = fields.given("max_frozen") {
        limits.max_frozen = found.integer(entry, 1, 1_000_000)?.unsigned_abs();
    }
    if let Some(entry) = fields.given("memory") {
        limits.memory = Some(memory(entry, found)?);
    }
    fields.finish(Unknown::Refuse, found);
    said(true, limits, found)
}

fn memory(entry: &Entry, found: &mut Diagnostics) -> Option<FrozenMemory> {
    let text = entry.value.as_text().unwrap_or_default().trim().to_owned();
    let split = text
        .find(|letter: char| letter.is_ascii_alphabetic() || letter == '%')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number = number.trim().parse::<f64>().ok().filter(|number| *number > 0.0);
    let bytes = |factor: f64| number.map(|number| FrozenMemory::Bytes((number * factor) as u64));
    let understood = match unit.trim() {
        "%" => number
            .filter(|number| *number <= 100.0)
            .map(|number| FrozenMemory::Share(number / 100.0)),
        "MB" => bytes(1e6),
        "GB" => bytes(1e9),
        "TB" => bytes(1e12),
        "MiB" | "M" => bytes(f64::from(1_u32 << 20)),
        "GiB" | "G" => bytes(f64::from(1_u32 << 30)),
        "TiB" | "T" => bytes((1_u64 << 40) as f64),
        _ => None,
    };
    if understood.is_none() {
        found
            .error(
                "argument-type",
                entry.value.span,
                "`memory` must be an amount of memory or a share of the machine's",
            )
            .label(entry.value.describe())
            .expected("a number with a unit: 4GiB, 500MB, 50%");
    }
    understood
}
