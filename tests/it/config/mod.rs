//! Tests of `config`: the measured variants, corpora, golden files, the screens of errors, hostile input, resolution.
//! Tests of `config`: corpora, golden files, measured variants, screens of errors, resolution, hostile input.
//! Tests of the readers: measured variants, corpora, golden files, resolution, screens of errors, hostile input.

mod corpus;
mod disk;
mod hostile;
mod mutations;
mod resolve;
mod runconfig;
mod schema;
mod screens;
mod section;
mod sweep_job;
mod variants;
