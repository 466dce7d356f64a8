//! overdrive: a hyperparameter tuning engine.
//!
//! Data flows one way: configuration -> space -> sampler -> controller -> compute target -> metrics -> policy -> store ->
//! report and studio. Without features this crate is the pure core (no clock, process, file, network or global randomness).
//!
//! ```
//! use overdrive::ask_tell::{Study, float, log_float};
//!
//! # fn main() -> Result<(), overdrive::ask_tell::StudyError> {
//! let space = [float("x", -5.0, 5.0), log_float("rate", 1e-5, 1.0)];
//! let mut study = Study::minimize(space).sampler("bayesian").max_trials(12).build()?;
//! while let Some(trial) = study.ask() {
//!     let loss = trial.f64("x").powi(2) + trial.f64("rate").log10().abs();
//!     study.tell(trial.number, loss)?;
//! }
//! println!("best loss {:?}", study.best().map(|best| best.value));
//! # Ok(()) }
//! ```

// The pure core.
pub mod acquisition;
pub mod ask_tell;
pub mod config;
pub mod controller;
pub mod diagnostic;
pub mod harness;
pub mod history;
pub mod metric;
pub mod policy;
pub mod sampler;
pub mod sim;
pub mod space;
pub mod surrogate;

// Everything that touches a process, a file or a socket.
#[cfg(feature = "runtime")]
pub mod channel;
#[cfg(feature = "runtime")]
pub mod clock;
#[cfg(feature = "runtime")]
pub mod container;
#[cfg(feature = "runtime")]
pub mod download;
#[cfg(feature = "runtime")]
pub mod engine;
#[cfg(feature = "runtime")]
pub mod environment;
#[cfg(feature = "runtime")]
pub mod import;
#[cfg(feature = "runtime")]
pub mod journal;
#[cfg(feature = "runtime")]
pub mod models;
#[cfg(feature = "runtime")]
pub mod process;
#[cfg(feature = "runtime")]
pub mod runner;
#[cfg(feature = "runtime")]
pub mod snapshot;
#[cfg(feature = "runtime")]
pub mod store;
#[cfg(feature = "runtime")]
pub mod target;

// The command line and what it shows.
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod studio;
