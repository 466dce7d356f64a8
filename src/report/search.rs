//! Search expressions over trials: `state:failed lr<0.01 best>0.9 units=32 "out of memory"`; all terms must hold.
//!
//! Of sweeps, too: then a parameter is that of the best trial, and `tag:KEY` and `tag:KEY=VALUE` ask for tags.
//!
//! A term is `state:WORD`, `NAME OP VALUE` with `<`, `<=`, `>`, `>=`, `=`, `!=` (NAME is a parameter with or without dashes, or one of `trial`, `best`,
//! `last`, `reports`, `duration` in seconds), or a text that must occur in the state, reason or parameters.

use crate::history::TrialState;
use crate::space::Value;
use crate::store::TrialRow;
use crate::store::row::SweepRow;

/// A search expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    terms: Vec<Term>,
}

/// What an expression looks at.
pub trait Searched {
    /// State.
    fn state(&self) -> TrialState;
    /// Whether the policy stopped it.
    fn is_stopped(&self) -> bool;
    /// One line for people.
    fn reason(&self) -> Option<&str>;
    /// Parameters with their values.
    fn parameters(&self) -> impl Iterator<Item = (&str, &Value)>;
    /// One of `trial`, `best`, `last`, `reports`, `duration` (seconds); nothing if it has none.
    fn number(&self, name: &str) -> Option<f64>;
}

impl Searched for TrialRow {
    fn state(&self) -> TrialState {
        self.state
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }

    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    fn parameters(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn number(&self, name: &str) -> Option<f64> {
        match name {
            "trial" => Some(self.trial as f64),
            "best" => self.best,
            "last" => self.last.map(|point| point.value),
            "reports" => Some(self.reports as f64),
            "duration" => self.duration_ms.map(|ms| ms as f64 / 1000.0),
            _ => None,
        }
    }
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A quote is open at the end.
    #[error("the quote before `{0}` is never closed")]
    OpenQuote(String),
    /// A comparison has no value or no name.
    #[error("`{0}` is not a comparison: write `lr<0.01`, `best>=0.9`, `state:failed` or a word")]
    Comparison(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    State(String),
    Tag(String, Option<String>),
    Compare {
        name: String,
        operator: Operator,
        value: String,
    },
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("=", Operator::Equal),
];

impl Search {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`SearchError`].
    pub fn parse(text: &str) -> Result<Self, SearchError> {
        words(text)?
            .into_iter()
            .map(|(word, quoted)| term(&word, quoted))
            .collect::<Result<_, _>>()
            .map(|terms| Self { terms })
    }

    /// State words of which all must hold, for readers that can look only at trials in those states.
    pub fn states(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|term| match term {
            Term::State(word) => Some(word.as_str()),
            _ => None,
        })
    }

    /// Whether only trials with a value of the primary metric can fit.
    pub fn needs_value(&self) -> bool {
        self.terms
            .iter()
            .any(|term| matches!(term, Term::Compare { name, .. } if name == "best"))
    }

    /// Whether a trial fits.
    pub fn matches(&self, trial: &impl Searched) -> bool {
        self.terms.iter().all(|term| match term {
            Term::State(word) => {
                trial.state().word().eq_ignore_ascii_case(word)
                    || (word.eq_ignore_ascii_case("stopped") && trial.is_stopped())
            }
            // Trials have no tags of their own.
            Term::Tag(..) => false,
            Term::Text(text) => contains(trial, text),
            Term::Compare {
                name,
                operator,
                value,
            } => operand(trial, name).is_some_and(|known| operator.holds(&known, value)),
        })
    }

    /// Whether a sweep fits.
    pub fn matches_sweep(&self, sweep: &SweepRow) -> bool {
        self.terms.iter().all(|term| match term {
            Term::State(word) => sweep.state.word().eq_ignore_ascii_case(word),
            Term::Tag(key, wanted) => match (sweep.tags.get(key), wanted) {
                (Some(value), Some(wanted)) => value == wanted,
                (found, None) => found.is_some(),
                (None, Some(_)) => false,
            },
            Term::Text(text) => sweep_contains(sweep, text),
            Term::Compare {
                name,
                operator,
                value,
            } => sweep_operand(sweep, name).is_some_and(|known| operator.holds(&known, value)),
        })
    }
}

/// Words with a mark for those that were quoted.
fn words(text: &str) -> Result<Vec<(String, bool)>, SearchError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let Some((word, after)) = quoted.split_once('"') else {
                return Err(SearchError::OpenQuote(quoted.to_owned()));
            };
            words.push((word.to_owned(), true));
            rest = after.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            words.push((word.to_owned(), false));
            rest = after.trim_start();
        }
    }
    Ok(words)
}

