//! Machines by SSH, against a real server.

use super::project::{LOGGING, Place, Project, Sweep, text, wait};
use super::services::{Service, full};
use super::{freeze, suite};
use serde_json::json;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A machine behind the server, logged in to in the way that `how` says.
pub(super) fn place(facts: &HashMap<String, String>, how: &[&str]) -> Place {
    place_of("remote", facts, how)
}

/// A target of `kind` behind the server.
pub(super) fn place_of(kind: &str, facts: &HashMap<String, String>, how: &[&str]) -> Place {
    let mut attach: Vec<String> = [
        "attach",
        kind,
        "-a",
        "127.0.0.1",
        "--accept-host-key",
        "--ssh-port",
    ]
    .map(str::to_owned)
    .into();
    attach.extend([facts["PORT"].clone(), "-u".into(), facts["USER"].clone()]);
    attach.extend(how.iter().map(|word| (*word).to_owned()));
    let shared = PathBuf::from(format!("{}/shared", facts["HOME"]));
    fs::create_dir_all(&shared).unwrap();
    for folder in [Path::new(&facts["HOME"]), &shared] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
    }
    Place {
        attach,
        shared,
        user: Some(facts["USER"].clone()),
        variables: Vec::new(),
        patience: Duration::from_secs(60),
    }
}

fn files_with(folder: &Path, canary: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).is_ok_and(|bytes| text(&bytes).contains(canary)) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_machine_by_ssh_passes_the_suite_and_what_ssh_adds() {
    if !full("target::ssh") {
        return;
    }
    let server = Service::start("sshd", "gone");
    let facts = server.facts();
    let by_key = ["--private-key-file", facts["KEY"].as_str()];
    suite::all(&place(&facts, &[&by_key[..], &["--slots", "4"]].concat()));
    freeze::freezing(&place(&facts, &[&by_key[..], &["--slots", "2"]].concat()));
    ways_to_log_in(&facts);
    refusals(&server, &facts);
    the_server_goes_and_comes_back(&server, &facts);
}

/// Password and locked key work, stand in no argument, and are found in no file but their own.
fn ways_to_log_in(facts: &HashMap<String, String>) {
    let password = facts["PASSWORD"].as_str();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, password).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let file = file.to_str().unwrap();
    let locked = facts["LOCKED"].as_str();
    let key = [
        "--private-key-file",
        locked,
        "--private-key-passphrase",
        "open sesame",
    ];
    let mut by_variable = place(facts, &["--secret-env", "OVERDRIVE_TEST_PASSWORD"]);
    by_variable
        .variables
        .push(("OVERDRIVE_TEST_PASSWORD".into(), password.into()));
    let ways = [
        place(facts, &["--secret-file", file]),
        by_variable,
        place(facts, &key),
    ];
    std::thread::scope(|scope| {
        for way in &ways {
            scope.spawn(move || {
                let sweep = Sweep {
                    values: vec![json!(1)],
                    ..Sweep::default()
                };
                let project = Project::new(way, "echo score=1; env > outputs/env; sleep 1", &sweep);
                let child = project.start(&["run", "hdconfig.yml", "--json"]);
                let id = child.id();
                project.until("a trial", || {
                    project.are("Running", 1) || project.are("Completed", 1)
                });
                let family = arguments_of_family(id);
                assert_eq!(project.ends(child)["trials"]["Completed"], 1);
                for secret in [password, "open sesame"] {
                    assert!(!family.contains(secret), "{family}");
                    assert_eq!(files_with(project.path(), secret), Vec::<PathBuf>::new());
                    let found = files_with(project.config(), secret);
                    let own = |path: &PathBuf| path.ends_with("overdrive/secrets/place");
                    assert!(found.iter().all(own), "{found:?}");
                    for path in found {
                        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
                    }
                }
                let output = project.run(&["target", "detach", "-n", "place"]);
                assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
                assert!(!project.config().join("overdrive/secrets/place").exists());
            });
        }
    });
}

/// Command lines of a process and its children.
fn arguments_of_family(pid: u32) -> String {
    let mut lines = String::new();
    let mut queue = vec![pid];
    while let Some(pid) = queue.pop() {
        lines.push_str(&text(
            &fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default(),
        ));
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        queue.extend(
            children
                .split_whitespace()
                .map(|child| child.parse::<u32>().unwrap()),
        );
    }
    lines
}

