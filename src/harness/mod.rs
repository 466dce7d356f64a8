//! The benchmark harness: problems, protocols, peers, rankings.
