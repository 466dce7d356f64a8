//! Tests of `channel`: real scripts and real clients against the shim and the endpoint, and the parsers on files of real writers.
//!
//! What needs packages from PyPI runs when `OVERDRIVE_TEST_TIER=full`; otherwise it says on standard error that it was left out.

mod azureml;
mod mlflow_clients;
mod mlflow_protocol;
mod scan;
mod trial;
pub mod venv;
