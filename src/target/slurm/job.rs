//! Slurm's commands: what is typed, and what the answers mean.

use super::SlurmOptions;
use crate::runner::{Group, GroupKind};
use crate::target::Fate;
use crate::target::command::{Input, last_line, talk};
use crate::target::queue::Unsubmitted;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a command may take; Slurm's own clients give up earlier.
const PATIENCE: Duration = Duration::from_secs(120);

/// File in an attempt's folder with what its job says beside the runner.
const LOG: &str = "slurm.log";

/// How a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobState {
    /// It waits, runs, or is being cleared away.
    Active,
    /// It is over, in Slurm's word.
    Over(String),
}

/// A job in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) state: JobState,
    /// It waits in the queue.
    pub(super) pending: bool,
    /// It waits for a time: a job that was put back waits two minutes.
    pub(super) put_off: bool,
    /// Nodes it runs or ran on, in Slurm's words.
    pub(super) nodes: String,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::target) struct Ending {
    /// Slurm's word.
    pub(super) word: String,
    /// Last line of the job's own output.
    pub(super) log: Option<String>,
}

impl Ending {
    /// The end of the job that ran in `folder`, with the last line that it said there.
    pub(super) fn of(word: &str, folder: &Path) -> Self {
        let log = fs::read(folder.join(LOG)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let mut lines = log.lines().rev().map(str::trim);
        let last = lines.find(|line| !line.is_empty());
        Self {
            word: word.to_owned(),
            log: last.map(|line| line.chars().take(300).collect()),
        }
    }
}

/// What a job asks for beyond the target's options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The processes of its trial.
    pub(super) group: Option<Group>,
    /// Nodes that it must not get.
    pub(super) without: Vec<String>,
}

impl Shape {
    /// The options of `sbatch` that these are; the last one of a name counts.
    fn arguments(&self, options: &SlurmOptions) -> Vec<String> {
        let mut arguments = Vec::new();
        if let Some(group) = self.group.as_ref().filter(|group| group.processes() > 1) {
            // `mpirun` finds as many places as there are tasks; else one process per node starts the others.
            let tasks = match group.kind {
                GroupKind::Mpi => group.processes_per_node.max(1),
                _ => 1,
            };
            arguments.push(format!("--nodes={}", group.nodes));
            arguments.push(format!("--ntasks-per-node={tasks}"));
            if let Some(cores) = options.cpus_per_task.filter(|_| tasks > 1) {
                arguments.push(format!("--cpus-per-task={}", (cores / tasks).max(1)));
            }
        }
        if !self.without.is_empty() {
            arguments.push(format!("--exclude={}", self.without.join(",")));
        }
        arguments
    }
}

/// Submits a job called `name` that runs `line` of shell in `folder`; its id.
pub(super) fn submit(
    options: &SlurmOptions,
    shape: &Shape,
    name: &str,
    folder: &Path,
    line: &str,
) -> Result<String, Unsubmitted> {
    let mut command = Command::new("sbatch");
    command
        .args(["--parsable", "--no-requeue", "--open-mode=append"])
        .arg(format!("--job-name={name}"))
        .arg(format!("--output={}", folder.join(LOG).display()))
        .arg(format!("--chdir={}", folder.display()))
        .args(options.arguments())
        .args(shape.arguments(options));
    let script = format!("#!/bin/sh\n{line}\n");
    let spoken = talk(&mut command, Input::Text(&script), PATIENCE).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Unsubmitted::Refused("there is no `sbatch` on this machine".into()),
        _ => Unsubmitted::Later(error.to_string()),
    })?;
    if spoken.code == Some(0) {
        // `ID` or `ID;CLUSTER`, behind what a site's wrapper may say.
        let line = last_line(&spoken.output);
        let id = line.split(';').next().unwrap_or_default().trim();
        if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(id.to_owned());
        }
        return Err(Unsubmitted::Uncertain(format!("sbatch answered `{line}`")));
    }
    Err(unsubmitted(spoken.code, &spoken.errors))
}

