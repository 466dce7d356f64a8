//! Looks whether a cluster takes trials, for real, and how long each step takes.

use super::RayOptions;
use super::api::{Capacity, Client, JobState, Undone};
use crate::target::probe::{Step, timed};
use crate::target::queue::quoted;
use crate::target::ssh::Secret;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the job of a probe may wait and run.
const PATIENCE: Duration = Duration::from_secs(90);

/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(250);

/// Probes the cluster from here: dashboard, nodes, and a job that looks for the folder `home`, whose files nodes must see.
pub(super) fn here(options: &RayOptions, home: &Path) -> Vec<Step> {
    let client = Client::new(options.clone());
    let words = |undone: Undone| undone.into_words();
    let mut steps = vec![timed("dashboard", false, || {
        client
            .version()
            .map(|version| format!("Ray {version}"))
            .map_err(words)
    })];
    if steps.iter().any(|step| step.found.is_err()) {
        return steps;
    }
    let mut capacity = None;
    steps.push(timed("nodes", false, || {
        let found = client.capacity().map_err(words)?;
        let told = described(&found, options);
        capacity = Some(found);
        told
    }));
    if let Some(Capacity { gpus, .. }) = capacity {
        steps.push(timed("gpus", true, || {
            Ok(if gpus > 0.0 {
                gpus.to_string()
            } else {
                "none".into()
            })
        }));
    }
    steps.push(timed("job", false, || job(&client, options, home)));
    steps
}

/// What the cluster has, and how many trials that is.
fn described(found: &Capacity, options: &RayOptions) -> Result<String, String> {
    let mut at_once = found.cpus / options.cores();
    if let Some(gpus) = options.gpus {
        at_once = at_once.min(found.gpus / gpus);
    }
    for (name, amount) in &options.resources {
        let have = found.custom.get(name).and_then(Value::as_f64).unwrap_or_default();
        at_once = at_once.min(have / amount);
    }
    let mut told = format!("{} alive, {} cores", found.nodes, found.cpus);
    for (name, amount) in &found.custom {
        told.push_str(&format!(", {name} {amount}"));
    }
    if at_once < 1.0 {
        // One that starts nodes on demand may have none now.
        return Ok(format!("{told}; none of them holds a trial now"));
    }
    Ok(format!("{told}; {} trials at once", at_once.floor()))
}

/// A job like a trial's, on whichever node it fits.
fn job(client: &Client, options: &RayOptions, home: &Path) -> Result<String, String> {
    let folder = home.ancestors().find(|folder| folder.is_dir()).unwrap_or(home);
    let mark =
        tempfile::NamedTempFile::new_in(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let id = format!("od-probe-{}", uuid::Uuid::new_v4().simple());
    let line = format!(
        "[ -e {} ] && echo \"OD seen on $(uname -n)\" || echo \"OD not seen on $(uname -n)\"",
        quoted(&mark.path().to_string_lossy())
    );
    let mut needs = serde_json::Map::new();
    needs.insert("entrypoint_num_cpus".into(), json!(options.cores()));
    if let Some(gpus) = options.gpus {
        needs.insert("entrypoint_num_gpus".into(), json!(gpus));
    }
    if !options.resources.is_empty() {
        needs.insert("entrypoint_resources".into(), json!(options.resources));
    }
    client.submit(&id, &line, needs).map_err(Undone::into_words)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match client.job(&id).map_err(Undone::into_words)? {
            Some(JobState::Over(ending)) if ending.word == "SUCCEEDED" => break,
            Some(JobState::Over(ending)) => return Err(format!("{}: {}", ending.word, ending.why)),
            _ if Instant::now() >= until => {
                // What it came to is of no interest any more.
                let _ = client.stop(&id);
                return Err(format!(
                    "a job like a trial's did not start within {} s: is there a node with such resources?",
                    PATIENCE.as_secs()
                ));
            }
            _ => std::thread::sleep(LOOK),
        }
    }
    let output = client.output(&id).map_err(Undone::into_words)?;
    let said = output
        .lines()
        .find_map(|line| line.strip_prefix("OD "))
        .unwrap_or_default();
    match said.strip_prefix("seen") {
        Some(place) => Ok(format!("`{}` is seen{place}", folder.display())),
        None => Err(format!(
            "`{}` is {said}: nodes must see the folder of the project under the same path; keep the project on a file system that \
             they share, or submit from a machine of the cluster (`--address HOST`)",
            folder.display()
        )),
    }
}

/// Probes the dashboard from another machine, by scripts that `ask` runs there.
pub(super) fn there(options: &RayOptions, ask: &mut dyn FnMut(&str) -> Result<String, String>) -> Vec<Step> {
    let token = match &options.token {
        Some(Secret::File(path)) => format!("open({:?}).read().strip()", path.to_string_lossy()),
        Some(Secret::Variable(name)) => format!("os.environ[{name:?}]"),
        Some(Secret::Keyring(name)) => format!(
            "subprocess.check_output(['secret-tool', 'lookup', 'service', 'overdrive', 'target', {name:?}], text=True).strip()"
        ),
        None => "''".into(),
    };
    let script = format!(
        "python3 - <<'OVERDRIVE'\nimport json, os, subprocess, urllib.request\ntoken = {token}\nrequest = urllib.request.Request({:?})\nif token: \
         request.add_header('Authorization', 'Bearer ' + token)\nprint('Ray', json.load(urllib.request.urlopen(request, \
         timeout=20))['ray_version'])\nOVERDRIVE\n",
        format!("{}/api/version", options.dashboard.trim_end_matches('/')),
    );
    vec![timed("dashboard", false, || {
        ask(&script).map(|found| found.trim().to_owned())
    })]
}
