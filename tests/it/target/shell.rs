//! Machines on which the program cannot run, against real servers: the shell runner passes the suite, and is told where it is taken.

use super::project::{Place, Project, Sweep, text, wait};
use super::services::{Service, full};
use super::{ssh, suite};
use serde_json::{Value, json};
use std::collections::HashMap;
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
fn the_shell_runner_passes_the_suite() {
    if !full("target::shell") {
        return;
    }
    let server = Service::start("sshd", "gone");
    let facts = server.facts();
    let by_key = ["--private-key-file", facts["KEY"].as_str(), "--slots", "4"];
    // All of it: the stand-in for azureml needs no program there either.
    let place = ssh::place(&facts, &[&by_key[..], &["--runner", "shell"]].concat());
    suite::all(&place);
    what_it_lacks_is_told(&place);
    long_logs_and_many_files(&place);
    the_line_is_cut(&place, &server, &facts);
    a_disk_that_executes_nothing(&facts);
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

/// Output of some megabytes, numbers between, and files of odd and many names come home whole.
fn long_logs_and_many_files(place: &Place) {
    let body = r#"i=0
while [ $i -lt 20 ]; do
  i=$((i + 1)); echo "score=$i"
  head -c 200000 /dev/zero | tr '\0' x | fold -w 99; echo
done
mkdir outputs/many; i=0
while [ $i -lt 300 ]; do i=$((i + 1)); echo $i > "outputs/many/$i"; done
head -c 3000000 /dev/urandom > outputs/noise; cksum < outputs/noise > outputs/sum"#;
    let project = Project::new(place, body, &one());
    assert_eq!(project.sweep()["trials"]["Completed"], 1);
    assert_eq!(project.trials()[0]["reports"], 20);
    let folder = project.folder_of(0);
    let log = fs::read(folder.join("azureml-logs/70_driver_log.txt")).unwrap();
    assert!(log.len() > 4_000_000, "{}", log.len());
    assert_eq!(fs::read_dir(folder.join("wd/outputs/many")).unwrap().count(), 300);
    let sum = Command::new("cksum")
        .stdin(fs::File::open(folder.join("wd/outputs/noise")).unwrap())
        .output()
        .unwrap();
    assert_eq!(
        text(&sum.stdout),
        fs::read_to_string(folder.join("wd/outputs/sum")).unwrap()
    );
    let left: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "nothing of the way stays");
}

/// The server and all its sessions are gone in the middle: trials go on, and nothing is lost or told twice.
fn the_line_is_cut(place: &Place, server: &Service, facts: &HashMap<String, String>) {
    let project = Project::new(place, super::project::LOGGING, &Sweep::default());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("two scripts", || project.names_seen().len() >= 2);
    server.ask(&["stop"]);
    project.until("the end of those that ran", || {
        project.names_seen().iter().all(|name| {
            let written = fs::read_to_string(project.seen().join(name)).unwrap();
            written.lines().count() == 10
        })
    });
    server.ask(&["start"]);
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 3, "{result}");
    project.nothing_was_lost(3);
    let runs = format!("{}/.cache/overdrive/runs", facts["HOME"]);
    project.until("the removal of what is home", || {
        // Models that another sweep registered stay for those that ask for them.
        let left = |sweep: fs::DirEntry| {
            fs::read_dir(sweep.path())
                .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name() != "registry"))
        };
        fs::read_dir(&runs).is_ok_and(|sweeps| !sweeps.flatten().any(left))
    });
}

/// A home that is mounted so that it executes nothing: the program is not even sent there.
fn a_disk_that_executes_nothing(facts: &HashMap<String, String>) {
    struct Mounted(String);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
    let folder = format!("{}/noexec", facts["HOME"]);
    fs::create_dir_all(&folder).unwrap();
    let options = "noexec,size=64m,mode=0777";
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "overdrive-test", &folder])
        .status();
    assert!(mounted.unwrap().success());
    let _mounted = Mounted(folder.clone());
    let place = ssh::place(
        facts,
        &["--private-key-file", facts["KEY"].as_str(), "--folder", &folder],
    );
    let project = Project::new(&place, "echo score=4; echo done > outputs/done", &one());
    let result = project.sweep();
    assert_eq!(result["best"]["value"], 4.0, "{result}");
    assert!(project.folder_of(0).join("wd/outputs/done").exists());
    let tested = project.json(&["target", "test", "place", "--json"]);
    assert!(
        step(&tested, "program").contains("programs may not run in"),
        "{tested}"
    );
    assert_eq!(tested["ok"], true, "{tested}");
    let sent = fs::read_dir(Path::new(&folder).join("bin")).unwrap().count();
    assert_eq!(sent, 0, "nothing was sent that cannot run");
    let words = ["target", "update", "remote", "-n", "place", "--runner", "binary"];
    let updated = project.run(&words);
    assert_eq!(updated.status.code(), Some(0), "{}", text(&updated.stderr));
    let output = project.run(&["run", "hdconfig.yml"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("overdrive does not run there"),
        "{}",
        text(&output.stderr)
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
        ("controller_death", suite::controller_death),
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
