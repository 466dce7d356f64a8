//! The registry: one YAML file per compute target, written whole, editable by hand.
//!
//! Project level (`<state folder>/compute/NAME.yml`) wins over user level (`$XDG_CONFIG_HOME/overdrive/compute/NAME.yml`). Names are
//! compared without case. `local` is this computer and has no file. See `docs/reference/targets.md`.

use super::kind::{KINDS, Kind, Settings, SettingsError, Source};
use crate::diagnostic::nearest;
use indexmap::IndexMap;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Names that mean something by themselves.
pub const RESERVED: [&str; 3] = ["amlcompute", "local", "containerinstance"];
/// What a target may be called, for messages.
pub const NAME_RULE: &str = "letters, digits and hyphens, a letter first, at most 32";
const FOLDER: &str = "compute";

/// The content of a target's file.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Name; that of the file too.
    pub name: String,
    /// Kind.
    pub kind: &'static Kind,
    /// Free text.
    pub description: Option<String>,
    /// Tags.
    pub tags: IndexMap<String, String>,
    /// Price of one slot for an hour, in any unit: of several targets a sweep fills the cheapest first.
    pub cost_per_hour: Option<f64>,
    /// When it was created, ISO 8601 UTC; absent in files written by hand.
    pub created_on: Option<String>,
    /// When it was changed by a command, ISO 8601 UTC.
    pub modified_on: Option<String>,
    /// The section that its kind calls for.
    pub settings: Box<dyn Settings>,
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        // As their files.
        serde_json::to_value(self).ok() == serde_json::to_value(other).ok()
    }
}

/// What all files have in common.
#[derive(Deserialize)]
struct Head {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    tags: IndexMap<String, String>,
    #[serde(default)]
    cost_per_hour: Option<f64>,
    #[serde(default)]
    created_on: Option<String>,
    #[serde(default)]
    modified_on: Option<String>,
    #[serde(flatten)]
    rest: IndexMap<String, serde_yaml::Value>,
}

/// Keys of a file besides the section.
const KEYS: [&str; 7] = [
    "name",
    "type",
    "description",
    "tags",
    "cost_per_hour",
    "created_on",
    "modified_on",
];

impl Definition {
    /// The options, if they are an `S`.
    pub fn of<S: 'static>(&self) -> Option<&S> {
        self.settings.of()
    }

    /// Whether it can be worked with.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), RegistryError> {
        if let Some(cost) = self
            .cost_per_hour
            .filter(|cost| !(cost.is_finite() && *cost >= 0.0))
        {
            return Err(RegistryError::Cost(cost));
        }
        Ok(self.settings.check()?)
    }

    /// Reads the text of a file.
    fn parse(text: &str) -> Result<Self, String> {
        let head: Head = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        let Some(kind) = Kind::named(&head.kind) else {
            let words = KINDS.map(|kind| kind.word);
            let known = words.map(|word| format!("`{word}`")).join(", ");
            return Err(match nearest(&head.kind, words) {
                Some(near) => format!("no type is called `{}`; did you mean `{near}`?", head.kind),
                None => format!("no type is called `{}`; there are {known}", head.kind),
            });
        };
        let section = |key: &str| Kind::named(key) == Some(kind);
        if let Some(other) = head.rest.keys().find(|key| !section(key)) {
            if Kind::named(other).is_some() {
                return Err(RegistryError::Section(kind.word).to_string());
            }
            let known = KEYS.into_iter().chain([kind.word]);
            return Err(match nearest(other, known) {
                Some(near) => format!("no key is called `{other}`; did you mean `{near}`?"),
                None => format!("no key is called `{other}`"),
            });
        }
        let (Some(key), 1) = (head.rest.keys().next(), head.rest.len()) else {
            return Err(RegistryError::Section(kind.word).to_string());
        };
        Ok(Self {
            settings: (kind.read)(Source::File(text, key))?,
            name: head.name,
            kind,
            description: head.description,
            tags: head.tags,
            cost_per_hour: head.cost_per_hour,
            created_on: head.created_on,
            modified_on: head.modified_on,
        })
    }
}

