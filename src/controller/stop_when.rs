//! `stop_when`: the condition that ends a sweep before its limits do.
//!
//! A disjunction of conjunctions of comparisons, `best > 0.98 or no_improvement >= 20 and minutes > 30`; `and` binds tighter than
//! `or`, brackets group. Evaluated over numbers that are on record or follow from the next proposal, so that a resumed controller
//! decides as an undisturbed one.

use std::fmt;

/// What a condition can ask for, with what it means.
pub const TERMS: [(&str, &str); 8] = [
    ("best", "best value of the primary metric so far"),
    (
        "no_improvement",
        "trials that completed or were stopped since the best value came",
    ),
    ("trials", "trials that have ended"),
    ("minutes", "minutes since the sweep was created"),
    (
        "cost",
        "what the attempts that have ended cost, in the unit of the targets' `cost_per_hour`",
    ),
    (
        "expected_gain",
        "improvement of the best value that the sampler expects of the next trial, in units of the primary metric",
    ),
    (
        "expected_gain_per_hour",
        "the same times the trials that have ended per hour so far: what the next hour of the sweep is worth",
    ),
    (
        "expected_gain_per_cost",
        "the same times the trials that have ended per unit of cost so far: what the next unit of money is worth",
    ),
];

/// Deepest nesting of brackets.
const DEPTH: usize = 32;

/// What a condition is evaluated over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Best value of the primary metric; no comparison with it holds before there is one.
    pub best: Option<f64>,
    /// Trials that completed or were stopped since the best value came.
    pub no_improvement: u64,
    /// Trials that have ended.
    pub trials: u64,
    /// Milliseconds since the sweep was created.
    pub elapsed_ms: u64,
    /// What the attempts that have ended cost; no comparison with it holds where no target has a price.
    pub cost: Option<f64>,
    /// What the sampler expects of the trial that is about to be started; no comparison with it holds at another time, or where the
    /// sampler expects nothing.
    pub expected_gain: Option<f64>,
}

/// A condition that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct StopWhen {
    root: Node,
}

/// Where and why a condition is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {column}: {reason}")]
pub struct StopWhenError {
    /// Place in the text, in characters from 1.
    pub column: usize,
    /// Length of what is wrong there, in characters.
    pub length: usize,
    /// What is wrong, in words.
    pub reason: String,
    /// The word that is no term, if that is what is wrong.
    pub unknown: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Compare {
        term: Term,
        comparison: Comparison,
        limit: f64,
    },
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    Best,
    NoImprovement,
    Trials,
    Minutes,
    Cost,
    ExpectedGain,
    ExpectedGainPerHour,
    ExpectedGainPerCost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Term {
    fn called(word: &str) -> Option<Self> {
        let all = [
            Self::Best,
            Self::NoImprovement,
            Self::Trials,
            Self::Minutes,
            Self::Cost,
            Self::ExpectedGain,
            Self::ExpectedGainPerHour,
            Self::ExpectedGainPerCost,
        ];
        all.into_iter().find(|term| term.name() == word)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::NoImprovement => "no_improvement",
            Self::Trials => "trials",
            Self::Minutes => "minutes",
            Self::Cost => "cost",
            Self::ExpectedGain => "expected_gain",
            Self::ExpectedGainPerHour => "expected_gain_per_hour",
            Self::ExpectedGainPerCost => "expected_gain_per_cost",
        }
    }

    fn is_gain(self) -> bool {
        matches!(
            self,
            Self::ExpectedGain | Self::ExpectedGainPerHour | Self::ExpectedGainPerCost
        )
    }

    fn of(self, standing: &Standing) -> Option<f64> {
        match self {
            Self::Best => standing.best,
            Self::NoImprovement => Some(standing.no_improvement as f64),
            Self::Trials => Some(standing.trials as f64),
            Self::Minutes => Some(standing.elapsed_ms as f64 / 60_000.0),
            Self::Cost => standing.cost,
            Self::ExpectedGain => standing.expected_gain,
            Self::ExpectedGainPerHour => {
                // Before the first trial has ended, nothing is known of how many an hour holds.
                let hours = standing.elapsed_ms as f64 / 3_600_000.0;
                let pace = (standing.trials > 0 && hours > 0.0).then(|| standing.trials as f64 / hours)?;
                Some(standing.expected_gain? * pace)
            }
            Self::ExpectedGainPerCost => {
                // Nor what a trial costs; where nothing was paid for, there is nothing to save.
                let cost = standing.cost.filter(|cost| standing.trials > 0 && *cost > 0.0)?;
                Some(standing.expected_gain? * standing.trials as f64 / cost)
            }
        }
    }
}

