//! Search expressions over trials: `state:failed lr<0.01 best>0.9 units=32 "out of memory"`; all terms must hold.
//!
//! A term is `state:WORD`, `NAME OP VALUE` with `<`, `<=`, `>`, `>=`, `=`, `!=` (NAME is a parameter with or without dashes, or one of `trial`, `best`,
//! `last`, `reports`, `duration` in seconds), or a text that must occur in the state, reason or parameters.

use crate::history::TrialState;
use crate::space::Value;
use crate::store::TrialRow;

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
            Term::Text(text) => contains(trial, text),
            Term::Compare {
                name,
                operator,
                value,
            } => compare(trial, name, *operator, value),
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

fn compare(trial: &impl Searched, name: &str, operator: Operator, wanted: &str) -> bool {
    let value = match name {
        "run" => trial.number("trial").map(Value::Float),
        "trial" | "best" | "last" | "reports" | "duration" => trial.number(name).map(Value::Float),
        _ => trial
            .parameters()
            .find(|(parameter, _)| parameter.trim_start_matches('-') == name)
            .map(|(_, value)| value.clone()),
    };
    let Some(value) = value else { return false };
    match (value.as_f64(), wanted.parse::<f64>()) {
        (Some(a), Ok(b)) => match operator {
            Operator::Less => a < b,
            Operator::LessOrEqual => a <= b,
            Operator::Greater => a > b,
            Operator::GreaterOrEqual => a >= b,
            Operator::Equal => a == b,
            Operator::NotEqual => a != b,
        },
        _ => match operator {
            Operator::Equal => value.to_string() == wanted,
            Operator::NotEqual => value.to_string() != wanted,
            _ => false,
        },
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
        assert_eq!(Search::parse("lr<"), Err(SearchError::Comparison("lr<".into())));
        assert!(matches!(Search::parse("\"open"), Err(SearchError::OpenQuote(_))));
    }
}
