//! Start-up and trial rate of the real binary, each beside its floor measured in the same run. `cargo bench --bench launch`.
//!
//! - start-up: `overdrive --version` against `true`;
//! - trials: a sweep of `true`, two at a time, against two bare loops that each spawn a shell which spawns `true`.
//!
//! Rates are taken in alternating blocks, and the medians are compared, since the machine may be noisy.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const OVERDRIVE: &str = env!("CARGO_BIN_EXE_overdrive");
const BLOCKS: usize = 3;

fn quiet(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn start_up() {
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        floor.push(seconds(|| {
            assert!(quiet(&mut Command::new("/bin/true")).status().unwrap().success())
        }));
        ours.push(seconds(|| {
            assert!(
                quiet(Command::new(OVERDRIVE).arg("--version"))
                    .status()
                    .unwrap()
                    .success()
            )
        }));
    }
    let (ours, floor) = (median(ours) * 1e3, median(floor) * 1e3);
    println!("start-up: overdrive --version {ours:.2} ms, /bin/true {floor:.2} ms");
}

/// Trials per sweep: `OVERDRIVE_BENCH_TRIALS`, by default 1,000.
fn count() -> usize {
    std::env::var("OVERDRIVE_BENCH_TRIALS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000)
}

fn bare_loop(trials: usize) -> f64 {
    seconds(|| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..trials / 2 {
                        quiet(Command::new("/bin/sh").args(["-c", "/bin/true; :"]))
                            .status()
                            .unwrap();
                    }
                });
            }
        });
    })
}

/// Each in a home of its own, and none is removed: ext4 searches past each inode that was deleted in the last six minutes, which
/// took more than half of all CPU time when homes were emptied in between.
fn sweep(folder: &Path, block: usize) -> f64 {
    let home = folder.join(format!("home-{block}"));
    seconds(|| {
        quiet(
            Command::new(OVERDRIVE)
                .arg("--home")
                .arg(&home)
                .arg("run")
                .arg(folder.join("project").join("hdconfig.yml"))
                .args(["--progress", "none", "--json"]),
        )
        .status()
        .unwrap();
    })
}

fn trials() {
    let trials = count();
    // It stays: see `sweep`.
    let folder = tempfile::Builder::new()
        .prefix("overdrive-launch-")
        .tempdir()
        .unwrap()
        .keep();
    println!(
        "left to be deleted some minutes after the last run: {}",
        folder.display()
    );
    // The homes lie outside: a project folder is copied for each trial.
    let project = folder.join("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(
        project.join("hdconfig.yml"),
        format!(
            "sampling:\n  type: random\n  parameter_space:\n    - {{name: x, expression: uniform, values: [0, 1]}}\n\
             policy: {{}}\nprimary_metric_name: none\nprimary_metric_goal: minimize\n\
             max_total_runs: {trials}\nmax_concurrent_runs: 2\nmax_duration_minutes: 60\n"
        ),
    )
    .unwrap();
    std::fs::write(
        project.join("noop.runconfig"),
        "command: /bin/true\nenvironment:\n  python: {userManagedDependencies: true}\n",
    )
    .unwrap();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for block in 0..BLOCKS {
        floor.push(trials as f64 / bare_loop(trials));
        ours.push(trials as f64 / sweep(&folder, block));
        thread::sleep(Duration::from_millis(200));
    }
    let (ours, floor) = (median(ours), median(floor));
    println!(
        "{trials} trials of `true`, 2 at a time: overdrive {ours:.0}/s, bare loop {floor:.0}/s, share {:.2}",
        ours / floor
    );
}

fn main() {
    start_up();
    trials();
}
