//! Tests of `ask_tell`: the library and the JSON-lines protocol.

mod protocol;
mod study;
