//! Command templates: `${{search_space.x}}`, `${{inputs.x}}`, `${{outputs.x}}`, the legacy single braces, and optional
//! segments `[--flag ${{inputs.x}}]`; filled so that one value stays one argument.

use crate::config::launch::LaunchError;
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// What a placeholder refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// `inputs.`: data and literals.
    Inputs,
    /// `outputs.`: named outputs.
    Outputs,
    /// `search_space.`: hyperparameters.
    SearchSpace,
}

impl Room {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inputs => "inputs",
            Self::Outputs => "outputs",
            Self::SearchSpace => "search_space",
        }
    }

    fn of(word: &str) -> Option<Self> {
        match word {
            "inputs" => Some(Self::Inputs),
            "outputs" => Some(Self::Outputs),
            "search_space" => Some(Self::SearchSpace),
            _ => None,
        }
    }
}

/// One placeholder of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What it refers to.
    pub room: Room,
    /// Dotted path below it.
    pub path: String,
    /// Whether it stands in an optional segment.
    pub optional: bool,
    /// Whether it is written with single braces.
    pub legacy: bool,
    /// Its bytes in the template.
    pub range: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Reference(Reference),
    Optional(Vec<Piece>),
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pieces: Vec<Piece>,
    unknown: Vec<(String, Range<usize>)>,
}

/// A filled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Text by the quoting rules of a POSIX shell.
    pub text: String,
    /// Whether only a shell can run it (operators, expansions, builtins); else it may be split into an argument list.
    pub needs_shell: bool,
}

/// Groups: 1 = optional segment's leading text, 2..=3 = room and path in it, 4..=5 = room and path of a plain placeholder,
/// 6 = content of an unknown `${{...}}`, 7..=8 = room and path with single braces.
static PLACEHOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"\[([\w\.\s-]*)\$\{\{\s*(inputs)\.([\w\.-]+)\s*\}\}\]|\$\{\{\s*(inputs|outputs|search_space)\.([\w\.-]+)\s*\}\}|\$\{\{([^}]*)\}\}|\{(inputs|outputs|search_space)\.([\w\.-]+)\}",
    )
    .ok()
});

