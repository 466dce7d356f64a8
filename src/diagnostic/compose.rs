//! From text to a tree of nodes: anchors, aliases, merge keys, duplicate keys, and limits that hold for hostile input.

use super::message::{Diagnostic, Diagnostics};
use super::node::{Entry, Kind, Node};
use super::scalar::{Dialect, resolve};
use super::source::{Source, Span};
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StructureStyle, Tag};
use std::collections::HashMap;
use std::sync::Arc;

/// Largest text that is read, in bytes.
pub const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting of lists and maps.
pub const MAX_DEPTH: usize = 64;
/// Most values of a document, aliases counted as often as they are used.
pub const MAX_NODES: usize = 100_000;
/// Most text in scalars, aliases counted as often as they are used; a short file can repeat one long text very often.
const MAX_TEXT: usize = 4 * MAX_BYTES;

/// A parsed text.
#[derive(Debug)]
pub struct Document {
    /// The tree; `None` if the text is no YAML at all or beyond the limits. An empty file is a null.
    pub root: Option<Node>,
    /// Syntax errors, duplicate keys and the like.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads YAML (or JSON, which is a part of it). Never panics, needs time and memory in proportion to the limits.
pub fn parse(source: &Arc<Source>, dialect: Dialect) -> Document {
    let mut found = Diagnostics::new(source);
    let root = if source.text().len() > MAX_BYTES {
        found
            .error("file-too-large", source.head(), "the file is larger than 4 MiB")
            .help("configuration files are a few kilobytes; was a data file meant?");
        None
    } else {
        let mut composer = Composer {
            text: source.text(),
            dialect,
            found: &mut found,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            nodes: 0,
            bytes: 0,
            documents: 0,
        };
        composer.run().then(|| composer.root.take()).flatten()
    };
    Document {
        root,
        diagnostics: found.sorted(),
    }
}

/// A list or map under construction.
struct Open {
    anchor: usize,
    start: usize,
    flow: bool,
    nodes_before: usize,
    bytes_before: usize,
    /// Levels below this one so far; decides whether an alias to it may be used deeper down.
    height: usize,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        index: HashMap<String, usize>,
        key: Option<(String, Span, bool)>,
        merges: Vec<Node>,
    },
}

struct Anchor {
    node: Node,
    nodes: usize,
    bytes: usize,
    height: usize,
}

struct Composer<'a> {
    text: &'a str,
    dialect: Dialect,
    found: &'a mut Diagnostics,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    root: Option<Node>,
    nodes: usize,
    bytes: usize,
    documents: usize,
}

