//! Machines on which the program cannot run, against real servers: the shell runner passes the suite, and is told where it is taken.

use super::project::{Place, Project, Sweep, text, wait};
use super::services::{Service, full};
use super::{ssh, suite};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn one() -> Sweep {
    Sweep {
        values: vec![json!(1)],
        ..Sweep::default()
    }
}

/// What `target test` says of a step.
fn step(tested: &Value, name: &str) -> String {
    let steps = tested["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["step"] == name);
    found.unwrap_or_else(|| panic!("{tested}")).to_string()
}

#[test]
fn the_shell_runner_is_taken_where_it_is_asked_for() {
    if !full("target::shell") {
        return;
    }
    let server = Service::start("sshd", "gone");
    let facts = server.facts();
    let by_key = ["--private-key-file", facts["KEY"].as_str(), "--slots", "4"];
    let place = ssh::place(&facts, &[&by_key[..], &["--runner", "shell"]].concat());
    what_it_lacks_is_told(&place);
}

/// A sweep says that its trials run under the shell runner, why, and what is not seen there; what it cannot do is refused.
fn what_it_lacks_is_told(place: &Place) {
    let project = Project::new(place, "echo score=1", &one());
    let output = wait(project.start(&["run", "hdconfig.yml", "--json"]));
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("the shell runner executes its trials") && told.contains("MLflow"),
        "{told}"
    );
    let tested = project.json(&["target", "test", "place", "--json"]);
    assert!(
        step(&tested, "program").contains("the shell runner, since"),
        "{tested}"
    );
    let group = Sweep {
        extra: "framework: PyTorch\ncommunicator: Nccl\npytorch:\n  processCount: 2\nnodeCount: 1\n",
        ..one()
    };
    let project = Project::new(place, "echo score=1", &group);
    let output = wait(project.start(&["run", "hdconfig.yml", "--json"]));
    let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_ne!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("several processes per trial need overdrive itself"),
        "{told}"
    );
}

#[test]
fn a_machine_of_nothing_but_busybox() {
    if !full("target::shell::small") {
        return;
    }
    let server = Service::start("small", "gone");
    let facts = server.facts();
    let place = ssh::place(
        &facts,
        &["--private-key-file", facts["KEY"].as_str(), "--slots", "4"],
    );
    // The whole suite but `python_and_data`: there is no Python.
    for (name, part) in [
        ("whole", suite::whole as fn(&Place)),
        ("live", suite::live),
        ("runner_death", suite::runner_death),
    ] {
        println!("{name}");
        part(&place);
    }
    let project = Project::new(&place, "echo score=1", &one());
    let tested = project.json(&["target", "test", "place", "--json"]);
    assert!(
        step(&tested, "program").contains("the shell runner, since it does not run there"),
        "{tested}"
    );
    assert!(step(&tested, "python").contains("no python3"), "{tested}");
    // What needs an interpreter says so before anything is started.
    fs::write(project.path().join("train.py"), "print('score=1')\n").unwrap();
    let files = fs::read_to_string(project.path().join("train.runconfig")).unwrap();
    fs::write(
        project.path().join("train.runconfig"),
        files.replace("script: train.sh", "script: train.py"),
    )
    .unwrap();
    let output = project.run(&["run", "hdconfig.yml"]);
    let told = text(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("no interpreter `python` on PATH"), "{told}");
    // A home that nobody can write: somewhere else, and that is said.
    let home = Path::new(&facts["HOME"]);
    let change = |owner: &str, mode: u32| {
        let real = fs::canonicalize(home).unwrap();
        assert!(
            Command::new("chown")
                .arg(owner)
                .arg(&real)
                .status()
                .unwrap()
                .success()
        );
        fs::set_permissions(&real, fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::remove_dir_all(home.join(".cache")).unwrap();
    change("root", 0o755);
    let project = Project::new(&place, "echo score=2", &one());
    let tested = project.json(&["target", "test", "place", "--json"]);
    assert!(
        step(&tested, "program").contains("/var/tmp/overdrive-"),
        "{tested}"
    );
    assert_eq!(project.sweep()["best"]["value"], 2.0);
    change(&facts["USER"], 0o711);
}
