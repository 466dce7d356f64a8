//! Drivers on YARN (experimental): `spark-submit` waits for the application, `yarn` kills it and tells what its driver printed.

use super::{AppError, Application, KILLED, LOOK, Wish};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long `spark-submit` may take to see the end of a killed application.
const DEATH: Duration = Duration::from_secs(30);

/// How long the rest of what `spark-submit` said may take to be read after its end: somebody whom it started may hold the other end.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub(super) fn run(application: &Application, spark_submit: &str, wish: &Wish) -> Result<i32, AppError> {
    let mut command = Command::new(spark_submit);
    command.args(&application.options);
    if application.deploy_mode != "cluster" {
        // The driver is `spark-submit` itself.
        command.arg(&application.script).args(&application.arguments);
        return Err(command.exec().into());
    }
    // YARN would start it again by itself, and `spark-submit` would not wait.
    for setting in [
        "spark.yarn.maxAppAttempts=1",
        "spark.yarn.submit.waitAppCompletion=true",
    ] {
        command.args(["--conf", setting]);
    }
    for (name, value) in Application::variables() {
        command.args(["--conf", &format!("spark.yarn.appMasterEnv.{name}={value}")]);
    }
    command
        .arg(&application.script)
        .args(&application.arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (id, silent) = watched(&mut child);
    let mut asked: Option<Instant> = None;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if wish.is_there() {
            let since = *asked.get_or_insert_with(Instant::now);
            match known(&id) {
                // It sees the end of the application, and ends.
                Some(id) if since.elapsed() < LOOK => kill(&id),
                Some(_) if since.elapsed() < DEATH => {}
                _ => child.kill()?,
            }
        }
        std::thread::sleep(LOOK);
    };
    // The id may stand in its last words; that they are all read shows in the closed channel.
    let _ = silent.recv_timeout(LAST_WORDS);
    // It may have been told to end as well, and ended at once; the application does not end with it.
    let ended = wish.is_there() || status.signal().is_some() || status.code() == Some(KILLED);
    if let Some(id) = known(&id) {
        if ended {
            kill(&id);
        }
        // What the driver printed is only to be had now; without log aggregation not at all.
        let _ = yarn(&["logs", "-applicationId", &id]).status();
    }
    Ok(if ended {
        KILLED
    } else {
        status.code().unwrap_or(KILLED)
    })
}

fn known(id: &Mutex<Option<String>>) -> Option<String> {
    id.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Kills an application; one that is over is no error.
fn kill(id: &str) {
    // What goes wrong shows in the log.
    let _ = yarn(&["application", "-kill", id]).status();
}

fn yarn(words: &[&str]) -> Command {
    let mut command = Command::new("yarn");
    command.args(words).stdin(Stdio::null());
    command
}

/// Passes on what `spark-submit` says, and finds the application's id in it; the channel is closed when all of it was read.
fn watched(child: &mut Child) -> (Arc<Mutex<Option<String>>>, Receiver<()>) {
    let found = Arc::new(Mutex::new(None));
    let (speaking, silent) = std::sync::mpsc::channel::<()>();
    if let Some(errors) = child.stderr.take() {
        let id = Arc::clone(&found);
        // Without the thread the application cannot be killed, but runs.
        let _ = std::thread::Builder::new().name("errors".into()).spawn(move || {
            let mut lines = BufReader::new(errors);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                if let Some(new) = application_of(&String::from_utf8_lossy(&line)) {
                    *id.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
                }
                let _ = std::io::stderr().lock().write_all(&line);
                line.clear();
            }
            drop(speaking);
        });
    }
    (found, silent)
}

/// The id in `Submitted application application_1700000000000_0001`.
fn application_of(line: &str) -> Option<String> {
    let (_, behind) = line.split_once("Submitted application ")?;
    let id = behind.split_whitespace().next()?;
    let rest = id.strip_prefix("application_")?;
    rest.bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'_')
        .then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::application_of;

    #[test]
    fn the_id_of_an_application_is_found() {
        let line =
            "26/11/24 12:00:00 INFO YarnClientImpl: Submitted application application_1700000000000_0001\n";
        assert_eq!(
            application_of(line).as_deref(),
            Some("application_1700000000000_0001")
        );
        assert_eq!(application_of("Submitted application $(x)"), None);
    }
}
