//! NoTermination (`Default` on the wire): every trial runs to its end.

use super::{Policy, Stop};
use crate::history::TrialState;

/// Never stops anything and keeps nothing.
#[derive(Debug, Default)]
pub(super) struct NoTermination;

impl Policy for NoTermination {
    fn report(&mut self, _: u64, _: f64) {}

    fn end(&mut self, _: u64, _: TrialState) {}

    fn restart(&mut self, _: u64) {}

    fn restored(&mut self) {}

    fn stops(&mut self) -> Vec<Stop> {
        Vec::new()
    }
}
