//! From users' files to an [`Experiment`]: `hdconfig.yml`, runconfigs, v2 sweep and command jobs, `overdrive.yml`.
//!
//! Readers never stop at the first mistake: they return what they could understand and all diagnostics, in file order. Dialects
//! differ in spelling only; inside there is one [`Experiment`], immutable and serialisable, stored with the sweep.

pub mod data_map;
pub mod experiment;
pub mod files;
pub mod launch;
pub mod runconfig;

pub use data_map::DataMap;
pub use experiment::{
    Command, DataBinding, Dialect, EnvironmentSpec, Experiment, Launch, MetricSpec, ParameterBinding, Shape,
};
pub use files::Files;
