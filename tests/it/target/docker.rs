//! Trials in containers, against a real Docker engine and a rootless podman.

use super::project::{Place, Project, Sweep, text, wait};
use super::services::{Service, full};
use serde_json::json;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// This computer, whose trials find the engine behind `variables`.
fn place(variables: Vec<(String, String)>) -> Place {
    Place {
        attach: Vec::new(),
        shared: std::env::temp_dir(),
        user: None,
        variables,
        patience: Duration::from_secs(120),
    }
}

fn of_docker(facts: &HashMap<String, String>) -> Vec<(String, String)> {
    vec![
        ("DOCKER_HOST".into(), facts["DOCKER_HOST"].clone()),
        ("OVERDRIVE_CONTAINER_ENGINE".into(), "docker".into()),
    ]
}

/// What a run configuration says of the container, below `environment`.
fn section(image: &str, more: &str) -> String {
    format!("  docker:\n    enabled: true\n    {image}\n{more}")
}

/// A project whose run configuration asks for a container.
fn project<'a>(place: &'a Place, body: &str, sweep: &Sweep, docker: &str) -> Project<'a> {
    let project = Project::new(place, body, sweep);
    change(&project, |text| text + docker);
    project
}

fn change(project: &Project<'_>, how: impl FnOnce(String) -> String) {
    let file = project.path().join("train.runconfig");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, how(text)).unwrap();
}

