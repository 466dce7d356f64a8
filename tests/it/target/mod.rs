//! Tests of `target`: one suite for every kind of target, through the real binary and against the real engine.
//!
//! Engines are started by `tests/services/`; they need root and Debian packages, and run when `OVERDRIVE_TEST_TIER=full`. Otherwise
//! what was left out is said on standard error.

mod agent;
mod batch;
mod docker;
mod freeze;
mod hosts;
mod keyring;
mod kubernetes;
mod local;
mod processes;
mod project;
mod ray;
mod services;
mod several;
mod shell;
mod slurm;
mod spark;
mod ssh;
mod suite;
