//! A result is delivered: a command that is killed between the end of its sweep and its own leaves it to the next `--resume`.

use super::project::{Project, Sweep, json, text, until};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::io::Write;
use std::process::Stdio;

/// A pipe that nobody reads and that takes no byte more: whoever writes to it waits.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for size in [4096, 1] {
        while writer.write(&vec![b'.'; size]).is_ok() {}
    }
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

fn sweeps(project: &Project) -> usize {
    project.json(&["list", "--json"])["items"]
        .as_array()
        .unwrap()
        .len()
}

/// Lets a command end its sweep and kills it before it can tell the result.
fn killed_before_it_told(project: &Project) -> String {
    let (_reader, writer) = full_pipe();
    let mut child = project
        .command(&assert_cmd::cargo::cargo_bin("overdrive"))
        .args(["run", "hdconfig.yml", "--resume", "--json"])
        .stdout(Stdio::from(writer))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut id = String::new();
    until("the end of the sweep", || {
        let output = project.run(&["show", "--json"]);
        if output.status.code() != Some(0) {
            return false;
        }
        let shown = json(&output);
        id = shown["sweep"].as_str().unwrap().to_owned();
        shown["state"] == "Completed"
    });
    assert!(child.try_wait().unwrap().is_none(), "it waits for its reader");
    child.kill().unwrap();
    child.wait().unwrap();
    id
}

#[test]
fn a_result_that_was_not_delivered_is_delivered_by_the_next_resume() {
    let project = Project::new("echo score=$2", &Sweep::default());
    let id = killed_before_it_told(&project);
    let output = project.run(&["run", "hdconfig.yml", "--resume", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let result = json(&output);
    assert_eq!(result["sweep"], id.as_str());
    assert_eq!(result["trials"]["Completed"], 4);
    assert_eq!(result["best"]["value"], 4.0);
    assert_eq!(sweeps(&project), 1, "no new sweep was started for it");

    let again = project.run(&["run", "hdconfig.yml", "--resume", "--json"]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert_ne!(json(&again)["sweep"], id.as_str(), "once told it is over");
    assert_eq!(sweeps(&project), 2);
    let third = project.run(&["run", "hdconfig.yml", "--resume", "--json"]);
    assert_eq!(third.status.code(), Some(0));
    assert_eq!(
        sweeps(&project),
        3,
        "a result that was delivered is not delivered twice"
    );
}

#[test]
fn resume_delivers_by_name_too_with_the_exit_code_of_the_sweep() {
    let sweep = Sweep {
        metric: "accuracy",
        ..Sweep::default()
    };
    let project = Project::new("echo score=$2", &sweep);
    let id = killed_before_it_told(&project);
    let output = project.run(&["resume", &id, "--json"]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    assert_eq!(json(&output)["sweep"], id.as_str());
    let again = project.run(&["resume", &id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        text(&again.stderr).contains("has ended"),
        "{}",
        text(&again.stderr)
    );
}
