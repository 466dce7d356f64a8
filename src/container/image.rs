//! Having an image: it is there, it is fetched, or it is built, once per content.

use super::{ContainerError, Engine};
use crate::process::talk::last_line;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a look at an image may take.
const LOOK: Duration = Duration::from_secs(60);

/// How long the first start of a container of an image may take: a slow disk unpacks it.
const START: Duration = Duration::from_secs(300);

/// How long fetching may take.
const FETCH: Duration = Duration::from_secs(4 * 3600);

/// What an image is built from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// Text of the Dockerfile.
    pub dockerfile: String,
    /// Folder whose files it may copy; `None` = those of `files` alone.
    pub context: Option<PathBuf>,
    /// Files beside it: name and content.
    pub files: Vec<(&'static str, String)>,
    /// What else decides whether it is the same: the id of the image below.
    pub below: String,
}

/// What is in an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// The first of the names that were looked for, as an absolute path there.
    pub interpreter: Option<String>,
    /// Whether the engine can start a container with a first process of its own.
    pub init: bool,
}

/// Makes sure that the engine has the image; gives its id.
///
/// # Errors
/// [`ContainerError::NoImage`] with what to do about it.
pub fn have(engine: &Engine, image: &str, progress: &mut dyn FnMut(&str)) -> Result<String, ContainerError> {
    if let Some(id) = id(engine, image) {
        return Ok(id);
    }
    progress(&format!("fetching the image {image}"));
    let refused = |reason: String| ContainerError::NoImage {
        image: image.to_owned(),
        reason,
    };
    let spoken = engine
        .ask(&["pull", "--quiet", image], FETCH)
        .map_err(|error| refused(error.to_string()))?;
    if spoken.code == Some(0) {
        return id(engine, image).ok_or_else(|| refused("it was fetched and is not there".into()));
    }
    Err(refused(explained(engine, image, &last_line(&spoken.errors))))
}

/// What a registry's refusal means.
fn explained(engine: &Engine, image: &str, words: &str) -> String {
    let lower = words.to_ascii_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    let program = engine.program.file_name().unwrap_or_default().to_string_lossy();
    let registry = image
        .split_once('/')
        .map(|(first, _)| first)
        .filter(|first| first.contains(['.', ':']) || *first == "localhost");
    if has(&[
        "unauthorized",
        "access denied",
        "authentication required",
        "no basic auth",
        "forbidden",
    ]) {
        let login = registry.map_or_else(
            || format!("{program} login"),
            |host| format!("{program} login {host}"),
        );
        return format!("the registry refused it ({words}); log in where it is needed:  {login}");
    }
    if has(&["not found", "manifest unknown", "does not exist", "short-name"]) {
        return format!("no registry knows it ({words})");
    }
    words.to_owned()
}

/// The image's id, if the engine has it.
fn id(engine: &Engine, image: &str) -> Option<String> {
    let asked = engine.output(&["image", "inspect", "--format", "{{.Id}}", image], LOOK);
    let id = asked.ok()?.trim().to_owned();
    (!id.is_empty()).then_some(id)
}

/// The name of the image that `recipe` gives, built under a lock unless it is there. `cache` is a folder for locks and logs.
///
/// # Errors
/// [`ContainerError::Build`] with the last line of the build.
pub fn build(
    engine: &Engine,
    recipe: &Recipe,
    cache: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<String, ContainerError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| ContainerError::File {
            path,
            reason: error.to_string(),
        }
    };
    let key = key(recipe)?;
    let name = format!("localhost/overdrive-environment:{key}");
    if id(engine, &name).is_some() {
        return Ok(name);
    }
    fs::create_dir_all(cache).map_err(failed(cache))?;
    let lock_path = cache.join(format!("{key}.lock"));
    let lock = File::create(&lock_path).map_err(failed(&lock_path))?;
    if lock.try_lock().is_err() {
        progress("waiting for another process that builds the same image");
        lock.lock().map_err(failed(&lock_path))?;
    }
    if id(engine, &name).is_some() {
        return Ok(name);
    }
    progress(&format!("building the image {name}"));
    let folder = tempfile::Builder::new()
        .prefix("image-")
        .tempdir_in(cache)
        .map_err(failed(cache))?;
    let dockerfile = folder.path().join("Dockerfile");
    fs::write(&dockerfile, &recipe.dockerfile).map_err(failed(&dockerfile))?;
    for (file, content) in &recipe.files {
        let path = folder.path().join(file);
        fs::write(&path, content).map_err(failed(&path))?;
    }
    let log_path = cache.join(format!("{key}.log"));
    let log = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&log_path)
        .map_err(failed(&log_path))?;
    let errors = log.try_clone().map_err(failed(&log_path))?;
    let status = Command::new(&engine.program)
        .args(["build", "--network", "host", "--tag", &name, "--file"])
        .arg(&dockerfile)
        .arg(recipe.context.as_deref().unwrap_or(folder.path()))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .status()
        .map_err(failed(&engine.program))?;
    if status.success() {
        return Ok(name);
    }
    let text = fs::read(&log_path).unwrap_or_default();
    Err(ContainerError::Build {
        reason: last_line(&String::from_utf8_lossy(&text)),
        log: log_path.display().to_string(),
    })
}

