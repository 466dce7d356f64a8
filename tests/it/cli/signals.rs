//! SIGTERM, SIGHUP, Ctrl-C once and twice, SIGSTOP: what is documented, and nothing lost.

use super::project::{LOGGING, Project, Sweep, json, signal, text, until};
use rustix::process::Signal;
use std::time::Duration;

/// Says one more number every tenth of a second until the test lets it end; ends at once when asked to.
const PATIENT: &str = "i=0\nwhile [ ! -e \"$SEEN/go\" ] && [ $i -lt 400 ]; do echo score=$i; sleep 0.1; i=$((i + 1)); done\necho score=1000";

fn patient() -> Project {
    Project::new(
        PATIENT,
        &Sweep {
            total: 2,
            ..Sweep::default()
        },
    )
}

#[test]
fn once_it_cancels_cleanly_and_the_exit_code_names_the_signal() {
    for (sent, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let project = patient();
        let child = project.start(&["run", "hdconfig.yml", "--json"]);
        until("two running trials", || project.are("Running", 2));
        signal(child.id(), sent);
        let output = child.wait_with_output().unwrap();
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{err}");
        assert!(err.contains("stopping: no new trials, cancelling 2"), "{err}");
        let result = json(&output);
        assert_eq!(result["state"], "Canceled");
        assert_eq!(result["trials"]["Canceled"], 2);
        assert_eq!(
            project.run(&["resume"]).status.code(),
            Some(1),
            "there is nothing to go on with"
        );
    }
}

#[test]
fn when_the_terminal_goes_away_trials_run_on_and_a_resume_catches_up() {
    let project = patient();
    let child = project.start(&["run", "hdconfig.yml"]);
    until("two running trials", || project.are("Running", 2));
    signal(child.id(), Signal::HUP);
    let output = child.wait_with_output().unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(129), "{err}");
    assert!(err.contains("left 2 running; `overdrive resume"), "{err}");
    std::fs::write(project.seen().join("go"), "").unwrap();
    std::thread::sleep(Duration::from_millis(400));
    let resumed = project.run(&["resume", "--json"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", text(&resumed.stderr));
    let result = json(&resumed);
    assert_eq!(result["trials"]["Completed"], 2);
    assert_eq!(
        result["best"]["value"], 1000.0,
        "what they said with nobody there is caught up"
    );
    assert!(project.trials().iter().all(|trial| trial["attempts"] == 1));
}

#[test]
fn twice_at_once_leaves_every_trial_untouched_and_a_resume_goes_on() {
    let project = Project::new(PATIENT, &Sweep::default());
    let child = project.start(&["run", "hdconfig.yml"]);
    until("two running trials", || project.are("Running", 2));
    signal(child.id(), Signal::INT);
    until("the sweep stands still", || {
        project.json(&["show", "--json"])["state"] == "Paused"
    });
    signal(child.id(), Signal::INT);
    let output = child.wait_with_output().unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(
        err.contains("stopping: no new trials, cancelling 2; press again to leave them running"),
        "{err}"
    );
    assert!(err.contains("left 2 running; `overdrive resume"), "{err}");
    std::fs::write(project.seen().join("go"), "").unwrap();
    let resumed = project.run(&["resume", "--json"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", text(&resumed.stderr));
    let result = json(&resumed);
    assert_eq!(result["trials"]["Completed"], 4);
    assert!(project.trials().iter().all(|trial| trial["attempts"] == 1));
}

#[test]
fn a_second_time_takes_the_cancel_back_for_those_that_still_run() {
    // Takes no notice of TERM, and counts on until the test lets it end.
    let body = "trap '' TERM\ni=0\nwhile [ ! -e \"$SEEN/go\" ]; do i=$((i + 1)); echo $i > \"$SEEN/beats\"; sleep 0.1; done\necho score=$2";
    let project = Project::new(
        body,
        &Sweep {
            total: 2,
            concurrent: 1,
            ..Sweep::default()
        },
    );
    let file = project.path().join("hdconfig.yml");
    let text_of = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text_of + "overdrive:\n  grace_seconds: 2\n").unwrap();
    let child = project.start(&["run", "hdconfig.yml"]);
    until("a running trial", || project.are("Running", 1));
    signal(child.id(), Signal::INT);
    until("the cancel is on record", || project.are("CancelRequested", 1));
    signal(child.id(), Signal::INT);
    let output = child.wait_with_output().unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("left 1 running; `overdrive resume"), "{err}");
    assert!(project.are("Running", 1), "the cancel was taken back");
    // Longer than the grace: a runner that had not heard of it would have killed the script.
    let beats = || -> u64 {
        let text = std::fs::read_to_string(project.seen().join("beats")).unwrap();
        text.trim().parse().unwrap_or(0)
    };
    let then = beats();
    until("forty more beats", || beats() >= then + 40);
    std::fs::write(project.seen().join("go"), "").unwrap();
    let resumed = project.run(&["resume", "--json"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", text(&resumed.stderr));
    assert_eq!(json(&resumed)["trials"]["Completed"], 2);
    assert!(project.trials().iter().all(|trial| trial["attempts"] == 1));
}

#[test]
fn what_ends_of_the_first_stays_canceled_and_its_last_words_are_kept() {
    // Takes its time to end: the second Ctrl-C comes first.
    let project = Project::new(
        "trap 'while [ ! -e \"$SEEN/go\" ]; do sleep 0.05; done; echo score=7; exit 0' TERM\necho score=1\nwhile :; do sleep 0.1; done",
        &Sweep {
            total: 2,
            ..Sweep::default()
        },
    );
    let child = project.start(&["run", "hdconfig.yml"]);
    until("two running trials", || project.are("Running", 2));
    signal(child.id(), Signal::INT);
    until("the cancel is on record", || project.are("CancelRequested", 2));
    signal(child.id(), Signal::INT);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    std::fs::write(project.seen().join("go"), "").unwrap();
    let resumed = project.run(&["resume", "--json"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", text(&resumed.stderr));
    assert_eq!(json(&resumed)["trials"]["Canceled"], 2);
    let kept = project.run(&["export", "--what", "metrics"]);
    assert_eq!(text(&kept.stdout).lines().count(), 1 + 2 * 2);
}

#[test]
fn a_controller_that_was_frozen_declares_nobody_dead() {
    let sweep = Sweep {
        total: 6,
        ..Sweep::default()
    };
    let project = Project::new(LOGGING, &sweep);
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    until("running trials", || project.are("Running", 2));
    signal(child.id(), Signal::STOP);
    std::thread::sleep(Duration::from_secs(3));
    signal(child.id(), Signal::CONT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(json(&output)["trials"]["Completed"], 6);
    assert!(project.trials().iter().all(|trial| trial["attempts"] == 1));
    assert_eq!(project.lines_seen(), project.lines_kept(6));
}
