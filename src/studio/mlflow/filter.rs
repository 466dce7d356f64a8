//! MLflow's search language: `metrics.loss < 0.1 AND params.opt = 'adam' AND tags.team LIKE 'bl%' AND attributes.status = 'FINISHED'`,
//! and its orders, `metrics.loss DESC`.
//!
//! Conditions are joined by `AND`. A name is `KIND.KEY`, the key in backticks or double quotes if it is no plain word; without a kind it is an
//! attribute. Metrics and times are compared with numbers, everything else with texts in single or double quotes; `IN` takes a list, `IS NULL`
//! nothing. A run without the value fits no comparison.

use std::cmp::Ordering;

/// What a condition or an order looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Field {
    /// Last value of a metric.
    Metric(String),
    /// Parameter.
    Param(String),
    /// Tag.
    Tag(String),
    /// `status`, `start_time`, `end_time`, `run_id`, `run_name`, `artifact_uri`, `user_id`.
    Attribute(String),
}

/// A value that a run has.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
    /// A metric or a time, milliseconds.
    Number(f64),
    /// Everything else.
    Text(String),
}

impl Seen {
    /// Numbers before texts, each in its order.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Number(Sign, f64),
    Text(Sign, String),
    Like { pattern: String, exact: bool },
    In(Vec<String>, bool),
    Null(bool),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sign {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Sign {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A condition on a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    /// What is looked at.
    pub(super) field: Field,
    test: Test,
}

impl Condition {
    /// Whether a run with this value fits.
    pub(super) fn holds(&self, seen: Option<&Seen>) -> bool {
        match (&self.test, seen) {
            (Test::Null(wanted), seen) => seen.is_none() == *wanted,
            (_, None) => false,
            (Test::Number(sign, wanted), Some(Seen::Number(value))) => value
                .partial_cmp(wanted)
                .map_or(*sign == Sign::NotEqual, |order| sign.holds(order)),
            (Test::Text(sign, wanted), Some(Seen::Text(value))) => sign.holds(value.as_str().cmp(wanted)),
            (Test::Like { pattern, exact: true }, Some(Seen::Text(value))) => like(pattern, value),
            (
                Test::Like {
                    pattern,
                    exact: false,
                },
                Some(Seen::Text(value)),
            ) => like(&pattern.to_lowercase(), &value.to_lowercase()),
            (Test::In(options, wanted), Some(Seen::Text(value))) => options.contains(value) == *wanted,
            _ => false,
        }
    }
}

/// SQL's pattern: `%` is anything, `_` any one character.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The last `%`, and how much of the text it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '_' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    p = at + 1;
                    t = taken + 1;
                    star = Some((at, t));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '%')
}

/// A piece of an expression.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// In single quotes: always a value.
    Value(String),
    /// In backticks or double quotes: part of a name, or a value.
    Quoted(String),
    Dot,
    Comma,
    Open,
    Close,
    Sign(Sign),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            c if c.is_whitespace() => {}
            '\'' | '"' | '`' => {
                let inner = rest.get(1..).unwrap_or_default();
                let end = inner
                    .find(c)
                    .ok_or_else(|| format!("the quote before {inner} is never closed"))?;
                let word = inner.get(..end).unwrap_or_default().to_owned();
                taken = end + 2;
                found.push(if c == '\'' {
                    Token::Value(word)
                } else {
                    Token::Quoted(word)
                });
            }
            '.' if !matches!(rest.as_bytes().get(1), Some(b'0'..=b'9'))
                || matches!(found.last(), Some(Token::Word(_))) =>
            {
                found.push(Token::Dot);
            }
            ',' => found.push(Token::Comma),
            '(' => found.push(Token::Open),
            ')' => found.push(Token::Close),
            '=' | '!' | '<' | '>' => {
                let (sign, length) = [
                    ("<=", Sign::LessOrEqual),
                    (">=", Sign::GreaterOrEqual),
                    ("!=", Sign::NotEqual),
                    ("<>", Sign::NotEqual),
                    ("==", Sign::Equal),
                    ("<", Sign::Less),
                    (">", Sign::Greater),
                    ("=", Sign::Equal),
                ]
                .into_iter()
                .find(|(word, _)| rest.starts_with(word))
                .map(|(word, sign)| (sign, word.len()))
                .ok_or_else(|| format!("{rest} begins with no comparison"))?;
                taken = length;
                found.push(Token::Sign(sign));
            }
            _ => {
                let numeric = c.is_ascii_digit() || matches!(c, '-' | '+' | '.');
                let mut before = ' ';
                let end = rest.char_indices().find(|(_, c)| {
                    let part = c.is_alphanumeric()
                        || matches!(c, '_' | '/' | '-' | ':')
                        || (numeric && (*c == '.' || (*c == '+' && matches!(before, 'e' | 'E' | ' '))));
                    before = *c;
                    !part
                });
                taken = end.map_or(rest.len(), |(at, _)| at);
                if taken == 0 {
                    return Err(format!("{rest} is not understood"));
                }
                found.push(Token::Word(rest.get(..taken).unwrap_or_default().to_owned()));
            }
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(found)
}

