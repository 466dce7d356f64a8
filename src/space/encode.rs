//! Encoding of assignments for the model-based samplers.
