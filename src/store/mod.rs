//! The store: one SQLite file per project folder, the truth about all sweeps.
//!
//! One writing connection (the engine's), many readers (`list`, `show`, studio). Rows below are also the JSON of the CLI and the
//! API: one shape everywhere.

pub mod row;

pub use row::{AttemptRow, EventRow, MetricPoint, SweepRow, TrialRow};
