//! This computer, by the suite that every target passes.

use super::project::Place;
use super::services::full;
use super::{processes, suite};
use std::time::Duration;

fn place() -> Place {
    Place {
        attach: Vec::new(),
        shared: std::env::temp_dir(),
        user: None,
        variables: Vec::new(),
        patience: Duration::from_secs(60),
    }
}

#[test]
fn this_computer_passes_the_suite() {
    suite::all(&place());
}

#[test]
fn trials_of_several_processes_on_this_computer() {
    let place = place();
    processes::torch(&place, &["here"]);
    processes::tensorflow(&place);
    processes::one_fails(&place);
    if full("target::local with mpirun") {
        processes::mpi(&place, &["here"]);
    }
}
