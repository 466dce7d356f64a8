//! JSON Schemas (draft 2020-12) of the file formats, for editors: `overdrive schema`.
//!
//! Written by hand, since no struct mirrors the foreign files. A schema describes what is portable and well spelt: an editor
//! underlines an unknown key, which the readers only warn of. Values that are compared without case get a pattern beside the
//! canonical words.

mod hdconfig;
mod overdrive;
mod runconfig;
mod sweep_job;

use serde_json::{Map, Value as Json, json};

/// The formats that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaKind {
    /// `hdconfig.yml`.
    Hdconfig,
    /// Run configurations.
    Runconfig,
    /// v2 sweep jobs.
    SweepJob,
    /// `overdrive.yml` and the section.
    Overdrive,
}

impl SchemaKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hdconfig, Self::Runconfig, Self::SweepJob, Self::Overdrive];

    /// What users type: `hdconfig`, `runconfig`, `sweep`, `overdrive`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hdconfig => "hdconfig",
            Self::Runconfig => "runconfig",
            Self::SweepJob => "sweep",
            Self::Overdrive => "overdrive",
        }
    }

    /// The file names to bind it to in an editor.
    pub fn file_patterns(self) -> &'static [&'static str] {
        match self {
            Self::Hdconfig => &["hdconfig.yml", "*hdconfig*.yml", "hyperdrive*.yml"],
            Self::Runconfig => &["*.runconfig"],
            Self::SweepJob => &["sweep*.yml"],
            Self::Overdrive => &["overdrive.yml"],
        }
    }

    /// The schema, complete in itself.
    pub fn schema(self) -> Json {
        let (title, mut schema) = match self {
            Self::Hdconfig => ("hdconfig.yml", hdconfig::schema()),
            Self::Runconfig => ("run configuration", runconfig::schema()),
            Self::SweepJob => ("sweep job", sweep_job::schema()),
            Self::Overdrive => ("overdrive.yml", overdrive::schema()),
        };
        if let Json::Object(object) = &mut schema {
            let mut head = Map::new();
            head.insert(
                "$schema".into(),
                json!("https://json-schema.org/draft/2020-12/schema"),
            );
            head.insert("title".into(), json!(title));
            head.append(object);
            *object = head;
        }
        schema
    }
}

/// A text that is one of `words` in any case; the words as given are what an editor offers.
fn any_case(words: &[&str], description: &str) -> Json {
    let alternatives: Vec<String> = words
        .iter()
        .map(|word| {
            word.chars()
                .map(|letter| {
                    let (low, high) = (letter.to_ascii_lowercase(), letter.to_ascii_uppercase());
                    if low == high {
                        letter.to_string()
                    } else {
                        format!("[{low}{high}]")
                    }
                })
                .collect()
        })
        .collect();
    json!({
        "description": description,
        "type": "string",
        "anyOf": [{"enum": words}, {"pattern": format!("^({})$", alternatives.join("|"))}],
    })
}

/// A value with a description.
fn described(mut schema: Json, description: &str) -> Json {
    schema["description"] = Json::from(description);
    schema
}

/// A map with exactly these keys.
fn closed(description: &str, required: &[&str], properties: Json) -> Json {
    json!({
        "description": description,
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

/// A map from free names to values of one kind.
fn table(description: &str, value: Json) -> Json {
    json!({"description": description, "type": "object", "additionalProperties": value})
}

/// Texts, numbers and booleans: what becomes a text without loss.
fn scalar() -> Json {
    json!({"type": ["string", "number", "boolean"]})
}