/// Unknown and changed host keys, wrong secrets, folders that cannot be written, nobody there: one clear error each, nothing started.
fn refusals(server: &Service, facts: &HashMap<String, String>) {
    let by_key = ["--private-key-file", facts["KEY"].as_str()];
    let good = place(facts, &by_key);
    let sweep = Sweep {
        values: vec![json!(1)],
        ..Sweep::default()
    };
    let project = Project::new(&good, "echo score=1", &sweep);
    let refused = |words: &[&str], code: i32, told: &str| {
        let output = project.run(words);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {error}");
        assert!(error.contains(told), "{words:?}: {error}");
    };
    let port = facts["PORT"].as_str();
    let user = facts["USER"].as_str();
    let attach = [
        "target",
        "attach",
        "remote",
        "-n",
        "other",
        "-a",
        "127.0.0.1",
        "-u",
        user,
        "--ssh-port",
    ];
    let attach = |port: &str, more: &[&str], code: i32, told: &str| {
        let words: Vec<&str> = attach
            .iter()
            .copied()
            .chain([port])
            .chain(more.iter().copied())
            .collect();
        refused(&words, code, told);
        assert!(!project.path().join(".overdrive/compute/other.yml").exists());
        assert!(!project.config().join("overdrive/secrets/other").exists());
    };
    attach(port, &["-p", "wrong"], 4, "refused the login with the password");
    attach(
        port,
        &[
            "--private-key-file",
            facts["LOCKED"].as_str(),
            "--private-key-passphrase",
            "wrong",
        ],
        4,
        "refused the login",
    );
    attach(
        port,
        &["-p", "x", "--private-key-file", facts["KEY"].as_str()],
        2,
        "both a password and a key",
    );
    attach(
        port,
        &[
            "--private-key-file",
            facts["KEY"].as_str(),
            "--folder",
            "/proc/overdrive",
        ],
        4,
        "--folder",
    );
    attach("1", &by_key, 4, "reach");
    let known = project.config().join("overdrive/known_hosts");
    let keys = fs::read_to_string(&known).unwrap();
    fs::write(&known, "").unwrap();
    attach(port, &by_key, 4, "was never seen: SHA256:");
    refused(&["target", "test", "place"], 4, "");
    // A connection that stands was checked when it was made: only a new one is refused.
    server.ask(&["stop"]);
    server.ask(&["start"]);
    refused(&["run", "hdconfig.yml"], 4, "is not known");
    // Another machine in its place.
    let other = server.folder().join("other");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&other)
        .status();
    assert!(made.unwrap().success());
    let key = fs::read_to_string(other.with_extension("pub")).unwrap();
    let key = key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    fs::write(&known, format!("[127.0.0.1]:{port} {key}\n")).unwrap();
    refused(&["run", "hdconfig.yml"], 4, "is not the one that is known");
    fs::write(&known, keys).unwrap();
    assert_eq!(project.sweep()["trials"]["Completed"], 1);
    let listed = project.json(&["target", "show", "-n", "place", "--json"]);
    assert_eq!(
        (&listed["type"], &listed["remote"]["username"]),
        (&json!("remote"), &json!(user))
    );
    let tested = project.json(&["target", "test", "place", "--json"]);
    let steps: Vec<&str> = tested["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "reach", "host key", "login", "program", "disk", "python", "cores", "gpus", "clock"
        ]
    );
    assert_eq!(tested["ok"], true, "{tested}");
    let shown = project.json(&["ml", "computetarget", "show", "-n", "place"]);
    assert_eq!(shown["properties"]["computeType"], "VirtualMachine");
    assert_eq!(shown["provisioningState"], "Succeeded");
}

/// The server dies with all its sessions in the middle of a sweep: trials run on, and what they said meanwhile is caught up.
fn the_server_goes_and_comes_back(server: &Service, facts: &HashMap<String, String>) {
    let place = place(facts, &["--private-key-file", facts["KEY"].as_str()]);
    let sweep = Sweep {
        values: (0..4).map(|x| json!(x)).collect(),
        ..Sweep::default()
    };
    let project = Project::new(&place, LOGGING, &sweep);
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("two scripts", || project.names_seen().len() >= 2);
    server.ask(&["stop"]);
    std::thread::sleep(Duration::from_secs(2));
    server.ask(&["start"]);
    let output = wait(child);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("cannot be reached") && told.contains("was reached again"),
        "{told}"
    );
    project.nothing_was_lost(4);
}
