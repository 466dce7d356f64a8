//! Spark, against a real standalone cluster on this machine; YARN and Livy against programs that answer as theirs do.

use super::project::{Place, Project, Sweep, text, wait};
use super::services::{Service, full};
use super::{ssh, suite};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A script that lets the executors work, and says what this driver can see.
const TRAIN: &str = r#"import os, sys, time
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
total = spark.sparkContext.parallelize(range(10), 2).map(lambda number: number * 2).sum()
os.makedirs("outputs", exist_ok=True)
with open("outputs/value", "w", encoding="utf-8") as file:
    file.write(sys.argv[2])
with open("outputs/conf", "w") as file:
    file.write(spark.conf.get("spark.app.name") + " " + spark.conf.get("spark.cores.max") + " " + spark.sparkContext.master[:8])
with open(os.path.join(os.environ["SEEN"], os.environ["OVERDRIVE_TRIAL"] + "-" + os.environ["OVERDRIVE_ATTEMPT"]), "w") as file:
    file.write(str(os.getpid()))
print(f"score={total}", flush=True)
if "wait" in sys.argv[2] and os.environ["OVERDRIVE_ATTEMPT"] == "0":
    time.sleep(300)
spark.stop()
"#;

fn place(attach: &[&str], facts: &HashMap<String, String>) -> Place {
    let variables = ["SPARK_HOME", "SPARK_CONF_DIR"].map(|name| (name.to_owned(), facts[name].clone()));
    let more = [
        ("PYSPARK_PYTHON".to_owned(), facts["PYTHON"].clone()),
        ("SPARK_LOCAL_IP".to_owned(), "127.0.0.1".to_owned()),
    ];
    Place {
        attach: attach.iter().map(|word| (*word).to_owned()).collect(),
        shared: std::env::temp_dir(),
        user: None,
        variables: variables.into_iter().chain(more).collect(),
        patience: Duration::from_secs(300),
    }
}

/// A project with a PySpark script.
fn pyspark<'a>(place: &'a Place, values: Vec<Value>) -> Project<'a> {
    let sweep = Sweep {
        values,
        grace_seconds: 10,
        ..Sweep::default()
    };
    let project = Project::new(place, "", &sweep);
    fs::write(project.path().join("train.py"), TRAIN).unwrap();
    let path = project.path().join("train.runconfig");
    let file = fs::read_to_string(&path).unwrap().replace(
        "script: train.sh\n",
        "script: train.py\nframework: PySpark\nspark:\n  configuration:\n    spark.app.name: of the file\n",
    );
    fs::write(path, file).unwrap();
    project
}

#[test]
fn a_cluster_takes_scripts_in_every_way() {
    if !full("target::spark") {
        return;
    }
    let cluster = Service::start("spark", "stop");
    let facts = cluster.facts();
    let program = format!("{}/bin/spark-submit", facts["SPARK_HOME"]);
    let base = [
        "attach",
        "spark",
        "--master",
        &facts["MASTER"],
        "--conf",
        "spark.cores.max=1",
    ];
    let here = [&base[..], &["--spark-submit", &program, "--slots", "2"]].concat();
    let cluster_mode = [
        &base[..],
        &[
            "--deploy-mode",
            "cluster",
            "--rest",
            &facts["REST"],
            "--web-ui",
            &facts["UI"],
            "--slots",
            "2",
        ],
    ]
    .concat();
    let here = place(&here, &facts);
    let on_cluster = place(&cluster_mode, &facts);
    timed("client mode", || client_mode(&here));
    timed("other scripts", || suite::live(&here));
    timed("by ssh", || by_ssh(&facts, &program));
    timed("cluster mode", || {
        cluster_mode_and_its_ends(&cluster, &on_cluster)
    });
}

fn timed(name: &str, part: impl FnOnce()) {
    let begun = Instant::now();
    part();
    println!("spark, {name}: {:.1} s", begun.elapsed().as_secs_f64());
}

