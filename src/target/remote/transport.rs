//! How a line to an agent comes about.

use crate::target::agent::protocol::Starter;
use std::io::Read;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, PoisonError};

/// A process whose standard streams lead to an agent.
pub struct Line {
    /// The process.
    pub child: Child,
    /// To the agent.
    pub input: ChildStdin,
    /// From the agent.
    pub output: ChildStdout,
    /// What it says besides.
    pub errors: Errors,
}

/// The end of what a process writes on standard error.
#[derive(Clone, Debug, Default)]
pub struct Errors(Arc<Mutex<String>>);

/// Why there is no line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// Perhaps later.
    Unreachable(String),
    /// Not before somebody changes something.
    Refused(String),
}

/// Opens lines to one machine.
pub trait Transport: Send + Sync {
    /// The machine in words.
    fn machine(&self) -> String;

    /// What starts runners there.
    fn starter(&self) -> Starter;

    /// Whether the agent works on this side of the line, and sees the attempts' folders here.
    fn agent_is_here(&self) -> bool {
        false
    }

    /// Opens a line to an agent; blocks.
    ///
    /// # Errors
    /// [`LineError`].
    fn open(&self) -> Result<Line, LineError>;

    /// A line fell silent: what is shared between lines is not to be trusted any more.
    fn distrust(&self) {}

    /// What a broken line's last words mean.
    fn explain(&self, words: &str) -> LineError {
        LineError::Unreachable(words.to_owned())
    }
}

impl Errors {
    /// Most bytes kept.
    const KEPT: usize = 4096;

    /// Collects what comes from `stream` in a thread of its own.
    pub fn of(mut stream: impl Read + Send + 'static) -> Self {
        let errors = Self::default();
        let kept = errors.clone();
        // Without the thread only the explanation is lost.
        let _ = std::thread::Builder::new().name("errors".into()).spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(length) = stream.read(&mut bytes) {
                let Some(new) = bytes.get(..length).filter(|new| !new.is_empty()) else {
                    break;
                };
                let mut text = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&String::from_utf8_lossy(new));
                let over = text.len().saturating_sub(Self::KEPT);
                let cut = (over..=text.len())
                    .find(|at| text.is_char_boundary(*at))
                    .unwrap_or(0);
                text.drain(..cut);
            }
        });
        errors
    }

    /// What came so far.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last line that is not blank.
    pub fn last_line(&self) -> String {
        let text = self.text();
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        line.unwrap_or_default().chars().take(300).collect()
    }
}
