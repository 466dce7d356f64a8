//! From text to a tree: a scanner and a precedence-climbing (Pratt 1973) parser.

use super::super::{SearchSpace, Value};

/// A node with the byte at which it starts.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) at: usize,
    pub(super) node: Node,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Value),
    Parameter(usize),
    Negate(Box<Expression>),
    Not(Box<Expression>),
    Arithmetic(Arithmetic, Box<Expression>, Box<Expression>),
    /// `a < b <= c`: the first operand and the (operator, operand) pairs that follow.
    Compare(Box<Expression>, Vec<(Comparison, Expression)>),
    /// Whether an operand is one of a list, or is not.
    Member {
        item: Box<Expression>,
        list: Vec<Expression>,
        negated: bool,
    },
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Call(Function, Vec<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Min,
    Max,
    Sqrt,
    Exp,
    Log,
    Log2,
    Log10,
    Floor,
    Ceil,
    Round,
}

const FUNCTIONS: [(&str, Function); 12] = [
    ("abs", Function::Abs),
    ("min", Function::Min),
    ("max", Function::Max),
    ("sqrt", Function::Sqrt),
    ("exp", Function::Exp),
    ("log", Function::Log),
    ("ln", Function::Log),
    ("log2", Function::Log2),
    ("log10", Function::Log10),
    ("floor", Function::Floor),
    ("ceil", Function::Ceil),
    ("round", Function::Round),
];

/// Byte and reason of a mistake.
pub(super) type Mistake = (usize, String);

/// Deeper nesting than people write, shallow enough for any stack.
const MAX_DEPTH: usize = 64;

impl Expression {
    pub(super) fn parameters(&self, found: &mut Vec<usize>) {
        match &self.node {
            Node::Literal(_) => {}
            Node::Parameter(index) => found.push(*index),
            Node::Negate(a) | Node::Not(a) => a.parameters(found),
            Node::Arithmetic(_, a, b) | Node::And(a, b) | Node::Or(a, b) => {
                a.parameters(found);
                b.parameters(found);
            }
            Node::Compare(first, rest) => {
                first.parameters(found);
                rest.iter().for_each(|(_, operand)| operand.parameters(found));
            }
            Node::Member { item, list, .. } => {
                item.parameters(found);
                list.iter().for_each(|entry| entry.parameters(found));
            }
            Node::Call(_, arguments) => arguments.iter().for_each(|argument| argument.parameters(found)),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(Value),
    Text(String),
    Name(String),
    Quoted(String),
    Symbol(&'static str),
    End,
}

const SYMBOLS: [&str; 25] = [
    "**", "//", "<=", ">=", "==", "!=", "&&", "||", "+", "-", "*", "/", "%", "<", ">", "(", ")", "[", "]",
    ",", "!", "=", "&", "|", "^",
];

fn scan(text: &str) -> Result<Vec<(usize, Token)>, Mistake> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or_default();
        let taken = |accept: fn(char) -> bool| rest.find(|c| !accept(c)).unwrap_or(rest.len());
        let (token, length) = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if first.is_ascii_digit()
            || (first == '.' && rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()))
        {
            let length = number_length(rest);
            let digits = rest.get(..length).unwrap_or_default();
            let plain = digits.replace('_', "");
            let value = match (plain.parse::<i64>(), plain.parse::<f64>()) {
                (Ok(integer), _) => Value::Int(integer),
                (_, Ok(real)) if real.is_finite() => Value::Float(real),
                _ => return Err((at, format!("`{digits}` is no number"))),
            };
            (Token::Number(value), length)
        } else if matches!(first, '"' | '\'' | '`') {
            let body = rest.get(1..).unwrap_or_default();
            let Some(end) = body.find(first) else {
                return Err((at, format!("the closing {first} is missing")));
            };
            let inner = body.get(..end).unwrap_or_default().to_string();
            (
                if first == '`' {
                    Token::Quoted(inner)
                } else {
                    Token::Text(inner)
                },
                end + 2,
            )
        } else if first.is_alphabetic() || first == '_' {
            let length = taken(|c| c.is_alphanumeric() || c == '_' || c == '.');
            (
                Token::Name(rest.get(..length).unwrap_or_default().to_string()),
                length,
            )
        } else if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            (Token::Symbol(symbol), symbol.len())
        } else {
            return Err((at, format!("`{first}` has no meaning here")));
        };
        tokens.push((at, token));
        at += length;
    }
    tokens.push((text.len(), Token::End));
    Ok(tokens)
}

/// Length of the number at the start of `text`: digits, a fraction, an exponent.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut i: usize| {
        while bytes.get(i).is_some_and(|b| b.is_ascii_digit() || *b == b'_') {
            i += 1;
        }
        i
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1 + sign);
        }
    }
    end
}

