//! What people see when a file is wrong: each file of `tests/fixtures/invalid` and its screen in `snapshots`.

use overdrive::config::hyperdrive::read;
use overdrive::diagnostic::{Diagnostic, Source};
use overdrive::report::diagnostic::{Style, explain, github, lines, render, sarif, summary, to_json};
use std::path::Path;

fn diagnostics_of(path: &Path) -> Vec<Diagnostic> {
    let text = std::fs::read_to_string(path).unwrap();
    read(&Source::new("hdconfig.yml", text)).diagnostics
}

fn fixture(name: &str) -> Vec<Diagnostic> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/invalid");
    diagnostics_of(&Path::new(folder).join(format!("{name}.yml")))
}

#[test]
fn every_wrong_file_has_its_screen() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/invalid");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 20);
    for path in paths {
        let diagnostics = diagnostics_of(&path);
        assert!(!diagnostics.is_empty(), "{path:?}");
        let screen = format!(
            "{}\n{}\n",
            render(&diagnostics, Style::default()),
            summary(&diagnostics)
        );
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        // The list of samplers grows.
        let filters = vec![(
            r"expected: random, grid, bayesian, [a-z_, -]+",
            "expected: [samplers]",
        )];
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, filters => filters }, {
            insta::assert_snapshot!(name, screen);
        });
    }
}

#[test]
fn every_code_has_an_explanation() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let code = regex::Regex::new(r#"(?:\.(?:error|warning|note)|\.report)\(\s*(?:severity,\s*)?"([a-z-]+)""#)
        .unwrap();
    let word = regex::Regex::new(r#"\.word\(\s*\w+,\s*"([a-z-]+)""#).unwrap();
    let mut codes = std::collections::BTreeSet::new();
    let mut folders = vec![folder.join("config"), folder.join("diagnostic")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(path).unwrap();
                for found in code.captures_iter(&text).chain(word.captures_iter(&text)) {
                    codes.insert(found[1].to_owned());
                }
            }
        }
    }
    assert!(codes.len() > 30, "{codes:?}");
    let missing: Vec<_> = codes.iter().filter(|code| explain(code).is_none()).collect();
    assert!(
        missing.is_empty(),
        "no section in docs/reference/diagnostics.md: {missing:?}"
    );
}

#[test]
fn other_forms_name_the_same_place() {
    let diagnostics = fixture("bad-goal");
    assert_eq!(
        lines(&diagnostics),
        "hdconfig.yml:11:22: error: `primary_metric_goal` must be `maximize` or `minimize` (did you mean `maximize`?) [bad-goal]\n"
    );
    let json = &to_json(&diagnostics)[0];
    assert_eq!(
        (
            json["slug"].as_str(),
            json["line"].as_u64(),
            json["column"].as_u64(),
            json["end_column"].as_u64()
        ),
        (Some("bad-goal"), Some(11), Some(22), Some(25))
    );
    assert_eq!(json["suggestion"]["text"], "maximize");
    assert!(
        github(&diagnostics)
            .starts_with("::error file=hdconfig.yml,line=11,endLine=11,col=22,endColumn=25,title=bad-goal::")
    );
    let sarif = sarif(&diagnostics);
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "bad-goal");
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"];
    assert_eq!(place["startLine"], 11);
}

#[test]
fn applying_the_suggestion_repairs_the_file() {
    for name in ["unknown-expression", "bad-goal", "bandit-slack", "argument-type"] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/invalid");
        let mut text = std::fs::read_to_string(format!("{folder}/{name}.yml")).unwrap();
        let diagnostics = fixture(name);
        let suggestion = diagnostics
            .iter()
            .find_map(|diagnostic| diagnostic.suggestion.clone())
            .unwrap();
        text.replace_range(suggestion.span.start..suggestion.span.end, &suggestion.text);
        let after = read(&Source::new("hdconfig.yml", text)).diagnostics;
        assert!(after.len() < diagnostics.len(), "{name}: {after:?}");
    }
}

#[test]
fn colours_only_when_asked() {
    let diagnostics = fixture("several-mistakes");
    assert!(!render(&diagnostics, Style::default()).contains('\u{1b}'));
    let coloured = Style {
        colour: true,
        width: 80,
    };
    assert!(render(&diagnostics, coloured).contains('\u{1b}'));
}
