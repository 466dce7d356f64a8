//! `limits`: trials, concurrency, seconds.

use crate::config::command_job::scalars::{integer, integer_from};
use crate::controller;
use crate::diagnostic::{Diagnostics, Entry, Fields, Node, Unknown};

/// Seconds of a sweep if the file does not say.
const DEFAULT_SECONDS: i64 = 5_184_000;
/// The service reads shorter times as 60 days, so the client lengthens them.
const SHORTEST_SECONDS: i64 = 60;

/// Limits of the sweep and of one trial.
#[derive(Debug)]
pub(super) struct JobLimits {
    pub limits: controller::Limits,
    pub trial_timeout_ms: Option<u64>,
}

pub(super) fn read(node: &Node, floor: bool, found: &mut Diagnostics) -> Option<JobLimits> {
    let mut fields = Fields::open(node, "`limits`", found)?;
    let total = fields
        .required("max_total_trials", found)
        .and_then(|entry| trials(entry, found));
    let concurrent = match fields.given("max_concurrent_trials") {
        Some(entry) => Some(trials(entry, found)?),
        None => None,
    };
    let timeout = fields
        .given("timeout")
        .and_then(|entry| seconds(entry, floor, found))
        .unwrap_or(DEFAULT_SECONDS);
    let trial_timeout = fields
        .given("trial_timeout")
        .and_then(|entry| seconds(entry, floor, found));
    fields.finish(Unknown::Refuse, found);
    let max_total = total?;
    let milliseconds = |seconds: i64| seconds.unsigned_abs().saturating_mul(1000);
    Some(JobLimits {
        limits: controller::Limits {
            max_total,
            max_concurrent: concurrent.unwrap_or(max_total).min(max_total),
            max_duration_ms: Some(milliseconds(timeout)),
        },
        trial_timeout_ms: trial_timeout.map(milliseconds),
    })
}

fn trials(entry: &Entry, found: &mut Diagnostics) -> Option<u64> {
    let value = integer_from(entry, 1, found)?;
    if value > 1000 {
        found.note(
            "portability",
            entry.value.span,
            "Azure ML allows at most 1,000 trials",
        );
    }
    Some(value.unsigned_abs())
}

/// Seconds; 0 means not set, everything else below a minute is a minute.
fn seconds(entry: &Entry, floor: bool, found: &mut Diagnostics) -> Option<i64> {
    let value = integer(entry, found)?;
    if value == 0 {
        return None;
    }
    if floor && value < SHORTEST_SECONDS {
        found
            .note(
                "timeout-floor",
                entry.value.span,
                format!("`{}` is at least a minute in a job file", entry.key),
            )
            .label("read as 60 seconds");
        return Some(SHORTEST_SECONDS);
    }
    if value < 0 {
        found
            .error(
                "argument-range",
                entry.value.span,
                format!("`{}` must be above 0", entry.key),
            )
            .label("is negative");
        return None;
    }
    Some(value)
}
