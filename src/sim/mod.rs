//! Virtual time: the same controller driven by an event heap; the engine of `overdrive simulate`, of the benchmarks and of thousands of tests.
//!
//! Nothing here waits. A [`Workload`] says how long a trial would take, what it would report and how it would end; the
//! [`SimTarget`] turns launches into future facts, broken by [`Faults`] if asked; the agenda jumps from one to the next. One seed
//! is one sweep: [`scenario`] draws everything from it, checks every promise after every event, and a failure is reproduced by
//! its seed.

mod agenda;
mod checker;
mod fault;
pub mod fleet;
pub mod scenario;
mod simulate;
mod store;
mod target;
mod workload;

pub use agenda::Agenda;
pub use checker::{Checker, Violation};
pub use fault::Faults;
pub use simulate::{Found, Line, Setup, SimError, Source, simulate};
pub use store::{MemoryStore, StoreError};
pub use target::{Fact, FactKind, SimTarget};
pub use workload::{LearningCurves, Plan, RecordedCurves, RecordedTrial, Workload};

#[cfg(test)]
mod tests;
