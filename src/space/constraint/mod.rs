//! Conditions between parameters, as users write them: `layers * width <= 4096`, `optimizer == "sgd" or momentum < 0.5`.
//!
//! The language is the common part of what people write in Python and YAML: numbers, quoted text, `true`/`false`/`null`, parameter
//! names, `+ - * / // % **`, chained comparisons, `in [..]`, `and or not` (also `&& || !`), parentheses, and the functions
//! `abs min max sqrt exp log log2 log10 floor ceil round`. A parameter is named without its leading dashes and with inner dashes as
//! underscores (`--learning-rate` is `learning_rate`), or exactly as declared between backquotes.
//!
//! A constraint that mentions an inactive parameter holds.

mod evaluate;
mod parse;

use super::{Assignment, SearchSpace};
use parse::Expression;

/// A compiled constraint.
#[derive(Clone, Debug)]
pub struct Constraint {
    text: String,
    root: Expression,
    parameters: Vec<usize>,
}

/// Why a constraint cannot be understood, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("constraint `{text}`, column {column}: {reason}")]
pub struct ConstraintError {
    /// The constraint as written.
    pub text: String,
    /// Where the trouble is: character, from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

impl Constraint {
    /// Parses and checks `text` against the parameters of `space`.
    ///
    /// # Errors
    /// [`ConstraintError`] for a syntax mistake, an unknown or ambiguous name, arithmetic on text, or something that is no condition.
    pub fn compile(text: &str, space: &SearchSpace) -> Result<Self, ConstraintError> {
        let failure = |(byte, reason): (usize, String)| ConstraintError {
            text: text.to_string(),
            column: text.get(..byte).unwrap_or(text).chars().count() + 1,
            reason,
        };
        let root = parse::parse(text, space).map_err(failure)?;
        evaluate::check(&root, space).map_err(failure)?;
        let mut parameters = Vec::new();
        root.parameters(&mut parameters);
        parameters.sort_unstable();
        parameters.dedup();
        Ok(Self {
            text: text.to_string(),
            root,
            parameters,
        })
    }

    /// The constraint as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Indices of the parameters it mentions, ascending.
    pub fn parameters(&self) -> &[usize] {
        &self.parameters
    }

    /// Whether the assignment is allowed.
    pub fn holds(&self, assignment: &Assignment) -> bool {
        let active = |index: &usize| assignment.values.get(*index).is_some_and(Option::is_some);
        !self.parameters.iter().all(active) || evaluate::holds(&self.root, assignment)
    }
}

#[cfg(test)]
mod tests;
