//! Diagnostics for the terminal, for editors and for CI: annotated source lines, JSON, SARIF, GitHub annotations, plain lines.

use crate::diagnostic::{Diagnostic, Label, Severity, Source, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value as Json, json};

/// Lines of the source shown before and after the annotated ones at most; the renderer folds what is not needed.
const CONTEXT_LINES: usize = 1;

/// How to render for people.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// ANSI colours.
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            colour: false,
            width: 120,
        }
    }
}

/// Annotated source lines, one block per diagnostic, separated by empty lines; ends with a line feed unless empty.
pub fn render(diagnostics: &[Diagnostic], style: Style) -> String {
    let renderer = if style.colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let renderer = renderer.term_width(style.width.max(40));
    let mut text = String::new();
    for diagnostic in diagnostics {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&block(diagnostic, &renderer));
        text.push('\n');
    }
    text
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    }
}

fn block(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let title = level(diagnostic.severity)
        .primary_title(printable(&diagnostic.message))
        .id(diagnostic.code.as_str());
    let mut group = Group::with_title(title);
    if let Some(source) = &diagnostic.source {
        group = group.element(snippet(diagnostic, source));
    }
    if let Some(expected) = &diagnostic.expected {
        group = group.element(
            Level::NOTE
                .with_name(Some("expected"))
                .message(printable(expected)),
        );
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(printable(help)));
    }
    renderer.render(&[group])
}

/// Control characters of users' texts must not reach the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let shown: Vec<char> = if letter.is_control() && letter != '\n' {
                letter.escape_default().collect()
            } else {
                vec![letter]
            };
            shown
        })
        .collect()
}

/// The lines around all labels, so that a large file is not copied for each diagnostic.
fn snippet<'a>(
    diagnostic: &Diagnostic,
    source: &'a Source,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = source.text();
    let labels = || std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary);
    let first = labels()
        .map(|label| label.span.start)
        .min()
        .unwrap_or(0)
        .min(text.len());
    let last = labels()
        .map(|label| label.span.end)
        .max()
        .unwrap_or(0)
        .min(text.len());
    let mut from = line_start(text, first);
    for _ in 0..CONTEXT_LINES {
        from = line_start(text, from.saturating_sub(1));
    }
    let mut to = line_end(text, last);
    for _ in 0..CONTEXT_LINES {
        to = line_end(text, (to + 1).min(text.len()));
    }
    let window = text.get(from..to).unwrap_or_default();
    let marked = window.len() - window.trim_start_matches('\u{feff}').len();
    let window = window.get(marked..).unwrap_or_default();
    let from = from + marked;
    let shown = |span: Span| first_line(window, span, from);
    let mut snippet = Snippet::source(window)
        .line_start(source.position(from).line)
        .path(source.name())
        .annotation(
            AnnotationKind::Primary
                .span(shown(diagnostic.primary.span))
                .label(text_of(&diagnostic.primary)),
        );
    for label in &diagnostic.secondary {
        snippet = snippet.annotation(
            AnnotationKind::Context
                .span(shown(label.span))
                .label(text_of(label)),
        );
    }
    snippet
}

fn text_of(label: &Label) -> Option<String> {
    (!label.text.is_empty()).then(|| printable(&label.text))
}

fn line_start(text: &str, byte: usize) -> usize {
    let before = text.get(..byte).unwrap_or(text);
    before.rfind('\n').map_or(0, |at| at + 1)
}

fn line_end(text: &str, byte: usize) -> usize {
    text.get(byte..)
        .and_then(|rest| rest.find('\n'))
        .map_or(text.len(), |at| byte + at)
}

/// The span within the window, cut at the end of its first line: underlining a whole section says less than its first line.
fn first_line(window: &str, span: Span, from: usize) -> std::ops::Range<usize> {
    let start = span.start.saturating_sub(from).min(window.len());
    let end = span.end.saturating_sub(from).clamp(start, window.len());
    let covered = window.get(start..end).unwrap_or_default();
    let line = covered.split(['\n', '\r']).next().unwrap_or_default().trim_end();
    start..start + line.len()
}