/// Values, settings, results and outputs of scripts whose drivers run here.
fn client_mode(place: &Place) {
    let hostile = "na\u{ef}ve $(touch pwned) 'x' \"y\"";
    let project = pyspark(place, vec![json!("plain"), json!(hostile)]);
    let result = project.sweep();
    assert_eq!(result["trials"]["Completed"], 2, "{result}");
    assert_eq!(result["best"]["value"], 90.0, "{result}");
    let outputs = project.folder_of(1).join("wd/outputs");
    assert_eq!(fs::read_to_string(outputs.join("value")).unwrap(), hostile);
    assert_eq!(
        fs::read_to_string(outputs.join("conf")).unwrap(),
        "of the file 1 spark://"
    );
    let shown = project.run(&["target", "show", "-n", "place", "--json"]);
    assert!(
        text(&shown.stdout).contains("spark://"),
        "{}",
        text(&shown.stdout)
    );
}

/// As HDInsight was used: submitted on another machine, by the old verb and flags; a cancel ends the driver there.
fn by_ssh(facts: &HashMap<String, String>, program: &str) {
    let variables = format!(
        "SPARK_HOME={} SPARK_CONF_DIR={} PYSPARK_PYTHON={} SPARK_LOCAL_IP=127.0.0.1",
        facts["SPARK_HOME"], facts["SPARK_CONF_DIR"], facts["PYTHON"]
    );
    let server = Service::start_with("sshd", "gone", &[("SSHD_SETENV", &variables)]);
    let login = server.facts();
    let how = [
        "--private-key-file",
        login["KEY"].as_str(),
        "--master",
        facts["MASTER"].as_str(),
        "--spark-submit",
        program,
        "--conf",
        "spark.cores.max=1",
        "--slots",
        "1",
    ];
    let place = Place {
        patience: Duration::from_secs(300),
        ..ssh::place_of("hdi", &login, &how)
    };
    let project = pyspark(&place, vec![json!("wait")]);
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("its number", || {
        project
            .trials()
            .first()
            .is_some_and(|trial| trial["reports"] == 1)
    });
    let driver = driver_of(&project, "0-0");
    assert!(overdrive::process::start_ticks(driver).is_some());
    assert_eq!(project.run(&["cancel"]).status.code(), Some(0));
    wait(child);
    assert_eq!(project.trials()[0]["state"], "Canceled");
    project.until("the end of the driver", || {
        overdrive::process::start_ticks(driver).is_none()
    });
    assert_eq!(
        fs::read_to_string(project.folder_of(0).join("wd/outputs/value")).unwrap(),
        "wait"
    );
}

/// Process id of a driver, by the file that it left.
fn driver_of(project: &Project<'_>, name: &str) -> i32 {
    fs::read_to_string(project.seen().join(name))
        .unwrap()
        .parse()
        .unwrap()
}

