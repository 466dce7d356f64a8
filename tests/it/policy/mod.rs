//! Tests of `policy`: the published vectors, and the incremental policies against a slow literal one.

mod calibration;
mod margins;
mod reference;
mod vectors;
