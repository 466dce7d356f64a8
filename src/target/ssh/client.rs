//! The command lines of `ssh`, and what its failures mean.

use super::options::SshOptions;
use super::secret;
use crate::target::command::{Input, last_line, talk};
use crate::target::remote::LineError;
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longest path of the shared connection's socket; `ssh` puts some letters behind it while it makes one.
const SOCKET_MAX: usize = 85;

/// How long an unused connection is kept, seconds.
const PERSIST: &str = "120";

/// How the words end that say that a host was never seen.
pub(super) const UNKNOWN_HOST: &str = "is not known";

/// One machine, by SSH.
#[derive(Clone, Debug)]
pub struct Ssh {
    options: SshOptions,
    /// Host keys that were accepted for overdrive, beside the user's own.
    known_hosts: PathBuf,
    /// This program.
    program: PathBuf,
    accept_new: bool,
    shared: bool,
}

impl Ssh {
    /// The machine of `options`; host keys accepted for overdrive are in `known_hosts`, `program` is this program's file.
    pub fn new(options: SshOptions, known_hosts: PathBuf, program: PathBuf) -> Self {
        Self {
            options,
            known_hosts,
            program,
            accept_new: false,
            shared: true,
        }
    }

    /// The same, which learns the key of a host that was never seen.
    #[must_use]
    pub fn accepting_new_host(mut self) -> Self {
        self.accept_new = true;
        self
    }

    /// The same, by a connection of its own for each command.
    #[must_use]
    pub(super) fn unshared(mut self) -> Self {
        self.shared = false;
        self
    }

    /// How it is reached.
    pub fn options(&self) -> &SshOptions {
        &self.options
    }

    /// This program.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The build of overdrive for that machine.
    pub(super) fn binary(&self) -> &Path {
        self.options.binary.as_deref().unwrap_or(&self.program)
    }

    /// The machine as people call it.
    pub fn destination(&self) -> String {
        let port = self.options.port.filter(|port| *port != 22);
        format!(
            "{}{}{}",
            self.options
                .username
                .as_ref()
                .map(|user| format!("{user}@"))
                .unwrap_or_default(),
            self.options.address,
            port.map(|port| format!(":{port}")).unwrap_or_default(),
        )
    }

    /// `ssh` with all options up to the machine; what it is to do there follows as one argument.
    pub(super) fn command(&self) -> Command {
        let mut command = self.bare("ssh");
        let options = &self.options;
        command.arg("-T");
        if let Some(port) = options.port {
            command.arg("-p").arg(port.to_string());
        }
        if let Some(user) = &options.username {
            command.arg("-l").arg(user);
        }
        command.arg("--").arg(&options.address);
        command
    }

    /// `ssh -G`: what the user's configuration makes of the machine.
    pub(super) fn resolved(&self) -> Command {
        let mut command = self.command();
        let arguments: Vec<OsString> = command.get_args().map(OsString::from).collect();
        let mut resolved = Command::new("ssh");
        resolved.arg("-G").args(arguments);
        std::mem::swap(&mut command, &mut resolved);
        command
    }

