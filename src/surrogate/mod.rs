//! Surrogate models: arrays in, arrays out; they know no trial, parameter or goal.