impl Template {
    /// Parses `text`; anything that is no placeholder stays as it is.
    pub fn parse(text: &str) -> Self {
        let mut template = Self {
            pieces: Vec::new(),
            unknown: Vec::new(),
        };
        let mut end = 0;
        let Some(placeholder) = PLACEHOLDER.as_ref() else {
            template.pieces.push(Piece::Text(text.to_owned()));
            return template;
        };
        for captures in placeholder.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            let group = |index: usize| captures.get(index).map(|group| group.as_str());
            let reference = |room: Option<&str>, path: Option<&str>, optional: bool, legacy: bool| {
                Some(Reference {
                    room: Room::of(room?)?,
                    path: path?.to_owned(),
                    optional,
                    legacy,
                    range: whole.range(),
                })
            };
            let piece = if let Some(reference) = reference(group(2), group(3), true, false) {
                Piece::Optional(vec![
                    Piece::Text(group(1).unwrap_or_default().to_owned()),
                    Piece::Reference(reference),
                ])
            } else if let Some(reference) = reference(group(4), group(5), false, false) {
                Piece::Reference(reference)
            } else if let Some(reference) = reference(group(7), group(8), false, true) {
                let before = text.get(..whole.start()).unwrap_or_default();
                let after = text.get(whole.end()..).unwrap_or_default();
                if before.ends_with(['{', '$']) || after.starts_with('}') {
                    continue;
                }
                Piece::Reference(reference)
            } else {
                template
                    .unknown
                    .push((group(6).unwrap_or_default().trim().to_owned(), whole.range()));
                continue;
            };
            let between = text.get(end..whole.start()).unwrap_or_default();
            if !between.is_empty() {
                template.pieces.push(Piece::Text(between.to_owned()));
            }
            template.pieces.push(piece);
            end = whole.end();
        }
        let rest = text.get(end..).unwrap_or_default();
        if !rest.is_empty() {
            template.pieces.push(Piece::Text(rest.to_owned()));
        }
        template
    }

    /// All placeholders in order.
    pub fn references(&self) -> Vec<&Reference> {
        fn collect<'a>(pieces: &'a [Piece], into: &mut Vec<&'a Reference>) {
            for piece in pieces {
                match piece {
                    Piece::Text(_) => {}
                    Piece::Reference(reference) => into.push(reference),
                    Piece::Optional(inner) => collect(inner, into),
                }
            }
        }
        let mut references = Vec::new();
        collect(&self.pieces, &mut references);
        references
    }

    /// `${{...}}` texts that refer to nothing a trial knows, with their bytes.
    pub fn unknown(&self) -> &[(String, Range<usize>)] {
        &self.unknown
    }

    /// What keeps the text from being a command whatever the values are, in words.
    pub fn defect(&self) -> Option<&'static str> {
        let filled = self
            .fill(&|_, _| Some("x".to_owned()), &|_| Some("x".to_owned()), false)
            .ok()?;
        if filled.text.trim().is_empty() {
            return Some("the command is empty");
        }
        match shlex::split(&filled.text) {
            None if !filled.needs_shell => Some("a quote of the command is never closed"),
            Some(words) if words.first().is_some_and(String::is_empty) => {
                Some("the command begins with an empty word")
            }
            _ => None,
        }
    }

    /// Puts the values in. `value` gives the text of a placeholder (`None` = not given), `variable` the value of a variable that
    /// stands for one (`$AZUREML_SWEEP_x`). With `raw`, values are inserted as they are; otherwise a value that is more than
    /// plain characters is quoted for the place where it stands.
    ///
    /// # Errors
    /// [`LaunchError::Undefined`] for a placeholder outside an optional segment without a value.
    pub fn fill(
        &self,
        value: &dyn Fn(Room, &str) -> Option<String>,
        variable: &dyn Fn(&str) -> Option<String>,
        raw: bool,
    ) -> Result<Filled, LaunchError> {
        let mut writer = Writer {
            text: String::new(),
            quote: Quote::None,
            word: String::new(),
            first_word: true,
            needs_shell: false,
            raw,
            variable,
        };
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => writer.literal(text),
                Piece::Reference(reference) => match value(reference.room, &reference.path) {
                    Some(value) => writer.value(&value),
                    None => {
                        return Err(LaunchError::Undefined {
                            room: reference.room.word(),
                            path: reference.path.clone(),
                        });
                    }
                },
                Piece::Optional(inner) => {
                    for piece in inner {
                        match piece {
                            Piece::Reference(reference) => {
                                if let Some(value) = value(reference.room, &reference.path) {
                                    writer.value(&value);
                                }
                            }
                            Piece::Text(text) if given(inner, value) => writer.literal(text),
                            Piece::Text(_) | Piece::Optional(_) => {}
                        }
                    }
                }
            }
        }
        writer.end_word();
        Ok(Filled {
            text: writer.text,
            needs_shell: writer.needs_shell,
        })
    }
}