/// What a refusal of `sbatch` means.
fn unsubmitted(code: Option<i32>, errors: &str) -> Unsubmitted {
    const UNCERTAIN: [&str; 9] = [
        "Socket timed out",
        "Unable to contact slurm controller",
        "Connection refused",
        "Connection timed out",
        "Zero Bytes were transmitted",
        "Communication connection failure",
        "Message receive failure",
        "Transport endpoint is not connected",
        "Slurm backup controller in standby mode",
    ];
    const LATER: [&str; 7] = [
        "temporarily unable to accept job",
        "Resource temporarily unavailable",
        "MaxSubmitJob",
        "MaxSubmitJobs",
        "Job violates accounting/QOS policy",
        "Reached maximum number of jobs",
        "Resource limit",
    ];
    let words = last_line(errors);
    let has = |known: &[&str]| known.iter().any(|known| errors.contains(known));
    if code.is_none() {
        Unsubmitted::Uncertain(format!("sbatch gave no answer within {} s", PATIENCE.as_secs()))
    } else if has(&UNCERTAIN) {
        Unsubmitted::Uncertain(words)
    } else if has(&LATER) {
        Unsubmitted::Later(words)
    } else {
        Unsubmitted::Refused(words)
    }
}

/// All jobs of this user by name, those that ended lately included: one call for all.
pub(super) fn list() -> Result<HashMap<String, Job>, String> {
    let mut command = Command::new("squeue");
    let user = rustix::process::getuid().as_raw().to_string();
    command
        .args(["--noheader", "--states=all", "--format=%i|%T|%r|%N|%j", "--user"])
        .arg(user);
    let spoken = talk(&mut command, Input::Text(""), PATIENCE).map_err(|error| format!("squeue: {error}"))?;
    if spoken.code != Some(0) {
        return Err(format!("squeue: {}", last_line(&spoken.errors)));
    }
    Ok(by_name(spoken.output.lines().filter_map(row)))
}

/// Of two jobs of one name (a controller was killed while it submitted) the one that is not over: the other found the attempt claimed.
fn by_name(rows: impl Iterator<Item = (String, Job)>) -> HashMap<String, Job> {
    let mut jobs: HashMap<String, Job> = HashMap::new();
    for (name, job) in rows {
        let known = jobs.get(&name).map(|job| &job.state);
        if known != Some(&JobState::Active) {
            jobs.insert(name, job);
        }
    }
    jobs
}

fn row(line: &str) -> Option<(String, Job)> {
    let mut parts = line.trim().splitn(5, '|');
    let (id, word, reason) = (parts.next()?, parts.next()?, parts.next()?);
    let (nodes, name) = (parts.next()?, parts.next()?);
    let job = Job {
        id: id.to_owned(),
        state: state(word),
        pending: matches!(word, "PENDING" | "REQUEUED" | "REQUEUE_HOLD"),
        put_off: word == "PENDING" && reason == "BeginTime",
        nodes: nodes.to_owned(),
    };
    Some((name.to_owned(), job))
}

/// What Slurm's word for a job's state means.
fn state(word: &str) -> JobState {
    const OVER: [&str; 10] = [
        "COMPLETED",
        "CANCELLED",
        "FAILED",
        "TIMEOUT",
        "NODE_FAIL",
        "PREEMPTED",
        "BOOT_FAIL",
        "DEADLINE",
        "OUT_OF_MEMORY",
        "REVOKED",
    ];
    if OVER.contains(&word) {
        JobState::Over(word.to_owned())
    } else {
        // PENDING, CONFIGURING, RUNNING, SUSPENDED, COMPLETING, REQUEUED, ... and what newer versions say.
        JobState::Active
    }
}

/// How a job ended that the queue has forgotten, if accounting knows.
pub(super) fn past(id: &str) -> Option<String> {
    let mut command = Command::new("sacct");
    command.args([
        "--noheader",
        "--allocations",
        "--parsable2",
        "--format=State",
        "--jobs",
        id,
    ]);
    let spoken = talk(&mut command, Input::Text(""), PATIENCE).ok()?;
    // `CANCELLED by 1000`
    let word = spoken
        .output
        .lines()
        .last()?
        .split_whitespace()
        .next()?
        .to_owned();
    (spoken.code == Some(0) && matches!(state(&word), JobState::Over(_))).then_some(word)
}

/// Ends a job: TERM, then KILL after the site's patience; the shell of the job as well. `false` if Slurm did not hear of it.
pub(super) fn cancel(id: &str) -> bool {
    let mut command = Command::new("scancel");
    command.args(["--full", id]);
    let spoken = talk(&mut command, Input::Text(""), PATIENCE);
    // One that is over is not known any more.
    spoken.is_ok_and(|spoken| spoken.code == Some(0) || spoken.errors.contains("Invalid job id"))
}

