//! The model registry: files and folders kept under a name, one version after the other.
//!
//! `<root>/NAME/VERSION/` holds what was registered, `<root>/NAME/VERSION.json` says what is known of it; a version exists once
//! that document does. Scripts that register models write the same layout (see `channel`).

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

/// What a model may be called, for messages.
pub const NAME_RULE: &str = "letters, digits, `-`, `_` and `.`, a letter or digit first, at most 255";

/// One version of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Name.
    pub name: String,
    /// Version, from 1 on.
    pub version: u64,
    /// Name of the file or folder in the version's folder.
    pub path: String,
    /// Free text.
    #[serde(default)]
    pub description: Option<String>,
    /// Run that made it.
    #[serde(default)]
    pub run_id: Option<String>,
    /// Experiment of that run.
    #[serde(default)]
    pub experiment: Option<String>,
    /// Seconds since the epoch.
    #[serde(default)]
    pub created: f64,
    /// Tags.
    #[serde(default)]
    pub tags: IndexMap<String, String>,
    /// Properties.
    #[serde(default)]
    pub properties: IndexMap<String, String>,
    /// Framework, kept as a label.
    #[serde(default)]
    pub framework: Option<String>,
    /// Version of the framework.
    #[serde(default)]
    pub framework_version: Option<String>,
}

/// Why a model could not be kept or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The name cannot be one.
    #[error("`{0}` cannot name a model: {NAME_RULE}")]
    Name(String),
    /// Nothing is registered under that name, or not that version.
    #[error("no model is called `{0}`")]
    NotFound(String),
    /// There is no such file or folder to register.
    #[error("`{path}` is not among what the run left", path = .0.display())]
    NoAsset(PathBuf),
    /// The path leads out of the folder that it is taken from.
    #[error("`{path}` leads out of the folder of the run", path = .0.display())]
    Outside(PathBuf),
    /// Something lies where the model is to be copied to.
    #[error("`{path}` exists already", path = .0.display())]
    InTheWay(PathBuf),
    /// The system refused.
    #[error("`{path}`: {source}", path = .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ModelError {
    let path = path.to_owned();
    move |source| ModelError::File { path, source }
}

/// A registry in a folder.
#[derive(Clone, Debug)]
pub struct Models {
    root: PathBuf,
}

/// Finds `asset` (a relative path) in one of the folders that a run left, the first that has it.
///
/// # Errors
/// [`ModelError::Outside`] for an absolute path, one with `..`, or a link that leads out; [`ModelError::NoAsset`].
pub fn asset(folders: &[PathBuf], asset: &str) -> Result<PathBuf, ModelError> {
    let relative = Path::new(asset.trim_end_matches('/'));
    let inside = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || asset.is_empty() {
        return Err(ModelError::Outside(relative.to_owned()));
    }
    for folder in folders {
        let path = folder.join(relative);
        let (Ok(real), Ok(root)) = (fs::canonicalize(&path), fs::canonicalize(folder)) else {
            continue;
        };
        if !real.starts_with(&root) {
            return Err(ModelError::Outside(relative.to_owned()));
        }
        return Ok(path);
    }
    Err(ModelError::NoAsset(relative.to_owned()))
}

fn legal(name: &str) -> Result<(), ModelError> {
    let fits = name.len() <= 255
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if fits {
        Ok(())
    } else {
        Err(ModelError::Name(name.to_owned()))
    }
}

impl Models {
    /// The registry of a state folder.
    pub fn new(state_folder: &Path) -> Self {
        Self {
            root: state_folder.join("models"),
        }
    }

    /// Copies `source` under the next version of `model.name`; `version` and `path` of `model` are filled in.
    ///
    /// # Errors
    /// [`ModelError`]; no version was made.
    pub fn register(&self, source: &Path, mut model: Model) -> Result<Model, ModelError> {
        legal(&model.name)?;
        let real = fs::canonicalize(source).map_err(|_| ModelError::NoAsset(source.to_owned()))?;
        let base = source
            .file_name()
            .or_else(|| real.file_name())
            .unwrap_or_default();
        model.path = base.to_string_lossy().into_owned();
        let folder = self.root.join(&model.name);
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let mut version = numbers(&folder)?.last().copied().unwrap_or(0) + 1;
        // Whoever makes the folder has the number.
        let own = loop {
            let own = folder.join(version.to_string());
            match fs::create_dir(&own) {
                Ok(()) => break own,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => version += 1,
                Err(error) => return Err(failed(&own)(error)),
            }
        };
        model.version = version;
        let kept = copy(&real, &own.join(base), &real).and_then(|()| self.document(&folder, &model));
        if let Err(error) = kept {
            // The error is what the user needs; what is left has no document and is no version.
            let _ = fs::remove_dir_all(&own);
            return Err(error);
        }
        Ok(model)
    }

