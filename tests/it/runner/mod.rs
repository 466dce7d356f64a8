//! Tests of `runner`: real processes under the real binary.

mod attempt;
mod end;
mod freeze;
mod metrics;
mod output;
mod tree;
