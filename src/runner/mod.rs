//! The runner: executes one attempt of one trial on whatever machine it is started on (`overdrive runner DIR`, hidden).
//!
//! Claims the attempt, materialises the working folder, starts the command in a session of its own, captures its output, hosts
//! the metric channels, enforces limits, ends the whole process tree, and tells everything in the attempt's journal.

pub mod spec;

pub use spec::AttemptSpec;
