//! Types and values of a constraint. Arithmetic is in doubles through `libm`, so that every machine decides alike.

use super::super::{Assignment, Distribution, SearchSpace, Value};
use super::parse::{Arithmetic, Comparison, Expression, Function, Mistake, Node};

/// What an operand may be, known before any draw. `Any` = a choice of several kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Flag,
    Any,
}

/// Refuses what cannot be evaluated: arithmetic on text, comparing the order of text and numbers, a number as a condition.
pub(super) fn check(root: &Expression, space: &SearchSpace) -> Result<(), Mistake> {
    match kind(root, space)? {
        Kind::Flag | Kind::Any => Ok(()),
        _ => Err((
            root.at,
            "this is a value, not a condition; compare it with something".into(),
        )),
    }
}

fn kind(expression: &Expression, space: &SearchSpace) -> Result<Kind, Mistake> {
    let number = |operand: &Expression| match kind(operand, space)? {
        Kind::Number | Kind::Any => Ok(()),
        Kind::Text => Err((operand.at, "this is text, a number is needed".to_string())),
        Kind::Flag => Err((
            operand.at,
            "this is true or false, a number is needed".to_string(),
        )),
    };
    let flag = |operand: &Expression| match kind(operand, space)? {
        Kind::Flag | Kind::Any => Ok(()),
        _ => Err((operand.at, "this is a value, a condition is needed".to_string())),
    };
    Ok(match &expression.node {
        Node::Literal(value) => value_kind(value),
        Node::Parameter(index) => parameter_kind(space, *index),
        Node::Negate(a) => {
            number(a)?;
            Kind::Number
        }
        Node::Arithmetic(_, a, b) => {
            number(a)?;
            number(b)?;
            Kind::Number
        }
        Node::Call(_, arguments) => {
            arguments.iter().try_for_each(number)?;
            Kind::Number
        }
        Node::Not(a) => {
            flag(a)?;
            Kind::Flag
        }
        Node::And(a, b) | Node::Or(a, b) => {
            flag(a)?;
            flag(b)?;
            Kind::Flag
        }
        Node::Member { item, list, .. } => {
            kind(item, space)?;
            for entry in list {
                kind(entry, space)?;
            }
            Kind::Flag
        }
        Node::Compare(first, rest) => {
            let mut left = kind(first, space)?;
            for (operator, operand) in rest {
                let right = kind(operand, space)?;
                let ordered = !matches!(operator, Comparison::Equal | Comparison::NotEqual);
                let comparable = left == right || left == Kind::Any || right == Kind::Any;
                if !comparable {
                    return Err((
                        operand.at,
                        "text and numbers are never equal and have no order".into(),
                    ));
                }
                if ordered && (left == Kind::Flag || right == Kind::Flag) {
                    return Err((operand.at, "true and false have no order".into()));
                }
                left = right;
            }
            Kind::Flag
        }
    })
}

fn value_kind(value: &Value) -> Kind {
    match value {
        Value::Int(_) | Value::Float(_) => Kind::Number,
        Value::Str(_) => Kind::Text,
        Value::Bool(_) => Kind::Flag,
        _ => Kind::Any,
    }
}

fn parameter_kind(space: &SearchSpace, index: usize) -> Kind {
    match space.parameters.get(index).map(|p| &p.distribution) {
        Some(Distribution::Choice { options, .. }) => {
            let mut kinds = options.iter().map(value_kind);
            let first = kinds.next().unwrap_or(Kind::Any);
            if kinds.all(|other| other == first) {
                first
            } else {
                Kind::Any
            }
        }
        _ => Kind::Number,
    }
}

/// A computed operand; borrowed where it is a literal.
enum Operand<'a> {
    Number(f64),
    Flag(bool),
    Value(&'a Value),
}

