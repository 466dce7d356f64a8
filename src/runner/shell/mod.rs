//! The runner for machines on which this program cannot run: a POSIX shell script that executes one attempt, the order that it gets,
//! and how what it tells becomes the journal that every other runner writes. See `docs/design/shell-runner.md`.

mod account;
mod order;
mod retelling;
#[cfg(test)]
mod tests;

pub use account::{Account, Fact};
pub use order::order;
pub use retelling::Retelling;

/// The script.
pub const SCRIPT: &str = include_str!("runner.sh");
