//! Secrets in the keyring of a session, against a real one.

use super::project::{Project, Sweep, text};
use super::services::{Service, full};
use super::ssh;
use serde_json::json;
use std::fs;
use std::process::Command;

#[test]
fn a_typed_secret_is_kept_in_the_keyring_where_one_answers() {
    if !full("target::keyring") {
        return;
    }
    let server = Service::start("sshd", "gone");
    let facts = server.facts();
    let session = Service::start("keyring", "stop");
    let bus = session.facts()["DBUS_SESSION_BUS_ADDRESS"].clone();
    let mut place = ssh::place(&facts, &["-p", &facts["PASSWORD"]]);
    place
        .variables
        .push(("DBUS_SESSION_BUS_ADDRESS".into(), bus.clone()));
    let sweep = Sweep {
        values: vec![json!(1)],
        ..Sweep::default()
    };
    let project = Project::new(&place, "echo score=1", &sweep);
    let file = fs::read_to_string(project.path().join(".overdrive/compute/place.yml")).unwrap();
    assert!(
        file.contains("keyring:place") && !file.contains(&facts["PASSWORD"]),
        "{file}"
    );
    assert!(!project.config().join("overdrive/secrets").exists());
    let kept = || {
        let mut lookup = Command::new("secret-tool");
        lookup.args(["lookup", "service", "overdrive", "target", "place"]);
        text(
            &lookup
                .env("DBUS_SESSION_BUS_ADDRESS", &bus)
                .output()
                .unwrap()
                .stdout,
        )
    };
    assert_eq!(kept(), facts["PASSWORD"]);
    assert_eq!(project.sweep()["trials"]["Completed"], 1);
    // A session without it is told what is missing.
    server.ask(&["stop"]);
    server.ask(&["start"]);
    let output = project
        .command()
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .args(["run", "hdconfig.yml"])
        .output()
        .unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("keyring"), "{told}");
    let output = project.run(&["target", "detach", "-n", "place"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(kept(), "");
}
