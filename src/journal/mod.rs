//! The runner's journal: an append-only file of checksummed frames, one writer, any number of readers.
//!
//! Everything a trial does is told here first; the controller only follows journals. Frame layout and reading rules:
//! `docs/design/journal.md`.

pub mod entry;

pub use entry::{Channel, Entry, Exit};
