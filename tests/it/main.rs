//! The one integration-test binary: a folder per room.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::type_complexity
)]
#![allow(missing_docs, unreachable_pub)]

mod ask_tell;
mod channel;
mod cli;
mod config;
mod contract;
mod controller;
mod engine;
mod house;
mod policy;
mod runner;
mod store;
mod studio;
mod surrogate;
mod target;
