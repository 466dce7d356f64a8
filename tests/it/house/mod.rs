//! The house rules that a machine can check: who may know whom, purity of the core, module docs, file sizes, no forgotten tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from the bottom up: a room may use rooms of lower rows, and those beside it that [`BESIDE`] names.
const ROWS: [&[&str]; 10] = [
    &["diagnostic", "metric", "space", "clock", "process"],
    &["history", "surrogate", "acquisition"],
    &["sampler", "policy", "journal"],
    &["controller"],
    &["config", "sim", "ask_tell", "channel", "container"],
    &[
        "harness",
        "runner",
        "store",
        "snapshot",
        "environment",
        "download",
        "models",
        "import",
    ],
    &["target"],
    &["engine"],
    &["report"],
    &["studio", "cli"],
];

/// Uses within a row that are part of the design.
const BESIDE: [(&str, &str); 4] = [
    ("process", "clock"),
    ("space", "diagnostic"),
    ("acquisition", "surrogate"),
    ("cli", "studio"),
];

/// Rooms without clock, file, process, network, threads or global randomness.
const PURE: [&str; 13] = [
    "diagnostic",
    "metric",
    "space",
    "history",
    "surrogate",
    "acquisition",
    "sampler",
    "policy",
    "controller",
    "config",
    "sim",
    "ask_tell",
    "harness",
];

const IMPURE_WORDS: [&str; 9] = [
    "std::fs",
    "std::process",
    "std::net",
    "std::env::",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "rand::rng(",
    "tokio::",
];

const LINES_MAX: usize = 800;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The room of a file below `src`, if it lies in one.
fn room(path: &Path) -> Option<String> {
    let relative = path.strip_prefix(root().join("src")).ok()?;
    let first = relative.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&name)).then(|| name.to_owned())
}

fn row(room: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&room))
}

/// The code of a file without comments and without its test module.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or(text);
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_test_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
        || path.components().any(|part| part.as_os_str() == "tests")
}

#[test]
fn rooms_only_know_rooms_below_them() {
    let mut wrong = BTreeSet::new();
    for path in rust_files(&root().join("src")) {
        let Some(room) = room(&path).filter(|_| !is_test_file(path.strip_prefix(root()).unwrap())) else {
            continue;
        };
        let Some(from) = row(&room) else {
            wrong.insert(format!("`{room}` stands in no row of this test"));
            continue;
        };
        for part in code(&fs::read_to_string(&path).unwrap()).split("crate::").skip(1) {
            let used: String = part
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let Some(to) = row(&used) else { continue };
            let beside = BESIDE.contains(&(room.as_str(), used.as_str()));
            if used != room && to >= from && !beside {
                wrong.insert(format!(
                    "{room} uses {used} ({})",
                    path.strip_prefix(root()).unwrap().display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_core_is_pure() {
    let mut wrong = Vec::new();
    for path in rust_files(&root().join("src")) {
        let Some(room) = room(&path) else { continue };
        if !PURE.contains(&room.as_str()) || is_test_file(path.strip_prefix(root()).unwrap()) {
            continue;
        }
        let code = code(&fs::read_to_string(&path).unwrap());
        for word in IMPURE_WORDS {
            if code.contains(word) {
                wrong.push(format!(
                    "{}: {word}",
                    path.strip_prefix(root()).unwrap().display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for_and_can_be_held_in_the_head() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        for path in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            let shown = path.strip_prefix(root()).unwrap().display().to_string();
            if !text.lines().next().is_some_and(|line| line.starts_with("//!")) {
                wrong.push(format!("{shown}: no `//!` in its first line"));
            }
            let lines = text.lines().count();
            if folder == "src" && lines > LINES_MAX {
                wrong.push(format!("{shown}: {lines} lines"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_test_file_is_forgotten() {
    let it = root().join("tests/it");
    let mut wrong = Vec::new();
    for path in rust_files(&it) {
        let relative = path.strip_prefix(&it).unwrap();
        if relative == Path::new("main.rs") {
            continue;
        }
        let (parent, name) = if relative.ends_with("mod.rs") {
            let folder = relative.parent().unwrap();
            (
                folder.parent().unwrap(),
                folder.file_name().unwrap().to_str().unwrap(),
            )
        } else {
            (
                relative.parent().unwrap(),
                relative.file_stem().unwrap().to_str().unwrap(),
            )
        };
        let declaring = if parent == Path::new("") {
            it.join("main.rs")
        } else {
            it.join(parent).join("mod.rs")
        };
        let text = fs::read_to_string(&declaring).unwrap_or_default();
        let declared = format!("mod {name};");
        if !text.lines().any(|line| {
            matches!(
                line.trim().strip_suffix(&declared),
                Some("" | "pub " | "pub(crate) ")
            )
        }) {
            wrong.push(relative.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "declared nowhere: {wrong:#?}");
}

#[test]
fn nothing_is_left_undone_in_the_sources() {
    let mut wrong = Vec::new();
    for path in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        for word in ["todo!(", "unimplemented!(", "dbg!("] {
            if code(&text).contains(word) {
                wrong.push(format!(
                    "{}: {word}",
                    path.strip_prefix(root()).unwrap().display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
