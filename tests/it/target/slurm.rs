//! Slurm, against a real cluster on this machine.

use super::project::{LOGGING, Place, Project, Sweep, text, wait};
use super::services::{Service, full};
use super::{freeze, processes, ssh, suite};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn place(cluster: &Service, more: &[&str]) -> Place {
    let mut attach = vec!["attach", "slurm", "--partition", "main", "--poll-seconds", "1"];
    attach.extend(more);
    let facts = cluster.facts();
    Place {
        attach: attach.into_iter().map(str::to_owned).collect(),
        shared: std::env::temp_dir(),
        user: None,
        variables: vec![("SLURM_CONF".into(), facts["SLURM_CONF"].clone())],
        patience: Duration::from_secs(90),
    }
}

/// Output of one of Slurm's commands.
fn slurm(cluster: &Service, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("SLURM_CONF", &cluster.facts()["SLURM_CONF"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Numbers of all jobs, ended ones included, whose name fits an attempt of the project's latest sweep.
fn jobs(cluster: &Service, project: &Project<'_>, trial: u64) -> Vec<String> {
    let folder = project.folder_of(trial);
    let name = format!("od-{trial}-{}", folder.file_name().unwrap().to_str().unwrap());
    let listed = slurm(
        cluster,
        "squeue",
        &["--noheader", "--states=all", "--format=%i %j"],
    );
    listed
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .filter(|(_, job)| *job == name)
        .map(|(id, _)| id.to_owned())
        .collect()
}

fn one() -> Sweep {
    Sweep {
        values: vec![json!(1)],
        ..Sweep::default()
    }
}

#[test]
fn a_cluster_passes_the_suite_and_what_slurm_adds() {
    if !full("target::slurm") {
        return;
    }
    let cluster = Service::start("slurm", "stop");
    let by_job = place(&cluster, &[]);
    suite::all(&by_job);
    let by_worker = place(&cluster, &["--workers", "--slots", "2"]);
    let parts: [&(dyn Fn() + Sync); 13] = [
        &|| a_pool_for_one_sweep_is_gone_even_if_its_controller_died(&cluster),
        &|| a_pool_grows_and_is_gone_again(&cluster),
        &|| processes::torch(&by_job, &["n1", "n2"]),
        &|| processes::tensorflow(&by_job),
        &|| processes::one_fails(&by_job),
        &|| freeze::freezing(&by_job),
        &|| suite::whole(&by_worker),
        &|| suite::runner_death(&by_worker),
        &|| requeued_jobs_do_not_run_twice(&cluster),
        &|| ended_by_the_cluster(&cluster),
        &|| submitted_and_not_confirmed(&cluster),
        &|| killed_while_it_submitted(&cluster),
        &|| by_a_login_node(&cluster),
    ];
    for pair in parts.chunks(2) {
        std::thread::scope(|scope| {
            for part in pair {
                scope.spawn(part);
            }
        });
    }
    refusals(&cluster);
    processes::mpi(&by_job, &["n1", "n2"]);
    a_node_that_swallows_jobs_is_left_out(&cluster);
    many_short_trials(&by_worker);
    nodes_and_controllers_die(&cluster);
}

/// A job that Slurm starts a second time finds the claim of the first and leaves; the trial is tried anew and counted once.
fn requeued_jobs_do_not_run_twice(cluster: &Service) {
    let place = place(cluster, &[]);
    let body = r#"echo "$OVERDRIVE_ATTEMPT" >> "$SEEN/ran"; echo score=1; [ "$OVERDRIVE_ATTEMPT" -gt 0 ] || sleep 300"#;
    let project = Project::new(&place, body, &one());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("the script", || project.seen().join("ran").exists());
    project.until("its job", || !jobs(cluster, &project, 0).is_empty());
    let job = jobs(cluster, &project, 0).remove(0);
    slurm(
        cluster,
        "scontrol",
        &["update", &format!("JobId={job}"), "Requeue=1"],
    );
    slurm(cluster, "scontrol", &["requeue", &job]);
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 1, "{result}");
    assert_eq!(project.trials()[0]["attempts"], 2);
    // Nothing of it is left in the queue for two minutes.
    project.until("the end of the requeued job", || {
        slurm(
            cluster,
            "squeue",
            &["--noheader", "--states=all", "--format=%T", "--jobs", &job],
        )
        .trim()
            == "CANCELLED"
    });
    assert_eq!(fs::read_to_string(project.seen().join("ran")).unwrap(), "0\n1\n");
}

/// Nodes are started for a sweep and stopped after it; trials see what the pool's size promises.
fn a_pool_grows_and_is_gone_again(cluster: &Service) {
    let mut place = place(cluster, &[]);
    place.attach = [
        "create",
        "amlcompute",
        "-s",
        "STANDARD_D1_V2",
        "--memory",
        "1",
        "--max-nodes",
        "2",
        "--on",
        "slurm",
        "--partition",
        "elastic",
        "--poll-seconds",
        "1",
    ]
    .map(str::to_owned)
    .into();
    place.patience = Duration::from_secs(120);
    let body =
        r#"echo "$SLURMD_NODENAME $SLURM_CPUS_PER_TASK" > "$SEEN/$OVERDRIVE_TRIAL"; echo score=1; sleep 1"#;
    let project = Project::new(&place, body, &Sweep::default());
    let result = project.sweep();
    assert_eq!(result["trials"]["Completed"], 3, "{result}");
    for name in project.names_seen() {
        let seen = fs::read_to_string(project.seen().join(name)).unwrap();
        assert!(seen.starts_with('e') && seen.ends_with(" 1\n"), "{seen}");
    }
    let log = || fs::read_to_string(&cluster.facts()["POWER_LOG"]).unwrap_or_default();
    let count = |word: &str| log().lines().filter(|line| line.starts_with(word)).count();
    assert!(count("up ") >= 1, "{}", log());
    project.until("the nodes to be gone", || count("down ") == count("up "));
}

/// `target: amlcompute` on a cluster: its jobs do all trials, and nothing of them is left when nobody gives them any more.
fn a_pool_for_one_sweep_is_gone_even_if_its_controller_died(cluster: &Service) {
    let place = place(cluster, &["--memory", "1G", "--idle-seconds", "5"]);
    let sweep = Sweep {
        extra: "amlcompute: {vmSize: STANDARD_D1_V2}\n",
        ..Sweep::default()
    };
    let body = r#": > "$SEEN/$OVERDRIVE_TRIAL-$SLURM_JOB_NAME"; echo score=1; sleep 2"#;
    let project = Project::new(&place, body, &sweep);
    let file = project.path().join("hdconfig.yml");
    let text = fs::read_to_string(&file).unwrap() + "  amlcompute_on: place\n";
    fs::write(&file, text).unwrap();
    let mut first = project.start(&["run", "hdconfig.yml", "--json", "--target", "amlcompute"]);
    project.until("a trial", || !project.names_seen().is_empty());
    first.kill().unwrap();
    first.wait().unwrap();
    let folder = project.path().to_str().unwrap().to_owned();
    let workers = || {
        let listed = slurm(cluster, "squeue", &["--noheader", "--format=%j %Z"]);
        listed
            .lines()
            .filter(|line| line.starts_with("odw-") && line.contains(&folder))
            .count()
    };
    project.until("the end of the pool", || workers() == 0);
    let result = project.ends(project.start(&["resume", "--json"]));
    assert_eq!(result["trials"]["Completed"], 3, "{result}");
    let names = project.names_seen();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| name.contains("-odw-")), "{names:?}");
    project.until("the end of the second pool", || workers() == 0);
}