pub(super) fn parse(text: &str, space: &SearchSpace) -> Result<Expression, Mistake> {
    let tokens = scan(text)?;
    let mut parser = Parser {
        tokens,
        next: 0,
        space,
        depth: 0,
    };
    if parser.peek() == &Token::End {
        return Err((0, "the constraint is empty".into()));
    }
    let root = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok(root),
        Token::Symbol("=") => Err((parser.at(), "write `==` to compare".into())),
        other => Err((
            parser.at(),
            format!("expected an operator, found {}", describe(other)),
        )),
    }
}

struct Parser<'a> {
    tokens: Vec<(usize, Token)>,
    next: usize,
    space: &'a SearchSpace,
    depth: usize,
}

/// Binding powers: `or` 1, `and` 2, `not` 3, comparisons 4, sums 5, products 6, signs 7, powers 8.
impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens
            .get(self.next)
            .or(self.tokens.last())
            .map_or(0, |(at, _)| *at)
    }

    fn take(&mut self) -> (usize, Token) {
        let token = self
            .tokens
            .get(self.next)
            .cloned()
            .unwrap_or((self.at(), Token::End));
        self.next += 1;
        token
    }

    fn accept(&mut self, words: &[&str]) -> bool {
        let found = match self.peek() {
            Token::Symbol(symbol) => words.contains(symbol),
            Token::Name(name) => words.contains(&name.as_str()),
            _ => false,
        };
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), Mistake> {
        if self.accept(&[symbol]) {
            Ok(())
        } else {
            Err((
                self.at(),
                format!("expected `{symbol}`, found {}", describe(self.peek())),
            ))
        }
    }

    fn expression(&mut self, power: u8) -> Result<Expression, Mistake> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((self.at(), "the constraint is nested too deeply".into()));
        }
        let mut left = self.prefix()?;
        loop {
            let at = left.at;
            let node = match self.peek().clone() {
                Token::Name(word) if word == "or" && power < 1 => self.binary(left, 1, Node::Or)?,
                Token::Symbol("||") if power < 1 => self.binary(left, 1, Node::Or)?,
                Token::Name(word) if word == "and" && power < 2 => self.binary(left, 2, Node::And)?,
                Token::Symbol("&&") if power < 2 => self.binary(left, 2, Node::And)?,
                Token::Name(word) if (word == "in" || word == "not") && power < 4 => self.member(left)?,
                Token::Symbol(symbol) => match (comparison(symbol), arithmetic(symbol)) {
                    (Some(_), _) if power < 4 => self.comparisons(left)?,
                    (_, Some((operator, strength))) if power < strength => {
                        // A power binds to the right: 2 ** 3 ** 2 is 2 ** 9.
                        let inner = if operator == Arithmetic::Power {
                            strength - 1
                        } else {
                            strength
                        };
                        self.binary(left, inner, |a, b| Node::Arithmetic(operator, a, b))?
                    }
                    _ => break,
                },
                _ => break,
            };
            left = Expression { at, node };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn binary(
        &mut self,
        left: Expression,
        power: u8,
        make: impl FnOnce(Box<Expression>, Box<Expression>) -> Node,
    ) -> Result<Node, Mistake> {
        self.take();
        let right = self.expression(power)?;
        Ok(make(Box::new(left), Box::new(right)))
    }

    fn comparisons(&mut self, first: Expression) -> Result<Node, Mistake> {
        let mut rest = Vec::new();
        while let Token::Symbol(symbol) = self.peek() {
            let Some(operator) = comparison(symbol) else { break };
            self.take();
            rest.push((operator, self.expression(4)?));
        }
        Ok(Node::Compare(Box::new(first), rest))
    }

    fn member(&mut self, item: Expression) -> Result<Node, Mistake> {
        let negated = self.accept(&["not"]);
        if !self.accept(&["in"]) {
            return Err((
                self.at(),
                format!("expected `in`, found {}", describe(self.peek())),
            ));
        }
        let close = if self.accept(&["["]) {
            "]"
        } else {
            self.expect("(")
                .map_err(|(at, _)| (at, "expected a list such as `[1, 2]`".to_string()))?;
            ")"
        };
        let list = self.list(close)?;
        Ok(Node::Member {
            item: Box::new(item),
            list,
            negated,
        })
    }

    /// Comma-separated expressions up to and including `close`.
    fn list(&mut self, close: &'static str) -> Result<Vec<Expression>, Mistake> {
        let mut items = Vec::new();
        while !self.accept(&[close]) {
            if !items.is_empty() {
                self.expect(",")
                    .map_err(|(at, _)| (at, format!("expected `,` or `{close}`")))?;
                if self.accept(&[close]) {
                    break;
                }
            }
            items.push(self.expression(0)?);
        }
        Ok(items)
    }

    fn prefix(&mut self) -> Result<Expression, Mistake> {
        let (at, token) = self.take();
        let node = match token {
            Token::Number(value) => Node::Literal(value),
            Token::Text(text) => Node::Literal(Value::Str(text)),
            Token::Quoted(name) => {
                Node::Parameter(self.exact(&name).ok_or_else(|| (at, self.unknown(&name)))?)
            }
            Token::Symbol("(") => {
                let inner = self.expression(0)?;
                self.expect(")")?;
                return Ok(inner);
            }
            // A sign binds weaker than a power: -2 ** 2 is -4.
            Token::Symbol("-") => Node::Negate(Box::new(self.expression(7)?)),
            Token::Symbol("+") => return self.expression(7),
            Token::Symbol("!") => Node::Not(Box::new(self.expression(7)?)),
            Token::Name(name) => self.named(at, &name)?,
            other => {
                return Err((
                    at,
                    format!("expected a value or a parameter, found {}", describe(&other)),
                ));
            }
        };
        Ok(Expression { at, node })
    }

    fn named(&mut self, at: usize, name: &str) -> Result<Node, Mistake> {
        match name {
            "not" => return Ok(Node::Not(Box::new(self.expression(3)?))),
            "true" | "True" => return Ok(Node::Literal(Value::Bool(true))),
            "false" | "False" => return Ok(Node::Literal(Value::Bool(false))),
            "null" | "None" => return Ok(Node::Literal(Value::Null)),
            _ => {}
        }
        if self.peek() == &Token::Symbol("(") {
            let Some((_, function)) = FUNCTIONS.into_iter().find(|(word, _)| *word == name) else {
                let known = FUNCTIONS.map(|(word, _)| word).join("`, `");
                return Err((at, format!("no function is called `{name}`; there are `{known}`")));
            };
            self.take();
            let arguments = self.list(")")?;
            let many = matches!(function, Function::Min | Function::Max);
            return match arguments.len() {
                0 => Err((at, format!("`{name}` needs an argument"))),
                n if n > 1 && !many => Err((at, format!("`{name}` takes one argument, found {n}"))),
                _ => Ok(Node::Call(function, arguments)),
            };
        }
        let candidates: Vec<usize> = (0..self.space.len())
            .filter(|i| {
                self.space
                    .parameters
                    .get(*i)
                    .is_some_and(|p| spoken(&p.name) == name)
            })
            .collect();
        match candidates.as_slice() {
            [one] => Ok(Node::Parameter(*one)),
            [] => self
                .exact(name)
                .map(Node::Parameter)
                .ok_or_else(|| (at, self.unknown(name))),
            _ => match self.exact(name) {
                Some(index) => Ok(Node::Parameter(index)),
                None => Err((
                    at,
                    format!(
                        "`{name}` may be any of several parameters; write the exact name between backquotes"
                    ),
                )),
            },
        }
    }

    fn exact(&self, name: &str) -> Option<usize> {
        self.space.index_of(name)
    }

    fn unknown(&self, name: &str) -> String {
        let spoken: Vec<String> = self.space.parameters.iter().map(|p| spoken(&p.name)).collect();
        let nearest = spoken
            .iter()
            .min_by_key(|other| strsim::damerau_levenshtein(other, name));
        let limit = (name.chars().count() / 3).max(1);
        match nearest.filter(|other| strsim::damerau_levenshtein(other, name) <= limit) {
            Some(other) => format!("no parameter is called `{name}`; did you mean `{other}`?"),
            None => format!(
                "no parameter is called `{name}`; text needs quotes; there are `{}`",
                spoken.join("`, `")
            ),
        }
    }
}

