//! Machines that are reached by SSH, through the system's own `ssh` and the user's configuration of it.
//!
//! One connection per machine is shared by everything (`ControlMaster`); host keys are checked; secrets go from a file or a variable
//! to `ssh` through `SSH_ASKPASS`, never through an argument. See `docs/design/remote.md`.

mod client;
mod install;
pub mod keyring;
mod options;
mod probe;
pub mod secret;
mod settings;

pub use client::Ssh;
pub use options::{RunnerKind, Secret, SshOptions, SshProblem};
pub use probe::{HostKey, fingerprints, host_key, probe};
pub use settings::{KIND, machine};

use super::agent::protocol::Starter;
use super::remote::{Errors, Line, LineError, Transport};
use super::shell::Reach;
use install::{Installed, Runs};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Lines to the agent on a machine that is reached by SSH.
pub struct SshTransport {
    ssh: Ssh,
    starter: Starter,
    /// What is known to be there; forgotten when a line breaks.
    installed: Mutex<Option<Installed>>,
}

impl SshTransport {
    /// Lines to the machine of `ssh`, where `starter` starts runners.
    pub fn new(ssh: Ssh, starter: Starter) -> Self {
        Self {
            ssh,
            starter,
            installed: Mutex::new(None),
        }
    }

    fn installed(&self) -> Result<Installed, LineError> {
        let mut known = self.installed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(installed) = &*known {
            return Ok(installed.clone());
        }
        let installed = install::install(&self.ssh)?;
        *known = Some(installed.clone());
        Ok(installed)
    }

    /// The command that leads to an agent: there, or here if the machine is driven by its shell.
    fn agent(&self, installed: &Installed) -> Result<Command, LineError> {
        let mut ssh = self.ssh.command();
        let why = match &installed.runs {
            Runs::Program { path, .. } => {
                ssh.arg(format!("exec {path} agent {}", installed.root));
                return Ok(ssh);
            }
            Runs::Shell { why } => why,
        };
        if self.starter != Starter::Process {
            return Err(LineError::Refused(format!(
                "overdrive does not run there: {why}; `--binary FILE` names a build for that machine"
            )));
        }
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        let reach = Reach {
            root: installed.root.clone(),
            why: why.clone(),
            words: std::iter::once(ssh.get_program())
                .chain(ssh.get_args())
                .map(text)
                .collect(),
            joined: true,
            variables: ssh
                .get_envs()
                .filter_map(|(name, value)| Some((text(name), text(value?))))
                .collect(),
        };
        let mut command = reach.agent(self.ssh.program());
        // A Ctrl-C in the terminal is for the controller.
        command.process_group(0);
        Ok(command)
    }
}

impl Transport for SshTransport {
    fn machine(&self) -> String {
        self.ssh.destination()
    }

    fn starter(&self) -> Starter {
        self.starter.clone()
    }

    fn open(&self) -> Result<Line, LineError> {
        let installed = self.installed()?;
        let mut command = self.agent(&installed)?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| LineError::Unreachable(format!("cannot start ssh: {error}")))?;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(input), Some(output), Some(errors)) => Ok(Line {
                child,
                input,
                output,
                errors: Errors::of(errors),
            }),
            _ => Err(LineError::Unreachable("ssh has no standard streams".into())),
        }
    }

    fn agent_is_here(&self) -> bool {
        let known = self.installed.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .is_some_and(|known| matches!(known.runs, Runs::Shell { .. }))
    }

    fn distrust(&self) {
        self.ssh.hang_up();
    }

    fn explain(&self, words: &str) -> LineError {
        *self.installed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.ssh.explain(words)
    }
}
