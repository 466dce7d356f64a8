//! Policies that HyperDrive does not have: ASHA, Hyperband, Predictive.

use super::{ASHA, HYPERBAND, strict_integer};
use crate::diagnostic::{Diagnostics, Fields};
use crate::policy::PolicySpec;

/// Reads the settings of the policy called `name`.
pub(super) fn read(name: &str, fields: &mut Fields<'_>, found: &mut Diagnostics) -> Option<PolicySpec> {
    if name != ASHA && name != HYPERBAND {
        return predictive(fields, found);
    }
    let freeze = flag(fields, "freeze", found);
    let min_resource = at_least(fields, "min_resource", 1, 1, found);
    let reduction_factor = at_least(fields, "reduction_factor", 2, 3, found);
    if name == ASHA {
        return Some(PolicySpec::Asha {
            min_resource: min_resource?,
            reduction_factor: reduction_factor?,
            freeze: freeze?,
        });
    }
    let brackets = at_least(fields, "brackets", 1, 3, found);
    Some(PolicySpec::Hyperband {
        min_resource: min_resource?,
        reduction_factor: reduction_factor?,
        brackets: brackets?.min(20),
        freeze: freeze?,
    })
}

fn predictive(fields: &mut Fields<'_>, found: &mut Diagnostics) -> Option<PolicySpec> {
    let false_stops = match fields.given("false_stops") {
        None => Some(0.05),
        Some(entry) => {
            let value = found.number(entry)?;
            let fits = value > 0.0 && value <= 0.5;
            if !fits {
                found
                    .error(
                        "argument-range",
                        entry.value.span,
                        "`false_stops` must be above 0 and at most 0.5",
                    )
                    .label(format!("{value} is out of range"));
            }
            fits.then_some(value)
        }
    };
    let eager = flag(fields, "eager", found);
    let freeze = flag(fields, "freeze", found);
    let top_k = at_least(fields, "top_k", 1, 1, found);
    let delay_evaluation = at_least(fields, "delay_evaluation", 0, 0, found);
    let max_resource = match fields.given("max_resource") {
        None => Some(None),
        Some(_) => at_least(fields, "max_resource", 2, 2, found).map(Some),
    };
    Some(PolicySpec::Predictive {
        false_stops: false_stops?,
        top_k: top_k?,
        eager: eager?,
        delay_evaluation: delay_evaluation?,
        max_resource: max_resource?,
        freeze: freeze?,
    })
}

/// `true` or `false`, which it is unless given.
fn flag(fields: &mut Fields<'_>, key: &'static str, found: &mut Diagnostics) -> Option<bool> {
    match fields.given(key) {
        None => Some(false),
        Some(entry) => found.boolean(entry),
    }
}

/// A whole number, not below `least`.
fn at_least(
    fields: &mut Fields<'_>,
    key: &'static str,
    least: i64,
    default: u64,
    found: &mut Diagnostics,
) -> Option<u64> {
    let Some(entry) = fields.optional(key) else {
        return Some(default);
    };
    let must = format!("a whole number, at least {least}");
    let value = strict_integer(entry, &must, found)?;
    if value < least {
        found
            .error(
                "argument-range",
                entry.value.span,
                format!("`{key}` must be {must}"),
            )
            .label(format!("{value} is out of range"));
        return None;
    }
    Some(value.unsigned_abs())
}