    fn document(&self, folder: &Path, model: &Model) -> Result<(), ModelError> {
        let path = folder.join(format!("{}.json", model.version));
        let text = serde_json::to_vec_pretty(model).map_err(|error| failed(&path)(error.into()))?;
        let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(failed(folder))?;
        draft.write_all(&text).map_err(failed(&path))?;
        draft.as_file().sync_all().map_err(failed(&path))?;
        draft.persist(&path).map_err(|error| failed(&path)(error.error))?;
        Ok(())
    }

    /// Takes every version of another registry over, under the next numbers that are free here; what was taken is gone there. Twice is
    /// no harm: what was taken over is not there again.
    ///
    /// # Errors
    /// [`ModelError`]; what was not taken over yet is still there.
    pub fn adopt(&self, other: &Self) -> Result<Vec<Model>, ModelError> {
        let mut adopted = Vec::new();
        // Oldest first, so that the order of the numbers stays.
        for mut model in other.list()?.into_iter().rev() {
            let source = other.root.join(&model.name).join(model.version.to_string());
            let document = other
                .root
                .join(&model.name)
                .join(format!("{}.json", model.version));
            let folder = self.root.join(&model.name);
            fs::create_dir_all(&folder).map_err(failed(&folder))?;
            let mut version = numbers(&folder)?.last().copied().unwrap_or(0) + 1;
            let own = loop {
                let own = folder.join(version.to_string());
                match fs::create_dir(&own) {
                    Ok(()) => break own,
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => version += 1,
                    Err(error) => return Err(failed(&own)(error)),
                }
            };
            // An empty folder gives way to the one that is renamed.
            match fs::rename(&source, &own) {
                Ok(()) => {}
                Err(error) => {
                    let _ = fs::remove_dir(&own);
                    if error.kind() == ErrorKind::NotFound {
                        continue;
                    }
                    return Err(failed(&source)(error));
                }
            }
            model.version = version;
            self.document(&folder, &model)?;
            let _ = fs::remove_file(document);
            adopted.push(model);
        }
        Ok(adopted)
    }

    /// A version of a model, the newest by default.
    ///
    /// # Errors
    /// [`ModelError::NotFound`].
    pub fn get(&self, name: &str, version: Option<u64>) -> Result<Model, ModelError> {
        legal(name)?;
        let all = self.versions(name)?;
        let found = match version {
            None => all.into_iter().next(),
            Some(version) => all.into_iter().find(|model| model.version == version),
        };
        found.ok_or_else(|| {
            ModelError::NotFound(match version {
                Some(version) => format!("{name}:{version}"),
                None => name.to_owned(),
            })
        })
    }

    /// All versions of a model, the newest first; none if there is no such model.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn versions(&self, name: &str) -> Result<Vec<Model>, ModelError> {
        let folder = self.root.join(name);
        let mut found = Vec::new();
        for version in numbers(&folder)?.into_iter().rev() {
            let Ok(text) = fs::read(folder.join(format!("{version}.json"))) else {
                continue;
            };
            if let Ok(mut model) = serde_json::from_slice::<Model>(&text) {
                // The place decides, not what a moved document says.
                (model.name, model.version) = (name.to_owned(), version);
                found.push(model);
            }
        }
        Ok(found)
    }

    /// All models by name, the newest version first.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Model>, ModelError> {
        let mut names: Vec<String> = entries(&self.root)?;
        names.retain(|name| legal(name).is_ok());
        names.sort();
        let mut all = Vec::new();
        for name in names {
            all.extend(self.versions(&name)?);
        }
        Ok(all)
    }

    /// The registered file or folder.
    pub fn path(&self, model: &Model) -> PathBuf {
        let base = Path::new(&model.path).file_name().unwrap_or_default();
        self.root
            .join(&model.name)
            .join(model.version.to_string())
            .join(base)
    }

    /// Copies a model into `folder`, which is made if it is missing; returns where it lies.
    ///
    /// # Errors
    /// [`ModelError::InTheWay`] unless `overwrite`.
    pub fn download(&self, model: &Model, folder: &Path, overwrite: bool) -> Result<PathBuf, ModelError> {
        let source = self.path(model);
        let target = folder.join(source.file_name().unwrap_or_default());
        fs::create_dir_all(folder).map_err(failed(folder))?;
        if target.exists() && !overwrite {
            return Err(ModelError::InTheWay(target));
        }
        copy(&source, &target, &source)?;
        Ok(target)
    }
}

fn entries(folder: &Path) -> Result<Vec<String>, ModelError> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(folder)(error)),
    }
}

