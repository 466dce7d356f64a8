//! Several machines by SSH in networks of their own: lines that are cut, lossy or slow, machines that lose power, servers with few sessions.

use super::project::{LOGGING, Place, Project, Sweep, text, wait};
use super::services::{Service, full};
use serde_json::json;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One of the machines; each keeps its things in a folder of its own, since they share their files.
fn place(facts: &HashMap<String, String>, host: &str, more: &[&str]) -> Place {
    let root = format!("{}/{host}", facts["HOME"]);
    let mut attach: Vec<String> = ["attach", "remote", "--accept-host-key", "--slots", "4"]
        .map(str::to_owned)
        .into();
    for (flag, value) in [
        ("-a", facts[&host.to_uppercase()].as_str()),
        ("-u", &facts["USER"]),
        ("--private-key-file", &facts["KEY"]),
        ("--folder", &root),
    ] {
        attach.extend([flag.to_owned(), value.to_owned()]);
    }
    attach.extend(more.iter().map(|word| (*word).to_owned()));
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
        patience: Duration::from_secs(100),
    }
}

fn some(values: u64) -> Sweep {
    Sweep {
        values: (0..values).map(|x| json!(x)).collect(),
        ..Sweep::default()
    }
}

/// How often somebody has logged in to a machine.
fn logins(hosts: &Service, host: &str) -> usize {
    let log = fs::read_to_string(hosts.folder().join(format!("{host}.log"))).unwrap();
    log.matches("Accepted publickey").count()
}

#[test]
fn machines_in_networks_of_their_own() {
    if !full("target::hosts") {
        return;
    }
    let hosts = Service::start_with(
        "netns",
        "stop",
        &[("NETNS_COUNT", "3"), ("NETNS_MAX_SESSIONS", "2")],
    );
    let facts = hosts.facts();
    // Each has a machine of its own.
    let parts: [&(dyn Fn() + Sync); 3] = [
        &|| a_line_is_cut_and_nobody_told(&hosts, &facts),
        &|| a_machine_loses_power(&hosts, &facts),
        &|| {
            few_sessions_and_few_connections(&hosts, &facts);
            a_bad_line(&hosts, &facts);
            what_stayed_is_pruned(&facts);
            a_home_that_cannot_be_written(&facts);
        },
    ];
    std::thread::scope(|scope| {
        for part in parts {
            scope.spawn(part);
        }
    });
}

/// Packets vanish without a word: trials go on to their end, the line is given up and made anew, the journal is caught up.
fn a_line_is_cut_and_nobody_told(hosts: &Service, facts: &HashMap<String, String>) {
    let place = place(facts, "h1", &[]);
    let project = Project::new(&place, LOGGING, &some(4));
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("two scripts", || project.names_seen().len() >= 2);
    hosts.ask(&["cut", "h1"]);
    // On a machine that nobody reaches they come to their end.
    project.until("the end of those that ran", || {
        project.names_seen().iter().all(|name| {
            let written = fs::read_to_string(project.seen().join(name)).unwrap();
            written.lines().count() == 10
        })
    });
    project.until("the controller's doubt", || project.are("NotResponding", 2));
    hosts.ask(&["heal", "h1"]);
    let output = wait(child);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("cannot be reached") && told.contains("was reached again"),
        "{told}"
    );
    project.nothing_was_lost(4);
    for trial in project.trials() {
        assert_eq!(trial["attempts"], 1, "{trial}");
    }
}

/// A machine that lost power took its trials along: they are tried again once it is back, and what is counted is one attempt each.
fn a_machine_loses_power(hosts: &Service, facts: &HashMap<String, String>) {
    let place = place(facts, "h2", &[]);
    let body = r#"echo "score=1"
: > "$SEEN/$OVERDRIVE_TRIAL-$OVERDRIVE_ATTEMPT"
[ "$OVERDRIVE_ATTEMPT" -gt 0 ] || [ "$OVERDRIVE_TRIAL" -gt 1 ] || sleep 300
echo "score=2""#;
    let project = Project::new(&place, body, &some(3));
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("two scripts", || project.names_seen().len() >= 2);
    hosts.ask(&["kill", "h2"]);
    hosts.ask(&["boot", "h2"]);
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 3, "{result}");
    assert_eq!(project.names_seen(), ["0-0", "0-1", "1-0", "1-1", "2-0"]);
    for trial in project.trials() {
        assert_eq!(trial["reports"], 2, "{trial}");
    }
}

/// One connection serves a sweep after the other; a server that allows two sessions on it does not keep three sweeps from running.
fn few_sessions_and_few_connections(hosts: &Service, facts: &HashMap<String, String>) {
    let place = place(facts, "h3", &[]);
    let projects = [0, 1, 2].map(|_| Project::new(&place, LOGGING, &some(2)));
    let first = &projects[0];
    assert_eq!(first.sweep()["trials"]["Completed"], 2);
    let before = logins(hosts, "h3");
    assert_eq!(first.sweep()["trials"]["Completed"], 2);
    let more = logins(hosts, "h3") - before;
    assert!(more <= 1, "{more} connections more for a second sweep");
    for name in first.names_seen() {
        fs::remove_file(first.seen().join(name)).unwrap();
    }
    let children: Vec<_> = projects
        .iter()
        .map(|project| project.start(&["run", "hdconfig.yml", "--json"]))
        .collect();
    for (project, child) in projects.iter().zip(children) {
        assert_eq!(project.ends(child)["trials"]["Completed"], 2);
        project.nothing_was_lost(2);
    }
}

