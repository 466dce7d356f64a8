//! Tests of `policy`: the published vectors, and the incremental policies against a slow literal one.

mod reference;
mod vectors;