/// Drivers on the cluster: what they print comes while they run, and they end with their trial, whatever ends that.
fn cluster_mode_and_its_ends(cluster: &Service, place: &Place) {
    let project = pyspark(
        place,
        vec![
            json!("wait for the runner's death"),
            json!("wait for the worker's death"),
        ],
    );
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("their numbers", || {
        let trials = project.trials();
        trials.len() == 2 && trials.iter().all(|trial| trial["reports"] == 1)
    });
    let [first, second] = ["0-0", "1-0"].map(|name| driver_of(&project, name));
    // The runner dies: what it submitted must not run on.
    let claim: Value =
        serde_json::from_slice(&fs::read(project.folder_of(0).join("claim")).unwrap()).unwrap();
    let runner = i32::try_from(claim["pid"].as_i64().unwrap()).unwrap();
    let runner = rustix::process::Pid::from_raw(runner).unwrap();
    rustix::process::kill_process(runner, rustix::process::Signal::KILL).unwrap();
    project.until("the end of its driver", || {
        overdrive::process::start_ticks(first).is_none()
    });
    project.until("the second attempt", || project.seen().join("0-1").exists());
    // The worker dies with the other driver: not the script's fault.
    assert!(overdrive::process::start_ticks(second).is_some());
    cluster.ask(&["worker", "kill"]);
    cluster.ask(&["worker", "start"]);
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 2, "{result}");
    for trial in project.trials() {
        let number = trial["trial"].as_u64().unwrap();
        let outputs = project.folder_of(number).join("wd/outputs");
        assert_eq!(
            fs::read_to_string(outputs.join("conf")).unwrap(),
            "of the file 1 spark://"
        );
    }
    let project = pyspark(place, vec![json!("wait")]);
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("its driver", || project.seen().join("0-0").exists());
    assert_eq!(project.run(&["cancel"]).status.code(), Some(0));
    wait(child);
    assert_eq!(project.trials()[0]["state"], "Canceled");
    project.until("the end of the driver", || {
        overdrive::process::start_ticks(driver_of(&project, "0-0")).is_none()
    });
}

/// A program that is found before those of the system.
fn program(folder: &Path, name: &str, body: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn yarn_is_told_what_the_files_say_and_kills_what_is_canceled() {
    let bin = tempfile::tempdir().unwrap();
    let said = bin.path().join("said");
    // As `spark-submit` and `yarn` behave: the application's id on standard error, the driver's output in its logs.
    program(
        bin.path(),
        "spark-submit",
        &format!(
            "case $1 in --version) echo 'version 3.5.1' >&2; exit 0;; esac\nprintf '%s\\n' \"$@\" >> {0}\n\
             echo 'INFO YarnClientImpl: Submitted application application_17_0001' >&2\n\
             case \"$*\" in *\"--x wait\"*) while [ ! -e {0}.killed ]; do sleep 0.1; done; exit 1;; esac",
            said.display()
        ),
    );
    program(
        bin.path(),
        "yarn",
        &format!(
            "echo \"yarn $*\" >> {0}\ncase $1 in application) touch {0}.killed;; logs) echo score=5;; esac",
            said.display()
        ),
    );
    let attach = ["attach", "hdinsight", "--master", "yarn", "--slots", "1"];
    let mut place = Place {
        attach: attach.map(str::to_owned).into(),
        shared: std::env::temp_dir(),
        user: None,
        variables: Vec::new(),
        patience: Duration::from_secs(60),
    };
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    place.variables.push(("PATH".into(), path));
    let project = pyspark(&place, vec![json!("x y")]);
    let result = project.sweep();
    assert_eq!(result["best"]["value"], 5.0, "{result}");
    let told = fs::read_to_string(&said).unwrap();
    for part in [
        "--master\nyarn\n--deploy-mode\ncluster\n",
        "--conf\nspark.app.name=of the file\n",
        "--conf\nspark.yarn.maxAppAttempts=1\n",
        "--conf\nspark.yarn.submit.waitAppCompletion=true\n",
        "spark.yarn.appMasterEnv.OVERDRIVE_TRIAL=0\n",
        "train.py\n--x\nx y\nyarn logs -applicationId application_17_0001\n",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    let project = pyspark(&place, vec![json!("wait")]);
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("the submission", || {
        fs::read_to_string(&said).unwrap().contains("\nwait\n")
    });
    assert_eq!(project.run(&["cancel"]).status.code(), Some(0));
    wait(child);
    assert_eq!(project.trials()[0]["state"], "Canceled");
    let told = fs::read_to_string(&said).unwrap();
    assert!(
        told.contains("yarn application -kill application_17_0001\n"),
        "{told}"
    );
}

/// A server that answers as Livy does: batches by number, the first of which succeeds with a number in its log, the others wait.
fn livy() -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (out, calls) = channel();
    std::thread::spawn(move || {
        let mut batches = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (call, body) = request(&mut stream);
            let answer = match call.split_once(' ').unwrap() {
                ("POST", "/batches") => {
                    batches += 1;
                    json!({"id": batches - 1, "state": "starting", "appId": null, "log": []})
                }
                ("GET", "/batches") => json!({"from": 0, "total": batches, "sessions": []}),
                ("GET", path) if path.ends_with("/0/state") => json!({"id": 0, "state": "success"}),
                ("GET", path) if path.ends_with("/state") => json!({"id": 1, "state": "running"}),
                ("GET", path) if path.contains("/log?from=0&") => {
                    json!({"id": 0, "from": 0, "total": 2, "log": ["stdout: ", "score=6"]})
                }
                ("GET", _) => json!({"id": 0, "from": 2, "total": 2, "log": []}),
                _ => json!({"msg": "deleted"}),
            };
            let answer = answer.to_string();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                answer.len()
            )
            .unwrap();
            if !call.starts_with("GET") && out.send((call, body)).is_err() {
                return;
            }
        }
    });
    (address, calls)
}

