//! What trials need and the agent keeps for all of them: contents, snapshots, environments.

use super::protocol::{Environment, Found};
use crate::config::EnvironmentSpec;
use crate::environment::{Builder, WithoutEngine};
use crate::snapshot::{ManifestEntry, stock};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

/// What comes of building an environment.
pub(super) enum Built {
    /// One line of what goes on.
    Line(String),
    /// It is there, or cannot be.
    Done(u64, Result<Found, String>),
}

/// Contents, snapshots and environments below the agent's root.
pub(super) struct Stock {
    root: PathBuf,
    incoming: Option<stock::Incoming>,
    /// What went wrong with a content; told when somebody wants the snapshot.
    trouble: Option<String>,
}

impl Stock {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            incoming: None,
            trouble: None,
        }
    }

    pub(super) fn lacks(&self, mut blobs: Vec<String>) -> Found {
        blobs.retain(|name| !stock::content_path(&self.root, name).is_some_and(|path| path.is_file()));
        Found::Lacks(blobs)
    }

    pub(super) fn blob(&mut self, name: &str, bytes: &[u8], last: bool) {
        if let Err(error) = self.take(name, bytes, last) {
            self.incoming = None;
            self.trouble
                .get_or_insert(format!("cannot keep a file of the snapshot: {error}"));
        }
    }

    fn take(&mut self, name: &str, bytes: &[u8], last: bool) -> std::io::Result<()> {
        let mut incoming = match self.incoming.take() {
            Some(incoming) if incoming.name() == name => incoming,
            _ => stock::Incoming::begin(&self.root, name)?,
        };
        incoming.push(bytes)?;
        if last {
            return incoming.finish();
        }
        self.incoming = Some(incoming);
        Ok(())
    }

    pub(super) fn snapshot(&mut self, id: &str, files: &[ManifestEntry]) -> Result<Found, String> {
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        match stock::tree(&self.root, id) {
            Some(folder) => Ok(Found::Folder(Some(folder))),
            None if files.is_empty() => Ok(Found::Folder(None)),
            None => match stock::assemble(&self.root, id, files) {
                Ok(folder) => Ok(Found::Folder(Some(folder))),
                Err(error) => Err(error.to_string()),
            },
        }
    }

    /// Builds an environment in a thread of its own, since that takes minutes.
    pub(super) fn environment(
        &self,
        id: u64,
        spec: EnvironmentSpec,
        snapshot: Option<&str>,
        out: Sender<Built>,
    ) {
        let cache = self.root.join("environments");
        let base = snapshot.and_then(|id| stock::tree(&self.root, id));
        let lines = out.clone();
        let work = move || {
            let search_path = std::env::var_os("PATH").unwrap_or_default();
            let mut progress = |line: &str| {
                let _ = lines.send(Built::Line(line.to_owned()));
            };
            let prepared = Builder {
                cache: &cache,
                base: base.as_deref(),
                search_path: &search_path,
                keep_azureml: false,
                without_engine: WithoutEngine::Refuse,
                progress: &mut progress,
            }
            .prepare(&spec);
            let found = match prepared {
                Ok(prepared) => Ok(Found::Environment(Environment {
                    interpreter: prepared.interpreter,
                    container: prepared.container,
                    path_prepend: prepared.path_prepend,
                    variables: prepared.variables,
                    notes: prepared.notes,
                })),
                Err(error) => Err(error.to_string()),
            };
            // Nobody there any more: the environment is built all the same.
            let _ = lines.send(Built::Done(id, found));
        };
        if let Err(error) = std::thread::Builder::new().name("environment".into()).spawn(work) {
            let _ = out.send(Built::Done(id, Err(error.to_string())));
        }
    }
}
