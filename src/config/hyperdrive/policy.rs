//! The `policy` section: type, schedule, slack, percentage.

mod ours;

use crate::diagnostic::{Diagnostics, Entry, Fields, Kind, Node, Span, Unknown, nearest_or_synonym};
use crate::policy::{PolicySpec, Schedule, Slack, Trigger};

const BANDIT: &str = "BanditPolicy";
const MEDIAN: &str = "MedianStoppingPolicy";
const TRUNCATION: &str = "TruncationSelectionPolicy";
const NONE: &str = "NoTerminationPolicy";
const ASHA: &str = "ASHA";
const HYPERBAND: &str = "Hyperband";
const PREDICTIVE: &str = "Predictive";
/// Ours; the old service has none like them.
const OURS: [&str; 3] = [ASHA, HYPERBAND, PREDICTIVE];

/// Short names, v2 names and wire names that are taken with a warning.
const OTHER_NAMES: [(&str, &str); 9] = [
    ("bandit", BANDIT),
    ("medianstopping", MEDIAN),
    ("median_stopping", MEDIAN),
    ("truncationselection", TRUNCATION),
    ("truncation_selection", TRUNCATION),
    ("notermination", NONE),
    ("no_termination", NONE),
    ("none", NONE),
    ("default", NONE),
];

/// Reads `policy`; absent, null and `{}` mean no early termination.
pub(super) fn read(entry: Option<&Entry>, found: &mut Diagnostics) -> Option<PolicySpec> {
    let Some(entry) = entry else {
        let head = found.source().head();
        found
            .warning(
                "portability",
                head,
                "no `policy` section: no trial is stopped early",
            )
            .help("Azure ML wants the section; write  policy: {}");
        return Some(PolicySpec::NoTermination);
    };
    if entry.value.is_null() {
        found
            .warning(
                "portability",
                entry.key_span,
                "`policy` is empty: no trial is stopped early",
            )
            .help("Azure ML wants a map; write  policy: {}");
        return Some(PolicySpec::NoTermination);
    }
    let mut fields = Fields::open(&entry.value, "`policy`", found)?;
    let Some(kind) = fields.given("type") else {
        fields.know(&[
            "evaluation_interval",
            "delay_evaluation",
            "slack_factor",
            "slack_amount",
            "truncation_percentage",
        ]);
        if let Some(typo) = fields.misspelt("type") {
            found
                .warning(
                    "unknown-key",
                    typo.key_span,
                    format!("`{}` is not a key of `policy`", typo.key),
                )
                .suggest(typo.key_span, "type");
        }
        if entry.value.as_map().is_some_and(|entries| !entries.is_empty()) {
            found
                .warning(
                    "policy-type",
                    entry.key_span,
                    "`policy` has no `type`: no trial is stopped early",
                )
                .expected([BANDIT, MEDIAN, TRUNCATION, NONE].join(", "));
        }
        fields.finish(Unknown::Warn, found);
        return Some(PolicySpec::NoTermination);
    };
    let name = policy_name(kind, found);
    // Unknown keys stay silent under an unknown type: which keys there are depends on it.
    let name = name?;
    let mut ok = true;
    let mut schedule = Schedule::default();
    if name != NONE && !OURS.contains(&name) {
        ok &= read_schedule(&mut fields, &mut schedule, found).is_some();
    }
    let trigger = Trigger::default();
    let spec = match name {
        BANDIT => read_slack(&mut fields, kind, found).map(|slack| PolicySpec::Bandit {
            schedule,
            slack,
            literal: false,
            trigger,
        }),
        MEDIAN => Some(PolicySpec::MedianStopping { schedule, trigger }),
        TRUNCATION => read_percentage(&mut fields, found).map(|percentage| PolicySpec::TruncationSelection {
            schedule,
            percentage,
            exclude_finished_jobs: false,
            trigger,
        }),
        ASHA | HYPERBAND | PREDICTIVE => ours::read(name, &mut fields, found),
        _ => Some(PolicySpec::NoTermination),
    };
    fields.finish(Unknown::Warn, found);
    spec.filter(|_| ok)
}

