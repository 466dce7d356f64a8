//! A Spark cluster as a compute target: PySpark scripts by `spark-submit`, from this computer or from a machine that is reached by SSH.
//!
//! Trials are attempts like any other: a runner beside the submitting program claims them, captures what they print and ends them. What
//! differs is the command: `spark-submit` with the address of the cluster. Where the script's driver does not run under `spark-submit`
//! itself (cluster mode on a standalone master or on YARN, Livy), a small program of overdrive's own stands in its place ([`app`]): it
//! submits, passes on what the driver prints, and kills it when it is told to end. See `docs/design/spark.md`.

pub mod app;
mod options;
mod probe;
mod settings;

pub use options::{DeployMode, SparkOptions, SparkProblem};
pub use settings::KIND;
