//! Boot clock of the runner: goes on while the machine sleeps, never jumps.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since boot, suspended time included.
pub(super) fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}
