//! One sweep over this computer, a machine by SSH and a Slurm cluster at once, of which a node and the controller die.

use super::project::{Project, Sweep, text};
use super::services::{Service, full};
use super::ssh;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// On the node that is to die the script waits for its death; elsewhere it takes a moment.
const BODY: &str = r#"echo "$OVERDRIVE_TRIAL $OVERDRIVE_ATTEMPT" >> "$SEEN/ran"
echo "score=$2"
if [ "$SLURMD_NODENAME" = n1 ]; then : > "$SEEN/waits-$OVERDRIVE_TRIAL"; sleep 300; fi
sleep 1"#;

#[test]
fn a_sweep_over_several_targets_outlives_a_node_and_its_controller() {
    if !full("target::several") {
        return;
    }
    let cluster = Service::start("slurm", "stop");
    let server = Service::start("sshd", "gone");
    let facts = server.facts();
    let mut place = ssh::place_of(
        "remote",
        &facts,
        &["--private-key-file", facts["KEY"].as_str(), "--slots", "1"],
    );
    let conf = cluster.facts()["SLURM_CONF"].clone();
    place.variables.push(("SLURM_CONF".into(), conf.clone()));
    place.attach.extend(["--cost-per-hour".into(), "2".into()]);
    place.patience = Duration::from_secs(90);
    let sweep = Sweep {
        values: (0..12).map(|x| json!(x)).collect(),
        concurrent: 4,
        ..Sweep::default()
    };
    let project = Project::new(&place, BODY, &sweep);
    let made = |words: &[&str]| {
        let output = project.run(words);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{words:?}: {}",
            text(&output.stderr)
        );
    };
    made(&[
        "target",
        "create",
        "amlcompute",
        "-n",
        "here",
        "-s",
        "STANDARD_D1_V2",
        "--max-nodes",
        "1",
        "--cost-per-hour",
        "1",
    ]);
    made(&[
        "target",
        "attach",
        "slurm",
        "-n",
        "cluster",
        "--partition",
        "main",
        "--poll-seconds",
        "1",
        "--slots",
        "2",
        "--cost-per-hour",
        "3",
    ]);
    let mut first = project.start(&["run", "hdconfig.yml", "--json", "--target", "here,place,cluster"]);
    project.until("two trials on the node", || {
        project
            .names_seen()
            .iter()
            .filter(|name| name.starts_with("waits-"))
            .count()
            == 2
    });
    first.kill().unwrap();
    first.wait().unwrap();
    let on_cluster: Vec<u64> = project
        .trials()
        .iter()
        .filter(|trial| trial["target"] == "cluster")
        .map(|trial| trial["trial"].as_u64().unwrap())
        .collect();
    assert_eq!(on_cluster.len(), 2, "{:?}", project.trials());
    cluster.ask(&["node", "n1", "kill"]);
    let second = project.start(&["resume", "--json"]);
    // Slurm itself takes half a minute to see it.
    let told = Command::new("scontrol")
        .args(["update", "NodeName=n1", "State=DOWN", "Reason=power"])
        .env("SLURM_CONF", &conf)
        .status();
    assert!(told.unwrap().success());
    let result = project.ends(second);
    assert_eq!(result["trials"]["Completed"], 12, "{result}");

    let trials = project.trials();
    let mut by_target: BTreeMap<String, u64> = BTreeMap::new();
    for trial in &trials {
        *by_target
            .entry(trial["target"].as_str().unwrap().to_owned())
            .or_default() += 1;
        let number = trial["trial"].as_u64().unwrap();
        let lost = on_cluster.contains(&number);
        assert_eq!(trial["attempts"], if lost { 2 } else { 1 }, "{trial}");
        assert_eq!(trial["reports"], 1, "{trial}");
    }
    assert!(by_target.len() >= 2 && by_target["here"] >= 2, "{by_target:?}");
    // Whatever died: nothing began twice.
    let ran = fs::read_to_string(project.seen().join("ran")).unwrap();
    let mut lines: Vec<&str> = ran.lines().collect();
    lines.sort_unstable();
    let began = lines.len();
    lines.dedup();
    assert_eq!((began, lines.len()), (14, 14), "{ran}");
    let first = project.json(&["show", &on_cluster[0].to_string(), "--json"]);
    let attempts = first["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let targets: Vec<&Value> = attempts.iter().map(|attempt| &attempt["target"]).collect();
    assert_eq!(targets.first(), Some(&&json!("cluster")), "{first}");
    let why = text(&project.run(&["why", &on_cluster[0].to_string()]).stdout);
    assert!(why.contains("cluster"), "{why}");
    let status = text(&project.run(&["show"]).stdout);
    for name in ["here", "place", "cluster"] {
        assert!(status.contains(name), "{status}");
    }
}
