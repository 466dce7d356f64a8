//! Ray, against a real cluster on this machine.

use super::project::{LOGGING, Place, Project, Sweep, text, wait};
use super::services::{Service, full};
use super::suite;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

fn place(cluster: &Service, more: &[&str]) -> Place {
    let facts = cluster.facts();
    let mut attach = vec!["attach", "ray", "--dashboard", &facts["ADDRESS"]];
    attach.extend(["--token-file", &facts["TOKEN"], "--poll-seconds", "1"]);
    attach.extend(more);
    Place {
        attach: attach.into_iter().map(str::to_owned).collect(),
        shared: std::env::temp_dir(),
        user: None,
        variables: Vec::new(),
        patience: Duration::from_secs(120),
    }
}

/// What the Jobs API answers.
fn ask(cluster: &Service, method: &str, path: &str) -> Value {
    let facts = cluster.facts();
    let token = fs::read_to_string(&facts["TOKEN"]).unwrap();
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "60", "--request", method])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .arg(format!("{}{path}", facts["ADDRESS"]))
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{path}: {error}: {}", text(&output.stdout)))
}

/// Submission id of the latest attempt of a trial.
fn job(project: &Project<'_>, trial: u64) -> String {
    let folder = project.folder_of(trial);
    format!("od-{trial}-{}", folder.file_name().unwrap().to_str().unwrap())
}

fn one() -> Sweep {
    Sweep {
        values: vec![json!(1)],
        ..Sweep::default()
    }
}

#[test]
fn a_cluster_passes_the_suite_and_what_ray_adds() {
    if !full("target::ray") {
        return;
    }
    let cluster = Service::start("ray", "stop");
    let by_job = place(&cluster, &[]);
    let by_task = place(&cluster, &["--workers", "--cpus", "0.5"]);
    let parts: [(&str, &(dyn Fn() + Sync)); 9] = [
        ("tasks", &|| suite::all(&by_task)),
        ("jobs: whole", &|| suite::whole(&by_job)),
        ("jobs: controller_death", &|| suite::controller_death(&by_job)),
        ("jobs: runner_death", &|| suite::runner_death(&by_job)),
        ("many_short_trials", &|| many_short_trials(&by_task)),
        ("stopped_by_somebody", &|| stopped_by_somebody(&cluster)),
        ("waiting_for_resources", &|| waiting_for_resources(&cluster)),
        ("by_another_machine", &|| by_another_machine(&cluster)),
        ("refusals", &|| refusals(&cluster)),
    ];
    for pair in parts.chunks(2) {
        std::thread::scope(|scope| {
            for (name, part) in pair {
                scope.spawn(move || {
                    let begun = Instant::now();
                    part();
                    println!("ray, {name}: {:.1} s", begun.elapsed().as_secs_f64());
                });
            }
        });
    }
    dashboards_hang_and_nodes_die(&cluster);
}