/// Reads tokens one after the other.
struct Reader {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Reader {
    fn new(text: &str) -> Result<Self, String> {
        Ok(Self {
            tokens: tokens(text)?.into_iter().peekable(),
        })
    }

    /// Takes a word of the language, whatever its case.
    fn takes(&mut self, word: &str) -> bool {
        let is = |token: &Token| matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word));
        self.tokens.next_if(is).is_some()
    }

    fn name(&mut self) -> Result<String, String> {
        match self.tokens.next() {
            Some(Token::Word(word) | Token::Quoted(word)) => Ok(word),
            other => Err(format!("a name is missing at {other:?}")),
        }
    }

    fn field(&mut self) -> Result<Field, String> {
        let first = self.name()?;
        if self.tokens.next_if_eq(&Token::Dot).is_none() {
            return attribute(&first);
        }
        let mut key = self.name()?;
        // Names of tags have dots in them: `tags.mlflow.runName`.
        while self.tokens.next_if_eq(&Token::Dot).is_some() {
            key = format!("{key}.{}", self.name()?);
        }
        match first.to_ascii_lowercase().as_str() {
            "metric" | "metrics" => Ok(Field::Metric(key)),
            "param" | "params" | "parameter" | "parameters" => Ok(Field::Param(key)),
            "tag" | "tags" => Ok(Field::Tag(key)),
            "attribute" | "attributes" | "attr" | "run" => attribute(&key),
            _ => Err(format!(
                "`{first}` is no kind of value: metrics, params, tags or attributes"
            )),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        match self.tokens.next() {
            Some(Token::Value(word) | Token::Quoted(word) | Token::Word(word)) => Ok(word),
            other => Err(format!("a value is missing at {other:?}")),
        }
    }

    fn condition(&mut self) -> Result<Condition, String> {
        let field = self.field()?;
        let numeric = is_number(&field);
        let test = if self.takes("IS") {
            let not = self.takes("NOT");
            if !self.takes("NULL") {
                return Err("`IS` is followed by `NULL` or `NOT NULL`".into());
            }
            Test::Null(!not)
        } else if !numeric && self.takes("LIKE") {
            Test::Like {
                pattern: self.value()?,
                exact: true,
            }
        } else if !numeric && self.takes("ILIKE") {
            Test::Like {
                pattern: self.value()?,
                exact: false,
            }
        } else {
            self.comparison(numeric)?
        };
        Ok(Condition { field, test })
    }

    fn comparison(&mut self, numeric: bool) -> Result<Test, String> {
        if let Some(Token::Sign(sign)) = self.tokens.next_if(|token| matches!(token, Token::Sign(_))) {
            if !numeric {
                return Ok(Test::Text(sign, self.value()?));
            }
            let word = self.value()?;
            let number = word
                .parse()
                .map_err(|_| format!("`{word}` is no number, and a metric or time is compared with one"))?;
            return Ok(Test::Number(sign, number));
        }
        let not = self.takes("NOT");
        if self.takes("IN") && !numeric {
            if self.tokens.next_if_eq(&Token::Open).is_none() {
                return Err("`IN` is followed by a list in brackets".into());
            }
            let mut options = vec![self.value()?];
            while self.tokens.next_if_eq(&Token::Comma).is_some() {
                options.push(self.value()?);
            }
            if self.tokens.next_if_eq(&Token::Close).is_none() {
                return Err("the list of `IN` is never closed".into());
            }
            return Ok(Test::In(options, !not));
        }
        Err("a comparison is missing: = != < <= > >=, for texts LIKE, ILIKE, IN".into())
    }
}

fn is_number(field: &Field) -> bool {
    match field {
        Field::Metric(_) => true,
        Field::Attribute(name) => name.ends_with("_time"),
        Field::Param(_) | Field::Tag(_) => false,
    }
}

fn attribute(name: &str) -> Result<Field, String> {
    let known = match name.to_ascii_lowercase().as_str() {
        "status" => "status",
        "start_time" | "created" | "created_at" => "start_time",
        "end_time" => "end_time",
        "run_id" | "id" => "run_id",
        "run_name" | "name" | "run name" => "run_name",
        "artifact_uri" => "artifact_uri",
        "user_id" => "user_id",
        _ => {
            return Err(format!(
                "`{name}` is no attribute: status, start_time, end_time, run_id, run_name, artifact_uri, user_id"
            ));
        }
    };
    Ok(Field::Attribute(known.to_owned()))
}

