//! What an attempt left, taken into its folder here once its task is over.

use super::http::Failure;
use super::model::Task;
use super::service::{Read, Service};
use super::storage::{self, Container};
use crate::target::agent::protocol::{self, Answer};
use crate::target::remote::mirror::Home;
use std::fs::File;
use std::io::{BufReader, ErrorKind};

impl Service {
    /// Takes in what an attempt left whose task is over.
    pub(super) fn bring_home(
        &self,
        container: &Container,
        job: &str,
        read: &Read,
        task: &Task,
    ) -> Result<(), Failure> {
        let local = |error: std::io::Error| Failure::Later(error.to_string());
        let folder = tempfile::tempdir_in(read.folder.parent().unwrap_or(&read.folder)).map_err(local)?;
        let path = folder.path().join("left");
        let sent = container.fetch(&storage::of_task(job, &read.task, "left"), &path)?;
        if sent {
            self.unpack(read, File::open(&path).map_err(local)?)
                .map_err(|error| Failure::Later(format!("what trial {} left: {error}", read.task)))?;
        } else {
            // Its node ended before it could send anything: what Batch still has of the journal.
            let journal = self
                .client
                .file(job, &read.task, "wd/attempt/journal", read.journal)?;
            let mut state = self.shared.state();
            if let Some(entry) = state.entries.get_mut(&read.folder) {
                let _ = entry.tracked.journal(read.journal, &journal);
            }
        }
        let claimed = self.claimed(container, job, &read.task)?;
        let trouble = match sent {
            true => Vec::new(),
            false => self.client.file(job, &read.task, "wd/attempt/trouble", 0)?,
        };
        let trouble = String::from_utf8_lossy(&trouble);
        let trouble = Some(trouble.trim()).filter(|text| !text.is_empty());
        let mut state = self.shared.state();
        if let Some(entry) = state.entries.get_mut(&read.folder) {
            let told = matches!(entry.tracked.home, Home::Wanted | Home::Coming);
            let node = task.node_info.as_ref().map_or("?", |node| node.node_id.as_str());
            if !told {
                entry.tracked.lives(task.end(claimed, trouble));
            }
            if told && !sent {
                entry.tracked.trouble.get_or_insert(format!(
                    "node {node} ended before it could send what the trial left"
                ));
            }
            entry.tracked.collected();
        }
        self.shared.ring(&state);
        Ok(())
    }

    /// Takes frames in as an agent would send them, each under the lock for a moment only.
    fn unpack(&self, read: &Read, file: File) -> std::io::Result<()> {
        let mut from = BufReader::with_capacity(256 << 10, file);
        loop {
            let (answer, body) = match protocol::read::<Answer>(&mut from) {
                Ok(frame) => frame,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut state = self.shared.state();
            let Some(entry) = state.entries.get_mut(&read.folder) else {
                return Ok(());
            };
            match answer {
                Answer::Journal { offset, .. } => {
                    let received = entry.tracked.received;
                    let known = usize::try_from(received.saturating_sub(offset)).unwrap_or(usize::MAX);
                    if let Some(new) = body.get(known..).filter(|new| !new.is_empty()) {
                        entry.tracked.journal(received, new)?;
                    }
                }
                Answer::Piece { piece, .. } => entry.tracked.piece(&piece, &body),
                Answer::Data { .. } => entry.tracked.data(&body),
                Answer::Collected { .. } => return Ok(()),
                _ => {}
            }
        }
    }
}
