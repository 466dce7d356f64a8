//! Rendering of store rows: tables, cards, CSV, JSON, Parquet, SVG.

pub mod diagnostic;