    fn bare(&self, program: &str) -> Command {
        let options = &self.options;
        let mut command = Command::new(program);
        // A Ctrl-C in the terminal is for the controller.
        command.process_group(0);
        if let Some(file) = &options.ssh_config {
            command.arg("-F").arg(file);
        }
        let mut set = |option: &str| {
            command.arg("-o").arg(option);
        };
        for option in [
            "ConnectTimeout=15",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
            "NumberOfPasswordPrompts=1",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
            "LogLevel=ERROR",
            // Its answer would not be in English.
            "VisualHostKey=no",
        ] {
            set(option);
        }
        set(if self.accept_new {
            "StrictHostKeyChecking=accept-new"
        } else {
            "StrictHostKeyChecking=yes"
        });
        // A file of the user's choice in the configuration they gave counts, ours does otherwise.
        if options.ssh_config.is_none() {
            set(&format!(
                "UserKnownHostsFile=\"{}\" ~/.ssh/known_hosts ~/.ssh/known_hosts2",
                self.known_hosts.display()
            ));
        }
        if let Some(key) = &options.private_key_file {
            set("IdentitiesOnly=yes");
            set("PreferredAuthentications=publickey");
            set(&format!("IdentityFile=\"{}\"", key.display()));
        } else if options.secret.is_some() {
            set("PubkeyAuthentication=no");
            set("PreferredAuthentications=password,keyboard-interactive");
        }
        match self.control() {
            Some(socket) => {
                set("ControlMaster=auto");
                set(&format!("ControlPersist={PERSIST}"));
                set(&format!("ControlPath={}", socket.display()));
            }
            None => {
                set("ControlMaster=no");
                set("ControlPath=none");
            }
        }
        match &options.secret {
            None => set("BatchMode=yes"),
            Some(reference) => {
                set("BatchMode=no");
                command
                    .env("SSH_ASKPASS", &self.program)
                    .env("SSH_ASKPASS_REQUIRE", "force")
                    .env(secret::VARIABLE, String::from(reference.clone()));
            }
        }
        command
    }

    /// Socket of the shared connection; `None` if none can be had.
    fn control(&self) -> Option<PathBuf> {
        if !self.shared || self.accept_new {
            return None;
        }
        let folder = control_folder()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&serde_json::to_vec(&self.options).unwrap_or_default());
        hasher.update(self.known_hosts.as_os_str().as_encoded_bytes());
        let name: String = hasher.finalize().to_hex().chars().take(16).collect();
        Some(folder.join(name)).filter(|path| path.as_os_str().len() <= SOCKET_MAX)
    }

    /// Ends the shared connection: something on it hangs.
    pub(super) fn hang_up(&self) {
        let mut command = self.bare("ssh");
        command.args(["-O", "exit", "--"]).arg(&self.options.address);
        // None there is what is wanted.
        let _ = talk(&mut command, Input::Text(""), Duration::from_secs(5));
    }

    /// Runs a script by `sh` there; its output.
    ///
    /// # Errors
    /// [`LineError`] if it could not be run, or did not end well.
    pub(super) fn script(&self, script: &str, patience: Duration) -> Result<String, LineError> {
        self.execute("exec sh -s", Input::Text(script), patience)
    }

    /// Runs a short script by `sh` there; its output, or what is wrong.
    ///
    /// # Errors
    /// One sentence.
    pub fn ask(&self, script: &str) -> Result<String, String> {
        self.script(script, Duration::from_secs(60))
            .map_err(|error| match error {
                LineError::Unreachable(reason) | LineError::Refused(reason) => reason,
            })
    }

    /// Runs a command line there; its output.
    ///
    /// # Errors
    /// [`LineError`] if it could not be run, or did not end well.
    pub(super) fn execute(
        &self,
        line: &str,
        input: Input<'_>,
        patience: Duration,
    ) -> Result<String, LineError> {
        self.usable()?;
        let mut command = self.command();
        command.arg(line);
        let spoken = talk(&mut command, input, patience).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                LineError::Refused("there is no `ssh` on this machine; install OpenSSH's client".into())
            }
            _ => LineError::Unreachable(error.to_string()),
        })?;
        if spoken.code == Some(0) {
            return Ok(spoken.output);
        }
        let words = last_line(&spoken.errors);
        Err(match spoken.code {
            Some(255) => self.explain_all(&spoken.errors),
            None => LineError::Unreachable(format!("no answer within {} s", patience.as_secs())),
            Some(code) => LineError::Refused(format!("a command ended with code {code} there: {words}")),
        })
    }

    /// What must be right on this machine.
    fn usable(&self) -> Result<(), LineError> {
        if let Some(reference) = &self.options.secret {
            secret::read(reference).map_err(|error| LineError::Refused(format!("its secret: {error}")))?;
        }
        if let Some(key) = &self.options.private_key_file {
            File::open(key)
                .map_err(|error| LineError::Refused(format!("the key `{}`: {error}", key.display())))?;
        }
        Ok(())
    }

    /// What a broken line's last words mean.
    pub(super) fn explain(&self, words: &str) -> LineError {
        self.explain_all(words)
    }

    fn explain_all(&self, errors: &str) -> LineError {
        let has = |text: &str| errors.contains(text);
        let host = self.destination();
        if has("HOST IDENTIFICATION HAS CHANGED") || (has("Host key") && has("has changed")) {
            return LineError::Refused(format!(
                "the host key of {host} is not the one that is known: somebody else may answer in its place; if it was changed rightly, \
                 remove the old key from {} and attach again",
                self.known_hosts.display()
            ));
        }
        if has("host key is known for") || has("Host key verification failed") {
            return LineError::Refused(format!("the host key of {host} {UNKNOWN_HOST}"));
        }
        if has("Permission denied (") || has("Too many authentication failures") {
            let with = match (&self.options.private_key_file, &self.options.secret) {
                (Some(_), Some(_)) => "key and passphrase",
                (Some(_), None) => "key",
                (None, Some(_)) => "password",
                (None, None) => "keys of this user",
            };
            // What askpass had to say explains it better.
            let own = errors.lines().find_map(|line| line.strip_prefix("overdrive: "));
            return LineError::Refused(match own {
                Some(own) => format!("{host} refused the login: {own}"),
                None => format!("{host} refused the login with the {with}: {}", last_line(errors)),
            });
        }
        LineError::Unreachable(last_line(errors))
    }
}

