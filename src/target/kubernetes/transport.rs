//! Lines into pods: `kubectl exec` leads to the agent, and the program is brought to where the pod keeps it, once per build.

use super::kubectl::{Kubectl, explained};
use super::manifest::ROOT;
use super::pod::Pod;
use crate::target::agent::protocol::Starter;
use crate::target::remote::{Errors, Line, LineError, Transport};
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a pod is, as its watcher knows it.
#[derive(Debug)]
pub(super) struct Status {
    pod: Mutex<Pod>,
    changed: Condvar,
}

impl Status {
    pub(super) fn new() -> Self {
        Self {
            pod: Mutex::new(Pod::Unseen),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pod> {
        self.pod.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> Pod {
        self.lock().clone()
    }

    /// Takes in what was seen; what is over stays over. True if it is new.
    pub(super) fn set(&self, seen: Pod) -> bool {
        let mut pod = self.lock();
        if matches!(*pod, Pod::Over { .. }) || *pod == seen {
            return false;
        }
        *pod = seen;
        self.changed.notify_all();
        true
    }

    /// Waits for a pod that runs.
    fn running(&self) -> Result<String, LineError> {
        let mut pod = self.lock();
        loop {
            match &*pod {
                Pod::Running(name) => return Ok(name.clone()),
                Pod::Over { why, .. } => return Err(LineError::Refused(why.clone())),
                Pod::Unseen | Pod::Waiting(_) => {}
            }
            pod = self
                .changed
                .wait_timeout(pod, Duration::from_secs(5))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// This program, and what its file in pods is called.
#[derive(Clone, Debug)]
pub(super) struct Program {
    file: PathBuf,
    hash: String,
    size: u64,
}

impl Program {
    /// The program in `file`.
    pub(super) fn of(file: PathBuf) -> std::io::Result<Self> {
        let mut opened = File::open(&file)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut opened)?;
        Ok(Self {
            size: opened.metadata()?.len(),
            hash: hasher.finalize().to_hex().chars().take(32).collect(),
            file,
        })
    }

    fn path(&self) -> String {
        format!("{ROOT}/bin/{}", self.hash)
    }

    /// Makes sure that it is in the pod and runs there.
    pub(super) fn install(&self, kubectl: &Kubectl, pod: &str) -> Result<(), LineError> {
        let path = self.path();
        let size = self.size;
        // The pod's first process may not have linked the cache yet.
        let look = format!(
            "umask 077; i=0; while [ ! -e {ROOT}/ready ] && [ $i -lt 50 ]; do sleep 0.1 2>/dev/null || sleep 1; i=$((i + 1)); done\n\
             mkdir -p {ROOT}/bin; if [ -x {path} ] && [ \"$(wc -c <{path})\" -eq {size} ]; then echo have; else echo lacks; fi\n"
        );
        if kubectl.script(pod, &look)?.trim() != "have" {
            let mut file = File::open(&self.file)
                .map_err(|error| LineError::Refused(format!("`{}`: {error}", self.file.display())))?;
            let take = format!(
                "umask 077; t={path}.$$.$(hostname); cat >$t && [ \"$(wc -c <$t)\" -eq {size} ] && chmod 700 $t && mv $t {path} || {{ rm -f $t; exit 73; }}"
            );
            kubectl.send(pod, &take, &mut file)?;
        }
        let told = kubectl.script(pod, &format!("{path} --version 2>&1 || echo \"code $?\"\n"))?;
        if told.starts_with("overdrive ") {
            return Ok(());
        }
        let words = told.lines().next().unwrap_or("no output").trim();
        Err(LineError::Refused(format!(
            "overdrive does not run in the image: {words}; it needs the C library of a common Linux"
        )))
    }
}

/// Lines into one pod.
pub(super) struct PodTransport {
    pub(super) kubectl: Kubectl,
    pub(super) job: String,
    pub(super) status: Arc<Status>,
    pub(super) program: Program,
    /// In which pod the program is known to be.
    pub(super) installed: Mutex<Option<String>>,
}

impl Transport for PodTransport {
    fn machine(&self) -> String {
        self.job.clone()
    }

    fn starter(&self) -> Starter {
        Starter::Process
    }

    fn open(&self) -> Result<Line, LineError> {
        let pod = self.status.running()?;
        let mut installed = self.installed.lock().unwrap_or_else(PoisonError::into_inner);
        if installed.as_deref() != Some(&pod) {
            self.program.install(&self.kubectl, &pod)?;
            *installed = Some(pod.clone());
        }
        let path = self.program.path();
        let mut command = self.kubectl.command();
        command
            .args(["exec", "-i", &pod, "-c", "trial", "--", &path, "agent", ROOT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| LineError::Unreachable(format!("cannot start kubectl: {error}")))?;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(input), Some(output), Some(errors)) => Ok(Line {
                child,
                input,
                output,
                errors: Errors::of(errors),
            }),
            _ => Err(LineError::Unreachable("kubectl has no standard streams".into())),
        }
    }

    fn explain(&self, words: &str) -> LineError {
        match explained(words) {
            // Where the pod is gone its watcher says so.
            LineError::Refused(reason) if reason.contains("not found") => LineError::Unreachable(reason),
            error => error,
        }
    }
}
