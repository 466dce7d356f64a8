//! The section `remote` of a target's file.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::str::FromStr;

/// How a machine is reached by SSH. What is not given is left to the user's own configuration of `ssh`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshOptions {
    /// Name or address, or a `Host` of the user's configuration.
    pub address: String,
    /// Port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// User there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Private key; without one a secret is the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<PathBuf>,
    /// Where the password, or the passphrase of the key, is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Configuration of `ssh` instead of the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_config: Option<PathBuf>,
    /// Folder there in which everything is kept; `~/.cache/overdrive` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Trials at once; by default as many as it has cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u64>,
    /// Build of overdrive for that machine, where this one's does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<PathBuf>,
    /// What executes trials there; `auto` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerKind>,
}

/// What executes trials on a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunnerKind {
    /// overdrive itself, and the shell runner where it cannot run.
    #[default]
    Auto,
    /// overdrive itself, or nothing.
    Binary,
    /// The shell runner.
    Shell,
}

/// Where a secret is found; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Secret {
    /// In a file that only its owner can read.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
    /// In the keyring of the user's session, under this name.
    Keyring(String),
}

/// What cannot be in the section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SshProblem {
    /// No address.
    #[error("`address` is missing")]
    NoAddress,
    /// Something that `ssh` would take for an option or a shell for more than a word.
    #[error("`{key}` cannot be `{value}`")]
    Value {
        /// Key of the section.
        key: &'static str,
        /// As written.
        value: String,
    },
    /// No trials at all.
    #[error("`slots` must be 1 or more")]
    NoSlots,
    /// Not a reference to a secret.
    #[error("a secret is named by `file:PATH`, `env:NAME` or `keyring:NAME`")]
    Secret,
}

impl FromStr for Secret {
    type Err = SshProblem;

    fn from_str(text: &str) -> Result<Self, SshProblem> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("env", name)) if !name.is_empty() && !name.contains('=') => Ok(Self::Variable(name.into())),
            Some(("keyring", name)) if !name.is_empty() => Ok(Self::Keyring(name.into())),
            _ => Err(SshProblem::Secret),
        }
    }
}

impl TryFrom<String> for Secret {
    type Error = SshProblem;

    fn try_from(text: String) -> Result<Self, SshProblem> {
        text.parse()
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> Self {
        match secret {
            Secret::File(path) => format!("file:{}", path.display()),
            Secret::Variable(name) => format!("env:{name}"),
            Secret::Keyring(name) => format!("keyring:{name}"),
        }
    }
}

impl SshOptions {
    /// Whether it can be worked with.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), SshProblem> {
        if self.address.is_empty() {
            return Err(SshProblem::NoAddress);
        }
        let word = |value: &str| {
            !value.starts_with('-')
                && value
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !b"'\"`$;&|<>()*?\\".contains(&byte))
        };
        for (key, value) in [
            ("address", Some(&self.address)),
            ("username", self.username.as_ref()),
            ("folder", self.folder.as_ref()),
        ] {
            if let Some(value) = value.filter(|value| !word(value) || value.is_empty()) {
                let value = value.clone();
                return Err(SshProblem::Value { key, value });
            }
        }
        if self.slots == Some(0) {
            return Err(SshProblem::NoSlots);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_or_a_shell_would_misread_is_refused() {
        let with = |address: &str, username: Option<&str>, folder: Option<&str>| SshOptions {
            address: address.into(),
            username: username.map(str::to_owned),
            folder: folder.map(str::to_owned),
            ..SshOptions::default()
        };
        assert_eq!(with("gpu1.example.org", Some("me"), Some("~/od")).check(), Ok(()));
        assert_eq!(with("fe80::1%eth0", None, None).check(), Ok(()));
        assert_eq!(with("", None, None).check(), Err(SshProblem::NoAddress));
        for bad in ["-oProxyCommand=x", "a b", "a;b", "$(a)", "a'b", "a\nb"] {
            assert!(with(bad, None, None).check().is_err(), "{bad}");
            assert!(with("h", Some(bad), None).check().is_err(), "{bad}");
            assert!(with("h", None, Some(bad)).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_named_not_written() {
        assert_eq!("file:/a/b:c".parse(), Ok(Secret::File("/a/b:c".into())));
        assert_eq!("env:PW".parse(), Ok(Secret::Variable("PW".into())));
        assert_eq!("keyring:gpu1".parse(), Ok(Secret::Keyring("gpu1".into())));
        for bad in ["hunter2", "keyring:", "file:", "env:", "env:A=b", ""] {
            assert_eq!(bad.parse::<Secret>(), Err(SshProblem::Secret), "{bad}");
        }
    }
}
