//! A script of the old command line, line for line, through the real binary; and the targets and models that it leaves.

use super::binary::overdrive;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The lines of public repositories, names generalised; only the program's name is another.
const SCRIPT: &str = r#"set -eu
overdrive ml folder attach -w $W -g $G > folder.json
overdrive ml computetarget create amlcompute -n cpu-cluster --min-nodes 0 --max-nodes 4 -s STANDARD_D3_V2 --idle-seconds-before-scaledown 1800 > created.json
overdrive ml computetarget show -n cpu-cluster --query provisioningState -o tsv > state.txt       # Succeeded
overdrive ml experiment create -n exp > experiment.json
overdrive ml run submit-script -c config/train-aml -e exp -t run.json > 1.json
overdrive ml run submit-script -e exp -c sklearn -d training-env.yml train-sklearn.py > 2.json
overdrive ml run submit-script -c mnist -e exp --source-directory scripts -t runoutput.json > 3.json
overdrive ml run submit-hyperdrive --hyperdrive-configuration-name hyperdrive_config.yml -c hyperdrive -e hyperdrive-test > 4.json
overdrive ml run submit-hyperdrive -e exp -c train --hyperdrive-configuration-name hdconfig.yml my_train.py > 5.json
overdrive ml run list -e exp --last 1 --query '[].properties' > properties.json
overdrive ml model register -n m -f runoutput.json --asset-path outputs/model.pkl > model.json
"#;

const TRAIN: &str = "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--x', type=float, default=1)\n\
    print('score=%s' % (parser.parse_args().x * 10))\n";

fn runconfig(script: &str, target: &str) -> String {
    format!(
        "script: {script}\ntarget: {target}\nframework: Python\nenvironment:\n  python:\n    userManagedDependencies: true\n    interpreterPath: python3\n"
    )
}

fn hdconfig(total: u64) -> String {
    format!(
        "sampling:\n  type: grid\n  parameter_space:\n    - name: --x\n      expression: choice\n      values: [1, 2, 3]\n\
         policy:\n  type: NoTerminationPolicy\nprimary_metric_name: score\nprimary_metric_goal: maximize\n\
         max_total_runs: {total}\nmax_concurrent_runs: 2\nmax_duration_minutes: 5\n"
    )
}

fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(
        "config/train-aml.runconfig",
        &runconfig("train.py", "cpu-cluster"),
    );
    put(".azureml/sklearn.runconfig", &runconfig("other.py", "local"));
    put(".azureml/mnist.runconfig", &runconfig("mnist.py", "cpu-cluster"));
    put(
        ".azureml/hyperdrive.runconfig",
        &format!(
            "{}amlcompute:\n  vmSize: STANDARD_D2_V2\n",
            runconfig("train.py", "amlcompute")
        ),
    );
    put(
        ".azureml/train.runconfig",
        &runconfig("missing.py", "cpu-cluster"),
    );
    put(
        "training-env.yml",
        "name: env\ndependencies:\n  - python=3.8\n  - pip:\n      - scikit-learn\n",
    );
    for name in ["train.py", "train-sklearn.py", "my_train.py"] {
        put(name, TRAIN);
    }
    put(
        "scripts/mnist.py",
        "import os\nos.makedirs('outputs', exist_ok=True)\nopen('outputs/model.pkl', 'w').write('weights')\n",
    );
    put("hyperdrive_config.yml", &hdconfig(2));
    put("hdconfig.yml", &hdconfig(3));
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    overdrive()
        .args(arguments)
        .current_dir(folder)
        .env("XDG_CONFIG_HOME", folder.join("config-home"))
        .timeout(Duration::from_secs(120))
        .output()
        .unwrap()
}

fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refused(folder: &Path, code: i32, arguments: &[&str], words: &[&str]) {
    let output = run(folder, arguments);
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {complaints}");
    for word in words {
        assert!(
            complaints.contains(word),
            "{arguments:?}: no `{word}` in {complaints}"
        );
    }
}

