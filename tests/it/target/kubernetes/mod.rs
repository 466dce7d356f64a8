//! A Kubernetes cluster, against a real API server, scheduler and kubelet.

mod pods;

use super::project::{LOGGING, Place, Project, Sweep, text, wait};
use super::services::{Service, full};
use super::suite;
use serde_json::json;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The cluster, with what pods and this test both see.
fn place(cluster: &Service, facts: &HashMap<String, String>, more: &[&str]) -> Place {
    let shared = cluster.folder().join("shared");
    let cache = cluster.folder().join("cache");
    fs::create_dir_all(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    let mut attach: Vec<String> = ["attach", "kubernetes", "--image-pull-policy", "Never"]
        .map(str::to_owned)
        .into();
    if !more.contains(&"--image") {
        attach.extend(["--image".into(), facts["IMAGE"].clone()]);
    }
    attach.extend(["--volume".into(), format!("host:{0}:{0}", shared.display())]);
    attach.extend(["--cache".into(), format!("host:{}", cache.display())]);
    attach.extend(more.iter().map(|word| (*word).to_owned()));
    Place {
        attach,
        shared,
        user: None,
        variables: vec![("KUBECONFIG".into(), facts["KUBECONFIG"].clone())],
        patience: Duration::from_secs(120),
    }
}

fn kubectl(facts: &HashMap<String, String>, words: &[&str]) -> String {
    let output = Command::new("kubectl")
        .args(words)
        .env("KUBECONFIG", &facts["KUBECONFIG"])
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
fn a_cluster_passes_the_suite_and_what_kubernetes_adds() {
    if !full("target::kubernetes") {
        return;
    }
    let cluster = Service::start("kubernetes", "stop");
    let facts = cluster.facts();
    suite::all(&place(&cluster, &facts, &["--memory", "128Mi", "--cpus", "50m"]));
    std::thread::scope(|scope| {
        scope.spawn(|| pods_that_end(&cluster, &facts));
        scope.spawn(|| pods_that_never_start(&cluster, &facts));
        scope.spawn(|| killed_before_its_job_was_made(&cluster, &facts));
    });
    workers(&cluster, &facts);
    pods::what_pods_ask_for(&cluster, &facts);
    pods::a_pool_of_pods(&cluster, &facts);
    pods::taken_away(&cluster, &facts);
    rights(&cluster, &facts);
    // Nothing is left when nobody leads a sweep.
    let place = place(&cluster, &facts, &[]);
    let project = Project::new(&place, "echo score=1", &one());
    project.until("the end of all jobs", || {
        kubectl(&facts, &["get", "jobs", "-o", "name"]).is_empty()
    });
    the_node_dies(&cluster, &facts);
}

/// Too much memory is told as that; a pod that is deleted under its trial costs one attempt.
fn pods_that_end(cluster: &Service, facts: &HashMap<String, String>) {
    let place = place(cluster, facts, &["--memory", "96Mi"]);
    let hungry = "python3 -c 'x = bytearray(600000000)\nprint(len(x))'";
    let project = Project::new(&place, hungry, &one());
    project.run(&["run", "hdconfig.yml", "--json"]);
    let shown = project.json(&["show", "0", "--json"]);
    let outcome = &shown["items"].as_array().unwrap().last().unwrap()["outcome"];
    assert_eq!(outcome["class"], "out_of_memory", "{outcome}");

    let body = r#"echo "score=1"
if [ "$OVERDRIVE_ATTEMPT" = 0 ]; then touch "$SEEN/first"; sleep 300; fi
echo "score=2""#;
    let project = Project::new(&place, body, &one());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("the script", || project.seen().join("first").exists());
    let job = fs::read_to_string(project.folder_of(0).join("machine")).unwrap();
    let selector = format!("job-name={job}");
    kubectl(
        facts,
        &["delete", "pod", "-l", &selector, "--grace-period=0", "--force"],
    );
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 1, "{result}");
    let shown = project.json(&["show", "0", "--json"]);
    assert_eq!(shown["items"].as_array().unwrap().len(), 2, "{shown}");
    assert_eq!(shown["reports"], 2, "{shown}");
}

/// An attempt that is bound to a job which was not asked for when the controller was killed: the next one asks for it, and it is no new attempt.
fn killed_before_its_job_was_made(cluster: &Service, facts: &HashMap<String, String>) {
    let mut place = place(cluster, facts, &["--memory", "96Mi"]);
    let tools = tempfile::tempdir().unwrap();
    let known = Command::new("sh")
        .args(["-c", "command -v kubectl"])
        .output()
        .unwrap();
    let wrapper = tools.path().join("kubectl");
    // The first job is let through, a second one never.
    fs::write(
        &wrapper,
        format!(
            "#!/bin/sh\ncd {folder}\ncase \" $* \" in *\" -o name -f \"*) mkdir first 2>/dev/null || {{ echo $$ > new; mv new held; exec sleep 600; }};; esac\nexec {kubectl} \"$@\"\n",
            folder = tools.path().display(),
            kubectl = text(&known.stdout).trim(),
        ),
    )
    .unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    place
        .variables
        .push(("PATH".into(), format!("{}:{path}", tools.path().display())));
    let sweep = Sweep {
        values: (0..2).map(|x| json!(x)).collect(),
        ..Sweep::default()
    };
    let project = Project::new(&place, LOGGING, &sweep);
    let mut child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("an attempt without a job", || {
        let bound = |trial: &serde_json::Value| {
            trial["trial"] == 1
                && PathBuf::from(trial["folder"].as_str().unwrap())
                    .join("machine")
                    .exists()
        };
        tools.path().join("held").exists() && project.trials().iter().any(bound)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    // The next one finds the real one.
    let held = fs::read_to_string(tools.path().join("held")).unwrap();
    let held = rustix::process::Pid::from_raw(held.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(held, rustix::process::Signal::KILL).unwrap();
    fs::remove_file(&wrapper).unwrap();
    let result = project.ends(project.start(&["resume", "--json"]));
    assert_eq!(result["trials"]["Completed"], 2, "{result}");
    for trial in project.trials() {
        assert_eq!(trial["attempts"], 1, "{trial}");
    }
    project.nothing_was_lost(2);
}

/// An image that nobody has and a pod that fits no node: the sweep ends with the cluster's words and starts nothing.
fn pods_that_never_start(cluster: &Service, facts: &HashMap<String, String>) {
    let refused = |more: &[&str], told: &str| {
        let place = place(cluster, facts, more);
        let project = Project::new(&place, "echo score=1", &one());
        let output = project.run(&["run", "hdconfig.yml"]);
        let words = text(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{words}");
        assert!(words.contains(told), "{words}");
    };
    refused(&["--image", "registry.invalid/none:1"], "ErrImageNeverPull");
    refused(&["--cpus", "900", "--start-minutes", "0"], "Insufficient cpu");
}

/// A pod that takes one trial after the other: fewer pods than trials, and each trial once.
fn workers(cluster: &Service, facts: &HashMap<String, String>) {
    let place = place(
        cluster,
        facts,
        &["--workers", "--slots", "2", "--idle-seconds", "2"],
    );
    let sweep = Sweep {
        values: (0..8).map(|x| json!(x)).collect(),
        ..Sweep::default()
    };
    let project = Project::new(
        &place,
        "hostname >> \"$SEEN/hosts\"; echo score=$OVERDRIVE_TRIAL",
        &sweep,
    );
    let result = project.sweep();
    assert_eq!(result["trials"]["Completed"], 8, "{result}");
    let hosts = fs::read_to_string(project.seen().join("hosts")).unwrap();
    assert_eq!(hosts.lines().count(), 8, "{hosts}");
    let pods: std::collections::BTreeSet<&str> = hosts.lines().collect();
    assert!(pods.len() <= 3, "{pods:?}");
}

/// A user without rights is told which are missing; one with them sees each step.
fn rights(cluster: &Service, facts: &HashMap<String, String>) {
    let place = place(cluster, facts, &[]);
    let project = Project::new(&place, "echo score=1", &one());
    let tested = project.json(&["target", "test", "place", "--json"]);
    assert_eq!(tested["ok"], true, "{tested}");
    let steps: Vec<&str> = tested["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["kubectl", "reach", "rights", "nodes"]);
    let guest = |words: &[&str]| {
        let output = project
            .command()
            .args(words)
            .env("KUBECONFIG", &facts["GUEST"])
            .output()
            .unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, told) = guest(&["target", "test", "place"]);
    assert_eq!(code, Some(4), "{told}");
    assert!(
        told.contains("create jobs") && told.contains("create pods/exec"),
        "{told}"
    );
    let (code, told) = guest(&["run", "hdconfig.yml"]);
    assert_eq!(code, Some(4), "{told}");
    assert!(
        told.contains("does not permit it") && told.contains("guest"),
        "{told}"
    );
    let nobody = project
        .command()
        .args(["run", "hdconfig.yml"])
        .env("KUBECONFIG", PathBuf::from("/nonexistent"))
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(4), "{}", text(&nobody.stderr));
}

/// The node loses power in the middle of a sweep: its trials are tried again once it is back and says so.
fn the_node_dies(cluster: &Service, facts: &HashMap<String, String>) {
    let place = place(cluster, facts, &["--cpus", "50m"]);
    let sweep = Sweep {
        values: (0..2).map(|x| json!(x)).collect(),
        ..Sweep::default()
    };
    let project = Project::new(&place, LOGGING, &sweep);
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("two scripts", || project.names_seen().len() >= 2);
    cluster.ask(&["node", "kill"]);
    cluster.ask(&["node", "start"]);
    let output = wait(child);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for trial in project.trials() {
        assert_eq!(trial["state"], "Completed", "{trial}");
        assert_eq!(trial["reports"], 10, "{trial}");
    }
}