/// Folder of the sockets, of this user alone.
fn control_folder() -> Option<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let run = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = [
        run.map(|run| run.join("overdrive-ssh")),
        Some(PathBuf::from(format!("/tmp/overdrive-ssh-{uid}"))),
    ];
    places.into_iter().flatten().find(|folder| {
        let _ = DirBuilder::new().mode(0o700).create(folder);
        let own = |metadata: std::fs::Metadata| {
            metadata.is_dir() && metadata.uid() == uid && metadata.mode() & 0o077 == 0
        };
        std::fs::symlink_metadata(folder).is_ok_and(own) && folder.as_os_str().len() + 17 <= SOCKET_MAX
    })
}

#[cfg(test)]
mod tests {
    use super::super::Secret;
    use super::*;

    fn ssh(options: SshOptions) -> Ssh {
        Ssh::new(options, "/k/known_hosts".into(), "/bin/overdrive".into())
    }

    #[test]
    fn no_secret_stands_in_an_argument_and_no_host_is_trusted_blindly() {
        let ssh = ssh(SshOptions {
            address: "gpu1".into(),
            port: Some(2222),
            username: Some("me".into()),
            secret: Some(Secret::File("/s/gpu1".into())),
            ..SshOptions::default()
        });
        let command = ssh.command();
        let arguments: Vec<String> = command
            .get_args()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        let line = arguments.join(" ");
        assert!(
            line.contains("StrictHostKeyChecking=yes") && line.ends_with("-T -p 2222 -l me -- gpu1"),
            "{line}"
        );
        assert!(!line.contains("/s/gpu1"), "{line}");
        assert_eq!(ssh.destination(), "me@gpu1:2222");
    }

    #[test]
    fn failures_are_told_apart() {
        let ssh = ssh(SshOptions {
            address: "gpu1".into(),
            ..SshOptions::default()
        });
        let refused = |errors: &str| matches!(ssh.explain_all(errors), LineError::Refused(_));
        assert!(refused(
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n"
        ));
        assert!(refused(
            "No ED25519 host key is known for gpu1 and you have requested strict checking.\nHost key verification failed.\n"
        ));
        assert!(refused("me@gpu1: Permission denied (publickey,password).\n"));
        assert!(!refused(
            "ssh: connect to host gpu1 port 22: Connection refused\n"
        ));
        assert!(!refused(
            "ssh: Could not resolve hostname gpu1: Name or service not known\n"
        ));
        assert!(!refused(""));
    }
}