/// One text for equal content.
fn key(recipe: &Recipe) -> Result<String, ContainerError> {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(recipe.dockerfile.as_bytes());
    part(recipe.below.as_bytes());
    for (name, content) in &recipe.files {
        part(name.as_bytes());
        part(content.as_bytes());
    }
    let mut folders: Vec<PathBuf> = recipe.context.iter().cloned().collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files.sort();
    for file in files {
        part(file.as_os_str().as_encoded_bytes());
        // What cannot be read cannot be sent to the build either.
        part(&fs::read(&file).unwrap_or_default());
    }
    Ok(hasher.finalize().to_hex().chars().take(32).collect())
}

/// Starts a container of the image once and looks around in it: which of `names` is there, and whether it can be started at all.
///
/// # Errors
/// [`ContainerError::NoImage`] if no container of it can be started.
pub fn look(engine: &Engine, image: &str, names: &[&str]) -> Result<Inside, ContainerError> {
    const SCRIPT: &str = r#"for name in "$@"; do command -v "$name" && break; done; exit 0"#;
    let start = |init: bool| {
        let mut arguments = vec!["run", "--rm", "--network", "host", "--entrypoint", "/bin/sh"];
        if init {
            arguments.push("--init");
        }
        arguments.extend([image, "-c", SCRIPT, "sh"]);
        arguments.extend(names);
        engine.ask(&arguments, START)
    };
    let refused = |reason: String| ContainerError::NoImage {
        image: image.to_owned(),
        reason,
    };
    let mut first_words = None;
    for init in [true, false] {
        let spoken = start(init).map_err(|error| refused(error.to_string()))?;
        match spoken.code {
            Some(0) => {
                let found = spoken
                    .output
                    .lines()
                    .map(str::trim)
                    .find(|line| line.starts_with('/'));
                return Ok(Inside {
                    interpreter: found.map(str::to_owned),
                    init,
                });
            }
            None => {
                return Err(refused(format!(
                    "its container did not end within {} s",
                    START.as_secs()
                )));
            }
            Some(_) => {
                first_words.get_or_insert(last_line(&spoken.errors));
            }
        }
    }
    Err(refused(first_words.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let engine = Engine {
            program: "/usr/bin/docker".into(),
            kind: Kind::Docker,
        };
        let told = explained(
            &engine,
            "reg.example:5000/team/img",
            "unauthorized: authentication required",
        );
        assert!(told.ends_with("docker login reg.example:5000"), "{told}");
        let told = explained(&engine, "team/img", "pull access denied for team/img");
        assert!(told.ends_with("docker login"), "{told}");
        assert!(explained(&engine, "a", "manifest unknown").starts_with("no registry knows it"));
    }

    #[test]
    fn what_is_in_the_context_decides_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe {
            dockerfile: "FROM a".into(),
            context: Some(folder.path().to_owned()),
            ..Recipe::default()
        };
        let before = key(&recipe).unwrap();
        fs::write(folder.path().join("x"), "1").unwrap();
        assert_ne!(before, key(&recipe).unwrap());
        assert_eq!(key(&recipe).unwrap(), key(&recipe.clone()).unwrap());
    }
}
