//! What every target must do, whatever is behind it.

use super::project::{LOGGING, Place, Project, Sweep, text, wait};
use serde_json::json;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// Values that a shell, a file format or a terminal could stumble over.
const HOSTILE: [&str; 6] = [
    "plain",
    "; touch pwned; #",
    "$(touch pwned)`touch pwned`",
    "two words\nand a line",
    "na\u{ef}ve \u{3c0} \u{1f600}",
    "'single' \"double\" \\back",
];

/// Runs the whole suite, its parts side by side.
pub(super) fn all(place: &Place) {
    let parts: [(&str, fn(&Place)); 9] = [
        ("whole", whole),
        ("live", live),
        ("time_limit", time_limit),
        ("runner_death", runner_death),
        ("controller_death", controller_death),
        ("two_at_once", two_at_once),
        ("python_and_data", python_and_data),
        ("big_log", big_log),
        ("queued", queued),
    ];
    // Two at a time: each is a controller with trials of its own.
    for pair in parts.chunks(2) {
        std::thread::scope(|scope| {
            for (name, part) in pair {
                scope.spawn(move || {
                    let begun = Instant::now();
                    part(place);
                    println!("{name}: {:.1} s", begun.elapsed().as_secs_f64());
                });
            }
        });
    }
}

/// Values arrive as they are, numbers and logs come back, outputs of any name come back, nothing else does.
pub(super) fn whole(place: &Place) {
    let body = r#"printf '%s' "$2" > outputs/value
mkdir -p outputs/empty outputs/deep/er
printf 'odd' > "outputs/a
b  ö.txt"
head -c 300000 /dev/zero > outputs/deep/er/zeros
printf '#!/bin/sh\n' > outputs/tool; chmod 755 outputs/tool
ln -s deep/er/zeros outputs/link
ln -s /etc/passwd outputs/away
echo left > not-an-output
echo "score=$OVERDRIVE_TRIAL.5"
echo "a line on standard error" >&2"#;
    let values = HOSTILE.iter().map(|value| json!(value)).collect();
    let project = Project::new(
        place,
        body,
        &Sweep {
            values,
            concurrent: 3,
            ..Sweep::default()
        },
    );
    let result = project.sweep();
    assert_eq!(result["trials"]["Completed"], 6, "{result}");
    assert_eq!(result["best"]["value"], 5.5);
    for trial in project.trials() {
        let number = trial["trial"].as_u64().unwrap();
        let outputs = project.folder_of(number).join("wd/outputs");
        assert_eq!(
            fs::read_to_string(outputs.join("value")).unwrap(),
            trial["parameters"]["--x"].as_str().unwrap()
        );
        assert_eq!(fs::read(outputs.join("a\nb  \u{f6}.txt")).unwrap(), b"odd");
        assert_eq!(
            fs::metadata(outputs.join("deep/er/zeros")).unwrap().len(),
            300_000
        );
        assert!(outputs.join("empty").is_dir());
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(outputs.join("tool")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o100, 0o100);
        assert_eq!(
            fs::read_link(outputs.join("link"))
                .unwrap()
                .as_os_str()
                .as_bytes(),
            b"deep/er/zeros"
        );
        assert!(!outputs.join("pwned").exists() && !outputs.join("../pwned").exists());
        let logs = project.run(&["logs", &number.to_string()]);
        assert_eq!(
            text(&logs.stdout),
            format!("score={number}.5\na line on standard error\n")
        );
    }
    assert_eq!(project.trials().len(), 6);
}

