//! What a kind of compute target says of itself, once: its word, the options in its files, the fields of its forms and commands, how
//! to look at it and how to start trials on it.
//!
//! A kind is one folder beside this one and one line of [`KINDS`]; the registry, the command line, the old verbs and the studio
//! read everything else from here. Its options are a struct that implements [`Settings`].

mod field;

pub use field::{Field, Value};

use super::local::LocalOptions;
use super::pool::Machine;
use super::probe::Step;
use super::{ComputeTarget, batch, kubernetes, pool, ray, slurm, spark, ssh};
use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::Map;
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

/// Every kind, in the order in which lists and forms show them. This computer itself (`local`) is none: it needs no file.
pub static KINDS: [&Kind; 7] = [
    &pool::KIND,
    &ssh::KIND,
    &slurm::KIND,
    &kubernetes::KIND,
    &ray::KIND,
    &spark::KIND,
    &batch::KIND,
];

/// A kind of compute target.
pub struct Kind {
    /// The word in files (`type:`, and the key of its section) and on the command line.
    pub word: &'static str,
    /// Other words for it, in files and on the command line.
    pub aliases: &'static [&'static str],
    /// One sentence for help and forms.
    pub about: &'static str,
    /// `computeType` in the JSON of the old command line.
    pub compute_type: &'static str,
    /// Whether what it names existed before (`attach`, `detach`); else it is made and removed (`create`, `delete`).
    pub attached: bool,
    /// Fields of its forms and commands; empty for a kind whose commands have a grammar of their own.
    pub fields: &'static [Field],
    /// Reads the options; [`options`] of the struct that holds them.
    pub read: Read,
}

/// Reads the options of a kind from where they stand.
pub type Read = fn(Source<'_>) -> Result<Box<dyn Settings>, String>;

/// Where the options of a target stand.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Text of a target's file, which has them under this key; errors name its lines.
    File(&'a str, &'a str),
    /// The section alone.
    Json(&'a serde_json::Value),
}

/// Reads options of the type `S`.
///
/// # Errors
/// What is wrong with them, with line and column if they stand in a file.
pub fn options<S: Settings + DeserializeOwned + 'static>(
    source: Source<'_>,
) -> Result<Box<dyn Settings>, String> {
    let options: S = match source {
        Source::File(text, key) => Pick(key, PhantomData)
            .deserialize(serde_yaml::Deserializer::from_str(text))
            .map_err(|error| error.to_string())?
            .ok_or_else(|| format!("the section `{key}` is missing"))?,
        Source::Json(section) => S::deserialize(section).map_err(|error| error.to_string())?,
    };
    Ok(Box::new(options))
}

/// The value of one key of a mapping, read where it stands so that errors know their line.
struct Pick<'a, S>(&'a str, PhantomData<S>);

impl<'de, S: DeserializeOwned> DeserializeSeed<'de> for Pick<'_, S> {
    type Value = Option<S>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, S: DeserializeOwned> Visitor<'de> for Pick<'_, S> {
    type Value = Option<S>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "a mapping with the key `{}`", self.0)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

impl Kind {
    /// The kind that `word` names, in any case.
    pub fn named(word: &str) -> Option<&'static Self> {
        let is = |known: &str| known.eq_ignore_ascii_case(word);
        KINDS
            .into_iter()
            .find(|kind| is(kind.word) || kind.aliases.iter().any(|alias| is(alias)))
    }

    /// `attach` or `create`.
    pub fn verb(&self) -> &'static str {
        if self.attached { "attach" } else { "create" }
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.word)
    }
}

/// What is wrong with the options of a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingsError {
    /// Stable slug.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// What to do about it, a sentence each.
    pub help: Vec<String>,
}

impl SettingsError {
    /// An error without help.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            help: Vec::new(),
        }
    }
}

/// What surrounds a target on this computer.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The state folder.
    pub home: PathBuf,
    /// Where accepted host keys and secrets are kept.
    pub private: PathBuf,
    /// This program's file.
    pub program: PathBuf,
    /// What this computer has.
    pub machine: Machine,
}

/// For which sweep a target is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The target's name as the files give it.
    pub name: &'a str,
    /// Nodes of one trial, 1 or more.
    pub node_count: u32,
    /// Trials at once that the sweep allows.
    pub max_concurrent: u64,
}

/// A target that trials can be started on.
pub enum Connection {
    /// Slots of this computer, which the engine itself starts trials in.
    Here {
        /// How.
        options: Box<LocalOptions>,
        /// One sentence that people should know, if there is one.
        note: Option<String>,
    },
    /// Anything else.
    Target(Arc<dyn ComputeTarget>),
}

/// A target in a few words, for lists and confirmations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Size or address.
    pub size: String,
    /// Nodes, such as `0..4`; empty = not known here.
    pub nodes: String,
    /// Trials at once; `None` = see `at_a_time`.
    pub slots: Option<u64>,
    /// Trials at once where no number says it, such as `as the sweep says`.
    pub at_a_time: String,
    /// The whole in half a sentence.
    pub what: String,
}

/// The options of one target: the section of its file that its kind calls for.
pub trait Settings: Described + fmt::Debug + Send + Sync {
    /// Whether they can be worked with.
    ///
    /// # Errors
    /// The first thing that is wrong.
    fn check(&self) -> Result<(), SettingsError>;

    /// The target, ready to be told what trials need; opens nothing.
    ///
    /// # Errors
    /// What is wrong with the options.
    fn connect(&self, wanted: Wanted<'_>, surroundings: &Surroundings) -> Result<Connection, SettingsError>;

    /// Looks whether it can run trials, for real, step by step. Blocks.
    fn probe(&self, surroundings: &Surroundings) -> Vec<Step>;

    /// It in a few words.
    fn summary(&self, machine: &Machine) -> Summary;

    /// Further entries of its JSON.
    fn facts(&self, machine: &Machine) -> Map<String, serde_json::Value> {
        let mut facts = Map::new();
        facts.insert("slots".into(), self.summary(machine).slots.into());
        facts
    }

    /// Where it is, for the JSON of the old command line.
    fn location(&self) -> String {
        "local".into()
    }

    /// `properties` in the JSON of the old command line.
    fn properties(&self) -> serde_json::Value {
        self.to_json()
    }
}

/// What every struct of options can do besides.
pub trait Described {
    /// As JSON: the section of the file.
    fn to_json(&self) -> serde_json::Value;
    /// A copy.
    fn boxed(&self) -> Box<dyn Settings>;
    /// For those who know the struct.
    fn as_any(&self) -> &dyn Any;
}

impl<S: Settings + Serialize + Clone + 'static> Described for S {
    fn to_json(&self) -> serde_json::Value {
        // Structs of texts and numbers always can be.
        serde_json::to_value(self).unwrap_or_default()
    }

    fn boxed(&self) -> Box<dyn Settings> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Clone for Box<dyn Settings> {
    fn clone(&self) -> Self {
        self.as_ref().boxed()
    }
}

impl PartialEq for dyn Settings {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

impl dyn Settings {
    /// The struct, if it is an `S`.
    pub fn of<S: 'static>(&self) -> Option<&S> {
        self.as_any().downcast_ref()
    }
}