/// `hdconfig.yml: 2 errors, 1 warning`, one line per file in the order of first mention; empty if there is nothing to count in any
/// file (what belongs to no file speaks for itself).
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let mut files: Vec<(&str, usize, usize)> = Vec::new();
    for diagnostic in diagnostics {
        let Some(name) = diagnostic.source.as_ref().map(|source| source.name()) else {
            continue;
        };
        let at = files
            .iter()
            .position(|(file, ..)| *file == name)
            .unwrap_or_else(|| {
                files.push((name, 0, 0));
                files.len() - 1
            });
        if let Some((_, errors, warnings)) = files.get_mut(at) {
            match diagnostic.severity {
                Severity::Error => *errors += 1,
                Severity::Warning => *warnings += 1,
                Severity::Note => {}
            }
        }
    }
    let count = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        more => Some(format!("{more} {word}s")),
    };
    files
        .into_iter()
        .filter_map(|(name, errors, warnings)| {
            let counts: Vec<String> = [count(errors, "error"), count(warnings, "warning")]
                .into_iter()
                .flatten()
                .collect();
            (!counts.is_empty()).then(|| format!("{name}: {}", counts.join(", ")))
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// `{slug, severity, message, file, line, column, end_line, end_column, expected, help, labels, suggestion}` for editors; places
/// count from 1, columns in characters; `suggestion` has byte offsets `start` and `end`.
pub fn to_json(diagnostics: &[Diagnostic]) -> Json {
    diagnostics.iter().map(one_as_json).collect()
}

fn one_as_json(diagnostic: &Diagnostic) -> Json {
    let mut object = json!({
        "slug": diagnostic.code,
        "severity": diagnostic.severity.word(),
        "message": diagnostic.message,
        "label": diagnostic.primary.text,
        "expected": diagnostic.expected,
        "help": diagnostic.help,
    });
    if let (Json::Object(object), Some(source)) = (&mut object, &diagnostic.source) {
        let place = |span: Span| {
            let (start, end) = (source.position(span.start), source.position(span.end));
            json!({"line": start.line, "column": start.column, "end_line": end.line, "end_column": end.column})
        };
        object.insert("file".into(), Json::from(source.name()));
        if let Json::Object(primary) = place(diagnostic.primary.span) {
            object.extend(primary);
        }
        let labels: Vec<Json> = diagnostic
            .secondary
            .iter()
            .map(|label| {
                let mut labelled = place(label.span);
                labelled["message"] = Json::from(label.text.as_str());
                labelled
            })
            .collect();
        object.insert("labels".into(), Json::Array(labels));
    }
    let suggestion = diagnostic.suggestion.as_ref().map(|suggestion| {
        json!({"text": suggestion.text, "start": suggestion.span.start, "end": suggestion.span.end})
    });
    object["suggestion"] = suggestion.unwrap_or(Json::Null);
    object
}

/// `file:line:column: error: message [slug]`, one line each.
pub fn lines(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let place = diagnostic
            .place()
            .map(|place| format!("{place}: "))
            .unwrap_or_default();
        let message = printable(&diagnostic.message).replace('\n', " ");
        let label = printable(&diagnostic.primary.text).replace('\n', " ");
        let label = if label.is_empty() {
            label
        } else {
            format!(" ({label})")
        };
        text.push_str(&format!(
            "{}{}: {message}{label} [{}]\n",
            printable(&place),
            diagnostic.severity.word(),
            diagnostic.code
        ));
    }
    text
}

/// Workflow commands of GitHub Actions, one line each.
pub fn github(diagnostics: &[Diagnostic]) -> String {
    let value = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| value(text).replace(':', "%3A").replace(',', "%2C");
    let mut text = String::new();
    for diagnostic in diagnostics {
        let kind = match diagnostic.severity {
            Severity::Note => "notice",
            other => other.word(),
        };
        let mut properties = Vec::new();
        if let Some(source) = &diagnostic.source {
            let span = diagnostic.primary.span;
            let (start, end) = (source.position(span.start), source.position(span.end));
            properties.push(format!("file={}", property(source.name())));
            properties.push(format!("line={},endLine={}", start.line, end.line));
            // GitHub shows columns only within one line.
            if start.line == end.line {
                properties.push(format!("col={},endColumn={}", start.column, end.column));
            }
        }
        properties.push(format!("title={}", property(&diagnostic.code)));
        let mut message = vec![diagnostic.message.clone()];
        message.extend(
            diagnostic
                .expected
                .iter()
                .map(|expected| format!("expected: {expected}")),
        );
        message.extend(diagnostic.help.iter().map(|help| format!("help: {help}")));
        text.push_str(&format!(
            "::{kind} {}::{}\n",
            properties.join(","),
            value(&message.join("\n"))
        ));
    }
    text
}

/// SARIF 2.1.0, for code scanning.
pub fn sarif(diagnostics: &[Diagnostic]) -> Json {
    let results: Vec<Json> = diagnostics
        .iter()
        .map(|diagnostic| {
            let locations: Vec<Json> = diagnostic
                .source
                .iter()
                .map(|source| {
                    let span = diagnostic.primary.span;
                    let (start, end) = (source.position(span.start), source.position(span.end));
                    json!({"physicalLocation": {
                        "artifactLocation": {"uri": source.name()},
                        "region": {
                            "startLine": start.line, "startColumn": start.column,
                            "endLine": end.line, "endColumn": end.column,
                        },
                    }})
                })
                .collect();
            json!({
                "ruleId": diagnostic.code,
                "level": diagnostic.severity.word(),
                "message": {"text": diagnostic.message},
                "locations": locations,
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "overdrive", "version": env!("CARGO_PKG_VERSION")}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// What the reference says about a code; `None` if there is no such code.
pub fn explain(code: &str) -> Option<&'static str> {
    const REFERENCE: &str = include_str!("../../docs/reference/diagnostics.md");
    let heading = format!("\n## {code}\n");
    let start = REFERENCE.find(&heading)? + heading.len();
    let rest = REFERENCE.get(start..)?;
    let end = rest.find("\n## ").unwrap_or(rest.len());
    rest.get(..end).map(str::trim)
}