fn given(pieces: &[Piece], value: &dyn Fn(Room, &str) -> Option<String>) -> bool {
    pieces.iter().all(|piece| match piece {
        Piece::Reference(reference) => value(reference.room, &reference.path).is_some(),
        _ => true,
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Quote {
    None,
    Single,
    Double,
}

/// Words that only a shell knows when they come first.
const SHELL_WORDS: [&str; 23] = [
    ".", ":", "!", "{", "[[", "alias", "case", "cd", "eval", "exec", "export", "for", "function", "if",
    "set", "shift", "source", "trap", "ulimit", "umask", "unset", "until", "while",
];

/// Variables that stand for a value of the trial; replaced like placeholders, so that they need no shell.
const VALUE_VARIABLES: [&str; 5] = [
    "AZUREML_SWEEP_",
    "AZUREML_PARAMETER_",
    "AZUREML_DATAREFERENCE_",
    "AZURE_ML_INPUT_",
    "AZURE_ML_OUTPUT_",
];

/// Writes shell text and watches whether anything in the user's own part of it needs a shell.
struct Writer<'a> {
    text: String,
    quote: Quote,
    /// The word so far as far as it is literal and unquoted; anything else puts a NUL in.
    word: String,
    first_word: bool,
    needs_shell: bool,
    raw: bool,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Writer<'_> {
    fn literal(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let mut length = c.len_utf8();
            match (self.quote, c) {
                (Quote::Single, '\'') | (Quote::Double, '"') => self.quote = Quote::None,
                (Quote::Single, _) => {}
                (_, '\\') => {
                    length += rest.chars().nth(1).map_or(0, char::len_utf8);
                    self.word.push('\0');
                }
                (_, '$') => {
                    if let Some((value, used)) = self.known_variable(rest) {
                        self.value(&value);
                        rest = rest.get(used..).unwrap_or_default();
                        continue;
                    }
                    self.needs_shell |= rest
                        .chars()
                        .nth(1)
                        .is_some_and(|next| next.is_alphanumeric() || "_{(?$!#@*-".contains(next));
                }
                (_, '`') => self.needs_shell = true,
                (Quote::Double, _) => {}
                (Quote::None, '\'') => self.open(Quote::Single),
                (Quote::None, '"') => self.open(Quote::Double),
                (Quote::None, ' ' | '\t') => self.end_word(),
                (Quote::None, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '\n' | '*' | '?' | '[') => {
                    self.needs_shell = true;
                    self.word.push(c);
                }
                (Quote::None, '~' | '#') if self.word.is_empty() => self.needs_shell = true,
                (Quote::None, _) => self.word.push(c),
            }
            self.text.push_str(rest.get(..length).unwrap_or_default());
            rest = rest.get(length..).unwrap_or_default();
        }
    }

    fn open(&mut self, quote: Quote) {
        self.quote = quote;
        self.word.push('\0');
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        if self.first_word {
            let assignment = self.word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            self.needs_shell |= assignment || SHELL_WORDS.contains(&self.word.as_str());
        }
        self.first_word = false;
        self.word.clear();
    }

    fn known_variable(&self, text: &str) -> Option<(String, usize)> {
        variable_at(text, &|name| {
            VALUE_VARIABLES
                .iter()
                .any(|prefix| name.starts_with(prefix))
                .then(|| (self.variable)(name))
                .flatten()
        })
    }

    fn value(&mut self, value: &str) {
        self.word.push('\0');
        if self.raw || is_plain(value) {
            self.text.push_str(value);
            return;
        }
        match self.quote {
            Quote::None => self.text.push_str(&single_quoted(value)),
            Quote::Single => self.text.push_str(&value.replace('\'', r"'\''")),
            Quote::Double => {
                for c in value.chars() {
                    if matches!(c, '"' | '\\' | '$' | '`') {
                        self.text.push('\\');
                    }
                    self.text.push(c);
                }
            }
        }
    }
}

/// Whether a value needs no quoting anywhere: `^[A-Za-z0-9_@%+=:,./-]+$`.
fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c))
}

fn single_quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// `value` as one word of a POSIX shell.
pub fn quote(value: &str) -> String {
    if is_plain(value) {
        value.to_owned()
    } else {
        single_quoted(value)
    }
}

/// `text` with every `$NAME` and `${NAME}` replaced whose value is known; all others stay as they are.
pub fn expand_variables(text: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at..).unwrap_or_default();
        let used = match variable_at(rest, value) {
            Some((value, used)) => {
                expanded.push_str(&value);
                used
            }
            None => {
                expanded.push('$');
                1
            }
        };
        rest = rest.get(used..).unwrap_or_default();
    }
    expanded.push_str(rest);
    expanded
}

/// Value and length of the variable at the start of `text`, if it is a known one. Names of data references may hold dashes, so
/// the longest known name wins.
fn variable_at(text: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<(String, usize)> {
    let body = text.strip_prefix('$')?;
    if let Some(braced) = body.strip_prefix('{') {
        let name = braced.get(..braced.find('}')?)?;
        return Some((value(name)?, name.len() + 3));
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut end = body.find(|c| !is_name(c)).unwrap_or(body.len());
    while end > 0 {
        let name = body.get(..end)?;
        if let Some(value) = value(name) {
            return Some((value, end + 1));
        }
        // Only a dash or a dot can end a shorter name: `$A-b` may be `$A`, `$Ab` may not.
        end = name.rfind(['-', '.'])?;
    }
    None
}
