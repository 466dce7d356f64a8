//! A process that outlives its runner for one purpose: a container whose runner was killed is removed.
//!
//! With docker the script is no child of the runner, and would go on for ever. The guard is a shell that waits for a word of the runner;
//! the end of the pipe without one is the runner's death.

use super::Engine;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};

/// Removes more than once: the engine may have been about to start the container when its client was killed.
const SCRIPT: &str = r#"exec 3<&0
(
    trap '' TERM INT HUP
    IFS= read -r word <&3
    [ "$word" = done ] || for round in 1 2 3; do
        "$1" rm -f "$2"
        sleep 2
    done
) </dev/null >/dev/null 2>&1 &"#;

/// Removes a container unless it is let go.
#[derive(Debug)]
pub struct Guard(ChildStdin);

impl Guard {
    /// A guard for the container `name`. Call it before this process adopts orphans, so that the guard is nobody's child.
    ///
    /// # Errors
    /// The system's.
    pub fn over(engine: &Engine, name: &str) -> std::io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "overdrive-guard"])
            .arg(&engine.program)
            .arg(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take();
        shell.wait()?;
        pipe.map(Self)
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::BrokenPipe))
    }

    /// The container is gone: nothing is left to do.
    pub fn let_go(mut self) {
        // One that is gone needs no word.
        let _ = self.0.write_all(b"done\n");
    }
}