impl Comparison {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterEqual => left >= right,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }
}

impl StopWhen {
    /// Understands a condition.
    ///
    /// # Errors
    /// [`StopWhenError`] at the first thing that is not understood.
    pub fn parse(text: &str) -> Result<Self, StopWhenError> {
        let mut parser = Parser {
            tokens: scan(text)?,
            next: 0,
            end: text.chars().count() + 1,
        };
        let root = parser.either(0)?;
        match parser.peek() {
            None => Ok(Self { root }),
            Some(token) => Err(token.wrong("expected `and`, `or` or the end")),
        }
    }

    /// The comparisons that hold with their operands, if the condition as a whole does: `best 0.9812 > 0.98`.
    pub fn met(&self, standing: &Standing) -> Option<String> {
        let mut held = Vec::new();
        self.root.met(standing, &mut held).then(|| held.join(", "))
    }

    /// Whether the condition asks what the sampler expects.
    pub fn asks_for_gain(&self) -> bool {
        self.root.asks_for_gain()
    }

    /// The first time after `now_ms` at which a comparison with `minutes` may begin to hold, in milliseconds since creation.
    pub fn next_time(&self, now_ms: u64) -> Option<u64> {
        let mut next = None;
        self.root.times(&mut |time| {
            if time > now_ms {
                next = Some(next.map_or(time, |earlier: u64| earlier.min(time)));
            }
        });
        next
    }
}

impl Node {
    fn met(&self, standing: &Standing, held: &mut Vec<String>) -> bool {
        match self {
            Self::Compare {
                term,
                comparison,
                limit,
            } => {
                let Some(value) = term.of(standing) else {
                    return false;
                };
                let holds = comparison.holds(value, *limit);
                if holds {
                    let sign = comparison.sign();
                    held.push(match term {
                        Term::Minutes => format!("minutes {value:.1} {sign} {limit}"),
                        Term::Cost => format!("cost {value:.2} {sign} {limit}"),
                        term if term.is_gain() => {
                            format!("{} {value:.3e} {sign} {limit}", term.name())
                        }
                        _ => format!("{} {value} {sign} {limit}", term.name()),
                    });
                }
                holds
            }
            Self::And(left, right) => {
                let before = held.len();
                let both = left.met(standing, held) && right.met(standing, held);
                if !both {
                    held.truncate(before);
                }
                both
            }
            Self::Or(left, right) => left.met(standing, held) || right.met(standing, held),
        }
    }

    fn asks_for_gain(&self) -> bool {
        match self {
            Self::Compare { term, .. } => term.is_gain(),
            Self::And(left, right) | Self::Or(left, right) => left.asks_for_gain() || right.asks_for_gain(),
        }
    }

    fn times(&self, visit: &mut dyn FnMut(u64)) {
        match self {
            Self::Compare {
                term: Term::Minutes,
                comparison: Comparison::Greater | Comparison::GreaterEqual,
                limit,
            } => visit((limit * 60_000.0).max(0.0) as u64 + 1),
            Self::Compare { .. } => {}
            Self::And(left, right) | Self::Or(left, right) => {
                left.times(visit);
                right.times(visit);
            }
        }
    }
}

impl fmt::Display for StopWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn write(node: &Node, inside_and: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match node {
                Node::Compare {
                    term,
                    comparison,
                    limit,
                } => write!(f, "{} {} {limit}", term.name(), comparison.sign()),
                Node::And(left, right) => {
                    write(left, true, f)?;
                    f.write_str(" and ")?;
                    write(right, true, f)
                }
                Node::Or(left, right) => {
                    f.write_str(if inside_and { "(" } else { "" })?;
                    write(left, false, f)?;
                    f.write_str(" or ")?;
                    write(right, false, f)?;
                    f.write_str(if inside_and { ")" } else { "" })
                }
            }
        }
        write(&self.root, false, f)
    }
}

#[derive(Clone, Debug)]
struct Token {
    column: usize,
    text: String,
}

impl Token {
    fn wrong(&self, reason: impl Into<String>) -> StopWhenError {
        StopWhenError {
            column: self.column,
            length: self.text.chars().count(),
            reason: reason.into(),
            unknown: None,
        }
    }
}

