//! The three limits of a sweep, with the casts of the old client.

use crate::controller::Limits;
use crate::diagnostic::{Diagnostics, Entry, Fields, Kind};

/// Minutes of a sweep if the file does not say; also the most that the service allowed.
pub(super) const DEFAULT_MINUTES: i64 = 10_080;

/// Reads `max_total_runs`, `max_concurrent_runs` and `max_duration_minutes`.
pub(super) fn read(fields: &mut Fields<'_>, found: &mut Diagnostics) -> Option<Limits> {
    let total = fields
        .required("max_total_runs", found)
        .and_then(|entry| cast(entry, true, 1, found).map(|value| (value, entry)));
    if let Some((value, entry)) = total
        && value > 1000
    {
        found.warning(
            "portability",
            entry.value.span,
            "Azure ML allows at most 1,000 runs",
        );
    }
    let concurrent = match fields.given("max_concurrent_runs") {
        Some(entry) => cast(entry, true, 0, found).inspect(|value| {
            if *value > 100 {
                found.note(
                    "portability",
                    entry.value.span,
                    "Azure ML allows at most 100 runs at a time",
                );
            }
        }),
        None => Some(0),
    };
    let minutes = match fields.given("max_duration_minutes") {
        Some(entry) => cast(entry, false, 1, found).inspect(|value| {
            if *value > DEFAULT_MINUTES {
                found.note(
                    "portability",
                    entry.value.span,
                    "Azure ML cuts a sweep after 10,080 minutes",
                );
            }
        }),
        None => {
            let head = found.source().head();
            found
                .warning(
                    "portability",
                    head,
                    "no `max_duration_minutes`: the sweep may take 10,080 minutes, a week",
                )
                .help("Azure ML's own tool fails without it; write  max_duration_minutes: 10080");
            Some(DEFAULT_MINUTES)
        }
    };
    let (total, concurrent, minutes) = (total?.0, concurrent?, minutes?);
    let max_total = total.unsigned_abs();
    let max_concurrent = if concurrent == 0 {
        max_total
    } else {
        concurrent.unsigned_abs().min(max_total)
    };
    Some(Limits {
        max_total,
        max_concurrent,
        max_duration_ms: Some(minutes.unsigned_abs().saturating_mul(60_000)),
    })
}

/// A whole number; fractions are cut as `int()` did, with a warning; quoted whole numbers only where the old client took them.
fn cast(entry: &Entry, quoted: bool, low: i64, found: &mut Diagnostics) -> Option<i64> {
    if let Kind::Float(value) = entry.value.kind
        && value.fract() != 0.0
        && value.abs() < 9e15
    {
        let whole = value.trunc() as i64;
        if whole >= low {
            found
                .warning(
                    "cut-number",
                    entry.value.span,
                    format!("`{}` is a whole number", entry.key),
                )
                .label(format!("read as {whole}"))
                .suggest(entry.value.span, whole.to_string());
            return Some(whole);
        }
    }
    if let Kind::Str(text) = &entry.value.kind
        && !quoted
    {
        let number = text.trim().parse::<i64>().ok();
        let diagnostic = found.error(
            "argument-type",
            entry.value.span,
            format!("`{}` must be a whole number", entry.key),
        );
        diagnostic.label(entry.value.describe());
        if let Some(number) = number {
            diagnostic.help(format!("write  {}: {number}", entry.key));
            diagnostic.suggest(entry.value.span, number.to_string());
        }
        return None;
    }
    found.integer(entry, low, i64::MAX)
}
