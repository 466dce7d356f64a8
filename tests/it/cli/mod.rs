//! Tests of `cli` and `report`: help, screens at three widths, documents, plots, exports, exit codes of the real binary.

mod az_script;
mod binary;
mod plots;
mod rows;
mod screens;
mod sweeps;