fn scan(text: &str) -> Result<Vec<Token>, StopWhenError> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().enumerate().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter.is_whitespace() {
            continue;
        }
        let mut token = Token {
            column: at + 1,
            text: letter.to_string(),
        };
        let mut previous = letter;
        let more: fn(char, char) -> bool = match letter {
            '<' | '>' => |_, next| next == '=',
            '(' | ')' => |_, _| false,
            letter if letter.is_alphabetic() || letter == '_' => {
                |_, next| next.is_alphanumeric() || next == '_'
            }
            letter if letter.is_ascii_digit() || "+-.".contains(letter) => |previous, next| {
                next.is_alphanumeric() || next == '.' || ("+-".contains(next) && "eE".contains(previous))
            },
            _ => return Err(token.wrong("this sign means nothing here")),
        };
        while let Some((_, next)) = letters.next_if(|(_, next)| more(previous, *next)) {
            token.text.push(next);
            previous = next;
            if "<>".contains(letter) {
                break;
            }
        }
        tokens.push(token);
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn is(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.text == word)
    }

    fn take(&mut self, wanted: &str) -> Result<Token, StopWhenError> {
        let token = self.peek().cloned().ok_or_else(|| StopWhenError {
            column: self.end,
            length: 1,
            reason: format!("{wanted} is missing"),
            unknown: None,
        })?;
        self.next += 1;
        Ok(token)
    }

    fn either(&mut self, depth: usize) -> Result<Node, StopWhenError> {
        let mut node = self.both(depth)?;
        while self.is("or") {
            self.next += 1;
            node = Node::Or(Box::new(node), Box::new(self.both(depth)?));
        }
        Ok(node)
    }

    fn both(&mut self, depth: usize) -> Result<Node, StopWhenError> {
        let mut node = self.one(depth)?;
        while self.is("and") {
            self.next += 1;
            node = Node::And(Box::new(node), Box::new(self.one(depth)?));
        }
        Ok(node)
    }

    fn one(&mut self, depth: usize) -> Result<Node, StopWhenError> {
        let token = self.take("a comparison such as `best > 0.9`")?;
        if token.text == "(" {
            if depth >= DEPTH {
                return Err(token.wrong("too many brackets inside each other"));
            }
            let node = self.either(depth + 1)?;
            let close = self.take("`)`")?;
            return if close.text == ")" {
                Ok(node)
            } else {
                Err(close.wrong("expected `)`"))
            };
        }
        let term = Term::called(&token.text).ok_or_else(|| StopWhenError {
            unknown: Some(token.text.clone()),
            ..token.wrong(format!("`{}` is not known", token.text))
        })?;
        let sign = self.take("one of `<`, `<=`, `>`, `>=`")?;
        let comparison = match sign.text.as_str() {
            "<" => Comparison::Less,
            "<=" => Comparison::LessEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterEqual,
            _ => return Err(sign.wrong("expected one of `<`, `<=`, `>`, `>=`")),
        };
        let number = self.take("a number")?;
        let limit = number
            .text
            .parse::<f64>()
            .ok()
            .filter(|limit| limit.is_finite())
            .ok_or_else(|| number.wrong("expected a number"))?;
        Ok(Node::Compare {
            term,
            comparison,
            limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDING: Standing = Standing {
        best: Some(0.97),
        no_improvement: 4,
        trials: 9,
        elapsed_ms: 90_000,
        cost: None,
        expected_gain: None,
    };

    fn met(text: &str) -> Option<String> {
        StopWhen::parse(text).unwrap().met(&STANDING)
    }

    #[test]
    fn comparisons_hold_with_their_operands() {
        assert_eq!(met("best > 0.95").as_deref(), Some("best 0.97 > 0.95"));
        assert_eq!(met("best < 0.95"), None);
        assert_eq!(met("best >= .97").as_deref(), Some("best 0.97 >= 0.97"));
        assert_eq!(met("no_improvement>=4").as_deref(), Some("no_improvement 4 >= 4"));
        assert_eq!(met("no_improvement > 4"), None);
        assert_eq!(met("trials >= 1e1"), None);
        assert_eq!(met("minutes > 1").as_deref(), Some("minutes 1.5 > 1"));
        let before = Standing {
            best: None,
            ..STANDING
        };
        for text in ["best > -1e300", "best < 1e300"] {
            assert_eq!(StopWhen::parse(text).unwrap().met(&before), None);
        }
        assert_eq!(
            StopWhen::parse("best < -1.5e-3").unwrap().to_string(),
            "best < -0.0015"
        );
    }

    #[test]
    fn the_gain_is_asked_for_only_when_there_is_one() {
        let condition = StopWhen::parse("expected_gain < 0.001 and trials > 5").unwrap();
        assert!(condition.asks_for_gain() && !StopWhen::parse("best > 1").unwrap().asks_for_gain());
        assert_eq!(condition.met(&STANDING), None);
        let with = |gain| Standing {
            expected_gain: Some(gain),
            ..STANDING
        };
        assert_eq!(condition.met(&with(0.01)), None);
        assert_eq!(
            condition.met(&with(0.0002)).as_deref(),
            Some("expected_gain 2.000e-4 < 0.001, trials 9 > 5")
        );
        // Nine trials in 90 seconds are 360 an hour.
        let hourly = StopWhen::parse("expected_gain_per_hour < 0.1").unwrap();
        assert!(hourly.asks_for_gain());
        assert_eq!(
            hourly.met(&with(0.0002)).as_deref(),
            Some("expected_gain_per_hour 7.200e-2 < 0.1")
        );
        assert_eq!(hourly.met(&with(0.001)), None);
        let at_once = Standing {
            trials: 0,
            ..with(0.0)
        };
        assert_eq!(hourly.met(&at_once), None, "no pace is known yet");
    }

    #[test]
    fn money_counts_where_targets_have_a_price() {
        let with = |cost| Standing {
            cost,
            expected_gain: Some(0.001),
            ..STANDING
        };
        let met = |text: &str, cost| StopWhen::parse(text).unwrap().met(&with(cost));
        assert_eq!(met("cost >= 4.5", Some(4.5)).as_deref(), Some("cost 4.50 >= 4.5"));
        assert_eq!(met("cost < 1e9", None), None, "no target has a price");
        // Nine trials for 4.5: two for 1.
        let text = "expected_gain_per_cost < 0.003";
        assert!(StopWhen::parse(text).unwrap().asks_for_gain());
        assert_eq!(
            met(text, Some(4.5)).as_deref(),
            Some("expected_gain_per_cost 2.000e-3 < 0.003")
        );
        assert_eq!(met(text, Some(1.5)), None);
        assert_eq!(met(text, None), None);
        assert_eq!(met(text, Some(0.0)), None, "what is free is worth its price");
        let at_once = Standing {
            trials: 0,
            ..with(Some(4.5))
        };
        assert_eq!(StopWhen::parse(text).unwrap().met(&at_once), None);
    }

    #[test]
    fn and_binds_tighter_than_or() {
        let text = "best > 0.95 or no_improvement >= 9 and minutes > 9";
        assert_eq!(met(text).as_deref(), Some("best 0.97 > 0.95"));
        assert_eq!(met("(best > 0.95 or no_improvement >= 9) and minutes > 9"), None);
        assert_eq!(
            met("trials > 100 and best > 0.95 or trials > 5 and best > 0.5").as_deref(),
            Some("trials 9 > 5, best 0.97 > 0.5")
        );
        for text in [text, "(best > 1 or trials > 2) and minutes > 9"] {
            assert_eq!(StopWhen::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn times_are_told_once_they_are_ahead() {
        let condition = StopWhen::parse("minutes > 2 and best > 1 or minutes >= 1 or minutes < 5").unwrap();
        assert_eq!(condition.next_time(0), Some(60_001));
        assert_eq!(condition.next_time(60_001), Some(120_001));
        assert_eq!(condition.next_time(120_001), None);
    }

    #[test]
    fn mistakes_have_their_place() {
        for (text, column, part) in [
            ("", 1, "missing"),
            ("best", 5, "missing"),
            ("best >", 7, "missing"),
            ("best > x", 8, "expected a number"),
            ("best > nan", 8, "expected a number"),
            ("best = 1", 6, "means nothing"),
            ("best > 1 minutes > 2", 10, "expected `and`"),
            ("expected_loss < 0.1", 1, "`expected_loss` is not known"),
            ("(best > 1", 10, "`)` is missing"),
            ("best > 1 or or", 13, "`or` is not known"),
            ("best >> 1", 7, "expected a number"),
        ] {
            let error = StopWhen::parse(text).unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.reason.contains(part), "{text}: {error}");
        }
        assert!(StopWhen::parse(&"(".repeat(10_000)).is_err());
    }
}
