//! A trial of several processes: `overdrive ranks FOLDER`, hidden, which the runner starts instead of the script.
//!
//! On one computer all processes are its children. In an allocation of several Slurm nodes it becomes `srun`, which starts one of
//! its kind per node; MPI processes are started by `mpirun` (or, without one, by `srun`) and only wrapped. The first process (rank 0)
//! writes to the trial's log, rank `n` to `azureml-logs/70_driver_log_n.txt`. One that fails ends the others, and its exit code is
//! the trial's. What each process finds in its environment: [`variables`].

mod plan;
pub mod variables;

use super::spec::{AttemptSpec, Group, GroupKind};
use plan::Plan;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use variables::Place;

/// First argument of the program.
pub const VERB: &str = "ranks";

/// What this process is to do, if it is not the one that the runner started.
const ROLE: &str = "OVERDRIVE_RANKS_ROLE";

/// Where the first of them decided everything.
const PLAN: &str = "OVERDRIVE_RANKS_PLAN";

/// From the failure of one process to the forced end of the others.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(50);

/// Lines of a failed process that are told in the trial's log.
const TOLD: usize = 5;

/// Exit code where a program is not there, as in a shell.
const NOT_FOUND: i32 = 127;

/// Starts the processes of the trial whose `spec.json` lies in `folder`, on this node or on all; the whole life of the process.
/// Returns its exit code.
pub fn main(folder: &Path) -> i32 {
    let told = |error: &dyn std::fmt::Display| {
        say(&format!("overdrive: {error}"));
        1
    };
    let text = match fs::read(folder.join("spec.json")) {
        Ok(text) => text,
        Err(error) => return told(&error),
    };
    let spec: AttemptSpec = match serde_json::from_slice(&text) {
        Ok(spec) => spec,
        Err(error) => return told(&error),
    };
    let Some(group) = spec.group.clone() else {
        return told(&"this trial is one process");
    };
    let trial = Trial {
        spec: &spec,
        group,
        folder,
    };
    let role = std::env::var(ROLE).unwrap_or_default();
    let plan = std::env::var(PLAN)
        .ok()
        .and_then(|text| serde_json::from_str::<Plan>(&text).ok());
    match (role.as_str(), plan) {
        ("one", plan) => trial.one(&plan.unwrap_or_else(|| Plan::here(&trial.group))),
        ("node", Some(plan)) => {
            let node = number("SLURM_NODEID").unwrap_or(0);
            trial.node(&plan, Some(node))
        }
        _ => trial.lead(),
    }
}

/// To the trial's log.
fn say(line: &str) {
    // A log that is gone takes nothing.
    let _ = writeln!(io::stderr(), "{line}");
}

fn number(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.trim().parse().ok()
}

struct Trial<'a> {
    spec: &'a AttemptSpec,
    group: Group,
    folder: &'a Path,
}

/// One process of the trial.
struct Process {
    place: Place,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Trial<'_> {
    /// What the runner started: decides where processes go.
    fn lead(&self) -> i32 {
        let plan = match Plan::make(&self.group) {
            Ok(plan) => plan,
            Err(why) => {
                say(&format!("overdrive: {why}"));
                return 1;
            }
        };
        match (self.group.kind, plan.spread) {
            (GroupKind::Mpi, _) => self.by_mpi(&plan),
            (_, true) => {
                let mut srun = Command::new("srun");
                srun.args(["--ntasks-per-node=1", "--kill-on-bad-exit=1", "--export=ALL"])
                    .arg(format!("--nodes={}", self.group.nodes))
                    .arg(format!("--ntasks={}", self.group.nodes));
                self.become_it(srun, "node", &plan)
            }
            (_, false) => self.node(&plan, None),
        }
    }

    fn by_mpi(&self, plan: &Plan) -> i32 {
        let version = Command::new("mpirun")
            .arg("--version")
            .stdin(Stdio::null())
            .output();
        let command = match version {
            Ok(output) => {
                let told = String::from_utf8_lossy(&output.stdout);
                let open = told.contains("Open MPI") || told.contains("OpenRTE");
                let per_node = self.group.processes_per_node.to_string();
                let mut mpirun = Command::new("mpirun");
                mpirun.args(["-n", &self.group.processes().to_string()]);
                match (open, plan.spread) {
                    (true, spread) => {
                        // Slots are decided here, not by the number of cores.
                        mpirun.arg("--oversubscribe");
                        if spread {
                            mpirun.args(["--map-by", &format!("ppr:{per_node}:node")]);
                        }
                        if rustix::process::geteuid().is_root() {
                            mpirun.arg("--allow-run-as-root");
                        }
                    }
                    (false, true) => {
                        mpirun.args(["-ppn", &per_node]);
                    }
                    (false, false) => {}
                }
                mpirun
            }
            Err(_) if std::env::var_os("SLURM_JOB_ID").is_some() => {
                let mut srun = Command::new("srun");
                srun.args(["--kill-on-bad-exit=1", "--export=ALL", "--overcommit"])
                    .arg(format!("--nodes={}", self.group.nodes))
                    .arg(format!("--ntasks={}", self.group.processes()))
                    .arg(format!("--ntasks-per-node={}", self.group.processes_per_node));
                srun
            }
            Err(_) => {
                say("overdrive: the trial asks for MPI, and there is no `mpirun` on this machine");
                return NOT_FOUND;
            }
        };
        self.become_it(command, "one", plan)
    }

