//! From users' files to an [`Experiment`]: `hdconfig.yml`, runconfigs, v2 sweep and command jobs, `overdrive.yml`.
//!
//! Readers never stop at the first mistake: they return what they could understand and all diagnostics, in file order. Dialects
//! differ in spelling only; inside there is one [`Experiment`], immutable and serialisable, stored with the sweep.

pub mod command_job;
pub mod data_map;
pub mod experiment;
pub mod expression;
pub mod files;
pub mod format;
pub mod hyperdrive;
pub mod launch;
pub(crate) mod literal;
pub mod overdrive_section;
pub mod resolve;
pub mod runconfig;
pub mod schema;
pub mod sweep_job;
pub mod template;

pub use data_map::DataMap;
pub use experiment::{
    Command, DataBinding, Dialect, EnvironmentSpec, Experiment, Launch, MetricSpec, ParameterBinding, Shape,
};
pub use files::Files;
pub use format::Format;
pub use hyperdrive::Hyperdrive;
pub use overdrive_section::Section;
pub use resolve::{EnvironmentChoice, Request, Resolved, resolve};

use crate::diagnostic::Diagnostic;

/// What a reader understood of a file.
#[derive(Clone, Debug)]
pub struct Reading<T> {
    /// The meaning; absent if an error was found.
    pub value: Option<T>,
    /// Everything there is to say, in file order.
    pub diagnostics: Vec<Diagnostic>,
}

/// [`Experiment::abort_after_initial_failures`] where no file says otherwise.
pub const ABORT_AFTER_INITIAL_FAILURES: u64 = 3;

/// Name in [`Experiment::extensions`] of how much may be frozen, a [`crate::controller::FreezeLimits`].
pub const FREEZE_LIMITS: &str = "freeze";

/// [`Experiment::max_retries`] where no file says otherwise.
pub const MAX_RETRIES: u32 = 2;
