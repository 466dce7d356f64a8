//! Exit codes: what a script that calls `overdrive` may rely on.
//!
//! They are part of the interface: a code keeps its meaning, new ones may be added. `docs/reference/cli.md` prints [`TABLE`].

/// Everything went well; for `run` and `resume`: the sweep ended by itself and has a best trial (or is a single run that completed).
pub const OK: u8 = 0;
/// The sweep or the run failed, was canceled, or something that was asked for could not be done.
pub const FAILED: u8 = 1;
/// The command line or a configuration file is wrong; nothing was started.
pub const USAGE: u8 = 2;
/// A sweep, trial, file or target of that name does not exist.
pub const NOT_FOUND: u8 = 3;
/// A compute target could not be reached.
pub const UNREACHABLE: u8 = 4;
/// The sweep ended, but no trial reported the primary metric.
pub const NO_METRIC: u8 = 5;
/// The terminal went away; trials run on.
pub const HUNG_UP: u8 = 129;
/// Interrupted by Ctrl-C.
pub const INTERRUPTED: u8 = 130;
/// Whoever read the output went away (`overdrive list | head -1`); quiet.
pub const CLOSED_PIPE: u8 = 141;
/// Ended by SIGTERM.
pub const TERMINATED: u8 = 143;

/// Every code with its meaning, for the reference, the help and the man pages.
pub const TABLE: &[(u8, &str)] = &[
    (OK, "success; `run`: the sweep ended and has a best trial"),
    (FAILED, "the sweep or run failed or was canceled"),
    (USAGE, "wrong usage or configuration; nothing was started"),
    (NOT_FOUND, "no such sweep, trial, file or target"),
    (UNREACHABLE, "a compute target could not be reached"),
    (NO_METRIC, "the sweep ended, no trial reported the primary metric"),
    (HUNG_UP, "the terminal went away; trials run on"),
    (INTERRUPTED, "interrupted by Ctrl-C"),
    (CLOSED_PIPE, "the reader of the output went away"),
    (TERMINATED, "ended by SIGTERM"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_ascending() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
