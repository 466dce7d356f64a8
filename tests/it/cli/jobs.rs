//! The lines of the second Azure ML command line, word for word.

use super::project::{Project, Sweep, json, text, until};
use serde_json::Value;
use std::fs;

const JOB: &str = r#"$schema: https://azuremlschemas.azureedge.net/latest/sweepJob.schema.json
type: sweep
experiment_name: tuning
trial:
  code: ./src
  command: sh train.sh --x ${{search_space.x}}
  environment: azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu@latest
compute: local
sampling_algorithm: grid
search_space:
  x:
    type: choice
    values: [1, 2, 3]
objective:
  goal: maximize
  primary_metric: score
limits:
  max_total_trials: 3
  max_concurrent_trials: 2
"#;

fn project(body: &str) -> Project {
    let project = Project::new("true", &Sweep::default());
    let source = project.path().join("src");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("train.sh"), format!("{body}\n")).unwrap();
    fs::write(project.path().join("sweep.yml"), JOB).unwrap();
    project
}

fn ok(project: &Project, line: &str) -> Value {
    let words = shlex::split(line).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = project.run(&words);
    assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
    if output.stdout.is_empty() {
        Value::Null
    } else {
        json(&output)
    }
}

#[test]
fn a_job_is_created_followed_shown_downloaded_and_archived() {
    let project = project("mkdir -p outputs; echo $2 > outputs/model; echo score=$2");
    let created = ok(
        &project,
        "az ml job create -f sweep.yml --stream --set limits.max_total_trials=2 -n first -g group -w space",
    );
    assert_eq!(created["name"], "first");
    assert_eq!(created["type"], "sweep");
    assert_eq!(created["status"], "Completed");
    assert_eq!(created["experiment_name"], "tuning");
    assert_eq!(created["limits"]["max_total_trials"], 2);
    assert_eq!(created["objective"]["primary_metric"], "score");
    assert_eq!(created["properties"]["best_child_run_id"], "first_1");

    let again = project.run(&["az", "ml", "job", "create", "-f", "sweep.yml", "-n", "first"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("a job called `first` exists"));

    let started = ok(&project, "az ml job create --file sweep.yml --name second");
    assert_eq!(started["name"], "second");
    ok(&project, "az ml job stream -n second");
    assert_eq!(
        ok(&project, "az ml job show -n second --query status"),
        "Completed"
    );
    let children = ok(&project, "az ml job list --parent-job-name second");
    assert_eq!(children.as_array().unwrap().len(), 3);
    assert_eq!(children[0]["parent_job_name"], "second");
    assert_eq!(children[0]["parameters"]["x"], 3);
    assert_eq!(
        ok(&project, "az ml job list --query '[].name'"),
        serde_json::json!(["second", "first"])
    );

    ok(&project, "az ml job download -n second_2 -p got --all");
    assert_eq!(
        fs::read_to_string(project.path().join("got/artifacts/outputs/model")).unwrap(),
        "3\n"
    );
    ok(
        &project,
        "az ml job update -n first --set tags.kept=yes tags.team=a",
    );
    assert_eq!(ok(&project, "az ml job list --tag kept=yes")[0]["name"], "first");
    ok(&project, "az ml job archive -n first");
    assert_eq!(ok(&project, "az ml job list").as_array().unwrap().len(), 1);
    assert_eq!(ok(&project, "az ml job list --archived-only")[0]["name"], "first");
    ok(&project, "az ml job restore --name first");
    assert_eq!(ok(&project, "az ml job list -r 1").as_array().unwrap().len(), 1);
    assert_eq!(ok(&project, "az ml job list").as_array().unwrap().len(), 2);
}

#[test]
fn a_job_is_canceled_and_streaming_it_tells_so() {
    let project = project("while :; do echo score=$2; sleep 0.1; done");
    ok(&project, "az ml job create -f sweep.yml -n endless");
    until("running trials", || project.are("Running", 2));
    ok(&project, "az ml job cancel -n endless_0");
    until("the first is canceled", || {
        project.trials()[0]["state"] == "Canceled"
    });
    ok(&project, "az ml job cancel -n endless");
    assert_eq!(ok(&project, "az ml job show -n endless")["status"], "Canceled");
    let streamed = project.run(&["ml", "job", "stream", "-n", "endless"]);
    assert_eq!(streamed.status.code(), Some(1), "{}", text(&streamed.stderr));
    let unknown = project.run(&["ml", "job", "show", "-n", "nobody"]);
    assert_eq!(unknown.status.code(), Some(3));
}

#[test]
fn targets_in_the_words_of_the_second_command_line() {
    let project = project("true");
    let created = ok(
        &project,
        "az ml compute create -n cpu --type AmlCompute --size STANDARD_D3_V2 --min-instances 0 --max-instances 3 \
         --idle-time-before-scale-down 60 --tier low_priority",
    );
    assert_eq!(created["name"], "cpu");
    assert_eq!(created["type"], "amlcompute");
    assert_eq!(created["provisioning_state"], "Succeeded");
    assert_eq!(created["max_instances"], 3);
    assert_eq!(created["idle_time_before_scale_down"], 60);
    assert_eq!(created["tier"], "low_priority");
    fs::write(
        project.path().join("compute.yml"),
        "name: pool\ntype: amlcompute\nsize: STANDARD_DS3_V2\nmax_instances: 2\n",
    )
    .unwrap();
    assert_eq!(
        ok(&project, "az ml compute create -f compute.yml --max-instances 5")["max_instances"],
        5
    );
    ok(&project, "az ml compute update -n cpu --max-instances 4");
    assert_eq!(ok(&project, "az ml compute show -n cpu")["max_instances"], 4);
    assert_eq!(
        ok(&project, "az ml compute list --query '[].name'"),
        serde_json::json!(["local", "cpu", "pool"])
    );
    assert_eq!(
        ok(&project, "az ml compute list-nodes -n cpu"),
        serde_json::json!([])
    );
    ok(&project, "az ml compute delete -n pool -y");
    let gone = project.run(&["ml", "compute", "show", "-n", "pool"]);
    assert_eq!(gone.status.code(), Some(3));
}

#[test]
fn what_is_not_offered_says_so() {
    let project = project("true");
    let refused = project.run(&["az", "ml", "online-endpoint", "create", "-f", "x.yml"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("overdrive tunes and trains"));
    let typo = project.run(&["ml", "jbo", "list"]);
    assert_eq!(typo.status.code(), Some(2));
    assert!(
        text(&typo.stderr).contains("did you mean `job`?"),
        "{}",
        text(&typo.stderr)
    );
}
