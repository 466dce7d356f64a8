//! MLflow's file store: a file for each metric, a line `<milliseconds> <value> <step>` for each point.

use super::{Point, Take};
use std::io::{BufRead, BufReader, Read};

/// Gives the points of metric `key`; old stores have lines without a step.
pub(super) fn read(reader: impl Read, key: &str, take: &mut Take<'_>) {
    for line in BufReader::new(reader.take(1 << 30)).lines() {
        let Ok(line) = line else { return };
        let mut words = line.split_whitespace().skip(1);
        let Some(value) = words.next().and_then(|word| word.parse().ok()) else {
            continue;
        };
        let step = words.next().and_then(|word| word.parse().ok());
        if !take(key, Point { value, step }) {
            return;
        }
    }
}