/// Method and path, and the body.
fn request(stream: &mut TcpStream) -> (String, Value) {
    let mut lines = BufReader::new(stream);
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if let Some(told) = line.strip_prefix("content-length:") {
            length = told.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).unwrap();
    let call = first.rsplit_once(' ').unwrap().0.to_owned();
    (call, serde_json::from_slice(&body).unwrap_or_default())
}

#[test]
fn livy_gets_a_batch_per_script_and_is_told_to_delete_it() {
    let (address, calls) = livy();
    let attach = ["attach", "spark", "--livy", &address, "--slots", "1"];
    let place = Place {
        attach: attach.map(str::to_owned).into(),
        shared: std::env::temp_dir(),
        user: None,
        variables: Vec::new(),
        patience: Duration::from_secs(60),
    };
    let project = pyspark(&place, vec![json!("a b")]);
    let result = project.sweep();
    assert_eq!(result["best"]["value"], 6.0, "{result}");
    let (call, batch) = calls.recv().unwrap();
    assert_eq!(call, "POST /batches");
    assert_eq!(batch["args"], json!(["--x", "a b"]));
    let file = batch["file"].as_str().unwrap();
    assert!(
        file.starts_with("file:///") && file.ends_with("/wd/train.py"),
        "{file}"
    );
    assert_eq!(batch["conf"]["spark.yarn.appMasterEnv.OVERDRIVE_TRIAL"], "0");
    assert!(
        batch["name"].as_str().unwrap().starts_with("of the file "),
        "{batch}"
    );
    let project = pyspark(&place, vec![json!(1)]);
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    assert_eq!(calls.recv().unwrap().0, "POST /batches");
    assert_eq!(project.run(&["cancel"]).status.code(), Some(0));
    wait(child);
    assert_eq!(calls.recv().unwrap().0, "DELETE /batches/1");
    assert_eq!(project.trials()[0]["state"], "Canceled");
}

#[test]
fn what_cannot_be_submitted_is_told_before_it_is_attached() {
    let project_place = Place {
        attach: Vec::new(),
        shared: std::env::temp_dir(),
        user: None,
        variables: Vec::new(),
        patience: Duration::from_secs(10),
    };
    let project = Project::new(&project_place, "true", &Sweep::default());
    for (words, told) in [
        (vec!["--master", "head:7077"], "is no master"),
        (vec![], "neither a master nor a machine"),
        (
            vec!["--master", "local[2]", "--deploy-mode", "cluster"],
            "no cluster mode",
        ),
        (
            vec!["--master", "yarn", "--conf", "cores=1"],
            "no setting of Spark",
        ),
    ] {
        let all = [&["target", "attach", "spark", "-n", "s"], &words[..]].concat();
        let output = project.run(&all);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{words:?}: {}",
            text(&output.stderr)
        );
        assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
    }
    assert!(!project.path().join(".overdrive/compute").exists());
}
