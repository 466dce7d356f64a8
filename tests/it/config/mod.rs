//! Tests of `config`: the measured variants, corpora, golden files, the screens of errors, hostile input, resolution.

mod corpus;
mod disk;
mod mutations;
mod runconfig;
mod screens;
mod section;
mod sweep_job;
mod variants;