#[test]
fn the_script_passes_unchanged() {
    let project = project();
    let folder = project.path();
    let program = assert_cmd::cargo::cargo_bin("overdrive");
    let search_path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .current_dir(folder)
        .env("PATH", search_path)
        .env("W", "workspace")
        .env("G", "group")
        .env("XDG_CONFIG_HOME", folder.join("config-home"))
        .env_remove("OVERDRIVE_HOME")
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let result = |name: &str| json(&text(name));

    let created = result("created.json");
    assert_eq!(created["name"], "cpu-cluster");
    let properties = &created["properties"]["properties"];
    assert_eq!(properties["vmSize"], "STANDARD_D3_V2");
    assert_eq!(
        properties["scaleSettings"]["nodeIdleTimeBeforeScaleDown"],
        "PT1800S"
    );
    assert_eq!(text("state.txt"), "Succeeded\n");
    assert!(folder.join(".overdrive/compute/cpu-cluster.yml").is_file());

    assert_eq!(result("1.json")["target"], "cpu-cluster");
    assert_eq!(result("run.json"), result("1.json"));
    assert_eq!(result("2.json")["target"], "local");
    for name in ["1.json", "2.json", "3.json", "4.json", "5.json"] {
        assert_eq!(result(name)["status"], "Completed", "{name}");
    }
    assert_eq!(result("4.json")["target"], "amlcompute");
    assert_eq!(result("4.json")["properties"]["score"], "20.0");
    let last = result("5.json");
    assert_eq!(last["properties"]["score"], "30.0");
    assert_eq!(
        result("properties.json"),
        Value::Array(vec![last["properties"].clone()])
    );
    let model = result("model.json");
    assert_eq!(model["id"], "m:1");
    assert_eq!(model["runId"], result("runoutput.json")["runId"]);
    assert_eq!(text(".overdrive/models/m/1/model.pkl"), "weights");

    // Once more, as people do: the pool is the same, the model gets the next version.
    ok(
        folder,
        &[
            "az",
            "ml",
            "computetarget",
            "create",
            "amlcompute",
            "-n",
            "CPU-cluster",
            "--max-nodes",
            "2",
            "-s",
            "Standard_D3_v2",
        ],
    );
    let shown = json(&ok(folder, &["ml", "computetarget", "show", "-n", "cpu-cluster"]));
    assert_eq!(
        shown["properties"]["properties"]["scaleSettings"]["maxNodeCount"],
        2
    );
    let register = [
        "ml",
        "model",
        "register",
        "-n",
        "m",
        "-f",
        "runoutput.json",
        "--asset-path",
        "outputs/model.pkl",
        "--tag",
        "stage=test",
    ];
    assert_eq!(json(&ok(folder, &register))["version"], 2);
    let models = json(&ok(folder, &["ml", "model", "list", "--latest"]));
    assert_eq!(models.as_array().unwrap().len(), 1);
    assert_eq!(models[0]["tags"]["stage"], "test");
    ok(folder, &["ml", "model", "download", "-i", "m:1", "-d", "out"]);
    assert_eq!(text("out/model.pkl"), "weights");
    let child = format!("{}_0", last["runId"].as_str().unwrap());
    refused(
        folder,
        3,
        &[
            "ml",
            "model",
            "register",
            "-n",
            "m",
            "-r",
            &child,
            "--asset-path",
            "outputs/model.pkl",
        ],
        &["no-asset"],
    );
    refused(
        folder,
        2,
        &[
            "ml",
            "model",
            "register",
            "-n",
            "m",
            "-f",
            "runoutput.json",
            "--asset-path",
            "../../report.jsonl",
        ],
        &["leads out"],
    );
    refused(
        folder,
        3,
        &["ml", "model", "show", "-n", "nothing"],
        &["unknown-model"],
    );
}