    /// Becomes a starter of others of this program's kind.
    fn become_it(&self, mut command: Command, role: &str, plan: &Plan) -> i32 {
        let own = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let text = serde_json::to_string(plan).unwrap_or_default();
        let error = command
            .arg(own)
            .arg(VERB)
            .arg(self.folder)
            .env(ROLE, role)
            .env(PLAN, text)
            .exec();
        say(&format!(
            "overdrive: `{}` could not be started: {error}",
            command.get_program().to_string_lossy()
        ));
        NOT_FOUND
    }

    /// One MPI process: takes its place from whoever started it and becomes the script.
    fn one(&self, plan: &Plan) -> i32 {
        let first = |names: &[&str]| names.iter().find_map(|name| number(name));
        let rank = first(&["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"]).unwrap_or(0);
        let local = first(&["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"]);
        let per_node = self.group.processes_per_node.max(1);
        let place = Place {
            rank,
            local: local.unwrap_or(rank % per_node),
            node: if plan.spread { rank / per_node } else { 0 },
        };
        let mut command = match self.command(plan, place) {
            Ok(command) => command,
            Err(error) => {
                say(&format!("overdrive: rank {rank}: {error}"));
                return 1;
            }
        };
        let error = command.exec();
        say(&format!("overdrive: rank {rank} could not be started: {error}"));
        NOT_FOUND
    }

    /// The script as the process of that place.
    fn command(&self, plan: &Plan, place: Place) -> io::Result<Command> {
        let missing = || io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
        let (program, arguments) = self.spec.argv.split_first().ok_or_else(missing)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .env_remove(ROLE)
            .env_remove(PLAN)
            .envs(variables::of(&self.group, plan, place));
        if place.rank > 0 {
            let log = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(self.log(place.rank))?;
            command.stdout(log.try_clone()?).stderr(log);
        }
        Ok(command)
    }

    fn log(&self, rank: u32) -> PathBuf {
        self.folder
            .join("azureml-logs")
            .join(format!("70_driver_log_{rank}.txt"))
    }

    /// Starts the processes of a node, or all, and waits for them.
    fn node(&self, plan: &Plan, node: Option<u32>) -> i32 {
        let asked = Arc::new(AtomicBool::new(false));
        // Without it a cancel ends this process first, and the scripts have no grace.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&asked));
        let places = plan.places(&self.group);
        let mut processes = Vec::new();
        for place in places
            .into_iter()
            .filter(|place| node.is_none_or(|node| place.node == node))
        {
            let started = self.command(plan, place).and_then(|mut command| command.spawn());
            match started {
                Ok(child) => processes.push(Process {
                    place,
                    child,
                    ended: None,
                }),
                Err(error) => {
                    say(&format!(
                        "overdrive: rank {} could not be started: {error}",
                        place.rank
                    ));
                    self.end(&mut processes);
                    return NOT_FOUND;
                }
            }
        }
        self.wait(&mut processes, &asked)
    }

    fn wait(&self, processes: &mut [Process], asked: &AtomicBool) -> i32 {
        let mut passed_on = false;
        loop {
            if asked.load(Ordering::Relaxed) && !passed_on {
                passed_on = true;
                terminate(processes);
            }
            for process in processes.iter_mut().filter(|process| process.ended.is_none()) {
                if let Ok(Some(status)) = process.child.try_wait() {
                    process.ended = Some(status);
                    if self.is_worker(process.place.rank) && status.success() {
                        // Parameter servers on other nodes wait for it.
                        let _ = fs::write(self.mark(process.place.rank), "");
                    }
                }
            }
            let failed = |process: &&mut Process| process.ended.is_some_and(|status| !status.success());
            if !passed_on && let Some(process) = processes.iter_mut().find(failed) {
                let code = process.ended.map_or(1, code);
                let rank = process.place.rank;
                if rank > 0 {
                    self.tell(rank, code);
                }
                self.end(processes);
                return code;
            }
            if processes.iter().all(|process| process.ended.is_some()) {
                return processes
                    .iter()
                    .filter_map(|process| process.ended.map(code))
                    .find(|code| *code != 0)
                    .unwrap_or(0);
            }
            if self.workers_are_done()
                && processes
                    .iter()
                    .all(|process| process.ended.is_some() || !self.is_worker(process.place.rank))
            {
                // Parameter servers serve for ever.
                self.end(processes);
                return 0;
            }
            std::thread::sleep(LOOK);
        }
    }

    fn is_worker(&self, rank: u32) -> bool {
        self.group.kind == GroupKind::Tensorflow && rank < self.group.workers
    }

    fn mark(&self, rank: u32) -> PathBuf {
        self.folder.join(format!("rank-{rank}-done"))
    }

    fn workers_are_done(&self) -> bool {
        self.group.kind == GroupKind::Tensorflow
            && self.group.parameter_servers > 0
            && (0..self.group.workers).all(|rank| self.mark(rank).exists())
    }

    /// The last words of a process that has a log of its own.
    fn tell(&self, rank: u32, code: i32) {
        say(&format!("overdrive: rank {rank} ended with exit code {code}"));
        let text = fs::read(self.log(rank)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(TOLD)) {
            say(line);
        }
    }

    /// Ends what still runs: TERM, a while, KILL.
    fn end(&self, processes: &mut [Process]) {
        terminate(processes);
        let until = Instant::now() + PATIENCE;
        let open = |process: &mut Process| matches!(process.child.try_wait(), Ok(None));
        while processes.iter_mut().any(open) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        for process in processes {
            // Gone already is what is wanted.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

fn terminate(processes: &[Process]) {
    for process in processes.iter().filter(|process| process.ended.is_none()) {
        let pid = i32::try_from(process.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It is not reaped: the id is its own.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// An exit code as a shell tells it.
fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
