//! The editors' schemas accept what people have and refuse what is misspelt.
//!
//! `accepts` knows the keywords that our schemas use and fails on any other, so that none goes unchecked.

use overdrive::config::schema::SchemaKind;
use overdrive::diagnostic::{Dialect, Source, parse};
use serde_json::Value as Json;
use std::path::Path;

fn accepts(root: &Json, schema: &Json, value: &Json) -> bool {
    let all = |schemas: &Json| {
        schemas
            .as_array()
            .unwrap()
            .iter()
            .all(|one| accepts(root, one, value))
    };
    let Some(keywords) = schema.as_object() else {
        panic!("{schema}")
    };
    keywords.iter().all(|(keyword, wanted)| match keyword.as_str() {
        "$schema" | "title" | "description" | "default" | "$defs" | "then" => true,
        "$ref" => accepts(
            root,
            root.pointer(wanted.as_str().unwrap().trim_start_matches('#'))
                .unwrap(),
            value,
        ),
        "type" => match wanted {
            Json::Array(types) => types.iter().any(|kind| is(kind, value)),
            kind => is(kind, value),
        },
        "enum" => wanted.as_array().unwrap().contains(value),
        "const" => wanted == value,
        "anyOf" => wanted
            .as_array()
            .unwrap()
            .iter()
            .any(|one| accepts(root, one, value)),
        "allOf" => all(wanted),
        "if" => !accepts(root, wanted, value) || accepts(root, &schema["then"], value),
        "required" => value.as_object().is_none_or(|map| {
            wanted
                .as_array()
                .unwrap()
                .iter()
                .all(|key| map.contains_key(key.as_str().unwrap()))
        }),
        "properties" => value.as_object().is_none_or(|map| {
            map.iter()
                .all(|(key, value)| wanted.get(key).is_none_or(|schema| accepts(root, schema, value)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|map| {
            map.iter()
                .filter(|(key, _)| schema["properties"].get(key).is_none())
                .all(|(_, value)| match wanted {
                    Json::Bool(allowed) => *allowed,
                    schema => accepts(root, schema, value),
                })
        }),
        "propertyNames" => value.as_object().is_none_or(|map| {
            map.keys()
                .all(|key| accepts(root, wanted, &Json::from(key.as_str())))
        }),
        "items" => value
            .as_array()
            .is_none_or(|items| items.iter().all(|item| accepts(root, wanted, item))),
        "minItems" => value
            .as_array()
            .is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()),
        "maxItems" => value
            .as_array()
            .is_none_or(|items| items.len() as u64 <= wanted.as_u64().unwrap()),
        "minProperties" => value
            .as_object()
            .is_none_or(|map| map.len() as u64 >= wanted.as_u64().unwrap()),
        "minLength" => value
            .as_str()
            .is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().unwrap()),
        "minimum" => value
            .as_f64()
            .is_none_or(|number| number >= wanted.as_f64().unwrap()),
        "maximum" => value
            .as_f64()
            .is_none_or(|number| number <= wanted.as_f64().unwrap()),
        "exclusiveMinimum" => value
            .as_f64()
            .is_none_or(|number| number > wanted.as_f64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| {
            regex::Regex::new(wanted.as_str().unwrap())
                .unwrap()
                .is_match(text)
        }),
        other => panic!("keyword {other} is not checked here"),
    })
}

fn is(kind: &Json, value: &Json) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("{other}"),
    }
}

fn fits(kind: SchemaKind, text: &str) -> bool {
    let dialect = match kind {
        SchemaKind::SweepJob => Dialect::Yaml11,
        _ => Dialect::Yaml12,
    };
    let schema = kind.schema();
    let root = parse(&Source::new("file", text), dialect).root.unwrap();
    accepts(&schema, &schema, &root.to_json())
}

fn files(folder: &str, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && wanted(&path.to_string_lossy()))
        .map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn the_corpora_fit() {
    let hdconfigs = files("tests/fixtures/hdconfig", |name| {
        name.ends_with("azure-docs.yml") || name.contains("csiebler")
    });
    assert_eq!(hdconfigs.len(), 4);
    for (name, text) in hdconfigs {
        let kind = match name.rsplit_once("__").map_or("", |(_, kind)| kind) {
            "runconfig.yml" => SchemaKind::Runconfig,
            "v2-sweep.yml" => SchemaKind::SweepJob,
            _ => SchemaKind::Hdconfig,
        };
        assert!(fits(kind, &text), "{name}");
    }
    for (name, text) in files("tests/fixtures/runconfig", |name| name.ends_with(".runconfig")) {
        // Workbench files of 2017 have other keys, which the schema leaves alone.
        assert!(fits(SchemaKind::Runconfig, &text), "{name}");
    }
}

#[test]
fn the_examples_fit() {
    for example in ["digits", "pure-python", "shell", "sweep-job"] {
        for (name, text) in files(&format!("examples/{example}"), |name| !name.ends_with(".py")) {
            let kind = match Path::new(&name).file_name().unwrap().to_str().unwrap() {
                "hdconfig.yml" => SchemaKind::Hdconfig,
                "sweep.yml" => SchemaKind::SweepJob,
                "overdrive.yml" => SchemaKind::Overdrive,
                file if file.ends_with(".runconfig") => SchemaKind::Runconfig,
                _ => continue,
            };
            assert!(fits(kind, &text), "{name}");
        }
    }
}

#[test]
fn mistakes_do_not_fit() {
    for name in [
        "unknown-expression",
        "bandit-slack",
        "bad-goal",
        "values-count",
        "argument-type",
        "several-mistakes",
        "section",
    ] {
        let (_, text) = files("tests/fixtures/invalid", |path| {
            path.ends_with(&format!("/{name}.yml"))
        })
        .pop()
        .unwrap();
        assert!(!fits(SchemaKind::Hdconfig, &text), "{name}");
    }
    assert!(fits(
        SchemaKind::Overdrive,
        "seed: 3\ntargets: local\nenqueue: [{--lr: 0.1}]\ntrial_timeout: 15m\n"
    ));
    assert!(fits(SchemaKind::Overdrive, "overdrive:\n  seed: 3\n"));
    assert!(!fits(SchemaKind::Overdrive, "sede: 3\n"));
    assert!(!fits(SchemaKind::Runconfig, "nodeCount: many\n"));
    assert!(!fits(SchemaKind::SweepJob, "type: Sweep\n"));
}

/// Whatever the section's reader knows the schema knows, and the other way round.
#[test]
fn schema_and_reader_of_the_section_know_the_same_keys() {
    let schema = SchemaKind::Overdrive.schema();
    let mut known: Vec<&str> = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    known.retain(|key| *key != "overdrive");
    known.sort_unstable();
    let mut read = overdrive::config::overdrive_section::KEYS.to_vec();
    read.sort_unstable();
    assert_eq!(known, read);
}