/// One driver is enough for many short trials, and leaves nothing behind.
fn many_short_trials(place: &Place) {
    let sweep = Sweep {
        values: (0..60).map(|x| json!(x)).collect(),
        concurrent: 8,
        ..Sweep::default()
    };
    let project = Project::new(place, "echo \"score=$2\"", &sweep);
    let begun = Instant::now();
    let result = project.sweep();
    println!("60 trials as tasks: {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(result["trials"]["Completed"], 60, "{result}");
    let queues = project.path().join(".overdrive/ray");
    let sweep = fs::read_dir(queues).unwrap().next().unwrap().unwrap().path();
    for left in ["queue", "taken"] {
        assert_eq!(fs::read_dir(sweep.join(left)).unwrap().count(), 0, "{left}");
    }
}

/// A job that somebody stops in the dashboard is a canceled trial, and is not started again.
fn stopped_by_somebody(cluster: &Service) {
    let place = place(cluster, &[]);
    let project = Project::new(&place, "echo score=1; exec sleep 300", &one());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("its number", || {
        project
            .trials()
            .first()
            .is_some_and(|trial| trial["reports"] == 1)
    });
    let stopped = ask(cluster, "POST", &format!("/api/jobs/{}/stop", job(&project, 0)));
    assert_eq!(stopped["stopped"], true, "{stopped}");
    wait(child);
    let trial = &project.trials()[0];
    assert_eq!(trial["state"], "Canceled", "{trial}");
    assert_eq!(trial["attempts"], 1, "{trial}");
}

/// A job that does not fit waits, and one that is canceled while it waits never runs. (Ray keeps a waiting job waiting when it is told to
/// stop it; its runner would find the claim.)
fn waiting_for_resources(cluster: &Service) {
    let place = place(cluster, &["--resource", "second=101", "--no-wait"]);
    let project = Project::new(&place, "touch \"$SEEN/ran\"; echo score=1", &one());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("its job", || {
        !project.trials().is_empty()
            && ask(cluster, "GET", "/api/jobs/")
                .as_array()
                .unwrap()
                .iter()
                .any(|known| known["submission_id"] == job(&project, 0).as_str())
    });
    let output = project.run(&["cancel"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    wait(child);
    assert_eq!(project.trials()[0]["state"], "Canceled");
    assert!(!project.seen().join("ran").exists());
}

/// Jobs are submitted from another machine; its folder is what the nodes see. The way there is a program in the place of `ssh`, since
/// what matters here is what happens at its end.
fn by_another_machine(cluster: &Service) {
    let bin = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let fake = bin.path().join("ssh");
    fs::write(
        &fake,
        format!(
            "#!/bin/sh\nfor last; do :; done\nexport HOME='{}'\nunset XDG_CACHE_HOME\ncd; exec sh -c \"$last\"\n",
            home.path().display()
        ),
    )
    .unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let mut place = place(
        cluster,
        &["--workers", "--cpus", "0.5", "--address", "head", "--no-wait"],
    );
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    place.variables.push(("PATH".into(), path));
    suite::controller_death(&place);
    let left = home.path().join(".cache/overdrive/runs");
    // The agent is told last, and the command does not wait for what it does then.
    let begun = Instant::now();
    while fs::read_dir(&left).map(Iterator::count).unwrap_or(0) > 0 {
        assert!(begun.elapsed() < place.patience, "what is home stays there");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What cannot be is told before anything is attached.
fn refusals(cluster: &Service) {
    let place = place(cluster, &[]);
    let project = Project::new(&place, "echo score=1", &one());
    let address = cluster.facts()["ADDRESS"].clone();
    let output = project.run(&["target", "attach", "ray", "-n", "other", "--dashboard", &address]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("asks for a token"),
        "{}",
        text(&output.stderr)
    );
    assert!(!project.path().join(".overdrive/compute/other.yml").exists());
    let output = project.run(&[
        "target",
        "attach",
        "ray",
        "-n",
        "other",
        "--dashboard",
        "ray://head:10001",
    ]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let output = project.run(&["target", "test", "place", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(
        told.contains("2 alive, 8 cores") && told.contains("is seen on"),
        "{told}"
    );
    let file = fs::read_to_string(project.path().join(".overdrive/compute/place.yml")).unwrap();
    let token = fs::read_to_string(&cluster.facts()["TOKEN"]).unwrap();
    assert!(!file.contains(token.trim()), "{file}");
}

/// The dashboard does not answer for a while, and a node loses power: what ran there is tried again, once, whoever started it.
fn dashboards_hang_and_nodes_die(cluster: &Service) {
    let body = r#"echo "$OVERDRIVE_ATTEMPT" >> "$SEEN/ran"; echo score=1; [ "$OVERDRIVE_ATTEMPT" -gt 0 ] || sleep 300"#;
    let places = [
        place(cluster, &["--resource", "second=1"]),
        place(cluster, &["--resource", "second=1", "--workers"]),
    ];
    let projects = places.each_ref().map(|place| Project::new(place, body, &one()));
    let children = projects
        .each_ref()
        .map(|project| project.start(&["run", "hdconfig.yml", "--json"]));
    for project in &projects {
        project.until("the script", || project.seen().join("ran").exists());
    }
    cluster.ask(&["dashboard", "stop"]);
    let by_head = place(cluster, &["--no-wait"]);
    let waiting = Project::new(&by_head, LOGGING, &one());
    let late = waiting.start(&["run", "hdconfig.yml", "--json"]);
    std::thread::sleep(Duration::from_secs(3));
    cluster.ask(&["node", "kill"]);
    cluster.ask(&["dashboard", "go"]);
    cluster.ask(&["node", "start"]);
    for (project, child) in projects.iter().zip(children) {
        let result = project.ends(child);
        assert_eq!(result["trials"]["Completed"], 1, "{result}");
        // An attempt that Ray still sent to the dead node began nowhere.
        let ran = fs::read_to_string(project.seen().join("ran")).unwrap();
        let ran: Vec<u32> = ran.lines().map(|line| line.parse().unwrap()).collect();
        assert!(ran.len() == 2 && ran[0] == 0 && ran[1] > 0, "{ran:?}");
    }
    let result = waiting.ends(late);
    assert_eq!(result["trials"]["Completed"], 1, "{result}");
    waiting.nothing_was_lost(1);
}
