//! Azure Batch, against a protocol double that the official client is content with.

use super::project::{LOGGING, Place, Project, Sweep, text, wait};
use super::services::{Service, full};
use super::suite;
use crate::channel::venv;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The pool of the double, reached with the account's key.
fn place(facts: &HashMap<String, String>, more: &[&str]) -> Place {
    let mut attach: Vec<String> = [
        "attach",
        "batch",
        "--account-url",
        &facts["URL"],
        "--account",
        &facts["ACCOUNT"],
        "--secret-env",
        "OVERDRIVE_TEST_KEY",
        "--container",
        &facts["CONTAINER"],
        "--container-secret-env",
        "OVERDRIVE_TEST_SIGNATURE",
        "--pool",
        &facts["POOL"],
    ]
    .map(str::to_owned)
    .into();
    attach.extend(more.iter().map(|word| (*word).to_owned()));
    let variable = |name: &str, fact: &str| (name.to_owned(), facts[fact].clone());
    Place {
        attach,
        shared: std::env::temp_dir(),
        user: None,
        variables: vec![
            variable("OVERDRIVE_TEST_KEY", "KEY"),
            variable("OVERDRIVE_TEST_SIGNATURE", "SIGNATURE"),
            variable("OVERDRIVE_TEST_TOKEN", "TOKEN"),
        ],
        patience: Duration::from_secs(60),
    }
}

/// What a control of the double answers.
fn control(facts: &HashMap<String, String>, what: &str) -> String {
    let mut answer = ureq_get(&format!("{}/_control/{what}", facts["URL"]));
    if answer.is_empty() {
        answer = "null".into();
    }
    answer
}

fn ureq_get(address: &str) -> String {
    let rest = address.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{address}: {head}");
    body.to_owned()
}

fn one() -> Sweep {
    Sweep {
        values: vec![json!(1)],
        ..Sweep::default()
    }
}

