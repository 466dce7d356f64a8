//! Snapshots of the source folder: content-addressed, made once per sweep.