impl Composer<'_> {
    /// Whether the whole text was understood.
    fn run(&mut self) -> bool {
        let options = granit_parser::options! {
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
            block_scalar_eof_without_line_feed: true,
        };
        for next in Parser::new_from_str_with_options(self.text, options) {
            match next {
                Ok((event, span)) => {
                    let span = span
                        .byte_range()
                        .map_or_else(Span::default, |range| Span::new(range.start, range.end));
                    if !self.step(event, span) {
                        return false;
                    }
                }
                Err(error) => {
                    self.syntax(&error);
                    return false;
                }
            }
        }
        if self.root.is_none() {
            self.root = Some(Node::null(self.found.source().head()));
        }
        true
    }

    fn step(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.found
                        .error("several-documents", span, "the file holds more than one document")
                        .label("a second one starts here")
                        .help("keep one document per file: remove the `---` line or split the file");
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), span);
                return self.count(1, text.len(), span) && self.complete(node, anchor, (1, text.len(), 0));
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.check_tag(tag.as_deref(), &["seq"], span);
                return self.start(Content::Seq(Vec::new()), style, anchor, span);
            }
            Event::MappingStart(style, anchor, tag) => {
                self.check_tag(tag.as_deref(), &["map"], span);
                let content = Content::Map {
                    entries: Vec::new(),
                    index: HashMap::new(),
                    key: None,
                    merges: Vec::new(),
                };
                return self.start(content, style, anchor, span);
            }
            Event::SequenceEnd | Event::MappingEnd => return self.end(span),
            Event::Alias(anchor) => {
                let depth = self.open.len();
                let Some(target) = self.anchors.get(&anchor) else {
                    self.found
                        .error("recursive-alias", span, "an alias inside the value that it names");
                    return false;
                };
                let size = (target.nodes, target.bytes, target.height);
                if depth + target.height > MAX_DEPTH {
                    self.too_deep(span);
                    return false;
                }
                if !self.count(size.0, size.1, span) {
                    return false;
                }
                let Some(target) = self.anchors.get(&anchor) else {
                    return false;
                };
                let mut node = target.node.clone();
                node.span = span;
                return self.complete(node, 0, size);
            }
            _ => {}
        }
        true
    }

    /// Counts what is about to be added against the limits.
    fn count(&mut self, nodes: usize, bytes: usize, span: Span) -> bool {
        self.nodes = self.nodes.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.nodes > MAX_NODES || self.bytes > MAX_TEXT {
            self.found
                .error(
                    "too-many-values",
                    span,
                    "the file holds more than 100,000 values once its aliases are written out",
                )
                .label("the limit is reached here");
            return false;
        }
        true
    }

    fn too_deep(&mut self, span: Span) {
        self.found
            .error("too-deep", span, "lists and maps are nested more than 64 deep")
            .label("here");
    }

    fn start(&mut self, content: Content, style: StructureStyle, anchor: usize, span: Span) -> bool {
        if self.open.len() >= MAX_DEPTH {
            self.too_deep(span);
            return false;
        }
        let (nodes_before, bytes_before) = (self.nodes, self.bytes);
        self.open.push(Open {
            anchor,
            start: span.start,
            flow: style == StructureStyle::Flow,
            nodes_before,
            bytes_before,
            height: 0,
            content,
        });
        self.count(1, 0, span)
    }

    fn end(&mut self, span: Span) -> bool {
        let Some(open) = self.open.pop() else {
            return true;
        };
        let (kind, last) = match open.content {
            Content::Seq(items) => {
                let last = items.last().map(|item| item.span.end);
                (Kind::Seq(items), last)
            }
            Content::Map {
                mut entries,
                mut index,
                merges,
                ..
            } => {
                let last = entries.last().map(|entry| entry.span().end);
                for merge in merges {
                    self.merge(&merge, &mut entries, &mut index);
                }
                (Kind::Map(entries), last)
            }
        };
        // The end event of a block collection comes after blank lines and comments; its last child ends where people see it.
        let end = if open.flow {
            span.end
        } else {
            last.unwrap_or(span.end)
        };
        let node = Node {
            kind,
            span: Span::new(open.start, end),
            raw: String::new(),
            quoted: false,
        };
        let size = (
            self.nodes.saturating_sub(open.nodes_before),
            self.bytes.saturating_sub(open.bytes_before),
            open.height + 1,
        );
        self.complete(node, open.anchor, size)
    }

    /// Hands a finished value to what it belongs to.
    fn complete(&mut self, node: Node, anchor: usize, size: (usize, usize, usize)) -> bool {
        let (nodes, bytes, height) = size;
        if anchor > 0 {
            let node = node.clone();
            self.anchors.insert(
                anchor,
                Anchor {
                    node,
                    nodes,
                    bytes,
                    height,
                },
            );
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return true;
        };
        open.height = open.height.max(height);
        match &mut open.content {
            Content::Seq(items) => {
                items.push(node);
                true
            }
            Content::Map {
                entries,
                index,
                key,
                merges,
            } => {
                let Some((name, key_span, quoted)) = key.take() else {
                    return match node.kind {
                        Kind::Seq(_) | Kind::Map(_) => {
                            self.found.error(
                                "key-type",
                                node.span,
                                "a key of a map must be a text, not a list or map",
                            );
                            false
                        }
                        _ => {
                            *key = Some((node.raw, node.span, node.quoted));
                            true
                        }
                    };
                };
                if name == "<<" && !quoted {
                    merges.push(node);
                    return true;
                }
                if let Some(first) = index.get(&name).and_then(|at| entries.get(*at)) {
                    let first = first.key_span;
                    self.found
                        .error("duplicate-key", key_span, format!("`{name}` is given twice"))
                        .label("again here; keep one")
                        .also(first, "first here");
                    return true;
                }
                index.insert(name.clone(), entries.len());
                let mut value = node;
                if value.span.is_empty() {
                    value.span = key_span;
                }
                entries.push(Entry {
                    key: name,
                    key_span,
                    value,
                });
                true
            }
        }
    }

    /// `<<`: entries of another map (or list of maps) that the map does not have itself.
    fn merge(&mut self, from: &Node, entries: &mut Vec<Entry>, index: &mut HashMap<String, usize>) {
        match &from.kind {
            Kind::Map(others) => {
                for entry in others {
                    if !index.contains_key(&entry.key) {
                        index.insert(entry.key.clone(), entries.len());
                        entries.push(entry.clone());
                    }
                }
            }
            Kind::Seq(items) if items.iter().all(|item| item.as_map().is_some()) => {
                for item in items {
                    self.merge(item, entries, index);
                }
            }
            _ => {
                self.found
                    .error("merge-key", from.span, "`<<` takes a map or a list of maps")
                    .label(from.describe());
            }
        }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, allowed: &[&str], span: Span) {
        let Some(tag) = tag else { return };
        let plain =
            tag.handle().is_empty() && tag.suffix() == "!" || tag.handle() == "!" && tag.suffix().is_empty();
        if !plain && !allowed.iter().any(|name| tag.is_yaml_core_schema_tag(name)) {
            let text = format!("{}{}", tag.original_handle(), tag.suffix());
            self.found
                .error(
                    "unknown-tag",
                    span,
                    format!("the tag `{text}` has no meaning here"),
                )
                .help("remove the tag");
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Node {
        let quoted = style != ScalarStyle::Plain;
        let is = |name: &str| tag.is_some_and(|tag| tag.is_yaml_core_schema_tag(name));
        let kind = match tag {
            None if quoted => Kind::Str(text.to_owned()),
            None => resolve(text, self.dialect),
            Some(_) if is("str") => Kind::Str(text.to_owned()),
            Some(_) => {
                self.check_tag(tag, &["int", "float", "bool", "null"], span);
                let kind = resolve(text, self.dialect);
                let fits = match &kind {
                    Kind::Int(_) if is("float") => true,
                    Kind::Int(_) => is("int"),
                    Kind::Float(_) => is("float"),
                    Kind::Bool(_) => is("bool"),
                    Kind::Null => is("null"),
                    _ => false,
                };
                match kind {
                    Kind::Int(value) if is("float") => Kind::Float(value as f64),
                    kind if fits => kind,
                    _ if ["int", "float", "bool", "null"].into_iter().any(is) => {
                        self.found
                            .error("unknown-tag", span, format!("`{text}` is not what its tag says"))
                            .help("remove the tag");
                        Kind::Str(text.to_owned())
                    }
                    _ => Kind::Str(text.to_owned()),
                }
            }
        };
        Node {
            kind,
            span: Span::new(span.start, self.trimmed(span)),
            raw: text.to_owned(),
            quoted,
        }
    }

    /// End of a span without trailing white space (block scalars own the blank lines after them).
    fn trimmed(&self, span: Span) -> usize {
        let text = self.text.get(span.start..span.end).unwrap_or_default();
        span.start + text.trim_end().len()
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = error
            .marker()
            .byte_offset()
            .unwrap_or(self.text.len())
            .min(self.text.len());
        let next = self.text.get(at..).and_then(|rest| rest.chars().next());
        let width = next
            .filter(|next| !matches!(next, '\n' | '\r'))
            .map_or(0, char::len_utf8);
        let span = Span::new(at, at + width);
        let line = self
            .text
            .get(..at)
            .unwrap_or_default()
            .rsplit('\n')
            .next()
            .unwrap_or_default();
        let indent_has_tab =
            line.trim_start_matches([' ', '\t']).is_empty() && (line.contains('\t') || next == Some('\t'));
        let tab = line.find('\t').map_or(at, |column| at - line.len() + column);
        let tab = Span::new(tab, tab + 1);
        match error.kind() {
            ErrorKind::RecursionLimitExceeded => self.too_deep(span),
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart => self.tab(tab),
            _ if indent_has_tab => self.tab(tab),
            ErrorKind::UnknownAnchor => {
                self.found
                    .error(
                        "unknown-alias",
                        span,
                        "an alias to an anchor that is not defined before it",
                    )
                    .help("a text that starts with `*` needs quotes");
            }
            ErrorKind::UnexpectedCharacter { character } => {
                self.found
                    .error("syntax", span, format!("no value may start with `{character}`"))
                    .help(format!("a text that starts with `{character}` needs quotes"));
            }
            kind => {
                let bracket = open_bracket(self.text.get(..at).unwrap_or_default());
                let diagnostic = self.found.error(
                    "syntax",
                    span,
                    format!("this is not YAML: {}", error.info().to_lowercase()),
                );
                diagnostic.label("the reader stopped here");
                if let Some((bracket, letter)) = bracket {
                    diagnostic.also(
                        Span::new(bracket, bracket + 1),
                        format!("`{letter}` is opened here and not closed"),
                    );
                } else if matches!(kind, ErrorKind::MappingValueNotAllowed) {
                    diagnostic.help("a text with `: ` in it needs quotes");
                }
            }
        }
    }

    fn tab(&mut self, span: Span) {
        self.found
            .error("tab", span, "a tab in the indentation")
            .label("YAML takes blanks only")
            .help("replace each tab by the blanks of the line above");
    }
}

/// The innermost `[` or `{` that is not closed in `text`; quoted texts and comments are skipped.
fn open_bracket(text: &str) -> Option<(usize, char)> {
    let mut open = Vec::new();
    let mut quote = None;
    let mut before = '\n';
    let mut comment = false;
    for (at, letter) in text.char_indices() {
        match (comment, quote, letter) {
            (true, _, '\n') => comment = false,
            (true, ..) => {}
            (false, Some(mark), _) if letter == mark && before != '\\' => quote = None,
            (false, Some(_), _) => {}
            (false, None, '#') if before.is_whitespace() => comment = true,
            (false, None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(letter),
            (false, None, '[' | '{') => open.push((at, letter)),
            (false, None, ']' | '}') => {
                open.pop();
            }
            _ => {}
        }
        before = letter;
    }
    open.pop()
}

#[cfg(test)]
mod tests;
