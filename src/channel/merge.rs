//! Precedence between channels: one logged number may come through several doors and must count once.
//!
//! Classes: azureml = mlflow > report file > markers > foreign files > offline text > plain text > scan. Once a name has a point
//! from one class, points of lower ones are ignored. A point that equals one from another door within a second is the same.

use crate::journal::Channel;
use indexmap::IndexMap;
use std::collections::VecDeque;

/// Names per trial; more are dropped (the primary metric never).
pub const MAX_NAMES: usize = 10_000;
/// Two equal points from two doors within this time are one.
const SAME_MS: u64 = 1_000;
/// Points remembered per name for that.
const REMEMBERED: usize = 16;

/// What to do with a reported number.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It counts.
    Keep,
    /// It does not count; nothing to say.
    Drop,
    /// It does not count, and this is the first time for this reason: tell it.
    DropWith(Notice),
}

/// A thing to tell once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Stable slug.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
}

/// Decides which reports count.
#[derive(Clone, Debug, Default)]
pub struct Merge {
    names: IndexMap<String, Seen>,
    primary: Option<String>,
    capped: bool,
}

#[derive(Clone, Debug)]
struct Seen {
    best: Channel,
    points: u64,
    /// Doors already told to be shadowed, one bit each.
    told: u16,
    recent: VecDeque<(u64, u64, Channel)>,
}

fn class(channel: Channel) -> u8 {
    match channel {
        Channel::Azureml | Channel::Mlflow => 0,
        Channel::Report => 1,
        Channel::Marker => 2,
        Channel::Foreign => 3,
        Channel::Offline => 4,
        Channel::Text => 5,
        Channel::Scan => 6,
    }
}

/// Name of a door for people.
fn label(channel: Channel) -> &'static str {
    match channel {
        Channel::Azureml => "azureml",
        Channel::Mlflow => "mlflow",
        Channel::Report => "the report file",
        Channel::Marker => "markers on the output",
        Channel::Foreign => "files of other tuners",
        Channel::Offline => "text of an offline azureml run",
        Channel::Text => "text on the output",
        Channel::Scan => "files found at the end",
    }
}

impl Merge {
    /// `primary` is exempt from the cap of names.
    pub fn new(primary: Option<&str>) -> Self {
        Self {
            primary: primary.map(str::to_owned),
            ..Self::default()
        }
    }

    /// Judges one point; `now_ms` is any clock that only grows.
    pub fn judge(&mut self, name: &str, value: f64, channel: Channel, now_ms: u64) -> Verdict {
        // All NaNs are the same value here.
        let bits = if value.is_nan() {
            f64::NAN.to_bits()
        } else {
            value.to_bits()
        };
        let Some(seen) = self.names.get_mut(name) else {
            return self.first(name, bits, channel, now_ms);
        };
        if class(channel) > class(seen.best) {
            let bit = 1 << (channel as u16);
            if seen.told & bit != 0 {
                return Verdict::Drop;
            }
            seen.told |= bit;
            return Verdict::DropWith(Notice {
                code: "shadowed-metric",
                message: format!(
                    "`{name}` also came through {}; only its points from {} count",
                    label(channel),
                    label(seen.best)
                ),
            });
        }
        if class(channel) < class(seen.best) {
            seen.best = channel;
        }
        let twin = seen.recent.iter().position(|(other, at, door)| {
            *other == bits && *door != channel && now_ms.saturating_sub(*at) <= SAME_MS
        });
        if let Some(twin) = twin {
            seen.recent.remove(twin);
            return Verdict::Drop;
        }
        seen.points += 1;
        remember(&mut seen.recent, bits, channel, now_ms);
        Verdict::Keep
    }

    fn first(&mut self, name: &str, bits: u64, channel: Channel, now_ms: u64) -> Verdict {
        if self.names.len() >= MAX_NAMES && self.primary.as_deref() != Some(name) {
            if std::mem::replace(&mut self.capped, true) {
                return Verdict::Drop;
            }
            return Verdict::DropWith(Notice {
                code: "metric-names-capped",
                message: format!("more than {MAX_NAMES} metric names; `{name}` and further ones are dropped"),
            });
        }
        let mut recent = VecDeque::new();
        remember(&mut recent, bits, channel, now_ms);
        self.names.insert(
            name.to_owned(),
            Seen {
                best: channel,
                points: 1,
                told: 0,
                recent,
            },
        );
        Verdict::Keep
    }

    /// Number of points of a name that count.
    pub fn points(&self, name: &str) -> u64 {
        self.names.get(name).map_or(0, |seen| seen.points)
    }

