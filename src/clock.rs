//! Time: the only file that asks the system what time it is.
//!
//! A sweep's `now` is the milliseconds since its creation: differences of `CLOCK_BOOTTIME` (it counts suspended time and ignores
//! a set clock) while the boot id is the same, otherwise the wall clock's difference, never going back.

use rustix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;

/// One instant on both clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Boot id of the machine; `boot_ms` of two stamps may be compared only if it is equal.
    pub boot_id: String,
    /// Milliseconds since boot, suspended time included.
    pub boot_ms: u64,
    /// Milliseconds since the epoch by the wall clock.
    pub wall_ms: i64,
}

impl Stamp {
    /// Milliseconds from `earlier` to this stamp, at least `floor`.
    pub fn since(&self, earlier: &Self, floor: u64) -> u64 {
        let elapsed = if self.boot_id == earlier.boot_id {
            self.boot_ms.saturating_sub(earlier.boot_ms)
        } else {
            u64::try_from(self.wall_ms.saturating_sub(earlier.wall_ms)).unwrap_or(0)
        };
        elapsed.max(floor)
    }
}

/// Source of time, injected so that tests can bend it.
pub trait Clock: Send + Sync {
    /// The present.
    fn stamp(&self) -> Stamp;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn stamp(&self) -> Stamp {
        let boot = clock_gettime(ClockId::Boottime);
        let wall = clock_gettime(ClockId::Realtime);
        Stamp {
            boot_id: boot_id().to_owned(),
            boot_ms: u64::try_from(milliseconds(boot.tv_sec, boot.tv_nsec)).unwrap_or(0),
            wall_ms: milliseconds(wall.tv_sec, wall.tv_nsec),
        }
    }
}

fn milliseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds
        .saturating_mul(1000)
        .saturating_add(nanoseconds / 1_000_000)
}

/// Boot id of this machine, or `unknown` where the kernel does not tell.
pub fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|text| text.trim().to_owned())
            .unwrap_or_else(|_| "unknown".into())
    })
}

/// ISO 8601 UTC with milliseconds of a wall clock in milliseconds since the epoch.
pub fn iso(wall_ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(wall_ms) {
        Ok(timestamp) => format!("{timestamp:.3}"),
        Err(_) => jiff::Timestamp::UNIX_EPOCH.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(boot_id: &str, boot_ms: u64, wall_ms: i64) -> Stamp {
        Stamp {
            boot_id: boot_id.into(),
            boot_ms,
            wall_ms,
        }
    }

    #[test]
    fn a_set_clock_moves_nothing_within_one_boot() {
        let created = stamp("a", 1000, 1_700_000_000_000);
        assert_eq!(stamp("a", 4000, 1_600_000_000_000).since(&created, 0), 3000);
        assert_eq!(stamp("a", 4000, 1_900_000_000_000).since(&created, 0), 3000);
    }

    #[test]
    fn after_a_reboot_the_wall_clock_counts_and_never_goes_back() {
        let created = stamp("a", 9_000_000, 1_700_000_000_000);
        assert_eq!(stamp("b", 10, 1_700_000_060_000).since(&created, 5000), 60_000);
        assert_eq!(stamp("b", 10, 1_600_000_000_000).since(&created, 5000), 5000);
    }

    #[test]
    fn times_are_iso_utc() {
        assert_eq!(iso(1_700_000_000_250), "2023-11-14T22:13:20.250Z");
        assert!(SystemClock.stamp().wall_ms > 1_700_000_000_000);
    }
}
