//! Secrets: how they are kept, and how `ssh` gets them.
//!
//! What was typed goes to the keyring of the user's session where one answers (`keyring`), else to a file of mode 0600.
//!
//! `ssh` starts a program when it needs a password or a passphrase (`SSH_ASKPASS`); that program is overdrive itself, which is told
//! by a variable where the secret is found, reads it there and prints it to `ssh` alone.

use super::{Secret, keyring};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Tells overdrive, started by `ssh`, where the secret is found.
pub const VARIABLE: &str = "OVERDRIVE_ASKPASS";

/// Keeps `secret` in a file called `name` below `folder` that only its owner can read.
///
/// # Errors
/// The system's.
pub fn keep(folder: &Path, name: &str, secret: &str) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(name);
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    Ok(path)
}

/// Where a secret called `name` would be kept now: in the keyring where one answers, else in a file below `folder`.
pub fn place(folder: &Path, name: &str) -> Secret {
    if keyring::answers() {
        Secret::Keyring(name.to_owned())
    } else {
        Secret::File(folder.join(name))
    }
}

/// Keeps `secret` where `place` says.
///
/// # Errors
/// The system's; `InvalidInput` for a variable, which nobody can set for others.
pub fn keep_at(place: &Secret, secret: &str) -> io::Result<()> {
    match place {
        Secret::Keyring(name) => keyring::store(name, secret),
        Secret::File(path) => {
            let name = path
                .file_name()
                .and_then(std::ffi::OsStr::to_str)
                .unwrap_or("secret");
            keep(path.parent().unwrap_or(Path::new(".")), name, secret).map(|_| ())
        }
        Secret::Variable(_) => Err(ErrorKind::InvalidInput.into()),
    }
}

/// Reads a secret, without the end of its line.
///
/// # Errors
/// `PermissionDenied` for a file that others can read; `NotFound` for a variable that is not set; the system's.
pub fn read(secret: &Secret) -> io::Result<String> {
    let text = match secret {
        Secret::Variable(name) => std::env::var(name)
            .map_err(|_| io::Error::new(ErrorKind::NotFound, format!("the variable `{name}` is not set")))?,
        Secret::Keyring(name) => keyring::lookup(name)?,
        Secret::File(path) => {
            let metadata = fs::metadata(path)
                .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))?;
            let others = metadata.permissions().mode() & 0o077;
            if others != 0 || metadata.uid() != rustix::process::getuid().as_raw() {
                let message = format!("`{}` can be read by others: `chmod 600` it", path.display());
                return Err(io::Error::new(ErrorKind::PermissionDenied, message));
            }
            fs::read_to_string(path)?
        }
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// What `ssh` gets when it asks `prompt`; `None` if the secret is no answer to that.
///
/// # Errors
/// As [`read`].
pub fn answer(prompt: &str, secret: &Secret) -> io::Result<Option<String>> {
    let asked = prompt.to_lowercase();
    if asked.contains("password") || asked.contains("passphrase") {
        read(secret).map(Some)
    } else {
        // Never yes to an unknown host.
        Ok(None)
    }
}

/// Answers `ssh`, if it is `ssh` that started this process; the exit code to end with.
pub fn of_ssh() -> Option<i32> {
    let secret: Secret = std::env::var(VARIABLE).ok()?.parse().ok()?;
    let prompt = std::env::args().nth(1).unwrap_or_default();
    match answer(&prompt, &secret) {
        Ok(Some(text)) => Some(i32::from(writeln!(io::stdout(), "{text}").is_err())),
        Ok(None) => Some(1),
        Err(error) => {
            // Shown by ssh among its own messages.
            let _ = writeln!(io::stderr(), "overdrive: {error}");
            Some(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_for_the_owner_alone_and_told_to_no_other_question() {
        let folder = tempfile::tempdir().unwrap();
        let path = keep(&folder.path().join("secrets"), "gpu1", "open sesame").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let secret = Secret::File(path.clone());
        assert_eq!(
            answer("me@gpu1's password: ", &secret).unwrap().as_deref(),
            Some("open sesame")
        );
        assert_eq!(
            answer("Enter passphrase for key '/k': ", &secret)
                .unwrap()
                .as_deref(),
            Some("open sesame")
        );
        assert_eq!(
            answer(
                "Are you sure you want to continue connecting (yes/no/[fingerprint])? ",
                &secret
            )
            .unwrap(),
            None
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&secret).unwrap_err().kind(), ErrorKind::PermissionDenied);
        let unset = Secret::Variable("OVERDRIVE_TEST_UNSET".into());
        assert_eq!(read(&unset).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