/// A node that answers and on which nothing begins: two jobs are lost on it, the rest runs elsewhere.
fn a_node_that_swallows_jobs_is_left_out(cluster: &Service) {
    let place = place(cluster, &["--slots", "2"]);
    let sweep = Sweep {
        values: (0..6).map(|x| json!(x)).collect(),
        ..Sweep::default()
    };
    let project = Project::new(
        &place,
        r#"echo "$SLURMD_NODENAME" > "$SEEN/$OVERDRIVE_TRIAL"; echo score=1"#,
        &one(),
    );
    // The program lies where every node sees it; on this node it does not start from now on.
    assert_eq!(project.sweep()["trials"]["Completed"], 1);
    let folder = project.path().join(".overdrive/bin");
    let program = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let real = project.path().join("real");
    fs::rename(&program, &real).unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$SLURMD_NODENAME\" != n1 ] || exit 1\nexec {} \"$@\"\n",
        real.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    project.again(&sweep);
    let output = wait(project.start(&["run", "hdconfig.yml", "--json"]));
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(project.are("Completed", 6), "{told}");
    for trial in 0..6 {
        let seen = fs::read_to_string(project.seen().join(trial.to_string())).unwrap();
        assert_eq!(seen, "n2\n");
    }
    let lost: u64 = project
        .trials()
        .iter()
        .map(|trial| trial["attempts"].as_u64().unwrap() - 1)
        .sum();
    assert!((1..=4).contains(&lost), "{lost}");
}