/// A tenth of the packets is lost and the rest is slow.
fn a_bad_line(hosts: &Service, facts: &HashMap<String, String>) {
    let place = place(facts, "h3", &[]);
    let body =
        format!("head -c 200000 /dev/urandom > outputs/noise; cp outputs/noise \"$SEEN/noise\"\n{LOGGING}");
    let project = Project::new(&place, &body, &some(2));
    hosts.ask(&["rate", "h3", "8mbit"]);
    hosts.ask(&["lose", "h3", "10"]);
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    let result = project.ends(child);
    hosts.ask(&["heal", "h3"]);
    assert_eq!(result["trials"]["Completed"], 2, "{result}");
    let last = fs::read(project.seen().join("noise")).unwrap();
    let kept = |trial| fs::read(project.folder_of(trial).join("wd/outputs/noise")).unwrap();
    assert!(kept(0) == last || kept(1) == last, "outputs are whole");
    fs::remove_file(project.seen().join("noise")).unwrap();
    project.nothing_was_lost(2);
}

/// What a sweep left on a machine goes when somebody says so, and what is in use does not.
fn what_stayed_is_pruned(facts: &HashMap<String, String>) {
    let place = place(facts, "h3", &[]);
    let body = "echo score=1; : > \"$SEEN/up\"; while [ ! -e \"$SEEN/go\" ]; do sleep 0.1; done";
    let project = Project::new(&place, body, &some(1));
    let root = PathBuf::from(format!("{}/h3", facts["HOME"]));
    // As a line that broke when the end was said leaves it.
    let left = root.join("runs/HD_gone/0/0-abcd");
    fs::create_dir_all(&left).unwrap();
    fs::write(
        left.join("claim"),
        r#"{"host":"x","boot_id":"y","pid":0,"start_ticks":0,"nonce":"abcd"}"#,
    )
    .unwrap();
    fs::write(left.join("big"), vec![0; 3 << 20]).unwrap();
    let owned = Command::new("chown")
        .arg("-R")
        .arg(&facts["USER"])
        .arg(root.join("runs/HD_gone"))
        .status()
        .unwrap();
    assert!(owned.success());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("the script", || project.seen().join("up").exists());
    let words = ["target", "prune", "place", "--json"];
    let young = project.json(&words);
    assert_eq!(
        (&young["attempts"], &young["bytes"]),
        (&json!(0), &json!(0)),
        "{young}"
    );
    let all = [&words[..], &["--older-than", "0"]].concat();
    let dry = project.json(&[&all[..], &["--dry-run"]].concat());
    assert_eq!(dry["attempts"], 1, "{dry}");
    assert!(left.exists());
    let done = project.json(&all);
    assert_eq!(done["attempts"], 1, "{done}");
    assert!(done["bytes"].as_u64().unwrap() >= 3 << 20, "{done}");
    assert!(!root.join("runs/HD_gone").exists());
    fs::write(project.seen().join("go"), "").unwrap();
    assert_eq!(project.ends(child)["trials"]["Completed"], 1);
}

/// Nothing can be kept in the home: that is said, with what helps; another folder does.
fn a_home_that_cannot_be_written(facts: &HashMap<String, String>) {
    let place = place(facts, "h3", &[]);
    let other = format!("{}/h3", facts["HOME"]);
    let home = Path::new(&facts["HOME"]);
    let owner = |name: &str| {
        assert!(
            Command::new("chown")
                .arg(name)
                .arg(home)
                .status()
                .unwrap()
                .success()
        );
    };
    let project = Project::new(&place, "echo score=1", &some(1));
    owner("root");
    // What earlier trials made there could be written still.
    let _ = fs::remove_dir_all(home.join(".cache"));
    fs::set_permissions(home, fs::Permissions::from_mode(0o755)).unwrap();
    let mut attach: Vec<&str> = place.attach.iter().map(String::as_str).collect();
    let at = attach.iter().position(|word| *word == "--folder").unwrap();
    attach.drain(at..at + 2);
    let mut words = vec!["target"];
    words.extend(attach);
    words.extend(["-n", "other"]);
    let output = project.run(&words);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let tested = project.json(&["target", "test", "other", "--json"]);
    let program = tested["steps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["step"] == "program");
    assert!(
        program.is_some_and(|step| step.to_string().contains("/var/tmp/overdrive-")
            && step.to_string().contains("cannot be written")),
        "{tested}"
    );
    let output = project.run(&["run", "hdconfig.yml", "--json", "--target", "other"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = project.run(&["target", "detach", "-n", "other"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    words.extend(["--folder", &other]);
    let output = project.run(&words);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(project.sweep()["trials"]["Completed"], 1);
    owner(&facts["USER"]);
}
