//! Rendering of store rows: tables, cards, the live block, plain lines, plots, CSV, JSON, Parquet.
//!
//! Pure: rows in, text or bytes out. Nothing here reads the store, the clock or the terminal.

pub mod card;
pub mod ci;
pub mod diagnostic;
pub mod document;
pub mod eta;
pub mod explain;
pub mod export;
pub mod importance;
pub mod job;
pub mod lines;
pub mod live;
pub mod number;
pub mod overview;
pub mod plot;
pub mod record;
pub mod search;
pub mod style;
pub mod table;
pub mod text;

/// Version of every JSON document; grows when a field is removed or changes its meaning, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;
