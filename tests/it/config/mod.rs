//! Tests of `config`: corpora, golden files, measured variants, screens of errors, resolution, hostile input.

mod corpus;
mod disk;
mod mutations;
mod runconfig;
mod screens;
mod section;
mod variants;