fn term(word: &str, quoted: bool) -> Result<Term, SearchError> {
    if quoted {
        return Ok(Term::Text(word.to_lowercase()));
    }
    if let Some(state) = word.strip_prefix("state:") {
        return Ok(Term::State(state.to_owned()));
    }
    if let Some(tag) = word.strip_prefix("tag:") {
        let (key, value) = tag
            .split_once('=')
            .map_or((tag, None), |(key, value)| (key, Some(value.to_owned())));
        return match key {
            "" => Err(SearchError::Comparison(word.to_owned())),
            key => Ok(Term::Tag(key.to_owned(), value)),
        };
    }
    let found = OPERATORS
        .iter()
        .filter_map(|(sign, operator)| word.find(sign).map(|at| (at, sign.len(), *operator)))
        .min_by_key(|(at, length, _)| (*at, std::cmp::Reverse(*length)));
    match found {
        None => Ok(Term::Text(word.to_lowercase())),
        Some((at, length, operator)) => {
            let (name, value) = (
                word.get(..at).unwrap_or_default(),
                word.get(at + length..).unwrap_or_default(),
            );
            if name.is_empty() || value.is_empty() {
                return Err(SearchError::Comparison(word.to_owned()));
            }
            Ok(Term::Compare {
                name: name.trim_start_matches('-').to_owned(),
                operator,
                value: value.to_owned(),
            })
        }
    }
}

fn contains(trial: &impl Searched, text: &str) -> bool {
    trial.state().word().to_lowercase().contains(text)
        || trial
            .reason()
            .is_some_and(|reason| reason.to_lowercase().contains(text))
        || trial.parameters().any(|(name, value)| {
            name.to_lowercase().contains(text) || value.to_string().to_lowercase().contains(text)
        })
}

fn sweep_contains(sweep: &SweepRow, text: &str) -> bool {
    let texts = [
        Some(&sweep.sweep),
        Some(&sweep.experiment),
        sweep.display_name.as_ref(),
        sweep.reason.as_ref(),
        sweep.file.as_ref(),
        sweep.notes.as_ref(),
        sweep.metric.as_ref(),
    ];
    let has = |known: &str| known.to_lowercase().contains(text);
    texts.into_iter().flatten().any(|known| has(known))
        || has(sweep.state.word())
        || sweep.tags.iter().any(|(key, value)| has(key) || has(value))
}

fn operand(trial: &impl Searched, name: &str) -> Option<Value> {
    match name {
        "run" => trial.number("trial").map(Value::Float),
        "trial" | "best" | "last" | "reports" | "duration" => trial.number(name).map(Value::Float),
        _ => trial
            .parameters()
            .find(|(parameter, _)| parameter.trim_start_matches('-') == name)
            .map(|(_, value)| value.clone()),
    }
}

fn sweep_operand(sweep: &SweepRow, name: &str) -> Option<Value> {
    let best = sweep.best.as_ref();
    match name {
        "best" => best.map(|best| Value::Float(best.value)),
        "trials" => Some(Value::Int(sweep.trials.values().sum::<u64>() as i64)),
        "failed" => Some(Value::Int(sweep.trials.get("Failed").copied().unwrap_or(0) as i64)),
        "duration" => Some(Value::Float(sweep.duration_ms as f64 / 1000.0)),
        _ => best.and_then(|best| {
            best.parameters
                .iter()
                .find(|(parameter, _)| parameter.trim_start_matches('-') == name)
                .map(|(_, value)| value.clone())
        }),
    }
}

impl Operator {
    fn holds(self, known: &Value, wanted: &str) -> bool {
        match (known.as_f64(), wanted.parse::<f64>()) {
            (Some(a), Ok(b)) => match self {
                Self::Less => a < b,
                Self::LessOrEqual => a <= b,
                Self::Greater => a > b,
                Self::GreaterOrEqual => a >= b,
                Self::Equal => a == b,
                Self::NotEqual => a != b,
            },
            _ => match self {
                Self::Equal => known.to_string() == wanted,
                Self::NotEqual => known.to_string() != wanted,
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_told_apart() {
        let search = Search::parse(r#"state:failed --lr<=0.01 kernel!=rbf "out of memory" adam"#).unwrap();
        assert_eq!(
            search.terms,
            [
                Term::State("failed".into()),
                Term::Compare {
                    name: "lr".into(),
                    operator: Operator::LessOrEqual,
                    value: "0.01".into()
                },
                Term::Compare {
                    name: "kernel".into(),
                    operator: Operator::NotEqual,
                    value: "rbf".into()
                },
                Term::Text("out of memory".into()),
                Term::Text("adam".into()),
            ]
        );
    }

    #[test]
    fn half_terms_are_named() {
        assert_eq!(Search::parse("tag:"), Err(SearchError::Comparison("tag:".into())));
        assert_eq!(
            Search::parse("tag:nightly tag:team=vision").unwrap().terms,
            [
                Term::Tag("nightly".into(), None),
                Term::Tag("team".into(), Some("vision".into()))
            ]
        );
        assert_eq!(Search::parse("lr<"), Err(SearchError::Comparison("lr<".into())));
        assert!(matches!(Search::parse("\"open"), Err(SearchError::OpenQuote(_))));
    }
}
