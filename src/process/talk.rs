//! Running a program of the system to its end, with patience.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a command gets on its standard input.
pub enum Input<'a> {
    /// This text.
    Text(&'a str),
    /// What is left in this file.
    File(&'a mut File),
}

/// What came of a command.
pub struct Spoken {
    /// Exit code; `None` if it did not end in time or was ended.
    pub code: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

/// Runs a command to its end, at most for `patience`; then it is killed.
///
/// # Errors
/// The system's, if it cannot be started.
pub fn talk(command: &mut Command, input: Input<'_>, patience: Duration) -> std::io::Result<Spoken> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let output = gather(child.stdout.take());
    let errors = gather(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not want it ends before it has it all.
        let _ = match input {
            Input::Text(text) => stdin.write_all(text.as_bytes()).map(|()| 0),
            Input::File(file) => std::io::copy(file, &mut stdin),
        };
    }
    let code = wait(&mut child, patience)?;
    let text = |gathered: Option<JoinHandle<Vec<u8>>>| {
        let bytes = gathered.and_then(|thread| thread.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Spoken {
        code,
        output: text(output),
        errors: text(errors),
    })
}

fn gather(stream: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    let mut stream = stream?;
    std::thread::Builder::new()
        .name("output".into())
        .spawn(move || {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            bytes
        })
        .ok()
}

fn wait(child: &mut Child, patience: Duration) -> std::io::Result<Option<i32>> {
    let until = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The last line that is not blank, as far as a message holds.
pub fn last_line(text: &str) -> String {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("it ended without a word")
        .chars()
        .take(300)
        .collect()
}
