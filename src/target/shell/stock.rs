//! What trials need and the machine keeps for all of them: contents and trees of snapshots, the interpreter, the azureml module.

use super::Reach;
use super::session::{Session, making};
use crate::config::EnvironmentSpec;
use crate::config::launch::template::quote;
use crate::snapshot::{ManifestEntry, stock};
use crate::target::agent::protocol::{Environment, Found};
use indexmap::IndexMap;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Component, Path};
use std::process::Stdio;

/// Contents up to this size go through the shell that is open, several at once.
const SMALL: u64 = 256 << 10;

/// Bytes of a script that are sent at once.
const BATCH: usize = 256 << 10;

/// Contents that come from the controller and go to the machine.
#[derive(Default)]
pub(super) struct Stock {
    /// The content that is coming.
    incoming: Option<(String, std::fs::File)>,
    /// Commands that make contents there and were not said yet.
    batch: String,
    /// What went wrong with one; told when somebody wants the snapshot.
    trouble: Option<String>,
}

impl Stock {
    /// Takes bytes of a content in.
    pub(super) fn blob(
        &mut self,
        there: &mut There<'_>,
        name: &str,
        bytes: &[u8],
        last: bool,
    ) -> io::Result<()> {
        let mut file = match self.incoming.take() {
            Some((known, file)) if known == name => file,
            _ => tempfile::tempfile()?,
        };
        file.write_all(bytes)?;
        if !last {
            self.incoming = Some((name.to_owned(), file));
            return Ok(());
        }
        let path = content(there.root, name).ok_or(ErrorKind::InvalidInput)?;
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mode = if name.ends_with('x') { "555" } else { "444" };
        let size = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        if size <= SMALL {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut file, &mut bytes)?;
            self.batch.push_str(&format!("mkdir -p {folder}\n"));
            self.batch
                .push_str(&making(&path, &bytes, mode).replace("false; }", "exit 73; }"));
            if self.batch.len() > BATCH {
                self.flush(there)?;
            }
            return Ok(());
        }
        self.flush(there)?;
        there.session.run(&format!("mkdir -p {folder}"), there.busy)?;
        let size = size.to_string();
        let status = there
            .reach
            .command(&["sh", there.script, "take", &path, &size, mode])
            .stdin(Stdio::from(file))
            .stdout(Stdio::null())
            .spawn()
            .and_then(|mut child| wait(&mut child, there.busy))?;
        if !status.success() {
            self.trouble
                .get_or_insert("a file of the snapshot could not be kept there".into());
        }
        Ok(())
    }

    fn flush(&mut self, there: &mut There<'_>) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        let reply = there.session.run(&batch, there.busy)?;
        if reply.code != 0 {
            self.trouble.get_or_insert(format!(
                "a file of the snapshot could not be kept there: {}",
                reply.text()
            ));
        }
        Ok(())
    }

    /// Finds the tree of a snapshot there, or builds it from contents.
    pub(super) fn snapshot(
        &mut self,
        there: &mut There<'_>,
        id: &str,
        files: &[ManifestEntry],
    ) -> io::Result<Result<Found, String>> {
        self.flush(there)?;
        if let Some(trouble) = self.trouble.take() {
            return Ok(Err(trouble));
        }
        if id.len() != 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Err("that is no name of a snapshot".into()));
        }
        let tree = format!("{}/snapshots/{id}", there.root);
        let found = there.session.run(
            &format!("[ -d {tree} ] && touch {tree} && echo there"),
            there.busy,
        )?;
        if found.text() == "there" {
            return Ok(Ok(Found::Folder(Some(tree.into()))));
        }
        if files.is_empty() {
            return Ok(Ok(Found::Folder(None)));
        }
        let inside = |entry: &ManifestEntry| {
            !entry.path.is_empty()
                && Path::new(&entry.path)
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)))
        };
        if !files.iter().all(inside) {
            return Ok(Err("the list of files is damaged".into()));
        }
        let draft = format!("{}/snapshots/.{id}-{}", there.root, uuid::Uuid::new_v4().simple());
        let mut script = format!("mkdir -p {draft} || exit 73\n");
        for entry in files {
            let Some(source) = content(there.root, &stock::content_name(entry)) else {
                return Ok(Err("the list of files is damaged".into()));
            };
            let place = format!("{draft}/{}", entry.path);
            let folder = place.rsplit_once('/').map_or("", |(folder, _)| folder);
            let (place, folder) = (quote(&place), quote(folder));
            script.push_str(&format!(
                "mkdir -p {folder} && {{ ln {source} {place} 2>/dev/null || cp -p {source} {place}; }} || exit 73\n"
            ));
            if script.len() > BATCH {
                let reply = there.session.run(&script, there.busy)?;
                if reply.code != 0 {
                    return Ok(Err(reply.text()));
                }
                script.clear();
            }
        }
        // Somebody else may have been as quick.
        let name = draft.rsplit_once('/').map_or("", |(_, name)| name);
        script.push_str(&format!(
            "if [ -d {tree} ]; then rm -rf {draft}; else mv {draft} {tree} || exit 73; fi; rm -rf {tree}/{name}\n"
        ));
        let reply = there.session.run(&script, there.busy)?;
        if reply.code != 0 {
            return Ok(Err(format!("cannot build the snapshot there: {}", reply.text())));
        }
        Ok(Ok(Found::Folder(Some(tree.into()))))
    }
}