/// Lets a job begin that waits for a time.
pub(super) fn begin_now(id: &str) {
    let mut command = Command::new("scontrol");
    command.args(["update", &format!("JobId={id}"), "StartTime=now"]);
    // Asked for again while it waits.
    let _ = talk(&mut command, Input::Text(""), PATIENCE);
}

/// Word for a job that Slurm put back into the queue after its runner had begun.
pub(super) const PUT_BACK: &str = "REQUEUED";

/// What a job's end means for an attempt whose journal does not tell its own; `None` = lost.
pub(super) fn fate(word: &str, claimed: bool) -> Option<Fate> {
    match word {
        "CANCELLED" => Some(Fate::Canceled),
        "TIMEOUT" => Some(Fate::TimeLimit),
        "OUT_OF_MEMORY" => Some(Fate::OutOfMemory),
        "PREEMPTED" | PUT_BACK => Some(Fate::Preempted),
        "DEADLINE" => Some(Fate::Setup),
        "COMPLETED" | "FAILED" if !claimed => Some(Fate::NotStarted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_queue() {
        let (name, job) = row("12|OUT_OF_MEMORY|None|n1|od-ab|c").unwrap();
        assert_eq!((name.as_str(), job.id.as_str()), ("od-ab|c", "12"));
        assert_eq!(job.state, JobState::Over("OUT_OF_MEMORY".into()));
        for word in [
            "PENDING",
            "CONFIGURING",
            "RUNNING",
            "COMPLETING",
            "REQUEUE_HOLD",
            "SOMETHING_NEW",
        ] {
            assert_eq!(state(word), JobState::Active, "{word}");
        }
        assert_eq!(row("nonsense"), None);
        let (_, job) = row("7|PENDING|BeginTime||od-1").unwrap();
        assert!(job.pending && job.put_off && job.nodes.is_empty());
    }

    #[test]
    fn of_two_jobs_of_one_name_the_one_that_lives_counts() {
        let lines = ["7|RUNNING|None|n1|od-1", "8|COMPLETED|None|n2|od-1"];
        for lines in [lines, [lines[1], lines[0]]] {
            let jobs = by_name(lines.into_iter().filter_map(row));
            assert_eq!((jobs.len(), jobs["od-1"].id.as_str()), (1, "7"));
        }
    }

    #[test]
    fn a_trial_of_several_nodes_asks_for_them() {
        let options = SlurmOptions {
            cpus_per_task: Some(8),
            ..SlurmOptions::default()
        };
        let group = |kind| {
            Some(Group {
                kind,
                nodes: 2,
                processes_per_node: 4,
                workers: 0,
                parameter_servers: 0,
            })
        };
        let shape = |kind, without: &[&str]| Shape {
            group: group(kind),
            without: without.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(
            shape(GroupKind::Mpi, &[]).arguments(&options),
            ["--nodes=2", "--ntasks-per-node=4", "--cpus-per-task=2"]
        );
        assert_eq!(
            shape(GroupKind::Torch, &["n1", "n3"]).arguments(&options),
            ["--nodes=2", "--ntasks-per-node=1", "--exclude=n1,n3"]
        );
        assert_eq!(Shape::default().arguments(&options), [""; 0]);
    }

    #[test]
    fn refusals_are_told_apart() {
        let error = |text: &str| unsubmitted(Some(1), text);
        assert!(matches!(
            error("sbatch: error: invalid partition specified: x\n"),
            Unsubmitted::Refused(_)
        ));
        assert!(matches!(
            error("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"),
            Unsubmitted::Uncertain(_)
        ));
        assert!(matches!(
            error(
                "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy"
            ),
            Unsubmitted::Later(_)
        ));
        assert!(matches!(unsubmitted(None, ""), Unsubmitted::Uncertain(_)));
    }

    #[test]
    fn ends_have_their_fates() {
        assert_eq!(fate("NODE_FAIL", true), None);
        assert_eq!(fate("FAILED", true), None);
        assert_eq!(fate("FAILED", false), Some(Fate::NotStarted));
        assert_eq!(fate("PREEMPTED", true), Some(Fate::Preempted));
    }
}