/// Reads a policy of our own, named by a text or by the `type` of a map; for files of other dialects.
pub(in crate::config) fn chosen(entry: &Entry, found: &mut Diagnostics) -> Option<PolicySpec> {
    let bare = Node {
        kind: Kind::Map(Vec::new()),
        span: entry.value.span,
        raw: String::new(),
        quoted: false,
    };
    let map = entry.value.as_map().is_some();
    let mut fields = Fields::open(if map { &entry.value } else { &bare }, "`policy`", found)?;
    let kind = if map {
        fields.required("type", found)?
    } else {
        entry
    };
    let text = kind.value.as_text().unwrap_or_default();
    let Some(name) = OURS.into_iter().find(|name| name.eq_ignore_ascii_case(text)) else {
        let diagnostic = found.error(
            "unknown-policy",
            kind.value.span,
            format!("`{text}` is none of overdrive's own policies"),
        );
        diagnostic
            .expected(OURS.join(", "))
            .help("the others are written where the file has its policy");
        if let Some(near) = nearest_or_synonym(text, &OURS) {
            diagnostic.suggest(kind.value.span, near);
        }
        return None;
    };
    let spec = ours::read(name, &mut fields, found);
    fields.finish(Unknown::Refuse, found);
    spec
}

fn policy_name(entry: &Entry, found: &mut Diagnostics) -> Option<&'static str> {
    let names = [BANDIT, MEDIAN, TRUNCATION, NONE];
    let text = entry.value.as_text().unwrap_or_default();
    if let Some(name) = names.into_iter().find(|name| name.eq_ignore_ascii_case(text)) {
        return Some(name);
    }
    if let Some((_, name)) = OTHER_NAMES
        .into_iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(text))
    {
        found
            .warning(
                "policy-name",
                entry.value.span,
                format!("`{text}` is read as `{name}`"),
            )
            .label("Azure ML does not know this name here")
            .suggest(entry.value.span, name);
        return Some(name);
    }
    if let Some(name) = OURS.into_iter().find(|name| name.eq_ignore_ascii_case(text)) {
        found.warning(
            "portability",
            entry.value.span,
            format!("Azure ML's hdconfig files know no {name}; overdrive does"),
        );
        return Some(name);
    }
    let all: Vec<&str> = names.into_iter().chain(OURS).collect();
    let near = nearest_or_synonym(text, &all).or_else(|| {
        let short = crate::diagnostic::nearest(text, OTHER_NAMES.iter().map(|(other, _)| *other))?;
        OTHER_NAMES
            .iter()
            .find(|(other, _)| *other == short)
            .map(|(_, name)| *name)
    });
    let message = if entry.value.as_text().is_some() {
        format!("`{text}` is not a policy")
    } else {
        "the type of a policy must be a text".to_owned()
    };
    let diagnostic = found.error("unknown-policy", entry.value.span, message);
    diagnostic.expected(all.join(", "));
    match near {
        Some(near) => diagnostic.suggest(entry.value.span, near),
        None => diagnostic.label(entry.value.describe()),
    };
    None
}

/// A whole number as the old client took it: integers, and `true` for 1; nothing quoted, no `1.0`, no null.
fn strict_integer(entry: &Entry, must: &str, found: &mut Diagnostics) -> Option<i64> {
    match &entry.value.kind {
        Kind::Int(value) => Some(*value),
        Kind::Bool(value) => {
            found
                .warning(
                    "boolean-number",
                    entry.value.span,
                    "a boolean where a number is meant",
                )
                .label(format!("read as {}", u8::from(*value)));
            Some(i64::from(*value))
        }
        other => {
            let number = match other {
                Kind::Float(value) => Some(*value),
                Kind::Str(text) => text.trim().parse().ok(),
                _ => None,
            };
            let diagnostic = found.error(
                "argument-type",
                entry.value.span,
                format!("`{}` must be {must}", entry.key),
            );
            diagnostic.label(entry.value.describe());
            if let Some(whole) = number.filter(|value| value.fract() == 0.0 && value.abs() < 9e15) {
                diagnostic.help(format!("write  {}: {whole}", entry.key));
                diagnostic.suggest(entry.value.span, format!("{whole}"));
            }
            None
        }
    }
}