/// Conditions of a filter; all must hold.
///
/// # Errors
/// What is not understood, in words.
pub(super) fn conditions(text: &str) -> Result<Vec<Condition>, String> {
    let mut reader = Reader::new(text)?;
    let mut found = Vec::new();
    while reader.tokens.peek().is_some() {
        if !found.is_empty() && !reader.takes("AND") {
            return Err(format!(
                "conditions are joined by `AND`, not by {:?}",
                reader.tokens.peek()
            ));
        }
        found.push(reader.condition()?);
    }
    Ok(found)
}

/// One order: what is looked at, and whether the largest comes first.
///
/// # Errors
/// What is not understood, in words.
pub(super) fn order(text: &str) -> Result<(Field, bool), String> {
    let mut reader = Reader::new(text)?;
    let field = reader.field()?;
    let down = reader.takes("DESC");
    if !down {
        reader.takes("ASC");
    }
    match reader.tokens.next() {
        None => Ok((field, down)),
        Some(token) => Err(format!("an order ends in ASC or DESC, not in {token:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, seen: Option<Seen>) -> bool {
        let conditions = conditions(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        conditions.iter().all(|condition| condition.holds(seen.as_ref()))
    }

    fn text(value: &str) -> Option<Seen> {
        Some(Seen::Text(value.into()))
    }

    #[test]
    fn names_are_read_in_all_their_spellings() {
        let field = |text: &str| conditions(text).unwrap().remove(0).field;
        assert_eq!(field("metrics.`val loss` > 1"), Field::Metric("val loss".into()));
        assert_eq!(field("metric.\"m.x\" >= -1e-3"), Field::Metric("m.x".into()));
        assert_eq!(field("params.--lr = '0.1'"), Field::Param("--lr".into()));
        assert_eq!(
            field("tags.mlflow.parentRunId = 'x'"),
            Field::Tag("mlflow.parentRunId".into())
        );
        assert_eq!(
            field("tags.`mlflow.parentRunId`='x'"),
            Field::Tag("mlflow.parentRunId".into())
        );
        assert_eq!(field("status = 'FINISHED'"), Field::Attribute("status".into()));
        assert_eq!(
            field("attributes.created > 3"),
            Field::Attribute("start_time".into())
        );
        assert_eq!(
            order("metrics.x DESC").unwrap(),
            (Field::Metric("x".into()), true)
        );
        assert_eq!(
            order("start_time").unwrap(),
            (Field::Attribute("start_time".into()), false)
        );
    }

    #[test]
    fn comparisons() {
        let number = |value| Some(Seen::Number(value));
        assert!(holds("metrics.x > 1", number(1.5)) && !holds("metrics.x > 1", number(1.0)));
        assert!(holds("metrics.x >= .5 and metrics.x != 2", number(0.5)));
        assert!(!holds("metrics.x < 1", None) && !holds("metrics.x < 1", number(f64::NAN)));
        assert!(holds("metrics.x <= 1e3", number(1000.0)) && holds("metrics.x > -2.5", number(-2.0)));
        assert!(holds("params.y = 'it, (is)'", text("it, (is)")));
        assert!(holds("params.y != \"a\"", text("b")) && !holds("params.y != 'a'", None));
        assert!(holds("tags.t LIKE 'bl%_e'", text("blue")) && !holds("tags.t LIKE 'Bl%'", text("blue")));
        assert!(holds("tags.t ILIKE 'BL%'", text("blue")) && holds("tags.t LIKE '%'", text("")));
        assert!(holds("run_id IN ('a', 'b')", text("b")) && holds("run_id NOT IN ('a')", text("b")));
        assert!(holds("tags.t IS NULL", None) && holds("tags.t is not null", text("")));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for bad in [
            "metrics.x",
            "metrics.x > 'a'",
            "metrics.x > 1 or metrics.y < 2",
            "things.x = 1",
            "attributes.size = 'x'",
            "params.y = 'open",
            "run_id IN 'a'",
            "run_id IN ('a'",
            "metrics.x IN ('1')",
            "AND",
            "= 1",
            "metrics.x > 1 metrics.y > 2",
        ] {
            assert!(conditions(bad).is_err(), "{bad}");
        }
        assert_eq!(conditions("  ").unwrap(), []);
        assert!(order("metrics.x DOWN").is_err());
    }
}
