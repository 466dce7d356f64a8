//! Running a program of the system to its end, with patience.

pub(super) use crate::process::talk::{Input, last_line, talk};
