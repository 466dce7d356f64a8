//! On recorded curves of real trainings, the share of false stops of `Predictive` is at most what was asked.

use overdrive::harness::Problem;
use overdrive::harness::problem::Files;
use overdrive::harness::replay::{Replay, random_curves};
use overdrive::metric::Goal;
use overdrive::policy::PolicySpec;
use std::path::Path;

struct Folder;

impl Files for Folder {
    fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("benches/problems")
            .join(name);
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[test]
fn false_stops_stay_below_what_was_asked() {
    let replay = Replay {
        goal: Goal::Minimize,
        slots: 4,
        orders: 3,
        top_k: 1,
        seed: 1,
    };
    for name in ["rec-digits", "rec-cancer", "rec-synth4"] {
        let problem = Problem::read(name, &Folder).unwrap();
        let curves = random_curves(&problem, 60, 0).unwrap();
        for asked in [0.01, 0.05] {
            let policy = PolicySpec::Predictive {
                false_stops: asked,
                top_k: 1,
                eager: false,
                delay_evaluation: 0,
                max_resource: None,
                freeze: false,
            };
            let outcome = replay.run(&curves, &policy).unwrap();
            assert!(outcome.false_stops <= asked, "{name}, {asked}: {outcome:?}");
            assert!(
                outcome.saved.mean > 0.3,
                "it must also save something: {name}, {asked}: {outcome:?}"
            );
        }
    }
}
