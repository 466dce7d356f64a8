//! Documents good and bad, and hostile ones against the clock.

use super::*;
use crate::diagnostic::Severity;
use std::time::{Duration, Instant};

fn read(text: &str, dialect: Dialect) -> (Option<serde_json::Value>, Vec<String>) {
    let source = Source::new("x.yml", text);
    let document = parse(&source, dialect);
    let codes = document
        .diagnostics
        .iter()
        .map(|diagnostic| {
            assert_eq!(diagnostic.severity, Severity::Error);
            format!("{} {}", diagnostic.code, diagnostic.place().unwrap())
        })
        .collect();
    (document.root.map(|root| root.to_json()), codes)
}

fn good(text: &str, json: &str) {
    let (value, codes) = read(text, Dialect::Yaml12);
    assert!(codes.is_empty(), "{text:?}: {codes:?}");
    assert_eq!(value.unwrap().to_string(), json, "{text:?}");
}

fn bad(text: &str, code: &str) {
    let (_, codes) = read(text, Dialect::Yaml12);
    assert_eq!(
        codes.first().map(String::as_str),
        Some(code),
        "{text:?}: {codes:?}"
    );
}

#[test]
fn good_documents() {
    good("", "null");
    good("# only a comment\n", "null");
    good(
        "a: 1\nb: [x, 'y', {z: 1e-3}]\n",
        r#"{"a":1,"b":["x","y",{"z":0.001}]}"#,
    );
    good("\u{feff}a: 1\r\nb: 2\r\n", r#"{"a":1,"b":2}"#);
    good(
        r#"{"a": [1, 2.0, null, true, "x\u00e9\/"], "b": {}}"#,
        r#"{"a":[1,2.0,null,true,"xé/"],"b":{}}"#,
    );
    good(
        "a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\nc: *x\n",
        r#"{"a":{"p":1,"q":2},"b":{"q":3,"p":1},"c":{"p":1,"q":2}}"#,
    );
    good(
        "a: |\n  one\n  two\nb: >-\n  x\n  y\n",
        r#"{"a":"one\ntwo\n","b":"x y"}"#,
    );
    good("a: !!str 1\nb: !!float 2\n5: x\n", r#"{"a":"1","b":2.0,"5":"x"}"#);
    good(
        "command: python train.py\n  --a 1\n  --b 2\n",
        r#"{"command":"python train.py --a 1 --b 2"}"#,
    );
    good("a:\nb: ~\n", r#"{"a":null,"b":null}"#);
    good("---\na: 1\n...\n", r#"{"a":1}"#);
}

#[test]
fn bad_documents_say_where() {
    bad("a: 1\nb: 2\na: 3\n", "duplicate-key x.yml:3:1");
    bad("a:\n\tb: 1\n", "tab x.yml:2:1");
    bad("a: 1\n---\nb: 1\n", "several-documents x.yml:2:1");
    bad("a: *nothing\n", "unknown-alias x.yml:1:4");
    bad("a: &x [*x]\n", "recursive-alias x.yml:1:8");
    bad("a: !python/object:os.system x\n", "unknown-tag x.yml:1:29");
    bad("a: [1, 2\nb: 3\n", "syntax x.yml:2:2");
    bad("? [1, 2]\n: x\n", "key-type x.yml:1:3");
    bad("a: @x\n", "syntax x.yml:1:4");
}

#[test]
fn spans_cover_what_people_see() {
    let source = Source::new(
        "x.yml",
        "\u{feff}ä: 1\npolicy:\n  type: 'x'\n\n# tail\nlast: [1, 2]\nnone:\n",
    );
    let root = parse(&source, Dialect::Yaml12).root.unwrap();
    assert_eq!(source.slice(root.get("policy").unwrap().span), "type: 'x'");
    assert_eq!(
        source.slice(root.get("policy").unwrap().get("type").unwrap().span),
        "'x'"
    );
    assert_eq!(source.slice(root.get("last").unwrap().span), "[1, 2]");
    assert_eq!(source.slice(root.entry("last").unwrap().key_span), "last");
    assert_eq!(source.slice(root.entry("ä").unwrap().key_span), "ä");
    assert_eq!(source.slice(root.get("none").unwrap().span), "none");
}

#[test]
fn hostile_documents_are_refused_at_once() {
    let start = Instant::now();
    bad(&"[".repeat(20_000), "too-deep x.yml:1:65");
    bad(&"{a: ".repeat(20_000), "too-deep x.yml:1:257");
    bad(&"- ".repeat(20_000), "too-deep x.yml:1:129");
    assert!(
        start.elapsed() < Duration::from_millis(300),
        "{:?}",
        start.elapsed()
    );

    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let inner = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let (root, codes) = read(&bomb, Dialect::Yaml12);
    assert!(root.is_none());
    assert!(codes[0].starts_with("too-many-values"), "{codes:?}");

    let long = "x".repeat(1 << 20);
    let (_, codes) = read(
        &format!("a: &a {long}\nb: [{}]\n", vec!["*a"; 1000].join(", ")),
        Dialect::Yaml12,
    );
    assert!(codes[0].starts_with("too-many-values"), "{codes:?}");

    bad(&"#".repeat(MAX_BYTES + 1), "file-too-large x.yml:1:1");
}
