//! The keyring of the user's session (the Secret Service of a desktop), through the system's own `secret-tool`.
//!
//! The secret goes in by standard input and comes out by standard output: it stands in no argument. Where there is no `secret-tool`,
//! no session or a locked keyring that nobody opens, nothing answers, and secrets are kept in files.

use crate::target::command::{Input, last_line, talk};
use std::io::{self, ErrorKind};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// Program of libsecret.
const PROGRAM: &str = "secret-tool";
/// How long the keyring may take; somebody may have to open it first.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to answer at all.
const SHORT: Duration = Duration::from_secs(5);

fn tool(verb: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg(verb);
    command
}

fn attributes(command: &mut Command, name: &str) {
    command.args(["service", "overdrive", "target", name]);
}

/// Whether there is a keyring that takes and gives back; asked once per process.
pub fn answers() -> bool {
    static ANSWERS: OnceLock<bool> = OnceLock::new();
    *ANSWERS.get_or_init(|| {
        // Without a session it would start one that dies with this command.
        if std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_none() {
            return false;
        }
        let name = format!(".probe-{}", std::process::id());
        let works = write(&name, "probe", SHORT).is_ok() && lookup(&name).is_ok_and(|text| text == "probe");
        let _ = clear(&name);
        works
    })
}

/// Keeps a secret under `name`, instead of one that was there.
///
/// # Errors
/// What the keyring says.
pub fn store(name: &str, secret: &str) -> io::Result<()> {
    write(name, secret, PATIENCE)
}

fn write(name: &str, secret: &str, patience: Duration) -> io::Result<()> {
    let mut command = tool("store");
    command.arg(format!("--label=overdrive: {name}"));
    attributes(&mut command, name);
    let spoken = talk(&mut command, Input::Text(secret), patience)?;
    match spoken.code {
        Some(0) => Ok(()),
        _ => Err(io::Error::other(format!(
            "the keyring: {}",
            last_line(&spoken.errors)
        ))),
    }
}

/// The secret under `name`.
///
/// # Errors
/// `NotFound` if there is none, or no keyring.
pub fn lookup(name: &str) -> io::Result<String> {
    let mut command = tool("lookup");
    attributes(&mut command, name);
    let missing = |why: String| io::Error::new(ErrorKind::NotFound, why);
    let spoken = talk(&mut command, Input::Text(""), PATIENCE)
        .map_err(|error| missing(format!("the keyring cannot be asked: `{PROGRAM}`: {error}")))?;
    match spoken.code {
        Some(0) => Ok(spoken.output),
        _ if spoken.errors.trim().is_empty() => Err(missing(format!("the keyring has no secret `{name}`"))),
        _ => Err(missing(format!("the keyring: {}", last_line(&spoken.errors)))),
    }
}

/// Removes the secret under `name`; one that is not there is removed.
///
/// # Errors
/// The system's.
pub fn clear(name: &str) -> io::Result<()> {
    let mut command = tool("clear");
    attributes(&mut command, name);
    talk(&mut command, Input::Text(""), PATIENCE).map(|_| ())
}
