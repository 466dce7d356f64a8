//! `kill -9` of the controller at random instants: nothing lost, nothing twice, the same suggestions.

use super::child::controller;
use super::{Project, until};
use overdrive::controller::SweepState;
use overdrive::store::{Store, TrialQuery};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::BTreeMap;
use std::time::Duration;

/// Reports five numbers and writes the same ones to a file of its own, named by trial and process.
const SCRIPT: &str = r#"
log="$SEEN/${AZUREML_RUN_ID##*_}-$$"
: > "$log"
for i in 1 2 3 4 5; do
  echo "score=$i.$$"
  echo "$i.$$" >> "$log"
  sleep 0.0$((RANDOM % 8 + 1))
done
"#;

#[test]
fn fifty_kills_of_the_controller_cost_nothing() {
    let seed = std::env::var("OVERDRIVE_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_231);
    println!("OVERDRIVE_TEST_SEED={seed}");
    kills(40, 50, seed);
}

fn kills(trials: u64, wanted: u32, seed: u64) {
    let project = Project::new(SCRIPT);
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut killed = 0;
    let mut lives = 0;
    loop {
        let mut child = controller(&project, trials, 2);
        lives += 1;
        assert!(lives < 400, "does not converge");
        // Early, late and in between; the sweep takes a few seconds in all.
        std::thread::sleep(Duration::from_millis(rng.random_range(5..140)));
        if killed < wanted && child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            continue;
        }
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        break;
    }
    println!("{killed} kills in {lives} lives");
    assert!(
        killed >= wanted.min(20),
        "only {killed} kills fitted into the sweep"
    );

    let store = Store::open_read_only(&project.state()).unwrap();
    let row = store.sweep("HD_child").unwrap();
    assert_eq!(row.state, SweepState::Completed, "{row:?}");
    assert_eq!(row.trials.get("Completed"), Some(&trials), "{row:?}");

    // Each script ran once, and each number that it wrote is there once, in order.
    let mut seen: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (name, lines) in project.seen_lines() {
        let trial: u64 = name.split('-').next().unwrap().parse().unwrap();
        let values = lines.iter().map(|line| line.parse().unwrap()).collect();
        assert!(
            seen.insert(trial, values).is_none(),
            "trial {trial} was executed twice"
        );
    }
    assert_eq!(seen.len() as u64, trials);
    for (trial, values) in &seen {
        let stored: Vec<f64> = store
            .curve("HD_child", *trial, "score", None)
            .unwrap()
            .iter()
            .map(|point| point.value)
            .collect();
        assert_eq!(stored, *values, "trial {trial}");
        assert_eq!(
            store.trial("HD_child", *trial).unwrap().reports,
            values.len() as u64
        );
    }
    let best = seen.values().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(row.best.unwrap().value, best);
    assert!(
        store
            .attempts("HD_child", None)
            .unwrap()
            .iter()
            .all(|attempt| attempt.attempt == 0)
    );

    // The suggestions are those of a sweep that nobody disturbed.
    let quiet = Project::new("echo score=1\n");
    quiet.run("HD_quiet", &quiet.experiment(trials, 2)).unwrap();
    let parameters = |store: &Store, id: &str| -> Vec<_> {
        store
            .trials(id, &TrialQuery::default())
            .unwrap()
            .into_iter()
            .map(|trial| trial.parameters)
            .collect()
    };
    assert_eq!(
        parameters(&store, "HD_child"),
        parameters(&quiet.store(), "HD_quiet")
    );
}

#[test]
fn a_sweep_whose_controller_died_goes_on_and_a_second_controller_is_refused() {
    let project = Project::new("echo score=1\nsleep 1.5\necho score=2\n");
    let mut first = controller(&project, 2, 2);
    until("both run", || {
        Store::open_read_only(&project.state())
            .ok()
            .and_then(|store| store.sweep("HD_child").ok())
            .is_some_and(|row| row.trials.get("Running") == Some(&2))
    });
    let second = controller(&project, 2, 2).wait_with_output().unwrap();
    assert!(!second.status.success());
    let complaint = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        complaint.contains(&format!("led by process {}", first.id())),
        "{complaint}"
    );
    first.kill().unwrap();
    first.wait().unwrap();
    let third = controller(&project, 2, 2).wait_with_output().unwrap();
    assert!(
        third.status.success(),
        "{}",
        String::from_utf8_lossy(&third.stderr)
    );
    let store = project.store();
    for trial in 0..2 {
        let values: Vec<f64> = store
            .curve("HD_child", trial, "score", None)
            .unwrap()
            .iter()
            .map(|point| point.value)
            .collect();
        assert_eq!(values, [1.0, 2.0]);
        assert_eq!(store.trial("HD_child", trial).unwrap().attempts, 1);
    }
}
