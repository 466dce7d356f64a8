//! Nodes on which nothing begins: left out of new jobs for a while.
//!
//! Slurm itself takes nodes away that do not answer. A node that answers and on which every job fails at once (a file system that is
//! not mounted, a full disk) would swallow trial after trial, since it is always the first to be idle.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Jobs in a row that did not begin on a node until it is left out.
const FAULTS: u32 = 2;

/// For how long.
const LEFT_OUT: Duration = Duration::from_secs(1800);

/// What is known of the nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Bench {
    nodes: BTreeMap<String, Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    faults: u32,
    until: Option<Instant>,
}

impl Bench {
    /// A job on a node came to something: its runner began, or it never did. True if the node is left out from now on.
    pub(super) fn saw(&mut self, node: &str, began: bool, now: Instant) -> bool {
        // Of several it cannot be told which one it was.
        if node.is_empty() || node.contains([',', '[', '(']) {
            return false;
        }
        if began {
            self.nodes.remove(node);
            return false;
        }
        let known = self.nodes.entry(node.to_owned()).or_default();
        known.faults += 1;
        if known.faults < FAULTS || known.until.is_some_and(|until| until > now) {
            return false;
        }
        known.until = Some(now + LEFT_OUT);
        true
    }

    /// Nodes that are left out now.
    pub(super) fn left_out(&self, now: Instant) -> Vec<String> {
        let out = |node: &Node| node.until.is_some_and(|until| until > now);
        let nodes = self.nodes.iter().filter(|(_, node)| out(node));
        nodes.map(|(name, _)| name.clone()).collect()
    }

    /// Too few nodes are left: all may be used again.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_swallows_jobs_is_left_out_until_it_works() {
        let (mut bench, now) = (Bench::default(), Instant::now());
        assert!(!bench.saw("n1", false, now));
        bench.saw("n1", true, now);
        assert!(!bench.saw("n1", false, now), "only in a row");
        assert!(bench.saw("n1", false, now));
        assert!(!bench.saw("n1", false, now), "told once");
        assert!(!bench.saw("n[2-3]", false, now) && !bench.saw("", false, now));
        assert_eq!(bench.left_out(now), ["n1"]);
        assert_eq!(bench.left_out(now + LEFT_OUT), [""; 0]);
        bench.clear();
        assert_eq!(bench.left_out(now), [""; 0]);
    }
}