fn read_schedule(fields: &mut Fields<'_>, schedule: &mut Schedule, found: &mut Diagnostics) -> Option<()> {
    let mut ok = Some(());
    if let Some(entry) = fields.optional("evaluation_interval") {
        match strict_integer(entry, "a whole number", found) {
            Some(value) => {
                if value < 0 {
                    found
                        .warning(
                            "argument-range",
                            entry.value.span,
                            "`evaluation_interval` is negative",
                        )
                        .label("read as 1");
                }
                schedule.evaluation_interval = value.max(1).unsigned_abs();
            }
            None => ok = None,
        }
    }
    if let Some(entry) = fields.optional("delay_evaluation") {
        match strict_integer(entry, "a whole number", found) {
            Some(value) => {
                if value < 0 {
                    found
                        .warning(
                            "argument-range",
                            entry.value.span,
                            "`delay_evaluation` is negative",
                        )
                        .label("read as 0");
                }
                schedule.delay_evaluation = value.max(0).unsigned_abs();
            }
            None => ok = None,
        }
    }
    ok
}

/// One slack: absent and null are not given.
fn slack_value(entry: Option<&Entry>, found: &mut Diagnostics) -> Result<Option<(f64, Span)>, ()> {
    let Some(entry) = entry else { return Ok(None) };
    let value = found.number(entry).ok_or(())?;
    if value < 0.0 {
        found
            .error(
                "argument-range",
                entry.value.span,
                format!("`{}` must be 0 or more", entry.key),
            )
            .label("is negative");
        return Err(());
    }
    Ok(Some((value, entry.value.span)))
}

fn read_slack(fields: &mut Fields<'_>, kind: &Entry, found: &mut Diagnostics) -> Option<Slack> {
    let factor = slack_value(fields.given("slack_factor"), found);
    let amount = slack_value(fields.given("slack_amount"), found);
    let (factor, amount) = (factor.ok()?, amount.ok()?);
    let zero = |span: Span, found: &mut Diagnostics| {
        found
            .warning(
                "bandit-slack",
                span,
                "no slack: every trial that is not as good as the best is stopped",
            )
            .label("only ties with the best survive");
    };
    match (factor, amount) {
        (Some((factor, _)), Some((0.0, _))) if factor > 0.0 => Some(Slack::Factor(factor)),
        (Some((0.0, _)), Some((amount, _))) if amount > 0.0 => Some(Slack::Amount(amount)),
        (Some((0.0, span)), Some(_)) => {
            zero(span, found);
            Some(Slack::Amount(0.0))
        }
        (Some((_, factor)), Some((_, amount))) => {
            found
                .error(
                    "bandit-slack",
                    amount,
                    format!("{BANDIT} takes `slack_factor` or `slack_amount`, not both"),
                )
                .label("remove one")
                .also(factor, "the other one");
            None
        }
        (Some((factor, span)), None) => {
            if factor == 0.0 {
                zero(span, found);
            }
            Some(Slack::Factor(factor))
        }
        (None, Some((amount, span))) => {
            if amount == 0.0 {
                zero(span, found);
            }
            Some(Slack::Amount(amount))
        }
        (None, None) => {
            let typo = fields
                .misspelt("slack_factor")
                .map(|entry| (entry, "slack_factor"));
            let typo = typo.or_else(|| {
                fields
                    .misspelt("slack_amount")
                    .map(|entry| (entry, "slack_amount"))
            });
            let diagnostic = found.error(
                "bandit-slack",
                kind.span(),
                format!("{BANDIT} needs `slack_factor` or `slack_amount`"),
            );
            diagnostic.label("neither is given");
            if let Some((entry, meant)) = typo {
                diagnostic.also(entry.key_span, format!("unknown key; did you mean `{meant}`?"));
                diagnostic.suggest(entry.key_span, meant);
            }
            None
        }
    }
}

fn read_percentage(fields: &mut Fields<'_>, found: &mut Diagnostics) -> Option<u8> {
    if let Some(entry) = fields.optional("exclude_finished_jobs")
        && !entry.value.is_null()
        && entry.value.as_bool() != Some(false)
    {
        found
            .warning(
                "no-effect",
                entry.key_span,
                "`exclude_finished_jobs` has no effect here",
            )
            .label("no Azure ML client ever sent it")
            .help("write it in the `overdrive` section to have it");
    }
    let entry = fields.required("truncation_percentage", found)?;
    let must = "a whole number from 1 to 99";
    let value = strict_integer(entry, must, found)?;
    match u8::try_from(value) {
        Ok(percentage @ 1..=99) => Some(percentage),
        _ => {
            found
                .error(
                    "argument-range",
                    entry.value.span,
                    format!("`truncation_percentage` must be {must}"),
                )
                .label(format!("{value} is out of range"));
            None
        }
    }
}