/// `scancel` by somebody else ends a trial as canceled, not as lost; one that waits in the queue never runs.
fn ended_by_the_cluster(cluster: &Service) {
    let place = place(cluster, &[]);
    let project = Project::new(&place, "echo score=1; exec sleep 300", &one());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("the script", || {
        project
            .trials()
            .first()
            .is_some_and(|trial| trial["reports"] == 1)
    });
    slurm(cluster, "scancel", &[&jobs(cluster, &project, 0)[0]]);
    wait(child);
    let trial = &project.trials()[0];
    assert_eq!(trial["state"], "Canceled", "{trial}");
    assert_eq!(trial["attempts"], 1, "{trial}");

    let held = place_held(cluster);
    let project = Project::new(&held, "touch \"$SEEN/ran\"; echo score=1", &one());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("its job", || {
        !project.trials().is_empty() && !jobs(cluster, &project, 0).is_empty()
    });
    let output = project.run(&["cancel"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    wait(child);
    assert_eq!(project.trials()[0]["state"], "Canceled");
    assert!(!project.seen().join("ran").exists());
    let job = jobs(cluster, &project, 0).remove(0);
    project.until("the end of its job", || {
        slurm(
            cluster,
            "squeue",
            &["--noheader", "--states=all", "--format=%T", "--jobs", &job],
        )
        .trim()
            == "CANCELLED"
    });
}

fn place_held(cluster: &Service) -> Place {
    place(cluster, &["--directive=--hold"])
}

/// `sbatch` takes the job and says that it timed out: the job is found, not submitted again.
fn submitted_and_not_confirmed(cluster: &Service) {
    let folder = tempfile::tempdir().unwrap();
    let fake = folder.path().join("sbatch");
    fs::write(
        &fake,
        "#!/bin/sh\ncase \"$*\" in *--version* | *--test-only*) exec /usr/bin/sbatch \"$@\" ;; esac\n\
         /usr/bin/sbatch \"$@\" >/dev/null\necho 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let mut place = place(cluster, &[]);
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    place.variables.push(("PATH".into(), path));
    let project = Project::new(&place, LOGGING, &Sweep::default());
    let result = project.sweep();
    assert_eq!(result["trials"]["Completed"], 3, "{result}");
    for trial in 0..3 {
        assert_eq!(jobs(cluster, &project, trial).len(), 1);
    }
    project.nothing_was_lost(3);
}

/// A controller is killed while `sbatch` is on its way, and that job comes after the next controller's: it finds the attempt claimed and
/// leaves, and its end says nothing of the one that runs.
fn killed_while_it_submitted(cluster: &Service) {
    let mut place = place(cluster, &[]);
    let tools = tempfile::tempdir().unwrap();
    let known = Command::new("sh")
        .args(["-c", "command -v sbatch"])
        .output()
        .unwrap();
    let wrapper = tools.path().join("sbatch");
    let folder = tools.path().display();
    // Waits with what the controller has said, and submits it after `go`, whoever is alive by then.
    fs::write(
        &wrapper,
        format!(
            "#!/bin/sh\ncase \" $* \" in *\" --job-name=\"*) ;; *) exec {sbatch} \"$@\";; esac\ncat > {folder}/script\ntouch {folder}/held\n\
             while [ ! -e {folder}/go ]; do sleep 0.1; done\n{sbatch} \"$@\" < {folder}/script > {folder}/number; touch {folder}/late\n",
            sbatch = text(&known.stdout).trim(),
        ),
    )
    .unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    place.variables.push(("PATH".into(), format!("{folder}:{path}")));
    let body = r#"echo "score=1"; echo $$ >> "$SEEN/ran"
while [ ! -e "$SEEN/go" ]; do sleep 0.1; done
echo "score=2""#;
    let project = Project::new(&place, body, &one());
    let mut child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("a submission on its way", || tools.path().join("held").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    fs::rename(&wrapper, tools.path().join("aside")).unwrap();
    let child = project.start(&["resume", "--json"]);
    project.until("the script", || project.seen().join("ran").exists());
    fs::write(tools.path().join("go"), "").unwrap();
    project.until("the late submission", || tools.path().join("late").exists());
    let late = fs::read_to_string(tools.path().join("number")).unwrap();
    project.until("the end of the second job", || {
        let words = ["--noheader", "--states=all", "--format=%T", "--jobs", late.trim()];
        slurm(cluster, "squeue", &words).trim() == "COMPLETED"
    });
    // Longer than the controller looks at the queue.
    let looked = std::time::Instant::now();
    project.until("some looks at the queue", || {
        assert_eq!(project.trials()[0]["attempts"], 1);
        looked.elapsed() > Duration::from_secs(6)
    });
    fs::write(project.seen().join("go"), "").unwrap();
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 1, "{result}");
    assert_eq!(project.trials()[0]["attempts"], 1);
    let ran = fs::read_to_string(project.seen().join("ran")).unwrap();
    assert_eq!(ran.lines().count(), 1, "{ran}");
}

/// Jobs are submitted on another machine that is reached by SSH; its folder is what the nodes see.
fn by_a_login_node(cluster: &Service) {
    let conf = format!("SLURM_CONF={}", cluster.facts()["SLURM_CONF"]);
    let server = Service::start_with("sshd", "gone", &[("SSHD_SETENV", &conf)]);
    let facts = server.facts();
    let how = [
        "--private-key-file",
        facts["KEY"].as_str(),
        "--partition",
        "main",
        "--poll-seconds",
        "1",
    ];
    let place = Place {
        patience: Duration::from_secs(90),
        ..ssh::place_of("slurm", &facts, &how)
    };
    suite::controller_death(&place);
    let left = Path::new(&facts["HOME"]).join(".cache/overdrive/runs");
    assert_eq!(fs::read_dir(left).map(Iterator::count).unwrap_or(0), 0);
}

/// What Slurm refuses is told in its words, before anything is attached or when trials fail.
fn refusals(cluster: &Service) {
    let mut place = place(cluster, &[]);
    place.attach = ["attach", "slurm", "--partition", "moon", "--no-wait"]
        .map(str::to_owned)
        .into();
    let project = Project::new(&place, "echo score=1", &Sweep::default());
    let output = project.run(&["target", "attach", "slurm", "-n", "other", "--partition", "moon"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(!project.path().join(".overdrive/compute/other.yml").exists());
    let output = project.run(&[
        "target",
        "attach",
        "slurm",
        "-n",
        "other",
        "--directive=--job-name=x",
    ]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let output = project.run(&["run", "hdconfig.yml"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("nvalid partition"),
        "{}",
        text(&output.stderr)
    );
}

/// Two jobs are enough for many short trials.
fn many_short_trials(place: &Place) {
    let sweep = Sweep {
        values: (0..40).map(|x| json!(x)).collect(),
        concurrent: 2,
        ..Sweep::default()
    };
    let project = Project::new(place, "echo \"score=$2\"", &sweep);
    let begun = std::time::Instant::now();
    let result = project.sweep();
    println!("40 trials by two workers: {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(result["trials"]["Completed"], 40, "{result}");
    let workers = project.path().join(".overdrive/workers");
    let sweep = fs::read_dir(workers).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_dir(sweep.join("queue")).unwrap().count(), 0);
}

/// A node loses power and the controller is away for a while: nothing is lost, what ran there runs elsewhere.
fn nodes_and_controllers_die(cluster: &Service) {
    let place = place(cluster, &["--directive=--nodelist=n1"]);
    let body = r#"echo "$OVERDRIVE_ATTEMPT" >> "$SEEN/ran"; echo score=1; [ "$OVERDRIVE_ATTEMPT" -gt 0 ] || sleep 300"#;
    let project = Project::new(&place, body, &one());
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("the script", || project.seen().join("ran").exists());
    cluster.ask(&["controller", "kill"]);
    cluster.ask(&["node", "n1", "kill"]);
    std::thread::sleep(Duration::from_secs(3));
    cluster.ask(&["controller", "start"]);
    cluster.ask(&["node", "n1", "start"]);
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 1, "{result}");
    assert_eq!(fs::read_to_string(project.seen().join("ran")).unwrap(), "0\n1\n");
}