fn numbers(folder: &Path) -> Result<Vec<u64>, ModelError> {
    let mut numbers: Vec<u64> = entries(folder)?
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Copies a file, or a folder with all its files. A link in it counts as the file that it leads to, if that lies below `root`.
fn copy(from: &Path, to: &Path, root: &Path) -> Result<(), ModelError> {
    let known = fs::symlink_metadata(from).map_err(failed(from))?;
    if known.is_symlink() {
        let real = fs::canonicalize(from).map_err(failed(from))?;
        if !real.starts_with(root) || !real.is_file() {
            return Err(ModelError::Outside(from.to_owned()));
        }
        fs::copy(&real, to).map_err(failed(&real))?;
    } else if known.is_dir() {
        fs::create_dir_all(to).map_err(failed(to))?;
        for entry in fs::read_dir(from).map_err(failed(from))? {
            let entry = entry.map_err(failed(from))?;
            copy(&entry.path(), &to.join(entry.file_name()), root)?;
        }
    } else if known.is_file() {
        fs::copy(from, to).map_err(failed(from))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> Model {
        serde_json::from_value(
            serde_json::json!({"name": name, "version": 0, "path": "", "tags": {"a": "b"}}),
        )
        .unwrap()
    }

    #[test]
    fn versions_grow_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let models = Models::new(&folder.path().join("state"));
        assert!(models.list().unwrap().is_empty());
        let file = folder.path().join("model.pkl");
        for content in ["one", "two"] {
            fs::write(&file, content).unwrap();
            models.register(&file, model("digits")).unwrap();
        }
        let newest = models.get("digits", None).unwrap();
        assert_eq!((newest.version, newest.tags["a"].as_str()), (2, "b"));
        let first = models.get("digits", Some(1)).unwrap();
        let out = folder.path().join("out");
        let path = models.download(&first, &out, false).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "one");
        assert!(matches!(
            models.download(&newest, &out, false),
            Err(ModelError::InTheWay(_))
        ));
        let path = models.download(&newest, &out, true).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "two");
        assert!(matches!(
            models.get("digits", Some(3)),
            Err(ModelError::NotFound(_))
        ));
        assert_eq!(models.list().unwrap().len(), 2);
    }

    #[test]
    fn folders_are_kept_whole_and_links_do_not_lead_out() {
        let folder = tempfile::tempdir().unwrap();
        let models = Models::new(&folder.path().join("state"));
        let saved = folder.path().join("run/outputs/saved");
        fs::create_dir_all(saved.join("variables")).unwrap();
        fs::write(saved.join("variables/data"), "x").unwrap();
        std::os::unix::fs::symlink("variables/data", saved.join("inside")).unwrap();
        let kept = models.register(&saved, model("net")).unwrap();
        assert_eq!(
            fs::read_to_string(models.path(&kept).join("variables/data")).unwrap(),
            "x"
        );
        assert_eq!(
            fs::read_to_string(models.path(&kept).join("inside")).unwrap(),
            "x"
        );
        std::os::unix::fs::symlink("/etc/hostname", saved.join("secret")).unwrap();
        assert!(matches!(
            models.register(&saved, model("net")),
            Err(ModelError::Outside(_))
        ));
        assert_eq!(models.versions("net").unwrap().len(), 1);

        let roots = [folder.path().join("run")];
        assert_eq!(asset(&roots, "outputs/saved/").unwrap(), saved);
        for outside in ["../state", "/etc/hostname", "outputs/saved/secret", ""] {
            assert!(
                matches!(asset(&roots, outside), Err(ModelError::Outside(_))),
                "{outside}"
            );
        }
        assert!(matches!(
            asset(&roots, "outputs/none"),
            Err(ModelError::NoAsset(_))
        ));
    }

    #[test]
    fn another_registry_is_taken_over_once() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (
            Models::new(&folder.path().join("here")),
            Models::new(&folder.path().join("there")),
        );
        let file = folder.path().join("model.pkl");
        for (models, content) in [(&here, "own"), (&there, "first"), (&there, "second")] {
            fs::write(&file, content).unwrap();
            models.register(&file, model("digits")).unwrap();
        }
        let adopted = here.adopt(&there).unwrap();
        let versions: Vec<u64> = adopted.iter().map(|model| model.version).collect();
        assert_eq!(versions, [2, 3]);
        let newest = here.get("digits", None).unwrap();
        assert_eq!(fs::read_to_string(here.path(&newest)).unwrap(), "second");
        assert!(here.adopt(&there).unwrap().is_empty());
        assert_eq!(here.versions("digits").unwrap().len(), 3);
    }

    #[test]
    fn names_are_names() {
        let folder = tempfile::tempdir().unwrap();
        let models = Models::new(folder.path());
        for name in ["", "..", "a/b", "-a", "a b"] {
            assert!(
                matches!(
                    models.register(folder.path(), model(name)),
                    Err(ModelError::Name(_))
                ),
                "{name}"
            );
        }
    }
}