/// How a parameter is named in a constraint: no leading dashes, inner dashes as underscores.
fn spoken(name: &str) -> String {
    name.trim_start_matches('-').replace('-', "_")
}

fn comparison(symbol: &str) -> Option<Comparison> {
    Some(match symbol {
        "<" => Comparison::Less,
        "<=" => Comparison::LessEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterEqual,
        "==" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        _ => return None,
    })
}

fn arithmetic(symbol: &str) -> Option<(Arithmetic, u8)> {
    Some(match symbol {
        "+" => (Arithmetic::Add, 5),
        "-" => (Arithmetic::Subtract, 5),
        "*" => (Arithmetic::Multiply, 6),
        "/" => (Arithmetic::Divide, 6),
        "//" => (Arithmetic::FloorDivide, 6),
        "%" => (Arithmetic::Remainder, 6),
        "**" => (Arithmetic::Power, 8),
        _ => return None,
    })
}

fn describe(token: &Token) -> String {
    match token {
        Token::Number(value) => format!("`{value}`"),
        Token::Text(text) => format!("`\"{text}\"`"),
        Token::Name(name) | Token::Quoted(name) => format!("`{name}`"),
        Token::Symbol(symbol) => format!("`{symbol}`"),
        Token::End => "the end".into(),
    }
}
