//! Whole sweeps through the real binary: outputs, exit codes, JSON shapes, signals.

use super::binary::overdrive;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

const RUNCONFIG: &str =
    "script: train.sh\ntarget: local\nenvironment:\n  python:\n    userManagedDependencies: true\n";

fn hdconfig(metric: &str, total: u64) -> String {
    format!(
        "sampling:\n  type: grid\n  parameter_space:\n    - name: --x\n      expression: choice\n      values: [1, 2, 3, 4]\n\
         policy:\n  type: NoTerminationPolicy\nprimary_metric_name: {metric}\nprimary_metric_goal: maximize\n\
         max_total_runs: {total}\nmax_concurrent_runs: 2\nmax_duration_minutes: 5\n"
    )
}

/// A project whose script is `body`, with the value of `--x` in `$2`.
fn project(body: &str, metric: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hdconfig.yml"), hdconfig(metric, 4)).unwrap();
    fs::write(folder.path().join("train.runconfig"), RUNCONFIG).unwrap();
    fs::write(folder.path().join("train.sh"), format!("#!/bin/sh\n{body}\n")).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    overdrive()
        .args(arguments)
        .current_dir(folder)
        .timeout(Duration::from_secs(120))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", text(&output.stdout), text(&output.stderr)))
}

#[test]
fn a_sweep_ends_with_its_best_trial() {
    let project = project("echo \"score=$(($2 * 10))\"", "score");
    let output = run(
        project.path(),
        &["run", "hdconfig.yml", "--json", "--events", "events.jsonl"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let result = json(&output);
    assert_eq!(result["schema_version"], 1);
    assert_eq!(result["state"], "Completed");
    assert_eq!(result["trials"]["Completed"], 4);
    assert_eq!(result["best"]["value"], 40.0);
    assert_eq!(result["best"]["trial"], 3);
    assert_eq!(result["best"]["parameters"]["--x"], 4);
    let progress = text(&output.stderr);
    assert!(!progress.contains(['\r', '\x1b']));
    assert!(progress.contains("sweep     started   "), "{progress}");
    assert!(progress.contains("score 40.00 (new best)"), "{progress}");
    let events = fs::read_to_string(project.path().join("events.jsonl")).unwrap();
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64())
    );
    let created = events
        .iter()
        .filter(|event| event["type"] == "trial_created")
        .count();
    assert!(created <= 4);

    let best = run(project.path(), &["best", "-q"]);
    assert_eq!(
        (best.status.code(), text(&best.stdout)),
        (Some(0), "--x 4\n".into())
    );
    let shown = json(&run(project.path(), &["show", "--json", "--limit", "3"]));
    assert_eq!(shown["items"].as_array().unwrap().len(), 3);
    let next = shown["next"].as_str().unwrap();
    let rest = json(&run(
        project.path(),
        &["show", "--json", "--limit", "3", "--cursor", next],
    ));
    let trials = |shown: &serde_json::Value| -> Vec<u64> {
        let items = shown["items"].as_array().unwrap();
        items.iter().map(|item| item["trial"].as_u64().unwrap()).collect()
    };
    assert!(!trials(&rest).is_empty() && trials(&rest).iter().all(|trial| !trials(&shown).contains(trial)));
    assert_eq!(shown["items"][0]["trial"], 3);
    let why = run(project.path(), &["why", "best"]);
    assert!(
        text(&why.stdout).contains("suggested by grid"),
        "{}",
        text(&why.stdout)
    );
    let logs = run(project.path(), &["logs", "latest.1"]);
    assert_eq!(text(&logs.stdout), "score=20\n");
    let listed = json(&run(project.path(), &["list", "--json"]));
    assert_eq!(listed["items"][0]["best"]["value"], 40.0);
    for (arguments, code) in [
        (&["show", "nothing"][..], 3),
        (&["why", "17"], 3),
        (&["logs", "latest.9"], 3),
        (&["cancel"], 1),
        (&["resume"], 1),
        (&["show", "--state", "Complete"], 2),
        (&["run", "nothing.yml"], 3),
        (&["run", "hdconfig.yml", "--target", "moon"], 3),
        (&["ml", "run", "show", "-r", "nothing"], 3),
    ] {
        let output = run(project.path(), arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        assert!(
            text(&output.stderr).contains("error"),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
    // Again, learning from the first: a grid is exhausted all the same.
    let again = run(
        project.path(),
        &["run", "hdconfig.yml", "--resume-from", "latest", "--json"],
    );
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
}

#[test]
fn plots_and_exports_of_a_sweep() {
    let project = project(
        "for i in 1 2 3; do echo \"score=$(($2 * 10 + i))\"; done",
        "score",
    );
    assert_eq!(run(project.path(), &["run", "-q"]).status.code(), Some(0));
    let plotted = run(project.path(), &["plot", "-o", "plots"]);
    assert_eq!(plotted.status.code(), Some(0), "{}", text(&plotted.stderr));
    assert_eq!(fs::read_dir(project.path().join("plots")).unwrap().count(), 5);
    let svg = run(project.path(), &["plot", "-k", "curves", "-o", "-"]);
    assert!(text(&svg.stdout).starts_with("<svg"));
    assert_eq!(
        run(project.path(), &["plot", "-k", "curves", "-o", "c.gif"])
            .status
            .code(),
        Some(2)
    );
    let csv = run(project.path(), &["export", "--what", "metrics"]);
    assert_eq!(text(&csv.stdout).lines().count(), 1 + 4 * 3);
    assert_eq!(
        run(project.path(), &["export", "-o", "trials.parquet"])
            .status
            .code(),
        Some(0)
    );
    assert!(
        fs::read(project.path().join("trials.parquet"))
            .unwrap()
            .starts_with(b"PAR1")
    );
}

#[test]
fn a_metric_that_nobody_reports_names_what_was_reported() {
    let project = project("echo \"acc=0.5\"", "accuracy");
    let output = run(project.path(), &["run", "hdconfig.yml"]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("no trial reported `accuracy`"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn a_script_that_always_crashes_ends_the_sweep_with_its_last_lines() {
    let project = project("echo 'no module named torch' >&2; exit 7", "score");
    let output = run(project.path(), &["run", "hdconfig.yml"]);
    assert_eq!(output.status.code(), Some(1));
    let err = text(&output.stderr);
    assert!(
        err.contains("error[sweep-failed]") && err.contains("| no module named torch"),
        "{err}"
    );
}

#[test]
fn mistakes_in_files_start_nothing() {
    let project = project("true", "score");
    fs::write(
        project.path().join("hdconfig.yml"),
        hdconfig("score", 4).replace("type: grid", "type: gird"),
    )
    .unwrap();
    let output = run(project.path(), &["run", "hdconfig.yml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("did you mean `grid`?"),
        "{}",
        text(&output.stderr)
    );
    assert!(!project.path().join(".overdrive").exists());
    let check = run(project.path(), &["check", "hdconfig.yml", "--format", "json"]);
    assert_eq!(check.status.code(), Some(2));
    assert_eq!(json(&check)["ok"], false);
    assert_eq!(run(project.path(), &["list"]).status.code(), Some(3));
}

#[test]
fn samples_check_clean() {
    for kind in ["hyperdrive", "sweep", "shell"] {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            run(folder.path(), &["init", "--kind", kind]).status.code(),
            Some(0)
        );
        let checked = run(folder.path(), &["check", "--strict"]);
        assert_eq!(
            checked.status.code(),
            Some(0),
            "{kind}: {}",
            text(&checked.stderr)
        );
        assert_eq!(
            run(folder.path(), &["init", "--kind", kind]).status.code(),
            Some(2)
        );
    }
}

#[test]
fn the_old_lines_work_word_for_word() {
    let project = project("echo \"score=$(($2 * 10))\"", "score");
    let folder = project.path();
    let attached = run(
        folder,
        &[
            "az", "ml", "folder", "attach", "-w", "w", "-g", "g", "-e", "digits",
        ],
    );
    assert_eq!(attached.status.code(), Some(0), "{}", text(&attached.stderr));
    assert_eq!(json(&attached)["Experiment name"], "digits");
    assert!(folder.join(".azureml/config.json").is_file() && folder.join(".amlignore").is_file());
    let state = run(
        folder,
        &[
            "ml",
            "computetarget",
            "show",
            "-n",
            "local",
            "--query",
            "provisioningState",
            "-o",
            "tsv",
        ],
    );
    assert_eq!(text(&state.stdout), "Succeeded\n");
    assert_eq!(
        json(&run(folder, &["ml", "experiment", "create", "-n", "exp"]))["name"],
        "exp"
    );
    let line = [
        "ml",
        "run",
        "submit-hyperdrive",
        "--hyperdrive-configuration-name",
        "hdconfig.yml",
        "-c",
        "train",
        "-e",
        "exp",
        "-t",
        "out/run.json",
    ];
    let submitted = run(folder, &line);
    assert_eq!(submitted.status.code(), Some(0), "{}", text(&submitted.stderr));
    let record = json(&submitted);
    assert_eq!(record["runType"], "hyperdrive");
    assert_eq!(record["properties"]["score"], "40.0");
    assert_eq!(record["_experiment_name"], "exp");
    let kept: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("out/run.json")).unwrap()).unwrap();
    assert_eq!(kept, record);
    // The file exists now: refused before anything is started.
    assert_eq!(run(folder, &line).status.code(), Some(2));
    let script = run(
        folder,
        &[
            "ml",
            "run",
            "submit-script",
            "-c",
            "train",
            "-e",
            "exp",
            "train.sh",
            "--x",
            "7",
        ],
    );
    assert_eq!(script.status.code(), Some(0), "{}", text(&script.stderr));
    assert!(
        text(&script.stderr).contains("score=70"),
        "{}",
        text(&script.stderr)
    );
    assert_eq!(json(&script)["runType"], "azureml.scriptrun");
    let properties = json(&run(
        folder,
        &[
            "ml",
            "run",
            "list",
            "-e",
            "exp",
            "--last",
            "1",
            "--query",
            "[].runType",
        ],
    ));
    assert_eq!(properties, serde_json::json!(["azureml.scriptrun"]));
    let parent = record["runId"].as_str().unwrap();
    let children = json(&run(folder, &["ml", "run", "list", "--parent-run-id", parent]));
    assert_eq!(children.as_array().unwrap().len(), 4);
    assert_eq!(children[0]["runId"], format!("{parent}_3"));
    let tagged = json(&run(
        folder,
        &["ml", "run", "update", "-r", parent, "--add-tag", "kind=test"],
    ));
    assert_eq!(tagged["tags"]["kind"], "test");
    let child = format!("{parent}_1");
    let logs = run(
        folder,
        &["ml", "run", "download-logs", "-r", &child, "-d", "logs"],
    );
    assert_eq!(logs.status.code(), Some(0), "{}", text(&logs.stderr));
    assert_eq!(
        run(
            folder,
            &[
                "ml",
                "run",
                "show",
                "-r",
                &child,
                "--query",
                "parentRunId",
                "-o",
                "tsv"
            ]
        )
        .stdout,
        format!("{parent}\n").into_bytes()
    );
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    std::process::Command::new(assert_cmd::cargo::cargo_bin("overdrive"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("OVERDRIVE_HOME")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Whether the process has a handler for the signal.
fn catches(child: &Child, signal: rustix::process::Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << (signal.as_raw() - 1)) != 0)
}

fn running(folder: &Path, count: usize) -> bool {
    let output = run(folder, &["show", "--json", "--state", "Running"]);
    output.status.code() == Some(0) && json(&output)["items"].as_array().unwrap().len() == count
}

#[test]
fn a_termination_cancels_and_a_killed_sweep_is_resumed() {
    let project = project(
        "i=0\nwhile [ $i -lt 15 ]; do echo score=$i; sleep 0.2; i=$((i + 1)); done",
        "score",
    );
    let folder = project.path();
    let mut child = start(folder, &["run", "hdconfig.yml"]);
    until("two running trials", || running(folder, 2));
    let second = run(folder, &["resume"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        text(&second.stderr).contains("is led by process"),
        "{}",
        text(&second.stderr)
    );
    signal(&child, rustix::process::Signal::KILL);
    child.wait().unwrap();
    let resumed = start(folder, &["run", "hdconfig.yml", "--resume"]);
    until("running trials", || running(folder, 2));
    // The trials never stopped running: they say nothing about how far the new controller is.
    until("a controller that catches signals", || {
        catches(&resumed, rustix::process::Signal::TERM)
    });
    signal(&resumed, rustix::process::Signal::TERM);
    let output = resumed.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("going on with HD_"),
        "{}",
        text(&output.stderr)
    );
    let listed = json(&run(folder, &["list", "--json"]));
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["state"], "Canceled");
}

#[test]
fn pause_resume_and_cancel_from_another_process() {
    let project = project(
        "i=0\nwhile [ $i -lt 10 ]; do echo score=$i; sleep 0.1; i=$((i + 1)); done",
        "score",
    );
    let folder = project.path();
    let child = start(folder, &["run", "hdconfig.yml", "--json"]);
    until("two running trials", || running(folder, 2));
    let paused = json(&run(folder, &["pause", "--json"]));
    assert_eq!(paused["state"], "Paused");
    assert_eq!(run(folder, &["resume"]).status.code(), Some(0));
    let canceled = json(&run(folder, &["cancel", "--json"]));
    assert_eq!(canceled["state"], "Canceled");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(json(&output)["state"], "Canceled");
}

#[test]
fn a_policy_that_could_never_look_is_told() {
    let project = super::project::Project::new("echo score=$2", &super::project::Sweep::default());
    let output = project.run(&[
        "run",
        "hdconfig.yml",
        "--set",
        "policy.type=BanditPolicy",
        "--set",
        "policy.slack_factor=0.1",
        "--set",
        "policy.evaluation_interval=2",
    ]);
    let card = super::project::text(&output.stdout);
    assert!(
        card.contains("had no say: it looks from report 2 on, and no trial reported more than once"),
        "{card}"
    );
}
