//! Python environments: built once per content hash, cached, shared by all sweeps.
//!
//! `userManagedDependencies: true` runs the interpreter as it is. A conda mapping is built with micromamba, mamba or conda where one
//! is present; without one, a mapping that holds only `python=X`, pip packages and conda packages that are the same on PyPI is built as a
//! virtual environment (with `uv` where present, else `venv` and `pip`). The cache key is the BLAKE3 hash of the normalised mapping, the tool and the interpreter's
//! version; a lock file keeps two sweeps from building the same one; `.ready` is written last, so that a build that was
//! interrupted is thrown away and made again.

mod conda_file;
mod container;
mod interpreter;
mod substitutes;
mod virtual_environment;

pub use conda_file::{CondaFile, PipItem};

use crate::config::EnvironmentSpec;
use crate::container::{Container, ContainerError};
use indexmap::IndexMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An environment that trials can run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The Python interpreter: an absolute path.
    pub interpreter: PathBuf,
    /// The container in which all of it lies.
    pub container: Option<Container>,
    /// Folders to put first on `PATH`.
    pub path_prepend: Vec<PathBuf>,
    /// Variables to set (`VIRTUAL_ENV`, `CONDA_PREFIX`).
    pub variables: IndexMap<String, String>,
    /// Hash of what it was built from; `None` for a user-managed interpreter.
    pub key: Option<String>,
    /// What people should know: another Python version than asked, packages left out.
    pub notes: Vec<String>,
}

/// What happens to a container that is asked for where no engine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutEngine {
    /// Trials run in the Python environment of the files, without the container; a note says so.
    Ignore,
    /// There is no environment.
    Refuse,
}

/// Where environments come from and go to.
pub struct Builder<'a> {
    /// Cache folder (`$XDG_CACHE_HOME/overdrive/environments`).
    pub cache: &'a Path,
    /// Folder against which `-r requirements.txt` and local packages are resolved.
    pub base: Option<&'a Path>,
    /// Value of `PATH` to search for interpreters and tools.
    pub search_path: &'a std::ffi::OsStr,
    /// Install `azureml-*` packages for real instead of relying on overdrive's own `azureml` module.
    pub keep_azureml: bool,
    /// What happens to a container that is asked for where no engine answers.
    pub without_engine: WithoutEngine,
    /// Told what is being done, one line at a time.
    pub progress: &'a mut dyn FnMut(&str),
}