/// The machine, for a moment.
pub(super) struct There<'a> {
    pub(super) session: &'a mut Session,
    pub(super) reach: &'a Reach,
    pub(super) root: &'a str,
    pub(super) script: &'a str,
    pub(super) busy: &'a mut dyn FnMut(),
}

impl There<'_> {
    /// Which of these contents are missing there.
    pub(super) fn lacks(&mut self, blobs: &[String]) -> io::Result<Found> {
        let mut missing = Vec::new();
        for names in blobs.chunks(1000) {
            let mut script = String::new();
            for name in names {
                if let Some(path) = content(self.root, name) {
                    script.push_str(&format!("[ -f {path} ] || echo {name}\n"));
                }
            }
            let reply = self.session.run(&script, self.busy)?;
            missing.extend(reply.text().lines().map(str::to_owned));
        }
        Ok(Found::Lacks(missing))
    }

    /// Finds the interpreter of an environment; one that has to be built first is refused.
    pub(super) fn environment(&mut self, spec: &EnvironmentSpec) -> io::Result<Result<Found, String>> {
        let name = match spec {
            EnvironmentSpec::UserManaged { interpreter } => interpreter,
            EnvironmentSpec::Conda { .. } => {
                return Ok(Err(
                    "overdrive does not run there, and its shell runner builds no Python environment; `--environment current` \
                     takes the machine's own interpreter, `--binary FILE` names a build of overdrive for that machine"
                        .into(),
                ));
            }
            EnvironmentSpec::Docker { .. } => {
                return Ok(Err(
                    "overdrive does not run there, and its shell runner starts no containers; `--binary FILE` names a build of \
                     overdrive for that machine"
                        .into(),
                ));
            }
        };
        let second = if name == "python" {
            " || command -v python3"
        } else {
            ""
        };
        let script = format!("command -v {}{second}", quote(name));
        let found = self.session.run(&script, self.busy)?.text();
        let Some(path) = found.lines().last().filter(|path| path.starts_with('/')) else {
            return Ok(Err(format!(
                "no interpreter `{name}` on PATH; set `environment.python.interpreterPath` to one that exists"
            )));
        };
        Ok(Ok(Found::Environment(Environment {
            interpreter: path.into(),
            container: None,
            path_prepend: Vec::new(),
            variables: IndexMap::new(),
            notes: Vec::new(),
        })))
    }

    /// Puts the azureml module there, once per content; its folder.
    pub(super) fn shim(&mut self) -> io::Result<Result<String, String>> {
        let name = crate::channel::shim::folder_name();
        let folder = format!("{}/shim/{name}", self.root);
        let known = self
            .session
            .run(&format!("[ -d {folder} ] && echo there"), self.busy)?;
        if known.text() == "there" {
            return Ok(Ok(folder));
        }
        let draft = format!("{}/shim/.{name}-{}", self.root, uuid::Uuid::new_v4().simple());
        let mut script = String::new();
        for (path, text) in crate::channel::shim::sources() {
            let path = format!("{draft}/{path}");
            let above = path.rsplit_once('/').map_or("", |(above, _)| above);
            script.push_str(&format!("mkdir -p {above}\n"));
            script.push_str(&making(&path, text.as_bytes(), "644").replace("false; }", "exit 73; }"));
        }
        script.push_str(&format!("mv {draft} {folder} 2>/dev/null; [ -d {folder} ]\n"));
        let reply = self.session.run(&script, self.busy)?;
        Ok(if reply.code == 0 {
            Ok(folder)
        } else {
            Err(format!(
                "the azureml module cannot be kept there: {}",
                reply.text()
            ))
        })
    }
}

/// Where a content lies there.
fn content(root: &str, name: &str) -> Option<String> {
    let path = stock::content_path(Path::new(root), name)?;
    Some(path.to_string_lossy().into_owned())
}

fn wait(child: &mut std::process::Child, busy: &mut dyn FnMut()) -> io::Result<std::process::ExitStatus> {
    let mut beat = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        if beat.elapsed().as_secs() >= 5 {
            beat = std::time::Instant::now();
            busy();
        }
    }
}
