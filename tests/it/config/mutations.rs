//! Hostile input: whatever the bytes, readers and renderers return.

use overdrive::config::hyperdrive::read;
use overdrive::config::{Format, Section};
use overdrive::diagnostic::{Dialect, Source, parse};
use overdrive::report::diagnostic::{Style, github, lines, render, sarif, summary, to_json};
use proptest::prelude::*;

const SAMPLES: [&str; 3] = [
    include_str!("../../fixtures/hdconfig/MicrosoftDocs__azure-docs.yml"),
    include_str!("../../fixtures/invalid/section.yml"),
    include_str!("../../fixtures/invalid/nested.yml"),
];

/// Texts that stand in files of this kind, or break them.
const PIECES: [&str; 36] = [
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n",
    "  ",
    "\t",
    "'",
    "\"",
    "&a ",
    "*a",
    "<<: *a",
    "? ",
    "| ",
    ">-",
    "---\n",
    "#",
    "!",
    "null",
    "~",
    ".nan",
    "-.inf",
    "1e400",
    "99999999999999999999",
    "0x",
    "-1",
    "choice",
    "loguniform",
    "true",
    "é",
    "\u{feff}",
    "\r",
    "%YAML 1.1\n",
    "\u{0}",
];

fn everything(text: &str) {
    let source = Source::new("hdconfig.yml", text);
    for dialect in [Dialect::Yaml11, Dialect::Yaml12] {
        if let Some(root) = parse(&source, dialect).root {
            Format::detect(&root);
            root.to_json();
        }
    }
    let mut diagnostics = read(&source).diagnostics;
    diagnostics.extend(Section::from_file(&source).diagnostics);
    diagnostics.extend(Section::from_setting(text).diagnostics);
    for diagnostic in &diagnostics {
        let length = diagnostic.source.as_ref().map_or(0, |source| source.text().len());
        assert!(diagnostic.primary.span.end <= length, "{diagnostic:?}");
    }
    for width in [0, 80] {
        render(&diagnostics, Style { colour: true, width });
    }
    let _ = (
        summary(&diagnostics),
        lines(&diagnostics),
        github(&diagnostics),
        to_json(&diagnostics),
        sarif(&diagnostics),
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_texts(text in "\\PC{0,200}") {
        everything(&text);
    }

    #[test]
    fn mutated_files(
        sample in 0..SAMPLES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, 0..PIECES.len()), 1..5),
    ) {
        let mut text: Vec<char> = SAMPLES[sample].chars().collect();
        for (at, cut, piece) in edits {
            let from = at.index(text.len() + 1);
            let to = (from + cut).min(text.len());
            text.splice(from..to, PIECES[piece].chars());
        }
        everything(&text.into_iter().collect::<String>());
    }

    #[test]
    fn piles_of_pieces(pieces in prop::collection::vec(0..PIECES.len(), 0..60)) {
        everything(&pieces.into_iter().map(|piece| PIECES[piece]).collect::<String>());
    }
}

#[test]
fn every_prefix_of_a_file() {
    let sample = SAMPLES[1];
    for (at, _) in sample.char_indices() {
        everything(&sample[..at]);
    }
}
