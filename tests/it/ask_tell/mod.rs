//! Tests of `ask_tell`.
