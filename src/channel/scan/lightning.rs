//! `metrics.csv` of Lightning's CSV logger: a column for each metric, empty cells where a step has none.

use super::{Point, Take};
use std::io::Read;

/// Gives the numbers of all columns but `step` and `epoch`, row by row. A file without either is somebody's own table; then there is
/// no step.
pub(super) fn read(reader: impl Read, take: &mut Take<'_>) {
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let Ok(names) = table.headers().cloned() else {
        return;
    };
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let clock = place("step").or_else(|| place("epoch"));
    let mut row = csv::StringRecord::new();
    while table.read_record(&mut row).unwrap_or(false) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates; steps are small whole numbers, written as floats at times"
        )]
        let step = clock
            .and_then(|at| row.get(at)?.trim().parse::<f64>().ok())
            .map(|step| step as i64);
        for (name, cell) in names.iter().zip(&row) {
            if name.is_empty() || name == "step" || name == "epoch" {
                continue;
            }
            if let Ok(value) = cell.trim().parse()
                && !take(name, Point { value, step })
            {
                return;
            }
        }
    }
}
