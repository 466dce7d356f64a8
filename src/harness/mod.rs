//! The benchmark harness: problems, protocols, optimizers, rankings. The engine of `overdrive bench`.
//!
//! Pure: problems are made from bytes that the caller read ([`problem::Files`]), training takes virtual time, and an optimizer is
//! anything that answers JSON lines ([`protocol::Agent`]): ours in process, any other program through a pipe that the CLI holds.
//! Values are always minimized.

pub mod comparison;
pub mod network;
pub mod problem;
pub mod protocol;
pub mod ranking;
pub mod replay;
pub mod synthetic;

pub use problem::{Configuration, Problem, ProblemError};
pub use protocol::{Agent, Checkpoint, Protocol};
