//! A shell on the machine that is talked to: scripts in, what they say out.

use super::Reach;
use std::io::{self, ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A shell that says nothing for so long is not there any more.
const SILENCE: Duration = Duration::from_secs(60);

/// How often others are told that something takes its time.
const BEAT: Duration = Duration::from_secs(5);

/// Raw bytes that one word of a script holds.
const WORD: usize = 16 << 10;

/// A shell, and the mark by which its pieces are told apart: random, so that no file holds it.
pub(super) struct Session {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    mark: String,
    seen: Vec<u8>,
}

/// What a script said.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// Its pieces, the last one included.
    pub(super) pieces: Vec<Vec<u8>>,
    /// Its exit code.
    pub(super) code: i32,
}

impl Reply {
    /// All of it as text.
    pub(super) fn text(&self) -> String {
        let bytes: Vec<u8> = self.pieces.concat();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// The system's, if the way there cannot be taken.
    pub(super) fn open(reach: &Reach) -> io::Result<Self> {
        let mut child = reach
            .command(&["sh", "-s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(mut stream)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        let (out, output) = channel();
        std::thread::Builder::new().name("shell".into()).spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(length) = stream.read(&mut bytes) {
                let new = bytes.get(..length).unwrap_or_default();
                if new.is_empty() || out.send(new.to_vec()).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self {
            child,
            input,
            output,
            mark: format!("od-{}", uuid::Uuid::new_v4().simple()),
            seen: Vec::new(),
        })
    }

    /// The mark, for scripts that say several pieces.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// Runs a script in a shell of its own there and takes what it says; `busy` is called every few seconds.
    ///
    /// # Errors
    /// `UnexpectedEof` if the shell is gone, `TimedOut` if it is silent; the session is of no use then.
    pub(super) fn run(&mut self, script: &str, busy: &mut dyn FnMut()) -> io::Result<Reply> {
        let mark = self.mark.clone();
        self.say(&format!("(\n{script}\n) </dev/null 2>&1\n"), &mark, busy)
    }

    /// The same in the shell itself, for what is to stay known.
    pub(super) fn define(&mut self, script: &str, busy: &mut dyn FnMut()) -> io::Result<Reply> {
        let mark = self.mark.clone();
        self.say(&format!("{{\n{script}\n}} </dev/null 2>&1\n"), &mark, busy)
    }

    fn say(&mut self, script: &str, mark: &str, busy: &mut dyn FnMut()) -> io::Result<Reply> {
        self.seen.clear();
        self.input.write_all(script.as_bytes())?;
        self.input
            .write_all(format!("printf '\\n%s end %s\\n' {mark} $?\n").as_bytes())?;
        self.input.flush()?;
        let cut = format!("\n{mark}\n").into_bytes();
        let end = format!("\n{mark} end ").into_bytes();
        let mut reply = Reply::default();
        let mut looked = 0;
        let mut heard = Instant::now();
        loop {
            while let Some(at) = find(&self.seen, b"\n", looked) {
                let rest = self.seen.get(at..).unwrap_or_default();
                if rest.starts_with(&cut) {
                    let rest = self.seen.split_off(at + cut.len());
                    self.seen.truncate(at);
                    reply.pieces.push(std::mem::replace(&mut self.seen, rest));
                    looked = 0;
                } else if rest.starts_with(&end) {
                    let code = rest.get(end.len()..).unwrap_or_default();
                    let Some(line) = code.iter().position(|byte| *byte == b'\n') else {
                        looked = at;
                        break;
                    };
                    let code = String::from_utf8_lossy(code.get(..line).unwrap_or_default());
                    reply.code = code.trim().parse().unwrap_or(-1);
                    self.seen.truncate(at);
                    reply.pieces.push(std::mem::take(&mut self.seen));
                    return Ok(reply);
                } else if cut.starts_with(rest) || end.starts_with(rest) {
                    looked = at;
                    break;
                } else {
                    looked = at + 1;
                }
            }
            match self.output.recv_timeout(BEAT) {
                Ok(bytes) => {
                    heard = Instant::now();
                    if find(&self.seen, b"\n", looked).is_none() {
                        looked = self.seen.len();
                    }
                    self.seen.extend_from_slice(&bytes);
                }
                Err(RecvTimeoutError::Timeout) if heard.elapsed() > SILENCE => {
                    return Err(io::Error::new(
                        ErrorKind::TimedOut,
                        format!("the shell there said nothing for {} s", SILENCE.as_secs()),
                    ));
                }
                Err(RecvTimeoutError::Timeout) => busy(),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "the shell there has ended",
                    ));
                }
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It ends with its input, which goes with this.
        let _ = self.child.try_wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(what.len())
        .position(|window| window == what)
        .map(|at| at + from)
}

/// Commands of a shell that say exactly `bytes`, whatever they are.
pub(super) fn saying(bytes: &[u8]) -> String {
    let mut script = String::with_capacity(bytes.len() + bytes.len() / 8 + 64);
    if bytes.is_empty() {
        script.push_str(":\n");
    }
    for chunk in bytes.chunks(WORD) {
        script.push_str("printf '");
        for byte in chunk {
            match byte {
                b'%' => script.push_str("%%"),
                b'\\' => script.push_str("\\\\"),
                b'\'' => script.push_str("'\\''"),
                b'\n' | b' '..=b'~' => script.push(char::from(*byte)),
                byte => script.push_str(&format!("\\{byte:03o}")),
            }
        }
        script.push_str("'\n");
    }
    script
}

/// A script that makes the file `path` of `bytes`, whole or not at all; `path` is of plain characters.
pub(super) fn making(path: &str, bytes: &[u8], mode: &str) -> String {
    format!(
        "t={path}.$$.new\n{{\n{}}} >\"$t\" && [ \"$(($(wc -c <\"$t\")))\" -eq {} ] && chmod {mode} \"$t\" && mv -f \"$t\" {path} || {{ rm -f \"$t\"; false; }}\n",
        saying(bytes),
        bytes.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(words: &[&str]) -> Reach {
        Reach {
            root: "/tmp".into(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            joined: false,
            variables: Vec::new(),
            why: String::new(),
        }
    }

    #[test]
    fn bytes_of_all_kinds_go_there_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file").to_str().unwrap().to_owned();
        let mut bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        bytes.extend_from_slice(b"\n\n");
        let mut session = Session::open(&here(&["env"])).unwrap();
        let made = session
            .run(&making(&path, &bytes, 600.to_string().as_str()), &mut || {})
            .unwrap();
        assert_eq!(made.code, 0, "{}", made.text());
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        let mark = session.mark().to_owned();
        let script = format!("cat {path}; printf '\\n%s\\n' {mark}; cat {path} {path}; exit 7");
        let reply = session.run(&script, &mut || {}).unwrap();
        assert_eq!(reply.code, 7);
        assert_eq!(reply.pieces, [bytes.clone(), [bytes.clone(), bytes].concat()]);
        assert_eq!(session.run("echo again", &mut || {}).unwrap().text(), "again");
        let gone = session.define("exit 3", &mut || {}).unwrap_err();
        // It ends before or after the mark is asked for.
        assert!(
            matches!(gone.kind(), ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe),
            "{gone}"
        );
    }
}
