//! Readers: corpora, golden files, resolution.

mod disk;
mod runconfig;
mod sweep_job;