fn docker(facts: &HashMap<String, String>, words: &[&str]) -> String {
    let output = Command::new("docker")
        .args(words)
        .env("DOCKER_HOST", &facts["DOCKER_HOST"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn one() -> Sweep {
    Sweep {
        values: vec![json!(1)],
        ..Sweep::default()
    }
}

#[test]
fn trials_in_docker_report_live_are_ended_and_leave_nothing() {
    if !full("target::docker") {
        return;
    }
    let engine = Service::start("docker", "stop");
    let facts = engine.facts();
    let place = place(of_docker(&facts));
    let image = format!("baseImage: {}", facts["IMAGE"]);
    let none_left = || assert_eq!(docker(&facts, &["ps", "-aq"]), "", "no container may be left");
    // Parts that fail by themselves run side by side.
    std::thread::scope(|scope| {
        scope.spawn(|| inside(&place, &image));
        scope.spawn(|| live_and_cancelled(&place, &image));
    });
    std::thread::scope(|scope| {
        scope.spawn(|| ends(&place, &image));
        scope.spawn(|| a_killed_runner_takes_its_container_along(&place, &image, &facts));
    });
    none_left();
    built_once(&place, &facts);
    refused(&place, &facts);
    none_left();
}

/// The script is in the image, with its values as they are, its Python, the stand-in module, outputs and numbers.
fn inside(place: &Place, image: &str) {
    let project = project(
        place,
        "",
        &Sweep {
            values: vec![json!("naïve 'π' $(touch pwned)\nline"), json!("plain")],
            ..Sweep::default()
        },
        &section(image, "    shmSize: 64m\n    arguments: [--hostname, boxed]\n"),
    );
    fs::write(
        project.path().join("train.py"),
        "import os, socket, sys\nfrom azureml.core import Run\nassert socket.gethostname() == 'boxed', socket.gethostname()\n\
         assert not os.path.exists('/work'), 'the machine is seen'\n\
         open('outputs/value', 'w').write(sys.argv[-1])\nRun.get_context().log('score', 4.5)\nprint('size', os.statvfs('/dev/shm').f_blocks)\n",
    )
    .unwrap();
    change(&project, |text| {
        text.replace("script: train.sh", "script: train.py")
    });
    let result = project.sweep();
    assert_eq!(result["trials"]["Completed"], 2, "{result}");
    assert_eq!(result["best"]["value"], 4.5);
    for trial in project.trials() {
        let number = trial["trial"].as_u64().unwrap();
        let folder = project.folder_of(number).join("wd");
        let value = fs::read_to_string(folder.join("outputs/value")).unwrap();
        assert_eq!(value, trial["parameters"]["--x"].as_str().unwrap());
        assert!(!folder.join("pwned").exists());
        let log = text(&project.run(&["logs", &number.to_string()]).stdout);
        assert_eq!(log.trim(), "size 16384", "64 MiB in pages of 4 KiB");
    }
}

/// Numbers are there while the script runs; a cancel reaches it as TERM, and one that does not listen is killed after the grace.
fn live_and_cancelled(place: &Place, image: &str) {
    let body = r#"if [ "$OVERDRIVE_TRIAL" = 0 ]; then trap 'echo stopped > outputs/stopped; exit 3' TERM; else trap '' TERM; fi
echo "score=7"
while :; do sleep 0.2; done"#;
    let sweep = Sweep {
        values: vec![json!(1), json!(2)],
        concurrent: 2,
        ..Sweep::default()
    };
    let project = project(place, body, &sweep, &section(image, ""));
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("their numbers", || {
        let trials = project.trials();
        trials.len() == 2 && trials.iter().all(|trial| trial["reports"] == 1)
    });
    let output = project.run(&["cancel"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = wait(child);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    for trial in project.trials() {
        assert_eq!(trial["state"], "Canceled", "{trial}");
    }
    let told = fs::read_to_string(project.folder_of(0).join("wd/outputs/stopped")).unwrap();
    assert_eq!(told, "stopped\n");
}

/// Exit codes are the script's; too much memory is told as that; a command that is not there is the user's mistake.
fn ends(place: &Place, image: &str) {
    let outcome = |body: &str, docker: &str, extra: &'static str| {
        let sweep = Sweep { extra, ..one() };
        let project = project(place, body, &sweep, docker);
        project.run(&["run", "hdconfig.yml", "--json"]);
        let shown = project.json(&["show", "0", "--json"]);
        shown["items"].as_array().unwrap().last().unwrap()["outcome"].clone()
    };
    let ended = outcome("echo score=1; exit 7", &section(image, ""), "");
    assert_eq!(
        (&ended["class"], &ended["exit_code"]),
        (&json!("script"), &json!(7)),
        "{ended}"
    );
    let hungry = "python3 -c 'x = bytearray(400000000)\nprint(len(x))'";
    let ended = outcome(
        hungry,
        &section(image, "    arguments: [-m, 48m, --memory-swap, 48m]\n"),
        "",
    );
    assert_eq!(ended["class"], "out_of_memory", "{ended}");
    let ended = outcome(
        "echo score=1",
        &section(image, "    arguments: [--no-such-flag]\n"),
        "",
    );
    assert_eq!(ended["class"], "setup", "{ended}");
    assert!(
        ended["message"].as_str().unwrap().contains("--no-such-flag"),
        "{ended}"
    );
}

/// With docker a script is nobody's child: when its runner is killed the guard removes the container, and the trial is tried again.
fn a_killed_runner_takes_its_container_along(place: &Place, image: &str, facts: &HashMap<String, String>) {
    let body = r#"echo score=1
if [ "$OVERDRIVE_ATTEMPT" = 0 ]; then sleep 300; fi
echo score=2"#;
    let project = project(place, body, &one(), &section(image, ""));
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("its number", || {
        project
            .trials()
            .first()
            .is_some_and(|trial| trial["reports"] == 1)
    });
    let claim = fs::read_to_string(project.folder_of(0).join("claim")).unwrap();
    let claim: serde_json::Value = serde_json::from_str(&claim).unwrap();
    let nonce = project.folder_of(0).file_name().unwrap().to_str().unwrap()[2..].to_owned();
    let name = format!("overdrive-{nonce}");
    assert!(docker(facts, &["ps", "--format", "{{.Names}}"]).contains(&name));
    let runner = i32::try_from(claim["pid"].as_i64().unwrap()).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(runner).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    project.until("the end of its container", || {
        !docker(facts, &["ps", "-a", "--format", "{{.Names}}"]).contains(&name)
    });
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 1, "{result}");
    assert_eq!(project.trials()[0]["attempts"], 2);
}

/// An image is built from the files' Dockerfile, and the second sweep finds it.
fn built_once(place: &Place, facts: &HashMap<String, String>) {
    let dockerfile = format!(
        "baseDockerfile: |\n      FROM {}\n      RUN echo made > /made\n      ENV MADE=yes",
        facts["IMAGE"]
    );
    let project = project(
        place,
        "test \"$MADE\" = yes && echo score=$(wc -c < /made)",
        &one(),
        &section(&dockerfile, ""),
    );
    let first = project.run(&["run", "hdconfig.yml", "--json"]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    assert!(
        text(&first.stderr).contains("building the image"),
        "{}",
        text(&first.stderr)
    );
    let again = project.run(&["run", "hdconfig.yml", "--json"]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert!(
        !text(&again.stderr).contains("building"),
        "{}",
        text(&again.stderr)
    );
}

/// An image that nobody has, a Dockerfile that fails, an engine that is down: one clear error each, or a warning and no container.
fn refused(place: &Place, facts: &HashMap<String, String>) {
    let project = |image: &str| {
        project(
            place,
            "echo score=1; test -e /bin/busybox && exit 9; true",
            &one(),
            &section(image, ""),
        )
    };
    let output = project("baseImage: registry.invalid/team/image:1").run(&["run", "hdconfig.yml"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("the image `registry.invalid/team/image:1` cannot be had")
            && told.contains("no-container"),
        "{told}"
    );
    let broken = format!(
        "baseDockerfile: |\n      FROM {}\n      RUN echo why; exit 3",
        facts["IMAGE"]
    );
    let output = project(&broken).run(&["run", "hdconfig.yml"]);
    let told = text(&output.stderr);
    assert!(told.contains("the image could not be built"), "{told}");
    let mut down = Place {
        variables: place.variables.clone(),
        shared: PathBuf::from(&place.shared),
        attach: Vec::new(),
        user: None,
        patience: place.patience,
    };
    down.variables[0].1 = "unix:///nonexistent/docker.sock".into();
    let project = self::project(&down, "echo score=1", &one(), &section("baseImage: any", ""));
    let output = project.run(&["run", "hdconfig.yml"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("run without the container") && told.contains("is left out"),
        "{told}"
    );
}