#[test]
fn what_cannot_be_created_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let create = |rest: &[&'static str]| {
        let mut line = vec!["ml", "computetarget", "create", "amlcompute"];
        line.extend(rest);
        line
    };
    let size = ["-n", "p", "--max-nodes", "2", "-s"];
    let with = |more: &[&'static str]| create(&[&size[..], more].concat());
    refused(
        folder,
        2,
        &with(&["STANDARD_D3V2"]),
        &["no machine size", "Standard_D3_v2", "--cpus"],
    );
    refused(folder, 2, &with(&["D3_V2", "--min-nodes", "3"]), &["min_nodes"]);
    refused(
        folder,
        2,
        &with(&["D3_V2", "--admin-username", "me"]),
        &["belong together"],
    );
    refused(
        folder,
        2,
        &with(&["D3_V2", "--vnet-name", "net"]),
        &["all three or none"],
    );
    refused(
        folder,
        2,
        &create(&["-n", "local", "--max-nodes", "2", "-s", "D3_V2"]),
        &["reserved"],
    );
    refused(
        folder,
        2,
        &create(&["-n", "9x", "--max-nodes", "2", "-s", "D3_V2"]),
        &["cannot name"],
    );
    refused(folder, 2, &create(&["-n", "p", "-s", "D3_V2"]), &["--max-nodes"]);
    for kind in ["aks", "slurm", "amlcompte"] {
        refused(
            folder,
            2,
            &[
                "ml",
                "computetarget",
                "create",
                kind,
                "-n",
                "p",
                "--agent-count",
                "3",
            ],
            &[kind, "nothing was created", "`local`", "`amlcompute`"],
        );
    }
    for kind in ["batch", "adla", "databricks"] {
        refused(
            folder,
            2,
            &[
                "ml",
                "computetarget",
                "attach",
                kind,
                "-n",
                "p",
                "-a",
                "host",
                "-u",
                "me",
                "-p",
                "secret",
            ],
            &["nothing was attached", "`amlcompute`"],
        );
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
}

#[test]
fn targets_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = ok(
        folder,
        &[
            "target",
            "create",
            "amlcompute",
            "-n",
            "shared",
            "-s",
            "ours",
            "--cpus",
            "1",
            "--memory",
            "2",
            "--max-nodes",
            "1",
            "--user",
            "--tag",
            "team=a",
        ],
    );
    assert!(
        made.starts_with("created: shared (0 to 1 nodes of ours, 1 at a time"),
        "{made}"
    );
    assert!(folder.join("config-home/overdrive/compute/shared.yml").is_file());
    ok(
        folder,
        &[
            "target",
            "create",
            "amlcompute",
            "-n",
            "own",
            "-s",
            "D1_V2",
            "--max-nodes",
            "3",
        ],
    );
    let listed = json(&ok(folder, &["target", "list", "--json"]));
    let names: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["local", "own", "shared"]);
    let old = json(&ok(folder, &["ml", "computetarget", "list"]));
    let keys: Vec<&String> = old[1].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "id",
            "name",
            "provisioningState",
            "location",
            "provisioningErrors",
            "tags"
        ]
    );
    ok(
        folder,
        &["target", "update", "amlcompute", "-n", "own", "--max-nodes", "5"],
    );
    let shown = json(&ok(folder, &["target", "show", "-n", "OWN", "--json"]));
    assert_eq!(shown["amlcompute"]["max_nodes"], 5);
    refused(
        folder,
        2,
        &["target", "update", "amlcompute", "-n", "own", "--min-nodes", "9"],
        &["min_nodes"],
    );
    refused(
        folder,
        2,
        &["target", "detach", "-n", "own"],
        &["created, not attached"],
    );
    refused(
        folder,
        2,
        &["target", "delete", "-n", "local"],
        &["this computer"],
    );
    refused(
        folder,
        3,
        &["target", "show", "-n", "owm"],
        &["did you mean `own`"],
    );
    // Broken by hand: told, and removable.
    fs::write(folder.join(".overdrive/compute/broken.yml"), "name: [").unwrap();
    let state = ok(
        folder,
        &[
            "ml",
            "computetarget",
            "show",
            "-n",
            "broken",
            "--query",
            "provisioningState",
            "-o",
            "tsv",
        ],
    );
    assert_eq!(state, "Failed\n");
    ok(folder, &["target", "list"]);
    for name in ["own", "own", "broken", "shared"] {
        ok(folder, &["ml", "computetarget", "delete", "-n", name]);
    }
    assert_eq!(
        json(&ok(folder, &["target", "list", "--json"]))["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let tested = json(&ok(folder, &["target", "test", "local", "--json"]));
    assert_eq!(tested["ok"], true);
    let steps = tested["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 6);
    assert!(steps[0]["milliseconds"].as_f64().unwrap() > 0.0);
}

/// A pool of one node runs one trial at a time whatever the sweep allows, and cannot be deleted under it.
#[test]
fn a_pool_limits_its_sweep_and_outlives_it() {
    let project = tempfile::tempdir().unwrap();
    let folder = project.path();
    fs::write(
        folder.join("hdconfig.yml"),
        hdconfig(3).replace("max_concurrent_runs: 2", "max_concurrent_runs: 3"),
    )
    .unwrap();
    fs::write(
        folder.join("train.runconfig"),
        "script: train.sh\ntarget: local\nenvironment:\n  python:\n    userManagedDependencies: true\n",
    )
    .unwrap();
    // A lock that two at once cannot both have.
    fs::write(
        folder.join("train.sh"),
        format!(
            "#!/bin/sh\nmkdir {lock} || {{ echo busy > {seen}; exit 1; }}\nwhile [ -e {gate} ]; do sleep 0.1; done\nsleep 0.3\nrmdir {lock}\necho score=$2\n",
            lock = folder.join("lock").display(),
            seen = folder.join("seen").display(),
            gate = folder.join("gate").display(),
        ),
    )
    .unwrap();
    fs::write(folder.join("gate"), "").unwrap();
    ok(
        folder,
        &[
            "target",
            "create",
            "amlcompute",
            "-n",
            "one",
            "-s",
            "x",
            "--cpus",
            "1",
            "--memory",
            "1",
            "--max-nodes",
            "1",
        ],
    );
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("overdrive"))
        .args([
            "run",
            "hdconfig.yml",
            "-c",
            "train",
            "--target",
            "azureml:one",
            "--json",
        ])
        .current_dir(folder)
        .env("XDG_CONFIG_HOME", folder.join("config-home"))
        .env_remove("OVERDRIVE_HOME")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !folder.join("lock").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no trial started");
        std::thread::sleep(Duration::from_millis(50));
    }
    refused(
        folder,
        1,
        &["target", "delete", "-n", "one"],
        &["in use", "--force"],
    );
    let shown = json(&ok(folder, &["ml", "computetarget", "show", "-n", "one"]));
    assert_eq!(
        shown["properties"]["status"]["nodeStateCounts"]["runningNodeCount"],
        1
    );
    fs::remove_file(folder.join("gate")).unwrap();
    let mut printed = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut printed).unwrap();
    assert!(child.wait().unwrap().success(), "{printed}");
    assert_eq!(json(&printed)["trials"]["Completed"], 3);
    assert!(!folder.join("seen").exists(), "two trials ran at once");
    ok(folder, &["target", "delete", "-n", "one"]);
    refused(
        folder,
        3,
        &["run", "hdconfig.yml", "-c", "train", "--target", "one"],
        &["unknown-target"],
    );
    refused(
        folder,
        2,
        &["run", "hdconfig.yml", "-c", "train", "--target", "amlcompute"],
        &["missing-vm-size"],
    );
}
