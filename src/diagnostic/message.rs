//! What a reader has to say about a file: diagnostics, and the collector that keeps them in order.

use super::source::{Source, Span};
use std::sync::Arc;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but probably not as meant.
    Warning,
    /// Worth knowing; for instance that Azure ML would refuse the file.
    Note,
}

impl Severity {
    /// `error`, `warning` or `note`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A place with a remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is to be said there; may be empty.
    pub text: String,
}

/// A replacement that would put it right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// What to write.
    pub text: String,
    /// What it replaces.
    pub span: Span,
}

/// One finding. Texts are lower case, without a full stop, with backticks round what is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable slug, for instance `unknown-key`; an anchor of the documentation.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// The text it is about; `None` if there is none (a missing file).
    pub source: Option<Arc<Source>>,
    /// The offending place, with what is said right under it.
    pub primary: Label,
    /// Further places in the same text.
    pub secondary: Vec<Label>,
    /// What would have been right, as a list or a rule.
    pub expected: Option<String>,
    /// Texts to paste, further advice.
    pub help: Vec<String>,
    /// Machine-applicable repair.
    pub suggestion: Option<Suggestion>,
}

impl Diagnostic {
    /// A finding about `span` of `source`.
    pub fn new(
        severity: Severity,
        code: impl Into<String>,
        source: Option<&Arc<Source>>,
        span: Span,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            code: code.into(),
            message: message.into(),
            source: source.cloned(),
            primary: Label {
                span,
                text: String::new(),
            },
            secondary: Vec::new(),
            expected: None,
            help: Vec::new(),
            suggestion: None,
        }
    }

    /// Sets the remark under the offending place.
    pub fn label(&mut self, text: impl Into<String>) -> &mut Self {
        self.primary.text = text.into();
        self
    }

    /// Adds a second place of the same text.
    pub fn also(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.secondary.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Says what would have been right.
    pub fn expected(&mut self, text: impl Into<String>) -> &mut Self {
        self.expected = Some(text.into());
        self
    }

    /// Adds advice.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help.push(text.into());
        self
    }

    /// Offers `text` in place of `span`; says `did you mean` under the place if nothing is said there yet.
    pub fn suggest(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        let text = text.into();
        if self.primary.text.is_empty() && span == self.primary.span {
            self.primary.text = format!("did you mean `{text}`?");
        }
        self.suggestion = Some(Suggestion { text, span });
        self
    }

    /// `file:line:column` of the offending place, if it has a text.
    pub fn place(&self) -> Option<String> {
        let source = self.source.as_ref()?;
        let position = source.position(self.primary.span.start);
        Some(format!("{}:{}:{}", source.name(), position.line, position.column))
    }
}

/// Collects the findings about one source.
#[derive(Debug)]
pub struct Diagnostics {
    source: Arc<Source>,
    found: Vec<Diagnostic>,
    spare: Diagnostic,
}

/// A broken generated file must not fill the screen or the memory.
const MAX_FOUND: usize = 500;

impl Diagnostics {
    /// An empty collection about `source`.
    pub fn new(source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            found: Vec::new(),
            spare: Diagnostic::new(Severity::Note, "", None, Span::default(), ""),
        }
    }

    /// The source.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Reports an error; refine it with the methods of the returned diagnostic.
    pub fn error(&mut self, code: &str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.report(Severity::Error, code, span, message)
    }

    /// Reports a warning.
    pub fn warning(&mut self, code: &str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.report(Severity::Warning, code, span, message)
    }

    /// Reports a note.
    pub fn note(&mut self, code: &str, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.report(Severity::Note, code, span, message)
    }

    /// Reports with a severity that the caller computed. Beyond 500 findings nothing more is kept.
    pub fn report(
        &mut self,
        severity: Severity,
        code: &str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let diagnostic = Diagnostic::new(severity, code, Some(&self.source), span, message);
        if self.found.len() < MAX_FOUND {
            self.found.push(diagnostic);
            if let Some(last) = self.found.last_mut() {
                return last;
            }
        } else {
            self.spare = diagnostic;
        }
        &mut self.spare
    }

    /// Adds advice to the finding reported last.
    pub fn advise_last(&mut self, text: impl Into<String>) {
        if let Some(last) = self.found.last_mut() {
            last.help.push(text.into());
        }
    }

    /// Adds findings made elsewhere.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Diagnostic>) {
        self.found.extend(others);
    }

    /// Whether an error is among them.
    pub fn has_errors(&self) -> bool {
        self.found
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// How many there are; compare before and after a step to know whether it complained.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The findings in the order of the text.
    pub fn sorted(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|diagnostic| {
            (
                diagnostic.primary.span.start,
                diagnostic.severity,
                diagnostic.primary.span.end,
            )
        });
        self.found
    }
}
