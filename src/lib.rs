//! overdrive: a hyperparameter tuning engine.
//!
//! Data flows one way: configuration -> space -> sampler -> controller -> compute target -> metrics -> policy -> store ->
//! report and studio. Without features this crate is the pure core (no clock, process, file, network or global randomness).

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
pub mod engine;
#[cfg(feature = "runtime")]
pub mod environment;
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
