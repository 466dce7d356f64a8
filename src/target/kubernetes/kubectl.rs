//! The cluster by the user's own `kubectl`: its configuration, credential plugins and proxies are the user's as they are.

use super::options::KubernetesOptions;
use crate::target::command::{Input, last_line, talk};
use crate::target::remote::LineError;
use serde_json::Value;
use std::fs::File;
use std::process::Command;
use std::time::Duration;

/// How long a question may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How long the program may take to get into a pod.
const SEND: Duration = Duration::from_secs(1800);

/// One cluster, and the namespace to work in.
#[derive(Clone, Debug)]
pub(super) struct Kubectl {
    options: KubernetesOptions,
}

impl Kubectl {
    pub(super) fn new(options: &KubernetesOptions) -> Self {
        Self {
            options: options.clone(),
        }
    }

    /// `kubectl` with the cluster said.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("kubectl");
        if let Some(file) = &self.options.kubeconfig {
            command.arg("--kubeconfig").arg(file);
        }
        for (flag, value) in [
            ("--context", &self.options.context),
            ("--namespace", &self.options.namespace),
        ] {
            if let Some(value) = value {
                command.arg(flag).arg(value);
            }
        }
        command
    }

    /// Runs it to its end; its output.
    pub(super) fn run(
        &self,
        arguments: &[&str],
        input: Input<'_>,
        patience: Duration,
    ) -> Result<String, LineError> {
        let mut command = self.command();
        command.args(arguments);
        let spoken = talk(&mut command, input, patience).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                LineError::Refused("there is no `kubectl` on this machine; install Kubernetes' client".into())
            }
            _ => LineError::Unreachable(error.to_string()),
        })?;
        match spoken.code {
            Some(0) => Ok(spoken.output),
            Some(_) => Err(explained(&spoken.errors)),
            None => Err(LineError::Unreachable(format!(
                "kubectl did not end within {} s",
                patience.as_secs()
            ))),
        }
    }

    /// As [`Self::run`], without input.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<String, LineError> {
        self.run(arguments, Input::Text(""), PATIENCE)
    }

    /// Its answer as JSON.
    pub(super) fn json(&self, arguments: &[&str]) -> Result<Value, LineError> {
        let text = self.ask(arguments)?;
        serde_json::from_str(&text)
            .map_err(|error| LineError::Unreachable(format!("kubectl's answer makes no sense: {error}")))
    }

    /// Makes what the manifest says; that it is there already is as good.
    pub(super) fn create(&self, manifest: &Value) -> Result<(), LineError> {
        let text = manifest.to_string();
        match self.run(&["create", "-o", "name", "-f", "-"], Input::Text(&text), PATIENCE) {
            Ok(_) => Ok(()),
            Err(LineError::Refused(reason)) if reason.contains("already exists") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes a job and its pods away, without waiting for them to end.
    pub(super) fn delete(&self, job: &str) -> Result<(), LineError> {
        self.ask(&["delete", "job", job, "--ignore-not-found", "--wait=false"])
            .map(|_| ())
    }

    /// Runs a script by `sh` in a pod; its output.
    pub(super) fn script(&self, pod: &str, script: &str) -> Result<String, LineError> {
        self.run(
            &["exec", "-i", pod, "-c", "trial", "--", "sh", "-s"],
            Input::Text(script),
            PATIENCE,
        )
    }

    /// Sends a file into a pod, to the standard input of `sh -c SCRIPT`.
    pub(super) fn send(&self, pod: &str, script: &str, file: &mut File) -> Result<String, LineError> {
        self.run(
            &["exec", "-i", pod, "-c", "trial", "--", "sh", "-c", script],
            Input::File(file),
            SEND,
        )
    }
}

/// What kubectl's last words mean: whether waiting may mend it, and what to do.
pub(super) fn explained(errors: &str) -> LineError {
    let words = last_line(errors);
    let has = |text: &str| errors.contains(text);
    if has("(Forbidden)") || has(" is forbidden:") {
        let what = words
            .split_once("forbidden: ")
            .map_or(words.as_str(), |(_, what)| what);
        return LineError::Refused(format!(
            "the cluster does not permit it: {what}; `overdrive target test` lists what is needed"
        ));
    }
    if has("(Unauthorized)") || has("must be logged in") || has("provide credentials") {
        return LineError::Refused(format!("the cluster does not know this user: {words}"));
    }
    let lasting = [
        "(Invalid)",
        "is invalid",
        "(BadRequest)",
        "(AlreadyExists)",
        "already exists",
        "(NotFound)",
        "does not exist",
        "no configuration has been provided",
        "invalid configuration",
        "unknown flag",
        "x509:",
        "exceeded quota",
        "error loading config",
        "stat ",
    ];
    if lasting.iter().any(|text| has(text)) {
        return LineError::Refused(words);
    }
    LineError::Unreachable(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_from_what_passes() {
        let refused = |errors: &str| match explained(errors) {
            LineError::Refused(reason) => Some(reason),
            LineError::Unreachable(_) => None,
        };
        let forbidden = "Error from server (Forbidden): error when creating \"STDIN\": jobs.batch is forbidden: User \"bob\" cannot create resource \"jobs\" in API group \"batch\" in the namespace \"x\"\n";
        assert!(refused(forbidden).unwrap().contains("User \"bob\" cannot create"));
        assert!(refused("error: You must be logged in to the server (Unauthorized)\n").is_some());
        assert!(refused("The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?\n").is_none());
        assert!(refused("Unable to connect to the server: dial tcp: i/o timeout\n").is_none());
    }
}
