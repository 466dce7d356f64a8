//! Tests of `config`: the measured variants, the corpus, the screens of errors, hostile input.

mod corpus;
mod mutations;
mod screens;
mod section;
mod variants;
//! Readers: corpora, golden files, resolution.

mod disk;
mod runconfig;
mod sweep_job;