/// Numbers and logs are there while the script runs; a cancel ends it, and what it started, within the grace.
pub(super) fn live(place: &Place) {
    let body = r#"sleep 300 &
echo $! > "$SEEN/child"
trap 'echo stopped > outputs/stopped; exit 3' TERM
echo "score=7"
echo ready > "$SEEN/ready"
while :; do sleep 0.1; done"#;
    let project = Project::new(
        place,
        body,
        &Sweep {
            values: vec![json!(1)],
            ..Sweep::default()
        },
    );
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("the script", || project.seen().join("ready").exists());
    let asked = Instant::now();
    project.until("its number", || {
        project
            .trials()
            .first()
            .is_some_and(|trial| trial["reports"] == 1)
    });
    project.until("its log", || {
        text(&project.run(&["logs", "0"]).stdout) == "score=7\n"
    });
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "live means now: {:?}",
        asked.elapsed()
    );
    let pid: i32 = fs::read_to_string(project.seen().join("child"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let pid = project.process(pid);
    assert!(overdrive::process::start_ticks(pid).is_some());
    let asked = Instant::now();
    let output = project.run(&["cancel"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    let output = wait(child);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(project.trials()[0]["state"], "Canceled");
    assert_eq!(
        fs::read_to_string(project.folder_of(0).join("wd/outputs/stopped")).unwrap(),
        "stopped\n"
    );
    project.until("the end of what it started", || {
        overdrive::process::start_ticks(pid).is_none()
    });
}

/// A trial's time limit is kept by its runner.
pub(super) fn time_limit(place: &Place) {
    let project = Project::new(
        place,
        "echo score=1; sleep 300",
        &Sweep {
            values: vec![json!(1)],
            extra: "maxRunDurationSeconds: 1\n",
            ..Sweep::default()
        },
    );
    let begun = Instant::now();
    project.run(&["run", "hdconfig.yml", "--json"]);
    assert!(begun.elapsed() < place.patience + Duration::from_secs(20));
    let trial = &project.trials()[0];
    assert_eq!(trial["state"], "Canceled", "{trial}");
    assert_eq!(trial["reports"], 1, "{trial}");
}

/// A runner that is killed takes its script with it; its trial is tried again and counted once.
pub(super) fn runner_death(place: &Place) {
    let body = r#"n="$SEEN/$OVERDRIVE_TRIAL"
echo "score=1"
if [ ! -e "$n" ]; then echo $$ > "$n.new"; mv "$n.new" "$n"; sleep 300; fi
echo "score=2""#;
    let project = Project::new(
        place,
        body,
        &Sweep {
            values: vec![json!(1)],
            ..Sweep::default()
        },
    );
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("the script", || project.seen().join("0").exists());
    let script: i32 = fs::read_to_string(project.seen().join("0"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let script = project.process(script);
    let stat = fs::read_to_string(format!("/proc/{script}/stat")).unwrap();
    let runner = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let runner = rustix::process::Pid::from_raw(runner).unwrap();
    rustix::process::kill_process(runner, rustix::process::Signal::KILL).unwrap();
    project.until("the end of the script", || {
        overdrive::process::start_ticks(script).is_none()
    });
    let result = project.ends(child);
    assert_eq!(result["trials"]["Completed"], 1, "{result}");
    let shown = project.json(&["show", "0", "--json"]);
    let attempts = shown["items"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{shown}");
    assert_eq!(attempts[0]["superseded"], true, "{shown}");
    assert_eq!(attempts[0]["outcome"]["class"], "infrastructure", "{shown}");
    assert_eq!(shown["reports"], 2, "those of the lost attempt do not count");
}

/// A script that prints 100 MB: what is kept stays within its bounds, with its first and its last line; the numbers around it are there.
pub(super) fn big_log(place: &Place) {
    let body = r#"echo "score=1"
head -c 100000000 /dev/zero | tr '\0' 'x' | fold -w 999; echo
echo "score=2""#;
    let project = Project::new(
        place,
        body,
        &Sweep {
            values: vec![json!(1)],
            ..Sweep::default()
        },
    );
    let words = ["run", "hdconfig.yml", "--json", "--set", "log_cap_mib=4"];
    let result = project.ends(project.start(&words));
    assert_eq!(result["trials"]["Completed"], 1, "{result}");
    assert_eq!(result["best"]["value"], 2.0, "{result}");
    assert_eq!(project.trials()[0]["reports"], 2);
    let log = fs::read(project.folder_of(0).join("wd/../azureml-logs/70_driver_log.txt")).unwrap();
    assert!(
        (3 << 20..=(4 << 20) + 4096).contains(&log.len()),
        "{} bytes are kept",
        log.len()
    );
    assert!(log.starts_with(b"score=1\nxxx") && log.ends_with(b"xxx\nscore=2\n"));
}

/// A thousand trials that could all run at once, on two slots: two at a time are begun, those that end make room, and a cancel
/// leaves nothing behind.
pub(super) fn queued(place: &Place) {
    let Some(kind) = place.attach.get(1) else {
        // This computer takes as many as it is told.
        return;
    };
    let sweep = Sweep {
        values: (0..1000).map(|x| json!(x)).collect(),
        concurrent: 1000,
        ..Sweep::default()
    };
    let project = Project::new(place, "echo \"score=$2\"; : > \"$SEEN/$2\"", &sweep);
    let update = project.run(&["target", "update", kind, "-n", "place", "--slots", "2"]);
    assert_eq!(update.status.code(), Some(0), "{}", text(&update.stderr));
    let child = project.start(&["run", "hdconfig.yml", "--json"]);
    let most = std::cell::Cell::new(0);
    project.until("the first six trials", || {
        let trials = project.trials();
        let open = |trial: &&serde_json::Value| {
            !["Completed", "Failed", "Canceled"].contains(&trial["state"].as_str().unwrap())
        };
        most.set(most.get().max(trials.iter().filter(open).count()));
        project.names_seen().len() >= 6
    });
    // What ended keeps its slot with the engine until it is home, but not the target's.
    assert!(most.get() <= 8, "{} at once", most.get());
    let output = project.run(&["cancel"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = wait(child);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let trials = project.trials();
    assert!(trials.len() < 200, "{} were begun", trials.len());
    for trial in &trials {
        assert_ne!(trial["state"], "Failed", "{trial}");
        assert_eq!(trial["attempts"], 1, "{trial}");
    }
}

/// A controller that is killed costs nothing: trials go on, the next one catches up.
pub(super) fn controller_death(place: &Place) {
    let project = Project::new(
        place,
        LOGGING,
        &Sweep {
            values: (0..4).map(|x| json!(x)).collect(),
            ..Sweep::default()
        },
    );
    let mut child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("two scripts", || project.names_seen().len() >= 2);
    child.kill().unwrap();
    child.wait().unwrap();
    // Again, while it takes the sweep up.
    let mut child = project.start(&["resume", "--json"]);
    std::thread::sleep(Duration::from_millis(300));
    child.kill().unwrap();
    child.wait().unwrap();
    let result = project.ends(project.start(&["resume", "--json"]));
    assert_eq!(
        result["trials"]["Completed"],
        4,
        "{result} {:?}",
        project.trials()
    );
    for trial in project.trials() {
        assert_eq!(trial["attempts"], 1, "{trial}");
    }
    project.nothing_was_lost(4);
}

/// Two sweeps on one target do not get in each other's way.
pub(super) fn two_at_once(place: &Place) {
    let projects = [0, 1].map(|_| Project::new(place, LOGGING, &Sweep::default()));
    let children: Vec<_> = projects
        .iter()
        .map(|project| project.start(&["run", "hdconfig.yml", "--json"]))
        .collect();
    for (project, child) in projects.iter().zip(children) {
        let result = project.ends(child);
        assert_eq!(result["trials"]["Completed"], 3, "{result}");
        project.nothing_was_lost(3);
    }
}

/// A Python script finds the interpreter of the place, its data, and the module that stands in for the old SDK.
pub(super) fn python_and_data(place: &Place) {
    let project = Project::new(
        place,
        "",
        &Sweep {
            values: vec![json!(1)],
            ..Sweep::default()
        },
    );
    let data = project.path().join("data set");
    fs::create_dir_all(data.join("deep")).unwrap();
    fs::write(data.join("deep/numbers.txt"), "4\n5\n").unwrap();
    fs::write(data.join(".gitignore"), "*").unwrap();
    fs::create_dir(project.path().join("src")).unwrap();
    fs::write(
        project.path().join("src/train.py"),
        "import sys, pathlib\nfrom azureml.core import Run\nrun = Run.get_context()\n\
         numbers = (pathlib.Path(sys.argv[1]) / 'deep' / 'numbers.txt').read_text().split()\n\
         for number in numbers:\n    run.log('score', float(number))\n\
         run.log('extra', float(sys.argv[2]))\n\
         pathlib.Path('outputs/model.txt').write_text(sys.argv[2])\n\
         run.upload_file('outputs/model.txt', 'outputs/model.txt')\n\
         run.register_model('digits', 'outputs/model.txt')\n",
    )
    .unwrap();
    fs::write(
        project.path().join("sweep.yml"),
        "$schema: https://azuremlschemas.azureedge.net/latest/sweepJob.schema.json\ntype: sweep\n\
         trial:\n  code: src\n  command: python train.py ${{inputs.data}} ${{search_space.x}}\n  environment: azureml:any@latest\n\
         inputs:\n  data:\n    type: uri_folder\n    path: ./data set\n\
         search_space:\n  x:\n    type: choice\n    values: [1, 2]\nsampling_algorithm: grid\n\
         objective:\n  goal: maximize\n  primary_metric: score\nlimits:\n  max_total_trials: 2\n  max_concurrent_trials: 2\n",
    )
    .unwrap();
    let mut words = vec!["run", "sweep.yml", "--json", "--environment", "current"];
    if !place.attach.is_empty() {
        words.extend(["--target", "place"]);
    }
    let result = project.ends(project.start(&words));
    assert_eq!(result["trials"]["Completed"], 2, "{result}");
    for trial in project.trials() {
        assert_eq!(trial["reports"], 2, "{trial}");
    }
    // What both registered is in one registry here, wherever they ran.
    let folder = project.folder_of(0);
    let registry = folder.ancestors().nth(3).unwrap().join("registry");
    let models = overdrive::models::Models::new(&registry);
    let mut kept: Vec<String> = models
        .versions("digits")
        .unwrap()
        .iter()
        .map(|model| fs::read_to_string(models.path(model)).unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["1", "2"], "{}", registry.display());
}