    /// Names with at least one point, in order of arrival.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// What to tell at the end of a script that succeeded: nothing if the primary metric came; else that it did not, which names
    /// were reported, and which of those or of `printed` (near misses on the output) were probably meant.
    pub fn missing_primary(&self, printed: &[String]) -> Option<Notice> {
        let primary = self.primary.as_deref()?;
        if self.points(primary) > 0 {
            return None;
        }
        let wanted = folded(primary);
        let mut near: Vec<&str> = self
            .names()
            .filter(|name| {
                let name = folded(name);
                name == wanted
                    || name.ends_with(&wanted)
                    || wanted.ends_with(&name)
                    || strsim::jaro_winkler(&name, &wanted) > 0.9
            })
            .collect();
        near.extend(
            printed
                .iter()
                .map(String::as_str)
                .filter(|name| !self.names.contains_key(*name)),
        );
        near.truncate(5);
        let list = |names: &[&str]| {
            names
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let reported: Vec<&str> = self.names().take(20).collect();
        let seen = if reported.is_empty() {
            "it reported no metric".to_owned()
        } else {
            format!("it reported {}", list(&reported))
        };
        Some(if near.is_empty() {
            Notice {
                code: "metric-missing",
                message: format!("the script never reported `{primary}`; {seen}"),
            }
        } else {
            Notice {
                code: "metric-near-miss",
                message: format!(
                    "the script never reported `{primary}`; {seen}; did you mean {}",
                    list(&near)
                ),
            }
        })
    }
}

fn remember(recent: &mut VecDeque<(u64, u64, Channel)>, bits: u64, channel: Channel, now_ms: u64) {
    if recent.len() >= REMEMBERED {
        recent.pop_front();
    }
    recent.push_back((bits, now_ms, channel));
}

/// Case, blanks, underscores and hyphens do not count.
fn folded(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps(merge: &mut Merge, name: &str, value: f64, channel: Channel, now: u64) -> bool {
        merge.judge(name, value, channel, now) == Verdict::Keep
    }

    #[test]
    fn a_lower_class_is_shadowed_and_told_once() {
        let mut merge = Merge::new(None);
        assert!(keeps(&mut merge, "a", 1.0, Channel::Mlflow, 0));
        assert!(
            matches!(merge.judge("a", 2.0, Channel::Text, 1), Verdict::DropWith(n) if n.code == "shadowed-metric")
        );
        assert_eq!(merge.judge("a", 3.0, Channel::Text, 2), Verdict::Drop);
        assert!(matches!(
            merge.judge("a", 3.0, Channel::Marker, 2),
            Verdict::DropWith(_)
        ));
        assert!(keeps(&mut merge, "b", 2.0, Channel::Text, 3));
        assert_eq!(merge.points("a"), 1);
    }

    #[test]
    fn print_then_log_counts_once() {
        let mut merge = Merge::new(None);
        let mut kept = 0;
        for step in 0..5 {
            let value = f64::from(step);
            for channel in [Channel::Text, Channel::Azureml] {
                kept += u32::from(keeps(
                    &mut merge,
                    "a",
                    value,
                    channel,
                    u64::from(step as u32) * 100,
                ));
            }
        }
        assert_eq!(kept, 5);
    }

    #[test]
    fn equal_doors_of_the_first_class_are_deduplicated_within_a_second() {
        let mut merge = Merge::new(None);
        assert!(keeps(&mut merge, "a", f64::NAN, Channel::Azureml, 0));
        assert!(!keeps(&mut merge, "a", -f64::NAN, Channel::Mlflow, 900));
        assert!(
            keeps(&mut merge, "a", f64::NAN, Channel::Mlflow, 950),
            "the twin was used up"
        );
        assert!(keeps(&mut merge, "a", 1.0, Channel::Azureml, 1000));
        assert!(
            keeps(&mut merge, "a", 1.0, Channel::Azureml, 1000),
            "the same door twice is two reports"
        );
        assert!(keeps(&mut merge, "a", 1.0, Channel::Mlflow, 2001), "too late");
    }

    #[test]
    fn names_are_capped_but_not_the_primary() {
        let mut merge = Merge::new(Some("p"));
        for index in 0..MAX_NAMES {
            assert!(keeps(&mut merge, &index.to_string(), 0.0, Channel::Report, 0));
        }
        assert!(
            matches!(merge.judge("x", 0.0, Channel::Report, 0), Verdict::DropWith(n) if n.code == "metric-names-capped")
        );
        assert_eq!(merge.judge("y", 0.0, Channel::Report, 0), Verdict::Drop);
        assert!(keeps(&mut merge, "7", 1.0, Channel::Report, 5000));
        assert!(keeps(&mut merge, "p", 1.0, Channel::Report, 0));
    }

    #[test]
    fn a_missing_primary_metric_is_explained() {
        let mut merge = Merge::new(Some("val accuracy"));
        assert_eq!(merge.missing_primary(&[]).unwrap().code, "metric-missing");
        merge.judge("Val_Accuracy", 1.0, Channel::Report, 0);
        merge.judge("loss", 1.0, Channel::Report, 0);
        let notice = merge.missing_primary(&["val-accuracy".to_owned()]).unwrap();
        assert_eq!(notice.code, "metric-near-miss");
        assert_eq!(
            notice.message,
            "the script never reported `val accuracy`; it reported `Val_Accuracy`, `loss`; did you mean `Val_Accuracy`, `val-accuracy`"
        );
        merge.judge("val accuracy", 1.0, Channel::Report, 0);
        assert_eq!(merge.missing_primary(&[]), None);
    }
}
