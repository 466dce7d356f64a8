//! Acquisition functions and their maximization over mixed spaces.
