//! `kill -9` of the command at random instants, started again each time with `run FILE --resume` as cron would.

use super::project::{LOGGING, Project, Sweep, json, signal, text, until};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::Value;
use std::time::Duration;

const RUN: [&str; 7] = [
    "run",
    "hdconfig.yml",
    "--resume",
    "--seed",
    "7",
    "--progress",
    "none",
];

fn seed() -> u64 {
    let seed = std::env::var("OVERDRIVE_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(4_711);
    println!("OVERDRIVE_TEST_SEED={seed}");
    seed
}

/// Starts and kills the command up to `wanted` times while one of its `total` scripts has not started, then lets it end: a
/// command that is killed between the end of its sweep and its own has nothing left to continue, and the next would be a new sweep.
fn kill_again_and_again(project: &Project, total: u64, wanted: u32, longest_ms: u64, rng: &mut Pcg64) -> u32 {
    let mut killed = 0;
    for _ in 0..400 {
        let mut child = project.start(&RUN);
        std::thread::sleep(Duration::from_millis(rng.random_range(5..longest_ms)));
        if killed < wanted && project.scripts_started() < total && child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            continue;
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        return killed;
    }
    panic!("does not converge");
}

fn parameters(trials: &[Value]) -> Vec<&Value> {
    trials.iter().map(|trial| &trial["parameters"]).collect()
}

/// All that must be true after any number of kills.
fn nothing_was_lost(project: &Project, total: u64) {
    let listed = project.json(&["list", "--json"]);
    assert_eq!(
        listed["items"].as_array().unwrap().len(),
        1,
        "one sweep, however often it was killed"
    );
    let trials = project.trials();
    assert_eq!(trials.len() as u64, total);
    for trial in &trials {
        assert_eq!(trial["state"], "Completed", "{trial}");
        assert_eq!(trial["attempts"], 1, "{trial}");
    }
    let seen = project.lines_seen();
    let numbers: Vec<u64> = seen.iter().map(|(trial, _)| *trial).collect();
    assert_eq!(
        numbers,
        (0..total).collect::<Vec<_>>(),
        "each script ran exactly once"
    );
    assert_eq!(
        seen,
        project.lines_kept(total),
        "each number is there once, in order"
    );
    let best = seen
        .iter()
        .flat_map(|(_, values)| values)
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(listed["items"][0]["best"]["value"], best);
}

fn fifty_kills(sampler: &'static str) {
    let total = 40;
    let sweep = Sweep {
        sampler,
        total,
        ..Sweep::default()
    };
    let project = Project::new(LOGGING, &sweep);
    let mut rng = Pcg64::seed_from_u64(seed());
    let killed = kill_again_and_again(&project, total, 50, 160, &mut rng);
    println!("{killed} kills");
    assert!(killed >= 20, "only {killed} kills fitted into the sweep");
    nothing_was_lost(&project, total);

    let quiet = Project::new("echo score=1", &sweep);
    let output = quiet.run(&["run", "hdconfig.yml", "--seed", "7", "-q"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(parameters(&project.trials()), parameters(&quiet.trials()));
}

#[test]
fn fifty_kills_of_a_random_sweep_cost_nothing() {
    fifty_kills("random");
}

#[test]
fn fifty_kills_of_a_grid_sweep_cost_nothing() {
    fifty_kills("grid");
}

#[test]
fn killed_while_it_resumes_twenty_times_it_converges() {
    let total = 6;
    let sweep = Sweep {
        total,
        concurrent: 3,
        ..Sweep::default()
    };
    let body = format!("{LOGGING}\nwhile [ ! -e \"$SEEN.go\" ]; do sleep 0.05; done");
    let project = Project::new(&body, &sweep);
    let mut child = project.start(&RUN);
    until("three running trials", || project.are("Running", 3));
    child.kill().unwrap();
    child.wait().unwrap();
    // The first hundredths of a second are those of taking up again: opening, leading, adopting, catching up.
    let mut rng = Pcg64::seed_from_u64(seed() + 1);
    for _ in 0..20 {
        let mut child = project.start(&["resume", "--progress", "none"]);
        std::thread::sleep(Duration::from_millis(rng.random_range(5..60)));
        assert!(
            child.try_wait().unwrap().is_none(),
            "its trials wait for the test"
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }
    std::fs::write(project.path().join("seen.go"), "").unwrap();
    let output = project.run(&["resume", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(json(&output)["trials"]["Completed"], total);
    nothing_was_lost(&project, total);
}

#[test]
fn killed_runners_are_lost_and_their_trials_tried_again() {
    let body = r#"n="$SEEN/${AZUREML_RUN_ID##*_}"
echo "score=1"
if [ ! -e "$n" ]; then echo $$ > "$n"; sleep 300; fi
echo "score=2""#;
    let project = Project::new(body, &Sweep::default());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    let mut done = 0;
    while done < 4 {
        let mut scripts = Vec::new();
        until("two scripts", || {
            scripts = (0..4)
                .filter_map(|trial| std::fs::read_to_string(project.seen().join(trial.to_string())).ok())
                .filter_map(|pid| pid.trim().parse::<i32>().ok())
                .filter(|pid| overdrive::process::start_ticks(*pid).is_some())
                .collect();
            scripts.len() == 2
        });
        for script in scripts {
            let stat = std::fs::read_to_string(format!("/proc/{script}/stat")).unwrap();
            let runner = stat
                .rsplit_once(')')
                .unwrap()
                .1
                .split_ascii_whitespace()
                .nth(1)
                .unwrap();
            signal(runner.parse().unwrap(), rustix::process::Signal::KILL);
            done += 1;
            until("the script is gone with its runner", || {
                overdrive::process::start_ticks(script).is_none()
            });
        }
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(json(&output)["trials"]["Completed"], 4);
    for trial in 0..4 {
        let shown = project.json(&["show", &trial.to_string(), "--json"]);
        let attempts = shown["items"].as_array().unwrap();
        assert_eq!(attempts.len(), 2, "{shown}");
        assert_eq!(attempts[0]["superseded"], true);
        assert_eq!(attempts[0]["outcome"]["class"], "infrastructure", "{shown}");
        assert_eq!(attempts[1]["superseded"], false);
        assert_eq!(shown["reports"], 2, "those of the lost attempt do not count");
    }
}
