//! Tests of `cli` and `report`: help, screens at three widths, documents, plots, exports, exit codes of the real binary.

mod az_script;
mod binary;
mod channels;
mod choices;
mod deliver;
mod disk;
mod faults;
mod import;
mod inherit;
mod inputs;
mod jobs;
mod kills;
mod plots;
mod project;
mod rows;
mod screens;
mod signals;
mod stop_when;
mod sweeps;
mod terminal;
mod upward;