impl Serialize for Definition {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("type", self.kind.word)?;
        if let Some(description) = &self.description {
            map.serialize_entry("description", description)?;
        }
        if !self.tags.is_empty() {
            map.serialize_entry("tags", &self.tags)?;
        }
        if let Some(cost) = &self.cost_per_hour {
            map.serialize_entry("cost_per_hour", cost)?;
        }
        for (key, time) in [
            ("created_on", &self.created_on),
            ("modified_on", &self.modified_on),
        ] {
            if let Some(time) = time {
                map.serialize_entry(key, time)?;
            }
        }
        map.serialize_entry(self.kind.word, &self.settings.to_json())?;
        map.end()
    }
}

/// Where a target's file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// In the state folder.
    Project,
    /// In the user's configuration.
    User,
}

/// A target that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What it is.
    pub definition: Definition,
    /// Its file.
    pub path: PathBuf,
    /// Where that lies.
    pub level: Level,
}

/// What is wrong with a target, a name or a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No such target.
    #[error("no compute target is called `{name}`")]
    NotFound {
        /// What was asked for.
        name: String,
        /// What was probably meant.
        near: Option<String>,
    },
    /// The name cannot be one.
    #[error("`{0}` cannot name a compute target: {NAME_RULE}")]
    Name(String),
    /// The name means something else.
    #[error("`{0}` is a reserved name")]
    Reserved(String),
    /// There is one already.
    #[error("a compute target called `{name}` exists: {path}", path = .path.display())]
    Exists {
        /// Its name.
        name: String,
        /// Its file.
        path: PathBuf,
    },
    /// The file says something that cannot be.
    #[error("`{path}`: {reason}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Not a price.
    #[error("`cost_per_hour` must be 0 or more, not {0}")]
    Cost(f64),
    /// Not exactly the section that the kind calls for.
    #[error("a target of type `{0}` has the section `{0}`, and no other")]
    Section(&'static str),
    /// The section cannot be worked with.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The system refused.
    #[error("`{path}`: {source}", path = .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// A name with its target, or with what is wrong with its file.
pub type Listed = (String, Result<Found, RegistryError>);

/// The files of both levels.
#[derive(Clone, Debug)]
pub struct Registry {
    project: PathBuf,
    user: Option<PathBuf>,
}

/// Whether `name` may name a target: `^[A-Za-z][A-Za-z0-9-]{0,31}$`, not reserved.
///
/// # Errors
/// [`RegistryError::Reserved`], [`RegistryError::Name`].
pub fn check_name(name: &str) -> Result<(), RegistryError> {
    if is_reserved(name) {
        return Err(RegistryError::Reserved(name.to_owned()));
    }
    let legal = name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if legal {
        Ok(())
    } else {
        Err(RegistryError::Name(name.to_owned()))
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|known| known.eq_ignore_ascii_case(name))
}

impl Registry {
    /// The registry of a state folder, over that of the user's configuration folder (`$XDG_CONFIG_HOME`) if there is one.
    pub fn new(state_folder: &Path, configuration: Option<&Path>) -> Self {
        Self {
            project: state_folder.join(FOLDER),
            user: configuration.map(|folder| folder.join("overdrive").join(FOLDER)),
        }
    }

    fn levels(&self) -> impl Iterator<Item = (Level, &Path)> {
        std::iter::once((Level::Project, self.project.as_path()))
            .chain(self.user.as_deref().map(|folder| (Level::User, folder)))
    }

    /// Every target by name, or what is wrong with its file; a name of the project hides the user's of the same name.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, RegistryError> {
        let mut all: Vec<Listed> = Vec::new();
        for (level, folder) in self.levels() {
            for (name, path) in files(folder)? {
                if all.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                    continue;
                }
                let found = read(&name, path, level);
                all.push((name, found));
            }
        }
        all.sort_by_key(|(name, _)| name.to_lowercase());
        Ok(all)
    }

    /// The target called `name`, without regard to case.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`]; [`RegistryError::Malformed`] if its file cannot be understood.
    pub fn get(&self, name: &str) -> Result<Found, RegistryError> {
        let (name, path, level) = self.find(name)?;
        read(&name, path, level)
    }

    fn find(&self, name: &str) -> Result<(String, PathBuf, Level), RegistryError> {
        let mut names = vec!["local".to_owned()];
        for (level, folder) in self.levels() {
            for (known, path) in files(folder)? {
                if known.eq_ignore_ascii_case(name) {
                    return Ok((known, path, level));
                }
                names.push(known);
            }
        }
        Err(RegistryError::NotFound {
            near: nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
            name: name.to_owned(),
        })
    }

    /// Writes a new target.
    ///
    /// # Errors
    /// [`RegistryError`]; nothing was written.
    pub fn create(&self, level: Level, definition: &Definition) -> Result<Found, RegistryError> {
        check_name(&definition.name)?;
        definition.check()?;
        match self.find(&definition.name) {
            Err(RegistryError::NotFound { .. }) => {}
            Ok((name, path, _)) => return Err(RegistryError::Exists { name, path }),
            Err(error) => return Err(error),
        }
        let folder = match (level, &self.user) {
            (Level::User, Some(folder)) => folder,
            _ => &self.project,
        };
        let path = folder.join(format!("{}.yml", definition.name));
        write(&path, definition, false)?;
        Ok(Found {
            definition: definition.clone(),
            path,
            level,
        })
    }

    /// Replaces the file of a target that was found.
    ///
    /// # Errors
    /// [`RegistryError`]; the file is as it was.
    pub fn update(&self, found: &Found) -> Result<(), RegistryError> {
        found.definition.check()?;
        write(&found.path, &found.definition, true)
    }

    /// Removes the file of `name`, whatever it holds; `None` if there is no such target any more.
    ///
    /// # Errors
    /// [`RegistryError::Reserved`] for what has no file; [`RegistryError::File`].
    pub fn remove(&self, name: &str) -> Result<Option<PathBuf>, RegistryError> {
        if is_reserved(name) {
            return Err(RegistryError::Reserved(name.to_owned()));
        }
        let path = match self.find(name) {
            Ok((_, path, _)) => path,
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match fs::remove_file(&path) {
            Ok(()) => Ok(Some(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RegistryError::File { path, source }),
        }
    }
}

/// Names with their files, in order.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, RegistryError> {
    let failed = |source| RegistryError::File {
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        if path.extension() == Some(OsStr::new("yml")) && check_name(name).is_ok() {
            found.push((name.to_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

fn read(name: &str, path: PathBuf, level: Level) -> Result<Found, RegistryError> {
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(RegistryError::File { path, source }),
    };
    let definition = match Definition::parse(&text) {
        Ok(definition) => definition,
        Err(reason) => return Err(RegistryError::Malformed { path, reason }),
    };
    let trouble = if definition.name.eq_ignore_ascii_case(name) {
        definition.check().err().map(|error| error.to_string())
    } else {
        Some(format!("it calls itself `{}`", definition.name))
    };
    match trouble {
        Some(reason) => Err(RegistryError::Malformed { path, reason }),
        None => Ok(Found {
            definition,
            path,
            level,
        }),
    }
}

/// Whole or not at all, also across a power cut.
fn write(path: &Path, definition: &Definition, replace: bool) -> Result<(), RegistryError> {
    let failed = |source: io::Error| RegistryError::File {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let text = serde_yaml::to_string(definition).map_err(|error| RegistryError::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    draft.write_all(text.as_bytes()).map_err(failed)?;
    draft.as_file().sync_all().map_err(failed)?;
    if replace {
        draft.persist(path).map_err(|error| failed(error.error))?;
    } else {
        draft.persist_noclobber(path).map_err(|error| {
            if error.error.kind() == ErrorKind::AlreadyExists {
                RegistryError::Exists {
                    name: definition.name.clone(),
                    path: path.to_owned(),
                }
            } else {
                failed(error.error)
            }
        })?;
    }
    // The name of the file, too.
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

#[cfg(test)]
mod tests;