/// Why an environment cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// The interpreter that the run configuration names is not there.
    #[error("no interpreter `{name}` on PATH; set `environment.python.interpreterPath` to one that exists")]
    NoInterpreter {
        /// Name or path.
        name: String,
    },
    /// Packages that are not known to be on PyPI, and no conda.
    #[error(
        "the environment needs conda packages ({packages}) and neither micromamba, mamba nor conda is on PATH; install one, or move them under `pip:`"
    )]
    NoConda {
        /// Up to five package names.
        packages: String,
    },
    /// The mapping is not a conda file.
    #[error("conda dependencies: {reason}")]
    Mapping {
        /// What is wrong.
        reason: String,
    },
    /// A build command failed.
    #[error("building the environment failed: {command}: {reason}\n{tail}\nwhole log: {log}")]
    Build {
        /// The command.
        command: String,
        /// Exit status in words.
        reason: String,
        /// Last lines of its output.
        tail: String,
        /// Log file.
        log: PathBuf,
    },
    /// The container cannot be had.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The cache cannot be used.
    #[error("cannot use the environment cache {path}: {source}")]
    Cache {
        /// File or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

impl Builder<'_> {
    /// Makes the environment that `spec` describes available, from the cache or by building it.
    ///
    /// # Errors
    /// [`EnvironmentError`]; a failed build leaves its log and is made again next time.
    pub fn prepare(&mut self, spec: &EnvironmentSpec) -> Result<Prepared, EnvironmentError> {
        match spec {
            EnvironmentSpec::UserManaged { interpreter } => self.user_managed(interpreter),
            EnvironmentSpec::Conda { dependencies } => self.conda(dependencies),
            EnvironmentSpec::Docker { .. } => self.in_container(spec),
        }
    }

    fn user_managed(&self, name: &str) -> Result<Prepared, EnvironmentError> {
        let found = interpreter::find(name, self.search_path)
            // Debian and macOS have no plain `python`; scripts that ask for it mean Python 3.
            .or_else(|| {
                (name == "python")
                    .then(|| interpreter::find("python3", self.search_path))
                    .flatten()
            })
            .ok_or_else(|| EnvironmentError::NoInterpreter {
                name: name.to_owned(),
            })?;
        Ok(Prepared {
            interpreter: found,
            container: None,
            path_prepend: Vec::new(),
            variables: IndexMap::new(),
            key: None,
            notes: Vec::new(),
        })
    }

    fn conda(&mut self, dependencies: &serde_json::Value) -> Result<Prepared, EnvironmentError> {
        let mut file = CondaFile::read(dependencies)?;
        let mut notes = Vec::new();
        if !self.keep_azureml {
            let left_out = file.take_azureml();
            if !left_out.is_empty() {
                notes.push(format!(
                    "{} not installed: overdrive's own `azureml` module answers `Run.get_context()`",
                    left_out.join(", ")
                ));
            }
        }
        let tool = ["micromamba", "mamba", "conda"]
            .into_iter()
            .find_map(|name| interpreter::find(name, self.search_path).map(|path| (name, path)));
        let mut prepared = match tool {
            Some((name, path)) => self.with_conda(&file, name, &path)?,
            None => self.without_conda(&mut file, &mut notes)?,
        };
        notes.append(&mut prepared.notes);
        prepared.notes = notes;
        Ok(prepared)
    }

    fn with_conda(
        &mut self,
        file: &CondaFile,
        name: &str,
        tool: &Path,
    ) -> Result<Prepared, EnvironmentError> {
        let key = self.key(&[name, &file.canonical()]);
        let base = self.base.map(Path::to_path_buf);
        let folder = self.cached(&key, |folder, log, _| {
            let definition = folder.with_extension("yml");
            std::fs::write(&definition, file.to_yaml()).map_err(|source| EnvironmentError::Cache {
                path: definition.clone(),
                source,
            })?;
            let mut command = Command::new(tool);
            if name == "micromamba" {
                command.args(["create", "--yes", "--prefix"]);
            } else {
                command.args(["env", "create", "--prefix"]);
            }
            command.arg(folder).arg("--file").arg(&definition);
            // `conda env create` has learnt `--yes` late; the variables are understood by every version.
            command
                .env("CONDA_ALWAYS_YES", "true")
                .env("MAMBA_ALWAYS_YES", "true");
            if let Some(base) = &base {
                command.current_dir(base);
            }
            run(&mut command, log)
        })?;
        let variables = [("CONDA_PREFIX".to_owned(), folder.display().to_string())]
            .into_iter()
            .collect();
        Ok(prepared_in(&folder, key, variables))
    }

    fn without_conda(
        &mut self,
        file: &mut CondaFile,
        notes: &mut Vec<String>,
    ) -> Result<Prepared, EnvironmentError> {
        let substituted = file.substitute().map_err(|packages| EnvironmentError::NoConda {
            packages: packages.into_iter().take(5).collect::<Vec<_>>().join(", "),
        })?;
        if !substituted.is_empty() {
            notes.push(format!(
                "neither micromamba, mamba nor conda is on PATH: {} from PyPI instead",
                substituted.join(", ")
            ));
        }
        let (python, version) = interpreter::for_version(file.python.as_deref(), self.search_path)
            .ok_or_else(|| EnvironmentError::NoInterpreter {
                name: "python3".into(),
            })?;
        if let Some(wanted) = &file.python
            && !interpreter::satisfies(wanted, &version)
        {
            notes.push(format!(
                "python={wanted} is asked for and not on PATH; using {version} ({})",
                python.display()
            ));
        }
        let uv = interpreter::find("uv", self.search_path);
        let tool = if uv.is_some() { "uv" } else { "venv" };
        let requirements = self.requirement_contents(file);
        let key = self.key(&[tool, &version, &file.canonical(), &requirements]);
        let base = self.base.map(Path::to_path_buf);
        let folder = self.cached(&key, |folder, log, progress| {
            virtual_environment::build(
                folder,
                &python,
                uv.as_deref(),
                &file.pip,
                base.as_deref(),
                log,
                progress,
            )
        })?;
        let variables = [("VIRTUAL_ENV".to_owned(), folder.display().to_string())]
            .into_iter()
            .collect();
        Ok(prepared_in(&folder, key, variables))
    }

    /// Requirement files are part of the key by their content, since their names say nothing of it.
    fn requirement_contents(&self, file: &CondaFile) -> String {
        let mut contents = String::new();
        for item in &file.pip {
            if let PipItem::Option(option) = item
                && let Some(name) = option
                    .strip_prefix("-r")
                    .or_else(|| option.strip_prefix("--requirement"))
            {
                let path = self
                    .base
                    .unwrap_or(Path::new("."))
                    .join(name.trim_start_matches('=').trim());
                contents.push_str(&std::fs::read_to_string(path).unwrap_or_default());
                contents.push('\0');
            }
        }
        contents
    }

    fn key(&self, parts: &[&str]) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part.as_bytes());
            hasher.update(&[0]);
        }
        hasher
            .finalize()
            .to_hex()
            .as_str()
            .get(..32)
            .unwrap_or_default()
            .to_owned()
    }

    /// The folder of `key`, built under a lock if it is not there or was left half-made.
    fn cached(
        &mut self,
        key: &str,
        build: impl FnOnce(&Path, &Path, &mut dyn FnMut(&str)) -> Result<(), EnvironmentError>,
    ) -> Result<PathBuf, EnvironmentError> {
        let fail = |path: &Path| {
            let path = path.to_path_buf();
            move |source| EnvironmentError::Cache { path, source }
        };
        std::fs::create_dir_all(self.cache).map_err(fail(self.cache))?;
        let folder = self.cache.join(key);
        let ready = folder.join(".ready");
        if ready.exists() {
            return Ok(folder);
        }
        let lock_path = self.cache.join(format!("{key}.lock"));
        let lock = std::fs::File::create(&lock_path).map_err(fail(&lock_path))?;
        if lock.try_lock().is_err() {
            (self.progress)("waiting for another process that builds the same environment");
            lock.lock().map_err(fail(&lock_path))?;
        }
        if ready.exists() {
            return Ok(folder);
        }
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(fail(&folder))?;
        }
        let log = self.cache.join(format!("{key}.log"));
        std::fs::write(&log, "").map_err(fail(&log))?;
        build(&folder, &log, self.progress)?;
        std::fs::write(&ready, "").map_err(fail(&ready))?;
        Ok(folder)
    }
}

fn prepared_in(folder: &Path, key: String, variables: IndexMap<String, String>) -> Prepared {
    let bin = folder.join("bin");
    Prepared {
        interpreter: bin.join("python"),
        container: None,
        path_prepend: vec![bin],
        variables,
        key: Some(key),
        notes: Vec::new(),
    }
}

/// Runs a build command with its output appended to `log`.
fn run(command: &mut Command, log: &Path) -> Result<(), EnvironmentError> {
    let fail = |source| EnvironmentError::Cache {
        path: log.to_path_buf(),
        source,
    };
    let shown = format!("{command:?}").replace('"', "");
    let output = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(log)
        .map_err(fail)?;
    let errors = output.try_clone().map_err(fail)?;
    let status = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status();
    let reason = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines
        .get(lines.len().saturating_sub(10)..)
        .unwrap_or_default()
        .join("\n");
    Err(EnvironmentError::Build {
        command: shown,
        reason,
        tail,
        log: log.to_path_buf(),
    })
}

#[cfg(test)]
mod tests;
