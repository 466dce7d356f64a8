//! Acquisition functions and their maximization over mixed spaces.

pub mod expected_improvement;
pub mod maximize;

pub use expected_improvement::log_expected_improvement;
pub use maximize::{Candidate, Score, Search, Stage};