impl Operand<'_> {
    fn number(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Value(value) => value.as_f64().unwrap_or(f64::NAN),
            Self::Flag(_) => f64::NAN,
        }
    }

    fn truth(&self) -> bool {
        matches!(self, Self::Flag(true) | Self::Value(Value::Bool(true)))
    }

    fn equals(&self, other: &Self) -> bool {
        let flag = |operand: &Self| match operand {
            Self::Flag(flag) | Self::Value(Value::Bool(flag)) => Some(*flag),
            _ => None,
        };
        match (self, other) {
            (Self::Value(a), Self::Value(b)) if a.as_f64().is_none() => a == b,
            _ => match (flag(self), flag(other)) {
                (Some(a), Some(b)) => a == b,
                (None, None) => self.number() == other.number(),
                _ => false,
            },
        }
    }
}

/// Whether the condition is true; every parameter in it must be active.
pub(super) fn holds(root: &Expression, assignment: &Assignment) -> bool {
    evaluate(root, assignment).truth()
}

fn evaluate<'a>(expression: &'a Expression, assignment: &'a Assignment) -> Operand<'a> {
    let number = |operand: &'a Expression| evaluate(operand, assignment).number();
    let truth = |operand: &'a Expression| evaluate(operand, assignment).truth();
    match &expression.node {
        Node::Literal(value) => Operand::Value(value),
        Node::Parameter(index) => match assignment.values.get(*index).and_then(Option::as_ref) {
            Some(value) => Operand::Value(value),
            None => Operand::Number(f64::NAN),
        },
        Node::Negate(a) => Operand::Number(-number(a)),
        Node::Not(a) => Operand::Flag(!truth(a)),
        Node::And(a, b) => Operand::Flag(truth(a) && truth(b)),
        Node::Or(a, b) => Operand::Flag(truth(a) || truth(b)),
        Node::Arithmetic(operator, a, b) => Operand::Number(arithmetic(*operator, number(a), number(b))),
        Node::Member { item, list, negated } => {
            let item = evaluate(item, assignment);
            Operand::Flag(list.iter().any(|entry| item.equals(&evaluate(entry, assignment))) != *negated)
        }
        Node::Compare(first, rest) => {
            let mut left = evaluate(first, assignment);
            for (operator, operand) in rest {
                let right = evaluate(operand, assignment);
                if !compare(*operator, &left, &right) {
                    return Operand::Flag(false);
                }
                left = right;
            }
            Operand::Flag(true)
        }
        Node::Call(function, arguments) => Operand::Number(call(*function, arguments.iter().map(number))),
    }
}

fn compare(operator: Comparison, left: &Operand<'_>, right: &Operand<'_>) -> bool {
    let order = match (left, right) {
        (Operand::Value(Value::Str(a)), Operand::Value(Value::Str(b))) => Some(a.cmp(b)),
        _ => left.number().partial_cmp(&right.number()),
    };
    match operator {
        Comparison::Equal => left.equals(right),
        Comparison::NotEqual => !left.equals(right),
        Comparison::Less => order.is_some_and(|o| o.is_lt()),
        Comparison::LessEqual => order.is_some_and(|o| o.is_le()),
        Comparison::Greater => order.is_some_and(|o| o.is_gt()),
        Comparison::GreaterEqual => order.is_some_and(|o| o.is_ge()),
    }
}

fn arithmetic(operator: Arithmetic, a: f64, b: f64) -> f64 {
    match operator {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
        Arithmetic::FloorDivide => (a / b).floor(),
        // Python's sign rule: the result has the sign of the divisor.
        Arithmetic::Remainder => a - (a / b).floor() * b,
        Arithmetic::Power => libm::pow(a, b),
    }
}

fn call(function: Function, mut arguments: impl Iterator<Item = f64>) -> f64 {
    let first = arguments.next().unwrap_or(f64::NAN);
    match function {
        Function::Abs => first.abs(),
        Function::Min => arguments.fold(first, f64::min),
        Function::Max => arguments.fold(first, f64::max),
        Function::Sqrt => first.sqrt(),
        Function::Exp => libm::exp(first),
        Function::Log => libm::log(first),
        Function::Log2 => libm::log2(first),
        Function::Log10 => libm::log10(first),
        Function::Floor => first.floor(),
        Function::Ceil => first.ceil(),
        Function::Round => first.round_ties_even(),
    }
}
