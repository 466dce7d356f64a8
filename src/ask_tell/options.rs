//! Policies on one line: `bandit:slack_factor=0.1,delay_evaluation=5`.

use crate::policy::{PolicySpec, Schedule, Slack, Trigger};

/// Why a policy's text cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// No policy has that name.
    #[error(
        "no policy is called `{0}`; there are none, bandit, median_stopping, truncation_selection, asha, hyperband, predictive"
    )]
    Policy(String),
    /// The policy has no such setting.
    #[error("`{policy}` has no setting `{key}`")]
    Key {
        /// Policy.
        policy: String,
        /// Setting.
        key: String,
    },
    /// A setting's value is wrong.
    #[error("`{key}` cannot be `{value}`: {expected}")]
    Value {
        /// Setting.
        key: String,
        /// Value.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A setting is missing.
    #[error("`{policy}` needs {expected}")]
    Missing {
        /// Policy.
        policy: String,
        /// What is missing.
        expected: &'static str,
    },
}

/// Reads `name` or `name:key=value,key=value`. Names and keys are those of the files, in any case and with or without the word
/// `Policy`; `truncation` and `median` are short for the full names.
///
/// # Errors
/// [`OptionError`] at the first thing that makes no sense.
pub fn parse_policy(text: &str) -> Result<PolicySpec, OptionError> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let policy = canonical(name);
    let mut schedule = Schedule::default();
    let (mut slack, mut percentage, mut exclude) = (None, None, false);
    let (mut literal, mut trigger) = (false, Trigger::Sweep);
    let (mut min_resource, mut reduction_factor) = (1, 3);
    let (mut brackets, mut freeze) = (3, false);
    let (mut false_stops, mut top_k, mut eager, mut max_resource) = (0.05, 1, false, None);
    for pair in rest.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (key.trim(), value.trim());
        match (policy.as_str(), key) {
            (BANDIT | MEDIAN | TRUNCATION, "evaluation_interval") => {
                schedule.evaluation_interval = whole(key, value)?.max(1);
            }
            (BANDIT | MEDIAN | TRUNCATION, "delay_evaluation") => {
                schedule.delay_evaluation = whole(key, value)?;
            }
            (BANDIT | MEDIAN | TRUNCATION, "trigger") => {
                trigger = match value {
                    "sweep" => Trigger::Sweep,
                    "reporter" => Trigger::Reporter,
                    _ => return Err(wrong(key, value, "`sweep` or `reporter`")),
                };
            }
            (BANDIT, "slack_factor") => slack = Some(Slack::Factor(amount(key, value)?)),
            (BANDIT, "slack_amount") => slack = Some(Slack::Amount(amount(key, value)?)),
            (BANDIT, "literal") => literal = flag(key, value)?,
            (TRUNCATION, "truncation_percentage") => {
                let number = whole(key, value)?;
                let number = u8::try_from(number)
                    .ok()
                    .filter(|number| (1..=99).contains(number));
                percentage = Some(number.ok_or_else(|| wrong(key, value, "a whole number from 1 to 99"))?);
            }
            (TRUNCATION, "exclude_finished_jobs") => exclude = flag(key, value)?,
            (ASHA | HYPERBAND, "min_resource") => {
                min_resource = whole(key, value)?;
                if min_resource == 0 {
                    return Err(wrong(key, value, "a whole number, at least 1"));
                }
            }
            (ASHA | HYPERBAND, "reduction_factor") => {
                reduction_factor = whole(key, value)?;
                if reduction_factor < 2 {
                    return Err(wrong(key, value, "a whole number, at least 2"));
                }
            }
            (HYPERBAND, "brackets") => {
                brackets = whole(key, value)?;
                if !(1..=20).contains(&brackets) {
                    return Err(wrong(key, value, "a whole number from 1 to 20"));
                }
            }
            (ASHA | HYPERBAND | PREDICTIVE, "freeze") => freeze = flag(key, value)?,
            (PREDICTIVE, "delay_evaluation") => schedule.delay_evaluation = whole(key, value)?,
            (PREDICTIVE, "false_stops") => {
                false_stops = amount(key, value)?;
                if !(false_stops > 0.0 && false_stops <= 0.5) {
                    return Err(wrong(key, value, "a number above 0, at most 0.5"));
                }
            }
            (PREDICTIVE, "eager") => eager = flag(key, value)?,
            (PREDICTIVE, "top_k") => {
                top_k = whole(key, value)?;
                if top_k == 0 {
                    return Err(wrong(key, value, "a whole number, at least 1"));
                }
            }
            (PREDICTIVE, "max_resource") => {
                let last = whole(key, value)?;
                if last < 2 {
                    return Err(wrong(key, value, "a whole number, at least 2"));
                }
                max_resource = Some(last);
            }
            (NONE | BANDIT | MEDIAN | TRUNCATION | ASHA | HYPERBAND | PREDICTIVE, _) => {
                return Err(OptionError::Key {
                    policy,
                    key: key.to_owned(),
                });
            }
            _ => break,
        }
    }
    match policy.as_str() {
        NONE => Ok(PolicySpec::NoTermination),
        MEDIAN => Ok(PolicySpec::MedianStopping { schedule, trigger }),
        ASHA => Ok(PolicySpec::Asha {
            min_resource,
            reduction_factor,
            freeze,
        }),
        HYPERBAND => Ok(PolicySpec::Hyperband {
            min_resource,
            reduction_factor,
            brackets,
            freeze,
        }),
        PREDICTIVE => Ok(PolicySpec::Predictive {
            false_stops,
            top_k,
            eager,
            delay_evaluation: schedule.delay_evaluation,
            max_resource,
            freeze,
        }),
        BANDIT => match slack {
            Some(slack) => Ok(PolicySpec::Bandit {
                schedule,
                slack,
                literal,
                trigger,
            }),
            None => Err(OptionError::Missing {
                policy,
                expected: "`slack_factor` or `slack_amount`",
            }),
        },
        TRUNCATION => match percentage {
            Some(percentage) => Ok(PolicySpec::TruncationSelection {
                schedule,
                percentage,
                exclude_finished_jobs: exclude,
                trigger,
            }),
            None => Err(OptionError::Missing {
                policy,
                expected: "`truncation_percentage`",
            }),
        },
        _ => Err(OptionError::Policy(name.trim().to_owned())),
    }
}

