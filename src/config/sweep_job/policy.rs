//! `early_termination`.

use crate::config::command_job::scalars::{integer, number, word};
use crate::diagnostic::{Diagnostics, Entry, Fields, Unknown};
use crate::policy::{PolicySpec, Schedule, Slack, Trigger};

const KINDS: &[&str] = &["bandit", "median_stopping", "truncation_selection"];

/// Reads the section; absent means no early termination, `None` follows an error.
pub(super) fn read(entry: Option<&Entry>, found: &mut Diagnostics) -> Option<PolicySpec> {
    let Some(entry) = entry else {
        return Some(PolicySpec::NoTermination);
    };
    let mut fields = Fields::open(&entry.value, "`early_termination`", found)?;
    let kind = fields
        .required("type", found)
        .and_then(|entry| word(entry, "unknown-policy", KINDS, found))?;
    let schedule = Schedule {
        evaluation_interval: count(&mut fields, "evaluation_interval", found)?.max(1),
        delay_evaluation: count(&mut fields, "delay_evaluation", found)?,
    };
    let trigger = Trigger::default();
    let policy = match kind {
        "bandit" => Some(PolicySpec::Bandit {
            schedule,
            slack: slack(entry, &mut fields, found)?,
            literal: false,
            trigger,
        }),
        "median_stopping" => Some(PolicySpec::MedianStopping { schedule, trigger }),
        _ => {
            let percentage = fields
                .required("truncation_percentage", found)
                .and_then(|entry| percentage(entry, found));
            let exclude_finished_jobs = fields.given("exclude_finished_jobs").and_then(|entry| {
                found
                    .warning(
                        "preview-key",
                        entry.key_span,
                        "`exclude_finished_jobs` is a preview's key",
                    )
                    .label("Azure ML refuses it today");
                found.boolean(entry)
            });
            percentage.map(|percentage| PolicySpec::TruncationSelection {
                schedule,
                percentage,
                exclude_finished_jobs: exclude_finished_jobs.unwrap_or(false),
                trigger,
            })
        }
    };
    fields.finish(Unknown::Refuse, found);
    policy
}

fn count(fields: &mut Fields<'_>, key: &'static str, found: &mut Diagnostics) -> Option<u64> {
    match fields.given(key) {
        None => Some(0),
        Some(entry) => integer(entry, found).map(|value| u64::try_from(value).unwrap_or(0)),
    }
}

fn slack(section: &Entry, fields: &mut Fields<'_>, found: &mut Diagnostics) -> Option<Slack> {
    let mut read = |key: &'static str| -> Option<f64> {
        let Some(entry) = fields.given(key) else {
            return Some(0.0);
        };
        let value = number(entry, found)?;
        if value < 0.0 {
            found
                .error(
                    "argument-range",
                    entry.value.span,
                    format!("`{key}` must be 0 or more"),
                )
                .label("is negative");
            return None;
        }
        Some(value)
    };
    let (factor, amount) = (read("slack_factor")?, read("slack_amount")?);
    if factor > 0.0 && amount > 0.0 {
        found
            .warning(
                "bandit-slack",
                section.key_span,
                "both `slack_factor` and `slack_amount` are given",
            )
            .label("the factor counts");
    }
    if factor == 0.0 && amount == 0.0 {
        found
            .warning(
                "bandit-slack",
                section.key_span,
                "bandit without `slack_factor` or `slack_amount`",
            )
            .label("whoever is not the best is stopped");
    }
    Some(if factor > 0.0 || amount == 0.0 {
        Slack::Factor(factor)
    } else {
        Slack::Amount(amount)
    })
}

fn percentage(entry: &Entry, found: &mut Diagnostics) -> Option<u8> {
    let value = integer(entry, found)?;
    match u8::try_from(value) {
        Ok(value) if (1..=99).contains(&value) => Some(value),
        _ => {
            found
                .error(
                    "argument-range",
                    entry.value.span,
                    "`truncation_percentage` must be a whole number from 1 to 99",
                )
                .label(format!("{value} is out of range"));
            None
        }
    }
}