/// Before the double may say anything about overdrive, it must be what the official client expects.
#[test]
fn the_double_is_one_that_the_official_client_is_content_with() {
    if !full("target::batch") {
        return;
    }
    let python = venv::with(
        "azure-batch",
        &["azure-batch==15.1.0", "azure-storage-blob==12.31.1"],
    );
    let double = Service::start("batch", "stop");
    let facts = double.facts();
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/azure_batch_client.py"))
        .args(["URL", "ACCOUNT", "KEY", "CONTAINER", "SIGNATURE"].map(|fact| facts[fact].as_str()))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

#[test]
fn a_pool_of_batch_passes_the_suite_and_what_batch_adds() {
    if !full("target::batch") {
        return;
    }
    let double = Service::start("batch", "stop");
    let facts = double.facts();
    let pool = place(&facts, &[]);
    suite::all(&pool);
    // Each sets the double to something: one after the other.
    busy_and_lost_answers(&pool, &facts);
    a_node_is_lost(&pool, &facts);
    a_cancel_before_the_start(&facts);
    few_bytes_the_second_time(&pool, &facts);
    refusals(&facts);
    a_pool_is_made(&facts);
    // Nothing is left behind: no job, no blob of a task.
    let left = fs::read_dir(double.folder().join("container/overdrive/tasks")).unwrap();
    let left: usize = left
        .map(|job| {
            let tasks = fs::read_dir(job.unwrap().path()).unwrap();
            tasks
                .map(|task| fs::read_dir(task.unwrap().path()).unwrap().count())
                .sum::<usize>()
        })
        .sum();
    let kept_claims = 2;
    assert!(left <= kept_claims, "{left} blobs of tasks are left");
}

/// A service that has no time, and answers that get lost after the deed, neither lose nor double anything.
fn busy_and_lost_answers(pool: &Place, facts: &HashMap<String, String>) {
    let sweep = Sweep {
        values: (0..4).map(|x| json!(x)).collect(),
        ..Sweep::default()
    };
    let project = Project::new(pool, LOGGING, &sweep);
    control(facts, "deaf?n=2&path=/addtaskcollection");
    control(facts, "deaf?n=2&path=/claim");
    control(facts, "busy?n=2");
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("a script", || !project.names_seen().is_empty());
    // Longer than it is tried again at once.
    control(facts, "busy?n=8");
    let output = wait(child);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    project.nothing_was_lost(4);
    for trial in project.trials() {
        assert_eq!(trial["attempts"], 1, "{trial}");
    }
    assert!(
        told.contains("ServerBusy") && told.contains("was reached again"),
        "{told}"
    );
}

/// Batch starts the task of a lost node again; that life executes nothing, and the trial is tried again as overdrive decides.
fn a_node_is_lost(pool: &Place, facts: &HashMap<String, String>) {
    let body = r#"echo "$AZ_BATCH_NODE_ID" > "$SEEN/$$.new"; mv "$SEEN/$$.new" "$SEEN/$$"
echo "score=1"
if [ "$(ls "$SEEN" | wc -l)" -lt 2 ]; then sleep 300; fi
echo "score=2""#;
    let project = Project::new(pool, body, &one());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("the script", || project.names_seen().len() == 1);
    project.until("its number", || {
        project
            .trials()
            .first()
            .is_some_and(|trial| trial["reports"] == 1)
    });
    let name = project.names_seen().remove(0);
    let node = fs::read_to_string(project.seen().join(name)).unwrap();
    control(facts, &format!("lose-node?id={}", node.trim()));
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 1, "{result}");
    assert_eq!(project.names_seen().len(), 2, "each attempt was executed once");
    let shown = project.json(&["show", "0", "--json"]);
    let attempts = shown["items"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{shown}");
    assert_eq!(attempts[0]["outcome"]["class"], "infrastructure", "{shown}");
    assert!(
        shown.to_string().contains("Batch started its task again"),
        "{shown}"
    );
}

/// A task that waits for a node is never executed once its trial is cancelled.
fn a_cancel_before_the_start(facts: &HashMap<String, String>) {
    let crowded = place(facts, &["--required-slots", "4"]);
    let sweep = Sweep {
        values: (0..3).map(|x| json!(x)).collect(),
        concurrent: 3,
        ..Sweep::default()
    };
    // Two nodes of four slots: the third trial waits.
    let project = Project::new(
        &crowded,
        ": > \"$SEEN/$OVERDRIVE_TRIAL\"; echo score=1; sleep 300",
        &sweep,
    );
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("two scripts", || project.names_seen().len() == 2);
    let output = project.run(&["cancel"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = wait(child);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    for trial in project.trials() {
        assert_eq!(trial["state"], "Canceled", "{trial}");
    }
    assert_eq!(project.names_seen().len(), 2, "the one that waited never began");
}

/// A second sweep after a change of one line sends that file, and hardly anything else.
fn few_bytes_the_second_time(pool: &Place, facts: &HashMap<String, String>) {
    let project = Project::new(pool, "cat big.bin | wc -c; echo score=1", &one());
    // What no compression makes small.
    let noise: Vec<u8> = (0..200_000_u32)
        .flat_map(|x| x.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    fs::write(project.path().join("big.bin"), noise).unwrap();
    let sent = || {
        let counts: Value = serde_json::from_str(&control(facts, "counts")).unwrap();
        counts["blob bytes"].as_u64().unwrap()
    };
    let before = sent();
    assert_eq!(project.sweep()["trials"]["Completed"], 1);
    let first = sent() - before;
    assert!(first > 800_000, "{first}");
    project.script("cat big.bin | wc -c; echo score=2");
    assert_eq!(project.sweep()["trials"]["Completed"], 1);
    let second = sent() - before - first;
    println!("bytes sent to the container: {first}, after a change of one line {second}");
    assert!(second * 20 < first, "{second} of {first}");
}

/// Wrong keys, pools and containers: one clear error each, before anything runs.
fn refusals(facts: &HashMap<String, String>) {
    let good = place(facts, &[]);
    let project = Project::new(&good, "echo score=1", &one());
    let refused = |change: &dyn Fn(&mut Vec<String>), code: i32, told: &str| {
        let mut words: Vec<String> = ["target"].map(str::to_owned).into();
        words.extend(good.attach.clone());
        words.extend(["-n", "other"].map(str::to_owned));
        change(&mut words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = project.run(&words);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {error}");
        assert!(error.contains(told), "{words:?}: {error}");
        for secret in ["KEY", "SIGNATURE", "TOKEN"] {
            assert!(!error.contains(&facts[secret]), "{error}");
        }
    };
    let set = |flag: &'static str, value: &str| {
        let value = value.to_owned();
        move |words: &mut Vec<String>| {
            let at = words.iter().position(|word| word == flag).unwrap();
            words[at + 1].clone_from(&value);
        }
    };
    refused(&set("--secret-env", "OVERDRIVE_TEST_SIGNATURE"), 4, "not base64");
    refused(&set("--account", "somebody"), 4, "AuthenticationFailed");
    refused(&set("--pool", "nothing"), 4, "PoolNotFound");
    refused(
        &set("--container-secret-env", "OVERDRIVE_TEST_KEY"),
        4,
        "container: AuthenticationFailed",
    );
    refused(&set("--account-url", "http://batch.example.com"), 2, "`https://`");
    refused(
        &|words| words.extend(["--max-nodes", "3"].map(str::to_owned)),
        2,
        "`vm_size` is not given",
    );
    // A token does as well as a key.
    let by_token = |words: &mut Vec<String>| {
        set("--secret-env", "OVERDRIVE_TEST_TOKEN")(words);
        words.extend(["--login", "token", "--json"].map(str::to_owned));
    };
    refused(&by_token, 0, "");
    let tested = project.json(&["target", "test", "place", "--json"]);
    let steps: Vec<&str> = tested["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["reach", "login", "pool", "container"], "{tested}");
    assert_eq!(tested["ok"], true, "{tested}");
    // No secret stands in the files.
    let file = fs::read_to_string(project.path().join(".overdrive/compute/other.yml")).unwrap();
    assert!(
        file.contains("env:OVERDRIVE_TEST_TOKEN") && !file.contains(&facts["TOKEN"]),
        "{file}"
    );
    let shown = project.json(&["ml", "computetarget", "show", "-n", "other"]);
    assert_eq!(shown["properties"]["computeType"], "Batch", "{shown}");
}

/// `--vm-size` makes the pool when a sweep first needs it.
fn a_pool_is_made(facts: &HashMap<String, String>) {
    let mut made = place(
        facts,
        &[
            "--vm-size",
            "standard_d2_v2",
            "--max-nodes",
            "2",
            "--task-slots",
            "2",
        ],
    );
    let at = made.attach.iter().position(|word| word == "--pool").unwrap();
    made.attach[at + 1] = "made".into();
    let project = Project::new(
        &made,
        "echo \"score=1\"; echo $AZ_BATCH_POOL_ID > outputs/pool",
        &one(),
    );
    assert_eq!(project.sweep()["trials"]["Completed"], 1);
    let pool = fs::read_to_string(project.folder_of(0).join("wd/outputs/pool")).unwrap();
    assert_eq!(pool, "made\n");
}