const NONE: &str = "none";
const BANDIT: &str = "bandit";
const MEDIAN: &str = "median_stopping";
const TRUNCATION: &str = "truncation_selection";
const ASHA: &str = "asha";
const HYPERBAND: &str = "hyperband";
const PREDICTIVE: &str = "predictive";

fn canonical(name: &str) -> String {
    let plain = name.trim().to_ascii_lowercase().replace(['_', '-'], "");
    let plain = plain.strip_suffix("policy").unwrap_or(&plain);
    match plain {
        "none" | "notermination" | "default" => NONE,
        "bandit" => BANDIT,
        "median" | "medianstopping" => MEDIAN,
        "truncation" | "truncationselection" => TRUNCATION,
        other => other,
    }
    .to_owned()
}

fn wrong(key: &str, value: &str, expected: &'static str) -> OptionError {
    OptionError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
        expected,
    }
}

fn whole(key: &str, value: &str) -> Result<u64, OptionError> {
    value.parse().map_err(|_| wrong(key, value, "a whole number"))
}

fn amount(key: &str, value: &str) -> Result<f64, OptionError> {
    let number: Option<f64> = value.parse().ok();
    number
        .filter(|number| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| wrong(key, value, "a number of 0 or more"))
}

fn flag(key: &str, value: &str) -> Result<bool, OptionError> {
    match value {
        "true" | "" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(key, value, "`true` or `false`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_policies() {
        assert_eq!(parse_policy("none"), Ok(PolicySpec::NoTermination));
        assert_eq!(
            parse_policy("BanditPolicy: slack_factor=0.1, delay_evaluation=5"),
            Ok(PolicySpec::Bandit {
                schedule: Schedule {
                    evaluation_interval: 1,
                    delay_evaluation: 5
                },
                slack: Slack::Factor(0.1),
                literal: false,
                trigger: Trigger::Sweep,
            })
        );
        assert!(matches!(
            parse_policy("median"),
            Ok(PolicySpec::MedianStopping { .. })
        ));
        for (text, message) in [
            ("bandit", "`bandit` needs `slack_factor` or `slack_amount`"),
            ("bandit:slack=1", "`bandit` has no setting `slack`"),
            (
                "truncation:truncation_percentage=100",
                "`truncation_percentage` cannot be `100`: a whole number from 1 to 99",
            ),
            (
                "bandit:slack_amount=-1",
                "`slack_amount` cannot be `-1`: a number of 0 or more",
            ),
            (
                "hyperspace:eta=3",
                "no policy is called `hyperspace`; there are none, bandit, median_stopping, truncation_selection, asha, hyperband, predictive",
            ),
        ] {
            assert_eq!(parse_policy(text).unwrap_err().to_string(), message);
        }
    }
}
