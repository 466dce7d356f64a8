//! Bad input and scarce resources through the real binary: each has its outcome, its words and its exit code.

use super::project::{Project, Sweep, json, text, until};
use std::fs;
use std::path::Path;

#[test]
fn a_missing_script_is_named_and_nothing_is_created() {
    let project = Project::new("", &Sweep::default());
    fs::remove_file(project.path().join("train.sh")).unwrap();
    let output = project.run(&["run", "hdconfig.yml"]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(
        err.contains("error[missing-script]") && err.contains("train.runconfig:1:9"),
        "{err}"
    );
    assert!(!project.path().join(".overdrive").exists());
}

#[test]
fn a_wrong_metric_name_is_answered_with_those_that_came() {
    let body = "echo acuracy=0.5 loss=2\necho '{\"val/f1\": 0.1}'";
    let sweep = Sweep {
        metric: "accuracy",
        ..Sweep::default()
    };
    let project = Project::new(body, &sweep);
    let output = project.run(&["run", "hdconfig.yml", "--json"]);
    assert_eq!(output.status.code(), Some(5));
    let wanted = "the trials reported `acuracy`, `loss`, `val/f1`; did you mean `acuracy`?";
    let err = text(&output.stderr);
    assert!(
        err.contains("reported `accuracy`") && err.contains(wanted),
        "{err}"
    );
    let result = json(&output);
    assert_eq!(
        result["reported"],
        serde_json::json!(["acuracy", "loss", "val/f1"])
    );
    assert!(result["best"].is_null());
    let best = project.run(&["best"]);
    assert_eq!(best.status.code(), Some(5));
    assert!(text(&best.stderr).contains(wanted));
    let card = project.run(&["show"]);
    assert!(
        text(&card.stdout).contains("did you mean `acuracy`?"),
        "{}",
        text(&card.stdout)
    );
}

#[test]
fn a_script_that_always_crashes_is_tried_three_times() {
    let body = "echo \"$2\" >> \"$SEEN/ran\"\necho no module named torch >&2\nexit 7";
    let sweep = Sweep {
        total: 40,
        concurrent: 1,
        ..Sweep::default()
    };
    let project = Project::new(body, &sweep);
    let output = project.run(&["run", "hdconfig.yml"]);
    assert_eq!(output.status.code(), Some(1));
    let err = text(&output.stderr);
    assert_eq!(err.matches("| no module named torch").count(), 1, "{err}");
    assert!(
        err.contains("the first 3 trials all failed without a report"),
        "{err}"
    );
    let ran = fs::read_to_string(project.seen().join("ran")).unwrap();
    assert_eq!(ran.lines().count(), 3);
}

#[test]
fn a_parameter_that_is_a_fixed_argument_too_is_named_at_both_places() {
    let project = Project::new("echo score=1", &Sweep::default());
    let runconfig = project.path().join("train.runconfig");
    let more = fs::read_to_string(&runconfig).unwrap() + "arguments: [--x, 3]\n";
    fs::write(&runconfig, more).unwrap();
    let output = project.run(&["run", "hdconfig.yml"]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    for part in [
        "error[duplicate-argument]",
        "hdconfig.yml:4:13",
        "train.runconfig:6:13",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(!project.path().join(".overdrive").exists());
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let project = Project::new("echo score=1", &Sweep::default());
    assert_eq!(project.run(&["run", "-q"]).status.code(), Some(0));
    let store = project.path().join(".overdrive").join(overdrive::store::FILE);
    rusqlite::Connection::open(&store)
        .unwrap()
        .execute_batch("PRAGMA user_version = 77; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let before = fs::read(&store).unwrap();
    for arguments in [
        &["run", "hdconfig.yml"][..],
        &["list"],
        &["resume"],
        &["show", "--json"],
    ] {
        let output = project.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = text(&output.stderr) + &text(&output.stdout);
        assert!(said.contains("77"), "{arguments:?}: {said}");
    }
    assert!(fs::read(&store).unwrap() == before, "nothing was changed");
}

#[test]
fn a_second_controller_is_refused_with_the_first_ones_process() {
    let project = Project::new("echo score=1\nsleep 1.5", &Sweep::default());
    let first = project.start(&["run", "hdconfig.yml", "--json"]);
    until("two running trials", || project.are("Running", 2));
    let pid = format!("process {}", first.id());
    for arguments in [&["run", "hdconfig.yml", "--resume"][..], &["resume"]] {
        let second = project.run(arguments);
        let err = text(&second.stderr);
        assert_eq!(second.status.code(), Some(1), "{arguments:?}: {err}");
        assert!(
            err.contains("is led by") && err.contains(&pid),
            "{arguments:?}: {err}"
        );
    }
    let output = first.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(json(&output)["trials"]["Completed"], 4);
}

#[test]
fn a_torn_journal_costs_only_the_frame_that_was_never_whole() {
    let body = "echo score=1\necho score=2\ncase \"$AZUREML_RUN_ID\" in *_0) [ -e \"$SEEN/go\" ] || { touch \"$SEEN/go\"; sleep 300; };; esac";
    let sweep = Sweep {
        total: 1,
        ..Sweep::default()
    };
    let project = Project::new(body, &sweep);
    let mut child = project.start(&["run", "hdconfig.yml"]);
    until("its script waits", || {
        project.seen().join("go").exists()
            && project
                .trials()
                .first()
                .is_some_and(|trial| trial["reports"] == 2)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let row = project.trials().remove(0);
    let folder = Path::new(row["folder"].as_str().unwrap());
    let claim: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("claim")).unwrap()).unwrap();
    let runner = u32::try_from(claim["pid"].as_u64().unwrap()).unwrap();
    super::project::signal(runner, rustix::process::Signal::KILL);
    // The beginning of one more frame: magic, version, kind, a length that never came.
    use std::io::Write;
    let mut journal = fs::File::options()
        .append(true)
        .open(folder.join("journal"))
        .unwrap();
    journal
        .write_all(&[0xd7, 0x0d, 1, 3, 200, 0, 0, 0, 5, 0])
        .unwrap();
    drop(journal);
    let output = project.run(&["resume", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = project.json(&["show", "0", "--json"]);
    assert_eq!(shown["items"][0]["superseded"], true, "{shown}");
    assert_eq!(shown["reports"], 2);
    let kept = project.run(&["export", "--what", "metrics"]);
    // Two of the attempt that was lost, two of the one that counts, a header.
    assert_eq!(text(&kept.stdout).lines().count(), 3, "{}", text(&kept.stdout));
}

#[test]
fn few_descriptors_lower_the_concurrency_and_fail_nothing() {
    let sweep = Sweep {
        sampler: "random",
        total: 40,
        concurrent: 30,
        ..Sweep::default()
    };
    let project = Project::new("echo score=1\nsleep 0.3\necho score=2", &sweep);
    let output = project
        .command(Path::new("/bin/sh"))
        .args(["-c", "ulimit -n 24; exec \"$0\" run hdconfig.yml --json"])
        .arg(assert_cmd::cargo::cargo_bin("overdrive"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        json(&output)["trials"]["Completed"],
        40,
        "{}",
        text(&output.stderr)
    );
    assert!(project.trials().iter().all(|trial| trial["reports"] == 2));
}

#[test]
fn few_processes_lower_the_concurrency_and_fail_nothing() {
    if !rustix::process::getuid().is_root() {
        eprintln!("left out (needs root to become a user without processes of its own): few_processes");
        assert_ne!(std::env::var("OVERDRIVE_TEST_TIER").as_deref(), Ok("full"));
        return;
    }
    let sweep = Sweep {
        sampler: "random",
        total: 40,
        concurrent: 30,
        ..Sweep::default()
    };
    let project = Project::new("echo score=1\nsleep 0.3\necho score=2", &sweep);
    let shared = tempfile::tempdir().unwrap();
    let binary = shared.path().join("overdrive");
    fs::copy(assert_cmd::cargo::cargo_bin("overdrive"), &binary).unwrap();
    for path in [shared.path(), project.path()] {
        let owned = std::process::Command::new("chown")
            .args(["-R", "54321:54321"])
            .arg(path)
            .status();
        assert!(owned.unwrap().success());
    }
    let output = project
        .command(Path::new("setpriv"))
        .args(["--reuid", "54321", "--regid", "54321", "--clear-groups"])
        .args([
            "/bin/sh",
            "-c",
            "ulimit -p 40 2>/dev/null || ulimit -u 40; exec \"$0\" run hdconfig.yml --json",
        ])
        .arg(&binary)
        .output()
        .unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert_eq!(json(&output)["trials"]["Completed"], 40, "{err}");
    assert!(err.contains("at a time for now"), "{err}");
}
